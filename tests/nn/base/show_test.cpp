#include "nn/base/show.h"

#include <cstdio>
#include <cstdlib>
#include <limits>

#include "tests/test.h"
#include "tests/this_process.h"
#include "tests/walkthroughs/pseudo_terminal.h"

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <unistd.h>
#endif

static const float infinity = std::numeric_limits<float>::infinity();
static const float nan_value = std::numeric_limits<float>::quiet_NaN();

TEST_SUITE_BEGIN("show");

TEST_CASE("grid_text: the shape, then aligned columns of four decimals") {
    CHECK(grid_text(Matrix{{1, 0.5f, -2}, {0, infinity, 3.25f}}) ==
          "(2, 3)\n"
          "    1.0000   0.5000  -2.0000\n"
          "    0.0000      inf   3.2500\n");
    CHECK(grid_text(Matrix{{-infinity, nan_value}}) == "(1, 2)\n   -inf   nan\n");
    CHECK(grid_text(Matrix{{12345678, 1}}) == "(1, 2)\n   1.2346e+07      1.0000\n");
    CHECK(grid_text(Matrix{{-1e7f}, {9999999}}) == "(2, 1)\n    -1.0000e+07\n   9999999.0000\n");
    CHECK(grid_text(Matrix()) == "(0, 0)\n");
    CHECK(grid_text(Matrix(0, 5)) == "(0, 5)\n");
}

