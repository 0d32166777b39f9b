#include "nn/base/matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "nn/base/require.h"
#include "nn/base/storage.h"

Matrix Matrix::unset(int rows, int cols) {
    require(rows >= 0 && cols >= 0, "Matrix: a shape of ", rows, " x ", cols, " is impossible, neither may be negative");
    Matrix m;
    m.rows = rows;
    m.cols = cols;
    try {
        if (m.size() > 0) m.values = borrow_floats(m.size());
    } catch (const std::bad_alloc&) {
        const double gigabytes = static_cast<double>(m.size()) * sizeof(float) / 1e9;
        require(false, "Matrix: no memory for ", rows, " x ", cols, " numbers, which take ", gigabytes,
                " GB; make it smaller, or in pieces");
    }
    return m;
}

Matrix::Matrix(int rows, int cols, float value) : Matrix(unset(rows, cols)) { std::fill(begin(), end(), value); }

Matrix::Matrix(std::initializer_list<std::initializer_list<float>> given) {
    const int height = static_cast<int>(given.size());
    const int width = height == 0 ? 0 : static_cast<int>(given.begin()->size());
    for (const auto& row : given)
        require(static_cast<int>(row.size()) == width, "Matrix: a row of ", row.size(), " numbers among rows of ", width,
                ", all must have the same length");
    *this = unset(height, width);
    float* out = values;
    for (const auto& row : given) out = std::copy(row.begin(), row.end(), out);
}

Matrix::Matrix(const Matrix& other) : Matrix(unset(other.rows, other.cols)) { std::copy(other.begin(), other.end(), values); }

Matrix::Matrix(Matrix&& other) noexcept
    : rows(std::exchange(other.rows, 0)), cols(std::exchange(other.cols, 0)), values(std::exchange(other.values, nullptr)) {}

Matrix& Matrix::operator=(const Matrix& other) {
    if (this != &other) *this = Matrix(other);
    return *this;
}

Matrix& Matrix::operator=(Matrix&& other) noexcept {
    std::swap(rows, other.rows);
    std::swap(cols, other.cols);
    std::swap(values, other.values);
    return *this;
}

Matrix::~Matrix() { return_floats(values, size()); }

void Matrix::outside(int i, int j) const {
    throw std::out_of_range(joined({"Matrix: element (", i, ", ", j, ") of a ", *this, " matrix, counted from 0"}));
}

void Matrix::outside(std::size_t k) const {
    throw std::out_of_range(joined({"Matrix: element number ", k, " of a ", *this, " matrix, counted from 0"}));
}

void Matrix::outside_row(int i) const {
    throw std::out_of_range(joined({"Matrix: row ", i, " of a ", *this, " matrix, counted from 0"}));
}

std::string shape(const Matrix& m) { return text(m); }

bool same_shape(const Matrix& a, const Matrix& b) { return a.rows == b.rows && a.cols == b.cols; }

bool identical(const Matrix& a, const Matrix& b) {
    return same_shape(a, b) && (a.empty() || std::memcmp(a.begin(), b.begin(), a.size() * sizeof(float)) == 0);
}

Matrix transpose(const Matrix& m) {
    Matrix result = Matrix::unset(m.cols, m.rows);
    // One square block at a time, through a copy: source and result then touch each cache line once. Without it a stride of a power
    // of two maps the lines of a block to the same cache sets, where they displace each other.
    constexpr int side = 16;
    float block[side][side];
    for (int i0 = 0; i0 < m.rows; i0 += side)
        for (int j0 = 0; j0 < m.cols; j0 += side) {
            const int rows = std::min(side, m.rows - i0), cols = std::min(side, m.cols - j0);
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < cols; ++j) block[j][i] = m(i0 + i, j0 + j);
            for (int j = 0; j < cols; ++j) std::copy_n(block[j], rows, result.row(j0 + j) + i0);
        }
    return result;
}

Matrix slice_rows(const Matrix& m, int first, int count) {
    require(first >= 0 && count >= 0 && first <= m.rows - count, "slice_rows: rows ", first, " to ", long{first} + count,
            " of a ", m, " matrix, counted from 0");
    Matrix result = Matrix::unset(count, m.cols);
    std::copy(m.row(first), m.row(first + count), result.begin());
    return result;
}

Matrix slice_cols(const Matrix& m, int first, int count) {
    require(first >= 0 && count >= 0 && first <= m.cols - count, "slice_cols: columns ", first, " to ", long{first} + count,
            " of a ", m, " matrix, counted from 0");
    Matrix result = Matrix::unset(m.rows, count);
    for (int i = 0; i < m.rows; ++i) std::copy_n(m.row(i) + first, count, result.row(i));
    return result;
}

Matrix reshape(Matrix m, int rows, int cols) {
    require(rows >= 0 && cols >= 0 && static_cast<std::size_t>(rows) * cols == m.size(), "reshape: ", m, " does not fit into (",
            rows, ", ", cols, "), both must hold the same number of elements");
    m.rows = rows;
    m.cols = cols;
    return m;
}

void add_to(Matrix& a, const Matrix& b) {
    require(same_shape(a, b), "add_to: ", a, " += ", b, ", the shapes must be equal");
    float* const to = a.begin();
    const float* const from = b.begin();
    for (std::size_t k = 0; k < a.size(); ++k) to[k] += from[k];
}

void add_sum_of_rows(Matrix& row, const Matrix& m) {
    require(row.rows == 1 && row.cols == m.cols, "add_sum_of_rows: the sum of the rows of ", m, " does not fit into ", row,
            ", it must be (1, ", m.cols, ")");
    std::vector<double> sums(m.cols);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) sums[j] += m(i, j);
    for (int j = 0; j < m.cols; ++j) row[j] = static_cast<float>(row[j] + sums[j]);
}

int argmax_row(const Matrix& m, int i) {
    require(i >= 0 && i < m.rows && m.cols > 0, "argmax_row: row ", i, " of a ", m,
            " matrix, counted from 0; it must hold a number");
    int best = 0;
    for (int j = 0; j < m.cols; ++j) {
        if (std::isnan(m(i, j))) return j;
        if (m(i, j) > m(i, best)) best = j;
    }
    return best;
}
