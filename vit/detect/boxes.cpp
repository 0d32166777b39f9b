#include "vit/detect/boxes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/require.h"

// --- conventions ---

// A row of numbers in this format times this matrix is left, top, right, bottom.
static Matrix to_corners(BoxFormat format) {
    switch (format) {
        case BoxFormat::corners: return {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
        case BoxFormat::centre_size: return {{1, 0, 1, 0}, {0, 1, 0, 1}, {-0.5f, 0, 0.5f, 0}, {0, -0.5f, 0, 0.5f}};
        case BoxFormat::corner_size: return {{1, 0, 1, 0}, {0, 1, 0, 1}, {0, 0, 1, 0}, {0, 0, 0, 1}};
        case BoxFormat::rows_first: return {{0, 1, 0, 0}, {1, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 1, 0}};
    }
    fail({"convert_boxes: there is no format number ", static_cast<int>(format), ", they are 0 (corners) to 3 (rows_first)"});
}

// And its inverse.
static Matrix from_corners(BoxFormat format) {
    switch (format) {
        case BoxFormat::centre_size: return {{0.5f, 0, -1, 0}, {0, 0.5f, 0, -1}, {0.5f, 0, 1, 0}, {0, 0.5f, 0, 1}};
        case BoxFormat::corner_size: return {{1, 0, -1, 0}, {0, 1, 0, -1}, {0, 0, 1, 0}, {0, 0, 0, 1}};
        default: return to_corners(format);  // both are their own inverse
    }
}

static void require_boxes(const Matrix& boxes, const char* who, Where where) {
    require(boxes.cols == 4, where, who, ": boxes ", boxes, ", each must be four numbers");
}

// Where boxes are compared: a NaN would be an overlap of 0, and so would a box of another convention.
static void require_corners(const Matrix& boxes, const char* who, Where where) {
    require_boxes(boxes, who, where);
    for (int i = 0; i < boxes.rows; ++i) {
        const float* const b = boxes.row(i);
        const bool finite = std::isfinite(b[0]) && std::isfinite(b[1]) && std::isfinite(b[2]) && std::isfinite(b[3]);
        require(finite && b[0] <= b[2] && b[1] <= b[3], where, who, ": box ", i, " is (", b[0], ", ", b[1], ", ", b[2], ", ",
                b[3], "), it must be finite, with left <= right and top <= bottom; convert_boxes makes corners of other formats");
    }
}

Var convert_boxes(const Var& boxes, BoxFormat from, BoxFormat to, Where where) {
    require_boxes(boxes.value(), "convert_boxes", where);
    if (from == to) return boxes;
    return matmul(boxes, matmul(to_corners(from), from_corners(to)), where);  // (n, 4)
}

// left and right times `across`, top and bottom times `down`
static Matrix stretched(const Matrix& corners, float across, float down, const char* who) {
    require_boxes(corners, who, Where::current());
    Matrix result = corners;
    for (int i = 0; i < result.rows; ++i)
        for (int j = 0; j < 4; ++j) result(i, j) *= j % 2 == 0 ? across : down;
    return result;
}

Matrix relative_boxes(const Matrix& corners, int height, int width) {
    require(height > 0 && width > 0, "relative_boxes: an image of ", height, " x ", width, ", both must be at least 1");
    return stretched(corners, 1.0f / width, 1.0f / height, "relative_boxes");
}

Matrix pixel_boxes(const Matrix& corners, int height, int width) {
    require(height > 0 && width > 0, "pixel_boxes: an image of ", height, " x ", width, ", both must be at least 1");
    return stretched(corners, static_cast<float>(width), static_cast<float>(height), "pixel_boxes");
}

Matrix clipped_boxes(const Matrix& corners, float height, float width) {
    require_boxes(corners, "clipped_boxes", Where::current());
    require(height > 0 && width > 0, "clipped_boxes: an image of ", height, " x ", width, ", both must be above 0");
    Matrix result = corners;
    for (int i = 0; i < result.rows; ++i)
        for (int j = 0; j < 4; ++j) result(i, j) = std::min(std::max(result(i, j), 0.0f), j % 2 == 0 ? width : height);
    return result;
}

// --- overlap ---

namespace {

// Areas of two boxes.
struct Overlap {
    double intersection = 0, united = 0, around = 0;  // I, U, C
    double first = 0;                                 // area of the first box
};

}  // namespace

static double area(double left, double top, double right, double bottom) {
    return std::max(right - left, 0.0) * std::max(bottom - top, 0.0);
}

static Overlap overlap(const float* a, const float* b) {
    Overlap areas;
    areas.intersection = area(std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]), std::min(a[3], b[3]));
    areas.first = area(a[0], a[1], a[2], a[3]);
    areas.united = areas.first + area(b[0], b[1], b[2], b[3]) - areas.intersection;
    areas.around = area(std::min(a[0], b[0]), std::min(a[1], b[1]), std::max(a[2], b[2]), std::max(a[3], b[3]));
    return areas;
}

