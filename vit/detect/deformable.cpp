#include "vit/detect/deformable.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "vit/detect/points.h"

namespace deformable {

// The rows of level `level` in every image, as a map: (B*S, d) -> (B*h*w, d).
static Map map_of_level(const Var& values, const std::vector<MapSize>& sizes, int level) {
    const MapSize size = sizes[level];
    int all = 0, before = 0;
    for (int l = 0; l < static_cast<int>(sizes.size()); ++l) {
        if (l < level) before += sizes[l].pixels();
        all += sizes[l].pixels();
    }
    std::vector<int> rows;
    for (int image = 0; image < size.images; ++image)
        for (int k = 0; k < size.pixels(); ++k) rows.push_back(image * all + before + k);
    return {gather_rows(values, rows), size};
}

// 1 / w_l and 1 / h_l for each column of the offsets: (1, A*L*P*2).
static Matrix pixel_sides(const std::vector<MapSize>& sizes, const Config& config) {
    Matrix sides(1, config.heads * config.levels * config.points * 2);
    for (int k = 0; k < sides.cols; ++k) {
        const MapSize& size = sizes[k / (2 * config.points) % config.levels];
        sides(0, k) = 1.0f / (k % 2 == 0 ? size.width : size.height);
    }
    return sides;
}

// For each column of the offsets a column of the references, of which each level has `numbers`: number `first` for x, the next
// for y.
static std::vector<int> reference_columns(const Config& config, int numbers, int first) {
    std::vector<int> columns;
    for (int k = 0; k < config.heads * config.levels * config.points * 2; ++k)
        columns.push_back(k / (2 * config.points) % config.levels * numbers + first + k % 2);
    return columns;
}

// Where each point is read: (B*n, A*L*P*2).
static Var locations_of(const Var& references, const Var& offsets, const std::vector<MapSize>& sizes, const Config& config) {
    const int numbers = references.cols() / config.levels;  // 2: x and y; 4: width and height of a box too
    const Var centre = gather_cols(references, reference_columns(config, numbers, 0));
    if (numbers == 2) return add(centre, multiply(offsets, pixel_sides(sizes, config)));
    const Var sides = gather_cols(references, reference_columns(config, numbers, 2));
    return add(centre, multiply(scale(offsets, 0.5f / static_cast<float>(config.points)), sides));
}

// What the points of one head contribute: sum over levels and points of weight * value(location).   (B*n, d)
static Var context_of_head(const Steps& steps, const std::vector<MapSize>& sizes, const Config& config, int head) {
    const int P = config.points, d = config.width / config.heads, queries = steps.locations.rows();
    const Var values = slice_cols(steps.value, head * d, d);                                    // (B*S, d)
    const Var all_weights = reshape(steps.weights, queries, config.heads * config.levels * P);  // (B*n, A*L*P)
    Var context;
    for (int level = 0; level < config.levels; ++level) {
        const int first = (head * config.levels + level) * P;
        const Var points = reshape(slice_cols(steps.locations, 2 * first, 2 * P), queries * P, 2);  // (B*n*P, 2)
        const Var weights = reshape(slice_cols(all_weights, first, P), queries * P, 1);             // (B*n*P, 1)
        const Var read = multiply(sample(map_of_level(values, sizes, level), points), weights);     // (B*n*P, d)
        const Var of_level = segment_sums(read, Segments::equal(queries, P));                       // (B*n, d)
        context = context ? add(context, of_level) : of_level;
    }
    return context;
}

static void check(const Config& config) {
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "deformable: ", config.heads,
            " heads do not divide a width of ", config.width, "; it must be a multiple of them");
    require(config.levels > 0 && config.points > 0, "deformable: ", config.levels, " levels, ", config.points,
            " points, both must be at least 1");
    require(2.0 * config.heads * config.levels * config.points <= std::numeric_limits<int>::max(), "deformable: ", config.heads,
            " heads, ", config.levels, " levels and ", config.points, " points make more offsets than an int can count");
}

