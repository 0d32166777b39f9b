#include "vit/mask_pixels/hog.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("hog");

static Image noise(int height, int width, int channels, int seed = 1) {
    Random random(seed);
    Image image(height, width, channels);
    for (float& x : image.pixels) x = random.uniform();
    return image;
}

// 1 above and left of a line, 0 beyond: an edge in the middle of 8 x 8 pixels.
static Image step_edge(bool vertical) {
    Image image(8, 8, 1);
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) image(y, x, 0) = (vertical ? x : y) < 4 ? 1 : 0;
    return image;
}

TEST_CASE("describe: Sobel gradients by hand, with the border reflected") {
    Image image(2, 3, 1);
    for (int k = 0; k < 6; ++k) image.pixels[k] = static_cast<float>(k * k);  // 0 1 4 / 9 16 25
    const hog::Steps steps = hog::describe(image, {.bins = 4, .cell = 1});
    // pixel (0, 1): the row above is row 1. Left column weighted 9 + 2 * 0 + 9, right 25 + 2 * 4 + 25: 18 - 58
    CHECK(steps.gradient_x(0, 1, 0) == 18 - 58);
    CHECK(steps.gradient_y(0, 1, 0) == 0);  // both neighbours are row 1
    CHECK(steps.gradient_x(0, 0, 0) == 0);  // both neighbours are column 1
    CHECK(steps.magnitude(0, 1, 0) == 40);
}

TEST_CASE("describe: a vertical edge lies in the middle bin, a horizontal one in bin 0, whichever side is bright") {
    // gx alone: atan2(+-m, 0) = +-pi / 2, and b / 2 = 2.5 or -2.5 bins: bin 2 of 5.   gy alone: 0 or pi, bin 0
    for (const float sign : {1.0f, -1.0f}) {
        Image upright = step_edge(true), level = step_edge(false);
        for (float& x : upright.pixels) x *= sign;
        for (float& x : level.pixels) x *= sign;
        const Matrix of_upright = hog::describe(upright, {.bins = 5, .cell = 8}).descriptors;
        const Matrix of_level = hog::describe(level, {.bins = 5, .cell = 8}).descriptors;
        CHECK(identical(of_upright, Matrix{{0, 0, 1, 0, 0}}));
        CHECK(identical(of_level, Matrix{{1, 0, 0, 0, 0}}));
    }
}

TEST_CASE("describe: a gradient rotated by 180 / b degrees lies in the next bin") {
    const int b = 9;
    for (int k = 0; k < 2 * b; ++k) {
        const double angle = (k + 0.5) / b * std::numbers::pi;
        Image ramp(8, 8, 1);
        for (int y = 0; y < 8; ++y)
            for (int x = 0; x < 8; ++x) ramp(y, x, 0) = static_cast<float>(-x * std::sin(angle) - y * std::cos(angle));
        CHECK(hog::describe(ramp, {.bins = b, .cell = 8}).bin[3 * 8 + 3] == k % b);
    }
}

TEST_CASE("describe: brightness, contrast and inversion of a channel change nothing") {
    const Image image = noise(8, 16, 3);
    Image darker = image, negative = image;
    for (float& x : darker.pixels) x = 0.5f * x + 0.25f;
    for (float& x : negative.pixels) x = -x;
    const hog::Config config{.bins = 9, .cell = 4};
    const Matrix descriptors = hog::describe(image, config).descriptors;
    check_close("darker", hog::describe(darker, config).descriptors, descriptors, {1e-6f, 0});
    CHECK(identical(hog::describe(negative, config).descriptors, descriptors));
}

TEST_CASE("describe: each channel of a cell has length 1, a constant one stays 0, and no bin is negative") {
    Image image = noise(8, 8, 2);
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) image(y, x, 1) = 0.5f;
    const hog::Steps steps = hog::describe(image, {.bins = 7, .cell = 4});
    CHECK(*std::min_element(steps.bin.begin(), steps.bin.end()) >= 0);
    CHECK(*std::max_element(steps.bin.begin(), steps.bin.end()) <= 6);
    for (int cell = 0; cell < 4; ++cell) {
        double squares = 0;
        for (int k = 0; k < 7; ++k) {
            squares += steps.descriptors(cell, k) * steps.descriptors(cell, k);
            CHECK(steps.descriptors(cell, 7 + k) == 0);
        }
        CHECK(squares == Approx(1).epsilon(1e-6));
    }
}

