#include "nn/layers/linear.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("linear");

TEST_CASE("linear: x W + b by hand") {
    const Linear w{.weight = Matrix{{1, 0, 2}, {0, 1, 3}}, .bias = Matrix{{10, 20, 30}}};  // (in 2, out 3)
    CHECK(identical(linear(Matrix{{1, 2}, {3, 4}}, w).value(), Matrix{{11, 22, 38}, {13, 24, 48}}));
    const Linear no_bias{.weight = w.weight, .bias = {}};
    CHECK(identical(linear(Matrix{{1, 2}}, no_bias).value(), Matrix{{1, 2, 8}}));
}

TEST_CASE("linear: gradients of input, weight and bias agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    check_gradient_by_differences([](Inputs v) { return linear(v[0], {.weight = v[1], .bias = v[2]}); },
                                  {Matrix{{1, 2}, {-3, 4}, {0.5f, -1}}, Matrix{{1, 0.5f, 2}, {-1, 1, 3}}, Matrix{{10, 20, 30}}});
    check_gradient_by_differences([](Inputs v) { return linear(v[0], {.weight = v[1], .bias = {}}); },
                                  {Matrix{{1, 2}}, Matrix{{1}, {2}}});
}

TEST_CASE("make_linear: weights within two standard deviations of 0, bias 0") {
    Random random(1);
    const Linear w = make_linear(random, 40, 50, {.stddev = 0.02f});
    double sum_of_squares = 0;
    for (const float x : w.weight.value()) {
        CHECK(std::abs(x) <= 0.04f);
        sum_of_squares += x * x;
    }
    // a normal distribution truncated at two standard deviations keeps 0.880 of its standard deviation
    CHECK(std::sqrt(sum_of_squares / 2000) / (0.02 * 0.880) == Approx(1).epsilon(0.02));
    CHECK(identical(w.bias.value(), Matrix(1, 50)));
    CHECK_FALSE(make_linear_without_bias(random, 2, 3).bias);
}

TEST_CASE("add_parameters: weight and bias with their published names and shapes, transposed or as they are") {
    Random random(1);
    const Linear w = make_linear(random, 4, 6);
    Parameters table;
    add_parameters(table, "dense", w);
    add_parameters(table, "conv1d", w, Stored::as_it_is);
    add_parameters(table, "projection", make_linear_without_bias(random, 4, 6));
    REQUIRE(table.size() == 5);
    CHECK(table[0].name == "dense.weight");
    CHECK(table[0].shape == std::vector<long>{6, 4});
    CHECK(table[1].name == "dense.bias");
    CHECK(table[1].shape == std::vector<long>{6});
    CHECK(table[2].name == "conv1d.weight");
    CHECK(table[2].shape == std::vector<long>{4, 6});
    CHECK(table[4].name == "projection.weight");
}

TEST_CASE("linear: wrong shapes are refused with both") {
    const Linear w{.weight = Matrix(2, 3), .bias = Matrix(1, 4)};
    CHECK(without_place(error_of([&] { linear(Matrix(5, 3), w); })) ==
          "linear: an input of shape (5, 3) meets a weight of shape (2, 3), the inner sizes differ");
    CHECK(without_place(error_of([&] { linear(Matrix(5, 2), w); })) == "linear: a bias of shape (1, 4) for an output of width 3");
    CHECK(without_place(error_of([] { linear(Matrix(5, 2), {.weight = Matrix(2, 3), .bias = Matrix(2, 3)}); })) ==
          "linear: a bias of shape (2, 3) for an output of width 3");
}

TEST_CASE("make_weight: Xavier's uniform distribution reaches +-sqrt(6 / (in + out)), with the full width of a fused matrix") {
    Random random(1);
    const Matrix w = make_weight(random, 20, 30, {.draw = Draw::xavier_uniform}).value();
    const float bound = std::sqrt(6.0f / 50);
    CHECK(*std::max_element(w.begin(), w.end()) < bound);
    CHECK(*std::max_element(w.begin(), w.end()) > 0.98f * bound);
    const Matrix fused = make_weight(random, 20, 30, {.draw = Draw::xavier_uniform}, 90).value();
    CHECK(*std::max_element(fused.begin(), fused.end()) < std::sqrt(6.0f / 110));
    const Matrix narrow = make_weight(random, 20, 30, {.draw = Draw::xavier_uniform}, 1).value();
    CHECK(*std::max_element(narrow.begin(), narrow.end()) > 0.98f * std::sqrt(6.0f / 21));
}

TEST_CASE("make_weight: the normal distribution is not truncated, and a standard deviation of 0 gives zeros") {
    Random random(1);
    const Matrix w = make_weight(random, 100, 100, {.draw = Draw::normal, .stddev = 1}).value();
    CHECK(*std::max_element(w.begin(), w.end()) > 2.5f);
    CHECK(identical(make_weight(random, 3, 4, {.stddev = 0}).value(), Matrix(3, 4)));
}

TEST_CASE("make_weight: empty matrices and standard deviations that are negative or NaN are refused") {
    Random random(1);
    CHECK_THROWS_WITH(make_weight(random, 0, 3), "make_weight: a matrix from 0 to 3 features, both must be at least 1");
    CHECK_THROWS_WITH(make_weight(random, 3, 0), "make_weight: a matrix from 3 to 0 features, both must be at least 1");
    CHECK(shape(make_weight(random, 1, 1).value()) == "(1, 1)");
    CHECK_THROWS_WITH(make_weight(random, 2, 3, {.stddev = -1}),
                      "make_weight: a standard deviation of -1.000000, it must be finite and at least 0; 0.02 is usual");
}

TEST_CASE("Init: the defaults") {
    const Init usual{};
    CHECK(usual.draw == Draw::truncated_normal);
    CHECK(usual.stddev == 0.02f);
    CHECK(usual.residual == 1);
}

TEST_CASE("make_weight: a fan-out below 0 is refused, 0 is the number of outputs") {
    Random random(1), same(1);
    CHECK_THROWS_WITH(make_weight(random, 2, 3, {.draw = Draw::xavier_uniform}, -1),
                      "make_weight: a fan-out of -1, it cannot be below 0; 0 = the number of outputs");
    CHECK(identical(make_weight(random, 2, 3, {.draw = Draw::xavier_uniform}, 0).value(),
                    make_weight(same, 2, 3, {.draw = Draw::xavier_uniform}, 3).value()));
}

TEST_SUITE_END();
