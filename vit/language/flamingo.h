// flamingo.h: Flamingo. A frozen language model reads images through gated cross-attention layers between its blocks.
//
//   paper    Alayrac et al., "Flamingo: a Visual Language Model for Few-Shot Learning", 2022, arXiv 2204.14198, section 2
//   shows    that a frozen language model need not change: new layers between its blocks attend to images, and their output is
//            multiplied by tanh(gate) with gate = 0 at the start, so that the untrained model is the language model, bit by bit
//   symbols  B texts   L tokens each   T images of each text   F frames of each   v tokens of a frame   Dv their width
//            R latents   E width of the text   V tokens of the vocabulary
//   differs  the language model is a GPT (the paper's is Chinchilla, OpenFlamingo's any of Hugging Face); a token before the first
//            image receives 0, also with only_last_image = false (the published code then attends to all images uniformly)
//   against  coca.h: there the decoder is trained, here it is frozen; gpt/gpt.h: its blocks, one by one
//   neighbour  gpt.h (gpt) stays frozen; new are the gated cross-attention layers between its blocks
//   next     flamingo.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gpt/gpt.h"
#include "nn/layers/pooler.h"
#include "nn/text/memory.h"

namespace flamingo {

// The defaults are OpenFlamingo's hyperparameters around GPT-2.
struct Config {
    gpt::Config language = {};
    ResamplerShape resampler = {};  // its width is Dv
    int heads = 8;                  // of the gated layers
    int head_width = 64;
    int mlp_width = 4 * 768;      // inner width of their MLPs
    int every = 1;                // a gated layer before every `every`-th block: before blocks every - 1, 2 every - 1, ...
    bool only_last_image = true;  // a token attends to the last image before it; false: to all images before it
    int image_token = 50257;      // marks the position of an image in the text
    float eps = 1e-5f;            // of every LayerNorm outside the language model
};

// A layer between two blocks of the language model: cross-attention to the images, then an MLP, each with a gate. No biases.
struct GatedLayer {
    Block block;         // norm_cross, cross, norm2, mlp
    Var attention_gate;  // (1, 1)  0 at the start; the attention's output is multiplied by its tanh
    Var mlp_gate;        // (1, 1)
};

struct Weights {
    gpt::Weights language;
    Resampler resampler;
    std::vector<GatedLayer> gated;  // blocks / every of them
};

// Fresh resampler and gated layers for a language model, which is shared, not copied: normal, standard deviation 0.02; gates 0.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, const gpt::Weights& language, Random& random,
                     const Init& init = {.draw = Draw::normal});

// Turns the language model's weights into constants: gradients flow through it to the gated layers, but not into it.
void freeze_language_model(const Weights& w, const Config& config);

// Names and layout of OpenFlamingo's checkpoints: all parameters, or only the trained ones.
Parameters parameters(const Weights& w, const Config& config);
Parameters trained_parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct GatedSteps {
    Var norm;                  // (B*L, E)
    AttentionSteps attention;  // output (B*L, E), before the gate; 0 for tokens before the first image
    Var after_attention;       // (B*L, E)
    MlpSteps mlp;              // output (B*L, E), before the gate
    Var output;                // (B*L, E)  input of the frozen block
};

struct Steps {
    ResamplerSteps resampler;  // latents (B*T*R, Dv): "media"
    Matrix sees;               // (B*L, T)  1 where a token may attend to an image
    Var embeddings;            // (B*L, E)
    std::vector<GatedSteps> gated;
    std::vector<BlockSteps> blocks;  // of the language model
    Var hidden;                      // (B*L, E)
    Var logits;                      // (B*L, V)  absent after read_on()
};

// Cross-attention mask: entry (i, t) is 1 when token i may attend to image t. An image token already sees its own image.
//   texts    may contain padding; T images for each
//   columns  only the last `columns` tokens of each text; 0 = all
//   Example: tokens  a <image> b <image> c, T = 2: rows 00 10 10 01 01; with only_last_image = false: 00 10 10 11 11
Matrix visible_images(const TokenBatch& texts, int T, const Config& config, int columns = 0);

// The whole model.
//   texts            padding at the end
//   vision_features  (B*T*F*v, Dv)  patch tokens of a frozen image encoder: all of text 0, image 0, frame 0, then frame 1, ...
//   throws           std::invalid_argument when their rows are not T images for each text, or a text is too long
Steps forward(const TokenBatch& texts, const Var& vision_features, int T, const Weights& w, const Config& config);

// The next token of each row; ignored_label where it is an image token or padding.
std::vector<int> labels_of(const TokenBatch& texts, const Config& config);

// Mean cross-entropy of the rows that have a label, (1, 1).
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- writing ---

// For generate() and beam_search() of nn/text/decoding.h. Images are encoded once; texts may be padded on the left.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    int images;                          // T
    Var media;                           // (B*T*R, Dv)
    Memory memory;                       // of the language model
    std::vector<KeyValueCache> sources;  // keys and values of the media, for each gated layer

    Reader(const Var& vision_features, int sequences, int T, const Weights& w, const Config& config, int capacity);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

}  // namespace flamingo
