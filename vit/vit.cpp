#include "vit/vit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/maps/resize.h"
#include "nn/training/loss.h"

namespace vit {

// --- from pixels to tokens ---

PatchEmbedding embed_patches(const std::vector<Image>& images, const Weights& w, const Config& config) {
    PatchEmbedding steps;
    steps.patches = patchify_all(images, config.grid, "vit");
    steps.patch_embeddings = linear(named_step("patches", steps.patches), w.projection);         // (B*N, D)
    steps.tokens = prepend_to_each(w.class_token, steps.patch_embeddings, config.grid.count());  // (B*(N+1), D)
    steps.z0 = add_repeated(steps.tokens, w.positions);                                          // (B*(N+1), D)   [ViT 1]
    return steps;
}

// --- from tokens to a class ---

BlockOptions block_options(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation};
}

Segments segments(int images, const Config& config) { return Segments::equal(images, config.grid.count() + 1); }

static void require_matching(const Weights& w, const Config& config) {
    require_depth("vit", config.depth, w.blocks);
    require_shape("vit", "patch projection", w.projection.weight, config.grid.numbers(), config.width);
    require_shape("vit", "position embedding", w.positions, config.grid.count() + 1, config.width);
    for (const Block& block : w.blocks)
        require_shape("vit", "first matrix of an MLP", block.mlp.expand.weight, config.width, config.mlp_width);
}

Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    require_matching(w, config);
    require(config.classes == 0 || w.classifier.weight, "vit: the configuration asks for ", config.classes,
            " classes, the weights have no classifier; set classes = 0");
    if (config.classes > 0) require_shape("vit", "classifier", w.classifier.weight, config.width, config.classes);
    const Attending how{.segments = segments(static_cast<int>(images.size()), config)};
    Steps steps;
    steps.embedding = embed_patches(images, w, config);                                         // z0 (B*(N+1), D)
    steps.encoder = stack(steps.embedding.z0, w.blocks, block_options(config), {.self = how});  // z_L   [ViT 2] [ViT 3]
    steps.norm = layer_norm(steps.encoder.output, w.norm, config.eps);                          // (B*(N+1), D)
    steps.class_tokens = gather_rows(steps.norm, how.segments.first_rows());                    // (B, D)   [ViT 4]
    if (config.classes == 0) return steps;
    steps.logits = linear(steps.class_tokens, w.classifier);  // (B, K)
    steps.probabilities = softmax_rows(steps.logits);         // (B, K)
    return steps;
}

Var loss(const Steps& steps, const std::vector<int>& labels) {
    require(static_cast<bool>(steps.logits),
            "vit: a loss needs logits, and a model of 0 classes has no classifier; set classes to "
            "the number of labels and make the weights anew");
    return cross_entropy(steps.logits, labels);
}

Matrix class_attention(const Steps& steps, const Config& config, int block, int head, int image) {
    const int tokens = config.grid.count() + 1;
    require(block >= 0 && block < static_cast<int>(steps.encoder.blocks.size()) && head >= 0 && head < config.heads,
            "class_attention: there is no head ", head, " in block ", block, "; this model has ", steps.encoder.blocks.size(),
            " blocks of ", config.heads, " heads, counted from 0 (no blocks: make a KeepSteps before forward)");
    const int images = steps.class_tokens.rows();
    require(image >= 0 && image < images, "class_attention: there is no image ", image, " among ", images, ", counted from 0");
    const Matrix& weights = steps.encoder.blocks[block].attention.weights.value();  // (B*heads*(N+1), N+1)
    require(weights.rows == images * config.heads * tokens && weights.cols == tokens, "class_attention: the weights are ",
            weights, ", ", images, " images of ", tokens, " tokens and ", config.heads,
            " heads have others; pass the configuration of these steps");
    const int row = (image * config.heads + head) * tokens;       // the class token is each image's first query
    const Matrix to_all = slice_rows(weights, row, 1);            // (1, N+1)
    const Matrix to_patches = slice_cols(to_all, 1, tokens - 1);  // (1, N)
    return reshape(to_patches, config.grid.down(), config.grid.across());
}

// --- weights ---

void check(const Config& config, const char* who) {
    check(config.grid, who);
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, who, ": ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.depth >= 0 && config.mlp_width > 0 && config.classes >= 0, who, ": depth ", config.depth, ", inner width ",
            config.mlp_width, ", ", config.classes, " classes: none may be negative, and the width not 0");
    require_eps(who, config.eps);
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width;
    Weights w;
    w.projection = make_linear(random, config.grid.numbers(), D, init);
    w.class_token = make_weight(random, 1, D, init);
    w.positions = make_weight(random, config.grid.count() + 1, D, init);
    const bool bias = config.query_key_value_bias;
    const BlockShape shape{.width = D, .mlp_width = config.mlp_width, .query_bias = bias, .key_bias = bias, .value_bias = bias};
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_layer_norm(D);
    if (config.classes > 0) w.classifier = make_linear(random, D, config.classes, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, P = config.grid.patch_size, N = config.grid.count();
    Parameters table;
    table.push_back({"vit.embeddings.cls_token", {1, 1, D}, Stored::as_it_is, {w.class_token}});
    table.push_back({"vit.embeddings.position_embeddings", {1, N + 1, D}, Stored::as_it_is, {w.positions}});
    const std::string projection = "vit.embeddings.patch_embeddings.projection";
    table.push_back({projection + ".weight", {D, config.grid.channels, P, P}, Stored::patches, {w.projection.weight}});
    table.push_back({projection + ".bias", {D}, Stored::as_it_is, {w.projection.bias}});
    add_parameters(table, "vit.encoder.layer.", w.blocks, hugging_face_vit_names);
    add_parameters(table, "vit.layernorm", w.norm);
    if (config.classes > 0) add_parameters(table, "classifier", w.classifier);
    return table;
}