static double iou_of(const Overlap& o) { return o.united > 0 ? o.intersection / o.united : 0; }  // [VOC 3]
static double share_of(const Overlap& o) { return o.first > 0 ? o.intersection / o.first : 0; }
static double generalised_iou_of(const Overlap& o) { return iou_of(o) - (o.around > 0 ? (o.around - o.united) / o.around : 0); }

Matrix box_areas(const Matrix& corners) {
    require_boxes(corners, "box_areas", Where::current());
    Matrix areas(corners.rows, 1);
    for (int i = 0; i < corners.rows; ++i)
        areas(i, 0) = static_cast<float>(area(corners(i, 0), corners(i, 1), corners(i, 2), corners(i, 3)));
    return areas;
}

static Matrix pairwise(const Matrix& a, const Matrix& b, double (*measure)(const Overlap&), const char* who) {
    require_corners(a, who, Where::current());
    require_corners(b, who, Where::current());
    Matrix result(a.rows, b.rows);  // (n, m)
    for (int i = 0; i < a.rows; ++i)
        for (int j = 0; j < b.rows; ++j) result(i, j) = static_cast<float>(measure(overlap(a.row(i), b.row(j))));
    return result;
}

Matrix pairwise_iou(const Matrix& a, const Matrix& b) { return pairwise(a, b, iou_of, "pairwise_iou"); }
Matrix pairwise_share(const Matrix& a, const Matrix& b) { return pairwise(a, b, share_of, "pairwise_share"); }
Matrix pairwise_generalised_iou(const Matrix& a, const Matrix& b) {
    return pairwise(a, b, generalised_iou_of, "pairwise_generalised_iou");
}

// Width times height, neither below 0, of boxes given by their upper left (n, 2) and lower right (n, 2) corners: (n, 1).
static Var area_between(const Var& upper_left, const Var& lower_right, Where where) {
    const Var zero = Matrix(1, 1);
    const Var sides = maximum(subtract(lower_right, upper_left, where), zero, where);        // (n, 2)
    return multiply(slice_cols(sides, 0, 1, where), slice_cols(sides, 1, 1, where), where);  // (n, 1)
}

namespace {

// The areas of box i with box i, with gradient; (n, 1) each.
struct OverlapVars {
    Var intersection, united, around;
};

}  // namespace

static OverlapVars overlap_vars(const Var& a, const Var& b, const char* who, Where where) {
    require_corners(a.value(), who, where);
    require_corners(b.value(), who, where);
    require(same_shape(a.value(), b.value()), where, who, ": ", a.value(), " and ", b.value(), ", the shapes must be equal");
    const Var a_first = slice_cols(a, 0, 2, where), a_last = slice_cols(a, 2, 2, where);  // (n, 2) each
    const Var b_first = slice_cols(b, 0, 2, where), b_last = slice_cols(b, 2, 2, where);
    OverlapVars areas;
    areas.intersection = area_between(maximum(a_first, b_first, where), minimum(a_last, b_last, where), where);
    const Var together = add(area_between(a_first, a_last, where), area_between(b_first, b_last, where), where);
    areas.united = subtract(together, areas.intersection, where);
    areas.around = area_between(minimum(a_first, b_first, where), maximum(a_last, b_last, where), where);
    return areas;
}

