#include "nn/base/matmul.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "nn/base/parallel.h"

Slice whole(const Matrix& m) { return {m.begin(), m.rows, m.cols, m.cols, 1}; }

OutSlice whole(Matrix& m) { return {m.begin(), m.rows, m.cols, m.cols}; }

Slice part(const Matrix& m, int first_row, int row_count, int first_col, int col_count) {
    require(first_row >= 0 && row_count >= 0 && first_row <= m.rows - row_count && first_col >= 0 && col_count >= 0 &&
                first_col <= m.cols - col_count,
            "part: rows ", first_row, " to ", first_row + row_count, ", columns ", first_col, " to ", first_col + col_count, " of a ",
            shape(m), " matrix");
    return {m.row(first_row) + first_col, row_count, col_count, m.cols, 1};
}

OutSlice part(Matrix& m, int first_row, int row_count, int first_col, int col_count) {
    part(static_cast<const Matrix&>(m), first_row, row_count, first_col, col_count);  // the same check
    return {m.row(first_row) + first_col, row_count, col_count, m.cols};
}

Slice transposed(Slice s) { return {s.first, s.cols, s.rows, s.col_step, s.row_step}; }

void multiply_add_textbook(OutSlice c, Slice a, Slice b) {
    for (int i = 0; i < c.rows; ++i)
        for (int k = 0; k < a.cols; ++k)
            for (int j = 0; j < c.cols; ++j) c.first[i * c.row_step + j] += a(i, k) * b(k, j);
}

static std::string text(Slice s) { return "(" + text(s.rows) + ", " + text(s.cols) + ")"; }

// --- the same three loops, arranged for the machine ---
//
// A processor multiplies and adds 8, 16 or more pairs of numbers in one step, but only numbers that are in its registers, and
// fetching one takes longer than the product. The textbook loop fetches three numbers for each product. So:
//
//   1. A tile of C (6 rows, 64 columns) stays in registers while k runs. Each k then needs 6 numbers of A and 64 of B
//      for 384 products: 5 products per number fetched instead of 1/3.                                  multiply_tile
//   2. What a tile reads of B is copied beforehand to lie in the order in which it is read. It then comes from the cache
//      in one steady stream, and a transposed B costs no more than a plain one.                         pack
//   3. The copy, a slab of 256 rows and 512 columns at most, fits the cache while all rows of A pass by.  multiply_block
//   4. Each thread computes some columns of C, or some rows.                                            multiply_in_parts
//
// Whoever computes an element of C adds up its products in the same order, so the result does not depend on the threads.

// C must leave registers free for A and B: it takes 24 of 32 that hold 16 floats each, 12 of 16 that hold 8, 12 of 16 that hold 4.
#if defined(__AVX512F__)
static constexpr int tile_cols = 64;
#elif defined(__AVX__) || defined(__ARM_NEON)
static constexpr int tile_cols = 16;
#else
static constexpr int tile_cols = 8;
#endif
static constexpr int tile_rows = 6;
static constexpr int slab_rows = 256;
static constexpr int slab_cols = 512;
static constexpr int row_part = 256;  // columns

static int divided_up(int a, int b) { return a / b + (a % b != 0); }
static int rounded_up(int a, int b) { return divided_up(a, b) * b; }

// Rows i, i + 1, ... and columns j, j + 1, ... of s: so many, or as many as there are.
static Slice block(Slice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j * s.col_step], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step, s.col_step};
}
static OutSlice block(OutSlice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step};
}

// Few columns need only a narrow tile: a half or a quarter of the full one.
static int strip_width(int cols) { return cols > tile_cols / 2 ? tile_cols : cols > tile_cols / 4 ? tile_cols / 2 : tile_cols / 4; }

// Copies a strip of B row by row, each row filled up with zeros to `width`.
static void pack_strip(Slice b, int width, float* out) {
    if (b.cols < width) std::fill_n(out, static_cast<long>(width) * b.rows, 0.0f);
    if (b.col_step == 1) {
        for (int k = 0; k < b.rows; ++k) std::copy_n(&b.first[k * b.row_step], b.cols, &out[k * width]);
        return;
    }
    // 16 columns at a time: their numbers are asked for together instead of one after the other, and each line of the cache that
    // comes in holds 16 numbers of a column, which are all used before it goes.
    for (int j0 = 0; j0 < b.cols; j0 += 16)
        for (int k = 0; k < b.rows; ++k)
            for (int j = j0; j < std::min(j0 + 16, b.cols); ++j) out[k * width + j] = b(k, j);
}

