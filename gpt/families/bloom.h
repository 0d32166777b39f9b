// bloom.h: BLOOM. GPT-2 without position embeddings: every head subtracts a penalty that grows with the distance to the key.
//
//   papers   BigScience Workshop, "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model", 2022, arXiv 2211.05100
//            Press et al., "Train Short, Test Long: Attention with Linear Biases" (ALiBi), 2021, arXiv 2108.12409, section 3
//   shows    that positions can be a fixed bias on the attention scores; nothing about them is learned, so length is not limited
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   V tokens of the vocabulary   m_h slope of head h
//   differs  a batch is stacked rows; the bias is -m_h (i - j), as in ALiBi; the published code adds m_h j, which gives the
//            same softmax, because the two differ by a constant on each row
//   against  gpt/gpt.h: no position embeddings, a bias on the attention scores, a LayerNorm after the token embedding
//   neighbour  gpt.h (gpt) learns a vector for each position; here distance lowers the attention score, and embeddings
//             are normalised
//   next     bloom.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace bloom {

// The defaults are BLOOM 176B.
struct Config {
    int vocabulary = 250880;  // V
    int width = 14336;        // E, numbers per token; the inner width of the MLP is 4 E
    int depth = 70;           // L, blocks
    int heads = 112;          // H, must divide E
    float eps = 1e-5f;        // of every LayerNorm
};

struct Weights {
    Var token_embedding;        // (V, E)  token embedding, also the output matrix: logit = row of the token times hidden state
    Norm embedding_norm;        // right after the embedding, for stability
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, biases 0, gains 1; the two matrices of a block that write into the residual stream divided by sqrt(2 L).
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "word_embeddings.weight", "h.0.self_attention.query_key_value.weight", ...
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: the prefix "transformer." on every name, and a second copy of the token embedding.
LoadRules load_rules();

// Infers the configuration of a checkpoint: sizes from its tensor shapes; heads and eps (default 1e-5, as in the published code)
// from the sources that nn/layers/model_config.h lists.
//   given    settings that override all files: {{"n_head", "16"}}
//   throws   std::invalid_argument with the path when it is not a BLOOM checkpoint, or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- positions ---

// The slopes m_h of H heads. If H is a power of two: 2^(-8 (h+1) / H), h = 0 ... H-1. Otherwise the slopes for n heads, where
// n is the next smaller power of two, then every second slope for 2n heads.
//   Example: 4 heads 1/4, 1/16, 1/64, 1/256;   3 heads 1/16, 1/256, 1/4
//   throws   std::invalid_argument for fewer than one head
//   source   ALiBi section 3 and its published code
std::vector<float> alibi_slopes(int heads);

// -m_h times the distance from each query back to each key. The queries are the last `queries` of `keys` tokens.
//   returns  (H * queries, keys)  head 0's, then head 1's, ...: Attending::bias. Keys after the query get 0; the causal mask
//            hides them
Matrix alibi_bias(const std::vector<float>& slopes, int queries, int keys);

// --- the model ---

struct Steps {
    Var token_embeddings;  // (B*T, E)  token embeddings
    Var embeddings;        // (B*T, E)  their LayerNorm; no position embeddings
    StackSteps decoder;    // L blocks
    Var hidden;            // (B*T, E)  LayerNorm of the last block
    Var logits;            // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy over all rows that have a next token, (1, 1).
Var loss(const Steps& steps, const TokenBatch& batch);

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace bloom
