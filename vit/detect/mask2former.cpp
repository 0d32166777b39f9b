#include "vit/detect/mask2former.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/layers/model_config.h"
#include "nn/layers/names.h"
#include "nn/maps/resize.h"
#include "nn/training/loss.h"
#include "vit/detect/points.h"

namespace mask2former {

bool projects(const Config& config) { return config.always_project || config.feature_channels != config.width; }

// --- what a layer reads ---

// 1 ... length, stretched to 0 ... 2 pi, as DETR does
static std::vector<double> angles(int length) {
    std::vector<double> coordinates;
    for (int k = 1; k <= length; ++k) coordinates.push_back(k / (length + 1e-6) * 2 * std::numbers::pi);
    return coordinates;
}

Matrix sine_positions(int height, int width, int D) {
    require(D > 0 && D % 4 == 0, "sine_positions: a width of ", D,
            " does not split into sines and cosines of y and x; a multiple of 4 does");
    require(height > 0 && width > 0, "sine_positions: a map of ", height, " x ", width, ", both must be at least 1");
    require(static_cast<double>(height) * width <= std::numeric_limits<int>::max(), "sine_positions: a map of ", height, " x ",
            width, " pixels, more than the 2147483647 rows of a matrix");
    const Matrix of_rows = sine_code(angles(height), D / 2, SineOrder::interleaved);    // (h, D/2)
    const Matrix of_columns = sine_code(angles(width), D / 2, SineOrder::interleaved);  // (w, D/2)
    Matrix positions(height * width, D);
    for (int n = 0; n < positions.rows; ++n)
        for (int j = 0; j < D / 2; ++j) {
            positions(n, j) = of_rows(n / width, j);
            positions(n, D / 2 + j) = of_columns(n % width, j);
        }
    return positions;
}

MayAttend may_attend_unblocked(const Matrix& blocked) {
    for (const float x : blocked)
        require(x == 0 || x == 1, "mask2former: a mask of blocked pixels holds 1 (blocked) and 0 (free), not ", x);
    Matrix may(blocked.rows, blocked.cols);
    for (int i = 0; i < may.rows; ++i) {
        const bool all = std::count(blocked.row(i), blocked.row(i) + blocked.cols, 1.0f) == blocked.cols;
        for (int j = 0; j < may.cols; ++j) may(i, j) = all || blocked(i, j) == 0;  // [Mask2Former 3]
    }
    return may_attend(may);
}

// --- the prediction heads ---

// Every query's mask: its embedding times the features of every pixel of its image.   (B*Q, Cm), (B*Hm*Wm, Cm) -> (B*Q, Hm*Wm)
static Var mask_logits(const Var& embedding, const Map& features) {
    const int Q = embedding.rows() / features.size.images, pixels = features.size.pixels();
    std::vector<Var> images;
    for (int b = 0; b < features.size.images; ++b)
        images.push_back(matmul_transposed(slice_rows(embedding, b * Q, Q), slice_rows(features.pixels, b * pixels, pixels)));
    return concat_rows(images);
}

// Masks as maps of one channel: (M, H*W) -> M images of H x W.
static Map one_channel(const Var& masks, int height, int width) {
    return {reshape(masks, masks.rows() * height * width, 1), {masks.rows(), height, width}};
}

// 1 where a mask, resized to the level, is background. The logits are resized, not the probabilities. No gradient.
static Matrix background(const Var& masks, const MapSize& mask_size, const MapSize& level) {
    const Map shrunk =
        resize(one_channel(stop(masks), mask_size.height, mask_size.width), level.height, level.width, Interpolation::bilinear);
    Matrix blocked = reshape(shrunk.pixels.value(), masks.rows(), level.pixels());  // (B*Q, h*w)  logits
    for (float& x : blocked) x = x < 0;                                             // sigmoid(x) < 1/2
    return blocked;
}

Prediction predict(const Var& x, const Map& mask_features, const MapSize& next, const Weights& w, const Config& config) {
    Prediction result;
    result.normed = layer_norm(x, w.norm, config.eps);                                           // (B*Q, D)
    result.class_logits = linear(result.normed, w.classes);                                      // (B*Q, K + 1)
    const Var hidden1 = activate(linear(result.normed, w.mask_embedding[0]), Activation::relu);  // (B*Q, D)
    const Var hidden2 = activate(linear(hidden1, w.mask_embedding[1]), Activation::relu);        // (B*Q, D)
    result.mask_embedding = linear(hidden2, w.mask_embedding[2]);                                // (B*Q, Cm)
    result.mask_logits = mask_logits(result.mask_embedding, mask_features);                      // (B*Q, Hm*Wm)
    result.blocked = background(result.mask_logits, mask_features.size, next);                   // (B*Q, h*w)
    return result;
}

// --- the decoder ---

LayerSteps layer(const Var& x, const Var& source, const Matrix& positions, const MayAttend& may, const Layer& w,
                 const Weights& all, const Config& config) {
    const int B = x.rows() / config.queries, pixels = positions.rows;
    const Attending to_pixels{
        .segments = Segments::equal(B, config.queries), .key_segments = Segments::equal(B, pixels), .may = may};
    const Attending to_queries{.segments = Segments::equal(B, config.queries)};
    const bool before = config.pre_norm;
    LayerSteps steps;
    // Cross-attention comes first: the queries are the same for every image, so self-attention would add nothing before it.
    const Var asking = before ? layer_norm(x, w.cross_norm, config.eps) : x;  // (B*Q, D)
    steps.cross = attention({add_repeated(asking, all.query_positions), add_repeated(source, positions), source}, w.cross,
                            config.heads, to_pixels);
    const Var looked = add(x, steps.cross.output);                                       // (B*Q, D)   [Mask2Former 2]
    steps.after_cross = before ? looked : layer_norm(looked, w.cross_norm, config.eps);  // (B*Q, D)

    const Var values = before ? layer_norm(steps.after_cross, w.norm, config.eps) : steps.after_cross;  // (B*Q, D)
    const Var placed = add_repeated(values, all.query_positions);
    steps.attention = attention({placed, placed, values}, w.attention, config.heads, to_queries);
    const Var agreed = add(steps.after_cross, steps.attention.output);
    steps.after_attention = before ? agreed : layer_norm(agreed, w.norm, config.eps);  // (B*Q, D)

    const Var thinking = before ? layer_norm(steps.after_attention, w.mlp_norm, config.eps) : steps.after_attention;
    steps.mlp = mlp(thinking, w.mlp, config.activation);
    const Var thought = add(steps.after_attention, steps.mlp.output);
    steps.output = before ? thought : layer_norm(thought, w.mlp_norm, config.eps);  // (B*Q, D)
    return steps;
}

static void check_maps(const std::vector<Map>& features, const Map& mask_features, const Config& config) {
    require(static_cast<int>(features.size()) == config.levels, "mask2former: ", features.size(), " maps for ", config.levels,
            " levels, each needs one");
    require_map(mask_features, "mask2former", Where::current());
    require(mask_features.channels() == config.mask_channels, "mask2former: mask features of ", mask_features.channels(),
            " channels, this model reads ", config.mask_channels);
    for (const Map& map : features) {
        require_map(map, "mask2former", Where::current());
        require(map.channels() == config.feature_channels && map.size.images == mask_features.size.images,
                "mask2former: a map of ", shape(map.size), " and ", map.channels(), " channels beside mask features of ",
                shape(mask_features.size), ", this model reads ", config.feature_channels, " channels");
    }
}

Steps forward(const std::vector<Map>& features, const Map& mask_features, const Weights& w, const Config& config) {
    check(config);
    require_depth("mask2former", config.layers, w.layers.size());
    check_maps(features, mask_features, config);
    const int B = mask_features.size.images, Q = config.queries;
    Steps steps;
    steps.mask_size = mask_features.size;
    for (int l = 0; l < config.levels; ++l) {
        const MapSize size = features[l].size;
        const Map projected = projects(config) ? convolve(features[l], w.projections[l], {.side = 1}) : features[l];
        steps.sources.push_back(add(projected.pixels, slice_rows(w.level_embedding, l, 1)));  // (B*h*w, D)
        steps.positions.push_back(sine_positions(size.height, size.width, config.width));     // (h*w, D)
    }
    std::vector<int> repeated;
    for (int b = 0; b < B; ++b)
        for (int q = 0; q < Q; ++q) repeated.push_back(q);
    Var x = gather_rows(w.query_features, repeated);  // (B*Q, D)
    steps.predictions.push_back(predict(x, mask_features, features[0].size, w, config));
    for (int i = 0; i < config.layers; ++i) {
        const int l = i % config.levels, next = (i + 1) % config.levels;
        const MayAttend may = may_attend_unblocked(steps.predictions.back().blocked);  // (B*Q, h*w)
        LayerSteps computed = layer(x, steps.sources[l], steps.positions[l], may, w.layers[i], w, config);
        x = computed.output;
        if (steps_are_kept()) steps.layers.push_back(std::move(computed));
        steps.predictions.push_back(predict(x, mask_features, features[next].size, w, config));
    }
    return steps;
}

// --- matching ---

int certain_count(const Config& config) {
    check(config);
    return config.points - static_cast<int>(config.importance * config.points);
}
static int oversampled_count(const Config& config) { return static_cast<int>(config.points * config.oversample); }

Draws draw(const std::vector<Target>& targets, const Config& config, Random& random) {
    check(config);
    Draws draws;
    int matched = 0;
    for (const Target& target : targets) {
        draws.matching.push_back(uniform_matrix(random, config.points, 2));
        matched += static_cast<int>(target.labels.size());
    }
    draws.oversampled = uniform_matrix(random, matched * oversampled_count(config), 2);
    draws.uniform = uniform_matrix(random, matched * certain_count(config), 2);
    return draws;
}

Matrix matching_cost(const Matrix& class_logits, const Matrix& masks, const std::vector<int>& labels, const Matrix& target_masks,
                     const Config& config) {
    const int Q = masks.rows, n = static_cast<int>(labels.size()), P = masks.cols;
    require(class_logits.rows == Q && target_masks.rows == n && target_masks.cols == P && P > 0, "matching_cost: class logits ",
            class_logits, ", masks ", masks, " and ", target_masks, " of ", n,
            " targets; each query and each target needs its row, both masks the same points");
    for (const int label : labels)
        require(label >= 0 && label < class_logits.cols - 1, "matching_cost: label ", label, " of ", class_logits.cols - 1,
                " classes, counted from 0");
    const Matrix probabilities = softmax_rows(class_logits).value();  // (Q, K + 1)
    const Matrix if_empty = softplus(masks).value();                  // (Q, P)  -log(1 - p)
    const Matrix p = sigmoid(masks).value();                          // (Q, P)
    Matrix cost(Q, n);
    for (int q = 0; q < Q; ++q)
        for (int t = 0; t < n; ++t) {
            double cross_entropy = 0, both = 0, ours = 0, theirs = 0;
            for (int k = 0; k < P; ++k) {
                cross_entropy += static_cast<double>(if_empty(q, k)) - static_cast<double>(masks(q, k)) * target_masks(t, k);
                both += static_cast<double>(p(q, k)) * target_masks(t, k);
                ours += p(q, k);
                theirs += target_masks(t, k);
            }
            const double dice = 1 - (2 * both + 1) / (ours + theirs + 1);
            // No logarithm of the class probability: all three costs are then of about the same size.
            cost(q, t) = static_cast<float>(config.class_weight * -probabilities(q, labels[t]) +
                                            config.mask_weight * cross_entropy / P + config.dice_weight * dice);
        }
    return cost;
}

// `points` once for each of `count` masks, stacked vertically.
static Matrix repeated_points(const Matrix& points, int count) {
    Matrix repeated = Matrix::unset(count * points.rows, 2);
    for (int k = 0; k < count; ++k) std::copy(points.begin(), points.end(), repeated.row(k * points.rows));
    return repeated;
}

// Masks at points of their own: (M, H*W), (M*P, 2) -> (M, P).
static Var masks_at(const Var& masks, int height, int width, const Var& points) {
    return reshape(sample(one_channel(masks, height, width), points), masks.rows(), points.rows() / masks.rows());
}

// The targets of one image, assigned to its queries.
static void match_image(SetLosses& losses, const Prediction& prediction, const MapSize& size, int b, const Target& target,
                        const Matrix& points, const Config& config) {
    const NoTape constant;  // the assignment is a choice, not a function to differentiate
    const int Q = config.queries, n = static_cast<int>(target.labels.size());
    if (n == 0) {
        losses.costs.push_back(Matrix(Q, 0));
        losses.matches.push_back({});
        return;
    }
    const Var masks = slice_rows(prediction.mask_logits.value(), b * Q, Q);                              // (Q, Hm*Wm)
    const Var ours = masks_at(masks, size.height, size.width, repeated_points(points, Q));               // (Q, P)
    const Var theirs = masks_at(target.masks, target.height, target.width, repeated_points(points, n));  // (n, P)
    losses.costs.push_back(matching_cost(slice_rows(prediction.class_logits.value(), b * Q, Q), ours.value(), target.labels,
                                         theirs.value(), config));
    losses.matches.push_back(assign(losses.costs.back()));
}

// --- losses ---

// For each mask the points at which the loss is taken: of many drawn ones those whose logit is closest to 0, and some uniform ones.
//   masks (M, Hm*Wm)  ->  (M*P, 2)
static Matrix chosen_points(const Var& masks, const MapSize& size, const Draws& draws, const Config& config) {
    const NoTape constant;
    const int M = masks.rows(), many = oversampled_count(config), rest = certain_count(config), kept = config.points - rest;
    const Matrix logits = masks_at(stop(masks), size.height, size.width, draws.oversampled).value();  // (M, 3P)
    Matrix points = Matrix::unset(M * config.points, 2);
    for (int m = 0; m < M; ++m) {
        std::vector<int> order(many);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](int a, int b) { return std::abs(logits(m, a)) < std::abs(logits(m, b)); });
        float* to = points.row(m * config.points);
        for (int k = 0; k < kept; ++k) to = std::copy_n(draws.oversampled.row(m * many + order[k]), 2, to);
        std::copy_n(draws.uniform.row(m * rest), 2 * rest, to);
    }
    return points;
}

