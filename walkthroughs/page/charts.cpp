#include "walkthroughs/page/charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "walkthroughs/page/html.h"

// "12.5": at most two decimals are enough for a coordinate on a page.
static std::string place(double x) {
    std::string words = fixed_digits(x, 2);
    while (words.back() == '0') words.pop_back();
    if (words.back() == '.') words.pop_back();
    return words;
}

// All digits that a float has.
static std::string exact(float x) { return std::isfinite(x) ? short_digits(static_cast<double>(x), 9) : fixed(x); }

// Of a pixel of heat_colours(), whose numbers are 0 to 1.
static std::string hex_colour(const Image& image, int y, int x) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string words = "#";
    for (int c = 0; c < 3; ++c) {
        const int byte = static_cast<int>(std::lround(image(y, x, c) * 255));
        words += digits[static_cast<std::size_t>(byte / 16)];
        words += digits[static_cast<std::size_t>(byte % 16)];
    }
    return words;
}

// Whether black letters have more contrast on it than white ones: relative luminance as WCAG 2.1 defines it, and there
// (L + 0.05) / 0.05 = 1.05 / (L + 0.05) at L = 0.179, where both have a contrast of 4.6.
static bool is_bright(const Image& image, int y, int x) {
    const auto linear = [&](int channel) {
        const double c = image(y, x, channel);
        return c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
    };
    return 0.2126 * linear(0) + 0.7152 * linear(1) + 0.0722 * linear(2) > 0.179;
}

// ---- matrices ---------------------------------------------------------------------------------------------------------------

namespace {
// Which rows, or columns, a table shows: all, or the first and the last with a gap (-1) between them.
std::vector<int> shown(int count, int most) {
    std::vector<int> numbers;
    for (int k = 0; k < count; ++k) {
        if (count <= most || k < most / 2 || k >= count - most / 2) numbers.push_back(k);
        if (count > most && k == most / 2) numbers.push_back(-1);
    }
    return numbers;
}
}  // namespace

std::string matrix_html(const std::string& name, const Matrix& m, int most) {
    static constexpr int most_rows = 16, most_cols = 24;
    const bool whole = m.rows <= most_rows && m.cols <= most_cols;
    const std::vector<int> rows = shown(m.rows, whole ? most_rows : most), cols = shown(m.cols, whole ? most_cols : most);
    const Image colours = heat_colours(m);
    std::string html = "<figure class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"" + escaped(name) +
                       "\"><table class=\"m" +
                       (cols.size() > 16  ? " wide wider"
                        : cols.size() > 9 ? " wide"
                                          : "") +
                       "\"><caption><b>" + escaped(name) + "</b> " + shape(m) + "</caption>\n<thead><tr><td></td>";
    for (const int j : cols) html += "<th scope=\"col\">" + (j < 0 ? "\u2026" : text(j)) + "</th>";
    html += "</tr></thead>\n";
    for (const int i : rows) {
        html += "<tr><th scope=\"row\">" + (i < 0 ? "\u2026" : text(i)) + "</th>";
        for (const int j : cols) {
            if (i < 0 || j < 0) {
                html += "<td>\u2026</td>";
                continue;
            }
            const bool number = !std::isnan(m(i, j));
            const std::string look = number ? joined({"class=\"", is_bright(colours, i, j) ? "b" : "d",
                                                      "\" style=\"background:", hex_colour(colours, i, j), "\""})
                                            : "class=\"nan\"";
            html += joined({"<td ", look, " title=\"", name.size() < 20 ? escaped(name) : "", "(", i, ",", j,
                            ") = ", exact(m(i, j)), "\">", fixed(m(i, j)), "</td>"});
        }
        html += "</tr>\n";
    }
    html += "</table></figure>\n";
    if (!whole) html += "<div class=\"row\">" + heat_html(m, name + ", all of it") + "</div>\n";
    return html;
}

// ---- images -----------------------------------------------------------------------------------------------------------------

static std::string data_url(const Image& image) { return "data:image/png;base64," + base64(png_of(image)); }

std::string image_html(const Image& image, const std::string& alt) {
    const int side = std::max(image.height, image.width);
    const int factor = std::max(1, 160 / std::max(side, 1));
    return joined({"<img src=\"", data_url(image), "\" width=\"", image.width * factor, "\" height=\"", image.height * factor,
                   "\" alt=\"", escaped(alt), ", an image of ", image.height, " x ", image.width, " pixels\">"});
}

// ---- heat maps --------------------------------------------------------------------------------------------------------------

namespace {
struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void include(double x) {
        if (!std::isfinite(x)) return;
        low = std::min(low, x);
        high = std::max(high, x);
    }
    bool empty() const { return low > high; }
    double share(double x) const { return high > low ? (x - low) / (high - low) : 0.5; }
};
}  // namespace

