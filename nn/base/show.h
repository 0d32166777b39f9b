// show.h: print a matrix, from a program or from a debugger.
//
//   shows   show(m)    shape and numbers; only the corners of a large matrix
//           heat(m)    a heat map: dark is the smallest element, bright the largest
//           stats(m)   shape, minimum, maximum, mean, standard deviation, and how many elements are NaN or infinite
//   use     (gdb) call show(scores)             `print` knows matrices too, see tools/debugger/in_gdb.py
//   note    The three are linked into every program, used or not, and flush what they print.
//           show_variable.h and show_image.h do the same for a Var and an Image.
#pragma once
#include <string>

#include "nn/base/matrix.h"

void show(const Matrix& m);
void heat(const Matrix& m);
void stats(const Matrix& m);

// What show prints:
//   (2, 3)
//      1.0000   0.5000  -2.0000
//      0.0000      inf   3.2500
// Of more than `most` rows or columns, the first and last `most / 2` are shown with "..." between them; of fewer where a row would
// be wider than `width` characters, but never of fewer than 2.
std::string grid_text(const Matrix& m, int most = 8, int width = 80);

// What heat prints. In colour, two rows share one line of half blocks; otherwise an element is two of the characters "
// .:-=+*#%@". With more than 64 rows or columns, without colour 40 columns, each cell is the mean of a square. NaN is drawn as '?'.
std::string heat_text(const Matrix& m, bool in_colour);

// What stats prints: "(2, 3)  min -2.0000  max 3.2500  mean 0.5500  stddev 1.6912  1 inf", over the finite elements; the standard
// deviation divides by their number.
std::string stats_text(const Matrix& m);

// Whether output may be coloured: on a terminal, unless the environment variable NO_COLOR is set or TERM is "dumb"; and wherever
// FORCE_COLOR is set and NO_COLOR is not.
bool colours_welcome();

// Whether the environment variable TERM is "dumb": such a terminal understands no escape codes.
bool terminal_is_dumb();
