// matmul.h: C = A B, the one loop in which nearly all the time of a transformer goes.
//
//   shows    the textbook triple loop (the specification) and the same three loops arranged for the machine
//   symbols  C (M, N) = A (M, K) B (K, N)
//   forms    A B, A B^T and A^T B: the three that a linear layer needs forward and backward
//   exact    an element of C is summed in the same order whatever the number of threads
//   noise    that order: chains of 64 products at most (16 where K < 64), which are added up to slabs of 1024 at most, and those to C.
//            So the rounding of K = 1024 is that of a sum of 80. A single row of A, and products too small to matter, err less
#pragma once
#include "nn/base/matrix.h"
#include "nn/base/require.h"

// A rectangle of numbers that somebody else owns. Transposing it swaps the two steps and moves nothing.
struct Slice {
    const float* first;  // element (0, 0)
    int rows, cols;
    long row_step, col_step;  // floats from (i, j) to (i + 1, j) and to (i, j + 1)

    float operator()(int i, int j) const { return first[i * row_step + j * col_step]; }
};
struct OutSlice {  // one that is written to; its columns lie side by side
    float* first;
    int rows, cols;
    long row_step;

    operator Slice() const { return {first, rows, cols, row_step, 1}; }  // whoever may write may read
};

Slice whole(const Matrix& m);
OutSlice whole(Matrix& m);
// Rows and columns [first, first + count) of m.   throws std::invalid_argument outside the matrix
Slice part(const Matrix& m, int first_row, int row_count, int first_col, int col_count);
OutSlice part(Matrix& m, int first_row, int row_count, int first_col, int col_count);
Slice transposed(Slice s);

// c += a b, and c = a b.   throws std::invalid_argument when the shapes do not fit
void multiply_add(OutSlice c, Slice a, Slice b, Where where = Where::current());
void multiply(OutSlice c, Slice a, Slice b, Where where = Where::current());

Matrix matmul(const Matrix& a, const Matrix& b, Where where = Where::current());             // A B    (M, K)(K, N)
Matrix matmul_transposed(const Matrix& a, const Matrix& b, Where where = Where::current());  // A B^T  (M, K)(N, K)
Matrix transposed_matmul(const Matrix& a, const Matrix& b, Where where = Where::current());  // A^T B  (K, M)(K, N)

// The specification: c(i, j) += sum over k of a(i, k) b(k, j), three loops and nothing else; the sum is formed in double.
void multiply_add_textbook(OutSlice c, Slice a, Slice b);
