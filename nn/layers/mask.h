// mask.h: who may attend to whom. true = may; this is the only convention in the project.
//
//   shows    that causal, padded, prefix and windowed attention differ in nothing but this table
//   note     Hiding a word or a patch of the *input* is another thing (bert/mlm, vit/mask_pixels) and is never called MayAttend.
#pragma once
#include <vector>

#include "nn/base/matrix.h"

struct MayAttend {
    int queries = 0;
    int keys = 0;
    std::vector<char> table;  // queries * keys; empty = everybody may attend to everybody

    bool everybody() const { return table.empty(); }
    bool operator()(int query, int key) const { return table[static_cast<std::size_t>(query) * keys + key] != 0; }
};

// A table written by hand, for lessons and tests: 1 = may, 0 = may not.
MayAttend may_attend(const Matrix& ones_and_zeros);

// A token sees itself and what came before. With more keys than queries (a cache) the queries are the last ones.
MayAttend causal(int queries, int keys);

// Key j of sequence b is visible where mask (B, T) is 1. One table for the whole batch, (B*T, T): every query has its own row.
//   throws  std::invalid_argument for anything but 0 and 1
MayAttend padding(const Matrix& mask);

// The first `prefix` tokens are visible to all (a question), the rest is causal (an answer).
MayAttend prefix(int length, int prefix);

// At most `before` tokens back and `after` tokens ahead.
MayAttend window(int length, int before, int after);

// Tokens with equal numbers see one another: several documents packed into one sequence.
MayAttend same_span(const std::vector<int>& span_of_token);

// Both must allow it. A table for one sequence is repeated for every sequence of a batch.
//   throws  std::invalid_argument when the keys differ or the queries do not divide
MayAttend operator&(const MayAttend& a, const MayAttend& b);
