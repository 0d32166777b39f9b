#include "nn/text/batch.h"

#include <algorithm>
#include <limits>

#include "nn/base/require.h"
#include "nn/training/loss.h"

TokenBatch make_batch(const std::vector<std::vector<int>>& sequences, int padding_token, Side padding) {
    const int B = static_cast<int>(sequences.size());
    require(B > 0, "make_batch: there is no sequence; give at least one");
    int T = 0;
    for (int b = 0; b < B; ++b) {
        require(!sequences[b].empty(), "make_batch: sequence ", b, " of ", B, " has no token; leave it out");
        T = std::max(T, static_cast<int>(sequences[b].size()));
    }
    TokenBatch batch{.sequences = B, .length = T, .ids = std::vector<int>(B * T, padding_token), .mask = Matrix(B, T)};
    for (int b = 0; b < B; ++b) {
        const int count = static_cast<int>(sequences[b].size());
        const int first = padding == Side::left ? T - count : 0;  // column of the first token
        std::copy(sequences[b].begin(), sequences[b].end(), batch.ids.begin() + b * T + first);
        std::fill_n(batch.mask.row(b) + first, count, 1.0f);
    }
    return batch;
}

void require_whole_sequences(std::string_view place, int total, int length) {
    require(total > 0, place, ": there is no token; give at least one sequence of ", length);
    require(length > 0, place, ": a length of ", length, " for ", total, " tokens, it must be at least 1");
    require(total % length == 0, place, ": ", total, " tokens are not a whole number of sequences of ", length, ", ",
            total % length, " are left over; cut them off or fill the last sequence up");
}

TokenBatch equal_batch(const std::vector<int>& ids, int length) {
    const int total = static_cast<int>(ids.size());
    require_whole_sequences("equal_batch", total, length);
    return {.sequences = total / length, .length = length, .ids = ids, .mask = {}};
}

void require_fits(std::string_view place, const TokenBatch& batch) {
    const int B = batch.sequences, T = batch.length;
    require(B > 0 && T > 0 && batch.ids.size() == static_cast<std::size_t>(B) * T, place, ": ", batch.ids.size(), " ids are not ",
            B, " sequences of length ", T, "; there must be at least one token, and an id for each");
    require(batch.mask.empty() || (batch.mask.rows == B && batch.mask.cols == T), place, ": the mask is ", batch.mask,
            ", the batch is (", B, ", ", T, "); each token needs a number, or give no mask");
    for (const float x : batch.mask) require(x == 0 || x == 1, place, ": a mask holds 1 (token) and 0 (padding), not ", x);
}

void require_texts(std::string_view place, const TokenBatch& batch) {
    require_fits(place, batch);
    if (batch.mask.empty()) return;
    for (int b = 0; b < batch.sequences; ++b) {
        const bool has_token =
            std::find(batch.mask.row(b), batch.mask.row(b) + batch.length, 1.0f) != batch.mask.row(b) + batch.length;
        require(has_token, place, ": sequence ", b, " of ", batch.sequences, " is all padding; leave it out");
    }
}

// The number of columns that `last` means.
static int last_columns(const char* place, const TokenBatch& batch, int last) {
    require_fits(place, batch);
    require(last >= 0 && last <= batch.length, place, ": the last ", last, " columns of ", batch.length,
            ", it must be 1 to that many, or 0 for all");
    return last == 0 ? batch.length : last;
}

std::vector<int> positions(const TokenBatch& batch, int last) {
    const int first = batch.length - last_columns("positions", batch, last);
    std::vector<int> positions;
    for (int b = 0; b < batch.sequences; ++b) {
        int tokens_before = 0;
        for (int t = 0; t < batch.length; ++t) {
            if (t >= first) positions.push_back(batch.is_token(b, t) ? tokens_before : 0);
            tokens_before += batch.is_token(b, t);
        }
    }
    return positions;
}

