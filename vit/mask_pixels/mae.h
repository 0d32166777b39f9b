// mae.h: masked autoencoder (MAE). The encoder sees a quarter of an image's patches; a small decoder predicts the masked pixels.
//
//   paper    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv 2111.06377
//   shows    that images are redundant enough to be restored from a quarter of their patches, and that the encoder need not compute
//            masked patches: mask tokens enter only the decoder
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   K = N (1 - ratio) of them visible
//            D encoder width   E decoder width
//   differs  from the paper's text: targets are normalised by the unbiased variance plus 1e-6, as its code does;
//            from its code: the shuffling noise is an argument, a batch is stacked rows
//   neighbour  simmim.h differs in three choices: mask tokens in the encoder, raw pixels as targets, an L1 loss
//   next     mae.cpp, then its walkthrough
#pragma once
#include <vector>

#include "vit/vit.h"

namespace mae {

// The defaults are ViT-Large/16 as in most of the paper's experiments.
struct Config {
    PatchGrid grid = {};  // H, W, P, C
    int width = 1024;     // D; divisible by 4 and by heads
    int depth = 24;       // blocks of the encoder
    int heads = 16;
    int decoder_width = 512;  // E; divisible by 4 and by decoder_heads
    int decoder_depth = 8;    // blocks of the decoder
    int decoder_heads = 16;
    double mlp_ratio = 4;           // inner width of an MLP / width of its block
    double mask_ratio = 0.75;       // fraction of the patches that is masked
    bool normalise_targets = true;  // predict each patch relative to its own mean and standard deviation ("norm_pix_loss")
    float eps = 1e-6f;              // of every LayerNorm
};

int visible_count(const Config& config);  // K, rounded down

struct Weights {
    vit::Weights encoder;      // its positions are fixed sines and cosines, row 0 zero, not trained; no classifier
    Linear decoder_embedding;  // (D, E)
    Var mask_token;            // (1, E)      one vector for all masked patches; only in the decoder
    Var decoder_positions;     // (N+1, E)    fixed; not trained
    std::vector<Block> decoder_blocks;
    Norm decoder_norm;
    Linear decoder_prediction;  // (E, P*P*C)  token -> pixels
};

// Fresh weights: Xavier-uniform (the patch projection too), biases 0, gains 1, the two tokens normal with standard deviation 0.02.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names, shapes and layout of the published pre-training checkpoints (their entry "model"), and of Hugging Face's
// (facebook/vit-mae-base: vit.encoder.layer.0., decoder.decoder_layers.0.), including the two fixed tables.
Parameters parameters(const Weights& w, const Config& config);
Parameters hugging_face_parameters(const Weights& w, const Config& config);
bool has_hugging_face_names(const Safetensors& checkpoint);

// Infers the configuration of a checkpoint with either names: sizes from its tensor shapes; heads of encoder and decoder, eps, mask
// ratio and target normalisation from the sources that nn/layers/model_config.h lists. Defaults as in the published code: ratio 0.75,
// eps 1e-6, normalised targets (Hugging Face: 1e-12, not normalised); the number of heads has no default.
//   given    settings that override all files: {{"num_attention_heads", "16"}, {"decoder_num_attention_heads", "16"}}
//   throws   std::invalid_argument with the path when it is not an MAE checkpoint or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The split into visible and masked patches. All three lists hold the entries of image 0, then of image 1, ...
struct Masking {
    std::vector<int> shuffle;  // B*N  patches in the order of their noise
    std::vector<int> keep;     // B*K  the first K of each: the visible ones, in the order of their noise, not of the image
    std::vector<int> restore;  // B*N  inverse of `shuffle`: the position of each patch in it
    Matrix mask;               // (B, N)  1 = masked
};

struct Steps {
    Matrix patches;        // (B*N, P*P*C)  also the target
    Var patch_embeddings;  // (B*N, D)
    Masking masking;
    Var visible;        // (B*K, D)      patch embeddings plus positions, without the masked ones
    Var encoder_input;  // (B*(K+1), D)  [cls] in front of each image
    StackSteps encoder;
    Var latent;             // (B*(K+1), D)  normalised output of the encoder
    Var decoder_embedding;  // (B*(K+1), E)
    Var decoder_input;      // (B*(N+1), E)  all patches in the order of the image, with mask tokens and positions
    StackSteps decoder;
    Var decoder_norm;  // (B*(N+1), E)
    Var prediction;    // (B*N, P*P*C)  without [cls]
};

// Masks the patches with the largest noise.
//   noise   (B, N), independent uniform numbers
//   source  section 3, "Masking"
Masking random_masking(const Matrix& noise, const Config& config);

// Encoder and decoder, from pixels to predicted pixels.
//   throws  std::invalid_argument when an image is not (H, W, C) or the noise not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& noise, const Weights& w, const Config& config);

// The targets: the patches, each normalised by its own mean and variance if the config says so; (B*N, P*P*C).
Matrix targets(const Steps& steps, const Config& config);

// Mean squared error of each patch, masked or not: (B*N, 1).
Var patch_losses(const Steps& steps, const Config& config);

// Its mean over the masked patches, (1, 1). Predictions for visible patches do not enter the loss.
Var loss(const Steps& steps, const Config& config);

// The predicted images, for display. Normalised predictions are scaled back with the mean and standard deviation of the true patch.
std::vector<Image> predicted_images(const Steps& steps, const Config& config);

// For fine-tuning: the encoder as a ViT. Its config with `classes` classes (0 = the encoder as it stands here), and a ViT with copies
// of its weights and a fresh classifier on the class token; it reads all patches and its positions are trained; no decoder.
//   source  section 4, "Main Properties"
vit::Config vit_config(const Config& config, int classes);
vit::Weights make_classifier(const Weights& w, const Config& config, int classes, Random& random);

// Multiplications in all encoder blocks for one image of `tokens` tokens, without softmax and norms.
double encoder_multiplications(const Config& config, int tokens);

}  // namespace mae
