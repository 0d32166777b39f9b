// values_test.cpp: functions, factors, norms: each hypothesis at its limits, and every number can refute it.
#include "course/cause/values.h"

#include <algorithm>
#include <cmath>

#include "tests/course/cause/guesses.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("values");

static Matrix each(Matrix m, double (*f)(double)) {
    for (float& x : m) x = static_cast<float>(f(x));
    return m;
}

TEST_CASE("function_of_expected: every number counts; where a function has no value it explains nothing") {
    const Matrix x{{0.3f, 0.8f, 1.7f}, {2.2f, 0.5f, 1.2f}};
    check_guess(function_of_expected, each(x, [](double v) { return v * v; }), x,
                "fits: yours is the square of what is expected");
    check_guess(function_of_expected, x, each(x, [](double v) { return 1 / v; }),
                "fits: yours is the reciprocal of what is expected");
    CHECK(said(function_of_expected, {{5, 0.5f, 0.25f, 0.2f}}, {{0, 2, 4, 5}}) == "");  // 1 / 0
    CHECK(said(function_of_expected, {{5, 0.5f, 0.25f, 0.2f}}, {{0.2f, 2, 4, 5}}) != "");
    const auto other = [](double v) { return static_cast<float>(-std::log(1 - std::exp(-v))); };
    CHECK(said(function_of_expected, {{5, other(1), other(2), other(0.5)}}, {{0, 1, 2, 0.5f}}) == "");  // -log 0
    CHECK(said(function_of_expected, {{5, 0, 1.0986123f, 1.3862944f}}, {{0, 1, 3, 4}}) == "");          // log 0
    CHECK(said(function_of_expected, {{0, 0, 1, 1}}, {{-200, -150, 0, 0}}) == "fits: yours is exp of what is expected");
}

namespace {
struct Form {
    std::string name;
    double (*f)(double);
};
}  // namespace

static const std::vector<Form> forms{
    {"GELU (erf)", [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }},
    {"GELU (tanh form)",
     [](double x) { return x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x))) / 2; }},
    {"GELU (quick form)", [](double x) { return x / (1 + std::exp(-1.702 * x)); }},
    {"SiLU", [](double x) { return x / (1 + std::exp(-x)); }},
    {"ReLU", [](double x) { return x > 0 ? x : 0; }}};

TEST_CASE("other_activation: any of five in place of any of four, by eight numbers that are not near the minimum") {
    const Matrix x{{0.08f, 0.45f, 0.58f, 0.72f}, {0.9f, 1.1f, 1.25f, 1.4f}};
    for (const Form& right : forms)
        for (const Form& wrong : forms) {
            const bool alike = right.f == forms[0].f && wrong.f == forms[1].f;  // equal within rounding at these numbers
            if (right.f == wrong.f || alike || (right.f == forms[1].f && wrong.f == forms[0].f) || right.f == forms[4].f)
                continue;
            check_guess(other_activation, each(x, wrong.f), each(x, right.f),
                        "fits: yours is " + wrong.name + " where " + right.name + " is expected");
        }
    const std::string words = "fits: yours is SiLU where GELU (erf) is expected";
    const Matrix expected = each(x, forms[0].f), ours = each(x, forms[3].f);
    const auto with = [&](float mine, float theirs) {  // a ninth number
        Matrix a(1, 9, mine), b(1, 9, theirs);
        std::copy(ours.begin(), ours.end(), a.begin());
        std::copy(expected.begin(), expected.end(), b.begin());
        return said(other_activation, a, b);
    };
    CHECK(with(0.02f, -0.12f) == words);  // near the minimum only a large distance counts
    CHECK(with(0.06f, -0.12f) == words);
    CHECK(with(0.1f, -0.12f) == "");
    CHECK(with(0.02f, -0.09f) == "");
    CHECK(with(9, -0.5f) == "");   // below the minimum, which no input gives
    CHECK(with(99, 31) == words);  // large numbers are the same for all
    CHECK(with(99, 30) == "");
    CHECK(with(static_cast<float>(forms[3].f(0.3)) + 4e-5f, static_cast<float>(forms[0].f(0.3))) == "");
    Matrix seven_ours = ours, seven = expected;  // and one near the minimum: seven are not enough
    seven_ours(0, 0) = 0.02f, seven(0, 0) = -0.12f;
    CHECK(said(other_activation, seven_ours, seven) == "");
    seven_ours(0, 0) = seven(0, 0) = 1;
    CHECK(said(other_activation, seven_ours, seven) == "");
    const Matrix negative{{-1.5f, -1.7f, -1.9f, -2.1f}, {-2.3f, -2.5f, -2.8f, -3.2f}};
    CHECK(said(other_activation, each(negative, forms[3].f), each(negative, forms[0].f)) != "");
}

