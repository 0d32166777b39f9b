// videomae.cpp: why the mask of a video must be a tube.
//
//   paper    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training",
//            2022, arXiv 2203.12602
//   shows    cubes and tubes in numbers; on static clips random masks are solved by copying, and tubes leave nothing to copy; on
//            moving clips tubes leave something to learn
//   symbols  T frames   t frames of a cube   n positions   N = n T/t cubes   M masked, K visible ones
//   before   walkthroughs/vit/mask_pixels/mae.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/parallel.h"
#include "nn/training/train.h"
#include "vit/mask_pixels/masking.h"
#include "vit/mask_pixels/videomae.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/side_by_side.h"

using videomae::Clip;

struct Choices {
    int steps = 800;
    int batch = 32;
    int moving_steps = 400;
    int side = 3;  // patches along a side of the frame
    double rate = 5e-3;
    std::string video;  // files, separated by commas
};

static const int test_clips = 200;

static videomae::Config toy_config(int side) {
    return {.grid = {.height = 4 * side, .width = 4 * side, .patch_size = 4},
            .frames = 8,
            .mask_ratio = side == 2 ? 0.5 : 4.0 / 9,
            .width = 32,
            .depth = 2,
            .heads = 4,
            .decoder_width = 24,
            .decoder_depth = 1,
            .decoder_heads = 4,
            .mlp_ratio = 2,
            .normalise_targets = false,
            .channel_mean = {},
            .channel_std = {}};
}

// --- clips ---

// Squares, each with its own grey in [-1, 1], the same in all frames.
static Clip still_clip(Random& random, const videomae::Config& config) {
    const PatchGrid& grid = config.grid;
    std::vector<float> greys;
    for (int n = 0; n < grid.count(); ++n) greys.push_back(random.uniform(-1, 1));
    Image frame(grid.height, grid.width, grid.channels);
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x)
            for (int c = 0; c < grid.channels; ++c)
                frame(y, x, c) = greys[y / grid.patch_size * grid.across() + x / grid.patch_size];
    return Clip(config.frames, frame);
}

// A wave as long as a frame that drifts to the left or right: phase and speed differ from clip to clip.
static Clip moving_clip(Random& random, const videomae::Config& config) {
    const float pi = 3.14159265f, wave_number = 2 * pi / static_cast<float>(config.grid.width);
    const float phase = random.uniform(0, 2 * pi), speed = random.uniform(-0.5f, 0.5f);  // of the phase, in each frame
    Clip clip;
    for (int t = 0; t < config.frames; ++t) {
        Image frame(config.grid.height, config.grid.width, config.grid.channels);
        for (int y = 0; y < frame.height; ++y)
            for (int x = 0; x < frame.width; ++x)
                for (int c = 0; c < frame.channels; ++c) frame(y, x, c) = std::sin(wave_number * x + phase + t * speed);
        clip.push_back(frame);
    }
    return clip;
}

// For the user's video: three patches along a side, each of 8 x 8 pixels.
static videomae::Config video_config() {
    videomae::Config config = toy_config(3);
    config.grid = {.height = 24, .width = 24, .patch_size = 8};
    return config;
}

// The first frames of a video, at the model's size, brightness 0 ... 1 mapped to -1 ... 1.
static Clip read_video(const std::string& files, const videomae::Config& config) {
    std::vector<Image> frames;
    for (std::size_t begin = 0; begin < files.size();) {
        const std::size_t end = std::min(files.find(',', begin), files.size());
        for (const Image& frame : read_images(files.substr(begin, end - begin))) frames.push_back(frame);
        begin = end + 1;
    }
    require(static_cast<int>(frames.size()) >= config.frames, files, ": ", static_cast<int>(frames.size()),
            " frames, a clip has ", config.frames);
    Clip clip;
    for (int t = 0; t < config.frames; ++t) {
        require(frames[t].channels == 3, files, ": frame ", t, " is ", shape(frames[t]), ", it must have 3 channels (PPM)");
        const Image small = resize_bilinear_antialiased(frames[t], config.grid.height, config.grid.width);
        clip.push_back(normalise(small, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}));
    }
    return clip;
}

using DrawClip = Clip (*)(Random&, const videomae::Config&);