TEST_CASE("of_patches: two cells a side, the bin slower than the position of the cell") {
    // 4 cells across, 2 down, 1 channel of 2 bins; descriptor of cell i is i and 10 + i. Patch 1 holds cells 2 3 6 7
    const PatchGrid grid{.height = 4, .width = 8, .patch_size = 4, .channels = 1};
    Matrix descriptors(8, 2);
    for (int i = 0; i < 8; ++i) {
        descriptors(i, 0) = static_cast<float>(i);
        descriptors(i, 1) = static_cast<float>(10 + i);
    }
    CHECK(identical(hog::of_patches(descriptors, grid, {.bins = 2, .cell = 2}),
                    Matrix{{0, 1, 4, 5, 10, 11, 14, 15}, {2, 3, 6, 7, 12, 13, 16, 17}}));
}

TEST_CASE(
    "roses: a vertical edge is drawn as a vertical line, a horizontal one as a horizontal line, each as long as it is strong") {
    const int side = 15;
    const auto drawn = [&](const Matrix& descriptor) { return hog::roses(descriptor, 1, 1, 6, side); };
    // bin 3 of 6: the gradient at 105 degrees from the vertical, so the edge leans 15 degrees from upright
    const Image upright = drawn(Matrix{{0, 0, 0, 1, 0, 0}}), level = drawn(Matrix{{1, 0, 0, 0, 0, 0}});
    int rows = 0, columns = 0;
    for (int k = 0; k < side; ++k) {
        bool in_row = false, in_column = false;
        for (int j = 0; j < side; ++j) {
            in_row = in_row || upright(k, j, 0) == 1;
            in_column = in_column || level(j, k, 0) == 1;
        }
        rows += in_row;
        columns += in_column;
    }
    CHECK(rows == 13);  // 6.5 pixels to both sides, leaning: 6.28 rows above and below the middle
    CHECK(columns == 13);
    CHECK(upright(7, 7, 0) == 1);
    CHECK(upright(1, 5, 0) == 1);  // its upper end leans to the left
    CHECK(upright(13, 9, 0) == 1);
    const Image weak = drawn(Matrix{{0, 0, 0, 0.25f, 0, 0}});
    CHECK(std::count(weak.pixels.begin(), weak.pixels.end(), 0.25f) <
          std::count(upright.pixels.begin(), upright.pixels.end(), 1.0f));
    CHECK(std::count(weak.pixels.begin(), weak.pixels.end(), 0.0f) + std::count(weak.pixels.begin(), weak.pixels.end(), 0.25f) ==
          side * side);
}

TEST_CASE("hog: inconsistent images, cells and descriptors throw an error that gives the reason") {
    CHECK_THROWS_WITH(hog::describe(Image(8, 8, 1), {.bins = 9, .cell = 3}),
                      "hog: an image of 8 x 8 x 1 does not split into cells of 3 pixels with 9 bins; it must be at least 2 x 2");
    CHECK_THROWS_WITH(
        hog::of_patches(Matrix(3, 9), {.height = 8, .width = 8, .patch_size = 4, .channels = 1}, {.bins = 9, .cell = 4}),
        "hog: descriptors (3, 9) for 4 patches of 1 cells with 9 numbers");
    CHECK_THROWS_WITH(
        hog::of_patches(Matrix(4, 9), {.height = 8, .width = 8, .patch_size = 4, .channels = 1}, {.bins = 9, .cell = 3}),
        "hog: cells of 3 pixels do not fill a patch of side 4; its side must be a multiple of theirs");
    CHECK_THROWS_WITH(hog::roses(Matrix(3, 9), 2, 2, 9),
                      "hog: descriptors (3, 9) for a drawing of 2 x 2 cells of side 15 with 9 bins");
}

TEST_CASE("check: no bins, no cells and cells that do not fill a patch are refused") {
    const PatchGrid grid{.height = 8, .width = 8, .patch_size = 4, .channels = 1};
    CHECK_THROWS_WITH(hog::check({.bins = 0, .cell = 4}, grid), "hog: 0 bins of orientation, at least 1 is needed");
    CHECK_THROWS_WITH(hog::check({.bins = 1, .cell = 0}, grid),
                      "hog: cells of 0 pixels do not fill a patch of side 4; its side must be a multiple of theirs");
    CHECK_NOTHROW(hog::check({.bins = 1, .cell = 4}, grid));
}

