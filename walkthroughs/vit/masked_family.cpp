// masked_family.cpp: eight targets of masked image modelling, compared.
//
//   papers   one for each row of the table in vit/README.md
//   shows    that masked image modelling is one method with eight targets: the same digits, the same blocks with the same initial
//            weights, the same recipe; a linear probe with few labels then measures what each target has taught them
//   symbols  B pictures   N = 16 patches   D = 32 width   M hidden patches   K labels of each digit
//   before   the lesson of each method: mae, simmim, videomae, maskfeat, data2vec, eva, beit_v2, maskgit
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
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

struct Choices {
    int steps = 250;
    int teacher_steps = 150;
    int seeds = 1;
    bool whole = false;
};

static const int width = 32, depth = 2, heads = 4, mlp_width = 64, classes = 10, hidden = 8, batch = 32;
static const PatchGrid grid{.height = 8, .width = 8, .patch_size = 2, .channels = 1};
static const int N = grid.count();
static const Init xavier{.draw = Draw::xavier_uniform};

// --- the pictures ---

namespace {
struct Digits {
    Pictures pictures = digits_to_restore();                                // mean 0, standard deviation 1
    std::vector<int> train = read_idx_labels(PictureFiles().train_labels);  // which digit each is: for the probe, and the teacher
    std::vector<int> test = read_idx_labels(PictureFiles().test_labels);
};
}  // namespace

// `count` of the pictures to train on, by number.
static std::vector<int> draw_numbers(const Digits& digits, int count, Random& random) {
    std::vector<int> numbers;
    for (int b = 0; b < count; ++b) numbers.push_back(random.below(static_cast<int>(digits.pictures.train.size())));
    return numbers;
}

static std::vector<Image> images_of(const Digits& digits, const std::vector<int>& numbers) {
    std::vector<Image> images;
    for (const int k : numbers) images.push_back(digits.pictures.train[k]);
    return images;
}

// Pixels from 0 to 1, as the tokenizers read them.
static std::vector<Image> light_of(const std::vector<Image>& images, const Digits& digits) {
    std::vector<Image> light;
    for (const Image& image : images) light.push_back(as_light(image, digits.pictures));
    return light;
}

// Rows n N ... n N + N - 1 of every picture.
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

// What every method begins with.
static vit::Weights first_encoder(int seed) {
    Random random(seed);
    return vit::make_weights(encoder_config(), random, xavier);
}

// The tokens of whole pictures after the last block, without [cls]: (B*N, D).
static Matrix tokens_of(const std::vector<Image>& images, const vit::Weights& w) {
    const vit::Steps steps = vit::forward(images, w, encoder_config());
    return drop_first_of_each(steps.encoder.output, N + 1).value();
}

// One row for each picture: the mean of its tokens, each normalised.   (B*N, D) -> (B, D)
static Matrix mean_tokens(const Matrix& tokens) {
    const Var normed = layer_norm(tokens, Norm{}, 1e-6f);
    return scale(segment_sums(normed, Segments::equal(tokens.rows / N, N)), 1.0f / static_cast<float>(N)).value();
}

// The same with all of them beside one another.   (B*N, D) -> (B, N*D)
static Matrix all_tokens(const Matrix& tokens) {
    return reshape(layer_norm(tokens, Norm{}, 1e-6f).value(), tokens.rows / N, N * tokens.cols);
}

// --- teachers and tokenizers, trained before ---

namespace {
// What some methods need to have been made first, for all pictures that there are.
struct Prepared {
    Matrix features, test_features;  // (train*N, D), (test*N, D)  of a teacher that knows names: for EVA
    std::vector<int> concepts;       // train*N  words that describe these features: for BEiT v2
    int concept_count = 0;
    std::vector<int> words, test_words;  // train*N, test*N  words that rebuild pixels: for MaskGIT
    int word_count = 0;
};

// Names from the mean of the patch tokens, so that every patch learns to say what the picture shows. It stands for CLIP.
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

    std::vector<Var> variables() const {
        Parameters table = vit::parameters(w, encoder_config());
        add_parameters(table, "names", names);
        return ::variables(table);
    }
};

// BEiT v2, stage 1: few words that rebuild the teacher's features.
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

// MaskGIT's tokenizer: words that rebuild the pixels, one for each patch.
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

    std::vector<int> words_of(const std::vector<Image>& images) const {
        const NoTape evaluation;
        return maskgit_vqgan::forward(light_of(images, digits), w, config).quantized.ids;
    }
};
}  // namespace

