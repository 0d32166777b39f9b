#include "nn/maps/map.h"

#include <algorithm>
#include <limits>
#include <utility>

std::string shape(const MapSize& size) {
    return text(size.images) + (size.images == 1 ? " image of " : " images of ") + text(size.height) + " x " + text(size.width);
}

void require_map(const Map& map, const char* who, Where where) {
    const MapSize& size = map.size;
    require(size.images > 0 && size.height > 0 && size.width > 0, where, who, ": a map of ", shape(size),
            " has no pixels; images, height and width must be at least 1");
    require(map.pixels.rows() == size.rows(), where, who, ": pixels ", map.pixels.value(), " for a map of ", shape(size),
            ", it must have ", size.rows(), " rows, one for each pixel");
}

Map map_of(const std::vector<Image>& images) {
    require(!images.empty() && !images[0].pixels.empty(), "map_of: ", images.size(), " images",
            images.empty() ? "" : ", the first of them " + shape(images[0]), "; give at least one, with at least one pixel");
    const int channels = images[0].channels;
    const MapSize size{static_cast<int>(images.size()), images[0].height, images[0].width};
    Matrix pixels = Matrix::unset(size.rows(), channels);
    float* to = pixels.begin();
    for (const Image& image : images) {
        require(image.height == size.height && image.width == size.width && image.channels == channels, "map_of: an image ",
                shape(image), " beside one of ", shape(images[0]), ", all must have the same size");
        to = std::copy(image.pixels.begin(), image.pixels.end(), to);
    }
    return {std::move(pixels), size};
}

std::vector<Image> images_of(const Map& map) {
    require_map(map, "images_of", Where::current());
    std::vector<Image> images(map.size.images, Image(map.size.height, map.size.width, map.channels()));
    const float* from = map.pixels.value().begin();
    for (Image& image : images) {
        std::copy_n(from, image.pixels.size(), image.pixels.begin());
        from += image.pixels.size();
    }
    return images;
}

// The padding with which `length` pixels give length / stride (rounded up) window positions.
static int padding_needed(int length, int side, int stride) {
    const int outputs = (length + stride - 1) / stride;
    return std::max(0, (outputs - 1) * stride + side - length);
}

Padding same_padding(const MapSize& size, int side, int stride) {
    require(side > 0 && stride > 0, "same_padding: a window of side ", side, " and stride ", stride, ", both must be at least 1");
    require(size.height > 0 && size.width > 0, "same_padding: a map of ", shape(size), ", height and width must be at least 1");
    const int down = padding_needed(size.height, side, stride);
    const int across = padding_needed(size.width, side, stride);
    return {.top = down / 2, .bottom = down - down / 2, .left = across / 2, .right = across - across / 2};
}

MapSize size_after(const MapSize& size, const Window& window, Where where) {
    const auto& [side, stride, padding] = window;
    require(side > 0 && stride > 0, where, "size_after: a window of side ", side, " and stride ", stride,
            ", both must be at least 1");
    require(size.images > 0 && size.height > 0 && size.width > 0, where, "size_after: a map of ", shape(size),
            ", images, height and width must be at least 1");
    require(padding.top >= 0 && padding.bottom >= 0 && padding.left >= 0 && padding.right >= 0, where, "size_after: padding of ",
            padding.top, ", ", padding.bottom, ", ", padding.left, ", ", padding.right, ", none may be below 0");
    const long tall = long{size.height} + padding.top + padding.bottom, wide = long{size.width} + padding.left + padding.right;
    const long most = std::numeric_limits<int>::max();
    require(tall <= most && wide <= most && tall * wide <= most / size.images, where, "size_after: ", size.images, " images of ",
            tall, " x ", wide, " pixels, padding included, are more than ", most, " rows, the maximum of a matrix");
    const int height = static_cast<int>(tall), width = static_cast<int>(wide);
    require(height >= side && width >= side, where, "size_after: a window of side ", side, " does not fit into ", height, " x ",
            width, " pixels, padding included; take a smaller window or more padding");
    return {size.images, (height - side) / stride + 1, (width - side) / stride + 1};
}

std::vector<int> rows_in_window(const MapSize& size, const Window& window, Where where) {
    const MapSize output = size_after(size, window, where);
    const int side = window.side;
    std::vector<int> rows;
    rows.reserve(static_cast<std::size_t>(output.rows()) * side * side);
    for (int image = 0; image < output.images; ++image)
        for (int y = 0; y < output.height; ++y)
            for (int x = 0; x < output.width; ++x) {
                const int top = y * window.stride - window.padding.top;  // the window's corner, in pixels of the map
                const int left = x * window.stride - window.padding.left;
                for (int ky = 0; ky < side; ++ky)
                    for (int kx = 0; kx < side; ++kx) rows.push_back(size.row_or_nothing(image, top + ky, left + kx));
            }
    return rows;
}
