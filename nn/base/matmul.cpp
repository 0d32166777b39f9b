#include "nn/base/matmul.h"

#include <algorithm>
#include <functional>

#include "nn/base/functions.h"
#include "nn/base/parallel.h"

Slice whole(const Matrix& m) { return {m.begin(), m.rows, m.cols, m.cols, 1}; }

OutSlice whole(Matrix& m) { return {m.begin(), m.rows, m.cols, m.cols}; }

Slice part(const Matrix& m, int first_row, int row_count, int first_col, int col_count) {
    require(first_row >= 0 && row_count >= 0 && first_row <= m.rows - row_count && first_col >= 0 && col_count >= 0 &&
                first_col <= m.cols - col_count,
            "part: rows ", first_row, " to ", first_row + row_count, ", columns ", first_col, " to ", first_col + col_count,
            " of a ", m, " matrix");
    return {m.row(first_row) + first_col, row_count, col_count, m.cols, 1};
}

OutSlice part(Matrix& m, int first_row, int row_count, int first_col, int col_count) {
    part(static_cast<const Matrix&>(m), first_row, row_count, first_col, col_count);  // the same check
    return {m.row(first_row) + first_col, row_count, col_count, m.cols};
}

Slice transposed(Slice s) { return {s.first, s.cols, s.rows, s.col_step, s.row_step}; }

void multiply_add_textbook(OutSlice c, Slice a, Slice b) {
    for (int i = 0; i < c.rows; ++i)
        for (int j = 0; j < c.cols; ++j) {
            double sum = 0;
            for (int k = 0; k < a.cols; ++k) sum += static_cast<double>(a(i, k)) * b(k, j);
            c.first[i * c.row_step + j] += static_cast<float>(sum);
        }
}

// --- the same three loops, arranged for the machine ---
//
// A processor multiplies and adds 8, 16 or more pairs of numbers in one step, but only numbers that are in its registers, and
// fetching one takes longer than the product. The textbook loop fetches three numbers for each product. So:
//
//   1. A tile of C (8 rows, 32 columns) stays in registers while k runs. Each k then needs 8 numbers of A and 32 of B
//      for 256 products: 6 products per number fetched instead of 1/3.                                            multiply_tile
//   2. What a tile reads is copied beforehand to lie in the order in which it is read: 8 rows of A are one strip, 32 columns of B
//      are another. It then comes in one steady stream, and a transposed matrix costs no more than a plain one.   pack
//   3. The strips of B are packed slab by slab. A slab stays in the cache while all rows of A pass by.            multiply_slabs
//   4. All threads share the packed A, and each computes some columns of C, or some rows.                         multiply_packed
//
// Whoever computes an element of C adds up its products in the same order, so the result does not depend on the threads.

// A tile must leave registers free for A and B: it takes 16 of 32 that hold 16 floats each (AVX-512), 12 of 16 that hold 8 (AVX),
// 24 of 32 that hold 4 (NEON).
#if defined(__AVX512F__)
static constexpr int tile_rows = 8;
#elif defined(__AVX__) || defined(__ARM_NEON)
static constexpr int tile_rows = 3;
#else
static constexpr int tile_rows = 2;
#endif
static constexpr int tile_cols = 32;
static constexpr int narrow_cols = 16;      // of a last tile for which that is enough
static constexpr int slab_depth = 1024;     // a slab of B is at most so high; C is fetched once for each slab
static constexpr int slab_cols = 256;       // and at most so wide: 1 MB
static constexpr int panel_size = 1 << 22;  // numbers of A that are packed at once
static constexpr int few_cols = 256;        // packed numbers of A are read once for 32 columns; up to so many it does not pay
static constexpr int row_parts = 16;        // into which a product of a single row is divided, whatever the number of threads

static int divided_up(int a, int b) { return a / b + (a % b != 0); }
static int rounded_up(int a, int b) { return divided_up(a, b) * b; }

