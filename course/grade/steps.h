// steps.h: how far the fixtures were followed: a mistake leaves the steps before it right, and each of them earns a part of the
// points.
//
//   step     a tensor expected.* or grad.* of a fixture, in the order in which a test compares them
//   next     tests/golden.cpp counts, tests/main.cpp prints the line after a failure, grading.cpp reads it
#pragma once
#include <optional>
#include <string>

struct StepsCompared {
    int agreed = 0;  // before the first that differs, of every fixture that was opened
    int all = 0;     // in these fixtures
};

// Called when a fixture with `steps` steps is opened, and when one of its steps is compared.
void open_fixture(const std::string& path, int steps);
void compare_step(const std::string& path, const std::string& step, bool agrees);

StepsCompared steps_compared();

// "31 of 104 fixture steps agree before the first that differs", and back. An untrusted program may have printed it.
std::string steps_line(const StepsCompared& steps);
std::optional<StepsCompared> read_steps_line(const std::string& line);
