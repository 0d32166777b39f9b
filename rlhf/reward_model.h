// reward_model.h: a language model with a scalar head, trained on rankings to output a reward.
//
//   papers   Stiennon et al., "Learning to Summarize from Human Feedback", 2020, arXiv 2009.01325; Ouyang et al. (InstructGPT),
//            2022, arXiv 2203.02155, Eq. 1
//   shows    that K answers, each read once, give all K(K-1)/2 comparisons of a ranking
//   equations [InstructGPT 1]
//   symbols  N answers   T tokens each, padded on the right   E width   r reward (N, 1)
//   differs  a ranking that is all ties has no pair and does not enter the mean
//   next     reward_model.cpp, then ppo.h, which maximises this reward
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "rlhf/preferences.h"

namespace reward_model {

struct Weights {
    gpt::Weights trunk;
    Linear score;  // (E, 1), no bias: comparisons do not depend on a constant
};

// Fresh weights, or a copy of a trained language model as trunk. The score head starts at 0: all rewards are equal and the loss
// is log 2.
Weights make_weights(const gpt::Config& config, Random& random, const gpt::Start& start = {});
Weights from_language_model(const gpt::Weights& trained, const gpt::Config& config);

// The names of GPT2ForSequenceClassification with one label: transformer.* and score.weight.
Parameters parameters(const Weights& w, const gpt::Config& config);

struct Steps {
    gpt::Steps trunk;
    Var last_hidden;  // (N, E)  the hidden state at the last real token of each answer
    Var rewards;      // (N, 1)
};

// The reward of each of N texts (prompt and answer together).
//   tokens   N*T ids, padded on the right
//   lengths  real tokens of each text, 1 ... T
//   throws   std::invalid_argument when a length does not fit
Steps forward(const std::vector<int>& tokens, const std::vector<int>& lengths, const Weights& w, const gpt::Config& config);

struct LossSteps {
    Var differences;     // (pairs, 1)  r_better - r_worse
    Matrix probability;  // (pairs, 1)  sigmoid of that: the probability of the person's choice
    Var pair_loss;       // (pairs, 1)  -log probability
    Var ranking_loss;    // (rankings, 1)  mean over the pairs of each ranking, 0 for a ranking without a pair
    Var loss;            // (1, 1)  mean over the rankings with at least one pair          [InstructGPT 1]
    Var loss_flat;       // (1, 1)  mean over all pairs, as for a shuffled data set of pairs
    float accuracy = 0;  // fraction of pairs that the rewards order correctly
};

//   throws  std::invalid_argument when no ranking has a pair
LossSteps loss(const Var& rewards, const preferences::Pairs& pairs);

}  // namespace reward_model
