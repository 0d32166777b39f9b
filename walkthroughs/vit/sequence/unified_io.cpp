// unified_io.cpp: where is it, what colour is it, which pixels are it? Three tasks, one vocabulary, one loss, no heads.
//
//   paper    Lu et al., "Unified-IO", 2022, arXiv 2206.08916
//   shows    how places and pictures become words, and that one model learns to write all of them, told by one word which
//   symbols  S words of a prompt   n patches   T words of an answer   m codes of a picture that is written
//   before   gpt/unified/t5.cpp for encoder, decoder and distances
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/training/train.h"
#include "vit/sequence/unified_io.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"

struct Choices {
    int steps = 1500;
};

// --- the world: a picture of 12 x 12 pixels with one rectangle, made of cells of 2 x 2 pixels ---

static const int side = 12, cells = 6, codes_across = 3;
enum Task { locate, name, segment, tasks };
static const std::vector<std::string> task_names{"locate", "name", "segment"};
static const std::vector<std::string> colour_names{"red", "green", "blue"};

// 0 padding, 1 end, 2 ... 4 the prompts, 5 ... 7 the colours, 8 ... 14 the places 6 ... 0, 15 starts a picture.
static const int first_prompt = 2, first_colour = 5, vocabulary = 16;
static const unified_io::Places places{.last = 14, .ordinary = 0, .bins = cells + 1, .first_id = 7, .end_token = 1};

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

static Image picture_of(const Rectangle& rectangle) {
    Image image(side, side, 3);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) image(y, x, rectangle.colour) = rectangle.covers(y / 2, x / 2) ? 1.0f : 0.0f;
    return image;
}

// The mask as words: each square of 2 x 2 cells is one of 16 patterns. This stands for the VQ-GAN.
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

static Image picture_of_codes(const std::vector<int>& codes) {
    Image image(side, side, 1);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
            const int code = codes[y / 4 * codes_across + x / 4], cell = y % 4 / 2 * 2 + x % 4 / 2;
            image(y, x, 0) = code >> (3 - cell) & 1 ? 1.0f : 0.0f;
        }
    return image;
}

static std::vector<int> words_of(Task task, const Rectangle& r) {
    if (task == segment) return {places.end_token};
    if (task == name) return {first_colour + r.colour, places.end_token};
    const auto edge = [](int cell) { return static_cast<float>(2 * cell); };
    const unified_io::Box box{.x1 = edge(r.x1), .y1 = edge(r.y1), .x2 = edge(r.x2), .y2 = edge(r.y2)};
    const std::array<int, 4> ids = unified_io::words_of_box(box, side, side, places);
    return {ids[0], ids[1], ids[2], ids[3], places.end_token};
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
        questions.source.words.push_back(first_prompt + task);
        questions.source.images.push_back(picture_of(rectangle));
        for (const int id : words_of(task, rectangle)) questions.target.words.push_back(id);
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
struct AnswerLoss : Objective {  // 16 pictures, one task drawn at random
    const unified_io::Weights& w;
    const unified_io::Config& config;
    Random random;

    AnswerLoss(const unified_io::Weights& w, const unified_io::Config& config, int seed)
        : w(w), config(config), random(1000 + seed) {}

    Var loss(int) override {
        const Task task = static_cast<Task>(random.below(tasks));
        const Questions questions = ask(task, random_rectangles(16, random));
        const unified_io::Steps steps = unified_io::forward(questions.source, questions.target, w, config);
        return unified_io::losses(steps, questions.target).total;
    }
};
}  // namespace

// Writes word after word: each forward pass gives the next one of every example.
static unified_io::Target written(Task task, const Questions& questions, const unified_io::Weights& w,
                                  const unified_io::Config& config) {
    const NoTape evaluation;
    const int B = static_cast<int>(questions.source.images.size());
    unified_io::Target answer = questions.target;  // only its sizes are used: every word and code is written anew
    std::vector<int>& ids = task == segment ? answer.codes : answer.words;
    std::fill(ids.begin(), ids.end(), task == segment ? 0 : places.end_token);
    const int length = static_cast<int>(ids.size()) / B;
    for (int t = 0; t < length; ++t) {
        const unified_io::DecoderSteps steps = unified_io::forward(questions.source, answer, w, config).decoder;
        const Matrix logits = (task == segment ? steps.image_logits : steps.text_logits).value();
        for (int b = 0; b < B; ++b) ids[b * length + t] = argmax_row(logits, b * length + t);
    }
    return answer;
}

namespace {
struct Right {
    double words = 0, answers = 0;  // shares
};
}  // namespace