static std::vector<Clip> draw_clips(Random& random, int count, DrawClip draw, const videomae::Config& config) {
    std::vector<Clip> clips;
    for (int b = 0; b < count; ++b) clips.push_back(draw(random, config));
    return clips;
}

static Matrix draw_tubes(Random& random, int count, const videomae::Config& config) {
    return videomae::tube_masking(draw_permutations(random, count, config.grid.count()), config);
}

// The same number of cubes, each drawn independently.
static Matrix draw_random(Random& random, int count, const videomae::Config& config) {
    return draw_masks(random, count, videomae::token_count(config),
                      videomae::masked_positions(config) * videomae::time_slots(config));
}

using DrawMask = Matrix (*)(Random&, int, const videomae::Config&);

// A frame of the first time slot and one of the last, masked cubes black.
static std::vector<Captioned> slots(const Clip& clip, const Matrix& mask, const videomae::Config& config, Colours colours) {
    Matrix cubes = videomae::cubes_of(clip, config);
    for (float& x : cubes) x = 0.55f + 0.45f * x;
    for (std::size_t k = 0; k < mask.size(); ++k)
        if (mask[k] == 1) std::fill(cubes.row(static_cast<int>(k)), cubes.row(static_cast<int>(k) + 1), 0.0f);
    const Clip light = videomae::clip_of(cubes, config);
    std::vector<Captioned> blocks;
    for (const int s : {0, videomae::time_slots(config) - 1})
        blocks.push_back({"slot " + text(s), picture(light[s * config.tubelet], colours)});
    return blocks;
}

// --- one clip, step by step ---

static void step_1_cubes(Lesson& lesson, const Clip& clip, const videomae::Config& config) {
    lesson.step("What is a token of a video?", "a cube of t x P x P pixels", "section 3.3");
    lesson.code();
    const Matrix cubes = videomae::cubes_of(clip, config);  // (N, F)
    lesson.pictures(slots(clip, Matrix(1, cubes.rows), config, lesson.colours));
    lesson.matrix("cubes", cubes, 6);
    lesson.why(
        "a clip of ", config.frames, " frames is cut into ", videomae::time_slots(config), " slots of ", config.tubelet,
        " frames, each of them into ", config.grid.count(), " positions: ", cubes.rows, " tokens, ", cubes.cols,
        " numbers each. Two frames that differ little share a token, which halves the work; what differs between them is in it.");
}

static Matrix step_2_tubes(Lesson& lesson, Random& random, const Clip& clip, const videomae::Config& config) {
    lesson.step("What is masked?", "the same positions in every slot", "section 3.3, tube masking");
    lesson.code();
    const Matrix tubes = draw_tubes(random, 1, config);  // (1, N)
    const Matrix random_mask = draw_random(random, 1, config);
    lesson.say("A tube:");
    lesson.pictures(slots(clip, tubes, config, lesson.colours));
    lesson.say("As many cubes at random:");
    lesson.pictures(slots(clip, random_mask, config, lesson.colours));
    lesson.why(
        "at random a position that is masked in one slot is mostly visible in another. If little moves, it can be copied from "
        "there. A tube masks it for the whole clip.");
    const double share = sum(random_mask).value()[0] / static_cast<double>(random_mask.size());
    lesson.predict("How many of " + text(config.grid.count()) + " positions does a random mask cover in all " +
                       text(videomae::time_slots(config)) + " slots, on average?",
                   {config.grid.count() * std::pow(share, videomae::time_slots(config)), 0.5});
    return tubes;
}

static void step_3_forward(Lesson& lesson, const Clip& clip, const Matrix& mask, const videomae::Weights& w,
                           const videomae::Config& config) {
    lesson.step("What differs from MAE?", "decoder input = visible tokens, then mask tokens");
    lesson.code();
    const videomae::Steps steps = videomae::forward({clip}, mask, w, config);
    lesson.table(
        {{"step", "rows", "columns"},
         {"cubes", text(steps.cubes.rows), text(steps.cubes.cols)},
         {"encoder input: visible cubes with positions", text(steps.encoder_input.rows()), text(steps.encoder_input.cols())},
         {"decoder input", text(steps.decoder_input.rows()), text(steps.decoder_input.cols())},
         {"prediction: masked cubes only", text(steps.prediction.rows()), text(steps.prediction.cols())}});
    lesson.why(
        "there is no [cls], and nothing is put back in the order of the clip: every token carries its position, fixed sines and "
        "cosines of its number, so the decoder takes the visible ones first and ",
        steps.prediction.rows(), " copies of the mask token after them. Only those are normalised and decoded to pixels.");
}