static std::string svg_text(double x, double y, const std::string& words, const std::string& more = "") {
    return "<text x=\"" + place(x) + "\" y=\"" + place(y) + "\"" + (more.empty() ? "" : " " + more) + ">" + escaped(words) +
           "</text>";
}

// A strip from the smallest value, below, to the largest.
static std::string colour_bar(double left, double height, const Range& range) {
    static constexpr int stops = 16;
    Matrix shares(stops, 1);
    for (int k = 0; k < stops; ++k) shares(k, 0) = 1 - static_cast<float>(k) / (stops - 1);
    const Image colours = heat_colours(shares, 0, 1);
    std::string svg;
    const double bar = std::max(height, 48.0), step = bar / stops;
    for (int k = 0; k < stops; ++k)
        svg += "<rect x=\"" + place(left) + "\" y=\"" + place(k * step) + "\" width=\"10\" height=\"" + place(step + 0.3) +
               "\" fill=\"" + hex_colour(colours, k, 0) + "\"/>";
    return svg + svg_text(left + 14, 11, short_digits(range.high, 3)) + svg_text(left + 14, bar, short_digits(range.low, 3));
}

// In pixels, about.
static double longest_name(const std::vector<std::string>& names) {
    int columns = 0;
    for (const std::string& name : names) columns = std::max(columns, display_width(name));
    return 7.7 * columns;
}

std::string heat_html(const Matrix& m, const std::string& caption, const std::vector<std::string>& row_names,
                      const std::vector<std::string>& col_names) {
    if (m.empty()) return "<p>" + escaped(caption) + " " + shape(m) + "</p>";
    static constexpr std::size_t most_cells = 1200;
    Range range;
    for (const float x : m) range.include(x);
    if (range.empty()) range.include(0);
    const Image colours = heat_colours(m);
    const bool named_cells = !row_names.empty() || !col_names.empty();  // large enough for a line of letters
    const double least = named_cells ? 14.0 : m.size() > most_cells ? 1.0 : 6.0;
    const double cell = std::clamp(200.0 / std::max(m.rows, m.cols), least, 22.0);
    const double row_length = longest_name(row_names), col_length = longest_name(col_names);
    const double margin =
        std::max(row_names.empty() ? 0 : row_length + 8, 0.5 * col_length - 0.5 * cell);  // names slant by 60 degrees
    const double width = m.cols * cell, height = m.rows * cell;
    const double bottom = std::max(height + (col_names.empty() ? 4 : 0.87 * col_length + 16), 52.0);
    std::string svg = joined({named_cells ? "<svg class=\"named\"" : "<svg", " role=\"img\" aria-label=\"", escaped(caption),
                              ": ", escaped(stats_text(m)), "\" viewBox=\"0 0 ", place(margin + width + 96), " ", place(bottom),
                              "\" width=\"", place(margin + width + 96), "\" height=\"", place(bottom), "\">"});
    const auto named = [](const std::vector<std::string>& names, int k) {
        return static_cast<std::size_t>(k) < names.size() ? names[static_cast<std::size_t>(k)] : text(k);
    };
    for (int i = 0; i < m.rows && !row_names.empty(); ++i)
        svg += svg_text(margin - 4, (i + 0.5) * cell + 4, named(row_names, i), "text-anchor=\"end\"");
    if (m.size() > most_cells) {
        svg += "<image class=\"px\" x=\"" + place(margin) + "\" width=\"" + place(width) + "\" height=\"" + place(height) +
               "\" preserveAspectRatio=\"none\" href=\"" + data_url(colours) + "\"/>";
    } else {
        for (int i = 0; i < m.rows; ++i)
            for (int j = 0; j < m.cols; ++j)
                svg += "<rect x=\"" + place(margin + j * cell) + "\" y=\"" + place(i * cell) + "\" width=\"" + place(cell) +
                       "\" height=\"" + place(cell) + "\" fill=\"" + (std::isnan(m(i, j)) ? "red" : hex_colour(colours, i, j)) +
                       "\"><title>" + escaped(named(row_names, i)) + ", " + escaped(named(col_names, j)) + ": " + exact(m(i, j)) +
                       "</title></rect>";
    }
    for (int j = 0; j < m.cols && !col_names.empty(); ++j) {
        const std::string at = place(margin + (j + 0.5) * cell + 4) + " " + place(height + 6);
        svg += svg_text(0, 0, named(col_names, j), "text-anchor=\"end\" transform=\"translate(" + at + ") rotate(-60)\"");
    }
    svg += colour_bar(margin + width + 8, height, range) + "</svg>";
    return "<figure>" + svg + "<figcaption>" + escaped(caption) + "</figcaption></figure>";
}

// ---- curves -----------------------------------------------------------------------------------------------------------------

namespace {
constexpr double frame_left = 62, frame_top = 26, frame_width = 470, frame_height = 210;
constexpr std::array<const char*, 6> dashes{"", "7 4", "2 3", "10 3 2 3", "4 2", "1 2"};
}  // namespace

