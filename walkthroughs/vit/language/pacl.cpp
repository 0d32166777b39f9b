// pacl.cpp: zero-shot segmentation learned from captions alone, on top of a frozen CLIP.
//
//   paper    Mukhoti et al., "Open Vocabulary Semantic Segmentation with Patch Aligned Contrastive Learning", 2022, arXiv 2212.04994
//   shows    that CLIP's patch tokens are not aligned with text, that another comparison trains a small head which aligns them, that a
//            map can only be as local as its tokens, and where weighted pooling beats the mean
//   symbols  N patches of an image   s cosine of a patch and a sentence   a weight of the patch   phi compatibility
//   before   clip.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/norm.h"
#include "nn/training/contrastive.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/pacl.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

struct Choices {
    int clip_steps = 500, steps = 300;
    std::string text = "red disc; blue bar", image;
};

static const int side = 24, patch = 4, grid = side / patch, reach = 4;  // pixels; patches down and across; size of a shape

// --- the world: an image of 24 x 24 with one shape anywhere ---

namespace {
struct Placed {
    Image image;
    Matrix patches;  // (grid, grid)  1 where the shape covers at least half of a patch
};
}  // namespace

// Which patches a shape covers; the image itself is on black, so every bright pixel belongs to the shape.
static Matrix covered(ColouredShape shape, int y, int x) {
    Image alone(side, side, 3);
    paint_shape(alone, shape, y, x, reach);
    Matrix patches(grid, grid);
    for (int row = 0; row < side; ++row)
        for (int col = 0; col < side; ++col) {
            const float brightest = std::max({alone(row, col, 0), alone(row, col, 1), alone(row, col, 2)});
            patches(row / patch, col / patch) += brightest > 0.5f ? 1.0f / (patch * patch) : 0;
        }
    for (float& share : patches) share = share >= 0.5f;
    return patches;
}

static Placed placed_at(ColouredShape shape, int y, int x, Random& random) {
    Placed placed{empty_image(random, side), covered(shape, y, x)};
    paint_shape(placed.image, shape, y, x, reach);
    return placed;
}

static Placed placed_anywhere(ColouredShape shape, Random& random) {
    const int y = reach + random.below(side - 2 * reach), x = reach + random.below(side - 2 * reach);
    return placed_at(shape, y, x, random);
}

static std::vector<Image> images_anywhere(const std::vector<ColouredShape>& shapes, Random& random) {
    std::vector<Image> images;
    for (const ColouredShape shape : shapes) images.push_back(placed_anywhere(shape, random).image);
    return images;
}

// --- the frozen encoders ---

static clip::Config clip_config(const WordList& words) {
    return {
        .vision = {.grid = {.height = side, .width = side, .patch_size = patch, .channels = 3},
                   .width = 48,
                   .depth = 2,
                   .heads = 4,
                   .mlp_width = 96},
        .text = {.vocabulary = words.size(), .positions = caption_length, .width = 32, .depth = 1, .heads = 2, .mlp_width = 64},
        .shared_width = 32};
}

namespace {
struct ClipLoss : Objective {
    clip::Weights& w;
    const clip::Config& config;
    Random random;
    std::vector<ColouredShape> shapes = all_shapes();
    TokenBatch texts;

    ClipLoss(clip::Weights& w, const clip::Config& config, const WordList& words, int seed)
        : w(w), config(config), random(1000 + seed), texts(caption_tokens(shapes, words)) {}

    Var loss(int) override {
        clip::limit_scale(w);
        return clip::loss(clip::forward(images_anywhere(shapes, random), texts, w, config));
    }
};

// The frozen image encoder: CLIP's tokens; or, local by construction, every patch concatenated with its eight neighbours.
enum class Encoder { clip, neighbours };

// Patches and sentences as the frozen encoders give them.
struct Frozen {
    const clip::Weights& w;
    const clip::Config& config;
    Encoder encoder = Encoder::clip;

