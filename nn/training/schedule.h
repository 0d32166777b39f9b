// schedule.h: learning rate schedules: warm-up, then cosine or linear decay.
//
//   shows    why the learning rate starts small (Adam's first averages are made of few gradients) and ends small (to converge)
//   equations [SGDR 5]
//   source   Vaswani et al. 2017, section 5.3 (warm-up); Loshchilov and Hutter, SGDR, 2017, Eq. 5 (cosine)
//   differs  the first step gets peak / warm_up, not 0, so that no step is wasted
#pragma once

enum class Descent { none, cosine, linear };  // after the warm-up: constant, or decay to the floor

struct Schedule {
    float peak = 1e-3f;  // the largest learning rate, reached at the end of the warm-up
    int warm_up = 0;     // steps of linear warm-up
    int steps = 1;       // all steps, including the warm-up
    Descent descent = Descent::cosine;
    float floor = 0;  // final learning rate, as a fraction of the peak
};

// The learning rate of step 0, 1, ..., steps - 1; later steps get the final one (t = 1).
//   warm-up  peak (step + 1) / warm_up
//   cosine   peak (floor + (1 - floor) (1 + cos(pi t)) / 2)
//   linear   peak (floor + (1 - floor) (1 - t)),   t from 0 after the warm-up to 1 at step `steps`
//   throws   std::invalid_argument for a negative step, warm_up or peak, steps < 1, or a floor outside 0 ... 1
float learning_rate(const Schedule& schedule, int step);
