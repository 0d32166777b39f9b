// palm.h: PaLM. Attention and MLP run in parallel on one normalised input, and all heads share one key and one value.
//
//   paper    Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, arXiv 2204.02311, section 2
//            multi-query attention: Shazeer, "Fast Transformer Decoding", 2019, arXiv 1911.02150
//   shows    that the two sublayers of a block can run in parallel, and that multi-query attention makes the cache
//            H times smaller
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   h head width   I inner width   V vocabulary
//   differs  the original code is not public; the numbers are those of a community implementation, which does not scale the
//            logits by 1 / sqrt(E). A batch is stacked rows
//   against  gpt/families/llama.h: a parallel block with one norm, one key/value head, LayerNorm without bias, a tied output
//            matrix, heads whose total width H h need not be E
//   neighbour  llama.h computes attention, then the MLP, and has G key/value heads, G a divisor of H
//   next     palm.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace palm {

// The defaults are PaLM 540B.
struct Config {
    int vocabulary = 256000;    // V
    int width = 18432;          // E, numbers per token
    int depth = 118;            // L, blocks
    int heads = 48;             // H, query heads; keys and values have one head
    int head_width = 256;       // h, even; H h need not be E
    int mlp_width = 73728;      // I, 4 E
    float eps = 1e-5f;          // of every LayerNorm
    float rotary_base = 10000;  // of the rotary embedding
};

struct Weights {
    Var token_embedding;        // (V, E)  token embedding, also the output matrix
    std::vector<Block> blocks;  // L of them; norm2 is empty, as the MLP reads the same input as attention
    Norm norm;                  // after the last block; a gain and no bias, like every norm here
};

// Fresh weights: normal, gains 1.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the community implementation. All projections of the normalised input are fused into one matrix: rows of
// the queries, the key, the value, then both halves of the gated MLP. Blocks count from 1; 0 is the token embedding.
Parameters parameters(const Weights& w, const Config& config);

// Infers the configuration of a checkpoint from its tensor shapes: the output matrix of attention is H h wide, that of the MLP I,
// and the remaining rows of the fused matrix are one key and one value. eps and rotary base are the implementation's, 1e-5 and
// 10000.
//   throws   std::invalid_argument with the path when it is not a PaLM checkpoint, or its shapes are inconsistent
Config config_of(const Safetensors& checkpoint);

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Var embeddings;      // (B*T, E)  token embeddings, not scaled; no position embeddings
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy over all rows that have a next token, (1, 1).
Var loss(const Steps& steps, const TokenBatch& batch);

// weight * mean of log(Z)^2 over the same rows, (1, 1), where Z is the sum of exp(logits). Added to the loss,
// it keeps log Z near 0.
//   source  section 5
Var z_loss(const Steps& steps, const TokenBatch& batch, float weight = 1e-4f);

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace palm
