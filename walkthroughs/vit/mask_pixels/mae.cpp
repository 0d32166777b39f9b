// mae.cpp: a masked autoencoder restores a digit from a quarter of its patches; what its loss measures and what it does not.
//
//   paper    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv 2111.06377
//   shows    that a quarter of an image is enough to restore it, that the loss concerns masked patches only, and what the
//            encoder saves by not reading them
//   symbols  N patches   K of them visible   D encoder width   E decoder width
//   next     simmim.cpp takes the three decisions the other way; pretraining.cpp puts the encoder to use
#include <algorithm>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/parallel.h"
#include "vit/mask_pixels/mae.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"

struct Choices {
    int steps = 2000;
    int wave_steps = 1200;
    double mask_ratio = 0.75;
    std::string out;
    DatasetFiles dataset;
};

static mae::Config digits_config(const PatchGrid& grid, double mask_ratio) {
    return {.grid = grid,
            .width = 48,
            .depth = 2,
            .heads = 4,
            .decoder_width = 32,
            .decoder_depth = 1,
            .decoder_heads = 4,
            .mlp_ratio = 2,
            .mask_ratio = mask_ratio,
            .normalise_targets = false};
}

static mae::Config waves_config() {
    return {.grid = {.height = 12, .width = 12, .patch_size = 3, .channels = 3},
            .width = 32,
            .depth = 2,
            .heads = 4,
            .decoder_width = 24,
            .decoder_depth = 1,
            .decoder_heads = 3,
            .mlp_ratio = 2,
            .mask_ratio = 0.5,
            .normalise_targets = false};
}

static Matrix patch_grid(const Matrix& per_patch, int image, const mae::Config& config) {
    const int N = config.grid.count();
    const Matrix of_all = reshape(per_patch, static_cast<int>(per_patch.size()) / N, N);
    return reshape(slice_rows(of_all, image, 1), config.grid.down(), config.grid.across());
}

// --- one digit, step by step ---

static void step_1_mask(Lesson& lesson, const Dataset& digits, const Matrix& noise, const mae::Config& config) {
    lesson.step("Which patches are masked?", "the N - K patches with the largest noise", "section 3, Masking");
    lesson.code();
    const mae::Masking masking = mae::random_masking(noise, config);
    const Image light = as_light(digits.test[0], digits);
    const Triple triple = restoration(light, light, masking.mask, config.grid.patch_size);
    lesson.pictures(
        {{"original", picture(triple.original, lesson.colours)}, {"what is left", picture(triple.masked, lesson.colours)}});
    lesson.matrix("noise", patch_grid(noise, 0, config));
    lesson.predict("Which patch is the first of keep? Patches are numbered from 0, row by row.", {1.0 * masking.keep[0], 0.5});
    lesson.matrix("mask", patch_grid(masking.mask, 0, config));
    lesson.say("keep: ", list_text(masking.keep));
    lesson.why("each of the N = ", config.grid.count(), " patches draws a number, the ", mae::visible_count(config),
               " smallest stay. Sorting random numbers is a fair way to draw without replacement, and the order of the noise is "
               "the order in which the encoder will read them.");
}

static mae::Steps step_2_encode(Lesson& lesson, const Dataset& digits, const Matrix& noise, const mae::Weights& w,
                                const mae::Config& config) {
    lesson.step("Where do mask tokens enter?", "encoder input (K+1, D)");
    const mae::Steps steps = mae::forward({digits.test[0]}, noise, w, config);
    lesson.matrix("visible", steps.visible.value());
    lesson.why("not the encoder: from ", steps.patch_embeddings.rows(), " patch embeddings it gets ", steps.visible.rows(),
               ", and [cls] in front of them, as if the image had no other patches. Each carries its position, added before the "
               "choice, so it does not matter that they come in the order of their noise.");
    return steps;
}

static void step_3_decode(Lesson& lesson, const mae::Steps& steps) {
    lesson.step("How does the decoder know the position of each token?", "row i is latent[restore_i] or the mask token");
    lesson.say("restore: ", list_text(steps.masking.restore));
    lesson.heat("decoder_input", steps.decoder_input.value());
    lesson.why("restore says where each patch stood in the shuffled list. An index below K = ", steps.visible.rows(),
               " is an encoded patch; every other index gets the same mask token. Then positions are added: they are all that "
               "tells one masked patch from another.");
    lesson.predict(
        "what decoder_input looks like when the list of the shuffle is used instead of its inverse. The test suite mae does it.");
}

static void step_4_loss(Lesson& lesson, const mae::Steps& steps, const mae::Config& config) {
    lesson.step("What is the loss?", "loss = sum(loss_i mask_i) / sum(mask_i)");
    lesson.code(2);
    const Var losses = mae::patch_losses(steps, config);  // (N, 1)  mean squared error of each patch
    const Var loss = mae::loss(steps, config);            // (1, 1)  over masked patches only
    double all = 0;
    for (const float x : losses.value()) all += x / static_cast<double>(losses.rows());
    lesson.matrix("losses", patch_grid(losses.value(), 0, config));
    lesson.matrix("mask", patch_grid(steps.masking.mask, 0, config));
    lesson.why(
        "the mean over the masked patches is ", fixed(loss.value()(0, 0)), ", over all patches it would be ", fixed(all),
        ". Repeating visible patches would be easy, so they do not enter the loss. The errors of a later step show the effect.");
}

