#include "tests/bert/bert_golden.h"

#include "tests/fixture_views.h"

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
    return {{.sequences = golden.file.dimension("input.input_ids", 0),
             .length = golden.file.dimension("input.input_ids", 1),
             .ids = golden.integers("input.input_ids"),
             .mask = numbers_of(golden, "input.attention_mask")},
            golden.integers("input.token_type_ids")};
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
    check_stack(golden, steps.encoder, golden.file.metadata_int("num_hidden_layers"),
                {{"layer.#.attention", Step::weights},
                 {"layer.#.attention_context", Step::context},
                 {"layer.#.attention_output", Step::after_attention},
                 {"layer.#.intermediate", Step::hidden},
                 {"layer.#", Step::output}});
    golden.check("pooled_output", steps.pooled.value());
}

Matrix last_layer(const Golden& golden, const bert::Config& config) {
    return golden.expected("layer." + std::to_string(config.depth - 1));
}
