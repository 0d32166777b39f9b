// small_matrix.h: weights in 2 or 1.125 bytes a number instead of 4, and the product that reads them.
//
//   shows     that generating text token by token takes as long as reading the weights from memory: fewer bytes, more tokens
//   bfloat16  the upper 16 bits of a float: its sign, its 8 bits of exponent, 7 of its 23 bits of fraction
//   int8      x = scale * q with a whole number q from -127 to 127, and one scale for each block of 32 numbers of a row
//   symbols   W (N, K), a row for each output, K inputs; x (n, K); y = x W^T (n, N). Blocks lie along the inputs: the numbers
//             of a block belong to one output, so large weights of one output do not make those of another coarse
//   source    bfloat16: rounding to nearest, ties to even, as IEEE 754 rounds; int8: Q8_0 of ggml, but with the scale as a float
//   next      small_weights.h gives a model such weights while it generates
#pragma once
#include <cstdint>
#include <vector>

#include "nn/base/matrix.h"
#include "nn/base/require.h"

constexpr int small_block = 32;  // numbers that share a scale; rows are padded with 0 to whole blocks

struct Bfloat16Rows {
    int rows = 0, cols = 0;              // N, K
    std::vector<std::uint16_t> numbers;  // rows x (K rounded up to whole blocks)
};

struct Int8Rows {
    int rows = 0, cols = 0;            // N, K
    std::vector<std::int8_t> numbers;  // rows x (K rounded up to whole blocks)
    std::vector<float> scales;         // one for each block
};

// The nearest bfloat16, of two equally near ones the one with an even last bit; and back, which is exact.
//   example  1 + 1/256 lies half-way between 1 and 1 + 1/128 and becomes 1; 1 + 3/256 becomes 1 + 2/128
std::uint16_t to_bfloat16(float x);
float from_bfloat16(std::uint16_t bits);

// The error is at most 1/256 of a number (half a unit in the last place).
//   throws  std::invalid_argument for NaN, infinity, and numbers from 3.396e38 on, which would round to infinity
Bfloat16Rows to_bfloat16_rows(const Matrix& w);

// In each block scale = max |x| / 127 and q = x / scale, rounded; the error is at most half a scale. A block whose numbers are all
// below 1.5e-36 becomes 0, because its scale would be too small for a float.
//   throws  std::invalid_argument for NaN and infinity
Int8Rows to_int8_rows(const Matrix& w);

// The numbers as floats, (N, K).
Matrix restored(const Bfloat16Rows& w);
Matrix restored(const Int8Rows& w);

// Bytes that hold the matrix, all of which a product reads.
double bytes_of(const Bfloat16Rows& w);
double bytes_of(const Int8Rows& w);

// x W^T, (n, K)(N, K) -> (n, N). W is read once, so a few rows of x cost hardly more time than one.
//   throws  std::invalid_argument when the widths differ
Matrix matmul_transposed(const Matrix& x, const Bfloat16Rows& w, Where where = Where::current());
Matrix matmul_transposed(const Matrix& x, const Int8Rows& w, Where where = Where::current());

// The specification of both: y(i, j) = sum over k of x(i, k) w(j, k), as three plain loops over the restored numbers, in double.
Matrix matmul_transposed_textbook(const Matrix& x, const Bfloat16Rows& w);
Matrix matmul_transposed_textbook(const Matrix& x, const Int8Rows& w);
