// moving_average.h: a teacher whose weights are an exponential moving average (EMA) of the student's.
//
//   papers   Tarvainen and Valpola, "Mean teachers", 2017, arXiv 1703.01780, Eq. 1; with a schedule Baevski et al. (data2vec), 2022,
//            arXiv 2202.03555, section 3.3
//   equations [MeanTeacher 1]
//   shows    that a teacher needs no training of its own
//   symbols  theta' the average   theta the model   tau the decay, the weight of the old average at each update
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

// tau rises linearly from `start` to `end` over the first `updates` updates, then stays constant.
struct DecaySchedule {
    double start = 0.999;
    double end = 0.9999;
    int updates = 100000;  // 0 = `end` from the beginning
};

// tau after update number 0, 1, 2, ...
//   returns  end - (end - start) (1 - update / updates) before the end
//   throws   std::invalid_argument for a negative update or number of updates, or a `start` or `end` outside 0 ... 1
double decay_at(const DecaySchedule& schedule, int update);

// theta' = tau theta' + (1 - tau) theta, matrix by matrix.
//   average  is changed in place
//   throws   std::invalid_argument when the lists differ in length or in a shape, the two share a matrix, or tau is outside 0 ... 1;
//            then nothing changes
void move_towards(const std::vector<Var>& average, const std::vector<Var>& model, double tau);