static void learn(Objective& objective, const std::vector<Var>& variables, int steps, const std::string& what) {
    ShowProgress progress(what, steps);
    train(objective, nothing_decays(variables), restoring_recipe(steps), &progress);
}

static Prepared prepare(const Digits& digits, int steps, int seed) {
    Prepared made;
    NameTeacher teacher(digits, seed + 100);
    learn(teacher, teacher.variables(), steps, "a teacher");
    {
        const NoTape evaluation;
        made.features = teacher.features(digits.pictures.train).value();
        made.test_features = teacher.features(digits.pictures.test).value();
    }
    ConceptTokenizer concepts(digits, made.features, seed + 200);
    learn(concepts, variables(beit_v2::parameters(concepts.w, concepts.config)), steps, "words for its features");
    {
        const NoTape evaluation;
        const std::vector<Image> light = light_of(digits.pictures.train, digits);
        made.concepts = beit_v2::tokenize(light, concepts.w, concepts.config).quantized.ids;
        made.concept_count = concepts.config.codes;
    }
    PixelTokenizer pixels(digits, seed + 300);
    learn(pixels, variables(maskgit_vqgan::parameters(pixels.w, pixels.config)), steps, "words for pixels");
    made.words = pixels.words_of(digits.pictures.train);
    made.test_words = pixels.words_of(digits.pictures.test);
    made.word_count = pixels.config.codes;
    return made;
}

// --- the eight ---

namespace {
// A method: what it minimises, and what its encoder makes of whole pictures.
struct Method : Objective {
    const Digits& digits;
    const Prepared& prepared;
    vit::Weights encoder;
    Random random;

    Method(const Digits& digits, const Prepared& prepared, int seed)
        : digits(digits), prepared(prepared), encoder(first_encoder(seed)), random(1000 + seed) {}

    virtual Parameters table() const = 0;
    // Tokens of all pictures to train on, or of all to test on: (count*N, D).
    virtual Matrix tokens(bool of_test) const {
        return tokens_of(of_test ? digits.pictures.test : digits.pictures.train, encoder);
    }
    virtual void after_update(int) {}  // after step 0, 1, ...

    std::vector<int> numbers() { return draw_numbers(digits, batch, random); }
    Matrix mask() { return draw_masks(random, batch, N, hidden); }
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

// Every picture is a clip of two frames that stands still. Its projection reads both; the blocks are those of the others.
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
        const std::vector<videomae::Clip> clips = clips_of(of_test ? digits.pictures.test : digits.pictures.train);
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

// The blocks of the encoder, in the order of the paper (norms after the sublayers), and a slow copy of them.
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
                            .words = 0};
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

    // (B*N, D)  of the patches, hidden ones covered
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
        const std::vector<Image>& images = of_test ? digits.pictures.test : digits.pictures.train;
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
        std::vector<int> words;
        for (const int row : rows_of(which)) words.push_back(prepared.concepts[row]);
        return beit_v2::loss(steps, beit_v2::hidden_words(words, steps));
    }
};

// Reads words instead of pixels; all pictures are of one class.
struct MaskGit : Method {
    maskgit::Config config{.words = prepared.word_count,
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
        std::vector<int> words;
        for (const int row : rows_of(numbers())) words.push_back(prepared.words[row]);
        std::vector<float> r;
        for (int b = 0; b < batch; ++b) r.push_back(random.uniform());
        const maskgit::MaskedBatch masked =
            maskgit::hide_words(words, std::vector<int>(batch, 0), r, uniform_matrix(random, batch, N), {}, config);
        return maskgit::loss(maskgit::forward(masked.ids, w, config), masked, config);
    }

    Matrix tokens(bool of_test) const override {
        const std::vector<int>& words = of_test ? prepared.test_words : prepared.words;
        std::vector<int> ids;
        for (std::size_t k = 0; k < words.size(); ++k) {
            if (k % N == 0) ids.push_back(config.words);  // the class, in front
            ids.push_back(words[k]);
        }
        return drop_first_of_each(maskgit::forward(ids, w, config).encoder.output, N + 1).value();
    }
};
}  // namespace

// --- what a linear classifier reads ---

// `count` pictures of each digit, by number.
static std::vector<int> few_of_each(const std::vector<int>& labels, int count, Random& random) {
    std::vector<int> taken(classes, 0), few;
    for (const int k : permutation(random, static_cast<int>(labels.size())))
        if (taken[labels[k]]++ < count) few.push_back(k);
    return few;
}

static constexpr int draws = 5;

