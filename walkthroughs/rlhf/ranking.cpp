// ranking.cpp: the lesson on preferences and the reward model. A person orders answers; a model finds the numbers behind it.
//
//   papers   Bradley and Terry, 1952; Plackett, 1975; Stiennon et al., 2020, arXiv 2009.01325; Ouyang et al., 2022,
//            arXiv 2203.02155, Eq. 1
//   shows    that orders alone, and noisy ones, are enough to learn a score, up to a constant
//   you      --rank: you are the person
//   symbols  K answers to a question   r reward   d = r_better - r_worse   s noise of the person
//   next     ppo.cpp raises the reward that is learned here
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "rlhf/preferences.h"
#include "rlhf/reward_model.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/review_models.h"

using preferences::Ranking;

struct Choices {
    std::string rankings;
    bool rank = false;
    int answers = 4;  // K
    int prompts = 400;
    int seeds = 3;
    double noise = 0.5;
};

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

static std::vector<Ranking> some(const std::vector<Ranking>& rankings, std::size_t first, std::size_t end) {
    return {rankings.begin() + static_cast<long>(first), rankings.begin() + static_cast<long>(end)};
}

// --- the orders and what they mean ---

static void step_order(Lesson& lesson, const std::vector<Ranking>& questions, const preferences::Person& person, Random& random) {
    lesson.step("What can a person tell us?", "felt = score + s * Gumbel noise, then in order");
    lesson.code();
    const std::vector<Ranking> answered = reviews::ask({questions[0]}, person, random);
    const Ranking& ranking = answered[0];
    std::vector<std::vector<std::string>> rows{{"prompt", "answer", "true score", "rank"}};
    for (std::size_t k = 0; k < ranking.answers.size(); ++k)
        rows.push_back({k == 0 ? ranking.prompt : "", ranking.answers[k],
                        fixed(reviews::true_score(reviews::ids_of(ranking.answers[k])), 1), text(ranking.ranks[k])});
    lesson.table(rows);
    const reviews::Ranked ranked = reviews::ranked_rows(answered);
    std::string pairs;
    for (const preferences::Pair& pair : ranked.pairs.list)
        pairs += (pairs.empty() ? "" : ", ") + text(pair.better + 1) + " > " + text(pair.worse + 1);
    lesson.say("A small GPT wrote these. The person sees no scores, only answers, and gives back an order: ",
               ranked.pairs.list.size(), " comparisons, ", pairs, ".");
    lesson.why(
        "nobody can say that an answer is worth 1.37, and two people would not mean the same by it; which of two is better, both "
        "can say.");
    lesson.predict("how often a person with s = ", fixed(person.noise, 1),
                   " prefers an answer that is worse by 1. The next step counts.");
}

// How often, of many, a person prefers the first of two answers whose scores differ by `difference`.
static double share_preferring(double difference, const preferences::Person& person, int times, Random& random) {
    int first = 0;
    for (int k = 0; k < times; ++k) {
        const std::vector<float> draws{std::max(random.uniform(), 1e-7f), std::max(random.uniform(), 1e-7f)};
        const std::vector<int> ranks = preferences::rank({static_cast<float>(difference), 0}, person, draws);
        first += ranks[0] == 1;
    }
    return static_cast<double>(first) / times;
}

// returns the largest difference between what was counted and what Bradley and Terry say
static double step_bradley_terry(Lesson& lesson, const preferences::Person& person, Random& random) {
    lesson.step("How likely is it that the better one wins?", "P(i beats j) = sigmoid((score_i - score_j) / s)", "Bradley-Terry");
    const int times = 20000;
    const float scale = person.noise > 0 ? person.noise : 1;
    std::vector<std::vector<std::string>> rows{{"score difference", "counted", "sigmoid(difference / s)"}};
    Series counted{.name = "share that prefer the better", .x = {}, .y = {}};
    double largest = 0;
    for (const double difference : {0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0}) {
        const double share = share_preferring(difference, person, times, random);
        const float expected = preferences::bradley_terry(static_cast<float>(difference) / scale, 0);
        rows.push_back({fixed(difference, 2), fixed(share), fixed(expected)});
        counted.x.push_back(static_cast<float>(difference));
        counted.y.push_back(static_cast<float>(share));
        if (person.noise > 0) largest = std::max(largest, std::abs(share - expected));
    }
    lesson.table(rows);
    lesson.curves({counted});
    lesson.why(
        "the difference of two Gumbel draws is logistic: that is why this noise was chosen. So noise does no harm, it is what "
        "carries "
        "the scale: from a person who never errs one could learn the order, but not by how much.");
    return largest;
}

