#include "vit/mask_latents/beit_v2.h"

#include <algorithm>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/layers/names.h"
#include "nn/layers/relative_position.h"
#include "nn/training/loss.h"
#include "vit/mask_pixels/masking.h"

namespace beit_v2 {

static void check(const TokenizerConfig& config);  // with the weights of each stage
static void check(const Config& config);

// ================================================ stage 1: the tokenizer ================================================

// --- a ViT over a grid, whose last norm reads the patch tokens only ---

namespace {

struct GridSteps {
    Var z0;  // (B*(N+1), d)
    StackSteps blocks;
    Var features;  // (B*N, d)
};

}  // namespace

// x (B*N, in): flattened patches, or codes
static GridSteps read_grid(const Var& x, const vit::Weights& v, int N, const BlockOptions& options, float eps) {
    const int B = x.rows() / N;
    GridSteps steps;
    const Var patches = linear(x, v.projection);                                       // (B*N, d)
    steps.z0 = add_repeated(prepend_to_each(v.class_token, patches, N), v.positions);  // (B*(N+1), d)
    steps.blocks = stack(steps.z0, v.blocks, options, {.self = {.segments = Segments::equal(B, N + 1)}});
    const Var patch_tokens = drop_first_of_each(steps.blocks.output, N + 1);  // (B*N, d)
    steps.features = layer_norm(patch_tokens, v.norm, eps);                   // (B*N, d)
    return steps;
}

static Var two_layers(const Var& x, const Linear& first, const Linear& second) { return linear(tanh(linear(x, first)), second); }

std::vector<Image> scale_images(const std::vector<Image>& images) {
    float largest = 0;
    for (const Image& image : images)
        for (const float x : image.pixels) largest = std::max(largest, x);
    const float to_bytes = largest <= 1 ? 255.0f : 1.0f;
    std::vector<Image> scaled = images;
    for (Image& image : scaled)
        for (float& x : image.pixels) x = x * to_bytes / 127.5f - 1;
    return scaled;
}

TokenizerSteps tokenize(const std::vector<Image>& images, const TokenizerWeights& w, const TokenizerConfig& config) {
    check(config);
    require_depth("beit_v2: tokenizer's encoder", config.encoder_depth, w.encoder.blocks);
    require_depth("beit_v2: tokenizer's decoder", config.decoder_depth, w.decoder.blocks);
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    const int N = config.grid.count();
    TokenizerSteps steps;
    steps.scaled = scale_images(images);
    const Matrix patches = patchify_all(steps.scaled, config.grid, "beit_v2");  // (B*N, P*P*C)

    GridSteps encoded = read_grid(patches, w.encoder, N, options, config.eps);
    steps.encoder_z0 = encoded.z0;
    steps.encoder = std::move(encoded.blocks);
    steps.encoder_features = encoded.features;  // (B*N, d)

    // The nearest of K directions, with a straight-through gradient.
    steps.to_quantizer = two_layers(steps.encoder_features, w.to_code_hidden, w.to_code);  // (B*N, c)
    steps.z = unit_rows(steps.to_quantizer, 1e-12f);                                       // (B*N, c)
    steps.quantized = quantize(steps.z, w.codebook);                                       // ids (B*N)      [BEiT v2 1]

    GridSteps decoded = read_grid(steps.quantized.output, w.decoder, N, options, config.eps);
    steps.decoder_z0 = decoded.z0;
    steps.decoder = std::move(decoded.blocks);
    steps.decoder_features = decoded.features;                                                     // (B*N, d)
    steps.reconstruction = two_layers(steps.decoder_features, w.to_teacher_hidden, w.to_teacher);  // (B*N, F)
    return steps;
}

Var reconstruction_loss(const TokenizerSteps& steps, const Matrix& teacher) {
    require(same_shape(teacher, steps.reconstruction.value()), "beit_v2: teacher features ", teacher, " for reconstructions ",
            steps.reconstruction.value(), ", the shapes must be equal");
    const Var cosines = row_sums(multiply(unit_rows(steps.reconstruction, 0), unit_rows(teacher, 0)));  // (B*N, 1)
    return mean(shift(scale(cosines, -1), 1));                                                          // (1, 1)   [BEiT v2 2]
}

Var quantize_loss(const TokenizerSteps& steps, const TokenizerConfig& config) {
    return scale(commitment_loss(steps.z, steps.quantized), config.beta);  // (1, 1)
}

Var loss(const TokenizerSteps& steps, const Matrix& teacher, const TokenizerConfig& config) {
    return add(quantize_loss(steps, config), reconstruction_loss(steps, teacher));
}

// --- updates of the codebook, without gradients ---

void update_codebook(TokenizerWeights& w, const TokenizerSteps& steps, const TokenizerConfig& config) {
    average_directions(w.codebook.value(), w.cluster_size.value(), steps.z.value(), steps.quantized.ids, config.decay);
}

void start_codebook(TokenizerWeights& w, const TokenizerSteps& steps, Random& random, int rounds) {
    const Matrix& z = steps.z.value();
    w.codebook.value() = spherical_k_means(z, random_rows(random, z.rows, w.codebook.rows()), rounds);
    const std::vector<int> ids = nearest_codes(squared_distances(z, w.codebook).value());
    const std::vector<int> counts = code_counts(ids, w.codebook.rows());
    std::copy(counts.begin(), counts.end(), w.cluster_size.value().begin());
}

// --- weights of the tokenizer ---

static void check_widths(const char* what, int width, int heads, double mlp_ratio, int codes, float eps) {
    require(heads > 0 && width > 0 && width % heads == 0, "beit_v2: ", what, ": ", heads, " heads do not divide a width of ",
            width);
    require(mlp_ratio > 0 && codes > 0, "beit_v2: ", what, ": MLP ratio ", mlp_ratio, ", ", codes,
            " codes: sizes must be positive");
    require_eps("beit_v2", eps);
}

static BlockShape block_shape(int width, double mlp_ratio, bool query_value_bias, std::optional<float> layer_scale) {
    return {.width = width,
            .mlp_width = static_cast<int>(width * mlp_ratio),
            .query_bias = query_value_bias,
            .key_bias = false,
            .value_bias = query_value_bias,
            .layer_scale = layer_scale};
}

static vit::Weights make_grid_reader(int in, int N, int depth, const BlockShape& shape, Random& random, const Init& init) {
    vit::Weights v;
    v.projection = make_linear(random, in, shape.width, init);
    v.class_token = make_weight(random, 1, shape.width, init);
    v.positions = make_weight(random, N + 1, shape.width, init);
    for (int l = 0; l < depth; ++l) v.blocks.push_back(make_block(random, shape, init));
    v.norm = make_layer_norm(shape.width);
    return v;
}

static void check(const TokenizerConfig& config) {
    check(config.grid, "beit_v2");
    check_widths("tokenizer", config.width, config.heads, config.mlp_ratio, config.codes, config.eps);
    require(config.code_width > 0 && config.teacher_width > 0 && config.encoder_depth >= 0 && config.decoder_depth >= 0,
            "beit_v2: tokenizer: codes ", config.code_width, " wide, teacher ", config.teacher_width, ", depths ",
            config.encoder_depth, " and ", config.decoder_depth, ": none may be negative, and no width 0");
    require(config.decay >= 0 && config.decay <= 1, "beit_v2: tokenizer: a decay of ", config.decay,
            ", it must be a fraction from 0 to 1");
}

TokenizerWeights make_weights(const TokenizerConfig& config, Random& random, const Init& init) {
    check(config);
    const int d = config.width, N = config.grid.count();
    const BlockShape shape = block_shape(d, config.mlp_ratio, config.query_value_bias, {});
    TokenizerWeights w;
    w.encoder = make_grid_reader(config.grid.numbers(), N, config.encoder_depth, shape, random, init);
    w.to_code_hidden = make_linear(random, d, d, init);
    w.to_code = make_linear(random, d, config.code_width, init);
    w.codebook = Var(unit_rows(normal_matrix(random, config.codes, config.code_width)).value());
    w.cluster_size = Var(Matrix(1, config.codes));
    w.decoder = make_grid_reader(config.code_width, N, config.decoder_depth, shape, random, init);
    w.to_teacher_hidden = make_linear(random, d, d, init);
    w.to_teacher = make_linear(random, d, config.teacher_width, init);
    return w;
}

static void add_grid_reader(Parameters& table, const std::string& prefix, const vit::Weights& v, const PatchGrid& grid,
                            long channels, long side, const char* norm) {
    const long width = v.class_token.cols();
    table.push_back({prefix + "cls_token", {1, 1, width}, Stored::as_it_is, {v.class_token}});
    if (v.positions) table.push_back({prefix + "pos_embed", {1, grid.count() + 1, width}, Stored::as_it_is, {v.positions}});
    table.push_back({prefix + "patch_embed.proj.weight", {width, channels, side, side}, Stored::patches, {v.projection.weight}});
    table.push_back({prefix + "patch_embed.proj.bias", {width}, Stored::as_it_is, {v.projection.bias}});
    add_parameters(table, prefix + "blocks.", v.blocks, timm_names);
    add_parameters(table, prefix + norm, v.norm);
}

Parameters parameters(const TokenizerWeights& w, const TokenizerConfig& config) {
    const PatchGrid& grid = config.grid;
    const long K = config.codes, c = config.code_width;
    Parameters table;
    add_grid_reader(table, "encoder.", w.encoder, grid, grid.channels, grid.patch_size, "fc_norm");
    add_parameters(table, "encode_task_layer.0", w.to_code_hidden);
    add_parameters(table, "encode_task_layer.2", w.to_code);
    table.push_back({"quantize.embedding.weight", {K, c}, Stored::as_it_is, {w.codebook}});
    table.push_back({"quantize.cluster_size", {K}, Stored::as_it_is, {w.cluster_size}});
    add_grid_reader(table, "decoder.", w.decoder, grid, c, 1, "fc_norm");
    add_parameters(table, "decode_task_layer.0", w.to_teacher_hidden);
    add_parameters(table, "decode_task_layer.2", w.to_teacher);
    return table;
}

LoadRules tokenizer_load_rules() {
    return {.ignored_endings = {"quantize.embedding.cluster_size", "quantize.embedding.embed_avg", "quantize.embedding.initted"}};
}

static std::vector<Member> members_of(TokenizerConfig& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::shapes},
            {settings::heads, &config.heads, From::file},
            {{"the decay of the codebook", {"decay"}}, &config.decay},
            {{"the weight of the commitment", {"beta"}}, &config.beta},
            {settings::eps, &config.eps}};
}

