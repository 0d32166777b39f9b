// maskfeat.cpp: the orientations of masked edges can be predicted where masked pixels cannot.
//
//   paper    Wei et al., "Masked Feature Prediction for Self-Supervised Visual Pre-Training", 2021, arXiv 2112.09133
//   shows    MaskFeat against MAE on images whose directions can be inferred and whose pixels cannot; predicted edges of digits
//            in masked patches
//   symbols  b bins   c side of a cell   N patches   M masked ones   F numbers of a target
//   before   hog.cpp makes the descriptor step by step
//   next     ../mask_latents/eva.cpp predicts the features of a trained network
#include <algorithm>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/mask_pixels/mae.h"
#include "vit/mask_pixels/maskfeat.h"
#include "vit/mask_pixels/masking.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"
#include "walkthroughs/toys/plane_waves.h"

struct Choices {
    int steps = 400;
    int digit_steps = 1000;
    std::string out;
};

static const int test_images = 300;

static maskfeat::Config toy_config() {
    return {.grid = {.height = 24, .width = 24, .patch_size = 8}, .width = 32, .depth = 2, .heads = 4, .mlp_ratio = 2};
}

// The same encoder with a head that predicts pixels.
static mae::Config mae_config() {
    return {.grid = toy_config().grid,
            .width = 32,
            .depth = 2,
            .heads = 4,
            .decoder_width = 32,
            .decoder_depth = 1,
            .decoder_heads = 4,
            .mlp_ratio = 2,
            .mask_ratio = 4.0 / 9,
            .normalise_targets = false};
}

static maskfeat::Config digits_config() {
    return {.grid = {.height = 8, .width = 8, .patch_size = 2, .channels = 1},
            .hog = {.bins = 9, .cell = 2},
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_ratio = 2};
}

static Image roses_of(const Matrix& descriptors, int down, int across, int side) {
    return hog::roses(descriptors, down, across, digits_config().hog.bins, side);
}

// --- what is masked ---

using DrawMask = Matrix (*)(Random& random, int count, const PatchGrid& grid);

static Matrix four_of_nine(Random& random, int count, const PatchGrid& grid) {
    return draw_masks(random, count, grid.count(), 4);
}

// 40 % of a digit's 16 patches, one by one, and in blocks as in the paper.
static Matrix six_one_by_one(Random& random, int count, const PatchGrid& grid) {
    return draw_masks(random, count, grid.count(), 6);
}

static Matrix six_in_blocks(Random& random, int count, const PatchGrid& grid) {
    return draw_block_masks(random, count, grid.down(), grid.across(), 6);
}

// --- what is predicted ---

static void step_1_target(Lesson& lesson, const Dataset& digits) {
    lesson.step("What is the target of a masked patch?", "oriented gradients of its cells", "section 3.1");
    const maskfeat::Config config = digits_config();
    const Image light = as_light(digits.test[0], digits);
    lesson.code();
    const Matrix targets = maskfeat::targets({light}, config);  // (N, F)
    const int side = lesson.colours == Colours::none ? 5 : 9;
    lesson.pictures({{"a digit", picture(light, lesson.colours)},
                     {"its cells", picture(roses_of(targets, config.grid.down(), config.grid.across(), side), lesson.colours)}});
    lesson.matrix("targets: a row for each patch", targets, 5);
    lesson.why("a patch is one cell here, and its target is the ", config.hog.bins,
               " bins of its histogram: which way its edges run, whatever its brightness and contrast. The walkthrough hog makes "
               "them step by step.");
}

// --- features that can be predicted ---

// 1 - mean squared error / variance: 1 is perfect, 0 the mean.
static double explained(const Matrix& predicted, const Matrix& targets) {
    double error = 0, variance = 0;
    for (int j = 0; j < targets.cols; ++j) {
        double mean = 0;
        for (int i = 0; i < targets.rows; ++i) mean += static_cast<double>(targets(i, j)) / targets.rows;
        for (int i = 0; i < targets.rows; ++i) {
            error += (predicted(i, j) - targets(i, j)) * (predicted(i, j) - targets(i, j));
            variance += (targets(i, j) - mean) * (targets(i, j) - mean);
        }
    }
    return 1 - error / variance;
}

