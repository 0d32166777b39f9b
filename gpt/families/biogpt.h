// biogpt.h: BioGPT. A GPT pre-trained on biomedical abstracts only; it answers questions by continuing a text.
//
//   paper    Luo et al., "BioGPT: Generative Pre-trained Transformer for Biomedical Text Generation and Mining", 2022,
//            arXiv 2210.10341
//   shows    that the main difference from GPT-2 is the data: a vocabulary of the domain, pre-training from scratch on it, and
//            information extraction as text generation
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/families/opt.h, the decoder: token embeddings times sqrt(E), the exact GELU instead of ReLU
//   neighbour  galactica.h is trained on all of science, BioGPT on biomedical abstracts only; both use the network of opt.h
//   next     biogpt.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gpt/families/opt.h"

struct Inside;  // nn/interpret/inside.h

namespace biogpt {

// The defaults are BioGPT (347 M), of the size of GPT-2 medium.
struct Config {
    int vocabulary = 42384;       // V
    int width = 1024;             // E, numbers per token
    int depth = 24;               // L, blocks
    int heads = 16;               // H, must divide E
    int mlp_width = 4096;         // F
    int positions = 1024;         // P, longest text
    int position_offset = 2;      // rows before that of the first token; padding uses the last of them
    bool scale_embedding = true;  // token embeddings times sqrt(E)
    Activation activation = Activation::gelu;
    float eps = 1e-5f;  // of every LayerNorm; the published configuration has 1e-12, which the code does not use
};

using opt::Steps;
using opt::Weights;

// Fresh weights: normal, standard deviation 0.02, biases 0.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "biogpt.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: a second copy of the token embedding as output matrix; names without "biogpt.".
LoadRules load_rules();

// Infers the configuration of a checkpoint: sizes from its tensors; heads, activation (default: exact GELU, as in the published
// code) and the embedding scale from the sources that nn/layers/model_config.h lists. The eps of the configuration is ignored.
//   given    settings that override all files: {{"num_attention_heads", "16"}}
//   throws   std::invalid_argument with the path when it is not a BioGPT checkpoint, or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

using opt::loss;  // mean cross-entropy; when fine-tuning, only the target sentence has labels

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- fine-tuning: source, soft prompt, target ---

// Adds `count` virtual tokens: ids V ... V + count - 1, which correspond to no text and are only trained. Enlarges the vocabulary
// of `config`. The token embedding is copied and extended; all other weights are shared.
Weights add_virtual_tokens(const Weights& w, Config& config, int count, Random& random,
                           const Init& init = {.draw = Draw::normal});

// The source followed by the last `count` tokens of the vocabulary, the virtual ones: the prompt of an answer.
std::vector<int> with_soft_prompt(const std::vector<int>& source, int count, const Config& config);

// Prompts with their answers as one batch, padded on the left. Only the answers have labels.
struct Examples {
    TokenBatch batch;
    std::vector<int> labels;  // (B*T)
};
//   Example: prompts {5 6}, {7}, answers {1 2}, {3 2}
//            ids  5 6 1 2   _ 7 3 2      labels  - 1 2 -   - 3 2 -      (- ignored)
//   throws   std::invalid_argument unless the numbers of prompts and answers are equal
Examples make_examples(const std::vector<std::vector<int>>& prompts, const std::vector<std::vector<int>>& answers);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace biogpt
