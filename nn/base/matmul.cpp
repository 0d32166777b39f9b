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

// --- the same three loops, reordered for caches and registers ---
//
// A processor multiplies and adds 8, 16 or more pairs of numbers in one step, but only numbers that are in registers, and loading
// a number takes longer than the product. The textbook loop loads three numbers for each product. So:
//
//   1. A tile of C (8 rows, 32 columns) stays in registers while k runs. Each k then loads 8 numbers of A and 32 of B
//      for 256 products: 6 products per load instead of 1/3.                                                      multiply_tile
//   2. The operands are first copied into the order in which tiles read them: 32 columns of B form one strip, 8 rows of a
//      transposed A another. Reads are then sequential, and a transposed matrix costs little more than a plain one.   pack
//      What is contiguous already (the rows of a plain A) or small enough to stay in the cache is read in place.
//   3. The strips of B are packed slab by slab. A slab stays in the cache while it meets all rows of A.           multiply_slabs
//   4. All threads share the packed A; each computes some columns of C, or some rows.                             multiply_large
//
// The products of an element of C are always added in the same order, so the result does not depend on the number of threads.

// A tile must leave registers free for A and B: it takes 16 of 32 registers of 16 floats (AVX-512), 12 of 16 of 8 (AVX), 24 of 32
// of 4 (NEON).
#if defined(__AVX512F__)
static constexpr int tile_rows = 8;
#elif defined(__AVX__) || defined(__ARM_NEON)
static constexpr int tile_rows = 3;
#else
static constexpr int tile_rows = 2;
#endif
static constexpr int tile_cols = 32;
static constexpr int narrow_cols = 16;      // width of the last tile, where that is enough
static constexpr int slab_depth = 1024;     // most rows of a slab of B; C is read and written once per slab
static constexpr int slab_cols = 256;       // most columns of a slab: 1 MB
static constexpr int panel_size = 1 << 22;  // numbers of A that are packed at once
static constexpr int small_size = 1 << 16;  // numbers of a matrix that stays in the cache: it is read in place
static constexpr int row_parts = 16;        // parts of a single-row product, whatever the number of threads

static int divided_up(int a, int b) { return a / b + (a % b != 0); }
static int rounded_up(int a, int b) { return divided_up(a, b) * b; }

// The block of s that starts at (i, j), at most rows x cols, clipped at the edges of s.
static Slice block(Slice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j * s.col_step], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step,
            s.col_step};
}
static OutSlice block(OutSlice s, int i, int j, int rows, int cols) {
    return {&s.first[i * s.row_step + j], std::min(rows, s.rows - i), std::min(cols, s.cols - j), s.row_step};
}

// --- packing: a strip of s, `width` columns, is laid out row by row ---

// Interleaves the two halves of x: a perfect shuffle of 128 numbers.
static void interleave(const float* x, float* interleaved) {
    for (int n = 0; n < 64; ++n) {
        interleaved[2 * n] = x[n];
        interleaved[2 * n + 1] = x[64 + n];
    }
}

// Packs 16 rows and 8 columns of a column-major s. x[16 j + k] is element (k, j). A shuffle moves index n < 64 to 2 n and n >= 64
// to 2 n - 127: it rotates the seven bits of the index by one. Three shuffles rotate them by three, so that 16 j + k becomes 8 k
// + j. The compiler turns each into a few register shuffles, instead of 128 moves of single numbers.
static void pack_columns(const float* s, long col_step, float* out, int width) {
    float x[128], interleaved[128];
    for (int j = 0; j < 8; ++j)
        for (int k = 0; k < 16; ++k) x[16 * j + k] = s[j * col_step + k];
    interleave(x, interleaved);
    interleave(interleaved, x);
    interleave(x, interleaved);
    for (int k = 0; k < 16; ++k)
        for (int j = 0; j < 8; ++j) out[k * width + j] = interleaved[8 * k + j];
}

// Columns of a packed strip, and of the tile that it gives.
static int strip_width(int cols) { return cols > narrow_cols ? tile_cols : narrow_cols; }

