// norm.h: bring every token to mean 0 and variance 1, then let the model choose gain and bias per feature.
//
//   paper    Ba et al., "Layer Normalization", 2016, arXiv 1607.06450, Eqs. 3-4
//   note     eps is part of the model (1e-12 in BERT, 1e-6 in MAE, 1e-5 in GPT-2), so it is an argument
#pragma once
#include <string>

#include "nn/autograd/variable.h"
#include "nn/data/parameters.h"

struct LayerNorm {
    Var gain;  // (1, D)
    Var bias;  // (1, D)
};

LayerNorm make_layer_norm(int width);  // gain 1, bias 0

// (x - mean) / sqrt(variance + eps) * gain + bias, row by row; the variance divides by D (the biased one).
//   x (n, D) -> (n, D).   throws std::invalid_argument when the widths differ
Var layer_norm(const Var& x, const LayerNorm& w, float eps, Where where = Where::current());

// Adds `name`.weight and `name`.bias.
void add_parameters(Parameters& table, const std::string& name, const LayerNorm& w);