TEST_CASE("multiple_of_expected, shifted_by_a_number: every number counts; what rounding allows") {
    const Matrix x{{0.3f, 0.8f, 1.7f}, {2.2f, -0.5f, 1.2f}};
    check_guess(multiple_of_expected, each(x, [](double v) { return 1.37 * v; }), x, "fits: yours = expected * 1.37");
    check_guess(shifted_by_a_number, each(x, [](double v) { return v - 1.37; }), x, "fits: yours = expected - 1.37");
    CHECK(said(multiple_of_expected, {{2.00001f}}, {{1}}) == "fits: yours = expected * 2, twice");
    CHECK(said(multiple_of_expected, {{2.0001f}}, {{1}}) == "");
    CHECK(said(multiple_of_expected, {{3, 4, 5}}, {{0, 0, 0}}) == "");
    CHECK(said(multiple_of_expected, {{0, 0, 0}}, {{3, 4, 5}}) == "");
    CHECK(said(shifted_by_a_number, {{1100.4f, 2100.5f, 3100.6f}}, {{1000.1f, 2000.2f, 3000.3f}}) ==
          "fits: yours = expected + 100.3");
    CHECK(said(shifted_by_a_number, {{1100.4f, 2100.51f, 3100.6f}}, {{1000.1f, 2000.2f, 3000.3f}}) == "");
}

TEST_CASE("stretched_columns: one factor and a constant for each column, through four rows that differ") {
    const std::string end = " around a constant: the spread is measured differently";
    const auto stretched = [](const Matrix& m, float first, float second) {
        Matrix result = m;
        for (int i = 0; i < m.rows; ++i) result(i, 0) = first * m(i, 0) + 5, result(i, 1) = second * m(i, 1) - 3;
        return result;
    };
    const Matrix x{{1, 7}, {2, 3}, {4, 4}, {8, 9}, {3, 1}}, large{{1000, 7000}, {2000, 3000}, {4000, 4000}, {8000, 9000}};
    check_guess(stretched_columns, stretched(x, 0.75f, 0.75f), x, "fits: in every column yours = expected * 0.75 = 3 / 4" + end);
    check_guess(stretched_columns, stretched(x, 1, 1), x, "fits: every column is shifted by its own constant");
    CHECK(said(stretched_columns, {{0.4f, 1.3f}, {0.7f, 1.5f}, {1.1f, 1.9f}, {1.9f, 2.7f}},
               {{0.1f, 0.2f}, {0.4f, 0.4f}, {0.8f, 0.8f}, {1.6f, 1.6f}}) ==
          "fits: every column is shifted by its own constant");  // though rounded
    CHECK(said(stretched_columns, stretched(x, 0.75f, 0.76f), x) == "");
    CHECK(said(stretched_columns, stretched(x, 0.01f, 0.0101f), x) == "");
    CHECK(said(stretched_columns, stretched(x, -1, -1), x) == "fits: in every column yours = expected * -1, the sign" + end);
    Matrix rounded = stretched(large, 0.75f, 0.75f);
    rounded(1, 1) += 0.05f;
    CHECK(said(stretched_columns, rounded, large) == "fits: in every column yours = expected * 0.75 = 3 / 4" + end);
    Matrix small = each(x, [](double v) { return v / 1000; }), small_ours = each(small, [](double v) { return v * 0.75; });
    CHECK(said(stretched_columns, small_ours, small) == "fits: in every column yours = expected * 0.75 = 3 / 4" + end);
    small_ours(0, 0) += 2e-5f;
    CHECK(said(stretched_columns, small_ours, small) == "");
    CHECK(said(stretched_columns, {{1, 2}, {1, 3}, {1, 5}, {1, 9}}, {{2, 1}, {2, 2}, {2, 4}, {2, 8}}) == "");
    CHECK(said(stretched_columns, {{1, 2}, {1, 3}, {1, 5}, {1, 9}}, {{2, 1}, {2.00001f, 2}, {2, 4}, {2, 8}}) == "");
}

