// schedule.h: how large a step to take when.
//
//   shows    why training starts gently (Adam's first averages are made of few gradients) and ends gently (to settle)
//   source   Vaswani et al. 2017, section 5.3 (warm-up); Loshchilov and Hutter, SGDR, 2017, Eq. 5 (cosine)
//   differs  the first step gets peak / warm_up and not 0, so that no step is lost
#pragma once

enum class Descent { none, cosine, linear };  // after the warm-up: stay, or go down to the floor

struct Schedule {
    float peak = 1e-3f;  // the largest learning rate, reached at the end of the warm-up
    int warm_up = 0;     // steps of straight ascent
    int steps = 1;       // all steps, the warm-up included
    Descent descent = Descent::cosine;
    float floor = 0;  // where the descent ends, as a share of the peak
};

// The learning rate of step 0, 1, ..., steps - 1; later steps get that of step `steps`, where t is 1.
//   warm-up  peak (step + 1) / warm_up
//   cosine   peak (floor + (1 - floor) (1 + cos(pi t)) / 2)
//   linear   peak (floor + (1 - floor) (1 - t)),   t from 0 after the warm-up to 1 at step `steps`
//   throws   std::invalid_argument for a negative step, warm_up or peak, steps < 1, or a floor outside 0 ... 1
float learning_rate(const Schedule& schedule, int step);
