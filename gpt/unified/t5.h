// t5.h: T5. Every task is text in, text out: an encoder reads the question, a decoder writes the answer.
//
//   papers   Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019,
//            arXiv 1910.10683; gated layers (T5 1.1, mT5): Shazeer 2020, arXiv 2002.05202, and Xue et al. 2020, arXiv 2010.11934
//   shows    that positions can enter in one place only: a learned number for each (distance bucket, head), added to the
//            attention scores of all layers of a stack; and that an encoder and a decoder are the same block, one with a
//            cross-attention
//   symbols  B sequences   S tokens of a source   T tokens of a target   E width   H heads   K head width, H K need not be E
//            F inner width   L blocks   V tokens of the vocabulary   N buckets   M the distance from which on all share a bucket
//   differs  a batch is stacked rows; no dropout
//   against  gpt/gpt.h: RMSNorm, no biases, no table of positions, no division of the scores by sqrt(K); a second text
//            is attended to
//   neighbour  gpt.h (gpt) has the decoder alone; here an encoder reads first, and positions are learned buckets of distance
//   next     t5.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/text/memory.h"

namespace t5 {

// The defaults are T5 base (2019). T5 1.1 and mT5: gated with gelu_tanh, not tied.
struct Config {
    int vocabulary = 32128;  // V: 32,000 pieces, 100 sentinels, the rest is padding of the table
    int width = 768;         // E, numbers per token
    int encoder_depth = 12;  // L of the encoder
    int decoder_depth = 12;  // L of the decoder
    int heads = 12;          // H
    int head_width = 64;     // K
    int mlp_width = 3072;    // F
    bool gated = false;      // activation(x Wi_0) * (x Wi_1) instead of activation(x Wi)
    Activation activation = Activation::relu;
    bool tied = true;        // the output matrix is the table of words, and hidden states are divided by sqrt(E) before it
    int buckets = 32;        // N
    int max_distance = 128;  // M
    float eps = 1e-6f;       // of every RMSNorm
    int padding_token = 0;
    int end_token = 1;
    int start_token = 0;  // the decoder's text begins with it
};

struct Weights {
    Var words;              // (V, E)  of both texts
    Var encoder_distances;  // (N, H)  bias of each bucket and head, the same in every block of the encoder
    std::vector<Block> encoder;
    Norm encoder_norm;           // after the last block
    Var decoder_distances;       // (N, H)
    std::vector<Block> decoder;  // with cross-attention
    Norm decoder_norm;
    Var output;  // (V, E); where tied it is `words`
};

// Fresh weights. Scores are not divided by sqrt(K); the queries begin smaller by that factor instead.
//   output_stddev  standard deviation of an output matrix of its own
//   throws         std::invalid_argument for a config that does not fit together
//   source         the published code: normal, standard deviation 1 (words), (E K)^-1/2 (queries), E^-1/2 (keys, values, Wi,
//                  distances), (H K)^-1/2 (attention output), F^-1/2 (Wo)
Weights make_weights(const Config& config, Random& random, float output_stddev = 1);

// Names and layout of the published checkpoints: "encoder.block.0.layer.0.SelfAttention.q.weight".
Parameters parameters(const Weights& w, const Config& config, const std::string& prefix = "");

// What published files hold besides: the table of words up to three more times, and a bias of cross-attention that is not used.
LoadRules load_rules(const Config& config);

// --- positions ---

// The bucket of a distance: small ones have a bucket each, larger ones share buckets whose widths grow with the distance.
//   offset     position of the key - position of the query
//   both_ways  true (encoder): half of the buckets for keys behind the query; false (decoder): all keys after the query count as
//              distance 0, they are masked anyway
//   returns    0 ... buckets - 1
//   source     section 2.1; the published code, relative_position_bucket
//   Example:   relative_bucket(-3, true, 32, 128) is 3, relative_bucket(3, true, 32, 128) is 16 + 3, 
//              and -8 ... -11 share bucket 8
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

// The encoder on tokens that have been embedded already: words, or whatever else is E wide.
//   embeddings  (B*S, E)
//   source      only its sizes and its mask are looked at
EncoderSteps encode(const Var& embeddings, const TokenBatch& source, const Weights& w, const Config& config);

// The decoder on what the encoder has made of a source.
DecoderSteps decode(const TokenBatch& target, const Var& encoded, const TokenBatch& source, const Weights& w,
                    const Config& config);

// The whole model.
//   target  the decoder's input, see shifted_right()
//   throws  std::invalid_argument when the batches do not fit together, or an id is not a token
Steps forward(const TokenBatch& source, const TokenBatch& target, const Weights& w, const Config& config);

// The decoder's input for these labels: the start token, then all labels but the last; ignored ones become padding tokens.
//   labels  (B*T)
//   Example: 7 8 1 -100 with start 0: 0 7 8 1;  7 1 -100 -100: 0 7 1 0
TokenBatch shifted_right(const std::vector<int>& labels, int length, const Config& config);

// Mean cross-entropy over the labels that are not ignored, (1, 1). Label t belongs to row t: the shift is in the decoder's input.
Var loss(const Steps& steps, const std::vector<int>& labels);

Var logits_of(const Var& hidden, const Weights& w, const Config& config);

// --- writing ---

// The decoder as generate() and beam_search() of nn/text/decoding.h see it. The source is read once; its keys and values are
// computed at the first step and kept in the memory. The prompt of every sequence is its start token.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    TokenBatch source;
    Var encoded;    // (B*S, E)
    Memory memory;  // of the decoder's own tokens, and of the source

    // capacity: tokens that the decoder reads, the start token included
    Reader(const TokenBatch& source, const Weights& w, const Config& c, int capacity);
    // The same for a source that has been encoded already.
    Reader(const TokenBatch& source, const Var& encoded, const Weights& w, const Config& c, int capacity);

    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Writes an answer to each source.   returns  the new tokens, without the start token
std::vector<std::vector<int>> generate(const TokenBatch& source, const Weights& w, const Config& config, const Limits& limits,
                                       const Sampling& sampling = {.temperature = 0}, const Matrix& draws = {});
std::vector<Beam> beam_search(const std::vector<int>& source, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// --- pre-training: span corruption (section 3.1.4) ---

// A text with holes, and what was in them.
struct Corrupted {
    std::vector<int> input;   // each span replaced by one sentinel, then the end token
    std::vector<int> target;  // sentinel 0, span 0, sentinel 1, span 1, ..., one more sentinel, the end token
};

// Sentinel k is V - 1 - k: sentinels count down from the last id.
int sentinel(int k, int vocabulary);

// Cuts the spans out.
//   is_hidden  1 = belongs to a span; neighbouring ones are one span
//   Example:   a b c d e with 0 1 1 0 1: input a <0> d <1> end, target <0> b c <1> e <2> end
Corrupted corrupt(const std::vector<int>& ids, const std::vector<char>& is_hidden, int first_sentinel, int end_token);

// Random spans: `spans` of them, `hidden` tokens together, in a text of `length`; at least one token before each span.
//   throws  std::invalid_argument unless 1 <= spans <= hidden and spans <= length - hidden
std::vector<char> random_spans(int length, int hidden, int spans, Random& random);

}  // namespace t5
