#include "nn/autograd/operations.h"

#include <cmath>
#include <limits>

#include "nn/base/matmul.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("operations");

static const Matrix a23{{1, -2, 3}, {0.5f, 4, -1}};
static const Matrix b23{{2, 0.5f, -1}, {3, -0.25f, 2}};

TEST_CASE("add, subtract, multiply, divide, minimum, maximum: by hand, element by element") {
    CHECK(identical(add(a23, b23).value(), Matrix{{3, -1.5f, 2}, {3.5f, 3.75f, 1}}));
    CHECK(identical(subtract(a23, b23).value(), Matrix{{-1, -2.5f, 4}, {-2.5f, 4.25f, -3}}));
    CHECK(identical(multiply(a23, b23).value(), Matrix{{2, -1, -3}, {1.5f, -1, -2}}));
    CHECK(identical(divide(Matrix{{1, 9}}, Matrix{{4, -3}}).value(), Matrix{{0.25f, -3}}));
    CHECK(identical(minimum(a23, b23).value(), Matrix{{1, -2, -1}, {0.5f, -0.25f, -1}}));
    CHECK(identical(maximum(a23, b23).value(), Matrix{{2, 0.5f, 3}, {3, 4, 2}}));
    CHECK(identical(scale(a23, -2).value(), Matrix{{-2, 4, -6}, {-1, -8, 2}}));
    CHECK(identical(shift(a23, 10).value(), Matrix{{11, 8, 13}, {10.5f, 14, 9}}));
    CHECK(identical(clamp(a23, -1, 1).value(), Matrix{{1, -1, 1}, {0.5f, 1, -1}}));
    CHECK(identical(abs(Matrix{{-2, 0, 3}}).value(), Matrix{{2, 0, 3}}));
    CHECK(identical(square(Matrix{{-2, 0, 3}}).value(), Matrix{{4, 0, 9}}));
    CHECK(identical(sqrt(Matrix{{4, 9}}).value(), Matrix{{2, 3}}));
}

TEST_CASE("broadcasting: a single row, column or number is repeated") {
    const Matrix row{{10, 20, 30}}, column{{100}, {200}}, number{{1000}};
    CHECK(identical(add(a23, row).value(), Matrix{{11, 18, 33}, {10.5f, 24, 29}}));
    CHECK(identical(add(row, a23).value(), add(a23, row).value()));
    CHECK(identical(add(a23, column).value(), Matrix{{101, 98, 103}, {200.5f, 204, 199}}));
    CHECK(identical(add(a23, number).value(), Matrix{{1001, 998, 1003}, {1000.5f, 1004, 999}}));
    CHECK(identical(add(row, column).value(), Matrix{{110, 120, 130}, {210, 220, 230}}));
}

TEST_CASE("broadcasting: the gradient of a broadcast input is the sum over the repetitions") {
    const Var row = parameter(Matrix{{10, 20, 30}}), column = parameter(Matrix{{100}, {200}}), number = parameter(Matrix{{1000}});
    const Tape tape;
    backward(sum(add(add(add(Matrix(2, 3), row), column), number)));
    CHECK(identical(row.gradient(), Matrix{{2, 2, 2}}));
    CHECK(identical(column.gradient(), Matrix{{3}, {3}}));
    CHECK(identical(number.gradient(), Matrix{{6}}));
}

TEST_CASE("matmul, matmul_transposed: by hand") {
    const Var a = Matrix{{1, 2}, {3, 4}, {5, 6}};  // (3, 2)
    const Var b = Matrix{{1, 0, 2}, {0, 1, 3}};    // (2, 3)
    const Var b_transposed = Matrix{{1, 0}, {0, 1}, {2, 3}};
    CHECK(identical(matmul(a, b).value(), Matrix{{1, 2, 8}, {3, 4, 18}, {5, 6, 28}}));
    CHECK(identical(matmul_transposed(a, b_transposed).value(), matmul(a, b).value()));
}

TEST_CASE("add_gradient_product: the first product becomes the gradient, the next is added, a constant gets none") {
    Var trained = parameter(Matrix(2, 2)), constant = Matrix(2, 2);
    const Matrix a{{1, 2}, {3, 4}}, b{{1, 0}, {1, 1}};  // a b = [3 2; 7 4]
    add_gradient_product(trained, whole(a), whole(b));
    CHECK(identical(trained.gradient(), Matrix{{3, 2}, {7, 4}}));
    add_gradient_product(trained, whole(a), transposed(whole(b)));  // a b^T = [1 3; 3 7]
    CHECK(identical(trained.gradient(), Matrix{{4, 5}, {10, 11}}));
    add_gradient_product(constant, whole(a), whole(b));
    CHECK(constant.gradient().empty());
}

