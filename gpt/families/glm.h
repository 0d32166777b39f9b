// glm.h: GLM. Replace spans of a text by masks and predict them after it: bidirectional over the text, causal over the spans.
//
//   papers   Du et al., "GLM: General Language Model Pretraining with Autoregressive Blank Infilling", 2021, arXiv 2103.10360
//            Zeng et al., "GLM-130B: An Open Bilingual Pre-trained Model", 2022, arXiv 2210.02414 (DeepNorm: arXiv 2203.00555)
//   shows    that an attention mask and two position ids per token are enough to change the pre-training objective
//   symbols  B sequences   T tokens each   E width   L blocks   H heads   F inner width   V tokens of the vocabulary
//            part A  the text with its masks, attended to in both directions   part B  the spans, causal
//   differs  a batch is stacked rows; forbidden scores are minus infinity, not -65504; GLM-130B divides the scores by the block
//            number and multiplies after masking, which matters in half precision only: omitted; fresh weights are normal
//   against  gpt/gpt.h: another mask, a second position embedding. GLM-130B: rotary positions for both, a gated MLP, DeepNorm
//   neighbour  gpt.h (gpt) attends to earlier tokens only; here the text outside the spans is attended to in both directions
//   next     glm.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace glm {

enum class Version {
    glm,      // 2021: learned positions and block positions, pre-norm, GELU in its tanh form
    glm130b,  // rotation, DeepNorm, a gated GELU (GeGLU)
};

// Special tokens. Their ids depend on the vocabulary; -1: the vocabulary has no such token.
struct SpecialTokens {
    int mask = -1;           // [MASK]   a short span is missing
    int long_mask = -1;      // [gMASK]  the end of the text is missing
    int sentence_mask = -1;  // [sMASK]  a sentence is missing
    int start = -1;          // [sop]    start of a piece: the first input of a span
    int end = -1;            // [eop]    end of a piece: its last target
};

// The defaults are GLM-Large's sizes; for GLM-130B see its paper: {glm130b, 150528, 0, 12288, 70, 96, 32768}.
struct Config {
    Version version = Version::glm;
    int vocabulary = 30592;     // V
    int positions = 512;        // P, the embeddings have P + 1 rows; unused in GLM-130B
    int width = 1024;           // E, numbers per token
    int depth = 24;             // L, blocks
    int heads = 16;             // H, must divide E
    int mlp_width = 4096;       // F: 4 E in GLM, 8/3 E in GLM-130B
    float eps = 1e-5f;          // of every LayerNorm
    float alpha = 0;            // factor on GLM-130B's residual connections; 0 = sqrt(2 L)
    float rotary_base = 10000;  // of GLM-130B's rotation
    SpecialTokens special = {};
};

struct Weights {
    Var token_embedding;        // (V, E)    token embedding, also the output matrix
    Var positions;              // (P+1, E)  position in the text; absent in GLM-130B
    Var block_positions;        // (P+1, E)  position in the span; absent in GLM-130B
    std::vector<Block> blocks;  // L of them
    Norm norm;                  // after the last block
};

// Fresh weights: normal, biases 0, gains 1; the two matrices of a block that write into the residual stream divided by sqrt(2 L).
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal},
                     const Init& embeddings = {.draw = Draw::normal});

// Names and layout of the published checkpoints of either model.
Parameters parameters(const Weights& w, const Config& config);

// Variants found in published files: the prefix "glm." on every name; stored rotary frequencies.
LoadRules load_rules();

// Infers the configuration of a checkpoint of either model: version and sizes from its tensors; heads, eps (default 1e-5, as in
// the published code) and special tokens from the sources that nn/layers/model_config.h lists. The keys of the special tokens
// are "mask_token_id", "gmask_token_id", "smask_token_id", "sop_token_id" and "eop_token_id"; a token that is not given is -1.
//   given    settings that override all files: {{"num_attention_heads", "16"}}
//   throws   std::invalid_argument with the path when it is not a GLM checkpoint, or the number of heads is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- building training sequences ---

// Tokens begin ... end - 1 of a text.
struct Span {
    int begin;
    int end;
};

// A training example: one text with masked spans.
struct Sequence {
    std::vector<int> tokens;           // part A, then every span after its [sop]
    std::vector<int> targets;          // part A itself, then every span with its [eop]; already shifted
    std::vector<int> loss_mask;        // 0 in part A, 1 in part B
    std::vector<int> positions;        // position in the text; a span has the position of its mask
    std::vector<int> block_positions;  // 0 in part A; 1, 2, ... in each span of part B
    int context = 0;                   // tokens of part A, the published code's `sep`
};

// Replaces each span by one mask in part A and appends the spans, in the order of the permutation, as part B.
//   spans        in text order, none empty, at least one token between two of them
//   permutation  part B begins with spans[permutation[0]]
//   throws       std::invalid_argument when spans touch or exceed the text, or `permutation` is not a permutation
//   Example: text 5 6 7 8 9, spans {1, 3}, {4, 5}, permutation 1 0
//            tokens     5 M 8 M | S 9 | S 6 7      targets  5 M 8 M | 9 E | 6 7 E       (M mask, S start, E end)
//            positions  0 1 2 3 | 3 3 | 1 1 1      block    0 0 0 0 | 1 2 | 1 2 3
//   source   GLM section 2.1, Figure 2
Sequence cut_spans(const std::vector<int>& text, const std::vector<Span>& spans, const std::vector<int>& permutation,
                   int mask_token, const SpecialTokens& special);

// Sequences padded at the end with 0; or texts being continued.
struct Batch {
    int sequences = 0;                 // B
    int length = 0;                    // T
    std::vector<int> tokens;           // (B*T)
    std::vector<int> targets;          // (B*T)  empty when decoding
    std::vector<int> loss_mask;        // (B*T)  1 where a target enters the loss; empty when decoding
    std::vector<int> positions;        // (B*T)
    std::vector<int> block_positions;  // (B*T)
    MayAttend may;                     // (B*T, T)
};
Batch make_batch(const std::vector<Sequence>& sequences);

// Texts to be continued: part A with one mask, then [sop], then what has been written. Positions are those of
// training: in GLM every new token has the position of the mask; in GLM-130B too for [MASK], but after [gMASK] they increase.
//   texts    unpadded or padded on the left
//   last     only the last `last` columns, as in nn/text/batch.h; the mask is (B * last, T) then; 0 = all
//   throws   std::invalid_argument for a text without [sop], or without a mask before it, and for more columns than there are
Batch to_be_continued(const TokenBatch& texts, const Config& config, int last = 0);

// --- the model ---

struct Steps {
    Var embeddings;      // (B*T, E)  token + position + block position embedding; in GLM-130B the token alone
    StackSteps decoder;  // L blocks
    Var hidden;          // (B*T, E)  LayerNorm of the last block
    Var logits;          // (B*T, V)  row t predicts target t; absent after read_on()
};

// The whole model.   throws std::invalid_argument for an inconsistent batch or an id outside the vocabulary
Steps forward(const Batch& batch, const Weights& w, const Config& config);

// -log p(target) of every row, (B*T, 1); and the mean over the rows of the loss mask, (1, 1).
Var target_losses(const Steps& steps, const Batch& batch);
Var loss(const Steps& steps, const Batch& batch);

// --- incremental decoding: generate() and beam_search() of nn/text/memory.h, which stop at [eop] ---

Memory make_memory(const Config& config, int sequences, int capacity);
// The first call must pass all of part A and its [sop], because attention in part A is bidirectional.
//   throws  as to_be_continued(), leaving the memory unchanged
Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory);
Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace glm
