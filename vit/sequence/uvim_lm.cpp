#include "vit/sequence/uvim_lm.h"

#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace uvim_lm {

// --- tokens ---

std::vector<int> tokens_of(const std::vector<int>& code) {
    std::vector<int> tokens;
    for (const int entry : code) {
        require(entry >= 0, "uvim_lm: entry ", entry, " of a code, they are counted from 0");
        tokens.push_back(entry + 1);
    }
    return tokens;
}

std::vector<int> codes_of(const std::vector<int>& tokens) {
    std::vector<int> code;
    for (const int token : tokens) {
        require(token > 0, "uvim_lm: token ", token, " is not a code: it starts a text");
        code.push_back(token - 1);
    }
    return code;
}

std::vector<int> shifted(const std::vector<int>& tokens, int length) {
    require(length >= 1, "uvim_lm: texts of ", length, " tokens, there must be at least 1");
    require(tokens.size() % length == 0, "uvim_lm: ", tokens.size(), " tokens are not whole texts of ", length);
    std::vector<int> result;
    for (std::size_t i = 0; i < tokens.size(); ++i) result.push_back(i % length == 0 ? 0 : tokens[i - 1]);
    return result;
}

// --- the image ---

static void check(const Config& config);  // with the weights, below

static BlockOptions block_options(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh};
}

EncoderSteps encode(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    require_depth("uvim_lm: encoder", config.depth, w.encoder.blocks);
    require_depth("uvim_lm: decoder", config.depth, w.decoder.blocks);
    const uvim::Grid& grid = config.grid;
    const int B = static_cast<int>(images.size());
    EncoderSteps steps;
    steps.positions =
        w.encoder_positions ? w.encoder_positions : Var(uvim::sine_positions(grid.down(), grid.across(), config.width));
    const Var patches = linear(uvim::cut(images, grid, "uvim_lm"), w.image);  // (B*n, D)
    const Var z0 = add_repeated(patches, steps.positions);                    // (B*n, D)
    const InStack in_stack("encoder");
    steps.blocks = stack(z0, w.encoder.blocks, block_options(config), {.self = {.segments = Segments::equal(B, grid.count())}});
    steps.encoded = layer_norm(steps.blocks.output, w.encoder.norm, config.eps);  // (B*n, D)
    return steps;
}

// --- the text about it ---

static Var decoder_positions(const Weights& w, const Config& config) {
    return w.decoder_positions ? w.decoder_positions : Var(uvim::sine_positions(1, config.code_length, config.width));
}

static Var logits_of(const Var& z, const Weights& w, const Config& config) {
    return linear(layer_norm(z, w.decoder.norm, config.eps), w.head);
}

Steps forward(const std::vector<Image>& images, const std::vector<int>& tokens, const Weights& w, const Config& config) {
    const int B = static_cast<int>(images.size()), l = config.code_length;
    require(static_cast<int>(tokens.size()) == B * l, "uvim_lm: ", tokens.size(), " tokens for ", B, " images, each needs ", l);
    Steps steps;
    steps.encoder = encode(images, w, config);
    steps.positions = decoder_positions(w, config);                                              // (l, D)
    const Var z0 = add_repeated(embed(w.token_embedding, shifted(tokens, l)), steps.positions);  // (B*l, D)
    const BlockContext context{
        .self = {.segments = Segments::equal(B, l), .may = causal(l, l)},
        .source = steps.encoder.encoded,
        .cross = {.segments = Segments::equal(B, l), .key_segments = Segments::equal(B, config.grid.count())}};
    const InStack in_stack("decoder");
    steps.decoder = stack(z0, w.decoder.blocks, block_options(config), context);
    steps.logits = logits_of(steps.decoder.output, w, config);  // (B*l, V)
    return steps;
}

Var loss(const Steps& steps, const std::vector<int>& tokens) { return cross_entropy(steps.logits, tokens); }

// --- writing ---

Reader::Reader(const std::vector<Image>& images, const Weights& w, const Config& c)
    : weights(w), config(c), memory(make_memory(c.depth, static_cast<int>(images.size()), c.code_length, c.width, true)) {
    const NoTape no_tape;
    encoded = encode(images, w, c).encoded;
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    Reading reading = read_next(memory, next, "uvim_lm");
    for (BlockContext& context : reading.contexts) {
        context.source = encoded;  // projected when the first tokens are read
        context.cross.key_segments = Segments::equal(encoded.rows() / config.grid.count(), config.grid.count());
    }
    const Var at = gather_rows(decoder_positions(weights, config), reading.positions);  // (B*T, D)
    const Var z0 = add(embed(weights.token_embedding, next.ids), at);                   // (B*T, D)
    const InStack in_stack("decoder");
    const Var z = stack(z0, weights.decoder.blocks, block_options(config), reading.contexts).output;
    return logits_of(last_rows(z, next), weights, config).value();  // (B, V)
}

void Reader::select(const std::vector<int>& chosen) { memory = select_sequences(memory, chosen); }

