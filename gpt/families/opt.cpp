#include "gpt/families/opt.h"

#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace opt {

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0 && config.positions > 0,
            config.name, ": ", config.vocabulary, " tokens, width ", config.width, ", depth ", config.depth, ", inner width ",
            config.mlp_width, ", ", config.positions, " positions: sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, config.name, ": ", config.heads,
            " heads must divide a width of ", config.width);
    require(config.position_offset > 0, config.name, ": a position offset of ", config.position_offset,
            ": padding reads the row before that of the first token, so there must be one");
    require(std::isfinite(config.embedding_scale), config.name, ": embeddings times ", config.embedding_scale,
            ", the factor must be finite; 1 leaves them as they are");
    require_eps(config.name, config.eps);
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation};
}

// Everything between ids and the last norm.
//   rows  of the position embedding, one for each token
static Steps read(const std::vector<int>& ids, const std::vector<int>& rows, const std::vector<BlockContext>& contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth(config.name, config.depth, w.blocks);
    const Var tokens = scale(named_step("token_embeddings", embed(w.token_embedding, ids)), config.embedding_scale);  // (B*T, E)
    Steps steps;
    steps.positions = embed(w.positions, rows);                                       // (B*T, E)
    steps.embeddings = add(tokens, steps.positions);                                  // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);              // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts(config.name, batch);
    require(batch.length <= config.positions, config.name, ": a text of ", batch.length, " tokens, but there are ",
            config.positions, " positions; cut the text");
    const std::vector<BlockContext> contexts{{.self = attending(batch, true)}};
    Steps steps = read(batch.ids, position_rows(batch, config.position_offset), contexts, w, config);
    steps.logits = logits_of(steps.hidden, w);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w) { return matmul_transposed(hidden, w.token_embedding); }

Var loss(const Steps& steps, const TokenBatch& batch) { return loss(steps, next_tokens(batch)); }
Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.width);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    require(memory.seen.length + next.length <= config.positions, config.name, ": ", memory.seen.length, " tokens were read, ",
            next.length, " more exceed ", config.positions, " positions; ask for fewer");
    const Reading reading = read_next(memory, next, config.name.c_str());
    return read(next.ids, position_rows(memory.seen, config.position_offset, next.length), reading.contexts, w, config);
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    return inside_of(w.blocks, options_of(config), w.norm, w.token_embedding);
}

// --- weights ---

// Norms without gain and bias: nothing about them is learned.
static void take_gains_away(Weights& w) {
    w.norm = {};
    for (Block& block : w.blocks) block.norm1 = block.norm2 = {};
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const BlockShape shape{.width = config.width,
                           .mlp_width = config.mlp_width,
                           .query_bias = config.biases,
                           .key_bias = config.biases,
                           .value_bias = config.biases,
                           .bias = config.biases};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, init);
    w.positions = make_embedding(random, config.positions + config.position_offset, config.width, init);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_layer_norm(config.width);
    if (!config.affine_norms) take_gains_away(w);
    return w;
}

Parameters parameters(const Weights& w, const Config& config, const Names& names) {
    const long V = config.vocabulary, E = config.width, P = config.positions + config.position_offset;
    Parameters table;
    table.push_back({names.prefix + "embed_tokens.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({names.prefix + "embed_positions.weight", {P, E}, Stored::as_it_is, {w.positions}});
    add_parameters(table, names.prefix + "layers.", w.blocks, opt_names);
    add_parameters(table, names.prefix + names.last_norm, w.norm);
    return table;
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given, const Names& names, const Config& otherwise) {
    // As the file has it: a bare decoder is stored without the first word of the prefix, "model." or "biogpt.".
    const std::string bare = names.prefix.substr(names.prefix.find('.') + 1);
    const std::string prefix = checkpoint.has(names.prefix + "embed_tokens.weight") ? names.prefix : bare;
    const std::string first = prefix + "layers.0.";
    Config config = otherwise;
    config.vocabulary = checkpoint.dimension(prefix + "embed_tokens.weight", 0);
    config.width = checkpoint.dimension(prefix + "embed_tokens.weight", 1);
    config.positions = checkpoint.dimension(prefix + "embed_positions.weight", 0) - config.position_offset;
    config.depth = count_blocks(checkpoint, prefix + "layers.", ".fc1.weight");
    config.mlp_width = checkpoint.dimension(first + "fc1.weight", 0);
    config.biases = checkpoint.has(first + "fc1.bias");
    config.affine_norms = checkpoint.has(first + "final_layer_norm.weight");

    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    model_config.require_agrees(settings::positions, config.positions);
    model_config.require_only("do_layer_norm_before", "true");
    model_config.require_only("_remove_final_layer_norm", "false");
    model_config.require_agrees({"the width of the token embedding", {"word_embed_proj_dim"}}, config.width);
    model_config.require_flag_agrees({"whether there are biases", {"enable_bias"}}, config.biases);
    model_config.require_flag_agrees({"whether norms have gains", {"layer_norm_elementwise_affine"}}, config.affine_norms);
    config.heads = model_config.integer(settings::heads);
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

}  // namespace opt
