#include "nn/layers/norm.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("norm");

TEST_CASE("layer_norm: 1, 3, 5 has mean 3 and variance 8/3 (divided by 3, not by 2)") {
    const Norm plain = make_layer_norm(3);
    const float x = 2 / std::sqrt(8.0f / 3);
    check_close("no eps", layer_norm(Matrix{{1, 3, 5}}, plain, 0).value(), Matrix{{-x, 0, x}});
    const Norm with{.gain = Matrix{{2, 3, 4}}, .bias = Matrix{{10, 20, 30}}};
    check_close("gain and bias", layer_norm(Matrix{{1, 3, 5}}, with, 0).value(), Matrix{{10 - 2 * x, 20, 30 + 4 * x}});
}

TEST_CASE("layer_norm: eps is inside the root: with eps 4/3 the standard deviation is sqrt(8/3 + 4/3) = 2") {
    check_close("eps", layer_norm(Matrix{{1, 3, 5}}, make_layer_norm(3), 4.0f / 3).value(), Matrix{{-1, 0, 1}});
}

TEST_CASE("layer_norm: every token is normalised by itself, and a constant token becomes the bias") {
    const Norm w{.gain = Matrix{{2, 3}}, .bias = Matrix{{10, 20}}};
    const Matrix y = layer_norm(Matrix{{7, 7}, {1, 3}, {100, 300}}, w, 0.0f + 1e-12f).value();
    check_close("tokens", y, Matrix{{10, 20}, {8, 23}, {8, 23}});
}

TEST_CASE("layer_norm, rms_norm: a single feature is its own mean, so its norm is the bias; rms_norm keeps its sign") {
    const Norm w{.gain = Matrix{{3}}, .bias = Matrix{{10}}};
    CHECK(identical(layer_norm(Matrix{{7}, {-2}}, w, 1e-5f).value(), Matrix{{10}, {10}}));
    check_close("rms_norm", rms_norm(Matrix{{7}, {-2}}, w, 0).value(), Matrix{{13}, {7}});
}

TEST_CASE("layer_norm: shifting or scaling a token changes nothing") {
    const Norm w = make_layer_norm(4);
    const Matrix x{{1, -2, 3, 0.5f}};
    const Matrix y = layer_norm(x, w, 1e-12f).value();
    check_close("moved", layer_norm(shift(x, 50), w, 1e-12f).value(), y, {2e-5f, 1e-4f});
    check_close("stretched", layer_norm(scale(x, 9), w, 1e-12f).value(), y);
}

TEST_CASE("layer_norm: gradients of input, gain and bias agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    const Matrix x{{1, -2, 3, 0.5f}, {0.25f, 1, -1, 2}}, gain{{1, 2, -1, 0.5f}}, bias{{0, 1, 2, 3}};
    check_gradient_by_differences([](Inputs v) { return layer_norm(v[0], {.gain = v[1], .bias = v[2]}, 0.1f); }, {x, gain, bias});
}

TEST_CASE("layer_norm: loops on several threads equal a few rows at a time") {
    Random random(4);
    const Norm w{.gain = normal_matrix(random, 1, 100), .bias = normal_matrix(random, 1, 100)};
    check_rows_alike("layer_norm", [&](const Var& x, int) { return layer_norm(x, w, 1e-5f); });
    check_rows_alike("rms_norm", [&](const Var& x, int) { return rms_norm(x, w, 1e-5f); });
    check_rows_alike("unit_rows", [](const Var& x, int) { return unit_rows(x); });
}

TEST_CASE("layer_norm: wrong widths are refused") {
    CHECK(without_place(error_of([] { layer_norm(Matrix(2, 3), make_layer_norm(4), 0); })) ==
          "layer_norm: an input of shape (2, 3) meets a gain of shape (1, 4), it should be (1, 3)");
    CHECK(without_place(error_of([] { layer_norm(Matrix(2, 3), {.gain = Matrix(2, 3), .bias = {}}, 0); })) ==
          "layer_norm: an input of shape (2, 3) meets a gain of shape (2, 3), it should be (1, 3)");
    CHECK(without_place(error_of([] { rms_norm(Matrix(2, 3), {.gain = {}, .bias = Matrix(1, 2)}, 0); })) ==
          "rms_norm: an input of shape (2, 3) meets a bias of shape (1, 2), it should be (1, 3)");
    CHECK(without_place(error_of([] { layer_norm(Matrix(2, 3), {}, -1); })) ==
          "layer_norm: eps is -1.000000, it is under a root, and must be finite and not below 0; 1e-5 is usual");
}

TEST_CASE("layer_norm, rms_norm: an eps that is not finite is refused, 0 is allowed") {
    for (const float eps : {NAN, INFINITY}) {
        CHECK(error_of([&] { layer_norm(Matrix(1, 2, 1), {}, eps); }).find("layer_norm: eps is ") != std::string::npos);
        CHECK(error_of([&] { rms_norm(Matrix(1, 2, 1), {}, eps); }).find("rms_norm: eps is ") != std::string::npos);
    }
    CHECK(rms_norm(Matrix(1, 2, 3), {}, 0).value()[0] == Approx(1));
}