static void step_plackett_luce(Lesson& lesson) {
    lesson.step("And a whole ranking?", "P(1 > 2 > ... > K) = product over k of exp(r_k) / sum of exp(r_m), m >= k",
                "Plackett-Luce");
    const std::vector<float> r{std::log(4.0f), std::log(3.0f), std::log(2.0f), 0};
    std::vector<std::vector<std::string>> rows{
        {"order of four answers", "-log P of the ranking", "sum of -log P of its six pairs"}};
    for (const std::vector<int>& ranks : {std::vector<int>{1, 2, 3, 4}, {2, 1, 3, 4}, {1, 2, 4, 3}, {4, 3, 2, 1}}) {
        std::string order;
        for (int place = 1; place <= 4; ++place)
            order += (place > 1 ? " > " : "") +
                     text(static_cast<int>(std::find(ranks.begin(), ranks.end(), place) - ranks.begin()) + 1);
        double pairs = 0;
        for (const preferences::Pair& pair : preferences::all_pairs({0, 0, 0, 0}, ranks).list)
            pairs -= std::log(preferences::bradley_terry(r[pair.better], r[pair.worse]));
        rows.push_back({order, fixed(preferences::plackett_luce_nll(r, ranks)), fixed(pairs)});
    }
    lesson.say("Four answers whose exp(r) are 4, 3, 2, 1:");
    lesson.table(rows);
    lesson.why(
        "the best is drawn from all, then the best of the rest: 4/10 * 3/6 * 2/3 = 0.1333 = exp(-2.0149). The pairs are counted "
        "as if "
        "they were independent, which they are not, so the numbers differ; both are least for the same rewards in the long run.");
}

// --- the reward model ---

// returns how far the first loss is from log 2
static double step_loss(Lesson& lesson, const gpt::Weights& writer, const std::vector<Ranking>& rankings) {
    lesson.step("How does a model learn from orders?", "loss = mean of -log sigmoid(r_better - r_worse)", "InstructGPT Eq. 1");
    const reviews::Ranked ranked = reviews::ranked_rows(rankings);
    const reward_model::Weights w = reward_model::from_language_model(writer, reviews::model_config());
    const std::vector<int> lengths = reviews::text_lengths(ranked.episodes);
    lesson.code(2);
    const reward_model::Steps steps = reward_model::forward(ranked.episodes.tokens, lengths, w, reviews::model_config());
    const reward_model::LossSteps loss = reward_model::loss(steps.rewards, ranked.pairs);
    lesson.table({{"value", "shape", "what it is"},
                  {"trunk.hidden", shape(steps.trunk.hidden.value()), "the GPT's hidden state at every word of every answer"},
                  {"last_hidden", shape(steps.last_hidden.value()), "the row of each answer's last real word"},
                  {"rewards", shape(steps.rewards.value()), "one number for each answer"},
                  {"differences", shape(loss.differences.value()), "r_better - r_worse of each comparison"},
                  {"ranking_loss", shape(loss.ranking_loss.value()), "the mean over the pairs of each ranking"}});
    const float first = loss.loss.value()(0, 0);
    lesson.say("The trunk is the GPT that wrote the answers; only the head is new, and 0. So every reward is 0 and the loss is ",
               fixed(first), " = log 2, whatever the orders are.");
    lesson.why("only differences enter: a constant added to all rewards changes nothing, so the head needs no bias.");
    return std::abs(first - std::log(2.0));
}

