#include "vit/fields/dff.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/layers/activation.h"
#include "nn/layers/model_config.h"
#include "nn/layers/norm.h"
#include "nn/layers/transformer.h"
#include "nn/training/loss.h"

namespace dff {

// --- depths ---

static void require_range(const Config& config) {
    require(config.near < config.far && (config.near > 0 || !config.linear_in_disparity), "dff: samples between ", config.near,
            " and ", config.far, "; near must be less than far, and positive when they are even in 1/z");
}

static void require_draws(const char* what, const Matrix& draws, int rows, int cols) {
    require(draws.empty() || (draws.rows == rows && draws.cols == cols), "dff: ", what, " are ", draws, ", expected (", rows,
            ", ", cols, ")");
}

static void require_uniform(const char* what, const Matrix& draws, int rows, int cols) {
    require_draws(what, draws, rows, cols);
    for (const float u : draws) require(u >= 0 && u <= 1, "dff: ", what, " hold ", u, ", they must lie between 0 and 1");
}

Matrix coarse_depths(int rays, const Config& config, const Matrix& draws) {
    const int N = config.coarse_samples;
    require(rays >= 1 && N >= 2, "dff: ", N, " coarse samples on each of ", rays, " rays; at least 2 and 1 are needed");
    require_uniform("draws of coarse depths", draws, rays, N);
    require_range(config);
    std::vector<double> even(N);  // the depths without random jitter
    for (int k = 0; k < N; ++k) {
        const double t = static_cast<double>(k) / (N - 1);
        even[k] =
            config.linear_in_disparity ? 1 / ((1 - t) / config.near + t / config.far) : (1 - t) * config.near + t * config.far;
    }
    Matrix depths(rays, N);
    for (int r = 0; r < rays; ++r)
        for (int k = 0; k < N; ++k) {
            // the interval of sample k, from the middle on its left to that on its right
            const double left = k == 0 ? even[0] : (even[k - 1] + even[k]) / 2;
            const double right = k == N - 1 ? even[N - 1] : (even[k] + even[k + 1]) / 2;
            depths(r, k) = static_cast<float>(draws.empty() ? even[k] : left + (right - left) * draws(r, k));  // [NeRF 2]
        }
    return depths;
}

Matrix importance_depths(const Matrix& depths, const Matrix& weights, int count, const Matrix& draws) {
    const int R = depths.rows, N = depths.cols, bins = N - 1;
    require(same_shape(depths, weights) && N >= 3, "dff: depths ", depths, " and weights ", weights,
            " must have the same shape, with at least 3 samples a ray");
    require(count >= 1, "dff: ", count, " fine samples a ray, at least 1 is needed");
    require_finite(depths, "dff", "depths");
    require_finite(weights, "dff", "weights");
    for (const float weight : weights) require(weight >= 0, "dff: a weight of ", weight, ", a fraction of light is not negative");
    require_uniform("draws of fine depths", draws, R, count);
    Matrix drawn(R, count);
    std::vector<double> middle(bins), cumulated(bins);
    for (int r = 0; r < R; ++r) {
        double total = 0;
        for (int k = 1; k < N - 1; ++k) total += weights(r, k) + 1e-5;
        for (int k = 0; k < bins; ++k) middle[k] = (static_cast<double>(depths(r, k)) + depths(r, k + 1)) / 2;
        cumulated[0] = 0;
        // Rounding may carry the last value above 1; then u = 1 would fall short of the last middle.
        for (int k = 1; k < bins; ++k) cumulated[k] = std::min(cumulated[k - 1] + (weights(r, k) + 1e-5) / total, 1.0);
        for (int m = 0; m < count; ++m) {
            const double u = !draws.empty() ? draws(r, m) : count == 1 ? 0 : static_cast<double>(m) / (count - 1);
            const auto after = std::upper_bound(cumulated.begin(), cumulated.end(), u);  // the first that is larger than u
            const int below = std::max(static_cast<int>(after - cumulated.begin()) - 1, 0);
            const int above = std::min(below + 1, bins - 1);
            const double share = cumulated[above] - cumulated[below], width = share < 1e-5 ? 1 : share;
            drawn(r, m) =
                static_cast<float>(middle[below] + (u - cumulated[below]) / width * (middle[above] - middle[below]));  // [NeRF 5]
        }
    }
    return drawn;
}

// Both lists of every ray in ascending order: (R, N + M).
static Matrix merged(const Matrix& a, const Matrix& b) {
    Matrix all(a.rows, a.cols + b.cols);
    for (int r = 0; r < a.rows; ++r) {
        std::copy_n(a.row(r), a.cols, all.row(r));
        std::copy_n(b.row(r), b.cols, all.row(r) + a.cols);
        std::sort(all.row(r), all.row(r) + all.cols);
    }
    return all;
}

Matrix depth_standard_deviation(const Matrix& new_depths) {
    require(new_depths.cols >= 1, "depth_standard_deviation: depths ", new_depths, ", each ray needs at least 1");
    Matrix deviation(new_depths.rows, 1);
    for (int r = 0; r < new_depths.rows; ++r) {
        double mean = 0, squares = 0;
        for (int m = 0; m < new_depths.cols; ++m) mean += new_depths(r, m) / static_cast<double>(new_depths.cols);
        for (int m = 0; m < new_depths.cols; ++m) squares += std::pow(new_depths(r, m) - mean, 2);
        deviation(r, 0) = static_cast<float>(std::sqrt(squares / new_depths.cols));
    }
    return deviation;
}

Matrix points_at(const Rays& rays, const Matrix& depths) {
    require(rays.count() == depths.rows, "dff: depths ", depths, " for ", rays.count(), " rays, each needs a row");
    Matrix points = Matrix::unset(depths.rows * depths.cols, 3);
    for (int r = 0; r < depths.rows; ++r)
        for (int k = 0; k < depths.cols; ++k)
            for (int axis = 0; axis < 3; ++axis)
                points(r * depths.cols + k, axis) =
                    static_cast<float>(rays.origins(r, axis) + static_cast<double>(depths(r, k)) * rays.directions(r, axis));
    return points;
}

// The length in the world of the step after each sample: (R*S, 1). The space after the last sample is empty, or so deep that a
// positive density stops all light.
static Matrix step_lengths(const Rays& rays, const Matrix& depths) {
    const int S = depths.cols;
    Matrix lengths(depths.rows * S, 1);
    for (int r = 0; r < depths.rows; ++r) {
        const double x = rays.directions(r, 0), y = rays.directions(r, 1), z = rays.directions(r, 2);
        const double length = std::sqrt(x * x + y * y + z * z);
        for (int k = 0; k < S; ++k) {
            const double step = k == S - 1 ? 1e10 : static_cast<double>(depths(r, k + 1)) - depths(r, k);
            lengths(r * S + k, 0) = static_cast<float>(step * length);
        }
    }
    return lengths;
}

// --- the networks ---

Matrix encode(const Matrix& points, int frequencies) {
    const int P = points.cols;
    require(frequencies >= 0, "encode: ", frequencies, " frequencies, there cannot be fewer than 0");
    Matrix code = Matrix::unset(points.rows, P * (1 + 2 * frequencies));
    for (int i = 0; i < points.rows; ++i)
        for (int j = 0; j < P; ++j) {
            code(i, j) = points(i, j);
            double factor = 1;  // 2^k
            for (int k = 0; k < frequencies; ++k, factor *= 2) {
                code(i, P * (1 + 2 * k) + j) = static_cast<float>(std::sin(factor * points(i, j)));  // [NeRF 4]
                code(i, P * (2 + 2 * k) + j) = static_cast<float>(std::cos(factor * points(i, j)));
            }
        }
    return code;
}

static bool skips_after(const Config& config, int layer) {
    return std::find(config.skips.begin(), config.skips.end(), layer) != config.skips.end();
}

// embedded (n, 3 + 6 L), directions (n, 3 + 6 Lv) -> (n, 4)
static Var run(const Network& w, const Matrix& embedded, const Matrix& directions, const Config& config) {
    const Var point(embedded);
    Var h = point;
    for (int i = 0; i < config.depth; ++i) {
        const Var activated = activate(linear(h, w.points[i]), Activation::relu);  // (n, W)
        h = skips_after(config, i) ? concat_cols({point, activated}) : activated;  // (n, W) or (n, 3 + 6 L + W)
    }
    const Var density = linear(h, w.density);  // (n, 1)  does not depend on the direction
    const Var feature = linear(h, w.feature);  // (n, W)
    const Var seen = activate(linear(concat_cols({feature, directions}), w.direction), Activation::relu);  // (n, W / 2)
    const Var colour = linear(seen, w.colour);                                                             // (n, 3)
    return concat_cols({colour, density});                                                                 // (n, 4)
}

// Every row `count` times.
static Matrix repeated_rows(const Matrix& rows, int count) {
    Matrix repeated = Matrix::unset(rows.rows * count, rows.cols);
    for (int i = 0; i < repeated.rows; ++i) std::copy_n(rows.row(i / count), rows.cols, repeated.row(i));
    return repeated;
}

static Pass pass(const Rays& rays, const Matrix& depths, const Network& w, const Matrix& directions, const Matrix& noise,
                 const Config& config) {
    const int R = depths.rows, S = depths.cols;
    require_draws("draws of noise", noise, R, S);
    Pass p;
    p.depths = depths;
    p.rays = Segments::equal(R, S);
    p.points = points_at(rays, depths);                                       // (R*S, 3)
    p.embedded = encode(p.points, config.point_frequencies);                  // (R*S, 3 + 6 L)
    p.raw = run(w, p.embedded, repeated_rows(directions, S), config);         // (R*S, 4)
    p.steps = step_lengths(rays, depths);                                     // (R*S, 1)
    p.colours = sigmoid(slice_cols(p.raw, 0, 3));                             // (R*S, 3)
    const Var density = slice_cols(p.raw, 3, 1);                              // (R*S, 1)
    p.quiet_depths = multiply(activate(density, Activation::relu), p.steps);  // (R*S, 1)
    p.optical_depths = p.quiet_depths;
    if (!noise.empty()) {
        const Var shaken = add(density, scale(reshape(noise, R * S, 1), config.noise));  // (R*S, 1)
        p.optical_depths = multiply(activate(shaken, Activation::relu), p.steps);        // (R*S, 1)
    }
    p.rendering = render(p.optical_depths, p.colours, p.rays);  // [NeRF 3]
    const Var ones(Matrix(R * S, 1, 1.f));
    p.opacity = along_rays(p.rendering.weights, ones, p.rays);                     // (R, 1)
    p.depth = along_rays(p.rendering.weights, reshape(depths, R * S, 1), p.rays);  // (R, 1)
    p.pixels = over_background(p.rendering, config.white_background ? 1 : 0);      // (R, 3)
    return p;
}

// --- the whole ---

static void check(const Config& config) {
    require(config.depth > 0 && config.width > 1 && config.width % 2 == 0 && config.features > 0 && config.feature_width > 0,
            "dff: ", config.depth, " layers of width ", config.width, ", ", config.features, " features from a network of width ",
            config.feature_width, "; sizes must be positive, the width even");
    require(config.point_frequencies >= 0 && config.direction_frequencies >= 0 && config.feature_frequencies >= 0,
            "dff: ", config.point_frequencies, ", ", config.direction_frequencies, " and ", config.feature_frequencies,
            " frequencies, none may be negative");
    require(config.coarse_samples >= 3 && config.fine_samples >= 1, "dff: ", config.coarse_samples, " coarse and ",
            config.fine_samples, " fine samples; at least 3 and 1 are needed");
    require_range(config);
    require(config.noise >= 0 && std::isfinite(config.noise), "dff: a noise of ", config.noise,
            ", it must be finite and at least 0; 0 turns it off");
    for (const int layer : config.skips)
        require(layer >= 0 && layer < config.depth - 1, "dff: a skip after layer ", layer, " of ", config.depth,
                "; it must have a layer after it");
}

Steps forward(const Rays& rays, const Weights& w, const Config& config, const Draws& draws) {
    check(config);
    require_depth("dff: coarse", config.depth, w.coarse.points.size());
    require_depth("dff: fine", config.depth, w.fine.points.size());
    require(rays.count() > 0, "dff: there is no ray; give at least one");
    Steps s;
    s.embedded_directions = encode(unit_directions(rays.directions), config.direction_frequencies);  // (R, 3 + 6 Lv)
    const Matrix z = coarse_depths(rays.count(), config, draws.coarse);                              // (R, N)
    s.coarse = pass(rays, z, w.coarse, s.embedded_directions, draws.noise_coarse, config);
    const Matrix coarse_weights = reshape(s.coarse.rendering.weights.value(), z.rows, z.cols);  // (R, N)  no gradient
    s.new_depths = importance_depths(z, coarse_weights, config.fine_samples, draws.fine);       // (R, M)
    s.fine = pass(rays, merged(z, s.new_depths), w.fine, s.embedded_directions, draws.noise_fine, config);
    s.features = features_at(s.fine.points, w, config);                                        // (R*S, C)
    s.rendered_features = render_features(s.fine.rendering.weights, s.features, s.fine.rays);  // (R, C)
    return s;
}

// --- distillation ---

Var features_at(const Matrix& points, const Weights& w, const Config& config) {
    const Var embedded(encode(points, config.feature_frequencies));                 // (n, 3 + 6 Lf)
    const Var first = activate(linear(embedded, w.features[0]), Activation::relu);  // (n, feature width)
    const Var second = activate(linear(first, w.features[1]), Activation::relu);    // (n, feature width)
    return linear(second, w.features[2]);                                           // (n, C)
}

Var render_features(const Var& weights, const Var& features, const Segments& rays) {
    return along_rays(stop(weights), features, rays);  // (R, C)
}

Var surface_features(const Rays& rays, const Steps& steps, const Weights& w, const Config& config) {
    const double offsets[5] = {-5e-3, -2e-3, 0, 2e-3, 5e-3};
    const Matrix unit = unit_directions(rays.directions);
    const Matrix& depth = steps.fine.depth.value();
    Matrix points(rays.count() * 5, 3);
    for (int r = 0; r < rays.count(); ++r)
        for (int k = 0; k < 5; ++k)
            for (int axis = 0; axis < 3; ++axis)
                points(r * 5 + k, axis) =
                    static_cast<float>(rays.origins(r, axis) + static_cast<double>(depth(r, 0)) * rays.directions(r, axis) +
                                       offsets[k] * unit(r, axis));
    const Var fifths(Matrix(points.rows, 1, 0.2f));
    return along_rays(fifths, features_at(points, w, config), Segments::equal(rays.count(), 5));  // (R, C)
}

Var feature_loss(const Var& rendered, const Matrix& teacher) {
    return scale(mean_squared_error(rendered, teacher), static_cast<float>(teacher.cols));  // the sum over C, the mean over R
}

Losses loss(const Steps& steps, const Matrix& target, const Matrix& teacher, const Config& config) {
    Losses l;
    l.fine = mean_squared_error(steps.fine.pixels, target);
    l.coarse = mean_squared_error(steps.coarse.pixels, target);
    l.feature = feature_loss(steps.rendered_features, teacher);
    l.total = add(add(l.fine, l.coarse), scale(l.feature, config.lambda_feature));  // [NeRF 6]
    return l;
}

// --- queries ---

Selection select(const Matrix& features, const Query& query) {
    const int Q = query.vectors.rows;
    require(Q > 0 && features.cols == query.vectors.cols, "dff: features ", features, " and queries ", query.vectors,
            " must have the same number of columns, and there must be a query");
    require_finite(features, "dff", "features");
    require_finite(query.vectors, "dff", "queries");
    require(!std::isnan(query.threshold), "dff: the threshold is ", query.threshold, ", it must be a number");
    require(std::isfinite(query.sharpness), "dff: a sharpness of ", query.sharpness, ", it must be finite; 1 is usual");
    std::vector<bool> positive(Q);
    require(!query.positive.empty(), "dff: none of ", Q, " queries is positive, nothing could be selected; name at least one");
    for (const int j : query.positive) {
        require(j >= 0 && j < Q, "dff: positive query ", j, " of ", Q, ", they are counted from 0");
        positive[j] = true;
    }
    const NoTape evaluation;
    Selection s;
    const Var cosine = matmul_transposed(unit_rows(features), unit_rows(query.vectors));  // (n, Q)
    s.cosine = cosine.value();
    s.probability = Q == 1 ? s.cosine : softmax_rows(scale(cosine, query.sharpness)).value();  // (n, Q)
    s.positive = s.selected = Matrix(features.rows, 1);
    for (int i = 0; i < features.rows; ++i) {
        float largest_other = -1;
        for (int j = 0; j < Q; ++j) {
            if (positive[j])
                s.positive(i, 0) += s.probability(i, j);
            else
                largest_other = std::max(largest_other, s.probability(i, j));
        }
        const bool reaches = s.positive(i, 0) >= query.threshold;
        // The sum stands in the place of the first positive row; the others stay as they were, and none of them exceeds the sum.
        const bool wins = s.positive(i, 0) > largest_other;
        s.selected(i, 0) = (Q == 1 || query.by_threshold) ? reaches : wins;
    }
    return s;
}

// --- edits ---

static void require_one_each(const Var& x, const Matrix& selection) {
    require(selection.rows == x.rows() && selection.cols == 1, "dff: a selection ", selection, " for samples ", x.value(),
            ", each needs one number");
}

static Matrix one_minus(const Matrix& m) {
    Matrix rest(m.rows, m.cols);
    for (std::size_t k = 0; k < m.size(); ++k) rest[k] = 1 - m[k];
    return rest;
}

Var removed(const Var& optical_depths, const Matrix& selected) { return extracted(optical_depths, one_minus(selected)); }

Var extracted(const Var& optical_depths, const Matrix& selected) {
    require_one_each(optical_depths, selected);
    return multiply(optical_depths, selected);
}

Var softly_removed(const Var& optical_depths, const Matrix& probability) {
    return softly_extracted(optical_depths, one_minus(probability));
}

// alpha' = p alpha, so the optical depth becomes -log(1 - p alpha); an opaque sample that stays wholly has an infinite one.
Var softly_extracted(const Var& optical_depths, const Matrix& probability) {
    require_one_each(optical_depths, probability);
    Matrix edited(probability.rows, 1);
    for (int i = 0; i < edited.rows; ++i) {
        const double alpha = -std::expm1(-static_cast<double>(optical_depths.value()(i, 0)));
        edited(i, 0) = static_cast<float>(-std::log1p(-std::clamp(probability(i, 0), 0.f, 1.f) * alpha));
    }
    return edited;
}

Var recoloured(const Var& colours, const Var& edited, const Matrix& selected) {
    require_one_each(colours, selected);
    return add(multiply(colours, one_minus(selected)), multiply(edited, selected));
}

// --- weights ---

static Linear fresh_linear(Random& random, int in, int out) {
    const float bound = 1 / std::sqrt(static_cast<float>(in));
    return {.weight = parameter(uniform_matrix(random, in, out, -bound, bound)),
            .bias = parameter(uniform_matrix(random, 1, out, -bound, bound))};
}

static Network make_network(const Config& config, Random& random) {
    const int W = config.width, point = 3 + 6 * config.point_frequencies, direction = 3 + 6 * config.direction_frequencies;
    Network w;
    for (int i = 0; i < config.depth; ++i)
        w.points.push_back(fresh_linear(random, i == 0 ? point : skips_after(config, i - 1) ? W + point : W, W));
    w.density = fresh_linear(random, W, 1);
    w.feature = fresh_linear(random, W, W);
    w.direction = fresh_linear(random, W + direction, W / 2);
    w.colour = fresh_linear(random, W / 2, 3);
    return w;
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    Weights w;
    w.coarse = make_network(config, random);
    w.fine = make_network(config, random);
    w.features = {fresh_linear(random, 3 + 6 * config.feature_frequencies, config.feature_width),
                  fresh_linear(random, config.feature_width, config.feature_width),
                  fresh_linear(random, config.feature_width, config.features)};
    return w;
}

static void add_network(Parameters& table, const std::string& name, const Network& w) {
    for (std::size_t i = 0; i < w.points.size(); ++i)
        add_parameters(table, name + ".pts_linears." + text(static_cast<int>(i)), w.points[i]);
    add_parameters(table, name + ".views_linears.0", w.direction);
    add_parameters(table, name + ".feature_linear", w.feature);
    add_parameters(table, name + ".alpha_linear", w.density);
    add_parameters(table, name + ".rgb_linear", w.colour);
}

Parameters parameters(const Weights& w) {
    Parameters table;
    add_network(table, "network_fn_state_dict", w.coarse);
    add_network(table, "network_fine_state_dict", w.fine);
    // 1 and 3 are the activations between the layers.
    for (int i = 0; i < 3; ++i) add_parameters(table, "feature_encoder." + text(2 * i), w.features[i]);
    return table;
}

}  // namespace dff
