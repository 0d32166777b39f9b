// exact.h: exact RLHF on a task whose answers can all be enumerated: expected reward, KL, optimal policy and policy gradient.
//
//   paper    Rafailov et al., "Direct Preference Optimization", 2023, arXiv 2305.18290: the optimum of E[r] - beta KL(pi ||
//            pi_ref)
//   shows    what PPO and DPO estimate, and how far they are from it
//   equations [DPO 3] [DPO 4]
//   symbols  Y answers   p(y) policy   q(y) reference   r(y) reward   beta KL coefficient
//   next     exact.cpp, then its walkthrough
#pragma once
#include <vector>

#include "gpt/gpt.h"

namespace exact {

// Every answer to a prompt: up to `longest` tokens of 0 ... vocabulary-1, ending in end_token or at the longest length.
//   throws  std::invalid_argument when there are more than `most`, or end_token is not one of the tokens
std::vector<std::vector<int>> all_answers(int vocabulary, int end_token, int longest, int most = 20000);

// log p(answer | prompt) of each, (Y, 1), differentiable. Over all answers of all_answers the p sum to 1.
Var log_probabilities(const std::vector<int>& prompt, const std::vector<std::vector<int>>& answers, const gpt::Weights& w,
                      const gpt::Config& config);

// p (Y, 1) from log p.
Matrix probabilities(const Matrix& log_probabilities);

// sum p r
double expected_reward(const Matrix& p, const Matrix& rewards);

// sum p log(p / q): never negative; 0 where p is 0.   throws std::invalid_argument when p > 0 where q = 0
double kl(const Matrix& p, const Matrix& q);

// sum p r - beta KL(p || q), the objective of RLHF.   [DPO 3]
double objective(const Matrix& p, const Matrix& q, const Matrix& rewards, float beta);

// pi* = q exp(r / beta) / Z, the policy of largest objective [DPO 4]; and that objective, beta log Z.
Matrix optimal_policy(const Matrix& q, const Matrix& rewards, float beta);
double optimal_objective(const Matrix& q, const Matrix& rewards, float beta);

// -objective as a Var (1, 1) of log p (Y, 1): backward() gives the exact policy gradient.
Var loss(const Var& log_p, const Matrix& log_q, const Matrix& rewards, float beta);

}  // namespace exact
