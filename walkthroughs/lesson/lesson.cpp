#include "walkthroughs/lesson/lesson.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "walkthroughs/page/trace_text.h"

static const std::string indent(9, ' ');

Lesson::Lesson(const Options& options) : Lesson(options, stdout, stdin, terminal_colours(), terminal_width()) {}

Lesson::Lesson(const Options& options, std::FILE* out, std::FILE* in, Colours colours, int page_width)
    : colours(colours),
      page_width(page_width),
      out(out),
      in(in),
      waiting(options.step),
      asking(options.quiz || options.step),
      page{options.name, options.purpose, "about " + options.duration, options.command(), {}},
      page_path(options.page) {
    std::string margin = bold(options.name) + "   ";
    for (const std::string& line : wrapped(options.purpose, page_width - display_width(margin))) {
        print({margin, line, "\n"});
        margin = std::string(static_cast<std::size_t>(display_width(margin)), ' ');
    }
    print({faint("takes about " + options.duration), "\n"});
}

void Lesson::tell(Item item) {
    print(item);
    if (!page_path.empty()) page.items.push_back(std::move(item));
}

void Lesson::print(const Item& item) {
    switch (item.kind) {
        case Item::Kind::step: return print_step(item);
        case Item::Kind::say: return print_lines(wrapped(item.words, page_width - static_cast<int>(indent.size())));
        case Item::Kind::why: return labelled("why", item.words);
        case Item::Kind::predict: return labelled("predict", item.words);
        case Item::Kind::code: return print_code(item);
        case Item::Kind::matrix: return print_matrix(item);
        case Item::Kind::pictures: return print_pictures(item.pictures);
        case Item::Kind::curves: return print_lines(::curves(item.series, colours, std::min(64, page_width - 24), 14, item.axes));
        case Item::Kind::table: return print_lines(::table(item.rows, page_width - static_cast<int>(indent.size())));
        case Item::Kind::lines: return print_lines(item.lines);
        case Item::Kind::claim: return print_claim(item);
    }
}

void Lesson::print(std::initializer_list<Part> parts) { write_or_throw(joined(parts), out); }

std::string Lesson::bold(std::string_view words) const {
    return colours == Colours::none ? text(words) : joined({"\x1b[1m", words, "\x1b[0m"});
}

std::string Lesson::faint(std::string_view words) const {
    return colours == Colours::none ? text(words) : joined({"\x1b[2m", words, "\x1b[0m"});
}

void Lesson::wait_for_enter() {
    print({"\n", indent, faint("Enter continues ")});
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

// ---- as text ----------------------------------------------------------------------------------------------------------------

void Lesson::print_lines(const std::vector<std::string>& given) {
    for (const std::string& line : given) print({line.empty() ? "" : indent, line, "\n"});
}

static std::string padded(std::string_view words, int width) {
    return joined({words, std::string(static_cast<std::size_t>(std::max(0, width - display_width(words))), ' ')});
}

void Lesson::print_step(const Item& step) {
    if (waiting && steps > 0) wait_for_enter();
    ++steps;
    const std::string number = padded("step " + text(steps) + " ", static_cast<int>(indent.size()));
    std::string right_part = step.equation;
    if (!step.source.empty()) right_part += joined({right_part.empty() ? "" : "   ", faint(step.source)});
    print({"\n", bold(joined({number, step.words}))});
    if (!right_part.empty()) {
        const int column = std::max(31, display_width(step.words) + 3);
        const bool fits = static_cast<int>(indent.size()) + column + display_width(right_part) <= page_width;
        print({fits ? std::string(static_cast<std::size_t>(column - display_width(step.words)), ' ') : "\n"});
        if (!fits) return print_lines(wrapped(right_part, page_width - static_cast<int>(indent.size())));
        print({right_part});
    }
    print({"\n"});
}

// The first line after the label, the others aligned below it.
void Lesson::labelled(std::string_view label, const std::string& words) {
    const int label_width = 10;
    std::string margin = indent + faint(padded(label, label_width));
    for (const std::string& line : wrapped(words, page_width - static_cast<int>(indent.size()) - label_width)) {
        print({margin, line, "\n"});
        margin = indent + std::string(label_width, ' ');
    }
}

// A line of code in pieces of at most `width` columns; those after the first are indented by four more than the line.
static std::vector<std::string> code_pieces(const std::string& line, int width) {
    if (display_width(line) <= width) return {line};
    std::size_t spaces = std::min(line.find_first_not_of(' '), line.size());
    const std::string code = line.substr(spaces);
    if (static_cast<int>(spaces) > width / 3) spaces = 8;  // aligned with a bracket far to the right: no room would be left
    const std::string margin(spaces, ' ');
    std::vector<std::string> pieces = wrapped(code, width - static_cast<int>(margin.size()) - 4);
    for (std::size_t k = 0; k < pieces.size(); ++k) pieces[k] = joined({margin, k == 0 ? "" : "    ", pieces[k]});
    return pieces;
}

void Lesson::print_code(const Item& code) {
    std::string label = "code";
    for (const std::string& line : code.lines)
        for (const std::string& piece : code_pieces(line, page_width - static_cast<int>(indent.size()) - 10)) {
            print({indent, faint(padded(label, 10)), piece, "\n"});
            label.clear();
        }
    if (!code.source.empty()) print({indent, std::string(10, ' '), faint(code.source), "\n"});
}

// The rows are printed beside the name, or below it if they would exceed the page; if they still do, fewer columns are shown.
void Lesson::print_matrix(const Item& item) {
    const int room = page_width - static_cast<int>(indent.size()) - 2;
    std::vector<std::string> grid = split_lines(grid_text(item.matrix, item.most, room));  // the shape, then the rows
    const std::string head = bold(item.words) + " " + grid[0];
    grid.erase(grid.begin());
    const bool beside =
        !grid.empty() && static_cast<int>(indent.size()) + display_width(head) + display_width(grid[0]) <= page_width;
    if (!beside) print_lines({head});
    std::string margin = beside ? head : "  ";
    const std::string blank(static_cast<std::size_t>(display_width(margin)), ' ');
    for (const std::string& row : grid) {
        print_lines({margin + row});
        margin = blank;
    }
}

void Lesson::print_claim(const Item& claim) {
    if (claims == 0) print({"\n"});
    ++claims;
    failed += !claim.holds;
    const std::string colour = colours == Colours::none ? "" : claim.holds ? "\x1b[32m" : "\x1b[1;31m";
    const std::string verdict = colour + (claim.holds ? "holds" : "FAILS") + (colour.empty() ? "" : "\x1b[0m");
    std::string margin = "claim    " + verdict + "   ";
    for (const std::string& line : wrapped(claim.words, page_width - 17)) {
        print({margin, line, "\n"});
        margin = std::string(17, ' ');
    }
}

// A caption that is wider than the page is wrapped above its picture.
void Lesson::print_pictures(const std::vector<Captioned>& blocks) {
    const int room = page_width - static_cast<int>(indent.size());
    if (blocks.size() != 1 || display_width(blocks[0].caption) <= room) return print_lines(side_by_side(blocks, room));
    print_lines(wrapped(blocks[0].caption, room));
    print_lines(blocks[0].block.lines);
}

// ---- the content -----------------------------------------------------------------------------------------------------------

void Lesson::step(std::string_view question, std::string_view equation, std::string_view source) {
    tell({.kind = Item::Kind::step, .words = text(question), .equation = text(equation), .source = text(source)});
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
    tell({.kind = Item::Kind::predict, .words = text(question), .answer = answer.shown});
    const std::string given_at_end = joined({"step ", steps, "   ", question, " ", answer.shown});
    if (!asking) return answers.push_back(given_at_end);
    print({indent, faint(padded("", 10)), "your answer: "});
    const std::string reply = line_of_input();
    if (!asking) return answers.push_back(given_at_end);
    const std::string verdict = reply.empty() ? "" : is_right(reply, answer) ? "right: " : "no: ";
    labelled("answer", verdict + answer.shown);
}

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
    std::vector<std::string> source = source_lines(where.file_name(), first, count);
    const std::string place = std::string(where.file_name()) + ":" + text(first);
    if (source.empty()) return tell({.kind = Item::Kind::code, .lines = {place}});
    const std::size_t margin = std::min(source[0].find_first_not_of(' '), source[0].size());
    for (std::string& line : source) line = line.substr(std::min(margin, line.size()));
    tell({.kind = Item::Kind::code, .source = place, .lines = source});
}

