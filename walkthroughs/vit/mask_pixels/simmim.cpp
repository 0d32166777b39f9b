// simmim.cpp: masked image modelling with mask tokens in the encoder and a linear decoder; why the masked squares must be large.
//
//   paper    Xie et al., "SimMIM: A Simple Framework for Masked Image Modeling", 2021, arXiv 2111.09886
//   shows    that a linear layer is decoder enough, and that the error follows the distance to the nearest visible pixel
//   symbols  N patches   P patch side   U side of a mask unit   D token width
//   next     mae.cpp takes the same three decisions the other way
#include <algorithm>
#include <vector>

#include "nn/autograd/operations.h"
#include "vit/mask_pixels/masking.h"
#include "vit/mask_pixels/simmim.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"

struct Choices {
    int steps = 2000;
    int wave_steps = 300;
    int mask_unit = 0;
    std::string out;
    DatasetFiles dataset;
};

// Two patches in either direction are masked together, unless --mask-unit says otherwise or they would not divide the image.
static int mask_unit_for(const PatchGrid& grid, int asked) {
    if (asked > 0) return asked;
    return grid.down() % 2 == 0 && grid.across() % 2 == 0 ? 2 * grid.patch_size : grid.patch_size;
}

static simmim::Config digits_config(const PatchGrid& grid, int mask_unit) {
    return {.grid = grid,
            .mask_unit = mask_unit_for(grid, mask_unit),
            .mask_ratio = 0.5,
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_ratio = 2};
}

static simmim::Config waves_config(int mask_unit) {
    return {.grid = {.height = 12, .width = 12, .patch_size = 2, .channels = 3},
            .mask_unit = mask_unit,
            .mask_ratio = 0.5,
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_ratio = 2};
}

// A permutation of the mask units for each of `count` images, one after the other.
static std::vector<int> draw_units(Random& random, int count, const simmim::Config& config) {
    return draw_permutations(random, count, simmim::unit_count(config));
}

static Matrix patch_grid(const Matrix& per_patch, const simmim::Config& config) {
    return reshape(per_patch, config.grid.down(), config.grid.across());
}

// --- one digit, step by step ---

static Matrix step_1_mask(Lesson& lesson, const Dataset& digits, const std::vector<int>& permutation,
                          const simmim::Config& config) {
    lesson.step("What is masked?", "ceil(ratio (S/U)^2) units of U x U pixels", "section 3.2");
    lesson.code();
    const Matrix mask = simmim::random_masking(permutation, config);  // (1, N)
    const Image light = as_light(digits.test[0], digits);
    const Triple triple = restoration(light, light, mask, config.grid.patch_size);
    lesson.pictures(
        {{"original", picture(triple.original, lesson.colours)}, {"what is left", picture(triple.masked, lesson.colours)}});
    lesson.matrix("mask", patch_grid(mask, config));
    lesson.say("permutation of the units: ", list_text(permutation));
    lesson.why("the first ", simmim::masked_units(config), " of ", simmim::unit_count(config), " units are masked, and each of ",
               config.mask_unit, " x ", config.mask_unit, " pixels masks its patches of ", config.grid.patch_size, " x ",
               config.grid.patch_size, " together. What could be filled in from the next pixel would teach little.");
    return mask;
}

static simmim::Steps step_2_cover(Lesson& lesson, const Dataset& digits, const Matrix& mask, const simmim::Weights& w,
                                  const simmim::Config& config) {
    lesson.step("Where do mask tokens enter?", "x (1 - m) + mask_token m   (N, D)");
    const simmim::Steps steps = simmim::forward({digits.test[0]}, mask, w, config);
    lesson.pictures({{"patch embeddings", heat_map(steps.patch_embeddings.value(), lesson.colours)},
                     {"masked", heat_map(steps.masked.value(), lesson.colours)}});
    lesson.why(
        "the whole encoder does: all ", steps.masked.rows(),
        " tokens go in, and one learned vector is placed at every masked position. MAE leaves these positions out and costs less; here the encoder and its input stay those of the ViT that is fine-tuned later.");
    return steps;
}

