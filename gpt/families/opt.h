// opt.h: OPT. GPT-2 in fairseq's layout; Galactica and BioGPT are this decoder with two or three settings changed.
//
//   paper    Zhang et al., "OPT: Open Pre-trained Transformer Language Models", 2022, arXiv 2205.01068
//   shows    that two published models can share all code and differ in a few fields of a configuration
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: the position embedding begins with two rows that no token uses; padding may be on the left
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
    int vocabulary = 50272;     // V
    int width = 4096;           // E, numbers per token
    int depth = 32;             // L, blocks
    int heads = 32;             // H, must divide E
    int mlp_width = 16384;      // F
    int positions = 2048;       // P, longest text
    int position_offset = 2;    // rows before that of the first token; padding uses the last of them
    bool biases = true;         // of linear layers
    bool affine_norms = true;   // norms have a gain and a bias
    float embedding_scale = 1;  // on token embeddings, not on position embeddings
    Activation activation = Activation::relu;
    float eps = 1e-5f;         // of every LayerNorm
    std::string name = "opt";  // the model's name in error messages
};

struct Weights {
    Var token_embedding;        // (V, E)  token embedding, also the output matrix
    Var positions;              // (P + offset, E)
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, biases 0, gains 1.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Tensor names that differ between published files: the decoder's prefix, and the norm after the last block.
struct Names {
    std::string prefix = "model.decoder.";
    std::string last_norm = "final_layer_norm";
};

// Names and layout of the published checkpoints: "model.decoder.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config, const Names& names = {});

// Infers sizes, biases and gains from the tensors of a checkpoint; the number of heads from the sources that
// nn/layers/model_config.h lists. Activation, eps, offset, factor and name are those of `otherwise`.
//   throws  std::invalid_argument with the path when it is not such a checkpoint, or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given, const Names& names, const Config& otherwise);

struct Steps {
    Var positions;       // (B*T, E)  row position + offset of the position embedding; padding uses row offset - 1
    Var embeddings;      // (B*T, E)  embedding_scale * token embedding + position embedding
    StackSteps decoder;  // L blocks, pre-norm
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy, (1, 1): over all rows that have a next token, or over the rows whose label is not ignored_label.
//   labels  (B*T)  the target of each row, as next_tokens() returns them
Var loss(const Steps& steps, const TokenBatch& batch);
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace opt