// Masks of all images as the rows of one matrix; where the images differ in size each is sampled by itself.
//   returns  (M, P)
static Matrix targets_at(const std::vector<Target>& targets, const SetLosses& matched, const Matrix& points,
                         const Config& config) {
    const NoTape constant;
    const int P = config.points;
    std::vector<Var> rows;
    int m = 0;
    for (std::size_t b = 0; b < targets.size(); ++b)
        for (const Matched& pair : matched.matches[b]) {
            const Matrix mask = slice_rows(targets[b].masks, pair.column, 1);  // (1, H*W)
            rows.push_back(masks_at(mask, targets[b].height, targets[b].width, slice_rows(points, m++ * P, P)));
        }
    return concat_rows(rows).value();
}

SetLosses set_losses(const Prediction& prediction, const MapSize& mask_size, const std::vector<Target>& targets,
                     const Draws& draws, const Config& config) {
    const int B = mask_size.images, Q = config.queries, K = config.classes;
    SetLosses losses;
    std::vector<int> labels(B * Q, K);  // a query without a target should predict "no object"
    std::vector<int> rows;              // of the matched queries, by image and then by query
    for (int b = 0; b < B; ++b) {
        match_image(losses, prediction, mask_size, b, targets[b], draws.matching[b], config);
        for (const Matched& pair : losses.matches[b]) {
            labels[b * Q + pair.row] = targets[b].labels[pair.column];
            rows.push_back(b * Q + pair.row);
        }
    }
    std::vector<float> class_weights(K, 1.0f);
    class_weights.push_back(config.no_object_weight);
    losses.classes = weighted_cross_entropy(prediction.class_logits, labels, class_weights);
    const int M = static_cast<int>(rows.size());
    if (M == 0) {  // nothing to find in the whole batch
        losses.mask = losses.dice = Matrix(1, 1);
        return losses;
    }
    require(draws.oversampled.rows == M * oversampled_count(config) && draws.uniform.rows == M * certain_count(config) &&
                draws.oversampled.cols == 2 && draws.uniform.cols == 2,
            "mask2former: points ", draws.oversampled, " and ", draws.uniform, " drawn for ", M, " matched masks; ",
            oversampled_count(config), " and ", certain_count(config), " for each are needed, x and y");
    const Var masks = gather_rows(prediction.mask_logits, rows);                  // (M, Hm*Wm)
    const Matrix points = chosen_points(masks, mask_size, draws, config);         // (M*P, 2)
    const Matrix theirs = targets_at(targets, losses, points, config);            // (M, P)
    const Var ours = masks_at(masks, mask_size.height, mask_size.width, points);  // (M, P)
    losses.mask = scale(sum(row_means(binary_losses(ours, theirs))), 1.0f / M);
    losses.dice = scale(sum(dice_losses(ours, theirs)), 1.0f / M);
    return losses;
}

