// exact.h: when every possible answer can be listed, nothing has to be estimated: the true reward, the true KL, the true optimum.
//
//   source   the optimum of E[r] - beta KL(pi || pi_ref): Rafailov et al. 2023, Eq. 4; its gradient by listing instead of sampling
//   shows    what PPO and DPO are estimates of, and how far they are from it
//   symbols  Y answers   p(y) policy   q(y) reference   r(y) reward   beta price of leaving the reference
//   next     exact.cpp, then its walkthrough
#pragma once
#include <vector>

#include "gpt/gpt.h"

namespace exact {

// Every answer to a prompt: up to `longest` words of 0 ... vocabulary-1, ending in end_token or at the longest length.
//   throws  std::invalid_argument when there are more than `most`
std::vector<std::vector<int>> all_answers(int vocabulary, int end_token, int longest, int most = 20000);

// log p(answer | prompt) of each, (Y, 1), as a Var: it can be differentiated. For all answers of all_answers the p sum to 1.
Var log_probabilities(const std::vector<int>& prompt, const std::vector<std::vector<int>>& answers, const gpt::Weights& w,
                      const gpt::Config& config);

// p (Y, 1) from log p; sums to 1 when all answers are listed.
Matrix probabilities(const Matrix& log_probabilities);

// sum p r
double expected_reward(const Matrix& p, const Matrix& rewards);

// sum p log(p / q): never negative; 0 where p is 0.   throws std::invalid_argument when p > 0 where q = 0
double kl(const Matrix& p, const Matrix& q);

// sum p r - beta KL(p || q): what RLHF maximises.
double objective(const Matrix& p, const Matrix& q, const Matrix& rewards, float beta);

// pi* = q exp(r / beta) / Z, the largest objective that any policy can have; it is beta log Z.
Matrix optimal_policy(const Matrix& q, const Matrix& rewards, float beta);
double optimal_objective(const Matrix& q, const Matrix& rewards, float beta);

// -objective as a Var (1, 1) of log p (Y, 1): backward() gives the exact policy gradient, with no sample in it.
Var loss(const Var& log_p, const Matrix& log_q, const Matrix& rewards, float beta);

}  // namespace exact
