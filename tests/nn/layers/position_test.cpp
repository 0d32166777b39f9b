#include "nn/layers/position.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/matmul.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("position");

TEST_CASE("sine_cosine_positions: width 4 has the frequencies 1 and 1/100") {
    const Matrix p = sine_cosine_positions(3, 4);
    check_close("row 0", slice_rows(p, 0, 1), Matrix{{0, 1, 0, 1}});
    check_close("row 2", slice_rows(p, 2, 1), Matrix{{std::sin(2.0f), std::cos(2.0f), std::sin(0.02f), std::cos(0.02f)}});
}

TEST_CASE("sine_cosine_positions: the dot product of two positions depends only on their distance") {
    const Matrix p = sine_cosine_positions(20, 16);
    const Matrix products = matmul_transposed(p, p);  // (20, 20)
    CHECK(products(2, 5) == Approx(products(11, 14)));
    CHECK(products(2, 5) != Approx(products(2, 6)));
}

TEST_CASE("sine_cosine_grid: the column comes first, then the row; width 8 has the frequencies 1 and 1/100") {
    const Matrix p = sine_cosine_grid(2, 3, 8);
    REQUIRE(shape(p) == "(6, 8)");
    // patch 5 lies in row 1, column 2
    check_close("patch 5", slice_rows(p, 5, 1),
                Matrix{{std::sin(2.0f), std::sin(0.02f), std::cos(2.0f), std::cos(0.02f), std::sin(1.0f), std::sin(0.01f),
                        std::cos(1.0f), std::cos(0.01f)}});
}

TEST_CASE("sine_cosine_positions, sine_cosine_grid: impossible sizes are refused") {
    CHECK_THROWS_WITH(
        sine_cosine_positions(3, 5),
        "sine_cosine_positions: 3 positions of width 5; the width must be even and at least 2, as it is made of pairs");
    CHECK_THROWS_WITH(sine_cosine_grid(2, 3, 6),
                      "sine_cosine_grid: 2 x 3 positions of width 6; the width must be a multiple of 4");
    CHECK_THROWS_WITH(sine_cosine_grid(2, 3, 0),
                      "sine_cosine_grid: 2 x 3 positions of width 0; the width must be a multiple of 4");
    CHECK_THROWS_WITH(sine_cosine_grid(-1, 2, 4),
                      "sine_cosine_grid: -1 x 2 positions of width 4; the width must be a multiple of 4");
    CHECK_THROWS_WITH(sine_cosine_grid(2, -1, 4),
                      "sine_cosine_grid: 2 x -1 positions of width 4; the width must be a multiple of 4");
    CHECK(sine_cosine_grid(0, 2, 4).rows == 0);
    CHECK(sine_cosine_grid(2, 0, 4).rows == 0);
    CHECK(sine_cosine_grid(2, 1, 4).rows == 2);
    CHECK(sine_cosine_positions(0, 2).rows == 0);
}

TEST_CASE("sine_code: the same waves interleaved, or sines before cosines") {
    // width 4: w = 1 and 10000^(-1/2) = 0.01
    const Matrix interleaved{{std::sin(2.0f), std::cos(2.0f), std::sin(0.02f), std::cos(0.02f)}};
    const Matrix halves{{std::sin(2.0f), std::sin(0.02f), std::cos(2.0f), std::cos(0.02f)}};
    check_close("interleaved", sine_code({2}, 4, SineOrder::interleaved), interleaved);
    check_close("halves", sine_code({2}, 4, SineOrder::halves), halves);
    check_close("base 4: w = 1 and 1/2", sine_code({1}, 4, SineOrder::halves, 4),
                Matrix{{std::sin(1.0f), std::sin(0.5f), std::cos(1.0f), std::cos(0.5f)}});
    check_close("base 1/4: w = 1 and 2", sine_code({1}, 4, SineOrder::halves, 0.25),
                Matrix{{std::sin(1.0f), std::sin(2.0f), std::cos(1.0f), std::cos(2.0f)}});
    CHECK_THROWS_WITH(sine_code({1}, 3, SineOrder::halves),
                      "sine_code: a width of 3 is not made of pairs of a sine and a cosine; an even one is");
}

TEST_CASE("rotate: (1, 0) at position 1 becomes (cos 1, sin 1), in either layout of the pairs") {
    const float c = std::cos(1.0f), s = std::sin(1.0f);
    // width 4: the second pair rotates by 10000^(-2/4) = 0.01
    const float c2 = std::cos(0.01f), s2 = std::sin(0.01f);
    check_close("halves", rotate(Matrix{{1, 1, 0, 0}}, {1}, 4, 10000).value(), Matrix{{c, c2, s, s2}});
    check_close("neighbours", rotate(Matrix{{1, 0, 1, 0}}, {1}, 4, 10000, RotaryLayout::neighbours).value(),
                Matrix{{c, s, c2, s2}});
    check_close("base 1: the same angle", rotate(Matrix{{1, 1, 0, 0}}, {1}, 4, 1).value(), Matrix{{c, c, s, s}});
    check_close("position 0 stays", rotate(Matrix{{1, 2, 3, 4}}, {0}, 4, 10000).value(), Matrix{{1, 2, 3, 4}});
    check_close("every head", rotate(Matrix{{1, 0, 0, 1}}, {1}, 2, 10000).value(), Matrix{{c, s, -s, c}});
}

