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
    for (const int colours : {256, 257}) {  // the most that a palette holds, and one more
        const Pixels first{.height = colours,
                           .width = 1,
                           .channels = 3,
                           .samples = many.samples.substr(0, 3 * static_cast<std::size_t>(colours))};
        CHECK(png_file(first)[25] == (colours == 256 ? 3 : 2));
        CHECK(parse_png(png_file(first), "x").samples == first.samples);
    }
}

TEST_CASE("png_file: the bytes of an image of one black pixel") {
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
    for (const auto& [height, width] : {std::pair{0, 1}, {1, 0}})
        CHECK(error_of([&] { png_file({height, width, 1, ""}); }).starts_with("png_file: " + std::to_string(height) + " x "));
}

TEST_CASE("parse_png: an unsupported kind is refused in one line") {
    CHECK(refusal("") == "x: is not a PNG file");
    CHECK(refusal(grey.substr(0, 19)) == "x: ends at byte 19, where a chunk should follow; the last is IEND");
    CHECK(refusal(grey.substr(0, 20)) ==
          "x: the chunk IHDR says 13 bytes, the file ends before; perhaps a download that broke off");
    CHECK(refusal(grey + "!") == "x: 1 bytes follow the end of the image; cut them off, or convert it: magick FILE FILE.ppm");
    std::string changed = grey;
    changed[45] = static_cast<char>(changed[45] + 1);
    CHECK(refusal(changed).starts_with("x: the checksum of the chunk IDAT is "));
}

TEST_CASE("parse_png: every file that is cut off is refused, and one with a byte changed is refused or is the same image") {
    for (std::size_t length = 0; length < grey.size(); ++length) CHECK(!refusal(grey.substr(0, length)).empty());
    for (std::size_t k = 0; k < grey.size(); ++k) {
        std::string changed = grey;
        changed[k] = static_cast<char>(changed[k] ^ 0x41);
        CHECK(!refusal(changed).empty());
    }
}

// ---- files with one thing wrong ---------------------------------------------------------------------------------------------

static std::string four_bytes(std::uint32_t number) {
    std::string result;
    for (const int shift : {24, 16, 8, 0}) result += static_cast<char>(number >> shift & 255);
    return result;
}

static std::string chunk(const std::string& name, const std::string& data) {
    return four_bytes(static_cast<std::uint32_t>(data.size())) + name + data + four_bytes(crc32(name + data));
}

static std::string header(std::uint32_t width, std::uint32_t height, char depth, char colour, char compression = 0,
                          char filter = 0, char interlacing = 0) {
    return four_bytes(width) + four_bytes(height) + std::string{depth, colour, compression, filter, interlacing};
}

static const std::string begin = "\x89PNG\r\n\x1A\n";

// rows    a filter and the bytes of each
// before  chunks in front of them
static std::string file_of(const std::string& header, const std::string& rows, const std::string& before = "") {
    return begin + chunk("IHDR", header) + before + chunk("IDAT", zlib_stored(rows)) + chunk("IEND", "");
}

static const std::string one_pixel = header(1, 1, 8, 0), black(2, '\0');

TEST_CASE("parse_png: chunks that are unknown, without a proper name or in the wrong place are refused") {
    CHECK(refusal(file_of(one_pixel, black)).empty());
    for (const std::string name : {"aAZz", "zbcd", "tEXt"}) CHECK(refusal(file_of(one_pixel, black, chunk(name, "?"))).empty());
    for (const std::string name : {"Abcd", "Zbcd"})
        CHECK(refusal(file_of(one_pixel, black, chunk(name, ""))) ==
              "x: the chunk " + name + " is not known here, and cannot be skipped");
    for (const std::string name : {"a@cd", "a[cd", "a`cd", "a{cd", "abc0"})
        CHECK(refusal(file_of(one_pixel, black, chunk(name, ""))) == "x: byte 37: the name of a chunk must be four letters");
    CHECK(refusal(begin + chunk("IEND", "")) == "x: begins with the chunk IEND, it must be IHDR");
}

