// ppo.cpp: the lesson on the whole of RLHF: SFT, sampling, ranking, reward model, PPO; and what happens without the KL penalty.
//
//   papers   Schulman et al., 2017, arXiv 1707.06347, Eq. 7; Ziegler et al., 2019, arXiv 1909.08593; Ouyang et al. (InstructGPT),
//            2022, arXiv 2203.02155, Eq. 2
//   shows    that a policy improves by a reward learned from rankings; and that the KL penalty keeps it from exploiting the errors
//            of the reward model
//   symbols  beta KL coefficient   r reward   V value   A advantage   t token
//   before   ranking.cpp     next   exact.cpp, dpo.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "rlhf/exact.h"
#include "rlhf/ppo.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/review_models.h"

using preferences::Ranking;

struct Choices {
    std::string rankings;
    double beta = 0.2;
    int iterations = 60;
    int seeds = 3;

    reviews::PpoRun ppo() const { return {.beta = static_cast<float>(beta), .iterations = iterations}; }
    bool own_rankings() const { return !rankings.empty(); }
    bool as_delivered() const { return rankings.empty() && beta == 0.2 && iterations == 60; }
};

// --- 1 to 4: SFT, sampling, ranking, reward model ---

static reviews::SftModel step_sft(Lesson& lesson, Random& random, Random& aside) {
    lesson.step("1: what do people write?", "loss = mean of -log pi(next token)");
    lesson.code();
    const reviews::SftModel sft = reviews::train_sft(random);
    const ppo::Episodes human = reviews::human_texts(8, aside);
    std::vector<std::vector<std::string>> rows{{"prompt", "human answer", "true score"}};
    for (int b = 0; b < 5; ++b) {
        const reviews::Answer answer = reviews::answer_of(human, b);
        const auto row = human.tokens.begin() + b * human.length;
        rows.push_back({reviews::text_of({row, row + reviews::prompt_length}), reviews::text_of(answer),
                        fixed(reviews::true_score(answer), 1)});
    }
    lesson.table(rows);
    double entropy = 0, length = 0;
    for (const reviews::Sentence& sentence : reviews::all_sentences()) {
        entropy -= sentence.probability * std::log(sentence.probability);
        length += sentence.probability * static_cast<double>(sentence.answer.size());
    }
    lesson.curves({running_mean("loss of the small GPT", sft.losses, 5)}, {"training step", "loss, nats"});
    lesson.say(
        "The true score, which no model sees: +1 for a good adjective, -1 for a bad one, times 1.5 after \"very\", times -0.5 after \"not\"; -3 for a text that is not a sentence.");
    lesson.why(
        "people write good and bad reviews equally often, so the mean score is 0. The lowest possible loss is the entropy, ",
        fixed(entropy / length), " nats per token (", fixed(entropy, 1), " nats in ", fixed(length, 2),
        " tokens); this model is at ", fixed(sft.losses.back()), ".");
    return sft;
}

// Answers of the SFT model and their rankings; every fifth ranking is held out.
struct Ranked {
    ppo::Episodes texts;
    std::vector<Ranking> train, test;
};

static Ranked sample_and_rank(const gpt::Weights& sft, const Choices& choices, Random& random) {
    Ranked ranked{.texts = reviews::write(sft, 1600, random, 4), .train = {}, .test = {}};
    const std::vector<Ranking> rankings = choices.own_rankings()
                                              ? preferences::read_rankings(choices.rankings)
                                              : reviews::ask(reviews::questions(ranked.texts, 4), {.noise = 0.5f}, random);
    const long held_out = static_cast<long>(rankings.size()) / 5;
    ranked.test.assign(rankings.begin(), rankings.begin() + held_out);
    ranked.train.assign(rankings.begin() + held_out, rankings.end());
    return ranked;
}

