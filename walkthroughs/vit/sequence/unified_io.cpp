// unified_io.cpp: where is it, what colour is it, which pixels are it? Three tasks, one vocabulary, one loss, no heads.
//
//   paper    Lu et al., "Unified-IO", 2022, arXiv 2206.08916
//   shows    how coordinates and images become tokens, and that one model learns to write all of them; one token names the task
//   symbols  S tokens of a prompt   n patches   T tokens of an answer   m codes of a generated image
//   before   gpt/unified/t5.cpp for encoder, decoder and distances
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/sequence/unified_io.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"

struct Choices {
    int steps = 1500;
    std::string out;
};

// --- the world: an image of 12 x 12 pixels with one rectangle, made of cells of 2 x 2 pixels ---

static const int side = 12, cells = 6, codes_across = 3;
enum Task { locate, name, segment, tasks };
static const std::vector<std::string> task_names{"locate", "name", "segment"};
static const std::vector<std::string> colour_names{"red", "green", "blue"};

// 0 padding, 1 end, 2 ... 4 the prompts, 5 ... 7 the colours, 8 ... 14 the coordinates 6 ... 0, 15 starts an image.
static const int first_prompt = 2, first_colour = 5, vocabulary = 16;
static const unified_io::CoordinateIds coordinates{.last = 14, .ordinary = 0, .bins = cells + 1, .first_id = 7, .end_token = 1};

namespace {
struct Rectangle {
    int y1, x1, y2, x2, colour;  // edges, in cells

    bool covers(int y, int x) const { return y >= y1 && y < y2 && x >= x1 && x < x2; }
};
}  // namespace

static Rectangle random_rectangle(Random& random) {
    const int height = 2 + random.below(3), width = 2 + random.below(3);
    const int y = random.below(cells - height + 1), x = random.below(cells - width + 1);
    return {y, x, y + height, x + width, random.below(3)};
}

static Image image_of(const Rectangle& rectangle) {
    Image image(side, side, 3);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) image(y, x, rectangle.colour) = rectangle.covers(y / 2, x / 2) ? 1.0f : 0.0f;
    return image;
}

// The mask as tokens: each square of 2 x 2 cells is one of 16 patterns. This stands for the VQ-GAN.
static std::vector<int> codes_of(const Rectangle& rectangle) {
    std::vector<int> codes;
    for (int row = 0; row < codes_across; ++row)
        for (int col = 0; col < codes_across; ++col) {
            int code = 0;
            for (int k = 0; k < 4; ++k) code = 2 * code + rectangle.covers(2 * row + k / 2, 2 * col + k % 2);
            codes.push_back(code);
        }
    return codes;
}

static Image image_of_codes(const std::vector<int>& codes) {
    Image image(side, side, 1);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
            const int code = codes[y / 4 * codes_across + x / 4], cell = y % 4 / 2 * 2 + x % 4 / 2;
            image(y, x, 0) = code >> (3 - cell) & 1 ? 1.0f : 0.0f;
        }
    return image;
}

static std::vector<int> words_of(Task task, const Rectangle& r) {
    if (task == segment) return {coordinates.end_token};
    if (task == name) return {first_colour + r.colour, coordinates.end_token};
    const auto edge = [](int cell) { return static_cast<float>(2 * cell); };
    const unified_io::Box box{.x1 = edge(r.x1), .y1 = edge(r.y1), .x2 = edge(r.x2), .y2 = edge(r.y2)};
    const std::array<int, 4> ids = unified_io::tokens_of_box(box, side, side, coordinates);
    return {ids[0], ids[1], ids[2], ids[3], coordinates.end_token};
}

namespace {
struct Questions {
    unified_io::Source source;
    unified_io::Target target;
};
}  // namespace

static Questions ask(Task task, const std::vector<Rectangle>& rectangles) {
    Questions questions;
    for (const Rectangle& rectangle : rectangles) {
        questions.source.tokens.push_back(first_prompt + task);
        questions.source.images.push_back(image_of(rectangle));
        for (const int id : words_of(task, rectangle)) questions.target.tokens.push_back(id);
        if (task != segment) continue;
        for (const int code : codes_of(rectangle)) questions.target.codes.push_back(code);
    }
    return questions;
}

