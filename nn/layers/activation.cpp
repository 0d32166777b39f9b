#include "nn/layers/activation.h"

#include <numbers>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/base/functions.h"
#include "nn/base/parallel.h"

// For each activation function: its value, and its derivative at the same x.

static constexpr float one_over_sqrt_2pi = static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);

// y = x P(x), P(x) = (1 + erf(x / sqrt 2)) / 2;   y' = P(x) + x p(x), p(x) = exp(-x^2 / 2) / sqrt(2 pi)
static float gelu_value(float x) { return x * fast_normal_cdf(x); }
static float gelu_derivative(float x) { return fast_normal_cdf(x) + x * fast_exp(-0.5f * x * x) * one_over_sqrt_2pi; }

// y = x (1 + t) / 2, t = tanh(u), u = c (x + a x^3);   y' = (1 + t) / 2 + x (1 - t^2) u' / 2, u' = c (1 + 3 a x^2)
static constexpr float c = 2 * one_over_sqrt_2pi;  // sqrt(2 / pi)
static constexpr float a = 0.044715f;
static float gelu_tanh_value(float x) { return 0.5f * x * (1 + fast_tanh(c * (x + a * x * x * x))); }
static float gelu_tanh_derivative(float x) {
    const float t = fast_tanh(c * (x + a * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * c * (1 + 3 * a * x * x);
}

// y = x s, s = sigmoid(k x);   y' = s + k x s (1 - s)
static float swish_value(float x, float k) { return x / (1 + fast_exp(-k * x)); }
static float swish_derivative(float x, float k) {
    const float s = 1 / (1 + fast_exp(-k * x));
    return s + k * x * s * (1 - s);
}
static float gelu_quick_value(float x) { return swish_value(x, 1.702f); }
static float gelu_quick_derivative(float x) { return swish_derivative(x, 1.702f); }
static float silu_value(float x) { return swish_value(x, 1); }
static float silu_derivative(float x) { return swish_derivative(x, 1); }

// Written so that NaN stays NaN: x <= 0 is false for it.
static float relu_value(float x) { return x <= 0 ? 0 : x; }
static float relu_derivative(float x) { return x <= 0 ? 0.0f : 1.0f; }

// forward   y = value(x)
// backward  dx = dy derivative(x)
template <float value(float)>
static Matrix activated(const Matrix& x) {
    Matrix y = Matrix::unset(x.rows, x.cols);
    parallel_ranges(x.size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) y[k] = value(x[k]);
    });
    return y;
}

template <float derivative(float)>
static void activation_backward(Record& y) {
    const Matrix& x = y.inputs[0].value();
    Matrix dx = Matrix::unset(x.rows, x.cols);
    parallel_ranges(x.size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) dx[k] = y.gradient[k] * derivative(x[k]);
    });
    add_gradient(y.inputs[0], std::move(dx));
}

// The formulas above in the words of nn/autograd/formula.h.
static Explained gelu_explained(const Record&, const std::vector<Var>&) {
    const std::string P = "(1 + erf(a(i,j) / sqrt(2))) / 2", p = "exp(-a(i,j) * a(i,j) / 2) / sqrt(2 * 3.14159265358979)";
    return {.value = "a(i,j) * " + P, .gradients = {"dy(i,j) * (" + P + " + a(i,j) * " + p + ")"}};
}

static Explained gelu_tanh_explained(const Record&, const std::vector<Var>&) {
    const auto with_t = [](const std::string& words) {
        return "let(c, sqrt(2 / 3.14159265358979), let(t, tanh(c * (a(i,j) + 0.044715 * a(i,j) * a(i,j) * a(i,j))), " + words +
               "))";
    };
    return {
        .value = with_t("a(i,j) * (1 + t) / 2"),
        .gradients = {with_t("dy(i,j) * ((1 + t) / 2 + a(i,j) * (1 - t * t) * c * (1 + 3 * 0.044715 * a(i,j) * a(i,j)) / 2)")}};
}

static Explained swish_explained(const std::string& k) {
    return {.value = "a(i,j) / (1 + exp(-" + k + " * a(i,j)))",
            .gradients = {"let(s, 1 / (1 + exp(-" + k + " * a(i,j))), dy(i,j) * (s + " + k + " * a(i,j) * s * (1 - s)))"}};
}
static Explained gelu_quick_explained(const Record&, const std::vector<Var>&) { return swish_explained("1.702"); }
static Explained silu_explained(const Record&, const std::vector<Var>&) { return swish_explained("1"); }

static Explained relu_explained(const Record&, const std::vector<Var>&) {
    return {.value = "max(a(i,j), 0)", .gradients = {"if(a(i,j) <= 0, 0, dy(i,j))"}};
}

Var activate(const Var& x, Activation activation, Where where) {
    switch (activation) {
        case Activation::gelu:
            return record_operation("gelu", activated<gelu_value>(x.value()), {x},
                                    {activation_backward<gelu_derivative>, gelu_explained}, where);
        case Activation::gelu_tanh:
            return record_operation("gelu_tanh", activated<gelu_tanh_value>(x.value()), {x},
                                    {activation_backward<gelu_tanh_derivative>, gelu_tanh_explained}, where);
        case Activation::gelu_quick:
            return record_operation("gelu_quick", activated<gelu_quick_value>(x.value()), {x},
                                    {activation_backward<gelu_quick_derivative>, gelu_quick_explained}, where);
        case Activation::relu:
            return record_operation("relu", activated<relu_value>(x.value()), {x},
                                    {activation_backward<relu_derivative>, relu_explained}, where);
        case Activation::silu:
            return record_operation("silu", activated<silu_value>(x.value()), {x},
                                    {activation_backward<silu_derivative>, silu_explained}, where);
    }
    require(false, where, "activate: there is no activation number ", static_cast<int>(activation));
    return {};
}

Activation activation_of_name(const std::string& name) {
    if (name == "gelu" || name == "gelu_python") return Activation::gelu;
    if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
    if (name == "quick_gelu") return Activation::gelu_quick;
    if (name == "relu") return Activation::relu;
    require(name == "silu" || name == "swish", "activation_of_name: '", name,
            "' is not one of gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, quick_gelu, relu, silu, swish");
    return Activation::silu;
}

std::string name_of_activation(Activation activation) {
    switch (activation) {
        case Activation::gelu: return "gelu";
        case Activation::gelu_tanh: return "gelu_new";
        case Activation::gelu_quick: return "quick_gelu";
        case Activation::relu: return "relu";
        case Activation::silu: return "silu";
    }
    return "";
}