namespace {
// The explained variance of the masked patches, measured ten times during training.
struct Explaining : Objective, Watcher {
    Random random;
    Progress progress;
    int steps;
    Series curve;

    Explaining(const std::string& what, int steps, int seed)
        : random(seed), progress(what, steps), steps(steps), curve{.name = what, .x = {}, .y = {}} {}

    virtual double explained_part() = 0;

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if ((step + 1) % std::max(1, steps / 10) != 0) return true;
        const NoTape evaluation;
        curve.x.push_back(static_cast<float>(step + 1));
        curve.y.push_back(static_cast<float>(explained_part()));
        return true;
    }
};

struct FeatureStudent : Explaining {
    const maskfeat::Weights& w;
    const maskfeat::Config& config;
    const std::vector<Image>& train;  // empty: fresh images of one direction
    std::vector<Image> test;
    Matrix test_mask, test_targets;
    DrawMask draw_mask;

    FeatureStudent(const std::string& what, const maskfeat::Weights& w, const maskfeat::Config& config,
                   const std::vector<Image>& train, std::vector<Image> given_test, DrawMask draw_mask, int steps, int seed)
        : Explaining(what, steps, seed), w(w), config(config), train(train), test(std::move(given_test)), draw_mask(draw_mask) {
        Random draws(2'000'000 + seed);
        test_mask = draw_mask(draws, static_cast<int>(test.size()), config.grid);
        test_targets = maskfeat::targets(test, config);
    }

    Var loss(int) override {
        std::vector<Image> images = train.empty() ? images_of_one_direction(random, config.grid, 64) : std::vector<Image>();
        while (images.size() < 64) images.push_back(train[random.below(static_cast<int>(train.size()))]);
        const Matrix mask = draw_mask(random, 64, config.grid);
        return maskfeat::loss(maskfeat::forward(images, mask, w, config), maskfeat::targets(images, config));
    }

    double explained_part() override {
        const maskfeat::Steps s = maskfeat::forward(test, test_mask, w, config);
        return explained(s.prediction.value(), gather_rows(test_targets, s.masked_rows).value());
    }
};

struct PixelStudent : Explaining {
    const mae::Weights& w;
    const mae::Config& config;
    std::vector<Image> test;
    Matrix test_noise;

    PixelStudent(const std::string& what, const mae::Weights& w, const mae::Config& config, std::vector<Image> given_test,
                 int steps, int seed)
        : Explaining(what, steps, seed), w(w), config(config), test(std::move(given_test)) {
        Random draws(2'000'000 + seed);
        test_noise = uniform_matrix(draws, static_cast<int>(test.size()), config.grid.count());
    }

    Var loss(int) override {
        const std::vector<Image> images = images_of_one_direction(random, config.grid, 64);
        return mae::loss(mae::forward(images, uniform_matrix(random, 64, config.grid.count()), w, config), config);
    }

    double explained_part() override {
        const mae::Steps s = mae::forward(test, test_noise, w, config);
        const std::vector<int> rows = masked_rows(s.masking.mask);
        return explained(gather_rows(s.prediction, rows).value(), gather_rows(s.patches, rows).value());
    }
};
}  // namespace

static Series train(Explaining& student, const Parameters& table, int steps) {
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = steps, .descent = Descent::none}, .batch = 64};
    ::train(student, nothing_decays(variables(table)), recipe, &student);
    return student.curve;
}

