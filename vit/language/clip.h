// clip.h: CLIP. Images and their captions are embedded in one space by a contrastive loss; then any sentence is a classifier.
//
//   paper    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020,
//            section 2 and Figure 3
//   shows    that no list of classes is needed: in a batch of B pairs the model predicts which sentence belongs to which image,
//            so that classes can be named after training (zero-shot)
//   symbols  B pairs   H, W height and width   P patch side   N = (H / P)(W / P) patches   Dv, Dt widths of the two towers
//            T tokens of a sentence   V tokens of the vocabulary   D shared width of both towers
//   differs  a batch is stacked rows; ViT image towers only (the paper also has ResNets)
//   against  vit/vit.h: a norm before the blocks, no bias in the projection of patches, the last norm on the class token only;
//            gpt/gpt.h: the last token is read, not the next one predicted; both: the quick form of GELU
//   next     clip.cpp, clip_tokenizer.h (sentences as ids), then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/text/batch.h"

struct Inside;  // nn/interpret/inside.h

namespace clip {

// The defaults are ViT-B/32 as published.
struct VisionConfig {
    PatchGrid grid = {.patch_size = 32};             // H, W, P, channels
    int width = 768;                                 // Dv, numbers per token
    int depth = 12;                                  // blocks
    int heads = 12;                                  // must divide Dv
    int mlp_width = 3072;                            // inner width of the MLP
    float eps = 1e-5f;                               // of every LayerNorm
    Activation activation = Activation::gelu_quick;  // models trained later by others use the exact form
};

struct TextConfig {
    int vocabulary = 49408;  // V
    int positions = 77;      // longest sentence, in tokens
    int width = 512;         // Dt
    int depth = 12;
    int heads = 8;
    int mlp_width = 2048;
    float eps = 1e-5f;
    Activation activation = Activation::gelu_quick;
};

struct Config {
    VisionConfig vision = {};
    TextConfig text = {};
    int shared_width = 512;  // D
};

struct VisionWeights {
    Linear projection;  // (P*P*channels, Dv), no bias
    Var class_token;    // (1, Dv)
    Var positions;      // (N+1, Dv); row 0 belongs to the class token
    Norm pre_norm;      // before the blocks
    std::vector<Block> blocks;
    Norm post_norm;  // of the class token, after the blocks
};

struct TextWeights {
    Var token_embedding;  // (V, Dt)
    Var positions;        // (positions, Dt)
    std::vector<Block> blocks;
    Norm norm;  // after the blocks
};

struct Weights {
    VisionWeights vision;
    TextWeights text;
    Linear image_projection;  // (Dv, D), no bias
    Linear text_projection;   // (Dt, D), no bias
    Var log_scale;            // (1, 1)  logarithm of the factor of the cosines; starts at ln(1 / 0.07)
};

// throws  std::invalid_argument for an inconsistent config; `who` begins the message
void check(const VisionConfig& config, const char* who = "clip");
void check(const TextConfig& config, const char* who = "clip");

// Fresh weights as published: normal with standard deviation 0.02 for tokens, 0.01 for positions, width^-0.5 for queries, keys and
// values, the same / sqrt(2 blocks) for matrices that write into the residual stream, (2 width)^-0.5 for the MLP's first matrix;
// biases 0, gains 1.
VisionWeights make_vision_weights(const VisionConfig& config, Random& random);
TextWeights make_text_weights(const TextConfig& config, Random& random);
Weights make_weights(const Config& config, Random& random);

// The blocks of a tower; gpt and vit initialise theirs differently.
std::vector<Block> make_blocks(Random& random, int width, int depth, int mlp_width);

// --- loading and saving ---

// Names and layout of the published checkpoints: openai/clip-vit-base-patch32 and its relatives of Hugging Face, or OpenAI's
// original file, where query, key and value are one tensor and the two projections are transposed.
Parameters parameters(const Weights& w, const Config& config);
Parameters openai_parameters(const Weights& w, const Config& config);

// Tensors of published files that are not parameters: position ids and sizes.
LoadRules load_rules();

// Infers the configuration of a checkpoint in either layout: sizes from its tensor shapes; heads, eps and activation of both towers
// from the sources that nn/layers/model_config.h lists ("vision_config.num_attention_heads", "text_config.hidden_act", ...). Defaults
// as in the published code: eps 1e-5, quick GELU, and heads of width 64 for OpenAI's original file, which has no configuration. A
// config.json of Hugging Face may omit the values of ViT-B/32: a tower that it lists then has 12 heads (image) or 8 (text). Without a
// config.json the number of heads has no default.
//   throws  std::invalid_argument with the path when it is not a CLIP checkpoint or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);
bool is_openai_layout(const Safetensors& checkpoint);

// --- the model ---

struct ImageSteps {
    Matrix patches;        // (B*N, P*P*channels)  channel fastest
    Var patch_embeddings;  // (B*N, Dv)
    Var embeddings;        // (B*(N+1), Dv)  class token in front, plus positions
    Var pre_norm;          // (B*(N+1), Dv)
    StackSteps encoder;    // without a norm after the last block
    Var pooled;            // (B, Dv)  post_norm of the class tokens; absent after vision_trunk()
};

// All tokens of each image, up to the output of the last block. `who` begins messages.
//   throws  std::invalid_argument when an image is not (H, W, channels)
ImageSteps vision_trunk(const std::vector<Image>& images, const VisionWeights& w, const VisionConfig& config,
                        const char* who = "clip");

// The whole tower: one row for each image.
ImageSteps image_tower(const std::vector<Image>& images, const VisionWeights& w, const VisionConfig& config);

struct TextSteps {
    Var embeddings;         // (B*T, Dt)  word + position; no norm
    StackSteps encoder;     // causal
    Var norm;               // (B*T, Dt)
    std::vector<int> ends;  // (B)  position of the end-of-text token in each sentence
    Var pooled;             // (B, Dt)  its rows of `norm`
};

// The whole tower: one row for each sentence.
//   texts   T tokens each, padded on the right with 0 or with end-of-text. The padding mask is ignored: attention is causal, and the
//           row that is read precedes the padding
//   throws  std::invalid_argument for more tokens than positions, or an id that is not a token
TextSteps text_tower(const TokenBatch& texts, const TextWeights& w, const TextConfig& config);

// The position of end-of-text, the largest id of all, in each sentence; of several the first, since some tokenizers pad with it.
//   Example: 98 5 7 99 0 0 and 98 99 99 99 99 99: 3, 1
std::vector<int> end_of_text_positions(const TokenBatch& texts);

struct Steps {
    ImageSteps image;
    TextSteps text;
    Var image_embeddings;  // (B, D)  rows of length 1
    Var text_embeddings;   // (B, D)  rows of length 1
    Var logits_per_text;   // (texts, images)  exp(log_scale) times the cosines
    Var logits_per_image;  // (images, texts)
};

// The whole model; the numbers of images and sentences may differ.
Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config);

