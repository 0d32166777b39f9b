// parallel.h: run the parts of a loop on all cores.
//
//   note   waking the helpers costs 4 to 18 microseconds, so it pays only above about half a million multiplications
//   knob   the environment variable THREADS=n; the default is the number of cores. Anything but 1 to 1024 is an error
#pragma once
#include <functional>

// Threads in use, the calling one included.
int thread_count();
void set_thread_count(int threads);  // throws std::invalid_argument below 1 and above 1024

// Calls body(i) once for every i in [0, count), in any order, on thread_count() threads; returns when all are done.
// A call from inside a body runs on the calling thread alone. An exception of a body is thrown to the caller.
void parallel_for(int count, const std::function<void(int)>& body);
