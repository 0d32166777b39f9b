// vitdet.cpp: which square has the disc's colour? Window attention cannot tell; one global block can.
//
//   paper    Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", 2022, arXiv 2203.16527
//   shows    that window attention is cheap but does not see other windows, that one global block connects them, and how all
//            scales of a detector are computed from one map
//   symbols  h, w tokens down and across   k window side   D width   A heads
//   before   walkthroughs/vit/vit.cpp
//   next     mask2former.cpp finds objects in such maps
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/detect/vitdet.h"
#include "walkthroughs/lesson/lesson.h"

namespace {
struct Choices {
    int steps = 600;
    bool all = false;
    std::string out;
    int seed = 1;
};

// An image of four windows: a disc in one, a square in each other, and the square that has the disc's colour.
struct Puzzle {
    Image image;
    int disc = 0;    // its token
    int answer = 0;  // the token of the square to point at
    std::vector<int> squares = {};
};
}  // namespace

static const int side = 6, patch = 4, window_side = 3;  // 6 x 6 tokens of 4 x 4 pixels, in windows of 3 x 3 tokens

static void paint(Image& image, int token, Colour colour, bool disc) {
    for (int y = 0; y < patch; ++y)
        for (int x = 0; x < patch; ++x) {
            const bool corner = (y == 0 || y == patch - 1) && (x == 0 || x == patch - 1);
            if (disc && corner) continue;
            image(token / side * patch + y, token % side * patch + x, 0) = colour.red;
            image(token / side * patch + y, token % side * patch + x, 1) = colour.green;
            image(token / side * patch + y, token % side * patch + x, 2) = colour.blue;
        }
}

static Puzzle draw_puzzle(Random& random) {
    Puzzle puzzle{.image = Image(side * patch, side * patch, 3, 0.1f)};
    for (float& x : puzzle.image.pixels) x += 0.05f * random.normal();
    const std::vector<int> colours = permutation(random, 4), windows = permutation(random, 4);
    const int same = random.below(3);  // which of the three squares has the disc's colour
    for (int k = 0; k < 4; ++k) {
        const int top = windows[k] / 2 * window_side, left = windows[k] % 2 * window_side;
        const int token = (top + random.below(window_side)) * side + left + random.below(window_side);
        paint(puzzle.image, token, palette(k == 3 ? colours[same] : colours[k]), k == 3);
        if (k == 3) puzzle.disc = token;
        if (k < 3) puzzle.squares.push_back(token);
    }
    puzzle.answer = puzzle.squares[same];
    return puzzle;
}

static std::vector<Puzzle> draw_puzzles(Random& random, int count) {
    std::vector<Puzzle> puzzles;
    for (int i = 0; i < count; ++i) puzzles.push_back(draw_puzzle(random));
    return puzzles;
}

static std::vector<Image> images_of_puzzles(const std::vector<Puzzle>& puzzles) {
    std::vector<Image> images;
    for (const Puzzle& puzzle : puzzles) images.push_back(puzzle.image);
    return images;
}

// The box of a token, as fractions of the image.
static Matrix box_of(int token) {
    const float step = 1.0f / side, left = static_cast<float>(token % side) * step, top = static_cast<float>(token / side) * step;
    return {{left, top, left + step, top + step}};
}

// Twice as large where there are colours; letters need the room.
static Image with_windows(const Image& image, Colours colours) {
    Image large = enlarged(image, colours == Colours::none ? 1 : 2);
    for (int k = 0; k < 4; ++k) {
        const float left = k % 2 * 0.5f, top = k / 2 * 0.5f;
        draw_box(large, {{left, top, left + 0.5f, top + 0.5f}}, {0.4f, 0.4f, 0.4f});
    }
    return large;
}

// --- the model: the backbone and one number for each token ---

static vitdet::Config config_with(const std::vector<int>& windowed) {
    return {.patch_size = patch,
            .table_height = side,
            .table_width = side,
            .position_side = side,
            .class_position = false,
            .width = 24,
            .depth = 3,
            .heads = 3,
            .mlp_width = 48,
            .window = window_side,
            .windowed = windowed,
            .scales = {4, 2, 1, 0.5},
            .pyramid_channels = 8};
}

namespace {
struct Pointer {
    vitdet::Config config;
    vitdet::Weights w;
    Linear head;  // (D, 1)

    Pointer(const std::vector<int>& windowed, int seed) : config(config_with(windowed)) {
        Random random(seed);
        config.pyramid_channels = 0;
        w = vitdet::make_weights(config, random, {.draw = Draw::xavier_uniform});
        head = make_linear(random, config.width, 1, {.draw = Draw::xavier_uniform});
    }

    std::vector<Var> all_variables() const {
        Parameters table = vitdet::parameters(w, config);
        add_parameters(table, "head", head);
        return variables(table);
    }
};
}  // namespace

