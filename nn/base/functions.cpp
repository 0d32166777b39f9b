#include "nn/base/functions.h"

#include <limits>

static constexpr int lanes = 32;

float sum_of(const float* x, int count) {
    float lane[lanes] = {};
    int k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] += x[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += x[k + q];
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int q = 0; q < half; ++q) lane[q] += lane[q + half];
    return lane[0];
}

float max_of(const float* x, int count) {
    float lane[lanes];
    for (float& largest : lane) largest = -std::numeric_limits<float>::infinity();
    int k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] = x[k + q] > lane[q] ? x[k + q] : lane[q];
    for (int q = 0; k + q < count; ++q) lane[q] = x[k + q] > lane[q] ? x[k + q] : lane[q];
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int q = 0; q < half; ++q) lane[q] = lane[q + half] > lane[q] ? lane[q + half] : lane[q];
    return lane[0];
}

float exp_of(const float* x, float shift, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = fast_exp(x[k] - shift);
    return sum_of(y, count);
}