TEST_CASE("stretched_rows: a factor for each row that differs, around 0 or another value; every number counts") {
    const std::string end = ": what the row is divided by is measured differently (an eps, a sum, a norm)",
                      start = "fits: every row that differs has its own factor, ";
    const Matrix x{{0.5f, 0.5f, 0.5f, 0.5f}, {1, 3, -2, 4}, {2, 2, 7, 1}}, centre{{1, -1, 2, 0.5f}};
    Matrix ours = x, around = x;
    for (int j = 0; j < 4; ++j) {
        ours(0, j) *= 1.5f, ours(1, j) *= 3;
        around(0, j) = centre(0, j) + 1.5f * (x(0, j) - centre(0, j)), around(1, j) = centre(0, j) + 3 * (x(1, j) - centre(0, j));
    }
    check_guess(stretched_rows, ours, x, start + "1.5 to 3" + end);
    check_guess(stretched_rows, around, x, start + "1.5 to 3, around b" + end,
                {.sizes = {}, .others = {{"a", x}, {"b", centre}}});
    CHECK(said(stretched_rows, around, x, {.sizes = {}, .others = {{"two rows", Matrix(2, 4)}, {"narrow", {{1, -1, 2}}}}}) == "");
    Matrix none = x;
    for (int j = 0; j < 4; ++j) none(1, j) = 0;
    CHECK(said(stretched_rows, ours, none) == "");
    Matrix small = each(x, [](double v) { return v / 1000; }), small_ours = each(ours, [](double v) { return v / 1000; });
    CHECK(said(stretched_rows, small_ours, small) == start + "1.5 to 3" + end);
    small_ours(1, 2) += 1e-5f;
    CHECK(said(stretched_rows, small_ours, small) == "");
}

TEST_CASE("norm_forgotten: every number counts; rows that are normalised alike say nothing") {
    const Matrix x{{1, 5, 2, 7}, {3, 1, 4, 9}, {2, 2, 7, 1}, {6, 1, 3, 2}, {0, 4, 5, 1}, {8, 3, 1, 6}, {4, 4, 4, 4}};
    Matrix normal(7, 4);
    for (int i = 0; i < 7; ++i) {
        double mean = 0, square = 0;
        for (int j = 0; j < 4; ++j) mean += x(i, j) / 4;
        for (int j = 0; j < 4; ++j) square += (x(i, j) - mean) * (x(i, j) - mean) / 4;
        for (int j = 0; j < 4; ++j)
            normal(i, j) = static_cast<float>(0.3 * j - 0.5 + (1 + 0.2 * j) * (x(i, j) - mean) / std::sqrt(square + 1e-12));
    }
    check_guess(norm_forgotten, normal, x, "fits: yours is the layer norm of what is expected: a norm too many");
    CHECK(said(norm_forgotten, x, normal) == "fits: expected is the layer norm of yours: a norm is missing");
    for (std::size_t k = 0; k < normal.size(); ++k) {
        Matrix other = normal;
        other[k] += 0.01f;
        CHECK(said(norm_forgotten, x, other) == "");
    }
    Matrix alike(6, 4), same(6, 4), different(6, 4);
    for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 4; ++j) {
            alike(i, j) = static_cast<float>(i + 1) * x(0, j) + static_cast<float>(i);
            same(i, j) = x(1, j);
            different(i, j) = x(i, j);
        }
    CHECK(said(norm_forgotten, alike, same) == "");
    CHECK(said(norm_forgotten, alike, different) == "");
}

TEST_CASE("only_small_differences: measured by the largest expected number") {
    const std::string end =
        " % of the largest number: a constant or an approximation (eps, which GELU, precision) rather than the structure";
    CHECK(said(only_small_differences, {{100.1f, 50.1f, 20.1f}}, {{-100, 50, 20}}) == "");
    CHECK(said(only_small_differences, {{-100.1f, 50.1f, 20.1f}}, {{-100, 50, 20}}) == "differs only by 0.1" + end);
    CHECK(said(only_small_differences, {{0.0101f, 0.0201f, 0.0301f}}, {{0.01f, 0.02f, 0.03f}}) == "");
    CHECK(said(only_small_differences, {{1.001f, 0.5f, 0.3f}}, {{1, 0.501f, 0.301f}}) == "differs only by 0.1" + end);
    CHECK(said(only_small_differences, {{1e-4f, 2e-4f, 3e-4f}}, {{0, 0, 0}}) == "");
}

TEST_SUITE_END();