// The score of each token: (B, 36).
static Var pointing(const vitdet::Steps& steps, const Linear& head, int images) {
    return reshape(linear(steps.last.pixels, head), images, side * side);
}

namespace {
struct PointingLoss : Objective {
    const Pointer& model;
    const std::vector<Puzzle>& puzzles;
    int batch;
    Random random;

    PointingLoss(const Pointer& model, const std::vector<Puzzle>& puzzles, int batch, int seed)
        : model(model), puzzles(puzzles), batch(batch), random(seed) {}

    Var loss(int) override {
        std::vector<Image> images;
        std::vector<int> answers;
        for (int b = 0; b < batch; ++b) {
            const Puzzle& puzzle = puzzles[random.below(static_cast<int>(puzzles.size()))];
            images.push_back(puzzle.image);
            answers.push_back(puzzle.answer);
        }
        return cross_entropy(pointing(vitdet::forward(images, model.w, model.config), model.head, batch), answers);
    }
};
}  // namespace

static Matrix answers_of(const Pointer& model, const std::vector<Puzzle>& puzzles) {
    const NoTape evaluation;
    const int count = static_cast<int>(puzzles.size());
    return pointing(vitdet::forward(images_of_puzzles(puzzles), model.w, model.config), model.head, count).value();
}

static float accuracy_of(const Pointer& model, const std::vector<Puzzle>& puzzles) {
    std::vector<int> labels;
    for (const Puzzle& puzzle : puzzles) labels.push_back(puzzle.answer);
    return accuracy(answers_of(model, puzzles), labels);
}

static Series train_pointer(const Pointer& model, const std::vector<Puzzle>& puzzles, const Choices& choices,
                            const std::string& name) {
    const Recipe recipe{
        .schedule = {.peak = 4e-3f, .warm_up = choices.steps / 20, .steps = choices.steps, .descent = Descent::linear},
        .batch = 16,
        .beta2 = 0.98f};
    PointingLoss objective(model, puzzles, recipe.batch, choices.seed);
    ShowProgress progress(name, choices.steps);
    const std::vector<float> losses = train(objective, nothing_decays(model.all_variables()), recipe, &progress);
    Series curve{.name = name, .x = {}, .y = {}};
    const int group = std::max(1, choices.steps / 25);
    for (int first = 0; first + group <= choices.steps; first += group) {
        float sum = 0;
        for (int k = 0; k < group; ++k) sum += losses[first + k];
        curve.x.push_back(static_cast<float>(first + group));
        curve.y.push_back(sum / static_cast<float>(group));
    }
    return curve;
}

// --- the lesson ---

static void step_1_puzzle(Lesson& lesson, const std::vector<Puzzle>& puzzles) {
    lesson.step("What is the task?", "", "a toy with a question that spans the image");
    std::vector<Captioned> page;
    for (int i = 0; i < 2; ++i) {
        Image large = with_windows(puzzles[i].image, lesson.colours);
        draw_box(large, box_of(puzzles[i].answer), {1, 1, 1});
        page.push_back({"puzzle " + text(i + 1), picture(large, lesson.colours)});
    }
    lesson.pictures(page);
    lesson.say(
        "A disc and three squares in four windows (grey lines). Point at the square that has the colour of the disc: one of ",
        side * side, " tokens. The white frame is the answer.");
    lesson.why(
        "the squares have different colours, so a model that does not know the disc's colour can only choose one of three "
        "squares: ",
        fixed(100.0 / 3, 1), " % right. Disc and square are never in the same window.");
}

static void step_2_windows(Lesson& lesson) {
    lesson.step("What does a windowed block see?", "(B*S, k, k, D) instead of (B, h, w, D)", "section 3, Backbone adaptation");
    lesson.code();
    const vitdet::Windows cut = vitdet::windows({1, 5, 7}, 3);
    Matrix number(5, 7);
    for (int row = 0; row < 35; ++row) number[row] = static_cast<float>(cut.inverse[row] / 9);
    lesson.matrix("window of each token, 5 x 7", number, 8);
    lesson.say("A map of 5 x 7 tokens is filled up with zeros to ", cut.padded_height, " x ", cut.padded_width,
               ", then cut into ", cut.count, " windows of 3 x 3.");
    lesson.why(
        "each window becomes a sequence of its own, as if it were another image; attention itself does not change. The zeros "
        "come after the norm and are not masked: a padded token offers the biases as key and value.");
    lesson.predict("how many windows 6 x 6 tokens need, and how many of them hold padding.");
}

// The mean over heads of what one token attends to in one block: (6, 6).
static Matrix looks_at(const vitdet::Steps& steps, const vitdet::Config& config, int block, int token) {
    const Matrix& weights = steps.blocks[block].attention.weights.value();  // (A*36, 36)
    Matrix mean(side, side);
    for (int head = 0; head < config.heads; ++head)
        for (int key = 0; key < side * side; ++key)
            mean[key] += weights(head * side * side + token, key) / static_cast<float>(config.heads);
    return mean;
}

