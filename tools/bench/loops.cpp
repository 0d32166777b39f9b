#include "tools/bench/loops.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/functions.h"

static constexpr float sqrt_half = 0.70710678f;

void exp_loop(const float* x, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = fast_exp(x[k]);
}

void exp_standard(const float* x, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = std::exp(x[k]);
}

void gelu_loop(const float* x, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = x[k] * fast_normal_cdf(x[k]);
}

void gelu_standard(const float* x, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = 0.5f * x[k] * (1 + std::erf(x[k] * sqrt_half));
}

void softmax_loop(const float* x, float* y, int count) {
    std::copy_n(x, count, y);
    softmax_in_place(y, count);
}

void softmax_standard(const float* x, float* y, int count) {
    const float largest = *std::max_element(x, x + count);
    float sum = 0;
    for (int k = 0; k < count; ++k) sum += y[k] = std::exp(x[k] - largest);
    for (int k = 0; k < count; ++k) y[k] /= sum;
}