    Var patches(const std::vector<Image>& images) const {
        if (encoder == Encoder::clip) return pacl::clip_patch_features(images, w.vision, config.vision);
        const Matrix pixels = patchify_all(images, config.vision.grid, "pacl");  // (B*N, P*P*C)
        const MapSize size{static_cast<int>(images.size()), grid, grid};
        return gather_side_by_side(pixels, rows_in_window(size, {.side = 3, .padding = Padding::all(1)}), 9);  // (B*N, 9*P*P*C)
    }
    int width() const { return encoder == Encoder::clip ? config.vision.width : 9 * config.vision.grid.numbers(); }
    Var texts(const TokenBatch& sentences) const {
        const NoTape frozen;
        return stop(clip::text_tower(sentences, w.text, config.text).pooled);
    }
};

struct PaclLoss : Objective {
    pacl::Weights& w;
    const pacl::Config config;
    const Frozen& frozen;
    Random random;
    std::vector<ColouredShape> shapes = all_shapes();
    Var texts;

    PaclLoss(pacl::Weights& w, const pacl::Config& config, const Frozen& frozen, const WordList& words, int seed)
        : w(w), config(config), frozen(frozen), random(2000 + seed), texts(frozen.texts(caption_tokens(shapes, words))) {}

    Var loss(int) override {
        return pacl::loss(pacl::forward(frozen.patches(images_anywhere(shapes, random)), texts, w, config));
    }
};
}  // namespace

static pacl::Config head_config(const Frozen& frozen) {
    return {.rows = grid, .cols = grid, .vision_width = frozen.width(), .text_width = frozen.config.text.width, .width = 32};
}

static std::vector<float> trained(Objective& objective, const Parameters& table, int steps, const std::string& what) {
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = steps}};
    ShowProgress progress(what, steps);
    return train(objective, nothing_decays(variables(table)), recipe, &progress);
}

// --- what is measured ---

namespace {
struct Found {
    double patches = 0;  // fraction of covered patches whose likeliest caption, of 20, is the right one
    double images = 0;   // fraction of images whose likeliest caption is the right one
    double overlap = 0;  // intersection over union of covered patches and those whose cosine with the caption is above a half
};
}  // namespace

static int best_of(const Matrix& row) { return argmax_row(row, 0); }

// Over one image of each shape: scores (20*N, 20) of all patches with all captions, compatibility (20, 20).
static Found found(const Matrix& scores, const Matrix& compatibility, const std::vector<Placed>& placed) {
    const int N = grid * grid, count = static_cast<int>(placed.size());
    Found result;
    double covered_patches = 0, right = 0, both = 0, either = 0;
    for (int i = 0; i < count; ++i) {
        result.images += (best_of(slice_rows(compatibility, i, 1)) == i % 20) / static_cast<double>(count);
        for (int n = 0; n < N; ++n) {
            const bool inside = placed[static_cast<std::size_t>(i)].patches[static_cast<std::size_t>(n)] == 1;
            const bool taken = scores(i * N + n, i % 20) > 0.5f;
            covered_patches += inside;
            right += inside && best_of(slice_rows(scores, i * N + n, 1)) == i % 20;
            both += inside && taken;
            either += inside || taken;
        }
    }
    result.patches = right / covered_patches;
    result.overlap = both / either;
    return result;
}

static std::vector<Placed> test_images(int rounds, int seed) {
    Random random(5000 + seed);
    std::vector<Placed> placed;
    for (int round = 0; round < rounds; ++round)
        for (const ColouredShape shape : all_shapes()) placed.push_back(placed_anywhere(shape, random));
    return placed;
}

static std::vector<Image> images_of(const std::vector<Placed>& placed) {
    std::vector<Image> images;
    for (const Placed& one : placed) images.push_back(one.image);
    return images;
}

