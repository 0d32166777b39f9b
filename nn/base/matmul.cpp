#include "nn/base/matmul.h"

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

static std::string shape(Slice s) { return "(" + text(s.rows) + ", " + text(s.cols) + ")"; }

void multiply_add(OutSlice c, Slice a, Slice b, Where where) {
    require(a.cols == b.rows, where, "matmul: ", shape(a), " times ", shape(b), ", the inner sizes differ");
    require(c.rows == a.rows && c.cols == b.cols, where, "matmul: the product of ", shape(a), " and ", shape(b),
            " does not fit into (", c.rows, ", ", c.cols, ")");
    multiply_add_textbook(c, a, b);
}

static Matrix product(Slice a, Slice b, Where where) {
    Matrix c(a.rows, b.cols);
    multiply_add(whole(c), a, b, where);
    return c;
}

Matrix matmul(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), whole(b), where); }

Matrix matmul_transposed(const Matrix& a, const Matrix& b, Where where) { return product(whole(a), transposed(whole(b)), where); }

Matrix transposed_matmul(const Matrix& a, const Matrix& b, Where where) { return product(transposed(whole(a)), whole(b), where); }
