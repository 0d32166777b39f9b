// galactica.h: Galactica. A GPT for science: formulas, molecules, proteins and citations become tokens of one text.
//
//   paper    Taylor et al., "Galactica: A Large Language Model for Science", 2022, arXiv 2211.09085
//   shows    that tokenization is a modelling decision: single tokens for digits, bases and atoms, special tokens around each
//            kind of data, and a token <work> before step-by-step reasoning
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/families/opt.h, the decoder: the exact GELU instead of ReLU, no biases, norms without gain and bias
//   neighbour  opt.h is the same network with biases; here the tokenization differs: single digits, and <work>
//   next     galactica.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gpt/families/opt.h"

struct Inside;  // nn/interpret/inside.h

namespace galactica {

// The defaults are Galactica 6.7B ("standard").
struct Config {
    int vocabulary = 50000;     // V
    int width = 4096;           // E, numbers per token
    int depth = 32;             // L, blocks
    int heads = 32;             // H, must divide E
    int mlp_width = 16384;      // F
    int positions = 2048;       // P, longest text
    int position_offset = 2;    // rows before that of the first token; padding uses the last of them
    bool biases = false;        // of linear layers ("enable_bias"); converted files have them, the paper does not
    bool affine_norms = false;  // gain and bias of norms ("layer_norm_elementwise_affine"); as above
    Activation activation = Activation::gelu;
    float eps = 1e-5f;  // of every LayerNorm
};

using opt::Steps;
using opt::Weights;

// Fresh weights: normal.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "model.decoder.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: a second copy of the token embedding as output matrix; names without "model.".
LoadRules load_rules();

// Infers the configuration of a checkpoint: sizes, biases and gains from its tensors; heads and activation from the sources that
// nn/layers/model_config.h lists. Checkpoints of OPT in its usual layout load too.
//   given    settings that override all files: {{"num_attention_heads", "32"}}
//   throws   std::invalid_argument with the path when it is not such a checkpoint, or the heads or the activation are unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

using opt::loss;  // mean cross-entropy

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- tokenization (section 3.1) ---

// A piece of text before byte-pair encoding.
struct Piece {
    std::string text;
    bool is_token = false;  // a token already; otherwise byte-pair encoding splits it further

    bool operator==(const Piece&) const = default;
};

// Splits a text by the rules that apply before byte-pair encoding:
//   special tokens      [START_REF], [END_REF], <work>, </work>, START and END of SMILES, I_SMILES, AMINO, DNA: one token each
//   SMILES, AMINO, DNA  between their special tokens every character is a token
//   numbers             every digit is a token, and so is a point between two digits
//   mathematics         every operator = + - * / ^ < > | & ~ and every parenthesis is a token
// An unclosed [START_...] extends to the end of the text. The pieces, concatenated, are the text.
//   Example: "H 73.6" -> "H ", 7, 3, ., 6;   "[START_DNA]CG[END_DNA]" -> [START_DNA], C, G, [END_DNA]
std::vector<Piece> pieces(std::string_view text);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace galactica