// CLIP's own patches, taken through its last norm and projection as its class token is: (B*N, D), rows of length 1.
static Var patches_as_clip_projects(const Var& patches, const clip::Weights& w, const clip::Config& config) {
    return unit_rows(linear(layer_norm(patches, w.vision.post_norm, config.vision.eps), w.image_projection));
}

static Matrix as_grid(const Matrix& column) { return reshape(column, grid, grid); }

// --- the lesson ---

// Trains the CLIP, whose weights are frozen after this step.
static Found step_1_clip(Lesson& lesson, clip::Weights& w, const Frozen& frozen, const WordList& words,
                         const std::vector<Placed>& test, int steps, int seed) {
    lesson.step("Do CLIP's patch tokens represent what they cover?", "cos(projected patch, sentence)", "section 3.1");
    lesson.say("First a CLIP is trained on images of ", side, " x ", side,
               " pixels with one shape anywhere; then its weights are frozen.");
    ClipLoss clip_loss(w, frozen.config, words, seed);
    lesson.code();
    trained(clip_loss, clip::parameters(w, frozen.config), steps, "CLIP");
    const NoTape evaluation;
    const Var patches = patches_as_clip_projects(frozen.patches(images_of(test)), frozen.w, frozen.config);
    const Var texts = clip::embed_texts(caption_tokens(all_shapes(), words), frozen.w, frozen.config);
    const Matrix scores = matmul_transposed(patches, texts).value();  // (images*N, 20)
    const Matrix whole = matmul_transposed(clip::embed_images(images_of(test), frozen.w, frozen.config), texts).value();
    const Found plain = found(scores, whole, test);
    const int shown = 1;  // a red disc
    lesson.pictures(
        {{name_of(all_shapes()[shown]), picture(test[shown].image, lesson.colours)},
         {"covered patches", heat_map(test[shown].patches, lesson.colours)},
         {"CLIP: cosine of each patch",
          heat_map(as_grid(slice_cols(slice_rows(scores, shown * grid * grid, grid * grid), shown, 1)), lesson.colours)}});
    lesson.predict("What fraction of the patches under a shape is nearest to its caption? Chance is 0.05.", {plain.patches, 0.1});
    lesson.table({{"CLIP", "right, of 20 captions"},
                  {"the image, by its class token", fixed(plain.images, 3)},
                  {"the patches under the shape", fixed(plain.patches, 3)}});
    lesson.why(
        "the loss asked only the class token. It collects what the image shows; nothing trains a patch to represent what it covers, and after two blocks of attention any patch may hold information about any other.");
    return plain;
}

static void step_2_weigh(Lesson& lesson, const pacl::Weights& w, const pacl::Config& config, const Frozen& frozen,
                         const WordList& words) {
    lesson.step("How does a sentence weigh the patches?", "a = softmax(s),  phi = sum_n a_n s_n", "section 3.2");
    Random random(3);
    const Placed one = placed_at({0, 1}, 12, 8, random);
    const Var texts = frozen.texts(caption_tokens({{0, 1}, {2, 3}}, words));
    lesson.code();
    const pacl::Steps steps = pacl::forward(frozen.patches({one.image}), texts, w, config);
    lesson.matrix("similarity s (sentences, N)", steps.similarity.value());
    lesson.matrix("weights a", steps.patch_weights.value());
    lesson.matrix("phi", steps.compatibility.value());
    const float largest = steps.patch_weights.value()(0, argmax_row(steps.patch_weights.value(), 0));
    lesson.why(
        "s lies between -1 and 1, so no patch can weigh more than e^2 = 7.4 times another: here the heaviest has ",
        fixed(largest, 3), " where an equal share would be ", fixed(1.0 / (grid * grid), 3),
        ". The gradient d phi / d s = a (1 + s - phi) pushes up "
        "patches that fit better than the mean, the more the heavier they are: that is how a patch becomes aligned with a word.");
}

