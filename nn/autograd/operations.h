// operations.h: operations on a Var. operations.cpp has the forward and backward of each, side by side.
//
//   shows     that the calculus of a whole transformer is some thirty one-line derivatives
//   shapes    (n, m) is n rows and m columns. In element-by-element operations an input with a single row or column is broadcast
//             (repeated), and its gradient is the sum over the repetitions
//   throws    std::invalid_argument with the caller's line, the operation and both shapes
//   next      rearrange.h, rows.h; nn/layers builds on them
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/matmul.h"

// Element by element, with broadcasting.
Var add(const Var& a, const Var& b, Where where = Where::current());
Var subtract(const Var& a, const Var& b, Where where = Where::current());
Var multiply(const Var& a, const Var& b, Where where = Where::current());
Var divide(const Var& a, const Var& b, Where where = Where::current());
// Where both are equal each gets half the gradient. A NaN in either gives NaN.
Var minimum(const Var& a, const Var& b, Where where = Where::current());
Var maximum(const Var& a, const Var& b, Where where = Where::current());

// a * factor and a + number, for constants
Var scale(const Var& a, float factor, Where where = Where::current());
Var shift(const Var& a, float number, Where where = Where::current());

Var matmul(const Var& a, const Var& b, Where where = Where::current());             // (n, k)(k, m) -> (n, m)   A B
Var matmul_transposed(const Var& a, const Var& b, Where where = Where::current());  // (n, k)(m, k) -> (n, m)   A B^T

// Element by element.
Var exp(const Var& a, Where where = Where::current());
Var log(const Var& a, Where where = Where::current());
Var sqrt(const Var& a, Where where = Where::current());
Var square(const Var& a, Where where = Where::current());
Var abs(const Var& a, Where where = Where::current());  // derivative 0 at 0
Var tanh(const Var& a, Where where = Where::current());
Var sigmoid(const Var& a, Where where = Where::current());
Var softplus(const Var& a, Where where = Where::current());  // log(1 + exp(a)) without overflow; -log sigmoid(d) = softplus(-d)
Var clamp(const Var& a, float low, float high, Where where = Where::current());  // derivative 1 inside and on the borders

// Sums, formed in double, as are the sums in the gradients of broadcast inputs.
Var sum(const Var& a, Where where = Where::current());        // (1, 1)
Var mean(const Var& a, Where where = Where::current());       // (1, 1)
Var row_sums(const Var& a, Where where = Where::current());   // (n, m) -> (n, 1)
Var row_means(const Var& a, Where where = Where::current());  // (n, m) -> (n, 1)

// Row by row: exp(a_j) / sum_k exp(a_k), and its logarithm. A row of minus infinities becomes zeros in softmax_rows and NaN in
// log_softmax_rows. One NaN makes its whole row NaN.
Var softmax_rows(const Var& a, Where where = Where::current());
Var log_softmax_rows(const Var& a, Where where = Where::current());

// Softmax of `count` scores in place; every softmax in the project calls it.
void softmax_in_place(float* scores, int count);
// ds = p (dp - sum(p dp)): the backward of a softmax whose result was p; ds may be dp.
void softmax_backward_row(const float* p, const float* dp, float* ds, int count);

// Element columns[i] of row i: (n, m) -> (n, 1).   throws when there are not n columns, or one is outside
Var pick(const Var& a, const std::vector<int>& columns, Where where = Where::current());

// Stop-gradient (PyTorch's detach): the same value as a constant.
Var stop(const Var& a);

// Straight-through estimator: forward gives `value`, backward passes the gradient to `path` unchanged; `value` receives none.
//   throws   when the shapes differ
//   example  vector quantisation: path = the rows, value = the nearest code of each row
Var straight_through(const Var& value, const Var& path, Where where = Where::current());

// For a backward that contains a matrix product: input.gradient += a b, in place. Does nothing for an input that requires no
// gradient.
void add_gradient_product(Var& input, Slice a, Slice b);
