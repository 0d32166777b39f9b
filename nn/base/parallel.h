// parallel.h: run the parts of a loop on all cores.
//
//   note   waking the helpers costs 4 to 18 microseconds, so whoever shares out a loop first asks whether it is long enough
//   knob   the environment variable THREADS=n; the default is the number of cores. Anything but 1 to 1024 is an error
#pragma once
#include <cstddef>
#include <functional>

// Threads in use, the calling one included.
int thread_count();
void set_thread_count(int threads);  // throws std::invalid_argument below 1 and above 1024

// Calls body(i) once for every i in [0, count), in any order, on thread_count() threads; returns when all are done.
// A call from inside a body runs on the calling thread alone. An exception of a body is thrown to the caller.
void parallel_for(int count, const std::function<void(int)>& body);

// Calls body(first, last) for ranges that together are [0, count), on all threads. A range is a grain, the last one up to two; fewer
// than two grains are one range, on the calling thread. The ranges do not depend on the number of threads.
//   grain  so much that waking a thread pays; for simple arithmetic some ten thousand numbers
template <class Body>
void parallel_ranges(std::size_t count, std::size_t grain, const Body& body) {
    if (count < 2 * grain) return body(std::size_t{0}, count);
    const int ranges = static_cast<int>(count / grain);
    parallel_for(ranges, [&](int i) { body(i * grain, i + 1 == ranges ? count : (i + 1) * grain); });
}

// Grains for loops over numbers, and over rows of so many.
constexpr std::size_t grain_of_numbers = 1 << 15;
inline std::size_t grain_of_rows(int cols) { return grain_of_numbers / (cols > 0 ? cols : 1) + 1; }