TEST_CASE("exp, log, sqrt, square, abs, tanh, sigmoid, softplus, clamp: known values") {
    const float e = 2.7182818f;
    CHECK(exp(Matrix{{1}}).value()[0] == Approx(e));
    CHECK(log(Matrix{{e}}).value()[0] == Approx(1));
    CHECK(tanh(Matrix{{0.5f}}).value()[0] == Approx(0.46211716));
    CHECK(sigmoid(Matrix{{0}}).value()[0] == 0.5f);
    CHECK(sigmoid(Matrix{{std::log(3.0f)}}).value()[0] == Approx(0.75));
    CHECK(softplus(Matrix{{0}}).value()[0] == Approx(0.69314718));
    CHECK(softplus(Matrix{{1000}}).value()[0] == 1000);  // no overflow
    CHECK(softplus(Matrix{{-1000}}).value()[0] == 0);
    CHECK(softplus(Matrix{{-10}}).value()[0] == Approx(4.5398899e-5));
}

TEST_CASE("sum, mean, row_sums, row_means: by hand") {
    CHECK(sum(a23).value()(0, 0) == 5.5f);
    CHECK(mean(Matrix{{1, 2}, {3, 6}}).value()(0, 0) == 3);
    CHECK(identical(row_sums(a23).value(), Matrix{{2}, {3.5f}}));
    CHECK(identical(row_means(Matrix{{1, 2}, {3, 6}}).value(), Matrix{{1.5f}, {4.5f}}));
    // sixteen million halves: a float that adds one by one stops at 2^23, because 0.5 is then below its last digit
    CHECK(sum(Matrix(4096, 4096, 0.5f)).value()(0, 0) == 8388608);
}

TEST_CASE("sum, mean, row_sums: formed in double, also in gradients: 2^24 + 1 - 2^24 = 1") {
    const Matrix row{{16777216, 1, -16777216}};
    CHECK(sum(row).value()(0, 0) == 1);
    CHECK(row_sums(row).value()(0, 0) == 1);
    const Var repeated = parameter(Matrix{{1}}), down = parameter(Matrix{{1, 1, 1}}), s = parameter(Matrix{{0, 0, 0}});
    const Tape tape;
    backward(add(sum(multiply(repeated, row)), sum(multiply(down, transpose(row)))));
    CHECK(repeated.gradient()(0, 0) == 1);
    CHECK(identical(down.gradient(), Matrix{{1, 1, 1}}));
    backward(sum(multiply(log_softmax_rows(s), row)));  // dy_j - p_j sum dy = 1 - 1/3 in the middle
    CHECK(s.gradient()(0, 1) == Approx(2.0 / 3));
}

TEST_CASE("operations: NaN propagates through every function, either side of minimum and maximum, every sum and softmax") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Matrix n{{nan}}, one{{1}}, number_and_nan{{0, nan}}, nan_and_number{{nan, 0}};
    for (const Var& result : {minimum(n, one),
                              minimum(one, n),
                              maximum(n, one),
                              maximum(one, n),
                              add(n, one),
                              multiply(n, Matrix{{0}}),
                              divide(one, n),
                              scale(n, 0),
                              shift(n, 1),
                              clamp(n, -1, 1),
                              exp(n),
                              log(n),
                              sqrt(n),
                              square(n),
                              abs(n),
                              tanh(n),
                              sigmoid(n),
                              softplus(n),
                              sum(number_and_nan),
                              mean(number_and_nan),
                              row_sums(nan_and_number)})
        CHECK_MESSAGE(std::isnan(result.value()[0]), result->operation);
    for (const Matrix& m : {number_and_nan, nan_and_number})
        for (const Var& result : {softmax_rows(m), log_softmax_rows(m)})
            for (const float x : result.value()) CHECK_MESSAGE(std::isnan(x), result->operation);
}

TEST_CASE("operations: loops run on several threads give the values and gradients of a few rows at a time") {
    Random random(8);
    const Matrix b = normal_matrix(random, 1100, 100);
    check_rows_alike("add", [&](const Var& x, int first) { return add(x, slice_rows(b, first, x.rows())); });
    check_rows_alike("subtract", [&](const Var& x, int first) { return subtract(slice_rows(b, first, x.rows()), x); });
    check_rows_alike("multiply", [&](const Var& x, int first) { return multiply(x, slice_rows(b, first, x.rows())); });
    check_rows_alike("maximum", [&](const Var& x, int first) { return maximum(x, slice_rows(b, first, x.rows())); });
    check_rows_alike("divide by a row", [&](const Var& x, int) { return divide(x, slice_rows(b, 0, 1)); });
    check_rows_alike("tanh", [](const Var& x, int) { return tanh(x); });
    check_rows_alike("softplus", [](const Var& x, int) { return softplus(x); });
    check_rows_alike("scale", [](const Var& x, int) { return scale(x, 3); });
    check_rows_alike("clamp", [](const Var& x, int) { return clamp(x, -0.5f, 1); });
    check_rows_alike("row_means", [](const Var& x, int) { return row_means(x); });
    check_rows_alike("softmax_rows", [](const Var& x, int) { return softmax_rows(x); });
    check_rows_alike("log_softmax_rows", [](const Var& x, int) { return log_softmax_rows(x); });
    check_rows_alike("matmul", [&](const Var& x, int) { return matmul(x, slice_rows(b, 0, 100)); });
}