static Right right_of(Task task, const Questions& questions, const unified_io::Target& answer) {
    const std::vector<int>& given = task == segment ? answer.codes : answer.words;
    const std::vector<int>& truth = task == segment ? questions.target.codes : questions.target.words;
    const int B = static_cast<int>(questions.source.images.size()), length = static_cast<int>(truth.size()) / B;
    Right right;
    for (int b = 0; b < B; ++b) {
        int same = 0;
        for (int t = 0; t < length; ++t) same += given[b * length + t] == truth[b * length + t];
        right.words += same / static_cast<double>(length * B);
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
    lesson.step("How can a box and a mask be words?", "bin = floor((bins - 1) v)", "sections 3.1 and 3.2");
    const Rectangle rectangle{1, 2, 4, 6, 0};
    lesson.picture("one rectangle", picture_of(rectangle));
    lesson.code(3);
    const std::vector<int> box = words_of(locate, rectangle);
    const std::vector<int> colour = words_of(name, rectangle);
    const std::vector<int> mask = codes_of(rectangle);
    lesson.table({{"task", "answer"}, {"locate", listed(box)}, {"name", listed(colour)}, {"segment", listed(mask)}});
    lesson.why("all three are rows of whole numbers from one table of ", vocabulary + 16,
               " words. Places count down: ", places.last,
               " is the edge at 0. The mask is cut into 9 squares, and each is one of 16 patterns.");
}

static void step_2_bias(Lesson& lesson, const unified_io::Weights& w, const unified_io::Config& config) {
    lesson.step("How does the model know where a patch lies?", "q k^T + distance + position", "nothing is divided by sqrt(K)");
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
                  {"decoder: words and codes", shape(steps.decoder.embeddings.value())},
                  {"logits of words", shape(steps.decoder.text_logits.value())},
                  {"logits of codes", shape(steps.decoder.image_logits.value())}});
    lesson.why("words count their distance in one direction, patches in two: bucket ", unified_io::image_bucket(2, 0, config),
               " is two to the right, bucket ", unified_io::image_bucket(0, 2, config), " is two down.");
}

// Whole answers and single words that are right, of pictures never trained on.
static std::vector<Right> measured(const std::vector<Rectangle>& rectangles, const unified_io::Weights& w,
                                   const unified_io::Config& config) {
    std::vector<Right> right;
    for (const Task task : {locate, name, segment}) {
        const Questions questions = ask(task, rectangles);
        right.push_back(right_of(task, questions, written(task, questions, w, config)));
    }
    return right;
}

static std::vector<Rectangle> test_rectangles(int seed) {
    Random random(9000 + seed);
    return random_rectangles(100, random);
}

// Returns what is right after a quarter of the training.
static std::vector<Right> step_3_train(Lesson& lesson, const unified_io::Weights& w, const unified_io::Config& config, int steps,
                                       int seed) {
    lesson.step("Does one loss serve three tasks?", "mean of -log p(word | image, prompt, words before)", "section 3.3");
    lesson.predict("which task is learned first, and which last.");
    AnswerLoss objective(w, config, seed);
    const Recipe recipe{.schedule = {.peak = 3e-3f, .warm_up = 20, .steps = steps, .descent = Descent::linear}};
    Trainer trainer(nothing_decays(variables(unified_io::parameters(w, config))), recipe);
    std::vector<float> losses;
    std::vector<Right> early;
    {
        ShowProgress progress("training", steps);
        losses = train_until(steps / 4, objective, trainer, &progress);
        early = measured(test_rectangles(seed), w, config);
        for (const float loss : train_until(steps, objective, trainer, &progress)) losses.push_back(loss);
    }
    const Smoothed curve = smoothed(losses, std::max(1, steps / 60));
    lesson.curves({{.name = "loss", .x = curve.steps, .y = curve.losses}});
    return early;
}

static void step_4_answers(Lesson& lesson, const std::vector<Right>& early, const unified_io::Weights& w,
                           const unified_io::Config& config, int seed) {
    lesson.step("What does it answer?", "argmax, word after word", "pictures never trained on");
    const Questions one = ask(segment, {test_rectangles(seed)[0]});
    const unified_io::Target mask = written(segment, one, w, config);
    lesson.pictures({{"picture", picture(one.source.images[0], lesson.colours)},
                     {"mask that was written", picture(picture_of_codes(mask.codes), lesson.colours)}});
    const std::vector<Right> right = measured(test_rectangles(seed), w, config);
    std::vector<std::vector<std::string>> rows{{"task", "words, a quarter", "answers, a quarter", "words", "answers"}};
    for (int task = 0; task < tasks; ++task)
        rows.push_back({task_names[task], fixed(early[task].words, 3), fixed(early[task].answers, 3), fixed(right[task].words, 3),
                        fixed(right[task].answers, 3)});
    lesson.table(rows);
    lesson.why(
        "the same weights wrote all three; one word of the prompt chose. A colour is one decision; a box is four and a mask "
        "nine that must all be right, so after a quarter of the training their words are far ahead of their answers.");
    lesson.claim_at_least("colours; chance is 0.333", right[name].answers, 0.9);
    lesson.claim_at_least("boxes with all four places right", right[locate].answers, 0.8);
    lesson.claim_at_least("masks with all nine codes right", right[segment].answers, 0.8);
    lesson.claim_at_least("after a quarter of the training: words of masks right, less whole masks",
                          early[segment].words - early[segment].answers, 0.1);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const unified_io::Config config = toy_config();
    Random random(seed);
    const unified_io::Weights w = unified_io::make_weights(config, random);
    step_1_words(lesson);
    step_2_bias(lesson, w, config);
    const std::vector<Right> early = step_3_train(lesson, w, config, choices.steps, seed);
    step_4_answers(lesson, early, w, config, seed);
}

int main(int argc, char** argv) {
    Options options("vit/sequence/unified_io", "Where is it, what colour, which pixels? Three tasks, one vocabulary.",
                    "10 seconds");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