static Ranked step_ranking(Lesson& lesson, const gpt::Weights& sft, const Choices& choices, Random& random) {
    lesson.step("2 and 3: sample answers and rank them");
    Ranked ranked = sample_and_rank(sft, choices, random);
    const std::vector<Ranking>& rankings = ranked.test.empty() ? ranked.train : ranked.test;
    std::vector<std::vector<std::string>> rows{{"prompt", "answer", "true score", "rank"}};
    for (std::size_t g = 0; g < std::min<std::size_t>(2, rankings.size()); ++g)
        for (std::size_t k = 0; k < rankings[g].answers.size(); ++k)
            rows.push_back({k == 0 ? rankings[g].prompt : "", rankings[g].answers[k],
                            fixed(reviews::true_score(reviews::ids_of(rankings[g].answers[k])), 1), text(rankings[g].ranks[k])});
    lesson.table(rows);
    const std::size_t count = ranked.train.size() + ranked.test.size();
    if (choices.own_rankings())
        lesson.say("Your ", count, " rankings.");
    else
        lesson.say(ranked.texts.count(), " answers in ", count, " rankings by a simulated person with noise. ",
                   percent(reviews::share_of_sentences(ranked.texts)), " of the answers are sentences.");
    return ranked;
}

// 2-D histogram of answers: true score (columns, -3 ... 3) against reward (rows, high at the top), as log(1 + count).
static Matrix score_reward_histogram(const std::vector<float>& scores, const std::vector<float>& rewards) {
    const auto [least, most] = std::minmax_element(rewards.begin(), rewards.end());
    Matrix counts(10, 13);
    for (std::size_t n = 0; n < scores.size(); ++n) {
        const int column = static_cast<int>(std::lround(2 * (scores[n] + 3)));
        const int row = static_cast<int>(std::lround(9 * (*most - rewards[n]) / std::max(1e-6f, *most - *least)));
        counts(row, column) += 1;
    }
    for (float& count : counts) count = std::log1p(count);
    return counts;
}

static reviews::RewardModel step_reward_model(Lesson& lesson, const gpt::Weights& sft, const Ranked& ranked, Random& random) {
    lesson.step("4: train a reward model", "loss = mean of -log sigmoid(r_better - r_worse)", "InstructGPT Eq. 1");
    lesson.code();
    const reviews::RewardModel reward_model = reviews::train_reward_model(sft, ranked.train, random);
    const std::vector<float> scores = reviews::true_scores(ranked.texts),
                             rewards = reviews::rewards_of(reward_model, ranked.texts);
    lesson.heat("answers: true score from left (-3) to right (3), reward upwards", score_reward_histogram(scores, rewards));
    lesson.say("Correlation with the true score: ", fixed(preferences::correlation(rewards, scores), 3), ".");
    if (!ranked.test.empty() && !reviews::ranked_rows(ranked.test).pairs.list.empty())
        lesson.say("On held-out rankings it agrees with ", percent(reviews::evaluate(reward_model, ranked.test).agreement),
                   " of the comparisons.");
    lesson.why(
        "the leftmost column holds texts that are not sentences. There are few of them, so the reward model has hardly learned their score. The last step comes back to that column.");
    return reward_model;
}

// --- 5: PPO ---

static std::string cell(float number, bool shown = true) { return shown ? fixed(number, 3) : ""; }

// The episode with the longest answer that is a sentence.
static int longest_sentence(const ppo::Episodes& episodes) {
    int longest = 0;
    for (int b = 0; b < episodes.count(); ++b)
        if (reviews::is_sentence(reviews::answer_of(episodes, b)) &&
            episodes.answer_lengths[b] > episodes.answer_lengths[longest])
            longest = b;
    return longest;
}

// The table of episode b, a row for each token of prompt and answer: log-probabilities, KL, rewards, values and advantages, which the
// prompt's tokens do not have. Log-probabilities and values are (B, T-1).
static std::vector<std::vector<std::string>> token_rows(const ppo::Episodes& episodes, int b, const Matrix& log_p,
                                                        const Matrix& reference_log_p, const Matrix& values,
                                                        const ppo::RewardSteps& steps) {
    const Matrix mask = ppo::answer_mask(episodes);  // (B, T-1)
    std::vector<std::vector<std::string>> rows{
        {"t", "token t+1", "log-prob", "reference", "KL", "reward", "value", "advantage", "whitened"}};
    for (int t = 0; t < mask.cols; ++t) {
        const bool answer = mask(b, t) == 1;
        const std::string& word = reviews::words()[episodes.tokens[b * episodes.length + t + 1]];
        if (word == "<pad>" && !answer) continue;
        rows.push_back({text(t), word, cell(log_p(b, t), answer), cell(reference_log_p(b, t), answer),
                        cell(steps.kl(b, t), answer), cell(steps.rewards(b, t), answer), cell(values(b, t), answer),
                        cell(steps.advantages_raw(b, t), answer), cell(steps.advantages(b, t), answer)});
    }
    return rows;
}