// Pads the strip with 0 where s has fewer columns.
template <int width>
static void pack_strip(Slice s, float* out) {
    if (s.cols < width) std::fill_n(out, static_cast<long>(s.rows) * width, 0.0f);
    int packed_rows = 0, packed_cols = 0;  // packed in blocks; the others one by one
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

// All strips of s, one after the other; the last has last_width columns where that is enough. A row-major s is read in full rows,
// eight at a time: memory delivers several streams faster than one.
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

// One sum of K products would collect the rounding errors of K additions. So products are summed in chains, and the chains are
// added: chains of 64 cost a twentieth of the speed, and for K < 64 chains of 16 cost little.
static int chain_length(int K) { return divided_up(K, divided_up(K, K < 64 ? 16 : 64)); }  // chains of equal length

// The textbook loops with k outermost: sum = a b over k in [first, end). The inner sizes are constants: the compiler unrolls both
// loops and keeps `sum` in registers. The order matters: with i outside j, g++ leaves a narrow `sum` in memory, and clang++ a
// wide one. Always inlined, because a call would return `sum` through memory.
//   row     the rows of a; a_step is the step from one of their numbers to the next: 1, or more where a is transposed or packed
//   b_step  the step from one row of b to the next; the numbers of a row are contiguous
template <int width>
[[gnu::always_inline]] static inline void multiply_chain(float (&sum)[tile_rows][width], const float* const (&row)[tile_rows],
                                                         long a_step, const float* b, long b_step, int first, int end) {
    for (int j = 0; j < width; ++j)
        for (int i = 0; i < tile_rows; ++i) sum[i][j] = row[i][first * a_step] * b[first * b_step + j];
#ifndef __clang__  // g++ gains a tenth, with AVX a half; clang++ would keep `sum` in memory
#pragma GCC unroll 4
#endif
    for (int k = first + 1; k < end; ++k)
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i) sum[i][j] += row[i][k * a_step] * b[k * b_step + j];
}