std::vector<int> position_rows(const TokenBatch& batch, int offset, int last) {
    require(offset >= 0, "position_rows: an offset of ", offset, ", the reserved rows cannot be fewer than 0; 2 in fairseq");
    require(offset <= std::numeric_limits<int>::max() - batch.length, "position_rows: an offset of ", offset, " and ",
            batch.length, " tokens, more rows than an int can count; 2 in fairseq");
    std::vector<int> rows = positions(batch, last);
    const int n = static_cast<int>(rows.size()) / batch.sequences;  // last columns
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const int b = static_cast<int>(i) / n, t = batch.length - n + static_cast<int>(i) % n;
        rows[i] = batch.is_token(b, t) ? rows[i] + offset : offset - 1;
    }
    return rows;
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

static bool has_padding(const TokenBatch& batch) {
    return std::find(batch.mask.begin(), batch.mask.end(), 0.0f) != batch.mask.end();
}

// `queries` equal rows for each sequence: true at tokens, false at padding.
static MayAttend to_tokens_of(const TokenBatch& batch, int queries) {
    MayAttend may{.queries = batch.sequences * queries, .keys = batch.length, .table = {}};
    for (int b = 0; b < batch.sequences; ++b)
        for (int i = 0; i < queries; ++i)
            for (int t = 0; t < batch.length; ++t) may.table.push_back(batch.is_token(b, t));
    return may;
}

Attending attending(const TokenBatch& batch, bool causally, int last) {
    const int B = batch.sequences, T = batch.length, n = last_columns("attending", batch, last);
    Attending how{.segments = Segments::equal(B, n)};
    if (causally) how.may = causal(n, T);
    if (has_padding(batch)) how.may = how.may & to_tokens_of(batch, n);
    return how;
}

Attending attending_to(const TokenBatch& source, int queries) {
    require_fits("attending_to", source);
    require(queries > 0, "attending_to: ", queries, " queries for each sequence, there must be at least 1");
    Attending how{.segments = Segments::equal(source.sequences, queries),
                  .key_segments = Segments::equal(source.sequences, source.length)};
    if (has_padding(source)) how.may = to_tokens_of(source, queries);
    return how;
}

void append(TokenBatch& seen, const TokenBatch& next) {
    require_fits("append", next);
    if (seen.length == 0) {
        seen = next;
        return;
    }
    require(seen.sequences == next.sequences, "append: ", next.sequences, " sequences come after ", seen.sequences,
            ", both must have the same number; select_sequences leaves some out");
    const int B = seen.sequences, T = seen.length + next.length;
    TokenBatch longer{.sequences = B, .length = T, .ids = {}, .mask = Matrix(B, T)};
    for (int b = 0; b < B; ++b)
        for (int t = 0; t < T; ++t) {
            const TokenBatch& from = t < seen.length ? seen : next;
            const int column = t < seen.length ? t : t - seen.length;
            longer.ids.push_back(from.ids[b * from.length + column]);
            longer.mask(b, t) = from.is_token(b, column);
        }
    seen = longer;
}

TokenBatch select_sequences(const TokenBatch& batch, const std::vector<int>& chosen) {
    require_fits("select_sequences", batch);
    const int T = batch.length, count = static_cast<int>(chosen.size());
    require(count > 0, "select_sequences: none of ", batch.sequences, " sequences is chosen; choose at least one");
    TokenBatch selected{.sequences = count, .length = T, .ids = {}, .mask = batch.mask.empty() ? Matrix() : Matrix(count, T)};
    for (int s = 0; s < count; ++s) {
        const int b = chosen[s];
        require(b >= 0 && b < batch.sequences, "select_sequences: there is no sequence ", b, " among ", batch.sequences,
                ", counted from 0");
        selected.ids.insert(selected.ids.end(), batch.ids.begin() + b * T, batch.ids.begin() + (b + 1) * T);
        if (!batch.mask.empty()) std::copy(batch.mask.row(b), batch.mask.row(b + 1), selected.mask.row(s));
    }
    return selected;
}