// Share of the test digits that a linear classifier reads after `count` labels of each digit: the mean over five draws of them.
//   train, test  a row for each picture
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
    bool all;    // read from all tokens beside one another, not from their mean
    const char* name;
};

// A row of the table: what was probed, and of each question the share that was read, from every seed.
struct Probed {
    std::string name;
    std::vector<std::vector<double>> shares;
};
}  // namespace

static const std::vector<Question> questions{{5, false, "mean, 5 labels"}, {20, false, "mean, 20"}, {5, true, "all, 5 labels"}};

// The row of the table with this name, which is added when it is new.
static Probed& row_of(std::vector<Probed>& table, const std::string& name) {
    for (Probed& row : table)
        if (row.name == name) return row;
    table.push_back({name, std::vector<std::vector<double>>(questions.size())});
    return table.back();
}

// Adds one seed to a row.   train, test  tokens (count*N, D) of all pictures
static void add_probe(std::vector<Probed>& table, const std::string& name, const Matrix& train, const Matrix& test,
                      const Digits& digits) {
    Probed& row = row_of(table, name);
    for (std::size_t k = 0; k < questions.size(); ++k) {
        const bool all = questions[k].all;
        const Matrix known = all ? all_tokens(train) : mean_tokens(train), asked = all ? all_tokens(test) : mean_tokens(test);
        row.shares[k].push_back(probe(known, asked, digits, questions[k].labels));
    }
}

// The 64 pixels of each picture have no mean token.
static void add_pixels(std::vector<Probed>& table, const Digits& digits) {
    const auto rows = [](const std::vector<Image>& images) {
        return reshape(patchify_all(images, grid, "pixels"), static_cast<int>(images.size()), grid.height * grid.width);
    };
    const Matrix known = rows(digits.pictures.train), asked = rows(digits.pictures.test);
    Probed& row = row_of(table, "the pixels");
    for (std::size_t k = 0; k < questions.size(); ++k)
        if (questions[k].all) row.shares[k].push_back(probe(known, asked, digits, questions[k].labels));
}

static double mean_of(const std::vector<double>& numbers) {
    double sum = 0;
    for (const double x : numbers) sum += x;
    return sum / static_cast<double>(numbers.size());
}

// "0.912", or over several seeds "0.912 (0.901 - 0.930)".
static std::string written(const std::vector<double>& numbers) {
    if (numbers.empty()) return "-";
    const std::string mean = fixed(mean_of(numbers), 3);
    if (numbers.size() == 1) return mean;
    const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
    return mean + " (" + fixed(*least, 2) + "-" + fixed(*most, 2) + ")";
}

namespace {
struct Named {
    std::string name;
    std::unique_ptr<Method> method;
};

// Shows the progress of a method, and lets it do what it does after a step.
struct Learning : Watcher {
    Method& method;
    Progress progress;

    Learning(Method& method, const std::string& what, int steps) : method(method), progress(what, steps) {}
    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        method.after_update(step);
        return true;
    }
};
}  // namespace

static std::vector<Named> the_eight(const Digits& digits, const Prepared& prepared, int seed) {
    std::vector<Named> all;
    all.push_back({"MAE", std::make_unique<Mae>(digits, prepared, seed)});
    all.push_back({"SimMIM", std::make_unique<SimMim>(digits, prepared, seed)});
    all.push_back({"VideoMAE", std::make_unique<VideoMae>(digits, prepared, seed)});
    all.push_back({"MaskFeat", std::make_unique<MaskFeat>(digits, prepared, seed)});
    all.push_back({"data2vec", std::make_unique<Data2vec>(digits, prepared, seed)});
    all.push_back({"EVA", std::make_unique<Eva>(digits, prepared, seed)});
    all.push_back({"BEiT v2", std::make_unique<BeitV2>(digits, prepared, seed)});
    all.push_back({"MaskGIT", std::make_unique<MaskGit>(digits, prepared, seed)});
    return all;
}

// Trains all eight from one seed and adds them to the table, with what they are compared with.
static void run_seed(const Digits& digits, const Prepared& prepared, int steps, int seed, std::vector<Probed>& table) {
    const std::vector<Image>&train_images = digits.pictures.train, &test_images = digits.pictures.test;
    const vit::Weights untrained = first_encoder(seed);
    add_pixels(table, digits);
    {
        const NoTape evaluation;
        add_probe(table, "encoder, untrained", tokens_of(train_images, untrained), tokens_of(test_images, untrained), digits);
    }
    for (const Named& named : the_eight(digits, prepared, seed)) {
        Method& method = *named.method;
        Learning learning(method, named.name, steps);
        train(method, nothing_decays(variables(method.table())), restoring_recipe(steps), &learning);
        const NoTape evaluation;
        add_probe(table, named.name, method.tokens(false), method.tokens(true), digits);
    }
    add_probe(table, "the teacher of names", prepared.features, prepared.test_features, digits);
}

