// maskfeat.cpp: which way the edges run, cell by cell; and why that can be predicted where pixels cannot.
//
//   paper    Wei et al., "Masked Feature Prediction for Self-Supervised Visual Pre-Training", 2021, arXiv 2112.09133
//   shows    a histogram of oriented gradients by hand and as a drawing; what it does not see; MaskFeat against MAE on pictures whose
//            directions can be inferred and whose pixels cannot; the edges of digits behind hidden patches
//   symbols  gx, gy Sobel differences   b bins   c side of a cell   N patches   M hidden ones   F numbers of a target
//   next     ../mask_latents/eva.cpp predicts the features of a trained network
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/train.h"
#include "vit/mask_pixels/mae.h"
#include "vit/mask_pixels/maskfeat.h"
#include "vit/mask_pixels/masking.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/plane_waves.h"
#include "walkthroughs/lesson/restoring.h"

struct Choices {
    int steps = 400;
    int digit_steps = 500;
    std::string image, out;
};

static const int hidden = 4, test_images = 300;

static maskfeat::Config toy_config() {
    return {.grid = {.height = 24, .width = 24, .patch_size = 8}, .width = 32, .depth = 2, .heads = 4, .mlp_ratio = 2};
}

// The same encoder, and a decoder that paints pixels.
static mae::Config mae_config() {
    return {.grid = toy_config().grid, .width = 32, .depth = 2, .heads = 4, .decoder_width = 32, .decoder_depth = 1, .decoder_heads = 4,
            .mlp_ratio = 2, .mask_ratio = 4.0 / 9, .normalise_targets = false};
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

// --- the descriptor, step by step ---

// A picture to describe: a digit, or a file cut to whole cells.
static Image picture_to_describe(const Choices& choices, const Pictures& digits, int cell) {
    if (choices.image.empty()) return as_light(digits.test[0], digits);
    const Image given = read_image(choices.image);
    Image cut(given.height / cell * cell, given.width / cell * cell, given.channels);
    require(cut.height > 0 && cut.width > 0, choices.image, ": ", given.height, " x ", given.width, " pixels do not hold a cell of ", cell);
    for (int y = 0; y < cut.height; ++y)
        for (int x = 0; x < cut.width; ++x)
            for (int c = 0; c < cut.channels; ++c) cut(y, x, c) = given(y, x, c);
    return cut;
}

static Image brightest_is_1(Image image) {
    float most = 0;
    for (const float x : image.pixels) most = std::max(most, x);
    for (float& x : image.pixels) x = most > 0 ? x / most : 0;
    return image;
}

static hog::Steps step_1_gradients(Lesson& lesson, const Image& image, const hog::Config& config) {
    lesson.step("Which way does the brightness run?", "magnitude = sqrt(gx^2 + gy^2)", "section 3.1");
    lesson.code();
    const hog::Steps steps = hog::describe(image, config);
    lesson.pictures({{"the picture", picture(image, lesson.colours)},
                     {"magnitude", picture(brightest_is_1(steps.magnitude), lesson.colours)}});
    lesson.why("gx compares the columns left and right of a pixel, gy the rows above and below, each with weights 1 2 1. Inside a "
               "flat area both are 0, and so they are in a corner of the picture: beyond the border it is reflected.");
    return steps;
}

static void step_2_bins(Lesson& lesson, const hog::Steps& steps, const hog::Config& config) {
    lesson.step("What is counted?", "bin = floor(atan2(gx, gy) / pi b) mod b");
    std::size_t strongest = 0;
    for (std::size_t k = 0; k < steps.magnitude.pixels.size(); ++k)
        if (steps.magnitude.pixels[k] > steps.magnitude.pixels[strongest]) strongest = k;
    const double gx = steps.gradient_x.pixels[strongest], gy = steps.gradient_y.pixels[strongest];
    const double phase = std::atan2(gx, gy) / std::numbers::pi * config.bins;
    lesson.say("The strongest gradient: gx = ", fixed(gx), ", gy = ", fixed(gy), ", so the phase is ", fixed(phase, 2),
               " bins and the bin ", steps.bin[strongest], ".");
    lesson.matrix("histograms", steps.histograms);
    lesson.why("every pixel adds its magnitude to one of ", config.bins, " bins of its cell of ", config.cell, " x ", config.cell,
               " pixels. Bins of a negative phase are counted from the end, so that a gradient and its opposite are one orientation: "
               "an edge does not say which side is bright.");
}

static void step_3_roses(Lesson& lesson, const Image& image, const hog::Steps& steps, const hog::Config& config, const Choices& choices) {
    lesson.step("What does it look like?", "h / max(|h|, 1e-12)   in every cell and channel");
    const int down = image.height / config.cell, across = image.width / config.cell;
    lesson.code();
    const Image roses = hog::roses(steps.descriptors, down, across, config.bins);
    lesson.picture("a rose of orientations in every cell", roses);
    if (!choices.out.empty()) write_image(choices.out, roses);
    lesson.why("a line for every bin, along the edge, as long and as bright as its share. What is left of the picture are its "
               "contours, without the brightness on either side. Cells without any edge stay empty.");
    lesson.predict("the drawing of the picture turned by 90 degrees.");
}

// The largest difference of two descriptors.
static double largest_difference(const Matrix& a, const Matrix& b) {
    double most = 0;
    for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, static_cast<double>(std::abs(a[k] - b[k])));
    return most;
}

