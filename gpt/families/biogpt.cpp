#include "gpt/families/biogpt.h"

#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace biogpt {

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0 && config.positions > 0,
            "biogpt: ", config.vocabulary, " tokens, width ", config.width, ", depth ", config.depth, ", inner width ",
            config.mlp_width, ", ", config.positions, " positions: sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, "biogpt: ", config.heads, " heads must divide a width of ",
            config.width);
    require(config.position_offset > 0, "biogpt: a position offset of ", config.position_offset,
            ": padding reads the row before that of the first token, so there must be one");
    require_eps("biogpt", config.eps);
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation};
}

// Everything between ids and the last norm. Positions are not scaled, so the factor decides how much a word weighs
// beside its place.
static Steps read(const std::vector<int>& ids, const std::vector<int>& rows, const std::vector<BlockContext>& contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth("biogpt", config.depth, w.blocks);
    const float factor = config.scale_embedding ? std::sqrt(static_cast<float>(config.width)) : 1.0f;
    Steps steps;
    steps.positions = embed(w.positions, rows);                                   // (B*T, E)
    const Var words = named_step("words", embed(w.words, ids));                   // (B*T, E)
    steps.embeddings = add(scale(words, factor), steps.positions);                // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);          // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("biogpt", batch);
    require(batch.length <= config.positions, "biogpt: a text of ", batch.length, " tokens, but there are ", config.positions,
            " positions");
    const std::vector<BlockContext> contexts{{.self = attending(batch, true)}};
    Steps steps = read(batch.ids, position_rows(batch, config.position_offset), contexts, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.words); }

Var loss(const Steps& steps, const TokenBatch& batch) { return loss(steps, next_tokens(batch)); }
Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.width);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    require(memory.seen.length + next.length <= config.positions, "biogpt: ", memory.seen.length, " tokens were read, ",
            next.length, " more exceed ", config.positions, " positions");
    const Reading reading = read_next(memory, next, "biogpt");
    return read(next.ids, position_rows(memory.seen, config.position_offset, next.length), reading.contexts, w, config);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const BlockShape shape{.width = config.width, .mlp_width = config.mlp_width};
    Weights w;
    w.words = make_embedding(random, config.vocabulary, config.width, init);
    w.positions = make_embedding(random, config.positions + config.position_offset, config.width, init);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_layer_norm(config.width);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width, P = config.positions + config.position_offset;
    Parameters table;
    table.push_back({"biogpt.embed_tokens.weight", {V, E}, Stored::as_it_is, {w.words}});
    table.push_back({"biogpt.embed_positions.weight", {P, E}, Stored::as_it_is, {w.positions}});
    add_parameters(table, "biogpt.layers.", w.blocks, opt_names);
    add_parameters(table, "biogpt.layer_norm", w.norm);
    return table;
}

LoadRules load_rules() { return {.other_names = {{"biogpt.embed_tokens.weight", "output_projection.weight"}}}; }

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return inside_of(w.blocks, options_of(config), w.norm, w.words); }

}  // namespace biogpt
