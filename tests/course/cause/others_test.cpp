// others_test.cpp: relations to another value: how it is repeated, the limits, and every number can refute them.
#include "course/cause/others.h"

#include "tests/course/cause/guesses.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("others");

static Known beside(const Matrix& x) { return {.sizes = {}, .others = {{"x", x}}}; }

// a with `sign` times x added, or multiplied by x when sign is 0; x begins again when its rows or its columns end.
static Matrix with(const Matrix& a, const Matrix& x, float sign) {
    Matrix result = a;
    for (int i = 0; i < a.rows; ++i)
        for (int j = 0; j < a.cols; ++j) {
            const float other = x(i % x.rows, j % x.cols);
            result(i, j) = sign == 0 ? a(i, j) * other : a(i, j) + sign * other;
        }
    return result;
}

static const Matrix a{{1, 2.5f, 3}, {4, 5, 6.5f}, {7.5f, 8, 9}, {2, 6, 4.5f}};

TEST_CASE("equal_to_another: every number counts") {
    const Matrix x{{0.5f, 2}, {1.25f, 7}};
    check_guess(equal_to_another, x, {{1, 1}, {3, 3}}, "fits: yours is what x should be", beside(x));
    CHECK(said(equal_to_another, {{1.00005f, 2.5f}}, {{1, 2.5f}}, beside({{1.00005f, 2.5f}})) == "");  // nothing differs by much
}

TEST_CASE("forgotten_or_too_many, factor_forgotten: the whole, a row, a part of the rows, a column") {
    const Matrix whole = with(a, {{2, -1, 0.5f}, {1, 3, -2}}, 0), row{{2, -1, 0.5f}}, half{{2, -1, 0.5f}, {1, 3, -2}},
                 column{{2}, {3}, {-1}, {0.5f}}, longer{{2, -1, 0.5f}, {1, 3, -2}, {9, 9, 9}, {8, 8, 8}, {7, 7, 7}};
    for (const auto& [x, how] : std::vector<std::pair<Matrix, std::string>>{{whole, "x"},
                                                                            {row, "x in every row"},
                                                                            {half, "x, repeated"},
                                                                            {column, "x"},
                                                                            {longer, "the first 2 rows of x, repeated"}}) {
        const Matrix& used = x.rows == 5 ? half : x;
        const Known known = beside(x);
        check_guess(forgotten_or_too_many, a, with(a, used, 1), "fits: yours = expected - " + how + ": it is missing", known);
        check_guess(forgotten_or_too_many, with(a, used, 1), a, "fits: yours = expected + " + how + ": one too many", known);
        if (x.rows == 5) continue;
        check_guess(factor_forgotten, a, with(a, used, 0), "fits: expected = yours * x: a factor is missing", known);
        check_guess(factor_forgotten, with(a, used, 0), a, "fits: yours = expected * x: a factor too many", known);
    }
    // two columns are no column, a column is not repeated downwards, one row out of many and no row at all say nothing
    const Matrix narrow{{1, 2}, {3, 4}}, two{{2, 5}, {3, 7}}, short_column{{2}, {3}};
    check_guess(forgotten_or_too_many, narrow, with(narrow, two, 1), "fits: yours = expected - x: it is missing", beside(two));
    check_guess(factor_forgotten, narrow, with(narrow, two, 0), "fits: expected = yours * x: a factor is missing", beside(two));
    for (const Matrix& x : {short_column, Matrix(0, 3), Matrix(0, 1)}) {
        const Matrix& used = x.empty() ? row : x;
        CHECK(said(forgotten_or_too_many, a, with(a, used, 1), beside(x)) == "");
        CHECK(said(factor_forgotten, a, with(a, used, 0), beside(x)) == "");
    }
    CHECK(said(forgotten_or_too_many, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, {{3, 1, 3.5f}, {6, 4, 6.5f}, {9, 7, 9.5f}},
               beside({{2, -1, 0.5f}, {9, 9, 9}})) == "");
}

TEST_CASE("forgotten_or_too_many, other_mean_or_sum: what rounding allows grows with the numbers") {
    CHECK(said(forgotten_or_too_many, {{1000.02f, 3000}}, {{1100, 3200}}, beside({{100, 200}})) ==
          "fits: yours = expected - x: it is missing");
    CHECK(said(forgotten_or_too_many, {{1000.1f, 3000}}, {{1100, 3200}}, beside({{100, 200}})) == "");
    CHECK(said(forgotten_or_too_many, {{0.0001f, 0.0002f}}, {{0.0021f, 0.0033f}}, beside({{0.0021f, 0.0031f}})) == "");
    CHECK(said(other_mean_or_sum, {{2.5f}}, {{1}}, beside({{2, 3}})) == "fits: yours is the mean of all of x");
    CHECK(said(other_mean_or_sum, {{1000.005f}}, {{1}}, beside({{1000, 1000}})) == "fits: yours is the mean of all of x");
    CHECK(said(other_mean_or_sum, {{1000.02f}}, {{1}}, beside({{1000, 1000}})) == "");
    CHECK(said(other_mean_or_sum, {{0.0025f}}, {{1}}, beside({{0.002f, 0.002f}})) == "");
    CHECK(said(other_mean_or_sum, {{1e-4f}}, {{1}}, beside({{1e-4f, 1e-4f}})) == "");  // too near to 0
    CHECK(said(other_mean_or_sum, {{2.5f, 2.5f}}, {{1, 1}}, beside({{2, 3}})) == "");
}

TEST_SUITE_END();
