// group_norm.h: bring every group of channels of every image to mean 0 and variance 1.
//
//   paper    Wu and He, "Group Normalization", 2018, arXiv 1803.08494, Eqs. 1, 2, 6, 7
//   shows    that group norm differs from layer norm in what shares a mean: all pixels of an image, and a group of channels
//   note     With one group per channel it is instance norm. eps is part of the model (1e-6 in VQGAN, 1e-5 in PyTorch).
#pragma once
#include "nn/layers/norm.h"
#include "nn/maps/map.h"

// (x - mean) / sqrt(variance + eps) * gain + bias; mean and variance (divided by the count, the biased one) are those of one image
// and of C / groups channels next to each other. An absent gain is 1, an absent bias 0.
//   x (images * H * W, C) -> the same shape; gain and bias (1, C), as make_layer_norm(C) makes them
//   throws   std::invalid_argument when the channels do not split into the groups, or gain or bias is not (1, C)
Map group_norm(const Map& x, const Norm& w, int groups, float eps, Where where = Where::current());
