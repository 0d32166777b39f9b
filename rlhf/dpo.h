// dpo.h: direct preference optimisation. The policy is the reward model: no sampling, no value function, one classification loss.
//
//   papers   Rafailov et al., "Direct Preference Optimization", 2023, arXiv 2305.18290 (DPO); Mitchell, "A note on DPO with noisy
//            preferences & relationship to IPO", 2023 (cDPO: label smoothing); Azar et al., 2023, arXiv 2310.12036 (IPO)
//   shows    that the optimum pi* = pi_ref exp(r / beta) / Z can be solved for r, and that Z cancels in a comparison
//   equations [DPO 7] [cDPO 3] [IPO 17]
//   symbols  B pairs   T tokens, padded on the right   V vocabulary   h = log pi(chosen) / pi_ref(chosen) - the same of rejected
//   next     dpo.cpp; exact.h computes the optimum that DPO and PPO approximate
#pragma once
#include <vector>

#include "gpt/gpt.h"

namespace dpo {

enum class Form {
    sigmoid,  // -log sigmoid(beta h), DPO; with label smoothing cDPO
    ipo,      // (h - 1 / (2 beta))^2, IPO: a finite target margin
};

struct Config {
    float beta = 0.1f;          // strength of the KL penalty towards the reference; not a learning rate
    float label_smoothing = 0;  // assumed fraction of wrong labels (eps)
    Form form = Form::sigmoid;
    bool reference_free = false;  // a uniform reference: its term cancels
};

// Chosen and rejected answers to the same prompts, in one batch: rows 0 ... B-1 chosen, B ... 2B-1 rejected.
struct Batch {
    std::vector<int> tokens;  // 2B*T ids
    std::vector<int> labels;  // 2B*T: the next token where that belongs to the answer, else ignored_label
    int length = 0;           // T
    int pairs = 0;            // B
};

// Joins B chosen and B rejected rows of different lengths; shorter ones are padded with padding_token and ignored labels.
//   *_labels  unshifted, as in DPO's code: the token itself where it belongs to the answer, ignored_label in prompt and padding.
//             join shifts them to the row that predicts them.
//   throws    std::invalid_argument when tokens and labels do not form B rows each
Batch join(const std::vector<int>& chosen_tokens, const std::vector<int>& chosen_labels, const std::vector<int>& rejected_tokens,
           const std::vector<int>& rejected_labels, int pairs, int padding_token = 0);

struct LogProbabilities {
    Var tokens;    // (2B, T-1)  log pi(token t+1), 0 where it is not labelled
    Var chosen;    // (B, 1)     sum over the answer, not the mean
    Var rejected;  // (B, 1)
};

LogProbabilities log_probabilities(const Batch& batch, const gpt::Weights& w, const gpt::Config& config);

struct LossSteps {
    Var margin;               // (B, 1)  h
    Var losses;               // (B, 1)  by config.form
    Var loss;                 // (1, 1)  their mean
    Matrix chosen_rewards;    // (B, 1)  beta (log pi - log pi_ref): the reward that the policy implies
    Matrix rejected_rewards;  // (B, 1)
    Matrix reward_margins;    // (B, 1)
    float accuracy = 0;       // fraction of margins above 0
};

// The reference's log-probabilities are constants.
LossSteps loss(const LogProbabilities& policy, const LogProbabilities& reference, const Config& config);

}  // namespace dpo
