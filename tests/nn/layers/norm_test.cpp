#include "nn/layers/norm.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("norm");

TEST_CASE("layer norm by hand: 1, 3, 5 has mean 3 and variance 8/3 (divided by 3, not by 2)") {
    const LayerNorm plain = make_layer_norm(3);
    const float x = 2 / std::sqrt(8.0f / 3);
    check_close("no eps", layer_norm(Matrix{{1, 3, 5}}, plain, 0).value(), Matrix{{-x, 0, x}});
    const LayerNorm with{.gain = Matrix{{2, 3, 4}}, .bias = Matrix{{10, 20, 30}}};
    check_close("gain and bias", layer_norm(Matrix{{1, 3, 5}}, with, 0).value(), Matrix{{10 - 2 * x, 20, 30 + 4 * x}});
}

TEST_CASE("eps stands inside the root: with eps 4/3 the deviation is sqrt(8/3 + 4/3) = 2") {
    check_close("eps", layer_norm(Matrix{{1, 3, 5}}, make_layer_norm(3), 4.0f / 3).value(), Matrix{{-1, 0, 1}});
}

TEST_CASE("every token is normalised by itself, and a constant token becomes the bias") {
    const LayerNorm w{.gain = Matrix{{2, 3}}, .bias = Matrix{{10, 20}}};
    const Matrix y = layer_norm(Matrix{{7, 7}, {1, 3}, {100, 300}}, w, 0.0f + 1e-12f).value();
    check_close("tokens", y, Matrix{{10, 20}, {8, 23}, {8, 23}});
}

TEST_CASE("moving or stretching a token changes nothing") {
    const LayerNorm w = make_layer_norm(4);
    const Matrix x{{1, -2, 3, 0.5f}};
    const Matrix y = layer_norm(x, w, 1e-12f).value();
    check_close("moved", layer_norm(shift(x, 50), w, 1e-12f).value(), y, {2e-5f, 1e-4f});
    check_close("stretched", layer_norm(scale(x, 9), w, 1e-12f).value(), y);
}

TEST_CASE("gradients against differences, of input, gain and bias") {
    using Inputs = const std::vector<Var>&;
    const Matrix x{{1, -2, 3, 0.5f}, {0.25f, 1, -1, 2}}, gain{{1, 2, -1, 0.5f}}, bias{{0, 1, 2, 3}};
    check_gradient_by_differences([](Inputs v) { return layer_norm(v[0], {.gain = v[1], .bias = v[2]}, 0.1f); }, {x, gain, bias});
}

TEST_CASE("wrong widths are refused") {
    CHECK(without_place(error_of([] { layer_norm(Matrix(2, 3), make_layer_norm(4), 0); })) ==
          "layer_norm: an input of shape (2, 3) meets a gain of shape (1, 4) and a bias of shape (1, 4)");
}

TEST_SUITE_END();