static std::vector<float> step_3_train(Lesson& lesson, pacl::Weights& w, const pacl::Config& config, const Frozen& frozen,
                                       const WordList& words, int steps, int seed) {
    lesson.step("What is trained?", "v = W x + b + W2 relu(W1 x + b1) + b2", "section 3.3; CLIP stays frozen");
    PaclLoss objective(w, config, frozen, words, seed);
    const std::vector<float> losses = trained(objective, pacl::parameters(w), steps, "the head on frozen patches");
    lesson.curves({smoothed("loss", losses, std::max(1, steps / 60))}, {"training step", "loss, nats"});
    lesson.say(count_numbers(pacl::parameters(w)), " numbers are trained; the ",
               count_numbers(clip::parameters(frozen.w, frozen.config)),
               " of CLIP are not. Every image is compared with every sentence: ", 20 * 20, " pooled vectors in each step.");
    return losses;
}

// The measurements of a trained head on test images; `map` gets the cosines of image `shown` with its own caption.
static Found found_by_head(const pacl::Weights& w, const Frozen& frozen, const WordList& words, const std::vector<Placed>& test,
                           int shown, Matrix& map) {
    const NoTape evaluation;
    const Var texts = frozen.texts(caption_tokens(all_shapes(), words));
    const pacl::Steps steps = pacl::forward(frozen.patches(images_of(test)), texts, w, head_config(frozen));
    const Matrix scores = matmul_transposed(steps.patches, steps.texts).value();  // (images*N, 20)
    map = as_grid(slice_cols(slice_rows(scores, shown * grid * grid, grid * grid), shown, 1));
    return found(scores, steps.compatibility.value(), test);
}

static Found step_4_map(Lesson& lesson, const pacl::Weights& w, const Frozen& frozen, const WordList& words,
                        const std::vector<Placed>& test, const Found& plain) {
    lesson.step("What has it learned?", "s_n of every patch", "held-out images");
    Matrix map;
    const Found ours = found_by_head(w, frozen, words, test, 1, map);
    lesson.heat("PACL on CLIP's tokens: cosine of each patch of the image of step 1", map);
    lesson.table({{"of 20 captions the right one", "CLIP", "PACL on its tokens"},
                  {"for the image", fixed(plain.images, 3), fixed(ours.images, 3)},
                  {"for the patches under the shape", fixed(plain.patches, 3), fixed(ours.patches, 3)},
                  {"overlap of \"cosine > 0.5\" with the shape", fixed(plain.overlap, 3), fixed(ours.overlap, 3)}});
    lesson.why(
        "the same frozen tokens, three small matrices, captions only, and more patches name their shape. (On photographs the paper "
        "counts 28 of 100 patches with plain CLIP and 97 with PACL.) But patches far from the shape name it too: in so small a "
        "CLIP attention has already written what is in the image into every token. A head cannot recover a position that the tokens have lost.");
    return ours;
}

static Found step_5_local(Lesson& lesson, pacl::Weights& w, const Frozen& frozen, const WordList& words,
                          const std::vector<Placed>& test, const Found& on_clip, int steps, int seed) {
    lesson.step("What if tokens know only their neighbours?", "f_n = a patch and its eight neighbours, raw",
                "the same head, the same captions");
    PaclLoss objective(w, head_config(frozen), frozen, words, seed);
    lesson.code();
    trained(objective, pacl::parameters(w), steps, "the head on local patches");
    Matrix map;
    const Found ours = found_by_head(w, frozen, words, test, 1, map);
    lesson.pictures({{name_of(all_shapes()[1]), picture(test[1].image, lesson.colours)},
                     {"covered patches", heat_map(test[1].patches, lesson.colours)},
                     {"PACL: cosine of each patch", heat_map(map, lesson.colours)}});
    lesson.table({{"of 20 captions the right one", "on CLIP's tokens", "on local ones"},
                  {"for the image", fixed(on_clip.images, 3), fixed(ours.images, 3)},
                  {"for the patches under the shape", fixed(on_clip.patches, 3), fixed(ours.patches, 3)},
                  {"overlap of \"cosine > 0.5\" with the shape", fixed(on_clip.overlap, 3), fixed(ours.overlap, 3)}});
    lesson.why(
        "no mask was ever shown, and yet the map has the position and the size of the shape: only patches near it can fit its caption. "
        "The tokens of a large ViT on photographs lie between these two cases.");
    return ours;
}

