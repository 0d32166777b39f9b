// loss.h: one number that says how wrong, and in which direction to mend it.
//
//   note     every loss is a mean, so that it does not grow with the batch
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

inline constexpr int ignored_label = -100;  // a row that is not asked for; PyTorch's convention

// -log softmax(logits)[label] of every row, 0 for an ignored one: (n, classes), n labels -> (n, 1).
//   throws  std::invalid_argument when there are not n labels, or one is neither a class nor ignored_label
Var token_losses(const Var& logits, const std::vector<int>& labels, Where where = Where::current());

// The same against labels that are smoothed: (1 - s) for the label and s / classes for every class, the label included.
//   source  Szegedy et al. 2015, arXiv 1512.00567, section 7
Var smoothed_token_losses(const Var& logits, const std::vector<int>& labels, float smoothing, Where where = Where::current());

// sum(weights * losses) / (sum(weights) + eps): (n, 1), n weights -> (1, 1).
Var weighted_mean(const Var& losses, const std::vector<float>& weights, float eps = 0, Where where = Where::current());

// The mean of token_losses over the rows that are not ignored; 0 when all are (PyTorch gives NaN there).
Var cross_entropy(const Var& logits, const std::vector<int>& labels, Where where = Where::current());

// Means over all elements of d^2, |d|, and Huber's d^2 / (2 beta) where |d| < beta, |d| - beta / 2 beyond; d = a - b.
//   throws  std::invalid_argument when the shapes differ
Var mean_squared_error(const Var& a, const Var& b, Where where = Where::current());
Var mean_absolute_error(const Var& a, const Var& b, Where where = Where::current());
Var smooth_l1(const Var& a, const Var& b, float beta = 1, Where where = Where::current());

// Huber's function of every element, before any mean: d^2 / (2 beta) where |d| < beta, |d| - beta / 2 beyond.
//   throws  std::invalid_argument when beta is not positive
Var smooth_absolute(const Var& d, float beta, Where where = Where::current());

// Share of rows whose largest logit is the label; ignored rows do not count, and a row with a NaN is never right.
float accuracy(const Matrix& logits, const std::vector<int>& labels);
