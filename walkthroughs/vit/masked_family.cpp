// masked_family.cpp: eight targets of masked image modelling, compared.
//
//   papers   one for each row of the table in vit/README.md
//   shows    that masked image modelling is one method with eight targets: the same digits, the same blocks with the same initial
//            weights, the same recipe; a linear probe with few labels then measures what each target has taught them, and several
//            seeds tell which differences are chance
//   symbols  B images   N = 16 patches   D = 32 width   M masked patches   K labels of each digit
//   before   the lesson of each method: mae, simmim, videomae, maskfeat, data2vec, eva, beit_v2, maskgit
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "nn/base/parallel.h"
#include "nn/data/idx.h"
#include "nn/interpret/ridge_probe.h"
#include "nn/layers/norm.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/mask_latents/beit_v2.h"
#include "vit/mask_latents/data2vec.h"
#include "vit/mask_latents/eva.h"
#include "vit/mask_latents/maskgit.h"
#include "vit/mask_latents/maskgit_vqgan.h"
#include "vit/mask_pixels/mae.h"
#include "vit/mask_pixels/maskfeat.h"
#include "vit/mask_pixels/masking.h"
#include "vit/mask_pixels/simmim.h"
#include "vit/mask_pixels/videomae.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"
#include "walkthroughs/lesson/side_by_side.h"

struct Choices {
    int steps = 400;
    int teacher_steps = 150;
    int seeds = 3;
    bool whole = false;
};

static const int width = 32, depth = 2, heads = 4, mlp_width = 64, classes = 10, masked = 8, batch = 32;
static const PatchGrid grid{.height = 8, .width = 8, .patch_size = 2, .channels = 1};
static const int N = grid.count();
static const Init xavier{.draw = Draw::xavier_uniform};

// --- the images ---

namespace {
struct Digits {
    Dataset dataset = digits_to_restore();                                  // mean 0, standard deviation 1
    std::vector<int> train = read_idx_labels(DatasetFiles().train_labels);  // which digit each is: for the probe, and the teacher
    std::vector<int> test = read_idx_labels(DatasetFiles().test_labels);
};
}  // namespace

// `count` of the images to train on, by number.
static std::vector<int> draw_numbers(const Digits& digits, int count, Random& random) {
    std::vector<int> numbers;
    for (int b = 0; b < count; ++b) numbers.push_back(random.below(static_cast<int>(digits.dataset.train.size())));
    return numbers;
}

static std::vector<Image> images_of(const Digits& digits, const std::vector<int>& numbers) {
    std::vector<Image> images;
    for (const int k : numbers) images.push_back(digits.dataset.train[k]);
    return images;
}

// Pixels from 0 to 1, as the tokenizers read them.
static std::vector<Image> light_of(const std::vector<Image>& images, const Digits& digits) {
    std::vector<Image> light;
    for (const Image& image : images) light.push_back(as_light(image, digits.dataset));
    return light;
}

// Rows n N ... n N + N - 1 of every image.
static std::vector<int> rows_of(const std::vector<int>& numbers) {
    std::vector<int> rows;
    for (const int k : numbers)
        for (int n = 0; n < N; ++n) rows.push_back(k * N + n);
    return rows;
}

// --- the encoder that all share ---

static vit::Config encoder_config(int of_classes = 0) {
    return {.grid = grid,
            .width = width,
            .depth = depth,
            .heads = heads,
            .mlp_width = mlp_width,
            .classes = of_classes,
            .eps = 1e-6f};
}

// The initial weights that all methods share.
static vit::Weights first_encoder(int seed) {
    Random random(seed);
    return vit::make_weights(encoder_config(), random, xavier);
}

// The tokens of whole images after the last block, without [cls]: (B*N, D).
static Matrix tokens_of(const std::vector<Image>& images, const vit::Weights& w) {
    const vit::Steps steps = vit::forward(images, w, encoder_config());
    return drop_first_of_each(steps.encoder.output, N + 1).value();
}

// One row for each image: the mean of its tokens, each normalised.   (B*N, D) -> (B, D)
static Matrix mean_tokens(const Matrix& tokens) {
    const Var normed = layer_norm(tokens, Norm{}, 1e-6f);
    return scale(segment_sums(normed, Segments::equal(tokens.rows / N, N)), 1.0f / static_cast<float>(N)).value();
}

// The same with all tokens concatenated.   (B*N, D) -> (B, N*D)
static Matrix all_tokens(const Matrix& tokens) {
    return reshape(layer_norm(tokens, Norm{}, 1e-6f).value(), tokens.rows / N, N * tokens.cols);
}

// --- pre-trained teachers and tokenizers ---

