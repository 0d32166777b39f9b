// palm.h: PaLM. Attention and MLP read the same normalised tokens at the same time, and all heads share one key and one value.
//
//   paper    Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, arXiv 2204.02311, section 2
//            shared keys and values: Shazeer, "Fast Transformer Decoding", 2019, arXiv 1911.02150
//   shows    that the two sublayers of a block need not wait for each other, and that a cache can be H times smaller
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   h head width   I inner width   V tokens in all
//   differs  the original is not public; the numbers are those of a community implementation, which does not scale the logits by
//            1 / sqrt(E). A batch is stacked rows
//   against  gpt/families/llama.h: a parallel block with one norm, one head of keys, LayerNorm without bias, a tied output
//            matrix, heads that together need not be as wide as the model
//   neighbour  llama.h computes attention and MLP one after the other, and has as many key heads as query heads or fewer
//   next     palm.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

namespace palm {

// The defaults are PaLM 540B.
struct Config {
    int vocabulary = 256000;    // V
    int width = 18432;          // E, numbers per token
    int depth = 118;            // L, blocks
    int heads = 48;             // H, of queries; keys and values have one
    int head_width = 256;       // h, even; H h need not be E
    int mlp_width = 73728;      // I, 4 E
    float eps = 1e-5f;          // of every LayerNorm
    float rotary_base = 10000;  // of the rotation
};

struct Weights {
    Var words;                  // (V, E)  also the output matrix
    std::vector<Block> blocks;  // L of them; norm2 has no values, as the MLP reads what attention reads
    Norm norm;                  // after the last block; a gain and no bias, as all norms here
};

// Fresh weights: normal, gains 1.   throws std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the community implementation. All that reads the normalised tokens is one matrix, whose rows are those of
// all queries, of the key, the value, then of both halves of the MLP. Blocks count from 1: 0 is the word table.
Parameters parameters(const Weights& w, const Config& config);

struct Steps {
    Var embeddings;      // (B*T, E)  words, not scaled; no positions
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument when the batch does not fit together, or an id is not a token
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy over all rows that have a next token, (1, 1).
Var loss(const Steps& steps, const TokenBatch& batch);

// weight * mean of log(Z)^2 over the same rows, Z the sum of exp(logits): keeps log Z near 0. To be added to the loss; (1, 1).
//   source  section 5
Var z_loss(const Steps& steps, const TokenBatch& batch, float weight = 1e-4f);

// --- one token after the other: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

}  // namespace palm
