#include "vit/mask_pixels/mae.h"

#include <cmath>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/layers/names.h"
#include "nn/layers/position.h"
#include "vit/mask_pixels/masking.h"

namespace mae {

int visible_count(const Config& config) {
    check(config.grid, "mae");
    require(config.mask_ratio >= 0 && config.mask_ratio <= 1, "mae: a mask ratio of ", config.mask_ratio,
            " is not a fraction from 0 to 1");
    return static_cast<int>(config.grid.count() * (1 - config.mask_ratio));
}

static int mlp_width(const Config& config, int width) { return static_cast<int>(width * config.mlp_ratio); }

vit::Config vit_config(const Config& config, int classes) {
    return {.grid = config.grid,
            .width = config.width,
            .depth = config.depth,
            .heads = config.heads,
            .mlp_width = mlp_width(config, config.width),
            .classes = classes,
            .eps = config.eps};
}

// --- the encoder: visible patches only ---

static void check(const Config& config) {
    vit::check(vit_config(config, 0), "mae");
    require(config.width % 4 == 0, "mae: a width of ", config.width, " must be divisible by 4 for the positions");
    require(config.decoder_heads > 0 && config.decoder_width % config.decoder_heads == 0 && config.decoder_width % 4 == 0,
            "mae: a decoder width of ", config.decoder_width, " must be divisible by ", config.decoder_heads,
            " heads and by 4 for the positions");
    require(config.decoder_depth >= 0 && mlp_width(config, config.decoder_width) > 0, "mae: a decoder of ", config.decoder_depth,
            " blocks with MLPs of ratio ", config.mlp_ratio, "; the depth may not be negative, the ratio must be positive");
    require(visible_count(config) > 0 && visible_count(config) <= config.grid.count(), "mae: a mask ratio of ", config.mask_ratio,
            " leaves ", visible_count(config), " of ", config.grid.count(), " patches; it must leave at least 1 of them");
}

Masking random_masking(const Matrix& noise, const Config& config) {
    const int N = config.grid.count(), K = visible_count(config);
    require(noise.cols == N, "mae: noise ", noise, " for images of ", N, " patches, it needs a row for each image");
    Masking masking;
    masking.shuffle = sorting_order(noise);
    masking.restore = inverse_permutations(masking.shuffle, N);
    for (int b = 0; b < noise.rows; ++b)
        for (int j = 0; j < K; ++j) masking.keep.push_back(masking.shuffle[b * N + j]);
    masking.mask = make_mask(masking.shuffle, N, K, N);
    return masking;
}

// The kept patches of each image as rows of a matrix that has N for each.
static std::vector<int> rows_to_keep(const Masking& masking, int N, int K) {
    std::vector<int> rows;
    for (std::size_t j = 0; j < masking.keep.size(); ++j) rows.push_back(static_cast<int>(j) / K * N + masking.keep[j]);
    return rows;
}

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const int N = config.grid.count(), K = visible_count(config), B = steps.masking.mask.rows;
    const vit::Weights& v = w.encoder;
    steps.patch_embeddings = linear(steps.patches, v.projection);  // (B*N, D)
    // Positions are added before masking: a visible patch carries its position, so its index in the list does not matter.
    const Var placed = add_repeated(steps.patch_embeddings, slice_rows(v.positions, 1, N));  // (B*N, D)
    steps.visible = gather_rows(placed, rows_to_keep(steps.masking, N, K));                  // (B*K, D)
    const Var class_token = add(v.class_token, slice_rows(v.positions, 0, 1));               // (1, D)
    steps.encoder_input = prepend_to_each(class_token, steps.visible, K);                    // (B*(K+1), D)
    const InStack in_stack("encoder");
    steps.encoder = stack(steps.encoder_input, v.blocks, vit::block_options(vit_config(config, 0)),
                          {.self = {.segments = Segments::equal(B, K + 1)}});
    steps.latent = layer_norm(steps.encoder.output, v.norm, config.eps);  // (B*(K+1), D)
}

// --- the decoder: all patches, masked ones as mask tokens ---

// For each row of the decoder's input its row in [encoded tokens of all images; mask token]: [cls] first, then a patch in the
// order of the image is an encoded token if it was kept, and the mask token if not.
static std::vector<int> rows_to_decode(const Masking& masking, int N, int K) {
    const int B = masking.mask.rows;
    const int mask_token = B * (K + 1);
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) {
        const int class_token = b * (K + 1);
        rows.push_back(class_token);
        for (int i = 0; i < N; ++i) {
            const int position = masking.restore[b * N + i];  // in the shuffled list
            rows.push_back(position < K ? class_token + 1 + position : mask_token);
        }
    }
    return rows;
}