TEST_CASE("grid_text: shows only the corners of a large matrix") {
    Matrix m(5, 6);
    for (int i = 0; i < 5; ++i)
        for (int j = 0; j < 6; ++j) m(i, j) = static_cast<float>(10 * i + j);
    CHECK(grid_text(m, 4) ==
          "(5, 6)\n"
          "    0.0000   1.0000  ...   4.0000   5.0000\n"
          "   10.0000  11.0000  ...  14.0000  15.0000\n"
          "       ...      ...  ...      ...      ...\n"
          "   30.0000  31.0000  ...  34.0000  35.0000\n"
          "   40.0000  41.0000  ...  44.0000  45.0000\n");
    CHECK(grid_text(m, 6).find("...") == std::string::npos);
    CHECK(grid_text(slice_rows(m, 0, 2), 5).find("...") != std::string::npos);
    CHECK(grid_text(Matrix(8, 8)).find("...") == std::string::npos);
    CHECK(grid_text(Matrix(9, 1)).find("...") != std::string::npos);
    CHECK(grid_text(Matrix{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, 2) ==  // the corners
          "(3, 3)\n   1.0000  ...  3.0000\n      ...  ...     ...\n   7.0000  ...  9.0000\n");
    CHECK_THROWS_WITH(grid_text(m, 1), "grid_text: 1 rows and columns are too few to show, 2 is the minimum");
}

TEST_CASE("grid_text: a row is never wider than the page, fewer columns are shown instead") {
    const Matrix m(3, 9, -12.5f);  // 8 of 9 columns would need 1 + 8 * (2 + 8) + 5 = 86 characters, 6 need 66
    CHECK(grid_text(m) ==
          "(3, 9)\n"
          "   -12.5000  -12.5000  -12.5000  ...  -12.5000  -12.5000  -12.5000\n"
          "   -12.5000  -12.5000  -12.5000  ...  -12.5000  -12.5000  -12.5000\n"
          "   -12.5000  -12.5000  -12.5000  ...  -12.5000  -12.5000  -12.5000\n");
    CHECK(grid_text(m, 8, 86).find("\n   -12.5000  -12.5000  -12.5000  -12.5000  ...") != std::string::npos);
    CHECK(grid_text(m, 8, 85) == grid_text(m));
    CHECK(grid_text(m, 8, 1) == grid_text(m, 2));
    CHECK(grid_text(Matrix(1, 8, -1e8f)).find("...") != std::string::npos);  // 1 + 8 * (2 + 11) = 105
}

TEST_CASE("heat_text: without colour, two characters per element, from the smallest to the largest") {
    // (x - min) / (max - min) * 9, rounded: -1 -> 0, 8 -> 9, 0 -> 1, 3.6 -> 4.6 -> 5
    CHECK(heat_text(Matrix{{-1, 8}, {0, 3.6f}}, false) ==
          "(2, 2)  dark -1.0000  bright 8.0000\n"
          "  @@\n"
          "..++\n");
    CHECK(heat_text(Matrix{{0, 9, nan_value, infinity, -infinity}}, false) ==
          "(1, 5)  dark 0.0000  bright 9.0000\n"
          "  @@??@@  \n");
    CHECK(heat_text(Matrix(1, 2, 3), false) == "(1, 2)  dark 3.0000  bright 3.0000\n    \n");
    CHECK(heat_text(Matrix{{nan_value}}, false).starts_with("(1, 1)  dark 0.0000  bright 0.0000\n"));
    CHECK(heat_text(Matrix(0, 2), false) == "(0, 2)\n");
}

TEST_CASE("heat_text: in colour, two rows share one line of half blocks") {
    CHECK(heat_text(Matrix{{0}, {0.5f}, {1}}, true) ==
          "(3, 1)  dark 0.0000  bright 1.0000\n"
          "\x1b[38;5;232m\x1b[48;5;244m\u2580\x1b[0m\n"
          "\x1b[38;5;255m\u2580\x1b[0m\n");
    CHECK(heat_text(Matrix{{0, 1, nan_value}}, true).find("\x1b[38;5;196m") != std::string::npos);
}

TEST_CASE("heat_text: more than 64 rows or columns are drawn as means of squares") {
    Matrix m(66, 3);  // squares of 2 x 2: 33 x 2 cells, the last column of single elements
    m(0, 0) = 4;      // the mean of its square is 1
    m(1, 2) = 4;      // the mean of 1 x 2 elements is 2
    const std::string picture = heat_text(m, false);
    CHECK(picture.find("(66, 3)  each cell the mean of 2 x 2  dark 0.0000  bright 2.0000\n++@@\n    \n") == 0);
    CHECK(heat_text(Matrix(64, 64), true).find("mean") == std::string::npos);
    CHECK(heat_text(Matrix(64, 65), true).find("mean of 2 x 2") != std::string::npos);
    CHECK(heat_text(Matrix(65, 64), true).find("mean of 2 x 2") != std::string::npos);
    CHECK(heat_text(Matrix(64, 40), false).find("mean") == std::string::npos);
    CHECK(heat_text(Matrix(64, 41), false).find("mean of 2 x 2") != std::string::npos);  // 82 characters
}

TEST_CASE("stats_text: counts NaN and infinities and computes with the other elements") {
    // 1, 0.5, -2, 0, 3.25: mean 2.75 / 5 = 0.55, squares of distances .2025 + .0025 + 6.5025 + .3025 + 7.29 = 14.3, / 5 = 2.86
    CHECK(stats_text(Matrix{{1, 0.5f, -2}, {0, infinity, 3.25f}}) ==
          "(2, 3)  min -2.0000  max 3.2500  mean 0.5500  stddev 1.6912  1 inf");
    CHECK(stats_text(Matrix{{nan_value, -infinity, infinity}}) == "(1, 3)  1 nan  2 inf");
    CHECK(stats_text(Matrix{{5, nan_value}}) == "(1, 2)  min 5.0000  max 5.0000  mean 5.0000  stddev 0.0000  1 nan");
    CHECK(stats_text(Matrix()) == "(0, 0)");
}

#if __has_include(<unistd.h>)
TEST_CASE("colours_welcome: FORCE_COLOR turns colours on, NO_COLOR off") {
    const Variable no("NO_COLOR", ""), force("FORCE_COLOR", "1");
    CHECK(colours_welcome());
    no.set("1");
    CHECK_FALSE(colours_welcome());
}

// colours_welcome() with standard output at this file and TERM so named.
static bool welcome_at(int output, const char* terminal) {
    const Variable no("NO_COLOR", ""), force("FORCE_COLOR", ""), term("TERM", terminal);
    const Redirected redirected(1, output);
    return colours_welcome();
}

TEST_CASE("colours_welcome: without either variable, at a terminal that is not dumb, and in no file") {
    const int file = open("/dev/null", O_WRONLY);
    CHECK_FALSE(welcome_at(file, "xterm"));
    CHECK_FALSE(welcome_at(file, "dumb"));
    close(file);
    const PseudoTerminal terminal;
    if (!terminal) return;
    CHECK(welcome_at(terminal.end(), "xterm"));
    CHECK_FALSE(welcome_at(terminal.end(), "dumb"));
}
#endif

TEST_SUITE_END();
