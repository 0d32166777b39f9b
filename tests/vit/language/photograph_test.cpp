#include "vit/language/photograph.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("photograph");

// One row of grey values.
static Image row_of_pixels(const std::vector<float>& values) {
    Image image(1, static_cast<int>(values.size()), 1);
    image.pixels = values;
    return image;
}

TEST_CASE("in_colour: a grey image is copied to all three channels, a colour image is unchanged") {
    Image grey(1, 2, 1);
    grey(0, 1, 0) = 0.5f;
    const Image colour = in_colour(grey);
    CHECK(shape(colour) == "1 x 2 x 3");
    CHECK(colour.pixels == std::vector<float>{0, 0, 0, 0.5f, 0.5f, 0.5f});
    const Image red(1, 1, 3, 0.25f);
    CHECK(in_colour(red).pixels == red.pixels);
    CHECK_THROWS_WITH(in_colour(Image(1, 1, 2)),
                      "in_colour: an image of 2 channels, it must have 1 (grey) or 3 (red, green, blue)");
}

TEST_CASE("resize_bicubic_antialiased: halving averages eight pixels, by hand") {
    // 8 -> 4: new pixel 1 lies at 3.0 between old pixels 2 and 3 (centres 2.5, 3.5); the kernel is stretched by 2.
    // distances / 2 of old pixels 0 ... 6: 1.25 0.75 0.25 0.25 0.75 1.25 1.75; k(0.25) = 0.8671875, k(0.75) = 0.2265625,
    // k(1.25) = -0.0703125, k(1.75) = -0.0234375 (also at old pixel -1, which does not exist). A single bright old pixel 2:
    // 0.8671875 / (2 * (0.8671875 + 0.2265625 - 0.0703125) - 0.0234375) = 0.8671875 / 2.0234375 = 0.42857
    const Image halved = resize_bicubic_antialiased(row_of_pixels({0, 0, 1, 0, 0, 0, 0, 0}), 1, 4);
    CHECK(halved(0, 1, 0) == Approx(0.428571).epsilon(1e-4));
    CHECK(halved(0, 3, 0) == 0);  // old pixel 2 is beyond its reach, or would be negative: cut off at 0
}

TEST_CASE("resize_bicubic_antialiased: a = -0.5, and values are clamped to 0 ... 1") {
    // 2 -> 4: new pixel 0 lies at 0.25, old centres 0.5 and 1.5: k(0.25) = 0.8671875, k(1.25) = -0.0703125, sum 0.796875
    const Image doubled = resize_bicubic_antialiased(row_of_pixels({0.5f, 0}), 1, 4);
    CHECK(doubled(0, 0, 0) == Approx(0.5 * 0.8671875 / 0.796875).epsilon(1e-5));
    CHECK(resize_bicubic_antialiased(row_of_pixels({1, 0}), 1, 4)(0, 0, 0) == 1);  // 1.088 without the cut
    CHECK(resize_bicubic_antialiased(row_of_pixels({1, 0}), 1, 4)(0, 3, 0) == 0);
    // The columns are cut off before the rows are resized: the upper left pixel gives 1.088 by its row, and is read as 1.
    Image corner(2, 2, 1);
    corner(0, 0, 0) = 1;
    CHECK(resize_bicubic_antialiased(corner, 4, 4)(1, 0, 0) == resize_bicubic_antialiased(row_of_pixels({1, 0}), 1, 4)(0, 1, 0));
}

TEST_CASE("resize_bicubic_antialiased: a constant image stays constant, the same size changes nothing") {
    const Image grey = resize_bicubic_antialiased(Image(7, 5, 3, 0.3f), 3, 11);
    for (const float x : grey.pixels) CHECK(x == Approx(0.3));
    const Image same = resize_bicubic_antialiased(row_of_pixels({0.1f, 0.9f, 0.4f}), 1, 3);
    CHECK(same.pixels == std::vector<float>{0.1f, 0.9f, 0.4f});
    CHECK_THROWS_WITH(resize_bicubic_antialiased(Image(2, 2, 1), 0, 3),
                      "resize_bicubic_antialiased: from 2 x 2 to 0 x 3, all must be at least 1");
}