TEST_CASE("parse_png: chunks out of their order, twice, or of another kind of image are refused") {
    const auto file = [](const std::string& header, const std::string& chunks) {
        return refusal(begin + chunk("IHDR", header) + chunks);
    };
    const std::string end = chunk("IEND", ""), rgb = header(1, 1, 8, 2), indexed = header(1, 1, 8, 3);
    const std::string rows = zlib_stored(black), pixels = chunk("IDAT", rows), colours = chunk("PLTE", "abc");
    const std::string rgb_pixels = chunk("IDAT", zlib_stored(std::string(4, '\0')));
    const std::string transparent = chunk("tRNS", std::string(6, '\0'));
    CHECK(file(rgb, colours + transparent + rgb_pixels + end).empty());
    CHECK(file(rgb, rgb_pixels + colours + end) == "x: the chunk PLTE follows the pixels (IDAT), which need it before them");
    CHECK(file(rgb, rgb_pixels + transparent + end) == "x: the chunk tRNS follows the pixels (IDAT), which need it before them");
    CHECK(file(rgb, colours + colours + rgb_pixels + end) == "x: a second palette (PLTE); there may be one");
    CHECK(file(rgb, transparent + transparent + rgb_pixels + end) == "x: a second chunk tRNS; there may be one");
    CHECK(file(one_pixel, colours + pixels + end) == "x: a palette (PLTE) in an image of colour type 0, whose pixels are grey");
    CHECK(file(header(1, 1, 8, 4), colours) == "x: a palette (PLTE) in an image of colour type 4, whose pixels are grey");
    CHECK(file(indexed, pixels + end) == "x: there is no palette (PLTE), of which the pixels are the numbers");
    CHECK(file(indexed, chunk("tRNS", "a") + colours + pixels + end).find("the chunk tRNS has 1 bytes in an image") !=
          std::string::npos);
    CHECK(file(indexed, colours + chunk("tRNS", "ab")).find("it must have one for each colour of the palette before it") !=
          std::string::npos);
    CHECK(file(indexed, colours + chunk("tRNS", "")).find("the chunk tRNS has 0 bytes") != std::string::npos);
    CHECK(file(rgb, chunk("tRNS", "ab")) ==
          "x: the chunk tRNS has 2 bytes in an image of colour type 2, it must have two for each channel");
    for (const char with_alpha : {'\x04', '\x06'})
        CHECK(file(header(1, 1, 8, with_alpha), chunk("tRNS", "ab")).ends_with(", whose pixels have an alpha of their own"));
    // The data may be in several chunks, but in one row.
    const std::string half = chunk("IDAT", rows.substr(0, 5)), other_half = chunk("IDAT", rows.substr(5));
    CHECK(file(one_pixel, half + other_half + end).empty());
    CHECK(file(one_pixel, half + chunk("tEXt", "?") + other_half + end) ==
          "x: a chunk IDAT follows tEXt; the data of the pixels stand in one row of chunks");
    CHECK(file(one_pixel, pixels + chunk("tEXt", "?") + end).empty());
    CHECK(file(one_pixel, pixels + chunk("IEND", "?")) == "x: the chunk IEND has 1 bytes, it must be empty");
}

TEST_CASE("parse_png: a wrong checksum of the unpacked bytes (Adler-32) is refused though that of its chunk is right") {
    std::string stream = zlib_stored(black);
    stream.back() = static_cast<char>(stream.back() + 1);
    CHECK(refusal(begin + chunk("IHDR", one_pixel) + chunk("IDAT", stream) + chunk("IEND", "")) ==
          "x: the checksum of the unpacked bytes is 131073, the file says 131074");
}

TEST_CASE("parse_png: each number of the header is checked by itself") {
    CHECK(refusal(file_of(one_pixel.substr(0, 12), black)) == "x: a header of 12 bytes, it must be 13");
    CHECK(refusal(file_of(one_pixel + '\0', black)) == "x: a header of 14 bytes, it must be 13");
    for (const int colour : {1, 5, 7})
        CHECK(refusal(file_of(header(1, 1, 8, static_cast<char>(colour)), black)) ==
              "x: there is no colour type " + std::to_string(colour) + " in PNG files");
    CHECK(refusal(file_of(header(1, 1, 8, 0, 1), black)) == "x: compression 1 and filter 0, both must be 0");
    CHECK(refusal(file_of(header(1, 1, 8, 0, 0, 1), black)) == "x: compression 0 and filter 1, both must be 0");
    const auto deep = [](int depth, int colour) {
        return refusal(file_of(header(1, 1, static_cast<char>(depth), static_cast<char>(colour)), black));
    };
    CHECK(refusal(file_of(header(1, 1, 8, 0, 0, 0, 1), black)).empty());
    CHECK(refusal(file_of(header(1, 1, 8, 0, 0, 0, 2), black)) == "x: interlacing 2, it must be 0 (none) or 1 (Adam7)");
    for (const int depth : {1, 2, 4, 8}) {
        CHECK(deep(depth, 0).empty());
        CHECK(deep(depth, 3) == "x: there is no palette (PLTE), of which the pixels are the numbers");
    }
    const auto none = [](int depth, int colour) {
        return "x: there are no " + std::to_string(depth) + " bits a sample of colour type " + std::to_string(colour) +
               " in PNG files";
    };
    for (const int depth : {0, 3, 5, 7, 9, 15, 17, 32})
        for (const int colour : {0, 2, 3, 4, 6}) CHECK(deep(depth, colour) == none(depth, colour));
    for (const int depth : {1, 2, 4})
        for (const int colour : {2, 4, 6}) CHECK(deep(depth, colour) == none(depth, colour));
    CHECK(deep(16, 3) == none(16, 3));
    CHECK(deep(16, 0) == "x: the rows take 3 bytes, 2 bytes are there");
}