static void step_learn(Lesson& lesson, const reviews::RewardModel& judge, std::size_t count) {
    lesson.step("Does it learn?");
    lesson.code("const RewardModel judge = train_reward_model(writer, rankings, random);   // "
                "walkthroughs/lesson/review_models.cpp");
    Series loss{.name = "loss of the epochs", .x = {0}, .y = {std::log(2.0f)}};
    for (std::size_t epoch = 0; epoch < judge.losses.size(); ++epoch) {
        loss.x.push_back(static_cast<float>(epoch + 1));
        loss.y.push_back(judge.losses[epoch]);
    }
    lesson.curves({loss});
    lesson.say("From ", fixed(std::log(2.0)), " to ", fixed(judge.losses.back()), ": ", judge.losses.size(), " times through ",
               count, " rankings, 16 of them at a time, each answer read once for all of its comparisons.");
}

static std::vector<std::string> judged_row(const std::string& name, const reviews::Judged& judged) {
    return {name, percent(judged.agreement), percent(judged.true_agreement), fixed(judged.correlation, 3), fixed(judged.loss)};
}

static const std::vector<std::string> judged_heading{"rankings it has not seen", "agrees with the person", "with the true order",
                                                     "correlation with the score", "loss"};

static void step_held_out(Lesson& lesson, const std::vector<reviews::Judged>& all, const preferences::Person& person, int seed) {
    lesson.step("Does it agree with somebody whose answers it has not seen?");
    std::vector<std::vector<std::string>> rows{judged_heading};
    for (std::size_t k = 0; k < all.size(); ++k) rows.push_back(judged_row("seed " + text(seed + static_cast<int>(k)), all[k]));
    lesson.table(rows);
    lesson.why("the person errs (s = ", fixed(person.noise, 1),
               "), so nobody can agree with them always; with the order that they would have "
               "given without noise the model agrees more often than with what they said. It has averaged the noise away.");
}

// Reward of "was ADJECTIVE .", "was very ADJECTIVE ." and "was not ADJECTIVE .", (8, 3), mean of the nouns; or the true scores.
static Matrix phrase_table(const reviews::RewardModel* judge) {
    const int first_adjective = 12;
    Matrix scores(8, 3);
    for (int a = 0; a < 8; ++a) {
        int column = 0;
        for (const char* before : {"", "very ", "not "}) {
            const reviews::Answer answer =
                reviews::ids_of(std::string("was ") + before + reviews::words()[first_adjective + a] + " .");
            const ppo::Episodes texts = reviews::episodes_of({0, 1, 2, 3}, {answer, answer, answer, answer});
            scores(a, column++) =
                judge == nullptr ? reviews::true_score(answer) : reviews::mean(reviews::rewards_of(*judge, texts));
        }
    }
    return scores;
}

static void step_phrases(Lesson& lesson, const reviews::RewardModel& judge, bool own) {
    lesson.step("What has it understood?", "reward of \"was [very|not] ADJECTIVE .\"");
    const Matrix rewards = phrase_table(&judge), scores = phrase_table(nullptr);
    std::vector<std::vector<std::string>> rows{{"adjective", "reward", "after very", "after not"}};
    if (!own) rows[0].insert(rows[0].end(), {"score", "after very", "after not"});
    for (int a = 0; a < 8; ++a) {
        std::vector<std::string> row{reviews::words()[12 + a]};
        for (int column = 0; column < 3; ++column) row.push_back(fixed(rewards(a, column), 2));
        for (int column = 0; column < 3 && !own; ++column) row.push_back(fixed(scores(a, column), 1));
        rows.push_back(row);
    }
    lesson.table(rows);
    std::vector<Captioned> maps{{"rewards (8, 3)", heat_map(rewards, lesson.colours)}};
    if (!own) maps.push_back({"true scores (8, 3)", heat_map(scores, lesson.colours)});
    lesson.pictures(maps);
    if (own)
        lesson.why(
            "bright is what you like. Nobody told the model which words are good; \"not\" and \"very\" it had to find out as "
            "well.");
    else
        lesson.why(
            "nobody told the model which words are good. The scale is its own, too: with noise s the rewards grow towards score "
            "/ s.");
}

// --- the person at the keyboard ---

static std::string line_from_keyboard(bool& ended) {
    std::string line;
    int letter = std::fgetc(stdin);
    ended = letter == EOF;
    while (letter != EOF && letter != '\n') {
        if (letter != '\r') line += static_cast<char>(letter);
        letter = std::fgetc(stdin);
    }
    return line;
}

