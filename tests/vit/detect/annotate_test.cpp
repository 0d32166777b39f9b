#include "vit/detect/annotate.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("annotate");

// Pixels that are red, as rows of # and dots.
static std::string red_pixels(const Image& image) {
    std::string rows;
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) rows += image(y, x, 0) == 1 && image(y, x, 1) == 0 ? '#' : '.';
        rows += '\n';
    }
    return rows;
}

TEST_CASE("draw_box: an outline inside the box, clipped to the image") {
    Image image(4, 6, 3);
    draw_box(image, {{0, 0.25f, 0.5f, 1}}, {1, 0, 0});  // pixels 0 ... 2 across, 1 ... 3 down
    CHECK(red_pixels(image) == "......\n###...\n#.#...\n###...\n");
    Image beyond(4, 6, 3);
    draw_box(beyond, {{0.5f, -1, 9, 0.5f}}, {1, 0, 0});
    CHECK(red_pixels(beyond) == "...###\n...###\n......\n......\n");
    Image pixel(1, 1, 3);
    draw_box(pixel, {{0, 0, 1, 1}}, {0.25f, 0.5f, 0.75f});
    CHECK(pixel.pixels == std::vector<float>{0.25f, 0.5f, 0.75f});
    Image outside(2, 2, 3);
    draw_box(outside, {{2, 2, 3, 3}}, {1, 0, 0});
    draw_box(outside, {{0, 2, 1, 3}}, {1, 0, 0});  // below the image
    draw_box(outside, {{2, 0, 3, 1}}, {1, 0, 0});  // on its right
    CHECK(red_pixels(outside) == "..\n..\n");
    CHECK(error_of([&] { draw_box(image, Matrix(2, 4), {}); }) ==
          "draw_box: a box (2, 4) on an image of 4 x 6 x 3, it must be (1, 4) on three channels");
}

TEST_CASE("with_segments: pixels of a segment are blended with its colour, void stays") {
    const Image grey(1, 3, 1, 0.5f);
    const Image tinted = with_segments(grey, {0, 2, 1}, {{1, 0, 0}, {0, 1, 0}}, 0.5f);
    CHECK(tinted.pixels == std::vector<float>{0.5f, 0.5f, 0.5f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, 0.25f});
    CHECK(error_of([&] {
              with_segments(grey, {0, 3, 1}, {{}, {}});
          }) == "with_segments: segment 3 has no colour, there are 2, for segments from 1 on");
    CHECK(error_of([&] { with_segments(grey, {0}, {}); }) ==
          "with_segments: 1 ids for an image of 1 x 3 x 1, each pixel needs one");
}

TEST_CASE("enlarged, in_a_row, in_a_column: each pixel keeps its position") {
    Image small(1, 2, 1);
    small(0, 1, 0) = 1;
    const Image large = enlarged(small, 2);
    CHECK(shape(large) == "2 x 4 x 3");
    CHECK(large(1, 1, 2) == 0);
    CHECK(large(0, 2, 2) == 1);
    const Image row = in_a_row({large, large}, 1);
    CHECK(shape(row) == "2 x 9 x 3");
    CHECK(row(0, 4, 0) == 1);  // the line between them
    CHECK(row(1, 5, 0) == 0);
    const Image column = in_a_column({large, large}, 3);
    CHECK(shape(column) == "7 x 4 x 3");
    CHECK(column(5, 3, 1) == 1);
    CHECK(column(5, 0, 1) == 0);
    CHECK(error_of([] { in_a_row({}); }) ==
          "in_a_row: 0 images with 2 pixels between them; there must be at least 1, and the gap not negative");
}

TEST_CASE("palette: twelve colours, all different; it starts again after the last") {
    CHECK(palette(13).red == palette(1).red);
    CHECK(palette(-1).red == palette(11).red);
    CHECK(palette(0).red == 0.9f);
    for (int a = 0; a < 12; ++a) {
        const Colour one = palette(a);
        for (const float part : {one.red, one.green, one.blue}) CHECK((part >= 0 && part <= 1));
        for (int b = 0; b < a; ++b) {
            const Colour other = palette(b);
            CHECK((one.red != other.red || one.green != other.green || one.blue != other.blue));
        }
    }
}

