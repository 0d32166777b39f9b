// decoding.h: from probabilities to text. A model gives a logit to every token that may come next; here one of them is chosen,
// again and again. Nothing here knows a model: whatever is a TokenReader can write.
//
//   papers   top-k: Fan et al., "Hierarchical Neural Story Generation", 2018, arXiv 1805.04833;
//            top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, arXiv 1904.09751
//   shows    that greedy, temperature, top-k and top-p only differ in what they do to one row of logits
//   symbols  V tokens in the vocabulary   B sequences   u a number drawn from [0, 1)
//   note     nothing here is random by itself: the draws come in as arguments
//   ties     Of equally likely tokens the one with the smaller id comes first; of equally likely extensions of beams that of the
//            higher-ranking beam, then the smaller id.
//   infinity A logit of minus infinity is a token that cannot follow. Tokens at plus infinity are equally likely and leave
//            nothing to the others. A NaN, or a row in which nothing can follow, is an error that names sequence and new token.
//   next     decoding.cpp; gpt/writing.h is such a reader
#pragma once
#include <functional>
#include <vector>

#include "nn/text/batch.h"

// A language model as it is seen from here: it reads tokens, remembers them, and says what may come next. GPT keeps keys and
// values; an encoder-decoder keeps the source too, and the prompt of every sequence is its start token.
struct TokenReader {
    virtual ~TokenReader() = default;

    // Reads on in every sequence: first all prompts (padded on the left where they are shorter), then one token of each.
    //   returns  (sequences, V) logits of what follows the last token of each
    virtual Matrix read(const TokenBatch& next) = 0;

    // Sequence s of the new ones goes on from what sequence chosen[s] has read; there may be more or fewer of them than before.
    virtual void select(const std::vector<int>& chosen) = 0;
};

// --- from logits to one token ---

// Applied in this order. The defaults leave the model's own probabilities as they are.
struct Sampling {
    float temperature = 1;  // logits are divided by it: below 1 the likely becomes likelier; 0 (and all below 1e-30) = greedy
    int top_k = 0;          // keep the k largest logits, and all that equal the smallest of them; 0 = keep all
    float top_p = 1;        // then keep the fewest tokens whose probabilities together reach p, at least one; 1 = keep all
};

// What the tokens would be drawn with: softmax of what the filters leave, 0 for the rest.   (n, V) -> (n, V)
//   throws  std::invalid_argument for a temperature or k below 0, p outside 0 ... 1, a NaN, a row where nothing can follow
Matrix sampling_probabilities(const Matrix& logits, const Sampling& sampling);

// Sets all but the likeliest tokens to 0: tokens are kept from the likeliest on, of equal ones the smaller id first, until
// their probabilities together reach p. The one that reaches it, exactly or by crossing, is the last; one is kept always. Sums
// are formed in double. keep_top_p does it without sorting; the other is its specification.
//   probabilities  V of them, not negative, in the order of the ids
void keep_top_p_textbook(float* probabilities, int V, float p);
void keep_top_p(float* probabilities, int V, float p);

// The first token whose running sum of probabilities, in the order of the ids, exceeds u.
int draw_token(const Matrix& probabilities, int row, float u);

// The sum of log p(label) over all rows that have one: how likely a model, with these logits, finds the text that they label.
//   logits  (n, V)
//   labels  n tokens; rows of ignored_label do not count
double log_probability(const Matrix& logits, const std::vector<int>& labels);

// --- from one token to a text ---

// When to stop writing.
struct Limits {
    int new_tokens = 20;   // never more than these
    int end_of_text = -1;  // stop after this token; -1 = there is none
    int repetitions = 0;   // stop when the end of the new text is one piece, this many times in a row; 0 = never
};

// True when the last `count * times` ids, for some count up to `longest`, are the same `count` ids `times` times.
//   Example: ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 3) is true: 1, 2 three times
bool ends_in_repetition(const std::vector<int>& ids, int times, int longest = 20);

// Called with each new token: which sequence, the token, and its probability (in the model's eyes, before any filter).
using TokenWatcher = std::function<void(int sequence, int id, float probability)>;

// Continues B prompts, all at once.
//   prompts  without padding, or with padding on the left
//   reader   of B sequences, which has read nothing yet
//   draws    (B, new_tokens), u of each choice; not looked at when greedy
//   returns  the new tokens of each prompt; end_of_text, where it came, is the last of them
//   throws   std::invalid_argument when prompts end in padding, draws have another shape, or logits say nothing (see `infinity`)
std::vector<std::vector<int>> generate(const TokenBatch& prompts, TokenReader& reader, const Limits& limits,
                                       const Sampling& sampling, const Matrix& draws, const TokenWatcher& watcher = nullptr);

// The same, always taking the likeliest token.
std::vector<std::vector<int>> generate_greedily(const TokenBatch& prompts, TokenReader& reader, const Limits& limits);

// --- several beginnings at once ---

// One candidate of a beam search.
struct Beam {
    std::vector<int> ids;        // the new tokens
    double log_probability = 0;  // log p(ids | prompt)
    bool finished = false;       // the text has ended: with end_of_text, or in repetitions
};

// log_probability / count^alpha: what candidates of different lengths are compared by. alpha 0 prefers short ones, 1 is the mean.
double beam_score(const Beam& beam, float alpha);

// Keeps the `width` likeliest beginnings instead of one, so that a token that pays off later survives.
//   A step ranks the extensions of all beams by one token. An ending among the first `width` of them is a finished candidate; one
//   that ranks lower is dropped. The first `width` that do not end are the next beams. So width 1 with alpha 0 is greedy.
//   reader   of one sequence, which has read nothing yet
//   returns  up to `width` candidates, best score first; of equal scores the one that ended earlier, then the higher-ranking one
//   throws   as generate, and for a width below 1 or alpha below 0
//   source   Brown et al. 2020 section 2.4 use width 4 and alpha 0.6
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, TokenReader& reader, const Limits& limits,
                              float alpha = 0);
