#include "nn/maps/resize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/rows.h"

namespace {

// The old pixels that contribute to a new one, along one axis, and their weights.
struct Taps {
    std::vector<int> positions;
    std::vector<float> weights;
};

}  // namespace

static Taps nearest_taps(int p, int new_length, int length) {
    return {{static_cast<int>(static_cast<long>(p) * length / new_length)}, {1}};
}

// The two pixels around `position`; outside, the edge pixel is repeated.
static Taps linear_taps(double position, int length) {
    const double inside = std::clamp(position, 0.0, length - 1.0);
    const int before = static_cast<int>(inside);
    const float fraction = static_cast<float>(inside - before);
    return {{before, std::min(before + 1, length - 1)}, {1 - fraction, fraction}};
}

static double half_pixel_position(int p, int new_length, int length) { return (p + 0.5) * length / new_length - 0.5; }

static double corner_position(int p, int new_length, int length) {
    return new_length == 1 ? 0 : static_cast<double>(p) * (length - 1) / (new_length - 1);
}

// Triangle filter around the new pixel; as wide as the new pixel where that is larger than an old one.
static Taps triangle_taps(int p, int new_length, int length) {
    const double position = half_pixel_position(p, new_length, length);
    const double reach = std::max(1.0, static_cast<double>(length) / new_length);  // half the width of the triangle
    Taps taps;
    double total = 0;
    for (int q = 0; q < length; ++q) total += std::max(0.0, 1 - std::abs(q - position) / reach);
    for (int q = 0; q < length; ++q) {
        const double height = std::max(0.0, 1 - std::abs(q - position) / reach);
        if (height == 0) continue;
        taps.positions.push_back(q);
        taps.weights.push_back(static_cast<float>(height / total));
    }
    return taps;
}

// Keys' cubic kernel at distance d: 1 at 0, 0 at 1 and 2.
static double cubic_kernel(double d) {
    const double a = -0.75;
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

static Taps cubic_taps(int p, int new_length, int length) {
    const double position = half_pixel_position(p, new_length, length);
    const int before = static_cast<int>(std::floor(position));
    Taps taps;
    for (int q = before - 1; q <= before + 2; ++q) {
        taps.positions.push_back(std::clamp(q, 0, length - 1));
        taps.weights.push_back(static_cast<float>(cubic_kernel(std::abs(position - q))));
    }
    return taps;
}

static Taps taps_of(int p, int new_length, int length, Interpolation how) {
    switch (how) {
        case Interpolation::nearest: return nearest_taps(p, new_length, length);
        case Interpolation::bilinear: return linear_taps(half_pixel_position(p, new_length, length), length);
        case Interpolation::bilinear_corners: return linear_taps(corner_position(p, new_length, length), length);
        case Interpolation::bilinear_antialiased: return triangle_taps(p, new_length, length);
        case Interpolation::bicubic: return cubic_taps(p, new_length, length);
    }
    fail({"resize: there is no interpolation number ", static_cast<int>(how), ", they are 0 (nearest) to 4 (bicubic)"});
}

// The taps of every new pixel along one axis, padded with weight 0 to the same number.
static std::vector<Taps> taps_of_axis(int new_length, int length, Interpolation how) {
    std::vector<Taps> axis;
    std::size_t most = 0;
    for (int p = 0; p < new_length; ++p) {
        axis.push_back(taps_of(p, new_length, length, how));
        most = std::max(most, axis.back().positions.size());
    }
    for (Taps& taps : axis) {
        taps.positions.resize(most, -1);
        taps.weights.resize(most, 0);
    }
    return axis;
}

Map resize(const Map& x, int height, int width, Interpolation how, Where where) {
    require_map(x, "resize", where);
    require(height > 0 && width > 0, where, "resize: a map of ", height, " x ", width, " pixels, both must be at least 1");
    const long most = std::numeric_limits<int>::max();
    require(long{height} * width <= most / x.size.images, where, "resize: ", x.size.images, " images of ", height, " x ", width,
            " pixels are more than ", most, " rows, the maximum of a matrix");
    const std::vector<Taps> down = taps_of_axis(height, x.size.height, how);
    const std::vector<Taps> across = taps_of_axis(width, x.size.width, how);
    const int taps_down = static_cast<int>(down[0].positions.size()), taps_across = static_cast<int>(across[0].positions.size());
    const MapSize new_size{x.size.images, height, width};
    Matrix weights = Matrix::unset(new_size.rows(), taps_down * taps_across);  // (n, K), the products of the two axes
    std::vector<int> indices;                                                  // n*K rows of x
    indices.reserve(weights.size());
    for (int image = 0; image < new_size.images; ++image)
        for (int py = 0; py < height; ++py)
            for (int px = 0; px < width; ++px)
                for (int i = 0; i < taps_down; ++i)
                    for (int j = 0; j < taps_across; ++j) {
                        weights[indices.size()] = down[py].weights[i] * across[px].weights[j];
                        indices.push_back(x.size.row_or_nothing(image, down[py].positions[i], across[px].positions[j]));
                    }
    return {mix_rows(x.pixels, indices, weights, where), new_size};  // (n, C)
}
