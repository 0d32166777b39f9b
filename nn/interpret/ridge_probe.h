// ridge_probe.h: what can be read off features by a linear classifier: ridge regression to one-hot labels.
//
//   shows    what a model has learned, without training it any further; the closed form needs no learning rate that could be at fault
//   source   Hoerl and Kennard 1970: W = (X^T X + lambda n I)^-1 X^T Y, X (n, D + 1) with a column of ones
#pragma once
#include <vector>

#include "nn/base/matrix.h"

// Fits on one set, judges on another: the share of rows whose largest output is the label.
//   throws  std::invalid_argument when labels and rows differ, or a label is not 0 ... classes - 1
double ridge_probe(const Matrix& features, const std::vector<int>& labels, const Matrix& test_features,
                   const std::vector<int>& test_labels, int classes, double lambda = 1e-3);
