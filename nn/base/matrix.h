// matrix.h: a matrix of float. Every number of every model in this project is stored in one.
//
//   shows    that one plain type is enough: rows are tokens, columns are features; a batch is more rows,
//            an attention head is a slice of columns
//   layout   row-major: element (i, j) is the float number i * cols + j
//   next     matmul.h multiplies matrices, show.h prints them
#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>

struct Matrix {
    int rows = 0;
    int cols = 0;

    Matrix() = default;                           // (0, 0)
    Matrix(int rows, int cols, float value = 0);  // every element `value`
    // Matrix{{1, 2}, {3, 4}, {5, 6}} is (3, 2).   throws std::invalid_argument when the rows differ in length
    Matrix(std::initializer_list<std::initializer_list<float>> rows);

    // (rows, cols), uninitialised: for a result whose every element is written next.
    static Matrix unset(int rows, int cols);

    Matrix(const Matrix& other);
    Matrix(Matrix&& other) noexcept;
    Matrix& operator=(const Matrix& other);
    Matrix& operator=(Matrix&& other) noexcept;
    ~Matrix();

    // Element (i, j). Bounds are checked wherever NDEBUG is not defined: only the loops that the Makefile lists do without.
    float& operator()(int i, int j) {
        check(i, j);
        return values[static_cast<std::size_t>(i) * cols + j];
    }
    float operator()(int i, int j) const {
        check(i, j);
        return values[static_cast<std::size_t>(i) * cols + j];
    }

    // Element k in row-major order, for loops that ignore rows; its bounds are checked as above.
    float& operator[](std::size_t k) {
        check(k);
        return values[k];
    }
    float operator[](std::size_t k) const {
        check(k);
        return values[k];
    }

    // The cols floats of row i; row(rows) is the end, rows beyond it are refused as above.
    float* row(int i) {
        check_row(i);
        return values + static_cast<std::size_t>(i) * cols;
    }
    const float* row(int i) const {
        check_row(i);
        return values + static_cast<std::size_t>(i) * cols;
    }

    // All elements in row-major order: for (float& x : m) ...
    float* begin() { return values; }
    float* end() { return values + size(); }
    const float* begin() const { return values; }
    const float* end() const { return values + size(); }

    std::size_t size() const { return static_cast<std::size_t>(rows) * cols; }
    bool empty() const { return size() == 0; }

private:
    float* values = nullptr;

    void check([[maybe_unused]] int i, [[maybe_unused]] int j) const {
#ifndef NDEBUG
        if (i < 0 || i >= rows || j < 0 || j >= cols) outside(i, j);
#endif
    }
    void check_row([[maybe_unused]] int i) const {
#ifndef NDEBUG
        if (i < 0 || i > rows) outside_row(i);
#endif
    }
    void check([[maybe_unused]] std::size_t k) const {
#ifndef NDEBUG
        if (k >= size()) outside(k);
#endif
    }
    [[noreturn]] void outside(int i, int j) const;
    [[noreturn]] void outside_row(int i) const;
    [[noreturn]] void outside(std::size_t k) const;
};

// "(3, 2)"
std::string shape(const Matrix& m);

bool same_shape(const Matrix& a, const Matrix& b);

// Same shape and same bits in every element (so NaN equals NaN, and 0 differs from -0).
bool identical(const Matrix& a, const Matrix& b);

// (cols, rows), element (j, i) = m(i, j)
Matrix transpose(const Matrix& m);

// `count` rows, or columns, from number `first` on.   throws std::invalid_argument outside the matrix
Matrix slice_rows(const Matrix& m, int first, int count);
Matrix slice_cols(const Matrix& m, int first, int count);

// The same numbers in the same order, in another shape.   throws std::invalid_argument when rows * cols differs
Matrix reshape(Matrix m, int rows, int cols);

// a += b, element by element.   throws std::invalid_argument when the shapes differ
void add_to(Matrix& a, const Matrix& b);

// row += the sum of the rows of m, summed in double because a batch may have thousands of rows.
//   throws  std::invalid_argument when row is not (1, m.cols)
void add_sum_of_rows(Matrix& row, const Matrix& m);

// Column of the largest element of row i: the first of equal ones; the first NaN if there is one.
int argmax_row(const Matrix& m, int i);
