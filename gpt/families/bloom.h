// bloom.h: BLOOM. GPT-2 without a table of positions: every head subtracts a fixed penalty for the distance to the key.
//
//   papers   BigScience Workshop, "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model", 2022, arXiv 2211.05100
//            Press et al., "Train Short, Test Long: Attention with Linear Biases" (ALiBi), 2021, arXiv 2108.12409, section 3
//   shows    that positions can be a constant on the attention scores: nothing about them is learned, so no text is too long
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   V tokens of the vocabulary   m_h slope of head h
//   differs  a batch is stacked rows; the penalty is -m_h (i - j) as ALiBi has it, the published code adds m_h j: the same after
//            the softmax, which does not see a constant on a row
//   against  gpt/gpt.h: no table of positions, a bias on the scores, a LayerNorm after the embedding
//   neighbour  gpt.h (gpt) learns a vector for each position; here the distance lowers the score, and the embeddings are
//             normalised
//   next     bloom.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

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
    Var words;                  // (V, E)  also the output matrix: a token's logit is its row times the hidden state
    Norm words_norm;            // right after the embedding, for stability
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, biases 0, gains 1; the two matrices of a block that write into the residual stream divided by sqrt(2 L).
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "word_embeddings.weight", "h.0.self_attention.query_key_value.weight", ...
Parameters parameters(const Weights& w, const Config& config);

// Some published files put "transformer." in front of every name, and hold the word table a second time.
LoadRules load_rules();

// --- positions ---

// The slopes m_h of H heads. H = 2^k: 2^(-8 (h+1) / H), h = 0 ... H-1. Otherwise those of n heads, n the next smaller power of two,
// then every second slope of 2n heads.
//   Example: 4 heads 1/4, 1/16, 1/64, 1/256;   3 heads 1/16, 1/256, 1/4
//   throws   std::invalid_argument for fewer than one head
//   source   ALiBi section 3 and its published code
std::vector<float> alibi_slopes(int heads);

// -m_h times the distance from each query back to each key. The queries are the last `queries` of `keys` tokens.
//   returns  (H * queries, keys)  head 0's, then head 1's, ...: Attending::bias. Keys ahead of the query get 0; a mask hides them
Matrix alibi_bias(const std::vector<float>& slopes, int queries, int keys);

// --- the model ---

struct Steps {
    Var words;           // (B*T, E)
    Var embeddings;      // (B*T, E)  LayerNorm of the words; no positions
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument when the batch does not fit together, or an id is not a token
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy over all rows that have a next token, (1, 1).
Var loss(const Steps& steps, const TokenBatch& batch);

// --- one token after the other: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

}  // namespace bloom