static void check_targets(const std::vector<Target>& targets, const Config& config, int images) {
    require(static_cast<int>(targets.size()) == images, "mask2former: targets of ", targets.size(), " images for ", images,
            ", each needs its own, if only an empty one");
    for (const Target& target : targets) {
        const int n = static_cast<int>(target.labels.size());
        require(n <= config.queries, "mask2former: ", n, " targets in an image, only ", config.queries,
                " queries; each needs one of its own, take more queries");
        const bool has_size = target.height > 0 && target.width > 0;
        require(n == 0 || (has_size && target.masks.rows == n && target.masks.cols == target.height * target.width),
                "mask2former: masks ", target.masks, " for ", n, " targets of ", target.height, " x ", target.width,
                "; each is a row with one number a pixel");
        for (const float x : target.masks)
            require(x == 0 || x == 1, "mask2former: a target's mask holds ", x, ", it must hold 0 and 1");
        for (const int label : target.labels)
            require(label >= 0 && label < config.classes, "mask2former: label ", label, " is not one of ", config.classes,
                    " classes, counted from 0");
    }
}

Losses losses(const Steps& steps, const std::vector<Target>& targets, const std::vector<Draws>& draws, const Config& config) {
    check(config);
    check_targets(targets, config, steps.mask_size.images);
    require(draws.size() == steps.predictions.size(), "mask2former: draws for ", draws.size(), " sets of predictions, there are ",
            steps.predictions.size(), "; call draw() once for each");
    require(!draws.empty(), "mask2former: no predictions; forward() makes them");
    Losses all;
    for (std::size_t i = 0; i < draws.size(); ++i) {
        require(draws[i].matching.size() == targets.size(), "mask2former: points for ", draws[i].matching.size(),
                " images in set ", i, ", there are ", targets.size());
        for (const Matrix& points : draws[i].matching)
            require(points.rows == config.points && points.cols == 2, "mask2former: points ", points, " for matching in set ", i,
                    ", they must be (", config.points, ", 2)");
        all.sets.push_back(set_losses(steps.predictions[i], steps.mask_size, targets, draws[i], config));
        const SetLosses& set = all.sets.back();
        const Var masks = add(scale(set.mask, config.mask_weight), scale(set.dice, config.dice_weight));
        const Var weighted = add(scale(set.classes, config.class_weight), masks);
        all.total = all.total ? add(all.total, weighted) : weighted;
    }
    return all;
}