static void step_2_against_mae(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Can the target be predicted?", "explained part = 1 - mse / variance", "at masked patches of new images");
    const maskfeat::Config config = toy_config();
    Random draws(1'000'000 + seed);
    const std::vector<Image> test = images_of_one_direction(draws, config.grid, test_images);
    Image light = test[0];
    for (float& x : light.pixels) x = 0.5f + 0.5f * x;
    const Matrix descriptors = hog::describe(test[0], config.hog).descriptors;
    lesson.pictures({{"one direction, nine phases", picture(light, lesson.colours)},
                     {"its roses", picture(roses_of(descriptors, 3, 3, 9), lesson.colours)}});
    Random random(seed);
    const maskfeat::Weights features = maskfeat::make_weights(config, random);
    FeatureStudent feature_student("MaskFeat: HOG", features, config, {}, test, four_of_nine, choices.steps, seed);
    const Series of_features = train(feature_student, maskfeat::parameters(features, config), choices.steps);
    const mae::Config pixels_config = mae_config();
    const mae::Weights pixels = mae::make_weights(pixels_config, random);
    PixelStudent pixel_student("MAE: pixels", pixels, pixels_config, test, choices.steps, seed);
    const Series of_pixels = train(pixel_student, mae::parameters(pixels, pixels_config), choices.steps);
    lesson.predict("Which part of the masked pixels does MAE explain after training? From 0 to 1.", {of_pixels.y.back(), 0.1});
    lesson.curves({of_features, of_pixels}, {"training step", "explained part"});
    std::vector<std::vector<std::string>> rows{{"after step", "HOG explained", "pixels explained"}};
    for (std::size_t k = 0; k < of_features.x.size(); ++k)
        rows.push_back({text(static_cast<int>(of_features.x[k])), fixed(of_features.y[k], 3), fixed(of_pixels.y[k], 3)});
    lesson.table(rows);
    lesson.why(
        "all patches of an image have the same direction, and each begins its stripes elsewhere. The direction of a masked "
        "patch can be read off its neighbours, its pixels cannot: the best that MAE can do is their mean, grey. Both see the "
        "same images; the target alone decides whether there is anything to learn.");
    lesson.predict("the explained part of the pixels when all patches share one phase: one line of plane_waves.cpp.");
    lesson.claim_at_least("part of the masked HOG that MaskFeat explains", of_features.y.back(), 0.8);
    lesson.claim_at_most("part of the masked pixels that MAE explains", of_pixels.y.back(), 0.05);
}

// --- real digits ---

// The mean descriptor of each position over the images.
static Matrix mean_targets(const std::vector<Image>& images, const maskfeat::Config& config) {
    const Matrix all = maskfeat::targets(images, config);
    Matrix mean(config.grid.count(), all.cols);
    for (int i = 0; i < all.rows; ++i)
        for (int j = 0; j < all.cols; ++j) mean(i % mean.rows, j) += all(i, j) / static_cast<float>(images.size());
    return mean;
}

static double mean_square(const Matrix& a, const Matrix& b) {
    double total = 0;
    for (std::size_t k = 0; k < a.size(); ++k) total += static_cast<double>(a[k] - b[k]) * (a[k] - b[k]);
    return total / static_cast<double>(a.size());
}

namespace {
struct Judgement {
    double model, mean;  // mean squared error at masked patches: of the predictions, and of the mean descriptor of each place
    double share() const { return model / mean; }
};
}  // namespace

static Judgement judge(const maskfeat::Steps& steps, const Matrix& targets, const Matrix& mean) {
    const Matrix truth = gather_rows(targets, steps.masked_rows).value();
    std::vector<int> positions;
    for (const int row : steps.masked_rows) positions.push_back(row % mean.rows);
    return {.model = mean_square(steps.prediction.value(), truth),
            .mean = mean_square(gather_rows(mean, positions).value(), truth)};
}

