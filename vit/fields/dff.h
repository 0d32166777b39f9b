// dff.h: Distilled feature fields (DFF). A radiance field also learns features of a 2-D network, by which its parts are selected.
//
//   papers   Mildenhall et al., "NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis", 2020, arXiv 2003.08934
//            Kobayashi et al., "Decomposing NeRF for Editing via Feature Field Distillation", 2022, arXiv 2205.15585
//   shows    that features are rendered as colours are, so many noisy 2-D maps become one consistent field; that a query selects a
//            part of the scene, and an edit changes density or colour at its points, before rendering
//   symbols  R rays   N coarse samples a ray   M further samples   S = N + M   L, Lv, Lf frequencies of points, directions, features
//            W width of the networks   C features   Q queries   z depth along a ray   sigma density
//   equations [NeRF 2] coarse depths, [NeRF 3] rendering, [NeRF 4] encoding, [NeRF 5] importance, [NeRF 6] loss
//   differs  the features come from a plain network of three layers (published: a hash grid and a fused network); features are
//            rendered as the paper says, not averaged at five points as the code release does (surface_features has those)
//   neighbour  plenoxels.h stores density and colour in a grid; here a network computes them, and a feature vector besides
//   next     dff.cpp, then its walkthrough, which puts features into the voxels of plenoxels.h
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/layers/linear.h"
#include "vit/fields/volume_rendering.h"

