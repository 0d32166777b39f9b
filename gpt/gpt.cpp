#include "gpt/gpt.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"

namespace gpt {

// --- the model ---

static void check(const Config& config, const std::string& who = "gpt") {
    require(config.vocabulary > 0 && config.positions > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0, who,
            ": ", "vocabulary ", config.vocabulary, ", ", config.positions, " positions, width ", config.width, ", depth ",
            config.depth, ", inner width ", config.mlp_width, ": sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, who, ": ", config.heads, " heads do not divide a width of ",
            config.width);
    require(config.order == Order::pre || config.order == Order::post, who,
            ": its blocks are pre-norm (GPT-2) or post-norm (GPT 2018), this configuration has another order");
    require_eps(who, config.eps);
}

static void require_matching(const Weights& w, const Config& config) {
    require_depth("gpt", config.depth, w.blocks);
    require_shape("gpt", "token embedding", w.token_embedding, config.vocabulary, config.width);
    require_shape("gpt", "position embedding", w.positions, config.positions, config.width);
    for (const Block& block : w.blocks)
        require_shape("gpt", "first matrix of an MLP", block.mlp.expand.weight, config.width, config.mlp_width);
    require(
        !config.tied || w.output.same_as(w.token_embedding),
        "gpt: the configuration says that the output matrix is the token embedding, in the weights it is a different one; set tied = "
        "false, or make the output matrix the token embedding");
    if (config.order == Order::pre) require_shape("gpt", "gain of the last norm", w.norm.gain, 1, config.width);
    require(config.order == Order::pre || !w.norm.gain,
            "gpt: the weights hold a norm after the last block, the configuration says Order::post, which has none; pass the "
            "configuration that the weights were made with");
}

// Token plus position embedding of the tokens `first` ... `first + length - 1` of every sequence.
static Var embed_tokens(const std::vector<int>& ids, int first, int length, const Weights& w) {
    const Var tokens = named_step("token_embeddings", embed(w.token_embedding, ids));  // (B*T, E)
    const Var positions = slice_rows(w.positions, first, length);                      // (T, E)
    return add_repeated(tokens, positions);                                            // (B*T, E)
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation, .order = config.order};
}

// Everything from ids to hidden states; `first` is the position of the first token of each sequence.
static Steps read(const std::vector<int>& ids, int first, int length, const Weights& w, const Config& config,
                  const std::vector<BlockContext>& contexts) {
    check(config);
    require_matching(w, config);
    Steps steps;
    steps.embeddings = embed_tokens(ids, first, length, w);                           // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*T, E)
    const Var& last = steps.decoder.output;
    steps.hidden = config.order == Order::post ? last : layer_norm(last, w.norm, config.eps);  // post-norm ends in a norm
    return steps;
}

Steps trunk(const std::vector<int>& ids, int length, const Weights& w, const Config& config) {
    const int total = static_cast<int>(ids.size()), T = length;
    require_whole_sequences("gpt", total, T);
    require(T <= config.positions, "gpt: a sequence of ", T, " tokens, this model has ", config.positions,
            " positions; cut the text");
    const BlockContext context{.self = {.segments = Segments::equal(total / T, T), .may = causal(T, T)}};
    return read(ids, 0, T, w, config, {context});
}

Steps forward(const std::vector<int>& ids, int length, const Weights& w, const Config& config) {
    Steps steps = trunk(ids, length, w, config);
    steps.logits = matmul_transposed(steps.hidden, w.output);  // (B*T, V)
    return steps;
}

Var position_losses(const Steps& steps, const std::vector<int>& labels) { return token_losses(steps.logits, labels); }

Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

// --- incremental decoding ---

Cache make_cache(const Config& config, int sequences, int capacity) {
    require(sequences > 0 && capacity > 0 && capacity <= config.positions, "gpt: a cache of ", sequences, " sequences of ",
            capacity, " tokens, this model has ", config.positions,
            " positions; prompt and new tokens must fit, and be at least 1");
    Cache cache{.blocks = {}, .sequences = sequences, .filled = 0};
    for (int l = 0; l < config.depth; ++l) cache.blocks.push_back(::make_cache(sequences, capacity, config.width));
    return cache;
}

Steps trunk(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache) {
    const int total = static_cast<int>(next_ids.size());
    require(total > 0 && cache.sequences > 0 && total % cache.sequences == 0, "gpt: ", total, " new tokens for a cache of ",
            cache.sequences, " sequences");
    const int T = total / cache.sequences;  // new tokens of each sequence
    const int capacity = cache.blocks.empty() ? config.positions : cache.blocks[0].capacity;
    require(cache.filled >= 0 && T <= capacity - cache.filled, "gpt: the cache holds ", cache.filled, " of ", capacity,
            " tokens, ", T, " more do not fit");
    std::vector<BlockContext> contexts;  // one key/value cache per block
    for (KeyValueCache& seen : cache.blocks) contexts.push_back({.self = {.cache = &seen}});
    for (const KeyValueCache& block : cache.blocks)
        require(block.filled == cache.filled, "gpt: the cache says ", cache.filled,
                " tokens of each sequence, one of its blocks ", block.filled, "; make a new one with make_cache");
    const Steps steps = read(next_ids, cache.filled, T, w, config, contexts);
    cache.filled += T;
    return steps;
}

Matrix next_logits(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache) {
    const NoTape no_tape;
    const Steps steps = trunk(next_ids, w, config, cache);
    const int T = static_cast<int>(next_ids.size()) / cache.sequences;
    std::vector<int> last_rows;
    for (int s = 0; s < cache.sequences; ++s) last_rows.push_back(s * T + T - 1);
    const Var last = gather_rows(steps.hidden, last_rows);  // (sequences, E)
    return matmul_transposed(last, w.output).value();       // (sequences, V)
}

