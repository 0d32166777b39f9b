#include "course/grade/grading.h"

#include <algorithm>
#include <cmath>

#include "nn/base/require.h"
#include "nn/data/text.h"

static constexpr double seconds_to_answer = 10, seconds_for_a_case = 20;

double Graded::drawn_score() const { return refused.empty() ? task.drawn_points() * comparison.share() : 0; }

double Graded::public_score() const {
    if (!refused.empty()) return 0;
    double claimed = 0;
    for (std::size_t k = 0; k < cases.size(); ++k) claimed += cases[k].passed ? task.cases[k].points : 0;
    return std::min(claimed, task.public_points() * comparison.share());
}

bool Graded::complete() const { return std::abs(score() - task.points) < 1e-9; }

// doctest splits a filter at commas; ? stands for any character.
static std::string as_filter(std::string title) {
    std::replace(title.begin(), title.end(), ',', '?');
    return title;
}

static CaseResult run_case(const PublicCase& one, const Programs& programs, bool as_nobody) {
    RunLimits limits;
    limits.seconds = seconds_for_a_case;
    limits.as_nobody = as_nobody;
    const std::string suite = "--test-suite=" + one.suite, title = "--test-case=" + as_filter(one.title);
    const RunResult result = run({programs.tests, suite, title, "--no-colors=true"}, programs.folder, limits);
    const std::vector<std::string> lines = split_lines(result.output);
    CaseResult graded;
    graded.passed = result.ended_well && !lines.empty() && lines.back() == "1 passed, 0 failed";
    if (graded.passed) return graded;
    graded.said = result.timed_out || lines.empty() ? result.how : "";
    int kept = 0;
    for (const std::string& line : lines)
        if (line.find("ERROR") != std::string::npos || kept > 0) {
            if (line.starts_with("====") || kept >= 6) break;
            graded.said += "        " + line + "\n";
            ++kept;
        }
    return graded;
}

void grade(Graded& graded, const Programs& programs, int seed, const Expected& expected, bool with_cases, bool as_nobody) {
    RunLimits limits;
    limits.seconds = seconds_to_answer;
    limits.as_nobody = as_nobody;
    graded.asked = run({programs.answers, graded.task.name, std::to_string(seed), "{answers}"}, programs.folder, limits);
    graded.comparison = compare(read_answers(graded.asked.answers), expected);
    graded.cases.clear();
    if (!with_cases) return;
    for (const PublicCase& one : graded.task.cases) graded.cases.push_back(run_case(one, programs, as_nobody));
}

static std::string points_text(double points) {
    const long hundredths = std::lround(points * 100);
    std::string text = std::to_string(hundredths / 100);
    if (hundredths % 100 != 0) text += "." + std::string(hundredths % 100 < 10 ? "0" : "") + std::to_string(hundredths % 100);
    return text;
}

std::string report_of(const Graded& graded, bool numbers) {
    const Task& task = graded.task;
    const Comparison& c = graded.comparison;
    std::string report = task.name + "   " + points_text(graded.score()) + " of " + std::to_string(task.points) + "\n";
    if (!graded.refused.empty()) return report + "    " + graded.refused + "\n";
    report += "    questions  " + std::to_string(c.right) + " of " + std::to_string(c.asked) + " answered right, " +
              points_text(graded.drawn_score()) + " of " + std::to_string(task.drawn_points()) + " points\n";
    if (!c.name.empty()) {
        const bool silent = c.difference.ends_with("no answer came");
        report += "    first      " + c.name + ": " +
                  (silent    ? "no answer, the program " + graded.asked.how
                   : numbers ? c.difference
                             : c.place) +
                  "\n";
        if (!c.cause.empty()) report += "    cause      " + c.cause + "\n";
        if (!c.hint.empty()) report += "    look       " + c.hint + "\n";
    }
    for (std::size_t k = 0; k < graded.cases.size(); ++k) {
        report += std::string("    ") + (graded.cases[k].passed ? "passed     " : "FAILED     ") + task.cases[k].suite + ": " +
                  task.cases[k].title + "\n";
        if (!graded.cases[k].passed) report += graded.cases[k].said;
    }
    return report;
}