static void step_4_invariances(Lesson& lesson, const Image& image, const hog::Steps& steps, const hog::Config& config) {
    lesson.step("What does it not see?", "HOG(a x + b) = HOG(x)");
    Image dim = image, negative = image;
    for (float& x : dim.pixels) x = 0.5f * x + 0.3f;
    for (float& x : negative.pixels) x = -x;
    const double of_dim = largest_difference(hog::describe(dim, config).descriptors, steps.descriptors);
    const double of_negative = largest_difference(hog::describe(negative, config).descriptors, steps.descriptors);
    lesson.table({{"the picture as", "largest difference"}, {"0.5 x + 0.3", fixed(of_dim, 8)}, {"-x", fixed(of_negative, 8)}});
    lesson.why("differences take away what is added, the division by the length takes away what is multiplied, and opposite "
               "directions share a bin. All of this need not be predicted.");
    lesson.claim_at_most("HOG(0.5 x + 0.3) - HOG(x)", of_dim, 1e-5);
    lesson.claim_at_most("HOG(-x) - HOG(x)", of_negative, 0);
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
// The part of the hidden patches that a model explains, measured ten times on the way.
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
    const std::vector<Image>& train;  // empty: fresh pictures of one direction
    std::vector<Image> test;
    Matrix test_mask, test_targets;
    int hidden_count;

    FeatureStudent(const std::string& what, const maskfeat::Weights& w, const maskfeat::Config& config, const std::vector<Image>& train,
                   std::vector<Image> given_test, int hidden_count, int steps, int seed)
        : Explaining(what, steps, seed), w(w), config(config), train(train), test(std::move(given_test)), hidden_count(hidden_count) {
        Random draws(2'000'000 + seed);
        test_mask = draw_masks(draws, static_cast<int>(test.size()), config.grid.count(), hidden_count);
        test_targets = maskfeat::targets(test, config);
    }

    Var loss(int) override {
        std::vector<Image> images = train.empty() ? pictures_of_one_direction(random, config.grid, 64) : std::vector<Image>();
        while (images.size() < 64) images.push_back(train[random.below(static_cast<int>(train.size()))]);
        const Matrix mask = draw_masks(random, 64, config.grid.count(), hidden_count);
        return maskfeat::loss(maskfeat::forward(images, mask, w, config), maskfeat::targets(images, config));
    }

    double explained_part() override {
        const maskfeat::Steps s = maskfeat::forward(test, test_mask, w, config);
        return explained(s.prediction.value(), gather_rows(test_targets, s.hidden).value());
    }
};

struct PixelStudent : Explaining {
    const mae::Weights& w;
    const mae::Config& config;
    std::vector<Image> test;
    Matrix test_noise;

    PixelStudent(const std::string& what, const mae::Weights& w, const mae::Config& config, std::vector<Image> given_test, int steps, int seed)
        : Explaining(what, steps, seed), w(w), config(config), test(std::move(given_test)) {
        Random draws(2'000'000 + seed);
        test_noise = uniform_matrix(draws, static_cast<int>(test.size()), config.grid.count());
    }

    Var loss(int) override {
        const std::vector<Image> images = pictures_of_one_direction(random, config.grid, 64);
        return mae::loss(mae::forward(images, uniform_matrix(random, 64, config.grid.count()), w, config), config);
    }

    double explained_part() override {
        const mae::Steps s = mae::forward(test, test_noise, w, config);
        const std::vector<int> rows = hidden_rows(s.masking.mask);
        return explained(gather_rows(s.prediction, rows).value(), gather_rows(s.patches, rows).value());
    }
};
}  // namespace

static Series train(Explaining& student, const Parameters& table, int steps) {
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = steps, .descent = Descent::none}, .batch = 64};
    ::train(student, nothing_decays(variables(table)), recipe, &student);
    return student.curve;
}

