#include "walkthroughs/lesson/pretraining.h"

#include <algorithm>

#include "nn/training/train.h"

static Recipe recipe_of(const Pretraining& how) {
    return {.schedule = {.peak = how.peak, .warm_up = std::min(50, how.steps), .steps = how.steps, .descent = Descent::linear},
            .batch = how.batch,
            .beta2 = 0.98f};
}

namespace {
// The loss of the masked tokens; 0, without a gradient, when no token is masked.
struct HiddenWords : Objective {
    const mlm::Weights& w;
    const bert::Config& config;
    const Pretraining& how;
    const Reader& read;
    Random& random;

    HiddenWords(const mlm::Weights& w, const bert::Config& config, const Pretraining& how, const Reader& read, Random& random)
        : w(w), config(config), how(how), read(read), random(random) {}

    Var loss(int) override {
        std::vector<std::vector<int>> sequences;
        for (int b = 0; b < how.batch; ++b) sequences.push_back(read(random));
        bert::Batch batch = bert::make_batch(sequences);
        const mlm::Draws draws = mlm::make_draws(random, batch.sequences, batch.length, config.vocabulary);
        const std::vector<int> special = mlm::special_positions(batch.ids, how.special_ids);
        const mlm::Corrupted corrupted = mlm::corrupt_batch(batch.ids, special, draws, {.mask_id = how.mask_id});
        batch.ids = corrupted.ids;
        const mlm::Steps steps = mlm::forward(batch, w, config, corrupted.positions);
        return mlm::loss(steps, mlm::labels_at_positions(corrupted)).sum;
    }
};
}  // namespace

std::vector<float> pretrain(const mlm::Weights& w, const bert::Config& config, const Pretraining& how, const Reader& read,
                            Random& random) {
    HiddenWords objective(w, config, how, read, random);
    ShowProgress progress("training", how.steps);
    return train(objective, nothing_decays(variables(mlm::parameters(w, config))), recipe_of(how), &progress);
}
