#include "walkthroughs/lesson/pictures.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string_view>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/text.h"
#include "nn/data/unicode.h"

Colours terminal_colours() {
    if (!colours_welcome()) return Colours::none;
    const char* const colorterm = std::getenv("COLORTERM");
    const std::string_view words = colorterm == nullptr ? "" : colorterm;
    return words == "truecolor" || words == "24bit" ? Colours::all : Colours::few;
}

int terminal_width() {
    winsize size{};
    int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    const char* const variable = std::getenv("COLUMNS");
    if (columns == 0 && variable != nullptr) columns = std::atoi(variable);
    return columns <= 0 ? 80 : std::clamp(columns, 72, 120);
}

// ---- pictures ---------------------------------------------------------------------------------------------------------------

namespace {
struct Colour {
    int red, green, blue;  // 0 ... 255
};
}  // namespace

static int byte_of(float x) { return x > 0 ? static_cast<int>(std::lround(std::min(x, 1.f) * 255)) : 0; }  // NaN is not > 0

static Colour colour_of(const Image& image, int y, int x) {
    const int last = image.channels - 1;
    return {byte_of(image(y, x, 0)), byte_of(image(y, x, std::min(1, last))), byte_of(image(y, x, last))};
}

// 256 colours: 16 ... 231 are a cube of 6 x 6 x 6 whose steps lie at 0, 95, 135, 175, 215, 255;
// 232 ... 255 are greys 8, 18, ..., 238.
static int cube_step(int value) { return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40; }

static int nearest_of_256(Colour c) {
    const bool grey = c.red == c.green && c.green == c.blue;
    if (grey && c.red >= 4 && c.red <= 246) return 232 + std::clamp((c.red - 3) / 10, 0, 23);
    return 16 + 36 * cube_step(c.red) + 6 * cube_step(c.green) + cube_step(c.blue);
}

// 38 sets the foreground, 48 the background.
static std::string colour_code(int what, Colour c, Colours colours) {
    if (colours == Colours::few) return "\x1b[" + text(what) + ";5;" + text(nearest_of_256(c)) + "m";
    return "\x1b[" + text(what) + ";2;" + text(c.red) + ";" + text(c.green) + ";" + text(c.blue) + "m";
}

static constexpr const char* colours_off = "\x1b[0m";

static Drawing half_blocks(const Image& image, Colours colours) {
    Drawing block{{}, image.width};
    for (int y = 0; y < image.height; y += 2) {
        std::string line;
        for (int x = 0; x < image.width; ++x) {
            line += colour_code(38, colour_of(image, y, x), colours);
            if (y + 1 < image.height) line += colour_code(48, colour_of(image, y + 1, x), colours);
            line += "\u2580";
        }
        block.lines.push_back(line + colours_off);
    }
    return block;
}

// Luma (ITU-R BT.601).
static float brightness(const Image& image, int y, int x) {
    const Colour c = colour_of(image, y, x);
    return (0.299f * c.red + 0.587f * c.green + 0.114f * c.blue) / 255;
}

static Drawing letters(const Image& image) {
    static constexpr std::string_view ramp = " .:-=+*#%@";
    Drawing block{{}, 2 * image.width};
    for (int y = 0; y < image.height; ++y) {
        std::string line;
        for (int x = 0; x < image.width; ++x)
            line += std::string(2, ramp[static_cast<std::size_t>(std::lround(brightness(image, y, x) * (ramp.size() - 1)))]);
        block.lines.push_back(line);
    }
    return block;
}

static Image enlarged(const Image& image, int factor) {
    Image result(image.height * factor, image.width * factor, image.channels);
    for (int y = 0; y < result.height; ++y)
        for (int x = 0; x < result.width; ++x)
            for (int c = 0; c < image.channels; ++c) result(y, x, c) = image(y / factor, x / factor, c);
    return result;
}

