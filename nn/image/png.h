// png.h: images as PNG files, the format that browsers show and image programs write.
//
//   source   ISO/IEC 15948 (PNG 1.2)
//   reads    grey, palette and RGB of every depth, each also with transparency, which is laid over white; interlaced or not
//   differs  16 bits a sample are rounded to 8
//   writes   8 bits: grey, a palette where at most 256 colours occur, RGB otherwise; nothing is compressed
//   next     nn/data/image.h, whose readers and writer take PNG as well as PPM
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

// height * width * channels bytes, row by row, the channel fastest; 1 channel is grey, 3 are red, green, blue.
struct Pixels {
    int height = 0;
    int width = 0;
    int channels = 0;
    std::string samples;
};

// Whether bytes begin as PNG files do.
bool is_png(std::string_view bytes);

// The image of a whole PNG file.
//   source   names the file in messages
//   throws   std::invalid_argument in one line: cut off, a checksum that is wrong, a kind that is refused, more than 100 million
//            samples
Pixels parse_png(std::string_view bytes, std::string_view source);

// A whole PNG file.
//   throws   std::invalid_argument when there are no pixels, not 1 or 3 channels, or not as many samples as that makes
std::string png_file(const Pixels& pixels);

// The checksum of each chunk: the remainder of its bits, as a polynomial, modulo the polynomial of CRC-32.
std::uint32_t crc32(std::string_view bytes);
