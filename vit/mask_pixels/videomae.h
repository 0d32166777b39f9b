// videomae.h: VideoMAE. A masked autoencoder for video; the same patches are masked in all frames, so that none can be copied.
//
//   paper    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training", 2022,
//            arXiv 2203.12602
//   shows    that MAE needs two changes for video, both because frames are redundant: a token is a cube over two frames, and the mask
//            is a tube through all frames, over 90 % of the patch positions
//   symbols  B clips   T frames   H, W height and width   P patch side   C channels   t frames of a cube   S = T/t time slots
//            n = (H/P)(W/P) positions   N = S n tokens   M of them masked, K = N - M visible   D encoder width   E decoder width
//            F = t*P*P*C numbers of a cube
//   differs  from the published code: the permutation of the mask is an argument, a batch is stacked rows, no drop path
//   neighbour  mae.h reads one image, has a class token, and restores the order of the tokens for its decoder
//   next     videomae.cpp, then its walkthrough
#pragma once
#include <optional>
#include <vector>

#include "vit/vit.h"

namespace videomae {

using Clip = std::vector<Image>;  // T frames of the same size, the first one first

// The defaults are the paper's ViT-Base/16 for 16 frames.
struct Config {
    PatchGrid grid = {};      // H, W, P, C of a frame
    int frames = 16;          // T
    int tubelet = 2;          // t, frames of a cube; must divide T
    double mask_ratio = 0.9;  // fraction of the positions that is masked
    int width = 768;          // D; even, divisible by heads
    int depth = 12;           // blocks of the encoder
    int heads = 12;
    int decoder_width = 384;  // E; even, divisible by decoder_heads
    int decoder_depth = 4;    // blocks of the decoder
    int decoder_heads = 6;
    double mlp_ratio = 4;                   // inner width of an MLP / width of its block
    bool query_value_bias = true;           // biases of queries and values; keys have none, it would cancel in the softmax
    std::optional<float> layer_scale = {};  // initial LayerScale factor of attention and MLP; nothing = no LayerScale
    bool normalise_targets = true;  // each channel of each cube by its own mean and standard deviation ("normlize_target")
    std::vector<float> channel_mean = {0.485f, 0.456f, 0.406f};  // the clips' normalisation, which is undone in the target.
    std::vector<float> channel_std = {0.229f, 0.224f, 0.225f};   // Both empty = the clips are not normalised
    float eps = 1e-6f;                                           // of every LayerNorm
};

int time_slots(const Config& config);        // S
int token_count(const Config& config);       // N
int cube_numbers(const Config& config);      // F
int masked_positions(const Config& config);  // ratio * n, rounded down

struct Weights {
    vit::Weights encoder;       // projection (F, D), blocks, norm; positions (N, D) fixed, not trained; no [cls], no classifier
    Linear encoder_to_decoder;  // (D, E)  without a bias
    Var mask_token;             // (1, E)  one vector for all masked cubes; only in the decoder
    Var decoder_positions;      // (N, E)  fixed; not trained
    std::vector<Block> decoder_blocks;
    Norm decoder_norm;
    Linear head;  // (E, F)  token -> pixels of a cube
};

// Fresh weights: Xavier-uniform, biases 0, gains 1, the mask token truncated normal with standard deviation 0.02.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names, shapes and layout of the published pre-training checkpoints (their entry "model"). Positions are not among them.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Matrix mask;          // (B, N)    1 = masked
    Matrix cubes;         // (B*N, F)
    Var cube_embeddings;  // (B*N, D)
    Var encoder_input;    // (B*K, D)  visible tokens plus positions, in order
    StackSteps encoder;
    Var encoder_norm;        // (B*K, D)
    Var encoder_to_decoder;  // (B*K, E)
    Var decoder_input;       // (B*N, E)  for each clip K visible tokens, then M mask tokens, each plus its position
    StackSteps decoder;
    Var decoder_norm;  // (B*M, E)  the last M tokens of each clip
    Var prediction;    // (B*M, F)  the masked cubes, in order
};

// Tube masking: masks the same positions in each time slot.
//   permutations  of the n positions of each clip, one after the other; position j is masked when its entry is one of the largest
//   returns       (B, N)
//   source        section 3.3, "tube masking"; the entries are the source indices of the published code's shuffle
Matrix tube_masking(const std::vector<int>& permutations, const Config& config);

// Cuts a clip into cubes of t frames and P x P pixels, and lays each out as one row.
//   returns  (N, F); the time slot is slowest, then the patch row, then the patch column; within a row of numbers the frame is
//            slowest, then the pixel row, the pixel column, and the channel changes fastest
//   throws   std::invalid_argument, naming the clip, when it does not have T frames of (H, W, C)
Matrix cubes_of(const Clip& clip, const Config& config, int number = 0);

// The inverse of cubes_of().
Clip clip_of(const Matrix& cubes, const Config& config);

// Encoder and decoder, from pixels to the pixels of the masked cubes.
//   mask    (B, N), 1 = masked; the same number of cubes in each clip, but not all
//   throws  std::invalid_argument when clips or mask do not fit the config
Steps forward(const std::vector<Clip>& clips, const Matrix& mask, const Weights& w, const Config& config);

// x * std + mean in each channel: the original pixels.
Clip undo_normalisation(const Clip& clip, const Config& config);

// Each channel of each cube by its own statistics: (v - mean) / (sqrt(variance) + 1e-6), the unbiased variance.
//   cubes    (n, F)
//   differs  from MAE: one mean for each channel, and the 1e-6 outside the root
Matrix normalise_cubes(const Matrix& cubes, int channels);

// The target of each cube, masked or not: (B*N, F).
Matrix targets(const std::vector<Clip>& clips, const Config& config);

// Mean squared error over all numbers of the masked cubes, (1, 1).
//   targets  (B*N, F)
Var loss(const Steps& steps, const Matrix& targets);

// The target's cubes with the masked ones replaced by predictions, for display: (B*N, F).
Matrix completed(const Steps& steps, const Matrix& targets);

}  // namespace videomae