// One tower with its projection: (B, D), rows of length 1.
Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config);
Var embed_texts(const TokenBatch& texts, const Weights& w, const Config& config);

// Symmetric contrastive loss, (1, 1); image i and sentence i are a pair: see nn/training/contrastive.h.
Var loss(const Steps& steps);

// Limits the scale to 100, as the published training does after every update.
void limit_scale(Weights& w);

// --- zero-shot classification ---

// One direction for each class: the mean of the embeddings of its prompts, normalised to length 1 again.
//   prompts  of class c: prompts[c], "a photo of a red square", "a drawing of a red square", ...
//   returns  (classes, D)
Var class_directions(const std::vector<TokenBatch>& prompts, const Weights& w, const Config& config);

// Softmax over the classes of exp(log_scale) times the cosine: (images, classes).
Var class_probabilities(const Var& image_embeddings, const Var& directions, const Weights& w);

// --- photographs ---

// Mean and standard deviation of the channels of the published models' training images.
extern const std::vector<float> image_mean, image_standard_deviation;

// Preprocessing of photographs. The defaults are those of OpenAI's models.
struct Preparation {
    int shorter_side = 0;  // pixels to which the shorter side is resized; 0 = the side of the model's images
    std::vector<float> mean = image_mean, standard_deviation = image_standard_deviation;  // of each channel
};

// Reads preprocessor_config.json in the folder of a checkpoint: size, image_mean, image_std. The defaults when there is no such file.
//   throws  std::invalid_argument with its path for an unsupported step (do_resize, do_center_crop, do_normalize, resample), a
//           crop_size that differs from the model's images, or not three channels
Preparation preparation_of(const std::string& checkpoint_path, const VisionConfig& config);

// A photograph as the model expects it: grey in three channels, the shorter side resized (bicubic, antialiased), a centre crop,
// (x - mean) / standard deviation in each channel.
//   throws  std::invalid_argument unless the grid is square and has three channels, and the photograph one or three
Image preprocess(const Image& photograph, const VisionConfig& config, const Preparation& how = {});

// Layout of the two towers for nn/interpret: the outputs are the embeddings of the class token and of the end token before
// normalisation, (rows, D).
Inside image_inside(const Weights& w, const Config& config);
Inside text_inside(const Weights& w, const Config& config);

}  // namespace clip
