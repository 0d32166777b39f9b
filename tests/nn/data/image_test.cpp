#include "nn/data/image.h"

#include <cmath>

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("image");

static std::string refusal(const std::string& bytes) {
    return error_of([&] { parse_image(bytes, "x"); });
}

static void check_pixels(const Image& image, const std::vector<float>& expected) {
    REQUIRE(image.pixels.size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) CHECK_MESSAGE(image.pixels[k] == Approx(expected[k]).epsilon(1e-5), k);
}

TEST_CASE("Image: channels are fastest, then columns, then rows") {
    Image image(2, 3, 2, 1.f);
    image(1, 2, 1) = 5;
    CHECK(image.pixels[(1 * 3 + 2) * 2 + 1] == 5);
    CHECK(shape(image) == "2 x 3 x 2");
    CHECK_THROWS_WITH(Image(-1, 2, 1), "Image: -1 x 2 x 1 is impossible, none may be negative");
    CHECK_THROWS_WITH(Image(1, -2, 1), "Image: 1 x -2 x 1 is impossible, none may be negative");
    CHECK_THROWS_WITH(Image(1, 2, -1), "Image: 1 x 2 x -1 is impossible, none may be negative");
    CHECK(Image(0, 0, 0).pixels.empty());
    CHECK_THROWS_WITH(image(2, 0, 0) = 1, "Image: pixel (2, 0, 0) of a 2 x 3 x 2 image");
}

TEST_CASE("parse_image: the same image in all four formats, with comments") {
    const std::vector<float> grey = {0.f, 0.2f, 1.f, 0.4f};  // of 255: 0, 51, 255, 102
    const Image p2 = parse_image("P2 # a comment\n# another\n2 2\n255\n0 51\n255 102\n", "x");
    CHECK(shape(p2) == "2 x 2 x 1");
    check_pixels(p2, grey);
    check_pixels(parse_image("P2 2 2 255 0 51 255 102 # the file ends here", "x"), grey);
    check_pixels(parse_image(std::string("P5\n2 2\n255\n\0\x33\xFF\x66", 15), "x"), grey);
    check_pixels(parse_image(std::string("P5#c\n2#c\n 2 255\n\0\x33\xFF\x66", 20), "x"), grey);
    const Image p3 = parse_image("P3 1 2 10  0 5 10  1 2 3", "x");
    CHECK(shape(p3) == "2 x 1 x 3");
    check_pixels(p3, {0, 0.5f, 1, 0.1f, 0.2f, 0.3f});
    check_pixels(parse_image(std::string("P6 1 1 255\n\xFF\0\x33", 14), "x"), {1, 0, 0.2f});
    check_pixels(parse_image("P2\t1\r1\v255\f51", "x"), {0.2f});  // each kind of space
    check_pixels(parse_image("P5 1 1 255\r\x33", "x"), {0.2f});
    CHECK(refusal("P5 1 1 255#\x33") == "x: byte 10: one space must stand in front of the samples");
    CHECK(refusal("P2 1 1 255\b51") == "x: byte 7: the largest value must be a number");
    CHECK(refusal("P2 1 1 255\x0E"
                  "51") == "x: byte 7: the largest value must be a number");
}

TEST_CASE("parse_image: 16 bits per sample, big-endian") {
    check_pixels(parse_image(std::string("P5 2 1 65535\n\x80\0\0\x01", 17), "x"), {32768.f / 65535, 1.f / 65535});
    check_pixels(parse_image(std::string("P5 1 1 256\n\x01\0", 13), "x"), {1});
    check_pixels(parse_image("P2 1 1 65535 65535", "x"), {1});
}