static std::vector<Rectangle> random_rectangles(int count, Random& random) {
    std::vector<Rectangle> rectangles;
    for (int i = 0; i < count; ++i) rectangles.push_back(random_rectangle(random));
    return rectangles;
}

// --- the model ---

static unified_io::Config toy_config() {
    return {.vocabulary = vocabulary,
            .image_vocabulary = 16,
            .grid = {.height = side, .width = side, .patch_size = 2},
            .width = 32,
            .heads = 4,
            .head_width = 8,
            .mlp_width = 64,
            .encoder_depth = 2,
            .decoder_depth = 2,
            .encoder_text = 1,
            .encoder_patches = cells * cells,
            .decoder_text = 5,
            .decoder_codes = codes_across * codes_across,
            .decoder_grid = codes_across,
            .buckets = 8,
            .max_distance = 16,
            .vae = {.resolution = 4,
                    .filters = 2,
                    .multipliers = {1},
                    .res_blocks = 0,
                    .attention_sides = {},
                    .code_width = 2,
                    .groups = 1}};
}

namespace {
struct AnswerLoss : Objective {  // 16 images, one of these tasks drawn at random
    const unified_io::Weights& w;
    const unified_io::Config& config;
    std::vector<Task> asked;
    Random random;

    AnswerLoss(const unified_io::Weights& w, const unified_io::Config& config, std::vector<Task> asked, int seed)
        : w(w), config(config), asked(std::move(asked)), random(1000 + seed) {}

    Var loss(int) override {
        const Task task = asked[random.below(static_cast<int>(asked.size()))];
        const Questions questions = ask(task, random_rectangles(16, random));
        const unified_io::Steps steps = unified_io::forward(questions.source, questions.target, w, config);
        return unified_io::losses(steps, questions.target).total;
    }
};
}  // namespace

// Greedy decoding, token by token.
static unified_io::Target written(Task task, const Questions& questions, const unified_io::Weights& w,
                                  const unified_io::Config& config) {
    unified_io::Target answer;
    if (task == segment) {
        answer.codes = unified_io::write_codes(questions.source, codes_across * codes_across, w, config);
        return answer;
    }
    const int length = static_cast<int>(questions.target.tokens.size() / questions.source.images.size());
    for (std::vector<int> tokens : unified_io::write_text(questions.source, length, w, config, coordinates.end_token)) {
        tokens.resize(length, coordinates.end_token);  // one that has ended early is filled up
        answer.tokens.insert(answer.tokens.end(), tokens.begin(), tokens.end());
    }
    return answer;
}

namespace {
struct Right {
    double tokens = 0, answers = 0;  // fractions
};
}  // namespace

static Right right_of(Task task, const Questions& questions, const unified_io::Target& answer) {
    const std::vector<int>& given = task == segment ? answer.codes : answer.tokens;
    const std::vector<int>& truth = task == segment ? questions.target.codes : questions.target.tokens;
    const int B = static_cast<int>(questions.source.images.size()), length = static_cast<int>(truth.size()) / B;
    Right right;
    for (int b = 0; b < B; ++b) {
        int same = 0;
        for (int t = 0; t < length; ++t) same += given[b * length + t] == truth[b * length + t];
        right.tokens += same / static_cast<double>(length * B);
        right.answers += (same == length) / static_cast<double>(B);
    }
    return right;
}

// --- the lesson ---

static std::string listed(const std::vector<int>& ids) {
    std::string words;
    for (const int id : ids) words += (words.empty() ? "" : " ") + std::to_string(id);
    return words;
}

