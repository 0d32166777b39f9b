#include "nn/data/show_image.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("show_image");

TEST_CASE("channel: one channel as rows and columns of pixels") {
    Image image(2, 3, 2);
    image(1, 2, 1) = 5;
    image(0, 1, 0) = 7;
    CHECK(identical(channel(image, 0), Matrix{{0, 7, 0}, {0, 0, 0}}));
    CHECK(identical(channel(image, 1), Matrix{{0, 0, 0}, {0, 0, 5}}));
    CHECK_THROWS_WITH(channel(image, 2), "channel: number 2 of an image with 2 channels, they are counted from 0");
    CHECK_THROWS_WITH(channel(image, -1), "channel: number -1 of an image with 2 channels, they are counted from 0");
}

TEST_CASE("image_text: without colour, two characters per pixel, from black 0 to white 1") {
    Image image(2, 3, 1);
    image(0, 1, 0) = 1;
    image(1, 2, 0) = 0.5f;  // 4.5 of 9, rounded away from 0
    CHECK(image_text(image, false) == "2 x 3 x 1\n  @@  \n    ++\n");
    CHECK(image_text(Image(), false) == "0 x 0 x 0\n");
}

TEST_CASE("image_text: red, green and blue are weighted 0.299, 0.587, 0.114") {
    Image image(1, 3, 3);
    image(0, 0, 0) = image(0, 1, 1) = image(0, 2, 2) = 1;  // 2.691, 5.283, 1.026 of 9
    CHECK(image_text(image, false) == "1 x 3 x 3\n--++..\n");
}

TEST_CASE("image_text: in colour, two rows of pixels share a line; greys from the ramp, colours from the cube") {
    Image image(3, 1, 3);
    image(0, 0, 0) = 1;                                    // red: 16 + 36 * 5 = 196
    image(1, 0, 0) = image(1, 0, 1) = image(1, 0, 2) = 1;  // white: 255
    image(2, 0, 1) = 0.4f, image(2, 0, 2) = 1;             // 16 + 6 * 2 + 5 = 33
    CHECK(image_text(image, true) ==
          "3 x 1 x 3\n"
          "\x1b[38;5;196m\x1b[48;5;255m\u2580\x1b[0m\n"
          "\x1b[38;5;33m\u2580\x1b[0m\n");
}

TEST_CASE("image_text: an image in another range is rescaled from its smallest to its largest number") {
    Image image(1, 2, 1);
    image(0, 0, 0) = -2;
    image(0, 1, 0) = 2;
    CHECK(image_text(image, false) == "1 x 2 x 1  stretched from -2.000000 ... 2.000000\n  @@\n");
    image(0, 1, 0) = -2;  // no range at all
    CHECK(image_text(image, false) == "1 x 2 x 1  stretched from -2.000000 ... -2.000000\n    \n");
}

TEST_CASE("image_text: an image of more than 96 rows, or with a row of more than 80 characters, is subsampled") {
    const std::string drawn = image_text(Image(100, 80, 1), false), head = "100 x 80 x 1  one pixel of 2 x 2\n";
    CHECK(drawn.starts_with(head));
    CHECK(drawn.size() == head.size() + 50 * 81);
    CHECK(image_text(Image(97, 1, 1), false).find("one pixel of 2 x 2") != std::string::npos);
    CHECK(image_text(Image(96, 40, 1), false).find("one pixel") == std::string::npos);
    CHECK(image_text(Image(96, 41, 1), false).find("one pixel of 2 x 2") != std::string::npos);
    CHECK(image_text(Image(96, 80, 1), true).find("one pixel") == std::string::npos);
    CHECK(image_text(Image(96, 81, 1), true).find("one pixel of 2 x 2") != std::string::npos);
    const std::string tall = image_text(Image(192, 1, 1), false), taller = image_text(Image(193, 1, 1), false);
    CHECK(tall.starts_with("192 x 1 x 1  one pixel of 2 x 2\n"));
    CHECK(taller.starts_with("193 x 1 x 1  one pixel of 3 x 3\n"));
}

TEST_CASE("channel, which show and stats print: an image whose numbers were moved away is refused") {
    Image given(2, 3, 1);
    const Image taken = std::move(given);
    const std::string rule = "channel: an image of 2 x 3 x 1 holds 0 numbers, it must hold one for each pixel and channel";
    CHECK(error_of([&] { channel(given, 0); }) == rule);
    CHECK(channel(taken, 0).size() == 6);
}

TEST_SUITE_END();
