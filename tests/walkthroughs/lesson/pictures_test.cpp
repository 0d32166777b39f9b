#include "walkthroughs/lesson/pictures.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "tests/test.h"
#include "tests/this_process.h"
#include "tests/walkthroughs/pseudo_terminal.h"

TEST_SUITE_BEGIN("pictures");

using Lines = std::vector<std::string>;

static Image grey(int height, int width, const std::vector<float>& pixels) {
    Image image(height, width, 1);
    image.pixels = pixels;
    return image;
}

TEST_CASE("picture: plain: two characters a pixel, from space to @") {
    const Drawing block = picture(grey(2, 3, {0, 0.5f, 1, -1, 2, NAN}), Colours::none);
    CHECK(block.lines == Lines{"  ++@@", "  @@  "});  // 0.5 * 9 = 4.5 -> 5, '+'
    CHECK(block.width == 6);
}

TEST_CASE("picture: in colour: half blocks, upper pixel as foreground, lower as background") {
    // 17 pixels wide, so that nothing is enlarged; two rows in one line
    Image image(2, 17, 3);
    image(0, 0, 0) = 1;  // red above
    image(1, 0, 2) = 1;  // blue below
    const Drawing all = picture(image, Colours::all);
    CHECK(all.width == 17);
    REQUIRE(all.lines.size() == 1);
    CHECK(all.lines[0].starts_with("\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m\u2580\x1b[38;2;0;0;0m"));
    CHECK(all.lines[0].ends_with("\u2580\x1b[0m"));
    CHECK(picture(image, Colours::few).lines[0].starts_with("\x1b[38;5;196m\x1b[48;5;21m\u2580\x1b[38;5;16m"));
    CHECK(display_width(all.lines[0]) == 17);
    // an odd last row has nothing behind it
    CHECK(picture(Image(1, 17, 1), Colours::all).lines[0].starts_with("\x1b[38;2;0;0;0m\u2580"));
}

TEST_CASE("picture: 256 colours: greys use the grey ramp") {
    CHECK(picture(grey(1, 17, std::vector<float>(17, 0.5f)), Colours::few)
              .lines[0]
              .starts_with("\x1b[38;5;244m"));  // 128 = 8 + 10 * 12
    CHECK(picture(grey(1, 17, std::vector<float>(17, 1.f)), Colours::few)
              .lines[0]
              .starts_with("\x1b[38;5;231m"));  // white of the cube
}

// A row of 17 pixels, which is not enlarged, the first of these colours.
static Image row_of(const std::vector<std::vector<int>>& colours) {
    Image image(1, 17, 3);
    for (std::size_t x = 0; x < colours.size(); ++x)
        for (int c = 0; c < 3; ++c) image(0, static_cast<int>(x), c) = static_cast<float>(colours[x][c]) / 255;
    return image;
}

TEST_CASE("picture: 256 colours: the nearest step of the cube and of the grey ramp, at the border between two") {
    // by hand: 16 + 36 r + 6 g + b; steps of the cube begin at 0, 48, 115, 155, 195, 235; greys from 4 to 246 at 232 + (v - 3) / 10
    const std::vector<std::pair<std::vector<int>, int>> expected{
        {{48, 47, 114}, 53},    {{115, 154, 155}, 103}, {{47, 195, 235}, 45}, {{194, 234, 255}, 153},
        {{3, 3, 3}, 16},        {{4, 4, 4}, 232},       {{12, 12, 12}, 232},  {{13, 13, 13}, 233},
        {{246, 246, 246}, 255}, {{247, 247, 247}, 231}, {{9, 9, 8}, 16},      {{9, 8, 8}, 16}};
    std::vector<std::vector<int>> colours;
    std::string start;
    for (const auto& [colour, code] : expected) {
        colours.push_back(colour);
        start += "\x1b[38;5;" + std::to_string(code) + "m\u2580";
    }
    CHECK(picture(row_of(colours), Colours::few).lines[0].starts_with(start));
}

