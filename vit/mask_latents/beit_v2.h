// beit_v2.h: BEiT v2. A tokenizer learns discrete visual tokens from a teacher's features; a masked ViT then predicts them.
//
//   paper    Peng et al., "BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers", 2022, arXiv 2208.06366
//   shows    that visual tokens learned by distillation (VQ-KD: codes reconstruct a teacher's features, not the pixels) are semantic,
//            and that a second branch with early patch tokens ("patch aggregation") makes [cls] summarise the whole image
//   equations [BEiT v2 1] codes, [BEiT v2 2] tokenizer loss, [BEiT v2 3] masked loss
//   symbols  B images   N patches   d width of the tokenizer   c width of a code   K codes   F width of the teacher's features
//            D width of the masked model   L its blocks   E early block   M masked patches of all images together
//   differs  the teacher's features and the mask are arguments; no drop path; a batch is stacked rows
//   neighbour  mask_pixels/simmim.h masks patches in the same way and predicts their pixels
//   next     beit_v2.cpp, then its walkthrough
#pragma once
#include <optional>
#include <vector>

#include "vit/mask_latents/vector_quantizer.h"
#include "vit/vit.h"

namespace beit_v2 {

// --- stage 1: the tokenizer (VQ-KD) ---

// The defaults are the published tokenizer with CLIP ViT-B/16 as its teacher.
struct TokenizerConfig {
    PatchGrid grid = {};  // H, W, P, C
    int width = 768;      // d, of encoder and decoder
    int encoder_depth = 12;
    int decoder_depth = 3;
    int heads = 12;                // must divide d
    double mlp_ratio = 4;          // inner width of the MLP / d
    bool query_value_bias = true;  // biases of queries and values; keys have none
    int codes = 8192;              // K
    int code_width = 32;           // c
    int teacher_width = 512;       // F
    float decay = 0.99f;           // of the codebook's moving average
    float beta = 1;                // weight of the commitment loss
    float eps = 1e-6f;             // of every LayerNorm
};

struct TokenizerWeights {
    vit::Weights encoder;                  // its last norm is applied to the patch tokens; no classifier
    Linear to_code_hidden, to_code;        // (d, d), (d, c), a tanh between them
    Var codebook;                          // (K, c)  rows of length 1; a constant: no gradient, updated by update_codebook
    Var cluster_size;                      // (1, K)  running counts; a constant, unused
    vit::Weights decoder;                  // reads codes: its projection is (c, d)
    Linear to_teacher_hidden, to_teacher;  // (d, d), (d, F), a tanh between them
};

// Fresh weights; the codebook is random unit rows until start_codebook() is called.
//   throws  std::invalid_argument for an inconsistent config
TokenizerWeights make_weights(const TokenizerConfig& config, Random& random, const Init& init = {});

// Names, shapes and layout of the published tokenizer checkpoints, including the codebook and its statistics.
Parameters parameters(const TokenizerWeights& w, const TokenizerConfig& config);

// The configuration of a tokenizer's checkpoint: sizes from its shapes, the rest from where nn/layers/model_config.h looks.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
TokenizerConfig tokenizer_config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const TokenizerConfig& config);
LoadRules tokenizer_load_rules();  // ignores three more, unused tensors of the codebook

struct TokenizerSteps {
    std::vector<Image> scaled;  // -1 ... 1
    Var encoder_z0;             // (B*(N+1), d)
    StackSteps encoder;
    Var encoder_features;  // (B*N, d)  fc_norm, without [cls]
    Var to_quantizer;      // (B*N, c)
    Var z;                 // (B*N, c)  rows of length 1
    Quantized quantized;   // its ids are the visual tokens
    Var decoder_z0;        // (B*(N+1), d)
    StackSteps decoder;
    Var decoder_features;  // (B*N, d)
    Var reconstruction;    // (B*N, F)  of the teacher's features
};

// Maps 0 ... 1 to -1 ... 1. A batch with a number above 1 is assumed to be 0 ... 255, as in the published code.
std::vector<Image> scale_images(const std::vector<Image>& images);

