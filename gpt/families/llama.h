// llama.h: LLaMA. GPT-2's idea with the best known parts, trained longer on more text than its size seemed to deserve.
//
//   papers   Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv 2302.13971, section 2.2
//            Touvron et al., "Llama 2", 2023, arXiv 2307.09288 (shared key heads in the large models)
//   shows    four replacements in GPT-2: RMSNorm for LayerNorm, a gated SiLU MLP for GELU, rotation for learned positions, and no
//            biases at all
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   G heads of keys and values   h = E / H   F inner width
//            V tokens of the vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every matrix
//   against  gpt/gpt.h: no table of positions, another norm, a gate; the output matrix is not the table of words
//   neighbour  gpt.h (gpt) has LayerNorm, GELU, learned positions and biases; here RMSNorm, SwiGLU, rotary positions and none
//   next     llama.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

namespace llama {

// The defaults are LLaMA 7B.
struct Config {
    int vocabulary = 32000;      // V
    int width = 4096;            // E, numbers per token
    int depth = 32;              // L, blocks
    int heads = 32;              // H, must divide E
    int key_value_heads = 32;    // G, must divide H; fewer than H: grouped-query attention
    int mlp_width = 11008;       // F, two thirds of 4 E, rounded up to a multiple of 256
    float eps = 1e-6f;           // of every RMSNorm; 1e-5 in Llama 2
    float rotary_base = 10000;   // of the rotation
};

struct Weights {
    Var words;                  // (V, E)
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
    Var output;                 // (V, E)  a token's logit is its row times the hidden state; another matrix than `words`
};

// Fresh weights: normal, gains 1.   throws std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints as Hugging Face stores them ("model.layers.0.self_attn.q_proj.weight"), or as Meta
// does ("layers.0.attention.wq.weight"), where the two columns that are rotated together lie side by side.
Parameters parameters(const Weights& w, const Config& config);
Parameters meta_parameters(const Weights& w, const Config& config);

// What published files hold besides: frequencies of the rotation, which follow from its base.
LoadRules load_rules();

// The configuration of a checkpoint in either layout: sizes from its shapes; heads, eps and the base of the rotation from where
// nn/layers/model_config.h looks for them. Published code takes 1e-6 and 10000 where a configuration does not say (those of Llama 2
// say 1e-5); the heads must be told.
//   told     what the caller knows: {{"num_attention_heads", "32"}}
//   throws   std::invalid_argument with the path when it is no LLaMA, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Var embeddings;      // (B*T, E)  words, not scaled; no positions
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  RMSNorm of the last block
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

}  // namespace llama
