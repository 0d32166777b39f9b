#include "nn/maps/resize.h"

#include <cmath>

#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("resize");

// A row of pixels of one channel, resized to `width` pixels.
static Matrix resized_row(const Matrix& row, int width, Interpolation how) {
    return resize({transpose(row), {1, 1, row.cols}}, 1, width, how).pixels.value();
}

TEST_CASE("resize, nearest: an integer factor repeats every pixel") {
    CHECK(identical(resized_row(Matrix{{1, 2}}, 4, Interpolation::nearest), Matrix{{1}, {1}, {2}, {2}}));
    CHECK(identical(resized_row(Matrix{{1, 2, 3}}, 2, Interpolation::nearest), Matrix{{1}, {2}}));  // 0 and 1 * 3/2 = 1.5 -> 1
    const Map square = resize({Matrix{{1}, {2}, {3}, {4}}, {2, 1, 2}}, 2, 4, Interpolation::nearest);
    CHECK(square.size == MapSize{2, 2, 4});
    CHECK(identical(transpose(square.pixels.value()), Matrix{{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}}));
}

TEST_CASE("resize, bilinear: half-pixel centres, by hand") {
    // 2 -> 4 pixels: positions -0.25 (the edge is repeated), 0.25, 0.75, 1.25
    CHECK(identical(resized_row(Matrix{{0, 4}}, 4, Interpolation::bilinear), Matrix{{0}, {1}, {3}, {4}}));
    // 4 -> 2 pixels: places 0.5 and 2.5
    CHECK(identical(resized_row(Matrix{{0, 4, 8, 20}}, 2, Interpolation::bilinear), Matrix{{2}, {14}}));
    // down and across: 2 x 2 -> 1 x 4
    const Map both = resize({Matrix{{0}, {4}, {8}, {12}}, {1, 2, 2}}, 1, 4, Interpolation::bilinear);
    CHECK(identical(both.pixels.value(), Matrix{{4}, {5}, {7}, {8}}));
}

TEST_CASE("resize, bilinear: aligned corners, by hand") {
    // 2 -> 4 pixels: places 0, 1/3, 2/3, 1
    check_close("2 to 4", resized_row(Matrix{{0, 3}}, 4, Interpolation::bilinear_corners), Matrix{{0}, {1}, {2}, {3}});
    // 4 -> 3 pixels: places 0, 1.5, 3
    check_close("4 to 3", resized_row(Matrix{{0, 4, 8, 20}}, 3, Interpolation::bilinear_corners), Matrix{{0}, {6}, {20}});
    CHECK(
        identical(resized_row(Matrix{{7, 4}}, 1, Interpolation::bilinear_corners), Matrix{{7}}));  // one pixel: the first corner
}

TEST_CASE("resize, antialiased: a triangle twice as wide, renormalised at the edge, by hand") {
    // 4 -> 2 pixels: position 0.5, distances 0.5, 0.5, 1.5, 2.5, heights 1 - d/2 = 0.75, 0.75, 0.25, 0, together 1.75
    const float left = (0.75f * 0 + 0.75f * 4 + 0.25f * 8) / 1.75f;
    check_close("4 to 2", resized_row(Matrix{{0, 4, 8, 12}}, 2, Interpolation::bilinear_antialiased),
                Matrix{{left}, {12 - left}});
    // enlarging it is plain bilinear
    check_close("2 to 4", resized_row(Matrix{{0, 4}}, 4, Interpolation::bilinear_antialiased), Matrix{{0}, {1}, {3}, {4}});
}

TEST_CASE("resize, bicubic: half-way between 0 and 1 of the row 0 0 1 1, by hand") {
    // the kernel with a = -0.75 at distances 1.5, 0.5, 0.5, 1.5: -0.09375, 0.59375, 0.59375, -0.09375
    // new pixel 0 lies at 0.5 and reads 0 0 0 1, new pixel 1 at 2.5 and reads 0 1 1 1
    check_close("4 to 2", resized_row(Matrix{{0, 0, 1, 1}}, 2, Interpolation::bicubic), Matrix{{-0.09375f}, {1.09375f}});
    // new column 3 of 8 lies at (3 + 0.5) / 2 - 0.5 = 1.25; the kernel at distances 1.25, 0.25, 0.75, 1.75 is
    // -0.10546875, 0.87890625, 0.26171875, -0.03515625, so the ramp 0 1 2 3 gives 1.296875 (a = -0.5 alone would give 1.25)
    const Matrix finer = resized_row(Matrix{{0, 1, 2, 3}}, 8, Interpolation::bicubic);
    CHECK(finer(3, 0) == Approx(1.296875).epsilon(1e-6));
    CHECK(finer(4, 0) == Approx(1.703125).epsilon(1e-6));
}