// --- inference ---

Matrix resized_masks(const Matrix& masks, int mask_height, int mask_width, int height, int width) {
    const Map resized = resize(one_channel(masks, mask_height, mask_width), height, width, Interpolation::bilinear);
    return reshape(resized.pixels.value(), masks.rows, height * width);
}

// One row of both for each query; a NaN would make a class of index 0 or none at all.
static void check_queries(const char* who, const Matrix& class_logits, const Matrix& masks) {
    require(class_logits.rows == masks.rows && class_logits.cols >= 2 && masks.cols > 0, who, ": class logits ", class_logits,
            " and masks ", masks, "; each query needs a row of both, with at least one class beside \"no object\"");
    require_finite(class_logits, who, "class logits");
    require_finite(masks, who, "masks");
}

Matrix semantic(const Matrix& class_logits, const Matrix& masks) {
    check_queries("semantic", class_logits, masks);
    const int K = class_logits.cols - 1;
    const Matrix probabilities = slice_cols(softmax_rows(class_logits).value(), 0, K);  // (Q, K)
    return transposed_matmul(probabilities, sigmoid(masks).value());                    // (K, pixels)
}

std::vector<int> semantic_classes(const Matrix& semantic) {
    const Matrix by_pixel = transpose(semantic);  // (pixels, K)
    std::vector<int> classes;
    for (int k = 0; k < by_pixel.rows; ++k) classes.push_back(argmax_row(by_pixel, k));
    return classes;
}