// Lines only.
static Drawing drawn(const Image& image, Colours colours) {
    const bool drawable = image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3);
    require(drawable, "picture: a ", shape(image), " image, it must have pixels and 1 or 3 channels");
    const int widest = colours == Colours::none ? 35 : 70;
    const int side = std::max(image.height, image.width);
    if (side > widest) {
        const int height = std::max(1, static_cast<int>(static_cast<long>(image.height) * widest / side));
        const int width = std::max(1, static_cast<int>(static_cast<long>(image.width) * widest / side));
        return drawn(resize_bilinear_antialiased(image, height, width), colours);
    }
    if (colours == Colours::none) return letters(image);
    return half_blocks(enlarged(image, std::clamp(16 / side, 1, 4)), colours);
}

Drawing picture(const Image& image, Colours colours) {
    Drawing drawing = drawn(image, colours);
    drawing.image = image;
    return drawing;
}

// ---- columns of a terminal --------------------------------------------------------------------------------------------------

int display_width(std::string_view words) {
    int width = 0;
    bool in_code = false;
    for (const char32_t c : decode_utf8(words)) {
        if (c == 0x1B) in_code = true;
        if (!in_code) width += columns_of(c);
        if (in_code && c == 'm') in_code = false;
    }
    return width;
}

static std::string padded(const std::string& words, int width) {
    return words + std::string(static_cast<std::size_t>(std::max(0, width - display_width(words))), ' ');
}

static std::string without_end_spaces(std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

// ---- heat maps --------------------------------------------------------------------------------------------------------------

// Five colours from 0 to 1, interpolated.
static std::array<float, 3> heat_colour(float share) {
    static constexpr std::array<std::array<float, 3>, 5> stops = {
        {{0.02f, 0.02f, 0.08f}, {0.33f, 0.07f, 0.43f}, {0.76f, 0.21f, 0.32f}, {0.97f, 0.58f, 0.13f}, {0.99f, 0.99f, 0.75f}}};
    const float position = std::clamp(share, 0.f, 1.f) * (stops.size() - 1);
    const std::size_t below = std::min(static_cast<std::size_t>(position), stops.size() - 2);
    const float above_share = position - static_cast<float>(below);
    std::array<float, 3> colour{};
    for (std::size_t c = 0; c < 3; ++c) colour[c] = (1 - above_share) * stops[below][c] + above_share * stops[below + 1][c];
    return colour;
}

// Where x lies between `low` (0) and `high` (1); 1/2 where these are equal. The distance of two floats may not fit into one.
static float share_of(float x, float low, float high) {
    return high > low ? static_cast<float>((double{x} - low) / (double{high} - low)) : 0.5f;
}

Image heat_colours(const Matrix& m, float smallest, float largest) {
    Image image(m.rows, m.cols, 3);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) {
            if (std::isnan(m(i, j))) continue;
            const std::array<float, 3> colour = heat_colour(share_of(m(i, j), smallest, largest));
            for (int c = 0; c < 3; ++c) image(i, j, c) = colour[static_cast<std::size_t>(c)];
        }
    return image;
}

namespace {
struct Extent {
    float low = std::numeric_limits<float>::infinity();
    float high = -std::numeric_limits<float>::infinity();

    void include(float x) {
        if (!std::isfinite(x)) return;
        low = std::min(low, x);
        high = std::max(high, x);
    }
    bool empty() const { return low > high; }
};
}  // namespace

Image heat_colours(const Matrix& m) {
    Extent range;
    for (const float x : m) range.include(x);
    return heat_colours(m, range.low, range.high);
}

// Plain characters show only brightness, so they show the value itself.
static Image shares(const Matrix& m) {
    Extent range;
    for (const float x : m) range.include(x);
    Image image(m.rows, m.cols, 1);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) image(i, j, 0) = share_of(m(i, j), range.low, range.high);
    return image;
}

// "[MASK]" in at most `most` columns.
static std::string shortened(const std::string& name, int most) {
    std::string kept;
    for (const char32_t c : decode_utf8(name)) {
        if (display_width(kept) + columns_of(c) > most) break;
        kept += encode_utf8(c);
    }
    return kept;
}

static std::string name_of(const std::vector<std::string>& names, int k) {
    return static_cast<std::size_t>(k) < names.size() ? names[static_cast<std::size_t>(k)] : text(k);
}