TokenizerConfig tokenizer_config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string projection = "encoder.patch_embed.proj.weight";
    TokenizerConfig config;
    config.width = size_of(checkpoint, projection, 0);
    config.grid.channels = size_of(checkpoint, projection, 1);
    config.grid.patch_size = size_of(checkpoint, projection, 2);
    config.encoder_depth = count_blocks(checkpoint, "encoder.blocks.", ".norm1.weight");
    config.decoder_depth = count_blocks(checkpoint, "decoder.blocks.", ".norm1.weight");
    config.mlp_ratio = ratio_of(size_of(checkpoint, "encoder.blocks.0.mlp.fc1.weight", 0), config.width);
    config.query_value_bias = checkpoint.has("encoder.blocks.0.attn.q_bias");
    config.codes = size_of(checkpoint, "quantize.embedding.weight", 0);
    config.code_width = size_of(checkpoint, "quantize.embedding.weight", 1);
    config.teacher_width = size_of(checkpoint, "decode_task_layer.2.weight", 0);
    const ModelConfig model_config(checkpoint, given);
    vit::set_image_size(config.grid, size_of(checkpoint, "encoder.pos_embed", 1) - 1, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const TokenizerConfig& config) {
    TokenizerConfig copy = config;
    std::map<std::string, std::string> all = metadata_of("vqkd", members_of(copy));
    all["image_size"] = vit::image_size_text(config.grid);
    return all;
}

