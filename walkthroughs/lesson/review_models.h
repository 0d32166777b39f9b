// review_models.h: the models of the lessons on human feedback: the SFT model, the reward model and the policies.
//
//   shows    the recipe of rlhf/recipe.h on the language of reviews.h: fine_tune (SFT), write, ask, train_reward_model, then
//            train_ppo or train_dpo
//   note     A GPT of 2 blocks and width 32. All randomness comes from the given generator.
#pragma once
#include <string>
#include <vector>

#include "rlhf/recipe.h"
#include "walkthroughs/toys/reviews.h"

namespace reviews {

gpt::Config model_config();


// --- 1: supervised fine-tuning (SFT) ---

struct Writer {
    gpt::Weights w;
    std::vector<float> losses;  // of each step
};
//   descent  none: constant learning rate (the lesson on PPO); linear: decay to 0 (the lesson on DPO)
Writer fine_tune(Random& random, Descent descent = Descent::none);

// --- 2: sample answers ---

// `count` texts by a model, the prompts in turn, each prompt `times` times in a row.
ppo::Episodes write(const gpt::Weights& w, int count, Random& random, int times = 1);

// log pi(token t+1) of the sampled texts, (B, T-1), 0 outside the answers.
Matrix log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes);

// --- 3: a person ranks them ---

// Episodes kK ... kK+K-1 are the answers to question k.
std::vector<preferences::Ranking> questions(const ppo::Episodes& episodes, int answers);

// The questions with the ranks of a simulated person: by true score plus noise.
std::vector<preferences::Ranking> ask(std::vector<preferences::Ranking> questions, const preferences::Person& person,
                                      Random& random);

// The answers of rankings in rows, with the comparisons between them: the training data of a reward model.
//   throws  std::invalid_argument when a ranking holds an unknown word or prompt
struct Ranked {
    ppo::Episodes episodes;
    preferences::Pairs pairs;
};
Ranked ranked_rows(const std::vector<preferences::Ranking>& rankings);

// The same comparisons without noise.
preferences::Pairs true_pairs(const Ranked& ranked, const std::vector<preferences::Ranking>& rankings);

// --- 4: reward model training ---

struct RewardModel {
    reward_model::Weights w;
    float zero = 0;             // subtracted from every reward, so that the training answers have mean 0 (comparisons do not
                                // determine the zero)
    std::vector<float> losses;  // of each epoch
};
//   throws  std::invalid_argument when no ranking prefers one answer to another
RewardModel train_reward_model(const gpt::Weights& writer, const std::vector<preferences::Ranking>& rankings, Random& random,
                     int epochs = 8);

std::vector<float> rewards_of(const RewardModel& judge, const ppo::Episodes& episodes);

// The quality of a reward model on rankings, usually held-out ones.
struct Judged {
    float agreement = 0;       // with the person, noise included
    float true_agreement = 0;  // with the true scores
    float correlation = 0;     // of reward and true score
    float loss = 0;
};
Judged judged(const RewardModel& judge, const std::vector<preferences::Ranking>& rankings);

// --- 5: PPO and DPO ---

// Measurements of a policy on new samples.
struct Measured {
    float true_score = 0;
    float reward = 0;     // of the reward model
    float kl = 0;         // to the reference policy, nats per answer
    float sentences = 0;  // fraction of grammatical answers
};
Measured measure(const gpt::Weights& policy, const gpt::Weights& reference, const RewardModel& judge, Random& random,
                 int count = 1000);

// Hyperparameters: an iteration samples 64 episodes and trains 4 epochs on them.
struct PpoRun {
    float beta = 0.2f;
    int iterations = 60;
    int episodes = 64;
    int epochs = 4;
    float learning_rate = 1e-3f;
};

// Means over the episodes of each iteration, as sampled.
struct PpoHistory {
    std::vector<float> true_score, reward, kl, sentences;
    float first_ratio_error = 0;  // the largest |ratio - 1| before the first update on an episode; 0 up to rounding
};

struct PpoResult {
    ppo::Weights w;
    PpoHistory history;
};
PpoResult train_ppo(const gpt::Weights& reference, const RewardModel& judge, const PpoRun& run, Random& random);

// Pairs of answers to the same prompt, chosen and rejected, for DPO.
using Comparisons = rlhf::PreferencePairs;
Comparisons comparisons_of(const std::vector<preferences::Ranking>& rankings);

// Comparisons order[first], order[first + 1], ... as one batch.
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
    std::vector<float> chosen, rejected;  // log pi - log pi_ref of the batch, mean
};

struct DpoResult {
    gpt::Weights w;
    DpoHistory history;
};
DpoResult train_dpo(const gpt::Weights& reference, const Comparisons& comparisons, const DpoRun& run, Random& random);

float mean(const std::vector<float>& numbers);

}  // namespace reviews