TEST_CASE("picture: plain: a colour is as bright as it looks, green most and blue least") {
    // 0.299, 0.587 and 0.114 of 9 are 2.7, 5.3 and 1.0; two colours add
    const Image image = row_of({{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}, {0, 255, 255}, {255, 0, 255}});
    CHECK(picture(image, Colours::none).lines[0].starts_with("--++..%%**=="));
}

TEST_CASE("picture: small images are enlarged in colour, large ones reduced") {
    CHECK(picture(Image(8, 8, 1), Colours::all).width == 16);
    CHECK(picture(Image(8, 8, 1), Colours::all).lines.size() == 8);
    CHECK(picture(Image(1, 1, 1), Colours::all).width == 4);
    CHECK(picture(Image(10, 500, 3), Colours::all).width == 70);
    CHECK(picture(Image(500, 10, 3), Colours::all).lines.size() == 35);
    CHECK(picture(Image(500, 500, 3), Colours::none).width == 70);
    CHECK(picture(Image(1, 100000, 1), Colours::none).lines.size() == 1);
    const std::vector<std::pair<int, int>> widths{{1, 4}, {3, 12}, {4, 16}, {5, 15}, {6, 12}, {9, 9}, {70, 70}, {71, 70}};
    for (const auto& [side, width] : widths) CHECK(picture(Image(side, side, 1), Colours::all).width == width);
    for (const auto& [side, lines] : std::vector<std::pair<int, int>>{{1, 1}, {35, 35}, {36, 35}})
        CHECK(picture(Image(side, side, 1), Colours::none).lines.size() == lines);
    CHECK(picture(Image(20, 100, 1), Colours::none).lines.size() == 7);
    CHECK(picture(Image(100, 20, 1), Colours::none).width == 14);
    CHECK(picture(Image(100000, 1, 1), Colours::none).width == 2);
    // enlarged four times: each pixel is four columns and two lines
    const std::string black = "\x1b[38;2;0;0;0m\x1b[48;2;0;0;0m\u2580";
    const std::string white = "\x1b[38;2;255;255;255m\x1b[48;2;255;255;255m\u2580";
    const std::string line = black + black + black + black + white + white + white + white + "\x1b[0m";
    CHECK(picture(grey(1, 2, {0, 1}), Colours::all).lines == Lines{line, line});
    // three rows: nothing is behind the last
    CHECK(picture(Image(3, 17, 1), Colours::all).lines[0].find("[48;") != std::string::npos);
    CHECK(picture(Image(3, 17, 1), Colours::all).lines[1].find("[48;") == std::string::npos);
}

TEST_CASE("picture: rejects images without pixels or with 2 channels") {
    CHECK_THROWS_WITH(picture(Image(2, 2, 2), Colours::none),
                      "picture: a 2 x 2 x 2 image, it must have pixels and 1 or 3 channels");
    CHECK_THROWS_WITH(picture(Image(2, 0, 1), Colours::none),
                      "picture: a 2 x 0 x 1 image, it must have pixels and 1 or 3 channels");
    CHECK_THROWS_WITH(picture(Image(0, 2, 1), Colours::none),
                      "picture: a 0 x 2 x 1 image, it must have pixels and 1 or 3 channels");
}

TEST_CASE("heat_map: scaled from the smallest to the largest element") {
    CHECK(heat_map(Matrix{{-5, 5}}, Colours::none).lines == Lines{"  @@"});
    CHECK(heat_map(Matrix{{2, 2}}, Colours::none).lines == Lines{"++++"});  // equal elements: the middle
    CHECK(heat_map(Matrix{{2, 3, 6}}, Colours::none).lines == Lines{"  ::@@"});
    CHECK(heat_map(Matrix{{0, 1, NAN}}, Colours::none).lines == Lines{"  @@  "});
    CHECK(heat_map(Matrix{{0, 1, INFINITY}}, Colours::none).lines == Lines{"  @@@@"});
    const Image colours = heat_colours(Matrix{{0, 10}});
    CHECK(colours(0, 1, 0) > colours(0, 0, 0));
    const Image half = heat_colours(Matrix{{5}}, 0, 10), middle = heat_colours(Matrix{{0, 5, 10}});
    CHECK(half(0, 0, 0) == middle(0, 1, 0));
}

