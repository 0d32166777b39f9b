// grading.h: points for one task: its function is asked this seed's questions, and the public tests are run.
//
//   trust    A program that holds a student's code decides nothing. Its answers are compared here, in another process, which
//            alone writes results. A public test runs inside the student's process; so public points count at most in the
//            proportion of answers that this comparison finds correct, and a faked test gains nothing.
//   next     submission.h grades everything that was submitted
#pragma once
#include <string>
#include <vector>

#include "course/grade/comparison.h"
#include "course/grade/process.h"
#include "course/grade/steps.h"
#include "course/grade/task.h"
#include "course/grade/tree.h"

struct CaseResult {
    bool passed = false, timed_out = false;
    std::string said;          // what the test printed, when it failed
    StepsCompared steps = {};  // of its fixtures, as the test program says

    double share(const PublicCase& one) const;  // of its points
};

struct Graded {
    Task task;
    std::string refused;  // why nothing was run: not submitted, not accepted, does not compile
    RunResult asked;
    Comparison comparison;
    std::vector<CaseResult> cases;

    double drawn_score() const;
    double public_score() const;
    double score() const { return drawn_score() + public_score(); }
    bool complete() const;
};

// Asks the questions of the seed and, if wanted, runs the public cases.
void grade(Graded& graded, const Programs& programs, int seed, const Expected& expected, bool with_cases, bool as_nobody);

// Words in lines of at most 80 columns, the first after `head`, the others below its end. Line ends in the words stay.
std::string paragraph(const std::string& head, const std::string& words);

// The block of lines that a student reads.
//   numbers  whether what was expected may be shown: for public seeds, not for those of a grader
std::string report_of(const Graded& graded, bool numbers);
