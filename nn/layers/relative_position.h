// relative_position.h: relative position bias: attention scores depend on the offset between two patches.
//
//   paper    Bao et al., "BEiT", 2021, arXiv 2106.08254, after T5 (Raffel et al. 2020) and Swin (Liu et al. 2021)
//   shows    that such a position is one number per head and offset, looked up and added to the scores; tokens are unchanged
//   symbols  n rows and m columns of patches, N = n m   H heads   T = (2n - 1)(2m - 1) + 3 offsets
//   note     token 0 is [cls], which has no position in the grid, so its three relations have three entries at the end of the
//            table
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

// T, the number of rows of the table.
int relative_offsets(int rows, int cols);

// The row of the table for each pair: entry q * (N+1) + k for query token q and key token k.
//   For patches, (row of q - row of k + n - 1) (2m - 1) + (column of q - column of k + m - 1); for [cls] and any patch T-3, any
//   patch and [cls] T-2, [cls] and itself T-1 (query first).
//   throws   std::invalid_argument for an empty grid
std::vector<int> relative_position_index(int rows, int cols);

// Expands a table to the bias that attention takes (Attending::bias).
//   table    (entries, H)
//   index    the entry for query 0 and key 0, key 1, ..., then for query 1, ...
//   returns  (H * queries, keys)  head 0's bias of every query and key, then head 1's, ...
//   throws   std::invalid_argument when the index does not divide into rows of `keys`, or an entry is outside the table
//   Example: bias_of_pairs({{5, 50}, {6, 60}}, {0, 1, 1, 0}, 2) is {{5, 6}, {6, 5}, {50, 60}, {60, 50}}
Var bias_of_pairs(const Var& table, const std::vector<int>& index, int keys, Where where = Where::current());

// The same for the table of a grid.
//   table    (T, H)
//   returns  (H * (N+1), N+1)  head 0's bias of every query and key, then head 1's, ...
//   throws   std::invalid_argument when the table does not have T rows
Var relative_position_bias(const Var& table, int rows, int cols, Where where = Where::current());