// Rows i, i + 1, ... and columns j, j + 1, ... of s: so many, or as many as there are.
static Slice block(Slice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j * s.col_step], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step,
            s.col_step};
}
static OutSlice block(OutSlice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step};
}

// --- packing: a strip of s, `width` columns, is laid out row by row ---

// Takes 64 numbers of each half of x in turn, as one riffles a pack of cards.
static void riffle(const float* x, float* riffled) {
    for (int n = 0; n < 64; ++n) {
        riffled[2 * n] = x[n];
        riffled[2 * n + 1] = x[64 + n];
    }
}

// 16 rows and 8 columns of an s whose columns lie in memory as rows do. Number 16 j + k of x is element (k, j). A riffle moves the
// number at place n < 64 to 2 n, and at n >= 64 to 2 n - 127: it turns the seven binary digits of the place by one. Three riffles turn
// them by three, and 16 j + k becomes 8 k + j. So a few moves of whole registers do what would be 128 moves of single numbers.
static void pack_columns(const float* s, long col_step, float* out, int width) {
    float x[128], riffled[128];
    for (int j = 0; j < 8; ++j)
        for (int k = 0; k < 16; ++k) x[16 * j + k] = s[j * col_step + k];
    riffle(x, riffled);
    riffle(riffled, x);
    riffle(x, riffled);
    for (int k = 0; k < 16; ++k)
        for (int j = 0; j < 8; ++j) out[k * width + j] = riffled[8 * k + j];
}

// Where s has fewer columns than the strip, the rest is 0.
template <int width>
static void pack_strip(Slice s, float* out) {
    if (s.cols < width) std::fill_n(out, static_cast<long>(s.rows) * width, 0.0f);
    int packed_rows = 0, packed_cols = 0;  // so many in blocks; the others one by one
    if (s.row_step == 1 && s.col_step != 1) {
        packed_rows = s.rows / 16 * 16;
        packed_cols = s.cols / 8 * 8;
        for (int j = 0; j < packed_cols; j += 8)
            for (int k = 0; k < packed_rows; k += 16)
                pack_columns(&s.first[j * s.col_step + k], s.col_step, &out[k * width + j], width);
    }
    for (int k = 0; k < s.rows; ++k)
        for (int j = k < packed_rows ? packed_cols : 0; j < s.cols; ++j) out[k * width + j] = s(k, j);
}

// All strips of s, one behind the other; the last one is last_width wide where that is enough. Where the rows of s lie in memory they
// are read to their end, eight side by side: the memory delivers several streams faster than one.
template <int width, int last_width>
static void pack(Slice s, float* out) {
    const int whole_cols = s.col_step == 1 ? s.cols / width * width : 0;
    for (int k0 = 0; k0 < s.rows; k0 += 8)
        for (int j = 0; j < whole_cols; j += width)
            for (int k = k0; k < std::min(k0 + 8, s.rows); ++k)
                for (int q = 0; q < width; ++q) out[j * s.rows + k * width + q] = s.first[k * s.row_step + j + q];
    int j = whole_cols;
    for (; j + last_width < s.cols; j += width) pack_strip<width>(block(s, 0, j, s.rows, width), &out[j * s.rows]);
    if (j < s.cols) pack_strip<last_width>(block(s, 0, j, s.rows, last_width), &out[j * s.rows]);
}

// --- multiplying ---

// Where K is large one sum of K products would gather the rounding errors of K additions to an ever larger number. So the registers
// sum a chain of products, and the chains are added up: 64 products are as fast as one sum, and shorter sums cost so little that 16 do.
static int chain_length(int K) { return divided_up(K, divided_up(K, K < 64 ? 16 : 64)); }  // chains of equal length

