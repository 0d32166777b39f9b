// norm.h: normalise every token to a fixed scale, then apply a learned gain and bias per feature.
//
//   papers   Ba et al., "Layer Normalization", 2016, arXiv 1607.06450, Eqs. 3-4
//            Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv 1910.07467, Eq. 4
//   equations [LayerNorm 3] [LayerNorm 4] [RMSNorm 4]
//   symbols  n tokens   D width
//   note     eps is part of the model (1e-12 in BERT, 1e-6 in MAE, 1e-5 in GPT-2), so it is an argument
#pragma once
#include <string>

#include "nn/autograd/variable.h"
#include "nn/data/parameters.h"

enum class NormKind {
    layer,  // (x - mean) / sqrt(variance + eps), with the biased variance (divided by D).   BERT, GPT, ViT
    rms,    // x / sqrt(mean of x^2 + eps): the mean is not subtracted.                       LLaMA, T5
};

// The learned parameters of a norm. Either may be absent: a gain of 1, a bias of 0.
struct Norm {
    Var gain;  // (1, D)
    Var bias;  // (1, D)
};

Norm make_layer_norm(int width);  // gain 1, bias 0
Norm make_rms_norm(int width);    // gain 1, no bias

// The norm of each row, times gain plus bias: (n, D) -> (n, D).
//   throws  std::invalid_argument when the widths differ
Var normalise(const Var& x, const Norm& w, NormKind kind, float eps, Where where = Where::current());
Var layer_norm(const Var& x, const Norm& w, float eps, Where where = Where::current());
Var rms_norm(const Var& x, const Norm& w, float eps, Where where = Where::current());

// Every row divided by its Euclidean norm, or by eps where that is larger: (n, D) -> (n, D).
//   note  as PyTorch's F.normalize; OpenAI's CLIP uses eps = 0
Var unit_rows(const Var& x, float eps = 1e-12f, Where where = Where::current());

// Adds `name`.weight and `name`.bias, if present.
void add_parameters(Parameters& table, const std::string& name, const Norm& w);