void Lesson::lines(const std::vector<std::string>& given) { tell({.kind = Item::Kind::lines, .lines = given}); }

void Lesson::matrix(std::string_view name, const Matrix& m, int most) {
    tell({.kind = Item::Kind::matrix, .words = text(name), .matrix = m, .most = most});
}

void Lesson::picture(std::string_view caption, const Image& image) { pictures({{text(caption), ::picture(image, colours)}}); }

void Lesson::heat(std::string_view caption, const Matrix& m, const std::vector<std::string>& row_names,
                  const std::vector<std::string>& col_names) {
    pictures({{joined({caption, "  ", stats_text(m)}), heat_map(m, colours, row_names, col_names)}});
}

void Lesson::pictures(const std::vector<Captioned>& blocks) { tell({.kind = Item::Kind::pictures, .pictures = blocks}); }

void Lesson::curves(const std::vector<Series>& series, const AxisNames& axes) {
    tell({.kind = Item::Kind::curves, .series = series, .axes = axes});
}

void Lesson::table(const std::vector<std::vector<std::string>>& rows) { tell({.kind = Item::Kind::table, .rows = rows}); }

bool Lesson::claim(std::string_view words, bool holds) {
    tell({.kind = Item::Kind::claim, .words = text(words), .holds = holds});
    return holds;
}

static std::string short_number(double number) { return short_digits(number, 4); }

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
    if (!page_path.empty()) write_file_atomically(page_path, page_html(page));
    return failed == 0 ? 0 : 1;
}

std::string refusal(const Options& options, const std::string& why) {
    const bool own_data = why.starts_with("walkthroughs/data/"), in_the_project = is_file("walkthroughs/data/README.md");
    return options.name + ": " + why + (own_data && !in_the_project ? "; start it in the folder of the project" : "");
}

int give_lesson(const Options& options, const std::function<void(Lesson&)>& walk) {
    try {
        std::optional<Tracing> tracing;
        if (!options.trace.empty()) tracing.emplace(options.trace_backward);
        Lesson lesson(options);
        walk(lesson);
        const int result = lesson.end();
        if (tracing && options.trace == "-") browse_trace(tracing->trace(), stdin, stdout);
        if (tracing && options.trace != "-") write_file_atomically(options.trace, trace_html(tracing->trace(), options.name));
        return result;
    } catch (const std::invalid_argument& refused) {
        std::fprintf(stderr, "%s\n", refusal(options, refused.what()).c_str());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s: %s\n", options.name.c_str(), failure.what());
        return 1;
    }
}
