// optimizer.h: from gradients to better numbers.
//
//   papers   Kingma and Ba, Adam, 2015, Algorithm 1
//            Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2
//   symbols  w a number that is trained   g its gradient   m, v running means of g and g^2   t step, from 1   lr learning rate
//   note     A variable into which nothing has flowed since zero_gradients() is left alone: no step, no decay.
//   next     schedule.h says how lr changes, state.h saves everything
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/parameters.h"

struct AdamWConfig {
    float learning_rate = 1e-3f;  // lr
    float beta1 = 0.9f;           // how much of m is kept
    float beta2 = 0.999f;         // how much of v is kept
    float eps = 1e-8f;            // beside the root, not under it
    float weight_decay = 0.01f;   // 0 makes this Adam
};

// Adam whose weight decay pulls at the weights themselves instead of hiding in the gradient.
//   w <- w (1 - lr decay)                     only variables that decay
//   m <- beta1 m + (1 - beta1) g
//   v <- beta2 v + (1 - beta2) g^2
//   w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
struct AdamW {
    AdamWConfig config;
    std::vector<Var> variables;  // the decayed ones first
    int decayed_count = 0;
    std::vector<Matrix> m, v;  // one for each variable, zeros at first
    int steps = 0;             // t: updates so far

    explicit AdamW(std::vector<Var> decayed, std::vector<Var> not_decayed = {}, AdamWConfig config = {});

    // One step for all variables, from their gradients.
    void update() { update(config.learning_rate); }
    void update(float learning_rate);
};

// Plain descent with a memory:   m <- momentum m + g,   w <- w - lr m
struct Sgd {
    float learning_rate = 0.1f;
    float momentum = 0;
    std::vector<Var> variables;
    std::vector<Matrix> m;  // zeros at first

    explicit Sgd(std::vector<Var> variables, float learning_rate = 0.1f, float momentum = 0);

    void update() { update(learning_rate); }
    void update(float learning_rate);
};

// The usual choice of what decays: weights and embeddings (published with two dimensions or more) do, biases and gains do not.
struct DecayChoice {
    std::vector<Var> decayed, not_decayed;
};
DecayChoice weights_decay(const Parameters& parameters);

// The length of all gradients together as one vector; when it is above max_norm all are scaled by max_norm / (norm + 1e-6).
//   returns  the length before
//   throws   std::invalid_argument when it is infinite or not a number: training has blown up
float clip_gradient_norm(const std::vector<Var>& variables, float max_norm);

void zero_gradients(const std::vector<Var>& variables);