TEST_CASE("resize_shorter_side: the shorter side is exact, the longer one rounded down") {
    CHECK(shape(resize_shorter_side(Image(10, 17, 1), 4)) == "4 x 6 x 1");  // 4 * 17 / 10 = 6.8
    CHECK(shape(resize_shorter_side(Image(17, 10, 1), 4)) == "6 x 4 x 1");
    CHECK_THROWS_WITH(resize_shorter_side(Image(2, 2, 1), 0),
                      "resize_shorter_side: from 2 x 2 to a shorter side of 0, all must be at least 1");
}

TEST_CASE("centre_crop: half a pixel is rounded to the even number") {
    Image image(6, 4, 1);
    for (int y = 0; y < 6; ++y)
        for (int x = 0; x < 4; ++x) image(y, x, 0) = static_cast<float>(10 * y + x);
    CHECK(centre_crop(image, 3, 2)(0, 0, 0) == 21);  // 1.5 rows become 2, 1 column
    CHECK(centre_crop(image, 5, 3)(0, 0, 0) == 0);   // 0.5 becomes 0
    CHECK(centre_crop(image, 6, 4).pixels == image.pixels);
    CHECK_THROWS_WITH(centre_crop(image, 7, 2), "centre_crop: 7 x 2 of an image of 6 x 4");
}

TEST_CASE("resize_bicubic_antialiased, resize_shorter_side, centre_crop: each invalid size is refused by itself") {
    const Image pixel(1, 1, 1);
    CHECK(shape(resize_bicubic_antialiased(pixel, 1, 1)) == "1 x 1 x 1");
    CHECK(shape(resize_shorter_side(pixel, 1)) == "1 x 1 x 1");
    CHECK(shape(centre_crop(pixel, 1, 1)) == "1 x 1 x 1");
    const auto resize = [](const Image& image, int height, int width) {
        return error_of([&] { resize_bicubic_antialiased(image, height, width); });
    };
    CHECK(resize(pixel, 1, 0) == "resize_bicubic_antialiased: from 1 x 1 to 1 x 0, all must be at least 1");
    CHECK(resize(Image(0, 1, 1), 1, 1) == "resize_bicubic_antialiased: from 0 x 1 to 1 x 1, all must be at least 1");
    CHECK(resize(Image(1, 0, 1), 1, 1) == "resize_bicubic_antialiased: from 1 x 0 to 1 x 1, all must be at least 1");
    CHECK_THROWS_WITH(resize_shorter_side(Image(0, 1, 1), 1),
                      "resize_shorter_side: from 0 x 1 to a shorter side of 1, all must be at least 1");
    const auto crop = [&](int height, int width) { return error_of([&] { centre_crop(pixel, height, width); }); };
    CHECK(crop(0, 1) == "centre_crop: 0 x 1 of an image of 1 x 1");
    CHECK(crop(1, 0) == "centre_crop: 1 x 0 of an image of 1 x 1");
    CHECK(crop(1, 2) == "centre_crop: 1 x 2 of an image of 1 x 1");
}

TEST_CASE("resize_bicubic_antialiased: rows are resized as columns are") {
    Image upright(2, 1, 1);
    upright(0, 0, 0) = 1;
    const Image doubled = resize_bicubic_antialiased(upright, 4, 1),
                level = resize_bicubic_antialiased(row_of_pixels({1, 0}), 1, 4);
    CHECK(doubled.pixels == level.pixels);
    CHECK(doubled(0, 0, 0) == 1);  // 1.088 without the cut
    CHECK(doubled(3, 0, 0) == 0);
}

TEST_CASE("centre_crop: an image that lacks pixels is refused") {
    Image cut(4, 4, 1);
    cut.pixels.resize(3);
    CHECK_THROWS_WITH(centre_crop(cut, 2, 2),
                      "centre_crop: an image of 4 x 4 x 1 holds 3 numbers, it must hold one for each pixel and channel");
}

TEST_SUITE_END();