// Cuts B into strips as wide as a tile and lays them one behind the other.
static void pack(Slice b, float* out) {
    for (int j = 0; j < b.cols; j += tile_cols) {
        const Slice strip = block(b, 0, j, b.rows, tile_cols);
        pack_strip(strip, strip_width(strip.cols), &out[j * b.rows]);
    }
}

// The textbook loops, k outermost. The inner sizes are constants: the compiler unrolls both loops and keeps all of `sum` in
// registers. The order matters: with i outside j, g++ leaves a narrow `sum` in memory, and clang++ every one.
//   a   tile_rows rows at most; where there are fewer, the last one is computed again and its copies are dropped
//   b   a packed strip, at least as wide as c
template <int width>
static void multiply_tile(OutSlice c, Slice a, const float* b) {
    const float* row[tile_rows];
    for (int i = 0; i < tile_rows; ++i) row[i] = &a.first[std::min(i, a.rows - 1) * a.row_step];
    const long step = a.col_step;
    float sum[tile_rows][width] = {};
    for (int k = 0; k < a.cols; ++k)
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i) sum[i][j] += row[i][k * step] * b[k * width + j];
    if (c.rows == tile_rows && c.cols == width) {
        for (int i = 0; i < tile_rows; ++i)
            for (int j = 0; j < width; ++j) c.first[i * c.row_step + j] += sum[i][j];
        return;
    }
    float edge[tile_rows][width];  // `sum` itself would have to leave the registers, if not all of it were used
    for (int i = 0; i < tile_rows; ++i)
        for (int j = 0; j < width; ++j) edge[i][j] = sum[i][j];
    for (int i = 0; i < c.rows; ++i)
        for (int j = 0; j < c.cols; ++j) c.first[i * c.row_step + j] += edge[i][j];
}

static void multiply_block(OutSlice c, Slice a, Slice b) {
    static thread_local std::vector<float> slab;
    slab.resize(slab_rows * slab_cols);
    for (int j0 = 0; j0 < b.cols; j0 += slab_cols)
        for (int k0 = 0; k0 < b.rows; k0 += slab_rows) {
            const Slice b_block = block(b, k0, j0, slab_rows, slab_cols);
            pack(b_block, slab.data());
            for (int i = 0; i < a.rows; i += tile_rows) {
                const Slice a_tile = block(a, i, k0, tile_rows, slab_rows);
                for (int j = 0; j < b_block.cols; j += tile_cols) {
                    const OutSlice c_tile = block(c, i, j0 + j, tile_rows, tile_cols);
                    const float* const strip = &slab[j * b_block.rows];
                    const int width = strip_width(c_tile.cols);
                    if (width == tile_cols) multiply_tile<tile_cols>(c_tile, a_tile, strip);
                    if (width == tile_cols / 2) multiply_tile<tile_cols / 2>(c_tile, a_tile, strip);
                    if (width == tile_cols / 4) multiply_tile<tile_cols / 4>(c_tile, a_tile, strip);
                }
            }
        }
}

// Parts begin where a tile begins, so that every tile is the same whoever computes it.
static void multiply_in_parts(OutSlice c, Slice a, Slice b, int threads) {
    const int part_cols = std::min(slab_cols, rounded_up(divided_up(c.cols, threads), tile_cols));
    const int across = divided_up(c.cols, part_cols);
    const int part_rows = rounded_up(divided_up(c.rows, divided_up(threads, across)), tile_rows);
    const int down = divided_up(c.rows, part_rows);
    parallel_for(across * down, [&](int part) {
        const int i = part / across * part_rows, j = part % across * part_cols;
        multiply_block(block(c, i, j, part_rows, part_cols), block(a, i, 0, part_rows, a.cols), block(b, 0, j, b.rows, part_cols));
    });
}

// --- a single row: generating text, one token after the other ---
//
// Every number of B is used once, so there is nothing to gain from copying it, and time is what the memory takes to deliver B.
// B is read in the order in which it lies there, some rows at once.