TEST_CASE("softmax_rows: scores ln 1, ln 2, ln 5 become 1/8, 2/8, 5/8; a constant added to a row changes nothing") {
    const Matrix scores{{0, std::log(2.0f), std::log(5.0f)}};
    check_close("softmax", softmax_rows(scores).value(), Matrix{{0.125f, 0.25f, 0.625f}});
    check_close("shifted", softmax_rows(shift(scores, 500)).value(), Matrix{{0.125f, 0.25f, 0.625f}}, {1e-4f, 1e-4f});
    check_close("log", log_softmax_rows(scores).value(), Matrix{{std::log(0.125f), std::log(0.25f), std::log(0.625f)}});
}

TEST_CASE("softmax_rows: a score of minus infinity gets exactly 0; a row of minus infinities becomes zeros") {
    const float inf = std::numeric_limits<float>::infinity();
    const Matrix p = softmax_rows(Matrix{{0, -inf, 0}, {-inf, -inf, -inf}}).value();
    CHECK(identical(p, Matrix{{0.5f, 0, 0.5f}, {0, 0, 0}}));
}

TEST_CASE("softmax_rows: a NaN makes its row NaN, also where all other scores are minus infinity") {
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const Matrix p = softmax_rows(Matrix{{0, nan}, {-inf, nan}, {nan, nan}}).value();
    for (const float x : p) CHECK(std::isnan(x));
}

TEST_CASE("pick: takes one element of each row, and only that element gets a gradient") {
    const Var a = parameter(a23);
    const Tape tape;
    const Var picked = pick(a, {2, 1});
    CHECK(identical(picked.value(), Matrix{{3}, {4}}));
    backward(sum(picked));
    CHECK(identical(a.gradient(), Matrix{{0, 0, 1}, {0, 1, 0}}));
}

