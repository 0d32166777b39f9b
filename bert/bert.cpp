#include "bert/bert.h"

#include <algorithm>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"

namespace bert {

// --- embedding ---

Batch make_batch(const std::vector<std::vector<int>>& sequences, int pad, const std::vector<std::vector<int>>& token_types) {
    const int B = static_cast<int>(sequences.size());
    require(token_types.empty() || token_types.size() == sequences.size(), "make_batch: ", B, " sequences but ",
            token_types.size(), " lists of token types; give one list for each sequence, or none");
    Batch batch{::make_batch(sequences, pad), {}};
    if (token_types.empty()) return batch;
    batch.token_types.resize(batch.ids.size());
    for (int b = 0; b < B; ++b) {
        require(token_types[b].size() == sequences[b].size(), "make_batch: sequence ", b, " has ", sequences[b].size(),
                " tokens but ", token_types[b].size(), " token types, each needs one");
        std::copy(token_types[b].begin(), token_types[b].end(), batch.token_types.begin() + b * batch.length);
    }
    return batch;
}

static void check(const Config& config, const std::string& who = "bert") {
    require(config.width > 0 && config.depth >= 0 && config.mlp_width > 0, who, ": width ", config.width, ", depth ",
            config.depth, ", inner width ", config.mlp_width, ": sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, who, ": ", config.heads, " heads do not divide a width of ",
            config.width);
    require(config.vocabulary > 0 && config.positions > 0 && config.token_types > 0, who, ": a vocabulary of ", config.vocabulary,
            ", ", config.positions, " positions and ", config.token_types, " token types, all must be positive");
    require_eps(who, config.eps);
}

static void check(const Batch& batch, const Config& config) {
    check(config);
    require_texts("bert", batch);
    require(batch.length <= config.positions, "bert: a sequence of length ", batch.length, ", this model has ", config.positions,
            " positions; truncate the text");
    require(batch.token_types.empty() || batch.token_types.size() == batch.ids.size(), "bert: ", batch.token_types.size(),
            " token types for ", batch.ids.size(), " ids, each needs one, or give none");
}

TokenEmbedding embed_tokens(const Batch& batch, const Weights& w, const Config& config) {
    check(batch, config);
    const std::vector<int> types = batch.token_types.empty() ? std::vector<int>(batch.ids.size()) : batch.token_types;
    const Var positions = slice_rows(w.positions, 0, batch.length);  // (T, D)
    TokenEmbedding steps;
    steps.token_embeddings = named_step("token_embeddings", embed(w.token_embedding, batch.ids));  // (B*T, D)
    steps.with_token_types = add(steps.token_embeddings, embed(w.token_types, types));             // (B*T, D)
    steps.tokens = add_repeated(steps.with_token_types, positions);                                // (B*T, D)
    steps.z0 = named_step("embeddings", layer_norm(steps.tokens, w.norm, config.eps));             // (B*T, D)
    return steps;
}

BlockOptions block_options(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation, .order = Order::post};
}

// --- encoder ---

static void require_matching(const Weights& w, const Config& config) {
    require_depth("bert", config.depth, w.blocks);
    require_shape("bert", "token embedding", w.token_embedding, config.vocabulary, config.width);
    require_shape("bert", "position embedding", w.positions, config.positions, config.width);
    require_shape("bert", "token type embedding", w.token_types, config.token_types, config.width);
    for (const Block& block : w.blocks)
        require_shape("bert", "first matrix of an MLP", block.mlp.expand.weight, config.width, config.mlp_width);
}

Steps forward(const Batch& batch, const Weights& w, const Config& config) {
    require_matching(w, config);
    require(!config.pooler || w.pooler.weight,
            "bert: the configuration asks for a pooler, the weights have none; set pooler = false");
    Steps steps;
    steps.embedding = embed_tokens(batch, w, config);  // z0
    const Attending how = attending(batch, false);     // no causal mask: every token attends to every token except padding
    steps.encoder = stack(steps.embedding.z0, w.blocks, block_options(config), {.self = how});  // (B*T, D)
    steps.class_tokens = gather_rows(steps.encoder.output, how.segments.first_rows());          // (B, D)
    if (config.pooler) steps.pooled = tanh(linear(steps.class_tokens, w.pooler));               // (B, D)
    return steps;
}