static void decode(Steps& steps, const Weights& w, const Config& config) {
    const int N = config.grid.count(), K = visible_count(config), B = steps.masking.mask.rows;
    const BlockOptions options{.heads = config.decoder_heads, .eps = config.eps};
    steps.decoder_embedding = linear(steps.latent, w.decoder_embedding);                     // (B*(K+1), E)
    const Var with_mask_token = concat_rows({steps.decoder_embedding, w.mask_token});        // (B*(K+1)+1, E)
    const Var in_order = gather_rows(with_mask_token, rows_to_decode(steps.masking, N, K));  // (B*(N+1), E)
    steps.decoder_input = add_repeated(in_order, w.decoder_positions);                       // (B*(N+1), E)
    const InStack in_stack("decoder");
    steps.decoder = stack(steps.decoder_input, w.decoder_blocks, options, {.self = {.segments = Segments::equal(B, N + 1)}});
    steps.decoder_norm = layer_norm(steps.decoder.output, w.decoder_norm, config.eps);  // (B*(N+1), E)
    const Var predicted = linear(steps.decoder_norm, w.decoder_prediction);             // (B*(N+1), P*P*C)
    steps.prediction = drop_first_of_each(predicted, N + 1);                            // (B*N, P*P*C)
}

Steps forward(const std::vector<Image>& images, const Matrix& noise, const Weights& w, const Config& config) {
    check(config);
    require_depth("mae", config.depth, w.encoder.blocks);
    require_depth("mae: decoder", config.decoder_depth, w.decoder_blocks);
    require(noise.rows == static_cast<int>(images.size()), "mae: noise ", noise, " for ", images.size(),
            " images, each needs a row");
    Steps steps;
    steps.patches = patchify_all(images, config.grid, "mae");  // (B*N, P*P*C)
    steps.masking = random_masking(noise, config);
    encode(steps, w, config);
    decode(steps, w, config);
    return steps;
}

// --- the loss covers the masked patches only ---

Matrix targets(const Steps& steps, const Config& config) {
    return config.normalise_targets ? normalise_patches(steps.patches) : steps.patches;
}

Var patch_losses(const Steps& steps, const Config& config) {
    const Var difference = subtract(steps.prediction, targets(steps, config));  // (B*N, P*P*C)
    return row_means(square(difference));                                       // (B*N, 1)
}

Var loss(const Steps& steps, const Config& config) { return masked_mean(patch_losses(steps, config), steps.masking.mask); }

std::vector<Image> predicted_images(const Steps& steps, const Config& config) {
    const Matrix& predicted = steps.prediction.value();
    const Matrix pixels = config.normalise_targets ? denormalise_patches(predicted, steps.patches) : predicted;
    return unpatchify_all(pixels, config.grid);
}

// --- weights ---

double encoder_multiplications(const Config& config, int tokens) {
    require(tokens >= 0, "mae: multiplications for ", tokens, " tokens, there cannot be fewer than 0");
    const double T = tokens, D = config.width, M = mlp_width(config, config.width);
    const double projections = 4 * T * D * D;  // query, key, value, output
    const double attention = 2 * T * T * D;    // q k^T and A v: the only part that grows with the square of the tokens
    const double mlp = 2 * T * D * M;
    return config.depth * (projections + attention + mlp);
}

// The table of a grid with a row of zeros in front, for [cls]. A constant: no gradient flows into it.
static Var fixed_positions(const PatchGrid& grid, int width) {
    return concat_rows({Matrix(1, width), sine_cosine_grid(grid.down(), grid.across(), width)});
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width, E = config.decoder_width;
    const PatchGrid& grid = config.grid;
    const Init xavier{.draw = Draw::xavier_uniform};
    Weights w;
    w.encoder = vit::make_weights(vit_config(config, 0), random, xavier);
    w.encoder.class_token = parameter(normal_matrix(random, 1, D, 0.02f));
    w.encoder.positions = fixed_positions(grid, D);
    w.decoder_embedding = make_linear(random, D, E, xavier);
    w.mask_token = parameter(normal_matrix(random, 1, E, 0.02f));
    w.decoder_positions = fixed_positions(grid, E);
    const BlockShape decoder_block{.width = E, .mlp_width = mlp_width(config, E)};
    for (int l = 0; l < config.decoder_depth; ++l) w.decoder_blocks.push_back(make_block(random, decoder_block, xavier));
    w.decoder_norm = make_layer_norm(E);
    w.decoder_prediction = make_linear(random, E, grid.numbers(), xavier);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, E = config.decoder_width, P = config.grid.patch_size, N = config.grid.count();
    Parameters table;
    table.push_back({"cls_token", {1, 1, D}, Stored::as_it_is, {w.encoder.class_token}});
    table.push_back({"pos_embed", {1, N + 1, D}, Stored::as_it_is, {w.encoder.positions}});
    table.push_back({"mask_token", {1, 1, E}, Stored::as_it_is, {w.mask_token}});
    table.push_back({"decoder_pos_embed", {1, N + 1, E}, Stored::as_it_is, {w.decoder_positions}});
    table.push_back({"patch_embed.proj.weight", {D, config.grid.channels, P, P}, Stored::patches, {w.encoder.projection.weight}});
    table.push_back({"patch_embed.proj.bias", {D}, Stored::as_it_is, {w.encoder.projection.bias}});
    add_parameters(table, "blocks.", w.encoder.blocks, timm_names);
    add_parameters(table, "norm", w.encoder.norm);
    add_parameters(table, "decoder_embed", w.decoder_embedding);
    add_parameters(table, "decoder_blocks.", w.decoder_blocks, timm_names);
    add_parameters(table, "decoder_norm", w.decoder_norm);
    add_parameters(table, "decoder_pred", w.decoder_prediction);
    return table;
}

