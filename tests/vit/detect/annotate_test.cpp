#include "vit/detect/annotate.h"

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
    Image outside(2, 2, 3);
    draw_box(outside, {{2, 2, 3, 3}}, {1, 0, 0});
    CHECK(red_pixels(outside) == "..\n..\n");
    CHECK(error_of([&] { draw_box(image, Matrix(2, 4), {}); }) ==
          "draw_box: a box (2, 4) on an image of 4 x 6 x 3, it must be (1, 4) on three channels");
}

TEST_CASE("with_segments: pixels of a segment are blended with its colour, void stays") {
    const Image grey(1, 3, 1, 0.5f);
    const Image tinted = with_segments(grey, {0, 2, 1}, {{1, 0, 0}, {0, 1, 0}}, 0.5f);
    CHECK(tinted.pixels == std::vector<float>{0.5f, 0.5f, 0.5f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, 0.25f});
    CHECK(error_of([&] { with_segments(grey, {0, 3, 1}, {{}, {}}); }) == "with_segments: segment 3 has no colour, there are 2");
    CHECK(error_of([&] { with_segments(grey, {0}, {}); }) == "with_segments: 1 ids for an image of 1 x 3 x 1");
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
    CHECK(error_of([] { in_a_row({}); }) == "in_a_row: there is no picture");
}

TEST_CASE("palette: starts again after its last colour") {
    CHECK(palette(13).red == palette(1).red);
    CHECK(palette(-1).red == palette(11).red);
}

TEST_SUITE_END();
