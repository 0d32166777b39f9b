// mask.h: attention masks: which query may attend to which key. True means "may", everywhere in the project.
//
//   shows    that causal, padded, prefix and windowed attention differ only in this table
//   note     Masking tokens or patches of the *input* is something else (bert/mlm, vit/mask_pixels) and is never called
//            MayAttend.
#pragma once
#include <vector>

#include "nn/base/matrix.h"

struct MayAttend {
    int queries = 0;
    int keys = 0;
    std::vector<char> table;  // queries * keys; empty = every query may attend to every key

    bool allows_all() const { return table.empty(); }
    bool operator()(int query, int key) const { return table[static_cast<std::size_t>(query) * keys + key] != 0; }
};

// A mask written by hand, for lessons and tests: 1 = may, 0 = may not.
MayAttend may_attend(const Matrix& ones_and_zeros);

// Causal mask: a token may attend to itself and to earlier tokens. With more keys than queries (a cache), the queries are the
// last.
MayAttend causal(int queries, int keys);

// Padding mask of a batch: key j of sequence b is visible where mask (B, T) is 1. (B*T, T): every query has its own row.
//   throws  std::invalid_argument for anything but 0 and 1
MayAttend padding(const Matrix& mask);

// Prefix mask: the first `prefix` tokens are visible to all, the rest is causal.
MayAttend prefix(int length, int prefix);

// Sliding window: at most `before` tokens back and `after` tokens ahead.
MayAttend window(int length, int before, int after);

// Block-diagonal mask: tokens with equal numbers see one another. For several documents packed into one sequence.
MayAttend same_span(const std::vector<int>& span_of_token);

// Allowed where both masks allow. A mask for one sequence is repeated for every sequence of a batch.
//   throws  std::invalid_argument when the keys differ or the queries do not divide
MayAttend operator&(const MayAttend& a, const MayAttend& b);
