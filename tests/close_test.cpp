// close_test.cpp: tests of the comparison. One that accepted everything would make every parity test pass.
#include "tests/close.h"

#include <limits>
#include <utility>

static const float infinity = std::numeric_limits<float>::infinity();
static const float nan_value = std::numeric_limits<float>::quiet_NaN();

TEST_SUITE_BEGIN("close");

TEST_CASE("agrees: within 1e-5 + 1e-4 |golden|") {
    CHECK(agrees(0.0000099f, 0));
    CHECK_FALSE(agrees(0.0000101f, 0));
    CHECK(agrees(1000.09f, 1000));  // 0.1 and a little is allowed
    CHECK_FALSE(agrees(1000.11f, 1000));
    CHECK(agrees(-1000.09f, -1000));
    CHECK_FALSE(agrees(1, -1));
    CHECK(agrees(1.05f, 1, {0.1f, 0}));
    CHECK_FALSE(agrees(1.05f, 1, {0.01f, 0}));
}

TEST_CASE("agrees: NaN agrees with nothing, an infinity only with itself") {
    CHECK_FALSE(agrees(nan_value, nan_value));
    CHECK_FALSE(agrees(nan_value, 1));
    CHECK_FALSE(agrees(1, nan_value));
    CHECK(agrees(-infinity, -infinity));
    CHECK_FALSE(agrees(infinity, -infinity));
    CHECK_FALSE(agrees(3, infinity));
    CHECK_FALSE(agrees(infinity, 3));
}

TEST_CASE("difference: names the first element, both values, how many differ and where they differ most") {
    const Matrix golden{{1, 2, 3}, {4, 5, 6}};
    CHECK(difference(golden, golden) == "");
    CHECK(difference(Matrix{{1, 2, 3.5f}, {4, 7, 6}}, golden) ==
          "element (0, 2) of (2, 3): ours 3.5, golden 3; 2 of 6 differ, the most by 2 at (1, 1)");
    CHECK(difference(Matrix{{1, 2, 3}, {4, nan_value, 6}}, golden) ==
          "element (1, 1) of (2, 3): ours nan, golden 5; 1 of 6 differ");
    CHECK(difference(Matrix(3, 2), golden) == "ours is (3, 2), golden (2, 3)");
    CHECK(difference(Matrix(6, 1), golden) == "ours is (6, 1), golden (2, 3)");
}

static void square_backward(Record& record) {
    Matrix share = record.gradient;
    for (std::size_t k = 0; k < share.size(); ++k) share[k] *= 2 * record.inputs[0].value()[k];
    add_gradient(record.inputs[0], std::move(share));
}
static Var squared(const std::vector<Var>& inputs) {
    Matrix value = inputs[0].value();
    for (float& x : value) x *= x;
    return record_operation("squared", std::move(value), {inputs[0]}, square_backward, Where::current());
}

TEST_CASE("check_gradient_by_differences: accepts the derivative of a square") {
    check_gradient_by_differences(squared, {Matrix{{1, -2, 0.5f}, {3, 0, 1}}});
}

static void wrong_backward(Record& record) { add_gradient(record.inputs[0], record.gradient); }
static Var wrongly_squared(const std::vector<Var>& inputs) {
    Matrix value = inputs[0].value();
    for (float& x : value) x *= x;
    return record_operation("wrongly_squared", std::move(value), {inputs[0]}, wrong_backward, Where::current());
}

// The first input plus the second, with the gradient of the second missing.
static void half_backward(Record& record) { add_gradient(record.inputs[0], record.gradient); }
static Var not_differentiated(const std::vector<Var>& inputs) {
    Matrix value = inputs[0].value();
    add_to(value, inputs[1].value());
    return record_operation("not_differentiated", std::move(value), {inputs[0], inputs[1]}, half_backward, Where::current());
}

TEST_CASE("gradient_difference: finds a wrong derivative and a missing one") {
    CHECK(gradient_difference(wrongly_squared, {Matrix{{1, -2}}})
              .starts_with("gradient of input 0 (golden: slope by differences): "));
    CHECK(gradient_difference(not_differentiated, {Matrix{{1}}, Matrix{{2}}}).starts_with("gradient of input 1 "));
}

TEST_SUITE_END();
