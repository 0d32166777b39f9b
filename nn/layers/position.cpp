#include "nn/layers/position.h"

#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/require.h"

// --- sine and cosine embeddings ---

Matrix sine_code(const std::vector<double>& coordinates, int width, SineOrder order, double base) {
    require(width >= 2 && width % 2 == 0, "sine_code: a width of ", width,
            " is not made of pairs of a sine and a cosine; an even one is");
    require(base > 0 && std::isfinite(base), "sine_code: a base of ", base, ", it must be a number above 0; 10000 is usual");
    for (std::size_t i = 0; i < coordinates.size(); ++i)
        require(std::isfinite(coordinates[i]), "sine_code: coordinate ", i, " is ", coordinates[i], ", all must be finite");
    const int pairs = width / 2;
    Matrix code = Matrix::unset(static_cast<int>(coordinates.size()), width);
    for (int i = 0; i < code.rows; ++i)
        for (int k = 0; k < pairs; ++k) {
            const double angle = coordinates[i] * std::pow(base, -static_cast<double>(k) / pairs);
            const int sine = order == SineOrder::interleaved ? 2 * k : k;
            const int cosine = order == SineOrder::interleaved ? 2 * k + 1 : pairs + k;
            code(i, sine) = static_cast<float>(std::sin(angle));
            code(i, cosine) = static_cast<float>(std::cos(angle));
        }
    return code;
}

Matrix sine_cosine_positions(int length, int width) {
    require(length >= 0 && width >= 2 && width % 2 == 0, "sine_cosine_positions: ", length, " positions of width ", width,
            "; the width must be even and at least 2, as it is made of pairs");
    std::vector<double> positions;
    for (int t = 0; t < length; ++t) positions.push_back(t);
    return sine_code(positions, width, SineOrder::interleaved);
}

Matrix sine_cosine_grid(int rows, int cols, int width) {
    require(rows >= 0 && cols >= 0 && width >= 4 && width % 4 == 0, "sine_cosine_grid: ", rows, " x ", cols,
            " positions of width ", width, "; the width must be a multiple of 4");
    require(long{rows} * cols <= std::numeric_limits<int>::max(), "sine_cosine_grid: ", rows, " x ", cols,
            " positions are more than the 2147483647 rows of a matrix");
    std::vector<double> row_of, col_of;  // of every patch
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            row_of.push_back(r);
            col_of.push_back(c);
        }
    return concat_cols({sine_code(col_of, width / 2, SineOrder::halves), sine_code(row_of, width / 2, SineOrder::halves)})
        .value();
}

// --- rotation ---

namespace {
struct RotateRecord : Record {
    std::vector<int> positions;
    int head_width = 0;
    float base = 0;
    RotaryLayout layout = RotaryLayout::halves;
};
}  // namespace

// Rotates every pair of every head by its angle; direction -1 rotates back.
static Matrix rotated(const Matrix& x, const RotateRecord& how, int direction) {
    const int h = how.head_width, pairs = h / 2;
    std::vector<double> frequencies;
    for (int k = 0; k < pairs; ++k) frequencies.push_back(std::pow(static_cast<double>(how.base), -2.0 * k / h));
    Matrix y = Matrix::unset(x.rows, x.cols);
    for (int i = 0; i < x.rows; ++i)
        for (int k = 0; k < pairs; ++k) {
            const double angle = direction * how.positions[i] * frequencies[k];
            const float cosine = static_cast<float>(std::cos(angle)), sine = static_cast<float>(std::sin(angle));
            const int first = how.layout == RotaryLayout::halves ? k : 2 * k;
            const int second = how.layout == RotaryLayout::halves ? k + pairs : 2 * k + 1;
            for (int head = 0; head < x.cols; head += h) {
                const float a = x(i, head + first), b = x(i, head + second);
                y(i, head + first) = a * cosine - b * sine;
                y(i, head + second) = a * sine + b * cosine;  // [RoFormer 34]
            }
        }
    return y;
}

// Element j of a head of width h is half of a pair whose other half is `partner`; the angles' cosines and sines are tables.
static Explained rotate_explained(const Record& y, const std::vector<Var>&) {
    const RotateRecord& how = static_cast<const RotateRecord&>(y);
    const int h = how.head_width, pairs = h / 2;
    std::vector<float> cosine, sine;  // of row i and pair k: number i * pairs + k
    for (const int position : how.positions)
        for (int k = 0; k < pairs; ++k) {
            const double angle = position * std::pow(static_cast<double>(how.base), -2.0 * k / h);
            cosine.push_back(static_cast<float>(std::cos(angle)));
            sine.push_back(static_cast<float>(std::sin(angle)));
        }
    const bool halves = how.layout == RotaryLayout::halves;
    const std::string pair = halves ? "mod(j, pairs)" : "floor(mod(j, 2 * pairs) / 2)";
    const std::string is_first = halves ? "mod(j, 2 * pairs) < pairs" : "mod(j, 2) == 0", apart = halves ? "pairs" : "1";
    const auto turned = [&](const std::string& x, const std::string& sign, const std::string& other) {
        const std::string n = "i * pairs + " + pair;
        return "let(n, " + n + ", if(" + is_first + ", " + x + "(i,j) * cosine(n) " + sign + " " + x + "(i,j + " + apart +
               ") * sine(n), " + x + "(i,j) * cosine(n) " + other + " " + x + "(i,j - " + apart + ") * sine(n)))";
    };
    return {.value = turned("a", "-", "+"),
            .gradients = {turned("dy", "+", "-")},
            .tables = {{"cosine", cosine}, {"sine", sine}, {"pairs", {static_cast<float>(pairs)}}}};
}

// forward   (a, b) rotated by the angle
// backward  (da, db) rotated back
static void rotate_backward(Record& y) { add_gradient(y.inputs[0], rotated(y.gradient, static_cast<RotateRecord&>(y), -1)); }

Var rotate(const Var& x, const std::vector<int>& positions, int head_width, float base, RotaryLayout layout, Where where) {
    require(head_width > 0 && head_width % 2 == 0 && x.cols() % head_width == 0, where, "rotate: heads of width ", head_width,
            " in an input of shape ", x.value(), "; heads must be even and fill the width");
    require(static_cast<int>(positions.size()) == x.rows(), where, "rotate: ", positions.size(), " positions for the rows of ",
            x.value(), ", each needs one");
    require(base > 0 && std::isfinite(base), where, "rotate: a base of ", base, ", it must be a number above 0; 10000 is usual");
    RotateRecord* const kept = new RotateRecord;
    kept->positions = positions;
    kept->head_width = head_width;
    kept->base = base;
    kept->layout = layout;
    Matrix y = rotated(x.value(), *kept, 1);
    return record_operation(kept, "rotate", std::move(y), {x}, {rotate_backward, rotate_explained}, where);
}
