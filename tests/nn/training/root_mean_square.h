// root_mean_square.h: how large the numbers of a matrix are; of fresh weights, whose mean is 0, the standard deviation.
#pragma once
#include <cmath>

#include "nn/base/matrix.h"

inline double root_mean_square(const Matrix& numbers) {
    double squares = 0;
    for (const float x : numbers) squares += static_cast<double>(x) * x;
    return std::sqrt(squares / static_cast<double>(numbers.size()));
}

// That of a matrix of Xavier-uniform numbers, from `in` to `out` features: the bound sqrt(6 / (in + out)), over sqrt(3).
inline double xavier_deviation(int in, int out) { return std::sqrt(2.0 / (in + out)); }