TEST_CASE("describe, roses, of_patches: each argument check fails by itself, the smallest sizes are allowed") {
    const auto refusal = [](int height, int width, int channels, int cell, int bins) {
        return error_of([&] { hog::describe(Image(height, width, channels), {.bins = bins, .cell = cell}); });
    };
    const std::string least = " bins; it must be at least 2 x 2";
    CHECK(refusal(2, 2, 1, 1, 1) == "");
    CHECK(refusal(2, 2, 1, 1, 0) == "hog: an image of 2 x 2 x 1 does not split into cells of 1 pixels with 0" + least);
    CHECK(refusal(2, 2, 1, 0, 1) == "hog: an image of 2 x 2 x 1 does not split into cells of 0 pixels with 1" + least);
    CHECK(refusal(1, 2, 1, 1, 1) == "hog: an image of 1 x 2 x 1 does not split into cells of 1 pixels with 1" + least);
    CHECK(refusal(2, 1, 1, 1, 1) == "hog: an image of 2 x 1 x 1 does not split into cells of 1 pixels with 1" + least);
    CHECK(refusal(2, 2, 0, 1, 1) == "hog: an image of 2 x 2 x 0 does not split into cells of 1 pixels with 1" + least);
    CHECK(refusal(3, 2, 1, 2, 1) == "hog: an image of 3 x 2 x 1 does not split into cells of 2 pixels with 1" + least);
    CHECK(refusal(2, 3, 1, 2, 1) == "hog: an image of 2 x 3 x 1 does not split into cells of 2 pixels with 1" + least);

    const auto drawing = [](const Matrix& descriptors, int down, int across, int bins, int side) {
        return error_of([&] { hog::roses(descriptors, down, across, bins, side); });
    };
    const std::string given = "hog: descriptors (1, 2) for a drawing of ";
    const Matrix one(1, 2);
    CHECK(drawing(one, 1, 1, 1, 3) == "");
    CHECK(drawing(one, 1, 1, 0, 3) == given + "1 x 1 cells of side 3 with 0 bins");
    CHECK(drawing(one, 1, 1, 3, 3) == given + "1 x 1 cells of side 3 with 3 bins");
    CHECK(drawing(one, 1, 1, 1, 2) == given + "1 x 1 cells of side 2 with 1 bins");
    CHECK(drawing(one, 1, 2, 1, 3) == given + "1 x 2 cells of side 3 with 1 bins");
    CHECK(drawing(one, -1, -1, 1, 3) == given + "-1 x -1 cells of side 3 with 1 bins");
    CHECK(drawing(Matrix(0, 2), 0, 1, 1, 3) == "hog: descriptors (0, 2) for a drawing of 0 x 1 cells of side 3 with 1 bins");
    CHECK(drawing(Matrix(0, 2), 1, 0, 1, 3) == "hog: descriptors (0, 2) for a drawing of 1 x 0 cells of side 3 with 1 bins");
    CHECK(drawing(Matrix(1, 0), 1, 1, 1, 3) == "hog: descriptors (1, 0) for a drawing of 1 x 1 cells of side 3 with 1 bins");

    const PatchGrid grid{.height = 2, .width = 2, .patch_size = 2, .channels = 1};
    CHECK_NOTHROW(hog::of_patches(Matrix(4, 3), grid, {.bins = 3, .cell = 1}));
    CHECK_THROWS_WITH(hog::of_patches(Matrix(4, 2), grid, {.bins = 3, .cell = 1}),
                      "hog: descriptors (4, 2) for 1 patches of 4 cells with 3 numbers");
    CHECK_THROWS_WITH(hog::of_patches(Matrix(3, 3), grid, {.bins = 3, .cell = 1}),
                      "hog: descriptors (3, 3) for 1 patches of 4 cells with 3 numbers");
}

TEST_CASE("roses: each cell has its own square of the picture, and its channels are averaged") {
    Matrix descriptors(6, 2);  // 2 x 3 cells of two channels with one bin
    descriptors(4, 1) = 1;     // the middle cell of the lower row, in one of them
    const Image picture = hog::roses(descriptors, 2, 3, 1, 5);
    REQUIRE(shape(picture) == "10 x 15 x 1");
    for (int y = 0; y < 10; ++y)
        for (int x = 0; x < 15; ++x) {
            const bool bright = x == 7 && y >= 6 && y <= 8;  // upright: half as strong, so 0.75 pixels to both sides
            CHECK(picture(y, x, 0) == (bright ? 0.5f : 0.0f));
        }
}

TEST_CASE("hog::Config: the defaults") {
    const hog::Config usual{};
    CHECK(usual.bins == 9);
    CHECK(usual.cell == 8);
}

TEST_CASE("hog: a pixel that is not finite, and an image that lacks pixels, are refused") {
    Image image(8, 8, 1);
    image(3, 3, 0) = NAN;
    CHECK_THROWS_WITH(hog::describe(image, {}), "hog: a pixel is nan, it has no gradient; all must be finite");
    image.pixels.resize(3);
    CHECK_THROWS_WITH(hog::describe(image, {}),
                      "hog: an image of 8 x 8 x 1 holds 3 numbers, it must hold one for each pixel and channel");
}

TEST_SUITE_END();
