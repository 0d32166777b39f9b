// loss.h: loss functions.
//
//   equations [Focal 5]
//   note     every loss that returns one number is a mean, so that it does not grow with the batch
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

inline constexpr int ignored_label = -100;  // a row that does not enter the loss; PyTorch's convention

// -log softmax(logits)[label] of every row, 0 for an ignored one: (n, classes), n labels -> (n, 1).
//   throws  std::invalid_argument when there are not n labels, or one is neither a class nor ignored_label
Var token_losses(const Var& logits, const std::vector<int>& labels, Where where = Where::current());

// The same with label smoothing: target probability s / classes for every class, plus 1 - s for the label.
//   source  Szegedy et al. 2015, arXiv 1512.00567, section 7
Var smoothed_token_losses(const Var& logits, const std::vector<int>& labels, float smoothing, Where where = Where::current());

// sum(weights * losses) / (sum(weights) + eps): (n, 1), n weights -> (1, 1).
Var weighted_mean(const Var& losses, const std::vector<float>& weights, float eps = 0, Where where = Where::current());

// The mean of token_losses over the rows that are not ignored; 0 when all are ignored (PyTorch: NaN).
Var cross_entropy(const Var& logits, const std::vector<int>& labels, Where where = Where::current());

// Means over all elements of d^2, of |d|, and of Huber's d^2 / (2 beta) where |d| < beta and |d| - beta / 2 elsewhere; d = a - b.
//   throws  std::invalid_argument when the shapes differ
Var mean_squared_error(const Var& a, const Var& b, Where where = Where::current());
Var mean_absolute_error(const Var& a, const Var& b, Where where = Where::current());
Var smooth_l1(const Var& a, const Var& b, float beta = 1, Where where = Where::current());

// Huber's function of every element: d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere.
//   throws  std::invalid_argument when beta is not positive
Var smooth_absolute(const Var& d, float beta, Where where = Where::current());

// cross_entropy with class weights: sum of weight[label] * loss / sum of weight[label]; 0 when the weights sum to 0.
//   example  a detector weighs "no object", its most frequent class, by 0.1
//   throws   std::invalid_argument also when there are not as many weights as classes, or one is negative
Var weighted_cross_entropy(const Var& logits, const std::vector<int>& labels, const std::vector<float>& weights,
                           Where where = Where::current());

// Binary cross-entropy of every element, and its mean: -t log p - (1 - t) log(1 - p), p = sigmoid(logit), t the target from 0 to
// 1; computed as softplus(logit) - t logit, which cannot overflow. (n, m) -> (n, m)
//   throws  std::invalid_argument when the shapes differ
Var binary_losses(const Var& logits, const Matrix& targets, Where where = Where::current());
Var binary_cross_entropy(const Var& logits, const Matrix& targets, Where where = Where::current());

// Focal loss, which gives little weight to elements that are already right: alpha (1 - p)^gamma (-log p) where the target is 1,
// (1 - alpha) p^gamma (-log(1 - p)) where it is 0. (n, m) -> (n, m)
//   source  Lin et al., "Focal Loss for Dense Object Detection", 2017, arXiv 1708.02002, Eq. 5
//   throws  std::invalid_argument when the shapes differ, a target is neither 0 nor 1, or gamma is negative
Var focal_losses(const Var& logits, const Matrix& targets, float alpha = 0.25f, float gamma = 2, Where where = Where::current());

// Dice loss of two masks, row by row: 1 - (2 sum p t + 1) / (sum p + sum t + 1), p = sigmoid(logit): (n, m) -> (n, 1). Large and
// small objects have equal weight.
//   source  Milletari et al., "V-Net", 2016, arXiv 1606.04797; the added 1s, as in MaskFormer, give two empty masks a loss of 0
//   throws  std::invalid_argument when the shapes differ
Var dice_losses(const Var& logits, const Matrix& targets, Where where = Where::current());

// Fraction of rows whose largest logit is the label; ignored rows do not count, and a row with a NaN counts as wrong.
float accuracy(const Matrix& logits, const std::vector<int>& labels);
