// recipe.h: the training loops of RLHF: supervised fine-tuning, reward model training, then PPO or DPO.
//
//   papers   Ouyang et al. (InstructGPT), 2022, arXiv 2203.02155, section 3.5 and Figure 2 (the three steps);
//            Ziegler et al., 2019, arXiv 1909.08593 (PPO on a language model);
//            Rafailov et al., 2023, arXiv 2305.18290 (DPO in place of steps 2 and 3)
//   shows    what is sampled, what is held constant, what is trained, in which order
//   symbols  B episodes   T tokens each (prompt, answer, padding on the right)
//   differs  the defaults are for models a few layers deep; published learning rates are 1.4e-5 (PPO) and 1e-6 (DPO)
//   use      supervised_fine_tuning(w, config, demonstrations, {.schedule = {.peak = 3e-3f, .steps = 300}, .batch = 64}, random);
//            PpoTrainer run(w, config, {.rollout = {.new_tokens = 8, .end_token = 7}});
//            for (int k = 0; k < 60; ++k) ppo_iteration(run, prompts, score, random);
//   next     recipe.cpp, then walkthroughs/rlhf/ppo.cpp
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/training/train.h"
#include "rlhf/dpo.h"
#include "rlhf/ppo.h"
#include "rlhf/preferences.h"
#include "rlhf/reward_model.h"

namespace rlhf {

// --- inputs of the loops ---

// A source of prompts with human answers.
class Demonstrations {
public:
    virtual ppo::Episodes draw(int count, Random& random) = 0;  // `count` of them
    virtual ~Demonstrations() = default;
};

// Concatenated prompts of equal length.
struct Prompts {
    std::vector<int> tokens;
    int length = 0;
    int count() const { return length > 0 ? static_cast<int>(tokens.size()) / length : 0; }
};

// Ranked answers. Text n belongs to ranking group[n] and has rank ranks[n] there: 1 is best, equal ranks are a tie.
struct RankedTexts {
    ppo::Episodes texts;
    std::vector<int> group, ranks;
};

// Row k of both has the same prompt; chosen[k] was preferred.
struct PreferencePairs {
    ppo::Episodes chosen, rejected;
    int count() const { return chosen.count(); }
};

// All pairs of each ranking with different ranks: K(K-1)/2 from a ranking of K without ties.
//   throws  std::invalid_argument when texts, groups and ranks differ in number
PreferencePairs preference_pairs(const RankedTexts& ranked);

// The score that PPO maximises: a reward model, or any other function of an episode.
class Score {
public:
    virtual std::vector<float> of(const ppo::Episodes& episodes) = 0;  // B, one per episode
    virtual ~Score() = default;
};

// --- sampling and measuring ---

struct Rollout {
    int new_tokens = 1;  // longest answer
    int end_token = 0;   // ends an answer and is part of it
    int padding_token = 0;
};

// Samples `count` answers at temperature 1, cycling through the prompts, each `times` times in a row: B = count, T = prompt
// length + new_tokens.
ppo::Episodes sample(const gpt::Weights& policy, const gpt::Config& config, const Prompts& prompts, int count,
                     const Rollout& rollout, Random& random, int times = 1);

// log pi(token t+1), (B, T-1), 0 outside the answers; not recorded on the tape.
Matrix log_probabilities(const gpt::Weights& policy, const gpt::Config& config, const ppo::Episodes& episodes);

// The reward of each episode.
std::vector<float> rewards(const reward_model::Weights& w, const gpt::Config& config, const ppo::Episodes& episodes);

// The reward model as a score. Comparisons do not determine a constant, so `shift` is subtracted: usually the mean reward of the
// training texts.
class RewardScore : public Score {
public:
    RewardScore(const reward_model::Weights& w, const gpt::Config& config, float shift) : w(w), config(config), shift(shift) {}
    std::vector<float> of(const ppo::Episodes& episodes) override;

private:
    reward_model::Weights w;
    gpt::Config config;
    float shift;
};

// --- step 1: supervised fine-tuning ---

// Minimises -log pi of the answers of demonstrations, recipe.batch of them per step; w is trained.
//   returns  the loss of each step, the mean over the tokens of the answers
std::vector<float> supervised_fine_tuning(const gpt::Weights& w, const gpt::Config& config, Demonstrations& demonstrations,
                                          const Recipe& recipe, Random& random, Watcher* watcher = nullptr);

// --- step 2: reward model training ---

struct RewardModelRecipe {
    int epochs = 8;  // passes over all rankings; determines training.schedule.steps
    Recipe training{.schedule = {.peak = 1e-3f, .descent = Descent::none}, .batch = 16};  // batch: rankings in a step
};

// One ranking is one training element: each answer is read once for all its pairs.
//   returns  the mean loss of each epoch, over the batches with at least one pair
//   throws   std::invalid_argument when no ranking has a pair
std::vector<float> train_reward_model(const reward_model::Weights& w, const gpt::Config& config, const RankedTexts& ranked,
                                      const RewardModelRecipe& recipe, Random& random, Watcher* watcher = nullptr);

// --- step 3: PPO ---

struct PpoRecipe {
    ppo::Config objective{};  // KL coefficient, clipping, GAE
    int epochs = 4;           // optimizer steps on each rollout
    Rollout rollout{};
    Recipe training{.schedule = {.peak = 1e-3f, .descent = Descent::none}, .batch = 64};  // batch: episodes in a rollout
};

// The state between iterations.
struct PpoTrainer {
    gpt::Config config;
    PpoRecipe recipe;
    gpt::Weights reference;  // frozen; shares the caller's weights
    ppo::Weights policy;     // starts as a copy of the reference
    float kl_coefficient;    // beta; changes when objective.adaptive
    Trainer trainer;

