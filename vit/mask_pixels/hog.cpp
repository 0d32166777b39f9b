#include "vit/mask_pixels/hog.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nn/base/require.h"

namespace hog {

void check(const Config& config, const PatchGrid& grid, const char* who) {
    check(grid, who);
    require(config.bins > 0, who, ": ", config.bins, " bins of orientation, at least 1 is needed");
    require(config.cell > 0 && grid.patch_size % config.cell == 0, who, ": cells of ", config.cell,
            " pixels do not fill a patch of side ", grid.patch_size, "; its side must be a multiple of theirs");
}

// --- gradients ---

// Row or column -1 is number 1, number `size` is size - 2: the border is reflected and not repeated.
static int reflected(int i, int size) { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; }

static constexpr double sobel[3] = {1, 2, 1};

// Where both columns are the same reflected one, every difference is exactly 0.
static double left_minus_right(const Image& image, int y, int x, int c) {
    const int left = reflected(x - 1, image.width), right = reflected(x + 1, image.width);
    double sum = 0;
    for (int k = -1; k <= 1; ++k) {
        const int row = reflected(y + k, image.height);
        sum += sobel[k + 1] * (static_cast<double>(image(row, left, c)) - image(row, right, c));
    }
    return sum;
}

static double upper_minus_lower(const Image& image, int y, int x, int c) {
    const int upper = reflected(y - 1, image.height), lower = reflected(y + 1, image.height);
    double sum = 0;
    for (int k = -1; k <= 1; ++k) {
        const int column = reflected(x + k, image.width);
        sum += sobel[k + 1] * (static_cast<double>(image(upper, column, c)) - image(lower, column, c));
    }
    return sum;
}

// The angle from the vertical, as the published code has it: atan2(gx, gy), in bins. A vertical gradient has gx = 0 and lies in
// bin 0 whichever way it points: atan2 gives 0 or exactly pi, which is bin 0 or b. Divide first and multiply then: b / pi is rounded.
static int orientation(double gx, double gy, int bins) {
    const double phase = std::atan2(gx, gy) / std::numbers::pi * bins;  // -b ... b
    const int bin = static_cast<int>(std::floor(phase)) % bins;         // the remainder of a negative number is negative
    return bin < 0 ? bin + bins : bin;
}

// --- histograms ---

static void add_votes(Steps& steps, const Image& image, const Config& config) {
    const int b = config.bins, across = image.width / config.cell;
    std::size_t pixel = 0;
    Matrix& h = steps.histograms;
    std::vector<double> sums(h.size(), 0);
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x)
            for (int c = 0; c < image.channels; ++c) {
                const std::size_t cell = static_cast<std::size_t>(y / config.cell) * across + x / config.cell;
                sums[cell * h.cols + c * b + steps.bin[pixel++]] += steps.magnitude(y, x, c);
            }
    for (std::size_t k = 0; k < sums.size(); ++k) h[k] = static_cast<float>(sums[k]);
}

// Scales each channel of each cell to length 1; a cell without any edge stays 0.
static Matrix normalised(const Matrix& histograms, int bins) {
    Matrix result = Matrix::unset(histograms.rows, histograms.cols);
    for (int i = 0; i < histograms.rows; ++i)
        for (int first = 0; first < histograms.cols; first += bins) {
            double squares = 0;
            for (int k = 0; k < bins; ++k) squares += static_cast<double>(histograms(i, first + k)) * histograms(i, first + k);
            const double length = std::max(std::sqrt(squares), 1e-12);
            for (int k = 0; k < bins; ++k) result(i, first + k) = static_cast<float>(histograms(i, first + k) / length);
        }
    return result;
}

