#include "gpt/families/biogpt.h"

#include <cmath>

#include "nn/autograd/operations.h"
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

// Everything between ids and the last norm. Positions are not scaled, so the factor decides how much a word weighs
// beside its place.
static Steps read(const std::vector<int>& ids, const std::vector<int>& rows, const std::vector<BlockContext>& contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth("biogpt", config.depth, w.blocks);
    const BlockOptions options{.heads = config.heads, .eps = config.eps, .activation = config.activation};
    const float factor = config.scale_embedding ? std::sqrt(static_cast<float>(config.width)) : 1.0f;
    Steps steps;
    steps.positions = embed(w.positions, rows);                                   // (B*T, E)
    steps.embeddings = add(scale(embed(w.words, ids), factor), steps.positions);  // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options, contexts);         // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);          // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("biogpt", batch);
    require(batch.length <= config.positions, "biogpt: a text of ", batch.length, " tokens, but there are ", config.positions,
            " positions; cut the text");
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
            next.length, " more exceed ", config.positions, " positions; ask for fewer");
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

static std::vector<Member> told_members(Config& config) {
    using From = Member::From;
    return {{settings::vocabulary, &config.vocabulary, From::shapes},
            {settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::mlp_width, &config.mlp_width, From::shapes},
            {settings::positions, &config.positions, From::shapes},
            {settings::heads, &config.heads, From::file},
            {settings::activation, &config.activation},
            {{"whether words are scaled", {"scale_embedding"}}, &config.scale_embedding},
            {{"the eps of the norms", {"norm_eps"}}, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const Told& told) {
    Config config;
    config.vocabulary = size_of(checkpoint, "biogpt.embed_tokens.weight", 0, load_rules());
    config.width = size_of(checkpoint, "biogpt.embed_tokens.weight", 1, load_rules());
    config.positions = size_of(checkpoint, "biogpt.embed_positions.weight", 0) - config.position_offset;
    config.depth = count_blocks(checkpoint, "biogpt.layers.", ".fc1.weight");
    config.mlp_width = size_of(checkpoint, "biogpt.layers.0.fc1.weight", 0);
    read_members(ModelConfig(checkpoint, told), told_members(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("biogpt", told_members(copy));
}

LoadRules load_rules() { return {.other_names = {{"biogpt.embed_tokens.weight", "output_projection.weight"}}}; }

}  // namespace biogpt
