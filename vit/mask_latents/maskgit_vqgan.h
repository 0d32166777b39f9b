// maskgit_vqgan.h: VQGAN, MaskGIT's tokenizer. A convolutional encoder turns an image into discrete codes, a decoder restores it.
//
//   papers   Chang et al., "MaskGIT", 2022, arXiv 2202.04200; Esser et al., "Taming Transformers" (VQGAN), 2020, arXiv 2012.09841
//   shows    that a codebook can be trained by gradient: vectors move to their codes, and codes to their vectors
//   symbols  B images   H, W height and width   levels: each halves height and width, h and w at the last   E width of a code
//            K codes
//   layout   a map is a row for each pixel (nn/maps/map.h); convolutions keep the size ("SAME")
//   differs  the published training adds a perceptual loss and a discriminator, whose code is not published; here the loss is the
//            squared error and the quantizer's
//   neighbour  beit_v2.h has a tokenizer that reconstructs a teacher's features; this one reconstructs pixels
//   next     maskgit_vqgan.cpp; maskgit.h generates images from these codes
#pragma once
#include <vector>

#include "nn/layers/activation.h"
#include "nn/maps/convolution.h"
#include "nn/maps/group_norm.h"
#include "vit/mask_latents/vector_quantizer.h"

namespace maskgit_vqgan {

// The assignment in the entropy term: softmax of the distances, or the nearest code alone.
enum class EntropyTarget { softmax, argmax };

// The defaults are the published tokenizer.
struct Config {
    int channels = 3;                                // of the image
    int filters = 128;                               // channels of level 0
    std::vector<int> multipliers = {1, 1, 2, 2, 4};  // channels of each level, in units of `filters`
    int res_blocks = 2;                              // at each level, and once more in the middle
    int groups = 32;                                 // of every GroupNorm
    float eps = 1e-6f;                               // of every GroupNorm
    Activation activation = Activation::silu;        // "swish" in the published code
    bool strided_downsampling = false;               // true: a 4 x 4 convolution with stride 2; false: the mean of 2 x 2 pixels
    int code_width = 256;                            // E
    int codes = 1024;                                // K
    float commitment = 0.25f;
    float entropy_ratio = 0.1f;  // weight of the entropy term; 0 = none
    float entropy_temperature = 0.01f;
    EntropyTarget entropy_target = EntropyTarget::softmax;
};

struct ResBlock {
    Norm norm1;
    Convolution conv1;  // 3 x 3, no bias
    Norm norm2;
    Convolution conv2;     // 3 x 3, no bias
    Convolution shortcut;  // 1 x 1, no bias; only where the number of channels changes
};

// The convolutions and residual blocks of encoder or decoder, in the order of the forward pass.
struct Half {
    std::vector<Convolution> convolutions;
    std::vector<ResBlock> blocks;
    Norm norm;  // before the last convolution
};

struct Weights {
    Half encoder;
    Var codebook;  // (K, E)
    Half decoder;
};

// Fresh weights: Xavier-uniform; codes uniform with variance 1 / K.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::xavier_uniform});

// Names, shapes and layout of the published checkpoint ("params/encoder/ResBlock_0/Conv_0/kernel").
Parameters parameters(const Weights& w, const Config& config);

// x + y with y the output of the block's convolutions. Where the number of channels changes, the published code applies the 1 x 1
// convolution to y, not to x: the block is then y + conv1x1(y), without a residual connection.
Map res_block(const Map& x, const ResBlock& w, const Config& config);

struct HalfSteps {
    std::vector<Map> convolutions;  // output of each
    std::vector<Map> blocks;
};

struct Steps {
    HalfSteps encoder;
    Map raw;              // (B*h*w, E)
    Quantized quantized;  // its ids are the codes
    HalfSteps decoder;
    Map reconstruction;  // (B*H*W, channels)
};

// Pixels to vectors, and vectors to pixels.
Map encode(const Map& images, const Weights& w, const Config& config, HalfSteps* steps = nullptr);
Map decode(const Map& codes, const Weights& w, const Config& config, HalfSteps* steps = nullptr);

// Both, with quantisation between them.   throws std::invalid_argument when the images have other channels
Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config);

// The image of these codes.   size: of the grid of codes
Map paint(const std::vector<int>& ids, const MapSize& size, const Weights& w, const Config& config);

// Rewards confident assignments and use of all codes: mean entropy of p minus entropy of the mean of p, times the ratio,
// p = softmax(-d / tau); (1, 1).
Var entropy_loss(const Var& distances, const Config& config);

struct Losses {
    Var commitment;      // weight times mean (raw - stop(code))^2
    Var codebook;        // mean (code - stop(raw))^2
    Var entropy;         // 0 when its ratio is 0
    Var quantizer;       // the sum of these
    Var reconstruction;  // mean squared error
    Var total;
};
Losses losses(const Steps& steps, const std::vector<Image>& images, const Config& config);

}  // namespace maskgit_vqgan
