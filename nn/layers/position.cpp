#include "nn/layers/position.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "nn/base/require.h"

Matrix sine_cosine_positions(int length, int width) {
    require(length >= 0 && width >= 2 && width % 2 == 0, "sine_cosine_positions: a width of ", width, " is not made of pairs");
    Matrix positions = Matrix::unset(length, width);
    for (int t = 0; t < length; ++t)
        for (int k = 0; k < width / 2; ++k) {
            const double angle = t * std::pow(10000.0, -2.0 * k / width);
            positions(t, 2 * k) = static_cast<float>(std::sin(angle));
            positions(t, 2 * k + 1) = static_cast<float>(std::cos(angle));
        }
    return positions;
}

// Writes sin(place w_k) and then cos(place w_k), k = 0 ... quarter - 1.
static void write_waves(float* to, int place, int quarter) {
    for (int k = 0; k < quarter; ++k) {
        const double angle = place * std::pow(10000.0, -static_cast<double>(k) / quarter);
        to[k] = static_cast<float>(std::sin(angle));
        to[quarter + k] = static_cast<float>(std::cos(angle));
    }
}

Matrix sine_cosine_grid(int rows, int cols, int width) {
    require(rows >= 0 && cols >= 0 && width >= 4 && width % 4 == 0, "sine_cosine_grid: a width of ", width, " is not divisible by 4");
    Matrix positions = Matrix::unset(rows * cols, width);
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            float* const row = positions.row(r * cols + c);
            write_waves(row, c, width / 4);
            write_waves(row + width / 2, r, width / 4);
        }
    return positions;
}

// Where a new grid point falls between the old ones, and how much each of the four nearest counts.
struct Taps {
    std::array<int, 4> index;
    std::array<float, 4> weight;
};

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
