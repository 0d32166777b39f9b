// opt.h: OPT's decoder, GPT-2 as fairseq writes it. Galactica and BioGPT are this decoder with two or three decisions changed.
//
//   source   Zhang et al., "OPT: Open Pre-trained Transformer Language Models", 2022, arXiv 2205.01068
//   shows    that two published models can share every line but a few fields of a configuration
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: the table of positions begins with two rows that no text position reads; padding may stand on the left
//   next     opt.cpp, then galactica.h and biogpt.h
#pragma once
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace opt {

// The defaults are OPT 6.7B.
struct Config {
    int vocabulary = 50272;    // V
    int width = 4096;          // E, numbers per token
    int depth = 32;            // L, blocks
    int heads = 32;            // H, must divide E
    int mlp_width = 16384;     // F
    int positions = 2048;      // P, longest text
    int position_offset = 2;   // rows of the table before that of the first token; padding reads the last of them
    bool biases = true;        // of linear layers
    bool affine_norms = true;  // norms have a gain and a bias
    float word_factor = 1;     // on word embeddings, not on positions
    Activation activation = Activation::relu;
    float eps = 1e-5f;         // of every LayerNorm
    std::string name = "opt";  // the model that messages speak of
};

struct Weights {
    Var words;                  // (V, E)  the output matrix too
    Var positions;              // (P + offset, E)
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, biases 0, gains 1.   throws std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Where the published files keep the decoder: "model.decoder." and the name of the norm after the last block.
struct Names {
    std::string prefix = "model.decoder.";
    std::string last_norm = "final_layer_norm";
};

// Names and layout of the published checkpoints: "model.decoder.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config, const Names& names = {});

// The sizes of a checkpoint, and whether it has biases and gains: both follow from its tensors. The number of heads comes from
// where nn/layers/model_config.h looks for it. Activation, eps, offset, factor and name stay as they are in `otherwise`.
//   throws  std::invalid_argument with the path when it is no such checkpoint, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told, const Names& names, const Config& otherwise);

struct Steps {
    Var positions;       // (B*T, E)  row position + offset of the table; padding reads row offset - 1
    Var embeddings;      // (B*T, E)  word factor * words + positions
    StackSteps decoder;  // L blocks, pre-norm
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument when the batch does not fit together, or an id is not a token
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy, (1, 1): over all rows that have a next token, or over the rows whose label is not ignored_label.
//   labels  (B*T)  the token to be predicted at each row, as next_tokens() gives them
Var loss(const Steps& steps, const TokenBatch& batch);
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- one token after the other: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w);

// Where its parts are, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace opt