// Score of the class times the mean probability of the mask's own pixels.
static Instance instance_of(int query, int label, float class_score, const Matrix& masks, const Matrix& probabilities) {
    Instance instance{.query = query, .label = label, .mask = Matrix(1, masks.cols)};
    double certain = 0, pixels = 0;
    for (int k = 0; k < masks.cols; ++k) {
        if (masks(query, k) <= 0) continue;
        instance.mask(0, k) = 1;
        certain += probabilities(query, k);
        ++pixels;
    }
    instance.score = static_cast<float>(class_score * (certain / (pixels + 1e-6)));
    return instance;
}

std::vector<Instance> instances(const Matrix& class_logits, const Matrix& masks, int most, const std::vector<bool>& things) {
    check_queries("instances", class_logits, masks);
    const int Q = class_logits.rows, K = class_logits.cols - 1;
    require(most >= 1, "instances: at most ", most, " of them, it must be at least 1");
    require(things.empty() || static_cast<int>(things.size()) == K, "instances: ", things.size(), " kinds for ", K,
            " classes, each needs one; give none where all are things");
    const Matrix scores = softmax_rows(class_logits).value();  // (Q, K + 1)
    const Matrix probabilities = sigmoid(masks).value();       // (Q, pixels)
    std::vector<int> order(Q * K);                             // query * K + class
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores(a / K, a % K) > scores(b / K, b % K); });
    order.resize(std::min(most, Q * K));
    std::vector<Instance> found;
    for (const int pair : order)
        if (things.empty() || things[pair % K])
            found.push_back(instance_of(pair / K, pair % K, scores(pair / K, pair % K), masks, probabilities));
    std::stable_sort(found.begin(), found.end(), [](const Instance& a, const Instance& b) { return a.score > b.score; });
    return found;
}

