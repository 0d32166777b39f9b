// operations.h: what can be computed with a Var. Forward and backward of each stand side by side in operations.cpp.
//
//   shows     that the calculus of a whole transformer is some thirty one-line derivatives
//   shapes    "(n, m)" is a matrix of n rows; where two inputs meet element by element, one may have a single row or a single
//             column, which is then repeated (broadcasting), and its gradient is the sum over the repeats
//   throws    std::invalid_argument with the caller's line, the operation and both shapes
//   next      rearrange.h moves rows and columns; layers/ builds on both
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/matmul.h"

// Element by element, with broadcasting.
Var add(const Var& a, const Var& b, Where where = Where::current());
Var subtract(const Var& a, const Var& b, Where where = Where::current());
Var multiply(const Var& a, const Var& b, Where where = Where::current());
Var divide(const Var& a, const Var& b, Where where = Where::current());
// Where both are equal the gradient is shared half and half. A NaN on either side gives NaN.
Var minimum(const Var& a, const Var& b, Where where = Where::current());
Var maximum(const Var& a, const Var& b, Where where = Where::current());

// a * factor and a + number, a plain number known beforehand
Var scale(const Var& a, float factor, Where where = Where::current());
Var shift(const Var& a, float number, Where where = Where::current());

Var matmul(const Var& a, const Var& b, Where where = Where::current());             // (n, k)(k, m) -> (n, m)   A B
Var matmul_transposed(const Var& a, const Var& b, Where where = Where::current());  // (n, k)(m, k) -> (n, m)   A B^T

// Function by element.
Var exp(const Var& a, Where where = Where::current());
Var log(const Var& a, Where where = Where::current());
Var sqrt(const Var& a, Where where = Where::current());
Var square(const Var& a, Where where = Where::current());
Var abs(const Var& a, Where where = Where::current());       // derivative 0 at 0
Var tanh(const Var& a, Where where = Where::current());
Var sigmoid(const Var& a, Where where = Where::current());
Var softplus(const Var& a, Where where = Where::current());  // log(1 + exp(a)) without overflow; -log sigmoid(d) = softplus(-d)
Var clamp(const Var& a, float low, float high, Where where = Where::current());  // derivative 1 inside and on the borders

// Sums, formed in double, as are the sums over what was repeated in the gradients of broadcast inputs.
Var sum(const Var& a, Where where = Where::current());        // (1, 1)
Var mean(const Var& a, Where where = Where::current());       // (1, 1)
Var row_sums(const Var& a, Where where = Where::current());   // (n, m) -> (n, 1)
Var row_means(const Var& a, Where where = Where::current());  // (n, m) -> (n, 1)

// Row by row: exp(a_j) / sum_k exp(a_k), and its logarithm. softmax_rows makes a row of minus infinities a row of zeros, which has
// no logarithm (NaN). One NaN makes its whole row NaN, so that a mistake does not hide.
Var softmax_rows(const Var& a, Where where = Where::current());
Var log_softmax_rows(const Var& a, Where where = Where::current());

// Softmax of `count` scores in place; the one place where scores become weights.
void softmax_in_place(float* scores, int count);
// ds = p (dp - sum(p dp)), the backward of a softmax whose result was p; ds may be dp.
void softmax_backward_row(const float* p, const float* dp, float* ds, int count);

// Element columns[i] of row i: (n, m) -> (n, 1).   throws when there are not n columns, or one is outside
Var pick(const Var& a, const std::vector<int>& columns, Where where = Where::current());

// The same value as a constant: no gradient flows back through it (stop-gradient, PyTorch's detach).
Var stop(const Var& a);

// Straight-through estimator: the numbers of `value` on the way forward, but the gradient goes to `path` unchanged, as if nothing
// had happened between the two; `value` receives none.   throws when the shapes differ
//   example  vector quantisation: value = the nearest code of each row, path = the rows before they were rounded to a code
Var straight_through(const Var& value, const Var& path, Where where = Where::current());

// For the backward of whatever contains a matrix product: input.gradient += a b. The first share is formed in place, onto no zeros;
// an input that wants no gradient costs nothing.
void add_gradient_product(Var& input, Slice a, Slice b);
