// report.h: the table, the JSON and the charts of the benchmarks.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tools/bench/lines.h"

struct Result {
    double median = 0, best = 0;  // seconds
    int repetitions = 0;
    double peak = 0;  // bytes; 0 = not known here
};

struct MachineLimits {
    double operations = 0, bytes = 0;  // a second
};

struct Measured {
    Line line;
    Result result = {};
    MachineLimits limits = {};
};

// The median seconds of each line of an earlier run.
using Earlier = std::map<std::string, double>;

// Reads what --json wrote.   throws std::invalid_argument when it is something else
Earlier read_earlier(const std::string& path);

void print_head(const std::string& slow, const MachineLimits& limits, bool json);

//   before   lines that were measured before this one, among them its rival
void print_line(const Measured& measured, const std::vector<Measured>& before, const Earlier& earlier);
void print_json(const Measured& measured, bool first);

// Time and memory of the lines that have a chart, as bars.
void print_growth(const std::vector<Measured>& all);

// A product far from the limit is slow but not wrong, so no test would notice.
void warn_of_cliff(const Measured& measured);
