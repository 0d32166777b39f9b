// t5.h: T5. Every task is text to text: an encoder reads the input, a decoder generates the output.
//
//   papers   Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019,
//            arXiv 1910.10683; gated MLPs (T5 1.1, mT5): Shazeer 2020, arXiv 2002.05202, and Xue et al. 2020, arXiv 2010.11934
//   shows    that one learned number for each distance bucket and head, added to the attention scores of all layers, can replace
//            position embeddings; and that encoder and decoder use the same block, the decoder's with cross-attention
//   symbols  B sequences   S source tokens   T target tokens   E width   H heads   K head width, H K need not be E
//            F inner width   L blocks   V tokens of the vocabulary   N buckets   M distance from which all keys share a bucket
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: RMSNorm, no biases, no position embeddings, scores not divided by sqrt(K); cross-attention to
//            a second text
//   neighbour  gpt.h (gpt) is a decoder only; here an encoder reads the input, and positions are learned biases of distances
//   next     t5.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace t5 {

// The defaults are T5 base (2019). T5 1.1 and mT5: gated with gelu_tanh, not tied.
struct Config {
    int vocabulary = 32128;  // V: 32,000 pieces, 100 sentinels, 28 unused
    int width = 768;         // E, numbers per token
    int encoder_depth = 12;  // L of the encoder
    int decoder_depth = 12;  // L of the decoder
    int heads = 12;          // H
    int head_width = 64;     // K
    int mlp_width = 3072;    // F
    bool gated = false;      // activation(x Wi_0) * (x Wi_1) instead of activation(x Wi)
    Activation activation = Activation::relu;
    bool tied = true;        // the output matrix is the token embedding, and hidden states are divided by sqrt(E)
    int buckets = 32;        // N
    int max_distance = 128;  // M
    float eps = 1e-6f;       // of every RMSNorm
    int padding_token = 0;
    int end_token = 1;
    int start_token = 0;  // first input of the decoder
};

struct Weights {
    Var token_embedding;    // (V, E)  token embedding of both stacks
    Var encoder_distances;  // (N, H)  bias of each bucket and head, shared by all blocks of the encoder
    std::vector<Block> encoder;
    Norm encoder_norm;           // after the last block
    Var decoder_distances;       // (N, H)
    std::vector<Block> decoder;  // with cross-attention
    Norm decoder_norm;
    Var output;  // (V, E); tied: the same Var as `token_embedding`
};

// Fresh weights. Scores are not divided by sqrt(K); query matrices are initialised smaller by that factor instead.
//   output_stddev  standard deviation of an untied output matrix
//   throws         std::invalid_argument for an inconsistent config
//   source         the published code: normal, standard deviation 1 (token embedding), (E K)^-1/2 (queries), E^-1/2 (keys,
//                  values, Wi,
//                  distances), (H K)^-1/2 (attention output), F^-1/2 (Wo)
Weights make_weights(const Config& config, Random& random, float output_stddev = 1);

// Zeros of the same shapes, to load a checkpoint into.
Weights empty_weights(const Config& config);

// Names and layout of the published checkpoints: "encoder.block.0.layer.0.SelfAttention.q.weight".
Parameters parameters(const Weights& w, const Config& config, const std::string& prefix = "");

// Variants found in published files: up to three more copies of the token embedding, and an unused bias of cross-attention.
LoadRules load_rules(const Config& config);

// Infers the configuration of a checkpoint. Sizes, heads, buckets, the gate and tying (the output matrix is not stored, or is a
// copy of the token embedding) follow from its tensors; the rest comes from the sources that nn/layers/model_config.h lists.
// Defaults, as in the published code: eps 1e-6, distance 128, ReLU without a gate, tokens 0, 1 and 0.
//   given    settings that override all files: {{"feed_forward_proj", "gated-gelu"}}, which means the tanh form
//   throws   std::invalid_argument with the path when it is not a T5 checkpoint, or the activation of its gate is unknown
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// The part of it that tensor shapes determine, of a T5 whose tensors have this prefix; the rest keeps the defaults.
Config sizes_of(const Safetensors& checkpoint, const std::string& prefix = "");

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- positions ---

// The bucket of a distance: small distances have a bucket each, larger ones share buckets whose widths grow with distance.
//   offset     position of the key - position of the query
//   both_ways  true (encoder): half of the buckets are for keys after the query; false (decoder): such keys,
//              which are masked anyway, count as distance 0
//   returns    0 ... buckets - 1
//   source     section 2.1; the published code, relative_position_bucket
//   Example:   relative_bucket(-3, true, 32, 128) is 3, relative_bucket(3, true, 32, 128) is 16 + 3,
//              and offsets -8 ... -11 share bucket 8
int relative_bucket(int offset, bool both_ways, int buckets, int max_distance);

