// ridge_probe.h: linear probe: a linear classifier on frozen features, fitted by ridge regression to one-hot labels.
//
//   shows    what a model has learned without fine-tuning it; the closed form has no learning rate to choose
//   source   Hoerl and Kennard 1970: W = (X^T X + lambda n I)^-1 X^T Y, X (n, D + 1) with a column of ones,
//            or X^T (X X^T + lambda n I)^-1 Y, which is the same and cheaper when n < D + 1
#pragma once
#include <vector>

#include "nn/base/matrix.h"

// Fits on one set and returns the accuracy on another.
//   throws  std::invalid_argument when the numbers of labels and rows differ, or a label is not 0 ... classes - 1
double ridge_probe(const Matrix& features, const std::vector<int>& labels, const Matrix& test_features,
                   const std::vector<int>& test_labels, int classes, double lambda = 1e-3);
