// mask2former.h: Mask2Former. Semantic, instance and panoptic segmentation by one model: each query predicts a class and a mask.
//
//   paper    Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", 2022, arXiv 2112.01527
//   shows    that three tasks are one: Q queries, each with a class and a mask; and that a query learns faster when it attends only
//            to the pixels inside its previous mask (Eqs. 2-3)
//   equations [Mask2Former 2] cross-attention, [Mask2Former 3] its mask
//   symbols  B images   Q queries   D width   A heads   K classes, index K is "no object"   Cm channels of the mask features
//            Hm, Wm their size (stride 4)   (h_l, w_l) the size of level l, coarse first   n targets of an image   P points
//   differs  rows instead of (Q, B, D); the pixel decoder is left to the caller, who passes its maps (deformable.h is the published
//            one's operator, the walkthrough has a small one); every random draw is an argument; no dropout
//   neighbour  owl_vit.h predicts a box for each image token; here learned queries predict masks, and attend only inside them
//   next     mask2former.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/maps/map.h"
#include "vit/detect/matching.h"

namespace mask2former {

// The defaults are the paper's, with ResNet-50 on COCO.
struct Config {
    int feature_channels = 256;  // of the maps
    int width = 256;             // D
    int mask_channels = 256;     // Cm
    int queries = 100;           // Q
    int heads = 8;               // A; must divide D
    int mlp_width = 2048;
    int layers = 9;  // decoder layers; layer i reads level i mod levels
    int levels = 3;
    int classes = 80;             // K
    bool pre_norm = false;        // norms before the sublayers; after them in the published models
    bool always_project = false;  // a 1 x 1 convolution on the maps even where the channels are D already
    float eps = 1e-5f;            // of every LayerNorm
    Activation activation = Activation::relu;
    float class_weight = 2;  // weights of the three costs and losses
    float mask_weight = 5;
    float dice_weight = 5;
    float no_object_weight = 0.1f;  // of class K in the class loss
    int points = 12544;             // P, points at which masks are compared
    double oversample = 3;          // oversample * P points are drawn, and the least certain of them kept
    double importance = 0.75;       // fraction of the P points chosen in this way; the rest is uniform
};

// throws  std::invalid_argument in one line for an inconsistent config
void check(const Config& config);

bool projects(const Config& config);  // whether maps pass through a 1 x 1 convolution

struct Layer {
    Attention cross;  // queries to pixels
    Norm cross_norm;
    Attention attention;  // queries to queries
    Norm norm;
    Mlp mlp;
    Norm mlp_norm;
};

struct Weights {
    Var query_features;                    // (Q, D)  the queries before the first layer
    Var query_positions;                   // (Q, D)  added to them as queries and keys, not as values
    Var level_embedding;                   // (levels, D)
    std::vector<Convolution> projections;  // one for each level, or empty
    std::vector<Layer> layers;
    Norm norm;                 // before the prediction heads
    Linear classes;            // (D, K + 1)
    Linear mask_embedding[3];  // (D, D), (D, D), (D, Cm)
};

// Fresh weights: attention and projections Xavier-uniform, queries normal; biases 0, gains 1.
Weights make_weights(const Config& config, Random& random);

// Names of the published checkpoints, sem_seg_head.predictor.*
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- forward ---

// Fixed sine-cosine positions of a map: the first D/2 columns for y, the last for x; coordinates 1 ... h are mapped to 0 ... 2 pi.
//   returns  (h*w, D), D divisible by 4
Matrix sine_positions(int height, int width, int D);

struct Prediction {
    Var normed;          // (B*Q, D)
    Var class_logits;    // (B*Q, K + 1)
    Var mask_embedding;  // (B*Q, Cm)
    Var mask_logits;     // (B*Q, Hm*Wm)
    Matrix blocked;      // (B*Q, h_l*w_l)  1 = background, at the resolution of the next layer's level
};

// The attention mask: a query may attend to the pixels that are not blocked, or to all when all are blocked, because a softmax over
// no pixel is undefined.
MayAttend may_attend_unblocked(const Matrix& blocked);

// The three heads.   x (B*Q, D);  next  the size of the level that the next layer reads
Prediction predict(const Var& x, const Map& mask_features, const MapSize& next, const Weights& w, const Config& config);

struct LayerSteps {
    AttentionSteps cross;
    Var after_cross;  // (B*Q, D)
    AttentionSteps attention;
    Var after_attention;  // (B*Q, D)
    MlpSteps mlp;
    Var output;  // (B*Q, D)
};

struct Steps {
    std::vector<Matrix> positions;        // of each level (h_l*w_l, D)
    std::vector<Var> sources;             // of each level (B*h_l*w_l, D)  projected, plus the level embedding
    std::vector<LayerSteps> layers;       // empty unless steps are kept
    std::vector<Prediction> predictions;  // layers + 1: before the first layer, and after each
    MapSize mask_size;                    // B images of Hm x Wm
};

// One layer: masked cross-attention, self-attention, MLP.   x (B*Q, D), source (B*h*w, D), positions (h*w, D)
LayerSteps layer(const Var& x, const Var& source, const Matrix& positions, const MayAttend& may, const Layer& w,
                 const Weights& all, const Config& config);

// features  one map for each level, coarse first, all of B images
Steps forward(const std::vector<Map>& features, const Map& mask_features, const Weights& w, const Config& config);

// --- matching and losses ---

// The objects of one image.
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

// Weighted sum of the class, mask and dice cost of each query of an image with each target.
//   class_logits (Q, K + 1), masks (Q, P) logits at the points, target_masks (n, P)
//   returns (Q, n)
Matrix matching_cost(const Matrix& class_logits, const Matrix& masks, const std::vector<int>& labels, const Matrix& target_masks,
                     const Config& config);

struct SetLosses {
    std::vector<Matrix> costs;                  // of each image (Q, n)
    std::vector<std::vector<Matched>> matches;  // of each image, by query
    Var classes, mask, dice;                    // (1, 1) each, before their weights
};
struct Losses {
    std::vector<SetLosses> sets;  // of each prediction, in order
    Var total;                    // (1, 1)
};
SetLosses set_losses(const Prediction& prediction, const MapSize& mask_size, const std::vector<Target>& targets,
                     const Draws& draws, const Config& config);
// draws  for each prediction, in order
//   throws  std::invalid_argument when targets, predictions and draws do not fit together, or an image has more targets than queries
Losses losses(const Steps& steps, const std::vector<Target>& targets, const std::vector<Draws>& draws, const Config& config);

// --- inference ---

// Mask logits at the resolution of the image: (Q, Hm*Wm) -> (Q, height*width).
Matrix resized_masks(const Matrix& masks, int mask_height, int mask_width, int height, int width);

// Semantic segmentation. Score of each class at each pixel: sum over queries of softmax(class) sigmoid(mask), (K, pixels).
Matrix semantic(const Matrix& class_logits, const Matrix& masks);
std::vector<int> semantic_classes(const Matrix& semantic);  // the class of the largest score, for each pixel

struct Instance {
    int query = 0, label = 0;
    float score = 0;
    Matrix mask;  // (1, pixels) of 0 and 1
};
// Instance segmentation: the `most` pairs of query and class with the largest class probability. Score: class probability times the
// mean probability of the mask's pixels; best first.
//   things  class k is an object class where things[k] is true; empty = all are
std::vector<Instance> instances(const Matrix& class_logits, const Matrix& masks, int most, const std::vector<bool>& things = {});

struct PanopticSegment {
    int id = 0;  // 1, 2, ...
    int label = 0;
    bool thing = true;
    int query = 0;  // the query that predicted it, or the first of several
};
struct Panoptic {
    std::vector<int> ids;  // of each pixel; 0 = no segment
    std::vector<PanopticSegment> segments;
};
// Panoptic segmentation. Each pixel belongs to at most one segment; segments of the same stuff class are merged.
//   object_threshold   a query counts when its best class is an object and more probable than this
//   overlap_threshold  a segment is dropped when it keeps less than this fraction of its mask against the others
Panoptic panoptic(const Matrix& class_logits, const Matrix& masks, const std::vector<bool>& things, float object_threshold = 0.8f,
                  float overlap_threshold = 0.8f);

}  // namespace mask2former