static ColouredShape shape_named(const std::string& name) {
    for (const ColouredShape shape : all_shapes())
        if (name_of(shape) == name) return shape;
    require(false, "\"", name, "\" is not a colour and a shape, such as \"red disc\"");
    return {};
}

// The sentence that each patch fits best, as an image: the brightness of patch n is the number of its sentence.
static Matrix best_sentences(const Matrix& scores) {
    Matrix map(grid, grid);
    for (int n = 0; n < grid * grid; ++n) map[n] = static_cast<float>(argmax_row(scores, n));
    return map;
}

static void show_map(Lesson& lesson, const Image& image, const std::vector<ColouredShape>& asked, const Matrix& scores) {
    std::vector<Captioned> shown{{"image", picture(image, lesson.colours)}};
    for (std::size_t c = 0; c < asked.size(); ++c)
        shown.push_back(
            {"\"" + name_of(asked[c]) + "\"", heat_map(as_grid(slice_cols(scores, static_cast<int>(c), 1)), lesson.colours)});
    if (asked.size() > 1) shown.push_back({"the best of each patch", heat_map(best_sentences(scores), lesson.colours)});
    lesson.pictures(shown);
}

static std::vector<ColouredShape> shapes_named(const std::string& list) {
    std::vector<ColouredShape> shapes;
    for (const std::string& name : parts_of_list(list)) shapes.push_back(shape_named(name));
    return shapes;
}

// The scores of all patches with the captions of these shapes, (N, shapes).
static Matrix patch_scores(const Image& image, const std::vector<ColouredShape>& asked, const pacl::Weights& w,
                           const Frozen& frozen, const WordList& words) {
    const NoTape evaluation;
    const Var features = frozen.patches({image}), texts = frozen.texts(caption_tokens(asked, words));
    return pacl::segment(features, texts, side, side, w, head_config(frozen)).patch_scores.pixels.value();
}

static double step_6_two(Lesson& lesson, const pacl::Weights& w, const Frozen& frozen, const WordList& words,
                         const Choices& choices) {
    lesson.step("What if an image holds two shapes?", "argmax over sentences", "no image of training held two");
    std::vector<ColouredShape> asked = shapes_named(choices.text);
    if (asked.size() != 2) asked = shapes_named(Choices().text);
    Random random(4);
    Placed both = placed_at(asked[0], 7, 6, random);
    paint_shape(both.image, asked[1], 16, 17, reach);
    const Matrix scores = patch_scores(both.image, asked, w, frozen, words);  // (N, 2)
    show_map(lesson, both.image, asked, scores);
    const Matrix where_first = both.patches, where_second = covered(asked[1], 16, 17);
    double right = 0, all = 0;
    for (int n = 0; n < grid * grid; ++n) {
        if (where_first[n] == 1) right += scores(n, 0) > scores(n, 1);
        if (where_second[n] == 1) right += scores(n, 1) > scores(n, 0);
        all += where_first[n] + where_second[n];
    }
    lesson.say("Of the ", static_cast<int>(all), " patches under the two shapes, ", static_cast<int>(right),
               " choose their own sentence.");
    lesson.why(
        "a sentence can be asked for after training, so the classes of the map are whatever is written: that is open vocabulary.");
    return right / all;
}