TEST_CASE("parse_image: an invalid file is refused in one line") {
    CHECK(refusal("") == "x: is not a PNG, PPM or PGM file, it must begin as PNG files do or with P2, P3, P5 or P6; it is empty");
    CHECK(refusal("P4 1 1 ") ==
          "x: is not a PNG, PPM or PGM file, it must begin as PNG files do or with P2, P3, P5 or P6; it looks like a PBM or PAM "
          "image; "
          "convert it: magick FILE FILE.ppm");
    CHECK(refusal("\x89PNG") == "x: is not a PNG, PPM or PGM file, it must begin as PNG files do or with P2, P3, P5 or P6");
    CHECK(refusal("P5") == "x: ends where the width should be");
    CHECK(refusal("P5 # no end") == "x: ends where the width should be");
    CHECK(refusal("P51 1 1 a") == "x: byte 2: the width must be a number");
    CHECK(refusal("P5 a 1 1 a") == "x: byte 3: the width must be a number");
    CHECK(refusal("P5 -1 1 1 a") == "x: byte 3: the width must be a number");
    CHECK(refusal("P5 1a 1 1 a") == "x: byte 3: the width must be a number");
    CHECK(refusal("P5 0 1 1 a") == "x: byte 3: the width is 0, it must be from 1 to 1000000");
    CHECK(refusal("P5 1 1000001 1 a") == "x: byte 5: the height is 1000001, it must be from 1 to 1000000");
    CHECK(refusal("P5 1 99999999999999999999999999999 1 a").substr(0, 28) == "x: byte 5: the height is 109");
    CHECK(refusal("P5 1 1 0 a") == "x: byte 7: the largest value is 0, it must be from 1 to 65535");
    CHECK(refusal("P5 1 1 65536 a") == "x: byte 7: the largest value is 65536, it must be from 1 to 65535");
    CHECK(refusal("P5 1 1 255") == "x: byte 10: one space must stand in front of the samples");
    CHECK(refusal("P5 2 1 255 a") ==
          "x: 1 x 2 x 1 needs 2 bytes of samples, the file holds 1; perhaps a download that broke off");
    CHECK(
        refusal("P5 1 1 255 ab") ==
        "x: 1 x 1 x 1 needs 1 bytes of samples, the file holds 2; cut off what follows them, or convert it: magick FILE FILE.ppm");
    CHECK(refusal("P6 1000000 1000000 65535 ab") ==
          "x: 1000000 x 1000000 x 3 needs 6000000000000 bytes of samples, the file holds 2; perhaps a download that broke off");
    CHECK(refusal("P5 1 1 7 \x08") == "x: byte 9: a sample is 8, the largest value 7");
    CHECK(refusal("P3 1000000 1000000 255 1 2 3") ==
          "x: 1000000 x 1000000 x 3 needs 3000000000000 numbers, the file ends before");
    CHECK(refusal("P2 3 1 255 1") == "x: 1 x 3 x 1 needs 3 numbers, the file ends before");
    CHECK(refusal("P2 2 1 255 1   ") == "x: ends where a sample should be");
    CHECK(refusal("P2 1 1 255 1 2") == "x: byte 13: something follows the last sample");
    CHECK(refusal("P2 1 1 7 8") == "x: byte 9: a sample is 8, it must be from 0 to 7");
    CHECK(refusal("P2 1 1 7 -1") == "x: byte 9: a sample must be a number");
}

TEST_CASE("parse_image: a truncated file is refused, wherever it is cut") {
    const std::string raw("P6 # c\n2 1 65535\nabcdefghijkl", 29), plain = "P3 # c\n2 1 9\n1 2 3 4 5 6";
    CHECK(refusal(raw) == "");
    CHECK(refusal(plain) == "");
    for (std::size_t length = 0; length < raw.size(); ++length) CHECK_MESSAGE(refusal(raw.substr(0, length)) != "", length);
    for (std::size_t length = 0; length < plain.size(); ++length) CHECK_MESSAGE(refusal(plain.substr(0, length)) != "", length);
}

