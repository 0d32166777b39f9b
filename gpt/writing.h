// writing.h: GPT writes. It reads one token after the other with a cache; the loops that choose are nn/text/decoding.h's.
//
//   shows    that a model only has to say what may follow what it has read
//   symbols  V tokens in the vocabulary   B sequences
//   next     gpt/prompting: a task becomes a text that has to be continued
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "nn/text/decoding.h"

namespace gpt {

// GPT with its cache, for generate() and beam_search(). Prompts must be equally long: its positions are counted from column 0.
//   capacity  how many tokens of each sequence it can read
//   throws    std::invalid_argument beyond the model's positions
struct Reader : TokenReader {
    Weights weights;
    Config config;
    Cache cache;

    Reader(const Weights& w, const Config& config, int sequences, int capacity);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// The loops of nn/text/decoding.h with a Reader as large as they need.
//   prompts  B of `length` tokens each, one after the other
//   draws    (B, new_tokens), u of each choice; not looked at when greedy
//   returns  the new tokens of each prompt; end_of_text, where it came, is the last of them
//   throws   std::invalid_argument when prompt and continuation exceed the model's positions, or draws has another shape
std::vector<std::vector<int>> generate(const std::vector<int>& prompts, int length, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws,
                                       const TokenWatcher& watcher = nullptr);
std::vector<std::vector<int>> generate_greedily(const std::vector<int>& prompts, int length, const Weights& w,
                                                const Config& config, const Limits& limits);
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// log p(continuation | prompt), the sum over its tokens: how a choice among given answers is made.
double log_probability(const std::vector<int>& prompt, const std::vector<int>& continuation, const Weights& w,
                       const Config& config);

}  // namespace gpt
