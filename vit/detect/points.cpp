#include "vit/detect/points.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"

static int image_of(const std::vector<int>& image, int point, int points, int images) {
    return image.empty() ? point / (points / images) : image[point];
}

Corners corners(const MapSize& size, const Var& points, const std::vector<int>& image, Where where) {
    const int n = points.rows();
    const std::string map = shape(size);  // for messages, built once for all points
    require(size.images > 0 && size.height > 0 && size.width > 0, where, "sample: a map of ", map,
            " has no pixels; images, height and width must be at least 1");
    require(points.cols() == 2, where, "sample: points ", points.value(), ", each must be x and y");
    require(image.empty() ? n % size.images == 0 : static_cast<int>(image.size()) == n, where, "sample: ", image.size(),
            " image numbers for ", n, " points on ", map,
            "; give one for each point, or none and the same number of points in each image");
    const Matrix sides{{static_cast<float>(size.width), static_cast<float>(size.height)}};
    const Var position = shift(multiply(points, sides, where), -0.5f, where);  // (n, 2)  in pixels, whole at their centres
    Corners result;
    Matrix above_left = Matrix::unset(n, 2);  // (n, 2)  the pixel above and to the left
    for (int k = 0; k < n; ++k) {
        const int b = image_of(image, k, n, size.images);
        require(b >= 0 && b < size.images, where, "sample: point ", k, " lies in image ", b, " of ", map, ", counted from 0");
        for (int axis = 0; axis < 2; ++axis) above_left(k, axis) = std::floor(position.value()(k, axis));
        require(std::isfinite(above_left(k, 0)) && std::isfinite(above_left(k, 1)), where, "sample: point ", k, " is (",
                points.value()(k, 0), ", ", points.value()(k, 1), "), both must be finite");
        // A point far outside touches no pixel, wherever it is; clamped, its position fits an int.
        const int left = static_cast<int>(std::clamp(above_left(k, 0), -2.0f, static_cast<float>(size.width)));
        const int top = static_cast<int>(std::clamp(above_left(k, 1), -2.0f, static_cast<float>(size.height)));
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 2; ++j) result.rows.push_back(size.row_or_nothing(b, top + i, left + j));
    }
    const Var to_right_below = subtract(position, above_left, where);             // (n, 2)  0 ... 1
    const Var to_left_above = shift(scale(to_right_below, -1, where), 1, where);  // (n, 2)
    const Var right = slice_cols(to_right_below, 0, 1, where), below = slice_cols(to_right_below, 1, 1, where);
    const Var left = slice_cols(to_left_above, 0, 1, where), above = slice_cols(to_left_above, 1, 1, where);
    result.weights = concat_cols({multiply(above, left, where), multiply(above, right, where), multiply(below, left, where),
                                  multiply(below, right, where)},
                                 where);  // (n, 4)
    return result;
}

Var sample(const Map& map, const Var& points, const std::vector<int>& image, Where where) {
    require_map(map, "sample", where);
    const Corners around = corners(map.size, points, image, where);
    return mix_rows(map.pixels, around.rows, around.weights, where);  // (n, C)   [STN 5]
}
