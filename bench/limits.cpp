#include "bench/limits.h"

#include <algorithm>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/functions.h"
#include "nn/base/matrix.h"
#include "nn/base/parallel.h"

// As many sums side by side as registers hold; no sum waits for another.
#if defined(__AVX512F__)
static constexpr int sums = 12 * 16;
#elif defined(__AVX__)
static constexpr int sums = 12 * 8;
#else
static constexpr int sums = 12 * 4;
#endif

static float multiply_and_add(int rounds, float factor, float summand) {
    float x[sums];
    for (int j = 0; j < sums; ++j) x[j] = static_cast<float>(j);
    for (int k = 0; k < rounds; ++k)
        for (int j = 0; j < sums; ++j) x[j] = x[j] * factor + summand;
    float total = 0;
    for (const float number : x) total += number;
    return total;
}

double operations_per_second() {
    const int rounds = 200'000, threads = thread_count();
    std::vector<float> results(threads);  // looked at below, so that the compiler may not leave the work out
    double best = 1e9;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double start = seconds_now();
        parallel_for(threads, [&](int i) { results[i] = multiply_and_add(rounds, 0.999f, 0.001f + static_cast<float>(i)); });
        best = std::min(best, seconds_now() - start);
    }
    return results[0] < 0 ? 0 : 2.0 * sums * rounds * threads / best;
}

double bytes_per_second(double bytes) {
    const int rows = 64, cols = static_cast<int>(bytes / (4 * rows)) + 1;
    const Matrix numbers(rows, cols, 1);
    std::vector<float> totals(rows);
    const int attempts = 4 + static_cast<int>(1e9 / bytes);
    double best = 1e9;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const double start = seconds_now();
        parallel_for(rows, [&](int i) { totals[i] = sum_of(numbers.row(i), cols); });
        best = std::min(best, seconds_now() - start);
    }
    return totals[0] < 0 ? 0 : 4.0 * rows * cols / best;
}