static void step_5_against_mae(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Can it be predicted?", "explained part = 1 - mse / variance", "at hidden patches of new pictures");
    const maskfeat::Config config = toy_config();
    Random draws(1'000'000 + seed);
    const std::vector<Image> test = pictures_of_one_direction(draws, config.grid, test_images);
    Image light = test[0];
    for (float& x : light.pixels) x = 0.5f + 0.5f * x;
    const Matrix descriptors = hog::describe(test[0], config.hog).descriptors;
    lesson.pictures({{"one direction, nine phases", picture(light, lesson.colours)},
                     {"its roses", picture(roses_of(descriptors, 3, 3, 9), lesson.colours)}});
    Random random(seed);
    const maskfeat::Weights features = maskfeat::make_weights(config, random);
    FeatureStudent feature_student("MaskFeat: HOG", features, config, {}, test, hidden, choices.steps, seed);
    const Series of_features = train(feature_student, maskfeat::parameters(features, config), choices.steps);
    const mae::Config pixels_config = mae_config();
    const mae::Weights pixels = mae::make_weights(pixels_config, random);
    PixelStudent pixel_student("MAE: pixels", pixels, pixels_config, test, choices.steps, seed);
    const Series of_pixels = train(pixel_student, mae::parameters(pixels, pixels_config), choices.steps);
    lesson.curves({of_features, of_pixels});
    std::vector<std::vector<std::string>> rows{{"after step", "HOG explained", "pixels explained"}};
    for (std::size_t k = 0; k < of_features.x.size(); ++k)
        rows.push_back({text(static_cast<int>(of_features.x[k])), fixed(of_features.y[k], 3), fixed(of_pixels.y[k], 3)});
    lesson.table(rows);
    lesson.why("all patches of a picture have the same direction, and each begins its stripes elsewhere. The direction of a hidden "
               "patch can be read off its neighbours, its pixels cannot: the best that MAE can do is their mean, grey. Both see the "
               "same pictures; the target alone decides whether there is anything to learn.");
    lesson.predict("the explained part of the pixels when all patches share one phase: one line of plane_waves.cpp.");
    lesson.claim_at_least("part of the hidden HOG that MaskFeat explains", of_features.y.back(), 0.8);
    lesson.claim_at_most("part of the hidden pixels that MAE explains", of_pixels.y.back(), 0.05);
}

// --- real digits ---

// The descriptor of each place, its mean over the pictures.
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

static void step_6_digits(Lesson& lesson, const Pictures& digits, const Choices& choices, int seed) {
    lesson.step("Does it restore the edges of a digit?", "", "40 % hidden; writers that it has never seen");
    const maskfeat::Config config = digits_config();
    Random random(seed);
    const maskfeat::Weights w = maskfeat::make_weights(config, random);
    FeatureStudent student("digits", w, config, digits.train, digits.test, 6, choices.digit_steps, seed);
    train(student, maskfeat::parameters(w, config), choices.digit_steps);
    const NoTape evaluation;
    const maskfeat::Steps steps = maskfeat::forward(digits.test, student.test_mask, w, config);
    const int N = config.grid.count(), side = lesson.colours == Colours::none ? 5 : 9;
    Matrix restored = student.test_targets;  // cells are patches here, so a target is a descriptor
    Matrix visible = student.test_targets;
    for (std::size_t i = 0; i < steps.hidden.size(); ++i)
        for (int j = 0; j < restored.cols; ++j) {
            restored(steps.hidden[i], j) = std::max(0.0f, steps.prediction.value()(static_cast<int>(i), j));
            visible(steps.hidden[i], j) = 0;
        }
    for (int b = 0; b < 2; ++b) {
        const auto drawn = [&](const Matrix& all) {
            return picture(roses_of(slice_rows(all, b * N, N), config.grid.down(), config.grid.across(), side), lesson.colours);
        };
        lesson.pictures({{"visible", drawn(visible)}, {"restored", drawn(restored)}, {"original", drawn(student.test_targets)}});
    }
    const Matrix truth = gather_rows(student.test_targets, steps.hidden).value(), mean = mean_targets(digits.train, config);
    std::vector<int> places;
    for (const int row : steps.hidden) places.push_back(row % N);
    const double of_model = mean_square(steps.prediction.value(), truth), of_mean = mean_square(gather_rows(mean, places).value(), truth);
    lesson.table({{"at hidden patches", "mean squared error"},
                  {"this model", fixed(of_model)},
                  {"the mean descriptor of the place", fixed(of_mean)}});
    lesson.why("a patch of a digit holds one piece of a stroke, and the strokes around say how it goes on. Where several "
               "orientations are possible the model draws all of them faintly: that is the mean that a squared error asks for.");
    lesson.claim_at_most("error at hidden patches, as a share of the mean descriptor's", of_model / of_mean, 0.9);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Pictures digits = digits_to_restore();
    const hog::Config config{.bins = 9, .cell = choices.image.empty() ? 2 : 8};
    const Image image = picture_to_describe(choices, digits, config.cell);
    const hog::Steps steps = step_1_gradients(lesson, image, config);
    step_2_bins(lesson, steps, config);
    step_3_roses(lesson, image, steps, config, choices);
    step_4_invariances(lesson, image, steps, config);
    step_5_against_mae(lesson, choices, seed);
    step_6_digits(lesson, digits, choices, seed);
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/maskfeat", "Edges can be predicted where pixels cannot.", "15 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each model on the stripes", 1, 100'000);
    options.add("digit-steps", choices.digit_steps, "training steps on the digits", 1, 100'000);
    options.add("image", choices.image, "a PNG, PPM or PGM file to describe instead of a digit, in cells of 8 pixels");
    options.add_output("out", choices.out, "a PGM or PNG file for the drawing of roses");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