// --- the lesson ---

static void step_1_same(Lesson& lesson, const Digits& digits, int steps) {
    lesson.step("What is the same for all?", "blocks, their initial weights, pictures, recipe");
    const vit::Weights encoder = first_encoder(1);
    lesson.table({{"", "all eight"},
                  {"pictures", text(static_cast<int>(digits.pictures.train.size())) + " handwritten digits, no labels"},
                  {"tokens", text(N) + " patches of 2 x 2 pixels"},
                  {"blocks", text(depth) + ", width " + text(width) + ", " + text(heads) + " heads, MLP " + text(mlp_width)},
                  {"numbers in the encoder", text(static_cast<int>(count_numbers(vit::parameters(encoder, encoder_config()))))},
                  {"hidden", text(hidden) + " of " + text(N) + " patches; MaskGIT: a random share"},
                  {"recipe", text(steps) + " steps of " + text(batch) + " pictures, AdamW"}});
    lesson.why(
        "whatever differs in the end comes from the target, and from where the mask tokens enter. Three things cannot be the "
        "same: VideoMAE's projection reads two frames, here twice the same; data2vec has its norms after the sublayers; MaskGIT reads tokens. Their blocks still start from the same weights as the others.");
}

// The rows of one picture as an image of its grid.
static Matrix grid_of_words(const std::vector<int>& words, int picture) {
    Matrix shown(grid.down(), grid.across());
    for (int n = 0; n < N; ++n) shown[n] = static_cast<float>(words[picture * N + n]);
    return shown;
}

// Trains the teacher and the tokenizers.
static Prepared step_2_targets(Lesson& lesson, const Digits& digits, int teacher_steps, int seed) {
    lesson.step("What is predicted?", "eight targets of one picture");
    lesson.code();
    const Prepared prepared = prepare(digits, teacher_steps, seed);
    const Image& image = digits.pictures.train[0];
    const Image light = as_light(image, digits.pictures);
    const Matrix descriptors = hog::describe(image, {.bins = 9, .cell = 2}).descriptors;
    lesson.pictures({{"pixels", picture(light, lesson.colours)},
                     {"HOG", picture(hog::roses(descriptors, 4, 4, 9, 5), lesson.colours)},
                     {"teacher's features", heat_map(slice_rows(prepared.features, 0, N), lesson.colours)}});
    lesson.pictures({{"tokens of features", heat_map(grid_of_words(prepared.concepts, 0), lesson.colours)},
                     {"tokens of pixels", heat_map(grid_of_words(prepared.words, 0), lesson.colours)}});
    lesson.table({{"method", "encoder sees", "predicts", "of each hidden patch"},
                  {"MAE", "visible patches", "pixels", "4 numbers"},
                  {"SimMIM", "all, some covered", "pixels", "4 numbers"},
                  {"VideoMAE", "visible cubes", "pixels of two frames", "8 numbers"},
                  {"MaskFeat", "all, some covered", "HOG", "9 numbers"},
                  {"data2vec", "all, some covered", "its own average", text(width) + " numbers"},
                  {"EVA", "all, some covered", "teacher's features", text(width) + " numbers, a direction"},
                  {"BEiT v2", "all, some covered", "tokens of these features", "1 of " + text(prepared.concept_count)},
                  {"MaskGIT", "tokens, some hidden", "tokens of pixels", "1 of " + text(prepared.word_count)}});
    lesson.why(
        "EVA and BEiT v2 have a teacher. In the papers it is CLIP, which has read captions; here it is a small ViT that was told "
        "the name of every picture. So what these two learn comes from names in the end, though no name reaches them.");
    return prepared;
}

// How many of the eight read more than the encoder that they began with.
static int above_untrained(const std::vector<Probed>& table, std::size_t question) {
    double untrained = 0;
    int above = 0;
    for (const Probed& row : table) {
        if (row.shares[question].empty() || row.name == "the pixels" || row.name == "the teacher of names") continue;
        const double share = mean_of(row.shares[question]);
        if (row.name == "encoder, untrained")
            untrained = share;
        else
            above += share > untrained;
    }
    return above;
}