// --- training ---

static mae::Steps restore_test(const mae::Weights& w, const mae::Config& config, const Dataset& dataset, int seed) {
    const NoTape evaluation;
    Random random(2'000'000 + seed);
    return mae::forward(dataset.test, uniform_matrix(random, static_cast<int>(dataset.test.size()), config.grid.count()), w,
                        config);
}

namespace {
struct Restorer : Restoring {
    const mae::Weights& w;
    const mae::Config& config;
    const Dataset& dataset;
    int seed;

    Restorer(const mae::Weights& w, const mae::Config& config, const Dataset& dataset, int seed)
        : Restoring(seed), w(w), config(config), dataset(dataset), seed(seed) {}

    Var batch_loss(int batch, Random& random) override {
        const std::vector<Image> images = draw_batch(dataset, batch, random);
        const Matrix noise = uniform_matrix(random, batch, config.grid.count());
        return mae::loss(mae::forward(images, noise, w, config), config);
    }
    float test_loss() override { return mae::loss(restore_test(w, config, dataset, seed), config).value()(0, 0); }
};
}  // namespace

// Trains, and returns the error on masked patches of held-out images.
static Series train(const mae::Weights& w, const mae::Config& config, const Dataset& dataset, int steps, int seed,
                    const std::string& what) {
    Restorer restorer(w, config, dataset, seed);
    return train_to_restore(restorer, mae::parameters(w, config), steps, what);
}

static void step_5_train(Lesson& lesson, const Dataset& digits, const mae::Weights& w, const mae::Config& config,
                         const Choices& choices, int seed) {
    lesson.step("Can a " + digits.one + " be restored from " + text(mae::visible_count(config)) + " of " +
                    text(config.grid.count()) + " patches?",
                "", choices.dataset.own() ? "unseen images" : "digits of unseen writers");
    const Series curve = train(w, config, digits, choices.steps, seed, "error on masked patches");
    lesson.curves({curve}, {"training step", "error"});
    const mae::Steps steps = restore_test(w, config, digits, seed);
    const std::vector<Image> predicted = mae::predicted_images(steps, config);
    const std::vector<Image> shown =
        triples(digits, predicted, steps.masking.mask, config.grid.patch_size, std::min<int>(4, predicted.size()));
    show_triples(lesson, shown);
    write_triples(choices.out, shown);
    const ErrorsWithBaselines found =
        errors_with_baselines(digits, predicted, steps.masking.mask, config.grid.patch_size, Measure::squared);
    lesson.table(error_table(found));
    if (choices.dataset.own()) {
        lesson.claim_at_most("squared error on masked patches, as a fraction of the mean image's",
                             found.model.masked / found.mean.masked, 1);
        return;
    }
    lesson.why(
        "pixels have variance 1 here. The mean image uses the training set but not this digit; the copy uses this digit alone; the "
        "model uses both: it infers from the visible strokes which digit it is and how it is slanted. Where several digits fit, the "
        "squared error makes it predict their mean: that is the blur.");
    lesson.claim_at_most("squared error on masked patches, as a fraction of the mean image's",
                         found.model.masked / found.mean.masked, 0.9);
    lesson.claim_at_most("squared error on masked patches, as a fraction of the nearest visible patch's",
                         found.model.masked / found.copy.masked, 0.9);
}

static void step_6_waves(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("What if the masked patches are fully determined by the visible ones?", "sin(k (x cos a + y sin a) + phase)",
                "half of the patches masked");
    const mae::Config config = waves_config();
    const Dataset waves = waves_to_restore(500, config.grid.height, seed);
    Random random(seed);
    const mae::Weights w = mae::make_weights(config, random);
    const Series curve = train(w, config, waves, choices.wave_steps, seed, "error on masked patches");
    lesson.curves({curve}, {"training step", "error"});
    const mae::Steps steps = restore_test(w, config, waves, seed);
    const std::vector<Image> predicted = mae::predicted_images(steps, config);
    show_triples(lesson, triples(waves, predicted, steps.masking.mask, config.grid.patch_size, 2));
    const ErrorsWithBaselines found =
        errors_with_baselines(waves, predicted, steps.masking.mask, config.grid.patch_size, Measure::squared);
    lesson.table(error_table(found));
    lesson.why(
        "three numbers, direction, wavelength and phase, make such an image, so half of it is more than enough: the error on "
        "what is masked falls from the variance ",
        fixed(found.mean.masked), " to ", fixed(found.model.masked), ". On visible patches the error of the same model is ",
        fixed(found.model.visible),
        ", worse than the mean: visible patches do not enter the loss, so the predictions there are not trained.");
    lesson.predict("both numbers when the loss is taken over all patches.");
    lesson.claim_at_most("squared error on masked patches of new waves, as a fraction of their variance",
                         found.model.masked / found.mean.masked, 0.5);
    lesson.claim_at_least("error on visible patches, as a multiple of the one on masked patches",
                          found.model.visible / found.model.masked, 1.5);
}

