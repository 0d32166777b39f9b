#include "vit/mask_pixels/simmim.h"

#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/layers/names.h"
#include "nn/layers/relative_position.h"
#include "vit/mask_pixels/masking.h"

namespace simmim {

static void require_units(const Config& config) {
    const PatchGrid& grid = config.grid;
    check(grid, "simmim");
    require(config.mask_unit > 0 && config.mask_unit % grid.patch_size == 0 && grid.height % config.mask_unit == 0 &&
                grid.width % config.mask_unit == 0,
            "simmim: a mask unit of ", config.mask_unit, " pixels must be a multiple of the patch side ", grid.patch_size,
            " and divide the image, ", grid.height, " x ", grid.width);
    require(config.mask_ratio >= 0 && config.mask_ratio <= 1, "simmim: a mask ratio of ", config.mask_ratio,
            " is not a fraction from 0 to 1");
}

int unit_count(const Config& config) {
    require_units(config);
    return (config.grid.height / config.mask_unit) * (config.grid.width / config.mask_unit);
}
int masked_units(const Config& config) { return static_cast<int>(std::ceil(unit_count(config) * config.mask_ratio)); }

static int mlp_width(const Config& config) { return static_cast<int>(config.width * config.mlp_ratio); }

// --- masking of large squares ---

Matrix random_masking(const std::vector<int>& permutations, const Config& config) {
    const Matrix units = make_mask(permutations, unit_count(config), 0, masked_units(config));  // (B, units)
    const PatchGrid& grid = config.grid;
    const int units_across = grid.width / config.mask_unit, side = config.mask_unit / grid.patch_size;  // of a unit, in patches
    Matrix mask(units.rows, grid.count());
    for (int b = 0; b < mask.rows; ++b)
        for (int r = 0; r < grid.down(); ++r)
            for (int c = 0; c < grid.across(); ++c) mask(b, r * grid.across() + c) = units(b, r / side * units_across + c / side);
    return mask;
}

// --- the encoder sees all tokens, mask tokens among them ---

static Var block_bias(const Weights& w, const Var& shared, std::size_t block, const PatchGrid& grid) {
    if (w.block_tables.empty()) return shared;
    const Var own = relative_position_bias(w.block_tables[block], grid.down(), grid.across());  // (H*(N+1), N+1)
    return shared ? add(own, shared) : own;
}

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const vit::Weights& v = w.encoder;
    const int N = grid.count(), B = steps.mask.rows;
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    steps.patch_embeddings = linear(steps.patches, v.projection);            // (B*N, D)
    steps.masked = cover(steps.patch_embeddings, w.mask_token, steps.mask);  // (B*N, D)
    const Var tokens = prepend_to_each(v.class_token, steps.masked, N);      // (B*(N+1), D)
    steps.z0 = v.positions ? add_repeated(tokens, v.positions) : tokens;     // (B*(N+1), D)
    const Var shared_bias = w.relative_table ? relative_position_bias(w.relative_table, grid.down(), grid.across()) : Var();
    std::vector<BlockContext> contexts;
    for (std::size_t l = 0; l < v.blocks.size(); ++l) {
        steps.biases.push_back(block_bias(w, shared_bias, l, grid));  // (H*(N+1), N+1)
        contexts.push_back({.self = {.segments = Segments::equal(B, N + 1), .bias = steps.biases.back()}});
    }
    steps.encoder = stack(steps.z0, v.blocks, options, contexts);  // (B*(N+1), D)
    const Var& z = steps.encoder.output;
    steps.norm = config.mean_pooling ? z : layer_norm(z, v.norm, config.eps);  // (B*(N+1), D)
}

// --- the decoder is one linear layer ---

Var pixel_shuffle(const Var& tokens, int patch_size, int channels) {
    const int pixels = patch_size * patch_size;
    require(tokens.cols() == channels * pixels, "pixel_shuffle: tokens ", tokens.value(), " for ", channels, " channels of ",
            patch_size, " x ", patch_size, " pixels");
    std::vector<int> from;  // the column that each new column comes from
    for (int p = 0; p < pixels; ++p)
        for (int c = 0; c < channels; ++c) from.push_back(c * pixels + p);
    return gather_cols(tokens, from);  // (n, P*P*C)   [ESPCN 4]
}

static void check(const Config& config) {
    check(config.grid, "simmim");
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "simmim: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.depth >= 0 && mlp_width(config) > 0, "simmim: depth ", config.depth, ", MLP ratio ", config.mlp_ratio,
            "; the depth may not be negative, the ratio must be positive");
    require_units(config);
    require_eps("simmim", config.eps);
}

Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config) {
    check(config);
    require_depth("simmim", config.depth, w.encoder.blocks);
    require(mask.rows == static_cast<int>(images.size()) && mask.cols == config.grid.count(), "simmim: a mask ", mask, " for ",
            images.size(), " images of ", config.grid.count(), " patches; each image needs a row, each patch a number");
    Steps steps;
    steps.mask = mask;
    steps.patches = patchify_all(images, config.grid, "simmim");  // (B*N, P*P*C)
    encode(steps, w, config);
    const Var patch_tokens = drop_first_of_each(steps.norm, config.grid.count() + 1);                          // (B*N, D)
    steps.decoder_output = linear(patch_tokens, w.decoder);                                                    // (B*N, C*P*P)
    steps.reconstruction = pixel_shuffle(steps.decoder_output, config.grid.patch_size, config.grid.channels);  // (B*N, P*P*C)
    return steps;
}

// --- the loss: absolute differences, masked pixels only ---

Var patch_losses(const Steps& steps) {
    const Var difference = subtract(steps.reconstruction, steps.patches);  // (B*N, P*P*C)
    return row_means(abs(difference));                                     // (B*N, 1)
}

