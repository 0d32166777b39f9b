// charts.h: matrices, heat maps, images and curves as HTML and SVG, with alternative text.
#pragma once
#include <string>
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"
#include "walkthroughs/lesson/pictures.h"

// A table of numbers with four decimals on the colours of heat_colours(); a cell's title has all digits. Of more than 16 rows or 24
// columns the corners, and the whole as a heat map.
std::string matrix_html(const std::string& name, const Matrix& m, int most);

// An image as a PNG inside the page, enlarged without smoothing.   alt  says what it shows
std::string image_html(const Image& image, const std::string& alt);

// A heat map with its range beside it; up to 1200 cells each shows its row, column and value, more become a picture.
//   row_names, col_names  of the tokens, for instance; none: numbers
std::string heat_html(const Matrix& m, const std::string& caption, const std::vector<std::string>& row_names = {},
                      const std::vector<std::string>& col_names = {});

// Curves in one frame, with the names of its axes; each line has its own dashes and is named in the legend.
std::string curves_html(const std::vector<Series>& series, const AxisNames& axes = {});