namespace {
// Targets that some methods need, precomputed for all images.
struct Prepared {
    Matrix features, test_features;  // (train*N, D), (test*N, D)  of a teacher trained on class names: for EVA
    std::vector<int> concepts;       // train*N  codes of these features: for BEiT v2
    int concept_count = 0;
    std::vector<int> tokens, test_tokens;  // train*N, test*N  codes that reconstruct pixels: for MaskGIT
    int codebook_size = 0;
};

// Classifies the mean of the patch tokens, so that every patch token holds the class. It stands for CLIP.
struct NameTeacher : Objective {
    const Digits& digits;
    vit::Weights w;
    Linear names;  // (D, 10)
    Random random;

    NameTeacher(const Digits& digits, int seed) : digits(digits), random(seed) {
        w = vit::make_weights(encoder_config(), random, xavier);
        names = make_linear(random, width, classes, xavier);
    }

    // (B*N, D), after the last norm
    Var features(const std::vector<Image>& images) const {
        return drop_first_of_each(vit::forward(images, w, encoder_config()).norm, N + 1);
    }

    Var loss(int) override {
        const std::vector<int> numbers = draw_numbers(digits, batch, random);
        const Var each = linear(features(images_of(digits, numbers)), names);  // (B*N, 10)
        std::vector<int> labels;
        for (const int k : numbers) labels.insert(labels.end(), N, digits.train[k]);
        return cross_entropy(each, labels);
    }

    Parameters table() const {
        Parameters all = vit::parameters(w, encoder_config());
        add_parameters(all, "names", names);
        return all;
    }
};

// BEiT v2, stage 1: a few codes that reconstruct the teacher's features.
struct ConceptTokenizer : Objective {
    const Digits& digits;
    const Matrix& features;
    beit_v2::TokenizerConfig config{.grid = grid,
                                    .width = width,
                                    .encoder_depth = 1,
                                    .decoder_depth = 1,
                                    .heads = heads,
                                    .mlp_ratio = 2,
                                    .codes = 32,
                                    .code_width = 8,
                                    .teacher_width = width,
                                    .decay = 0.95f};
    beit_v2::TokenizerWeights w;
    Random random;

    ConceptTokenizer(const Digits& digits, const Matrix& features, int seed) : digits(digits), features(features), random(seed) {
        w = beit_v2::make_weights(config, random, xavier);
        const NoTape evaluation;
        beit_v2::start_codebook(
            w, beit_v2::tokenize(light_of(images_of(digits, draw_numbers(digits, batch, random)), digits), w, config), random);
    }

    Var loss(int) override {
        const std::vector<int> numbers = draw_numbers(digits, batch, random);
        const beit_v2::TokenizerSteps steps = beit_v2::tokenize(light_of(images_of(digits, numbers), digits), w, config);
        beit_v2::update_codebook(w, steps, config);
        return beit_v2::loss(steps, gather_rows(features, rows_of(numbers)).value(), config);
    }
};

// MaskGIT's tokenizer: codes that reconstruct the pixels, one for each patch.
struct PixelTokenizer : Objective {
    const Digits& digits;
    maskgit_vqgan::Config config{.channels = 1,
                                 .filters = 8,
                                 .multipliers = {1, 2},
                                 .res_blocks = 1,
                                 .groups = 4,
                                 .code_width = 8,
                                 .codes = 32,
                                 .entropy_ratio = 0.1f,
                                 .entropy_temperature = 0.5f};
    maskgit_vqgan::Weights w;
    Random random;

    PixelTokenizer(const Digits& digits, int seed) : digits(digits), random(seed) {
        w = maskgit_vqgan::make_weights(config, random);
    }

    Var loss(int) override {
        const std::vector<Image> images = light_of(images_of(digits, draw_numbers(digits, batch, random)), digits);
        return maskgit_vqgan::losses(maskgit_vqgan::forward(images, w, config), images, config).total;
    }

    std::vector<int> tokens_of(const std::vector<Image>& images) const {
        const NoTape evaluation;
        return maskgit_vqgan::forward(light_of(images, digits), w, config).quantized.ids;
    }
};
}  // namespace

namespace {
// One of several trainings that run side by side, with what it does after each of its own steps.
struct OneOfAll : Watcher {
    SharedProgress& all;
    std::function<void(int)> then;

    OneOfAll(SharedProgress& all, std::function<void(int)> then) : all(all), then(std::move(then)) {}
    bool after_step(int step, float) override {
        then(step);
        all.count_step();
        return true;
    }
};
}  // namespace

static void learn(
    Objective& objective, const Parameters& table, int steps, SharedProgress& progress,
    std::function<void(int)> then = [](int) {}) {
    OneOfAll watcher(progress, std::move(then));
    train(objective, nothing_decays(variables(table)), restoring_recipe(steps), &watcher);
}

static const int trainings_to_prepare = 3;

