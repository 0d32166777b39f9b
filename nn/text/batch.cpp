#include "nn/text/batch.h"

#include <algorithm>

#include "nn/base/require.h"
#include "nn/training/loss.h"

TokenBatch make_batch(const std::vector<std::vector<int>>& sequences, int padding_token, Side padding) {
    const int B = static_cast<int>(sequences.size());
    require(B > 0, "make_batch: there is no sequence");
    int T = 0;
    for (int b = 0; b < B; ++b) {
        require(!sequences[b].empty(), "make_batch: sequence ", b, " of ", B, " has no token; leave it out");
        T = std::max(T, static_cast<int>(sequences[b].size()));
    }
    TokenBatch batch{.sequences = B, .length = T, .ids = std::vector<int>(B * T, padding_token), .mask = Matrix(B, T)};
    for (int b = 0; b < B; ++b) {
        const int count = static_cast<int>(sequences[b].size());
        const int first = padding == Side::left ? T - count : 0;  // where the text begins
        std::copy(sequences[b].begin(), sequences[b].end(), batch.ids.begin() + b * T + first);
        std::fill_n(batch.mask.row(b) + first, count, 1.0f);
    }
    return batch;
}

TokenBatch equal_batch(const std::vector<int>& ids, int length) {
    const int total = static_cast<int>(ids.size());
    require(length > 0 && total > 0 && total % length == 0, "equal_batch: ", total,
            " tokens are not a whole number of sequences of ", length);
    return {.sequences = total / length, .length = length, .ids = ids, .mask = {}};
}

void require_fits(std::string_view place, const TokenBatch& batch) {
    const int B = batch.sequences, T = batch.length;
    require(B > 0 && T > 0 && batch.ids.size() == static_cast<std::size_t>(B) * T, place, ": ", batch.ids.size(), " ids are not ",
            B, " sequences of length ", T);
    require(batch.mask.empty() || (batch.mask.rows == B && batch.mask.cols == T), place, ": the mask is ", batch.mask,
            ", the batch is (", B, ", ", T, ")");
    for (const float x : batch.mask) require(x == 0 || x == 1, place, ": a mask holds 1 (token) and 0 (padding), not ", x);
}

std::vector<int> positions(const TokenBatch& batch) {
    require_fits("positions", batch);
    std::vector<int> positions(batch.ids.size(), 0);
    for (int b = 0; b < batch.sequences; ++b) {
        int tokens_before = 0;
        for (int t = 0; t < batch.length; ++t)
            if (batch.is_token(b, t)) positions[b * batch.length + t] = tokens_before++;
    }
    return positions;
}

std::vector<int> next_tokens(const TokenBatch& batch) {
    require_fits("next_tokens", batch);
    const int T = batch.length;
    std::vector<int> labels(batch.ids.size(), ignored_label);
    for (int b = 0; b < batch.sequences; ++b)
        for (int t = 0; t + 1 < T; ++t)
            if (batch.is_token(b, t) && batch.is_token(b, t + 1)) labels[b * T + t] = batch.ids[b * T + t + 1];
    return labels;
}

std::vector<int> next_tokens(const std::vector<int>& ids, int length) { return next_tokens(equal_batch(ids, length)); }

Attending attending(const TokenBatch& batch, bool causally) {
    require_fits("attending", batch);
    const int B = batch.sequences, T = batch.length;
    Attending how{.segments = Segments::equal(B, T)};
    if (causally) how.may = causal(T, T);
    const bool padded = std::find(batch.mask.begin(), batch.mask.end(), 0.0f) != batch.mask.end();
    if (padded) how.may = how.may & padding(batch.mask);  // (B*T, T)  every query has its own row
    return how;
}