Steps describe(const Image& image, const Config& config) {
    const int H = image.height, W = image.width, C = image.channels, c = config.cell, b = config.bins;
    require(b > 0 && c > 0 && H > 1 && W > 1 && C > 0 && H % c == 0 && W % c == 0, "hog: an image of ", H, " x ", W, " x ", C,
            " does not split into cells of ", c, " pixels with ", b, " bins; it must be at least 2 x 2");
    require_whole("hog", image);
    for (const float pixel : image.pixels)
        require(std::isfinite(pixel), "hog: a pixel is ", pixel, ", it has no gradient; all must be finite");
    Steps steps;
    steps.gradient_x = steps.gradient_y = steps.magnitude = Image(H, W, C);
    for (int y = 0; y < H; ++y)
        for (int x = 0; x < W; ++x)
            for (int channel = 0; channel < C; ++channel) {
                const double gx = left_minus_right(image, y, x, channel), gy = upper_minus_lower(image, y, x, channel);
                steps.gradient_x(y, x, channel) = static_cast<float>(gx);
                steps.gradient_y(y, x, channel) = static_cast<float>(gy);
                steps.magnitude(y, x, channel) = static_cast<float>(std::sqrt(gx * gx + gy * gy));
                steps.bin.push_back(orientation(gx, gy, b));
            }
    steps.histograms = Matrix((H / c) * (W / c), C * b);
    add_votes(steps, image, config);                      // (cells, C*b)
    steps.descriptors = normalised(steps.histograms, b);  // (cells, C*b)
    return steps;
}

Matrix of_patches(const Matrix& descriptors, const PatchGrid& grid, const Config& config) {
    check(config, grid);
    const int u = grid.patch_size / config.cell, cells_across = grid.width / config.cell, features = grid.channels * config.bins;
    require(descriptors.rows == grid.count() * u * u && descriptors.cols == features, "hog: descriptors ", descriptors, " for ",
            grid.count(), " patches of ", u * u, " cells with ", features, " numbers");
    Matrix result = Matrix::unset(grid.count(), features * u * u);  // (N, C*b*u*u)
    for (int n = 0; n < grid.count(); ++n) {
        const int top = n / grid.across() * u, left = n % grid.across() * u;  // the patch's first cell
        for (int f = 0; f < features; ++f)                                    // channel, then bin
            for (int y = 0; y < u; ++y)
                for (int x = 0; x < u; ++x) result(n, (f * u + y) * u + x) = descriptors((top + y) * cells_across + left + x, f);
    }
    return result;
}

// --- to look at ---

// A line through (y, x), half_length pixels to both sides; where lines cross the brighter one is seen.
static void draw_line(Image& image, double y, double x, double down, double right, double half_length, float brightness) {
    for (double t = -half_length; t <= half_length; t += 0.25) {
        const int row = static_cast<int>(std::lround(y + t * down)), column = static_cast<int>(std::lround(x + t * right));
        image(row, column, 0) = std::max(image(row, column, 0), brightness);
    }
}

Image roses(const Matrix& descriptors, int down, int across, int bins, int side) {
    require(bins > 0 && down > 0 && across > 0 && side > 2 && descriptors.rows == down * across && descriptors.cols % bins == 0 &&
                descriptors.cols > 0,
            "hog: descriptors ", descriptors, " for a drawing of ", down, " x ", across, " cells of side ", side, " with ", bins,
            " bins");
    const int channels = descriptors.cols / bins;
    Image image(down * side, across * side, 1);
    for (int cell = 0; cell < descriptors.rows; ++cell)
        for (int k = 0; k < bins; ++k) {
            float strength = 0;
            for (int c = 0; c < channels; ++c) strength += std::clamp(descriptors(cell, c * bins + k), 0.0f, 1.0f) / channels;
            // The gradient of bin k points sin(angle) to the right and cos(angle) down; the edge runs across it.
            const double angle = (k + 0.5) / bins * std::numbers::pi, centre = (side - 1) / 2.0;
            draw_line(image, cell / across * side + centre, cell % across * side + centre, -std::sin(angle), std::cos(angle),
                      strength * (centre - 0.5), strength);
        }
    return image;
}

}  // namespace hog
