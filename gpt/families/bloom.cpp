#include "gpt/families/bloom.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace bloom {

// --- positions ---

std::vector<float> alibi_slopes(int heads) {
    require(heads > 0, "alibi_slopes: ", heads, " heads, at least one is needed");
    int n = 1;  // the largest power of two that is not above H
    while (2 * n <= heads) n *= 2;
    std::vector<float> slopes;
    for (int h = 0; h < n; ++h) slopes.push_back(static_cast<float>(std::exp2(-8.0 * (h + 1) / n)));
    for (int m = 0; m < heads - n; ++m) slopes.push_back(static_cast<float>(std::exp2(-8.0 * (2 * m + 1) / (2 * n))));
    return slopes;
}

Matrix alibi_bias(const std::vector<float>& slopes, int queries, int keys) {
    require(!slopes.empty() && queries >= 0 && queries <= keys, "alibi_bias: ", slopes.size(), " slopes, ", queries,
            " queries and ", keys, " keys; each head needs a slope, and the queries are the last of the keys");
    const int H = static_cast<int>(slopes.size());
    require(long{H} * queries <= std::numeric_limits<int>::max(), "alibi_bias: ", H, " heads of ", queries,
            " queries are more than the 2147483647 rows of a matrix");
    for (const float slope : slopes)
        require(std::isfinite(slope), "alibi_bias: a slope of ", slope, ", it must be finite; alibi_slopes gives them");
    Matrix bias(H * queries, keys);  // (H n, m)
    for (int h = 0; h < H; ++h) {
        for (int query = 0; query < queries; ++query) {
            const int i = keys - queries + query;  // its position among the keys
            for (int j = 0; j <= i; ++j) bias(h * queries + query, j) = -slopes[h] * static_cast<float>(i - j);
        }
    }
    return bias;
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh};
}

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0, "bloom: ", config.vocabulary, " tokens, width ",
            config.width, ", depth ", config.depth, ": sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, "bloom: ", config.heads, " heads do not divide a width of ",
            config.width);
    require_eps("bloom", config.eps);
}

// Everything between ids and logits. A position enters in one place only: the distances are a bias on the scores of every block.
// Padding is a few columns at one end, so it changes no distance between tokens.
static Steps read(const std::vector<int>& ids, int queries, int keys, std::vector<BlockContext> contexts, const Weights& w,
                  const Config& config) {
    check(config);
    require_depth("bloom", config.depth, w.blocks);
    const Var distances(alibi_bias(alibi_slopes(config.heads), queries, keys));  // (H T, T so far), a constant
    for (BlockContext& context : contexts) context.self.bias = distances;
    Steps steps;
    steps.token_embeddings = named_step("token_embeddings", embed(w.token_embedding, ids));  // (B*T, E)
    steps.embeddings = layer_norm(steps.token_embeddings, w.embedding_norm, config.eps);     // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);         // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);                     // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("bloom", batch);
    Steps steps = read(batch.ids, batch.length, batch.length, {{.self = attending(batch, true)}}, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.token_embedding); }

Var loss(const Steps& steps, const TokenBatch& batch) { return cross_entropy(steps.logits, next_tokens(batch)); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.width);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    const Reading reading = read_next(memory, next, "bloom");
    return read(next.ids, next.length, memory.seen.length, reading.contexts, w, config);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    Init matrices = init;
    matrices.residual = init.residual / std::sqrt(2.0f * std::max(1, config.depth));
    const BlockShape shape{.width = config.width, .mlp_width = 4 * config.width};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, init);
    w.embedding_norm = make_layer_norm(config.width);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, matrices));
    w.norm = make_layer_norm(config.width);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table;
    table.push_back({"word_embeddings.weight", {config.vocabulary, config.width}, Stored::as_it_is, {w.token_embedding}});
    add_parameters(table, "word_embeddings_layernorm", w.embedding_norm);
    add_parameters(table, "h.", w.blocks, bloom_names, config.heads);
    add_parameters(table, "ln_f", w.norm);
    return table;
}

LoadRules load_rules() {
    LoadRules rules;
    rules.optional_prefixes = {"transformer."};
    rules.other_names = {{"word_embeddings.weight", "lm_head.weight"}};
    return rules;
}

// The name as this file has it; our own where it does not hold the tensor, for messages.
static std::string name_in(const Safetensors& checkpoint, const std::string& name) {
    const std::string stored = name_in_file(checkpoint, name, load_rules());
    return stored.empty() ? name : stored;
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.vocabulary = checkpoint.dimension(name_in(checkpoint, "word_embeddings.weight"), 0);
    config.width = checkpoint.dimension(name_in(checkpoint, "word_embeddings.weight"), 1);
    config.depth = count_blocks(checkpoint, "h.", ".input_layernorm.weight", load_rules());
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees({"the width", {"hidden_size", "n_embed"}}, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    model_config.require_only("apply_residual_connection_post_layernorm", "false");
    if (!checkpoint.has("lm_head.weight")) model_config.require_tied(true);  // a copy suits either word
    config.heads = model_config.integer(settings::heads);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-5));
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "bloom"},
            {"n_head", std::to_string(config.heads)},
            {"layer_norm_epsilon", setting_text(config.eps)}};
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    return inside_of(w.blocks, options_of(config), w.norm, w.token_embedding);
}

}  // namespace bloom
