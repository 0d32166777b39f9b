#include "tools/bench/report.h"

#include <algorithm>
#include <cstdio>

#include "nn/base/parallel.h"
#include "nn/data/json.h"

Earlier read_earlier(const std::string& path) {
    Earlier earlier;
    const Json file = read_json(path);
    for (const Json& line : file.at("lines").as_array())
        earlier[line.at("name").as_string()] = line.at("median_ms").as_number() / 1e3;
    return earlier;
}

// The lower limit of a line's time, in seconds; 0 when the line has none.
static double limit_of(const Measured& measured) {
    return std::max(measured.line.operations / measured.limits.operations, measured.line.bytes / measured.limits.bytes);
}

void print_head(const std::string& slow, const MachineLimits& limits, bool json) {
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

// "   27.5 tokens/s": what a line does in a second.
static void print_speed(const Line& line, double seconds) {
    if (line.tokens > 0)
        std::printf(" %7.1f tokens/s", line.tokens / seconds);
    else if (line.rays > 0)
        std::printf(" %9.0f rays/s", line.rays / seconds);
    else if (line.numbers > 0)
        std::printf(" %5.2f numbers/ns", line.numbers / seconds / 1e9);
    else if (line.text > 0)
        std::printf(" %8.1f MB/s   ", line.text / seconds / 1e6);
    else if (line.operations > 0)
        std::printf(" %8.1f GFLOP/s", line.operations / seconds / 1e9);
    else
        std::printf(" %8.1f GB/s   ", line.bytes / seconds / 1e9);
}

void print_line(const Measured& measured, const std::vector<Measured>& before, const Earlier& earlier) {
    const Line& line = measured.line;
    const Result& result = measured.result;
    const double limit = limit_of(measured);
    std::printf("%-34s %10.3f %10.3f", line.name.c_str(), result.median * 1e3, result.best * 1e3);
    print_speed(line, result.median);
    if (limit > 0)
        std::printf(" %9.3f %5.0f %%", limit * 1e3, 100 * limit / result.median);
    else
        std::printf(" %17s", "");
    if (result.peak > 0) std::printf(" %8.0f", result.peak / 1e6);
    for (const Measured& other : before)
        if (!line.rival.empty() && other.line.name == line.rival)
            std::printf("  %.1f times as fast as '%s'", other.result.median / result.median, line.rival.c_str());
    const auto then = earlier.find(line.name);
    if (then != earlier.end()) std::printf("  %.2f times as fast as then", then->second / result.median);
    std::printf("\n");
    std::fflush(stdout);
}

void print_json(const Measured& measured, bool first) {
    const Line& line = measured.line;
    const Result& result = measured.result;
    const double limit = limit_of(measured);
    std::printf(
        "%s\n    {\"name\": \"%s\", \"median_ms\": %.6g, \"best_ms\": %.6g, \"repetitions\": %d, \"operations\": %.6g, "
        "\"bytes\": %.6g, \"tokens_per_second\": %.6g, \"rays_per_second\": %.6g, \"limit_operations_per_second\": %.6g, "
        "\"limit_bytes_per_second\": %.6g, \"limit_ms\": %.6g, \"share\": %.4g, \"peak_bytes\": %.0f}",
        first ? "" : ",", line.name.c_str(), result.median * 1e3, result.best * 1e3, result.repetitions, line.operations,
        line.bytes, line.tokens / result.median, line.rays / result.median, measured.limits.operations, measured.limits.bytes,
        limit * 1e3, limit / result.median, result.peak);
    std::fflush(stdout);
}

static std::string bar(double share) { return std::string(std::max(1, static_cast<int>(share * 30 + 0.5)), '#'); }

void print_growth(const std::vector<Measured>& all) {
    std::map<std::string, std::vector<Measured>> charts;
    for (const Measured& measured : all)
        if (!measured.line.growth.empty()) charts[measured.line.growth].push_back(measured);
    for (const auto& [growth, bars] : charts) {
        double longest = 0, largest = 0;
        for (const Measured& measured : bars) {
            longest = std::max(longest, measured.result.median);
            largest = std::max(largest, measured.result.peak);
        }
        std::printf("\nTime and memory over %s:\n", growth.c_str());
        for (const Measured& measured : bars)
            std::printf("%-28s %9.2f ms %-30s %5.0f MB %s\n", measured.line.name.c_str(), measured.result.median * 1e3,
                        bar(measured.result.median / longest).c_str(), measured.result.peak / 1e6,
                        bar(largest > 0 ? measured.result.peak / largest : 0).c_str());
    }
}

void warn_of_cliff(const Measured& measured) {
    const Line& line = measured.line;
    const bool large_product = line.name.starts_with("matmul") && line.operations > 2e8;
    const double share = line.operations / measured.limits.operations / measured.result.best;
    if (large_product && share < 0.4)
        std::fprintf(stderr,
                     "\n*** CLIFF: '%s' reaches %.0f %% of what this machine can do. Does the compiler keep the tile of"
                     " nn/base/matmul.cpp in registers? ***\n\n",
                     line.name.c_str(), 100 * share);
}
