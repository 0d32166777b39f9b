#include "vit/mask_pixels/maskfeat.h"

#include <algorithm>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"
#include "vit/mask_pixels/masking.h"

namespace maskfeat {

int target_width(const Config& config) {
    hog::check(config.hog, config.grid, "maskfeat");
    const int u = config.grid.patch_size / config.hog.cell;
    return config.grid.channels * config.hog.bins * u * u;
}

// The encoder alone, a ViT.
static vit::Config vit_config(const Config& config) {
    return {.grid = config.grid,
            .width = config.width,
            .depth = config.depth,
            .heads = config.heads,
            .mlp_width = static_cast<int>(config.width * config.mlp_ratio),
            .classes = 0,
            .eps = config.eps,
            .query_key_value_bias = config.query_key_value_bias};
}

// --- the target ---

Matrix targets(const std::vector<Image>& images, const Config& config) {
    const int N = config.grid.count();
    Matrix all = Matrix::unset(static_cast<int>(images.size()) * N, target_width(config));  // (B*N, F)
    for (std::size_t i = 0; i < images.size(); ++i) {
        const hog::Steps described = hog::describe(images[i], config.hog);                        // (cells, C*b)
        const Matrix of_image = hog::of_patches(described.descriptors, config.grid, config.hog);  // (N, F)
        std::copy(of_image.begin(), of_image.end(), all.row(static_cast<int>(i) * N));
    }
    return all;
}

// --- the model ---

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const int N = config.grid.count(), B = steps.mask.rows;
    const vit::Weights& v = w.encoder;
    steps.patch_embeddings = linear(steps.patches, v.projection);                                       // (B*N, D)
    steps.masked = cover(steps.patch_embeddings, w.mask_token, steps.mask);                             // (B*N, D)
    const Var tokens = v.class_token ? prepend_to_each(v.class_token, steps.masked, N) : steps.masked;  // (B*(N+1), D)
    steps.z0 = add_repeated(tokens, v.positions);                                                       // (B*(N+1), D)
    const Segments segments = Segments::equal(B, tokens.rows() / B);
    steps.encoder = stack(steps.z0, v.blocks, vit::block_options(vit_config(config)), {.self = {.segments = segments}});
}

Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config) {
    vit::check(vit_config(config), "maskfeat");
    require_depth("maskfeat", config.depth, w.encoder.blocks);
    const int N = config.grid.count();
    require(mask.rows == static_cast<int>(images.size()) && mask.cols == N, "maskfeat: a mask ", mask, " for ", images.size(),
            " images of ", N, " patches; each image needs a row, each patch a number");
    Steps steps;
    steps.mask = mask;
    steps.patches = patchify_all(images, config.grid, "maskfeat");  // (B*N, P*P*C)
    encode(steps, w, config);
    const Var& z = steps.encoder.output;
    const Var of_patches = w.encoder.class_token ? drop_first_of_each(z, N + 1) : z;  // (B*N, D)
    steps.masked_rows = masked_rows(mask);
    // The norm treats rows one by one, so that the visible ones need not be normalised at all.
    steps.head_norm = layer_norm(gather_rows(of_patches, steps.masked_rows), w.head_norm, config.eps);  // (M, D)
    steps.prediction = linear(steps.head_norm, w.head);                                                 // (M, F)
    return steps;
}

Var loss(const Steps& steps, const Matrix& targets) {
    require(!steps.masked_rows.empty(), "maskfeat: no patch is masked, so there is nothing to predict");
    return mean_squared_error(steps.prediction, gather_rows(targets, steps.masked_rows));
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    vit::check(vit_config(config), "maskfeat");
    hog::check(config.hog, config.grid, "maskfeat");
    Weights w;
    w.encoder = vit::make_weights(vit_config(config), random, init);
    w.encoder.norm = {};
    if (!config.class_token) {
        w.encoder.class_token = {};
        w.encoder.positions = make_weight(random, config.grid.count(), config.width, init);
    }
    w.mask_token = make_weight(random, 1, config.width, init);
    w.head_norm = make_layer_norm(config.width);
    w.head = make_linear(random, config.width, target_width(config), init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const vit::Weights& v = w.encoder;
    const long D = config.width, P = config.grid.patch_size, C = config.grid.channels;
    Parameters table;
    if (v.class_token) table.push_back({"cls_token", {1, 1, D}, Stored::as_it_is, {v.class_token}});
    table.push_back({"mask_token", {1, 1, D}, Stored::as_it_is, {w.mask_token}});
    table.push_back({"pos_embed", {1, v.positions.rows(), D}, Stored::as_it_is, {v.positions}});
    table.push_back({"patch_embed.proj.weight", {D, C, P, P}, Stored::patches, {v.projection.weight}});
    table.push_back({"patch_embed.proj.bias", {D}, Stored::as_it_is, {v.projection.bias}});
    add_parameters(table, "blocks.", v.blocks, timm_names);
    add_parameters(table, "pred_head.transforms.0.0", w.head_norm);
    add_parameters(table, "pred_head.projections.0", w.head);
    return table;
}

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::shapes},
            {settings::heads, &config.heads, From::file},
            {{"the number of bins", {"nbins"}}, &config.hog.bins, From::file},
            {{"the side of a cell", {"cell_sz"}}, &config.hog.cell, From::file},
            {settings::eps, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.width = size_of(checkpoint, "patch_embed.proj.weight", 0);
    config.grid.channels = size_of(checkpoint, "patch_embed.proj.weight", 1);
    config.grid.patch_size = size_of(checkpoint, "patch_embed.proj.weight", 2);
    config.class_token = checkpoint.has("cls_token");
    config.depth = count_blocks(checkpoint, "blocks.", ".norm1.weight");
    config.mlp_ratio = ratio_of(size_of(checkpoint, "blocks.0.mlp.fc1.weight", 0), config.width);
    config.query_key_value_bias = checkpoint.has("blocks.0.attn.qkv.bias");
    const ModelConfig model_config(checkpoint, given);
    vit::set_image_size(config.grid, size_of(checkpoint, "pos_embed", 1) - config.class_token, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    vit::check(vit_config(config), "maskfeat");
    hog::check(config.hog, config.grid, "maskfeat");
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("maskfeat", members_of(copy));
    all["image_size"] = vit::image_size_text(config.grid);
    return all;
}

}  // namespace maskfeat
