#include "vit/mask_latents/eva.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"
#include "nn/layers/relative_position.h"
#include "vit/mask_pixels/masking.h"

namespace eva {

// --- the encoder sees all tokens, mask tokens among them ---

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const vit::Weights& v = w.encoder;
    const int N = grid.count(), B = steps.mask.rows;
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    steps.patch_embeddings = linear(steps.patches, v.projection);                                             // (B*N, D)
    steps.masked = cover(steps.patch_embeddings, w.mask_token, steps.mask);                                   // (B*N, D)
    const Var tokens = prepend_to_each(v.class_token, steps.masked, N);                                       // (B*(N+1), D)
    steps.z0 = v.positions ? add_repeated(tokens, v.positions) : tokens;                                      // (B*(N+1), D)
    if (w.relative_table) steps.bias = relative_position_bias(w.relative_table, grid.down(), grid.across());  // (h*(N+1), N+1)
    const Attending how{.segments = Segments::equal(B, N + 1), .bias = steps.bias};
    steps.encoder = stack(steps.z0, v.blocks, options, {.self = how});  // (B*(N+1), D)
    steps.norm = layer_norm(steps.encoder.output, v.norm, config.eps);  // (B*(N+1), D)
}

static void check(const Config& config);  // with the weights, below

Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config) {
    check(config);
    require_depth("eva", config.depth, w.encoder.blocks);
    const int N = config.grid.count();
    require(mask.rows == static_cast<int>(images.size()) && mask.cols == N, "eva: a mask ", mask, " for ",
            static_cast<int>(images.size()), " images of ", N, " patches; each image needs a row, each patch a number");
    Steps steps;
    steps.mask = mask;
    steps.patches = patchify_all(images, config.grid, "eva");  // (B*N, P*P*C)
    encode(steps, w, config);
    const Var of_patches = drop_first_of_each(steps.norm, N + 1);  // (B*N, D)
    steps.masked_rows = masked_rows(mask);
    steps.prediction = linear(gather_rows(of_patches, steps.masked_rows), w.head);  // (M, F)
    return steps;
}

// --- the loss: directions, masked patches only ---

static constexpr float shortest = 1e-8f;  // a length is at least this

Var cosines(const Steps& steps, const Matrix& features) {
    require(features.rows == static_cast<int>(steps.mask.size()) && features.cols == steps.prediction.cols(), "eva: features ",
            features, " for ", static_cast<int>(steps.mask.size()), " patches and predictions ", steps.prediction.value());
    require(!steps.masked_rows.empty(), "eva: no patch is masked, so there is nothing to predict");
    const Var u = unit_rows(steps.prediction, shortest);                          // (M, F)
    const Var v = unit_rows(gather_rows(features, steps.masked_rows), shortest);  // (M, F)
    return row_sums(multiply(u, v));                                              // (M, 1)
}

Var loss(const Steps& steps, const Matrix& features) { return scale(mean(cosines(steps, features)), -1); }

// --- weights ---

static void check(const Config& config) {
    vit::check({.grid = config.grid,
                .width = config.width,
                .depth = config.depth,
                .heads = config.heads,
                .mlp_width = config.mlp_width,
                .classes = 0,
                .eps = config.eps},
               "eva");
    require(config.feature_width > 0, "eva: features of ", config.feature_width, " numbers, at least 1 is needed");
}

Weights make_weights(const Config& config, Random& random, float stddev) {
    check(config);
    const PatchGrid& grid = config.grid;
    const int D = config.width;
    const Init init{.stddev = stddev};
    Weights w;
    w.encoder.projection = make_linear(random, grid.numbers(), D, init);
    w.encoder.class_token = make_weight(random, 1, D, init);
    w.mask_token = make_weight(random, 1, D, init);
    if (config.absolute_positions) w.encoder.positions = make_weight(random, grid.count() + 1, D, init);
    if (config.shared_relative_bias)
        w.relative_table = parameter(Matrix(relative_offsets(grid.down(), grid.across()), config.heads));
    const BlockShape shape{.width = D,
                           .mlp_width = config.mlp_width,
                           .query_bias = config.query_value_bias,
                           .key_bias = false,
                           .value_bias = config.query_value_bias,
                           .layer_scale = config.layer_scale};
    for (int l = 1; l <= config.depth; ++l) {
        const float residual = 1 / std::sqrt(2.0f * static_cast<float>(l));
        w.encoder.blocks.push_back(make_block(random, shape, {.stddev = stddev, .residual = residual}));
    }
    w.encoder.norm = make_layer_norm(D);
    w.head = make_linear(random, D, config.feature_width, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const vit::Weights& v = w.encoder;
    const long D = config.width, P = grid.patch_size, C = grid.channels;
    Parameters table;
    table.push_back({"cls_token", {1, 1, D}, Stored::as_it_is, {v.class_token}});
    table.push_back({"mask_token", {1, 1, D}, Stored::as_it_is, {w.mask_token}});
    if (v.positions) table.push_back({"pos_embed", {1, grid.count() + 1, D}, Stored::as_it_is, {v.positions}});
    if (w.relative_table)
        table.push_back({"rel_pos_bias.relative_position_bias_table",
                         {relative_offsets(grid.down(), grid.across()), config.heads},
                         Stored::as_it_is,
                         {w.relative_table}});
    table.push_back({"patch_embed.proj.weight", {D, C, P, P}, Stored::patches, {v.projection.weight}});
    table.push_back({"patch_embed.proj.bias", {D}, Stored::as_it_is, {v.projection.bias}});
    add_parameters(table, "blocks.", v.blocks, timm_names);
    add_parameters(table, "norm", v.norm);
    add_parameters(table, "lm_head", w.head);
    return table;
}

LoadRules load_rules() { return {.ignored_endings = {".relative_position_index"}}; }

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::shapes},
            {settings::heads, &config.heads, From::file},
            {settings::eps, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.width = size_of(checkpoint, "patch_embed.proj.weight", 0);
    config.grid.channels = size_of(checkpoint, "patch_embed.proj.weight", 1);
    config.grid.patch_size = size_of(checkpoint, "patch_embed.proj.weight", 2);
    config.depth = count_blocks(checkpoint, "blocks.", ".norm1.weight");
    config.mlp_width = size_of(checkpoint, "blocks.0.mlp.fc1.weight", 0);
    config.feature_width = size_of(checkpoint, "lm_head.weight", 0);
    config.query_value_bias = checkpoint.has("blocks.0.attn.q_bias");
    if (checkpoint.has("blocks.0.gamma_1")) config.layer_scale = 1.0f;  // where they began is past
    config.absolute_positions = checkpoint.has("pos_embed");
    config.shared_relative_bias = checkpoint.has("rel_pos_bias.relative_position_bias_table");
    const ModelConfig model_config(checkpoint, given);
    if (config.absolute_positions)
        vit::set_image_size(config.grid, size_of(checkpoint, "pos_embed", 1) - 1, model_config, checkpoint.path);
    else
        vit::set_image_size(config.grid, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("eva", members_of(copy));
    all["image_size"] = vit::image_size_text(config.grid);
    return all;
}

}  // namespace eva
