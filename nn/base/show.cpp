#include "nn/base/show.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "nn/base/decimal.h"
#include "nn/base/require.h"

#if __has_include(<unistd.h>)
#include <unistd.h>
static bool prints_to_terminal() { return isatty(1) != 0; }
#else
static bool prints_to_terminal() { return false; }
#endif

static bool is_set(const char* variable) {
    const char* const value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

bool terminal_is_dumb() {
    const char* const terminal = std::getenv("TERM");
    return terminal != nullptr && std::string(terminal) == "dumb";
}

bool colours_welcome() {
    if (is_set("NO_COLOR")) return false;
    if (is_set("FORCE_COLOR")) return true;
    return prints_to_terminal() && !terminal_is_dumb();
}

static void print(const std::string& words) {
    std::fputs(words.c_str(), stdout);
    std::fflush(stdout);
}

void show(const Matrix& m) { print(grid_text(m)); }
void heat(const Matrix& m) { print(heat_text(m, colours_welcome())); }
void stats(const Matrix& m) { print(stats_text(m) + "\n"); }

static std::string number_text(double x) {
    if (std::isnan(x)) return "nan";
    return std::isfinite(x) && std::abs(x) >= 1e7 ? scientific_digits(x, 4) : fixed_digits(x, 4);
}

// Indices of the rows (or columns) that are shown; -1 stands for "...".
static std::vector<int> shown(int count, int most) {
    std::vector<int> indices;
    const bool all = count <= most;
    for (int i = 0; i < (all ? count : most / 2); ++i) indices.push_back(i);
    if (all) return indices;
    indices.push_back(-1);
    for (int i = count - most / 2; i < count; ++i) indices.push_back(i);
    return indices;
}

// The rows, each with a line end.
static std::vector<std::string> grid_lines(const Matrix& m, int most) {
    const std::vector<int> rows = shown(m.rows, most), cols = shown(m.cols, most);
    std::size_t width = 0;
    for (const int i : rows)
        for (const int j : cols)
            if (i >= 0 && j >= 0) width = std::max(width, number_text(m(i, j)).size());
    std::vector<std::string> lines;
    for (const int i : rows) {
        std::string line = " ";
        for (const int j : cols) {
            const std::string cell = i < 0 || j < 0 ? "..." : number_text(m(i, j));
            const std::size_t room = j < 0 ? 3 : width;  // the column of dots is narrow
            line += "  " + std::string(room - std::min(room, cell.size()), ' ') + cell;
        }
        lines.push_back(line + "\n");
    }
    return lines;
}

std::string grid_text(const Matrix& m, int most, int width) {
    require(most >= 2, "grid_text: ", most, " rows and columns are too few to show, 2 is the minimum");
    std::string words = shape(m) + "\n";
    if (m.empty()) return words;
    std::vector<std::string> lines = grid_lines(m, most);
    while (most > 2 && static_cast<int>(lines[0].size()) - 1 > width) lines = grid_lines(m, --most);
    for (const std::string& line : lines) words += line;
    return words;
}

namespace {
// Smallest and largest finite element; (0, 0) if there is none.
struct Range {
    float low = 0, high = 0;
};
}  // namespace
static Range finite_range(const Matrix& m) {
    Range range;
    bool found = false;
    for (const float x : m) {
        if (!std::isfinite(x)) continue;
        range = found ? Range{std::min(range.low, x), std::max(range.high, x)} : Range{x, x};
        found = true;
    }
    return range;
}

// The matrix with every side x side square replaced by its mean.
static Matrix means_of_squares(const Matrix& m, int side) {
    Matrix means((m.rows + side - 1) / side, (m.cols + side - 1) / side);
    for (int i = 0; i < means.rows; ++i)
        for (int j = 0; j < means.cols; ++j) {
            double sum = 0;
            int count = 0;
            for (int y = i * side; y < std::min(m.rows, (i + 1) * side); ++y)
                for (int x = j * side; x < std::min(m.cols, (j + 1) * side); ++x) {
                    sum += m(y, x);
                    ++count;
                }
            means(i, j) = static_cast<float>(sum / count);
        }
    return means;
}

// 0 ... levels - 1 from the smallest to the largest; equal elements are drawn dark, infinities as the smallest or largest.
static int level(float x, Range range, int levels) {
    if (!(range.high > range.low)) return 0;
    const double position = (static_cast<double>(x) - range.low) / (static_cast<double>(range.high) - range.low);
    return static_cast<int>(std::lround(std::clamp(position, 0.0, 1.0) * (levels - 1)));
}

static std::string letters(const Matrix& m, Range range) {
    const std::string ramp = " .:-=+*#%@";
    std::string words;
    for (int i = 0; i < m.rows; ++i) {
        std::string line;
        for (int j = 0; j < m.cols; ++j)
            line += std::string(2, std::isnan(m(i, j)) ? '?' : ramp[level(m(i, j), range, static_cast<int>(ramp.size()))]);
        words += line + "\n";
    }
    return words;
}

// Colour 232 of a terminal is nearly black, 255 nearly white; NaN is red (196).
static std::string colour(float x, Range range) { return text(std::isnan(x) ? 196 : 232 + level(x, range, 24)); }

static std::string half_blocks(const Matrix& m, Range range) {
    std::string words;
    for (int i = 0; i < m.rows; i += 2) {
        for (int j = 0; j < m.cols; ++j) {
            words += "\x1b[38;5;" + colour(m(i, j), range) + "m";  // the upper half
            if (i + 1 < m.rows) words += "\x1b[48;5;" + colour(m(i + 1, j), range) + "m";
            words += "\u2580";
        }
        words += "\x1b[0m\n";
    }
    return words;
}

std::string heat_text(const Matrix& m, bool in_colour) {
    std::string words = shape(m);
    if (m.empty()) return words + "\n";
    const int down = 64, across = in_colour ? 64 : 40;  // a row fits into 80 characters
    const int side = std::max((m.rows + down - 1) / down, (m.cols + across - 1) / across);
    if (side > 1) words += "  each cell the mean of " + text(side) + " x " + text(side);
    const Matrix cells = means_of_squares(m, side);
    const Range range = finite_range(cells);
    words += "  dark " + number_text(range.low) + "  bright " + number_text(range.high) + "\n";
    return words + (in_colour ? half_blocks(cells, range) : letters(cells, range));
}

std::string stats_text(const Matrix& m) {
    double sum = 0, squares = 0;
    long finite = 0, nan = 0;
    for (const float x : m) {
        if (std::isnan(x)) ++nan;
        if (!std::isfinite(x)) continue;
        sum += x;
        ++finite;
    }
    const double mean = finite == 0 ? 0 : sum / finite;
    for (const float x : m)
        if (std::isfinite(x)) squares += (x - mean) * (x - mean);
    const long infinite = static_cast<long>(m.size()) - finite - nan;
    const Range range = finite_range(m);
    std::string words = shape(m);
    if (finite > 0)
        words += "  min " + number_text(range.low) + "  max " + number_text(range.high) + "  mean " + number_text(mean) +
                 "  stddev " + number_text(std::sqrt(squares / finite));
    if (nan > 0) words += "  " + text(nan) + " nan";
    if (infinite > 0) words += "  " + text(infinite) + " inf";
    return words;
}
