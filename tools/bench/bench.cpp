// bench.cpp: measures time, the lower limit of the time on this machine, and memory.
//
//   limit   the longer of operations / (speed of a plain loop of multiply-adds) and bytes / (speed of a plain loop over as many
//           bytes, which also writes if the line does). Both speeds are measured just before and just after the line, because the
//           speed of a machine varies, and the fastest counts
//   peak    each line runs in a process of its own, whose peak memory is reported
//   next    limits.h, lines.h, report.h
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/parallel.h"
#include "tools/bench/limits.h"
#include "tools/bench/lines.h"
#include "tools/bench/report.h"
#include "walkthroughs/lesson/options.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static Result measured(const std::function<void()>& work, int repetitions) {
    const double enough = 1.5;  // seconds, where the number of repetitions is not given
    work();                     // warm-up: storage and caches
    std::vector<double> times;
    const double start = seconds_now();
    while (repetitions > 0 ? static_cast<int>(times.size()) < repetitions
                           : times.size() < 5 || (seconds_now() - start < enough && times.size() < 1000)) {
        const double before = seconds_now();
        work();
        times.push_back(seconds_now() - before);
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times[0], static_cast<int>(times.size()), 0};
}

// Calls work() in a process of its own; `answer` is its result. false when the process failed.
template <class Answer, class Work>
static bool in_own_process(const Work& work, Answer& answer, double& peak) {
#if defined(__unix__) || defined(__APPLE__)
    std::fflush(stdout);
    int ends[2];
    if (pipe(ends) != 0) return false;
    const pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        const Answer found = work();
        const bool told = write(ends[1], &found, sizeof found) == static_cast<ssize_t>(sizeof found);
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    const bool heard = read(ends[0], &answer, sizeof answer) == static_cast<ssize_t>(sizeof answer);
    close(ends[0]);
    int status = 0;
    rusage usage{};
    if (wait4(child, &status, 0, &usage) != child) return false;
#if defined(__APPLE__)
    peak = static_cast<double>(usage.ru_maxrss);  // bytes
#else
    peak = static_cast<double>(usage.ru_maxrss) * 1024;  // was KiB
#endif
    return heard && status == 0;
#else
    answer = work();
    peak = 0;
    return true;
#endif
}

static constexpr double far_beyond_caches = 256e6;  // bytes

// Memory first: until the system has moved a new thread to a core of its own, some tenths of a second pass.
static MachineLimits measured_limits(double bytes, bool writes) {
    const double bytes_per_second = writes ? bytes_moved_per_second(bytes) : bytes_read_per_second(bytes);
    return {operations_per_second(), bytes_per_second};
}

// The bytes that a line reads per repetition or token.
static double bytes_at_once(const Line& line) { return line.bytes / (line.tokens > 0 ? line.tokens : 1); }

// Why this build is slow, or "".
static std::string slow_build() {
#if !defined(__OPTIMIZE__)
    return "built without optimisation (-O0): only the matrix product is fast. Use BUILD=release";
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "built with a sanitizer. Use BUILD=release";
#elif defined(__x86_64__) && !defined(__AVX2__)
    return "built without -march=native: a quarter of the speed or less, on a processor from 2013 or later";
#else
    return "";
#endif
}

// The current limits for a line. A line without bytes keeps those of `general`.
static bool measure_limits(const Line& line, const MachineLimits& general, MachineLimits& limits) {
    double peak = 0;
    const auto both = [&] {
        return line.bytes > 0 ? measured_limits(bytes_at_once(line), line.writes)
                              : MachineLimits{operations_per_second(), general.bytes};
    };
    return in_own_process(both, limits, peak);
}

// Measures the limits, the line, and the limits again; false when one of the processes failed.
static bool measure(const Line& line, int repetitions, const MachineLimits& general, MachineLimits& limits, Result& result) {
    MachineLimits before, after;
    double peak = 0;
    if (!measure_limits(line, general, before)) return false;
    if (!in_own_process([&] { return measured(line.prepare(), repetitions); }, result, peak)) return false;
    if (!measure_limits(line, general, after)) return false;
    result.peak = peak;
    limits = {std::max({before.operations, after.operations, general.operations}), std::max(before.bytes, after.bytes)};
    // More bytes than the caches hold are read from the same memory as those of the general limit.
    if (!line.writes && bytes_at_once(line) >= far_beyond_caches / 2) limits.bytes = std::max(limits.bytes, general.bytes);
    return true;
}

// The exit status: 1 with an error line when the output could not be written.
static int status_of_output() {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    std::fprintf(stderr, "bench: the output cannot be written\n");
    return 1;
}

static int measure_all(const std::vector<Line>& lines, int repetitions, bool json, const Earlier& earlier) {
    const std::string slow = slow_build();
    if (!slow.empty())
        std::fprintf(stderr, "\n*** SLOW BUILD: %s. ***\n*** The figures below say nothing about this program. ***\n\n",
                     slow.c_str());
    MachineLimits general;
    double ignored_peak = 0;
    if (!in_own_process([] { return measured_limits(far_beyond_caches, false); }, general, ignored_peak)) {
        std::fprintf(stderr, "bench: the limits of this machine could not be measured\n");
        return 1;
    }
    print_head(slow, general, json);
    std::vector<Measured> all;
    for (const Line& line : lines) {
        Measured measured{.line = line};
        if (!measure(line, repetitions, general, measured.limits, measured.result)) {
            std::fprintf(stderr, "bench: '%s' did not finish\n", line.name.c_str());
            continue;
        }
        general.operations = std::max(general.operations, measured.limits.operations);
        if (json)
            print_json(measured, all.empty());
        else
            print_line(measured, all, earlier);
        warn_of_cliff(measured);
        all.push_back(measured);
    }
    if (json)
        std::printf("\n]}\n");
    else
        print_growth(all);
    return all.size() == lines.size() ? status_of_output() : 1;
}

int main(int argc, char** argv) {
    std::string filter, compare;
    int threads = 0, repetitions = 0;
    bool json = false, list = false;
    Options options("bench", "Measures the speed of matrix products, functions and whole models.", "2 minutes");
    options.add("filter", filter, "only lines whose name contains this");
    options.add("threads", threads, "threads to use; 0 = one for each core, or THREADS", 0, 1024);
    options.add("repetitions", repetitions, "times that each line is run; 0 = at least 5, for about a second", 0, 100'000);
    options.add("json", json, "print JSON instead of a table");
    options.add("compare", compare, "an earlier output of --json: how many times as fast each line is now");
    options.add("list", list, "print the names of the lines and stop");
    options.read_or_exit(argc, argv);
    if (threads > 0) set_thread_count(threads);

    std::vector<Line> lines;
    for (Line& line : all_lines())
        if (line.name.find(filter) != std::string::npos) lines.push_back(std::move(line));
    if (lines.empty()) {
        std::fprintf(stderr, "bench: no line's name contains '%s'; --list prints them all\n", filter.c_str());
        return 2;
    }
    if (!list) {
        try {
            return measure_all(lines, repetitions, json, compare.empty() ? Earlier{} : read_earlier(compare));
        } catch (const std::exception& error) {
            std::fprintf(stderr, "bench: %s\n", error.what());
            return 2;
        }
    }
    for (const Line& line : lines) std::printf("%s\n", line.name.c_str());
    return status_of_output();
}
