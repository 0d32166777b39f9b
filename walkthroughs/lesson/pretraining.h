// pretraining.h: masked language modelling with BERT: the training loop of the lessons.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bert/mlm.h"

struct Pretraining {
    int steps = 1500;
    int batch = 32;      // sequences per step
    float peak = 3e-3f;  // learning rate after 50 steps of warm-up; then linear decay to 0
    int mask_id = 4;
    std::vector<int> special_ids;  // never masked
};

// Draws one training sequence.
using Reader = std::function<std::vector<int>(Random&)>;

// Masks 15 % of the tokens, 80/10/10; AdamW without weight decay, beta2 = 0.98, gradients clipped at 1.
//   returns  the loss of every step
std::vector<float> pretrain(const mlm::Weights& w, const bert::Config& config, const Pretraining& how, const Reader& read,
                            Random& random);
