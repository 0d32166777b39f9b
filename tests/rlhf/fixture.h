// fixture.h: shared by the fixtures of this folder: a small GPT-2 that reads padded rows.
#pragma once
#include "gpt/gpt.h"
#include "tests/fixture_views.h"

inline gpt::Config gpt_config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("vocab_size"),
            .positions = file.metadata_int("n_positions"),
            .width = file.metadata_int("n_embd"),
            .depth = file.metadata_int("n_layer"),
            .heads = file.metadata_int("n_head"),
            .mlp_width = file.dimension("weights.transformer.h.0.mlp.c_fc.weight", 1),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .activation = activation_of_name(file.metadata_text("activation_function"))};
}

// The steps of the trunk from the embedding to the last norm, whose rows of padding are zero in the fixture.
inline void check_trunk(const Golden& golden, const gpt::Steps& steps, const gpt::Config& config, const Matrix& mask) {
    golden.check("embedding", padding_zeroed(steps.embeddings.value(), mask));
    check_stack(golden, steps.decoder, config.depth, {{"attention.#", Step::weights}, {"block.#", Step::output}}, {.mask = mask});
    golden.check("final_norm", padding_zeroed(steps.hidden.value(), mask));
}
