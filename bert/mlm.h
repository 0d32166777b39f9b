// mlm.h: BERT's pre-training. Predict masked tokens (masked language model), and whether sentence B follows sentence A.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.1, tasks 1 and 2; appendix A.1 for 80/10/10
//   shows    why the loss covers selected tokens only, why 10 % of them stay unchanged; the output matrix is the token embedding
//   symbols  B sequences   T tokens in each   n = B*T positions   S selected positions   D width   V vocabulary
//   differs  the paper describes one corruption, the published code contains two: corrupt_batch and corrupt_candidates
//   next     mlm.cpp, then the walkthroughs bert/mlm and bert/bert
#pragma once
#include <vector>

#include "bert/bert.h"

struct Inside;  // nn/interpret/inside.h

namespace mlm {

// --- masking ---

// The defaults are the paper's.
struct Corruption {
    double select = 0.15;  // fraction of the tokens that are selected for prediction
    float mask = 0.8f;     // fraction of the selected that become [MASK]
    float random = 0.5f;   // fraction of the remaining that become a random token; the others stay unchanged
    int most = 20;         // most selected tokens in one sequence, corrupt_candidates only
    int mask_id = 103;     // the id of [MASK]
};

struct Corrupted {
    std::vector<int> ids;        // (n)  what the model reads
    std::vector<int> labels;     // (n)  the true token at selected positions, ignored_label elsewhere
    std::vector<int> positions;  // (S)  the selected positions, ascending
};

// Random numbers for corrupt_batch, one of each kind per position.
struct Draws {
    Matrix u_select, u_mask, u_random;  // n numbers each, uniform in [0, 1)
    std::vector<int> random_tokens;     // (n)  any ids of the vocabulary
};
Draws make_draws(Random& random, int sequences, int length, int vocabulary);

// Selects every token independently: the form of the PyTorch code (transformers, DataCollatorForLanguageModeling).
//   special  (n)  1 at positions that are never selected: [CLS], [SEP], [PAD]
//   rule     selected when u_select < select; then [MASK] when u_mask < mask, else a random token when u_random < random
//   throws   std::invalid_argument when the lists differ in length
Corrupted corrupt_batch(const std::vector<int>& ids, const std::vector<int>& special, const Draws& draws,
                        const Corruption& how = {});

// Random numbers for corrupt_candidates: the order of the candidates, and three draws per selected token, in that order.
struct CandidateDraws {
    std::vector<int> permutation;  // of 0 ... candidates - 1
    Matrix u_mask, u_keep;         // uniform in [0, 1)
    std::vector<int> random_tokens;
};
CandidateDraws make_candidate_draws(Random& random, int candidates, int vocabulary);

// Selects a fixed number of tokens of a sequence: the form of the original code (google-research, create_pretraining_data.py).
//   special  (T)  1 for [CLS] and [SEP]; the other positions are the candidates
//   rule     selects the first min(most, max(1, round(select T))) candidates in the order of the permutation; round takes a half
//            to the even number, and T counts the special tokens too. The k-th of them becomes [MASK] when u_mask[k] < mask,
//            else it stays when u_keep[k] < 1 - random, else it becomes random_tokens[k]
//   throws   std::invalid_argument when `permutation` does not permute the candidates, or draws are missing
Corrupted corrupt_candidates(const std::vector<int>& ids, const std::vector<int>& special, const CandidateDraws& draws,
                             const Corruption& how = {});

// 1 at positions that hold one of `special_ids`, 0 elsewhere.
std::vector<int> special_positions(const std::vector<int>& ids, const std::vector<int>& special_ids);

// --- the model ---

struct Weights {
    bert::Weights trunk;
    Linear transform;      // (D, D)
    Norm norm;             // gain and bias (1, D)
    Var output_bias;       // (1, V)  the output matrix itself is trunk.token_embedding
    Linear next_sentence;  // (D, 2); empty when the trunk has no pooler
};

Weights make_weights(const bert::Config& config, Random& random, const Init& init = {});

// State dict names and tensor layout of bert-base-uncased: the trunk's and those that begin with "cls.".
Parameters parameters(const Weights& w, const bert::Config& config);

// bert::load_rules; the token embedding and the output bias may also, or only, be stored under "cls.predictions.decoder".
LoadRules load_rules();

struct Steps {
    bert::Steps trunk;
    Var transform;             // (S, D)  LayerNorm(GELU(x W + b)) at the selected positions
    Var prediction_logits;     // (S, V)  transform times the transposed token embedding, plus output_bias
    Var next_sentence_logits;  // (B, 2)  column 0: B follows A; empty without a pooler
};

// The whole model with predictions at every position: S = n.
Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config);
// Predictions at the given positions only (rows of the token matrix): the same numbers in those rows, and only S x V logits.
Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config, const std::vector<int>& positions);

struct Losses {
    Var masked_tokens;  // (1, 1)  mean cross-entropy over the selected positions of the whole batch
    Var next_sentence;  // (1, 1)  mean cross-entropy over the sequences; empty without next-sentence labels
    Var sum;            // (1, 1)  their sum
};

//   labels         one per row of prediction_logits; rows with ignored_label do not count
//   next_sentence  one per sequence, 0 = B follows A, 1 = B is a random sentence; empty = no such loss
Losses loss(const Steps& steps, const std::vector<int>& labels, const std::vector<int>& next_sentence = {});

// The labels of the selected positions, in the order of `positions`.
std::vector<int> labels_at_positions(const Corrupted& corrupted);

// The most likely tokens of one row of logits, best first; of equal ones the lower id first.
struct Prediction {
    int id;
    float probability;
};
std::vector<Prediction> best_predictions(const Matrix& logits, int row, int count = 5);

// Layout of the model for nn/interpret: the outputs are the logits of every position.
Inside inside(const Weights& w, const bert::Config& config);

}  // namespace mlm