static Prepared prepare(const Digits& digits, int steps, int seed, SharedProgress& progress) {
    Prepared made;
    NameTeacher teacher(digits, seed + 100);
    learn(teacher, teacher.table(), steps, progress);
    {
        const NoTape evaluation;
        made.features = teacher.features(digits.dataset.train).value();
        made.test_features = teacher.features(digits.dataset.test).value();
    }
    ConceptTokenizer concepts(digits, made.features, seed + 200);
    learn(concepts, beit_v2::parameters(concepts.w, concepts.config), steps, progress);
    {
        const NoTape evaluation;
        const std::vector<Image> light = light_of(digits.dataset.train, digits);
        made.concepts = beit_v2::tokenize(light, concepts.w, concepts.config).quantized.ids;
        made.concept_count = concepts.config.codes;
    }
    PixelTokenizer pixels(digits, seed + 300);
    learn(pixels, maskgit_vqgan::parameters(pixels.w, pixels.config), steps, progress);
    made.tokens = pixels.tokens_of(digits.dataset.train);
    made.test_tokens = pixels.tokens_of(digits.dataset.test);
    made.codebook_size = pixels.config.codes;
    return made;
}

// --- the eight ---

namespace {
// A method: its loss, and the output of its encoder for whole images.
struct Method : Objective {
    const Digits& digits;
    const Prepared& prepared;
    vit::Weights encoder;
    Random random;

    Method(const Digits& digits, const Prepared& prepared, int seed)
        : digits(digits), prepared(prepared), encoder(first_encoder(seed)), random(1000 + seed) {}

    virtual Parameters table() const = 0;
    // Tokens of all images to train on, or of all to test on: (count*N, D).
    virtual Matrix tokens(bool of_test) const { return tokens_of(of_test ? digits.dataset.test : digits.dataset.train, encoder); }
    virtual void after_update(int) {}  // after step 0, 1, ...

    std::vector<int> numbers() { return draw_numbers(digits, batch, random); }
    Matrix mask() { return draw_masks(random, batch, N, masked); }
};

struct Mae : Method {
    mae::Config config{.grid = grid,
                       .width = width,
                       .depth = depth,
                       .heads = heads,
                       .decoder_width = width,
                       .decoder_depth = 1,
                       .decoder_heads = heads,
                       .mlp_ratio = 2,
                       .mask_ratio = 0.5,
                       .normalise_targets = false};
    mae::Weights w;

    Mae(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(mae::make_weights(config, random)) {
        w.encoder = encoder;
    }
    Parameters table() const override { return mae::parameters(w, config); }

    Var loss(int) override {
        const std::vector<Image> images = images_of(digits, numbers());
        return mae::loss(mae::forward(images, uniform_matrix(random, batch, N), w, config), config);
    }
};

struct SimMim : Method {
    simmim::Config config{.grid = grid,
                          .mask_unit = 2,
                          .mask_ratio = 0.5,
                          .width = width,
                          .depth = depth,
                          .heads = heads,
                          .mlp_ratio = 2,
                          .layer_scale = {},
                          .absolute_positions = true,
                          .shared_relative_bias = false};
    simmim::Weights w;

    SimMim(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(simmim::make_weights(config, random)) {
        w.encoder = encoder;
    }
    Parameters table() const override { return simmim::parameters(w, config); }
    Var loss(int) override { return simmim::loss(simmim::forward(images_of(digits, numbers()), mask(), w, config), config); }
};

// Every image is a clip of two equal frames. Its projection reads both; the blocks are those of the others.
struct VideoMae : Method {
    videomae::Config config{.grid = grid,
                            .frames = 2,
                            .tubelet = 2,
                            .mask_ratio = 0.5,
                            .width = width,
                            .depth = depth,
                            .heads = heads,
                            .decoder_width = width,
                            .decoder_depth = 1,
                            .decoder_heads = heads,
                            .mlp_ratio = 2,
                            .normalise_targets = false,
                            .channel_mean = {},
                            .channel_std = {}};
    videomae::Weights w;

    VideoMae(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(videomae::make_weights(config, random)) {
        w.encoder.blocks = encoder.blocks;
    }
    Parameters table() const override { return videomae::parameters(w, config); }

    static std::vector<videomae::Clip> clips_of(const std::vector<Image>& images) {
        std::vector<videomae::Clip> clips;
        for (const Image& image : images) clips.push_back({image, image});
        return clips;
    }

    Var loss(int) override {
        const std::vector<videomae::Clip> clips = clips_of(images_of(digits, numbers()));
        return videomae::loss(videomae::forward(clips, mask(), w, config), videomae::targets(clips, config));
    }

    Matrix tokens(bool of_test) const override {
        const std::vector<videomae::Clip> clips = clips_of(of_test ? digits.dataset.test : digits.dataset.train);
        const Var cubes = linear(videomae::targets(clips, config), w.encoder.projection);  // (B*N, D)
        const Attending how{.segments = Segments::equal(static_cast<int>(clips.size()), N)};
        const BlockOptions options = vit::block_options(encoder_config());
        return stack(add_repeated(cubes, w.encoder.positions), w.encoder.blocks, options, {.self = how}).output.value();
    }
};

struct MaskFeat : Method {
    maskfeat::Config config{
        .grid = grid, .hog = {.bins = 9, .cell = 2}, .width = width, .depth = depth, .heads = heads, .mlp_ratio = 2};
    maskfeat::Weights w;