// c += a B, B plain: c is a sum of rows of B. Eight rows at once, so that c itself is fetched and stored once for eight.
static void sum_of_rows(OutSlice c, const float* a, Slice b) {
    float sum[row_part] = {};
    const long step = b.row_step;
    int k = 0;
    for (; k + 8 <= b.rows; k += 8) {
        const float* const row = &b.first[k * step];
        for (int j = 0; j < b.cols; ++j)
            sum[j] += a[k] * row[j] + a[k + 1] * row[j + step] + a[k + 2] * row[j + 2 * step] + a[k + 3] * row[j + 3 * step] +
                      a[k + 4] * row[j + 4 * step] + a[k + 5] * row[j + 5 * step] + a[k + 6] * row[j + 6 * step] +
                      a[k + 7] * row[j + 7 * step];
    }
    for (; k < b.rows; ++k)
        for (int j = 0; j < b.cols; ++j) sum[j] += a[k] * b.first[k * step + j];
    for (int j = 0; j < b.cols; ++j) c.first[j] += sum[j];
}

// c += a B, B transposed: an element of c is the product of a with one row of what lies in memory.
static void row_products(OutSlice c, const float* a, Slice b) {
    const int K = b.rows, lanes = 32;  // sums side by side, because one sum would have to wait for itself
    for (int j = 0; j < b.cols; ++j) {
        const float* const row = &b.first[j * b.col_step];
        float lane[lanes] = {};
        int k = 0;
        for (; k + lanes <= K; k += lanes)
            for (int q = 0; q < lanes; ++q) lane[q] += a[k + q] * row[k + q];
        float sum = 0;
        for (; k < K; ++k) sum += a[k] * row[k];
        for (int q = 0; q < lanes; ++q) sum += lane[q];
        c.first[j] += sum;
    }
}

static void multiply_row(OutSlice c, Slice a, Slice b, int threads) {
    std::vector<float> row(a.cols);
    for (int k = 0; k < a.cols; ++k) row[k] = a(0, k);
    const auto part = [&](int number) {
        const OutSlice c_part = block(c, 0, number * row_part, 1, row_part);
        const Slice b_part = block(b, 0, number * row_part, b.rows, row_part);
        if (b.col_step == 1)
            sum_of_rows(c_part, row.data(), b_part);
        else
            row_products(c_part, row.data(), b_part);
    };
    const int parts = divided_up(c.cols, row_part);
    if (threads > 1) return parallel_for(parts, part);
    for (int number = 0; number < parts; ++number) part(number);
}

// --- which way to go ---

// Whether the floats between the first and the last of c and of s overlap.
static bool overlap(OutSlice c, Slice s) {
    const float* const c_end = c.first + (c.rows - 1) * c.row_step + c.cols;
    const float* const s_end = s.first + (s.rows - 1) * s.row_step + (s.cols - 1) * s.col_step + 1;
    return std::less<>()(c.first, s_end) && std::less<>()(s.first, c_end);
}

static Matrix copied(Slice s) {
    Matrix m = Matrix::unset(s.rows, s.cols);
    for (int i = 0; i < s.rows; ++i)
        for (int j = 0; j < s.cols; ++j) m(i, j) = s(i, j);
    return m;
}

static constexpr double worth_packing = 512;    // products; below it the textbook loop is done before a slab is packed
static constexpr double worth_waking = 200000;  // products; they take about as long as waking a thread

void multiply_add(OutSlice c, Slice a, Slice b, Where where) {
    require(a.cols == b.rows, where, "matmul: ", a, " times ", b, ", the inner sizes differ");
    require(c.rows == a.rows && c.cols == b.cols, where, "matmul: the product of ", a, " and ", b,
            " does not fit into (", c.rows, ", ", c.cols, ")");
    if (c.rows == 0 || c.cols == 0 || a.cols == 0) return;
    if (overlap(c, a) || overlap(c, b)) {  // then both are read before anything is written
        const Matrix a_before = copied(a), b_before = copied(b);
        return multiply_add(c, whole(a_before), whole(b_before), where);
    }
    const double products = static_cast<double>(c.rows) * c.cols * a.cols;
    const int threads = products < worth_waking ? 1 : thread_count();
    if (products < worth_packing)
        multiply_add_textbook(c, a, b);
    else if (c.rows == 1 && (b.col_step == 1 || b.row_step == 1))
        multiply_row(c, a, b, threads);
    else if (threads == 1)
        multiply_block(c, a, b);
    else
        multiply_in_parts(c, a, b, threads);
}

static Matrix product(Slice a, Slice b, Where where) {
    Matrix c(a.rows, b.cols);
    multiply_add(whole(c), a, b, where);
    return c;
}

Matrix matmul(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), whole(b), where); }

Matrix matmul_transposed(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), transposed(whole(b)), where); }

Matrix transposed_matmul(const Matrix& a, const Matrix& b, Where where) { return product(transposed(whole(a)), whole(b), where); }
