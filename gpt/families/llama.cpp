#include "gpt/families/llama.h"

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace llama {

// --- the model ---

static int head_width(const Config& config) { return config.width / config.heads; }

static void check(const Config& config, const std::string& who = "llama") {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0, who, ": ", config.vocabulary,
            " tokens, width ", config.width, ", depth ", config.depth, ", inner width ", config.mlp_width,
            ": sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0 && head_width(config) % 2 == 0, who, ": ", config.heads,
            " heads must divide a width of ", config.width, " into even parts, whose columns are turned in pairs");
    require(config.key_value_heads > 0 && config.heads % config.key_value_heads == 0, who, ": ", config.key_value_heads,
            " heads of keys and values must divide ", config.heads, " heads");
    require_eps(who, config.eps);
    require(config.rotary_base > 0, who, ": a rotary base of ", config.rotary_base, ", it must be above 0; 10000 is usual");
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::silu, .norm = NormKind::rms};
}

// Everything between ids and logits. A position enters in one place only: it rotates the queries and keys of every block.
static Steps read(const std::vector<int>& ids, const std::vector<int>& positions, std::vector<BlockContext> contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth("llama", config.depth, w.blocks);
    for (BlockContext& context : contexts) context.self.rotary = {.base = config.rotary_base, .positions = positions};
    Steps steps;
    steps.embeddings = named_step("token_embeddings", embed(w.token_embedding, ids));  // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);   // (B*T, E)
    steps.hidden = rms_norm(steps.decoder.output, w.norm, config.eps);                 // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("llama", batch);
    Steps steps = read(batch.ids, positions(batch), {{.self = attending(batch, true)}}, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.output); }

Var loss(const Steps& steps, const TokenBatch& batch) { return cross_entropy(steps.logits, next_tokens(batch)); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.key_value_heads * head_width(config));
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    const Reading reading = read_next(memory, next, "llama");
    return read(next.ids, reading.positions, reading.contexts, w, config);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const BlockShape shape{.width = config.width,
                           .mlp_width = config.mlp_width,
                           .key_value_width = config.key_value_heads * head_width(config),
                           .gated = true,
                           .query_bias = false,
                           .key_bias = false,
                           .value_bias = false,
                           .bias = false,
                           .norm = NormKind::rms};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, init);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_rms_norm(config.width);
    w.output = config.tied ? w.token_embedding : make_embedding(random, config.vocabulary, config.width, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width;
    Parameters table;
    table.push_back({"model.embed_tokens.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    add_parameters(table, "model.layers.", w.blocks, llama_names);
    add_parameters(table, "model.norm", w.norm);
    if (!config.tied) table.push_back({"lm_head.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

Parameters meta_parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width;
    Parameters table;
    table.push_back({"tok_embeddings.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    add_parameters(table, "layers.", w.blocks, meta_llama_names, config.heads);
    add_parameters(table, "norm", w.norm);
    if (!config.tied) table.push_back({"output.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

static bool has_meta_names(const Safetensors& checkpoint) { return checkpoint.has("tok_embeddings.weight"); }

Parameters parameters_in(const Safetensors& checkpoint, const Weights& w, const Config& config) {
    return has_meta_names(checkpoint) ? meta_parameters(w, config) : parameters(w, config);
}

// The name as this file has it; our own where it does not hold the tensor, for messages.
static std::string name_in(const Safetensors& checkpoint, const std::string& name, const std::string& meta_name) {
    if (has_meta_names(checkpoint)) return meta_name;
    const std::string stored = name_in_file(checkpoint, name, {.optional_prefixes = {"model."}});
    return stored.empty() ? name : stored;
}

// Whether the output matrix is the token embedding: not stored at all, or stored a second time.
static bool is_tied(const Safetensors& checkpoint, const std::string& words) {
    const std::string output = name_in(checkpoint, "lm_head.weight", "output.weight");
    return !checkpoint.has(output) || identical(checkpoint.matrix(output), checkpoint.matrix(words));
}

// Later models of this layout do more. What is not implemented here is refused: its text would be almost right.
static void require_llama(const ModelConfig& model_config) {
    model_config.require_only("hidden_act", "silu");
    const Setting scaling{"how the rotation is stretched", {"rope_scaling.rope_type", "rope_scaling.type"}};
    if (model_config.string(scaling, "") != "default") model_config.require_only("rope_scaling", "null");
    model_config.require_only("partial_rotary_factor", "1");
    model_config.require_only("rope_parameters.rope_type", "default");
    model_config.require_only("attention_bias", "false");
    model_config.require_only("mlp_bias", "false");
    model_config.require_only("use_sliding_window", "false");
    model_config.require_only("sliding_window", "null");
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const auto name = [&checkpoint](const std::string& hugging_face, const std::string& meta) {
        return name_in(checkpoint, hugging_face, meta);
    };
    const std::string words = name("model.embed_tokens.weight", "tok_embeddings.weight");
    Config config;
    config.vocabulary = checkpoint.dimension(words, 0);
    config.width = checkpoint.dimension(words, 1);
    config.depth = has_meta_names(checkpoint)
                       ? count_blocks(checkpoint, "layers.", ".attention_norm.weight")
                       : count_blocks(checkpoint, "model.layers.", ".input_layernorm.weight", {.optional_prefixes = {"model."}});
    config.mlp_width = checkpoint.dimension(name("model.layers.0.mlp.gate_proj.weight", "layers.0.feed_forward.w1.weight"), 0);
    const int key_width = checkpoint.dimension(name("model.layers.0.self_attn.k_proj.weight", "layers.0.attention.wk.weight"), 0);

    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    require_llama(model_config);
    config.heads = model_config.integer(settings::heads);
    require(config.heads > 0 && config.width % config.heads == 0 && key_width % head_width(config) == 0, checkpoint.path, ": ",
            config.heads, " heads do not divide a width of ", config.width, " into parts that make up keys of width ", key_width);
    config.key_value_heads = key_width / head_width(config);  // keys and queries of a head have the same width
    model_config.require_agrees(settings::key_value_heads, config.key_value_heads);
    model_config.require_agrees({"the width of a head", {"head_dim"}}, head_width(config));
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-6));
    config.rotary_base = static_cast<float>(model_config.real(settings::rotary_base, 10000));
    config.tied = is_tied(checkpoint, words);
    const bool holds_copy = config.tied && checkpoint.has(name_in(checkpoint, "lm_head.weight", "output.weight"));
    if (!holds_copy) model_config.require_tied(config.tied);  // a copy suits either word
    check(config, checkpoint.path);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "llama"},
            {"num_attention_heads", std::to_string(config.heads)},
            {"num_key_value_heads", std::to_string(config.key_value_heads)},
            {"rms_norm_eps", setting_text(config.eps)},
            {"rope_theta", setting_text(config.rotary_base)},
            {"hidden_act", "silu"}};
}

LoadRules load_rules(const Config& config) {
    LoadRules rules{.optional_prefixes = {"model."}, .ignored_endings = {".rotary_emb.inv_freq", "rope.freqs"}};
    if (config.tied)
        rules.other_names = {{"model.embed_tokens.weight", "lm_head.weight"}, {"tok_embeddings.weight", "output.weight"}};
    return rules;
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return inside_of(w.blocks, options_of(config), w.norm, w.output); }

}  // namespace llama