static void step_own(Lesson& lesson, const pacl::Weights& w, const Frozen& frozen, const WordList& words,
                     const Choices& choices) {
    lesson.step("Where are the shapes in yours?", "argmax over sentences", choices.image);
    const Image own = own_image(choices.image, side);
    const std::vector<ColouredShape> asked = shapes_named(choices.text);
    show_map(lesson, own, asked, patch_scores(own, asked, w, frozen, words));
    lesson.say("As the model sees it, ", side, " x ", side,
               " pixels; bright patches fit the sentence. Background has no sentence of its own "
               "here, so in the last map every patch chooses one.");
}

// --- where weighting helps: the paper's setting with simulated encoders ---

namespace {
// 6 classes and a background have a direction among patch features and another, unrelated one among text features.
struct Simulated {
    Matrix vision, text;  // (7, 24), (6, 16)
    int object = 2;       // side of the object, in patches

    explicit Simulated(Random& random) : vision(normal_matrix(random, 7, 24)), text(normal_matrix(random, 6, 16)) {
        for (Matrix* m : {&vision, &text}) *m = unit_rows(*m).value();
    }

    // Features of an image: background, and an object somewhere, each with noise.
    Matrix patches(int label, Random& random, std::vector<char>* inside = nullptr) const {
        const int top = random.below(grid - object + 1), left = random.below(grid - object + 1);
        Matrix features(grid * grid, vision.cols);
        for (int n = 0; n < features.rows; ++n) {
            const int y = n / grid - top, x = n % grid - left;
            const bool in = y >= 0 && x >= 0 && y < object && x < object;
            if (inside != nullptr) inside->push_back(in);
            const float noise = 0.9f / std::sqrt(static_cast<float>(vision.cols));
            for (int j = 0; j < features.cols; ++j) features(n, j) = vision(in ? label : 6, j) + noise * random.normal();
        }
        return features;
    }
    Matrix caption(int label, Random& random) const {
        Matrix features(1, text.cols);
        const float noise = 0.3f / std::sqrt(static_cast<float>(text.cols));
        for (int j = 0; j < features.cols; ++j) features(0, j) = text(label, j) + noise * random.normal();
        return features;
    }
};

enum class Pooling { weights, mean };

// phi with every patch weighing the same: what CLIP-like mean pooling of the same head gives.
Var compatibility_of(const Var& patches, const Var& texts, const pacl::Weights& w, const pacl::Config& config, Pooling pooling) {
    const pacl::Steps steps = pacl::forward(patches, texts, w, config);
    if (pooling == Pooling::weights) return steps.compatibility;
    return reshape(row_means(steps.similarity), steps.compatibility.rows(), steps.compatibility.cols());
}

struct SimulatedLoss : Objective {
    const Simulated& world;
    pacl::Weights& w;
    const pacl::Config& config;
    Pooling pooling;
    Random random;

    SimulatedLoss(const Simulated& world, pacl::Weights& w, const pacl::Config& config, Pooling pooling, int seed)
        : world(world), w(w), config(config), pooling(pooling), random(6000 + seed) {}

    Var loss(int) override {
        std::vector<Var> patches, texts;
        for (int b = 0; b < 6; ++b) {  // each class once: no false negatives
            patches.push_back(world.patches(b, random));
            texts.push_back(world.caption(b, random));
        }
        const Var phi = compatibility_of(concat_rows(patches), concat_rows(texts), w, config, pooling);
        return contrastive(multiply(phi, exp(w.log_scale))).loss;
    }
};
}  // namespace

static double simulated_accuracy(Simulated world, int object, const pacl::Weights& w, const pacl::Config& config, Pooling pooling,
                                 int seed) {
    const NoTape evaluation;
    Random random(8000 + seed);
    world.object = object;
    std::vector<Var> patches;
    std::vector<int> labels;
    for (int i = 0; i < 300; ++i) {
        labels.push_back(i % 6);
        patches.push_back(world.patches(i % 6, random));
    }
    return accuracy(compatibility_of(concat_rows(patches), world.text, w, config, pooling).value(), labels);
}

