#include "gpt/families/biogpt.h"

#include <cmath>

#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/training/loss.h"

namespace biogpt {

// --- the model ---

static const opt::Names names{.prefix = "biogpt.", .last_norm = "layer_norm"};

// OPT's decoder with what the paper decides otherwise. Positions are not scaled, so the factor decides how much a token
// embedding weighs against its position.
static opt::Config decoder(const Config& config) {
    return {.vocabulary = config.vocabulary,
            .width = config.width,
            .depth = config.depth,
            .heads = config.heads,
            .mlp_width = config.mlp_width,
            .positions = config.positions,
            .position_offset = config.position_offset,
            .embedding_scale = config.scale_embedding ? std::sqrt(static_cast<float>(config.width)) : 1.0f,
            .activation = config.activation,
            .eps = config.eps,
            .name = "biogpt"};
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) { return opt::forward(batch, w, decoder(config)); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return opt::make_memory(decoder(config), sequences, capacity);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    return opt::read_on(next, w, decoder(config), memory);
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return opt::logits_of(hidden, w); }

// --- fine-tuning ---

Weights add_virtual_tokens(const Weights& w, Config& config, int count, Random& random, const Init& init) {
    require(count > 0, "biogpt: ", count, " virtual tokens, at least one is needed");
    const Var fresh = make_embedding(random, count, config.width, init);  // (count, E)
    Weights larger = w;
    larger.token_embedding = parameter(concat_rows({w.token_embedding, fresh}).value());  // (V + count, E)
    config.vocabulary += count;
    return larger;
}

std::vector<int> with_soft_prompt(const std::vector<int>& source, int count, const Config& config) {
    require(count >= 0 && count <= config.vocabulary, "with_soft_prompt: ", count,
            " virtual tokens, the vocabulary with them has ", config.vocabulary, "; call add_virtual_tokens first");
    std::vector<int> prompt = source;
    for (int k = config.vocabulary - count; k < config.vocabulary; ++k) prompt.push_back(k);
    return prompt;
}

Examples make_examples(const std::vector<std::vector<int>>& prompts, const std::vector<std::vector<int>>& answers) {
    require(prompts.size() == answers.size(), "biogpt: ", prompts.size(), " prompts, but ", answers.size(), " answers");
    for (std::size_t b = 0; b < prompts.size(); ++b)
        require(!prompts[b].empty() && !answers[b].empty(), "biogpt: example ", b, " has a prompt of ", prompts[b].size(),
                " and an answer of ", answers[b].size(), " tokens; without both there is nothing to predict, leave it out");
    std::vector<std::vector<int>> texts = prompts;
    for (std::size_t b = 0; b < texts.size(); ++b) texts[b].insert(texts[b].end(), answers[b].begin(), answers[b].end());
    Examples examples{.batch = make_batch(texts, 0, Side::left), .labels = {}};
    examples.labels = next_tokens(examples.batch);
    const int T = examples.batch.length;
    for (int b = 0; b < examples.batch.sequences; ++b) {
        const int first = T - static_cast<int>(answers[b].size());  // column of the first token of the answer
        for (int t = 0; t < first - 1; ++t) examples.labels[b * T + t] = ignored_label;
    }
    return examples;
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    return opt::make_weights(decoder(config), random, init);
}

Parameters parameters(const Weights& w, const Config& config) { return opt::parameters(w, decoder(config), names); }

LoadRules load_rules() {
    return {.optional_prefixes = {"biogpt."}, .other_names = {{"biogpt.embed_tokens.weight", "output_projection.weight"}}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const opt::Config found = opt::config_of(checkpoint, given, names, decoder({}));
    require(found.biases && found.affine_norms, checkpoint.path,
            ": a BioGPT has biases and norms with gains, this file does not");
    const ModelConfig model_config(checkpoint, given);
    if (!checkpoint.has("output_projection.weight")) model_config.require_tied(true);  // a copy suits either word
    const Setting scaled{"whether token embeddings are multiplied by sqrt(E)", {"scale_embedding"}};
    return {.vocabulary = found.vocabulary,
            .width = found.width,
            .depth = found.depth,
            .heads = found.heads,
            .mlp_width = found.mlp_width,
            .positions = found.positions,
            .scale_embedding = !model_config.has(scaled) || model_config.flag(scaled),
            .activation = model_config.activation(settings::activation, "gelu")};
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "biogpt"},
            {"num_attention_heads", std::to_string(config.heads)},
            {"scale_embedding", config.scale_embedding ? "true" : "false"},
            {"hidden_act", name_of_activation(config.activation)}};
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return opt::inside(w, decoder(config)); }

}  // namespace biogpt
