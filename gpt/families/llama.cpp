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
            " tokens, width ", config.width, ", depth ", config.depth, ", inner width ", config.mlp_width, ": sizes must be positive");
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

// Everything between ids and logits. A position enters in one place only: it turns the queries and keys of every block.
static Steps read(const std::vector<int>& ids, const std::vector<int>& positions, std::vector<BlockContext> contexts, const Weights& w,
                  const Config& config) {
    check(config);
    require_depth("llama", config.depth, w.blocks);
    for (BlockContext& context : contexts) context.self.rotary = {.base = config.rotary_base, .positions = positions};
    Steps steps;
    steps.embeddings = named_step("words", embed(w.words, ids));             // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*T, E)
    steps.hidden = rms_norm(steps.decoder.output, w.norm, config.eps);       // (B*T, E)
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
    w.words = make_embedding(random, config.vocabulary, config.width, init);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_rms_norm(config.width);
    w.output = make_embedding(random, config.vocabulary, config.width, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width;
    Parameters table;
    table.push_back({"model.embed_tokens.weight", {V, E}, Stored::as_it_is, {w.words}});
    add_parameters(table, "model.layers.", w.blocks, llama_names);
    add_parameters(table, "model.norm", w.norm);
    table.push_back({"lm_head.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

Parameters meta_parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width;
    Parameters table;
    table.push_back({"tok_embeddings.weight", {V, E}, Stored::as_it_is, {w.words}});
    add_parameters(table, "layers.", w.blocks, meta_llama_names, config.heads);
    add_parameters(table, "norm", w.norm);
    table.push_back({"output.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

// A name of Hugging Face's layout, or the one that Meta's layout has for the same.
static int dimension(const Safetensors& checkpoint, const std::string& name, const std::string& meta_name, std::size_t which) {
    const bool is_meta = !checkpoint.has(name) && checkpoint.has(meta_name);
    return checkpoint.dimension(is_meta ? meta_name : name, which);
}

Config config_of(const Safetensors& checkpoint, const Told& told) {
    const auto has_block = [&checkpoint](int l) {
        const std::string block = "layers." + std::to_string(l);
        return checkpoint.has("model." + block + ".input_layernorm.weight") || checkpoint.has(block + ".attention_norm.weight");
    };
    Config config;
    config.vocabulary = dimension(checkpoint, "model.embed_tokens.weight", "tok_embeddings.weight", 0);
    config.width = dimension(checkpoint, "model.embed_tokens.weight", "tok_embeddings.weight", 1);
    config.depth = 0;
    while (has_block(config.depth)) ++config.depth;
    config.mlp_width = dimension(checkpoint, "model.layers.0.mlp.gate_proj.weight", "layers.0.feed_forward.w1.weight", 0);
    const int key_width = dimension(checkpoint, "model.layers.0.self_attn.k_proj.weight", "layers.0.attention.wk.weight", 0);

    const ModelConfig further(checkpoint, told);
    further.require_agrees(settings::width, config.width);
    further.require_agrees(settings::depth, config.depth);
    further.require_only("hidden_act", "silu");
    config.heads = further.integer(settings::heads);
    require(config.heads > 0 && config.width % config.heads == 0 && key_width % head_width(config) == 0, checkpoint.path, ": ",
            config.heads, " heads do not divide a width of ", config.width, " into parts that make up keys of width ", key_width);
    config.key_value_heads = key_width / head_width(config);  // keys and queries of a head are equally wide
    further.require_agrees(settings::key_value_heads, config.key_value_heads);
    config.eps = static_cast<float>(further.real(settings::eps, 1e-6));
    config.rotary_base = static_cast<float>(further.real(settings::rotary_base, 10000));
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

LoadRules load_rules() { return {.ignored_endings = {".rotary_emb.inv_freq", "rope.freqs"}}; }

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return inside_of(w.blocks, options_of(config), w.norm, w.output); }

}  // namespace llama
