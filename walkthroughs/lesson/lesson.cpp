#include "walkthroughs/lesson/lesson.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/text.h"

static constexpr int page_width = 100;
static const std::string indent(9, ' ');

Lesson::Lesson(const Options& options) : Lesson(options, stdout, stdin, terminal_colours()) {}

Lesson::Lesson(const Options& options, std::FILE* out, std::FILE* in, Colours colours)
    : colours(colours), out(out), in(in), waiting(options.step), asking(options.quiz || options.step) {
    print({bold(options.name), "   ", options.purpose, "\n"});
    print({faint("takes about " + options.duration), "\n"});
}

void Lesson::print(std::initializer_list<Part> parts) {
    write_or_throw(joined(parts), out);
}

std::string Lesson::bold(std::string_view words) const {
    return colours == Colours::none ? text(words) : joined({"\x1b[1m", words, "\x1b[0m"});
}

std::string Lesson::faint(std::string_view words) const {
    return colours == Colours::none ? text(words) : joined({"\x1b[2m", words, "\x1b[0m"});
}

void Lesson::wait_for_enter() {
    print({"\n", indent, faint("Enter goes on ")});
    line_of_input();
}

std::string Lesson::line_of_input() {
    std::string line;
    int letter = std::fgetc(in);
    for (; letter != '\n' && letter != EOF; letter = std::fgetc(in)) line += static_cast<char>(letter);
    if (letter == EOF) {
        waiting = asking = false;
        print({"\n"});
    }
    return line;
}

static std::string padded(std::string_view words, int width) {
    return joined({words, std::string(static_cast<std::size_t>(std::max(0, width - display_width(words))), ' ')});
}

void Lesson::step(std::string_view question, std::string_view equation, std::string_view source) {
    if (waiting && steps > 0) wait_for_enter();
    ++steps;
    const std::string number = padded("step " + text(steps), static_cast<int>(indent.size()));
    std::string right_part = text(equation);
    if (!source.empty()) right_part += joined({right_part.empty() ? "" : "   ", faint(source)});
    print({"\n", bold(joined({number, question}))});
    if (!right_part.empty()) {
        const int column = std::max(31, display_width(question) + 3);
        const bool fits = static_cast<int>(indent.size()) + column + display_width(right_part) <= page_width;
        print({fits ? std::string(static_cast<std::size_t>(column - display_width(question)), ' ') : "\n" + indent, right_part});
    }
    print({"\n"});
}

// The first line after the label, the others aligned below it.
void Lesson::labelled(std::string_view label, std::initializer_list<Part> parts) {
    const int label_width = 10;
    std::string margin = indent + faint(padded(label, label_width));
    for (const std::string& line : wrapped(joined(parts), page_width - static_cast<int>(indent.size()) - label_width)) {
        print({margin, line, "\n"});
        margin = indent + std::string(label_width, ' ');
    }
}

void Lesson::prose(std::initializer_list<Part> parts) {
    for (const std::string& line : wrapped(joined(parts), page_width - static_cast<int>(indent.size())))
        print({indent, line, "\n"});
}

LessonAnswer::LessonAnswer(double number, double within) : shown(short_digits(number, 4)), number(number), within(within) {}

// Words are compared without white space around them, numbers within the answer's distance.
static bool is_right(const std::string& reply, const LessonAnswer& answer) {
    const std::size_t first = reply.find_first_not_of(" \t\r"), last = reply.find_last_not_of(" \t\r");
    const std::string given = first == std::string::npos ? "" : reply.substr(first, last - first + 1);
    if (answer.within < 0) return given == answer.shown;
    const std::optional<double> number = decimal_number(given);
    return number.has_value() && std::abs(*number - answer.number) <= answer.within;
}

void Lesson::predict(std::string_view question, const LessonAnswer& answer) {
    labelled("predict", {question});
    const std::string given_at_end = joined({"step ", steps, "   ", question, " ", answer.shown});
    if (!asking) return answers.push_back(given_at_end);
    print({indent, faint(padded("", 10)), "your answer: "});
    const std::string reply = line_of_input();
    if (!asking) return answers.push_back(given_at_end);
    labelled("answer", {reply.empty() ? "" : is_right(reply, answer) ? "right: " : "no: ", answer.shown});
}

void Lesson::code(std::string_view line) { print({indent, faint(padded("code", 10)), line, "\n"}); }

