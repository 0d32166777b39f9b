// matmul.h: C = A B, the loop in which a transformer spends nearly all its time.
//
//   shows    the textbook triple loop (the specification), and the same three loops reordered for caches and registers
//   symbols  C (M, N) = A (M, K) B (K, N)
//   forms    A B, A B^T and A^T B: the three that a linear layer needs forward and backward
//   exact    the order of summation does not depend on the number of threads
//   rounding products are summed in chains of at most 64 (16 if K < 64), chains in slabs of at most 1024, slabs into C. So K =
//            1024 rounds like a sum of 80 terms. A single row of A, and very small products, round less
#pragma once
#include "nn/base/matrix.h"
#include "nn/base/require.h"

// A view of a rectangle of a matrix; it owns no memory. Transposing it swaps the two steps and moves nothing.
struct Slice {
    const float* first;  // element (0, 0)
    int rows, cols;
    long row_step, col_step;  // floats from (i, j) to (i + 1, j) and to (i, j + 1)

    float operator()(int i, int j) const { return first[i * row_step + j * col_step]; }
};
struct OutSlice {  // a view to write to; its rows are contiguous
    float* first;
    int rows, cols;
    long row_step;

    operator Slice() const { return {first, rows, cols, row_step, 1}; }
};

Slice whole(const Matrix& m);
OutSlice whole(Matrix& m);
// Rows and columns [first, first + count) of m.   throws std::invalid_argument outside the matrix
Slice part(const Matrix& m, int first_row, int row_count, int first_col, int col_count);
OutSlice part(Matrix& m, int first_row, int row_count, int first_col, int col_count);
Slice transposed(Slice s);

// c += a b, and c = a b; c may overlap a or b.   throws std::invalid_argument when the shapes do not fit
void multiply_add(OutSlice c, Slice a, Slice b, Where where = Where::current());
void multiply(OutSlice c, Slice a, Slice b, Where where = Where::current());

Matrix matmul(const Matrix& a, const Matrix& b, Where where = Where::current());             // A B    (M, K)(K, N)
Matrix matmul_transposed(const Matrix& a, const Matrix& b, Where where = Where::current());  // A B^T  (M, K)(N, K)
Matrix transposed_matmul(const Matrix& a, const Matrix& b, Where where = Where::current());  // A^T B  (K, M)(K, N)

// The specification: c(i, j) += sum over k of a(i, k) b(k, j), as three plain loops; summed in double.
void multiply_add_textbook(OutSlice c, Slice a, Slice b);