// ============================================== stage 2: the masked model ==============================================

// Blocks first ... end - 1 of a stack; their steps are added to `steps`.
static Var run_blocks(StackSteps& steps, const Var& z, const std::vector<Block>& blocks, int first, int end,
                      const BlockOptions& options, const BlockContext& context) {
    const std::vector<Block> part(blocks.begin() + first, blocks.begin() + end);
    StackSteps of_part = stack(z, part, options, context);
    steps.output = of_part.output;
    for (BlockSteps& block : of_part.blocks) steps.blocks.push_back(std::move(block));
    return steps.output;
}

// [cls] of one, the patches of the other: (B*(N+1), D) twice -> (B*(N+1), D)
static Var join(const Var& of_class, const Var& of_patches, int tokens) {
    const int rows = of_class.rows();
    std::vector<int> from;  // rows of both, stacked vertically
    for (int i = 0; i < rows; ++i) from.push_back(i % tokens == 0 ? i : rows + i);
    return gather_rows(concat_rows({of_class, of_patches}), from);
}

// Logits of the visual tokens of the masked patches, from all tokens.
static Var predict(const Var& z, const std::vector<int>& rows, int tokens, const Norm& norm, const Linear& head, float eps) {
    const Var normed = layer_norm(z, norm, eps);             // (B*(N+1), D)
    const Var patches = drop_first_of_each(normed, tokens);  // (B*N, D)
    return linear(gather_rows(patches, rows), head);         // (M, K)
}

Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const vit::Weights& v = w.encoder;
    check(config);
    require_depth("beit_v2", config.depth, v.blocks);
    require_depth("beit_v2: branch", config.head_depth, w.branch);
    const int N = grid.count(), B = static_cast<int>(images.size());
    require(mask.rows == B && mask.cols == N, "beit_v2: a mask ", mask, " for ", B, " images of ", N,
            " patches; each image needs a row, each patch a number");
    Steps steps;
    steps.masked_rows = masked_rows(mask);
    require(!steps.masked_rows.empty(), "beit_v2: no patch is masked, there is nothing to predict");

    const Matrix patches = patchify_all(images, grid, "beit_v2");          // (B*N, P*P*C)
    steps.patch_embeddings = linear(patches, v.projection);                // (B*N, D)
    const Var masked = cover(steps.patch_embeddings, w.mask_token, mask);  // (B*N, D)
    const Var tokens = prepend_to_each(v.class_token, masked, N);          // (B*(N+1), D)
    steps.z0 = v.positions ? add_repeated(tokens, v.positions) : tokens;   // (B*(N+1), D)
    if (w.relative_table) steps.bias = relative_position_bias(w.relative_table, grid.down(), grid.across());
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    const BlockContext context{.self = {.segments = Segments::equal(B, N + 1), .bias = steps.bias}};
    steps.early = run_blocks(steps.encoder, steps.z0, v.blocks, 0, config.early_block, options, context);
    const Var z = run_blocks(steps.encoder, steps.early, v.blocks, config.early_block, config.depth, options, context);
    steps.logits = predict(z, steps.masked_rows, N + 1, v.norm, w.head, config.eps);  // (M, K)

    // Patch aggregation: early patch tokens hold little global information, so the branch must get it from [cls].
    steps.branch_input = join(z, steps.early, N + 1);  // (B*(N+1), D)
    steps.branch = stack(steps.branch_input, w.branch, options, context);
    const Norm& branch_norm = config.shared_head ? v.norm : w.branch_norm;
    const Linear& branch_head = config.shared_head ? w.head : w.branch_head;
    steps.branch_logits = predict(steps.branch.output, steps.masked_rows, N + 1, branch_norm, branch_head, config.eps);  // (M, K)
    return steps;
}

