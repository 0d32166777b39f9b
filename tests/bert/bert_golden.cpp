#include "tests/bert/bert_golden.h"

bert::Config bert_config(const Golden& golden) {
    return {.vocabulary = golden.file.metadata_int("vocab_size"),
            .positions = golden.file.metadata_int("max_position_embeddings"),
            .token_types = golden.file.metadata_int("type_vocab_size"),
            .width = golden.file.metadata_int("hidden_size"),
            .depth = golden.file.metadata_int("num_hidden_layers"),
            .heads = golden.file.metadata_int("num_attention_heads"),
            .mlp_width = golden.file.metadata_int("intermediate_size"),
            .eps = static_cast<float>(golden.file.metadata_double("layer_norm_eps")),
            .activation = activation_of_name(golden.file.metadata_text("hidden_act"))};
}

bert::Batch bert_batch(const Golden& golden) {
    const int B = golden.file.dimension("input.input_ids", 0), T = golden.file.dimension("input.input_ids", 1);
    bert::Batch batch{.sequences = B,
                      .length = T,
                      .ids = golden.integers("input.input_ids"),
                      .token_types = golden.integers("input.token_type_ids"),
                      .attention_mask = Matrix(B, T)};
    const std::vector<int> mask = golden.integers("input.attention_mask");
    for (std::size_t k = 0; k < mask.size(); ++k) batch.attention_mask[k] = static_cast<float>(mask[k]);
    return batch;
}

static void replace_ending(std::string& name, const std::string& ours, const std::string& theirs) {
    if (name.ends_with(ours)) name.replace(name.size() - ours.size(), ours.size(), theirs);
}

Parameters with_names_of(Parameters parameters, const Golden& golden) {
    if (!golden.has("weights.bert.embeddings.LayerNorm.gamma")) return parameters;
    for (Parameter& parameter : parameters) {
        replace_ending(parameter.name, ".LayerNorm.weight", ".LayerNorm.gamma");
        replace_ending(parameter.name, ".LayerNorm.bias", ".LayerNorm.beta");
    }
    return parameters;
}

void check_encoder(const Golden& golden, const bert::Steps& steps) {
    golden.check("embeddings", steps.embedding.z0.value());
    for (std::size_t l = 0; l < steps.encoder.blocks.size(); ++l) {
        const std::string layer = "layer." + std::to_string(l);
        const BlockSteps& block = steps.encoder.blocks[l];
        golden.check(layer + ".attention", block.attention.weights.value());
        golden.check(layer + ".attention_context", block.attention.context.value());
        golden.check(layer + ".attention_output", block.after_attention.value());
        golden.check(layer + ".intermediate", block.mlp.hidden.value());
        golden.check(layer, block.output.value());
    }
    golden.check("pooled_output", steps.pooled.value());
}

Matrix last_layer(const Golden& golden, const bert::Config& config) {
    return golden.expected("layer." + std::to_string(config.depth - 1));
}