TEST_CASE("heat_colours: linear between five colours, clipped outside the range; NaN is black") {
    const Image colours = heat_colours(Matrix{{0, 0.25f, 0.5f, 0.75f, 1, 0.125f, 0.875f, -1, 2, NAN}}, 0, 1);
    const std::vector<std::vector<float>> expected{
        {0.02f, 0.02f, 0.08f},    {0.33f, 0.07f, 0.43f},  {0.76f, 0.21f, 0.32f}, {0.97f, 0.58f, 0.13f}, {0.99f, 0.99f, 0.75f},
        {0.175f, 0.045f, 0.255f}, {0.98f, 0.785f, 0.44f}, {0.02f, 0.02f, 0.08f}, {0.99f, 0.99f, 0.75f}, {0, 0, 0}};
    for (int j = 0; j < 10; ++j)
        for (int c = 0; c < 3; ++c) CHECK(colours(0, j, c) == Approx(expected[j][c]).epsilon(1e-5));
    const Image range = heat_colours(Matrix{{-1, INFINITY}, {3, -INFINITY}}), equal = heat_colours(Matrix{{7, 7}});
    CHECK(range(0, 0, 1) == Approx(0.02));
    CHECK(range(0, 1, 1) == Approx(0.99));
    CHECK(range(1, 0, 1) == Approx(0.99));
    CHECK(range(1, 1, 1) == Approx(0.02));
    CHECK(heat_colours(Matrix{{2, 3, 6}})(0, 1, 1) == Approx(0.07));  // a quarter of the range
    const float largest = std::numeric_limits<float>::max();          // twice as much is no float
    CHECK(heat_colours(Matrix{{-largest, 0, largest}}).pixels == heat_colours(Matrix{{0, 1, 2}}).pixels);
    CHECK(equal(0, 1, 1) == Approx(0.21));
}

TEST_CASE(
    "heat_map: with names a cell is two columns of one line; rows are named at the left, columns below, from top to bottom") {
    const Matrix A{{0, 1}, {1, 0}};
    const Drawing map = heat_map(A, Colours::none, {"[CLS]", "раму"}, {"ab", "c"});
    CHECK(map.lines == Lines{"[CLS]   @@", " раму @@  ", "      a c", "      b"});
    CHECK(map.width == 10);
    CHECK(heat_map(A, Colours::none, {"a name of more than twelve"}).lines == Lines{"a name of mo   @@", "           1 @@  "});
    CHECK(heat_map(A, Colours::none, {}, {"x"}).lines == Lines{"  @@", "@@  ", "x 1"});
    CHECK(heat_map(Matrix{{0, 1, 0}}, Colours::none, {"r"}, {"x", "y", "z"}).lines == Lines{"r   @@  ", "  x y z"});
    const Lines coloured = heat_map(A, Colours::few, {"a", "b"}).lines;
    REQUIRE(coloured.size() == 2);
    CHECK(display_width(coloured[0]) == 6);
    CHECK(coloured[0].starts_with("a \x1b[48;5;"));
    CHECK(coloured[0].ends_with("  \x1b[0m"));
    const std::vector<std::string> many(29, "t");
    CHECK(heat_map(Matrix(29, 29), Colours::none, many, many).lines[0].size() == 58);  // no room: without names
    CHECK(heat_map(Matrix(29, 1), Colours::none, many, many).lines.size() == 29);
    CHECK(heat_map(Matrix(1, 29), Colours::none, many, many).lines.size() == 1);
    CHECK(heat_map(Matrix(28, 28), Colours::none, many, many).lines.size() == 29);
    CHECK(heat_map(Matrix(28, 28), Colours::none, many, many).lines[0].starts_with("t "));
    CHECK(heat_map(Matrix{{1}}, Colours::none, {"abcdefghijkl"}).lines[0] == "abcdefghijkl ++");
    CHECK(heat_map(Matrix{{1}}, Colours::none, {}, {"abcdefghi"}).lines.size() == 9);  // the map, and 8 of 9 letters
    CHECK(heat_map(Matrix{{1}}, Colours::none, {}, {""}).lines.size() == 1);
    CHECK(heat_map(Matrix(1, 3), Colours::none, {"r"}).width == 8);
    CHECK(display_width(heat_map(Matrix(1, 3), Colours::few, {"r"}).lines[0]) == 8);
    CHECK(shape(heat_colours(Matrix(1, 3))) == "1 x 3 x 3");
    CHECK(heat_map(Matrix(2, 1), Colours::none, {"a", "long"}).lines == Lines{"   a ++", "long ++"});
    CHECK(heat_map(Matrix(10, 1), Colours::none, Lines(10, "a")).lines == Lines(10, "a ++"));
}

