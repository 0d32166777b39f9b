// biogpt.h: BioGPT. A GPT that has read nothing but biomedical abstracts, and answers by continuing them.
//
//   paper    Luo et al., "BioGPT: Generative Pre-trained Transformer for Biomedical Text Generation and Mining", 2022,
//            arXiv 2210.10341
//   shows    that what differs from GPT-2 is the text: own vocabulary, pre-training on one domain from the start, and extraction
//            phrased as a sentence to be written
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: words times sqrt(E), the exact GELU, two unused rows before the table of positions
//   neighbour  galactica.h reads all of science, this one biomedical abstracts alone; the network is that of gpt.h
//   next     biogpt.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

namespace biogpt {

// The defaults are BioGPT (347 M), of the size of GPT-2 medium.
struct Config {
    int vocabulary = 42384;       // V
    int width = 1024;             // E, numbers per token
    int depth = 24;               // L, blocks
    int heads = 16;               // H, must divide E
    int mlp_width = 4096;         // F
    int positions = 1024;         // P, longest text
    int position_offset = 2;      // rows of the table before that of the first token; padding reads the last of them
    bool scale_embedding = true;  // words times sqrt(E)
    Activation activation = Activation::gelu;
    float eps = 1e-5f;  // of every LayerNorm; the published configuration says 1e-12, but the code never uses that
};

struct Weights {
    Var words;                  // (V, E)  the output matrix too
    Var positions;              // (P + offset, E)
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, standard deviation 0.02, biases 0.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "biogpt.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config);

// What published files hold besides: the table of words a second time, as output matrix.
LoadRules load_rules();

struct Steps {
    Var positions;       // (B*T, E)  row position + offset of the table; padding reads row offset - 1
    Var embeddings;      // (B*T, E)  sqrt(E) * words + positions
    StackSteps decoder;  // L blocks, pre-norm
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
};

// The whole model.   throws std::invalid_argument when the batch does not fit together, or an id is not a token
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

// Mean cross-entropy, (1, 1): over all rows that have a next token, or over the rows whose label is not ignored_label
// (fine-tuning: only the target sentence has labels).
//   labels  (B*T)  the token to be predicted at each row, as next_tokens() gives them
Var loss(const Steps& steps, const TokenBatch& batch);
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- one token after the other: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

}  // namespace biogpt
