// mask2former.h: one model for semantic, instance and panoptic segmentation: queries that each look where their own mask is.
//
//   paper    Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", 2022, arXiv 2112.01527
//   shows    that three tasks are one: N queries, each with a class and a mask; and that a query learns faster when it attends only
//            to the pixels that its previous mask marks (Eqs. 2-3)
//   symbols  B images   Q queries   D width   A heads   K classes, index K is "no object"   Cm channels of the mask features
//            Hm, Wm their size (stride 4)   (h_l, w_l) the size of level l, coarse first   n targets of an image   P points
//   differs  rows instead of (Q, B, D); the pixel decoder is not part of it: it takes maps (deformable.h is the published one's
//            operator, the walkthrough has a small one); every random draw is an argument; no dropout
//   neighbour  owl_vit.h predicts a box for each image token; here learned queries predict masks, and attend only inside them
//   next     mask2former.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/maps/map.h"
#include "vit/detect/matching.h"

namespace mask2former {

// The defaults are the paper's, with ResNet-50 on COCO.
struct Config {
    int feature_channels = 256;        // of the maps
    int width = 256;                   // D
    int mask_channels = 256;           // Cm
    int queries = 100;                 // Q
    int heads = 8;                     // A; must divide D
    int mlp_width = 2048;
    int layers = 9;                    // decoder layers; layer i reads level i mod levels
    int levels = 3;
    int classes = 80;                  // K
    bool pre_norm = false;             // norms before the sublayers; the published models have them after
    bool always_project = false;       // a 1 x 1 convolution on the maps even where the channels are D already
    float eps = 1e-5f;                 // of every LayerNorm
    Activation activation = Activation::relu;
    float class_weight = 2;            // of the three costs and losses
    float mask_weight = 5;
    float dice_weight = 5;
    float no_object_weight = 0.1f;     // of class K in the class loss
    int points = 12544;                // P, points at which masks are compared
    double oversample = 3;             // how many times P points are drawn before the least certain are kept
    double importance = 0.75;          // share of the P points that are the least certain ones; the rest is uniform
};

// throws  std::invalid_argument in one line for a config that does not fit together
void check(const Config& config);

bool projects(const Config& config);  // whether maps go through a 1 x 1 convolution

struct Layer {
    Attention cross;      // queries to pixels
    Norm cross_norm;
    Attention attention;  // queries to queries
    Norm norm;
    Mlp mlp;
    Norm mlp_norm;
};

struct Weights {
    Var query_features;                   // (Q, D)  what a query starts as
    Var query_positions;                  // (Q, D)  added wherever queries ask or are asked
    Var level_embedding;                  // (levels, D)
    std::vector<Convolution> projections;  // of each level, or none
    std::vector<Layer> layers;
    Norm norm;                            // before the prediction heads
    Linear classes;                       // (D, K + 1)
    Linear mask_embedding[3];             // (D, D), (D, D), (D, Cm)
};

// Fresh weights: attention and projections Xavier-uniform, queries normal; biases 0, gains 1.
Weights make_weights(const Config& config, Random& random);

// Names of the published checkpoints, sem_seg_head.predictor.*
Parameters parameters(const Weights& w, const Config& config);

// --- forward ---

// The fixed positions of a map: the first D/2 columns for y, the last for x; coordinates 1 ... h become 0 ... 2 pi.
//   returns  (h*w, D), D divisible by 4
Matrix sine_positions(int height, int width, int D);

struct Prediction {
    Var normed;          // (B*Q, D)
    Var class_logits;    // (B*Q, K + 1)
    Var mask_embedding;  // (B*Q, Cm)
    Var mask_logits;     // (B*Q, Hm*Wm)
    Matrix blocked;      // (B*Q, h_l*w_l)  1 = background at the size of the next layer's level
};

// Which pixels each query may attend to: those not blocked; all where every one is blocked, since a softmax over nothing is none.
MayAttend may_attend_unblocked(const Matrix& blocked);

// The three heads.   x (B*Q, D);  next  the size of the level that the next layer reads
Prediction predict(const Var& x, const Map& mask_features, const MapSize& next, const Weights& w, const Config& config);

struct LayerSteps {
    AttentionSteps cross;
    Var after_cross;           // (B*Q, D)
    AttentionSteps attention;
    Var after_attention;       // (B*Q, D)
    MlpSteps mlp;
    Var output;                // (B*Q, D)
};

struct Steps {
    std::vector<Matrix> positions;        // of each level (h_l*w_l, D)
    std::vector<Var> sources;             // of each level (B*h_l*w_l, D)  projected, plus the level's vector
    std::vector<LayerSteps> layers;       // empty unless steps are kept
    std::vector<Prediction> predictions;  // layers + 1: before the first layer, and after each
    MapSize mask_size;                    // B images of Hm x Wm
};

// One layer: cross-attention where allowed, self-attention, MLP.   x (B*Q, D), source (B*h*w, D), positions (h*w, D)
LayerSteps layer(const Var& x, const Var& source, const Matrix& positions, const MayAttend& may, const Layer& w, const Weights& all,
                 const Config& config);

// features  one map for each level, coarse first, all of B images
Steps forward(const std::vector<Map>& features, const Map& mask_features, const Weights& w, const Config& config);

// --- matching and losses ---

// What is to be found in one image.
struct Target {
    int height = 0, width = 0;  // of the masks
    std::vector<int> labels;    // n classes, 0 ... K - 1; n <= Q
    Matrix masks = {};          // (n, height*width) of 0 and 1
};

// The points of one set of predictions, (x, y) from 0 to 1.
struct Draws {
    std::vector<Matrix> matching;  // of each image (P, 2), shared by all its masks
    Matrix oversampled;            // (n' * P * oversample, 2) for the n' matched masks, by image and then by query
    Matrix uniform;                // (n' * rest, 2), rest = P - importance * P
};
int certain_count(const Config& config);  // of the P points: those drawn uniformly, P - floor(importance P)
Draws draw(const std::vector<Target>& targets, const Config& config, Random& random);

// Class, mask and dice cost of each query of an image with each target, weighted and added up.
//   class_logits (Q, K + 1), masks (Q, P) logits at the points, target_masks (n, P)
//   returns (Q, n)
Matrix matching_cost(const Matrix& class_logits, const Matrix& masks, const std::vector<int>& labels, const Matrix& target_masks,
                     const Config& config);

struct SetLosses {
    std::vector<Matrix> costs;                   // of each image (Q, n)
    std::vector<std::vector<Matched>> matches;   // of each image, by query
    Var classes, mask, dice;                     // (1, 1) each, before their weights
};
struct Losses {
    std::vector<SetLosses> sets;  // of each prediction, in order
    Var total;                    // (1, 1)
};
SetLosses set_losses(const Prediction& prediction, const MapSize& mask_size, const std::vector<Target>& targets, const Draws& draws,
                     const Config& config);
// draws  for each prediction, in order
//   throws  std::invalid_argument when targets, predictions and draws do not fit together, or an image has more targets than queries
Losses losses(const Steps& steps, const std::vector<Target>& targets, const std::vector<Draws>& draws, const Config& config);

// --- what the queries say of an image ---

// Mask logits of an image in its own size: (Q, Hm*Wm) -> (Q, height*width).
Matrix resized_masks(const Matrix& masks, int mask_height, int mask_width, int height, int width);

// How much each class speaks for each pixel: sum over queries of softmax(class) sigmoid(mask), (K, pixels).
Matrix semantic(const Matrix& class_logits, const Matrix& masks);
std::vector<int> semantic_classes(const Matrix& semantic);  // the largest for each pixel

struct Instance {
    int query = 0, label = 0;
    float score = 0;
    Matrix mask;  // (1, pixels) of 0 and 1
};
// The `most` best of all Q K pairs of query and class, each scored by class and by how certain its mask is; the best first.
//   things  class k counts where things[k] is true; empty = all do
std::vector<Instance> instances(const Matrix& class_logits, const Matrix& masks, int most, const std::vector<bool>& things = {});

struct PanopticSegment {
    int id = 0;        // 1, 2, ...
    int label = 0;
    bool thing = true;
    int query = 0;     // the one that made it, or the first of them
};
struct Panoptic {
    std::vector<int> ids;  // of each pixel; 0 = nothing
    std::vector<PanopticSegment> segments;
};
// Every pixel to at most one segment; segments of one stuff class are one.
//   object_threshold   a query counts when its best class is an object and more probable than this
//   overlap_threshold  a segment is dropped when less than this share of its mask was left to it by the others
Panoptic panoptic(const Matrix& class_logits, const Matrix& masks, const std::vector<bool>& things, float object_threshold = 0.8f,
                  float overlap_threshold = 0.8f);

}  // namespace mask2former
