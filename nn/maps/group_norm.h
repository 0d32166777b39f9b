// group_norm.h: bring every group of channels of every image to mean 0 and variance 1.
//
//   paper    Wu and He, "Group Normalization", 2018, arXiv 1803.08494, Eqs. 1-4
//   shows    that group norm differs from layer norm in what shares a mean: all pixels of an image, and a group of channels
//   note     With one group per channel it is instance norm. eps is part of the model (1e-6 in VQGAN, 1e-5 in PyTorch).
#pragma once
#include <string>

#include "nn/data/parameters.h"
#include "nn/maps/map.h"

struct GroupNorm {
    Var gain;  // (1, C)
    Var bias;  // (1, C)
};

GroupNorm make_group_norm(int channels);  // gain 1, bias 0

// (x - mean) / sqrt(variance + eps) * gain + bias; mean and variance (divided by the count, the biased one) are those of one image
// and of C / groups channels next to each other.
//   x (images * H * W, C) -> the same shape
//   throws   std::invalid_argument when the channels do not split into the groups, or gain or bias is not (1, C)
Map group_norm(const Map& x, const GroupNorm& w, int groups, float eps, Where where = Where::current());

// Adds `name`.weight and `name`.bias.
void add_parameters(Parameters& table, const std::string& name, const GroupNorm& w);
