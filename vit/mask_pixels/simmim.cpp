#include "vit/mask_pixels/simmim.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/layers/relative_position.h"
#include "vit/mask_pixels/masking.h"

namespace simmim {

int patches_across(const Config& config) { return config.image_size / config.patch_size; }
int patch_count(const Config& config) { return patches_across(config) * patches_across(config); }
int unit_count(const Config& config) { return (config.image_size / config.mask_unit) * (config.image_size / config.mask_unit); }
int hidden_units(const Config& config) { return static_cast<int>(std::ceil(unit_count(config) * config.mask_ratio)); }

// --- large squares are hidden ---

Matrix random_masking(const std::vector<int>& permutations, const Config& config) {
    const Matrix units = hide(permutations, unit_count(config), 0, hidden_units(config));  // (B, units)
    const int n = patches_across(config), units_across = config.image_size / config.mask_unit;
    const int patches_in_unit = config.mask_unit / config.patch_size;                      // along one side
    Matrix mask(units.rows, n * n);
    for (int b = 0; b < mask.rows; ++b)
        for (int r = 0; r < n; ++r)
            for (int c = 0; c < n; ++c) mask(b, r * n + c) = units(b, r / patches_in_unit * units_across + c / patches_in_unit);
    return mask;
}

// --- the encoder sees all tokens, mask tokens among them ---

// x (1 - m) + token m, patch by patch
static Var cover(const Var& x, const Var& token, const Matrix& mask) {
    const Var m = reshape(mask, x.rows(), 1);                               // (B*N, 1)
    const Var visible = multiply(x, subtract(Matrix(1, 1, 1), m));          // (B*N, D)  zeros where hidden
    return add(visible, matmul(m, token));                                  // (B*N, D)
}

static Var block_bias(const Weights& w, const Var& shared, std::size_t block, int n) {
    if (w.block_tables.empty()) return shared;
    const Var own = relative_position_bias(w.block_tables[block], n, n);    // (H*(N+1), N+1)
    return shared ? add(own, shared) : own;
}

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const int n = patches_across(config), N = patch_count(config), B = steps.mask.rows;
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    steps.patch_embeddings = linear(steps.patches, w.projection);                                       // (B*N, D)
    steps.masked = cover(steps.patch_embeddings, w.mask_token, steps.mask);                             // (B*N, D)
    const Var tokens = prepend_to_each(w.class_token, steps.masked, N);                                 // (B*(N+1), D)
    steps.z0 = w.positions ? add_repeated(tokens, w.positions) : tokens;                                // (B*(N+1), D)
    const Var shared_bias = w.relative_table ? relative_position_bias(w.relative_table, n, n) : Var();  // (H*(N+1), N+1)
    std::vector<BlockContext> contexts;
    for (std::size_t l = 0; l < w.blocks.size(); ++l) {
        steps.biases.push_back(block_bias(w, shared_bias, l, n));
        contexts.push_back({.self = {.segments = Segments::equal(B, N + 1), .bias = steps.biases.back()}});
    }
    steps.encoder = stack(steps.z0, w.blocks, options, contexts);                                       // (B*(N+1), D)
    const Var& z = steps.encoder.output;
    steps.norm = config.mean_pooling ? z : layer_norm(z, w.norm, config.eps);                           // (B*(N+1), D)
}

// --- the decoder is one linear layer ---

Var pixel_shuffle(const Var& tokens, int patch_size, int channels) {
    const int pixels = patch_size * patch_size;
    require(tokens.cols() == channels * pixels, "pixel_shuffle: tokens ", tokens.value(), " for ", channels,
            " channels of ", patch_size, " x ", patch_size, " pixels");
    std::vector<int> from;  // the column that each new column comes from
    for (int p = 0; p < pixels; ++p)
        for (int c = 0; c < channels; ++c) from.push_back(c * pixels + p);
    return transpose(gather_rows(transpose(tokens), from));
}

Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config) {
    require(mask.rows == static_cast<int>(images.size()) && mask.cols == patch_count(config), "simmim: a mask ", mask,
            " for ", images.size(), " images of ", patch_count(config), " patches");
    Steps steps;
    steps.mask = mask;
    const int S = config.image_size;
    steps.patches = patchify_all(images, config.patch_size, S, S, config.channels, "simmim");              // (B*N, P*P*C)
    encode(steps, w, config);
    const Var patch_tokens = drop_first_of_each(steps.norm, patch_count(config) + 1);                   // (B*N, D)
    steps.decoder_output = linear(patch_tokens, w.decoder);                                             // (B*N, C*P*P)
    steps.reconstruction = pixel_shuffle(steps.decoder_output, config.patch_size, config.channels);     // (B*N, P*P*C)
    return steps;
}

// --- the loss: absolute differences, hidden pixels only ---

Var patch_losses(const Steps& steps) {
    const Var difference = subtract(steps.reconstruction, steps.patches);  // (B*N, P*P*C)
    return row_means(abs(difference));                                     // (B*N, 1)
}

Var loss(const Steps& steps, const Config& config) {
    // The paper sums over pixels and divides by (hidden pixels + 1e-5) C; counted in patches of P*P pixels this is the same.
    const float extra = 1e-5f / static_cast<float>(config.patch_size * config.patch_size);
    return masked_mean(patch_losses(steps), steps.mask, extra);
}

std::vector<Image> predicted_images(const Steps& steps, const Config& config) {
    return unpatchify_all(steps.reconstruction.value(), config.patch_size, config.image_size, config.image_size, config.channels);
}

