// writing.h: text generation with GPT: its key/value cache, driven by the decoding loops of nn/text/decoding.h.
//
//   shows    that generating needs nothing but the distribution of the next token
//   symbols  V tokens in the vocabulary   B sequences
//   next     gpt/prompting: a task becomes a text to continue
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "nn/text/decoding.h"

namespace gpt {

// GPT with its cache, for generate() and beam_search(). Prompts must have equal lengths: positions are counted from column 0.
//   capacity  most tokens per sequence
//   throws    std::invalid_argument beyond the model's positions
struct Reader : TokenReader {
    Weights weights;
    Config config;
    Cache cache;

    Reader(const Weights& w, const Config& config, int sequences, int capacity);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// The loops of nn/text/decoding.h with a Reader of the capacity that they need.
//   prompts  B prompts of `length` tokens each, concatenated
//   draws    (B, new_tokens), one uniform number per choice; unused when greedy
//   returns  the new tokens of each prompt, up to and including end_of_text
//   throws   std::invalid_argument when prompt and continuation exceed the model's positions, or draws has another shape
std::vector<std::vector<int>> generate(const std::vector<int>& prompts, int length, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws,
                                       const TokenWatcher& watcher = nullptr);
std::vector<std::vector<int>> generate_greedily(const std::vector<int>& prompts, int length, const Weights& w,
                                                const Config& config, const Limits& limits);
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// log p(continuation | prompt), summed over the tokens of the continuation; used to choose among given answers.
double log_probability(const std::vector<int>& prompt, const std::vector<int>& continuation, const Weights& w,
                       const Config& config);

}  // namespace gpt
