// eva.h: EVA. Predicts the features of a frozen CLIP, which sees the whole image, at the masked patches.
//
//   paper    Fang et al., "EVA: Exploring the Limits of Masked Visual Representation Learning at Scale", 2022, arXiv 2211.07636
//   shows    that a masked model can learn from a teacher without tokenizer, codebook or decoder: the target is the teacher's feature
//            itself, and only its direction counts
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   D width   F width of the
//            teacher's features   M masked patches of the whole batch   h heads   T rows of the relative table
//   differs  from the published code: the teacher's features and the mask are arguments; no drop path
//   neighbour  simmim.h (vit/mask_pixels) has the same encoder and predicts pixels; beit_v2.h predicts codes of such features
//   next     eva.cpp, then its walkthrough
#pragma once
#include <optional>
#include <vector>

#include "vit/vit.h"

namespace eva {

// The defaults are the paper's model of a billion parameters.
struct Config {
    PatchGrid grid = {.height = 224, .width = 224, .patch_size = 14};  // H, W, P, C
    int width = 1408;                                                  // D
    int depth = 40;                                                    // blocks
    int heads = 16;                                                    // h; must divide D
    int mlp_width = 6144;                                              // inner width of the MLP
    int feature_width = 768;                                           // F, of the teacher: CLIP ViT-L/14
    bool query_value_bias = true;           // biases of queries and values; keys have none, it would cancel in the softmax
    std::optional<float> layer_scale = {};  // initial LayerScale factor of attention and MLP; nothing = no LayerScale
    bool absolute_positions = true;         // learned vectors added to the tokens
    bool shared_relative_bias = false;      // one table of relative positions for all blocks
    float eps = 1e-6f;                      // of every LayerNorm
};

struct Weights {
    vit::Weights encoder;  // positions may be absent; no classifier
    Var mask_token;        // (1, D)  replaces masked patches in the encoder's input
    Var relative_table;    // (T, h)  shared by all blocks, or absent; see relative_position.h
    Linear head;           // (D, F)  "lm_head"
};

// Fresh weights: a truncated normal distribution with standard deviation 0.015; the output projections of block l = 1, 2, ... are
// divided by sqrt(2 l); biases and relative table 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, float stddev = 0.015f);

// Names, shapes and layout of the published pre-training checkpoint.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// Tensors of published files that are not parameters: the index of each pair of tokens, which relative_position.h computes.
LoadRules load_rules();

struct Steps {
    Matrix mask;           // (B, N)          1 = masked
    Matrix patches;        // (B*N, P*P*C)
    Var patch_embeddings;  // (B*N, D)
    Var masked;            // (B*N, D)        masked patches replaced by the mask token
    Var z0;                // (B*(N+1), D)    [cls] in front, plus absolute positions if present
    Var bias;              // (h*(N+1), N+1)  of all blocks; absent without relative positions
    StackSteps encoder;
    Var norm;                      // (B*(N+1), D)
    std::vector<int> masked_rows;  // M               rows of patches
    Var prediction;                // (M, F)
};

// From pixels to the predicted features of the masked patches.
//   mask    (B, N), 1 = masked
//   throws  std::invalid_argument when an image is not (H, W, C) or the mask not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config);

// The cosine between prediction and feature of each masked patch, (M, 1).
//   features  (B*N, F): the teacher's, of the whole image; their lengths do not matter
//   gradient  with unit vectors u of the prediction and v of the feature: (v - (u.v) u) / |prediction|, perpendicular to the
//             prediction: only its direction is learned
Var cosines(const Steps& steps, const Matrix& features);

// Minus their mean over the masked patches of the whole batch, (1, 1): -1 is perfect.
//   throws  std::invalid_argument when nothing is masked
Var loss(const Steps& steps, const Matrix& features);

}  // namespace eva
