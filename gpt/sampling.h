// sampling.h: a model gives a probability to every next word; this is how one of them is chosen, again and again.
//
//   papers   top-k: Fan et al., "Hierarchical Neural Story Generation", 2018, arXiv 1805.04833;
//            top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, arXiv 1904.09751
//   shows    that greedy, temperature, top-k and top-p only differ in what they do to one row of logits
//   symbols  V words   B sequences   u a number drawn from [0, 1)
//   note     nothing here is random by itself: the draws come in as arguments
#pragma once
#include <functional>
#include <vector>

#include "gpt/gpt.h"

namespace gpt {

// Applied in this order. The defaults leave the model's own probabilities as they are.
struct Sampling {
    float temperature = 1;  // logits are divided by it: below 1 the likely becomes likelier; 0 = greedy
    int top_k = 0;          // keep the k largest logits, and all that equal the smallest of them; 0 = keep all
    float top_p = 1;        // then keep the fewest words whose probabilities together reach p, at least one; 1 = keep all
};

// What the words would be drawn with: softmax of what the filters leave, 0 for the rest.   (n, V) -> (n, V)
//   throws  std::invalid_argument for a temperature or k below 0, or p outside 0 ... 1
Matrix sampling_probabilities(const Matrix& logits, const Sampling& sampling);

// The first word whose running sum of probabilities, in the order of the ids, exceeds u.
int draw_token(const Matrix& probabilities, int row, float u);

// When to stop writing.
struct Limits {
    int new_tokens = 20;   // never more than these
    int end_of_text = -1;  // stop behind this word; -1 = there is none
    int repetitions = 0;   // stop when the end of the new text is one piece, this many times in a row; 0 = never
};

// True when the last `count * times` ids, for some count up to `longest`, are the same `count` ids `times` times.
//   Example: ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 3) is true: 1, 2 three times
bool ends_in_repetition(const std::vector<int>& ids, int times, int longest = 20);

// Called with each new word: which sequence, the word, and its probability (in the model's eyes, before any filter).
using Watcher = std::function<void(int sequence, int id, float probability)>;

// Continues B prompts of `length` tokens each, all at once, with a cache of keys and values.
//   draws    (B, new_tokens), u of each choice; not looked at when the temperature is 0
//   returns  the new words of each prompt; end_of_text, where it came, is the last of them
//   throws   std::invalid_argument when prompt and continuation exceed the model's positions, or draws has another shape
std::vector<std::vector<int>> generate(const std::vector<int>& prompts, int length, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws,
                                       const Watcher& watcher = nullptr);

// The same, always taking the likeliest word.
std::vector<std::vector<int>> generate_greedily(const std::vector<int>& prompts, int length, const Weights& w,
                                                const Config& config, const Limits& limits);

// One candidate of a beam search.
struct Beam {
    std::vector<int> ids;        // the new words
    double log_probability = 0;  // log p(ids | prompt)
    bool finished = false;       // it ends in end_of_text
};

// log_probability / count^alpha: what candidates of different lengths are compared by. alpha 0 prefers short ones, 1 is the mean.
double beam_score(const Beam& beam, float alpha);

// Keeps the `width` best beginnings instead of one, so that a word that pays off later survives.
//   returns  up to `width` candidates, best first
//   source   Brown et al. 2020 section 2.4 use width 4 and alpha 0.6
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// log p(continuation | prompt), the sum over its words: how a choice among given answers is made.
double log_probability(const std::vector<int>& prompt, const std::vector<int>& continuation, const Weights& w,
                       const Config& config);

}  // namespace gpt
