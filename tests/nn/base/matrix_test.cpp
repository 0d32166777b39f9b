#include "nn/base/matrix.h"

#include <cmath>
#include <limits>
#include <utility>

#include "tests/test.h"

TEST_SUITE_BEGIN("matrix");

TEST_CASE("Matrix: row-major, element (i, j) is float number i * cols + j") {
    const Matrix m{{1, 2, 3}, {4, 5, 6}};
    CHECK(m.rows == 2);
    CHECK(m.cols == 3);
    CHECK(m.size() == 6);
    CHECK(m(1, 0) == 4);
    CHECK(m[3] == 4);
    CHECK(m.begin()[3] == 4);
    CHECK(m.row(1)[2] == 6);
    CHECK(m.row(2) == m.end());
    float sum = 0;
    for (const float x : m) sum = 10 * sum + x;
    CHECK(sum == 123456);
}

TEST_CASE("Matrix: a new matrix holds zeros, or the given value") {
    const Matrix zeros(3, 2);
    const Matrix fives(2, 3, 5);
    for (const float x : zeros) CHECK(x == 0);
    for (const float x : fives) CHECK(x == 5);
    CHECK(Matrix().empty());
    CHECK(Matrix(0, 4).empty());
    CHECK(Matrix(0, 4).cols == 4);
    const std::initializer_list<std::initializer_list<float>> no_rows;
    CHECK(shape(Matrix(no_rows)) == "(0, 0)");
    CHECK_FALSE(zeros.empty());
}

TEST_CASE("Matrix: elements are written by row and column, by number and by loop") {
    Matrix m(2, 2);
    m(0, 1) = 3;
    m[2] = 4;
    for (float& x : m) x *= 2;
    CHECK(identical(m, Matrix{{0, 6}, {8, 0}}));
}

TEST_CASE("Matrix: a copy has its own elements") {
    Matrix m{{1, 2}, {3, 4}};
    Matrix copy = m;
    copy(0, 0) = 9;
    CHECK(m(0, 0) == 1);
    m = copy;
    copy(1, 1) = 8;
    CHECK(identical(m, Matrix{{9, 2}, {3, 4}}));
    const Matrix& same = m;
    m = same;
    CHECK(identical(m, Matrix{{9, 2}, {3, 4}}));
}

TEST_CASE("Matrix: moving takes the elements and leaves (0, 0) behind") {
    Matrix m{{1, 2, 3}};
    const float* const numbers = m.begin();
    const Matrix taken = std::move(m);
    CHECK(taken.begin() == numbers);
    CHECK(shape(taken) == "(1, 3)");
    CHECK(shape(m) == "(0, 0)");
    CHECK(m.begin() == nullptr);
    Matrix assigned(5, 5);
    Matrix other{{7}};
    assigned = std::move(other);
    CHECK(identical(assigned, Matrix{{7}}));
}

TEST_CASE("Matrix: negative sizes and rows of different lengths are refused") {
    CHECK_THROWS_WITH(Matrix(-1, 2), "Matrix: a shape of -1 x 2 is impossible, neither may be negative");
    CHECK_THROWS_WITH(Matrix::unset(2, -3), "Matrix: a shape of 2 x -3 is impossible, neither may be negative");
    CHECK_THROWS_WITH(Matrix({{1, 2, 3}, {4, 5}}), "Matrix: a row of 2 numbers among rows of 3, all must have the same length");
}

