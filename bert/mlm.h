// mlm.h: how BERT learns. Hide some of the words and let the model say which they were; and say whether B really followed A.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.1, tasks 1 and 2; appendix A.1 for 80/10/10
//   shows    why the loss counts hidden words only, why a tenth of them stays readable, that the output matrix is the word table
//   symbols  B sequences   T words in each   n = B*T places   S places that are asked for   D width   V vocabulary
//   differs  the paper describes one corruption, the published programs contain two: see corrupt_batch and corrupt_candidates
//   next     mlm.cpp, then the walkthroughs bert/mlm and bert/bert
#pragma once
#include <vector>

#include "bert/bert.h"

struct Inside;  // nn/interpret/inside.h

namespace mlm {

// --- hiding words ---

// The defaults are the paper's.
struct Corruption {
    double select = 0.15;  // share of the words that are asked for
    float mask = 0.8f;     // of these, the share that becomes [MASK]
    float random = 0.5f;   // of the rest, the share that becomes a random word; what is left stays as it is
    int most = 20;         // words asked for in one sequence, corrupt_candidates only
    int mask_id = 103;     // the number of [MASK]
};

struct Corrupted {
    std::vector<int> ids;     // (n)  what the model reads
    std::vector<int> labels;  // (n)  the true word where it is asked for, ignored_label elsewhere
    std::vector<int> places;  // (S)  where it is asked for, ascending
};

// Random numbers of corrupt_batch, one of each kind for every place.
struct Draws {
    Matrix u_select, u_mask, u_random;  // n numbers each, in 0 ... 1
    std::vector<int> random_words;      // (n)  any words of the vocabulary
};
Draws make_draws(Random& random, int sequences, int length, int vocabulary);

// A coin for every word: the form of the PyTorch code (transformers, DataCollatorForLanguageModeling).
//   special  (n)  1 where nothing may be hidden: [CLS], [SEP], [PAD]
//   rule     selected when u_select < select; then [MASK] when u_mask < mask, else a random word when u_random < random
//   throws   std::invalid_argument when the lists are not equally long
Corrupted corrupt_batch(const std::vector<int>& ids, const std::vector<int>& special, const Draws& draws,
                        const Corruption& how = {});

// Random numbers of corrupt_candidates: the order of the candidates, and three numbers for the first, second, ... one taken.
struct CandidateDraws {
    std::vector<int> permutation;  // of 0 ... candidates - 1
    Matrix u_mask, u_keep;         // in 0 ... 1
    std::vector<int> random_words;
};
CandidateDraws make_candidate_draws(Random& random, int candidates, int vocabulary);

// A fixed number of words of one sequence: the form of the original code (google-research, create_pretraining_data.py).
//   special  (T)  1 for [CLS] and [SEP]; the other places are the candidates
//   rule     asked for are the first min(most, max(1, round(select T))) candidates in the order of the permutation; round takes a
//            half to the even number, T counts the special words too. The k-th of them becomes [MASK] when u_mask[k] < mask,
//            else it stays when u_keep[k] < 1 - random, else it becomes random_words[k]
//   throws   std::invalid_argument when the permutation is none of the candidates, or draws are missing
Corrupted corrupt_candidates(const std::vector<int>& ids, const std::vector<int>& special, const CandidateDraws& draws,
                             const Corruption& how = {});

// 1 where one of `special_ids` stands, 0 elsewhere.
std::vector<int> special_places(const std::vector<int>& ids, const std::vector<int>& special_ids);

// --- the model ---

struct Weights {
    bert::Weights trunk;
    Linear transform;      // (D, D)
    Norm norm;             // gain and bias (1, D)
    Var word_bias;         // (1, V)  the output matrix itself is trunk.words
    Linear next_sentence;  // (D, 2), or no values when the trunk has no pooler
};

Weights make_weights(const bert::Config& config, Random& random, const Init& init = {});

// Names, shapes and places of bert-base-uncased: the trunk's and those that begin with "cls.".
Parameters parameters(const Weights& w, const bert::Config& config);

// bert::load_rules, and the word table and its bias may stand under "cls.predictions.decoder" instead, or as well.
LoadRules load_rules();

struct Steps {
    bert::Steps trunk;
    Var transform;             // (S, D)  LayerNorm(GELU(x W + b)) of the places asked for
    Var prediction_logits;     // (S, V)  transform times the word table, plus word_bias
    Var next_sentence_logits;  // (B, 2)  column 0: B really follows A; no value without a pooler
};

// The whole model, asked for every place: S = n.
Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config);
// Asked for some places only (rows of the token matrix): the same numbers in those rows, and V columns for them alone.
Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config, const std::vector<int>& places);

struct Losses {
    Var masked_words;   // (1, 1)  mean over the places asked for in the whole batch
    Var next_sentence;  // (1, 1)  mean over the sequences; no value when it is not asked for
    Var sum;            // (1, 1)  both, equally weighted
};

//   labels         one for each row of prediction_logits; ignored_label does not count
//   next_sentence  one for each sequence, 0 = B really follows A, 1 = a random sentence; empty = not asked for
Losses loss(const Steps& steps, const std::vector<int>& labels, const std::vector<int>& next_sentence = {});

// The labels of the places asked for, in the order of `places`.
std::vector<int> labels_at_places(const Corrupted& corrupted);

// The likeliest words of one row of logits, best first.
struct Guess {
    int id;
    float probability;
};
std::vector<Guess> best_guesses(const Matrix& logits, int row, int count = 5);

// Where its parts lie, for nn/interpret: the outputs are the words of every place.
Inside inside(const Weights& w, const bert::Config& config);

}  // namespace mlm