static void step_1_words(Lesson& lesson) {
    lesson.step("How do a box and a mask become tokens?", "bin = floor((bins - 1) v)", "sections 3.1 and 3.2");
    const Rectangle rectangle{1, 2, 4, 6, 0};
    lesson.picture("one rectangle", image_of(rectangle));
    lesson.code(3);
    const std::vector<int> box = words_of(locate, rectangle);
    const std::vector<int> colour = words_of(name, rectangle);
    const std::vector<int> mask = codes_of(rectangle);
    lesson.table({{"task", "answer"}, {"locate", listed(box)}, {"name", listed(colour)}, {"segment", listed(mask)}});
    lesson.why("all three are rows of whole numbers from one table of ", vocabulary + 16,
               " tokens. Coordinates count down: ", coordinates.last,
               " is the edge at 0. The mask is cut into 9 squares, and each is one of 16 patterns.");
}

static void step_2_bias(Lesson& lesson, const unified_io::Weights& w, const unified_io::Config& config) {
    lesson.step("How does the model know the position of a patch?", "q k^T + distance + position",
                "nothing is divided by sqrt(K)");
    const KeepSteps keep;
    const NoTape evaluation;
    Random random(1);
    const Questions one = ask(segment, random_rectangles(1, random));
    lesson.code();
    const unified_io::Steps steps = unified_io::forward(one.source, one.target, w, config);
    lesson.table({{"step", "shape"},
                  {"encoder: prompt and patches", shape(steps.encoder.embeddings.value())},
                  {"bias of distances, each head", shape(steps.encoder.relative.value())},
                  {"bias of positions, each head", shape(steps.encoder.absolute.value())},
                  {"decoder: tokens and codes", shape(steps.decoder.embeddings.value())},
                  {"logits of text tokens", shape(steps.decoder.text_logits.value())},
                  {"logits of codes", shape(steps.decoder.image_logits.value())}});
    lesson.why("tokens of text have a distance in one direction, patches in two: bucket ", unified_io::image_bucket(2, 0, config),
               " is two to the right, bucket ", unified_io::image_bucket(0, 2, config), " is two down.");
}

// Accuracy of whole answers and of single tokens on held-out images.
static Right measured(Task task, const std::vector<Rectangle>& rectangles, const unified_io::Weights& w,
                      const unified_io::Config& config) {
    const Questions questions = ask(task, rectangles);
    return right_of(task, questions, written(task, questions, w, config));
}

static std::vector<Right> measured(const std::vector<Rectangle>& rectangles, const unified_io::Weights& w,
                                   const unified_io::Config& config) {
    std::vector<Right> right;
    for (const Task task : {locate, name, segment}) right.push_back(measured(task, rectangles, w, config));
    return right;
}

static const int test_count = 100;

static std::vector<Rectangle> test_rectangles(int seed) {
    Random random(9000 + seed);
    return random_rectangles(test_count, random);
}

static Recipe recipe_of(int steps) {
    return {.schedule = {.peak = 3e-3f, .warm_up = std::min(20, steps), .steps = steps, .descent = Descent::linear}};
}

// The answers are measured after each quarter of the training.
static const int quarters = 4;
static const std::vector<std::string> quarter_names{"1/4", "1/2", "3/4", "all"};

// Returns what is right after each quarter, for each task.
static std::vector<std::vector<Right>> step_3_train(Lesson& lesson, const unified_io::Weights& w,
                                                    const unified_io::Config& config, int steps, int seed) {
    lesson.step("Does one loss serve three tasks?", "mean of -log p(token | image, prompt, tokens before)", "section 3.3");
    AnswerLoss objective(w, config, {locate, name, segment}, seed);
    Trainer trainer(nothing_decays(variables(unified_io::parameters(w, config))), recipe_of(steps));
    std::vector<float> losses;
    std::vector<std::vector<Right>> moments;
    {
        ShowProgress progress("training", steps);
        for (int quarter = 1; quarter <= quarters; ++quarter) {
            for (const float loss : train_until(steps * quarter / quarters, objective, trainer, &progress))
                losses.push_back(loss);
            moments.push_back(measured(test_rectangles(seed), w, config));
        }
    }
    int first = 0;
    for (int task = 1; task < tasks; ++task)
        if (moments[0][task].answers > moments[0][first].answers) first = task;
    lesson.predict("Which task is learned first: locate, name or segment?", {task_names[first]});
    lesson.curves({smoothed("loss", losses, std::max(1, steps / 60))}, {"training step", "loss, nats"});
    return moments;
}

