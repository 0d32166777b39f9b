// rows.h: operations that combine rows: weighted sums, maxima and sums of rows.
//
//   shows    that pooling, resizing, sampling, normalising an image and summing along a ray are a few operations on rows
//   note     Only these and attention (nn/layers/attention.h) combine rows; every other operation treats each row by itself.
//   indices  n*K row numbers of x: those of result row 0, then those of row 1, ...; -1 stands for no row
//   throws   std::invalid_argument with the caller's line, the operation and the shapes
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/segments.h"

// Weighted gather: y_i = sum_k w_ik x_index(i,k). Gradients flow to x and to the weights.
//   x (r, C), weights (n, K), n*K indices -> (n, C)
//   example  bilinear interpolation: K = 4 neighbours, each weighted by the area opposite to it
Var mix_rows(const Var& x, const std::vector<int>& indices, const Var& weights, Where where = Where::current());

// Column-wise maximum of K rows: y_ij = max_k x(index(i,k), j). The gradient goes to the first of equal maxima, as in PyTorch's
// max pooling. A NaN among the K makes the result NaN.
//   x (r, C), n*count indices (count is K; of every K at least one is not -1) -> (n, C)
Var max_rows(const Var& x, const std::vector<int>& indices, int count, Where where = Where::current());

// The sum of the rows of each segment, summed in double.
//   x (r, C) -> (segments, C); an empty segment gives zeros
Var segment_sums(const Var& x, const Segments& segments, Where where = Where::current());

// Exclusive cumulative sums: row i becomes the sum of the rows of its segment above it.
//   x (r, C) -> (r, C); rows outside every segment become zeros.   throws when two segments share a row
//   example  1, 2, 3, 4 in one segment -> 0, 1, 3, 6
Var sums_before(const Var& x, const Segments& segments, Where where = Where::current());