std::vector<int> masked_tokens(const std::vector<int>& ids, const Steps& steps) {
    std::vector<int> tokens;
    for (const int row : steps.masked_rows) {
        require(row < static_cast<int>(ids.size()), "beit_v2: ", ids.size(), " tokens, but patch ", row, " is masked");
        tokens.push_back(ids[row]);
    }
    return tokens;
}

Var mask_loss(const Steps& steps, const std::vector<int>& tokens) { return cross_entropy(steps.logits, tokens); }  // [BEiT v2 3]
Var branch_loss(const Steps& steps, const std::vector<int>& tokens) { return cross_entropy(steps.branch_logits, tokens); }
Var loss(const Steps& steps, const std::vector<int>& tokens) { return add(mask_loss(steps, tokens), branch_loss(steps, tokens)); }

// --- weights of the masked model ---

static void check(const Config& config) {
    check(config.grid, "beit_v2");
    check_widths("masked model", config.width, config.heads, config.mlp_ratio, config.codes, config.eps);
    require(config.early_block >= 1 && config.early_block <= config.depth && config.head_depth >= 0, "beit_v2: the early block ",
            config.early_block, " is not one of ", config.depth, " blocks, or ", config.head_depth,
            " blocks of the branch are negative");
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const PatchGrid& grid = config.grid;
    const int D = config.width;
    const BlockShape shape = block_shape(D, config.mlp_ratio, config.query_value_bias, config.layer_scale);
    Weights w;
    w.encoder = make_grid_reader(grid.numbers(), grid.count(), config.depth, shape, random, init);
    if (!config.absolute_positions) w.encoder.positions = {};
    w.mask_token = make_weight(random, 1, D, init);
    if (config.shared_relative_bias)
        w.relative_table = parameter(Matrix(relative_offsets(grid.down(), grid.across()), config.heads));
    w.head = make_linear(random, D, config.codes, init);
    for (int l = 0; l < config.head_depth; ++l) w.branch.push_back(make_block(random, shape, init));
    if (!config.shared_head) {
        w.branch_norm = make_layer_norm(D);
        w.branch_head = make_linear(random, D, config.codes, init);
    }
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const PatchGrid& grid = config.grid;
    const long D = config.width;
    Parameters table;
    table.push_back({"mask_token", {1, 1, D}, Stored::as_it_is, {w.mask_token}});
    if (w.relative_table)
        table.push_back({"rel_pos_bias.relative_position_bias_table",
                         {relative_offsets(grid.down(), grid.across()), config.heads},
                         Stored::as_it_is,
                         {w.relative_table}});
    add_grid_reader(table, "", w.encoder, grid, grid.channels, grid.patch_size, "norm");
    add_parameters(table, "cls_pt_layers.", w.branch, timm_names);
    add_parameters(table, "lm_head", w.head);
    if (w.branch_head.weight) {
        add_parameters(table, "cls_pt_norm", w.branch_norm);
        add_parameters(table, "cls_pt_lm_head", w.branch_head);
    }
    return table;
}