TEST_CASE("side_by_side: blocks in rows, captions above; a new row when there is no room") {
    const Drawing high{{"aa", "bb"}, 2}, low{{"cccc"}, 4};
    CHECK(side_by_side({{"x", high}, {"y", low}}) == Lines{"x    y", "aa   cccc", "bb"});
    CHECK(side_by_side({{"", high}, {"", low}}) == Lines{"aa   cccc", "bb"});
    CHECK(side_by_side({{"long", high}, {"y", low}}) == Lines{"long   y", "aa     cccc", "bb"});
    CHECK(side_by_side({{"x", high}, {"y", low}}, 8) == Lines{"x", "aa", "bb", "y", "cccc"});
    CHECK(side_by_side({}).empty());
    CHECK(side_by_side({{"only words", {}}}) == Lines{"only words"});
    // a block takes its columns and a gap of 3: 2 + 3 + 4 + 3
    CHECK(side_by_side({{"x", high}, {"y", low}}, 12).size() == 3);
    CHECK(side_by_side({{"x", high}, {"y", low}}, 11).size() == 5);
    CHECK(side_by_side({{"x", high}, {"y", low}, {"z", low}}, 12).size() == 5);
    CHECK(side_by_side({{"x", high}, {"y", low}, {"z", low}, {"x", high}}, 12).size() == 6);  // two rows of two
    CHECK(side_by_side({{"x", high}}, 1) == Lines{"x", "aa", "bb"});
}

TEST_CASE("smoothed: means of groups; the last group may be shorter") {
    const Series means = smoothed("loss", {1, 3, 5, 7, 10}, 2);
    CHECK(means.name == "loss");
    CHECK(means.x == std::vector<float>{2, 4, 5});
    CHECK(means.y == std::vector<float>{2, 6, 10});
    CHECK(smoothed("loss", {1, 3, 5, 7}, 2).y == std::vector<float>{2, 6});
}

TEST_CASE("running_mean: of each number and those before it, as far as there are any") {
    const Series means = running_mean("loss", {4, 2, 6, 1}, 2);
    CHECK(means.name == "loss");
    CHECK(means.x == std::vector<float>{0, 1, 2, 3});
    CHECK(means.y == std::vector<float>{4, 3, 4, 3.5f});
    CHECK(running_mean("", {}, 3).y.empty());
}

TEST_CASE("percent: a fraction in hundredths, with one decimal") {
    CHECK(percent(0.25) == "25.0 %");
    CHECK(percent(-0.0123) == "-1.2 %");
}

TEST_CASE("curves: a straight line from corner to corner") {
    const Lines lines = curves({{"up", {0, 1}, {0, 3}}}, Colours::none, 16, 4);
    CHECK(lines == Lines{"   * up", "3 |             ***", "  |        *****", "  |   *****", "0 |***", "  +----------------",
                         "   0              1"});
}

