// image.h: an image as height x width x channels, channel fastest, as image files store it.
//
//   files    PPM (P3, P6) and PGM (P2, P5), 8 or 16 bits per sample; PNG as nn/image/png.h reads it; values are read as 0 ... 1
//   next     patches.h cuts it into a Matrix of tokens
#pragma once
#include <string>
#include <string_view>
#include <vector>

struct Image {
    int height = 0;
    int width = 0;
    int channels = 0;
    std::vector<float> pixels;  // height * width * channels numbers

    Image() = default;
    Image(int height, int width, int channels, float value = 0);  // throws std::invalid_argument below 0

    float& operator()(int y, int x, int c) { return pixels[index(y, x, c)]; }
    float operator()(int y, int x, int c) const { return pixels[index(y, x, c)]; }

private:
    std::size_t index(int y, int x, int c) const {
#ifndef NDEBUG
        if (y < 0 || y >= height || x < 0 || x >= width || c < 0 || c >= channels) outside(y, x, c);
#endif
        return (static_cast<std::size_t>(y) * width + x) * channels + c;
    }
    [[noreturn]] void outside(int y, int x, int c) const;
};

// "8 x 8 x 1"
std::string shape(const Image& image);

// Refuses an image that does not hold a number for each pixel and channel: one whose numbers were moved to another keeps its sizes.
//   throws  std::invalid_argument "place: ..."
void require_whole(std::string_view place, const Image& image);

// Reads a PPM (3 channels) PGM (1 channel) or PNG file; 0 ... maximum becomes 0 ... 1. Of several images in a P5 or P6 file, the
// first is read.
//   throws  std::invalid_argument with the path and what is wrong: truncated, longer than its header says, another kind of file
Image read_image(const std::string& path);

// The same from bytes in memory; `source` names them in messages.
Image parse_image(std::string_view bytes, std::string_view source);

// All images of a file, for example the frames of a clip. P2, P3 and PNG files hold one.
//   throws  as above; bytes in a message are counted from the beginning of their image
std::vector<Image> read_images(const std::string& path);
std::vector<Image> parse_images(std::string_view bytes, std::string_view source);

// Writes 8-bit PGM (1 channel) or PPM (3 channels), or a PNG if the path ends in .png, atomically; values are clamped to 0 ... 1.
void write_image(const std::string& path, const Image& image);

// The bytes of the PNG file that write_image would write.   throws as write_image
std::string png_of(const Image& image);

// From and to (C, H, W) order, as frameworks store images.
Image image_from_channels_first(const float* numbers, int channels, int height, int width);
std::vector<float> channels_first(const Image& image);

// Bilinear with pixel centres at half steps, edges repeated, no antialiasing: PyTorch's interpolate(align_corners=False).
Image resize_bilinear(const Image& image, int height, int width);

// Bilinear with antialiasing: when shrinking, the triangle filter is widened. The published ViT preprocessing does this (Pillow's
// BILINEAR), up to its rounding to 8 bits.
Image resize_bilinear_antialiased(const Image& image, int height, int width);

// (x - mean[c]) / standard_deviation[c] in every channel c
Image normalise(const Image& image, const std::vector<float>& mean, const std::vector<float>& standard_deviation);

// The image shifted by (down, right) pixels; uncovered pixels are `fill`.
Image shifted(const Image& image, int down, int right, float fill = 0);

// An affine transformation, about the centre of the image: pixel (y, x) is read at (yy y + yx x - down, xy y + xx x - right), by
// bilinear interpolation; `fill` outside.
struct Warp {
    float down = 0, right = 0;             // pixels
    float yy = 1, yx = 0, xy = 0, xx = 1;  // rotation, shear, scale; 1 0 0 1 is the identity
};
Image warped(const Image& image, const Warp& warp, float fill = 0);
