#include "course/grade/comparison.h"

#include <algorithm>

#include "course/cause/cause.h"
#include "nn/base/decimal.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

// --- as a file ---

static std::string text_of(const std::vector<Answer>& answers) {
    std::string text;
    for (const Answer& answer : answers) text += text_of(answer);
    return text;
}

std::string text_of(const Expected& expected) {
    std::string text = text_of(expected.answers);
    for (const KnownMistake& mistake : expected.mistakes)
        text += "mistake\t" + mistake.name + "\t" + mistake.says + "\t" + mistake.hint + "\n" + text_of(mistake.answers);
    return text;
}

Expected read_expected(const std::string& path) {
    Expected expected;
    std::string part;
    const auto finish = [&] {
        std::vector<Answer>& to = expected.mistakes.empty() ? expected.answers : expected.mistakes.back().answers;
        to = read_answers(part);
        require(!to.empty(), path, ": there are no answers",
                expected.mistakes.empty() ? "" : " of " + expected.mistakes.back().name);
        part.clear();
    };
    for (const std::string& line : split_lines(read_file(path))) {
        if (!line.starts_with("mistake\t")) {
            part += line + "\n";
            continue;
        }
        finish();
        const std::vector<std::string> words = split(line, '\t');
        require(words.size() == 4, path, ": a line of a mistake has ", words.size(), " parts, expected 4");
        expected.mistakes.push_back({words[1], words[2], words[3], {}});
    }
    finish();
    return expected;
}

// --- comparing ---

bool same_answer(const Answer& given, const Answer& expected) {
    if (given.name != expected.name || given.error.empty() != expected.error.empty()) return false;
    if (!given.error.empty()) return true;  // both refuse; the words may differ
    if (!same_shape(given.value, expected.value)) return false;
    return std::equal(given.value.begin(), given.value.end(), expected.value.begin(), agree);
}

static bool same_answers(const std::vector<Answer>& given, const std::vector<Answer>& expected) {
    return std::equal(given.begin(), given.end(), expected.begin(), expected.end(), same_answer);
}

static void describe(Comparison& comparison, const Answer& given, const Answer& expected) {
    comparison.name = expected.name;
    if (!given.error.empty()) {
        comparison.difference = comparison.place = "it throws: " + given.error;
        return;
    }
    if (!expected.error.empty()) {
        comparison.difference = comparison.place = "it should throw std::invalid_argument";
        return;
    }
    if (!same_shape(given.value, expected.value)) {
        comparison.difference = comparison.place = "the shape is " + shape(given.value) + ", expected " + shape(expected.value);
        const std::string said = cause(given.value, expected.value, {});
        comparison.cause = said;
        return;
    }
    const Known nothing_else;
    const Compared compared(given.value, expected.value, nothing_else);
    const std::size_t first = compared.differing.front();
    const std::string at = "(" + text(compared.row(first)) + ", " + text(compared.col(first)) + ")";
    const std::string differ = text(compared.differing.size()) + " of " + text(expected.value.size());
    comparison.difference = "element " + at + " of " + shape(expected.value) + ": yours " + short_digits(given.value[first], 7) +
                            ", expected " + short_digits(expected.value[first], 7) + "; " + differ + " differ";
    comparison.place = differ + " numbers differ, the first at " + at + " of " + shape(expected.value);
    comparison.cause = cause(given.value, expected.value, {});
}

Comparison compare(const std::vector<Answer>& given, const Expected& expected) {
    Comparison comparison;
    comparison.asked = static_cast<int>(expected.answers.size());
    const Answer nothing{"", Matrix(), "no answer came"};
    for (std::size_t k = 0; k < expected.answers.size(); ++k) {
        const bool came = k < given.size() && given[k].name == expected.answers[k].name;
        const Answer& answer = came ? given[k] : nothing;
        if (came && same_answer(answer, expected.answers[k]))
            ++comparison.right;
        else if (comparison.name.empty())
            describe(comparison, answer, expected.answers[k]);
    }
    if (comparison.name.empty()) return comparison;
    std::vector<const KnownMistake*> fitting;
    for (const KnownMistake& mistake : expected.mistakes)
        if (same_answers(given, mistake.answers)) fitting.push_back(&mistake);
    if (fitting.empty() || fitting.size() > 3) return comparison;
    comparison.cause.clear();
    for (const KnownMistake* const mistake : fitting) {
        comparison.cause += (comparison.cause.empty() ? "" : "; or: ") + mistake->says;
        comparison.mistake += (comparison.mistake.empty() ? "" : " ") + mistake->name;
    }
    comparison.hint = fitting[0]->hint;
    return comparison;
}