static const std::vector<Interpolation> all_kinds{Interpolation::nearest, Interpolation::bilinear,
                                                  Interpolation::bilinear_corners, Interpolation::bilinear_antialiased,
                                                  Interpolation::bicubic};

TEST_CASE("resize: the same size and a constant do not change, images are independent") {
    Random random(10);
    const MapSize size{.images = 2, .height = 3, .width = 4};
    const Matrix x = normal_matrix(random, size.rows(), 2);
    Matrix constants(size.rows(), 1, 5);
    for (int row = size.pixels(); row < size.rows(); ++row) constants(row, 0) = -7;
    for (const Interpolation how : all_kinds) {
        INFO("kind ", static_cast<int>(how));
        check_close("same size", resize({x, size}, 3, 4, how).pixels.value(), x);
        for (const auto& [height, width] : {std::pair{5, 9}, std::pair{2, 1}}) {
            const Map resized = resize({constants, size}, height, width, how);
            CHECK(resized.size == MapSize{2, height, width});
            for (int row = 0; row < resized.size.rows(); ++row)
                CHECK(resized.pixels.value()(row, 0) == Approx(row < height * width ? 5 : -7));
        }
    }
}

TEST_CASE("resize: equals resize_bilinear, plain and antialiased") {
    Random random(11);
    Image image(7, 5, 3);
    for (float& pixel : image.pixels) pixel = random.uniform();
    for (const auto& [height, width] : {std::pair{3, 2}, std::pair{12, 8}, std::pair{4, 9}}) {
        const Matrix plain = resize(map_of({image}), height, width, Interpolation::bilinear).pixels.value();
        check_close("plain", plain, map_of({resize_bilinear(image, height, width)}).pixels.value());
        const Matrix smooth = resize(map_of({image}), height, width, Interpolation::bilinear_antialiased).pixels.value();
        check_close("antialiased", smooth, map_of({resize_bilinear_antialiased(image, height, width)}).pixels.value());
    }
}

TEST_CASE("resize: gradients agree with finite differences") {
    Random random(12);
    const Matrix x = normal_matrix(random, 2 * 3 * 4, 2);
    for (const Interpolation how : all_kinds) {
        INFO("kind ", static_cast<int>(how));
        check_gradient_by_differences(
            [how](const std::vector<Var>& v) {
                return resize({v[0], {2, 3, 4}}, 2, 5, how).pixels;
            },
            {x});
    }
}

TEST_CASE("resize: a new size below 1, and pixels that do not match the size, are refused") {
    CHECK(without_place(error_of([] {
              resize({Matrix(5, 2), {1, 2, 3}}, 4, 4, Interpolation::bicubic);
          })) == "resize: pixels (5, 2) for a map of 1 image of 2 x 3, it must have 6 rows, one for each pixel");
    CHECK(without_place(error_of([] {
              resize({Matrix(4, 2), {1, 2, 2}}, 100000, 200000, Interpolation::nearest);
          })) == "resize: 1 images of 100000 x 200000 pixels are more than 2147483647 rows, the maximum of a matrix");
    CHECK(without_place(error_of([] {
              resize({Matrix(4, 2), {1, 2, 2}}, 0, 4, Interpolation::bilinear);
          })) == "resize: a map of 0 x 4 pixels, both must be at least 1");
    CHECK(without_place(error_of([] {
              resize({Matrix(4, 2), {1, 2, 2}}, 4, 0, Interpolation::bilinear);
          })) == "resize: a map of 4 x 0 pixels, both must be at least 1");
    CHECK(resize({Matrix(4, 2), {1, 2, 2}}, 1, 1, Interpolation::bilinear).pixels.rows() == 1);
}

TEST_CASE("resize: an image that holds no numbers leaves the one before it as it is") {
    for (const Interpolation how : all_kinds) {
        INFO("kind ", static_cast<int>(how));
        Matrix x(2 * 2 * 3, 1, 1);  // two images of 2 x 3 pixels
        for (int k = 6; k < 12; ++k) x(k, 0) = NAN;
        const Matrix larger = resize({x, {2, 2, 3}}, 4, 6, how).pixels.value();
        for (int k = 0; k < 4 * 6; ++k) CHECK(larger(k, 0) == Approx(1));
    }
}

TEST_SUITE_END();
