#include "course/grade/grading.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/base/require.h"
#include "nn/data/text.h"

static constexpr double seconds_to_answer = 10, seconds_for_a_case = 20;

double CaseResult::share(const PublicCase& one) const {
    if (passed || !one.by_steps || steps.all == 0) return passed;
    return static_cast<double>(steps.agreed) / steps.all;
}

double Graded::drawn_score() const { return refused.empty() ? task.drawn_points() * comparison.share() : 0; }

double Graded::public_score() const {
    if (!refused.empty()) return 0;
    double claimed = 0;
    for (std::size_t k = 0; k < cases.size(); ++k) claimed += task.cases[k].points * cases[k].share(task.cases[k]);
    return std::min(claimed, task.public_points() * comparison.share());
}

bool Graded::complete() const { return score() >= task.points; }

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
    graded.timed_out = result.timed_out;
    if (result.timed_out || lines.empty()) graded.said = "        " + result.how + "\n";
    int kept = 0;
    for (const std::string& line : lines)
        if (const std::optional<StepsCompared> steps = read_steps_line(line)) graded.steps = *steps;
    for (const std::string& line : lines)
        if (line.find("ERROR") != std::string::npos || kept > 0) {
            if (line.starts_with("====") || kept >= 6) break;
            graded.said += "        " + line + "\n";
            ++kept;
        }
    if (graded.said.empty()) graded.said = "        what it printed does not end as a test does; was it too much?\n";
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
    bool endless = false;
    for (const PublicCase& one : graded.task.cases) {
        graded.cases.push_back(endless ? CaseResult{.said = "        not run: the one before did not end\n"}
                                       : run_case(one, programs, as_nobody));
        endless = endless || graded.cases.back().timed_out;
    }
}

static std::string points_text(double points) {
    const long hundredths = std::lround(points * 100);
    std::string text = std::to_string(hundredths / 100);
    if (hundredths % 100 != 0) text += "." + std::string(hundredths % 100 < 10 ? "0" : "") + std::to_string(hundredths % 100);
    return text;
}

std::string paragraph(const std::string& head, const std::string& words) {
    constexpr std::size_t most = 80;
    std::string text;
    for (const std::string& given : split_lines(words)) {
        std::string line = text.empty() ? head : std::string(head.size(), ' ');
        bool begun = false;
        for (const std::string& word : split(given, ' ')) {
            if (begun && line.size() + 1 + word.size() > most) {
                text += line + "\n";
                line = std::string(head.size(), ' ');
                begun = false;
            }
            line += (begun ? " " : "") + word;
            begun = true;
        }
        text += line + "\n";
    }
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
        const std::string& seen = numbers ? c.difference : c.place;
        report += paragraph("    first      ", c.name + ": " + (silent ? "no answer, the program " + graded.asked.how : seen));
        if (!c.cause.empty()) report += paragraph("    cause      ", c.cause);
        if (!c.hint.empty()) report += paragraph("    look       ", c.hint);
    }
    for (std::size_t k = 0; k < graded.cases.size(); ++k) {
        const CaseResult& result = graded.cases[k];
        report +=
            paragraph(result.passed ? "    passed     " : "    FAILED     ", task.cases[k].suite + ": " + task.cases[k].title);
        if (!result.passed && task.cases[k].by_steps && result.steps.all > 0)
            report += "    steps      " + text(result.steps.agreed) + " of " + text(result.steps.all) +
                      " steps of its fixtures agree before the first that differs\n";
        if (!result.passed) report += result.said;
    }
    return report;
}
