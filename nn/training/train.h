// train.h: the one training loop: loss, backward, clip, update, zero, and again.
//
//   shows    that all training of this project is the same five lines; a system differs in its loss and in its recipe
//   use      struct Chase : Objective {                       // the loss of a step, on a batch that it draws itself
//                Var loss(int) override { return mean_squared_error(w, target); }
//                Var w, target;
//            };
//            Chase chase;
//            train(chase, nothing_decays({chase.w}), {.schedule = {.peak = 0.1f, .steps = 100}, .weight_decay = 0});
//   note     To see an iteration in the debugger, break on train_step.
//   next     train.cpp, then walkthroughs/vit/vit.cpp
#pragma once
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "nn/training/optimizer.h"
#include "nn/training/progress.h"
#include "nn/training/schedule.h"

inline constexpr float no_clipping = std::numeric_limits<float>::infinity();

// Every hyperparameter of a training run. The defaults are the usual ones.
struct Recipe {
    Schedule schedule{};     // learning rate of each step: peak, warm-up, descent; schedule.steps is how many steps there are
    int batch = 1;           // examples in a step, for the objective that draws them
    float clip_norm = 1;     // largest length of all gradients together, or no_clipping
    float weight_decay = 0;  // of the variables that decay; 0: none, Adam
    float beta1 = 0.9f;      // AdamW: how much of the mean of gradients is kept
    float beta2 = 0.999f;    // and of the mean of their squares
    float eps = 1e-8f;       // beside the root
};

// Checks every value of a recipe, once, before training begins.
//   throws  std::invalid_argument in one line: steps or warm-up below 0, batch below 1, clip_norm of 0 or less, a negative
//           learning rate, weight decay or eps, a beta outside [0, 1), a floor outside 0 ... 1, or anything that is not a number
void require_sound(const Recipe& recipe, Where where = Where::current());

// What is minimised.
class Objective {
public:
    // The loss of step 0, 1, ... on a batch of its own, (1, 1), recorded on the running tape. No value at all (Var()) when the
    // batch holds nothing to learn from: the step counts, and no variable moves.
    virtual Var loss(int step) = 0;
    virtual ~Objective() = default;
};

// Is told the loss of every step after the update.
class Watcher {
public:
    // returns  whether to go on
    virtual bool after_step(int step, float loss) = 0;
    virtual ~Watcher() = default;
};

// The watcher that shows the progress line.
class ShowProgress : public Watcher {
public:
    ShowProgress(std::string what, int steps) : progress(std::move(what), steps) {}
    bool after_step(int step, float loss) override;

private:
    Progress progress;
};

// One step: tape, loss, backward, clip, update, zero.
//   step     its number, for the objective and for messages
//   returns  the loss before the update; 0 when the objective had nothing to learn from
//   throws   std::invalid_argument when the loss or the norm of the gradients is not finite
float train_step(Objective& objective, int step, Optimizer& optimizer, float learning_rate, float clip_norm);

// A training run that can be interrupted, saved (state.h) and continued: optimizer.steps is where it stands.
struct Trainer {
    Recipe recipe;
    AdamW optimizer;

    // Checks the recipe; gradients from before are zeroed.   throws  as require_sound(recipe)
    Trainer(const DecayChoice& variables, const Recipe& recipe, Where where = Where::current());
};

// The next step of the run, with the learning rate of its schedule.   returns  as above
float train_step(Objective& objective, Trainer& trainer);

// Steps until `end`, or until the watcher has seen enough.   returns  the loss of each step taken
std::vector<float> train_until(int end, Objective& objective, Trainer& trainer, Watcher* watcher = nullptr);

// All steps of the recipe, from the first.   returns  the loss of each
std::vector<float> train(Objective& objective, const DecayChoice& variables, const Recipe& recipe, Watcher* watcher = nullptr,
                         Where where = Where::current());