namespace dff {

// The defaults are those of the synthetic scenes.
struct Config {
    int depth = 8;                     // layers of a network
    int width = 256;                   // W
    std::vector<int> skips = {4};      // after these layers the encoded point is concatenated before the activation
    int point_frequencies = 10;        // L
    int direction_frequencies = 4;     // Lv
    int coarse_samples = 64;           // N
    int fine_samples = 128;            // M
    double near = 2, far = 6;          // depths between which samples lie, in steps along the direction
    bool linear_in_disparity = false;  // coarse samples evenly in 1/z instead of z
    bool white_background = true;
    float noise = 0;               // standard deviation of the noise added to densities in training
    int features = 512;            // C
    int feature_width = 64;        // of the feature network
    int feature_frequencies = 10;  // Lf
    float lambda_feature = 0.04f;  // of the feature loss
};

// One radiance field.
struct Network {
    std::vector<Linear> points;  // `depth` layers
    Linear density;              // (W, 1)    not activated
    Linear feature;              // (W, W)    not activated
    Linear direction;            // (W + 3 + 6 Lv, W / 2)
    Linear colour;               // (W / 2, 3)
};
struct Weights {
    Network coarse, fine;
    std::vector<Linear> features;  // 3 layers, from the encoded point to C
};

// Fresh weights, uniform within 1 / sqrt(inputs) as in PyTorch.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names of the published checkpoints ("network_fn_state_dict.pts_linears.0.weight"); the fine network is network_fine_state_dict.
Parameters parameters(const Weights& w);

// --- NeRF ---

// gamma(p) = [p, sin p, cos p, sin 2p, cos 2p, ..., cos 2^(L-1) p], each block as wide as p. There is no factor pi.
//   p  (n, 3) -> (n, 3 + 6 L)
Matrix encode(const Matrix& points, int frequencies);

// Depths of the coarse samples, evenly spaced from near to far; with draws, stratified: each lies between the midpoints to its left
// and right.
//   draws    (R, N) in [0, 1), or empty
//   returns  (R, N)
Matrix coarse_depths(int rays, const Config& config, const Matrix& draws = {});

// Importance sampling: M further depths by the inverse of the cumulative distribution of the weights over the midpoints between the
// depths. The first and the last weight are ignored. No gradient.
//   depths, weights  (R, N)
//   draws            (R, M) in [0, 1), or empty for evenly spaced ones from 0 to 1
Matrix importance_depths(const Matrix& depths, const Matrix& weights, int count, const Matrix& draws = {});

// Points o + z d: (R*N, 3).
Matrix points_at(const Rays& rays, const Matrix& depths);

// One network on all samples of all rays.
struct Pass {
    Matrix depths;    // (R, S)
    Matrix points;    // (R*S, 3)
    Matrix embedded;  // (R*S, 3 + 6 L)
    Var raw;          // (R*S, 4)  red, green, blue, density; none of them activated
    Matrix steps;     // (R*S, 1)  length of each step in the world; of the last sample 1e10 times the direction's length
    Segments rays;
    Var colours;         // (R*S, 3)  sigmoid of the raw ones
    Var optical_depths;  // (R*S, 1)  relu(density + noise) * step
    Var quiet_depths;    // (R*S, 1)  the same without noise: input of edits
    Rendering rendering;
    Var opacity;  // (R, 1)    sum of the weights
    Var depth;    // (R, 1)    sum of weights times depths
    Var pixels;   // (R, 3)
};

// All random numbers; an empty matrix means deterministic.
struct Draws {
    Matrix coarse = {};        // (R, N)  uniform
    Matrix fine = {};          // (R, M)  uniform
    Matrix noise_coarse = {};  // (R, N)  standard normal
    Matrix noise_fine = {};    // (R, N + M)
};

struct Steps {
    Matrix embedded_directions;  // (R, 3 + 6 Lv)
    Pass coarse;
    Matrix new_depths;      // (R, M)
    Pass fine;              // all N + M depths in order
    Var features;           // (R*S, C)  of the fine samples
    Var rendered_features;  // (R, C)    with the fine weights, which get no gradient from them
};

// The whole model.   throws std::invalid_argument when the sizes of draws do not fit
Steps forward(const Rays& rays, const Weights& w, const Config& config, const Draws& draws = {});

// Population standard deviation of each ray's new depths, (R, 1).
Matrix depth_standard_deviation(const Matrix& new_depths);

// --- distillation ---

// f of the points, without direction: (n, 3) -> (n, C).
Var features_at(const Matrix& points, const Weights& w, const Config& config);

// Renders features with constant weights: the feature loss must not change the density.
Var render_features(const Var& weights, const Var& features, const Segments& rays);

// What the released code compares instead: the mean of f at five points around the rendered depth, at -5, -2, 0, 2, 5 thousandths
// along the unit direction. (R, C)
Var surface_features(const Rays& rays, const Steps& steps, const Weights& w, const Config& config);

// Mean over the rays of the squared distance to the teacher's features, (1, 1).
Var feature_loss(const Var& rendered, const Matrix& teacher);

struct Losses {
    Var fine, coarse;  // (1, 1)  mean squared errors of the pixels
    Var feature;       // (1, 1)  without its factor
    Var total;         // (1, 1)
};
Losses loss(const Steps& steps, const Matrix& target, const Matrix& teacher, const Config& config);

// --- queries ---

struct Query {
    Matrix vectors;                   // (Q, C)  the teacher's features of words or colours
    std::vector<int> positive = {0};  // rows that are selected; the others are negatives
    bool by_threshold = false;        // several vectors: select where the positive probability reaches the threshold,
                                      // otherwise where a positive row is the most probable. One vector: always by threshold
    float threshold = 0.4f;
    float sharpness = 1;  // factor of the cosines before softmax; 1 in the published code
};
struct Selection {
    Matrix cosine;       // (n, Q)
    Matrix probability;  // (n, Q)  softmax over the queries; for one query the cosine itself
    Matrix positive;     // (n, 1)  sum over the positive rows
    Matrix selected;     // (n, 1)  0 or 1
};

// The points that the query selects.
//   features  (n, C), of any length
//   throws    std::invalid_argument when the widths differ, or a positive row does not exist
Selection select(const Matrix& features, const Query& query);

// --- edits: changes of optical depths (n, 1) or colours (n, 3) at the samples, before rendering ---

Var removed(const Var& optical_depths, const Matrix& selected);    // 0 where selected
Var extracted(const Var& optical_depths, const Matrix& selected);  // 0 where not selected
// The opacity of a sample is multiplied by 1 - p, or by p; p is clamped to 0 ... 1. No gradient.
Var softly_removed(const Var& optical_depths, const Matrix& probability);
Var softly_extracted(const Var& optical_depths, const Matrix& probability);
// `edited` where selected, `colours` elsewhere.
Var recoloured(const Var& colours, const Var& edited, const Matrix& selected);

}  // namespace dff
