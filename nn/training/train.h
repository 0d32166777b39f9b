// train.h: the training loop: loss, backward, clip, update, zero gradients.
//
//   shows    that all training in this project is the same five lines; systems differ in loss and recipe
//   use      struct Fit : Objective {                         // the loss of a step, on a batch that it draws itself
//                Var loss(int) override { return mean_squared_error(w, target); }
//                Var w, target;
//            };
//            Fit fit;
//            train(fit, nothing_decays({fit.w}), {.schedule = {.peak = 0.1f, .steps = 100}, .weight_decay = 0});
//   note     To step through an iteration in the debugger, break on train_step.
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
    Schedule schedule{};     // learning rate of each step; schedule.steps is the number of steps
    int batch = 1;           // examples per step, drawn by the objective
    float clip_norm = 1;     // largest global norm of the gradients, or no_clipping
    float weight_decay = 0;  // of the variables that decay; 0 makes AdamW Adam
    float beta1 = 0.9f;      // AdamW: decay rate of the average gradient
    float beta2 = 0.999f;    // AdamW: decay rate of the average squared gradient
    float eps = 1e-8f;       // AdamW: added to the root
};

// Checks a recipe before training begins.
//   throws  std::invalid_argument for steps or warm-up below 0, batch below 1, clip_norm of 0 or less, a negative learning rate,
//           weight decay or eps, a beta outside [0, 1), a floor outside 0 ... 1, or NaN
void require_sound(const Recipe& recipe, Where where = Where::current());

// The function to minimise.
class Objective {
public:
    // The loss of step 0, 1, ... on a new batch, (1, 1), recorded on the running tape. No value (Var()) when the batch has
    // nothing to learn from: the step counts, but no variable changes.
    virtual Var loss(int step) = 0;
    virtual ~Objective() = default;
};

// Called after the update of every step.
class Watcher {
public:
    // returns  whether to continue
    virtual bool after_step(int step, float loss) = 0;
    virtual ~Watcher() = default;
};

// A watcher that shows the progress line.
class ShowProgress : public Watcher {
public:
    ShowProgress(std::string what, int steps) : progress(std::move(what), steps) {}
    bool after_step(int step, float loss) override;

private:
    Progress progress;
};

// One training step.
//   step     its number, for the objective and for messages
//   returns  the loss before the update; 0 when the objective returned no value
//   throws   std::invalid_argument when the loss or the norm of the gradients is not finite, or a loss other than 0 depends on none
//            of the variables
float train_step(Objective& objective, int step, Optimizer& optimizer, float learning_rate, float clip_norm);

// A training run that can be interrupted, saved (state.h) and resumed; optimizer.steps counts its steps.
struct Trainer {
    Recipe recipe;
    AdamW optimizer;

    // Checks the recipe and zeroes the gradients.   throws  as require_sound(recipe)
    Trainer(const DecayChoice& variables, const Recipe& recipe, Where where = Where::current());
};

// The next step of the run, with the learning rate of its schedule.   returns  as above
float train_step(Objective& objective, Trainer& trainer);

// Runs until step `end`, or until the watcher returns false.   returns  the loss of each step
std::vector<float> train_until(int end, Objective& objective, Trainer& trainer, Watcher* watcher = nullptr);

// Runs all steps of the recipe.   returns  the loss of each
std::vector<float> train(Objective& objective, const DecayChoice& variables, const Recipe& recipe, Watcher* watcher = nullptr,
                         Where where = Where::current());
