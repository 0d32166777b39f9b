// clip.h: CLIP. An image and the sentence that belongs to it get the same direction; then any sentence is a classifier.
//
//   paper    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020,
//            section 2 and Figure 3
//   shows    that no list of classes is needed: in a batch of B pairs the model predicts which sentence belongs to which image,
//            so that classes can be named after training (zero-shot)
//   symbols  B pairs   H, W height and width   P patch side   N = (H / P)(W / P) patches   Dv, Dt widths of the two towers
//            T tokens of a sentence   V tokens of the vocabulary   D width that both towers share
//   differs  a batch is stacked rows, as everywhere; ViT image towers only (the paper also has ResNets)
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
    PatchGrid grid = {.patch_size = 32};  // H, W, P, channels
    int width = 768;                      // Dv, numbers per token
    int depth = 12;                       // blocks
    int heads = 12;                       // must divide Dv
    int mlp_width = 3072;                 // inner width of the MLP
    float eps = 1e-5f;                    // of every LayerNorm
    Activation activation = Activation::gelu_quick;  // models trained later by others use the exact form
};

struct TextConfig {
    int vocabulary = 49408;  // V
    int positions = 77;      // the most tokens of a sentence
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
    Linear projection;          // (P*P*channels, Dv), no bias
    Var class_token;            // (1, Dv)
    Var positions;              // (N+1, Dv); row 0 belongs to the class token
    Norm pre_norm;              // before the blocks
    std::vector<Block> blocks;
    Norm post_norm;             // of the class token, after the blocks
};

struct TextWeights {
    Var words;                  // (V, Dt)
    Var positions;              // (positions, Dt)
    std::vector<Block> blocks;
    Norm norm;                  // after the blocks
};

struct Weights {
    VisionWeights vision;
    TextWeights text;
    Linear image_projection;  // (Dv, D), no bias
    Linear text_projection;   // (Dt, D), no bias
    Var log_scale;            // (1, 1)  logarithm of what cosines are multiplied by; begins at ln(1 / 0.07)
};

// throws  std::invalid_argument for a config that does not fit together; `who` begins the message
void check(const VisionConfig& config, const char* who = "clip");
void check(const TextConfig& config, const char* who = "clip");

// Fresh weights as published: normal; words 0.02, positions 0.01, queries, keys and values width^-0.5, what writes into the residual
// stream divided by sqrt(2 blocks) besides, the MLP's first matrix (2 width)^-0.5; biases 0, gains 1.
VisionWeights make_vision_weights(const VisionConfig& config, Random& random);
TextWeights make_text_weights(const TextConfig& config, Random& random);
Weights make_weights(const Config& config, Random& random);

// The blocks of a tower; gpt and vit draw theirs otherwise.
std::vector<Block> make_blocks(Random& random, int width, int depth, int mlp_width);

// --- loading and saving ---

// Names and layout of the published checkpoints: openai/clip-vit-base-patch32 and its relatives of Hugging Face, or OpenAI's
// original file, where query, key and value are one tensor and the two projections stand the other way round.
Parameters parameters(const Weights& w, const Config& config);
Parameters openai_parameters(const Weights& w, const Config& config);

// What published files hold besides: numbers of the positions, and sizes.
LoadRules load_rules();

// The configuration of a checkpoint in either layout: sizes from its shapes; heads, eps and activation of both towers from where
// nn/layers/model_config.h looks for them ("vision_config.num_attention_heads", "text_config.hidden_act", ...). Published code takes
// eps 1e-5 and the quick form of GELU where a configuration does not say, and for OpenAI's original file, which comes without one,
// heads of width 64. A config.json of Hugging Face may leave out what is as in ViT-B/32: a tower it does speak of has 12 heads (image)
// or 8 (text) then. Without a config.json the heads must be told.
//   throws  std::invalid_argument with the path when it is no CLIP, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);
bool is_openai_layout(const Safetensors& checkpoint);

// --- the model ---

