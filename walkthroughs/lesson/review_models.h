// review_models.h: the models of the lessons on human feedback: one writes reviews, one judges them, one is trained to please.
//
//   shows    the recipe of rlhf/recipe.h on the language of reviews.h: learn_to_write (supervised fine-tuning), write, ask,
//            learn_to_judge (reward model training), then please (PPO) or follow (DPO)
//   note     A GPT of 2 blocks, 32 numbers wide. Everything random comes from the one generator that is handed in.
#pragma once
#include <string>
#include <vector>

#include "rlhf/recipe.h"
#include "walkthroughs/toys/reviews.h"

namespace reviews {

gpt::Config model_config();

// --- 1: learn to write as people do ---

struct Writer {
    gpt::Weights w;
    std::vector<float> losses;  // of each step
};
//   descent  none: the rate stays (the lesson on PPO); linear: down to 0 (the lesson on DPO)
Writer learn_to_write(Random& random, Descent descent = Descent::none);

// --- 2: many answers ---

// `count` texts by a model, the prompts in turn, each prompt `times` times in a row.
ppo::Episodes write(const gpt::Weights& w, int count, Random& random, int times = 1);

// log pi(token t+1) of what was written, (B, T-1), 0 outside the answers.
Matrix log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes);

// --- 3: a person puts them in order ---

// Episodes kK ... kK+K-1 are the answers to question k.
std::vector<preferences::Ranking> questions(const ppo::Episodes& episodes, int answers);

// The questions with the ranks that a person of known taste gives: the true score, felt with noise.
std::vector<preferences::Ranking> ask(std::vector<preferences::Ranking> questions, const preferences::Person& person,
                                      Random& random);

// The answers of some rankings in rows, with the comparisons between them: what a reward model is trained on.
//   throws  std::invalid_argument when a ranking holds a word that is none of the language, or a prompt that is none
struct Ranked {
    ppo::Episodes episodes;
    preferences::Pairs pairs;
};
Ranked ranked_rows(const std::vector<preferences::Ranking>& rankings);

// The same comparisons as the person would have made without noise.
preferences::Pairs true_pairs(const Ranked& ranked, const std::vector<preferences::Ranking>& rankings);

// --- 4: learn to judge ---

struct Judge {
    reward_model::Weights w;
    float zero = 0;             // subtracted from every reward, so that the answers it learned from have the mean 0:
                                // comparisons leave it open where 0 is
    std::vector<float> losses;  // of each epoch
};
//   throws  std::invalid_argument when no ranking says that one answer is better than another
Judge learn_to_judge(const gpt::Weights& writer, const std::vector<preferences::Ranking>& rankings, Random& random,
                     int epochs = 8);

std::vector<float> rewards_of(const Judge& judge, const ppo::Episodes& episodes);

// What the judge makes of rankings, those that it has not learned from above all.
struct Judged {
    float agreement = 0;       // with the person, noise included
    float true_agreement = 0;  // with the person as they would be without noise
    float correlation = 0;     // of reward and true score
    float loss = 0;
};
Judged judged(const Judge& judge, const std::vector<preferences::Ranking>& rankings);

// --- 5: fine-tune ---

// What is measured of a policy, on texts that it has written for the purpose.
struct Measured {
    float true_score = 0;
    float reward = 0;     // the judge's, for comparison
    float kl = 0;         // nats per answer, to the reference
    float sentences = 0;  // share
};
Measured measure(const gpt::Weights& policy, const gpt::Weights& reference, const Judge& judge, Random& random, int count = 1000);

// The settings of the lesson: 64 episodes, 4 epochs on them, then 64 new ones.
struct PpoRun {
    float beta = 0.2f;
    int iterations = 60;
    int episodes = 64;
    int epochs = 4;
    float learning_rate = 1e-3f;
};

// Means over the episodes of each iteration, as they were written.
struct PpoHistory {
    std::vector<float> true_score, reward, kl, sentences;
    float first_ratio_error = 0;  // the largest |ratio - 1| before any step is taken on an episode; 0 up to rounding
};

struct Pleaser {
    ppo::Weights w;
    PpoHistory history;
};
Pleaser please(const gpt::Weights& reference, const Judge& judge, const PpoRun& run, Random& random);

// Pairs of answers to the same prompt, chosen and rejected, for DPO.
using Comparisons = rlhf::PreferencePairs;
Comparisons comparisons_of(const std::vector<preferences::Ranking>& rankings);

// Rows `first` ... of the order as one batch.
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

struct Follower {
    gpt::Weights w;
    DpoHistory history;
};
Follower follow(const gpt::Weights& reference, const Comparisons& comparisons, const DpoRun& run, Random& random);

float mean(const std::vector<float>& numbers);

}  // namespace reviews
