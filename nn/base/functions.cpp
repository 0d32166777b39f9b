#include "nn/base/functions.h"

static constexpr int lanes = 32;

// Adds 32 lanes pairwise.
static float sum_of_lanes(const float (&lane)[lanes]) {
    float sum[8];
    for (int q = 0; q < 8; ++q) sum[q] = (lane[q] + lane[q + 8]) + (lane[q + 16] + lane[q + 24]);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

float sum_of(const float* x, int count) {
    float lane[lanes] = {};
    int k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] += x[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += x[k + q];
    return sum_of_lanes(lane);
}

double sum_in_double(const float* x, std::size_t count) {
    double lane[lanes] = {};
    std::size_t k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] += x[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += x[k + q];
    double sum = 0;
    for (const double part : lane) sum += part;
    return sum;
}

double dot_in_double(const float* x, const float* y, std::size_t count) {
    double lane[lanes] = {};
    std::size_t k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] += static_cast<double>(x[k + q]) * y[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += static_cast<double>(x[k + q]) * y[k + q];
    double sum = 0;
    for (const double part : lane) sum += part;
    return sum;
}

float dot_of(const float* x, const float* y, int count) {
    float lane[lanes] = {};
    int k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] += x[k + q] * y[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += x[k + q] * y[k + q];
    return sum_of_lanes(lane);
}

// NaN counts as the largest value.
static float larger(float x, float largest) { return x > largest || x != x ? x : largest; }

float max_of(const float* x, int count) {
    float lane[lanes];
    for (float& largest : lane) largest = -std::numeric_limits<float>::infinity();
    int k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int q = 0; q < lanes; ++q) lane[q] = larger(x[k + q], lane[q]);
    for (int q = 0; k + q < count; ++q) lane[q] = larger(x[k + q], lane[q]);
    for (int q = 0; q < 16; ++q) lane[q] = larger(lane[q + 16], lane[q]);
    for (int q = 0; q < 8; ++q) lane[q] = larger(lane[q + 8], lane[q]);
    for (int q = 1; q < 8; ++q) lane[0] = larger(lane[q], lane[0]);
    return lane[0];
}

float exp_of(const float* x, float shift, float* y, int count) {
    for (int k = 0; k < count; ++k) y[k] = fast_exp(x[k] - shift);
    return sum_of(y, count);
}