TEST_CASE("curves: several series, non-finite points, no points") {
    const Lines lines = curves({{"a", {0, 1}, {1, 1}}, {"b", {0, 1, 2}, {0, NAN, 0}}}, Colours::none, 16, 2);
    CHECK(lines[0] == "   * a   o b");
    CHECK(lines[1] == "1 |*********");
    CHECK(lines[2] == "0 |oooooooooooooooo");
    const Lines gap = curves({{"a", {0, 1, 2}, {1, NAN, 1}}, {"b", {0, 2, 20}, {0, 0, NAN}}}, Colours::none, 16, 2);
    CHECK(gap[1] == "1 |****************");  // a line over the point that is left out
    CHECK(gap[2] == "0 |oooooooooooooooo");
    CHECK(gap[4] == "   0              2");
    CHECK(curves({{"a", {}, {}}}, Colours::none) == Lines{"(no points)"});
    CHECK(curves({{"a", {1}, {1}}}, Colours::none, 16, 2).size() == 5);
    CHECK_THROWS_WITH(curves({{"a", {1}, {}}}, Colours::none), "curves: a has 1 x and 0 y");
    CHECK_THROWS_WITH(curves({}, Colours::none, 1, 1), "curves: 1 x 1 letters are too few, 16 x 2 are the minimum");
}

TEST_CASE("curves: half blocks in colour, two dots in a character") {
    // one point in the middle of a range of one point: dot 1 of 0 ... 3 down, the lower half of the upper line
    const Lines lines = curves({{"a", {1}, {1}}}, Colours::few, 16, 2);
    CHECK(lines[0].find("\x1b[38;5;45m") != std::string::npos);
    CHECK(lines[1].find("\x1b[38;5;45m\u2584\x1b[0m") != std::string::npos);
    CHECK(lines[2] == "1 |");
    CHECK(display_width(lines[3]) == 19);
    // along the bottom and up the right edge: lower halves, then both halves
    const Lines edge = curves({{"a", {0, 1, 1}, {0, 0, 1}}}, Colours::few, 16, 2);
    CHECK(edge[1] == "1 |" + std::string(15, ' ') + "\x1b[38;5;45m\u2588\x1b[0m");
    CHECK(edge[2].starts_with("0 |\x1b[38;5;45m\u2584\x1b[0m"));
    CHECK(edge[2].ends_with("\x1b[38;5;45m\u2588\x1b[0m"));
}

TEST_CASE("curves: ranges that do not begin at 0, numbers of different lengths, names and numbers as wide as the frame") {
    CHECK(curves({{"a", {2, 3, 4}, {98, 99, 102}}}, Colours::none, 16, 5, {"an axis of a long name", ""}) ==
          Lines{"     * a", "102 |              **", "    |            **", "    |          **", "    |     *****", " 98 |*****",
                "    +----------------", "     2              4", "     an axis of a long name"});
    const Lines long_numbers = curves({{"a", {1234567, 7654321}, {0, 0}}}, Colours::none, 16, 2);
    CHECK(long_numbers.back() == "   1.235e+06 7.654e+06");
    // from one column to the next there is nothing between two dots
    Series step{"a", {}, {}};
    for (int k = 0; k < 16; ++k) {
        step.x.push_back(static_cast<float>(k));
        step.y.push_back(k < 8 ? 0.f : 1.f);
    }
    const Lines stairs = curves({step}, Colours::none, 16, 2);
    CHECK(stairs[1] == "1 |        ********");
    CHECK(stairs[2] == "0 |********");
    CHECK(curves({{"a", {0, 2, 15}, {1, 0, 2}}}, Colours::none, 16, 3) ==
          Lines{"   * a", "2 |            ****", "  |*     ******", "0 | *****", "  +----------------", "   0             15"});
}

TEST_CASE("curves: names of the axes above and below the frame; a long legend takes several lines") {
    const Lines lines = curves({{"up", {0, 1}, {0, 3}}}, Colours::none, 16, 2, {"step", "loss"});
    REQUIRE(lines.size() == 7);
    CHECK(lines[1] == "   loss");
    CHECK(lines[6] == "         step");
    CHECK(curves({{"a long name", {0}, {0}}, {"another", {1}, {1}}}, Colours::none, 16, 2).size() == 6);
}