// The textbook loops, k outermost: sum = a b over the chain of products from k = first to the one before `end`. The inner sizes are
// constants: the compiler unrolls both loops and keeps all of `sum` in registers. The order matters: with i outside j, g++ leaves a
// narrow `sum` in memory, and clang++ a wide one. As a function that is called it would return `sum` through memory, so it never is.
template <int width, bool a_packed>
[[gnu::always_inline]] static inline void multiply_chain(float (&sum)[tile_rows][width], const float* a,
                                                         const float* const (&row)[tile_rows], const float* b, int first, int end) {
    for (int j = 0; j < width; ++j)
        for (int i = 0; i < tile_rows; ++i) sum[i][j] = (a_packed ? a[first * tile_rows + i] : row[i][first]) * b[first * width + j];
    for (int k = first + 1; k < end; ++k)
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i)
                sum[i][j] += (a_packed ? a[k * tile_rows + i] : row[i][k]) * b[k * width + j];
}

// A tile of C that is whole, chain by chain. The loop ends in its middle, so that the last `sum` is still in registers.
//   a    tile_rows rows at most, as a strip or in place; where there are fewer, the last one is computed again
//   b    a strip
//   add  whether the product is added to c or takes its place
template <int width, bool a_packed>
static void multiply_whole_tile(float* c, long row_step, Slice a, const float* b, bool add) {
    const float* row[tile_rows];
    for (int i = 0; i < tile_rows; ++i) row[i] = &a.first[std::min(i, a.rows - 1) * a.row_step];
    const int K = a.cols, chain = chain_length(K);
    float sum[tile_rows][width];
    multiply_chain<width, a_packed>(sum, a.first, row, b, 0, chain);
    if (chain < K) {
        float total[tile_rows][width];  // of the chains before
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i) total[i][j] = sum[i][j];
        for (int k = chain;; k += chain) {
            multiply_chain<width, a_packed>(sum, a.first, row, b, k, std::min(k + chain, K));
            if (k + chain >= K) break;
            for (int j = 0; j < width; ++j)
                for (int i = 0; i < tile_rows; ++i) total[i][j] += sum[i][j];
        }
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i) sum[i][j] += total[i][j];
    }
    for (int i = 0; i < tile_rows; ++i) {
        float* const out = &c[i * row_step];
        for (int j = 0; j < width; ++j) out[j] = add ? out[j] + sum[i][j] : sum[i][j];
    }
}

// The same for a tile of which c may be a part: what sticks out is dropped.
template <int width, bool a_packed>
static void multiply_tile(OutSlice c, Slice a, const float* b, bool add) {
    if (c.rows == tile_rows && c.cols == width) return multiply_whole_tile<width, a_packed>(c.first, c.row_step, a, b, add);
    float tile[tile_rows][width];
    multiply_whole_tile<width, a_packed>(tile[0], width, a, b, false);
    for (int i = 0; i < c.rows; ++i) {
        float* const out = &c.first[i * c.row_step];
        for (int j = 0; j < c.cols; ++j) out[j] = add ? out[j] + tile[i][j] : tile[i][j];
    }
}

// c += a b or c = a b, slab by slab; a lies in strips of its rows, or in place.
template <bool a_packed>
static void multiply_slabs(OutSlice c, Slice a, Slice b, bool add) {
    static thread_local Matrix slab = Matrix::unset(slab_depth, slab_cols);
    const int depth = divided_up(b.rows, divided_up(b.rows, slab_depth));  // slabs of equal height
    for (int j0 = 0; j0 < b.cols; j0 += slab_cols)
        for (int k0 = 0; k0 < b.rows; k0 += depth) {
            const Slice b_slab = block(b, k0, j0, depth, slab_cols);
            pack<tile_cols, narrow_cols>(b_slab, slab.begin());
            for (int i = 0; i < a.rows; i += tile_rows) {
                const int rows = std::min(tile_rows, a.rows - i);
                const Slice a_tile = a_packed ? Slice{&a.first[i * a.cols + k0 * tile_rows], rows, b_slab.rows, 1, tile_rows}
                                              : block(a, i, k0, rows, depth);
                for (int j = 0; j < b_slab.cols; j += tile_cols) {
                    const OutSlice c_tile = block(c, i, j0 + j, rows, tile_cols);
                    if (c_tile.cols > narrow_cols)
                        multiply_tile<tile_cols, a_packed>(c_tile, a_tile, &slab[j * b_slab.rows], add || k0 > 0);
                    else
                        multiply_tile<narrow_cols, a_packed>(c_tile, a_tile, &slab[j * b_slab.rows], add || k0 > 0);
                }
            }
        }
}

