// llama.h: LLaMA. GPT-2 with RMSNorm, SwiGLU and rotary positions, trained on far more tokens than was usual for its size.
//
//   papers   Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv 2302.13971, section 2.2
//            Touvron et al., "Llama 2", 2023, arXiv 2307.09288 (grouped-query attention in the large models)
//   shows    four changes to GPT-2: RMSNorm for LayerNorm, a gated SiLU MLP (SwiGLU) for GELU, rotary for learned position
//            embeddings (RoPE), and no biases
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   G key/value heads   h = E / H   F inner width
//            V tokens of the vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every matrix
//   against  gpt/gpt.h: no position embedding matrix, another norm, a gate; the output matrix is not tied to the token embedding
//   neighbour  gpt.h (gpt) has LayerNorm, GELU, learned positions and biases; here RMSNorm, SwiGLU, rotary positions, no biases
//   next     llama.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace llama {

// The defaults are LLaMA 7B.
struct Config {
    int vocabulary = 32000;     // V
    int width = 4096;           // E, numbers per token
    int depth = 32;             // L, blocks
    int heads = 32;             // H, must divide E
    int key_value_heads = 32;   // G, must divide H; fewer than H: grouped-query attention
    int mlp_width = 11008;      // F, two thirds of 4 E, rounded up to a multiple of 256
    float eps = 1e-6f;          // of every RMSNorm; 1e-5 in Llama 2
    float rotary_base = 10000;  // of the rotary embedding
    bool tied = false;          // the output matrix is the token embedding: in small models of this layout, not in LLaMA itself
};

struct Weights {
    Var token_embedding;        // (V, E)  token embedding
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
    Var output;                 // (V, E)  logit = row of the token times hidden state; tied: the same Var as `token_embedding`
};

// Fresh weights: normal, gains 1.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints in Hugging Face's form ("model.layers.0.self_attn.q_proj.weight"), and in
// Meta's ("layers.0.attention.wq.weight"), where the two columns that are rotated together are adjacent.
Parameters parameters(const Weights& w, const Config& config);
Parameters meta_parameters(const Weights& w, const Config& config);
// Whichever of the two layouts the checkpoint has.
Parameters parameters_in(const Safetensors& checkpoint, const Weights& w, const Config& config);

// Variants found in published files: stored rotary frequencies, which follow from the base; names without "model."; a second copy
// of a tied token embedding as output matrix.
LoadRules load_rules(const Config& config = {});

// Infers the configuration of a checkpoint in either layout: sizes from its tensor shapes; heads, eps and rotary base from the
// sources that nn/layers/model_config.h lists. As in the published code, eps defaults to 1e-6 (configurations of Llama 2 give
// 1e-5) and the base to 10000; the number of heads has no default. The model is tied if the file has no output matrix, or one
// that equals the token embedding.
//   given    settings that override all files: {{"num_attention_heads", "32"}}
//   throws   std::invalid_argument with the path when it is not a LLaMA checkpoint, when the number of heads is unknown, or
//            when it uses a feature of later models: scaled rotary frequencies, biases, a head width other than E / H
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Var embeddings;      // (B*T, E)  token embeddings, not scaled; no position embeddings
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  RMSNorm of the last block
    Var logits;          // (B*T, V)  row t predicts token t+1; absent after read_on()
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

}  // namespace llama