LoadRules load_rules() { return {.ignored_endings = {".relative_position_index"}}; }

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::shapes},
            {settings::heads, &config.heads, From::file},
            {{"the block that the second branch begins after", {"early_layers"}}, &config.early_block, From::file},
            {settings::eps, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.width = size_of(checkpoint, "patch_embed.proj.weight", 0);
    config.grid.channels = size_of(checkpoint, "patch_embed.proj.weight", 1);
    config.grid.patch_size = size_of(checkpoint, "patch_embed.proj.weight", 2);
    config.depth = count_blocks(checkpoint, "blocks.", ".norm1.weight");
    config.mlp_ratio = ratio_of(size_of(checkpoint, "blocks.0.mlp.fc1.weight", 0), config.width);
    config.query_value_bias = checkpoint.has("blocks.0.attn.q_bias");
    config.layer_scale = {};
    if (checkpoint.has("blocks.0.gamma_1")) config.layer_scale = 1.0f;  // where they began is past
    config.absolute_positions = checkpoint.has("pos_embed");
    config.shared_relative_bias = checkpoint.has("rel_pos_bias.relative_position_bias_table");
    config.codes = size_of(checkpoint, "lm_head.weight", 0);
    config.head_depth = count_blocks(checkpoint, "cls_pt_layers.", ".norm1.weight");
    config.shared_head = !checkpoint.has("cls_pt_lm_head.weight");
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
    std::map<std::string, std::string> all = metadata_of("beit_v2", members_of(copy));
    all["image_size"] = vit::image_size_text(config.grid);
    return all;
}

}  // namespace beit_v2
