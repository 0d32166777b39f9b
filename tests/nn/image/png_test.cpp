#include "nn/image/png.h"

#include <stdexcept>
#include <vector>

#include "nn/image/inflate.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("png");

static std::string bytes(std::string_view hexadecimal) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (std::size_t k = 0; k + 1 < hexadecimal.size(); k += 2)
        result += static_cast<char>(16 * digits.find(hexadecimal[k]) + digits.find(hexadecimal[k + 1]));
    return result;
}

static std::string refusal(const std::string& file) {
    return error_of([&] { parse_png(file, "x"); });
}

static void check_samples(const Pixels& pixels, int height, int width, int channels, const std::vector<int>& expected) {
    CHECK(pixels.height == height);
    CHECK(pixels.width == width);
    CHECK(pixels.channels == channels);
    std::vector<int> samples;
    for (const char sample : pixels.samples) samples.push_back(static_cast<unsigned char>(sample));
    CHECK(samples == expected);
}

// Files whose rows zlib 1.2.13 compressed.
static const std::string grey = bytes(
    "89504e470d0a1a0a0000000d49484452000000020000000208000000005"
    "7dd52f80000000e4944415478da63603066fa6f0c0003090168aeb2309b0000000049454e44ae426082");

TEST_CASE("crc32: the check value of \"123456789\"") { CHECK(crc32("123456789") == 0xCBF43926); }

TEST_CASE("parse_png: grey, the second row as differences to the row above") {
    check_samples(parse_png(grey, "x"), 2, 2, 1, {0, 51, 255, 102});
}

TEST_CASE("parse_png: Paeth's filter and the mean of left and above") {
    const std::string file = bytes(
        "89504e470d0a1a0a0000000d49484452000000030000000308000000007343ea63000000144944415478da63e1e2e26261646266666565050001d400"
        "3fb667609e"
        "0000000049454e44ae426082");
    // row 0: 10, 10 more, 10 more; row 1 by Paeth: 10 + 1, 20 + 2, 30 + 3; row 2: 11 / 2 + 5, (10 + 22) / 2 + 5, (21 + 33) / 2 + 5
    check_samples(parse_png(file, "x"), 3, 3, 1, {10, 20, 30, 11, 22, 33, 10, 21, 32});
}

TEST_CASE("parse_png: transparent pixels are blended with white") {
    const std::string file = bytes(
        "89504e470d0a1a0a0000000d4948445200000002000000010806000000f4227f8a0000000f4944415478da63fccfc000440c8c000d06020189f79ace"
        "0000000049"
        "454e44ae426082");
    check_samples(parse_png(file, "x"), 1, 2, 3, {255, 0, 0, 255, 255, 255});  // opaque red; a pixel of alpha 0
}

TEST_CASE("parse_png: a palette of four colours with two bits a pixel, the last of them transparent") {
    const std::string file = bytes(
        "89504e470d0a1a0a0000000d49484452000000040000000102030000008452e75e0000000c504c5445ff000000ff000000ff0909095c717e86000000"
        "0474524e53"
        "ffffff00402aa9f40000000a4944415478da63900600001d001c237c8fac0000000049454e44ae426082");
    check_samples(parse_png(file, "x"), 1, 4, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255});
}

TEST_CASE("png_file: grey, few colours and many colours come back as they were") {
    Pixels one{.height = 2, .width = 3, .channels = 1, .samples = std::string("\x00\x01\x7F\x80\xFE\xFF", 6)};
    CHECK(parse_png(png_file(one), "x").samples == one.samples);
    Pixels few{.height = 2, .width = 2, .channels = 3, .samples = "redredblugrn"};
    const std::string file = png_file(few);
    CHECK(file[25] == 3);  // the colour type: a palette
    CHECK(parse_png(file, "x").samples == few.samples);
    Pixels many{.height = 20, .width = 20, .channels = 3, .samples = {}};
    for (int k = 0; k < 400; ++k) many.samples += {static_cast<char>(k), static_cast<char>(k / 256), '\x05'};
    CHECK(png_file(many)[25] == 2);  // red, green and blue
    CHECK(parse_png(png_file(many), "x").samples == many.samples);
}

TEST_CASE("png_file: the bytes of a picture of one black pixel") {
    const std::string header = bytes("89504e470d0a1a0a0000000d4948445200000001000000010800000000") + bytes("3a7e9b55");
    const std::string rows = bytes("0000000d49444154") + zlib_stored(std::string(2, '\0'));
    const std::string file = png_file({.height = 1, .width = 1, .channels = 1, .samples = std::string(1, '\0')});
    CHECK(file.substr(0, header.size()) == header);
    CHECK(file.substr(header.size(), rows.size()) == rows);
    CHECK(file.ends_with(bytes("0000000049454e44ae426082")));
}

TEST_CASE("png_file: no pixels, two channels or too few samples are refused") {
    CHECK_THROWS_WITH(
        png_file({}),
        "png_file: 0 x 0 x 0 with 0 samples; it must have pixels, 1 or 3 channels, and as many samples as that makes");
    CHECK_THROWS_AS(png_file({1, 1, 2, "ab"}), std::invalid_argument);
    CHECK_THROWS_AS(png_file({1, 2, 1, "a"}), std::invalid_argument);
}

TEST_CASE("parse_png: an unsupported kind is refused in one line") {
    CHECK(refusal("") == "x: is not a PNG file");
    CHECK(refusal(grey.substr(0, 19)) == "x: ends at byte 19, where a chunk should follow; the last is IEND");
    CHECK(refusal(grey.substr(0, 20)) == "x: the chunk IHDR says 13 bytes, the file ends before");
    CHECK(refusal(bytes("89504e470d0a1a0a0000000d49484452000000010000000108000000014d79abc3")) ==
          "x: is interlaced, which is not read here; convert it: magick FILE -interlace none FILE.ppm");
    CHECK(refusal(bytes("89504e470d0a1a0a0000000d49484452000000010000000110000000006aee4716")) ==
          "x: 16 bits a sample of colour type 0 are not read here; convert it: magick FILE -depth 8 FILE.ppm");
    CHECK(refusal(grey + "!") == "x: 1 bytes follow the end of the picture");
    std::string changed = grey;
    changed[45] = static_cast<char>(changed[45] + 1);
    CHECK(refusal(changed).starts_with("x: the check sum of the chunk IDAT is "));
}

TEST_CASE("parse_png: every file that is cut off is refused, and one with a byte changed is refused or is the same picture") {
    for (std::size_t length = 0; length < grey.size(); ++length) CHECK(!refusal(grey.substr(0, length)).empty());
    for (std::size_t k = 0; k < grey.size(); ++k) {
        std::string changed = grey;
        changed[k] = static_cast<char>(changed[k] ^ 0x41);
        CHECK(!refusal(changed).empty());
    }
}

TEST_SUITE_END();
