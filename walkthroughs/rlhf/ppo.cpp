// ppo.cpp: the lesson on RLHF as a whole. Write, collect, rank, judge, fine-tune; and what happens without a leash.
//
//   papers   Schulman et al., 2017, arXiv 1707.06347, Eq. 7; Ziegler et al., 2019, arXiv 1909.08593; Ouyang et al. (InstructGPT),
//            2022, arXiv 2203.02155, Eq. 2
//   shows    that a model gets better by a score that another model learned from orders; and that the KL price is what keeps it
//            from pleasing that model with nonsense
//   symbols  beta price of a nat of KL   r reward   V value   A advantage   t token
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

    bool as_delivered() const { return rankings.empty() && beta == 0.2 && iterations == 60; }
};

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

static Series series(const std::string& name, const std::vector<float>& y, int spread) {
    Series smooth{.name = name, .x = {}, .y = {}};  // each point the mean of up to `spread` iterations
    const int n = static_cast<int>(y.size());
    for (int k = 0; k < n; ++k) {
        const int first = std::max(0, k - spread + 1);
        smooth.x.push_back(static_cast<float>(k));
        smooth.y.push_back(reviews::mean({y.begin() + first, y.begin() + k + 1}));
    }
    return smooth;
}

// --- 1 to 4: writing, collecting, ranking, judging ---

static void step_writing(Lesson& lesson, const reviews::Writer& writer, Random& random) {
    lesson.step("Recipe 1: what do people write?", "loss = mean of -log pi(next word)");
    lesson.code("const Writer writer = fine_tune(random);   // walkthroughs/lesson/review_models.cpp");
    const ppo::Episodes human = reviews::human_texts(8, random);
    std::vector<std::vector<std::string>> rows{{"prompt", "answer by people", "true score"}};
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
    lesson.curves({series("loss of the small GPT", writer.losses, 5)});
    lesson.why(
        "+1 a good adjective, -1 a bad one, times 1.5 after very, times -0.5 after not; -3 for what is no sentence. People write "
        "good and bad alike, so the mean is 0. No model can do better than ",
        fixed(entropy / length), " (", fixed(entropy, 1), " nats in ", fixed(length, 2), " words); this one is at ",
        fixed(writer.losses.back()), ".");
}

static void step_ranking(Lesson& lesson, const ppo::Episodes& texts, const std::vector<Ranking>& rankings, bool own) {
    lesson.step("Recipe 2 and 3: many answers, and an order");
    lesson.code("const ppo::Episodes texts = write(writer, 4 * 400, random, 4);");
    lesson.code("const std::vector<Ranking> rankings = ask(questions(texts, 4), person, random);");
    std::vector<std::vector<std::string>> rows{{"prompt", "answer", "true score", "rank"}};
    for (std::size_t g = 0; g < std::min<std::size_t>(2, rankings.size()); ++g)
        for (std::size_t k = 0; k < rankings[g].answers.size(); ++k)
            rows.push_back({k == 0 ? rankings[g].prompt : "", rankings[g].answers[k],
                            fixed(reviews::true_score(reviews::ids_of(rankings[g].answers[k])), 1), text(rankings[g].ranks[k])});
    lesson.table(rows);
    if (own)
        lesson.say(rankings.size(), " rankings of yours.");
    else
        lesson.say(texts.count(), " answers in ", rankings.size(), " rankings by a person who errs. Of the answers ",
                   percent(reviews::share_of_sentences(texts)), " are sentences.");
}

