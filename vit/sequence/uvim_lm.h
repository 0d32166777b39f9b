// uvim_lm.h: UViM, stage II. An encoder-decoder language model reads the image and writes the guiding code.
//
//   paper    Kolesnikov et al., "UViM", 2022, arXiv 2205.10337, stage II
//   shows    that after stage I the ambiguous part of the output is a translation task: image in, l tokens out
//   symbols  B images   n patches   D width   l code length   V = K + 1 tokens: 0 starts the text, code k is k + 1
//   differs  a batch is stacked rows
//   against  T5 (gpt/unified): the source is patches, positions are added, and the decoder's attention has no biases
//   neighbour  pix2seq.h writes boxes; here the text is the guiding code of uvim.h
//   next     uvim_lm.cpp, then the walkthrough of uvim.h
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/text/memory.h"
#include "vit/sequence/uvim.h"

namespace uvim_lm {

// The defaults are the published model (a ViT-L and a decoder of 24 blocks).
struct Config {
    uvim::Grid grid = {};  // H, W, patches
    int width = 1024;      // D
    int depth = 24;        // blocks of the encoder, and as many of the decoder
    int heads = 16;        // must divide D
    int mlp_width = 4096;
    int vocabulary = 4097;           // V = K + 1
    int code_length = 256;           // l
    bool learned_positions = false;  // false: sines and cosines of row and column; a text is one row
    float eps = 1e-6f;               // of every LayerNorm
};

struct Weights {
    Linear image;                              // (patch numbers, D)
    Var encoder_positions, decoder_positions;  // (n, D) and (l, D), or absent: then they are sines and cosines
    uvim::Trunk encoder;
    Var token_embedding;  // (V, D)
    uvim::Trunk decoder;  // blocks with cross-attention
    Linear head;          // (D, V)
};

// Fresh weights: Xavier-uniform, token embeddings normal with standard deviation 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::xavier_uniform});
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// Codes as tokens, and back: token = code + 1, because 0 starts each text.
//   codes_of throws std::invalid_argument for the token 0, which is not a code
std::vector<int> tokens_of(const std::vector<int>& code);
std::vector<int> codes_of(const std::vector<int>& tokens);

// The decoder's input: 0, then all but the last of each l tokens.
std::vector<int> shifted(const std::vector<int>& tokens, int length);

struct EncoderSteps {
    Var positions;  // (n, D)
    StackSteps blocks;
    Var encoded;  // (B*n, D)  after the last norm
};
EncoderSteps encode(const std::vector<Image>& images, const Weights& w, const Config& config);

struct Steps {
    EncoderSteps encoder;
    Var positions;  // (l, D)  of the decoder
    StackSteps decoder;
    Var logits;  // (B*l, V)
};

// Predicts each token from those before it.
//   tokens  (B*l)
//   throws  std::invalid_argument when they are not l for each image
Steps forward(const std::vector<Image>& images, const std::vector<int>& tokens, const Weights& w, const Config& config);

// Mean cross-entropy of the tokens, (1, 1).
Var loss(const Steps& steps, const std::vector<int>& tokens);

// --- writing ---

// For generate() and beam_search() of nn/text/decoding.h. Images are encoded once; each text begins with token 0.
class Reader : public TokenReader {
public:
    Reader(const std::vector<Image>& images, const Weights& w, const Config& config);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;

private:
    const Weights& weights;
    const Config& config;
    Var encoded;    // (B*n, D)
    Memory memory;  // of the text, and keys and values of the image
};

// Greedy decoding of l tokens for each image: (B*l).
std::vector<int> write(const std::vector<Image>& images, const Weights& w, const Config& config);

}  // namespace uvim_lm