// One line for each operation: the function, and inputs away from its kinks.
TEST_CASE("operations: gradients agree with finite differences") {
    const std::vector<Matrix> two = {a23, b23};
    const std::vector<Matrix> positive = {{{0.5f, 2, 1.5f}, {3, 0.75f, 1}}};
    const std::vector<Matrix> with_row = {a23, {{2, -0.5f, 1}}}, with_column = {a23, {{2}, {-0.5f}}},
                              with_number = {a23, {{-1.5f}}};
    using Inputs = const std::vector<Var>&;
    for (const auto& inputs : {two, with_row, with_column, with_number}) {
        check_gradient_by_differences([](Inputs v) { return add(v[0], v[1]); }, inputs);
        check_gradient_by_differences([](Inputs v) { return subtract(v[0], v[1]); }, inputs);
        check_gradient_by_differences([](Inputs v) { return multiply(v[0], v[1]); }, inputs);
        check_gradient_by_differences([](Inputs v) { return divide(v[0], v[1]); }, inputs);
        check_gradient_by_differences([](Inputs v) { return divide(v[1], shift(v[0], 7)); }, inputs);
        check_gradient_by_differences([](Inputs v) { return minimum(v[0], shift(v[1], 0.125f)); }, inputs);
        check_gradient_by_differences([](Inputs v) { return maximum(v[0], shift(v[1], 0.125f)); }, inputs);
    }
    check_gradient_by_differences([](Inputs v) { return matmul(v[0], v[1]); }, {a23, {{1, 2}, {-1, 0.5f}, {0.25f, 3}}});
    check_gradient_by_differences([](Inputs v) { return matmul_transposed(v[0], v[1]); }, two);
    check_gradient_by_differences([](Inputs v) { return matmul(v[0], v[0]); }, {{{1, 2}, {-1, 0.5f}}});
    check_gradient_by_differences([](Inputs v) { return scale(v[0], -2.5f); }, {a23});
    check_gradient_by_differences([](Inputs v) { return shift(v[0], 3); }, {a23});
    check_gradient_by_differences([](Inputs v) { return exp(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return log(v[0]); }, positive);
    check_gradient_by_differences([](Inputs v) { return sqrt(v[0]); }, positive);
    check_gradient_by_differences([](Inputs v) { return square(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return abs(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return tanh(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return sigmoid(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return softplus(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return clamp(v[0], -1.5f, 2); }, {a23});
    check_gradient_by_differences([](Inputs v) { return sum(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return mean(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return row_sums(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return row_means(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return softmax_rows(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return log_softmax_rows(v[0]); }, {a23});
    check_gradient_by_differences([](Inputs v) { return pick(v[0], {2, 0}); }, {a23});
}

TEST_CASE("abs, clamp, minimum, maximum: the derivative at a kink is the documented one") {
    const Var zero = parameter(Matrix{{0}}), one = parameter(Matrix{{1}}), other = parameter(Matrix{{1}});
    const Tape tape;
    backward(add(add(abs(zero), clamp(one, -1, 1)), maximum(one, other)));
    CHECK(zero.gradient()(0, 0) == 0);    // |x| at 0
    CHECK(one.gradient()(0, 0) == 1.5f);  // 1 on the border of clamp, and half of the tie
    CHECK(other.gradient()(0, 0) == 0.5f);
}

TEST_CASE("operations: wrong shapes are refused with operation, both shapes and the caller's line") {
    const Matrix a(2, 3), b(4, 5);
    CHECK(without_place(error_of([&] { add(a, b); })) == "add: (2, 3) and (4, 5), where the sizes differ one of them must be 1");
    CHECK(without_place(error_of([&] { add(a, Matrix(2, 2)); })) ==
          "add: (2, 3) and (2, 2), where the sizes differ one of them must be 1");
    CHECK(without_place(error_of([&] { add(a, Matrix(3, 3)); })) ==
          "add: (2, 3) and (3, 3), where the sizes differ one of them must be 1");
    CHECK(without_place(error_of([&] { matmul(a, Var(b)); })) == "matmul: (2, 3) times (4, 5), the inner sizes differ");
    CHECK(error_of([&] { add(a, b); }).find("operations_test.cpp:") != std::string::npos);
    CHECK(without_place(error_of([&] { pick(a, {0}); })) == "pick: 1 columns for the rows of (2, 3), each needs one");
    CHECK(without_place(error_of([&] { pick(a, {0, 3}); })) == "pick: column 3 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { mean(Matrix()); })) == "mean: (0, 0) holds no numbers, it must hold at least 1");
    CHECK(without_place(error_of([&] { clamp(a, 2, 1); })).starts_with("clamp: the lower bound"));
}

TEST_CASE("stop: the value is unchanged, and no gradient flows back") {
    const Var x = parameter(Matrix{{3}});
    const Tape tape;
    backward(multiply(stop(x), x));  // 3 x, not x^2: the derivative is 3, not 6
    CHECK(identical(stop(x).value(), x.value()));
    CHECK(x.gradient()(0, 0) == 3);
    CHECK_FALSE(stop(x).requires_gradient());
}

TEST_CASE("straight_through: the value forward, the gradient to the path") {
    const Var value = parameter(Matrix{{1, 2}}), path = parameter(Matrix{{0.9f, 2.2f}});
    const Tape tape;
    const Var y = straight_through(value, path);
    CHECK(identical(y.value(), Matrix{{1, 2}}));
    backward(sum(multiply(y, y)));  // dy = 2 y = 2, 4, as if path had been 1, 2
    CHECK(identical(path.gradient(), Matrix{{2, 4}}));
    CHECK(value.gradient().empty());
    CHECK(without_place(error_of([] { straight_through(Matrix(1, 2), Matrix(2, 1)); })) ==
          "straight_through: a value of shape (1, 2) for a path of shape (2, 1), the shapes must be equal");
}

TEST_CASE("clamp, row_means, log_softmax_rows, pick: bounds in the wrong order, empty rows and columns below 0 are refused") {
    const Matrix a(2, 3), empty(2, 0);
    CHECK(without_place(error_of([&] { clamp(a, 2, 1); })) ==
          "clamp: the lower bound 2.000000 is above the upper bound 1.000000; exchange them");
    CHECK(identical(clamp(a, 1, 1).value(), Matrix(2, 3, 1)));
    CHECK(without_place(error_of([&] { row_means(empty); })) ==
          "row_means: (2, 0) has empty rows, each must hold at least 1 number");
    CHECK(identical(row_means(Matrix{{5}}).value(), Matrix{{5}}));
    CHECK(without_place(error_of([&] { log_softmax_rows(empty); })) ==
          "log_softmax_rows: (2, 0) has empty rows, each must hold at least 1 number");
    CHECK(identical(log_softmax_rows(Matrix{{5}}).value(), Matrix{{0}}));
    CHECK(without_place(error_of([&] { pick(a, {0, -1}); })) == "pick: column -1 of (2, 3), counted from 0");
    CHECK(identical(pick(a, {0, 2}).value(), Matrix(2, 1)));
}

TEST_SUITE_END();
