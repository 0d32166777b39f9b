// map.h: a feature map as a matrix: a row is a pixel, a column is a channel.
//
//   shows    that images need no 4-D tensor: the windows of convolution, pooling and resizing are lists of row numbers
//   order    image after image; each image row by row, each row from left to right. So a grid of patch tokens is already a map,
//            and layer norm over channels, 1 x 1 convolutions and activation functions are row-wise operations on Map::pixels.
//   next     convolution.h
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/image.h"

struct MapSize {
    int images = 1;
    int height = 0;  // pixels
    int width = 0;   // pixels

    int pixels() const { return height * width; }  // of one image
    int rows() const { return images * height * width; }
    int row(int image, int y, int x) const { return (image * height + y) * width + x; }
    // The same, and -1 outside the image.
    int row_or_nothing(int image, int y, int x) const {
        return y < 0 || y >= height || x < 0 || x >= width ? -1 : row(image, y, x);
    }
    bool operator==(const MapSize&) const = default;
};

struct Map {
    Var pixels;  // (images * height * width, channels)
    MapSize size;

    int channels() const { return pixels.cols(); }
};

// "2 images of 8 x 8"
std::string shape(const MapSize& size);

// throws std::invalid_argument with the caller's line and `who` when the map has no pixels, or not as many rows as its size says
void require_map(const Map& map, const char* who, Where where);

// Images of one size as a map, and a map as images.   map_of throws std::invalid_argument when there is no image or the sizes differ
Map map_of(const std::vector<Image>& images);
std::vector<Image> images_of(const Map& map);

// Zeros around a map, in pixels on each side.
struct Padding {
    int top = 0, bottom = 0, left = 0, right = 0;

    static Padding all(int pixels) { return {pixels, pixels, pixels, pixels}; }
};

// The square window that a convolution or a pooling moves over a map.
struct Window {
    int side;        // pixels
    int stride = 1;  // pixels, down and across
    Padding padding = {};
};

// "SAME" padding of XLA, TensorFlow and Flax: the new height is height / stride rounded up, likewise the width. An odd pixel goes
// to the bottom or the right, so for stride 2 it differs from PyTorch's symmetric padding.
//   example  3 x 3, stride 1: one pixel on every side. 3 x 3, stride 2, even size: one pixel at the bottom and one at the right
Padding same_padding(const MapSize& size, int side, int stride = 1);

// The number of window positions: (height + top + bottom - side) / stride + 1 rounded down, likewise across; pixels left over at
// the bottom or the right are dropped.
//   throws   std::invalid_argument when the window does not fit at all, or side or stride is below 1
MapSize size_after(const MapSize& size, const Window& window, Where where = Where::current());

// For each position of the window its side*side rows of the map, row by row; -1 in the padding.
//   returns  size_after().rows() * side*side numbers, for gather_side_by_side(), mix_rows() and max_rows()
std::vector<int> rows_in_window(const MapSize& size, const Window& window, Where where = Where::current());
