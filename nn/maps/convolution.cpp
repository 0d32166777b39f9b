#include "nn/maps/convolution.h"

#include <algorithm>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"

static void require_kernel(const char* place, int side, int in, int out) {
    const double rows = static_cast<double>(side) * side * std::max(in, out);
    require(side > 0 && in > 0 && out > 0 && rows <= std::numeric_limits<int>::max(), place, ": a kernel of ", side, " x ", side,
            " pixels from ", in, " to ", out, " channels; each must be at least 1, and a matrix has at most 2147483647 rows");
}

Convolution make_convolution(Random& random, int side, int in, int out, const Init& init) {
    require_kernel("make_convolution", side, in, out);
    const int taps = side * side;
    return {.weight = make_weight(random, taps * in, out, init, taps * out), .bias = parameter(Matrix(1, out))};
}

Convolution make_convolution_without_bias(Random& random, int side, int in, int out, const Init& init) {
    require_kernel("make_convolution_without_bias", side, in, out);
    const int taps = side * side;
    return {.weight = make_weight(random, taps * in, out, init, taps * out), .bias = {}};
}

static void require_bias(const char* name, const Var& bias, int channels, Where where) {
    require(!bias || (bias.rows() == 1 && bias.cols() == channels), where, name, ": a bias of ", bias ? shape(bias.value()) : "",
            " for ", channels, " channels, it must be (1, ", channels, ")");
}

static void require_weight_of_window(const char* name, const Matrix& weight, int side, int channels, Where where) {
    const double rows = static_cast<double>(side) * side * channels;
    require(side > 0 && weight.rows == rows, where, name, ": a weight ", weight, " for ", channels,
            " channels and a kernel of side ", side, ", it must have ", static_cast<long>(rows), " rows");
}

static void require_weight_of_squares(const char* name, const Matrix& weight, int side, int channels, Where where) {
    const long taps = long{side} * side;
    require(side > 0 && weight.rows == channels && weight.cols > 0 && weight.cols % taps == 0, where, name, ": a weight ", weight,
            " for ", channels, " channels and a kernel of side ", side, ", it must be (", channels, ", ", taps,
            " * channels out)");
}

// --- convolution ---

Matrix convolve_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, const Window& window) {
    const Where where = Where::current();
    require_map({x, size}, "convolve_textbook", where);
    require_weight_of_window("convolve_textbook", weight, window.side, x.cols, where);
    if (!bias.empty()) require_bias("convolve_textbook", bias, weight.cols, where);
    const MapSize output = size_after(size, window);
    const int C = x.cols, D = weight.cols;
    Matrix result = Matrix::unset(output.rows(), D);
    for (int image = 0; image < output.images; ++image)
        for (int down = 0; down < output.height; ++down)
            for (int across = 0; across < output.width; ++across)
                for (int d = 0; d < D; ++d) {
                    double sum = bias.empty() ? 0 : bias(0, d);
                    for (int ky = 0; ky < window.side; ++ky)
                        for (int kx = 0; kx < window.side; ++kx) {
                            const int row = down * window.stride - window.padding.top + ky;
                            const int col = across * window.stride - window.padding.left + kx;
                            if (row < 0 || row >= size.height || col < 0 || col >= size.width) continue;  // zeros
                            for (int c = 0; c < C; ++c)
                                sum += static_cast<double>(x(size.row(image, row, col), c)) *
                                       weight((ky * window.side + kx) * C + c, d);
                        }
                    result(output.row(image, down, across), d) = static_cast<float>(sum);
                }
    return result;
}

Map convolve(const Map& x, const Convolution& w, const Window& window, Where where) {
    require_map(x, "convolve", where);
    require_weight_of_window("convolve", w.weight.value(), window.side, x.channels(), where);
    const int taps = window.side * window.side;
    require_bias("convolve", w.bias, w.weight.cols(), where);
    const MapSize output = size_after(x.size, window, where);
    const bool one_by_one = window.side == 1 && window.stride == 1 && output == x.size;  // nothing to gather
    const Var seen =
        one_by_one ? x.pixels : gather_side_by_side(x.pixels, rows_in_window(x.size, window, where), taps, where);  // (n, k*k*C)
    return {linear(seen, {.weight = w.weight, .bias = w.bias}, where), output};                                     // (n, D)
}

// --- transposed convolution ---

