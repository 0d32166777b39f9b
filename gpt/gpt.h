// gpt.h: GPT. Read from left to right, predict the next token, and nothing else.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2, the default here);
//            Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018 (GPT);
//            Brown et al., "Language Models are Few-Shot Learners", 2020, arXiv 2005.14165 (GPT-3: the same blocks, larger)
//   shows    that one objective needs no labels: every token of a text is the answer to the question before it
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   m inner width of the MLP   V words of the vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every matrix; no dropout; GPT-3's sparse layers are
//            left out
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
    int positions = 1024;    // the most tokens that it can look at
    int width = 768;         // E, numbers per token
    int depth = 12;          // L, blocks
    int heads = 12;          // H, must divide E
    int mlp_width = 3072;    // m, in all published models 4 E
    float eps = 1e-5f;       // of every LayerNorm
    Activation activation = Activation::gelu_tanh;
    Order order = Order::pre;  // GPT-2 and after; Order::post: GPT (2018), which has no norm after the last block
    bool tied = true;  // the output matrix is the word table itself
};

struct Weights {
    Var words;                  // (V, E)          one row a word
    Var positions;              // (positions, E)  one row a place
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block; absent in GPT (2018)
    Var output;                 // (V, E)          a word's logit is its row times the hidden state; tied: the same Var as `words`
};

// Standard deviations of fresh weights.
struct Start {
    float stddev = 0.02f;            // of all matrices; those that write into the residual stream get stddev / sqrt(2 L)
    float embedding_stddev = 0.02f;  // of words and positions
};

// Fresh weights: normal (not cut off), biases 0, gains 1.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Start& start = {});

// The same shapes full of zeros, to be loaded into: a checkpoint needs no random numbers before it.
Weights empty_weights(const Config& config);

// --- loading and saving ---

// Names and shapes of the published checkpoints: `gpt2` (wte, wpe, ...) or, with Order::post, `openai-gpt` (tokens_embed, ...).
// Their matrices are (in, out), as ours.   prefix  put in front of every name: "transformer." in models that have a head
Parameters parameters(const Weights& w, const Config& config, const std::string& prefix = "");

// What a published file may do differently: carry "transformer." in front of its names or not, keep the word table of a tied model
// under "lm_head.weight" instead or as well, and hold the causal masks and a table of position numbers, which are no parameters.
LoadRules load_rules(const Config& config);

// The configuration of a checkpoint: sizes from its shapes; heads, eps and activation from where nn/layers/model_config.h looks for
// them. Published code takes eps 1e-5 and the tanh form of GELU where a configuration does not say; the heads must be told.
//   told     what the caller knows: {{"n_head", "4"}}
//   throws   std::invalid_argument with the path when it is no GPT checkpoint, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- the model ---

struct Steps {
    Var embeddings;      // (B*T, E)  word + position
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  what an output layer reads: the norm of the last block (GPT-2), the block itself (GPT)
    Var logits;          // (B*T, V)  row t speaks of token t+1; absent after trunk()
};

// Everything below the output matrix: what a reward, a value or a class is read from.
//   ids      B*T words, sequence after sequence; shorter ones are filled up on the right with any word, which no token before
//            it can see
//   throws   std::invalid_argument when `length` does not divide the ids, or exceeds the positions, or an id is no word
Steps trunk(const std::vector<int>& ids, int length, const Weights& w, const Config& config);

// The whole model.
Steps forward(const std::vector<int>& ids, int length, const Weights& w, const Config& config);

// -log p(label) of every row, (B*T, 1), 0 where ignored; and the mean over the others, (1, 1). For pre-training the labels are
// next_tokens(ids, length) of nn/text/batch.h.
Var position_losses(const Steps& steps, const std::vector<int>& labels);
Var loss(const Steps& steps, const std::vector<int>& labels);

// --- one token after the other ---

// Keys and values of everything read so far, one cache a block.
struct Cache {
    std::vector<KeyValueCache> blocks;
    int sequences = 0;
    int filled = 0;  // tokens read, of each sequence
};

// Room for `capacity` tokens of each sequence.   throws std::invalid_argument beyond the model's positions
Cache make_cache(const Config& config, int sequences, int capacity);

// trunk() of the tokens that come next, the same number for each sequence. The numbers are those of the full pass.
//   throws  std::invalid_argument when they do not fit into the cache; the cache is unchanged then
Steps trunk(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache);

// Reads the next tokens and says what may follow: the logits of the last one of each sequence, (sequences, V).
Matrix next_logits(const std::vector<int>& next_ids, const Weights& w, const Config& config, Cache& cache);

// Sequence s of the new cache is a copy of what sequence chosen[s] of the old one has read.
Cache select_sequences(const Cache& cache, const std::vector<int>& chosen);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace gpt