// The names of the columns from top to bottom, each below its two columns of a map; at most 8 letters of each.
static std::vector<std::string> upright_names(const std::vector<std::string>& names, int count, int margin) {
    std::vector<std::u32string> letters;
    std::size_t height = 0;
    for (int j = 0; j < count; ++j) {
        letters.push_back(decode_utf8(name_of(names, j)).substr(0, 8));
        height = std::max(height, letters.back().size());
    }
    std::vector<std::string> lines;
    for (std::size_t k = 0; k < height; ++k) {
        std::string line(static_cast<std::size_t>(margin), ' ');
        for (const std::u32string& name : letters) line += padded(k < name.size() ? encode_utf8(name[k]) : "", 2);
        lines.push_back(without_end_spaces(line));
    }
    return lines;
}

// A cell is two columns of one line, so that each row and column can have its name.
static Drawing named_map(const Matrix& m, Colours colours, const std::vector<std::string>& row_names,
                         const std::vector<std::string>& col_names) {
    static constexpr int longest_name = 12;
    const Image image = colours == Colours::none ? shares(m) : heat_colours(m);
    const Drawing plain = colours == Colours::none ? letters(image) : Drawing{};
    int margin = 0;
    for (int i = 0; i < m.rows && !row_names.empty(); ++i)
        margin = std::max(margin, display_width(shortened(name_of(row_names, i), longest_name)) + 1);
    Drawing drawing{{}, margin + 2 * m.cols};
    for (int i = 0; i < m.rows; ++i) {
        const std::string name = row_names.empty() ? "" : shortened(name_of(row_names, i), longest_name) + " ";
        std::string line = std::string(static_cast<std::size_t>(margin - display_width(name)), ' ') + name;
        if (colours == Colours::none) line += plain.lines[static_cast<std::size_t>(i)];
        for (int j = 0; j < m.cols && colours != Colours::none; ++j)
            line += colour_code(48, colour_of(image, i, j), colours) + "  ";
        drawing.lines.push_back(colours == Colours::none ? line : line + colours_off);
    }
    if (!col_names.empty())
        for (const std::string& line : upright_names(col_names, m.cols, margin)) drawing.lines.push_back(line);
    return drawing;
}

Drawing heat_map(const Matrix& m, Colours colours, const std::vector<std::string>& row_names,
                 const std::vector<std::string>& col_names) {
    static constexpr int most_named = 28;  // more do not fit beside their names
    const bool named = (!row_names.empty() || !col_names.empty()) && m.rows <= most_named && m.cols <= most_named && !m.empty();
    Drawing drawing = named ? named_map(m, colours, row_names, col_names)
                            : drawn(colours == Colours::none ? shares(m) : heat_colours(m), colours);
    drawing.values = m;
    drawing.row_names = row_names;
    drawing.col_names = col_names;
    return drawing;
}

// ---- blocks -----------------------------------------------------------------------------------------------------------------

// One row of blocks that fit.
static void append_row(std::vector<std::string>& lines, const std::vector<Captioned>& blocks, std::size_t first,
                       std::size_t end) {
    static constexpr const char* gap = "   ";
    std::size_t height = 0;
    std::string captions;
    for (std::size_t b = first; b < end; ++b) {
        height = std::max(height, blocks[b].block.lines.size());
        captions += padded(blocks[b].caption, blocks[b].block.width) + gap;
    }
    if (captions.find_first_not_of(' ') != std::string::npos) lines.push_back(without_end_spaces(captions));
    for (std::size_t k = 0; k < height; ++k) {
        std::string line;
        for (std::size_t b = first; b < end; ++b) {
            const int width = std::max(blocks[b].block.width, display_width(blocks[b].caption));
            line += padded(k < blocks[b].block.lines.size() ? blocks[b].block.lines[k] : "", width) + gap;
        }
        lines.push_back(without_end_spaces(line));
    }
}

std::vector<std::string> side_by_side(const std::vector<Captioned>& blocks, int most_width) {
    std::vector<std::string> lines;
    std::size_t first = 0;
    int width = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        const int needed = std::max(blocks[b].block.width, display_width(blocks[b].caption)) + 3;
        if (width + needed > most_width) {
            append_row(lines, blocks, first, b);
            first = b;
            width = 0;
        }
        width += needed;
    }
    append_row(lines, blocks, first, blocks.size());
    return lines;
}