    MaskFeat(const Digits& d, const Prepared& p, int seed)
        : Method(d, p, seed), w(maskfeat::make_weights(config, random, xavier)) {
        w.encoder = encoder;
    }
    Parameters table() const override { return maskfeat::parameters(w, config); }

    Var loss(int) override {
        const std::vector<Image> images = images_of(digits, numbers());
        return maskfeat::loss(maskfeat::forward(images, mask(), w, config), maskfeat::targets(images, config));
    }
};

// The blocks of the encoder, in the order of the paper (norms after the sublayers), and their moving average.
struct Data2vec : Method {
    data2vec::Config config{.width = width,
                            .depth = depth,
                            .heads = heads,
                            .mlp_width = mlp_width,
                            .average_layers = depth,
                            .head_layers = 1,
                            .beta = 0,
                            .loss_scale = 0,
                            .average = {.start = 0.99, .end = 0.999, .updates = 500},
                            .vocabulary = 0};
    data2vec::Weights w;
    Var mask_token;  // (1, D)

    Data2vec(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(data2vec::make_weights(config, random)) {
        w.student.blocks = encoder.blocks;
        w.teacher.blocks = first_encoder(seed).blocks;
        w.head = {make_linear(random, width, width, xavier)};
        mask_token = make_weight(random, 1, width, xavier);
    }

    Parameters table() const override {
        Parameters all = data2vec::trained_parameters(w, config);
        for (const Var& part : {mask_token, encoder.projection.weight, encoder.projection.bias, encoder.positions})
            all.push_back({"embedding", {part.rows(), part.cols()}, Stored::as_it_is, {part}});
        return all;
    }

    // (B*N, D)  of the patches, masked ones covered
    Var embedded(const std::vector<Image>& images, const Matrix& mask) const {
        const Var patches = linear(patchify_all(images, grid, "data2vec"), encoder.projection);
        return add_repeated(cover(patches, mask_token, mask), slice_rows(encoder.positions, 1, N));
    }

    static Attending attending_in(const std::vector<Image>& images) {
        return {.segments = Segments::equal(static_cast<int>(images.size()), N)};
    }

    Var loss(int) override {
        const std::vector<Image> images = images_of(digits, numbers());
        const Attending how = attending_in(images);
        const Matrix covered = mask();
        const Matrix targets = data2vec::make_targets(embedded(images, Matrix(batch, N)), how, w, config).targets;  // (B*N, D)
        return data2vec::mean_loss(data2vec::predict(embedded(images, covered), covered, how, targets, w, config), config);
    }

    void after_update(int step) override { data2vec::update_teacher(w, config, step); }

    Matrix tokens(bool of_test) const override {
        const std::vector<Image>& images = of_test ? digits.dataset.test : digits.dataset.train;
        const Var rows = embedded(images, Matrix(static_cast<int>(images.size()), N));
        const BlockOptions options{.heads = heads, .eps = config.eps, .order = Order::post};
        return stack(rows, w.student.blocks, options, {.self = attending_in(images)}).output.value();
    }
};

struct Eva : Method {
    eva::Config config{
        .grid = grid, .width = width, .depth = depth, .heads = heads, .mlp_width = mlp_width, .feature_width = width};
    eva::Weights w;

    Eva(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(eva::make_weights(config, random)) {
        w.encoder = encoder;
    }
    Parameters table() const override { return eva::parameters(w, config); }

    Var loss(int) override {
        const std::vector<int> which = numbers();
        const Matrix features = gather_rows(prepared.features, rows_of(which)).value();
        return eva::loss(eva::forward(images_of(digits, which), mask(), w, config), features);
    }
};

struct BeitV2 : Method {
    beit_v2::Config config{.grid = grid,
                           .width = width,
                           .depth = depth,
                           .heads = heads,
                           .mlp_ratio = 2,
                           .layer_scale = {},
                           .absolute_positions = true,
                           .shared_relative_bias = false,
                           .codes = prepared.concept_count,
                           .early_block = 1,
                           .head_depth = 1};
    beit_v2::Weights w;

    BeitV2(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(beit_v2::make_weights(config, random, xavier)) {
        w.encoder = encoder;
    }
    Parameters table() const override { return beit_v2::parameters(w, config); }

    Var loss(int) override {
        const std::vector<int> which = numbers();
        const beit_v2::Steps steps = beit_v2::forward(images_of(digits, which), mask(), w, config);
        std::vector<int> tokens;
        for (const int row : rows_of(which)) tokens.push_back(prepared.concepts[row]);
        return beit_v2::loss(steps, beit_v2::masked_tokens(tokens, steps));
    }
};

// Reads codes instead of pixels; all images are of one class.
struct MaskGit : Method {
    maskgit::Config config{.codebook_size = prepared.codebook_size,
                           .classes = 1,
                           .down = grid.down(),
                           .across = grid.across(),
                           .width = width,
                           .depth = depth,
                           .heads = heads,
                           .mlp_width = mlp_width,
                           .label_smoothing = 0};
    maskgit::Weights w;