    // throws  std::invalid_argument for an invalid recipe
    PpoTrainer(const gpt::Weights& reference, const gpt::Config& config, const PpoRecipe& recipe, Where where = Where::current());
};

// One iteration, in order of computation. Everything before the losses is constant during the updates.
struct PpoIteration {
    ppo::Episodes episodes;              // B answers by the old policy
    Matrix mask;                         // (B, T-1)  1 at the tokens of the answers
    Matrix log_probabilities;            // (B, T-1)  of the old policy
    Matrix values;                       // (B, T-1)  of the old policy
    Matrix reference_log_probabilities;  // (B, T-1)
    std::vector<float> scores;           // B
    ppo::RewardSteps rewards;            // KL penalties, rewards, advantages, returns
    float kl_coefficient = 0;            // beta of this iteration
    float mean_score = 0, mean_kl = 0;   // over the episodes; KL in nats per answer
    std::vector<float> losses;           // of each epoch
    float first_ratio_error = 0;         // largest |ratio - 1| in the first epoch, where policy = old policy: rounding error
};

// Rollout, scores, advantages, then recipe.epochs clipped updates on the whole rollout, then the next KL coefficient.
//   throws  std::invalid_argument without a prompt, or when the number of scores is not the number of episodes
PpoIteration ppo_iteration(PpoTrainer& run, const Prompts& prompts, Score& score, Random& random);

// --- DPO, in place of steps 2 and 3 ---

struct DpoRecipe {
    dpo::Config objective{.beta = 0.5f};
    int epochs = 4;  // determines training.schedule.steps
    int padding_token = 0;
    Recipe training{.schedule = {.peak = 2e-4f, .warm_up = 30, .descent = Descent::none}, .batch = 64};  // batch: pairs in a step
};

struct DpoTrainer {
    gpt::Config config;
    DpoRecipe recipe;
    gpt::Weights reference;  // frozen; shares the caller's weights
    gpt::Weights policy;     // starts as a copy of the reference
    Trainer trainer;

    // For `pairs` pairs; each epoch drops those beyond the last whole batch.
    //   throws  std::invalid_argument for an invalid recipe, or fewer pairs than one batch
    DpoTrainer(const gpt::Weights& reference, const gpt::Config& config, const DpoRecipe& recipe, int pairs,
               Where where = Where::current());
};

// Measured at each step, before its update.
struct DpoStep {
    float loss = 0, accuracy = 0;
    float chosen = 0, rejected = 0;  // log pi - log pi_ref, mean over the batch
};

// One pass over the pairs, in random order.
//   returns  the measurements of each step
std::vector<DpoStep> dpo_epoch(DpoTrainer& run, const PreferencePairs& pairs, Random& random, Watcher* watcher = nullptr);

// Pairs order[first], ..., `count` of them, as one batch.
dpo::Batch dpo_batch(const PreferencePairs& pairs, const std::vector<int>& order, int first, int count, int padding_token);

}  // namespace rlhf