TransposedConvolution make_transposed_convolution(Random& random, int side, int in, int out, const Init& init) {
    require_kernel("make_transposed_convolution", side, in, out);
    return {.weight = make_weight(random, in, side * side * out, init), .bias = parameter(Matrix(1, out))};
}

Matrix convolve_transposed_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, int side) {
    require_map({x, size}, "convolve_transposed_textbook", Where::current());
    require_weight_of_squares("convolve_transposed_textbook", weight, side, x.cols, Where::current());
    const int C = x.cols, D = weight.cols / (side * side);
    const MapSize spread{size.images, (size.height - 1) * side + 1, (size.width - 1) * side + 1};  // zeros between the pixels
    Matrix stuffed(spread.rows(), C);
    for (int image = 0; image < size.images; ++image)
        for (int row = 0; row < size.height; ++row)
            for (int col = 0; col < size.width; ++col)
                for (int c = 0; c < C; ++c)
                    stuffed(spread.row(image, row * side, col * side), c) = x(size.row(image, row, col), c);
    Matrix mirrored = Matrix::unset(side * side * C, D);  // (ky, kx) holds the weight of (side-1-ky, side-1-kx)
    for (int k = 0; k < side * side; ++k)
        for (int c = 0; c < C; ++c)
            for (int d = 0; d < D; ++d) mirrored(k * C + c, d) = weight(c, (side * side - 1 - k) * D + d);
    return convolve_textbook(stuffed, spread, mirrored, bias, {.side = side, .padding = Padding::all(side - 1)});
}

// For each new pixel, its row in the products, which have k*k rows for each old pixel (Y, X).
static std::vector<int> rows_of_new_pixels(const MapSize& size, const MapSize& new_size, int side) {
    std::vector<int> rows;
    rows.reserve(new_size.rows());
    for (int image = 0; image < new_size.images; ++image)
        for (int y = 0; y < new_size.height; ++y)
            for (int x = 0; x < new_size.width; ++x)
                rows.push_back((size.row(image, y / side, x / side) * side + y % side) * side + x % side);
    return rows;
}

Map convolve_transposed(const Map& x, const TransposedConvolution& w, int side, Where where) {
    require_map(x, "convolve_transposed", where);
    require_weight_of_squares("convolve_transposed", w.weight.value(), side, x.channels(), where);
    const int taps = side * side;
    const int D = w.weight.cols() / taps;
    require_bias("convolve_transposed", w.bias, D, where);
    const MapSize size = x.size, new_size{size.images, size.height * side, size.width * side};
    const Var squares = matmul(x.pixels, w.weight, where);                                        // (n, k*k*D)
    const Var in_squares = reshape(squares, size.rows() * taps, D, where);                        // (n*k*k, D)
    const Var pixels = gather_rows(in_squares, rows_of_new_pixels(size, new_size, side), where);  // (n*k*k, D)
    return {w.bias ? add(pixels, w.bias, where) : pixels, new_size};
}

// --- names ---

void add_parameters(Parameters& table, const std::string& name, const Convolution& w, int side, Stored stored) {
    require(stored != Stored::out_by_in, "add_parameters: ", name,
            ": a convolution cannot be stored out by in, which is the layout of linear layers; give Stored::patches or "
            "Stored::as_it_is");
    const long taps = long{side} * side;
    require(side > 0 && w.weight.rows() % taps == 0, "add_parameters: ", name, " is a weight ", w.weight.value(),
            ", whose rows are not a whole number of channels for a kernel of side ", side);
    const long k = side, out = w.weight.cols(), in = w.weight.rows() / (k * k);
    table.push_back({name + ".weight",
                     stored == Stored::patches ? std::vector<long>{out, in, k, k} : std::vector<long>{k, k, in, out},
                     stored,
                     {w.weight}});
    if (w.bias) table.push_back({name + ".bias", {out}, Stored::as_it_is, {w.bias}});
}

void add_parameters(Parameters& table, const std::string& name, const TransposedConvolution& w, int side) {
    const long taps = long{side} * side;
    require(side > 0 && w.weight.cols() % taps == 0, "add_parameters: ", name, " is a weight ", w.weight.value(),
            ", whose columns are not a whole number of channels for a kernel of side ", side);
    const long k = side, in = w.weight.rows(), out = w.weight.cols() / (k * k);
    table.push_back({name + ".weight", {in, out, k, k}, Stored::deconvolution, {w.weight}});
    if (w.bias) table.push_back({name + ".bias", {out}, Stored::as_it_is, {w.bias}});
}