static void step_3_positions(Lesson& lesson, const simmim::Weights& w, const simmim::Config& config) {
    lesson.step("How does a mask token know its position?", "softmax(q k^T / sqrt(h) + bias)",
                "a bias for every offset and head");
    lesson.predict("How many offsets are there between two tokens of a grid of " + text(config.grid.down()) + " x " +
                       text(config.grid.across()) + "?",
                   {1.0 * w.relative_table.rows(), 0.5});
    lesson.matrix("relative_table", w.relative_table.value());
    lesson.say("No position is added to the tokens. For each pair of tokens the bias is looked up by their offset: ",
               w.relative_table.rows(), " offsets on a grid of ", config.grid.down(), " x ", config.grid.across(), ", for ",
               w.relative_table.cols(), " heads. The table starts at 0 and is learned.");
    lesson.predict("what an untrained model predicts at two different masked positions.");
}

static void step_4_decode(Lesson& lesson, const simmim::Steps& steps, const simmim::Config& config) {
    lesson.step("What is the decoder?", "reconstruction = shuffle(norm W + b)");
    lesson.code();
    const Var pixels = simmim::pixel_shuffle(steps.decoder_output, config.grid.patch_size, config.grid.channels);  // (N, P*P*C)
    lesson.matrix("pixels", pixels.value(), 6);
    lesson.why(
        "one linear layer: a token of width ", config.width, " becomes the ", pixels.cols(),
        " numbers of its own patch. MAE needs a second transformer because its encoder never processes the masked positions; here it does.");
}

static void step_5_loss(Lesson& lesson, const simmim::Steps& steps, const simmim::Config& config) {
    lesson.step("What is the loss?", "sum(|x - y| m) / (masked pixels + 1e-5) / C");
    lesson.code(2);
    const Var losses = simmim::patch_losses(steps);  // (N, 1)  mean absolute error of each patch
    const Var loss = simmim::loss(steps, config);    // (1, 1)  over masked patches only
    lesson.matrix("losses", patch_grid(losses.value(), config));
    lesson.why(
        "absolute differences, masked pixels only: ", fixed(loss.value()(0, 0)),
        ". MAE squares them. Where several values are possible, the squared error is lowest at their mean, the absolute error at their median.");
}

// --- training ---

// Restored images of the test set, and the mask of each.
struct Restored {
    std::vector<Image> predicted;
    Matrix mask;
    float loss;
};

static Restored restore_test(const simmim::Weights& w, const simmim::Config& config, const Dataset& dataset, int seed) {
    const NoTape evaluation;
    Random random(2'000'000 + seed);
    const Matrix mask = simmim::random_masking(draw_units(random, static_cast<int>(dataset.test.size()), config), config);
    const simmim::Steps steps = simmim::forward(dataset.test, mask, w, config);
    return {simmim::predicted_images(steps, config), mask, simmim::loss(steps, config).value()(0, 0)};
}

namespace {
struct Restorer : Restoring {
    const simmim::Weights& w;
    const simmim::Config& config;
    const Dataset& dataset;
    int seed;

    Restorer(const simmim::Weights& w, const simmim::Config& config, const Dataset& dataset, int seed)
        : Restoring(seed), w(w), config(config), dataset(dataset), seed(seed) {}

    Var batch_loss(int batch, Random& random) override {
        const std::vector<Image> images = draw_batch(dataset, batch, random);
        const Matrix mask = simmim::random_masking(draw_units(random, batch, config), config);
        return simmim::loss(simmim::forward(images, mask, w, config), config);
    }
    float test_loss() override { return restore_test(w, config, dataset, seed).loss; }
};
}  // namespace

// Trains, and returns the error on masked pixels of held-out images.
static Series train(const simmim::Weights& w, const simmim::Config& config, const Dataset& dataset, int steps, int seed,
                    const std::string& what) {
    Restorer restorer(w, config, dataset, seed);
    return train_to_restore(restorer, simmim::parameters(w, config), steps, what);
}

