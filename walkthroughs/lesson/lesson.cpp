#include "walkthroughs/lesson/lesson.h"

#include <cmath>

#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/text.h"

static constexpr int page_width = 110;
static const std::string indent(9, ' ');

Lesson::Lesson(const Options& options) : Lesson(options, stdout, stdin, terminal_colours()) {}

Lesson::Lesson(const Options& options, std::FILE* out, std::FILE* in, Colours colours)
    : colours(colours), out(out), in(in), waiting(options.step) {
    print(bold(options.name) + "   " + options.purpose + "\n");
    print(faint("takes about " + options.duration) + "\n");
}

void Lesson::print(const std::string& words) {
    std::fputs(words.c_str(), out);
    std::fflush(out);
}

std::string Lesson::bold(const std::string& words) const { return colours == Colours::none ? words : "\x1b[1m" + words + "\x1b[0m"; }

std::string Lesson::faint(const std::string& words) const { return colours == Colours::none ? words : "\x1b[2m" + words + "\x1b[0m"; }

void Lesson::wait_for_enter() {
    print("\n" + indent + faint("Enter goes on ") );
    int letter = std::fgetc(in);
    while (letter != '\n' && letter != EOF) letter = std::fgetc(in);
    if (letter == EOF) {
        waiting = false;
        print("\n");
    }
}

static std::string padded(const std::string& words, int width) {
    return words + std::string(static_cast<std::size_t>(std::max(0, width - display_width(words))), ' ');
}

void Lesson::step(const std::string& question, const std::string& equation, const std::string& source) {
    if (waiting && steps > 0) wait_for_enter();
    ++steps;
    const std::string number = padded("step " + text(steps), static_cast<int>(indent.size()));
    const std::string behind = equation + (source.empty() ? "" : (equation.empty() ? "" : "   ") + faint(source));
    print("\n" + bold(number + (behind.empty() ? question : padded(question, 31))) + behind + "\n");
}

// The first line behind the label, those that follow below its beginning.
void Lesson::labelled(const std::string& label, const std::string& words) {
    const int label_width = 10;
    std::string margin = indent + faint(padded(label, label_width));
    for (const std::string& line : wrapped(words, page_width - static_cast<int>(indent.size()) - label_width)) {
        print(margin + line + "\n");
        margin = indent + std::string(label_width, ' ');
    }
}

void Lesson::say(const std::string& words) {
    for (const std::string& line : wrapped(words, page_width - static_cast<int>(indent.size()))) print(indent + line + "\n");
}

void Lesson::code(const std::string& line) { print(indent + faint(padded("code", 10)) + line + "\n"); }
void Lesson::why(const std::string& words) { labelled("why", words); }
void Lesson::predict(const std::string& words) { labelled("predict", words); }

void Lesson::lines(const std::vector<std::string>& given) {
    for (const std::string& line : given) print(line.empty() ? "\n" : indent + line + "\n");
}

void Lesson::matrix(const std::string& name, const Matrix& m, int most) {
    const std::vector<std::string> grid = split_lines(grid_text(m, most));  // the shape, then the rows
    std::string margin = bold(name) + " " + grid[0];
    const std::string blank(static_cast<std::size_t>(display_width(margin)), ' ');
    if (grid.size() == 1) lines({margin});
    for (std::size_t k = 1; k < grid.size(); ++k) {
        lines({margin + grid[k]});
        margin = blank;
    }
}

void Lesson::picture(const std::string& caption, const Image& image) { pictures({{caption, ::picture(image, colours)}}); }

void Lesson::heat(const std::string& caption, const Matrix& m) { pictures({{caption + "  " + stats_text(m), heat_map(m, colours)}}); }

void Lesson::pictures(const std::vector<Captioned>& blocks) { lines(side_by_side(blocks, page_width - static_cast<int>(indent.size()))); }

void Lesson::curves(const std::vector<Series>& series) { lines(::curves(series, colours)); }

void Lesson::table(const std::vector<std::vector<std::string>>& rows) { lines(::table(rows)); }

bool Lesson::claim(const std::string& words, bool holds) {
    ++claims;
    failed += !holds;
    const std::string colour = colours == Colours::none ? "" : holds ? "\x1b[32m" : "\x1b[1;31m";
    const std::string verdict = colour + (holds ? "holds" : "FAILS") + (colour.empty() ? "" : "\x1b[0m");
    print("claim    " + verdict + "   " + words + "\n");
    return holds;
}

static std::string short_number(double number) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.4g", number);
    return digits;
}

bool Lesson::claim_at_least(const std::string& words, double measured, double bound) {
    return claim(words + ": " + short_number(measured) + ", at least " + short_number(bound), measured >= bound);
}

bool Lesson::claim_at_most(const std::string& words, double measured, double bound) {
    return claim(words + ": " + short_number(measured) + ", at most " + short_number(bound), measured <= bound);
}

int Lesson::end() {
    if (failed > 0) print("\n" + text(failed) + " of " + text(claims) + " claims FAIL\n");
    return failed == 0 ? 0 : 1;
}