static void in_parts(int threads, int count, const std::function<void(int)>& body) {
    if (threads > 1) return parallel_for(count, body);
    for (int i = 0; i < count; ++i) body(i);
}

// Parts begin where a tile begins, so that every tile is the same whoever computes it.
template <bool a_packed>
static void multiply_in_parts(OutSlice c, Slice a, Slice b, bool add, int threads) {
    const int wanted = threads * divided_up(c.cols, threads * 2 * slab_cols);  // as many for each thread, of two slabs at most
    const int part_cols = rounded_up(divided_up(c.cols, wanted), tile_cols);
    const int across = divided_up(c.cols, part_cols);
    const int part_rows = rounded_up(divided_up(c.rows, divided_up(threads, across)), tile_rows);
    const int down = divided_up(c.rows, part_rows);
    in_parts(threads, across * down, [&](int part) {
        const int i = part / across * part_rows, j = part % across * part_cols;
        const OutSlice c_part = block(c, i, j, part_rows, part_cols);
        const Slice a_part =
            a_packed ? Slice{&a.first[i * a.cols], c_part.rows, a.cols, 1, tile_rows} : block(a, i, 0, part_rows, a.cols);
        multiply_slabs<a_packed>(c_part, a_part, block(b, 0, j, b.rows, part_cols), add);
    });
}

static void multiply_packed(OutSlice c, Slice a, Slice b, bool add, int threads) {
    if (c.cols <= few_cols && a.col_step == 1) return multiply_in_parts<false>(c, a, b, add, threads);
    const int panel_rows = std::max(panel_size / a.cols / tile_rows, 1) * tile_rows;
    Matrix panel = Matrix::unset(rounded_up(std::min(a.rows, panel_rows), tile_rows), a.cols);
    for (int i0 = 0; i0 < a.rows; i0 += panel_rows) {
        const Slice a_panel = block(a, i0, 0, panel_rows, a.cols);
        const int rows = rounded_up(divided_up(a_panel.rows, threads), tile_rows);
        in_parts(threads, divided_up(a_panel.rows, rows), [&](int part) {
            pack<tile_rows, tile_rows>(transposed(block(a_panel, part * rows, 0, rows, a.cols)), panel.row(part * rows));
        });
        const Slice packed{panel.begin(), a_panel.rows, a.cols, 1, tile_rows};
        multiply_in_parts<true>(block(c, i0, 0, panel_rows, c.cols), packed, b, add, threads);
    }
}

static Matrix copied(Slice s) {
    Matrix m = Matrix::unset(s.rows, s.cols);
    for (int i = 0; i < s.rows; ++i)
        for (int j = 0; j < s.cols; ++j) m(i, j) = s(i, j);
    return m;
}

// --- a single row: generating text, one token after the other ---
//
// Every number of B is used once, so there is nothing to gain from copying it, and time is what the memory takes to deliver B.
// B is read in the order in which it lies there, from front to back, a piece by each thread.

// sum += a B for some rows of B, which lie one behind the other. Eight at once, so that `sum` is fetched and stored once for eight.
static void add_rows(float* sum, const float* a, Slice b) {
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
}

// c += a B, B plain: c is a sum of rows of B. Each part of the rows has a sum of its own.
static void multiply_row_plain(OutSlice c, const float* a, Slice b, int threads) {
    const int rows = rounded_up(divided_up(b.rows, row_parts), 8);
    Matrix sums(divided_up(b.rows, rows), b.cols);
    in_parts(threads, sums.rows,
             [&](int part) { add_rows(sums.row(part), &a[part * rows], block(b, part * rows, 0, rows, b.cols)); });
    for (int part = 0; part < sums.rows; ++part)
        for (int j = 0; j < c.cols; ++j) c.first[j] += sums(part, j);
}