// a / b, and 0 where b is 0: the areas of empty boxes.
static Var ratio(const Var& a, const Var& b, Where where) {
    Matrix nothing(b.rows(), 1);
    for (int i = 0; i < nothing.rows; ++i) nothing(i, 0) = b.value()(i, 0) == 0;
    return divide(a, add(b, std::move(nothing), where), where);
}

Var iou(const Var& a, const Var& b, Where where) {
    const OverlapVars areas = overlap_vars(a, b, "iou", where);
    return ratio(areas.intersection, areas.united, where);  // (n, 1)
}

Var generalised_iou(const Var& a, const Var& b, Where where) {
    const OverlapVars areas = overlap_vars(a, b, "generalised_iou", where);
    const Var inside = ratio(areas.intersection, areas.united, where);                          // (n, 1)  I / U
    const Var empty = ratio(subtract(areas.around, areas.united, where), areas.around, where);  // (n, 1)  (C - U) / C
    return subtract(inside, empty, where);
}

// --- suppression ---

std::vector<int> suppress_non_maxima(const Matrix& corners, const std::vector<float>& scores, float threshold,
                                     const std::vector<int>& labels) {
    const int n = static_cast<int>(scores.size());
    require(corners.rows == n && (labels.empty() || static_cast<int>(labels.size()) == n), "suppress_non_maxima: ", n,
            " scores and ", labels.size(), " labels for boxes ", corners,
            "; each box needs a score, and a label unless there are none");
    require_corners(corners, "suppress_non_maxima", Where::current());
    require(threshold >= 0 && threshold <= 1, "suppress_non_maxima: a threshold of ", threshold,
            ", an overlap lies between 0 and 1");
    for (int i = 0; i < n; ++i)
        require(!std::isnan(scores[i]), "suppress_non_maxima: the score of box ", i, " is ", scores[i], ", it must be a number");
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
    std::vector<int> kept;
    for (const int candidate : order) {
        bool free = true;
        for (const int other : kept)
            if ((labels.empty() || labels[other] == labels[candidate]) &&
                iou_of(overlap(corners.row(other), corners.row(candidate))) > threshold)
                free = false;
        if (free) kept.push_back(candidate);
    }
    return kept;
}

// --- coordinates as tokens ---

std::vector<int> quantised(const Matrix& coordinates, int bins) {
    require(bins >= 2, "quantised: ", bins, " bins, there must be at least 2");
    require(bins <= 1 << 24, "quantised: ", bins, " bins, a float tells at most 16777216 apart; take fewer");
    std::vector<int> result;
    for (const float x : coordinates) {
        require(!std::isnan(x), "quantised: a coordinate of ", x, ", each must be a number");
        const float inside = std::clamp(x * static_cast<float>(bins - 1), 0.0f, static_cast<float>(bins - 1));
        result.push_back(static_cast<int>(std::nearbyint(inside)));  // half to even, as TensorFlow and NumPy round
    }
    return result;
}

Matrix dequantised(const std::vector<int>& bins_of, int bins, int columns) {
    require(bins >= 2 && columns > 0 && bins_of.size() % columns == 0, "dequantised: ", bins_of.size(), " numbers of ", bins,
            " bins in ", columns, " columns; whole rows are needed, and at least 2 bins");
    for (const int bin : bins_of)
        require(bin >= 0 && bin < bins, "dequantised: bin ", bin, " of ", bins, ", they are counted from 0");
    Matrix coordinates(static_cast<int>(bins_of.size()) / columns, columns);
    for (std::size_t k = 0; k < bins_of.size(); ++k)
        coordinates[k] = static_cast<float>(bins_of[k]) / static_cast<float>(bins - 1);
    return coordinates;
}
