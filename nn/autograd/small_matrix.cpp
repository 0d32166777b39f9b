#include "nn/autograd/small_matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "nn/base/functions.h"
#include "nn/base/parallel.h"

static int divided_up(int a, int b) { return a / b + (a % b != 0); }
static int blocks_of(int cols) { return divided_up(cols, small_block); }

// --- bfloat16 ---

std::uint16_t to_bfloat16(float x) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t last = bits >> 16 & 1;  // the last bit that is kept
    // The lower half rounds the upper one up if it is more than half a unit, or exactly half and the last bit is odd.
    return static_cast<std::uint16_t>((bits + 0x7fff + last) >> 16);
}

float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

Bfloat16Rows to_bfloat16_rows(const Matrix& w) {
    const std::size_t width = static_cast<std::size_t>(blocks_of(w.cols)) * small_block;
    Bfloat16Rows small{w.rows, w.cols, std::vector<std::uint16_t>(w.rows * width)};
    for (int j = 0; j < w.rows; ++j)
        for (int k = 0; k < w.cols; ++k) {
            const std::uint16_t nearest = to_bfloat16(w(j, k));
            require(std::isfinite(w(j, k)) && std::isfinite(from_bfloat16(nearest)), "to_bfloat16_rows: ", w(j, k), " in row ", j,
                    ", column ", k, " of ", w, " is not a finite number of bfloat16");
            small.numbers[j * width + k] = nearest;
        }
    return small;
}

// The members of small rows are public: they may not belong together.
static void require_fit(const char* place, int rows, int cols, std::size_t numbers, std::size_t scales,
                        std::size_t scales_needed) {
    const std::size_t needed = static_cast<std::size_t>(std::max(rows, 0)) * blocks_of(std::max(cols, 0)) * small_block;
    require(rows >= 0 && cols >= 0 && numbers == needed && scales == scales_needed, place, ": a small (", rows, ", ", cols,
            ") holds ", numbers, " numbers and ", scales,
            " scales; to_bfloat16_rows and to_int8_rows make them, leave their members alone");
}

static void require_fit(const char* place, const Bfloat16Rows& w) { require_fit(place, w.rows, w.cols, w.numbers.size(), 0, 0); }

static void require_fit(const char* place, const Int8Rows& w) {
    require_fit(place, w.rows, w.cols, w.numbers.size(), w.scales.size(), w.numbers.size() / small_block);
}

Matrix restored(const Bfloat16Rows& w) {
    require_fit("restored", w);
    const std::size_t width = static_cast<std::size_t>(blocks_of(w.cols)) * small_block;
    Matrix m = Matrix::unset(w.rows, w.cols);
    for (int j = 0; j < w.rows; ++j)
        for (int k = 0; k < w.cols; ++k) m(j, k) = from_bfloat16(w.numbers[j * width + k]);
    return m;
}

double bytes_of(const Bfloat16Rows& w) { return 2.0 * static_cast<double>(w.numbers.size()); }

// --- int8 ---

// Writes the whole numbers of one block and returns its scale.
static float to_int8_block(const float* x, int count, std::int8_t* q) {
    float largest = 0;
    for (int k = 0; k < count; ++k) largest = std::max(largest, std::abs(x[k]));
    if (largest < 127 * std::numeric_limits<float>::min()) return 0;
    const float scale = largest / 127;
    for (int k = 0; k < count; ++k) q[k] = static_cast<std::int8_t>(std::lround(x[k] / scale));
    return scale;
}

Int8Rows to_int8_rows(const Matrix& w) {
    const std::size_t blocks = blocks_of(w.cols);
    Int8Rows small{w.rows, w.cols, std::vector<std::int8_t>(w.rows * blocks * small_block), std::vector<float>(w.rows * blocks)};
    for (int j = 0; j < w.rows; ++j) {
        for (int k = 0; k < w.cols; ++k)
            require(std::isfinite(w(j, k)), "to_int8_rows: ", w(j, k), " in row ", j, ", column ", k, " of ", w,
                    " is not finite");
        for (std::size_t b = 0; b < blocks; ++b) {
            const int first = static_cast<int>(b) * small_block, count = std::min(small_block, w.cols - first);
            small.scales[j * blocks + b] = to_int8_block(w.row(j) + first, count, &small.numbers[(j * blocks + b) * small_block]);
        }
    }
    return small;
}

Matrix restored(const Int8Rows& w) {
    require_fit("restored", w);
    const std::size_t blocks = blocks_of(w.cols);
    Matrix m = Matrix::unset(w.rows, w.cols);
    for (int j = 0; j < w.rows; ++j)
        for (int k = 0; k < w.cols; ++k) {
            const std::size_t block = j * blocks + k / small_block;
            m(j, k) = w.scales[block] * w.numbers[block * small_block + k % small_block];
        }
    return m;
}