TEST_CASE("write_image: can be read back; values are clamped to 0 ... 1, NaN is black") {
    const TemporaryFolder folder;
    Image image(1, 2, 3);
    image.pixels = {0, 0.2f, 1, -1, 2, NAN};
    write_image(folder.path("a.ppm"), image);
    CHECK(read_file(folder.path("a.ppm")) == std::string("P6\n2 1\n255\n\0\x33\xFF\0\xFF\0", 17));
    check_pixels(read_image(folder.path("a.ppm")), {0, 0.2f, 1, 0, 1, 0});
    Image grey(2, 1, 1);
    grey.pixels = {0.4f, 0.6f};
    write_image(folder.path("a.pgm"), grey);
    check_pixels(read_image(folder.path("a.pgm")), {0.4f, 0.6f});
    CHECK_THROWS_WITH(write_image("f.jpg", grey),
                      "write_image: f.jpg: a file .jpg cannot be written here; name it .ppm or .png, or .pgm for grey");
    CHECK_THROWS_WITH(write_image("f", Image(2, 2, 2)),
                      "write_image: f: a 2 x 2 x 2 image, it must have pixels and 1 or 3 channels");
    CHECK_THROWS_WITH(write_image("f", Image(0, 2, 1)),
                      "write_image: f: a 0 x 2 x 1 image, it must have pixels and 1 or 3 channels");
}

TEST_CASE("image_from_channels_first, channels_first: (C, H, W) and back") {
    const std::vector<float> numbers = {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60};
    const Image image = image_from_channels_first(numbers.data(), 2, 2, 3);
    CHECK(shape(image) == "2 x 3 x 2");
    CHECK(image(1, 0, 0) == 4);
    CHECK(image(0, 2, 1) == 30);
    CHECK(channels_first(image) == numbers);
}

// 4 x 5 pixels ((7x + 3y + xy) mod 11) / 10
static Image uneven() {
    Image image(4, 5, 1);
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 5; ++x) image(y, x, 0) = static_cast<float>((7 * x + 3 * y + x * y) % 11) / 10;
    return image;
}

TEST_CASE("resize_bilinear: from two pixels to four, and to one, by hand") {
    Image two(1, 2, 1);
    two.pixels = {0, 8};
    // centres of the new pixels in old ones: (i + 1/2) / 2 - 1/2 = -0.25, 0.25, 0.75, 1.25; the outer ones are held at the edge
    check_pixels(resize_bilinear(two, 1, 4), {0, 2, 6, 8});
    check_pixels(resize_bilinear(two, 1, 1), {4});
    check_pixels(resize_bilinear(two, 2, 2), {0, 8, 0, 8});
    Image four(1, 4, 1);
    four.pixels = {0, 1, 2, 30};
    check_pixels(resize_bilinear(four, 1, 1), {1.5f});  // the middle of pixels 1 and 2; the others do not count
    Image column(4, 1, 1);
    column.pixels = {0, 1, 2, 30};
    check_pixels(resize_bilinear(column, 2, 1), {0.5f, 16});
}

TEST_CASE("resize_bilinear_antialiased: four pixels to one and to two, by hand") {
    Image four(1, 4, 1);
    four.pixels = {1, 2, 3, 40};
    // to 1: triangle of reach 4 around 2, heights at 0.5, 1.5, 2.5, 3.5: 5/8, 7/8, 7/8, 5/8, sum 3
    check_pixels(resize_bilinear_antialiased(four, 1, 1), {(5 * 1 + 7 * 2 + 7 * 3 + 5 * 40) / 24.f});
    // to 2: reach 2 around 1: heights 3/4, 3/4, 1/4 of pixels 0, 1, 2, sum 7/4; around 3: 1/4, 3/4, 3/4
    check_pixels(resize_bilinear_antialiased(four, 1, 2), {(3 * 1 + 3 * 2 + 3) / 7.f, (2 + 3 * 3 + 3 * 40) / 7.f});
}