Steps attend(const Var& query, const Var& references, const Var& values, const std::vector<MapSize>& sizes,
             const std::vector<int>& padded, const Weights& w, const Config& config) {
    check(config);
    require(static_cast<int>(sizes.size()) == config.levels, "deformable: ", sizes.size(), " sizes for ", config.levels,
            " levels, each needs one");
    int rows = 0;
    for (const MapSize& size : sizes) {
        require(size.images > 0 && size.height > 0 && size.width > 0 && size.images == sizes[0].images, "deformable: a level of ",
                shape(size), ", the first has ", shape(sizes[0]),
                "; sizes must be at least 1, and all levels be of the same images");
        rows += size.rows();
    }
    require(values.rows() == rows && values.cols() == config.width, "deformable: values ", values.value(), ", the levels have ",
            rows, " pixels of width ", config.width);
    require(query.cols() == config.width && query.rows() % sizes[0].images == 0 && references.rows() == query.rows() &&
                (references.cols() == 2 * config.levels || references.cols() == 4 * config.levels),
            "deformable: queries ", query.value(), " with references ", references.value(), ", ", config.levels,
            " levels; a query is ", config.width,
            " wide and has 2 or 4 numbers at each level, and all images have "
            "the same number of queries");
    require(padded.empty() || static_cast<int>(padded.size()) == rows, "deformable: ", padded.size(), " marks of padding for ",
            rows, " values; give one for each, or none");
    for (const int mark : padded)
        require(mark == 0 || mark == 1, "deformable: a mark of padding is ", mark, ", it must be 1 (padding) or 0");
    Steps steps;
    steps.value = linear(values, w.value);  // (B*S, D)
    if (!padded.empty()) {
        Matrix counts(rows, 1);
        for (int k = 0; k < rows; ++k) counts(k, 0) = padded[k] == 0;
        steps.value = multiply(steps.value, counts);  // also removes the bias
    }
    steps.offsets = linear(query, w.offsets);                                                                   // (B*n, A*L*P*2)
    steps.locations = locations_of(references, steps.offsets, sizes, config);                                   // (B*n, A*L*P*2)
    const Var scores = linear(query, w.weights);                                                                // (B*n, A*L*P)
    steps.weights = softmax_rows(reshape(scores, query.rows() * config.heads, config.levels * config.points));  // (B*n*A, L*P)
    std::vector<Var> heads;
    for (int head = 0; head < config.heads; ++head) heads.push_back(context_of_head(steps, sizes, config, head));
    steps.context = concat_cols(heads);              // (B*n, D)
    steps.output = linear(steps.context, w.output);  // (B*n, D)   [Deformable DETR 3]
    return steps;
}

// Head a points in direction 2 pi a / A, scaled so that the longer of x and y is one pixel.
static Matrix first_offsets(const Config& config) {
    Matrix bias(1, config.heads * config.levels * config.points * 2);
    for (int k = 0; k < bias.cols; ++k) {
        const int head = k / (2 * config.points * config.levels), point = k / 2 % config.points;
        const double angle = 2 * std::numbers::pi * head / config.heads;
        const double longer = std::max(std::abs(std::cos(angle)), std::abs(std::sin(angle)));
        bias(0, k) = static_cast<float>((k % 2 == 0 ? std::cos(angle) : std::sin(angle)) / longer * (point + 1));
    }
    return bias;
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width, count = config.heads * config.levels * config.points;
    Weights w;
    w.offsets = {parameter(Matrix(D, 2 * count)), parameter(first_offsets(config))};
    w.weights = {parameter(Matrix(D, count)), parameter(Matrix(1, count))};
    w.value = make_linear(random, D, D, {.draw = Draw::xavier_uniform});
    w.output = make_linear(random, D, D, {.draw = Draw::xavier_uniform});
    return w;
}

Parameters parameters(const Weights& w, const std::string& prefix) {
    Parameters table;
    add_parameters(table, prefix + "sampling_offsets", w.offsets);
    add_parameters(table, prefix + "attention_weights", w.weights);
    add_parameters(table, prefix + "value_proj", w.value);
    add_parameters(table, prefix + "output_proj", w.output);
    return table;
}

}  // namespace deformable
