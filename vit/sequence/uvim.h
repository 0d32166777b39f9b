// uvim.h: UViM. One model for segmentation and depth: a short learned code guides a feed-forward model where the output is ambiguous.
//
//   paper    Kolesnikov et al., "UViM: A Unified Modeling Approach for Vision with Learned Guiding Codes", 2022,
//            arXiv 2205.10337
//   shows    that a feed-forward model cannot choose between valid outputs (which of two dogs is number 1?), that a few bits can
//            choose for it, and that such bits can be learned: an oracle that sees the labels writes them through a narrow
//            bottleneck
//   symbols  B images   H, W height and width   n patches   D width   l code length   C width of a
//            code vector   K codes of the dictionary   q classes of an output   a pixels of a patch
//   stage I  this file: oracle (truth -> code) and base model (image, code -> truth), trained together
//   stage II uvim_lm.h: a language model writes the code from the image alone
//   differs  the draws of code dropout and of splits are arguments; a batch is stacked rows
//   shares   vit/mask_latents/vector_quantizer.h with BEiT v2 and MaskGIT: here codes are averaged sums, replaced when unused
//   neighbour  pix2seq.h writes the output token by token; here only a short code is written, and one pass computes the output
//   next     uvim.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "vit/mask_latents/vector_quantizer.h"

namespace uvim {

// One output of the model: one of q classes at each pixel.
struct Output {
    std::string name;              // "semantics", "instances", "depth"
    int classes = 0;               // q
    bool ignores_class_0 = false;  // depth: class 0 is "unknown"; its pixels have loss 0, but count in the mean
};

// The patch grid. A patch need not be square.
struct Grid {
    int height = 512, width = 512;            // H, W, pixels
    int patch_height = 16, patch_width = 16;  // must divide H and W
    int channels = 3;