Cache select_sequences(const Cache& cache, const std::vector<int>& chosen) {
    Cache selected{.blocks = {}, .sequences = static_cast<int>(chosen.size()), .filled = cache.filled};
    for (const KeyValueCache& block : cache.blocks) selected.blocks.push_back(::select_sequences(block, chosen));
    return selected;
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Start& start) {
    check(config);
    const Init embeddings{.draw = Draw::normal, .stddev = start.embedding_stddev};
    Init matrices{.draw = Draw::normal, .stddev = start.stddev};
    // 2 L sublayers add to the residual stream; scaling each by 1 / sqrt(2 L) keeps the sum's variance independent of depth.
    matrices.residual = 1 / std::sqrt(2.0f * std::max(1, config.depth));
    const BlockShape shape{.width = config.width, .mlp_width = config.mlp_width};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, embeddings);
    w.positions = make_embedding(random, config.positions, config.width, embeddings);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, matrices));
    if (config.order == Order::pre) w.norm = make_layer_norm(config.width);
    w.output = config.tied ? w.token_embedding : make_embedding(random, config.vocabulary, config.width, matrices);
    return w;
}

Weights empty_weights(const Config& config) {
    Random not_used;
    return make_weights(config, not_used, {.stddev = 0, .embedding_stddev = 0});
}

// --- loading and saving ---

static std::string words_name(Order order) { return order == Order::pre ? "wte.weight" : "tokens_embed.weight"; }
static std::string positions_name(Order order) { return order == Order::pre ? "wpe.weight" : "positions_embed.weight"; }

Parameters parameters(const Weights& w, const Config& config, const std::string& prefix) {
    const long V = config.vocabulary, E = config.width;
    Parameters table;
    table.push_back({prefix + words_name(config.order), {V, E}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({prefix + positions_name(config.order), {config.positions, E}, Stored::as_it_is, {w.positions}});
    add_parameters(table, prefix + "h.", w.blocks, gpt2_names);
    if (config.order == Order::pre) add_parameters(table, prefix + "ln_f", w.norm);
    if (!config.tied) table.push_back({"lm_head.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

LoadRules load_rules(const Config& config) {
    LoadRules rules;
    rules.optional_prefixes = {"transformer."};
    rules.ignored_endings = {".attn.bias", ".attn.masked_bias", "position_ids"};
    if (config.tied) rules.other_names = {{words_name(config.order), "lm_head.weight"}};
    return rules;
}

// The name under which this file stores the tensor; empty when it does not.
static std::string name_in(const Safetensors& checkpoint, const std::string& name) {
    const Order order = name == words_name(Order::post) ? Order::post : Order::pre;
    return name_in_file(checkpoint, name, load_rules({.order = order}));
}

static long dimension(const Safetensors& checkpoint, const std::string& name, std::size_t which) {
    const std::string stored = name_in(checkpoint, name);
    if (stored.empty())
        require(false, checkpoint.path, ": there is no tensor ", name, ", this is not a GPT checkpoint",
                checkpoint.other_kind({name}), checkpoint.near_names(name));
    const std::vector<long>& shape = checkpoint.tensors.at(stored).shape;
    require(shape.size() == 2, checkpoint.path, ": ", stored, " has the shape ", shape_text(shape), ", it should be a matrix");
    return shape[which];
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    config.order = name_in(checkpoint, positions_name(Order::post)).empty() ? Order::pre : Order::post;
    config.vocabulary = static_cast<int>(dimension(checkpoint, words_name(config.order), 0));
    config.width = static_cast<int>(dimension(checkpoint, words_name(config.order), 1));
    config.positions = static_cast<int>(dimension(checkpoint, positions_name(config.order), 0));
    config.depth = count_blocks(checkpoint, "h.", ".mlp.c_fc.weight", load_rules(config));
    config.mlp_width = static_cast<int>(dimension(checkpoint, "h.0.mlp.c_fc.weight", 1));
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    model_config.require_agrees(settings::positions, config.positions);
    model_config.require_only("scale_attn_weights", "true");
    model_config.require_only("scale_attn_by_inverse_layer_idx", "false");
    config.heads = model_config.integer(settings::heads);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-5));
    const std::string activation = model_config.string(settings::activation, config.order == Order::pre ? "gelu_new" : "gelu");
    config.activation = config.order == Order::post && activation == "gelu"
                            ? Activation::gelu_tanh
                            : model_config.activation(settings::activation, activation);
    config.tied =
        !checkpoint.has("lm_head.weight") ||
        identical(checkpoint.matrix("lm_head.weight"), checkpoint.matrix(name_in(checkpoint, words_name(config.order))));
    const bool holds_copy = config.tied && checkpoint.has("lm_head.weight");
    if (!holds_copy) model_config.require_tied(config.tied);  // a copy suits either word
    check(config, checkpoint.path);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    const bool original = config.order == Order::post;
    std::string activation = name_of_activation(config.activation);
    if (original && config.activation == Activation::gelu_tanh) activation = "gelu";  // openai-gpt's name for the tanh form
    if (original && config.activation == Activation::gelu) activation = "gelu_python";
    return {{"format", "pt"},
            {"model_type", original ? "openai-gpt" : "gpt2"},
            {"n_head", std::to_string(config.heads)},
            {"layer_norm_epsilon", setting_text(config.eps)},
            {original ? "afn" : "activation_function", activation}};
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return inside_of(w.blocks, options_of(config), w.norm, w.output); }

}  // namespace gpt
