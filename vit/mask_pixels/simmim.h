// simmim.h: the plainest way to learn from hidden pixels: cover squares with one learned token, run the ViT, regress the colours.
//
//   paper    Xie et al., "SimMIM: A Simple Framework for Masked Image Modeling", 2021, arXiv 2111.09886
//   shows    that no decoder, no tokenizer and no special target is needed, but the hidden squares must be large
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   U unit side   D width
//   differs  from the paper: its ViT variant, not Swin; the random permutation comes in as an argument; no drop path
//   neighbour  mae.h answers the same three questions otherwise: who sees mask tokens, what is the target, which loss
//   next     simmim.cpp, then its walkthrough
#pragma once
#include <optional>
#include <vector>

#include "vit/vit.h"

namespace simmim {

// The defaults are the paper's ViT-Base/16.
struct Config {
    PatchGrid grid = {};                      // H, W, P, C
    int mask_unit = 32;                       // U, pixels; a multiple of P that divides H and W: the smallest square that is hidden
    double mask_ratio = 0.6;                  // share of the units that is hidden
    int width = 768;                          // D
    int depth = 12;                           // blocks
    int heads = 12;                           // H; must divide D
    double mlp_ratio = 4;                     // inner width of the MLP / D
    bool query_value_bias = true;             // queries and values have a bias; keys never do, it would cancel in the softmax
    std::optional<float> layer_scale = 0.1f;  // where the factors of attention and MLP begin; nothing = no such factors
    bool absolute_positions = false;          // learned vectors added to the tokens
    bool shared_relative_bias = true;         // one table of relative positions for all blocks
    bool relative_bias_per_block = false;     // a table for each block
    bool mean_pooling = false;                // true: the last norm is left to the classifier that follows pre-training
    float eps = 1e-6f;                        // of every LayerNorm
};

int unit_count(const Config& config);    // (H / U)(W / U)
int hidden_units(const Config& config);  // ratio * unit_count, rounded up

struct Weights {
    vit::Weights encoder;             // without absolute positions no value there; no classifier; with mean_pooling its last norm
                                      // waits for the classifier
    Var mask_token;                   // (1, D)      stands in the encoder's input wherever a patch is hidden
    Var relative_table;               // (T, H)      shared by all blocks, or no value; see relative_position.h
    std::vector<Var> block_tables;    // (T, H) each, one for each block, or none at all
    Linear decoder;                   // (D, C*P*P)  the whole decoder
};

// Fresh weights: a truncated normal distribution with standard deviation 0.02; the output projections of block l = 1, 2, ...
// are divided by sqrt(2 l), so that the residual stream does not grow with depth; biases and relative tables 0, gains 1.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random);

// Names, shapes and places of the published pre-training checkpoints (their entry "model").
Parameters parameters(const Weights& w, const Config& config);

// What the published files hold besides: the index of every pair of tokens, which relative_position.h computes.
LoadRules load_rules();

struct Steps {
    Matrix mask;                   // (B, N)          1 = hidden
    Matrix patches;                // (B*N, P*P*C)    also what is to be predicted, as it is
    Var patch_embeddings;          // (B*N, D)
    Var masked;                    // (B*N, D)        mask tokens in place of the hidden ones
    Var z0;                        // (B*(N+1), D)    [cls] in front, absolute positions where there are any
    std::vector<Var> biases;       // (H*(N+1), N+1)  of each block; no value where there are no relative positions
    StackSteps encoder;
    Var norm;                      // (B*(N+1), D)
    Var decoder_output;            // (B*N, C*P*P)    the channel changes slowest, as the published convolution has it
    Var reconstruction;            // (B*N, P*P*C)    the same numbers as pixels of patches, the channel fastest
};

// Hides whole units.
//   permutations  of the units of each image, one after the other: the first hidden_units() of each are hidden
//   returns       (B, N)
//   source        section 3.2, "Patch-aligned random masking"
Matrix random_masking(const std::vector<int>& permutations, const Config& config);

// From pixels to predicted pixels.
//   mask    (B, N), 1 = hidden
//   throws  std::invalid_argument when an image is not (H, W, C) or the mask not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config);

// Columns c * P*P + p become columns p * C + c: (n, C*P*P) -> (n, P*P*C). With it the depth of a token becomes pixels.
//   source  "pixel shuffle", Shi et al. 2016, arXiv 1609.05158, Eq. 4
Var pixel_shuffle(const Var& tokens, int patch_size, int channels);

// Mean absolute error of every patch, hidden or not: (B*N, 1).
Var patch_losses(const Steps& steps);

// Its mean over the hidden patches, (1, 1).
Var loss(const Steps& steps, const Config& config);

// The predicted pictures.
std::vector<Image> predicted_images(const Steps& steps, const Config& config);

// The mask in pixels, image by image: (B*H, W).
Matrix pixel_mask(const Matrix& mask, const Config& config);

// AvgDist: from each hidden pixel to the nearest visible one, in pixels, the mean over all hidden pixels.
//   throws  std::invalid_argument when an image has no visible pixel, or nothing is hidden
//   source  section 4.1.2, Fig. 3
double average_distance(const Matrix& mask, const Config& config);

}  // namespace simmim