// Lines first ... first + count - 1 of a file, counted from 1; empty when the file has moved since compilation.
static std::vector<std::string> source_lines(const std::string& path, int first, int count) {
    std::vector<std::string> lines;
    std::FILE* const file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return lines;
    char buffer[1000];
    for (int line = 1; line < first + count && std::fgets(buffer, sizeof buffer, file) != nullptr; ++line)
        if (line >= first) lines.emplace_back(buffer, std::strcspn(buffer, "\r\n"));
    std::fclose(file);
    return lines;
}

void Lesson::code(int count, Where where) {
    const int first = static_cast<int>(where.line()) + 1;
    const std::vector<std::string> source = source_lines(where.file_name(), first, count);
    const std::string place = std::string(where.file_name()) + ":" + text(first);
    if (source.empty()) return code(place);
    const std::size_t margin = std::min(source[0].find_first_not_of(' '), source[0].size());
    std::string label = "code";
    for (const std::string& line : source) {
        print({indent, faint(padded(label, 10)), line.substr(std::min(margin, line.size())), "\n"});
        label.clear();
    }
    print({indent, std::string(10, ' '), faint(place), "\n"});
}

void Lesson::lines(const std::vector<std::string>& given) {
    for (const std::string& line : given) print({line.empty() ? "" : indent, line, "\n"});
}

// The rows are printed beside the name, or below it if they would exceed the page.
void Lesson::matrix(std::string_view name, const Matrix& m, int most) {
    std::vector<std::string> grid = split_lines(grid_text(m, most));  // the shape, then the rows
    const std::string head = bold(name) + " " + grid[0];
    grid.erase(grid.begin());
    const int width = grid.empty() ? 0 : display_width(grid[0]);
    const bool beside = !grid.empty() && static_cast<int>(indent.size()) + display_width(head) + width <= page_width;
    if (!beside) lines({head});
    std::string margin = beside ? head : "  ";
    const std::string blank(static_cast<std::size_t>(display_width(margin)), ' ');
    for (const std::string& row : grid) {
        lines({margin + row});
        margin = blank;
    }
}

void Lesson::picture(std::string_view caption, const Image& image) { pictures({{text(caption), ::picture(image, colours)}}); }

void Lesson::heat(std::string_view caption, const Matrix& m) {
    pictures({{joined({caption, "  ", stats_text(m)}), heat_map(m, colours)}});
}

void Lesson::pictures(const std::vector<Captioned>& blocks) {
    lines(side_by_side(blocks, page_width - static_cast<int>(indent.size())));
}

void Lesson::curves(const std::vector<Series>& series) { lines(::curves(series, colours)); }

void Lesson::table(const std::vector<std::vector<std::string>>& rows) { lines(::table(rows)); }

bool Lesson::claim(std::string_view words, bool holds) {
    if (claims == 0) print({"\n"});
    ++claims;
    failed += !holds;
    const std::string colour = colours == Colours::none ? "" : holds ? "\x1b[32m" : "\x1b[1;31m";
    const std::string verdict = colour + (holds ? "holds" : "FAILS") + (colour.empty() ? "" : "\x1b[0m");
    print({"claim    ", verdict, "   ", words, "\n"});
    return holds;
}

static std::string short_number(double number) {
    return short_digits(number, 4);
}

bool Lesson::claim_at_least(std::string_view words, double measured, double bound) {
    return claim(joined({words, ": ", short_number(measured), ", at least ", short_number(bound)}), measured >= bound);
}

bool Lesson::claim_at_most(std::string_view words, double measured, double bound) {
    return claim(joined({words, ": ", short_number(measured), ", at most ", short_number(bound)}), measured <= bound);
}

int Lesson::end() {
    if (!answers.empty()) print({"\nThe answers to the predictions (--quiz asks for them):\n"});
    for (const std::string& answer : answers)
        for (const std::string& line : wrapped(answer, page_width - static_cast<int>(indent.size()))) print({indent, line, "\n"});
    if (failed > 0) print({"\n", failed, " of ", claims, " claims FAIL\n"});
    return failed == 0 ? 0 : 1;
}

int give_lesson(const Options& options, const std::function<void(Lesson&)>& walk) {
    try {
        Lesson lesson(options);
        walk(lesson);
        return lesson.end();
    } catch (const std::invalid_argument& refused) {
        std::fprintf(stderr, "%s: %s\n", options.name.c_str(), refused.what());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s: %s\n", options.name.c_str(), failure.what());
        return 1;
    }
}