TEST_CASE("parse_png: 16 bits a sample are rounded to 8, and a transparent colour is compared whole") {
    // by hand: 0x0080 / 257 = 0.498, 0x0081 / 257 = 0.502, 0xFF7F / 257 = 254.502, 0x1234 / 257 = 18.13
    const std::string grey_rows("\0\x00\x80\x00\x81\xFF\x7F\x12\x34", 9);
    check_samples(parse_png(file_of(header(4, 1, 16, 0), grey_rows), "x"), 1, 4, 1, {0, 1, 255, 18});
    const std::string last = chunk("tRNS", "\x12\x34"), near = chunk("tRNS", "\x12\x35"), other = chunk("tRNS", "\x13\x34");
    check_samples(parse_png(file_of(header(4, 1, 16, 0), grey_rows, last), "x"), 1, 4, 1, {0, 1, 255, 255});
    for (const std::string& chunk_before : {near, other})
        check_samples(parse_png(file_of(header(4, 1, 16, 0), grey_rows, chunk_before), "x"), 1, 4, 1, {0, 1, 255, 18});
    const std::string rgb("\0\x01\x01\x02\x02\x03\x03", 7);  // 257, 514, 771
    check_samples(parse_png(file_of(header(1, 1, 16, 2), rgb), "x"), 1, 1, 3, {1, 2, 3});
    // grey 100 with alpha 0x8080 = 128 of 255; RGB with alpha 0xFFFF. The filter takes what is one pixel, 4 or 8 bytes, before.
    const std::string half("\x01\x64\x64\x80\x80\0\0\0\0", 9);
    check_samples(parse_png(file_of(header(2, 1, 16, 4), half), "x"), 1, 2, 1, {177, 177});
    const std::string opaque("\x01\x01\x01\x02\x02\x03\x03\xFF\xFF\x01\x01\0\0\0\0\0\0", 17);
    check_samples(parse_png(file_of(header(2, 1, 16, 6), opaque), "x"), 1, 2, 3, {1, 2, 3, 2, 2, 3});
}

// The pass of each pixel of a square of 8, as the standard draws it.
static const std::string adam7[] = {"16462646", "77777777", "56565656", "77777777",
                                    "36463646", "77777777", "56565656", "77777777"};

// The rows of an interlaced image whose pixel (y, x) is bytes_of_pixel(y, x); every row has the filter 1, which takes the pixel to
// the left from each.
template <class BytesOfPixel>
static std::string interlaced_rows(int width, int height, const BytesOfPixel& bytes_of_pixel) {
    std::string rows;
    for (char pass = '1'; pass <= '7'; ++pass)
        for (int y = 0; y < height; ++y) {
            std::string row, left;
            for (int x = 0; x < width; ++x) {
                if (adam7[y % 8][static_cast<std::size_t>(x % 8)] != pass) continue;
                const std::string pixel = bytes_of_pixel(y, x);
                for (std::size_t k = 0; k < pixel.size(); ++k) row += static_cast<char>(pixel[k] - (left.empty() ? 0 : left[k]));
                left = pixel;
            }
            if (!row.empty()) rows += '\x01' + row;
        }
    return rows;
}

