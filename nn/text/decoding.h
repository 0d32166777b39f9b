// decoding.h: generate text from a language model's logits: greedy decoding, sampling, beam search. For any model that is a
// TokenReader.
//
//   papers   top-k: Fan et al., "Hierarchical Neural Story Generation", 2018, arXiv 1805.04833;
//            top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, arXiv 1904.09751
//   shows    that greedy, temperature, top-k and top-p differ only in how they change one row of logits
//   symbols  V tokens in the vocabulary   B sequences   u a number drawn from [0, 1)
//   note     random draws are arguments
//   ties     Of equally likely tokens the smaller id comes first; of equally likely extensions of beams that of the
//            higher-ranking beam, then the smaller id.
//   infinity A token with logit minus infinity has probability 0. Tokens with logit plus infinity are equally likely and all
//            others have probability 0. A NaN, or a row of minus infinities, is an error that names sequence and new token.
//   next     decoding.cpp; nn/text/memory.h makes a reader of a decoder
#pragma once
#include <functional>
#include <vector>

#include "nn/text/batch.h"

// A language model with a memory: it reads tokens and returns the logits of the next. GPT keeps keys and values; an
// encoder-decoder also keeps the source, and the prompt of every sequence is its start token.
struct TokenReader {
    virtual ~TokenReader() = default;

    // Reads the next tokens of every sequence: first the prompts (left-padded to equal length), then one token of each.
    //   returns  (sequences, V) logits of the token after the last of each sequence
    virtual Matrix read(const TokenBatch& next) = 0;

    // Makes new sequence s a copy of old sequence chosen[s]; their number may change.
    virtual void select(const std::vector<int>& chosen) = 0;
};

// --- from logits to one token ---

// Applied in this order. The defaults do not change the model's probabilities.
struct Sampling {
    float temperature = 1;  // divides the logits: below 1 sharpens the distribution; 0 (anything below 1e-30) = greedy
    int top_k = 0;          // keep the k largest logits, and all equal to the smallest of them; 0 = keep all
    float top_p = 1;        // then keep the fewest tokens whose probabilities sum to at least p, at least one; 1 = keep all
};

// The probabilities that tokens are drawn with: softmax over the kept tokens, 0 for the others.   (n, V) -> (n, V)
//   throws  std::invalid_argument for a temperature or k below 0, p outside 0 ... 1, a NaN, a row of minus infinities
Matrix sampling_probabilities(const Matrix& logits, const Sampling& sampling);

// Top-p filter: keeps tokens in order of probability (of equal ones the smaller id first) up to and including the one with which
// the sum reaches p, at least one; sets the others to 0. Sums in double; p from 1 on keeps all. keep_top_p does it without
// sorting; the other is its specification.
//   probabilities  V numbers, each at least 0, in the order of the ids
void keep_top_p_textbook(float* probabilities, int V, float p);
void keep_top_p(float* probabilities, int V, float p);

// Draws a token: the first, in the order of ids, whose cumulative probability exceeds u.
int draw_token(const Matrix& probabilities, int row, float u);

// Log-probability of a text: the sum of log p(label) over the rows.
//   logits  (n, V)
//   labels  n tokens; rows with ignored_label do not count
double log_probability(const Matrix& logits, const std::vector<int>& labels);

// --- from one token to a text ---

// When to stop generating.
struct Limits {
    int new_tokens = 20;               // the most new tokens
    int end_of_text = -1;              // stop after this token; -1 = none
    int repetitions = 0;               // stop when the new text ends in the same tokens this many times in a row; 0 = never
    std::vector<int> other_ends = {};  // further tokens to stop after: chat models end a turn and a text with different ones
};

// Whether a text ends with this token.
bool ends_text(int id, const Limits& limits);

// Whether ids end in the same sequence of at most `longest` tokens, `times` times in a row.
//   Example: ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 3) is true: 1, 2 three times
bool ends_in_repetition(const std::vector<int>& ids, int times, int longest = 20);

// Called with each new token and its probability under the model, before filters.
using TokenWatcher = std::function<void(int sequence, int id, float probability)>;

// Continues B prompts, all at once.
//   prompts  without padding, or with padding on the left
//   reader   of B sequences, which has read nothing yet
//   draws    (B, new_tokens), u of each choice; ignored when greedy
//   returns  the new tokens of each prompt, including the one that ended it
//   throws   std::invalid_argument when prompts end in padding, draws have another shape, or logits are invalid (see `infinity`)
std::vector<std::vector<int>> generate(const TokenBatch& prompts, TokenReader& reader, const Limits& limits,
                                       const Sampling& sampling, const Matrix& draws, const TokenWatcher& watcher = nullptr);

// The same with greedy decoding: always the likeliest token.
std::vector<std::vector<int>> generate_greedily(const TokenBatch& prompts, TokenReader& reader, const Limits& limits);

// --- beam search ---

// One candidate of a beam search.
struct Beam {
    std::vector<int> ids;        // the new tokens
    double log_probability = 0;  // log p(ids | prompt)
    bool finished = false;       // ended by a token of the limits or by repetitions
};

// log_probability / length^alpha, which ranks candidates of different lengths. alpha 0 prefers short ones, 1 is the mean.
double beam_score(const Beam& beam, float alpha);

// Keeps the `width` likeliest continuations, so that a token that pays off later survives.
//   A step ranks the extensions of all beams by one token. A finished one among the first `width` becomes a candidate; a lower
//   one is dropped. The first `width` unfinished ones are the next beams. So width 1 with alpha 0 is greedy decoding.
//   reader   of one sequence, which has read nothing yet
//   returns  up to `width` candidates, best score first; of equal scores the one that ended earlier, then the higher-ranking one
//   throws   as generate, and for a width below 1 or alpha below 0
//   source   Brown et al. 2020, section 2.4: width 4, alpha 0.6
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, TokenReader& reader, const Limits& limits,
                              float alpha = 0);
