// show.h: look at a matrix, from a program or from a debugger.
//
//   shows   show(m)    its shape and its numbers; of a large one the corners
//           heat(m)    a picture: dark is the smallest element, bright the largest
//           stats(m)   shape, smallest, largest, mean, deviation, and how many elements are no numbers
//   use     (gdb) call show(scores)             print in a debugger knows the shape as well, see tools/debugger/in_gdb.py
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
// More than `most` rows or columns become the first and the last `most / 2` with "..." between them.
std::string grid_text(const Matrix& m, int most = 8);

// What heat prints. In colour two rows share one line of half blocks; without, each element is two of the letters " .:-=+*#%@".
// More than 64 rows or columns are drawn as the means of squares. NaN is drawn as '?'.
std::string heat_text(const Matrix& m, bool in_colour);

// What stats prints: "(2, 3)  min -2.0000  max 3.2500  mean 0.5500  deviation 1.6912  1 inf"; the numbers are those of the
// finite elements, the deviation divides by their count.
std::string stats_text(const Matrix& m);

// May the output hold colours? Yes on a terminal, unless the environment variable NO_COLOR is set or TERM is "dumb"; yes wherever
// FORCE_COLOR is set and NO_COLOR is not.
bool colours_welcome();

// Whether the environment variable TERM says "dumb": such a terminal understands no escape codes, neither colours nor erasing.
bool terminal_is_dumb();