// Where many answers stand: true score (columns, -3 ... 3) against reward (rows, high above); bright = log(1 + how many).
static Matrix where_answers_stand(const std::vector<float>& scores, const std::vector<float>& rewards) {
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

static void step_judging(Lesson& lesson, const reviews::RewardModel& judge, const ppo::Episodes& texts,
                         const std::vector<Ranking>& test) {
    lesson.step("Recipe 4: a number that agrees", "loss = mean of -log sigmoid(r_better - r_worse)", "InstructGPT Eq. 1");
    lesson.code("const RewardModel judge = train_reward_model(writer, rankings, random);");
    const std::vector<float> scores = reviews::true_scores(texts), rewards = reviews::rewards_of(judge, texts);
    lesson.heat("answers: true score from left (-3) to right (3), reward from below to above",
                where_answers_stand(scores, rewards));
    lesson.say("Correlation with the true score: ", fixed(preferences::correlation(rewards, scores), 3), ".");
    if (!test.empty() && !reviews::ranked_rows(test).pairs.list.empty())
        lesson.say("With rankings that it has not seen it agrees in ", percent(reviews::judged(judge, test).agreement),
                   " of the comparisons.");
    lesson.why(
        "the column at the very left holds what is no sentence. There are few of them, so the judge has hardly learned what they "
        "are "
        "worth. Remember that column.");
}

// --- 5: fine-tune ---

static std::string cell(float number, bool shown = true) { return shown ? fixed(number, 3) : ""; }

// One row a token of the longest answer that is a sentence.
static void step_tokens(Lesson& lesson, const gpt::Weights& reference, const reviews::RewardModel& judge, float beta,
                        Random& random) {
    lesson.step("Recipe 5: what does one token earn?", "A_t = delta_t + gamma lambda A_t+1, delta_t = r_t + gamma V_t+1 - V_t",
                "GAE Eq. 16");
    const reviews::PpoResult pupil = reviews::train_ppo(reference, judge, {.beta = beta, .iterations = 8}, random);
    const ppo::Episodes episodes = reviews::write(pupil.w.trunk, 64, random);
    const ppo::Config config{.kl_coefficient = beta, .adaptive = false};
    const ppo::PolicySteps policy = ppo::forward(episodes, pupil.w, reviews::model_config());
    const Matrix log_p = policy.log_probabilities.value(), values = policy.values.value(), mask = ppo::answer_mask(episodes);
    const Matrix reference_log_p = reviews::log_probabilities(reference, episodes);
    const std::vector<float> scores = reviews::rewards_of(judge, episodes);
    lesson.code(1);
    const ppo::RewardSteps steps = ppo::rewards_and_advantages(scores, log_p, reference_log_p, values, mask, beta, config);
    int longest = 0;
    for (int b = 0; b < episodes.count(); ++b)
        if (reviews::is_sentence(reviews::answer_of(episodes, b)) &&
            episodes.answer_lengths[b] > episodes.answer_lengths[longest])
            longest = b;
    std::vector<std::vector<std::string>> rows{
        {"t", "token t+1", "log-prob", "reference", "KL", "reward", "value", "advantage", "whitened"}};
    for (int t = 0; t < mask.cols; ++t) {
        const bool answer = mask(longest, t) == 1;
        const std::string& word = reviews::words()[episodes.tokens[longest * episodes.length + t + 1]];
        if (word == "<pad>" && !answer) continue;
        rows.push_back({text(t), word, cell(log_p(longest, t), answer), cell(reference_log_p(longest, t), answer),
                        cell(steps.kl(longest, t), answer), cell(steps.rewards(longest, t), answer),
                        cell(values(longest, t), answer), cell(steps.advantages_raw(longest, t), answer),
                        cell(steps.advantages(longest, t), answer)});
    }
    lesson.say("One of 64 episodes, after 8 rounds of training. Matrices are ", shape(mask),
               ": one row an episode, column t speaks of token t+1.");
    lesson.table(rows);
    const int episode_kl = static_cast<int>(std::lround(100 * ppo::kl_of_episodes(log_p, reference_log_p, mask)[longest]));
    lesson.why("every token pays beta = ", fixed(beta, 2),
               " for a nat of KL, or is paid where it became less likely; the judge's ", fixed(scores[longest], 3),
               " comes with the last token alone. The value says what is still to come, so the advantage is the surprise. "
               "The KL of this episode is ",
               fixed(episode_kl / 100.0, 2), " nats: one sample may be negative, the mean over all answers cannot.");
    lesson.predict("the column KL in the very first round, when policy and reference are the same model.");
}

static void step_curves(Lesson& lesson, const reviews::PpoResult& pleaser, float beta, bool own) {
    lesson.step("Recipe 5: fine-tune and profit", "loss = mean of max(-A ratio, -A clip(ratio, 1 - eps, 1 + eps))", "PPO Eq. 7");
    lesson.code("const PpoResult pleaser = train_ppo(writer, judge, {.beta = " + fixed(beta, 1) + "}, random);");
    const reviews::PpoHistory& history = pleaser.history;
    const Series reward = series("reward by the judge", history.reward, 5);
    if (own)
        lesson.curves({reward});
    else
        lesson.curves({series("true score", history.true_score, 5), reward});
    lesson.curves({series("KL to the reference, nats per answer", history.kl, 5)});
    lesson.say(
        "Each round: 64 new answers, judged, then 4 steps on them. In the first step of every round policy and old policy are "
        "the same, so "
        "the ratio must be 1: the largest departure was ",
        fixed(history.first_ratio_error, 7), ".");
    if (!own)
        lesson.why(
            "nobody told this model the true score, neither did the judge know it. It rises because the judge, on sentences, "
            "agrees with it.");
}

static std::vector<std::string> measured_row(const std::string& name, const reviews::Measured& m) {
    return {name, fixed(m.true_score, 2), fixed(m.reward, 2), fixed(m.kl, 2), percent(m.sentences)};
}

// --- without a price ---

static bool has_collapsed(const reviews::Measured& measured) { return measured.true_score < -2; }

// What is measured of one seed.
struct Whole {
    reviews::Writer writer;
    reviews::RewardModel judge;
    reviews::PpoResult with_price, without_price;
    reviews::Measured before, with, without;
};

static void step_hacking(Lesson& lesson, const Whole& whole, int seed, Random& random) {
    lesson.step("And without the price?", "beta = 0");
    lesson.code("const PpoResult hacker = train_ppo(writer, judge, {.beta = 0}, random);");
    lesson.curves({series("true score", whole.without_price.history.true_score, 5),
                   series("reward by the judge", whole.without_price.history.reward, 5)});
    const ppo::Episodes texts = reviews::write(whole.without_price.w.trunk, 4, random);
    const std::vector<float> rewards = reviews::rewards_of(whole.judge, texts), scores = reviews::true_scores(texts);
    std::vector<std::vector<std::string>> rows{{"what it writes (seed " + text(seed) + ")", "reward", "true score"}};
    for (int b = 0; b < texts.count(); ++b)
        rows.push_back({reviews::text_of(reviews::answer_of(texts, b)), fixed(rewards[b], 2), fixed(scores[b], 1)});
    lesson.table(rows);
    if (has_collapsed(whole.without))
        lesson.why(
            "the judge never read such texts, its reward there is a guess, and PPO looks for the place where the guess is too "
            "high. The reward "
            "rises as before, and the true score collapses. With a price such texts are dear: the reference gives them hardly "
            "any probability.");
    else
        lesson.why(
            "these seeds found no hole in the judge; others do (--seed, --seeds). What kept the KL small here was luck and not a "
            "price.");
}

// The largest objective that a policy could have if the judge knew the true score, by listing all 600 answers.
static double best_objective(float beta) {
    const std::vector<reviews::Sentence> sentences = reviews::all_sentences();
    Matrix q(static_cast<int>(sentences.size()), 1), r(q.rows, 1);
    for (int y = 0; y < q.rows; ++y) {
        q[y] = static_cast<float>(sentences[y].probability);
        r[y] = reviews::true_score(sentences[y].answer);
    }
    return exact::optimal_objective(q, r, beta);
}

static void step_table(Lesson& lesson, const std::vector<Whole>& all, const Choices& choices, int seed) {
    lesson.step("What came of it?", "1000 new answers each");
    std::vector<std::vector<std::string>> rows{{"", "true score", "reward", "KL", "sentences"}};
    for (std::size_t k = 0; k < all.size(); ++k) {
        rows.push_back(measured_row("seed " + text(seed + static_cast<int>(k)) + ", before", all[k].before));
        rows.push_back(measured_row("   beta " + fixed(choices.beta, 2), all[k].with));
        rows.push_back(measured_row("   beta 0", all[k].without));
    }
    lesson.table(rows);
    if (choices.beta > 0 && choices.rankings.empty()) {
        const reviews::Measured& with = all[0].with;
        lesson.say("The objective, true score - beta KL, went from 0 to ", fixed(with.true_score - choices.beta * with.kl, 2),
                   " (first seed); the best that any "
                   "policy could reach if it knew the true score is ",
                   fixed(best_objective(static_cast<float>(choices.beta)), 2), ", found by listing all 600 answers.");
    }
    lesson.predict("the row beta 0.5. Write it down, then run with --beta 0.5.");
}

// --- the lesson ---

static Whole carry_out(Lesson& lesson, const Choices& choices, int seed, bool first) {
    const bool own = !choices.rankings.empty();
    Random random(seed), aside(seed + 1000);
    Whole whole{.writer = reviews::fine_tune(random),
                .judge = {},
                .with_price = {},
                .without_price = {},
                .before = {},
                .with = {},
                .without = {}};
    const gpt::Weights& reference = whole.writer.w;
    if (first) step_writing(lesson, whole.writer, aside);

    const ppo::Episodes texts = reviews::write(reference, 1600, random, 4);
    const std::vector<Ranking> rankings =
        own ? preferences::read_rankings(choices.rankings) : reviews::ask(reviews::questions(texts, 4), {.noise = 0.5f}, random);
    if (first) step_ranking(lesson, texts, rankings, own);

    const long held = static_cast<long>(rankings.size()) / 5;  // these test the judge
    const std::vector<Ranking> test(rankings.begin(), rankings.begin() + held), train(rankings.begin() + held, rankings.end());
    whole.judge = reviews::train_reward_model(reference, train, random);
    if (first) step_judging(lesson, whole.judge, texts, test);

    const float beta = static_cast<float>(choices.beta);
    if (first) step_tokens(lesson, reference, whole.judge, beta, aside);
    whole.with_price = reviews::train_ppo(reference, whole.judge, {.beta = beta, .iterations = choices.iterations}, random);
    if (first) step_curves(lesson, whole.with_price, beta, own);
    whole.without_price = reviews::train_ppo(reference, whole.judge, {.beta = 0, .iterations = choices.iterations}, random);
    whole.before = reviews::measure(reference, reference, whole.judge, random);
    whole.with = reviews::measure(whole.with_price.w.trunk, reference, whole.judge, random);
    whole.without = reviews::measure(whole.without_price.w.trunk, reference, whole.judge, random);
    return whole;
}

static void claim_all(Lesson& lesson, const std::vector<Whole>& all, const Choices& choices) {
    double least_true = 1e9, most_kl = 0, least_sentences = 1, most_ratio_error = 0, least_gain = 1e9;
    int collapsed = 0;
    double least_hacked_gain = 1e9;  // of the judge's reward, where the true score has collapsed
    for (const Whole& whole : all) {
        least_true = std::min<double>(least_true, whole.with.true_score);
        most_kl = std::max<double>(most_kl, whole.with.kl);
        least_sentences = std::min<double>(least_sentences, whole.with.sentences);
        most_ratio_error = std::max<double>(most_ratio_error, whole.with_price.history.first_ratio_error);
        least_gain = std::min<double>(least_gain, whole.with.reward - whole.before.reward);
        if (!has_collapsed(whole.without)) continue;
        ++collapsed;
        least_hacked_gain = std::min<double>(least_hacked_gain, whole.without.reward - whole.before.reward);
    }
    lesson.claim_at_most("largest departure of the ratio from 1 before a step is taken", most_ratio_error, 1e-5);
    if (choices.iterations >= 60)
        lesson.claim_at_least("what the judge's reward gained, least of all seeds", least_gain, choices.beta <= 0.5 ? 0.5 : 0);
    if (!choices.as_delivered()) return;
    lesson.claim_at_least("true score with beta 0.2, least of all seeds", least_true, 0.7);
    lesson.claim_at_most("KL with beta 0.2, largest of all seeds", most_kl, 4);
    lesson.claim_at_least("share of sentences with beta 0.2, least of all seeds", least_sentences, 0.9);
    if (all.size() < 3) return;  // whether a judge has a hole that is found is a matter of luck
    lesson.claim_at_least("seeds whose true score fell below -2 with beta 0", collapsed, 1);
    lesson.claim_at_least("what the judge's reward gained in these all the same, the least", least_hacked_gain, 0.5);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.rankings.empty())
        reviews::ranked_rows(preferences::read_rankings(choices.rankings));  // refused before anybody waits
    std::vector<Whole> all;
    for (int k = 0; k < choices.seeds; ++k) all.push_back(carry_out(lesson, choices, seed + k, k == 0));
    const auto found = std::find_if(all.begin(), all.end(), [](const Whole& whole) { return has_collapsed(whole.without); });
    const int shown = found == all.end() ? 0 : static_cast<int>(found - all.begin());
    Random random(seed + 2000);
    step_hacking(lesson, all[shown], seed + shown, random);
    step_table(lesson, all, choices, seed);
    claim_all(lesson, all, choices);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/ppo", "The whole of RLHF: write, rank, judge, fine-tune; and what goes wrong without a leash.",
                    "20 seconds");
    options.add("beta", choices.beta, "the price of a nat of KL", 0, 10);
    options.add("iterations", choices.iterations, "rounds of 64 answers", 1, 2000);
    options.add("seeds", choices.seeds, "carry everything out from so many seeds", 1, 20);
    options.add("rankings", choices.rankings,
                "a file of your own rankings, as rlhf/ranking --rank writes it, instead of the synthetic person");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