Matrix pixel_mask(const Matrix& mask, const Config& config) {
    const int S = config.image_size, P = config.patch_size, n = patches_across(config);
    Matrix pixels = Matrix::unset(mask.rows * S, S);
    for (int b = 0; b < mask.rows; ++b)
        for (int y = 0; y < S; ++y)
            for (int x = 0; x < S; ++x) pixels(b * S + y, x) = mask(b, y / P * n + x / P);
    return pixels;
}

// From pixel (y, x) of a picture's mask (S, S), which is hidden, to the nearest that is not.
static double distance_to_visible(const Matrix& hidden, int y, int x) {
    int nearest = -1;  // squared
    for (int v = 0; v < hidden.rows; ++v)
        for (int u = 0; u < hidden.cols; ++u) {
            const int squared = (v - y) * (v - y) + (u - x) * (u - x);
            if (hidden(v, u) == 0 && (nearest < 0 || squared < nearest)) nearest = squared;
        }
    require(nearest >= 0, "average_distance: a picture has no visible pixel");
    return std::sqrt(static_cast<double>(nearest));
}

double average_distance(const Matrix& mask, const Config& config) {
    const int S = config.image_size;
    const Matrix pixels = pixel_mask(mask, config);  // (B*S, S)
    double total = 0;
    long hidden = 0;
    for (int b = 0; b < mask.rows; ++b) {
        const Matrix picture = slice_rows(pixels, b * S, S);
        for (int y = 0; y < S; ++y)
            for (int x = 0; x < S; ++x) {
                if (picture(y, x) == 0) continue;
                total += distance_to_visible(picture, y, x);
                ++hidden;
            }
    }
    require(hidden > 0, "average_distance: no pixel is hidden");
    return total / static_cast<double>(hidden);
}

// --- weights ---

static void check(const Config& config) {
    require(config.patch_size > 0 && config.image_size > 0 && config.image_size % config.patch_size == 0,
            "simmim: an image of side ", config.image_size, " does not split into patches of side ", config.patch_size);
    require(config.mask_unit > 0 && config.mask_unit % config.patch_size == 0 && config.image_size % config.mask_unit == 0,
            "simmim: a mask unit of ", config.mask_unit, " pixels must be a multiple of the patch side ", config.patch_size,
            " and divide the image side ", config.image_size);
    require(config.mask_ratio >= 0 && config.mask_ratio <= 1, "simmim: a mask ratio of ", config.mask_ratio, " is not a share");
    require(config.heads > 0 && config.width % config.heads == 0, "simmim: ", config.heads, " heads do not divide a width of ",
            config.width);
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width, pixels = config.patch_size * config.patch_size * config.channels;
    const int T = relative_offsets(patches_across(config), patches_across(config));
    Weights w;
    w.projection = make_linear(random, pixels, D);
    w.class_token = parameter(truncated_normal_matrix(random, 1, D, 0.02f));
    w.mask_token = parameter(truncated_normal_matrix(random, 1, D, 0.02f));
    if (config.absolute_positions) w.positions = parameter(truncated_normal_matrix(random, patch_count(config) + 1, D, 0.02f));
    if (config.shared_relative_bias) w.relative_table = parameter(Matrix(T, config.heads));
    const BlockShape shape{.width = D,
                           .mlp_width = static_cast<int>(D * config.mlp_ratio),
                           .query_bias = config.query_value_bias,
                           .key_bias = false,
                           .value_bias = config.query_value_bias,
                           .layer_scale = config.layer_scale};
    for (int l = 1; l <= config.depth; ++l) {
        w.blocks.push_back(make_block(random, shape, {.residual = 1 / std::sqrt(2.0f * static_cast<float>(l))}));
        if (config.relative_bias_per_block) w.block_tables.push_back(parameter(Matrix(T, config.heads)));
    }
    w.norm = make_layer_norm(D);
    w.decoder = make_linear(random, D, pixels);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, P = config.patch_size, C = config.channels, H = config.heads;
    const long T = relative_offsets(patches_across(config), patches_across(config));
    Parameters table;
    table.push_back({"encoder.cls_token", {1, 1, D}, Stored::as_it_is, {w.class_token}});
    table.push_back({"encoder.mask_token", {1, 1, D}, Stored::as_it_is, {w.mask_token}});
    if (w.positions) table.push_back({"encoder.pos_embed", {1, patch_count(config) + 1, D}, Stored::as_it_is, {w.positions}});
    table.push_back({"encoder.patch_embed.proj.weight", {D, C, P, P}, Stored::patches, {w.projection.weight}});
    table.push_back({"encoder.patch_embed.proj.bias", {D}, Stored::as_it_is, {w.projection.bias}});
    if (w.relative_table)
        table.push_back({"encoder.rel_pos_bias.relative_position_bias_table", {T, H}, Stored::as_it_is, {w.relative_table}});
    for (std::size_t l = 0; l < w.blocks.size(); ++l) {
        const std::string block = "encoder.blocks." + std::to_string(l);
        add_block_parameters(table, block, w.blocks[l]);
        if (!w.block_tables.empty())
            table.push_back({block + ".attn.relative_position_bias_table", {T, H}, Stored::as_it_is, {w.block_tables[l]}});
    }
    add_parameters(table, config.mean_pooling ? "encoder.fc_norm" : "encoder.norm", w.norm);
    table.push_back({"decoder.0.weight", {C * P * P, D, 1, 1}, Stored::out_by_in, {w.decoder.weight}});
    table.push_back({"decoder.0.bias", {C * P * P}, Stored::as_it_is, {w.decoder.bias}});
    return table;
}

LoadRules load_rules() { return {.ignored_endings = {".relative_position_index"}}; }

}  // namespace simmim