std::vector<int> write(const std::vector<Image>& images, const Weights& w, const Config& config) {
    Reader reader(images, w, config);
    const TokenBatch starts = make_batch(std::vector<std::vector<int>>(images.size(), {0}));
    std::vector<int> tokens;
    for (const std::vector<int>& text : generate_greedily(starts, reader, {.new_tokens = config.code_length}))
        tokens.insert(tokens.end(), text.begin(), text.end());
    return tokens;
}

// --- weights ---

static void check(const Config& config) {
    check(config.grid, "uvim_lm");
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "uvim_lm: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.vocabulary > 1 && config.code_length > 0 && config.mlp_width > 0 && config.depth >= 0,
            "uvim_lm: ", config.vocabulary, " tokens, codes of ", config.code_length, " tokens, depth ", config.depth,
            ": sizes must be positive, and one token starts a text");
    require_eps("uvim_lm", config.eps);
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width, n = config.grid.count();
    const float spread = 1 / std::sqrt(static_cast<float>(D));  // of learned positions
    Weights w;
    w.image = make_linear(random, config.grid.numbers(), D, init);
    if (config.learned_positions) {
        w.encoder_positions = parameter(normal_matrix(random, n, D, spread));
        w.decoder_positions = parameter(normal_matrix(random, config.code_length, D, spread));
    }
    w.encoder = uvim::make_trunk(config.depth, {.width = D, .mlp_width = config.mlp_width}, random, init);
    w.token_embedding = make_embedding(random, config.vocabulary, D, {.draw = Draw::normal, .stddev = 1});
    const BlockShape shape{.width = D,
                           .mlp_width = config.mlp_width,
                           .source_width = D,
                           .query_bias = false,
                           .key_bias = false,
                           .value_bias = false};
    w.decoder = uvim::make_trunk(config.depth, shape, random, init);
    for (Block& block : w.decoder.blocks) block.attention.output.bias = block.cross.output.bias = {};  // the MLP keeps its biases
    w.head = make_linear(random, D, config.vocabulary, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const uvim::Grid& grid = config.grid;
    const long D = config.width;
    Parameters table;
    table.push_back({"params/EmbedPatches/kernel",
                     {grid.patch_height, grid.patch_width, grid.channels, D},
                     Stored::as_it_is,
                     {w.image.weight}});
    table.push_back({"params/EmbedPatches/bias", {D}, Stored::as_it_is, {w.image.bias}});
    if (w.encoder_positions)
        table.push_back({"params/pos_embedding_encoder", {1, grid.count(), D}, Stored::as_it_is, {w.encoder_positions}});
    if (w.decoder_positions)
        table.push_back({"params/pos_embedding_decoder", {1, config.code_length, D}, Stored::as_it_is, {w.decoder_positions}});
    uvim::add_trunk(table, "params/encoder/", w.encoder, config.heads);
    table.push_back({"params/decoder/EmbedTargets/embedding", {config.vocabulary, D}, Stored::as_it_is, {w.token_embedding}});
    add_parameters(table, "params/decoder/EncDecBlock", w.decoder.blocks, uvim_decoder_names, config.heads, "/");
    add_parameters(table, "params/decoder/LayerNorm/*", w.decoder.norm, uvim_decoder_names);
    add_parameters(table, "params/decoder/LogitsDense/*", w.head, uvim_decoder_names);
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine; the heads are a dimension of the published tensors.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::heads, &config.heads, From::shapes},
            {{"the length of the code", {"seq_len"}}, &config.code_length, config.learned_positions ? From::shapes : From::file},
            {{"the eps of the norms", {"layer_norm_epsilon", "layer_norm_eps"}}, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string patches = "params/EmbedPatches/kernel", block = "params/encoder/encoderblock_",
                      inner = "/MlpBlock_0/Dense_0/kernel", positions = "params/pos_embedding_decoder";
    Config config;
    config.grid.patch_height = size_of(checkpoint, patches, 0);
    config.grid.patch_width = size_of(checkpoint, patches, 1);
    config.grid.channels = size_of(checkpoint, patches, 2);
    config.width = size_of(checkpoint, patches, 3);
    config.depth = count_blocks(checkpoint, block, inner);
    config.mlp_width = size_of(checkpoint, block + "0" + inner, 1);
    config.heads = size_of(checkpoint, block + "0/MultiHeadDotProductAttention_0/query/kernel", 1);
    config.vocabulary = size_of(checkpoint, "params/decoder/EmbedTargets/embedding", 0);
    config.learned_positions = checkpoint.has(positions);
    if (config.learned_positions) config.code_length = size_of(checkpoint, positions, 1);
    const ModelConfig model_config(checkpoint, given);
    uvim::read_image_size(config.grid, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("uvim_lm", members_of(copy));
    all["image_size"] = std::to_string(config.grid.height) + "," + std::to_string(config.grid.width);
    return all;
}

}  // namespace uvim_lm
