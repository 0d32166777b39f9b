// deformable.h: deformable attention. Each query reads a few points of its own choice instead of comparing itself with every key.
//
//   paper    Zhu et al., "Deformable DETR", 2021, arXiv 2010.04159, Eq. 3; the pixel decoder of Mask2Former has six layers of it
//   shows    that the cost of attention to feature maps need not grow with their size: there are no keys and no scores, a query alone
//            determines the sampling points and their weights
//   equations [Deformable DETR 3]
//   symbols  B images   n queries   D width   A heads   d = D / A head width   L levels of sizes (h_l, w_l)   P points per level and
//            head   S = sum of h_l w_l values of an image
//   next     deformable.cpp; points.h is the sampling
#pragma once
#include <vector>

#include "nn/layers/linear.h"
#include "nn/maps/map.h"

namespace deformable {

struct Config {
    int width = 256;  // D
    int heads = 8;    // A; must divide D
    int levels = 4;   // L
    int points = 4;   // P
};

struct Weights {
    Linear offsets;  // (D, A*L*P*2)  sampling offsets, in pixels of the level: columns in the order (head, level, point, x and y)
    Linear weights;  // (D, A*L*P)    attention weights of the points
    Linear value;    // (D, D)
    Linear output;   // (D, D)
};

// Fresh weights as published: offsets do not depend on the query yet, they lead in A directions from the reference, by p + 1 pixels
// for point p; all points have equal weight; the two projections are Xavier-uniform.
//   throws  std::invalid_argument when the heads do not divide the width, or a count is below 1
Weights make_weights(const Config& config, Random& random);

// Names of the published module, below `prefix`: "self_attn.".
Parameters parameters(const Weights& w, const std::string& prefix);

struct Steps {
    Var value;      // (B*S, D)       projected; 0 where padded
    Var offsets;    // (B*n, A*L*P*2)
    Var locations;  // (B*n, A*L*P*2)  point + offset / (w_l, h_l), or centre + offset / P * (width, height) / 2 of a box
    Var weights;    // (B*n*A, L*P)    softmax over the points of all levels
    Var context;    // (B*n, D)        sum of weight * value(location)
    Var output;     // (B*n, D)
};

// query       (B*n, D)
// references  of each query on each level, relative to the map, 0 ... 1. Either points, (B*n, L*2): x and y; offsets are then in
//             pixels of the level. Or boxes, (B*n, L*4): x and y of the centre, width and height; an offset of P then reaches the
//             edge of the box
// values      (B*S, D): for each image the pixels of level 0, then of level 1, ...
// sizes       (h_l, w_l) of each level, for B images
// padded      (B*S) 1 = padding, read as 0; empty = no padding
// throws      std::invalid_argument when these do not fit together
Steps attend(const Var& query, const Var& references, const Var& values, const std::vector<MapSize>& sizes,
             const std::vector<int>& padded, const Weights& w, const Config& config);

}  // namespace deformable