// One row per token of the longest answer that is a sentence.
static void step_tokens(Lesson& lesson, const gpt::Weights& reference, const reviews::RewardModel& reward_model, float beta,
                        Random& random) {
    lesson.step("5: what is the advantage of one token?", "A_t = delta_t + gamma lambda A_t+1, delta_t = r_t + gamma V_t+1 - V_t",
                "GAE Eq. 16");
    const reviews::PpoModel partly = reviews::train_ppo(reference, reward_model, {.beta = beta, .iterations = 8}, random);
    const ppo::Episodes episodes = reviews::write(partly.w.trunk, 64, random);
    const ppo::Config config{.kl_coefficient = beta, .adaptive = false};
    const ppo::PolicySteps policy = ppo::forward(episodes, partly.w, reviews::model_config());
    const Matrix log_p = policy.log_probabilities.value(), values = policy.values.value(), mask = ppo::answer_mask(episodes);
    const Matrix reference_log_p = reviews::log_probabilities(reference, episodes);
    const std::vector<float> scores = reviews::rewards_of(reward_model, episodes);
    lesson.code(1);
    const ppo::RewardSteps steps = ppo::rewards_and_advantages(scores, log_p, reference_log_p, values, mask, beta, config);
    const int longest = longest_sentence(episodes);
    lesson.predict("In the very first iteration policy and reference are the same model. What is the column KL then?", {0, 1e-3});
    lesson.say("One of 64 episodes, after 8 iterations. Matrices are ", shape(mask),
               ": one row per episode; column t belongs to token t+1.");
    lesson.table(token_rows(episodes, longest, log_p, reference_log_p, values, steps));
    const int episode_kl = static_cast<int>(std::lround(100 * ppo::kl_of_episodes(log_p, reference_log_p, mask)[longest]));
    lesson.why(
        "every token's reward is -beta = -", fixed(beta, 2),
        " per nat of KL (positive where the token became less likely); the reward model's ", fixed(scores[longest], 3),
        " is added at the last token alone. The value predicts the sum of future rewards, so the advantage measures how much better the outcome was than expected. The KL of this episode is ",
        fixed(episode_kl / 100.0, 2), " nats: one sample may be negative, the mean over all answers cannot.");
}

static reviews::PpoModel step_ppo(Lesson& lesson, const gpt::Weights& reference, const reviews::RewardModel& reward_model,
                                  const Choices& choices, Random& random) {
    lesson.step("5: fine-tune with PPO", "loss = mean of max(-A ratio, -A clip(ratio, 1 - eps, 1 + eps))", "PPO Eq. 7");
    lesson.code();
    const reviews::PpoModel trained = reviews::train_ppo(reference, reward_model, choices.ppo(), random);
    const reviews::PpoHistory& history = trained.history;
    const Series reward = running_mean("reward", history.reward, 5);
    if (choices.own_rankings())
        lesson.curves({reward}, {"iteration", "score"});
    else
        lesson.curves({running_mean("true score", history.true_score, 5), reward}, {"iteration", "score"});
    lesson.curves({running_mean("KL to the reference, nats per answer", history.kl, 5)}, {"iteration", "KL, nats"});
    lesson.say(
        "Each iteration: 64 new answers, their rewards, then 4 updates on them. Before the first update policy and old policy are equal, so the ratio must be 1; the largest deviation was ",
        fixed(history.first_ratio_error, 7), ".");
    if (!choices.own_rankings())
        lesson.why(
            "neither this model nor the reward model ever saw the true score. It rises because the reward model agrees with it on sentences.");
    return trained;
}

// --- all policies ---