TEST_CASE("curves: the legend takes a new line when the next name would exceed the frame; marks begin again after six") {
    const auto size_with = [](const std::string& a, const std::string& b) {
        return curves({{a, {0}, {0}}, {b, {1}, {1}}}, Colours::none, 16, 2).size();
    };
    // by hand: a margin of 3, each name with its mark, a space and three spaces; together at most 1 + 5 + 16 = 22
    CHECK(size_with("four", "fives") == 5);
    CHECK(size_with("fives", "fives") == 6);
    std::vector<Series> seven;
    for (int s = 0; s < 7; ++s) seven.push_back({"", {static_cast<float>(s)}, {0}});
    CHECK(curves(seven, Colours::none, 64, 2)[0] == "   *    o    +    x    #    %    *");
    const std::string legend = curves(seven, Colours::few, 64, 2)[0];
    std::size_t at = 0;
    for (const int code : {45, 214, 120, 205, 229, 141, 45}) {
        at = legend.find("[38;5;" + std::to_string(code) + "m", at);
        REQUIRE(at != std::string::npos);
        ++at;
    }
}

TEST_CASE("curves: points are joined by straight lines, without gaps; the smallest frame is 16 x 2") {
    CHECK(curves({{"a", {0, 1, 2}, {0, 0, 4}}}, Colours::none, 16, 5) ==
          Lines{"   * a", "4 |               *", "  |             **", "  |           **", "  |         **", "0 |*********",
                "  +----------------", "   0              2"});
    CHECK(curves({{"a", {0, 1}, {2, 2}}}, Colours::none, 16, 3)[2] == "  |****************");
    CHECK_THROWS_WITH(curves({}, Colours::none, 15, 2), "curves: 15 x 2 letters are too few, 16 x 2 are the minimum");
    CHECK_THROWS_WITH(curves({}, Colours::none, 16, 1), "curves: 16 x 1 letters are too few, 16 x 2 are the minimum");
}

TEST_CASE("bar: # in proportion to the most, - for a number below 0") {
    CHECK(bar(5, 10, 4) == "##");
    CHECK(bar(-10, 10, 4) == "----");
    CHECK(bar(20, 10, 4) == "####");
    CHECK(bar(0, 10, 4).empty());
    CHECK(bar(0.5, 0.5) == std::string(20, '#'));
    CHECK(bar(20, 10) == std::string(20, '#'));
    CHECK(bar(1, 0, 4).empty());
}

TEST_CASE("table: a limited width narrows the gaps and wraps words, not numbers") {
    const std::vector<std::vector<std::string>> rows{{"what it is", "n"}, {"one two three", "1000000"}};
    CHECK(table(rows, 20) == Lines{"what it is         n", "-----------  -------", "one two      1000000", "three"});
    CHECK(table(rows, 1) == Lines{"what        n", "it is", "----- -------", "one   1000000", "two", "three"});
    CHECK(table(rows, 23) == table(rows));
    CHECK(table(rows, 22) == Lines{"what it is           n", "-------------  -------", "one two three  1000000"});
    // no column can be narrower: gaps of two, or of one
    const std::vector<std::vector<std::string>> words{{"aaaa", "bbbb"}, {"c", "d"}};
    CHECK(table(words, 10) == Lines{"aaaa  bbbb", "----  ----", "c     d"});
    CHECK(table(words, 9) == Lines{"aaaa bbbb", "---- ----", "c    d"});
    // of columns that are as wide the first becomes narrower
    CHECK(table({{"a b", "c d"}}, 7) == Lines{"a   c d", "b", "--  ---"});
}

TEST_CASE("terminal_colours: all of them where COLORTERM says so, else 256; none with NO_COLOR") {
    const Variable no_color("NO_COLOR", nullptr), force("FORCE_COLOR", "1"), colorterm("COLORTERM", "truecolor");
    CHECK(terminal_colours() == Colours::all);
    colorterm.set("24bit");
    CHECK(terminal_colours() == Colours::all);
    colorterm.set("yes");
    CHECK(terminal_colours() == Colours::few);
    colorterm.set(nullptr);
    CHECK(terminal_colours() == Colours::few);
    no_color.set("1");
    CHECK(terminal_colours() == Colours::none);
}