// The bucket of every pair of the last `queries` of `keys` tokens with all `keys` tokens, (queries * keys), query by query.
std::vector<int> relative_buckets(int queries, int keys, bool both_ways, const Config& config);

// --- the model ---

struct EncoderSteps {
    Var embeddings;            // (B*S, E)  not scaled
    std::vector<int> buckets;  // (S*S)
    Var bias;                  // (H*S, S)  of every block
    StackSteps blocks;
    Var output;  // (B*S, E)  RMSNorm of the last block
};

struct DecoderSteps {
    Var embeddings;            // (B*T, E)
    std::vector<int> buckets;  // (T*T)
    Var bias;                  // (H*T, T)  of every self-attention; cross-attention has none
    StackSteps blocks;
    Var hidden;  // (B*T, E)  RMSNorm of the last block
    Var logits;  // (B*T, V)  row t predicts the label at t
};

struct Steps {
    EncoderSteps encoder;
    DecoderSteps decoder;
};

// The encoder on given embeddings: of tokens, or of anything else of width E.
//   embeddings  (B*S, E)
//   source      only its sizes and its padding mask are used
EncoderSteps encode(const Var& embeddings, const TokenBatch& source, const Weights& w, const Config& config);

// The decoder, given the encoder's output.
DecoderSteps decode(const TokenBatch& target, const Var& encoded, const TokenBatch& source, const Weights& w,
                    const Config& config);

// The whole model.
//   target  the decoder's input, see shifted_right()
//   throws  std::invalid_argument when the batches are inconsistent, or an id is outside the vocabulary
Steps forward(const TokenBatch& source, const TokenBatch& target, const Weights& w, const Config& config);

// The decoder's input for these labels: the start token, then all labels but the last; ignored labels become padding tokens.
//   labels  (B*T)
//   Example: 7 8 1 -100 with start 0: 0 7 8 1;  7 1 -100 -100: 0 7 1 0
TokenBatch shifted_right(const std::vector<int>& labels, int length, const Config& config);

// Mean cross-entropy over the labels that are not ignored, (1, 1). Label t is the target of row t: only
// the decoder's input is shifted.
Var loss(const Steps& steps, const std::vector<int>& labels);

Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- generation ---

// The interface to generate() and beam_search() of nn/text/decoding.h. The source is encoded once; its keys and values are
// computed at the first step and cached. The prompt of every sequence is the start token.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    TokenBatch source;
    Var encoded;    // (B*S, E)
    Memory memory;  // of the decoder's own tokens, and of the source

    // capacity: tokens that the decoder reads, including the start token
    Reader(const TokenBatch& source, const Weights& w, const Config& c, int capacity);
    // The same for an encoded source.
    Reader(const TokenBatch& source, const Var& encoded, const Weights& w, const Config& c, int capacity);

    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Generates a target for each source.   returns  the new tokens, without the start token
std::vector<std::vector<int>> generate(const TokenBatch& source, const Weights& w, const Config& config, const Limits& limits,
                                       const Sampling& sampling = {.temperature = 0}, const Matrix& draws = {});
std::vector<Beam> beam_search(const std::vector<int>& source, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// --- pre-training: span corruption (section 3.1.4) ---

// A text with masked spans, and the target that restores them.
struct Corrupted {
    std::vector<int> input;   // each span replaced by one sentinel, then the end token
    std::vector<int> target;  // sentinel 0, span 0, sentinel 1, span 1, ..., one more sentinel, the end token
};

// The id of sentinel k, V - 1 - k: sentinels count down from the last id.
int sentinel(int k, int vocabulary);

// Replaces the masked spans by sentinels.
//   is_masked  1 = masked; adjacent masked tokens form one span
//   Example:   a b c d e with 0 1 1 0 1: input a <0> d <1> end, target <0> b c <1> e <2> end
Corrupted corrupt(const std::vector<int>& ids, const std::vector<char>& is_masked, int first_sentinel, int end_token);

// Random spans in a text of `length` tokens: `spans` spans with `masked` tokens in total, a visible token before each span.
//   throws  std::invalid_argument unless 1 <= spans <= masked and spans <= length - masked
std::vector<char> random_spans(int length, int masked, int spans, Random& random);

// Layout of the two stacks for nn/interpret. The encoder has no outputs.
Inside encoder_inside(const Weights& w, const Config& config);
Inside decoder_inside(const Weights& w, const Config& config);

}  // namespace t5