// A full tile of C, chain by chain. The loop exits in the middle, so that the last `sum` is still in registers.
//   a    at most tile_rows rows; if there are fewer, the last is computed again
//   b    row-major, `width` columns
//   add  c += a b instead of c = a b
template <int width>
static void multiply_whole_tile(float* c, long row_step, Slice a, Slice b, bool add) {
    const float* row[tile_rows];
    for (int i = 0; i < tile_rows; ++i) row[i] = &a.first[std::min(i, a.rows - 1) * a.row_step];
    for (int i = 0; i < tile_rows; ++i)  // ask for c now: it is on its way from memory while the sums are computed
        for (int j = 0; j < width; j += 16) __builtin_prefetch(&c[i * row_step + j], 1);
    const int K = a.cols, chain = chain_length(K);
    float sum[tile_rows][width];
    multiply_chain<width>(sum, row, a.col_step, b.first, b.row_step, 0, chain);
    if (chain < K) {
        float total[tile_rows][width];  // sum of the earlier chains
        for (int j = 0; j < width; ++j)
            for (int i = 0; i < tile_rows; ++i) total[i][j] = sum[i][j];
        for (int k = chain;; k += chain) {
            multiply_chain<width>(sum, row, a.col_step, b.first, b.row_step, k, std::min(k + chain, K));
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

// The same where c may be smaller than a tile: what lies outside is dropped.
template <int width>
static void multiply_tile(OutSlice c, Slice a, Slice b, bool add) {
    if (c.rows == tile_rows && c.cols == width) return multiply_whole_tile<width>(c.first, c.row_step, a, b, add);
    float tile[tile_rows][width];
    multiply_whole_tile<width>(tile[0], width, a, b, false);
    for (int i = 0; i < c.rows; ++i) {
        float* const out = &c.first[i * c.row_step];
        for (int j = 0; j < c.cols; ++j) out[j] = add ? out[j] + tile[i][j] : tile[i][j];
    }
}

namespace {
// An operand of a product: as it lies in memory, or packed in strips.
struct Operand {
    Slice values;
    bool packed;
};
}  // namespace

// Of A: the strip of rows from i on, columns [k, k + depth).
static Slice strip_of_rows(const Operand& a, int i, int k, int depth) {
    const Slice in_place = block(a.values, i, k, tile_rows, depth);
    if (!a.packed) return in_place;
    return {&a.values.first[i * a.values.cols + k * tile_rows], in_place.rows, in_place.cols, 1, tile_rows};
}

// Of a slab of B: the strip of columns from j on.
static Slice strip_of_cols(const Operand& b, int j) {
    const Slice in_place = block(b.values, 0, j, b.values.rows, tile_cols);
    if (!b.packed) return in_place;
    return {&b.values.first[j * in_place.rows], in_place.rows, in_place.cols, strip_width(in_place.cols), 1};
}

// c += a b or c = a b, where b is a slab: its first row belongs to column k of a.
static void multiply_slab(OutSlice c, const Operand& a, int k, const Operand& b, bool add) {
    for (int i = 0; i < c.rows; i += tile_rows) {
        const Slice a_strip = strip_of_rows(a, i, k, b.values.rows);
        for (int j = 0; j < c.cols; j += tile_cols) {
            const OutSlice c_tile = block(c, i, j, tile_rows, tile_cols);
            if (strip_width(c_tile.cols) == tile_cols)
                multiply_tile<tile_cols>(c_tile, a_strip, strip_of_cols(b, j), add);
            else
                multiply_tile<narrow_cols>(c_tile, a_strip, strip_of_cols(b, j), add);
        }
    }
}

// Whether B is not worth packing: a strip of rows of A meets it only once, or it stays in the cache. A tile reads whole vectors,
// so that all strips must be full.
static bool read_in_place(Slice b, int rows_of_a) {
    const bool full_strips = b.col_step == 1 && b.cols % narrow_cols == 0;
    return full_strips && (rows_of_a <= tile_rows || static_cast<long>(b.rows) * b.cols <= small_size);
}

// c += a b or c = a b, slab by slab.
static void multiply_slabs(OutSlice c, const Operand& a, Slice b, bool add) {
    static thread_local Matrix packed = Matrix::unset(slab_depth, slab_cols);
    const bool in_place = read_in_place(b, c.rows);
    const int depth = divided_up(b.rows, divided_up(b.rows, slab_depth));  // slabs of equal height
    for (int j = 0; j < b.cols; j += slab_cols)
        for (int k = 0; k < b.rows; k += depth) {
            Operand slab{block(b, k, j, depth, slab_cols), !in_place};
            if (slab.packed) {
                pack<tile_cols, narrow_cols>(slab.values, packed.begin());
                slab.values.first = packed.begin();
            }
            multiply_slab(block(c, 0, j, c.rows, slab_cols), a, k, slab, add || k > 0);
        }
}

template <class Body>
static void in_parts(int threads, int count, const Body& body) {
    if (threads > 1) return parallel_for(count, body);
    for (int i = 0; i < count; ++i) body(i);
}

// Parts begin at tile boundaries, so that tiles do not depend on the number of threads.
static void multiply_in_parts(OutSlice c, const Operand& a, Slice b, bool add, int threads) {
    const int wanted = threads * divided_up(c.cols, threads * 2 * slab_cols);  // at most two slabs wide
    const int part_cols = rounded_up(divided_up(c.cols, wanted), tile_cols);
    const int across = divided_up(c.cols, part_cols);
    const int part_rows = rounded_up(divided_up(c.rows, divided_up(threads, across)), tile_rows);
    const int down = divided_up(c.rows, part_rows);
    in_parts(threads, across * down, [&](int part) {
        const int i = part / across * part_rows, j = part % across * part_cols;
        Operand a_part{block(a.values, i, 0, part_rows, a.values.cols), a.packed};
        if (a.packed) a_part.values.first = &a.values.first[i * a.values.cols];
        multiply_slabs(block(c, i, j, part_rows, part_cols), a_part, block(b, 0, j, b.rows, part_cols), add);
    });
}

// A is read in place if its rows are contiguous, or its columns are and it is small; else packed, panel by panel.
static void multiply_large(OutSlice c, Slice a, Slice b, bool add, int threads) {
    const bool small = a.row_step == 1 && static_cast<long>(a.rows) * a.cols <= small_size;
    if (a.col_step == 1 || small) return multiply_in_parts(c, {a, false}, b, add, threads);
    const int panel_rows = std::max(panel_size / a.cols / tile_rows, 1) * tile_rows;
    Matrix packed = Matrix::unset(rounded_up(std::min(a.rows, panel_rows), tile_rows), a.cols);
    for (int i = 0; i < a.rows; i += panel_rows) {
        Slice panel = block(a, i, 0, panel_rows, a.cols);
        const int rows = rounded_up(divided_up(panel.rows, threads), tile_rows);
        in_parts(threads, divided_up(panel.rows, rows), [&](int part) {
            pack<tile_rows, tile_rows>(transposed(block(panel, part * rows, 0, rows, a.cols)), packed.row(part * rows));
        });
        panel.first = packed.begin();
        multiply_in_parts(block(c, i, 0, panel_rows, c.cols), {panel, true}, b, add, threads);
    }
}

static Matrix copied(Slice s) {
    Matrix m = Matrix::unset(s.rows, s.cols);
    for (int i = 0; i < s.rows; ++i)
        for (int j = 0; j < s.cols; ++j) m(i, j) = s(i, j);
    return m;
}

// --- a single row: generating text, one token at a time ---
//
// Every number of B is used once, so packing gains nothing, and the time is that of reading B from memory. B is read
// sequentially, one part by each thread.

// sum += a B for row-major B. Eight rows at once, so that `sum` is loaded and stored once for eight.
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

// c += a B, B row-major: c is a weighted sum of rows of B. Each part of the rows has its own sum.
static void multiply_row_plain(OutSlice c, const float* a, Slice b, int threads) {
    const int rows = rounded_up(divided_up(b.rows, row_parts), 8);
    Matrix sums(divided_up(b.rows, rows), b.cols);
    in_parts(threads, sums.rows,
             [&](int part) { add_rows(sums.row(part), &a[part * rows], block(b, part * rows, 0, rows, b.cols)); });
    for (int part = 0; part < sums.rows; ++part)
        for (int j = 0; j < c.cols; ++j) c.first[j] += sums(part, j);
}

// c += a B, B column-major: an element of c is the dot product of a with one contiguous column.
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

// --- choosing the algorithm ---

// Whether the memory ranges of c and s overlap.
static bool overlap(OutSlice c, Slice s) {
    const float* const c_end = c.first + (c.rows - 1) * c.row_step + c.cols;
    const float* const s_end = s.first + (s.rows - 1) * s.row_step + (s.cols - 1) * s.col_step + 1;
    return std::less<>()(c.first, s_end) && std::less<>()(s.first, c_end);
}

static constexpr double worth_packing = 512;      // products; with fewer, the textbook loop is faster than packing
static constexpr double worth_sharing = 1.5e6;    // products; some 20 microseconds on one thread
static constexpr double row_worth_sharing = 1e5;  // products of a single row, which take as long to read from memory

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
    if (a.cols > 0 && (overlap(c, a) || overlap(c, b))) {  // copy both before anything is written
        const Matrix a_before = copied(a), b_before = copied(b);
        return product(c, whole(a_before), whole(b_before), add, where);
    }
    const double products = static_cast<double>(c.rows) * c.cols * a.cols;
    const bool single_row = c.rows == 1 && (b.col_step == 1 || b.row_step == 1);
    const int threads = products < (single_row ? row_worth_sharing : worth_sharing) ? 1 : thread_count();
    if (products >= worth_packing && !single_row) return multiply_large(c, a, b, add, threads);
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