TEST_CASE("terminal_width: without a terminal COLUMNS, from 72 to 120; 80 without it") {
    std::vector<int> widths;
    const Variable columns("COLUMNS", nullptr);
    for (const char* const value : {static_cast<const char*>(nullptr), "100", "71", "121", "0", "-5", "1"}) {
        columns.set(value);
        const Redirected output(STDOUT_FILENO, "/dev/null");
        widths.push_back(terminal_width());
    }
    CHECK(widths == std::vector<int>{80, 100, 72, 120, 80, 80, 72});
}

TEST_CASE("terminal_width: at a terminal its columns, whatever COLUMNS says, from 72 to 120; one that names none: COLUMNS") {
    const Variable columns("COLUMNS", "90");
    const PseudoTerminal terminal;
    if (!terminal) return;
    std::vector<int> widths;
    for (const int across : {100, 71, 121, 1, 0}) {
        terminal.resize(across, 24);
        const Redirected output(STDOUT_FILENO, terminal.end());
        widths.push_back(terminal_width());
    }
    CHECK(widths == std::vector<int>{100, 72, 120, 72, 90});
}

TEST_CASE("table: text is left-aligned, numbers are right-aligned") {
    CHECK(table({{"what", "n"}, {"a", "1"}, {"bcdef", "1000"}}) ==
          Lines{"what       n", "-----   ----", "a          1", "bcdef   1000"});
    CHECK(table({{"a", "b"}, {"1", "-"}}) == Lines{"a   b", "-   -", "1   -"});
    CHECK(table({{"a"}}) == Lines{"a", "-"});
    CHECK(table({{"a", "some"}, {"1", "-"}, {"1", "-"}}) == Lines{"a   some", "-   ----", "1   -", "1   -"});
    CHECK(table({{"a", "some"}, {"1", "a1"}}) == Lines{"a   some", "-   ----", "1   a1"});
    CHECK(table({{"code"}, {"  x"}, {"   y"}}) == Lines{"code", "----", "  x", "   y"});  // spaces stay
    CHECK(table({{"a", ""}, {"b", ""}}) == Lines{"a", "-", "b"});
    CHECK(number_columns({{"1"}}) == std::vector<bool>{false});  // a heading alone
    CHECK(table({}).empty());
    CHECK_THROWS_WITH(table({{"a", "b"}, {"c"}}), "table: row 1 has 1 cells, the heading 2");
}

TEST_CASE("display_width, wrapped: count characters and not colours; lines break at spaces") {
    CHECK(display_width("\x1b[1mab\x1b[0m") == 2);
    CHECK(display_width("\x1b[1mm\x1b[0m m") == 3);
    CHECK(display_width("\u00e9\u2580") == 2);
    CHECK(wrapped("one two three", 7) == Lines{"one two", "three"});
    CHECK(wrapped("muchtoolong a", 4) == Lines{"muchtoolong", "a"});
    CHECK(wrapped("", 4) == Lines{""});
    CHECK(fixed(0.25) == "0.2500");
    CHECK(fixed(-2.55, 1) == "-2.5");
    CHECK(fixed(3.7, 0) == "4");
    CHECK(fixed(NAN) == "nan");
    CHECK(fixed(1e308, 2).size() == 312);
}

TEST_CASE("display_width, table: columns of the terminal, not characters") {
    CHECK(display_width("\u6211 [MASK] \u5317\u4eac") == 14);  // 2 + 8 + 4
    CHECK(display_width("e\u0301") == 1);                      // an accent stands on its letter
    // Every second column begins at column 9: "cat" and two spaces, or two characters of two columns each and one space.
    const std::vector<std::string> lines =
        table({{"token", "what"}, {"\u5317\u4eac", "wide"}, {"e\u0301", "accent"}, {"cat", "narrow"}});
    for (const std::size_t row : {0u, 2u, 3u, 4u}) {
        const std::size_t second = lines[row].find_last_of(' ') + 1;
        CHECK(display_width(lines[row].substr(0, second)) == 8);
    }
    CHECK(wrapped("\u6211\u6211\u6211 \u6211\u6211", 10) ==
          std::vector<std::string>{"\u6211\u6211\u6211", "\u6211\u6211"});  // 6 + 1 + 4
    CHECK(wrapped("\u6211\u6211\u6211 \u6211\u6211", 11).size() == 1);
}
