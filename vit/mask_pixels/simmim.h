// simmim.h: SimMIM. Masked image modelling without a decoder: mask tokens enter the ViT, one linear layer predicts the pixels.
//
//   paper    Xie et al., "SimMIM: A Simple Framework for Masked Image Modeling", 2021, arXiv 2111.09886
//   shows    that masked image modelling needs no decoder, tokenizer or special target, but the masked squares must be large
//   equations [ESPCN 4] pixel shuffle
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   U unit side   D width
//   differs  from the paper: its ViT variant, not Swin; the random permutation is an argument; no drop path
//   neighbour  mae.h differs in three choices: mask tokens only in the decoder, normalised targets, a squared error
//   next     simmim.cpp, then its walkthrough
#pragma once
#include <optional>
#include <vector>

#include "vit/vit.h"

namespace simmim {

// The defaults are the paper's ViT-Base/16.
struct Config {
    PatchGrid grid = {};           // H, W, P, C
    int mask_unit = 32;            // U, pixels; a multiple of P that divides H and W: the smallest square that is masked
    double mask_ratio = 0.6;       // fraction of the units that is masked
    int width = 768;               // D
    int depth = 12;                // blocks
    int heads = 12;                // H; must divide D
    double mlp_ratio = 4;          // inner width of the MLP / D
    bool query_value_bias = true;  // biases of queries and values; keys have none, it would cancel in the softmax
    std::optional<float> layer_scale = 0.1f;  // initial LayerScale factor of attention and MLP; nothing = no LayerScale
    bool absolute_positions = false;          // learned vectors added to the tokens
    bool shared_relative_bias = true;         // one table of relative positions for all blocks
    bool relative_bias_per_block = false;     // a table for each block
    bool mean_pooling = false;                // true: the last norm belongs to the classifier of fine-tuning, not to the encoder
    float eps = 1e-6f;                        // of every LayerNorm
};

int unit_count(const Config& config);    // (H / U)(W / U)
int masked_units(const Config& config);  // ratio * unit_count, rounded up

struct Weights {
    vit::Weights encoder;           // positions may be absent; no classifier; with mean_pooling the last norm is unused
    Var mask_token;                 // (1, D)      replaces masked patches in the encoder's input
    Var relative_table;             // (T, H)      shared by all blocks, or absent; see relative_position.h
    std::vector<Var> block_tables;  // (T, H) each, one for each block, or empty
    Linear decoder;                 // (D, C*P*P)  the whole decoder
};

// Fresh weights: a truncated normal distribution with standard deviation 0.02; the output projections of block l = 1, 2, ...
// are divided by sqrt(2 l), so that the residual stream does not grow with depth; biases and relative tables 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names, shapes and layout of the published pre-training checkpoints (their entry "model").
Parameters parameters(const Weights& w, const Config& config);

// Tensors of published files that are not parameters: the index of each pair of tokens, which relative_position.h computes.
LoadRules load_rules();

struct Steps {
    Matrix mask;              // (B, N)          1 = masked
    Matrix patches;           // (B*N, P*P*C)    also the target, not normalised
    Var patch_embeddings;     // (B*N, D)
    Var masked;               // (B*N, D)        masked patches replaced by the mask token
    Var z0;                   // (B*(N+1), D)    [cls] in front, plus absolute positions if present
    std::vector<Var> biases;  // (H*(N+1), N+1)  of each block; absent without relative positions
    StackSteps encoder;
    Var norm;            // (B*(N+1), D)
    Var decoder_output;  // (B*N, C*P*P)    channel slowest, as in the published convolution
    Var reconstruction;  // (B*N, P*P*C)    the same numbers as patches, channel fastest
};

// Masks whole units.
//   permutations  of the units of each image, one after the other: the first masked_units() of each are masked
//   returns       (B, N)
//   source        section 3.2, "Patch-aligned random masking"
Matrix random_masking(const std::vector<int>& permutations, const Config& config);

// From pixels to predicted pixels.
//   mask    (B, N), 1 = masked
//   throws  std::invalid_argument when an image is not (H, W, C) or the mask not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config);

// Pixel shuffle: column c * P*P + p becomes column p * C + c: (n, C*P*P) -> (n, P*P*C).
//   source  Shi et al. 2016 (ESPCN), arXiv 1609.05158, Eq. 4
Var pixel_shuffle(const Var& tokens, int patch_size, int channels);

// Mean absolute error of each patch, masked or not: (B*N, 1).
Var patch_losses(const Steps& steps);

// Its mean over the masked patches, (1, 1).
Var loss(const Steps& steps, const Config& config);

// The predicted images.
std::vector<Image> predicted_images(const Steps& steps, const Config& config);

// The mask in pixels, image by image: (B*H, W).
Matrix pixel_mask(const Matrix& mask, const Config& config);

// AvgDist: the distance of a masked pixel from the nearest visible one, in pixels, averaged over all masked pixels.
//   throws  std::invalid_argument when an image has no visible pixel, or nothing is masked
//   source  section 4.1.2, Fig. 3
double average_distance(const Matrix& mask, const Config& config);

}  // namespace simmim
