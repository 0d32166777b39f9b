// linear.h: y = x W + b, the layer that holds nearly all parameters of a transformer.
//
//   note     W is (in, out); many checkpoints store (out, in), see nn/data/parameters.h
#pragma once
#include <string>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"
#include "nn/data/parameters.h"

struct Linear {
    Var weight;  // (in, out)
    Var bias;    // (1, out), or no value
};

// The distribution of initial weights.
enum class Draw {
    truncated_normal,  // normal, truncated at two standard deviations.    BERT, ViT
    normal,            //                                                  GPT
    xavier_uniform,    // uniform within +-sqrt(6 / (in + out)).           MAE, and Flax's default
};
struct Init {
    Draw draw = Draw::truncated_normal;
    float stddev = 0.02f;  // standard deviation; 0 = zeros, for weights that will be loaded
    float residual = 1;    // factor on the two matrices of a block that write to the residual stream; 1 / sqrt(2 L) in GPT-2
};

// Initial weights (in, out).   fan_out  `out` in Xavier's formula; 0 = out, 3 D for query, key and value drawn as one
Var make_weight(Random& random, int in, int out, const Init& init = {}, int fan_out = 0);

// Initial weights, and a bias of 0.
Linear make_linear(Random& random, int in, int out, const Init& init = {});
Linear make_linear_without_bias(Random& random, int in, int out, const Init& init = {});

// x W + b, row by row: (n, in) -> (n, out).   throws std::invalid_argument when the shapes do not fit
Var linear(const Var& x, const Linear& w, Where where = Where::current());

// Adds `name`.weight and, if there is one, `name`.bias to the table.
void add_parameters(Parameters& table, const std::string& name, const Linear& w, Stored stored = Stored::out_by_in);