static Image answer_image(const Puzzle& puzzle, int chosen, Colours colours) {
    Image large = with_windows(puzzle.image, colours);
    draw_box(large, box_of(chosen), chosen == puzzle.answer ? Colour{1, 1, 1} : Colour{1, 0, 0});
    return large;
}

static float step_3_windowed(Lesson& lesson, const Pointer& model, const std::vector<Puzzle>& train,
                             const std::vector<Puzzle>& test, const Choices& choices, Series& curve) {
    lesson.step("How far do windows alone get?", "three blocks, all windowed");
    curve = train_pointer(model, train, choices, "windows only");
    const float right = accuracy_of(model, test);
    lesson.predict("What fraction of new puzzles does it solve?", {right, 0.1});
    lesson.curves({curve}, {"training step", "loss, nats"});
    lesson.say(fixed(100 * right, 1), " % of ", static_cast<int>(test.size()),
               " new puzzles. The loss stops near ln 3 = ", fixed(std::log(3.0)), ", that of a choice among three.");
    lesson.why(
        "the model has learned what a square is and that windows with a disc hold no answer. It cannot learn more: no block "
        "carries information from one window to another.");
    lesson.predict(
        "what one block without windows changes. Only its attention sees more; the number of weights is the same, except for the table of relative positions.");
    return right;
}

static float step_4_global(Lesson& lesson, const Pointer& windowed, const Pointer& model, const std::vector<Puzzle>& train,
                           const std::vector<Puzzle>& test, const Choices& choices, const Series& before) {
    lesson.step("What does one global block change?", "blocks 0 and 1 windowed, block 2 global");
    const Series curve = train_pointer(model, train, choices, "one global block");
    lesson.curves({before, curve}, {"training step", "loss, nats"});
    const float right = accuracy_of(model, test);
    const std::vector<Puzzle> shown(test.begin(), test.begin() + 3);
    const Matrix blind = answers_of(windowed, shown), seeing = answers_of(model, shown);
    std::vector<Image> all_windowed, all_global;
    std::vector<Captioned> page;
    for (int i = 0; i < 3; ++i) {
        all_windowed.push_back(answer_image(shown[i], argmax_row(blind, i), Colours::all));
        all_global.push_back(answer_image(shown[i], argmax_row(seeing, i), Colours::all));
    }
    page.push_back({"windows only", picture(answer_image(shown[0], argmax_row(blind, 0), lesson.colours), lesson.colours)});
    page.push_back({"one global", picture(answer_image(shown[0], argmax_row(seeing, 0), lesson.colours), lesson.colours)});
    lesson.pictures(page);
    if (!choices.out.empty()) write_image(choices.out, enlarged(in_a_column({in_a_row(all_windowed), in_a_row(all_global)}), 4));
    lesson.say(fixed(100 * right, 1), " % of the same new puzzles. A white frame is right, a red one wrong.");
    lesson.why(
        "one global block is enough: the blocks before it find out what each window holds, and in it the squares attend to the disc.");
    return right;
}

static void step_5_look(Lesson& lesson, const Pointer& model, const Puzzle& puzzle) {
    lesson.step("What does the answer token attend to?", "logits = (q d^-0.5) k^T + q . Rh + q . Rw",
                "relative positions: section A.2");
    const vitdet::Steps steps = vitdet::forward({puzzle.image}, model.w, model.config);
    const Matrix looks = looks_at(steps, model.config, 2, puzzle.answer);
    lesson.pictures({{"puzzle", picture(answer_image(puzzle, puzzle.answer, lesson.colours), lesson.colours)},
                     {"what the answer attends to", heat_map(looks, lesson.colours)}});
    lesson.matrix("attention of the answer, mean of the heads", looks);
    float of_squares = 0;
    for (const int token : puzzle.squares) of_squares += looks[token];
    lesson.say("The disc is in row ", puzzle.disc / side, ", column ", puzzle.disc % side, ", and gets ",
               fixed(looks[puzzle.disc]), " of the attention; a token gets ", fixed(1.0 / (side * side)),
               " where all are equal. The three squares get ", fixed(of_squares), " together.");
    const Matrix& bias = steps.blocks[2].bias.value();
    const auto [least, most] = std::minmax_element(bias.begin(), bias.end());
    lesson.why("the query of a square must meet the key of the disc wherever it is. The relative positions add from ",
               fixed(*least, 2), " to ", fixed(*most, 2),
               " to the scores: they are there for tasks in which the distance matters.");
}

