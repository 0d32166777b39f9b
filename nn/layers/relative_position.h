// relative_position.h: positions as a bias on the scores: what two patches see of each other depends on how they lie.
//
//   paper    Bao et al., "BEiT", 2021, arXiv 2106.08254, after T5 (Raffel et al. 2020) and Swin (Liu et al. 2021)
//   shows    that such a position is a number per head and offset, looked up and added before the softmax; tokens stay untouched
//   symbols  n rows and m columns of patches, N = n m   H heads   T = (2n - 1)(2m - 1) + 3 offsets
//   note     token 0 is [cls], which lies nowhere, so its three relations have three entries of their own at the end of the table
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

// T, the rows of the table of a grid.
int relative_offsets(int rows, int cols);

// Which row of the table speaks of a pair: number q * (N+1) + k for query token q and key token k.
//   For patches, (row of q - row of k + n - 1) (2m - 1) + (column of q - column of k + m - 1); for [cls] and any patch T-3, any
//   patch and [cls] T-2, [cls] and itself T-1 (query first).
//   throws   std::invalid_argument for an empty grid
std::vector<int> relative_position_index(int rows, int cols);

// A table spread out as attention takes it (Attending::bias): which entry speaks of a pair is said by `index`.
//   table    (entries, H)
//   index    for query 0 the entry of key 0, key 1, ..., then those of query 1: a whole number of queries
//   returns  (H * queries, keys)  head 0's bias of every query and key, then head 1's, ...
//   throws   std::invalid_argument when the index does not divide into rows of `keys`, or an entry is outside the table
//   Example: bias_of_pairs({{5, 50}, {6, 60}}, {0, 1, 1, 0}, 2) is {{5, 6}, {6, 5}, {50, 60}, {60, 50}}
Var bias_of_pairs(const Var& table, const std::vector<int>& index, int keys, Where where = Where::current());

// The same for the table of a grid.
//   table    (T, H)
//   returns  (H * (N+1), N+1)  head 0's bias of every query and key, then head 1's, ...
//   throws   std::invalid_argument when the table does not have T rows
Var relative_position_bias(const Var& table, int rows, int cols, Where where = Where::current());
