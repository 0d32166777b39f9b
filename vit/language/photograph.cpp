#include "vit/language/photograph.h"

#include <algorithm>
#include <cmath>

#include "nn/base/require.h"

namespace {

// The source pixels that contribute to a new one, along one axis.
struct Taps {
    int first = 0;
    std::vector<float> weights;  // sum 1
};

}  // namespace

void require_pixels_to_1(const Json& config, const std::string& path) {
    const Json* const done = config.find_unless_null("do_rescale");
    require(done == nullptr || done->as_boolean(), path, ": do_rescale is false; only pixels from 0 to 1 are normalised here");
    const Json* const factor = config.find_unless_null("rescale_factor");
    require(factor == nullptr || std::abs(255 * factor->as_number() - 1) < 1e-5, path, ": rescale_factor is ",
            factor == nullptr ? "" : json_text(*factor), "; only 1/255 is known here, which makes bytes numbers from 0 to 1");
}

Image in_colour(const Image& image) {
    require(image.channels == 1 || image.channels == 3, "in_colour: an image of ", image.channels,
            " channels, it must have 1 (grey) or 3 (red, green, blue)");
    if (image.channels == 3) return image;
    Image colour(image.height, image.width, 3);
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x)
            for (int c = 0; c < 3; ++c) colour(y, x, c) = image(y, x, 0);
    return colour;
}

// Keys' cubic kernel at distance d >= 0: 1 at 0, 0 at 1 and from 2 on.
static double cubic_kernel(double d) {
    const double a = -0.5;
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static std::vector<Taps> cubic_taps(int length, int new_length) {
    const double step = static_cast<double>(length) / new_length;  // source pixels to a new pixel
    const double stretch = std::max(1.0, step);                    // of the kernel
    std::vector<Taps> taps(static_cast<std::size_t>(new_length));
    for (int p = 0; p < new_length; ++p) {
        const double centre = (p + 0.5) * step;
        const int first = std::max(0, static_cast<int>(centre - 2 * stretch + 0.5));
        const int last = std::min(length, static_cast<int>(centre + 2 * stretch + 0.5));  // one after the last
        std::vector<double> weights;
        double total = 0;
        for (int q = first; q < last; ++q) {
            weights.push_back(cubic_kernel(std::abs(q + 0.5 - centre) / stretch));
            total += weights.back();
        }
        taps[static_cast<std::size_t>(p)].first = first;
        for (const double weight : weights)
            taps[static_cast<std::size_t>(p)].weights.push_back(static_cast<float>(weight / total));
    }
    return taps;
}

static Image resize_columns(const Image& image, int width) {
    const std::vector<Taps> taps = cubic_taps(image.width, width);
    Image resized(image.height, width, image.channels);
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < image.channels; ++c) {
                double sum = 0;
                for (std::size_t k = 0; k < taps[x].weights.size(); ++k)
                    sum += taps[x].weights[k] * image(y, taps[x].first + static_cast<int>(k), c);
                resized(y, x, c) = static_cast<float>(std::clamp(sum, 0.0, 1.0));
            }
    return resized;
}

static Image resize_rows(const Image& image, int height) {
    const std::vector<Taps> taps = cubic_taps(image.height, height);
    Image resized(height, image.width, image.channels);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < image.width; ++x)
            for (int c = 0; c < image.channels; ++c) {
                double sum = 0;
                for (std::size_t k = 0; k < taps[y].weights.size(); ++k)
                    sum += taps[y].weights[k] * image(taps[y].first + static_cast<int>(k), x, c);
                resized(y, x, c) = static_cast<float>(std::clamp(sum, 0.0, 1.0));
            }
    return resized;
}

Image resize_bicubic_antialiased(const Image& image, int height, int width) {
    require(height > 0 && width > 0 && image.height > 0 && image.width > 0, "resize_bicubic_antialiased: from ", image.height,
            " x ", image.width, " to ", height, " x ", width, ", all must be at least 1");
    return resize_rows(resize_columns(image, width), height);
}

Image resize_shorter_side(const Image& image, int side) {
    const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
    require(shorter > 0 && side > 0, "resize_shorter_side: from ", image.height, " x ", image.width, " to a shorter side of ",
            side, ", all must be at least 1");
    const int other = static_cast<int>(static_cast<long>(side) * longer / shorter);
    return image.height <= image.width ? resize_bicubic_antialiased(image, side, other)
                                       : resize_bicubic_antialiased(image, other, side);
}

// Half of a difference, a half rounded to the even number.
static int half_to_even(int difference) {
    const int down = difference / 2;
    return difference % 2 == 0 || down % 2 == 0 ? down : down + 1;
}

Image centre_crop(const Image& image, int height, int width) {
    require(height > 0 && width > 0 && height <= image.height && width <= image.width, "centre_crop: ", height, " x ", width,
            " of an image of ", image.height, " x ", image.width);
    require_whole("centre_crop", image);
    const int top = half_to_even(image.height - height), left = half_to_even(image.width - width);
    Image middle(height, width, image.channels);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < image.channels; ++c) middle(y, x, c) = image(top + y, left + x, c);
    return middle;
}