TEST_CASE("resize_bilinear_antialiased: equals Pillow 9.4 for an image of floats") {
    check_pixels(resize_bilinear_antialiased(uneven(), 2, 2), {0.357143f, 0.542857f, 0.557143f, 0.471429f});
    check_pixels(resize_bilinear_antialiased(uneven(), 3, 3),
                 {0.261429f, 0.547778f, 0.638571f, 0.342857f, 0.377778f, 0.421429f, 0.754286f, 0.55f, 0.534286f});
    check_pixels(resize_bilinear_antialiased(uneven(), 1, 1), {0.480702f});
    check_pixels(resize_bilinear_antialiased(uneven(), 2, 5),
                 {0.214286f, 0.357143f, 0.5f, 0.642857f, 0.471429f, 0.685714f, 0.514286f, 0.5f, 0.328571f, 0.628571f});
    check_pixels(
        resize_bilinear_antialiased(uneven(), 6, 7),
        {0.f,       0.4f,     0.585714f, 0.3f,      0.8f,      0.828571f, 0.6f,      0.15f,     0.264286f, 0.407143f, 0.55f,
         0.692857f, 0.6f,     0.4f,      0.35f,     0.188095f, 0.247619f, 0.7f,      0.497619f, 0.37381f,  0.316667f, 0.55f,
         0.42619f,  0.32381f, 0.3f,      0.145238f, 0.383333f, 0.783333f, 0.75f,     0.664286f, 0.557143f, 0.45f,     0.342857f,
         0.471429f, 0.7f,     0.9f,      0.842857f, 0.771429f, 0.7f,      0.628571f, 0.557143f, 0.5f});
}

TEST_CASE("resize_bilinear: equals the antialiased one when enlarging; the same size and a constant image do not change") {
    const Image enlarged = resize_bilinear(uneven(), 9, 7);
    check_pixels(resize_bilinear_antialiased(uneven(), 9, 7), enlarged.pixels);
    check_pixels(resize_bilinear(uneven(), 4, 5), uneven().pixels);
    check_pixels(resize_bilinear_antialiased(uneven(), 4, 5), uneven().pixels);
    for (const float x : resize_bilinear_antialiased(Image(13, 7, 3, 0.3f), 5, 4).pixels) CHECK(x == Approx(0.3f));
    for (const float x : resize_bilinear(Image(13, 7, 3, 0.3f), 5, 4).pixels) CHECK(x == Approx(0.3f));
    CHECK_THROWS_WITH(resize_bilinear(Image(2, 2, 1), 0, 2),
                      "resize_bilinear: a 2 x 2 x 1 image to 0 x 2, every side must be at least 1");
    CHECK_THROWS_WITH(resize_bilinear_antialiased(Image(0, 2, 1), 2, 2),
                      "resize_bilinear_antialiased: a 0 x 2 x 1 image to 2 x 2, every side must be at least 1");
}

TEST_CASE("resize_bilinear: channels are independent") {
    Image image(1, 2, 2);
    image.pixels = {0, 10, 4, 30};
    check_pixels(resize_bilinear(image, 1, 1), {2, 20});
    check_pixels(resize_bilinear_antialiased(image, 1, 1), {2, 20});
}

TEST_CASE("normalise: uses mean and standard deviation of each channel") {
    Image image(1, 2, 2);
    image.pixels = {1, 2, 3, 4};
    check_pixels(normalise(image, {1, 0}, {2, 4}), {0, 0.5f, 1, 1});
    CHECK_THROWS_WITH(
        normalise(image, {1}, {2, 4}),
        "normalise: 1 means and 2 standard deviations for a 1 x 2 x 2 image, one of each for every channel is needed");
    CHECK_THROWS_WITH(
        normalise(image, {1, 0}, {2}),
        "normalise: 2 means and 1 standard deviations for a 1 x 2 x 2 image, one of each for every channel is needed");
}

TEST_CASE("shifted: moves down and right, and back") {
    Image image(2, 3, 1);
    image.pixels = {1, 2, 3, 4, 5, 6};
    CHECK(shifted(image, 1, 0).pixels == std::vector<float>{0, 0, 0, 1, 2, 3});
    CHECK(shifted(image, 0, 1, 9).pixels == std::vector<float>{9, 1, 2, 9, 4, 5});
    CHECK(shifted(image, -1, -2).pixels == std::vector<float>{6, 0, 0, 0, 0, 0});
    CHECK(shifted(image, 0, 0).pixels == image.pixels);
    CHECK(shifted(image, 2147483647, -2147483647).pixels == std::vector<float>(6, 0.f));
}

