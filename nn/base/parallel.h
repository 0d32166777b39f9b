// parallel.h: run a loop on all cores.
//
//   note     waking the worker threads takes 4 to 18 microseconds, so a short loop is better run on the calling thread
//   setting  the environment variable THREADS, 1 to 1024; by default the number of cores
#pragma once
#include <cstddef>
#include <functional>

// Threads in use, including the calling one.
int thread_count();
void set_thread_count(int threads);  // throws std::invalid_argument below 1 and above 1024

// Calls body(i) once for every i in [0, count), in any order, on thread_count() threads; returns when all calls have returned.
// A nested call runs on its own thread alone. An exception thrown by a body reaches the caller.
void parallel_for(int count, const std::function<void(int)>& body);

// Calls body(first, last) for consecutive ranges that cover [0, count), on all threads. Each range has `grain` elements (the last
// up to 2*grain - 1); fewer than 2*grain run as one range on the caller. The ranges do not depend on the number of threads.
//   grain  enough work to be worth waking a thread; for simple arithmetic some ten thousand numbers
template <class Body>
void parallel_ranges(std::size_t count, std::size_t grain, const Body& body) {
    if (count < 2 * grain) return body(std::size_t{0}, count);
    const int ranges = static_cast<int>(count / grain);
    parallel_for(ranges, [&](int i) { body(i * grain, i + 1 == ranges ? count : (i + 1) * grain); });
}

// Grain sizes for loops over elements, and over rows of `cols` elements.
constexpr std::size_t grain_of_numbers = 1 << 15;
inline std::size_t grain_of_rows(int cols) { return grain_of_numbers / (cols > 0 ? cols : 1) + 1; }