// What the mean of the tokens loses: how much more is read off all of them, with as many labels. The mean over these rows.
static double lost_by_mean(std::vector<Probed>& table, const std::vector<std::string>& names) {
    double lost = 0;
    for (const std::string& name : names) {
        const Probed& row = row_of(table, name);
        lost += (mean_of(row.shares[2]) - mean_of(row.shares[0])) / static_cast<double>(names.size());
    }
    return lost;
}

static const std::vector<std::string> of_one_patch{"MAE", "SimMIM", "VideoMAE", "MaskFeat"};  // their targets describe a patch

// Trains all eight.   prepared  of the first seed
static std::vector<Probed> step_3_probe(Lesson& lesson, const Digits& digits, const Prepared& prepared, const Choices& choices,
                                        int seed) {
    lesson.step("What has the encoder learned?", "linear probe", "digits of other writers");
    std::vector<Probed> table;
    lesson.code(3);
    run_seed(digits, prepared, choices.steps, seed, table);
    for (int k = 1; k < choices.seeds; ++k)
        run_seed(digits, prepare(digits, choices.teacher_steps, seed + k), choices.steps, seed + k, table);
    std::vector<std::vector<std::string>> rows{{"share of digits read"}};
    for (const Question& question : questions) rows[0].push_back(question.name);
    for (const Probed& probed : table) {
        rows.push_back({probed.name});
        for (const std::vector<double>& shares : probed.shares) rows.back().push_back(written(shares));
    }
    const Probed* best = nullptr;
    for (const Probed& probed : table)
        if (probed.name != "the pixels" && probed.name != "encoder, untrained" && probed.name != "the teacher of names")
            if (best == nullptr || mean_of(probed.shares[0]) > mean_of(best->shares[0])) best = &probed;
    lesson.predict("Which of the eight is read best from the mean of its tokens, with 5 labels of each digit?", {best->name});
    lesson.table(rows);
    lesson.say(
        "The encoder is frozen; a ridge classifier reads the mean of its normalised tokens, or all of them beside one another. "
        "Each number is the mean over ",
        draws, " draws of the labels", choices.seeds == 1 ? "." : " and over the seeds, least and most in brackets.", " Of the eight, ",
        above_untrained(table, 0), " read more off the mean than the encoder that they began with, ", above_untrained(table, 2),
        " off all tokens: a random encoder is no bad reader of such small pictures.");
    lesson.why(
        "EVA comes nearest to its teacher, which knows all names: its target says of each patch what the whole picture is, so "
        "the mean of the tokens says it too, and loses ",
        fixed(lost_by_mean(table, {"EVA"}), 3),
        " against all of them. Targets that describe one patch, its pixels or edges, leave ",
        "what is learned in its place: there the mean loses ", fixed(lost_by_mean(table, of_one_patch), 3),
        ", and in the untrained encoder ", fixed(lost_by_mean(table, {"encoder, untrained"}), 3),
        ". --seeds 3 shows how far the rows move by chance.");
    lesson.predict("which rows rise the most with --steps 1000, and whether the untrained encoder is still a match.");
    return table;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Digits digits;
    step_1_same(lesson, digits, choices.steps);
    const Prepared prepared = step_2_targets(lesson, digits, choices.teacher_steps, seed);
    std::vector<Probed> table = step_3_probe(lesson, digits, prepared, choices, seed);
    const double gained = mean_of(row_of(table, "EVA").shares[0]) - mean_of(row_of(table, "encoder, untrained").shares[0]);
    lesson.say("Next: vit/detect/vitdet uses a ViT as the backbone of a detector.");
    lesson.claim_at_least("read off the mean of EVA's tokens, less of the untrained encoder's", gained, 0.05);
    lesson.claim_at_least("what the mean loses against all tokens: targets that describe a patch, less EVA",
                          lost_by_mean(table, of_one_patch) - lost_by_mean(table, {"EVA"}), 0.1);
}

int main(int argc, char** argv) {
    Options options("vit/masked_family", "Eight targets for the same encoder, and what each has taught it.",
                    "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each method", 1, 100'000);
    options.add("teacher-steps", choices.teacher_steps, "training steps of the teacher and of each tokenizer", 1, 100'000);
    options.add("seeds", choices.seeds, "runs from this many seeds, one after the other", 1, 100);
    options.add("whole", choices.whole, "2000 steps each from five seeds: a quarter of an hour");
    options.read_or_exit(argc, argv);
    if (choices.whole) {
        choices.steps = 2000;
        choices.teacher_steps = 400;
        choices.seeds = 5;
    }
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