TEST_CASE("parse_png: the seven passes of an interlaced image, of any size") {
    for (const auto& [width, height] :
         {std::pair{1, 1}, {2, 1}, {1, 2}, {5, 1}, {1, 5}, {3, 5}, {5, 3}, {8, 8}, {9, 9}, {17, 10}}) {
        CAPTURE(width);
        CAPTURE(height);
        const int w = width;
        std::vector<int> grey_samples, rgb_samples;
        for (int k = 0; k < width * height; ++k) {
            grey_samples.push_back(k);
            for (const int c : {k, 255 - k, 7}) rgb_samples.push_back(c);
        }
        const auto one = [w](int y, int x) { return std::string(1, static_cast<char>(y * w + x)); };
        const auto three = [w](int y, int x) {
            return std::string{static_cast<char>(y * w + x), static_cast<char>(255 - y * w - x), '\x07'};
        };
        const std::uint32_t columns = static_cast<std::uint32_t>(width), lines = static_cast<std::uint32_t>(height);
        const std::string grey_file = file_of(header(columns, lines, 8, 0, 0, 0, 1), interlaced_rows(width, height, one));
        check_samples(parse_png(grey_file, "x"), height, width, 1, grey_samples);
        const std::string rgb_file = file_of(header(columns, lines, 8, 2, 0, 0, 1), interlaced_rows(width, height, three));
        check_samples(parse_png(rgb_file, "x"), height, width, 3, rgb_samples);
    }
    // Of 1 bit: 5 x 1 has the passes 1 (x = 0), 2 (x = 4), 4 (x = 2) and 6 (x = 1, 3), each with bits from the highest on.
    const std::string bits("\0\x80\0\x80\0\0\0\x40", 8);
    check_samples(parse_png(file_of(header(5, 1, 1, 0, 0, 0, 1), bits), "x"), 1, 5, 1, {255, 0, 0, 255, 255});
    CHECK(refusal(file_of(header(5, 1, 1, 0, 0, 0, 1), bits.substr(2))) == "x: the rows take 8 bytes, 6 bytes are there");
}

TEST_CASE("parse_png: an image without pixels or with more than 33,333,333 of them is refused") {
    const auto sized = [](std::uint32_t width, std::uint32_t height) {
        return refusal(file_of(header(width, height, 8, 0), black));
    };
    const auto many = [](const std::string& sides) { return "x: " + sides + " pixels, there must be some and at most 33333333"; };
    CHECK(sized(0, 1) == many("1 x 0"));
    CHECK(sized(1, 0) == many("0 x 1"));
    CHECK(sized(33333334, 1) == many("1 x 33333334"));
    CHECK(sized(1, 33333334) == many("33333334 x 1"));
    CHECK(sized(6000, 6000) == many("6000 x 6000"));
    CHECK(sized(100000000, 1) == many("1 x 100000000"));
    CHECK(sized(1, 100000000) == many("100000000 x 1"));
    CHECK(sized(1431677356u, 4294902525u) == many("4294902525 x 1431677356"));  // three times as many are 2^64 and a few
    CHECK(sized(33333333, 1) == "x: the rows take 33333334 bytes, 2 bytes are there");
    CHECK(sized(1, 33333333) == "x: the rows take 66666666 bytes, 2 bytes are there");
}

TEST_CASE("parse_png: rows that are missing, and a filter that does not exist, are refused") {
    CHECK(refusal(file_of(one_pixel, black.substr(1))) == "x: the rows take 2 bytes, 1 bytes are there");
    CHECK(refusal(file_of(one_pixel, black + "!")) ==
          "x: more than the 2 bytes that belong there come out of the compressed ones");
    const std::string two_rows = header(1, 2, 8, 0);
    CHECK(refusal(file_of(two_rows, std::string("\0\0\x05\0", 4))) == "x: row 1 has the filter 5, 4 is the last");
    CHECK(refusal(file_of(two_rows, std::string("\0\0\x04\0", 4))).empty());
}

TEST_CASE("parse_png: a palette has 1 to 256 whole colours, and each pixel one of them") {
    const auto with_palette = [](std::size_t size, const std::string& pixels = std::string(3, '\0')) {
        return refusal(file_of(header(2, 1, 8, 3), pixels, chunk("PLTE", std::string(size, 'p'))));
    };
    for (const std::size_t size : {0, 1, 4, 767, 771})
        CHECK(with_palette(size) ==
              "x: a palette of " + std::to_string(size) + " bytes, it must be 3 for each of 1 to 256 colours");
    CHECK(with_palette(3).empty());
    CHECK(with_palette(768, std::string("\0\xFF\xFF", 3)).empty());
    CHECK(with_palette(6, std::string("\0\x01\x02", 3)) == "x: pixel (0, 1) has colour 2 of a palette of 2");
    CHECK(with_palette(6, std::string("\0\x01\x01", 3)).empty());
}

