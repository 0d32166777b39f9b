// attention_formula.h: each element of attend() and of its gradients as a formula (formula.h), from q, k, v and the bias alone.
//
//   tables  that attend() adds for the formulas to read: h, hv, heads, scale; shared: query heads for one key head; segments, and
//           for each of them first_query, queries, first_key, keys, first_weight; segment of each query row;
//           most_queries, most_keys of a segment; under a mask may: (rows of q) x most_keys, 1 where it may attend to the key
//   note    attend() under a hook, and so in a trace, runs operation by operation, each with its own formula
#pragma once
#include "nn/autograd/formula.h"

struct AttendFormulas {
    bool masked = false, biased = false;
    bool own_bias = false;  // each segment has its own bias, laid out as the weights

    Explained explained() const;  // without tables
};
