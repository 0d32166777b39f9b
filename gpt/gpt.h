// gpt.h: GPT. Reads from left to right and predicts the next token.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2, the default here);
//            Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018 (GPT);
//            Brown et al., "Language Models are Few-Shot Learners", 2020, arXiv 2005.14165 (GPT-3: the same blocks, larger)
//   shows    that this objective needs no labels: every token of a text is the target for the tokens before it
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   m inner width of the MLP   V vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every matrix; no dropout; GPT-3's sparse layers are
//            omitted
//   next     gpt.cpp, writing.h (how to write with it), then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"

struct Inside;  // nn/interpret/inside.h

namespace gpt {

// The defaults are the small GPT-2 as published.
struct Config {
    int vocabulary = 50257;  // V
    int positions = 1024;    // longest context, in tokens
    int width = 768;         // E, numbers per token
    int depth = 12;          // L, blocks
    int heads = 12;          // H, must divide E
    int mlp_width = 3072;    // m, in all published models 4 E
    float eps = 1e-5f;       // of every LayerNorm
    Activation activation = Activation::gelu_tanh;
    Order order = Order::pre;  // GPT-2 and after; Order::post: GPT (2018), which has no norm after the last block
    bool tied = true;          // the output matrix is the token embedding
};

struct Weights {
    Var token_embedding;        // (V, E)          token embedding
    Var positions;              // (positions, E)  position embedding
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block; absent in GPT (2018)
    Var output;  // (V, E)          a token's logit is its row times the hidden state; tied: the same Var as `token_embedding`
};

// Standard deviations for initialisation.
struct Start {
    float stddev = 0.02f;            // of all matrices; those that write into the residual stream get stddev / sqrt(2 L)
    float embedding_stddev = 0.02f;  // of token and position embeddings
};

// Fresh weights: normal (not truncated), biases 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Start& start = {});

// Zeros of the same shapes, to load a checkpoint into.
Weights empty_weights(const Config& config);

// --- loading and saving ---

// Names and shapes of the published checkpoints: `gpt2` (wte, wpe, ...) or, with Order::post, `openai-gpt` (tokens_embed, ...).
// Their matrices are (in, out), as in this project.   prefix  prepended to every name: "transformer." in models that have a head
Parameters parameters(const Weights& w, const Config& config, const std::string& prefix = "");

// Variants found in published files: names with or without the prefix "transformer."; the tied embedding also, or only, stored as
// "lm_head.weight"; causal masks and position ids, which are not parameters.
LoadRules load_rules(const Config& config);

// Infers the configuration of a checkpoint: sizes from its tensor shapes; heads, eps and activation from the sources that
// nn/layers/model_config.h lists. eps defaults to 1e-5 and the activation to GELU's tanh form, as in the published code; the
// number of heads has no default.
//   given    settings that override all files: {{"n_head", "4"}}
//   throws   std::invalid_argument with the path when it is not a GPT checkpoint or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- the model ---

struct Steps {
    Var embeddings;      // (B*T, E)  token embedding + position embedding
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  input of the output layer: the last block's output, after the final norm in GPT-2
    Var logits;          // (B*T, V)  row t predicts token t+1; empty after trunk()
};

// Everything below the output matrix: the input of a reward, value or classification head.
//   ids      B*T tokens, sequence after sequence, T = length; shorter ones are padded on the right with any token, which the mask
//            hides from the tokens before it
//   throws   std::invalid_argument when `length` does not divide the ids or exceeds the positions, or an id is outside the
//            vocabulary
Steps trunk(const std::vector<int>& ids, int length, const Weights& w, const Config& config);

// The whole model.
Steps forward(const std::vector<int>& ids, int length, const Weights& w, const Config& config);

// Cross-entropy -log p(label) of every row, (B*T, 1), 0 where ignored; and its mean over the rows that are not ignored, (1, 1).
// For pre-training the labels are next_tokens(ids, length) of nn/text/batch.h.
Var position_losses(const Steps& steps, const std::vector<int>& labels);
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- incremental decoding ---

// Keys and values of all tokens read so far, one cache per block.
struct Cache {
    std::vector<KeyValueCache> blocks;
    int sequences = 0;
    int filled = 0;  // tokens read, of each sequence
};

// Room for `capacity` tokens of each sequence.   throws std::invalid_argument beyond the model's positions
Cache make_cache(const Config& config, int sequences, int capacity);

// trunk() of the next tokens, the same number for each sequence. The results equal those of the full pass.
//   throws  std::invalid_argument when they exceed the capacity or do not divide into the cache's sequences; it is then unchanged
Steps trunk(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache);

// Reads the next tokens and returns the logits after the last one of each sequence, (sequences, V).
Matrix next_logits(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache);

// A cache whose sequence s is a copy of sequence chosen[s].
Cache select_sequences(const Cache& cache, const std::vector<int>& chosen);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace gpt