TEST_CASE("warped: interpolates the four pixels around the source position") {
    Image image(2, 2, 1);
    image.pixels = {4, 8, 12, 16};
    CHECK(warped(image, {}).pixels == image.pixels);
    // a quarter of a pixel to the right: three parts of the pixel itself and one of its left neighbour, 0 outside
    CHECK(warped(image, {.right = 0.25f}).pixels == std::vector<float>{3, 7, 9, 15});
    // half a pixel up: the mean of the pixel and the one below it, 2 outside
    CHECK(warped(image, {.down = -0.5f}, 2).pixels == std::vector<float>{8, 12, 7, 9});
    // half down and half right: the mean of four, the last one of 4, 8, 12, 16
    CHECK(warped(image, {.down = 0.5f, .right = 0.5f}).pixels == std::vector<float>{1, 3, 4, 10});
    CHECK(warped(image, {.down = 1, .right = -1}, 9).pixels == shifted(image, 1, -1, 9).pixels);
    CHECK(warped(image, {.down = -1e20f, .right = 1e20f}, 7).pixels == std::vector<float>(4, 7.f));
}

TEST_CASE("warped: rotates, mirrors and shears about the centre") {
    Image image(3, 3, 1);
    image.pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    // read at (x, -y): a quarter turn, the left column becomes the lower row
    CHECK(warped(image, {.yy = 0, .yx = 1, .xy = -1, .xx = 0}).pixels == std::vector<float>{3, 6, 9, 2, 5, 8, 1, 4, 7});
    CHECK(warped(image, {.xx = -1}).pixels == std::vector<float>{3, 2, 1, 6, 5, 4, 9, 8, 7});
    // read at x + y: the upper row comes from one pixel further left, the lower row from one further right
    CHECK(warped(image, {.xy = 1}).pixels == std::vector<float>{0, 1, 2, 4, 5, 6, 8, 9, 0});
    // twice as far from the centre: the image shrinks to a point and its neighbours outside
    CHECK(warped(image, {.yy = 2, .xx = 2}, -1).pixels == std::vector<float>{-1, -1, -1, -1, 5, -1, -1, -1, -1});
}

TEST_CASE("warped: treats all channels alike") {
    Image image(1, 2, 2);
    image.pixels = {1, 10, 3, 30};
    CHECK(warped(image, {.right = 0.5f}).pixels == std::vector<float>{0.5f, 5, 2, 20});
}

TEST_CASE("read_image: reads the first of several images in a P5 or P6 file") {
    const Image first = parse_image("P5 2 1 255\n" + std::string("\x00\xFF", 2) + "P5 1 1 255\nx", "x");
    CHECK(first.width == 2);
    CHECK(first.pixels == std::vector<float>{0, 1});
    CHECK(parse_image("P6 1 1 255\nabcP6\n1 1 255\nabc", "x").channels == 3);
    // what follows must be an image of the same kind: anything else is a file whose header is wrong
    const auto refusal = [](const std::string& bytes) { return error_of([&] { parse_image(bytes, "x"); }); };
    CHECK(
        refusal("P5 2 1 255\r\nab") ==
        "x: 1 x 2 x 1 needs 2 bytes of samples, the file holds 3; its header ends in \\r\\n, one byte may stand in front of the "
        "samples");
    CHECK(
        refusal("P5 1 1 255\nab") ==
        "x: 1 x 1 x 1 needs 1 bytes of samples, the file holds 2; cut off what follows them, or convert it: magick FILE FILE.ppm");
    CHECK(
        refusal("P5 1 1 255\naP6 1 1 255\nabc") ==
        "x: 1 x 1 x 1 needs 1 bytes of samples, the file holds 15; cut off what follows them, or convert it: magick FILE FILE.ppm");
    CHECK(
        refusal("P5 1 1 255\naP5") ==
        "x: 1 x 1 x 1 needs 1 bytes of samples, the file holds 3; cut off what follows them, or convert it: magick FILE FILE.ppm");
    CHECK(
        refusal("P5 1 1 255\naP5x") ==
        "x: 1 x 1 x 1 needs 1 bytes of samples, the file holds 4; cut off what follows them, or convert it: magick FILE FILE.ppm");
    CHECK(refusal("P2 1 1 255\n7\nP2 1 1 255\n7\n") == "x: byte 13: something follows the last sample");
}

