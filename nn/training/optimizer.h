// optimizer.h: optimizers (AdamW, SGD) and gradient clipping.
//
//   papers   Kingma and Ba, Adam, 2015, arXiv 1412.6980, Algorithm 1
//            Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, arXiv 1711.05101, Algorithm 2
//   equations [Adam algorithm 1]
//   symbols  w a parameter   g its gradient   m, v moving averages of g and g^2   lr learning rate
//            t step of this variable: updates in which it had a gradient, from 1
//   differs  Algorithm 2 computes w <- w - eta (alpha m' / (sqrt(v') + eps) + lambda w) with a schedule multiplier eta: its decay
//            is eta lambda, whatever alpha is. Here as in torch.optim.AdamW: lr is eta alpha and the decay is lr weight_decay, so
//            weight_decay = lambda / alpha, and a larger learning rate also decays more
//   note     A variable without a gradient is skipped: no step, no decay, and its t does not advance.
//   next     train.h is the training loop, schedule.h the learning rate schedule, state.h saves and resumes
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/parameters.h"

// The interface that the training loop uses.
struct Optimizer {
    std::vector<Var> variables;
    int steps = 0;  // updates so far

    // One step for all variables that have a gradient.
    virtual void update(float learning_rate) = 0;
    virtual ~Optimizer() = default;
};

struct AdamWConfig {
    float learning_rate = 1e-3f;  // lr of update() without a schedule
    float beta1 = 0.9f;           // decay rate of m
    float beta2 = 0.999f;         // decay rate of v
    float eps = 1e-8f;            // added to the root, not under it
    float weight_decay = 0.01f;   // 0 makes this Adam
};

// Adam with decoupled weight decay: it is applied to the weights and does not enter the gradient.
//   w <- w (1 - lr weight_decay)                     only variables that decay
//   m <- beta1 m + (1 - beta1) g
//   v <- beta2 v + (1 - beta2) g^2
//   w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
// Each variable has its own t, m and v, which begin at its first gradient: a variable that is unfrozen later starts at t = 1.
//   throws  std::invalid_argument for a constant among the variables, a negative or infinite learning rate, eps or weight decay,
//           or a beta outside [0, 1)
struct AdamW : Optimizer {
    AdamWConfig config;
    int decayed_count = 0;            // the first variables, which decay
    std::vector<Matrix> m, v;         // of each variable, (0, 0) until its first gradient
    std::vector<int> variable_steps;  // t of each variable

    explicit AdamW(std::vector<Var> decayed, std::vector<Var> not_decayed = {}, AdamWConfig config = {});

    void update() { update(config.learning_rate); }
    void update(float learning_rate) override;
};

// Stochastic gradient descent with momentum:   m <- momentum m + g,   w <- w - lr m
struct Sgd : Optimizer {
    float learning_rate;
    float momentum;
    std::vector<Matrix> m;  // zeros at first

    explicit Sgd(std::vector<Var> variables, float learning_rate = 0.1f, float momentum = 0);

    void update() { update(learning_rate); }
    void update(float learning_rate) override;
};

// The usual choice: weights and embeddings (published with two or more dimensions) decay, biases and gains do not.
struct DecayChoice {
    std::vector<Var> decayed, not_decayed;
};
DecayChoice weights_decay(const Parameters& parameters);
DecayChoice nothing_decays(std::vector<Var> variables);

// Global norm clipping: when the norm of all gradients together is above max_norm, all are scaled by max_norm / (norm + 1e-6).
//   returns  the norm before
//   throws   std::invalid_argument when it is not finite: training has diverged
float clip_gradient_norm(const std::vector<Var>& variables, float max_norm);

void zero_gradients(const std::vector<Var>& variables);
