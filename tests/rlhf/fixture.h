// fixture.h: what the fixtures of this folder have in common, a small GPT-2 and masked rows.
#pragma once
#include <algorithm>

#include "gpt/gpt.h"
#include "tests/golden.h"

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

inline Matrix column_of(const std::vector<float>& numbers) {
    Matrix column(static_cast<int>(numbers.size()), 1);
    for (std::size_t k = 0; k < numbers.size(); ++k) column[k] = numbers[k];
    return column;
}

// Rows of padding set to zero, as the fixture keeps them: T rows for each text, or T for each text and head.
inline Matrix without_padding(const Matrix& m, const std::vector<int>& lengths, int heads = 1) {
    Matrix kept = m;
    const int T = m.rows / static_cast<int>(lengths.size()) / heads;
    for (int i = 0; i < m.rows; ++i)
        if (i % T >= lengths[i / (T * heads)]) std::fill_n(kept.row(i), m.cols, 0.0f);
    return kept;
}