struct ImageSteps {
    Matrix patches;        // (B*N, P*P*channels)  channel fastest
    Var patch_embeddings;  // (B*N, Dv)
    Var embeddings;        // (B*(N+1), Dv)  class token in front, plus positions
    Var pre_norm;          // (B*(N+1), Dv)
    StackSteps encoder;    // not normalised at its end
    Var pooled;            // (B, Dv)  post_norm of the class tokens; absent after vision_trunk()
};

// All tokens of every image: pixels to the output of the last block. `who` begins messages.
//   throws  std::invalid_argument when an image is not (H, W, channels)
ImageSteps vision_trunk(const std::vector<Image>& images, const VisionWeights& w, const VisionConfig& config, const char* who = "clip");

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
//   texts   all of T tokens, filled up on the right with 0 or with end-of-text. The mask is not looked at: attention is causal, and
//           the row that is read stands before the padding
//   throws  std::invalid_argument for more tokens than positions, or an id that is not a token
TextSteps text_tower(const TokenBatch& texts, const TextWeights& w, const TextConfig& config);

// The position of the first largest id of every sentence: end-of-text has the largest id of all. First, since some tokenizers fill
// up with end-of-text.
//   Example: 98 5 7 99 0 0 and 98 99 99 99 99 99: 3, 1
std::vector<int> end_of_text_positions(const TokenBatch& texts);

struct Steps {
    ImageSteps image;
    TextSteps text;
    Var image_embeddings;   // (B, D)  rows of length 1
    Var text_embeddings;    // (B, D)  rows of length 1
    Var logits_per_text;    // (texts, images)  exp(log_scale) times the cosines
    Var logits_per_image;   // (images, texts)
};

// The whole model; there may be more sentences than images, or fewer.
Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config);

// The two halves alone: (B, D), rows of length 1.
Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config);
Var embed_texts(const TokenBatch& texts, const Weights& w, const Config& config);

// Of image i and sentence i, for all i: see nn/training/contrastive.h. (1, 1)
Var loss(const Steps& steps);

// Brings the scale back to at most 100, as after every update of the published training.
void limit_scale(Weights& w);

// --- a classifier made of words ---

// One direction for each class: the mean of the embeddings of its prompts, brought to length 1 again.
//   prompts  of class c: prompts[c], "a photo of a red square", "a drawing of a red square", ...
//   returns  (classes, D)
Var class_directions(const std::vector<TokenBatch>& prompts, const Weights& w, const Config& config);

// softmax over the classes of exp(log_scale) times the cosine: (images, classes).
Var class_probabilities(const Var& image_embeddings, const Var& directions, const Weights& w);

// --- photographs ---

// Mean and standard deviation of the channels of the published models' training images.
extern const std::vector<float> image_mean, image_standard_deviation;

// How a model's photographs are prepared. The defaults are those of OpenAI's models.
struct Preparation {
    int shorter_side = 0;  // pixels that the shorter side is resized to; 0 = the side of the model's images
    std::vector<float> mean = image_mean, standard_deviation = image_standard_deviation;  // of each channel
};

// What preprocessor_config.json in the folder of a checkpoint says: size, image_mean, image_std. The defaults where there is none.
//   throws  std::invalid_argument with its path for a step that is left out or done otherwise (do_resize, do_center_crop,
//           do_normalize, resample), another crop_size than the model's images, or not three channels
Preparation preparation_of(const std::string& checkpoint_path, const VisionConfig& config);

// A photograph as the model expects it: the shorter side resized (bicubic, antialiased), the middle cut out, (x - mean) / standard
// deviation in every channel.
//   throws  std::invalid_argument unless the grid is square and both have three channels
Image preprocess(const Image& photograph, const VisionConfig& config, const Preparation& how = {});

// Where the parts of its towers lie, for nn/interpret: the outputs are directions before they are brought to length 1, (rows, D), of
// the class token and of the end token.
Inside image_inside(const Weights& w, const Config& config);
Inside text_inside(const Weights& w, const Config& config);

}  // namespace clip
