// biogpt.h: BioGPT. A GPT that has read nothing but biomedical abstracts, and answers by continuing them.
//
//   paper    Luo et al., "BioGPT: Generative Pre-trained Transformer for Biomedical Text Generation and Mining", 2022,
//            arXiv 2210.10341
//   shows    that what differs from GPT-2 is the text: own vocabulary, pre-training on one domain from the start, and extraction
//            phrased as a sentence to be written
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            P positions
//   differs  a batch is stacked rows; no dropout
//   against  gpt/families/opt.h, the decoder: words times sqrt(E), the exact GELU instead of ReLU
//   neighbour  galactica.h reads all of science, this one biomedical abstracts alone; the network of both is that of opt.h
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
    int position_offset = 2;      // rows of the table before that of the first token; padding reads the last of them
    bool scale_embedding = true;  // words times sqrt(E)
    Activation activation = Activation::gelu;
    float eps = 1e-5f;  // of every LayerNorm; the published configuration says 1e-12, but the code never uses that
};

using opt::Steps;
using opt::Weights;

// Fresh weights: normal, standard deviation 0.02, biases 0.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the published checkpoints: "biogpt.layers.0.self_attn.q_proj.weight".
Parameters parameters(const Weights& w, const Config& config);

// What published files do otherwise: hold the table of words a second time, as output matrix, or leave "biogpt." out of the
// names.
LoadRules load_rules();

// The configuration of a checkpoint: sizes from its tensors; heads, activation (published code takes the exact GELU where a
// configuration does not say) and the factor on words from where nn/layers/model_config.h looks for them. Its eps is not asked
// for.
//   told     what the caller knows: {{"num_attention_heads", "16"}}
//   throws   std::invalid_argument with the path when it is no BioGPT, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The whole model.   throws std::invalid_argument when the batch does not fit together, or an id is not a token
Steps forward(const TokenBatch& batch, const Weights& w, const Config& config);

using opt::loss;  // mean cross-entropy; in fine-tuning only the target sentence has labels

// --- one token after the other: generate() and beam_search() of nn/text/memory.h ---

Memory make_memory(const Config& config, int sequences, int capacity);
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- fine-tuning: source, soft prompt, target ---

// The model with `count` virtual tokens more: ids V ... V + count - 1, which stand for no text and are only trained. `config` has
// the larger vocabulary afterwards. The word table is a copy with more rows, everything else is shared.
Weights add_virtual_tokens(const Weights& w, Config& config, int count, Random& random,
                           const Init& init = {.draw = Draw::normal});

// The source followed by the last `count` tokens of the vocabulary, the virtual ones: what an answer is written to.
std::vector<int> with_soft_prompt(const std::vector<int>& source, int count, const Config& config);

// Prompts with their answers as one batch, padded on the left; labels only for the answers, the loss covers nothing else.
struct Examples {
    TokenBatch batch;
    std::vector<int> labels;  // (B*T)
};
//   Example: prompts {5 6}, {7}, answers {1 2}, {3 2}
//            ids  5 6 1 2   _ 7 3 2      labels  - 1 2 -   - 3 2 -      (- ignored)
//   throws   std::invalid_argument unless there are as many answers as prompts
Examples make_examples(const std::vector<std::vector<int>>& prompts, const std::vector<std::vector<int>>& answers);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace biogpt