// Round numbers between the ends of a range: 1, 2 or 5 times a power of ten apart.
static std::vector<double> ticks(const Range& range) {
    const double raw = (range.high - range.low) / 4;
    if (!(raw > 0)) return {range.low};
    const double power = std::pow(10, std::floor(std::log10(raw)));
    const double step = raw / power > 5 ? 10 * power : raw / power > 2 ? 5 * power : raw / power > 1 ? 2 * power : power;
    std::vector<double> found;
    const double slack = 1e-6 * (range.high - range.low);  // the float next to 0.04 lies below it, that next to 0.2 above
    for (double k = std::ceil((range.low - slack) / step); k * step <= range.high + slack; ++k)
        found.push_back(k * step + 0.0);  // + 0.0: never -0
    return found;
}

// The finite points of a series; a very long series is subsampled.
static std::vector<std::pair<double, double>> points_of(const Series& one) {
    static constexpr std::size_t most = 400;
    std::vector<std::pair<double, double>> all, some;
    for (std::size_t k = 0; k < one.x.size(); ++k)
        if (std::isfinite(one.x[k]) && std::isfinite(one.y[k])) all.emplace_back(one.x[k], one.y[k]);
    const std::size_t step = std::max<std::size_t>(1, (all.size() + most - 1) / most);
    for (std::size_t k = 0; k < all.size(); k += step) some.push_back(all[k]);
    if (!all.empty() && some.back() != all.back()) some.push_back(all.back());
    return some;
}

std::string curves_html(const std::vector<Series>& series, const AxisNames& axes) {
    Range xs, ys;
    std::string summary;
    for (const Series& one : series) {
        require(one.x.size() == one.y.size(), "curves: ", one.name, " has ", one.x.size(), " x and ", one.y.size(), " y");
        const auto points = points_of(one);
        for (const auto& [x, y] : points) {
            xs.include(x);
            ys.include(y);
        }
        if (!points.empty())
            summary += one.name + " from " + short_digits(points.front().second, 4) + " to " +
                       short_digits(points.back().second, 4) + "; ";
    }
    if (xs.empty()) return "<p>(no points)</p>\n";
    const auto across = [&](double x) { return frame_left + xs.share(x) * frame_width; };
    const auto down = [&](double y) { return frame_top + (1 - ys.share(y)) * frame_height; };
    const double legend_top = frame_top + frame_height + (axes.x.empty() ? 34 : 50),
                 height = legend_top + 18 * static_cast<double>(series.size());
    const std::string over = axes.x.empty() ? "" : axes.y + " over " + axes.x + ": ";
    std::string svg = "<svg class=\"curves\" role=\"img\" aria-label=\"Curves: " + escaped(over + summary) +
                      "\" viewBox=\"0 0 560 " + place(height) + "\">";
    if (!axes.y.empty()) svg += svg_text(frame_left, frame_top - 10, axes.y);
    if (!axes.x.empty())
        svg += svg_text(frame_left + frame_width / 2, frame_top + frame_height + 33, axes.x, "text-anchor=\"middle\"");
    for (const double x : ticks(xs))
        svg += "<path class=\"grid\" d=\"M" + place(across(x)) + " " + place(frame_top) + "v" + place(frame_height) + "\"/>" +
               svg_text(across(x), frame_top + frame_height + 16, short_digits(x, 4), "text-anchor=\"middle\"");
    for (const double y : ticks(ys))
        svg += "<path class=\"grid\" d=\"M" + place(frame_left) + " " + place(down(y)) + "h" + place(frame_width) + "\"/>" +
               svg_text(frame_left - 6, down(y) + 4, short_digits(y, 4), "text-anchor=\"end\"");
    for (std::size_t s = 0; s < series.size(); ++s) {
        std::string path;
        const auto points = points_of(series[s]);
        for (const auto& [x, y] : points) path += (path.empty() ? "M" : "L") + place(across(x)) + " " + place(down(y));
        const std::string look =
            joined({"class=\"s", s % dashes.size(), "\" stroke-dasharray=\"", dashes[s % dashes.size()], "\""});
        svg += "<path " + look + " d=\"" + path + "\"><title>" + escaped(series[s].name) + "</title></path>";
        if (points.size() <= 40)
            for (const auto& [x, y] : points)
                svg += joined({"<circle class=\"s", s % dashes.size(), "\" r=\"2.5\" cx=\"", place(across(x)), "\" cy=\"",
                               place(down(y)), "\"><title>", escaped(series[s].name), ": ", short_digits(x, 6), ", ",
                               short_digits(y, 6), "</title></circle>"});
        const double row = legend_top + 18 * static_cast<double>(s);
        svg += "<path " + look + " d=\"M" + place(frame_left) + " " + place(row) + "h30\"/>" +
               svg_text(frame_left + 38, row + 4, series[s].name);
    }
    return "<figure>" + svg + "</svg></figure>\n";
}
