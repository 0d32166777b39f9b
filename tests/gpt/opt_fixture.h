// opt_fixture.h: one fixture of a model built on OPT's decoder, Galactica or BioGPT: every step, the loss, every gradient.
#pragma once
#include <string>

#include "gpt/families/opt.h"
#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"

// Published labels stand at the token itself; ours at the row that predicts it.
inline std::vector<int> one_earlier(const std::vector<int>& labels, int length) {
    std::vector<int> moved(labels.size(), ignored_label);
    for (std::size_t i = 0; i + 1 < labels.size(); ++i)
        if (static_cast<int>(i) % length != length - 1) moved[i] = labels[i + 1];
    return moved;
}

//   last_norm  what the fixture calls the norm after the last block
template <class Config>
void check_opt_fixture(const Golden& golden, const opt::Weights& w, const Config& config, const std::string& last_norm) {
    const TokenBatch batch{.sequences = dimensions_of(golden, "input.input_ids")[0],
                           .length = dimensions_of(golden, "input.input_ids")[1],
                           .ids = golden.integers("input.input_ids"),
                           .mask = numbers_of(golden, "input.attention_mask")};
    const Parameters table = parameters(w, config);
    golden.load_weights(table);

    const Tape tape;
    const opt::Steps steps = forward(batch, w, config);
    const Var loss = opt::loss(steps, one_earlier(golden.integers("input.labels"), batch.length));

    // Rows of padding are 0 in the fixtures.
    golden.check("positions", padding_zeroed(steps.positions.value(), batch.mask));
    golden.check("embeddings", padding_zeroed(steps.embeddings.value(), batch.mask));
    check_stack(golden, steps.decoder, config.depth,
                {{"layer.#.self_attn_layer_norm", Step::norm1},
                 {"layer.#.attention", Step::weights},
                 {"layer.#.self_attn", Step::attention_output},
                 {"layer.#", Step::output}},
                {.sequences = batch.sequences, .heads = config.heads, .mask = batch.mask});
    golden.check(last_norm, padding_zeroed(steps.hidden.value(), batch.mask));
    golden.check("logits", padding_zeroed(steps.logits.value(), batch.mask));
    golden.check_integers("greedy_next", argmax_of_rows(last_tokens(steps.logits.value(), batch.mask)));
    golden.check("loss", loss.value());
    backward(loss);
    check_gradients(table, golden);
    golden.check_all_used();
}