static void step_6_pyramid(Lesson& lesson, const Puzzle& puzzle, int seed) {
    lesson.step("Where do the scales come from?", "deconvolution, nothing, pooling: all from one map",
                "section 3, Simple feature pyramid");
    Random random(seed);
    const vitdet::Config config = config_with({0, 1});
    const vitdet::Weights w = vitdet::make_weights(config, random, {.stddev = 0.1f});
    lesson.code();
    const vitdet::Steps steps = vitdet::forward({puzzle.image}, w, config);
    std::vector<std::vector<std::string>> rows{{"level", "made by", "size", "channels", "one pixel is"}};
    const std::vector<std::string> made{"two deconvolutions", "one deconvolution", "the map itself", "2 x 2 max pooling",
                                        "every second pixel"};
    for (std::size_t k = 0; k < steps.pyramid.size(); ++k) {
        const Map& level = steps.pyramid[k];
        const int stride = 1 << (vitdet::level_number(4, config) + static_cast<int>(k));
        rows.push_back({"p" + text(vitdet::level_number(4, config) + static_cast<int>(k)), made[k],
                        text(level.size.height) + " x " + text(level.size.width), text(level.channels()),
                        text(stride) + " x " + text(stride) + " pixels"});
    }
    lesson.table(rows);
    lesson.why(
        "a hierarchical backbone would take the fine levels from early layers, which hold little global information. Here "
        "every level has gone "
        "through all blocks; the detail of a fine level comes from the deconvolutions.");
}

static double step_7_cost(Lesson& lesson) {
    lesson.step("What does a global block cost?", "2 S (k k)^2 D against 2 (h w)^2 D", "multiplications of scores and values");
    const vitdet::Config config;  // ViT-B of the paper: 12 blocks, windows of 14, four global
    std::vector<std::vector<std::string>> rows{{"map", "windowed", "global", "ratio", "12 global", "8 windowed + 4 global"}};
    double ratio = 0;
    for (const int tokens : {14, 28, 64}) {
        const double in_windows = vitdet::attention_multiplications(config, 0, tokens, tokens);
        const double global = vitdet::attention_multiplications(config, 2, tokens, tokens);
        ratio = global / in_windows;
        rows.push_back({text(tokens) + " x " + text(tokens), fixed(in_windows / 1e9, 2), fixed(global / 1e9, 2), fixed(ratio, 1),
                        fixed(12 * global / 1e9, 1), fixed((8 * in_windows + 4 * global) / 1e9, 1)});
    }
    lesson.table(rows);
    lesson.say("In billions, for width ", config.width, " and windows of ", config.window,
               ". 64 x 64 tokens are an image of 1024 x 1024 pixels.");
    lesson.why(
        "windows grow with the area of the image, global attention with its square. A global block after each quarter of the "
        "depth keeps most of the saving, and step 4 shows why there must be some.");
    return ratio;
}

static void walk(Lesson& lesson, const Choices& choices) {
    Random random(choices.seed);
    const std::vector<Puzzle> train = draw_puzzles(random, 600), test = draw_puzzles(random, 300);
    const Pointer windows_only({0, 1, 2}, choices.seed), one_global({0, 1}, choices.seed);
    Series curve;
    step_1_puzzle(lesson, test);
    step_2_windows(lesson);
    const float blind = step_3_windowed(lesson, windows_only, train, test, choices, curve);
    const float seeing = step_4_global(lesson, windows_only, one_global, train, test, choices, curve);
    step_5_look(lesson, one_global, test[0]);
    step_6_pyramid(lesson, test[0], choices.seed);
    const double ratio = step_7_cost(lesson);
    if (choices.all) {
        lesson.step("Does it matter which block is global?");
        std::vector<std::vector<std::string>> rows{
            {"global blocks", "right"}, {"none", fixed(blind)}, {"the last", fixed(seeing)}};
        const std::vector<std::pair<std::string, std::vector<int>>> others{{"the middle one", {0, 2}}, {"all", {}}};
        for (const auto& [name, windowed] : others) {
            const Pointer model(windowed, choices.seed);
            train_pointer(model, train, choices, name);
            rows.push_back({name, fixed(accuracy_of(model, test))});
        }
        lesson.table(rows);
    }
    lesson.say("Next: vit/detect/mask2former finds objects in such maps.");
    lesson.claim_at_most("windows only, fraction of new puzzles solved", blind, 0.5);
    lesson.claim_at_least("one global block, fraction of new puzzles solved", seeing, 0.95);
    lesson.claim_at_least("attention of a global block on 64 x 64 tokens, as a multiple of a windowed one", ratio, 15);
}

int main(int argc, char** argv) {
    Options options("vit/detect/vitdet", "Attention in windows, and why one block must be global.", "10 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each model", 1, 100'000);
    options.add("all", choices.all, "train the variants with the middle block and with all blocks global too");
    options.add_output("out", choices.out, "a PPM or PNG file for puzzles and answers");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