static void ask_for(const std::string& words) {
    write_or_throw(words, stdout);
}

// The rankings in the file so far; none when there is no such file yet.
static std::vector<Ranking> begun(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (file == nullptr && errno == ENOENT) return {};
    require(file != nullptr, path, ": ", std::strerror(errno));
    std::fclose(file);
    return preferences::read_rankings(path);
}

// Shows the questions that have no answer yet; each order is in the file before the next question is shown.
static void step_rank(Lesson& lesson, const std::vector<Ranking>& questions, std::vector<Ranking>& rankings,
                      const std::string& path) {
    lesson.step("Which answer is the best?");
    lesson.say(
        "Type the numbers of the answers, best first: 2 1 3=4 says that 2 is best, then 1, then 3 and 4 alike. u takes your last "
        "order "
        "back, q ends. Every order is in ",
        path, " at once; with the same file you go on where you stopped.");
    if (!rankings.empty()) lesson.say(rankings.size(), " rankings are there already.");
    bool ended = false;
    while (!ended && rankings.size() < questions.size()) {
        Ranking question = questions[rankings.size()];
        ask_for("\nquestion " + text(rankings.size() + 1) + " of " + text(questions.size()) + "   " + question.prompt + " ...\n");
        for (std::size_t k = 0; k < question.answers.size(); ++k)
            ask_for("  " + text(k + 1) + "   " + question.answers[k] + "\n");
        bool settled = false;  // this question is answered, or another one comes next
        while (!settled && !ended) {
            ask_for("best first: ");
            const std::string line = line_from_keyboard(ended);
            if (line == "q") ended = true;
            if (ended) break;
            if (line == "u" && rankings.empty()) {
                ask_for("  there is no order to take back\n");
            } else if (line == "u") {
                rankings.pop_back();
                preferences::write_rankings(path, rankings);
                settled = true;
            } else {
                try {
                    question.ranks = preferences::ranks_of_order(line, static_cast<int>(question.answers.size()));
                } catch (const std::invalid_argument& error) {
                    ask_for(std::string("  ") + error.what() + "; once more, please\n");
                    continue;
                }
                rankings.push_back(question);
                preferences::write_rankings(path, rankings);
                settled = true;
            }
        }
    }
    ask_for("\n");
    lesson.say(rankings.size(), " rankings are in ", path, ".");
}

static bool any_pair(const std::vector<Ranking>& rankings) { return !reviews::ranked_rows(rankings).pairs.list.empty(); }

// What is learned from rankings by a person whose true taste nobody knows.
static void learn_from_own(Lesson& lesson, const gpt::Weights& writer, const std::vector<Ranking>& rankings, Random& random) {
    if (rankings.empty() || !any_pair(rankings)) {
        lesson.say("No ranking says yet that one answer is better than another: there is nothing to learn.");
        return;
    }
    const std::size_t held = rankings.size() >= 20 ? rankings.size() / 5 : 0;  // the last fifth is for the test
    const std::vector<Ranking> train = some(rankings, 0, rankings.size() - held),
                               test = some(rankings, rankings.size() - held, rankings.size());
    if (!any_pair(train)) {
        lesson.say("All but the last rankings are ties: there is nothing to learn from.");
        return;
    }
    const double from_log_2 = step_loss(lesson, writer, train);
    const reviews::RewardModel judge = reviews::train_reward_model(writer, train, random);
    step_learn(lesson, judge, train.size());
    lesson.say("With the rankings it learned from it agrees in ", percent(reviews::judged(judge, train).agreement),
               " of the comparisons.");
    if (held > 0 && any_pair(test))
        lesson.say("With the last ", held, ", which it has not seen: ", percent(reviews::judged(judge, test).agreement), ".");
    else
        lesson.say("From 20 rankings on, a fifth of them is held back to test it.");
    step_phrases(lesson, judge, true);
    lesson.claim_at_most("distance of the first loss from log 2", from_log_2, 1e-5);
}

// --- the lesson ---

// Everything up to the rankings of one seed.
struct Beginning {
    reviews::Writer writer;
    std::vector<Ranking> questions;
};