// --- training ---

namespace {
struct Painter : Objective, Watcher {
    const videomae::Weights& w;
    const videomae::Config& config;
    DrawClip draw_clip;
    DrawMask draw_mask;
    int batch, steps;
    float rate;
    Random random;
    SharedProgress& progress;
    std::vector<Clip> test;
    Matrix test_mask, test_targets;
    Series curve;

    Painter(const std::string& what, const videomae::Weights& w, const videomae::Config& config, DrawClip draw_clip,
            DrawMask draw_mask, const Choices& choices, int steps, int seed, SharedProgress& progress)
        : w(w),
          config(config),
          draw_clip(draw_clip),
          draw_mask(draw_mask),
          batch(choices.batch),
          steps(steps),
          rate(static_cast<float>(choices.rate)),
          random(seed),
          progress(progress),
          curve{.name = what, .x = {}, .y = {}} {
        Random draws(1'000'000 + seed);
        test = draw_clips(draws, test_clips, draw_clip, config);
        test_mask = draw_mask(draws, test_clips, config);
        test_targets = videomae::targets(test, config);
    }

    Var loss(int) override {
        const std::vector<Clip> clips = draw_clips(random, batch, draw_clip, config);
        return videomae::loss(videomae::forward(clips, draw_mask(random, batch, config), w, config),
                              videomae::targets(clips, config));
    }

    bool after_step(int step, float) override {
        progress.count_step();
        if ((step + 1) % std::max(1, steps / 10) != 0) return true;
        const NoTape evaluation;
        curve.x.push_back(static_cast<float>(step + 1));
        curve.y.push_back(videomae::loss(videomae::forward(test, test_mask, w, config), test_targets).value()(0, 0));
        return true;
    }
};
}  // namespace

static void train(Painter& painter) {
    const Recipe recipe{.schedule = {.peak = painter.rate, .warm_up = 20, .steps = painter.steps, .descent = Descent::none},
                        .batch = painter.batch};
    ::train(painter, nothing_decays(variables(videomae::parameters(painter.w, painter.config))), recipe, &painter);
}

// The variance of the masked pixels of the test clips: the error of the best constant prediction.
static double masked_variance(const Painter& painter) {
    const Matrix targets = gather_rows(painter.test_targets, masked_rows(painter.test_mask)).value();
    double sum = 0, squares = 0;
    for (const float x : targets) {
        sum += x;
        squares += static_cast<double>(x) * x;
    }
    const double count = static_cast<double>(targets.size());
    return squares / count - sum / count * (sum / count);
}

// The restoration of a test clip, and the clip.
static void show_painted(Lesson& lesson, const Painter& painter, int clip) {
    const NoTape evaluation;
    const int N = videomae::token_count(painter.config);
    const Matrix mask = slice_rows(painter.test_mask, clip, 1);
    const videomae::Steps steps = videomae::forward({painter.test[clip]}, mask, painter.w, painter.config);
    const Matrix cubes = videomae::completed(steps, slice_rows(painter.test_targets, clip * N, N));
    const Matrix nothing(1, N);
    lesson.say("Masked, restored, original:");
    lesson.pictures(slots(painter.test[clip], mask, painter.config, lesson.colours));
    lesson.pictures(slots(videomae::clip_of(cubes, painter.config), nothing, painter.config, lesson.colours));
    lesson.pictures(slots(painter.test[clip], nothing, painter.config, lesson.colours));
}