namespace {

// A query that predicts an object, and its confidence.
struct Candidate {
    int query = 0, label = 0;
    float score = 0;
};

}  // namespace

static std::vector<Candidate> candidates_of(const Matrix& class_logits, float threshold) {
    const Matrix scores = softmax_rows(class_logits).value();
    std::vector<Candidate> candidates;
    for (int q = 0; q < scores.rows; ++q) {
        const int label = argmax_row(scores, q);
        if (label != scores.cols - 1 && scores(q, label) > threshold) candidates.push_back({q, label, scores(q, label)});
    }
    return candidates;
}

// For each pixel the candidate whose score times probability is the largest.
static std::vector<int> owners(const std::vector<Candidate>& candidates, const Matrix& probabilities) {
    std::vector<int> owner(probabilities.cols, 0);
    for (int pixel = 0; pixel < probabilities.cols; ++pixel)
        for (int c = 1; c < static_cast<int>(candidates.size()); ++c) {
            const Candidate& best = candidates[owner[pixel]];
            if (candidates[c].score * probabilities(candidates[c].query, pixel) > best.score * probabilities(best.query, pixel))
                owner[pixel] = c;
        }
    return owner;
}

Panoptic panoptic(const Matrix& class_logits, const Matrix& masks, const std::vector<bool>& things, float object_threshold,
                  float overlap_threshold) {
    const int pixels = masks.cols;
    check_queries("panoptic", class_logits, masks);
    require(static_cast<int>(things.size()) == class_logits.cols - 1, "panoptic: ", things.size(), " kinds for ",
            class_logits.cols - 1, " classes, each needs one");
    require(object_threshold >= 0 && object_threshold <= 1 && overlap_threshold >= 0 && overlap_threshold <= 1,
            "panoptic: thresholds ", object_threshold, " and ", overlap_threshold,
            ", both must lie between 0 and 1; 0.8 is usual");
    const Matrix probabilities = sigmoid(masks).value();  // (Q, pixels)
    const std::vector<Candidate> candidates = candidates_of(class_logits, object_threshold);
    Panoptic result{.ids = std::vector<int>(pixels, 0), .segments = {}};
    if (candidates.empty()) return result;
    const std::vector<int> owner = owners(candidates, probabilities);
    for (int c = 0; c < static_cast<int>(candidates.size()); ++c) {
        const Candidate& candidate = candidates[c];
        int owned = 0, whole = 0, left = 0;  // pixels that the query owns, those of its mask, and those that are both
        for (int k = 0; k < pixels; ++k) {
            const bool mine = owner[k] == c, inside = probabilities(candidate.query, k) >= 0.5f;
            owned += mine;
            whole += inside;
            left += mine && inside;
        }
        // The fraction counts all owned pixels, also those outside the mask.
        if (left == 0 || static_cast<float>(owned) / static_cast<float>(whole) < overlap_threshold) continue;
        const bool thing = things[candidate.label];
        int id = 0;
        for (const PanopticSegment& segment : result.segments)
            if (!thing && segment.label == candidate.label) id = segment.id;  // stuff of one class is one segment
        if (id == 0) {
            id = static_cast<int>(result.segments.size()) + 1;
            result.segments.push_back({id, candidate.label, thing, candidate.query});
        }
        for (int k = 0; k < pixels; ++k)
            if (owner[k] == c && probabilities(candidate.query, k) >= 0.5f) result.ids[k] = id;
    }
    return result;
}

