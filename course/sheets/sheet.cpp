#include "course/sheets/sheet.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/text.h"

// --- the list of sheets ---

namespace {
struct Known {
    std::string name;
    void (*fill)(Sheet&, Random&);
};
}  // namespace

static std::map<int, Known>& known_sheets() {
    static std::map<int, Known> sheets;
    return sheets;
}

SheetMaker::SheetMaker(int order, const char* name, void (*fill)(Sheet&, Random&)) { known_sheets()[order] = {name, fill}; }

std::vector<std::string> sheet_names() {
    std::vector<std::string> names;
    for (const auto& [order, sheet] : known_sheets()) names.push_back(sheet.name);
    return names;
}

Sheet make_sheet(const std::string& name, int seed) {
    std::string names;
    for (const auto& [order, known] : known_sheets()) {
        names += " " + known.name;
        if (known.name != name) continue;
        Sheet sheet;
        sheet.name = name;
        Random random(seed);
        known.fill(sheet, random);
        return sheet;
    }
    fail({"unknown worksheet ", name, "; available:", names});
}

// FNV-1a, 31 bits of it.
int seed_of(std::string_view student) {
    std::uint32_t hash = 2166136261u;
    for (const char letter : student) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
    return static_cast<int>(hash & 0x7fffffff);
}

// --- questions ---

static std::string label_of(std::size_t number) { return std::string(1, static_cast<char>('A' + number)); }

void Sheet::ask(const std::string& what, double answer) { questions.push_back({label_of(questions.size()), what, answer, ""}); }

void Sheet::ask_words(const std::string& what, const std::string& answer) {
    questions.push_back({.label = label_of(questions.size()), .asked = what, .words = answer});
}

static std::string answer_of(const Question& question) {
    return question.words.empty() ? short_digits(question.number, 4) : question.words;
}

Matrix logarithms(const std::vector<std::vector<int>>& arguments) {
    Matrix m(static_cast<int>(arguments.size()), static_cast<int>(arguments.front().size()));
    float* element = m.begin();
    for (const std::vector<int>& row : arguments)
        for (const int argument : row) *element++ = std::log(static_cast<float>(argument));
    return m;
}

// A cell of a line, six columns wide.
static std::string cell_text(const std::string& words) { return std::string(6 - words.size(), ' ') + words; }

std::vector<std::string> logarithm_rows(const std::vector<std::vector<int>>& arguments) {
    std::vector<std::string> rows;
    for (const std::vector<int>& row : arguments) {
        std::string line;
        for (const int argument : row) line += cell_text(argument == 1 ? "0" : "ln " + text(argument));
        rows.push_back(line);
    }
    return rows;
}

std::string row_text(const Matrix& m, int row) {
    std::string line;
    for (int j = 0; j < m.cols; ++j) line += cell_text(text(static_cast<int>(m(row, j))));
    return line;
}

// --- to print ---

std::string sheet_text(const Sheet& sheet, bool key) {
    std::string page = sheet.title + "\n" + std::string(sheet.title.size(), '=') + "\n" + sheet.equation + "\n\n";
    for (const std::string& line : sheet.given) page += line + "\n";
    page += "\n";
    for (const Question& question : sheet.questions)
        page += question.label + "   " + question.asked + "\n    " + question.label + " = " +
                (key ? answer_of(question) : "____________") + "\n\n";
    return page + "The function is in " + sheet.header + "\n";
}

static std::string escaped(std::string_view words) {
    std::string safe;
    for (const char letter : words)
        safe += letter == '<' ? "&lt;" : letter == '>' ? "&gt;" : letter == '&' ? "&amp;" : std::string(1, letter);
    return safe;
}

std::string sheet_html(const Sheet& sheet, bool key) {
    std::string page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escaped(sheet.title) +
                       "</title>\n<style>body{font:16px/1.5 serif;max-width:42em;margin:2em auto;padding:0 1em}"
                       "pre,dd{font-family:monospace}dt{margin-top:1.2em}dd{margin:0.4em 0 0 1.5em}</style></head><body>\n<h1>" +
                       escaped(sheet.title) + "</h1>\n<p>" + escaped(sheet.equation) + "</p>\n<pre>";
    for (const std::string& line : sheet.given) page += escaped(line) + "\n";
    page += "</pre>\n<dl>\n";
    for (const Question& question : sheet.questions)
        page += "<dt>" + question.label + ". " + escaped(question.asked) + "</dt><dd>" + question.label + " = " +
                (key ? escaped(answer_of(question)) : "______________") + "</dd>\n";
    return page + "</dl>\n<p>The function is in <code>" + escaped(sheet.header) + "</code>.</p>\n</body></html>\n";
}

// --- to check ---

static std::string_view trimmed(std::string_view words) {
    const std::size_t first = words.find_first_not_of(" \t\r"), last = words.find_last_not_of(" \t\r");
    return first == std::string_view::npos ? std::string_view() : words.substr(first, last - first + 1);
}

// a / b, where either may be a decimal number.
static std::optional<double> fraction(std::string_view words) {
    const std::size_t slash = words.find('/');
    if (slash == std::string_view::npos) return decimal_number(std::string(trimmed(words)));
    const std::optional<double> above = decimal_number(std::string(trimmed(words.substr(0, slash))));
    const std::optional<double> below = decimal_number(std::string(trimmed(words.substr(slash + 1))));
    if (!above || !below || *below == 0) return std::nullopt;
    return *above / *below;
}

std::optional<double> number_of(std::string_view words) {
    words = trimmed(words);
    const std::size_t logarithm = words.find("ln");
    if (logarithm == std::string_view::npos) return fraction(words);
    const std::string_view before = trimmed(words.substr(0, logarithm));
    const std::optional<double> factor = before.empty() ? 1.0 : before == "-" ? -1.0 : fraction(before);
    const std::optional<double> argument = fraction(words.substr(logarithm + 2));
    if (!factor || !argument || *argument <= 0) return std::nullopt;
    return *factor * std::log(*argument);
}

static Verdict verdict(const Question& question, std::string_view given) {
    if (!question.words.empty()) {
        const bool right = given == question.words;
        return {question.label, right, right ? "right" : "wrong"};
    }
    const std::optional<double> number = number_of(given);
    if (!number) return {question.label, false, "not a number: " + std::string(given.substr(0, 40))};
    const bool right = std::abs(*number - question.number) <= 0.005;
    return {question.label, right, right ? "right" : "wrong"};
}

std::vector<Verdict> check_answers(const Sheet& sheet, std::string_view answers) {
    std::map<std::string, std::string> given;
    for (const std::string& line : split_lines(std::string(answers))) {
        const std::size_t equals = line.find('=');
        if (equals == std::string::npos) continue;
        given[std::string(trimmed(std::string_view(line).substr(0, equals)))] =
            std::string(trimmed(std::string_view(line).substr(equals + 1)));
    }
    std::vector<Verdict> verdicts;
    for (const Question& question : sheet.questions) {
        const auto answer = given.find(question.label);
        const bool missing = answer == given.end() || answer->second.empty();
        verdicts.push_back(missing ? Verdict{question.label, false, "missing"} : verdict(question, answer->second));
    }
    return verdicts;
}