TEST_CASE("annotate: invalid boxes, opacities above 1 and gaps below 0 are refused") {
    Image image(4, 4, 3);
    CHECK_THROWS_WITH(draw_box(image, {{0.5f, 0, 0.2f, 1}}, {}),
                      "draw_box: the corners 0.500000, 0.000000, 0.200000, 1.000000 must be left <= right and top <= bottom; "
                      "convert_boxes makes them of other formats");
    CHECK_THROWS_WITH(draw_box(image, {{0, NAN, 1, 1}}, {}),
                      "draw_box: the corners (1, 4) hold nan in row 0, column 1 (from 0); all must be finite, trap_nan(true) "
                      "names the operation that made it");
    CHECK_THROWS_WITH(with_segments(image, std::vector<int>(3), {}),
                      "with_segments: 3 ids for an image of 4 x 4 x 3, each pixel needs one");
    CHECK_THROWS_WITH(with_segments(image, std::vector<int>(16, 1), {}),
                      "with_segments: segment 1 has no colour, there are 0, for segments from 1 on");
    CHECK_THROWS_WITH(with_segments(image, std::vector<int>(16), {}, 1.5f),
                      "with_segments: 1.500000 of the colour in the mixture, it must be a fraction from 0 to 1");
    CHECK_THROWS_WITH(in_a_row({image}, -1),
                      "in_a_row: 1 images with -1 pixels between them; there must be at least 1, and the gap not negative");
    CHECK_THROWS_WITH(in_a_row({}),
                      "in_a_row: 0 images with 2 pixels between them; there must be at least 1, and the gap not negative");
    CHECK_THROWS_WITH(in_a_row({image, Image(3, 4, 3)}),
                      "in_a_row: 3 x 4 x 3 beside 4 x 4 x 3; all must have 3 channels and the same height, see enlarged");
    CHECK_THROWS_WITH(in_a_column({image, Image(4, 5, 3)}),
                      "in_a_column: 4 x 5 x 3 beside 4 x 4 x 3; all must have 3 channels and the same width, see enlarged");
}

TEST_CASE("enlarged, draw_box, with_segments, in_a_row: each argument check fails by itself, the limits are allowed") {
    const std::string channels = ", it must have 1 or 3 channels and the factor be at least 1";
    CHECK(enlarged(Image(1, 1, 1), 1).channels == 3);
    CHECK(error_of([] { enlarged(Image(1, 1, 1), 0); }) == "enlarged: an image of 1 x 1 x 1 by 0" + channels);
    CHECK(error_of([] { enlarged(Image(1, 1, 2), 1); }) == "enlarged: an image of 1 x 1 x 2 by 1" + channels);
    Image grey(1, 1, 1), image(1, 1, 3);
    CHECK_NOTHROW(draw_box(image, {{0, 0, 0, 0}}, {}));
    CHECK_THROWS_WITH(draw_box(grey, Matrix(1, 4), {}),
                      "draw_box: a box (1, 4) on an image of 1 x 1 x 1, it must be (1, 4) on three channels");
    CHECK_THROWS_WITH(draw_box(image, Matrix(2, 4), {}),
                      "draw_box: a box (2, 4) on an image of 1 x 1 x 3, it must be (1, 4) on three channels");
    CHECK_THROWS_WITH(draw_box(image, Matrix(1, 5), {}),
                      "draw_box: a box (1, 5) on an image of 1 x 1 x 3, it must be (1, 4) on three channels");
    CHECK_THROWS_WITH(draw_box(image, {{0, 1, 1, 0}}, {}),
                      "draw_box: the corners 0.000000, 1.000000, 1.000000, 0.000000 must be left <= right and top <= bottom; "
                      "convert_boxes makes them of other formats");
    CHECK(with_segments(image, {1}, {{1, 1, 1}}, 0)(0, 0, 0) == 0);
    CHECK(with_segments(image, {1}, {{1, 1, 1}}, 1)(0, 0, 0) == 1);
    CHECK_THROWS_WITH(with_segments(image, {1}, {{1, 1, 1}}, -0.5f),
                      "with_segments: -0.500000 of the colour in the mixture, it must be a fraction from 0 to 1");
    CHECK_THROWS_WITH(with_segments(image, {-1}, {{1, 1, 1}}),
                      "with_segments: segment -1 has no colour, there are 1, for segments from 1 on");
    CHECK_THROWS_WITH(with_segments(image, {2}, {{1, 1, 1}}),
                      "with_segments: segment 2 has no colour, there are 1, for segments from 1 on");
    CHECK(in_a_row({image, image}, 0).width == 2);
    CHECK(error_of([&] { in_a_row({grey}); }).ends_with("; all must have 3 channels and the same height, see enlarged"));
}

TEST_CASE("enlarged: an image that lacks pixels, and sides of more pixels than an int counts, are refused") {
    Image cut(2, 2, 1);
    cut.pixels.resize(3);
    CHECK_THROWS_WITH(enlarged(cut, 2),
                      "enlarged: an image of 2 x 2 x 1 holds 3 numbers, it must hold one for each pixel and channel");
    CHECK_THROWS_WITH(enlarged(Image(2, 1, 1), 1'073'741'824),
                      "enlarged: an image of 2 x 1 x 1 by 1073741824 has a side of more than 2147483647 pixels");
}

TEST_SUITE_END();