TEST_CASE("rotate: the dot product of two rotated vectors depends only on the difference of their positions") {
    Random random(1);
    const Matrix q = normal_matrix(random, 1, 6), k = normal_matrix(random, 1, 6);
    for (const RotaryLayout layout : {RotaryLayout::halves, RotaryLayout::neighbours}) {
        const auto product = [&](int at_q, int at_k) {
            return matmul_transposed(rotate(q, {at_q}, 6, 10000, layout), rotate(k, {at_k}, 6, 10000, layout)).value()[0];
        };
        CHECK(product(9, 5) == Approx(product(4, 0)).epsilon(1e-4));
        CHECK(std::abs(product(9, 5) - product(5, 5)) > 1e-2f);
    }
}

TEST_CASE("rotate: gradients agree with finite differences; wrong arguments are refused") {
    using Inputs = const std::vector<Var>&;
    Random random(2);
    check_gradient_by_differences([](Inputs x) { return rotate(x[0], {3, 1}, 4, 100); }, {normal_matrix(random, 2, 8)});
    check_gradient_by_differences(
        [](Inputs x) {
            return rotate(x[0], {3, 1}, 4, 100, RotaryLayout::neighbours);
        },
        {normal_matrix(random, 2, 8)});
    CHECK(without_place(error_of([] {
              rotate(Matrix(2, 6), {0, 1}, 3, 100);
          })) == "rotate: heads of width 3 in an input of shape (2, 6); heads must be even and fill the width");
    CHECK(without_place(error_of([] {
              rotate(Matrix(2, 6), {0, 1}, 4, 100);
          })) == "rotate: heads of width 4 in an input of shape (2, 6); heads must be even and fill the width");
    CHECK(without_place(error_of([] {
              rotate(Matrix(2, 6), {0, 1}, 0, 100);
          })) == "rotate: heads of width 0 in an input of shape (2, 6); heads must be even and fill the width");
    CHECK(without_place(error_of([] { rotate(Matrix(2, 6), {0}, 2, 100); })) ==
          "rotate: 1 positions for the rows of (2, 6), each needs one");
}

TEST_CASE("sine_code, rotate: a base that is not above 0 is refused") {
    CHECK_THROWS_WITH(sine_code({1}, 4, SineOrder::halves, INFINITY),
                      "sine_code: a base of inf, it must be a number above 0; 10000 is usual");
    CHECK(without_place(error_of([] { rotate(Matrix(1, 2), {0}, 2, INFINITY); })) ==
          "rotate: a base of inf, it must be a number above 0; 10000 is usual");
    CHECK_THROWS_WITH(sine_code({1}, 4, SineOrder::halves, 0),
                      "sine_code: a base of 0.000000, it must be a number above 0; 10000 is usual");
    CHECK(without_place(error_of([] { rotate(Matrix(1, 4, 1), {1}, 4, -5); })) ==
          "rotate: a base of -5.000000, it must be a number above 0; 10000 is usual");
    CHECK(without_place(error_of([] { rotate(Matrix(1, 4, 1), {1}, 4, 0); })) ==
          "rotate: a base of 0.000000, it must be a number above 0; 10000 is usual");
    CHECK(without_place(error_of([] { rotate(Matrix(1, 4, 1), {1}, 4, std::nanf("")); })) ==
          "rotate: a base of nan, it must be a number above 0; 10000 is usual");
}

TEST_CASE("sine_code: a coordinate that is not a number is named") {
    CHECK_THROWS_WITH(sine_code({0, NAN}, 4, SineOrder::halves), "sine_code: coordinate 1 is nan, all must be finite");
    CHECK_THROWS_WITH(sine_code({INFINITY}, 4, SineOrder::halves), "sine_code: coordinate 0 is inf, all must be finite");
}

TEST_CASE("Rotary: the defaults") {
    const Rotary usual{};
    CHECK(usual.base == 0);
    CHECK(usual.layout == RotaryLayout::halves);
}

TEST_CASE("sine_cosine_grid: more positions than a matrix has rows are refused") {
    CHECK_THROWS_WITH(sine_cosine_grid(2, 1'073'741'824, 4),
                      "sine_cosine_grid: 2 x 1073741824 positions are more than the 2147483647 rows of a matrix");
}

TEST_SUITE_END();
