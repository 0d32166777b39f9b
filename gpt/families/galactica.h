// galactica.h: Galactica. A GPT for science: every kind of scientific data is spelled out in the tokens of one text.
//
//   papers   Taylor et al., "Galactica: A Large Language Model for Science", 2022, arXiv 2211.09085
//            blocks: Zhang et al., "OPT: Open Pre-trained Transformer Language Models", 2022, arXiv 2205.01068
//   shows    that tokenisation is a modelling decision: digits, bases and atoms one by one, special tokens around each kind of
//            data, and a token <work> before reasoning that is written out step by step
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: the exact GELU, no biases and norms without gain and bias, two unused rows before the table of positions
//   neighbour  gpt.h (gpt) is the same network with biases; here the text is different: numbers digit by digit, a working memory
//   next     galactica.cpp, then its walkthrough
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

namespace galactica {

// The defaults are Galactica 6.7B ("standard").
struct Config {
    int vocabulary = 50000;     // V
    int width = 4096;           // E, numbers per token
    int depth = 32;             // L, blocks
    int heads = 32;             // H, must divide E
    int mlp_width = 16384;      // F
    int positions = 2048;       // P, longest text
    int position_offset = 2;    // rows of the table before that of the first token; padding reads the last of them
    bool biases = false;        // of linear layers ("enable_bias"); converted files have them, the paper does not
    bool affine_norms = false;  // gain and bias of norms ("layer_norm_elementwise_affine"); likewise
    Activation activation = Activation::gelu;
    float eps = 1e-5f;  // of every LayerNorm
};

struct Weights {
    Var words;                  // (V, E)  the output matrix too
    Var positions;              // (P + offset, E)
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal.   throws std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "model.decoder.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config);

// What published files hold besides: the table of words a second time, as output matrix.
LoadRules load_rules();

struct Steps {
    Var positions;       // (B*T, E)  row position + offset of the table; padding reads row offset - 1
    Var embeddings;      // (B*T, E)  words + positions
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
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- tokenisation (section 3.1) ---

// A stretch of text on the way to tokens.
struct Piece {
    std::string text;
    bool is_token = false;  // one token as it stands; otherwise byte-pair encoding goes on inside it

    bool operator==(const Piece&) const = default;
};

// Cuts a text by the rules that come before byte-pair encoding:
//   special tokens      [START_REF], [END_REF], <work>, </work>, START and END of SMILES, I_SMILES, AMINO, DNA: one token each
//   SMILES, AMINO, DNA  between their special tokens every character is a token
//   numbers             every digit is a token, and so is a point between two digits
//   mathematics         every operator = + - * / ^ < > | & ~ and every parenthesis is a token
// An unfinished [START_...] reaches to the end of the text. Pieces one after the other are the text.
//   Example: "H 73.6" -> "H ", 7, 3, ., 6;   "[START_DNA]CG[END_DNA]" -> [START_DNA], C, G, [END_DNA]
std::vector<Piece> pieces(std::string_view text);

}  // namespace galactica