static void step_7_small(Lesson& lesson, int seed) {
    lesson.step("When do the weights help?", "softmax-weighted against plain mean", "simulated encoders, 6 classes");
    Random random(seed);
    const Simulated world(random);
    const pacl::Config config{.rows = grid, .cols = grid, .vision_width = 24, .text_width = 16, .width = 16};
    std::vector<std::vector<std::string>> rows{{"image accuracy, chance 0.167", "object 2 x 2 of 6 x 6", "object of 1 patch"}};
    double small[2] = {};
    for (const Pooling pooling : {Pooling::weights, Pooling::mean}) {
        pacl::Weights w = pacl::make_weights(config, random);
        SimulatedLoss objective(world, w, config, pooling, seed);
        trained(objective, pacl::parameters(w), 300, pooling == Pooling::weights ? "weighted" : "mean");
        const double large = simulated_accuracy(world, 2, w, config, pooling, seed);
        const double one = small[static_cast<int>(pooling)] = simulated_accuracy(world, 1, w, config, pooling, seed);
        rows.push_back({pooling == Pooling::weights ? "PACL" : "mean of the patches", fixed(large, 3), fixed(one, 3)});
    }
    lesson.table(rows);
    lesson.why(
        "one patch among 36 is a 36th of the mean, less than the noise of the others. A softmax lets it weigh several times as "
        "much. Both heads were trained on objects of 2 x 2 patches.");
    lesson.claim_at_least("accuracy on objects of one patch gained by the weights", small[0] - small[1], 0.03);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const WordList words = shape_words({"<pad>"}, {"<start>", "<end>"});
    check_own(choices.image, choices.text, words);
    const clip::Config clip_sizes = clip_config(words);
    Random random(seed);
    clip::Weights clip_weights = clip::make_weights(clip_sizes, random);
    const Frozen frozen{clip_weights, clip_sizes}, local{clip_weights, clip_sizes, Encoder::neighbours};
    const std::vector<Placed> test = test_images(5, seed);
    pacl::Weights w = pacl::make_weights(head_config(frozen), random), w_local = pacl::make_weights(head_config(local), random);

    const Found plain = step_1_clip(lesson, clip_weights, frozen, words, test, choices.clip_steps, seed);
    step_2_weigh(lesson, w, head_config(frozen), frozen, words);
    const std::vector<float> losses = step_3_train(lesson, w, head_config(frozen), frozen, words, choices.steps, seed);
    const Found ours = step_4_map(lesson, w, frozen, words, test, plain);
    const Found near = step_5_local(lesson, w_local, local, words, test, ours, choices.steps, seed);
    const double two = step_6_two(lesson, w_local, local, words, choices);
    step_7_small(lesson, seed);
    if (!choices.image.empty()) step_own(lesson, w_local, local, words, choices);
    lesson.say("Next: vit/language/coca also writes captions.");

    lesson.step("Does it hold?");
    lesson.claim_at_least("patches under a shape that name it, of 20 captions, gained over plain CLIP",
                          ours.patches - plain.patches, 0.1);
    lesson.claim_at_least("patches under a shape that name it, on local tokens", near.patches, 0.75);
    lesson.claim_at_least("overlap of the map with the shape, local tokens less CLIP's", near.overlap - ours.overlap, 0.1);
    lesson.claim_at_least("patches of two shapes that choose their own sentence", two, 0.7);
    lesson.claim_at_most("loss of the last step as a fraction of the first", losses.back() / losses.front(), 0.5);
}

int main(int argc, char** argv) {
    Options options("vit/language/pacl", "Locates words in an image, learned from captions only.", "10 seconds on two cores");
    Choices choices;
    options.add("clip-steps", choices.clip_steps, "training steps of the frozen CLIP", 1, 100'000);
    options.add("steps", choices.steps, "training steps of the head", 1, 100'000);
    options.add("text", choices.text, "shapes to look for, separated by semicolons; two of them are painted in step 6");
    options.add("image", choices.image, "a PPM or PNG file to look for them in");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