// --- what the encoder saves ---

static double seconds_to_encode(const Var& tokens, int images, const mae::Weights& w, const mae::Config& config) {
    const NoTape evaluation;
    const double begin = seconds_now();
    stack(tokens, w.encoder.blocks, {.heads = config.heads, .eps = config.eps},
          {.self = {.segments = Segments::equal(images, tokens.rows() / images)}});
    return seconds_now() - begin;
}

namespace {
struct Milliseconds {
    double few = 1e9, all = 1e9;  // for one image: the visible patches only, and with mask tokens as well
};
}  // namespace

// The least of several, on one thread: other processes only add time.
static Milliseconds time_to_encode(const mae::Config& config, int few, int all, int seed) {
    const int images = 2;
    Random random(seed);
    const mae::Weights w = mae::make_weights(config, random);
    const Var visible = normal_matrix(random, images * few, config.width);
    const Var with_mask_tokens = normal_matrix(random, images * all, config.width);
    const int threads = thread_count();
    set_thread_count(1);  // so that both work in the same way
    Milliseconds least;
    for (int trial = 0; trial < 15; ++trial) {
        least.few = std::min(least.few, 1e3 * seconds_to_encode(visible, images, w, config) / images);
        least.all = std::min(least.all, 1e3 * seconds_to_encode(with_mask_tokens, images, w, config) / images);
    }
    set_thread_count(threads);
    return least;
}

static void step_7_cost(Lesson& lesson, int seed) {
    lesson.step("What does the encoder save?", "4 T D^2 + 2 T^2 D + 2 T D M in each block", "T tokens, M = 4 D in the MLP");
    const mae::Config config{.grid = {.height = 112, .width = 112, .patch_size = 8},
                             .width = 96,
                             .depth = 2,
                             .heads = 4,
                             .decoder_width = 8,
                             .decoder_depth = 0,
                             .decoder_heads = 1};
    const int few = mae::visible_count(config) + 1, all = config.grid.count() + 1;
    const Milliseconds least = time_to_encode(config, few, all, seed);
    const double counted_few = mae::encoder_multiplications(config, few), counted_all = mae::encoder_multiplications(config, all);
    const mae::Config large;  // ViT-L/16
    const double large_ratio = mae::encoder_multiplications(large, large.grid.count() + 1) /
                               mae::encoder_multiplications(large, mae::visible_count(large) + 1);
    lesson.table({{"encoder sees", "tokens", "million multiplications", "milliseconds"},
                  {"visible patches", text(few), fixed(counted_few / 1e6, 1), fixed(least.few, 2)},
                  {"mask tokens as well", text(all), fixed(counted_all / 1e6, 1), fixed(least.all, 2)},
                  {"ratio", fixed(static_cast<double>(all) / few, 2), fixed(counted_all / counted_few, 2),
                   fixed(least.all / least.few, 2)}});
    lesson.why(
        "a quarter of the patches costs a little less than a quarter: the linear layers grow with the tokens, attention with "
        "their square. For ViT-L/16 and 224 x 224 pixels the ratio of multiplications is ",
        fixed(large_ratio, 2),
        ". The time also contains what was not counted: softmax works on T^2 numbers a head as well, and a small matrix stays in "
        "the cache. The decoder reads all positions, so it is kept small.");
    lesson.claim_at_least("time of the encoder with mask tokens, as a multiple of the time without", least.all / least.few, 2.5);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Dataset digits = images_to_restore(choices.dataset);
    const mae::Config config = digits_config(grid_of(digits, choices.dataset), choices.mask_ratio);
    Random random(seed);
    const mae::Weights w = mae::make_weights(config, random);
    const Matrix noise = uniform_matrix(random, 1, config.grid.count());
    step_1_mask(lesson, digits, noise, config);
    const mae::Steps steps = step_2_encode(lesson, digits, noise, w, config);
    step_3_decode(lesson, steps);
    step_4_loss(lesson, steps, config);
    step_5_train(lesson, digits, w, config, choices, seed);
    step_6_waves(lesson, choices, seed);
    step_7_cost(lesson, seed);
    lesson.say("Next: vit/mask_pixels/simmim takes the opposite decisions.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/mae", "A quarter of the patches suffices to predict the rest.", "15 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps on the digits or the images given", 1, 100'000);
    options.add("wave-steps", choices.wave_steps, "training steps on the waves", 1, 100'000);
    options.add("mask-ratio", choices.mask_ratio, "fraction of an image's patches that is masked", 0.1, 0.93);
    choices.dataset.declare(options);
    options.add_output("out", choices.out, "a PPM or PNG file for masked, restored and original images");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