// The whole tokenizer.   throws std::invalid_argument when an image is not (H, W, C)
TokenizerSteps tokenize(const std::vector<Image>& images, const TokenizerWeights& w, const TokenizerConfig& config);

// Mean over patches of 1 - cosine with the teacher's feature: (1, 1).   teacher (B*N, F)
Var reconstruction_loss(const TokenizerSteps& steps, const Matrix& teacher);
// beta * mean (stop(code) - z)^2, (1, 1).
Var quantize_loss(const TokenizerSteps& steps, const TokenizerConfig& config);
// Their sum.
Var loss(const TokenizerSteps& steps, const Matrix& teacher, const TokenizerConfig& config);

// After each training step: codes move towards the mean direction of the vectors assigned to them (average_directions).
void update_codebook(TokenizerWeights& w, const TokenizerSteps& steps, const TokenizerConfig& config);
// Before the first step: `rounds` iterations of k-means on the batch's z, from random rows.
void start_codebook(TokenizerWeights& w, const TokenizerSteps& steps, Random& random, int rounds = 10);

// --- stage 2: the masked model ---

// The defaults are the published ViT-Base.
struct Config {
    PatchGrid grid = {};                      // H, W, P, C
    int width = 768;                          // D
    int depth = 12;                           // L
    int heads = 12;                           // must divide D
    double mlp_ratio = 4;                     // inner width of the MLP / D
    bool query_value_bias = true;             // biases of queries and values; keys have none
    std::optional<float> layer_scale = 0.1f;  // initial LayerScale factor of attention and MLP; nothing = no LayerScale
    bool absolute_positions = false;          // learned vectors added to the tokens
    bool shared_relative_bias = true;         // one table of relative positions for all blocks
    int codes = 8192;                         // K, the tokenizer's
    int early_block = 9;      // E, counted from 1: the second branch reads the patch tokens of this block's output
    int head_depth = 2;       // blocks of the second branch
    bool shared_head = true;  // both branches have the same final norm and linear layer
    float eps = 1e-6f;        // of every LayerNorm
};

struct Weights {
    vit::Weights encoder;       // its last norm precedes the head; no classifier; positions may be absent
    Var mask_token;             // (1, D)
    Var relative_table;         // (T, heads), or absent
    Linear head;                // (D, K)
    std::vector<Block> branch;  // of patch aggregation
    Norm branch_norm;           // absent when the head is shared
    Linear branch_head;         // absent when the head is shared
};

Weights make_weights(const Config& config, Random& random, const Init& init = {});
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);
LoadRules load_rules();  // ignores the index of each pair of tokens, which relative_position.h computes

struct Steps {
    std::vector<int> masked_rows;  // (M)  rows of the masked patches among all B*N
    Var patch_embeddings;          // (B*N, D)
    Var z0;                        // (B*(N+1), D)
    Var bias;                      // (heads*(N+1), N+1), or absent
    StackSteps encoder;            // L blocks
    Var early;                     // (B*(N+1), D)  after block E
    Var branch_input;              // (B*(N+1), D)  [cls] of block L, patch tokens of block E
    StackSteps branch;
    Var logits;         // (M, K)  of the masked patches
    Var branch_logits;  // (M, K)
};

// From pixels to logits of the masked patches' visual tokens.
//   mask    (B, N), 1 = masked
//   throws  std::invalid_argument when an image is not (H, W, C), the mask not (B, N), or nothing is masked
Steps forward(const std::vector<Image>& images, const Matrix& mask, const Weights& w, const Config& config);

// The labels: the entries of `ids` (B*N) at the masked rows. (M)
std::vector<int> masked_tokens(const std::vector<int>& ids, const Steps& steps);

// Mean cross-entropy of each branch, and their sum, (1, 1).   labels (M), from masked_tokens()
Var mask_loss(const Steps& steps, const std::vector<int>& tokens);
Var branch_loss(const Steps& steps, const std::vector<int>& tokens);
Var loss(const Steps& steps, const std::vector<int>& tokens);

}  // namespace beit_v2
