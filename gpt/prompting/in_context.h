// in_context.h: in-context learning. The model learns a rule from examples in its prompt; the weights do not change.
//
//   papers   Brown et al., "Language Models are Few-Shot Learners", 2020, arXiv 2005.14165, section 2.4 (how to use it);
//            Olsson et al., "In-context Learning and Induction Heads", 2022, arXiv 2209.11895 (how it works inside);
//            Garg et al., "What Can Transformers Learn In-Context?", 2022, arXiv 2208.01066 (toys with a known best answer)
//   shows    that to predict text in which each sequence follows its own hidden rule, a model must infer the rule as it reads
//   symbols  K inputs   L labels   N pairs in a sequence   f the hidden table of a sequence   n shots: pairs before the query
//   toy      x_1 f(x_1) x_2 f(x_2) ... x_N f(x_N), f drawn anew for each sequence, so it cannot be memorised
//   next     in_context.cpp, then its walkthrough
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "nn/training/train.h"

namespace in_context {

struct Task {
    int inputs = 4;  // K, ids 0 ... K-1
    int labels = 4;  // L, ids K ... K+L-1, distinct from the inputs
    int pairs = 12;  // N in a sequence, so 0 to N-1 shots
};

// B sequences of 2N tokens.
struct Batch {
    std::vector<int> ids;      // B * 2N
    std::vector<int> answers;  // B * N, the label 0 ... L-1 of every pair
};

// Sequences with uniformly drawn inputs and a uniformly drawn table each.
//   throws  std::invalid_argument for a task without inputs, labels or pairs
Batch make_batch(const Task& task, Random& random, int sequences);

// The prompt that asks for the label of `query` after examples {x, label}: zero-shot when there are none.
std::vector<int> prompt_of(const Task& task, const std::vector<std::pair<int, int>>& examples, int query);

// The best possible with n shots: f(x) is known when x was among them, otherwise a guess.
//   accuracy  1 - (1 - 1/K)^n (1 - 1/L)        loss  (1 - 1/K)^n ln L
double best_accuracy(const Task& task, int shots);
double best_loss(const Task& task, int shots);

// The model of the toy: width 32, two layers (one is not enough), two heads, inner width 64, untied output matrix.
gpt::Config model_of(const Task& task);

// Embeddings must start large, or the second layer does not learn to find the example that matches the query.
const gpt::Start start{.stddev = 0.1f, .embedding_stddev = 0.5f};

// Logits over the labels for each pair, after its input and before its label: (B*N, L).
Var label_logits(const gpt::Steps& steps, const Task& task);

// Mean cross-entropy of the labels alone. Inputs are random: a loss on them would only be noise.
Var loss(const gpt::Steps& steps, const Batch& batch, const Task& task);

struct Training {
    int steps = 600;
    int batch = 32;               // sequences a step
    float learning_rate = 3e-3f;  // peak, after 100 steps of warm-up; then linear decay to 5 %
};

// Adam with betas 0.9 and 0.98, no weight decay, gradient norm clipped to 1.
Recipe recipe_of(const Training& training);

// Trains on fresh sequences in every step.   returns  the loss of each step
std::vector<float> train(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Training& training,
                         Random& random, Watcher* watcher = nullptr);

// Accuracy with 0, 1, ..., N-1 shots, on fresh sequences.
std::vector<float> accuracy_by_shots(const gpt::Weights& w, const gpt::Config& config, const Task& task, Random& random,
                                     int sequences);

// The most likely candidate after the prompt, by mean log-probability per token; of equal scores the first.
//   neutral  when given, a neutral context ("Answer: "); the candidate's log-probability after it is subtracted, which corrects
//            for how common the candidate is anyway
//   returns  the index of the candidate
//   source   Brown et al. section 2.4
int choose(const std::vector<int>& prompt, const std::vector<std::vector<int>>& candidates, const gpt::Weights& w,
           const gpt::Config& config, const std::vector<int>& neutral = {});

}  // namespace in_context