// Draws the first digits: visible, restored, original; two of them in the lesson, ten in a file.
static void show_restored(Lesson& lesson, const maskfeat::Steps& steps, const Matrix& targets, const PatchGrid& grid,
                          const std::string& out) {
    const int N = grid.count(), side = lesson.colours == Colours::none ? 5 : 9;
    Matrix restored = targets;  // cells are patches here, so a target is a descriptor
    Matrix visible = targets;
    for (std::size_t i = 0; i < steps.masked_rows.size(); ++i)
        for (int j = 0; j < restored.cols; ++j) {
            restored(steps.masked_rows[i], j) = std::max(0.0f, steps.prediction.value()(static_cast<int>(i), j));
            visible(steps.masked_rows[i], j) = 0;
        }
    const auto drawn = [&](const Matrix& all, int b, int cell) {
        return roses_of(slice_rows(all, b * N, N), grid.down(), grid.across(), cell);
    };
    std::vector<Image> page;
    for (int b = 0; b < 10; ++b) {
        if (b < 2)
            lesson.pictures({{"visible", picture(drawn(visible, b, side), lesson.colours)},
                             {"restored", picture(drawn(restored, b, side), lesson.colours)},
                             {"original", picture(drawn(targets, b, side), lesson.colours)}});
        const auto large = [&](const Matrix& all) { return enlarged(drawn(all, b, 15), 1); };
        page.push_back(in_a_row({large(visible), large(restored), large(targets)}));
    }
    if (!out.empty()) write_image(out, in_a_column(page));
}

static void step_3_digits(Lesson& lesson, const Dataset& digits, const Choices& choices, int seed) {
    lesson.step("Does it restore the edges of a digit?", "", "40 % masked in blocks; writers that it has never seen");
    const maskfeat::Config config = digits_config();
    Random random(seed);
    const maskfeat::Weights w = maskfeat::make_weights(config, random);
    FeatureStudent student("digits", w, config, digits.train, digits.test, six_in_blocks, choices.digit_steps, seed);
    train(student, maskfeat::parameters(w, config), choices.digit_steps);
    const NoTape evaluation;
    const maskfeat::Steps steps = maskfeat::forward(digits.test, student.test_mask, w, config);
    show_restored(lesson, steps, student.test_targets, config.grid, choices.out);
    const Matrix mean = mean_targets(digits.train, config);
    const Matrix single = six_one_by_one(random, static_cast<int>(digits.test.size()), config.grid);
    const Judgement in_blocks = judge(steps, student.test_targets, mean);
    const Judgement one_by_one = judge(maskfeat::forward(digits.test, single, w, config), student.test_targets, mean);
    lesson.table({{"mean squared error at patches", "this model", "the mean of the position", "share"},
                  {"masked in blocks", fixed(in_blocks.model), fixed(in_blocks.mean), fixed(in_blocks.share(), 2)},
                  {"masked one by one", fixed(one_by_one.model), fixed(one_by_one.mean), fixed(one_by_one.share(), 2)}});
    lesson.why(
        "a patch of a digit holds one piece of a stroke, and the strokes around say how it goes on. Where several orientations "
        "are possible the model draws all of them faintly: that is the mean that a squared error asks for. "
        "Blocks cover the middle of so small an image more often, where the strokes are, so the errors there are larger, that of the "
        "mean as well: as a fraction of it the two kinds of masks hardly differ here.");
    lesson.claim_at_most("error in blocks, as a fraction of the mean descriptor's", in_blocks.share(), 0.9);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Dataset digits = digits_to_restore();
    step_1_target(lesson, digits);
    step_2_against_mae(lesson, choices, seed);
    step_3_digits(lesson, digits, choices, seed);
    lesson.say("Next: vit/mask_latents/eva predicts the features of a trained network.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/maskfeat", "Edges can be predicted where pixels cannot.", "15 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each model on the stripes", 1, 100'000);
    options.add("digit-steps", choices.digit_steps, "training steps on the digits", 1, 100'000);
    options.add_output("out", choices.out, "a PPM or PNG file: edges of ten digits, visible, restored, original");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