LoadRules load_rules() {
    return {.optional_prefixes = {"vit."},
            .ignored_prefixes = {"decoder."},
            .ignored_endings = {"pooler.dense.weight", "pooler.dense.bias"}};
}

void set_image_size(PatchGrid& grid, const ModelConfig& model_config, const std::string& path) {
    const std::vector<int> size = model_config.integers(settings::image_size);
    require(size.size() == 1 || size.size() == 2, path, ": an image size of ", size.size(),
            " numbers, it is one side, or height and width");
    grid.height = size.front();
    grid.width = size.back();
}

std::string image_size_text(const PatchGrid& grid) {
    const std::string height = std::to_string(grid.height), width = std::to_string(grid.width);
    return height == width ? height : height + "," + width;
}

void set_image_size(PatchGrid& grid, int N, const ModelConfig& model_config, const std::string& path) {
    const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(N))));
    if (model_config.has(settings::image_size) || side * side != N)
        set_image_size(grid, model_config, path);
    else
        grid.height = grid.width = side * grid.patch_size;
    require(grid.count() == N, path, ": images of ", grid.height, " x ", grid.width, " do not have the ", N, " patches of side ",
            grid.patch_size, " that its table of positions is made for; an image size of ", side * grid.patch_size, " would");
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const bool has_prefix = name_in_file(checkpoint, "vit.embeddings.cls_token", load_rules()) != "embeddings.cls_token";
    const std::string vit = has_prefix ? "vit." : "";
    const std::string projection = vit + "embeddings.patch_embeddings.projection.weight";
    Config config;
    config.width = checkpoint.dimension(projection, 0);
    config.grid.channels = checkpoint.dimension(projection, 1);
    config.grid.patch_size = checkpoint.dimension(projection, 2);
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::patch_size, config.grid.patch_size);
    const int N = checkpoint.dimension(vit + "embeddings.position_embeddings", 1) - 1;
    set_image_size(config.grid, N, model_config, checkpoint.path);
    config.depth = count_blocks(checkpoint, vit + "encoder.layer.", ".output.dense.weight");
    config.mlp_width = checkpoint.dimension(vit + "encoder.layer.0.intermediate.dense.weight", 0);
    config.classes = checkpoint.has("classifier.weight") ? checkpoint.dimension("classifier.weight", 0) : 0;
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees({"the number of channels", {"num_channels"}}, config.grid.channels);
    if (config.classes > 0) model_config.require_agrees(settings::classes, config.classes);
    config.heads = model_config.integer(settings::heads);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-12));
    config.activation = model_config.activation(settings::activation, "gelu");
    config.query_key_value_bias = checkpoint.has(vit + "encoder.layer.0.attention.attention.query.bias");
    model_config.require_flag_agrees({"whether query, key and value have biases", {"qkv_bias"}}, config.query_key_value_bias);
    check(config, checkpoint.path.c_str());
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "vit"},
            {"image_size", image_size_text(config.grid)},
            {"num_attention_heads", std::to_string(config.heads)},
            {"layer_norm_eps", setting_text(config.eps)},
            {"hidden_act", name_of_activation(config.activation)}};
}

Weights resized(const Weights& w, Config& config, int image_height, int image_width) {
    const int rows = config.grid.down(), cols = config.grid.across();
    Config resized_config = config;
    resized_config.grid.height = image_height;
    resized_config.grid.width = image_width;
    check(resized_config);
    config = resized_config;
    const Matrix class_position = slice_rows(w.positions.value(), 0, 1);               // (1, D)
    const Map grid{slice_rows(w.positions.value(), 1, rows * cols), {1, rows, cols}};  // (N, D)
    const Map new_grid = resize(grid, config.grid.down(), config.grid.across(), Interpolation::bicubic);
    Weights other = w;
    other.positions = parameter(concat_rows({class_position, new_grid.pixels}).value());  // (new N + 1, D)
    return other;
}

Image preprocess(const Image& photograph, const Config& config) {
    const Image fitted = resize_bilinear_antialiased(photograph, config.grid.height, config.grid.width);
    const std::vector<float> half(config.grid.channels, 0.5f);
    return normalise(fitted, half, half);
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    Inside parts{.blocks = w.blocks, .options = block_options(config)};
    if (config.classes > 0) parts.head = {{.normed = true, .norm = w.norm, .eps = config.eps, .linear = w.classifier}};
    return parts;
}

}  // namespace vit