// ---- curves -----------------------------------------------------------------------------------------------------------------

static constexpr std::string_view marks = "*o+x#%";
static constexpr std::array<int, 6> mark_colours = {45,  214, 120,
                                                    205, 229, 141};  // of the 256: blue, orange, green, pink, yellow, violet

namespace {
// A grid of characters, each with two dots, one above the other (half blocks), or one mark.
class Canvas {
public:
    Canvas(int width, int height, Colours colours)
        : width(width), height(height), colours(colours), cells(static_cast<std::size_t>(width) * height) {}

    int dots_across() const { return width; }
    int dots_down() const { return colours == Colours::none ? height : 2 * height; }

    void set(int across, int down, int series) {
        const bool plain = colours == Colours::none;
        const int y = plain ? down : down / 2;
        Cell& cell = cells[static_cast<std::size_t>(y) * width + across];
        cell.dots |= plain || down % 2 == 0 ? 1 : 2;  // bit 0: upper half, bit 1: lower half
        cell.series = series;
    }

    std::string line(int y) const {
        static constexpr const char* blocks[] = {" ", "\u2580", "\u2584", "\u2588"};  // none, upper, lower, both
        std::string words;
        for (int x = 0; x < width; ++x) {
            const Cell cell = cells[static_cast<std::size_t>(y) * width + x];
            if (cell.dots == 0)
                words += ' ';
            else if (colours == Colours::none)
                words += marks[static_cast<std::size_t>(cell.series) % marks.size()];
            else
                words += in_series_colour(blocks[cell.dots], cell.series);
        }
        return words;
    }

    static std::string in_series_colour(const std::string& words, int series) {
        return "\x1b[38;5;" + text(mark_colours[static_cast<std::size_t>(series) % mark_colours.size()]) + "m" + words +
               colours_off;
    }

private:
    struct Cell {
        int dots = 0, series = 0;
    };
    int width, height;
    Colours colours;
    std::vector<Cell> cells;
};
}  // namespace

// The dot, 0 ... dots - 1, of a value in a range; the middle if the range is a point.
static int dot_of(float value, Extent range, int dots) {
    const double share =
        range.high > range.low ? (static_cast<double>(value) - range.low) / (static_cast<double>(range.high) - range.low) : 0.5;
    return static_cast<int>(std::lround(share * (dots - 1)));
}

// Points connected by straight lines.
static void draw_series(Canvas& canvas, const Series& series, int number, Extent xs, Extent ys) {
    bool first = true;
    int last_x = 0, last_y = 0;
    for (std::size_t k = 0; k < series.x.size(); ++k) {
        if (!std::isfinite(series.x[k]) || !std::isfinite(series.y[k])) continue;
        const int x = dot_of(series.x[k], xs, canvas.dots_across());
        const int y = canvas.dots_down() - 1 - dot_of(series.y[k], ys, canvas.dots_down());
        const int from_x = first ? x : last_x, from_y = first ? y : last_y;
        const int dots = std::max({std::abs(x - from_x), std::abs(y - from_y), 1});
        for (int d = 0; d <= dots; ++d) {
            const double share = static_cast<double>(d) / dots;
            canvas.set(static_cast<int>(std::lround(from_x + (x - from_x) * share)),
                       static_cast<int>(std::lround(from_y + (y - from_y) * share)), number);
        }
        first = false;
        last_x = x;
        last_y = y;
    }
}

static std::string short_number(float number) { return short_digits(static_cast<double>(number), 4); }

Series smoothed(const std::string& name, const std::vector<float>& numbers, int group) {
    Series means{.name = name, .x = {}, .y = {}};
    const int count = static_cast<int>(numbers.size());
    for (int first = 0; first < count; first += group) {
        const int end = std::min(count, first + group);
        float sum = 0;
        for (int k = first; k < end; ++k) sum += numbers[k];
        means.x.push_back(static_cast<float>(end));
        means.y.push_back(sum / static_cast<float>(end - first));
    }
    return means;
}

