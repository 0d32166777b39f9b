// written_out.h: Adam, step by step: what the training of a walkthrough must equal, number by number.
#pragma once
#include <functional>
#include <vector>

#include "nn/training/optimizer.h"

// Trains with beta2 = 0.98, without weight decay, gradients clipped at a norm of 1.
//   rate     the learning rate of a step, counted from 0
//   loss     of a new batch, recorded on the running tape
//   returns  the loss of every step
inline std::vector<float> adam_written_out(const std::vector<Var>& variables, int steps, const std::function<double(int)>& rate,
                                           const std::function<Var()>& loss) {
    AdamW adam({}, variables, {.beta2 = 0.98f, .weight_decay = 0});
    std::vector<float> losses;
    for (int step = 0; step < steps; ++step) {
        const Tape tape;
        const Var of_batch = loss();
        losses.push_back(of_batch.value()[0]);
        backward(of_batch);
        clip_gradient_norm(variables, 1);
        adam.update(static_cast<float>(rate(step)));
        zero_gradients(variables);
    }
    return losses;
}
