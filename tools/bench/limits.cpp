#include "tools/bench/limits.h"

#include <algorithm>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/functions.h"
#include "nn/base/matrix.h"
#include "nn/base/parallel.h"

// Twelve registers of independent sums: a multiply-add takes four steps of the clock and two begin in each, so eight are the fewest
// that keep the processor busy. The compiler must use its widest registers (a flag of the Makefile): then it unrolls the loop over
// the sums completely. With registers half as wide there are twenty-four, it keeps the loop, and a third of the speed is reached.
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

// The best time of work(i) for all i below rows, over some tenths of a second.
template <class Work>
static double best_seconds(double bytes, int rows, const Work& work) {
    const int attempts = 3 + static_cast<int>(3e8 / bytes);
    double best = 1e9;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const double start = seconds_now();
        parallel_for(rows, work);
        best = std::min(best, seconds_now() - start);
    }
    return best;
}

// Memory delivers several streams faster than one, so each thread reads `streams` rows at once, a piece of each in turn.
static constexpr int groups = 16, piece = 128;  // groups of rows, divided among the threads; floats

// The best of 1, 4, 8 and 16 streams.
//   pass(x, lane)  what is done with a piece; lane holds a sum for each number of a piece, so that no addition waits for the last
template <class Pass>
static double most_floats_per_second(double bytes, Matrix& numbers, const Pass& pass) {
    double most = 0;
    std::vector<float> totals(groups);  // used below, so that the compiler keeps the work
    for (const int streams : {1, 4, 8, 16}) {
        const int rows = groups * streams, cols = static_cast<int>(numbers.size()) / rows / piece * piece;
        if (cols == 0) break;
        const double best = best_seconds(bytes, groups, [&](int i) {
            float* const first = numbers.begin() + static_cast<std::size_t>(i) * streams * cols;
            float lane[piece] = {};
            for (int k = 0; k < cols; k += piece)
                for (int s = 0; s < streams; ++s) pass(first + static_cast<std::size_t>(s) * cols + k, lane);
            totals[i] = sum_of(lane, piece);
        });
        most = std::max(most, static_cast<double>(rows) * cols / best);
    }
    return totals[0] < 0 ? 0 : most;
}

static Matrix numbers_of(double bytes) {
    const double floats = std::max(bytes / sizeof(float), 1.0 * groups * piece);
    return Matrix(1, static_cast<int>(floats), 1);
}

double bytes_read_per_second(double bytes) {
    Matrix numbers = numbers_of(bytes);
    return sizeof(float) * most_floats_per_second(bytes, numbers, [](const float* x, float(&lane)[piece]) {
               for (int k = 0; k < piece; ++k) lane[k] += x[k];
           });
}

double bytes_moved_per_second(double bytes) {
    Matrix numbers = numbers_of(bytes / 2);
    return 2 * sizeof(float) * most_floats_per_second(bytes, numbers, [](float* x, float(&)[piece]) {
               for (int k = 0; k < piece; ++k) x[k] = 0.5f * x[k] + 1;
           });
}