    int down() const { return height / patch_height; }
    int across() const { return width / patch_width; }
    int count() const { return down() * across(); }          // n
    int area() const { return patch_height * patch_width; }  // a
    int numbers() const { return area() * channels; }        // of one patch of an image
};

// throws  std::invalid_argument when the patches do not divide the image, or a size is not positive; `who` begins the message
void check(const Grid& grid, const char* who);

// Reads H and W from where nn/layers/model_config.h looks: "512" or "512,384".
//   throws  std::invalid_argument, beginning with the path, for another number of numbers
void read_image_size(Grid& grid, const ModelConfig& model_config, const std::string& path);

// The patches of all images, stacked, channel fastest: (B*n, a*channels).
//   note    patchify_all() of nn/data/patches.h for patches of any shape
//   throws  std::invalid_argument when there is no image, or one does not fit; `who` begins the message
Matrix cut(const std::vector<Image>& images, const Grid& grid, const char* who);

// The defaults are the published panoptic model of COCO.
struct Config {
    Grid grid = {};
    std::vector<Output> outputs = {{"semantics", 134}, {"instances", 100}};
    int width = 768;       // D
    int oracle_depth = 6;  // blocks
    int base_depth = 12;   // blocks
    int heads = 12;        // must divide D
    int mlp_width = 3072;
    bool learned_positions = false;  // false: sines and cosines of row and column
    bool oracle_sees_image = false;
    bool base_sees_image = true;
    int code_length = 256;          // l
    bool resize_bottleneck = true;  // the code is a smaller grid, sqrt(l) x sqrt(l); false: two learned mixing matrices
    int codebook_size = 4096;       // K
    int code_width = 768;           // C
    float momentum = 0.995f;        // of the dictionary
    float min_count = 0.1f;         // codes with a smaller count are restarted
    float perturb = 0.001f;         // perturbation of a restarted code
    float commitment = 0;           // weight of the commitment loss; 0.25 for depth and colour
    float standardise_eps = 1e-5f;
    float eps = 1e-6f;  // of every LayerNorm
};

// Side of the code's grid, with resize_bottleneck.
int code_side(const Config& config);

// A ViT without embedding: blocks and the last norm.
struct Trunk {
    std::vector<Block> blocks;
    Norm norm;
};

struct Weights {
    std::vector<Linear> label_embeddings;  // (q*a, D) for each output
    Linear oracle_image, base_image;       // (a*channels, D), or absent
    Var oracle_positions, base_positions;  // (n, D), or absent: then they are sines and cosines
    Trunk oracle, base;
    Var to_code_positions, from_code_positions;  // (n, l) and (l, n), or absent: then the grid is resized
    Linear to_code;                              // (D, C)
    SummedCodebook dictionary;                   // sums (K, C), counts (1, K)
    Linear from_code;                            // (C, D)
    std::vector<Linear> heads;                   // (D, q*a) for each output
};

// Fresh weights: Xavier-uniform, positions normal; the dictionary is random unit rows with counts of 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::xavier_uniform});

// Names, shapes and layout of the published checkpoints, "params/..." and "state/...".
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- labels ---

// The classes of one output at each pixel, image by image, row by row: (B*H*W) -> (B*n, q*a), column k*a + p is class k at pixel p
// of the patch. A label outside the classes (void) becomes zeros, and does not enter the loss.
//   throws  std::invalid_argument when they are not whole images
Matrix one_hot(const std::vector<int>& labels, int classes, const Grid& grid);

// Depths in metres as classes: floor((d - min) / (max - min) bins), clamped to 0 ... bins - 1.
std::vector<int> depth_classes(const std::vector<float>& depths, double min, double max, int bins);

// --- the oracle: labels to code ---

struct OracleSteps {
    std::vector<Var> stems;  // (B*n, D)  one for each output
    Var z0;                  // (B*n, D)
    StackSteps blocks;
    Var norm;             // (B*n, D)
    Var bottleneck;       // (B*l, C)  standardised: mean 0, variance 1 in each row
    Quantized quantized;  // its ids are the code; its output (B*l, C) is the unit vectors of the codes
};

//   one_hots  (B*n, q*a) for each output
//   throws    std::invalid_argument when labels or images do not fit the config
OracleSteps oracle(const std::vector<Matrix>& one_hots, const std::vector<Image>& images, const Weights& w, const Config& config);

// --- the base model ---

struct BaseSteps {
    Var z0;  // (B*n, D)
    StackSteps blocks;
    Var norm;                 // (B*n, D)
    std::vector<Var> logits;  // (B*n, q*a)  for each output
};

//   code    (B*l, C)  code vectors
BaseSteps base(const Var& code, const std::vector<Image>& images, const Weights& w, const Config& config);

// The vectors of a given code, written by a language model for example: (B*l) -> (B*l, C).
Matrix vectors_of(const std::vector<int>& code, const Weights& w);

// Code dropout, so that short codes work too: position k has importance 1 - (k+1)/(l+1) and is kept if that exceeds t.
//   thresholds    (B), t of each image
//   permutations  (B*l), mask'[k] = mask[permutation[k]], so that random positions are dropped; empty = the last ones
//   returns       (B*l, 1)  1 = kept
Matrix kept_positions(const std::vector<float>& thresholds, const std::vector<int>& permutations, int code_length);

// Oracle, code dropout, base model.
struct Steps {
    OracleSteps oracle;
    BaseSteps base;
};
//   keep    (B*l, 1) of kept_positions(), or empty = all
Steps forward(const std::vector<Matrix>& one_hots, const std::vector<Image>& images, const Matrix& keep, const Weights& w,
              const Config& config);

// --- losses ---

// Cross-entropy of one output, the mean over all pixels, (1, 1).
Var output_loss(const Var& logits, const Matrix& one_hot, const Output& output);

struct Losses {
    std::vector<Var> outputs;  // one for each
    Var reconstruction;        // their sum
    Var commitment;            // mean (bottleneck - stop(code))^2, not yet weighted
    Var total;
};
Losses losses(const Steps& steps, const std::vector<Matrix>& one_hots, const Config& config);

// After each training step: updates sums and counts of the codes, and restarts unused codes.
//   uniforms  (rows, C), a row for each split (vector_quantizer.h)
//   returns   the number of splits
int update_dictionary(Weights& w, const OracleSteps& steps, const Matrix& uniforms, const Config& config);

// --- predictions ---

// The class of the largest logit at each pixel: (B*n, q*a) -> (B*H*W), image by image, row by row.
std::vector<int> classes_of(const Matrix& logits, int classes, const Grid& grid);

// Consistent semantics: each instance gets the class whose logits, summed over its pixels, are largest. (B*H*W)
std::vector<int> classes_of_instances(const Matrix& semantics, const Output& output, const std::vector<int>& instances,
                                      const Grid& grid);

// The centre of each depth class, in metres.
std::vector<float> depths_of(const std::vector<int>& classes, double min, double max, int bins);

// --- shared with stage II ---

// Sines and cosines of a grid, (rows*cols, D): [sin x, cos x, sin y, cos y] with x the column, w_i = 10000^(-i / (D/4 - 1)).
//   throws  std::invalid_argument unless D is divisible by 4 and at least 8
//   note    sine_cosine_grid() of nn/layers/position.h divides by D/4 (MAE)
Matrix sine_positions(int rows, int cols, int width);

Trunk make_trunk(int depth, const BlockShape& shape, Random& random, const Init& init);
void add_trunk(Parameters& table, const std::string& prefix, const Trunk& w, int heads);

}  // namespace uvim
