// pretraining.h: BERT learns by filling in words that were hidden from it; the same loop for all lessons.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bert/mlm.h"

struct Pretraining {
    int steps = 1500;
    int batch = 32;      // sequences in a step
    float peak = 3e-3f;  // learning rate after 50 steps of warm-up; then straight down to 0
    int mask_id = 4;
    std::vector<int> special_ids;  // never hidden
};

// One sequence to learn from.
using Reader = std::function<std::vector<int>(Random&)>;

// Masked words, 15 %, 80/10/10, AdamW without decay, gradients clipped at 1.
//   returns  the loss of every step
std::vector<float> pretrain(const mlm::Weights& w, const bert::Config& config, const Pretraining& how, const Reader& read,
                            Random& random);

// The losses as a curve that can be looked at: means of `group` steps.
struct Smoothed {
    std::vector<float> steps, losses;
};
Smoothed smoothed(const std::vector<float>& losses, int group);