TEST_CASE("read_image: the error names a JPEG as such; a PNG that is cut off is still read as a PNG") {
    const auto refusal = [](const std::string& bytes) { return error_of([&] { parse_image(bytes, "x"); }); };
    const std::string none = "x: is not a PNG, PPM or PGM file, it must begin as PNG files do or with P2, P3, P5 or P6";
    CHECK(refusal("\x89PNG\r\n\x1A\n and so on").starts_with("x: ends at byte 18, where a chunk should follow"));
    CHECK(refusal("\xFF\xD8\xFF\xE0") == none + "; it looks like a JPEG image; convert it to PPM: magick FILE FILE.ppm");
    CHECK(refusal("no image") == none);
}

TEST_CASE("write_image: a name that ends in .png gives a PNG, which reads back as the same bytes") {
    const TemporaryFolder folder;
    Image image(2, 3, 3);
    for (std::size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = static_cast<float>(k) / 17;
    write_image(folder.path("x.png"), image);
    write_image(folder.path("x.ppm"), image);
    CHECK(read_file(folder.path("x.png")) == png_of(image));
    CHECK(read_image(folder.path("x.png")).pixels == read_image(folder.path("x.ppm")).pixels);
    CHECK(read_images(folder.path("x.png")).size() == 1);
    CHECK(parse_image(png_of(Image(1, 2, 1, 1)), "x").pixels == std::vector<float>{1, 1});
    CHECK_THROWS_WITH(png_of(Image(1, 1, 2)), "png_of: a 1 x 1 x 2 image, it must have pixels and 1 or 3 channels");
}

TEST_CASE("parse_images: two images in a row, of different sizes; a P2 or P3 file holds one") {
    const std::string first = std::string("P5 2 1 255\n") + '\0' + '\xff', second = "P5 1 1 255\n\x33";
    const std::vector<Image> images = parse_images(first + second, "clip");
    REQUIRE(images.size() == 2);
    CHECK(images[0].pixels == std::vector<float>{0, 1});
    CHECK(images[1].pixels == std::vector<float>{0.2f});
    CHECK(parse_images("P2 1 1 4 2", "plain").size() == 1);
    CHECK(error_of([&] { parse_images(first + "P5 1 2 255\n\x33", "clip"); }) ==
          "clip: 2 x 1 x 1 needs 2 bytes of samples, the file holds 1; perhaps a download that broke off");
    CHECK(error_of([&] { parse_images("", "clip"); }) == error_of([&] { parse_image("", "clip"); }));
}

TEST_CASE("normalise: a standard deviation that is not positive is refused") {
    CHECK_THROWS_WITH(normalise(Image(1, 1, 2), {0, 0}, {1, 0}),
                      "normalise: a standard deviation of 0.000000, it must be finite and above 0; 1 leaves a channel as it is");
    CHECK_THROWS_WITH(normalise(Image(1, 1, 1), {0}, {INFINITY}),
                      doctest::Contains("a standard deviation of inf, it must be finite"));
    CHECK_THROWS_WITH(normalise(Image(1, 1, 1), {NAN}, {1}),
                      "normalise: a mean of nan, it must be finite; 0 leaves a channel as it is");
    Image cut(2, 2, 1);
    cut.pixels.resize(3);
    const std::string rule = ": an image of 2 x 2 x 1 holds 3 numbers, it must hold one for each pixel and channel";
    CHECK(error_of([&] { normalise(cut, {0}, {1}); }) == "normalise" + rule);
    CHECK(error_of([&] { shifted(cut, 1, 0); }) == "shifted" + rule);
    CHECK(error_of([&] { warped(cut, {}); }) == "warped" + rule);
    CHECK(error_of([&] { channels_first(cut); }) == "channels_first" + rule);
}

TEST_CASE("Image, write_image, resize_bilinear, warped: sizes without memory, missing numbers and NaN are refused") {
    CHECK_THROWS_WITH(Image(2147483645, 2147483646, 2147483647),
                      "Image: 2147483645 x 2147483646 x 2147483647 are 9.90352e+27 numbers, at most 1e12 can be held");
    Image cut(2, 2, 1);
    cut.pixels.pop_back();
    const std::string rule = ": an image of 2 x 2 x 1 holds 3 numbers, it must hold one for each pixel and channel";
    CHECK(error_of([&] { write_image("build/never.ppm", cut); }) == "write_image: build/never.ppm" + rule);
    CHECK(error_of([&] { resize_bilinear(cut, 4, 4); }) == "resize_bilinear" + rule);
    CHECK_THROWS_WITH(warped(Image(2, 2, 1), {.xx = NAN}),
                      "warped: a number of the transformation is nan, all six must be finite");
}

TEST_CASE("resize_bilinear: a side of 0 before or after, and more numbers than can be held, are refused") {
    const auto refusal = [](int height, int width, int new_height, int new_width) {
        return error_of([&] { resize_bilinear(Image(height, width, 1), new_height, new_width); });
    };
    const std::string rule = ", every side must be at least 1";
    CHECK(refusal(1, 1, 1, 1).empty());
    CHECK(refusal(0, 1, 1, 1) == "resize_bilinear: a 0 x 1 x 1 image to 1 x 1" + rule);
    CHECK(refusal(1, 0, 1, 1) == "resize_bilinear: a 1 x 0 x 1 image to 1 x 1" + rule);
    CHECK(refusal(1, 1, 0, 1) == "resize_bilinear: a 1 x 1 x 1 image to 0 x 1" + rule);
    CHECK(refusal(1, 1, 1, 0) == "resize_bilinear: a 1 x 1 x 1 image to 1 x 0" + rule);
    CHECK(refusal(1, 1, 1000000, 2000000) ==
          "resize_bilinear: 1000000 x 2000000 x 1 numbers are more than the 1e12 that can be held");
}

TEST_CASE("write_image: each size of an image is checked by itself, a single pixel can be written") {
    const TemporaryFolder folder;
    const auto refusal = [&](int height, int width, int channels) {
        return error_of([&] { write_image(folder.path("f.ppm"), Image(height, width, channels)); });
    };
    const std::string place = "write_image: " + folder.path("f.ppm") + ": a ";
    const std::string rule = " image, it must have pixels and 1 or 3 channels";
    CHECK(refusal(1, 1, 1).empty());
    CHECK(refusal(1, 1, 3).empty());
    CHECK(refusal(0, 1, 1) == place + "0 x 1 x 1" + rule);
    CHECK(refusal(1, 0, 1) == place + "1 x 0 x 1" + rule);
    for (const int channels : {0, 2, 4}) CHECK(refusal(1, 1, channels) == place + "1 x 1 x " + std::to_string(channels) + rule);
}

TEST_CASE("Warp: the defaults") {
    const Warp usual{};
    CHECK(usual.down == 0);
    CHECK(usual.right == 0);
    CHECK(usual.yy == 1);
    CHECK(usual.yx == 0);
    CHECK(usual.xy == 0);
    CHECK(usual.xx == 1);
}

TEST_CASE("image_from_channels_first: no numbers are refused, unless there is no pixel") {
    CHECK(error_of([] { image_from_channels_first(nullptr, 1, 2, 3); }) ==
          "image_from_channels_first: no numbers for an image of 2 x 3 x 1; it needs one for each pixel and channel");
    CHECK(image_from_channels_first(nullptr, 1, 0, 3).pixels.empty());
}
