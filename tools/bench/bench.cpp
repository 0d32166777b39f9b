// bench.cpp: measures time, the lower limit of the time on this machine, and memory.
//
//   limit   the longer of operations / (speed of a plain loop of multiply-adds) and bytes / (speed of a plain loop over as many
//           bytes, which also writes if the line does). Both speeds are measured just before and just after the line, because the
//           speed of a machine varies, and the faster of the two counts
//   peak    each line runs in a process of its own, whose peak memory is reported
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/clock.h"
#include "nn/base/parallel.h"
#include "tools/bench/limits.h"
#include "tools/bench/lines.h"
#include "walkthroughs/lesson/options.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {
struct Result {
    double median = 0, best = 0;  // seconds
    int repetitions = 0;
    double peak = 0;  // bytes; 0 = not known here
};
}  // namespace

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

namespace {
struct Limits {
    double operations = 0, bytes = 0;  // a second
};
}  // namespace

static constexpr double far_beyond_caches = 256e6;  // bytes

static Limits measured_limits(double bytes, bool writes) {
    return {operations_per_second(), writes ? bytes_moved_per_second(bytes) : bytes_read_per_second(bytes)};
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

// The lower limit of a line's time, in seconds.
static double limit_of(const Line& line, const Limits& limits) {
    return std::max(line.operations / limits.operations, line.bytes / limits.bytes);
}

static void print_line(const Line& line, const Result& result, const Limits& limits) {
    const double limit = limit_of(line, limits);
    std::printf("%-34s %10.3f %10.3f", line.name.c_str(), result.median * 1e3, result.best * 1e3);
    if (line.tokens > 0)
        std::printf(" %7.1f tokens/s", line.tokens / result.median);
    else if (line.rays > 0)
        std::printf(" %9.0f rays/s", line.rays / result.median);
    else if (line.operations > 0)
        std::printf(" %8.1f GFLOP/s", line.operations / result.median / 1e9);
    else
        std::printf(" %8.1f GB/s   ", line.bytes / result.median / 1e9);
    std::printf(" %9.3f %5.0f %%", limit * 1e3, 100 * limit / result.median);
    if (result.peak > 0) std::printf(" %8.0f", result.peak / 1e6);
    std::printf("\n");
    std::fflush(stdout);
}

static void print_json(const Line& line, const Result& result, const Limits& limits, bool first) {
    const double limit = limit_of(line, limits);
    std::printf(
        "%s\n    {\"name\": \"%s\", \"median_ms\": %.6g, \"best_ms\": %.6g, \"repetitions\": %d, \"operations\": %.6g, "
        "\"bytes\": %.6g, \"tokens_per_second\": %.6g, \"rays_per_second\": %.6g, \"limit_operations_per_second\": %.6g, \"limit_bytes_per_second\": %.6g, "
        "\"limit_ms\": %.6g, \"share\": %.4g, \"peak_bytes\": %.0f}",
        first ? "" : ",", line.name.c_str(), result.median * 1e3, result.best * 1e3, result.repetitions, line.operations,
        line.bytes, line.tokens / result.median, line.rays / result.median, limits.operations, limits.bytes, limit * 1e3,
        limit / result.median, result.peak);
    std::fflush(stdout);
}

// A product far from the limit is slow but not wrong, so no test would notice.
static void warn_of_cliff(const Line& line, const Result& result, const Limits& limits) {
    const bool large_product = line.name.starts_with("matmul") && line.operations > 2e8;
    const double share = line.operations / limits.operations / result.best;
    if (large_product && share < 0.4)
        std::fprintf(stderr,
                     "\n*** CLIFF: '%s' reaches %.0f %% of what this machine can do. Does the compiler keep the tile of"
                     " nn/base/matmul.cpp in registers? ***\n\n",
                     line.name.c_str(), 100 * share);
}

static void print_head(const std::string& slow, const Limits& limits, bool json) {
    if (json) {
        std::printf(
            "{\"threads\": %d, \"slow_build\": \"%s\", \"limit_operations_per_second\": %.6g, "
            "\"limit_bytes_per_second\": %.6g, \"lines\": [",
            thread_count(), slow.c_str(), limits.operations, limits.bytes);
    } else {
        std::printf("%d threads; at best %.0f GFLOP/s (a plain loop of multiply-adds), %.1f GB/s (a plain loop of reads)\n\n",
                    thread_count(), limits.operations / 1e9, limits.bytes / 1e9);
        std::printf("%-34s %10s %10s %16s %9s %7s %8s\n", "", "median ms", "best ms", "speed", "limit ms", "reached", "peak MB");
    }
}

// The current limits for a line. A line without bytes keeps those of `general`.
static bool measure_limits(const Line& line, const Limits& general, Limits& limits) {
    double peak = 0;
    const auto both = [&] {
        return line.bytes > 0 ? measured_limits(bytes_at_once(line), line.writes)
                              : Limits{operations_per_second(), general.bytes};
    };
    return in_own_process(both, limits, peak);
}

// Measures the limits, the line, and the limits again; false when one of the processes failed.
static bool measure(const Line& line, int repetitions, const Limits& general, Limits& limits, Result& result) {
    Limits before, after;
    double peak = 0;
    if (!measure_limits(line, general, before)) return false;
    if (!in_own_process([&] { return measured(line.prepare(), repetitions); }, result, peak)) return false;
    if (!measure_limits(line, general, after)) return false;
    result.peak = peak;
    limits = {std::max(before.operations, after.operations), std::max(before.bytes, after.bytes)};
    return true;
}

// The exit status: 1 with an error line when the output could not be written.
static int status_of_output() {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    std::fprintf(stderr, "bench: the output cannot be written\n");
    return 1;
}

static int measure_all(const std::vector<Line>& lines, int repetitions, bool json) {
    const std::string slow = slow_build();
    if (!slow.empty())
        std::fprintf(stderr, "\n*** SLOW BUILD: %s. ***\n*** The figures below say nothing about this program. ***\n\n",
                     slow.c_str());
    Limits general;
    double ignored_peak = 0;
    if (!in_own_process([] { return measured_limits(far_beyond_caches, false); }, general, ignored_peak)) {
        std::fprintf(stderr, "bench: the limits of this machine could not be measured\n");
        return 1;
    }
    print_head(slow, general, json);
    std::size_t printed = 0;
    for (const Line& line : lines) {
        Limits limits;
        Result result;
        if (!measure(line, repetitions, general, limits, result)) {
            std::fprintf(stderr, "bench: '%s' did not come to its end\n", line.name.c_str());
            continue;
        }
        if (json)
            print_json(line, result, limits, printed == 0);
        else
            print_line(line, result, limits);
        ++printed;
        warn_of_cliff(line, result, limits);
    }
    if (json) std::printf("\n]}\n");
    return printed == lines.size() ? status_of_output() : 1;
}

int main(int argc, char** argv) {
    std::string filter;
    int threads = 0, repetitions = 0;
    bool json = false, list = false;
    Options options("bench", "Measures the speed of matrix products, functions and whole models.", "2 minutes");
    options.add("filter", filter, "only lines whose name contains this");
    options.add("threads", threads, "threads to use; 0 = one for each core, or THREADS", 0, 1024);
    options.add("repetitions", repetitions, "times that each line is run; 0 = at least 5, for about a second", 0, 100'000);
    options.add("json", json, "print JSON instead of a table");
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
    if (!list) return measure_all(lines, repetitions, json);
    for (const Line& line : lines) std::printf("%s\n", line.name.c_str());
    return status_of_output();
}
