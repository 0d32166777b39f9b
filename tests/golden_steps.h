// golden_steps.h: how far the fixtures were followed: a mistake leaves the steps before it right. Points of a course follow it.
//
//   step     a tensor expected.* or grad.* of a fixture, in the order in which a test compares them
//   next     golden.cpp counts, main.cpp prints it after a failure, course/grade/grading.cpp reads it
#pragma once

struct StepsCompared {
    int agreed = 0;  // before the first that differs, of every fixture that was opened
    int all = 0;     // in these fixtures
};

StepsCompared steps_compared();
