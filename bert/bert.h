// bert.h: BERT. Reads a sentence from both sides at once and returns one vector for every token.
//
//   paper    Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018,
//            arXiv 1810.04805, section 3; the blocks: Vaswani et al. 2017
//   shows    that without a causal mask every layer sees the tokens before and after; how little differs from ViT
//   symbols  B sequences   T tokens in each, padding included   D width   L blocks   V vocabulary
//   differs  a batch is stacked rows: sequence b owns rows bT ... bT+T-1 of every token matrix; no dropout. What the paper calls
//            segment (sentence A or B) is called token type, as in the checkpoints; `Segments` are row ranges in this project
//   against  ViT: another embedding (three looked-up rows, summed, then LayerNorm), post-norm blocks and so no final norm,
//            a padding mask, a pooler before the head; the rest is the same
//   next     bert.cpp, mlm.h (pre-training), heads.h (fine-tuning)
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
    bool pooler = true;  // needed by the next-sentence head and by sequence classification
};

struct Weights {
    Var token_embedding;        // (V, D)
    Var positions;              // (positions, D)
    Var token_types;            // (token types, D)
    Norm norm;                  // of the embedding
    std::vector<Block> blocks;  // L of them
    Linear pooler;              // (D, D); empty without a pooler
};

// A batch of tokens, padded on the right, with BERT's token types.
struct Batch : TokenBatch {
    std::vector<int> token_types;  // (B*T)  0 in the first sentence, 1 in the second; empty = all 0
};

// Pads sequences of any lengths with `pad` (token type 0, mask 0) to the longest of them.
//   token_types  one list per sequence, of the same length as the sequence; or none
//   throws       std::invalid_argument when there is no sequence, one is empty, or a list of token types has another length
Batch make_batch(const std::vector<std::vector<int>>& sequences, int pad = 0,
                 const std::vector<std::vector<int>>& token_types = {});

// Fresh weights: truncated normal by default, biases 0, gains 1.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// State dict names and tensor layout of bert-base-uncased and its relatives.
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: LayerNorms named gamma and beta, no prefix "bert.", a tensor of position ids.
LoadRules load_rules();

// Infers the configuration of a checkpoint: sizes from its tensor shapes; heads, eps and activation from the sources that
// nn/layers/model_config.h lists. eps defaults to 1e-12 and the activation to exact GELU, as in the published code; the number
// of heads has no default.
//   given    settings that override all files: {{"num_attention_heads", "12"}}
//   throws   std::invalid_argument with the path when it is not a BERT checkpoint or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The embedding, step by step.
struct TokenEmbedding {
    Var token_embeddings;  // (B*T, D)  the token's row of the embedding table
    Var with_token_types;  // (B*T, D)  plus the token type embedding
    Var tokens;            // (B*T, D)  plus the position embedding
    Var z0;                // (B*T, D)  LayerNorm of the sum
};

struct Steps {
    TokenEmbedding embedding;
    StackSteps encoder;  // L blocks
    Var class_tokens;    // (B, D)  the first row of each sequence, [CLS]
    Var pooled;          // (B, D)  tanh(class_tokens W + b); empty without a pooler
};

// throws std::invalid_argument when the batch is inconsistent or longer than the model's positions
TokenEmbedding embed_tokens(const Batch& batch, const Weights& w, const Config& config);

BlockOptions block_options(const Config& config);

// The whole encoder.
Steps forward(const Batch& batch, const Weights& w, const Config& config);

// Attention weights of one head of one block for one sequence: (T, T), each row sums to 1.
Matrix attention_of(const Steps& steps, const Batch& batch, const Config& config, int block, int head, int sequence = 0);

}  // namespace bert