Series running_mean(const std::string& name, const std::vector<float>& numbers, int spread) {
    Series means{.name = name, .x = {}, .y = {}};
    const int count = static_cast<int>(numbers.size());
    for (int k = 0; k < count; ++k) {
        const int first = std::max(0, k - spread + 1);
        float sum = 0;
        for (int i = first; i <= k; ++i) sum += numbers[i];
        means.x.push_back(static_cast<float>(k));
        means.y.push_back(sum / static_cast<float>(k + 1 - first));
    }
    return means;
}

std::vector<std::string> curves(const std::vector<Series>& series, Colours colours, int width, int height,
                                const AxisNames& axes) {
    require(width >= 16 && height >= 2, "curves: ", width, " x ", height, " letters are too few, 16 x 2 are the minimum");
    Extent xs, ys;
    for (const Series& one : series) {
        require(one.x.size() == one.y.size(), "curves: ", one.name, " has ", one.x.size(), " x and ", one.y.size(), " y");
        for (std::size_t k = 0; k < one.x.size(); ++k)
            if (std::isfinite(one.x[k]) && std::isfinite(one.y[k])) {
                xs.include(one.x[k]);
                ys.include(one.y[k]);
            }
    }
    if (xs.empty()) return {"(no points)"};

    Canvas canvas(width, height, colours);
    for (std::size_t s = 0; s < series.size(); ++s) draw_series(canvas, series[s], static_cast<int>(s), xs, ys);

    const std::string top = short_number(ys.high), bottom = short_number(ys.low);
    const std::size_t margin = std::max(top.size(), bottom.size());
    std::vector<std::string> lines;
    const std::string legend_margin(margin + 2, ' ');
    std::string legend = legend_margin;
    for (std::size_t s = 0; s < series.size(); ++s) {
        const bool plain = colours == Colours::none;
        const std::string mark =
            plain ? std::string(1, marks[s % marks.size()]) : Canvas::in_series_colour("\u2501\u2501", static_cast<int>(s));
        const std::string entry = mark + " " + series[s].name + "   ";
        if (legend != legend_margin && display_width(legend + entry) > static_cast<int>(margin) + 5 + width) {
            lines.push_back(without_end_spaces(legend));
            legend = legend_margin;
        }
        legend += entry;
    }
    lines.push_back(without_end_spaces(legend));
    if (!axes.y.empty()) lines.push_back(legend_margin + axes.y);
    for (int y = 0; y < height; ++y) {
        const std::string label = y == 0 ? top : y == height - 1 ? bottom : "";
        lines.push_back(without_end_spaces(std::string(margin - label.size(), ' ') + label + " |" + canvas.line(y)));
    }
    const std::string left = short_number(xs.low), right = short_number(xs.high);
    const int between = std::max(1, width - static_cast<int>(left.size() + right.size()));
    lines.push_back(std::string(margin + 1, ' ') + "+" + std::string(static_cast<std::size_t>(width), '-'));
    lines.push_back(std::string(margin + 2, ' ') + left + std::string(static_cast<std::size_t>(between), ' ') + right);
    if (!axes.x.empty()) {
        const int before = std::max(0, (width - display_width(axes.x)) / 2);
        lines.push_back(legend_margin + std::string(static_cast<std::size_t>(before), ' ') + axes.x);
    }
    return lines;
}

// ---- words ------------------------------------------------------------------------------------------------------------------

static bool looks_like_number(const std::string& cell) {
    return cell.find_first_of("0123456789") != std::string::npos &&
           cell.find_first_not_of("0123456789+-.,e% x") == std::string::npos;
}

// The width of the longest part of a cell that is not broken: a number, or a word.
static int unbroken_width(const std::string& cell) {
    if (looks_like_number(cell)) return display_width(cell);
    int width = 0;
    for (const std::string& word : split(cell, ' ')) width = std::max(width, display_width(word));
    return width;
}