Matrix attention_of(const Steps& steps, const Batch& batch, const Config& config, int block, int head, int sequence) {
    require(block >= 0 && block < static_cast<int>(steps.encoder.blocks.size()) && head >= 0 && head < config.heads,
            "attention_of: there is no head ", head, " in block ", block, "; this model has ", steps.encoder.blocks.size(),
            " blocks of ", config.heads, " heads, counted from 0 (no blocks: make a KeepSteps before forward)");
    require(sequence >= 0 && sequence < batch.sequences, "attention_of: there is no sequence ", sequence, " among ",
            batch.sequences, ", counted from 0");
    const Matrix& weights = steps.encoder.blocks[block].attention.weights.value();  // (B*heads*T, T)
    require(weights.rows == batch.sequences * config.heads * batch.length && weights.cols == batch.length,
            "attention_of: the weights are ", weights, ", ", batch.sequences, " sequences of ", batch.length, " tokens and ",
            config.heads, " heads have others; pass the batch and the configuration of these steps");
    return slice_rows(weights, (sequence * config.heads + head) * batch.length, batch.length);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width;
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, D, init);
    w.positions = make_embedding(random, config.positions, D, init);
    w.token_types = make_embedding(random, config.token_types, D, init);
    w.norm = make_layer_norm(D);
    for (int l = 0; l < config.depth; ++l)
        w.blocks.push_back(make_block(random, {.width = D, .mlp_width = config.mlp_width}, init));
    if (config.pooler) w.pooler = make_linear(random, D, D, init);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width;
    const std::string embeddings = "bert.embeddings.";
    Parameters table;
    table.push_back({embeddings + "word_embeddings.weight", {config.vocabulary, D}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({embeddings + "position_embeddings.weight", {config.positions, D}, Stored::as_it_is, {w.positions}});
    table.push_back({embeddings + "token_type_embeddings.weight", {config.token_types, D}, Stored::as_it_is, {w.token_types}});
    add_parameters(table, embeddings + "LayerNorm", w.norm);
    add_parameters(table, "bert.encoder.layer.", w.blocks, bert_names);
    if (config.pooler) add_parameters(table, "bert.pooler.dense", w.pooler);
    return table;
}

LoadRules load_rules() {
    return {.optional_prefixes = {"bert."},
            .other_endings = {{".LayerNorm.weight", ".LayerNorm.gamma"}, {".LayerNorm.bias", ".LayerNorm.beta"}},
            .ignored_endings = {".position_ids"}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string bert = checkpoint.has("embeddings.word_embeddings.weight") ? "" : "bert.";
    Config config;
    const std::string table = bert + "embeddings.word_embeddings.weight", copy = "cls.predictions.decoder.weight";
    const std::string words =
        checkpoint.has(table) || !checkpoint.has(copy) ? table : copy;  // some files hold only the decoder's copy
    config.vocabulary = checkpoint.dimension(words, 0);
    config.width = checkpoint.dimension(words, 1);
    config.positions = checkpoint.dimension(bert + "embeddings.position_embeddings.weight", 0);
    config.token_types = checkpoint.dimension(bert + "embeddings.token_type_embeddings.weight", 0);
    config.depth = count_blocks(checkpoint, bert + "encoder.layer.", ".output.dense.weight");
    config.mlp_width = checkpoint.dimension(bert + "encoder.layer.0.intermediate.dense.weight", 0);
    config.pooler = checkpoint.has(bert + "pooler.dense.weight");
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    model_config.require_agrees(settings::positions, config.positions);
    model_config.require_agrees({"the number of token types", {"type_vocab_size"}}, config.token_types);
    model_config.require_only("model_type", "bert");  // RoBERTa has the same names, and counts positions from 2
    model_config.require_only("is_decoder", "false");
    model_config.require_only("position_embedding_type", "absolute");
    config.heads = model_config.integer(settings::heads);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-12));
    config.activation = model_config.activation(settings::activation, "gelu");
    check(config, checkpoint.path);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "bert"},
            {"num_attention_heads", std::to_string(config.heads)},
            {"layer_norm_eps", setting_text(config.eps)},
            {"hidden_act", name_of_activation(config.activation)}};
}

}  // namespace bert