// The box of an answer, as fractions of the image: left, top, right, bottom.
static Matrix corners_of(const std::vector<int>& tokens) {
    const auto edge = [&](int k) { return static_cast<float>(coordinates.last - tokens[k]) / cells; };
    return {{edge(1), edge(0), edge(3), edge(2)}};
}

// For each rectangle: the image, the image with the box that was written, and the mask that was written.
static void write_page(const std::string& path, const std::vector<Rectangle>& rectangles, const unified_io::Weights& w,
                       const unified_io::Config& config) {
    if (path.empty()) return;
    std::vector<Image> rows;
    for (const Rectangle& rectangle : rectangles) {
        const Questions where = ask(locate, {rectangle}), which = ask(segment, {rectangle});
        const Image image = enlarged(where.source.images[0], 6);
        Image boxed = image;
        draw_box(boxed, corners_of(written(locate, where, w, config).tokens), {1, 1, 1});
        rows.push_back(in_a_row({image, boxed, enlarged(image_of_codes(written(segment, which, w, config).codes), 6)}, 4));
    }
    write_image(path, in_a_column(rows, 4));
}

static void step_4_answers(Lesson& lesson, const std::vector<std::vector<Right>>& moments, const unified_io::Weights& w,
                           const unified_io::Config& config, const Choices& choices, int seed) {
    lesson.step("What does the model answer?", "argmax, token after token", "images never trained on");
    const std::vector<Rectangle> rectangles = test_rectangles(seed);
    std::vector<std::vector<std::string>> asked{{"prompt", "it writes", "the truth"}};
    unified_io::Target mask, box;
    for (const Task task : {locate, name, segment}) {
        const Questions one = ask(task, {rectangles[0]});
        const unified_io::Target answer = written(task, one, w, config);
        const bool codes = task == segment;
        asked.push_back({text(first_prompt + task) + ", " + task_names[task], listed(codes ? answer.codes : answer.tokens),
                         listed(codes ? one.target.codes : one.target.tokens)});
        (codes ? mask : box) = task == name ? box : answer;
    }
    Image boxed = enlarged(image_of(rectangles[0]), lesson.colours == Colours::none ? 1 : 2);
    draw_box(boxed, corners_of(box.tokens), {1, 1, 1});
    lesson.pictures({{"image", picture(image_of(rectangles[0]), lesson.colours)},
                     {"box that was written", picture(boxed, lesson.colours)},
                     {"and the mask", picture(image_of_codes(mask.codes), lesson.colours)}});
    lesson.table(asked);
    write_page(choices.out, {rectangles.begin(), rectangles.begin() + 6}, w, config);
    const std::vector<Right>&early = moments.front(), &right = moments.back();
    std::vector<std::vector<std::string>> rows{{"task", "tokens, a quarter", "answers, a quarter", "tokens", "answers"}};
    for (int task = 0; task < tasks; ++task)
        rows.push_back({task_names[task], fixed(early[task].tokens, 3), fixed(early[task].answers, 3),
                        fixed(right[task].tokens, 3), fixed(right[task].answers, 3)});
    lesson.table(rows);
    lesson.why(
        "the same weights solve all three tasks; one token of the prompt selects the task. A colour is one decision; a box is four and a mask nine "
        "that must all be right, so after a quarter of the training their tokens are right far more often than their whole answers.");
}

// A model that learns one task only, with as many steps as the shared one gave to it.
//   returns  what is right after each quarter of them
static std::vector<Right> train_alone(Task task, const unified_io::Config& config, int steps, int seed) {
    Random random(seed);
    const unified_io::Weights w = unified_io::make_weights(config, random);
    AnswerLoss objective(w, config, {task}, seed);
    Trainer trainer(nothing_decays(variables(unified_io::parameters(w, config))), recipe_of(steps));
    ShowProgress progress(task_names[task] + " alone", steps);
    std::vector<Right> moments;
    for (int quarter = 1; quarter <= quarters; ++quarter) {
        train_until(steps * quarter / quarters, objective, trainer, &progress);
        moments.push_back(measured(task, test_rectangles(seed), w, config));
    }
    return moments;
}

