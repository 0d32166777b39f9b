// linear.h: y = x W + b, the layer that holds nearly all the numbers of a transformer.
//
//   note     W is (in, out), as equations are written; many checkpoints store (out, in), see nn/data/parameters.h
#pragma once
#include <string>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"
#include "nn/data/parameters.h"

struct Linear {
    Var weight;  // (in, out)
    Var bias;    // (1, out), or no value at all
};

// Weights drawn from a normal distribution cut off at two deviations, as the published transformers start; bias 0.
Linear make_linear(Random& random, int in, int out, float deviation = 0.02f);
Linear make_linear_without_bias(Random& random, int in, int out, float deviation = 0.02f);

// x W + b, row by row: (n, in) -> (n, out).   throws std::invalid_argument when the shapes do not fit
Var linear(const Var& x, const Linear& w, Where where = Where::current());

// Adds `name`.weight and, where there is one, `name`.bias to the table.
void add_parameters(Parameters& table, const std::string& name, const Linear& w, Stored stored = Stored::out_by_in);

// The same for several layers that a checkpoint keeps as one, side by side: a fused query-key-value.
void add_fused_parameters(Parameters& table, const std::string& name, const std::vector<Linear>& layers,
                          Stored stored = Stored::out_by_in);