Var loss(const Steps& steps, const Config& config) {
    // The paper sums over pixels and divides by (masked pixels + 1e-5) C; counted in patches of P*P pixels this is the same.
    const float extra = 1e-5f / static_cast<float>(config.grid.patch_size * config.grid.patch_size);
    return masked_mean(patch_losses(steps), steps.mask, extra);
}

std::vector<Image> predicted_images(const Steps& steps, const Config& config) {
    return unpatchify_all(steps.reconstruction.value(), config.grid);
}

Matrix pixel_mask(const Matrix& mask, const Config& config) {
    const PatchGrid& grid = config.grid;
    check(grid, "simmim");
    require(mask.cols == grid.count(), "simmim: a mask ", mask, " for images of ", grid.count(),
            " patches; each image needs a row, each patch a number");
    const int H = grid.height, W = grid.width, P = grid.patch_size;
    Matrix pixels = Matrix::unset(mask.rows * H, W);
    for (int b = 0; b < mask.rows; ++b)
        for (int y = 0; y < H; ++y)
            for (int x = 0; x < W; ++x) pixels(b * H + y, x) = mask(b, y / P * grid.across() + x / P);
    return pixels;
}

// The distance from the masked pixel (y, x) of an image's mask (H, W) to the nearest visible one.
static double distance_to_visible(const Matrix& mask, int y, int x) {
    int nearest = -1;  // squared
    for (int v = 0; v < mask.rows; ++v)
        for (int u = 0; u < mask.cols; ++u) {
            const int squared = (v - y) * (v - y) + (u - x) * (u - x);
            if (mask(v, u) == 0 && (nearest < 0 || squared < nearest)) nearest = squared;
        }
    require(nearest >= 0, "average_distance: an image has no visible pixel; a smaller mask ratio leaves some");
    return std::sqrt(static_cast<double>(nearest));
}

double average_distance(const Matrix& mask, const Config& config) {
    const int H = config.grid.height;
    const Matrix pixels = pixel_mask(mask, config);  // (B*H, W)
    double total = 0;
    long masked = 0;
    for (int b = 0; b < mask.rows; ++b) {
        const Matrix image = slice_rows(pixels, b * H, H);
        for (int y = 0; y < image.rows; ++y)
            for (int x = 0; x < image.cols; ++x) {
                if (image(y, x) == 0) continue;
                total += distance_to_visible(image, y, x);
                ++masked;
            }
    }
    require(masked > 0, "average_distance: no pixel is masked; a larger mask ratio masks some");
    return total / static_cast<double>(masked);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const PatchGrid& grid = config.grid;
    const int D = config.width, T = relative_offsets(grid.down(), grid.across());
    Weights w;
    w.encoder.projection = make_linear(random, grid.numbers(), D);
    w.encoder.class_token = make_weight(random, 1, D);
    w.mask_token = make_weight(random, 1, D);
    if (config.absolute_positions) w.encoder.positions = make_weight(random, grid.count() + 1, D);
    if (config.shared_relative_bias) w.relative_table = parameter(Matrix(T, config.heads));
    const BlockShape shape{.width = D,
                           .mlp_width = mlp_width(config),
                           .query_bias = config.query_value_bias,
                           .key_bias = false,
                           .value_bias = config.query_value_bias,
                           .layer_scale = config.layer_scale};
    for (int l = 1; l <= config.depth; ++l) {
        w.encoder.blocks.push_back(make_block(random, shape, {.residual = 1 / std::sqrt(2.0f * static_cast<float>(l))}));
        if (config.relative_bias_per_block) w.block_tables.push_back(parameter(Matrix(T, config.heads)));
    }
    w.encoder.norm = make_layer_norm(D);
    w.decoder = make_linear(random, D, grid.numbers());
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const vit::Weights& v = w.encoder;
    const long D = config.width, P = grid.patch_size, C = grid.channels, H = config.heads;
    const long T = relative_offsets(grid.down(), grid.across());
    Parameters table;
    table.push_back({"encoder.cls_token", {1, 1, D}, Stored::as_it_is, {v.class_token}});
    table.push_back({"encoder.mask_token", {1, 1, D}, Stored::as_it_is, {w.mask_token}});
    if (v.positions) table.push_back({"encoder.pos_embed", {1, config.grid.count() + 1, D}, Stored::as_it_is, {v.positions}});
    table.push_back({"encoder.patch_embed.proj.weight", {D, C, P, P}, Stored::patches, {v.projection.weight}});
    table.push_back({"encoder.patch_embed.proj.bias", {D}, Stored::as_it_is, {v.projection.bias}});
    if (w.relative_table)
        table.push_back({"encoder.rel_pos_bias.relative_position_bias_table", {T, H}, Stored::as_it_is, {w.relative_table}});
    add_parameters(table, "encoder.blocks.", v.blocks, timm_names);
    for (std::size_t l = 0; l < w.block_tables.size(); ++l) {
        const std::string name = "encoder.blocks." + std::to_string(l) + ".attn.relative_position_bias_table";
        table.push_back({name, {T, H}, Stored::as_it_is, {w.block_tables[l]}});
    }
    add_parameters(table, config.mean_pooling ? "encoder.fc_norm" : "encoder.norm", v.norm);
    table.push_back({"decoder.0.weight", {C * P * P, D, 1, 1}, Stored::out_by_in, {w.decoder.weight}});
    table.push_back({"decoder.0.bias", {C * P * P}, Stored::as_it_is, {w.decoder.bias}});
    return table;
}

LoadRules load_rules() { return {.ignored_endings = {".relative_position_index"}}; }

}  // namespace simmim
