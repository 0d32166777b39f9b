// pictures.h: images, heat maps, curves and tables as lines of text.
//
//   in colour   pictures are half blocks of two pixels, and so are curves
//   plain       every pixel is two characters from dark to bright, " .:-=+*#%@"; curves are letters: for pipes, files and
//               NO_COLOR
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

enum class Colours { none, few, all };  // plain characters; 256 colours; 24 bits

// The colours of standard output: none unless it is a terminal (subject to NO_COLOR and FORCE_COLOR), all when COLORTERM says so.
Colours terminal_colours();

// The width of standard output in columns: of its terminal, else the environment variable COLUMNS, limited to 72 ... 120; 80 when
// neither is known.
int terminal_width();

// A block of lines, each `width` columns wide on a terminal. What was drawn is kept with them, for pages.
struct Drawing {
    std::vector<std::string> lines;
    int width = 0;
    Image image = {};    // of picture()
    Matrix values = {};  // of heat_map()
    std::vector<std::string> row_names = {}, col_names = {};
};

// 1 channel: grey, 3 channels: red, green, blue; 0 is dark and 1 bright. Small images are enlarged, large ones reduced to
// 70 columns.
//   throws  std::invalid_argument for another number of channels, or no pixels
Drawing picture(const Image& image, Colours colours);

// The elements from smallest to largest as black, violet, orange, pale yellow; NaN is black.
Image heat_colours(const Matrix& m);
Image heat_colours(const Matrix& m, float smallest, float largest);
//   row_names, col_names  tokens, for instance, beside and below the map; on a terminal of at most 28 rows and columns
Drawing heat_map(const Matrix& m, Colours colours, const std::vector<std::string>& row_names = {},
                 const std::vector<std::string>& col_names = {});

struct Captioned {
    std::string caption;
    Drawing block;
};
// As many blocks side by side as fit, with captions above.
std::vector<std::string> side_by_side(const std::vector<Captioned>& blocks, int most_width = 71);

struct Series {
    std::string name;
    std::vector<float> x, y;  // points; those that are not finite are skipped
};
// Each point the mean of up to `spread` numbers: that one and those before it; x = 0, 1, 2, ...
Series running_mean(const std::string& name, const std::vector<float>& numbers, int spread);

// Means of `group` numbers, the last group may be shorter; x = how many numbers have gone by.
Series smoothed(const std::string& name, const std::vector<float>& numbers, int group);

struct AxisNames {
    std::string x, y;  // with the unit: "training step", "loss, nats"
};
// Curves in one frame with the range of both axes. The name of y is printed above the frame, that of x below.
//   throws  std::invalid_argument when the numbers of x and y differ
std::vector<std::string> curves(const std::vector<Series>& series, Colours colours, int width = 64, int height = 14,
                                const AxisNames& axes = {});

// Columns as wide as their widest cell; columns of numbers are right-aligned.
//   rows        rows[0] is the heading; all of equal length
//   most_width  in columns; words are wrapped in their cells to keep it. 0: no limit
std::vector<std::string> table(const std::vector<std::vector<std::string>>& rows, int most_width = 0);

// Which columns hold only numbers below the heading.
//   throws  std::invalid_argument when a row is not as long as the heading
std::vector<bool> number_columns(const std::vector<std::vector<std::string>>& rows);

// "0.2500"; "nan", "inf".
std::string fixed(double number, int digits = 4);

// "25.0 %" for 0.25
std::string percent(double fraction);

// A row of # for a number between 0 and `most`, `width` characters for the most; of - for one below 0.
std::string bar(double number, double most, int width = 20);

// Width of a text on a terminal: two columns for a Chinese character, none for accents and escape codes.
int display_width(std::string_view words);

// The text in lines of at most `width` columns, broken at spaces.
std::vector<std::string> wrapped(const std::string& words, int width);
