// mae.h: masked autoencoder. Hide three quarters of a picture; the encoder sees the rest, a small decoder paints what is missing.
//
//   paper    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv 2111.06377
//   shows    that pictures are so redundant that a quarter of them is enough, and that what is hidden need not be computed:
//            no mask token enters the encoder
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H/P)(W/P) patches   K = N (1 - ratio) of them visible
//            D encoder width   E decoder width
//   differs  from the paper's text: targets are normalised by the unbiased variance plus 1e-6, as its code does;
//            from its code: the noise that shuffles comes in as an argument, a batch is stacked rows
//   neighbour  simmim.h answers the same three questions otherwise: who sees mask tokens, what is the target, which loss
//   next     mae.cpp, then its walkthrough
#pragma once
#include <vector>

#include "vit/vit.h"

namespace mae {

// The defaults are ViT-Large/16 as in most of the paper's experiments.
struct Config {
    PatchGrid grid = {};            // H, W, P, C
    int width = 1024;               // D; divisible by 4 and by heads
    int depth = 24;                 // blocks of the encoder
    int heads = 16;
    int decoder_width = 512;        // E; divisible by 4 and by decoder_heads
    int decoder_depth = 8;          // blocks of the decoder
    int decoder_heads = 16;
    double mlp_ratio = 4;           // inner width of an MLP / width of its block
    double mask_ratio = 0.75;       // share of the patches that is hidden
    bool normalise_targets = true;  // predict each patch relative to its own mean and standard deviation ("norm_pix_loss")
    float eps = 1e-6f;              // of every LayerNorm
};

int visible_count(const Config& config);  // K, rounded down

struct Weights {
    vit::Weights encoder;               // its positions are fixed sines and cosines, row 0 zero, not trained; no classifier
    Linear decoder_embedding;           // (D, E)
    Var mask_token;                     // (1, E)      one vector for everything that is hidden; only the decoder has it
    Var decoder_positions;              // (N+1, E)    fixed; not trained
    std::vector<Block> decoder_blocks;
    Norm decoder_norm;
    Linear decoder_prediction;          // (E, P*P*C)  token -> pixels
};

// Fresh weights: Xavier-uniform (the patch projection too), biases 0, gains 1, the two tokens normal with standard deviation 0.02.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random);

// Names, shapes and places of the published pre-training checkpoints (their entry "model"), or of those that Hugging Face
// publishes (facebook/vit-mae-base: vit.encoder.layer.0., decoder.decoder_layers.0.); the two fixed tables are among them.
Parameters parameters(const Weights& w, const Config& config);
Parameters hugging_face_parameters(const Weights& w, const Config& config);
bool has_hugging_face_names(const Safetensors& checkpoint);

// The configuration of a checkpoint with either names: sizes from its shapes; heads of encoder and decoder, eps, mask ratio and
// whether targets are normalised from where nn/layers/model_config.h looks for them. Published code takes a ratio of 0.75 where a
// configuration does not say, and eps 1e-6 and normalised targets (Hugging Face: 1e-12, not normalised); the heads must be told.
//   told     what the caller knows: {{"num_attention_heads", "16"}, {"decoder_num_attention_heads", "16"}}
//   throws   std::invalid_argument with the path when it is no MAE, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// Which patches survive. All three lists hold the entries of image 0, then of image 1, ...
struct Masking {
    std::vector<int> shuffle;  // B*N  patches in the order of their noise
    std::vector<int> keep;     // B*K  the first K of each: the visible ones, in the order of their noise, not of the picture
    std::vector<int> restore;  // B*N  where each patch went in `shuffle`: its inverse
    Matrix mask;               // (B, N)  1 = hidden
};

struct Steps {
    Matrix patches;            // (B*N, P*P*C)  also what is to be predicted
    Var patch_embeddings;      // (B*N, D)
    Masking masking;
    Var visible;               // (B*K, D)      patch embeddings with their positions, the hidden ones left out
    Var encoder_input;         // (B*(K+1), D)  [cls] in front of each image
    StackSteps encoder;
    Var latent;                // (B*(K+1), D)  normalised output of the encoder
    Var decoder_embedding;     // (B*(K+1), E)
    Var decoder_input;         // (B*(N+1), E)  all patches again in the order of the picture, with mask tokens and positions
    StackSteps decoder;
    Var decoder_norm;          // (B*(N+1), E)
    Var prediction;            // (B*N, P*P*C)  without [cls]
};

// Hides the patches with the largest noise.
//   noise   (B, N), independent uniform numbers
//   source  section 3, "Masking"
Masking random_masking(const Matrix& noise, const Config& config);

// Encoder and decoder, from pixels to predicted pixels.
//   throws  std::invalid_argument when an image is not (H, W, C) or the noise not (B, N)
Steps forward(const std::vector<Image>& images, const Matrix& noise, const Weights& w, const Config& config);

// What the prediction is compared with: the patches, each normalised by itself where the config says so; (B*N, P*P*C).
Matrix targets(const Steps& steps, const Config& config);

// Mean squared error of every patch, hidden or not: (B*N, 1).
Var patch_losses(const Steps& steps, const Config& config);

// Its mean over the hidden patches, (1, 1). Predictions for visible patches do not enter the loss.
Var loss(const Steps& steps, const Config& config);

// The predicted pictures. Normalised predictions are scaled back with each true patch's mean and standard deviation, which only a
// demonstration can know.
std::vector<Image> predicted_images(const Steps& steps, const Config& config);

// The encoder alone is a ViT. Its config with `classes` classes (0 = the encoder as it stands here), and a ViT with copies of its
// weights and a fresh classifier, to be fine-tuned: it reads all patches, its positions are trained too, the decoder is gone.
//   source  section 4, "Main Properties"; the class token speaks for the picture
vit::Config vit_config(const Config& config, int classes);
vit::Weights make_classifier(const Weights& w, const Config& config, int classes, Random& random);

// Multiplications in all encoder blocks for one image of `tokens` tokens, without softmax, norms and the like.
double encoder_multiplications(const Config& config, int tokens);

}  // namespace mae