std::vector<bool> number_columns(const std::vector<std::vector<std::string>>& rows) {
    if (rows.empty()) return {};
    std::vector<bool> numbers(rows[0].size(), rows.size() > 1);
    for (std::size_t r = 1; r < rows.size(); ++r) {
        require(rows[r].size() == numbers.size(), "table: row ", r, " has ", rows[r].size(), " cells, the heading ",
                numbers.size());
        for (std::size_t c = 0; c < numbers.size(); ++c)
            if (!looks_like_number(rows[r][c])) numbers[c] = false;
    }
    return numbers;
}

namespace {
struct Columns {
    std::vector<int> widths;
    std::vector<bool> to_the_right;
    std::string gap;  // between two of them
};
}  // namespace

// Too wide for most_width (0: any width): gaps of two, then the widest column that can be broken becomes narrower, at last gaps of
// one.
static Columns columns_of(const std::vector<std::vector<std::string>>& rows, int most_width) {
    const std::size_t count = rows[0].size();
    const std::vector<bool> to_the_right = number_columns(rows);  // refuses rows of another length
    std::vector<int> widths(count, 0), least(count, 0);
    for (const std::vector<std::string>& row : rows)
        for (std::size_t c = 0; c < count; ++c) {
            widths[c] = std::max(widths[c], display_width(row[c]));
            least[c] = std::max(least[c], unbroken_width(row[c]));
        }
    const int gaps = static_cast<int>(count) - 1, whole_width = std::accumulate(widths.begin(), widths.end(), 3 * gaps);
    if (most_width <= 0 || whole_width <= most_width) return {widths, to_the_right, "   "};
    int excess = whole_width - gaps - most_width;
    for (; excess > 0; --excess) {
        std::size_t widest = count;
        for (std::size_t c = 0; c < count; ++c)
            if (widths[c] > least[c] && (widest == count || widths[c] > widths[widest])) widest = c;
        if (widest == count) break;
        --widths[widest];
    }
    return {widths, to_the_right, excess > 0 ? " " : "  "};
}

// As many lines as the highest cell needs.
static void append_table_row(std::vector<std::string>& lines, const std::vector<std::string>& row, const Columns& columns) {
    std::vector<std::vector<std::string>> cells;  // the lines of each
    std::size_t height = 1;
    for (std::size_t c = 0; c < row.size(); ++c) {
        const bool whole = display_width(row[c]) <= columns.widths[c];
        cells.push_back(whole ? std::vector<std::string>{row[c]} : wrapped(row[c], columns.widths[c]));
        height = std::max(height, cells.back().size());
    }
    for (std::size_t k = 0; k < height; ++k) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string cell = k < cells[c].size() ? cells[c][k] : "";
            const std::string room(static_cast<std::size_t>(columns.widths[c] - display_width(cell)), ' ');
            line += (c == 0 ? "" : columns.gap) + (columns.to_the_right[c] ? room + cell : cell + room);
        }
        lines.push_back(without_end_spaces(line));
    }
}

std::vector<std::string> table(const std::vector<std::vector<std::string>>& rows, int most_width) {
    if (rows.empty()) return {};
    const Columns columns = columns_of(rows, most_width);
    std::vector<std::string> rule;  // under the heading
    for (const int width : columns.widths) rule.push_back(std::string(static_cast<std::size_t>(width), '-'));
    std::vector<std::string> lines;
    append_table_row(lines, rows[0], columns);
    append_table_row(lines, rule, columns);
    for (std::size_t r = 1; r < rows.size(); ++r) append_table_row(lines, rows[r], columns);
    return lines;
}

std::string bar(double number, double most, int width) {
    const double share = most > 0 ? std::min(1.0, std::abs(number) / most) : 0;
    return std::string(static_cast<std::size_t>(std::lround(share * width)), number < 0 ? '-' : '#');
}

std::string fixed(double number, int digits) {
    if (std::isnan(number)) return "nan";
    return fixed_digits(number, std::clamp(digits, 0, 17));
}

std::string percent(double fraction) { return fixed(100 * fraction, 1) + " %"; }

std::vector<std::string> wrapped(const std::string& words, int width) {
    std::vector<std::string> lines;
    std::string line;
    for (const std::string& word : split(words, ' ')) {
        if (!line.empty() && display_width(line) + 1 + display_width(word) > width) {
            lines.push_back(line);
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    lines.push_back(line);
    return lines;
}