// c += a B, B transposed: an element of c is the product of a with one row of what lies in memory.
static void multiply_row_transposed(OutSlice c, const float* a, Slice b, int threads) {
    const int cols = divided_up(c.cols, row_parts);
    in_parts(threads, divided_up(c.cols, cols), [&](int part) {
        for (int j = part * cols; j < std::min((part + 1) * cols, c.cols); ++j)
            c.first[j] += dot_of(a, &b.first[j * b.col_step], b.rows);
    });
}

static void multiply_row(OutSlice c, Slice a, Slice b, int threads) {
    const Matrix row = copied(a);
    if (b.col_step == 1)
        multiply_row_plain(c, row.begin(), b, threads);
    else
        multiply_row_transposed(c, row.begin(), b, threads);
}

// --- which way to go ---

// Whether the floats between the first and the last of c and of s overlap.
static bool overlap(OutSlice c, Slice s) {
    const float* const c_end = c.first + (c.rows - 1) * c.row_step + c.cols;
    const float* const s_end = s.first + (s.rows - 1) * s.row_step + (s.cols - 1) * s.col_step + 1;
    return std::less<>()(c.first, s_end) && std::less<>()(s.first, c_end);
}

static constexpr double worth_packing = 512;      // products; below it the textbook loop is done before a slab is packed
static constexpr double worth_sharing = 1.5e6;    // products; one thread needs some 20 microseconds for them
static constexpr double row_worth_sharing = 1e5;  // products of a single row; so many numbers take as long to fetch

static void set_to_zero(OutSlice c) {
    for (int i = 0; i < c.rows; ++i) std::fill_n(&c.first[i * c.row_step], c.cols, 0.0f);
}

// c += a b, or c = a b
static void product(OutSlice c, Slice a, Slice b, bool add, Where where) {
    require(a.cols == b.rows, where, "matmul: (", a.rows, ", ", a.cols, ") times (", b.rows, ", ", b.cols,
            "), the inner sizes differ");
    require(c.rows == a.rows && c.cols == b.cols, where, "matmul: the product of (", a.rows, ", ", a.cols, ") and (", b.rows,
            ", ", b.cols, ") does not fit into (", c.rows, ", ", c.cols, ")");
    if (c.rows == 0 || c.cols == 0) return;
    if (a.cols > 0 && (overlap(c, a) || overlap(c, b))) {  // then both are read before anything is written
        const Matrix a_before = copied(a), b_before = copied(b);
        return product(c, whole(a_before), whole(b_before), add, where);
    }
    const double products = static_cast<double>(c.rows) * c.cols * a.cols;
    const bool single_row = c.rows == 1 && (b.col_step == 1 || b.row_step == 1);
    const int threads = products < (single_row ? row_worth_sharing : worth_sharing) ? 1 : thread_count();
    if (products >= worth_packing && !single_row) return multiply_packed(c, a, b, add, threads);
    if (!add) set_to_zero(c);
    if (products < worth_packing)
        multiply_add_textbook(c, a, b);
    else
        multiply_row(c, a, b, threads);
}

void multiply_add(OutSlice c, Slice a, Slice b, Where where) { product(c, a, b, true, where); }

void multiply(OutSlice c, Slice a, Slice b, Where where) { product(c, a, b, false, where); }

static Matrix product(Slice a, Slice b, Where where) {
    Matrix c = Matrix::unset(a.rows, b.cols);
    multiply(whole(c), a, b, where);
    return c;
}

Matrix matmul(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), whole(b), where); }

Matrix matmul_transposed(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), transposed(whole(b)), where); }

Matrix transposed_matmul(const Matrix& a, const Matrix& b, Where where) { return product(transposed(whole(a)), whole(b), where); }
