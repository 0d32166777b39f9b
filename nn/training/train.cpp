#include "nn/training/train.h"

#include <algorithm>
#include <cmath>

// Also false for NaN.
static bool is_from_0(float x) { return x >= 0 && std::isfinite(x); }

void require_sound(const Recipe& recipe, Where where) {
    const Schedule& schedule = recipe.schedule;
    require(schedule.steps >= 0, where, "train: ", schedule.steps, " steps of training, there cannot be fewer than 0");
    require(schedule.warm_up >= 0, where, "train: ", schedule.warm_up,
            " steps of warm-up, there cannot be fewer than 0; 0 turns it off");
    require(recipe.batch >= 1, where, "train: a batch of ", recipe.batch, ", a step needs at least 1 example");
    require(is_from_0(schedule.peak), where, "train: a learning rate of ", schedule.peak,
            ", it must be finite and at least 0; 0.001 is usual");
    require(schedule.floor >= 0 && schedule.floor <= 1, where, "train: the learning rate ends at ", schedule.floor,
            " of its peak, it must be a fraction from 0 to 1");
    require(recipe.clip_norm > 0, where, "train: gradients clipped to a norm of ", recipe.clip_norm,
            ", it must be above 0; 1 is usual, no_clipping turns it off");
    require(is_from_0(recipe.weight_decay), where, "train: a weight decay of ", recipe.weight_decay,
            ", it must be finite and at least 0; 0 turns it off");
    for (const float beta : {recipe.beta1, recipe.beta2})
        require(beta >= 0 && beta < 1, where, "train: a beta of ", beta,
                ", it must be from 0 to below 1; 0.9 and 0.999 are usual");
    require(is_from_0(recipe.eps), where, "train: an eps of ", recipe.eps, ", it must be finite and at least 0; 1e-8 is usual");
}

bool ShowProgress::after_step(int step, float loss) {
    progress.update(step, loss);
    return true;
}

// Variables that the loss does not reach would stay as they are, however long the training. A loss of 0 may reach none: a batch
// without a label.
static void require_reached(const std::vector<Var>& variables, int step, float loss) {
    const bool reached = std::any_of(variables.begin(), variables.end(), [](const Var& v) { return !v.gradient().empty(); });
    require(reached || loss == 0, "train: the loss of step ", step, ", ", loss, ", depends on none of the ", variables.size(),
            " variables that are trained; give those that it is computed from");
}

// The gradients of one batch, in the gradient of every variable.   returns  the loss
static float loss_and_gradients(Objective& objective, int step, const std::vector<Var>& variables) {
    const Tape tape;                        // records the operations of the loss
    const Var loss = objective.loss(step);  // (1, 1)
    if (!loss) return 0;
    const float value = loss.value()(0, 0);
    require(
        std::isfinite(value), "train: the loss of step ", step, " is ", value,
        ", training has blown up; a smaller learning rate or a longer warm-up may help; --trap-nan (trap_nan(true)) names the operation that made it");
    backward(loss);
    require_reached(variables, step, value);
    return value;
}

float train_step(Objective& objective, int step, Optimizer& optimizer, float learning_rate, float clip_norm) {
    const float loss = loss_and_gradients(objective, step, optimizer.variables);
    if (clip_norm != no_clipping) clip_gradient_norm(optimizer.variables, clip_norm);
    optimizer.update(learning_rate);
    zero_gradients(optimizer.variables);
    return loss;
}

static AdamWConfig adamw_config(const Recipe& recipe) {
    return {.learning_rate = recipe.schedule.peak,
            .beta1 = recipe.beta1,
            .beta2 = recipe.beta2,
            .eps = recipe.eps,
            .weight_decay = recipe.weight_decay};
}

// Checks the recipe before the optimizer is constructed, so that its message comes first.
static const Recipe& sound(const Recipe& recipe, Where where) {
    require_sound(recipe, where);
    return recipe;
}

Trainer::Trainer(const DecayChoice& variables, const Recipe& given, Where where)
    : recipe(sound(given, where)), optimizer(variables.decayed, variables.not_decayed, adamw_config(given)) {
    zero_gradients(optimizer.variables);
}

float train_step(Objective& objective, Trainer& trainer) {
    const int step = trainer.optimizer.steps;
    const float rate = learning_rate(trainer.recipe.schedule, step);
    return train_step(objective, step, trainer.optimizer, rate, trainer.recipe.clip_norm);
}

std::vector<float> train_until(int end, Objective& objective, Trainer& trainer, Watcher* watcher) {
    std::vector<float> losses;
    bool going_on = true;
    while (trainer.optimizer.steps < end && going_on) {
        const int step = trainer.optimizer.steps;
        losses.push_back(train_step(objective, trainer));
        if (watcher != nullptr) going_on = watcher->after_step(step, losses.back());
    }
    return losses;
}

std::vector<float> train(Objective& objective, const DecayChoice& variables, const Recipe& recipe, Watcher* watcher,
                         Where where) {
    Trainer trainer(variables, recipe, where);
    return train_until(recipe.schedule.steps, objective, trainer, watcher);
}
