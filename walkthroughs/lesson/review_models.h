// review_models.h: the models of the lessons on human feedback: SFT model, reward model, PPO and DPO policies.
//
//   shows    the recipe of rlhf/recipe.h on the language of reviews.h: train_sft, write, ask, train_reward_model, then train_ppo
//            or train_dpo
//   note     A GPT of 2 blocks and width 32. All randomness comes from the generator argument.
#pragma once
#include <string>
#include <vector>

#include "rlhf/recipe.h"
#include "walkthroughs/toys/reviews.h"

namespace reviews {

gpt::Config model_config();

// --- 1: supervised fine-tuning ---

struct SftModel {
    gpt::Weights w;
    std::vector<float> losses;  // of each step
};
//   descent  none: constant learning rate (the lesson on PPO); linear: decay to 0 (the lesson on DPO)
SftModel train_sft(Random& random, Descent descent = Descent::none);

// --- 2: sampling ---

// `count` texts by a model, cycling through the prompts, each `times` times in a row.
ppo::Episodes write(const gpt::Weights& w, int count, Random& random, int times = 1);

// log pi(token t+1) of the texts, (B, T-1), 0 outside the answers.
Matrix log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes);

// --- 3: ranking ---

// Episodes kK ... kK+K-1 are the answers to question k.
std::vector<preferences::Ranking> questions(const ppo::Episodes& episodes, int answers);

// The questions with ranks by a simulated person, who orders answers by true score plus noise.
std::vector<preferences::Ranking> ask(std::vector<preferences::Ranking> questions, const preferences::Person& person,
                                      Random& random);

// The answers of some rankings in rows, with the pairs between them: the training data of a reward model.
//   throws  std::invalid_argument for a word outside the language or an unknown prompt
struct Ranked {
    ppo::Episodes episodes;
    preferences::Pairs pairs;
};
Ranked ranked_rows(const std::vector<preferences::Ranking>& rankings);

// The same pairs, ordered as by a person without noise.
preferences::Pairs true_pairs(const Ranked& ranked, const std::vector<preferences::Ranking>& rankings);

// --- 4: reward model training ---

struct RewardModel {
    reward_model::Weights w;
    float shift = 0;            // subtracted from every reward, so that the training answers have mean 0
    std::vector<float> losses;  // of each epoch
};
//   throws  std::invalid_argument when no ranking says that one answer is better than another
RewardModel train_reward_model(const gpt::Weights& sft, const std::vector<preferences::Ranking>& rankings, Random& random,
                               int epochs = 8);

std::vector<float> rewards_of(const RewardModel& reward_model, const ppo::Episodes& episodes);

// Measures a reward model on rankings, usually held-out ones.
struct Evaluation {
    float agreement = 0;       // fraction of pairs ordered like the person, noise included
    float true_agreement = 0;  // fraction of pairs ordered like the person without noise
    float correlation = 0;     // of reward and true score
    float loss = 0;
};
Evaluation evaluate(const RewardModel& reward_model, const std::vector<preferences::Ranking>& rankings);

// --- 5: PPO or DPO ---

// Means over fresh texts of a policy.
struct Measured {
    float true_score = 0;
    float reward = 0;     // of the reward model
    float kl = 0;         // nats per answer, to the reference
    float sentences = 0;  // fraction of texts that are sentences
};
Measured measure(const gpt::Weights& policy, const gpt::Weights& reference, const RewardModel& reward_model, Random& random,
                 int count = 1000);

// The lesson's settings: 4 epochs on every rollout of 64 episodes.
struct PpoRun {
    float beta = 0.2f;
    int iterations = 60;
    int episodes = 64;
    int epochs = 4;
    float learning_rate = 1e-3f;
};

// Means over the episodes of each iteration.
struct PpoHistory {
    std::vector<float> true_score, reward, kl, sentences;
    float first_ratio_error = 0;  // largest |ratio - 1| before the first update on a rollout; 0 up to rounding
};

struct PpoModel {
    ppo::Weights w;
    PpoHistory history;
};
PpoModel train_ppo(const gpt::Weights& reference, const RewardModel& reward_model, const PpoRun& run, Random& random);

// Pairs of answers to the same prompt, chosen and rejected, for DPO.
using Comparisons = rlhf::PreferencePairs;
Comparisons comparisons_of(const std::vector<preferences::Ranking>& rankings);

// Pairs order[first], ..., `count` of them, as one batch.
dpo::Batch dpo_batch(const Comparisons& comparisons, const std::vector<int>& order, int first, int count);

struct DpoRun {
    float beta = 0.5f;
    float learning_rate = 2e-4f;
    int warm_up = 30;
    int batch = 64;
    int epochs = 4;
};

struct DpoHistory {
    std::vector<float> loss, accuracy;    // of each step
    std::vector<float> chosen, rejected;  // log pi - log pi_ref, mean over the batch
};

struct DpoModel {
    gpt::Weights w;
    DpoHistory history;
};
DpoModel train_dpo(const gpt::Weights& reference, const Comparisons& comparisons, const DpoRun& run, Random& random);

float mean(const std::vector<float>& numbers);

}  // namespace reviews
