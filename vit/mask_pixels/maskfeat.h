// maskfeat.h: MaskFeat. Predicts a HOG descriptor of each masked patch instead of its pixels.
//
//   paper    Wei et al., "Masked Feature Prediction for Self-Supervised Visual Pre-Training", 2021, arXiv 2112.09133
//   shows    that the target matters: a hand-crafted histogram of oriented gradients from 2005 competes with the features of a
//            trained network, because it omits what cannot be predicted (phase, brightness, contrast)
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   D width   M masked patches
//            of the whole batch   F = C*b*u*u numbers of a target (hog.h)
//   differs  from the paper: its ViT for images, not the MViT for video; the mask is an argument; no drop path
//   neighbour  simmim.h masks in the same way and predicts pixels
//   next     maskfeat.cpp, then its walkthrough
#pragma once
#include <vector>

#include "vit/mask_pixels/hog.h"
#include "vit/vit.h"

namespace maskfeat {

// The defaults are the paper's ViT-Base/16.
struct Config {
    PatchGrid grid = {};   // H, W, P, C
    hog::Config hog = {};  // b, c
    int width = 768;       // D
    int depth = 12;        // blocks
    int heads = 12;        // must divide D
    double mlp_ratio = 4;  // inner width of the MLP / D
    bool query_key_value_bias = true;
    bool class_token = true;  // a [cls] in front of each image
    float eps = 1e-6f;        // of every LayerNorm
};

int target_width(const Config& config);  // F

struct Weights {
    vit::Weights encoder;  // no classifier, no last norm: the head has its own; without class_token none, and N positions
    Var mask_token;        // (1, D)  replaces masked patches in the encoder's input
    Norm head_norm;        // over D
    Linear head;           // (D, F)
};

// Fresh weights: a truncated normal distribution with standard deviation 0.02, biases 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
//   differs the published code starts the biases of linear layers and LayerNorms at 0.02
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and layout of the published pre-training checkpoints (their entry "model_state").
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Matrix mask;           // (B, N)          1 = masked
    Matrix patches;        // (B*N, P*P*C)
    Var patch_embeddings;  // (B*N, D)
    Var masked;            // (B*N, D)        masked patches replaced by the mask token
    Var z0;                // (B*(N+1), D)    [cls] in front, plus positions
    StackSteps encoder;
    std::vector<int> masked_rows;  // M               rows of patches
    Var head_norm;                 // (M, D)
    Var prediction;                // (M, F)
};

// The descriptor of each patch of each image, (B*N, F). Constants: no gradient flows through them.
Matrix targets(const std::vector<Image>& images, const Config& config);

// From pixels to the predicted descriptors of the masked patches.
//   mask    (B, N), 1 = masked; the images may have different numbers of masked patches
//   throws  std::invalid_argument when an image is not (H, W, C) or the mask not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config);

// Mean squared error over all numbers of the masked patches of the batch, (1, 1).
//   targets  (B*N, F)
//   throws   std::invalid_argument when nothing is masked
Var loss(const Steps& steps, const Matrix& targets);

}  // namespace maskfeat