// All models of one seed, and their measurements.
struct Run {
    int seed = 0;
    reviews::SftModel sft;
    reviews::RewardModel reward_model;
    reviews::PpoModel with_penalty, without_penalty;
    reviews::Measured before, with, without;
};

// PPO without the KL penalty, and the measurements of all policies.
static void finish(Run& run, const Choices& choices, Random& random) {
    const gpt::Weights& reference = run.sft.w;
    run.without_penalty = reviews::train_ppo(reference, run.reward_model, {.beta = 0, .iterations = choices.iterations}, random);
    run.before = reviews::measure(reference, reference, run.reward_model, random);
    run.with = reviews::measure(run.with_penalty.w.trunk, reference, run.reward_model, random);
    run.without = reviews::measure(run.without_penalty.w.trunk, reference, run.reward_model, random);
}

// Steps 1 to 5 for another seed.
static Run run_of(const Choices& choices, int seed) {
    Random random(seed);
    Run run;
    run.seed = seed;
    run.sft = reviews::train_sft(random);
    const Ranked ranked = sample_and_rank(run.sft.w, choices, random);
    run.reward_model = reviews::train_reward_model(run.sft.w, ranked.train, random);
    run.with_penalty = reviews::train_ppo(run.sft.w, run.reward_model, choices.ppo(), random);
    finish(run, choices, random);
    return run;
}

// The optimal objective for the true score, by enumerating all 600 sentences.
static double best_objective(float beta) {
    const std::vector<reviews::Sentence> sentences = reviews::all_sentences();
    Matrix q(static_cast<int>(sentences.size()), 1), r(q.rows, 1);
    for (int y = 0; y < q.rows; ++y) {
        q[y] = static_cast<float>(sentences[y].probability);
        r[y] = reviews::true_score(sentences[y].answer);
    }
    return exact::optimal_objective(q, r, beta);
}

static std::vector<std::string> measured_row(const std::string& name, const reviews::Measured& m) {
    return {name, fixed(m.true_score, 2), fixed(m.reward, 2), fixed(m.kl, 2), percent(m.sentences)};
}

static std::vector<Run> step_compare(Lesson& lesson, Run first, const Choices& choices, Random& random) {
    lesson.step("How do the policies compare?", "1000 new answers each");
    finish(first, choices, random);
    std::vector<Run> runs{std::move(first)};
    for (int k = 1; k < choices.seeds; ++k) runs.push_back(run_of(choices, runs[0].seed + k));
    std::vector<std::vector<std::string>> rows{{"", "true score", "reward", "KL", "sentences"}};
    for (const Run& run : runs) {
        rows.push_back(measured_row("seed " + text(run.seed) + ", before", run.before));
        rows.push_back(measured_row("   beta " + fixed(choices.beta, 2), run.with));
        rows.push_back(measured_row("   beta 0", run.without));
    }
    lesson.table(rows);
    if (choices.beta > 0 && !choices.own_rankings()) {
        const reviews::Measured& with = runs[0].with;
        lesson.say("The objective, true score - beta KL, rose from 0 to ", fixed(with.true_score - choices.beta * with.kl, 2),
                   " (first seed). The optimum for the true score is ",
                   fixed(best_objective(static_cast<float>(choices.beta)), 2), ", found by enumerating all 600 sentences.");
    }
    lesson.predict("the row beta 0.5. Write it down, then run with --beta 0.5.");
    return runs;
}

// --- without the KL penalty ---

static bool has_collapsed(const Run& run) { return run.without.true_score < -2; }

