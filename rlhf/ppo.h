// ppo.h: proximal policy optimisation (PPO) of a language model: maximise a score under a KL penalty at every token.
//
//   papers   Schulman et al., "Proximal Policy Optimization Algorithms", 2017, arXiv 1707.06347; GAE: Schulman et al., 2015,
//            arXiv 1506.02438; for language: Ziegler et al., 2019, arXiv 1909.08593; Ouyang et al. (InstructGPT), 2022
//   shows    that a prompt is the initial state, a token is an action, and the score comes once, at the end
//   equations [GAE 16] [PPO 7]
//   symbols  B episodes   T tokens each (prompt, answer, padding on the right)   V vocabulary
//            Column t of every (B, T-1) matrix belongs to token t+1, the action taken after tokens 0 ... t.
//   differs  policy and value function share one trunk (InstructGPT has two networks); entropy is reported, not part of the loss
//   next     ppo.cpp, exact.h (the optimum), then the walkthrough
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "gpt/writing.h"

namespace ppo {

// The penalty of a token, a function of log pi - log pi_ref.
enum class Penalty {
    kl,      // log pi - log pi_ref: unbiased for the KL, may be negative for one token
    abs,     // its absolute value
    square,  // half its square ("mse")
};

// The defaults are those of the published code.
struct Config {
    float kl_coefficient = 0.2f;  // initial beta
    bool adaptive = true;         // beta is adapted towards kl_target; otherwise constant
    float kl_target = 6;          // nats per answer
    float kl_horizon = 10000;     // in episodes; one batch changes beta by at most a factor of 1 +- 0.2 B / horizon
    Penalty penalty = Penalty::kl;
    float discount = 1;         // gamma
    float trace = 0.95f;        // lambda of GAE: 0 = one-step TD error, 1 = whole return
    float clip = 0.2f;          // epsilon, clipping range of the ratio
    float value_clip = 0.2f;    // clipping range of the value around the old value
    float value_weight = 0.1f;  // coefficient of the value loss
    bool whiten_rewards = false;
};

struct Weights {
    gpt::Weights trunk;
    Linear value;  // (E, 1) with bias, applied at every token; starts at 0
};

Weights from_language_model(const gpt::Weights& trained, const gpt::Config& config);

// transformer.* and v_head.summary.*
Parameters parameters(const Weights& w, const gpt::Config& config);

// --- episodes ---

struct Episodes {
    std::vector<int> tokens;          // B*T ids: prompt, answer, padding
    int length = 0;                   // T
    std::vector<int> prompt_lengths;  // of each episode
    std::vector<int> answer_lengths;
    int count() const { return static_cast<int>(prompt_lengths.size()); }  // B
};

// 1 where token t+1 belongs to the answer, else 0: t = prompt - 1 ... prompt + answer - 2.   (B, T-1)
//   throws  std::invalid_argument when a prompt is empty, or prompt and answer exceed T
Matrix answer_mask(const Episodes& episodes);

// Samples answers to prompts of equal length at temperature 1, until `end_token` or `new_tokens`.
//   draws  (B, new_tokens), uniform
Episodes roll_out(const std::vector<int>& prompts, int prompt_length, const gpt::Weights& policy, const gpt::Config& config,
                  int new_tokens, int end_token, int padding_token, const Matrix& draws);

// log pi(token t+1 | tokens 0 ... t) where the mask is 1, else 0.   (B*T, V) logits -> (B, T-1)
Var token_log_probabilities(const Var& logits, const Episodes& episodes);

struct PolicySteps {
    gpt::Steps trunk;       // with logits (B*T, V)
    Var log_probabilities;  // (B, T-1)  0 outside the answer
    Var values;             // (B, T-1)  V of the state before token t+1; 0 outside the answer
};
PolicySteps forward(const Episodes& episodes, const Weights& w, const gpt::Config& config);

// --- from scores to advantages: constants, not differentiated ---

struct RewardSteps {
    Matrix kl;                // (B, T-1)  by config.penalty
    Matrix non_score_reward;  // (B, T-1)  -beta kl
    Matrix rewards;           // (B, T-1)  plus the score at the last token of the answer
    Matrix rewards_used;      // (B, T-1)  whitened if config.whiten_rewards
    Matrix advantages_raw;    // (B, T-1)  GAE
    Matrix returns;           // (B, T-1)  advantages_raw + values
    Matrix advantages;        // (B, T-1)  whitened
};

//   scores           B, one per episode
//   old_*            of the policy that sampled the episodes, (B, T-1)
//   reference_*      of the frozen reference policy, (B, T-1)
RewardSteps rewards_and_advantages(const std::vector<float>& scores, const Matrix& old_log_probabilities,
                                   const Matrix& reference_log_probabilities, const Matrix& old_values, const Matrix& mask,
                                   float beta, const Config& config);

// A_t = delta_t + discount * trace * A_(t+1)                  [GAE 16]
// delta_t = r_t + discount * V_(t+1) - V_t, all 0 after the answer
Matrix generalised_advantages(const Matrix& rewards, const Matrix& values, const Matrix& mask, float discount, float trace);

// (x - mean) / sqrt(variance + 1e-8) over all elements where the mask is 1, 0 elsewhere; the variance divides by n - 1.
//   keep_mean  adds the mean back: only the variance changes
Matrix whiten(const Matrix& x, const Matrix& mask, bool keep_mean = false);

// sum(x mask) / sum(mask), over the whole batch
float masked_mean(const Matrix& x, const Matrix& mask);

// --- the loss ---

struct LossSteps {
    Var ratio;                       // (B, T-1)  pi / pi_old; 1 outside the answer
    Var policy_loss;                 // (1, 1)    masked mean of max(-A ratio, -A clip(ratio)); minus [PPO 7]
    Var value_loss;                  // (1, 1)    half the masked mean of max((V - R)^2, (clipped V - R)^2)
    Var loss;                        // (1, 1)    policy_loss + value_weight * value_loss
    float policy_clip_fraction = 0;  // fraction of answer tokens where the clipped term is the larger loss
    float value_clip_fraction = 0;
    float entropy = 0;         // nats per token, masked mean
    float approximate_kl = 0;  // half the masked mean of (lp - old_lp)^2
    float policy_kl = 0;       // masked mean of old_lp - lp
};
//   throws  std::invalid_argument when a shape is not that of the mask, or no token belongs to an answer
LossSteps loss(const PolicySteps& policy, const Matrix& old_log_probabilities, const Matrix& old_values,
               const RewardSteps& rewards, const Matrix& mask, const Config& config);

// --- the KL coefficient ---

// Per answer, the sum over its tokens of log pi_old - log pi_ref, (B); and a mean. A sample may be negative, the expectation
// cannot.
std::vector<float> kl_of_episodes(const Matrix& old_log_probabilities, const Matrix& reference_log_probabilities,
                                  const Matrix& mask);
float mean_of(const std::vector<float>& numbers);

// beta (1 + e B / horizon), e = mean_kl / target - 1 clipped to -0.2 ... 0.2; unchanged when not adaptive.   source  Ziegler et
// al. 2.2
float next_kl_coefficient(float beta, float mean_kl, int episodes, const Config& config);

}  // namespace ppo