static Beginning begin_with(Random& random, const Choices& choices) {
    Beginning beginning{.writer = reviews::fine_tune(random), .questions = {}};
    const ppo::Episodes texts = reviews::write(beginning.writer.w, choices.prompts * choices.answers, random, choices.answers);
    beginning.questions = reviews::questions(texts, choices.answers);
    return beginning;
}

static void walk_own(Lesson& lesson, const Choices& choices, int seed) {
    const std::string path = choices.rankings.empty() ? "rankings.jsonl" : choices.rankings;
    std::vector<Ranking> rankings = choices.rank ? begun(path) : preferences::read_rankings(path);
    reviews::ranked_rows(rankings);                                 // refuses foreign words before anybody waits
    if (choices.rank) preferences::write_rankings(path, rankings);  // and a file that cannot be written before anybody works
    Random random(seed);
    const Beginning beginning = begin_with(random, choices);
    if (choices.rank) step_rank(lesson, beginning.questions, rankings, path);
    learn_from_own(lesson, beginning.writer.w, rankings, random);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (choices.rank || !choices.rankings.empty()) return walk_own(lesson, choices, seed);
    const preferences::Person person{.noise = static_cast<float>(choices.noise)};
    std::vector<reviews::Judged> judged;
    double from_bradley_terry = 0, from_log_2 = 0;
    for (int k = 0; k < choices.seeds; ++k) {
        Random random(seed + k);
        const Beginning beginning = begin_with(random, choices);
        const std::vector<Ranking> rankings = reviews::ask(beginning.questions, person, random);
        const std::size_t held = rankings.size() / 5;  // of 400 the card's 80
        const std::vector<Ranking> test = some(rankings, 0, held), train = some(rankings, held, rankings.size());
        if (k == 0) {
            Random aside(seed + 1000);
            step_order(lesson, beginning.questions, person, aside);
            from_bradley_terry = step_bradley_terry(lesson, person, aside);
            step_plackett_luce(lesson);
            from_log_2 = step_loss(lesson, beginning.writer.w, some(train, 0, 16));
        }
        const reviews::RewardModel judge = reviews::train_reward_model(beginning.writer.w, train, random);
        judged.push_back(reviews::judged(judge, test));
        if (k == 0) {
            step_learn(lesson, judge, train.size());
            step_phrases(lesson, judge, false);
        }
    }
    step_held_out(lesson, judged, person, seed);

    reviews::Judged mean;
    for (const reviews::Judged& one : judged) {
        const float share = 1.0f / static_cast<float>(judged.size());
        mean.agreement += share * one.agreement;
        mean.true_agreement += share * one.true_agreement;
        mean.correlation += share * one.correlation;
        mean.loss += share * one.loss;
    }
    lesson.claim_at_most("distance of the first loss from log 2", from_log_2, 1e-5);
    lesson.claim_at_most("largest difference between choices counted and Bradley-Terry", from_bradley_terry, 0.02);
    const bool as_delivered = choices.answers == 4 && choices.prompts == 400 && choices.noise == 0.5;
    if (!as_delivered) return;
    lesson.claim_at_least("agreement with a noisy person on rankings never seen", mean.agreement, 0.72);
    lesson.claim_at_least("agreement with the same person without noise", mean.true_agreement, 0.78);
    lesson.claim_at_least("correlation of reward and true score", mean.correlation, 0.74);
    lesson.claim_at_most("loss on rankings never seen (0.693 before)", mean.loss, 0.55);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/ranking", "People put answers in order; a model learns the score that they had in mind.",
                    "10 seconds; with --rank, until you stop");
    options.add("rank", choices.rank, "you are the person: answers are shown, your order is read from the keyboard");
    options.add("rankings", choices.rankings,
                "the file of your orders, a JSON object a line; alone: learn from it; with --rank: add to it");
    options.add("answers", choices.answers, "K, answers to a question", 2, 9);
    options.add("prompts", choices.prompts, "questions; a fifth of them is held back for the test", 20, 5000);
    options.add("noise", choices.noise, "s, how much the synthetic person errs", 0, 10);
    options.add("seeds", choices.seeds, "repeat everything from so many seeds", 1, 20);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
