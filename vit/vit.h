// vit.h: Vision Transformer (ViT). An image is cut into patches, and a Transformer encoder reads them as BERT reads tokens.
//
//   paper    Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, arXiv 2010.11929, Eqs. 1-4
//   shows    that images need no convolution once they are a sequence
//   symbols  B images   H, W height and width   P patch side   C channels   N = (H / P)(W / P) patches   D token width
//            L blocks   K classes
//   equations [ViT 1] tokens, [ViT 2] attention, [ViT 3] MLP, [ViT 4] class token
//   differs  a batch is stacked rows: image b owns rows b(N+1) ... b(N+1)+N of every token matrix; no dropout; the classifier is
//            one linear layer, as in the fine-tuned checkpoints (the paper pre-trains with one hidden tanh layer before it)
//   neighbour  bert.h (bert) has the same encoder, and reads word pieces
//   next     vit.cpp, then its two walkthroughs
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"

struct Inside;  // nn/interpret/inside.h

namespace vit {

// The defaults are ViT-Base/16 as published for 224 x 224 pixels.
struct Config {
    PatchGrid grid = {};   // H, W, P, C
    int width = 768;       // D, numbers per token
    int depth = 12;        // L, blocks
    int heads = 12;        // must divide D
    int mlp_width = 3072;  // inner width of the MLP
    int classes = 1000;    // K; 0 = no classifier: the encoder of another model
    float eps = 1e-12f;    // of every LayerNorm; the original JAX code and timm use 1e-6
    Activation activation = Activation::gelu;
    bool query_key_value_bias = true;
};

// throws  std::invalid_argument for an inconsistent config; `who` begins the message
void check(const Config& config, const char* who = "vit");

BlockOptions block_options(const Config& config);

struct Weights {
    Linear projection;          // (P*P*C, D)  E of Eq. 1
    Var class_token;            // (1, D)      x_class
    Var positions;              // (N+1, D)    E_pos; row 0 belongs to the class token
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block, of every token
    Linear classifier;          // (D, K), or no values
};

// Fresh weights, biases 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and layout of google/vit-base-patch16-224 and its relatives.
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: names without "vit." (google/vit-base-patch16-224-in21k), an unused pooler, the decoder of
// facebook/vit-mae-base.
LoadRules load_rules();

// Infers the configuration of a checkpoint: sizes from its tensor shapes; heads, eps, activation and the size of images that are
// not square from the sources that nn/layers/model_config.h lists. eps defaults to 1e-12 and the activation to the exact GELU, as
// in the published code; the number of heads has no default. A file without a classifier has 0 classes.
//   given    settings that override all files: {{"num_attention_heads", "12"}}
//   throws   std::invalid_argument with the path when it is not a ViT checkpoint or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// Sets height and width to those of the configuration, or else to a square of N patches.
//   throws   std::invalid_argument with the path when the configuration contradicts N, or is silent and N is not a square number
void set_image_size(PatchGrid& grid, int N, const ModelConfig& model_config, const std::string& path);

// The same for a model without a table of positions: only the configuration gives the size.
void set_image_size(PatchGrid& grid, const ModelConfig& model_config, const std::string& path);

// The size as a configuration holds it: "24", or "16,24" for height and width.
std::string image_size_text(const PatchGrid& grid);

// What tensor shapes cannot tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// From pixels to tokens, Eq. 1. Steps 1 and 2, the image and its squares, are the input and the rows of `patches`.
struct PatchEmbedding {
    Matrix patches;        // (B*N, P*P*C)  steps 2, 3: one flattened square a row, channel fastest
    Var patch_embeddings;  // (B*N, D)      steps 4, 5: patches E + bias, N tokens of width D
    Var tokens;            // (B*(N+1), D)  step 6: the class token in front of each image
    Var z0;                // (B*(N+1), D)  step 7: plus positions
};

struct Steps {
    PatchEmbedding embedding;
    StackSteps encoder;  // L blocks
    Var norm;            // (B*(N+1), D)  LN(z_L)
    Var class_tokens;    // (B, D)        the class token's row of each image      y of Eq. 4
    Var logits;          // (B, K)
    Var probabilities;   // (B, K)
};

// Steps 1 to 7.   throws std::invalid_argument when an image is not (H, W, C)
PatchEmbedding embed_patches(const std::vector<Image>& images, const Weights& w, const Config& config);

// The whole model.
Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config);

// Mean cross-entropy of the logits with the true classes, (1, 1).
Var loss(const Steps& steps, const std::vector<int>& labels);

// The row ranges of B images of N+1 tokens.
Segments segments(int images, const Config& config);

// Attention weights of one image's class token to the patches, in one head of one block, on the patch grid: (H/P, W/P).
Matrix class_attention(const Steps& steps, const Config& config, int block, int head, int image = 0);

// The same model for another image size: the position embeddings are interpolated (bicubic), all else is shared.
//   config  is given the new size
//   throws  std::invalid_argument when P does not divide the new size; config is then unchanged
Weights resized(const Weights& w, Config& config, int image_height, int image_width);

// A photograph as the published model expects it: resized to (H, W), values 0 ... 1 mapped to -1 ... 1.
Image preprocess(const Image& photograph, const Config& config);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace vit