namespace {
// Whole answers right: the shared model less the one of this task only.
struct Difference {
    double answers = 0;
    int task = locate, quarter = 0;  // of this task, at this moment

    std::string where() const {
        return task_names[task] + " at " + quarter_names[quarter] + ": " + (answers > 0 ? "+" : "") + fixed(answers, 2);
    }
};
}  // namespace

// Returns the smallest difference at the end, shared less alone, of any task.
static double step_5_alone(Lesson& lesson, const std::vector<std::vector<Right>>& shared, const unified_io::Config& config,
                           int steps, int seed) {
    lesson.step("Is one shared model as good as one for each task?", "one model for each task",
                text(steps / tasks) + " steps each");
    std::vector<std::vector<Right>> alone;
    for (const Task task : {locate, name, segment}) alone.push_back(train_alone(task, config, steps / tasks, seed));
    std::vector<std::vector<std::string>> rows{{"whole answers right after"}};
    rows[0].insert(rows[0].end(), quarter_names.begin(), quarter_names.end());
    Difference least{.answers = 1}, most{.answers = -1};
    double least_at_end = 1;
    for (int task = 0; task < tasks; ++task) {
        rows.insert(rows.end(), {{task_names[task] + ", shared"}, {task_names[task] + ", alone"}});
        for (int quarter = 0; quarter < quarters; ++quarter) {
            const double together = shared[quarter][task].answers, single = alone[task][quarter].answers;
            rows[rows.size() - 2].push_back(fixed(together, 2));
            rows[rows.size() - 1].push_back(fixed(single, 2));
            const Difference here{together - single, task, quarter};
            if (here.answers < least.answers) least = here;
            if (here.answers > most.answers) most = here;
            if (quarter + 1 == quarters) least_at_end = std::min(least_at_end, here.answers);
        }
    }
    lesson.table(rows);
    lesson.say("Shared less alone, the smallest and the largest difference: ", least.where(), "; ", most.where(), ".");
    lesson.why(
        "the shared model has met each task in a third of its ", steps,
        " steps, so both have seen as much of it, with as many weights. On the way it may be behind, as with most seeds after a "
        "quarter, or ahead; how much changes with --seed, and of ",
        test_count,
        " images a fraction is uncertain by about 0.05. At the end sharing has cost nothing here: "
        "all tasks need the same information from the image, where the rectangle ends and what colour it has.");
    return least_at_end;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const unified_io::Config config = toy_config();
    Random random(seed);
    const unified_io::Weights w = unified_io::make_weights(config, random);
    step_1_words(lesson);
    step_2_bias(lesson, w, config);
    const std::vector<std::vector<Right>> shared = step_3_train(lesson, w, config, choices.steps, seed);
    step_4_answers(lesson, shared, w, config, choices, seed);
    const double least_at_end = step_5_alone(lesson, shared, config, choices.steps, seed);
    const std::vector<Right>&early = shared.front(), &right = shared.back();
    lesson.say("Next: vit/language/clip embeds images and sentences in one space.");
    lesson.claim_at_least("colours; chance is 0.333", right[name].answers, 0.9);
    lesson.claim_at_least("boxes with all four coordinates right", right[locate].answers, 0.8);
    lesson.claim_at_least("masks with all nine codes right", right[segment].answers, 0.8);
    lesson.claim_at_least("after a quarter of the training: tokens of masks right, less whole masks",
                          early[segment].tokens - early[segment].answers, 0.1);
    lesson.claim_at_least("at the end, shared less alone, the smallest of the three tasks", least_at_end, -0.05);
}

int main(int argc, char** argv) {
    Options options("vit/sequence/unified_io", "Where is it, what colour, which pixels? Three tasks, one vocabulary.",
                    "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 3, 100'000);
    options.add_output("out", choices.out, "a PPM file: six images, their boxes and masks as written");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
