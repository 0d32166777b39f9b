// group_norm.h: normalise every group of channels of every image to mean 0 and variance 1.
//
//   paper    Wu and He, "Group Normalization", 2018, arXiv 1803.08494, Eqs. 1, 2, 6, 7
//   equations [GN 1] [GN 2] [GN 6] [GN 7]
//   shows    that group norm differs from layer norm only in what shares a mean: all pixels of an image and a group of channels
//   note     With one group per channel it is instance norm. eps is part of the model (1e-6 in VQGAN, 1e-5 in PyTorch).
#pragma once
#include "nn/layers/norm.h"
#include "nn/maps/map.h"

// (x - mean) / sqrt(variance + eps) * gain + bias; mean and (biased) variance are taken over one image and C / groups adjacent
// channels. An absent gain is 1, an absent bias 0.
//   x (images * H * W, C) -> the same shape; gain and bias (1, C), from make_layer_norm(C)
//   throws   std::invalid_argument when the channels do not split into the groups, or gain or bias is not (1, C)
Map group_norm(const Map& x, const Norm& w, int groups, float eps, Where where = Where::current());
