#include "nn/layers/position.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "nn/autograd/rearrange.h"
#include "nn/base/require.h"

// --- fixed vectors ---

Matrix sine_code(const std::vector<double>& coordinates, int width, SineOrder order, double base) {
    require(width >= 2 && width % 2 == 0, "sine_code: a width of ", width, " is not made of pairs of a sine and a cosine");
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
    require(length >= 0 && width >= 2 && width % 2 == 0, "sine_cosine_positions: a width of ", width, " is not made of pairs");
    std::vector<double> positions;
    for (int t = 0; t < length; ++t) positions.push_back(t);
    return sine_code(positions, width, SineOrder::interleaved);
}

Matrix sine_cosine_grid(int rows, int cols, int width) {
    require(rows >= 0 && cols >= 0 && width >= 4 && width % 4 == 0, "sine_cosine_grid: a width of ", width, " is not divisible by 4");
    std::vector<double> row_of, col_of;  // of every patch
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            row_of.push_back(r);
            col_of.push_back(c);
        }
    return concat_cols({sine_code(col_of, width / 2, SineOrder::halves), sine_code(row_of, width / 2, SineOrder::halves)}).value();
}

// --- learned positions ---

// Where a new grid point falls between the old ones, and how much each of the four nearest counts.
namespace {
struct Taps {
    std::array<int, 4> index;
    std::array<float, 4> weight;
};
}  // namespace

static Taps bicubic_taps(int place, int new_size, int old_size) {
    const float a = -0.75f;
    const float x = (place + 0.5f) * old_size / new_size - 0.5f;
    const int left = static_cast<int>(std::floor(x));
    Taps taps;
    for (int k = 0; k < 4; ++k) {
        const float d = std::abs(x - (left - 1 + k));  // distance to tap k
        taps.index[k] = std::clamp(left - 1 + k, 0, old_size - 1);
        taps.weight[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
    return taps;
}

Matrix resample_grid(const Matrix& positions, int rows, int cols, int new_rows, int new_cols) {
    require(rows > 0 && cols > 0 && positions.rows == rows * cols, "resample_grid: ", positions, " is not a grid of ", rows, " x ",
            cols);
    require(new_rows > 0 && new_cols > 0, "resample_grid: a new grid of ", new_rows, " x ", new_cols);
    Matrix resampled(new_rows * new_cols, positions.cols);
    for (int r = 0; r < new_rows; ++r)
        for (int c = 0; c < new_cols; ++c) {
            const Taps down = bicubic_taps(r, new_rows, rows);
            const Taps across = bicubic_taps(c, new_cols, cols);
            float* const to = resampled.row(r * new_cols + c);
            for (int y = 0; y < 4; ++y)
                for (int x = 0; x < 4; ++x) {
                    const float* const from = positions.row(down.index[y] * cols + across.index[x]);
                    const float weight = down.weight[y] * across.weight[x];
                    for (int j = 0; j < positions.cols; ++j) to[j] += weight * from[j];
                }
        }
    return resampled;
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

// Every pair of every head turned by its angle; direction -1 turns back.
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
                y(i, head + second) = a * sine + b * cosine;
            }
        }
    return y;
}

// forward   (a, b) turned by the angle
// backward  (da, db) turned back by it
static void rotate_backward(Record& y) { add_gradient(y.inputs[0], rotated(y.gradient, static_cast<RotateRecord&>(y), -1)); }

Var rotate(const Var& x, const std::vector<int>& positions, int head_width, float base, RotaryLayout layout, Where where) {
    require(head_width > 0 && head_width % 2 == 0 && x.cols() % head_width == 0, where, "rotate: heads of width ", head_width,
            " in an input of shape ", x.value(), "; heads must be even and fill the width");
    require(static_cast<int>(positions.size()) == x.rows(), where, "rotate: ", positions.size(), " positions for the rows of ",
            x.value());
    RotateRecord* const kept = new RotateRecord;
    kept->positions = positions;
    kept->head_width = head_width;
    kept->base = base;
    kept->layout = layout;
    Matrix y = rotated(x.value(), *kept, 1);
    return record_operation(kept, "rotate", std::move(y), {x}, rotate_backward, where);
}