TEST_CASE("Matrix: an index outside is named") {
    Matrix m(2, 3);
    CHECK_THROWS_WITH(m(2, 0) = 1, "Matrix: element (2, 0) of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(m(0, 3) = 1, "Matrix: element (0, 3) of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(m(-1, 0) = 1, "Matrix: element (-1, 0) of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(std::as_const(m)(0, -1), "Matrix: element (0, -1) of a (2, 3) matrix, counted from 0");
    CHECK_NOTHROW(m(1, 2) = 1);
    CHECK_THROWS_WITH(m[6] = 1, "Matrix: element number 6 of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(std::as_const(m)[6], "Matrix: element number 6 of a (2, 3) matrix, counted from 0");
    CHECK_NOTHROW(m[5] = 1);
    CHECK_THROWS_WITH(m.row(3), "Matrix: row 3 of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(std::as_const(m).row(3), "Matrix: row 3 of a (2, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(m.row(-1), "Matrix: row -1 of a (2, 3) matrix, counted from 0");
    CHECK(m.row(2) == m.end());
}

TEST_CASE("shape, same_shape: compare rows and columns, not the number of elements") {
    CHECK(shape(Matrix(3, 2)) == "(3, 2)");
    CHECK(same_shape(Matrix(3, 2), Matrix(3, 2)));
    CHECK_FALSE(same_shape(Matrix(3, 2), Matrix(2, 3)));
    CHECK_FALSE(same_shape(Matrix(3, 2), Matrix(3, 1)));
    CHECK_FALSE(same_shape(Matrix(3, 2), Matrix(2, 2)));
}

TEST_CASE("identical: compares bits: NaN equals itself, 0 differs from -0") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(identical(Matrix{{nan, 1}}, Matrix{{nan, 1}}));
    CHECK_FALSE(identical(Matrix{{0.0f}}, Matrix{{-0.0f}}));
    CHECK_FALSE(identical(Matrix{{1, 2}}, Matrix{{1}, {2}}));
    CHECK_FALSE(identical(Matrix{{1, 2}}, Matrix{{1, 3}}));
    CHECK(identical(Matrix(0, 3), Matrix(0, 3)));
}

TEST_CASE("transpose: element (j, i) is element (i, j)") {
    CHECK(identical(transpose(Matrix{{1, 2, 3}, {4, 5, 6}}), Matrix{{1, 4}, {2, 5}, {3, 6}}));
    Matrix large(37, 50);  // larger than the blocks of transpose, and not a multiple of them
    for (int i = 0; i < 37; ++i)
        for (int j = 0; j < 50; ++j) large(i, j) = static_cast<float>(100 * i + j);
    const Matrix turned = transpose(large);
    CHECK(shape(turned) == "(50, 37)");
    bool all = true;
    for (int i = 0; i < 37; ++i)
        for (int j = 0; j < 50; ++j) all = all && turned(j, i) == 100 * i + j;
    CHECK(all);
    CHECK(identical(transpose(turned), large));
    CHECK(shape(transpose(Matrix(0, 3))) == "(3, 0)");
}

TEST_CASE("slice_rows, slice_cols: adjacent rows or columns, inside the matrix") {
    const Matrix m{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
    CHECK(identical(slice_rows(m, 1, 2), Matrix{{4, 5, 6}, {7, 8, 9}}));
    CHECK(identical(slice_cols(m, 1, 2), Matrix{{2, 3}, {5, 6}, {8, 9}, {11, 12}}));
    CHECK(identical(slice_rows(m, 0, 4), m));
    CHECK(identical(slice_cols(m, 0, 3), m));
    CHECK(shape(slice_rows(m, 4, 0)) == "(0, 3)");
    CHECK(shape(slice_cols(m, 3, 0)) == "(4, 0)");
    CHECK_THROWS_WITH(slice_rows(m, 3, 2), "slice_rows: rows 3 to 5 of a (4, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_rows(m, -1, 2), "slice_rows: rows -1 to 1 of a (4, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_rows(m, 1, -1), "slice_rows: rows 1 to 0 of a (4, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_cols(m, 2, 2), "slice_cols: columns 2 to 4 of a (4, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_cols(m, -1, 1), "slice_cols: columns -1 to 0 of a (4, 3) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_cols(m, 2, -2), "slice_cols: columns 2 to 0 of a (4, 3) matrix, counted from 0");
}

TEST_CASE("reshape: keeps the numbers in order") {
    const Matrix m{{1, 2, 3}, {4, 5, 6}};
    CHECK(identical(reshape(m, 3, 2), Matrix{{1, 2}, {3, 4}, {5, 6}}));
    CHECK(identical(reshape(m, 1, 6), Matrix{{1, 2, 3, 4, 5, 6}}));
    CHECK(reshape(Matrix(2, 0), 4, 0).rows == 4);
    CHECK_THROWS_WITH(reshape(m, 2, 2), "reshape: (2, 3) does not fit into (2, 2), both must hold the same number of elements");
    CHECK_THROWS_WITH(reshape(m, -2, -3),
                      "reshape: (2, 3) does not fit into (-2, -3), both must hold the same number of elements");
    CHECK_THROWS_WITH(reshape(Matrix(), -1, 0),
                      "reshape: (0, 0) does not fit into (-1, 0), both must hold the same number of elements");
    CHECK_THROWS_WITH(reshape(Matrix(), 0, -1),
                      "reshape: (0, 0) does not fit into (0, -1), both must hold the same number of elements");
    CHECK(shape(reshape(Matrix(), 0, 3)) == "(0, 3)");
}

TEST_CASE("add_to: adds element by element, without broadcasting") {
    Matrix a{{1, 2}, {3, 4}};
    add_to(a, Matrix{{10, 20}, {30, 40}});
    CHECK(identical(a, Matrix{{11, 22}, {33, 44}}));
    CHECK_THROWS_WITH(add_to(a, Matrix{{1, 2}}), "add_to: (2, 2) += (1, 2), the shapes must be equal");
}

TEST_CASE("add_sum_of_rows: sums in double, 2^24 + 1 - 2^24 = 1, and adds to the row") {
    Matrix row{{10, 20}};
    add_sum_of_rows(row, Matrix{{16777216, 1}, {1, 2}, {-16777216, 3}});
    CHECK(identical(row, Matrix{{11, 26}}));
    CHECK_THROWS_WITH(add_sum_of_rows(row, Matrix(2, 3)),
                      "add_sum_of_rows: the sum of the rows of (2, 3) does not fit into (1, 2), it must be (1, 3)");
    Matrix two_rows(2, 2);
    CHECK_THROWS_WITH(add_sum_of_rows(two_rows, Matrix(3, 2)),
                      "add_sum_of_rows: the sum of the rows of (3, 2) does not fit into (2, 2), it must be (1, 2)");
}

TEST_CASE("argmax_row: the column of the first NaN, if there is one") {
    const Matrix m{{NAN, 9, NAN}, {9, 1, NAN}, {1, NAN, 9}};
    CHECK(argmax_row(m, 0) == 0);
    CHECK(argmax_row(m, 1) == 2);
    CHECK(argmax_row(m, 2) == 1);
}

TEST_CASE("argmax_row: the first of equal maxima") {
    const Matrix m{{9, 9, 1}, {1, 3, 3}, {-5, -7, -4}};
    CHECK(argmax_row(m, 0) == 0);
    CHECK(argmax_row(m, 1) == 1);
    CHECK(argmax_row(m, 2) == 2);
    CHECK_THROWS_WITH(argmax_row(m, 3), "argmax_row: row 3 of a (3, 3) matrix, counted from 0; it must hold a number");
    CHECK_THROWS_WITH(argmax_row(m, -1), "argmax_row: row -1 of a (3, 3) matrix, counted from 0; it must hold a number");
    CHECK_THROWS_WITH(argmax_row(Matrix(2, 0), 0), "argmax_row: row 0 of a (2, 0) matrix, counted from 0; it must hold a number");
}

TEST_CASE("Matrix: a size for which there is no memory is refused with that size, and leaves nothing behind") {
    CHECK_THROWS_WITH(
        Matrix::unset(2147483646, 2147483647),
        "Matrix: no memory for 2147483646 x 2147483647 numbers, which take 18446744047.939747 GB; make it smaller, or in pieces");
    CHECK_THROWS_WITH(slice_rows(Matrix(2, 2), 1, 2147483647),
                      "slice_rows: rows 1 to 2147483648 of a (2, 2) matrix, counted from 0");
    CHECK_THROWS_WITH(slice_cols(Matrix(2, 2), 2147483647, 1),
                      "slice_cols: columns 2147483647 to 2147483648 of a (2, 2) matrix, counted from 0");
}

TEST_SUITE_END();
