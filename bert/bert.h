// bert.h: BERT. Read a sentence from both sides at once and hand on one vector for every word.
//
//   paper    Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018,
//            arXiv 1810.04805, section 3; the blocks: Vaswani et al. 2017
//   shows    that without a causal mask every layer sees the words before and after; what is left of ViT when patches are words
//   symbols  B sequences   T words in each, padding included   D width   L blocks   V vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every token matrix; no dropout. What the paper calls
//            segment (sentence A or B) is called token type, as in the checkpoints: `Segments` here are row ranges
//   against  ViT: another embedding (words looked up, three summands, a LayerNorm), post-norm blocks and so no last norm,
//            padding, a pooler in front of the head; the rest is the same
//   next     bert.cpp, mlm.h (how it learns), heads.h (what it is good for)
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/text/batch.h"

namespace bert {

// The defaults are bert-base-uncased.
struct Config {
    int vocabulary = 30522;  // V
    int positions = 512;     // the longest sequence
    int token_types = 2;     // sentence A, sentence B
    int width = 768;         // D, numbers per token
    int depth = 12;          // L, blocks
    int heads = 12;          // must divide D
    int mlp_width = 3072;    // inner width of the MLP
    float eps = 1e-12f;      // of every LayerNorm
    Activation activation = Activation::gelu;
    bool pooler = true;      // needed by the next-sentence head and for classifying whole sequences
};

struct Weights {
    Var words;                  // (V, D)
    Var positions;              // (positions, D)
    Var token_types;            // (token types, D)
    Norm norm;                  // of the embedding
    std::vector<Block> blocks;  // L of them
    Linear pooler;              // (D, D), or no values at all
};

// A batch of tokens, padded on the right, and what only BERT asks of each of them.
struct Batch : TokenBatch {
    std::vector<int> token_types;  // (B*T)  0 in the first sentence, 1 in the second; empty = all 0
};

// Fills sequences of any lengths up with `pad` (token type 0, mask 0) to the longest of them.
//   token_types  one list for each sequence, as long as it; or none at all
//   throws       std::invalid_argument when there is no sequence, one is empty, or the lengths differ
Batch make_batch(const std::vector<std::vector<int>>& sequences, int pad = 0,
                 const std::vector<std::vector<int>>& token_types = {});

// Fresh weights, biases 0, gains 1.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and places of bert-base-uncased and its relatives.
Parameters parameters(const Weights& w, const Config& config);

// What the published files do differently: LayerNorms called gamma and beta, "bert." left out, a table of position numbers.
LoadRules load_rules();

// The configuration of a checkpoint: sizes from its shapes; heads, eps and activation from where nn/layers/model_config.h looks for
// them. Published code takes eps 1e-12 and the exact GELU where a configuration does not say; the heads must be told.
//   told     what the caller knows: {{"num_attention_heads", "12"}}
//   throws   std::invalid_argument with the path when it is no BERT, or nothing says how many heads it has
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The path from words to tokens.
struct WordEmbedding {
    Var words;             // (B*T, D)  row `id` of the table for every word
    Var with_token_types;  // (B*T, D)  plus which sentence it is in
    Var tokens;            // (B*T, D)  plus where it stands
    Var z0;                // (B*T, D)  LayerNorm of the sum
};

struct Steps {
    WordEmbedding embedding;
    StackSteps encoder;  // L blocks
    Var class_tokens;    // (B, D)  the first row of each sequence, where [CLS] stands
    Var pooled;          // (B, D)  tanh(class_tokens W + b); no value without a pooler
};

// throws std::invalid_argument when the batch does not fit together or is longer than the model's positions
WordEmbedding embed_words(const Batch& batch, const Weights& w, const Config& config);

BlockOptions block_options(const Config& config);

// The whole encoder.
Steps forward(const Batch& batch, const Weights& w, const Config& config);

// Who looks at whom in one head of one block of one sequence: (T, T), each row sums to 1.
Matrix attention_of(const Steps& steps, const Batch& batch, const Config& config, int block, int head, int sequence = 0);

}  // namespace bert