static void step_6_train(Lesson& lesson, const Dataset& digits, const simmim::Weights& w, const simmim::Config& config,
                         const Choices& choices, int seed) {
    lesson.step("Can it restore half a " + digits.one + "?", "",
                choices.dataset.own() ? "unseen images" : "digits of unseen writers");
    lesson.curves({train(w, config, digits, choices.steps, seed, "error on masked pixels")}, {"training step", "error"});
    const Restored restored = restore_test(w, config, digits, seed);
    const std::vector<Image> shown =
        triples(digits, restored.predicted, restored.mask, config.grid.patch_size, std::min<int>(4, restored.predicted.size()));
    show_triples(lesson, shown);
    write_triples(choices.out, shown);
    const ErrorsWithBaselines found =
        errors_with_baselines(digits, restored.predicted, restored.mask, config.grid.patch_size, Measure::absolute);
    lesson.table(error_table(found));
    if (choices.dataset.own()) {
        lesson.claim_at_most("absolute error on masked pixels, as a fraction of the mean image's",
                             found.model.masked / found.mean.masked, 1);
        return;
    }
    lesson.why(
        "pixels have standard deviation 1 here. Of all fixed images the median has the least absolute error, so it is the "
        "baseline. Visible patches do not enter the loss here either (",
        fixed(found.model.visible),
        "); but they pass through the same layers and the same decoder as the masked ones, so training for those improves them "
        "too.");
    lesson.claim_at_most("absolute error on masked pixels, as a fraction of the mean image's",
                         found.model.masked / found.mean.masked, 0.9);
    lesson.claim_at_most("absolute error on masked pixels, as a fraction of the median image's",
                         found.model.masked / found.median.masked, 0.95);
    lesson.claim_at_most("absolute error on masked pixels, as a fraction of the nearest visible patch's",
                         found.model.masked / found.copy.masked, 0.9);
}

// --- why large squares ---

static void step_7_units(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Why are the squares larger than the patches?", "AvgDist: from a masked pixel to the nearest visible one");
    std::vector<Series> curves;
    std::vector<double> distances, final_errors;
    std::vector<std::vector<std::string>> table{{"mask unit", "AvgDist", "error on masked pixels"}};
    for (const int unit : {2, 4, 6}) {
        const simmim::Config config = waves_config(unit);
        const Dataset waves = waves_to_restore(300, config.grid.height, seed);
        Random random(seed);
        const simmim::Weights w = simmim::make_weights(config, random);
        curves.push_back(train(w, config, waves, choices.wave_steps, seed, "unit " + text(unit)));
        const Restored restored = restore_test(w, config, waves, seed);
        distances.push_back(simmim::average_distance(restored.mask, config));
        final_errors.push_back(restored.loss);
        table.push_back({text(unit) + " x " + text(unit) + " pixels", fixed(distances.back(), 2), fixed(restored.loss)});
        lesson.say("Mask unit ", unit, ":");
        show_triples(lesson, triples(waves, restored.predicted, restored.mask, config.grid.patch_size, 1));
    }
    lesson.curves(curves, {"training step", "error"});
    lesson.table(table);
    lesson.why(
        "half of the same plane waves is masked each time. Small holes are filled in from their edges, so their error is small "
        "after the same ",
        choices.wave_steps,
        " steps, and little has been learned about waves. The farther the nearest visible pixel, the more the model has to "
        "know.");
    lesson.predict("the error for a unit of 2 at a mask ratio of 0.8. Compute its AvgDist first.");
    lesson.claim("the error on masked pixels grows with AvgDist, from unit to unit",
                 final_errors[0] < final_errors[1] && final_errors[1] < final_errors[2] && distances[0] < distances[1] &&
                     distances[1] < distances[2]);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Dataset digits = images_to_restore(choices.dataset);
    const simmim::Config config = digits_config(grid_of(digits, choices.dataset), choices.mask_unit);
    Random random(seed);
    const simmim::Weights w = simmim::make_weights(config, random);
    const std::vector<int> permutation = draw_units(random, 1, config);
    const Matrix mask = step_1_mask(lesson, digits, permutation, config);
    const simmim::Steps steps = step_2_cover(lesson, digits, mask, w, config);
    step_3_positions(lesson, w, config);
    step_4_decode(lesson, steps, config);
    step_5_loss(lesson, steps, config);
    step_6_train(lesson, digits, w, config, choices, seed);
    step_7_units(lesson, choices, seed);
    lesson.say("Next: vit/mask_pixels/videomae masks through time.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/simmim", "Mask tokens in the encoder; one linear layer as decoder.",
                    "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps on the digits or the images given", 1, 100'000);
    options.add("wave-steps", choices.wave_steps, "training steps on the waves, for each mask unit", 1, 100'000);
    options.add("mask-unit", choices.mask_unit, "side of what is masked together, pixels; 0: two patches", 0, 1000);
    choices.dataset.declare(options);
    options.add_output("out", choices.out, "a PPM or PNG file for masked, restored and original images");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