TEST_CASE("rms_norm: divides by the root of the mean square, without subtracting the mean") {
    // (1 + 49) / 2 = 25: [1, 7] / 5; with eps 11 in the root: / 6
    check_close("no eps", rms_norm(Matrix{{1, 7}}, make_rms_norm(2), 0).value(), Matrix{{0.2f, 1.4f}});
    check_close("eps", rms_norm(Matrix{{1, 7}}, make_rms_norm(2), 11).value(), Matrix{{1 / 6.0f, 7 / 6.0f}});
    check_close("gain", rms_norm(Matrix{{1, 7}}, {.gain = Matrix{{10, 1}}, .bias = {}}, 0).value(), Matrix{{2, 1.4f}});
    CHECK(!make_rms_norm(2).bias);
}

TEST_CASE("normalise: an absent gain is 1, an absent bias is 0") {
    const Matrix x{{1, -2, 3, 0.5f}, {0.25f, 1, -1, 2}};
    check_close("layer", layer_norm(x, {}, 0.1f).value(), layer_norm(x, make_layer_norm(4), 0.1f).value());
    const Norm only_bias{.gain = {}, .bias = Matrix{{1, 2, 3, 4}}};
    check_close("bias", layer_norm(x, only_bias, 0.1f).value(),
                layer_norm(x, {.gain = Matrix(1, 4, 1), .bias = only_bias.bias}, 0.1f).value());
}

TEST_CASE("normalise: gradients agree with finite differences, with and without gain and bias, for both kinds") {
    using Inputs = const std::vector<Var>&;
    const Matrix x{{1, -2, 3, 0.5f}, {0.25f, 1, -1, 2}}, gain{{1, 2, -1, 0.5f}}, bias{{0, 1, 2, 3}};
    check_gradient_by_differences([](Inputs v) { return layer_norm(v[0], {}, 0.1f); }, {x});
    check_gradient_by_differences([](Inputs v) { return rms_norm(v[0], {}, 0.1f); }, {x});
    check_gradient_by_differences([](Inputs v) { return rms_norm(v[0], {.gain = v[1], .bias = {}}, 0.1f); }, {x, gain});
    check_gradient_by_differences([](Inputs v) { return rms_norm(v[0], {.gain = v[1], .bias = v[2]}, 0.1f); }, {x, gain, bias});
}

TEST_CASE("unit_rows: every row gets norm 1, and one shorter than eps is divided by eps") {
    check_close("unit", unit_rows(Matrix{{3, 4}, {0, -2}}).value(), Matrix{{0.6f, 0.8f}, {0, -1}});
    check_close("no least divisor", unit_rows(Matrix{{3, 4}, {0, -2}}, 0).value(), Matrix{{0.6f, 0.8f}, {0, -1}});
    check_close("short", unit_rows(Matrix{{3, 4}, {0, 0}}, 10).value(), Matrix{{0.3f, 0.4f}, {0, 0}});
    using Inputs = const std::vector<Var>&;
    check_gradient_by_differences([](Inputs v) { return unit_rows(v[0]); }, {Matrix{{1, -2, 3}, {0.5f, 0.25f, 0.5f}}});
    check_gradient_by_differences([](Inputs v) { return unit_rows(v[0], 10); }, {Matrix{{1, -2, 3}, {0.5f, 1, 0.25f}}});
    const Var zero = parameter(Matrix(1, 2)), border = parameter(Matrix{{3, 4}});
    const Tape tape;
    backward(sum(multiply(unit_rows(border, 5), Matrix{{1, 0}})));  // y = (0.6, 0.8), dx = (dy - 0.6 y) / 5
    check_close("gradient of a row as long as eps", border.gradient(), Matrix{{0.128f, -0.096f}});
    backward(sum(unit_rows(zero, 0.5f)));
    check_close("gradient of a row of zeros", zero.gradient(), Matrix{{2, 2}});
}

TEST_CASE("unit_rows: a negative eps is refused") {
    CHECK(without_place(error_of([] { unit_rows(Matrix(1, 2, 1), -1); })) ==
          "unit_rows: eps is -1.000000, it is the least divisor, and must be finite and not below 0; 1e-12 is usual");
}

TEST_CASE("unit_rows: an eps that is not finite is refused") {
    for (const float eps : {NAN, INFINITY})
        CHECK(error_of([&] { unit_rows(Matrix(1, 2, 1), eps); }).find("it is the least divisor, and must be finite") !=
              std::string::npos);
}

TEST_CASE("make_layer_norm, make_rms_norm: a width below 1 is refused") {
    CHECK(error_of([] { make_layer_norm(1); }).empty());
    CHECK(error_of([] { make_layer_norm(0); }) == "make_layer_norm: a width of 0, it must be at least 1");
    CHECK(error_of([] { make_rms_norm(-1); }) == "make_rms_norm: a width of -1, it must be at least 1");
}

TEST_SUITE_END();
