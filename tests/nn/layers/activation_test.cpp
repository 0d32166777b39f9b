#include "nn/layers/activation.h"

#include <cmath>

#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("activation");

static float value(Activation activation, float x) { return activate(Matrix{{x}}, activation).value()(0, 0); }

TEST_CASE("activate: each function equals its formula, computed in double with the standard library") {
    for (double x = -6; x <= 6; x += 0.37) {
        const float f = static_cast<float>(x);
        const double u = std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x);
        CHECK(
            agrees(value(Activation::gelu, f), static_cast<float>(0.5 * x * (1 + std::erf(x / std::sqrt(2.0)))), {1e-6f, 1e-5f}));
        CHECK(agrees(value(Activation::gelu_tanh, f), static_cast<float>(0.5 * x * (1 + std::tanh(u))), {1e-6f, 1e-5f}));
        CHECK(agrees(value(Activation::gelu_quick, f), static_cast<float>(x / (1 + std::exp(-1.702 * x))), {1e-6f, 1e-5f}));
        CHECK(agrees(value(Activation::silu, f), static_cast<float>(x / (1 + std::exp(-x))), {1e-6f, 1e-5f}));
        CHECK(value(Activation::relu, f) == (x > 0 ? f : 0));
    }
}

TEST_CASE("activate: the exact and the tanh form of GELU differ by more than the tolerance of our comparisons") {
    CHECK(value(Activation::gelu, 2) == Approx(1.9544997).epsilon(1e-6));
    CHECK(value(Activation::gelu_tanh, 2) == Approx(1.9545977).epsilon(1e-6));
    CHECK(difference(Matrix{{value(Activation::gelu_tanh, 2.4f)}}, Matrix{{value(Activation::gelu, 2.4f)}}) != "");
    CHECK(difference(Matrix{{value(Activation::gelu_quick, 2.4f)}}, Matrix{{value(Activation::gelu, 2.4f)}}) != "");
}

TEST_CASE("activate: for large |x| every function is 0 or x, never NaN") {
    for (const Activation activation :
         {Activation::gelu, Activation::gelu_tanh, Activation::gelu_quick, Activation::relu, Activation::silu}) {
        CHECK(value(activation, 200) == 200);
        CHECK(std::abs(value(activation, -200)) < 1e-30f);
        CHECK(value(activation, 0) == 0);
    }
}

TEST_CASE("activate: gradients agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    const Matrix x{{-3, -1, -0.25f, 0.125f, 0.75f, 1.5f, 4}};
    check_gradient_by_differences([](Inputs v) { return activate(v[0], Activation::gelu); }, {x});
    check_gradient_by_differences([](Inputs v) { return activate(v[0], Activation::gelu_tanh); }, {x});
    check_gradient_by_differences([](Inputs v) { return activate(v[0], Activation::gelu_quick); }, {x});
    check_gradient_by_differences([](Inputs v) { return activate(v[0], Activation::relu); }, {x});
    check_gradient_by_differences([](Inputs v) { return activate(v[0], Activation::silu); }, {x});
    const Var zero = parameter(Matrix(1, 1));
    const Tape tape;
    backward(activate(zero, Activation::relu));
    CHECK(zero.gradient()[0] == 0);  // at its corner, as in PyTorch
}

TEST_CASE("activate: NaN stays NaN, and loops on several threads equal a few rows at a time") {
    for (const Activation activation :
         {Activation::gelu, Activation::gelu_tanh, Activation::gelu_quick, Activation::relu, Activation::silu}) {
        CHECK(std::isnan(value(activation, NAN)));
        check_rows_alike("activation", [=](const Var& x, int) { return activate(x, activation); });
    }
}

TEST_CASE("activation_of_name: the names in configuration files") {
    CHECK(activation_of_name("gelu") == Activation::gelu);
    CHECK(activation_of_name("gelu_new") == Activation::gelu_tanh);
    CHECK(activation_of_name("quick_gelu") == Activation::gelu_quick);
    CHECK(activation_of_name("relu") == Activation::relu);
    CHECK(activation_of_name("swish") == Activation::silu);
    CHECK(error_of([] { activation_of_name("mish"); }).starts_with("activation_of_name: 'mish' is not one of gelu, "));
}

TEST_CASE("activate, activation_of_name: an activation that does not exist is refused; every published name is known") {
    CHECK(without_place(error_of([] { activate(Matrix(1, 1), static_cast<Activation>(99)); })) ==
          "activate: there is no activation number 99");
    CHECK_THROWS_WITH(activation_of_name("mish"),
                      "activation_of_name: 'mish' is not one of gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, "
                      "quick_gelu, relu, silu, swish");
    CHECK(activation_of_name("gelu_python") == Activation::gelu);
    CHECK(activation_of_name("gelu_fast") == Activation::gelu_tanh);
    CHECK(activation_of_name("gelu_pytorch_tanh") == Activation::gelu_tanh);
    CHECK(activation_of_name("silu") == Activation::silu);
}

TEST_SUITE_END();
