#include "vit/language/pacl.h"

#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/layers/model_config.h"
#include "nn/layers/norm.h"
#include "nn/maps/resize.h"
#include "nn/training/contrastive.h"

namespace pacl {

// --- the embedders ---

static Var vision_embeddings(const Var& patch_features, const Weights& w) {
    const Var direct = linear(patch_features, w.linear);                              // (B*N, D)
    const Var hidden = activate(linear(patch_features, w.expand), Activation::relu);  // (B*N, D)
    return add(direct, linear(hidden, w.contract));                                   // (B*N, D)
}

Var embed_patches(const Var& patch_features, const Weights& w) { return unit_rows(vision_embeddings(patch_features, w)); }

Var embed_texts(const Var& text_features, const Weights& w) { return unit_rows(linear(text_features, w.text)); }

// --- images and sentences compared ---

static void check(const Config& config) {
    require(config.rows > 0 && config.cols > 0 && config.vision_width > 0 && config.text_width > 0 && config.width > 0,
            "pacl: ", config.rows, " x ", config.cols, " patches, widths ", config.vision_width, ", ", config.text_width, " and ",
            config.width, ": sizes must be positive");
    require(static_cast<double>(config.rows) * config.cols <= std::numeric_limits<int>::max(), "pacl: ", config.rows, " x ",
            config.cols, " patches are more than an int can count");
}

static void require_patches(const Var& patch_features, const Config& config) {
    check(config);
    const int N = config.rows * config.cols;
    require(patch_features.cols() == config.vision_width && patch_features.rows() > 0 && patch_features.rows() % N == 0,
            "pacl: features of shape ", patch_features.value(), " are not whole images of ", config.rows, " x ", config.cols,
            " patches, each ", config.vision_width, " wide");
}

static void require_texts(const Var& text_features, const Config& config) {
    require(text_features.cols() == config.text_width && text_features.rows() > 0, "pacl: sentences of shape ",
            text_features.value(), "; there must be at least one, with features ", config.text_width, " wide");
}

Steps forward(const Var& patch_features, const Var& text_features, const Weights& w, const Config& config) {
    require_patches(patch_features, config);
    require_texts(text_features, config);
    const int N = config.rows * config.cols, B = patch_features.rows() / N;
    Steps steps;
    steps.vision_embeddings = vision_embeddings(patch_features, w);     // (B*N, D)
    steps.text_embeddings = linear(text_features, w.text);              // (texts, D)
    steps.patches = unit_rows(steps.vision_embeddings);                 // (B*N, D)    v'
    steps.texts = unit_rows(steps.text_embeddings);                     // (texts, D)  u'
    std::vector<Var> similarity, patch_weights, pooled, compatibility;  // one of each image
    for (int i = 0; i < B; ++i) {
        const Var patches = slice_rows(steps.patches, i * N, N);  // (N, D)
        const Var s = matmul_transposed(steps.texts, patches);    // (texts, N)  s_ij = v'_i u'_j
        const Var a = softmax_rows(s);                            // (texts, N)  over the patches of the image
        const Var seen = matmul(a, patches);                      // (texts, D)  the patches weighted for each sentence
        const Var phi = row_sums(multiply(seen, steps.texts));    // (texts, 1)  pooled . u'
        similarity.push_back(s);
        patch_weights.push_back(a);
        pooled.push_back(seen);
        compatibility.push_back(transpose(phi));  // (1, texts)
    }
    steps.similarity = concat_rows(similarity);                                // (B*texts, N)
    steps.patch_weights = concat_rows(patch_weights);                          // (B*texts, N)
    steps.pooled = concat_rows(pooled);                                        // (B*texts, D)
    steps.compatibility = concat_rows(compatibility);                          // (B, texts)
    steps.logits_per_image = multiply(steps.compatibility, exp(w.log_scale));  // (B, texts)
    return steps;
}

Var loss(const Steps& steps) { return contrastive(steps.logits_per_image).loss; }

// --- a class for every pixel ---

static std::vector<int> largest_of_rows(const Matrix& m) {
    std::vector<int> largest;
    for (int i = 0; i < m.rows; ++i) largest.push_back(argmax_row(m, i));
    return largest;
}

Segmentation segment(const Var& patch_features, const Var& class_features, int height, int width, const Weights& w,
                     const Config& config) {
    require_patches(patch_features, config);
    require_texts(class_features, config);
    const int images = patch_features.rows() / (config.rows * config.cols);
    const Var patches = embed_patches(patch_features, w);              // (images*N, D)
    const Var classes = embed_texts(class_features, w);                // (classes, D)
    require_finite(patches.value(), "pacl", "embeddings of patches");  // of a NaN the class would be 0
    require_finite(classes.value(), "pacl", "embeddings of classes");
    Segmentation steps;
    steps.patch_scores = {matmul_transposed(patches, classes), {images, config.rows, config.cols}};  // (images*N, classes)
    steps.patch_classes = largest_of_rows(steps.patch_scores.pixels.value());
    steps.scores = resize(steps.patch_scores, height, width, Interpolation::bilinear);  // (images*height*width, classes)
    steps.probabilities = {softmax_rows(steps.scores.pixels), steps.scores.size};
    steps.classes = largest_of_rows(steps.scores.pixels.value());
    return steps;
}

Var clip_patch_features(const std::vector<Image>& images, const clip::VisionWeights& w, const clip::VisionConfig& config) {
    const NoTape frozen;
    const Var tokens = clip::vision_trunk(images, w, config).encoder.output;  // (B*(N+1), Dv)
    return stop(drop_first_of_each(tokens, config.grid.count() + 1));         // (B*N, Dv)
}

// --- weights ---

static Linear fresh(Random& random, int in, int out) {
    return make_linear(random, in, out, {.draw = Draw::normal, .stddev = 1 / std::sqrt(static_cast<float>(in))});
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    Weights w;
    w.linear = fresh(random, config.vision_width, config.width);
    w.expand = fresh(random, config.vision_width, config.width);
    w.contract = fresh(random, config.width, config.width);
    w.text = fresh(random, config.text_width, config.width);
    w.log_scale = parameter(Matrix{{std::log(1 / 0.07f)}});
    return w;
}

Parameters parameters(const Weights& w) {
    Parameters table;
    table.push_back({"logit_scale", {}, Stored::as_it_is, {w.log_scale}});
    add_parameters(table, "vision_embedder.linear", w.linear);
    add_parameters(table, "vision_embedder.fc1", w.expand);
    add_parameters(table, "vision_embedder.fc2", w.contract);
    add_parameters(table, "text_embedder", w.text);
    return table;
}

// The patch grid has no tensor.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{{"the number of rows of patches", {"grid_height"}}, &config.rows, From::file},
            {{"the number of columns of patches", {"grid_width"}}, &config.cols, From::file}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.width = size_of(checkpoint, "vision_embedder.linear.weight", 0);
    config.vision_width = size_of(checkpoint, "vision_embedder.linear.weight", 1);
    config.text_width = size_of(checkpoint, "text_embedder.weight", 1);
    read_members(ModelConfig(checkpoint, given), members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("pacl", members_of(copy));
}

}  // namespace pacl