// --- the encoder as a classifier ---

Parameters hugging_face_parameters(const Weights& w, const Config& config) {
    const long E = config.decoder_width, N = config.grid.count();
    Parameters table = vit::parameters(w.encoder, vit_config(config, 0));
    table.push_back({"decoder.mask_token", {1, 1, E}, Stored::as_it_is, {w.mask_token}});
    table.push_back({"decoder.decoder_pos_embed", {1, N + 1, E}, Stored::as_it_is, {w.decoder_positions}});
    add_parameters(table, "decoder.decoder_embed", w.decoder_embedding);
    add_parameters(table, "decoder.decoder_layers.", w.decoder_blocks, hugging_face_vit_names);
    add_parameters(table, "decoder.decoder_norm", w.decoder_norm);
    add_parameters(table, "decoder.decoder_pred", w.decoder_prediction);
    return table;
}

// --- the configuration of a checkpoint ---

static const Setting decoder_heads{"the number of heads of the decoder", {"decoder_num_attention_heads", "decoder_num_heads"}};
static const Setting mask_ratio{"the mask ratio", {"mask_ratio"}};
static const Setting normalised{"whether targets are normalised", {"norm_pix_loss"}};

bool has_hugging_face_names(const Safetensors& checkpoint) { return checkpoint.has("decoder.decoder_embed.weight"); }

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const bool theirs = has_hugging_face_names(checkpoint);
    const std::string projection = theirs ? "vit.embeddings.patch_embeddings.projection.weight" : "patch_embed.proj.weight";
    const std::string positions = theirs ? "vit.embeddings.position_embeddings" : "pos_embed";
    const std::string expand = theirs ? "vit.encoder.layer.0.intermediate.dense.weight" : "blocks.0.mlp.fc1.weight";
    const std::string embedding = theirs ? "decoder.decoder_embed.weight" : "decoder_embed.weight";
    Config config;
    config.width = checkpoint.dimension(projection, 0);
    config.grid.channels = checkpoint.dimension(projection, 1);
    config.grid.patch_size = checkpoint.dimension(projection, 2);
    config.depth = theirs ? count_blocks(checkpoint, "vit.encoder.layer.", ".output.dense.weight")
                          : count_blocks(checkpoint, "blocks.", ".mlp.fc2.weight");
    config.mlp_ratio = ratio_of(checkpoint.dimension(expand, 0), config.width);
    config.decoder_width = checkpoint.dimension(embedding, 0);
    config.decoder_depth = theirs ? count_blocks(checkpoint, "decoder.decoder_layers.", ".output.dense.weight")
                                  : count_blocks(checkpoint, "decoder_blocks.", ".mlp.fc2.weight");

    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::patch_size, config.grid.patch_size);
    model_config.require_agrees(settings::width, config.width);
    vit::set_image_size(config.grid, checkpoint.dimension(positions, 1) - 1, model_config, checkpoint.path);
    config.heads = model_config.integer(settings::heads);
    config.decoder_heads = model_config.integer(decoder_heads);
    config.mask_ratio = model_config.real(mask_ratio, 0.75);
    config.eps = static_cast<float>(model_config.real(settings::eps, theirs ? 1e-12 : 1e-6));
    config.normalise_targets = model_config.string(normalised, theirs ? "false" : "true") == "true";
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "vit_mae"},
            {"image_size", vit::image_size_text(config.grid)},
            {"num_attention_heads", std::to_string(config.heads)},
            {"decoder_num_attention_heads", std::to_string(config.decoder_heads)},
            {"layer_norm_eps", setting_text(config.eps)},
            {"mask_ratio", setting_text(static_cast<float>(config.mask_ratio))},
            {"norm_pix_loss", config.normalise_targets ? "true" : "false"}};
}

vit::Weights make_classifier(const Weights& w, const Config& config, int classes, Random& random) {
    require(classes > 0, "mae: a classifier of ", classes,
            " classes, it needs at least 1; vit_config(config, 0) is the encoder alone");
    const vit::Weights classifier = vit::make_weights(vit_config(config, classes), random);
    const vit::Config shared = vit_config(config, 0);  // all but the classifier
    copy_values(vit::parameters(w.encoder, shared), vit::parameters(classifier, shared));
    return classifier;
}

}  // namespace mae