// Shows the first seed whose policy has collapsed, else the first.
static void step_hacking(Lesson& lesson, const std::vector<Run>& runs) {
    lesson.step("What happens without the KL penalty?", "beta = 0");
    const auto found = std::find_if(runs.begin(), runs.end(), has_collapsed);
    const Run& run = found == runs.end() ? runs[0] : *found;
    const reviews::PpoModel& policy = run.without_penalty;
    Random random(runs[0].seed + 2000);
    const ppo::Episodes texts = reviews::write(policy.w.trunk, 4, random);
    const std::vector<float> rewards = reviews::rewards_of(run.reward_model, texts), scores = reviews::true_scores(texts);
    lesson.curves({running_mean("true score", policy.history.true_score, 5), running_mean("reward", policy.history.reward, 5)},
                  {"iteration", "score"});
    std::vector<std::vector<std::string>> rows{{"answer (seed " + text(run.seed) + ")", "reward", "true score"}};
    for (int b = 0; b < texts.count(); ++b)
        rows.push_back({reviews::text_of(reviews::answer_of(texts, b)), fixed(rewards[b], 2), fixed(scores[b], 1)});
    lesson.table(rows);
    if (has_collapsed(run))
        lesson.why(
            "such texts were not in the reward model's training data, so their reward is arbitrary, and PPO finds those where it is too high. The reward rises as before while the true score collapses: reward hacking. The KL penalty prevents it, because the reference gives such texts almost no probability.");
    else
        lesson.why("with these seeds PPO found no error of the reward model to exploit; with others it does (--seed, --seeds).");
    lesson.say("Next: rlhf/exact compares PPO with the optimal policy of a smaller task.");
}

// --- the lesson ---

static void claim_all(Lesson& lesson, const std::vector<Run>& runs, const Choices& choices) {
    double least_true = 1e9, most_kl = 0, least_sentences = 1, most_ratio_error = 0, least_gain = 1e9;
    int collapsed = 0;
    double least_hacked_gain = 1e9;  // of the reward, where the true score has collapsed
    for (const Run& run : runs) {
        least_true = std::min<double>(least_true, run.with.true_score);
        most_kl = std::max<double>(most_kl, run.with.kl);
        least_sentences = std::min<double>(least_sentences, run.with.sentences);
        most_ratio_error = std::max<double>(most_ratio_error, run.with_penalty.history.first_ratio_error);
        least_gain = std::min<double>(least_gain, run.with.reward - run.before.reward);
        if (!has_collapsed(run)) continue;
        ++collapsed;
        least_hacked_gain = std::min<double>(least_hacked_gain, run.without.reward - run.before.reward);
    }
    lesson.claim_at_most("largest |ratio - 1| before the first update", most_ratio_error, 1e-5);
    if (choices.iterations >= 60)
        lesson.claim_at_least("gain of reward, least of all seeds", least_gain, choices.beta <= 0.5 ? 0.5 : 0);
    if (!choices.as_delivered()) return;
    lesson.claim_at_least("true score with beta 0.2, least of all seeds", least_true, 0.7);
    lesson.claim_at_most("KL with beta 0.2, largest of all seeds", most_kl, 4);
    lesson.claim_at_least("fraction of sentences with beta 0.2, least of all seeds", least_sentences, 0.9);
    if (runs.size() < 3) return;  // not every seed finds an error to exploit
    lesson.claim_at_least("seeds whose true score fell below -2 with beta 0", collapsed, 1);
    lesson.claim_at_least("gain of reward in these seeds, the least", least_hacked_gain, 0.5);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (choices.own_rankings())
        reviews::ranked_rows(preferences::read_rankings(choices.rankings));  // an invalid file throws before training
    Random random(seed), aside(seed + 1000);
    Run first;
    first.seed = seed;
    first.sft = step_sft(lesson, random, aside);
    const Ranked ranked = step_ranking(lesson, first.sft.w, choices, random);
    first.reward_model = step_reward_model(lesson, first.sft.w, ranked, random);
    step_tokens(lesson, first.sft.w, first.reward_model, choices.ppo().beta, aside);
    first.with_penalty = step_ppo(lesson, first.sft.w, first.reward_model, choices, random);
    const std::vector<Run> runs = step_compare(lesson, std::move(first), choices, random);
    step_hacking(lesson, runs);
    claim_all(lesson, runs, choices);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/ppo", "RLHF from start to end: SFT, ranking, reward model, PPO; and what the KL penalty prevents.",
                    "20 seconds");
    options.add("beta", choices.beta, "KL coefficient", 0, 10);
    options.add("iterations", choices.iterations, "PPO iterations of 64 answers", 1, 2000);
    options.add("seeds", choices.seeds, "number of seeds", 1, 20);
    options.add("rankings", choices.rankings,
                "a file of your own rankings, as rlhf/ranking --rank writes it, instead of the simulated person");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