// --- weights ---

void check(const Config& config) {
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0 && config.width % 4 == 0,
            "mask2former: a width of ", config.width, " must be divisible by its ", config.heads,
            " heads, and by 4 for the positions");
    require(config.feature_channels > 0 && config.mask_channels > 0 && config.queries > 0 && config.mlp_width > 0 &&
                config.levels > 0 && config.classes > 0 && config.layers >= 0,
            "mask2former: ", config.feature_channels, " and ", config.mask_channels, " channels, ", config.queries,
            " queries, inner width ", config.mlp_width, ", ", config.levels, " levels, ", config.classes, " classes, ",
            config.layers, " layers: only the layers may be 0");
    require(config.points > 0 && config.importance >= 0 && config.importance <= 1 && config.oversample >= config.importance,
            "mask2former: ", config.points, " points, oversampled ", config.oversample, " times, ", config.importance,
            " of them by importance: that many cannot be chosen");
    require(config.no_object_weight >= 0 && config.class_weight >= 0 && config.mask_weight >= 0 && config.dice_weight >= 0,
            "mask2former: weights ", config.class_weight, ", ", config.mask_weight, ", ", config.dice_weight, ", ",
            config.no_object_weight, ": none may be negative");
    require_eps("mask2former", config.eps);
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width;
    const Init xavier{.draw = Draw::xavier_uniform};
    Weights w;
    w.query_features = parameter(normal_matrix(random, config.queries, D));
    w.query_positions = parameter(normal_matrix(random, config.queries, D));
    w.level_embedding = parameter(normal_matrix(random, config.levels, D));
    if (projects(config))
        for (int l = 0; l < config.levels; ++l)
            w.projections.push_back(make_convolution(random, 1, config.feature_channels, D, xavier));
    for (int i = 0; i < config.layers; ++i) {
        Layer layer;
        layer.cross = make_attention(random, D, xavier);
        layer.attention = make_attention(random, D, xavier);
        layer.mlp = make_mlp(random, {.width = D, .mlp_width = config.mlp_width}, xavier);
        layer.cross_norm = make_layer_norm(D);
        layer.norm = make_layer_norm(D);
        layer.mlp_norm = make_layer_norm(D);
        w.layers.push_back(layer);
    }
    w.norm = make_layer_norm(D);
    w.classes = make_linear(random, D, config.classes + 1, xavier);
    for (int k = 0; k < 3; ++k) w.mask_embedding[k] = make_linear(random, D, k < 2 ? D : config.mask_channels, xavier);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const std::string predictor = "sem_seg_head.predictor.";
    Parameters table;
    for (const auto& [name, rows] : {std::pair{"query_feat", w.query_features}, std::pair{"query_embed", w.query_positions},
                                     std::pair{"level_embed", w.level_embedding}})
        table.push_back({predictor + name + ".weight", {rows.rows(), rows.cols()}, Stored::as_it_is, {rows}});
    for (std::size_t l = 0; l < w.projections.size(); ++l)
        add_parameters(table, predictor + "input_proj." + std::to_string(l), w.projections[l], 1);
    for (int i = 0; i < config.layers; ++i) {
        const Layer& layer = w.layers[i];
        const std::string number = std::to_string(i) + ".";
        Block cross, self, mlp;  // published as three lists of sublayers
        cross.cross = layer.cross;
        cross.norm_cross = layer.cross_norm;
        self.attention = layer.attention;
        self.norm1 = layer.norm;
        mlp.mlp = layer.mlp;
        mlp.norm2 = layer.mlp_norm;
        add_parameters(table, predictor + "transformer_cross_attention_layers." + number, cross, mask2former_names);
        add_parameters(table, predictor + "transformer_self_attention_layers." + number, self, mask2former_names);
        add_parameters(table, predictor + "transformer_ffn_layers." + number, mlp, mask2former_names);
    }
    add_parameters(table, predictor + "decoder_norm", w.norm);
    add_parameters(table, predictor + "class_embed", w.classes);
    for (int k = 0; k < 3; ++k) add_parameters(table, predictor + "mask_embed.layers." + std::to_string(k), w.mask_embedding[k]);
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{{"the number of heads", {"nheads", "num_attention_heads"}, "--heads N"}, &config.heads, From::file},
            {{"the place of the norms", {"pre_norm"}}, &config.pre_norm},
            {settings::eps, &config.eps},
            {{"the activation function", {"activation", "activation_function"}}, &config.activation},
            {{"the weight of the class loss", {"class_weight"}}, &config.class_weight},
            {{"the weight of the mask loss", {"mask_weight"}}, &config.mask_weight},
            {{"the weight of the dice loss", {"dice_weight"}}, &config.dice_weight},
            {{"the weight of 'no object'", {"no_object_weight"}}, &config.no_object_weight},
            {{"the number of points", {"train_num_points"}}, &config.points},
            {{"the oversampling of points", {"oversample_ratio"}}, &config.oversample},
            {{"the fraction of important points", {"importance_sample_ratio"}}, &config.importance}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string predictor = "sem_seg_head.predictor.", mlps = predictor + "transformer_ffn_layers.",
                      expand = ".linear1.weight", maps = predictor + "input_proj.0.weight";
    Config config;
    config.queries = size_of(checkpoint, predictor + "query_feat.weight", 0);
    config.width = size_of(checkpoint, predictor + "query_feat.weight", 1);
    config.levels = size_of(checkpoint, predictor + "level_embed.weight", 0);
    config.layers = count_blocks(checkpoint, mlps, expand);
    if (config.layers > 0) config.mlp_width = size_of(checkpoint, mlps + "0" + expand, 0);
    config.classes = size_of(checkpoint, predictor + "class_embed.weight", 0) - 1;  // the last is "no object"
    config.mask_channels = size_of(checkpoint, predictor + "mask_embed.layers.2.weight", 0);
    config.feature_channels = checkpoint.has(maps) ? size_of(checkpoint, maps, 1) : config.width;
    config.always_project = checkpoint.has(maps) && config.feature_channels == config.width;
    read_members(ModelConfig(checkpoint, given), members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("mask2former", members_of(copy));
}

}  // namespace mask2former