    MaskGit(const Digits& d, const Prepared& p, int seed) : Method(d, p, seed), w(maskgit::make_weights(config, random)) {
        w.blocks = encoder.blocks;
    }
    Parameters table() const override { return maskgit::parameters(w, config); }

    Var loss(int) override {
        std::vector<int> tokens;
        for (const int row : rows_of(numbers())) tokens.push_back(prepared.tokens[row]);
        std::vector<float> r;
        for (int b = 0; b < batch; ++b) r.push_back(random.uniform());
        const maskgit::MaskedBatch masked =
            maskgit::mask_tokens(tokens, std::vector<int>(batch, 0), r, uniform_matrix(random, batch, N), {}, config);
        return maskgit::loss(maskgit::forward(masked.ids, w, config), masked, config);
    }

    Matrix tokens(bool of_test) const override {
        const std::vector<int>& tokens = of_test ? prepared.test_tokens : prepared.tokens;
        std::vector<int> ids;
        for (std::size_t k = 0; k < tokens.size(); ++k) {
            if (k % N == 0) ids.push_back(config.codebook_size);  // the class, in front
            ids.push_back(tokens[k]);
        }
        return drop_first_of_each(maskgit::forward(ids, w, config).encoder.output, N + 1).value();
    }
};
}  // namespace

// --- the linear probe ---

// `count` images of each digit, by number.
static std::vector<int> few_of_each(const std::vector<int>& labels, int count, Random& random) {
    std::vector<int> taken(classes, 0), few;
    for (const int k : permutation(random, static_cast<int>(labels.size())))
        if (taken[labels[k]]++ < count) few.push_back(k);
    return few;
}

static constexpr int draws = 5;

// Test accuracy of a linear probe trained on `count` labels of each digit: the mean over five draws of the labels.
//   train, test  a row for each image
static double probe(const Matrix& train, const Matrix& test, const Digits& digits, int count) {
    double right = 0;
    for (int draw = 0; draw < draws; ++draw) {
        Random random(5'000'000 + draw);  // the same labels for all methods
        const std::vector<int> few = few_of_each(digits.train, count, random);
        std::vector<int> labels;
        for (const int k : few) labels.push_back(digits.train[k]);
        right += ridge_probe(gather_rows(train, few).value(), labels, test, digits.test, classes, 1e-2) / draws;
    }
    return right;
}

namespace {
// A column of the table.
struct Question {
    int labels;  // of each digit
    bool all;    // probed on all tokens concatenated, not on their mean
    const char* name;
};

// A row of the table: what was probed, and the accuracy of each probe for every seed.
struct Probed {
    std::string name;
    std::vector<std::vector<double>> accuracies;
};

// What is compared, from every seed.
struct Results {
    std::vector<Probed> methods;        // the eight
    Probed pixels, untrained, teacher;  // what they are compared with
};
}  // namespace

static const std::vector<Question> questions{{5, false, "mean, 5"}, {20, false, "mean, 20"}, {5, true, "all, 5"}};

// Adds one seed to a row.   train, test  tokens (count*N, D) of all images
static void add_probe(Probed& row, const Matrix& train, const Matrix& test, const Digits& digits) {
    for (std::size_t k = 0; k < questions.size(); ++k) {
        const bool all = questions[k].all;
        const Matrix known = all ? all_tokens(train) : mean_tokens(train), asked = all ? all_tokens(test) : mean_tokens(test);
        row.accuracies[k].push_back(probe(known, asked, digits, questions[k].labels));
    }
}

// The 64 pixels of each image have no mean token, and no seed.
static Probed probed_pixels(const Digits& digits) {
    const auto rows = [](const std::vector<Image>& images) {
        return reshape(patchify_all(images, grid, "pixels"), static_cast<int>(images.size()), grid.height * grid.width);
    };
    const Matrix known = rows(digits.dataset.train), asked = rows(digits.dataset.test);
    Probed row{"the pixels", std::vector<std::vector<double>>(questions.size())};
    for (std::size_t k = 0; k < questions.size(); ++k)
        if (questions[k].all) row.accuracies[k].push_back(probe(known, asked, digits, questions[k].labels));
    return row;
}

static double mean_of(const std::vector<double>& numbers) {
    double sum = 0;
    for (const double x : numbers) sum += x;
    return sum / static_cast<double>(numbers.size());
}

// Of a sample: divided by n - 1.
static double standard_deviation_of(const std::vector<double>& numbers) {
    const double mean = mean_of(numbers);
    double squares = 0;
    for (const double x : numbers) squares += (x - mean) * (x - mean);
    return std::sqrt(squares / static_cast<double>(numbers.size() - 1));
}

// "0.912", or over several seeds "0.912 (0.02)" with the standard deviation.
static std::string written(const std::vector<double>& numbers) {
    if (numbers.empty()) return "-";
    const std::string mean = fixed(mean_of(numbers), 3);
    return numbers.size() == 1 ? mean : mean + " (" + fixed(standard_deviation_of(numbers), 2) + ")";
}

// --- training the eight ---

namespace {
struct Kind {
    const char* name;
    std::unique_ptr<Method> (*make)(const Digits& digits, const Prepared& prepared, int seed);
};
}  // namespace

template <class M>
static std::unique_ptr<Method> make(const Digits& digits, const Prepared& prepared, int seed) {
    return std::make_unique<M>(digits, prepared, seed);
}

static const std::vector<Kind> the_eight{{"MAE", make<Mae>},           {"SimMIM", make<SimMim>},     {"VideoMAE", make<VideoMae>},
                                         {"MaskFeat", make<MaskFeat>}, {"data2vec", make<Data2vec>}, {"EVA", make<Eva>},
                                         {"BEiT v2", make<BeitV2>},    {"MaskGIT", make<MaskGit>}};

static Results no_results(const Digits& digits) {
    const std::vector<std::vector<double>> nothing(questions.size());
    Results results{.methods = {},
                    .pixels = probed_pixels(digits),
                    .untrained = {"encoder, untrained", nothing},
                    .teacher = {"the teacher", nothing}};
    for (const Kind& kind : the_eight) results.methods.push_back({kind.name, nothing});
    return results;
}

// Trains all eight from one seed, as many at once as there are threads, and adds them to the table.
static void run_seed(const Digits& digits, const Prepared& prepared, int steps, int seed, Results& results,
                     SharedProgress& progress) {
    parallel_for(static_cast<int>(the_eight.size()), [&](int k) {
        const std::unique_ptr<Method> method = the_eight[k].make(digits, prepared, seed);
        learn(*method, method->table(), steps, progress, [&](int step) { method->after_update(step); });
        const NoTape evaluation;
        add_probe(results.methods[k], method->tokens(false), method->tokens(true), digits);
    });
    const NoTape evaluation;
    const vit::Weights untrained = first_encoder(seed);
    add_probe(results.untrained, tokens_of(digits.dataset.train, untrained), tokens_of(digits.dataset.test, untrained), digits);
    add_probe(results.teacher, prepared.features, prepared.test_features, digits);
}

// --- the lesson ---

static void step_1_same(Lesson& lesson, const Digits& digits, int steps) {
    lesson.step("What is the same for all?", "blocks, their initial weights, images, recipe");
    const vit::Weights encoder = first_encoder(1);
    lesson.table({{"", "all eight"},
                  {"images", text(static_cast<int>(digits.dataset.train.size())) + " handwritten digits, no labels"},
                  {"tokens", text(N) + " patches of 2 x 2 pixels"},
                  {"blocks", text(depth) + ", width " + text(width) + ", " + text(heads) + " heads, MLP " + text(mlp_width)},
                  {"numbers in the encoder", text(static_cast<int>(count_numbers(vit::parameters(encoder, encoder_config()))))},
                  {"masked", text(masked) + " of " + text(N) + " patches; MaskGIT: a random fraction"},
                  {"recipe", text(steps) + " steps of " + text(batch) + " images, AdamW"}});
    lesson.why(
        "whatever differs in the end comes from the target, and from where the mask tokens enter. Three things cannot be the "
        "same: VideoMAE's projection reads two frames, here twice the same; data2vec has its norms after the sublayers; MaskGIT reads tokens. Their blocks still start from the same weights as the others.");
}

// The rows of one image as an image of its grid.
static Matrix grid_of_tokens(const std::vector<int>& tokens, int image) {
    Matrix shown(grid.down(), grid.across());
    for (int n = 0; n < N; ++n) shown[n] = static_cast<float>(tokens[image * N + n]);
    return shown;
}

// Trains the teacher and the tokenizers.
static Prepared step_2_targets(Lesson& lesson, const Digits& digits, int teacher_steps, int seed) {
    lesson.step("What is predicted?", "eight targets of one image");
    SharedProgress progress("a teacher and two vocabularies", trainings_to_prepare * teacher_steps);
    lesson.code();
    const Prepared prepared = prepare(digits, teacher_steps, seed, progress);
    const Image& image = digits.dataset.train[0];
    const Image light = as_light(image, digits.dataset);
    const Matrix descriptors = hog::describe(image, {.bins = 9, .cell = 2}).descriptors;
    lesson.pictures({{"pixels", picture(light, lesson.colours)},
                     {"HOG", picture(hog::roses(descriptors, 4, 4, 9, 5), lesson.colours)},
                     {"teacher's features", heat_map(slice_rows(prepared.features, 0, N), lesson.colours)}});
    lesson.pictures({{"tokens of features", heat_map(grid_of_tokens(prepared.concepts, 0), lesson.colours)},
                     {"tokens of pixels", heat_map(grid_of_tokens(prepared.tokens, 0), lesson.colours)}});
    lesson.table({{"method", "encoder sees", "predicts", "of each masked patch"},
                  {"MAE", "visible patches", "pixels", "4 numbers"},
                  {"SimMIM", "all, some covered", "pixels", "4 numbers"},
                  {"VideoMAE", "visible cubes", "pixels of two frames", "8 numbers"},
                  {"MaskFeat", "all, some covered", "HOG", "9 numbers"},
                  {"data2vec", "all, some covered", "its own average", text(width) + " numbers"},
                  {"EVA", "all, some covered", "teacher's features", text(width) + " numbers, a direction"},
                  {"BEiT v2", "all, some covered", "tokens of these features", "1 of " + text(prepared.concept_count)},
                  {"MaskGIT", "tokens, some masked", "tokens of pixels", "1 of " + text(prepared.codebook_size)}});
    lesson.why(
        "EVA and BEiT v2 have a teacher. In the papers it is CLIP, which has read captions; here it is a small ViT trained on "
        "the class labels. So these two learn from labels indirectly.");
    return prepared;
}

// Trains all eight from every seed.   first  what was prepared for the first seed
static Results train_all(Lesson& lesson, const Digits& digits, const Prepared& first, const Choices& choices, int seed) {
    std::vector<Prepared> prepared(choices.seeds);
    prepared[0] = first;
    {
        SharedProgress progress("teachers and vocabularies", trainings_to_prepare * choices.teacher_steps * (choices.seeds - 1));
        parallel_for(choices.seeds - 1,
                     [&](int k) { prepared[k + 1] = prepare(digits, choices.teacher_steps, seed + k + 1, progress); });
    }
    Results results = no_results(digits);
    SharedProgress progress("eight encoders", static_cast<int>(the_eight.size()) * choices.steps * choices.seeds);
    lesson.code(4);
    for (int k = 0; k < choices.seeds; ++k) {
        run_seed(digits, prepared[k], choices.steps, seed + k, results, progress);
        lesson.lines({"seed " + text(k + 1) + " of " + text(choices.seeds) + ": eight encoders trained and probed"});
    }
    return results;
}

// The rank of a method among the eight, by the first column: 1 is the best.
static int rank_of(const Probed& method, const Results& results, int seed) {
    int rank = 1;
    for (const Probed& other : results.methods) rank += other.accuracies[0][seed] > method.accuracies[0][seed];
    return rank;
}

// "1", or "2-4" when it differs from seed to seed.
static std::string ranks_of(const Probed& method, const Results& results) {
    int best = rank_of(method, results, 0), worst = best;
    for (int k = 1; k < static_cast<int>(method.accuracies[0].size()); ++k) {
        best = std::min(best, rank_of(method, results, k));
        worst = std::max(worst, rank_of(method, results, k));
    }
    return best == worst ? text(best) : text(best) + "-" + text(worst);
}

static std::vector<std::vector<std::string>> table_of(const Results& results) {
    std::vector<std::vector<std::string>> rows{{"digits read", "rank"}};
    for (const Question& question : questions) rows[0].push_back(question.name);
    const auto add_row = [&](const Probed& row, const std::string& rank) {
        rows.push_back({row.name, rank});
        for (const std::vector<double>& accuracies : row.accuracies) rows.back().push_back(written(accuracies));
    };
    add_row(results.pixels, "");
    add_row(results.untrained, "");
    for (const Probed& method : results.methods) add_row(method, ranks_of(method, results));
    add_row(results.teacher, "");
    return rows;
}

static const Probed& method_of(const Results& results, const std::string& name) {
    for (const Probed& method : results.methods)
        if (method.name == name) return method;
    throw std::logic_error("masked_family: no method " + name);
}

// The names of those that are above the untrained encoder in at least `least` and at most `most` of the seeds, by the first column.
static std::string above_untrained_in(const Results& results, int least, int most) {
    std::string names;
    for (const Probed& method : results.methods) {
        int above = 0;
        for (std::size_t k = 0; k < method.accuracies[0].size(); ++k)
            above += method.accuracies[0][k] > results.untrained.accuracies[0][k];
        if (above >= least && above <= most) names += (names.empty() ? "" : ", ") + method.name;
    }
    return names.empty() ? "none" : names;
}

// What the mean of the tokens loses: how much more is read off all of them, with as many labels. The mean over these methods.
static double lost_by_mean(const std::vector<Probed>& methods) {
    double lost = 0;
    for (const Probed& method : methods) lost += mean_of(method.accuracies[2]) - mean_of(method.accuracies[0]);
    return lost / static_cast<double>(methods.size());
}

static std::vector<Probed> methods_of(const Results& results, const std::vector<std::string>& names) {
    std::vector<Probed> some;
    for (const std::string& name : names) some.push_back(method_of(results, name));
    return some;
}

static const std::vector<std::string> of_one_patch{"MAE", "SimMIM", "VideoMAE", "MaskFeat"};  // their targets describe a patch

static Results step_3_probe(Lesson& lesson, const Digits& digits, const Prepared& prepared, const Choices& choices, int seed) {
    lesson.step("What has the encoder learned?", "linear probe", "digits of other writers");
    const Results results = train_all(lesson, digits, prepared, choices, seed);
    const auto best = std::max_element(results.methods.begin(), results.methods.end(), [](const Probed& a, const Probed& b) {
        return mean_of(a.accuracies[0]) < mean_of(b.accuracies[0]);
    });
    lesson.predict("Which of the eight is read best from the mean of its tokens, with 5 labels of each digit?", {best->name});
    lesson.table(table_of(results));
    const int seeds = choices.seeds;
    lesson.say(
        "The fraction of the test digits that is read right. The encoder is frozen; a ridge classifier reads the mean of its normalised tokens, or all "
        "of them beside one another, after 5 or 20 labels of each digit. Each number is the mean over ",
        draws, " draws of the labels and ", seeds,
        seeds == 1 ? " seed." : " seeds, in brackets the standard deviation between the seeds.",
        " The rank is that among the eight in the first column of numbers",
        seeds == 1 ? "." : ", in the best and the worst seed.");
    lesson.say("Read better than the encoder that they began with, in every seed: ", above_untrained_in(results, seeds, seeds),
               "; worse, in every seed: ", above_untrained_in(results, 0, 0),
               "; now better, now worse: ", above_untrained_in(results, 1, seeds - 1),
               ". A random encoder is not a bad reader of such small images.");
    lesson.why(
        "EVA comes nearest to its teacher, which knows all names: its target says of each patch what the whole image is, so "
        "the mean of the tokens says it too, and loses ",
        fixed(lost_by_mean(methods_of(results, {"EVA"})), 3),
        " against all of them. Targets that describe one patch, its pixels or edges, leave what is learned in its place: there "
        "the mean loses ",
        fixed(lost_by_mean(methods_of(results, of_one_patch)), 3), ", and in the untrained encoder ",
        fixed(lost_by_mean({results.untrained}), 3),
        ". Ranks that differ from seed to seed are not a ranking: between such methods this experiment does not decide.");
    lesson.predict(
        "which rows rise the most with --whole, 1000 steps from five seeds, and whether the untrained encoder is still a match.");
    return results;
}

// The mean of the first column over methods and seeds.
static double read_by(const std::vector<Probed>& methods) {
    double sum = 0;
    for (const Probed& method : methods) sum += mean_of(method.accuracies[0]);
    return sum / static_cast<double>(methods.size());
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Digits digits;
    step_1_same(lesson, digits, choices.steps);
    const Prepared prepared = step_2_targets(lesson, digits, choices.teacher_steps, seed);
    const Results results = step_3_probe(lesson, digits, prepared, choices, seed);
    const double of_names = read_by(methods_of(results, {"EVA", "BEiT v2"}));
    const double of_images = read_by(methods_of(results, {"MAE", "SimMIM", "VideoMAE", "MaskFeat", "data2vec", "MaskGIT"}));
    lesson.say("Next: vit/detect/vitdet uses a ViT as the backbone of a detector.");
    lesson.claim("EVA is read best of the eight in every seed, off the mean of its tokens",
                 ranks_of(method_of(results, "EVA"), results) == "1");
    lesson.claim_at_least("read off the mean, targets from a teacher of names less those from images alone", of_names - of_images,
                          0.1);
    lesson.claim_at_least("what the mean loses against all tokens: targets that describe a patch, less EVA",
                          lost_by_mean(methods_of(results, of_one_patch)) - lost_by_mean(methods_of(results, {"EVA"})), 0.1);
}

// "20 seconds on two cores", from what a step costs: of the eight together, and of all that is prepared.
static std::string duration_of(const Choices& choices) {
    const double per_seed = 0.6 + 0.013 * choices.steps + 0.012 * choices.teacher_steps;  // seconds
    const double seconds = per_seed * choices.seeds;
    if (seconds < 100) return text(static_cast<int>(std::ceil(seconds / 5)) * 5) + " seconds on two cores";
    return text(static_cast<int>(std::ceil(seconds / 60))) + " minutes on two cores";
}

int main(int argc, char** argv) {
    Options options("vit/masked_family", "Eight targets for the same encoder, and what each has taught it.", duration_of({}));
    Choices choices;
    const Choices whole{.steps = 1000, .teacher_steps = 400, .seeds = 5};
    options.add("steps", choices.steps, "training steps of each method", 1, 100'000);
    options.add("teacher-steps", choices.teacher_steps, "training steps of the teacher and of each tokenizer", 1, 100'000);
    options.add("seeds", choices.seeds, "runs from this many seeds; the table is their mean", 1, 100);
    options.add("whole", choices.whole, "1000 steps each from five seeds: " + duration_of(whole));
    for (const char* const name : {"steps", "teacher-steps", "seeds"}) options.excludes(name, "whole");
    options.read_or_exit(argc, argv);
    if (choices.whole) choices = whole;
    options.duration = duration_of(choices);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