double bytes_of(const Int8Rows& w) {
    return static_cast<double>(w.numbers.size()) + sizeof(float) * static_cast<double>(w.scales.size());
}

// --- the product: textbook ---

static Matrix product_textbook(const Matrix& x, const Matrix& w) {
    Matrix y = Matrix::unset(x.rows, w.rows);
    for (int i = 0; i < x.rows; ++i)
        for (int j = 0; j < w.rows; ++j) {
            double sum = 0;
            for (int k = 0; k < w.cols; ++k) sum += static_cast<double>(x(i, k)) * w(j, k);
            y(i, j) = static_cast<float>(sum);
        }
    return y;
}

Matrix matmul_transposed_textbook(const Matrix& x, const Bfloat16Rows& w) { return product_textbook(x, restored(w)); }

Matrix matmul_transposed_textbook(const Matrix& x, const Int8Rows& w) { return product_textbook(x, restored(w)); }

// --- the product: reading W as it is stored, and as fast as memory delivers it ---
//
// A number is restored in a register and used there. A block has 32 numbers, and a sum has 32 lanes: the inner loops have a
// constant length and no dependence between their steps, so the compiler turns them into vector instructions. Several rows of W
// that lie apart are read at once: memory delivers them side by side, while a single short row would be waited for.

static float sum_of_lanes(const float (&lane)[small_block]) {
    float sum[8];
    for (int q = 0; q < 8; ++q) sum[q] = (lane[q] + lane[q + 8]) + (lane[q + 16] + lane[q + 24]);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

// y[r apart] = the dot product of x and row j + r apart of W, r < rows; x is padded to whole blocks.
template <int rows>
static void dot_products(const float* x, const Bfloat16Rows& w, std::size_t j, std::size_t apart, float* y) {
    const std::size_t blocks = blocks_of(w.cols);
    float lane[rows][small_block] = {};
    for (std::size_t b = 0; b < blocks; ++b)
        for (int r = 0; r < rows; ++r) {
            const std::uint16_t* const numbers = &w.numbers[((j + r * apart) * blocks + b) * small_block];
            for (int k = 0; k < small_block; ++k)
                lane[r][k] += x[b * small_block + k] * std::bit_cast<float>(static_cast<std::uint32_t>(numbers[k]) << 16);
        }
    for (int r = 0; r < rows; ++r) y[r * apart] = sum_of_lanes(lane[r]);
}

template <int rows>
static void dot_products(const float* x, const Int8Rows& w, std::size_t j, std::size_t apart, float* y) {
    const std::size_t blocks = blocks_of(w.cols);
    float lane[rows][small_block] = {};
    for (std::size_t b = 0; b < blocks; ++b)
        for (int r = 0; r < rows; ++r) {
            const std::size_t block = (j + r * apart) * blocks + b;
            const std::int8_t* const numbers = &w.numbers[block * small_block];
            for (int k = 0; k < small_block; ++k) lane[r][k] += w.scales[block] * (x[b * small_block + k] * numbers[k]);
        }
    for (int r = 0; r < rows; ++r) y[r * apart] = sum_of_lanes(lane[r]);
}

static constexpr int parts = 16;              // ranges of outputs, whatever the number of threads
static constexpr int rows_at_once = 8;        // of W
static constexpr double worth_sharing = 1e5;  // products; fewer are faster on one thread

// Columns [first, last) of y.
template <class Small>
static void multiply_range(Matrix& y, const Matrix& padded, const Small& w, int first, int last) {
    const int apart = (last - first) / rows_at_once;
    for (int j = first; j < first + apart; ++j)
        for (int i = 0; i < y.rows; ++i) dot_products<rows_at_once>(padded.row(i), w, j, apart, &y(i, j));
    for (int j = first + apart * rows_at_once; j < last; ++j)
        for (int i = 0; i < y.rows; ++i) dot_products<1>(padded.row(i), w, j, 0, &y(i, j));
}

template <class Small>
static Matrix product(const Matrix& x, const Small& w, Where where) {
    require_fit("matmul_transposed", w);
    require(x.cols == w.cols, where, "matmul_transposed: ", x, " times the transpose of a small (", w.rows, ", ", w.cols,
            "), the widths differ");
    Matrix padded(x.rows, blocks_of(x.cols) * small_block);
    for (int i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, padded.row(i));
    Matrix y = Matrix::unset(x.rows, w.rows);
    const double products = static_cast<double>(x.rows) * w.rows * w.cols;
    const int range = products < worth_sharing ? w.rows : divided_up(w.rows, parts);
    if (range > 0)
        parallel_for(divided_up(w.rows, range),
                     [&](int part) { multiply_range(y, padded, w, part * range, std::min((part + 1) * range, w.rows)); });
    return y;
}

Matrix matmul_transposed(const Matrix& x, const Bfloat16Rows& w, Where where) { return product(x, w, where); }

Matrix matmul_transposed(const Matrix& x, const Int8Rows& w, Where where) { return product(x, w, where); }