static void step_4_still(Lesson& lesson, const videomae::Config& config, const Choices& choices, int seed) {
    lesson.step("What can be learned from a clip that does not move?", "mse at masked cubes", "new clips");
    Random random(seed);
    const videomae::Weights at_random = videomae::make_weights(config, random), as_tubes = videomae::make_weights(config, random);
    SharedProgress progress("random masks, and tubes", 2 * choices.steps);
    Painter copier("random masks", at_random, config, still_clip, draw_random, choices, choices.steps, seed, progress);
    Painter guesser("tubes", as_tubes, config, still_clip, draw_tubes, choices, choices.steps, seed, progress);
    parallel_for(2, [&](int k) { train(k == 0 ? copier : guesser); });  // side by side, each on a core
    const Series &of_random = copier.curve, &of_tubes = guesser.curve;
    lesson.curves({of_random, of_tubes}, {"training step", "mse"});
    const double variance = masked_variance(guesser);
    std::vector<std::vector<std::string>> rows{{"after step", "random masks", "tubes"}};
    for (std::size_t k = 0; k < of_random.x.size(); ++k)
        rows.push_back({text(static_cast<int>(of_random.x[k])), fixed(of_random.y[k], 3), fixed(of_tubes.y[k], 3)});
    lesson.table(rows);
    lesson.why(
        config.grid.count(), " squares, each with its own grey, standing still: the variance is ", fixed(variance, 3),
        ". The other squares do not determine the grey of this one, so there is nothing to learn about such images, and with "
        "tubes the loss stays high. Random masks reward copying from another slot: it takes a while to find where to copy from, "
        "then the loss falls, and nothing has been learned about images.");
    lesson.claim_at_most("error with random masks, fraction of the variance", of_random.y.back() / variance, 0.75);
    lesson.claim_at_least("error with tubes, fraction of the variance", of_tubes.y.back() / variance, 0.93);
}

static void step_5_moving(Lesson& lesson, const videomae::Config& config, const Choices& choices, int seed) {
    lesson.step("What can be learned from a clip that moves?", "sin(2 pi x / W + phase + t speed)", "tubes");
    Random random(seed);
    const videomae::Weights w = videomae::make_weights(config, random);
    SharedProgress progress("tubes, moving waves", choices.moving_steps);
    Painter painter("tubes, moving waves", w, config, moving_clip, draw_tubes, choices, choices.moving_steps, seed, progress);
    train(painter);
    const Series& curve = painter.curve;
    lesson.curves({curve}, {"training step", "mse"});
    show_painted(lesson, painter, 0);
    const double variance = masked_variance(painter);
    lesson.why(
        "a masked tube of a drifting wave follows from the positions around it in the same frames: those of its column show the same "
        "stripes, and where a whole column is masked, the others tell phase and speed. The error falls from the variance ",
        fixed(variance, 3), " to ", fixed(curve.y.back(), 3),
        ". No other frame shows what is masked, so the model has to learn how an image hangs together.");
    lesson.predict("the error of random masks on these clips: lower or higher than that of tubes?");
    lesson.claim_at_most("error with tubes, moving clips, fraction of the variance", curve.y.back() / variance, 0.3);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const videomae::Config config = toy_config(choices.side);
    const videomae::Config config_of_clip = choices.video.empty() ? config : video_config();
    Random random(seed);
    const Clip clip = choices.video.empty() ? moving_clip(random, config) : read_video(choices.video, config_of_clip);
    const videomae::Weights w = videomae::make_weights(config_of_clip, random);
    step_1_cubes(lesson, clip, config_of_clip);
    const Matrix mask = step_2_tubes(lesson, random, clip, config_of_clip);
    step_3_forward(lesson, clip, mask, w, config_of_clip);
    step_4_still(lesson, config, choices, seed);
    step_5_moving(lesson, config, choices, seed);
    lesson.say("Next: vit/mask_pixels/hog computes a target that is not made of pixels.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/videomae", "A mask through time, so that nothing can be copied.", "15 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps on clips that do not move, for each kind of mask", 1, 100'000);
    options.add("moving-steps", choices.moving_steps, "training steps on clips that move", 1, 100'000);
    options.add("video", choices.video,
                "PNG or PPM files with a comma between them, or one P6 file of 8 frames, to cut into cubes");
    options.add(
        "side", choices.side,
        "patches along a side of the frame, 2 or 3; with 2 there are fewer positions to compare, and copying is found earlier", 2,
        3);
    options.add("rate", choices.rate, "learning rate", 0, 1);
    options.add("batch", choices.batch, "clips in a step", 1, 1000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
