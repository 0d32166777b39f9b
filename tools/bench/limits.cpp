#include "tools/bench/limits.h"

#include <algorithm>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/functions.h"
#include "nn/base/matrix.h"
#include "nn/base/parallel.h"

// As many independent sums as fit in registers.
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
    std::vector<float> results(threads);  // used below, so that the compiler keeps the work
    double best = 1e9;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double start = seconds_now();
        parallel_for(threads, [&](int i) { results[i] = multiply_and_add(rounds, 0.999f, 0.001f + static_cast<float>(i)); });
        best = std::min(best, seconds_now() - start);
    }
    return results[0] < 0 ? 0 : 2.0 * sums * rounds * threads / best;
}

// The best time of work(i) for all i below rows, over a second or so.
template <class Work>
static double best_seconds(double bytes, int rows, const Work& work) {
    const int attempts = 4 + static_cast<int>(1e9 / bytes);
    double best = 1e9;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const double start = seconds_now();
        parallel_for(rows, work);
        best = std::min(best, seconds_now() - start);
    }
    return best;
}

static constexpr int rows = 64;  // divided among the threads
static int columns(double bytes) { return static_cast<int>(bytes / (4 * rows)) + 1; }

double bytes_read_per_second(double bytes) {
    const int cols = columns(bytes);
    const Matrix numbers(rows, cols, 1);
    std::vector<float> totals(rows);
    const double best = best_seconds(bytes, rows, [&](int i) { totals[i] = sum_of(numbers.row(i), cols); });
    return totals[0] < 0 ? 0 : 4.0 * rows * cols / best;
}

double bytes_moved_per_second(double bytes) {
    const int cols = columns(bytes / 2);
    Matrix numbers(rows, cols, 1);
    const double best = best_seconds(bytes, rows, [&](int i) {
        float* const x = numbers.row(i);
        for (int k = 0; k < cols; ++k) x[k] = 0.5f * x[k] + 1;
    });
    return 2 * 4.0 * rows * cols / best;
}
