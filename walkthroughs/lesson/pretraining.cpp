#include "walkthroughs/lesson/pretraining.h"

#include <algorithm>

#include "nn/training/optimizer.h"
#include "nn/training/progress.h"
#include "nn/training/schedule.h"

// Loss and gradients of one batch, then one step of the optimizer.
static float train_batch(const std::vector<std::vector<int>>& sequences, const mlm::Weights& w, const bert::Config& config,
                         const Pretraining& how, float rate, AdamW& optimizer, Random& random) {
    bert::Batch batch = bert::make_batch(sequences);
    const mlm::Draws draws = mlm::make_draws(random, batch.sequences, batch.length, config.vocabulary);
    const std::vector<int> special = mlm::special_places(batch.ids, how.special_ids);
    const mlm::Corrupted corrupted = mlm::corrupt_batch(batch.ids, special, draws, {.mask_id = how.mask_id});
    if (corrupted.places.empty()) return 0;
    batch.ids = corrupted.ids;
    Tape tape;
    const mlm::Steps steps = mlm::forward(batch, w, config, corrupted.places);
    const Var loss = mlm::loss(steps, mlm::labels_at_places(corrupted)).sum;
    backward(loss);
    clip_gradient_norm(optimizer.variables, 1);
    optimizer.update(rate);
    zero_gradients(optimizer.variables);
    return loss.value()(0, 0);
}

std::vector<float> pretrain(const mlm::Weights& w, const bert::Config& config, const Pretraining& how, const Reader& read,
                            Random& random) {
    const Schedule schedule{.peak = how.peak, .warm_up = std::min(50, how.steps), .steps = how.steps, .descent = Descent::linear};
    AdamW optimizer(variables(mlm::parameters(w, config)), {}, {.beta2 = 0.98f, .weight_decay = 0});
    Progress progress("training", how.steps);
    std::vector<float> losses;
    for (int step = 0; step < how.steps; ++step) {
        std::vector<std::vector<int>> sequences;
        for (int b = 0; b < how.batch; ++b) sequences.push_back(read(random));
        losses.push_back(train_batch(sequences, w, config, how, learning_rate(schedule, step), optimizer, random));
        progress.update(step, losses.back());
    }
    return losses;
}

Smoothed smoothed(const std::vector<float>& losses, int group) {
    Smoothed curve;
    const int count = static_cast<int>(losses.size());
    for (int first = 0; first < count; first += group) {
        const int end = std::min(count, first + group);
        float sum = 0;
        for (int k = first; k < end; ++k) sum += losses[k];
        curve.steps.push_back(static_cast<float>(end));
        curve.losses.push_back(sum / static_cast<float>(end - first));
    }
    return curve;
}