TEST_CASE("parse_png: the transparent colour of a grey or RGB image, and colours of a palette beyond the given alphas") {
    const auto grey_with = [](const std::string& transparent) {
        return parse_png(file_of(header(2, 1, 8, 0), std::string("\0\x07\x09", 3), chunk("tRNS", transparent)), "x");
    };
    check_samples(grey_with(std::string("\0\x07", 2)), 1, 2, 1, {255, 9});
    check_samples(grey_with(std::string("\x01\x07", 2)), 1, 2, 1, {7, 9});  // no sample of 8 bits is 263
    const auto rgb_with = [](const std::string& transparent) {
        return parse_png(file_of(header(1, 1, 8, 2), std::string("\0\x01\x02\x03", 4), chunk("tRNS", transparent)), "x");
    };
    check_samples(rgb_with(std::string("\0\x01\0\x02\0\x03", 6)), 1, 1, 3, {255, 255, 255});
    check_samples(rgb_with(std::string("\0\x09\0\x02\0\x03", 6)), 1, 1, 3, {1, 2, 3});
    check_samples(rgb_with(std::string("\0\x01\0\x09\0\x03", 6)), 1, 1, 3, {1, 2, 3});
    check_samples(rgb_with(std::string("\0\x01\0\x02\0\x09", 6)), 1, 1, 3, {1, 2, 3});
    check_samples(rgb_with(std::string("\0\x01\0\x02\x01\x03", 6)), 1, 1, 3, {1, 2, 3});
    const std::string palette = chunk("PLTE", "abcdef"), first_only = chunk("tRNS", std::string(1, '\0'));
    check_samples(parse_png(file_of(header(2, 1, 8, 3), std::string("\0\0\x01", 3), palette + first_only), "x"), 1, 2, 3,
                  {255, 255, 255, 'd', 'e', 'f'});
}

TEST_CASE("parse_png: Paeth's filter takes the byte above to the left where it is nearest") {
    // row 0: 30, 50, 120; row 1: 30 + 236 modulo 256 = 10; 10 + 50 - 30 = 30, the byte above to the left, + 1; 31 + 120 - 50 = 101
    // is nearest to 120
    const std::string rows("\x00\x1E\x32\x78\x04\xEC\x01\x00", 8);
    check_samples(parse_png(file_of(header(3, 2, 8, 0), rows), "x"), 2, 3, 1, {30, 50, 120, 10, 31, 120});
}

TEST_CASE("parse_png: Paeth's filter: of equally near bytes left comes first, then above") {
    // the byte above to the left, above, left, and what a byte of 0 becomes
    struct {
        int c, b, a, predicted;
    } cases[] = {
        {100, 100, 20, 20},    // 20: left itself
        {20, 100, 20, 100},    // 100: above itself
        {20, 10, 30, 20},      // 20: above to the left itself
        {10, 20, 20, 20},      // 30: left and above are equally near
        {10, 30, 20, 30},      // 40: above is nearest
        {100, 90, 95, 90},     // 85: above is nearest, all are larger
        {10, 20, 5, 20},       // 15: above and above to the left are equally near
        {10, 5, 20, 20},       // 15: left and above to the left are equally near
        {200, 210, 100, 100},  // 110: left is nearest, above by 100
    };
    for (const auto& [c, b, a, predicted] : cases) {
        CAPTURE(predicted);
        CAPTURE(c);
        const std::string rows{'\0', static_cast<char>(c), static_cast<char>(b), '\4', static_cast<char>(a - c), '\0'};
        check_samples(parse_png(file_of(header(2, 2, 8, 0), rows), "x"), 2, 2, 1, {c, b, a, predicted});
    }
}

TEST_CASE("parse_png: left of a row and above the first one are zeros, for every filter") {
    // the filter, then the differences of two bytes; row 0 has only zeros above
    for (const auto& [filter, second] : std::vector<std::pair<char, int>>{{0, 1}, {1, 2}, {2, 1}, {3, 1}, {4, 2}}) {
        const std::string first_row{filter, '\1', '\1'};
        check_samples(parse_png(file_of(header(2, 1, 8, 0), first_row), "x"), 1, 2, 1, {1, second});
    }
    // a column of 1, then a byte of 0 below it, with only zeros on the left
    for (const auto& [filter, below] : std::vector<std::pair<char, int>>{{0, 0}, {1, 0}, {2, 1}, {3, 0}, {4, 1}}) {
        const std::string column{'\0', '\1', filter, '\0'};
        check_samples(parse_png(file_of(header(1, 2, 8, 0), column), "x"), 2, 1, 1, {1, below});
    }
}

TEST_CASE("parse_png: grey with alpha has one channel, blended with white") {
    const std::string rows("\0\x64\xFF\x64\0\x64\x80", 7);  // 100 with alpha 255, 0 and 128
    // by hand: (100 * 128 + 255 * 127 + 127) / 255 = 177.7
    check_samples(parse_png(file_of(header(3, 1, 8, 4), rows), "x"), 1, 3, 1, {100, 255, 177});
}

TEST_SUITE_END();
