// ranking.cpp: the lesson on preferences and reward models. A person ranks answers; a model learns a reward from the rankings.
//
//   papers   Bradley and Terry, 1952; Plackett, 1975; Stiennon et al., 2020, arXiv 2009.01325; Ouyang et al., 2022,
//            arXiv 2203.02155, Eq. 1
//   shows    that noisy rankings alone determine a score up to a constant; and that a small reward model misses the word "not"
//   you      --rank: rank the answers yourself
//   symbols  K answers to a question   r reward   d = r_better - r_worse   s noise of the person
//   next     ppo.cpp maximises the reward that is learned here
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

static std::vector<Ranking> some(const std::vector<Ranking>& rankings, std::size_t first, std::size_t end) {
    return {rankings.begin() + static_cast<long>(first), rankings.begin() + static_cast<long>(end)};
}

// --- rankings and their likelihood ---

// One seed's SFT model and its answers.
struct Beginning {
    reviews::SftModel sft;
    std::vector<Ranking> questions;
};

static Beginning begin_with(Random& random, const Choices& choices) {
    Beginning beginning{.sft = reviews::train_sft(random), .questions = {}};
    const ppo::Episodes texts = reviews::write(beginning.sft.w, choices.prompts * choices.answers, random, choices.answers);
    beginning.questions = reviews::questions(texts, choices.answers);
    return beginning;
}

//   random  for the model and its answers   aside  for the simulated person
static Beginning step_order(Lesson& lesson, const Choices& choices, const preferences::Person& person, Random& random,
                            Random& aside) {
    lesson.step("What can a person tell us?", "rank by score + s * Gumbel noise");
    lesson.code(2);
    const Beginning beginning = begin_with(random, choices);
    const std::vector<Ranking> answered = reviews::ask({beginning.questions[0]}, person, aside);
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
    lesson.say("A small GPT wrote these. The person sees only the answers and ranks them: ", ranked.pairs.list.size(),
               " comparisons, ", pairs, ".");
    lesson.why(
        "people cannot give an answer a score of 1.37, and two people would not mean the same by it; but they can say which of two answers is better.");
    const double worse_wins = preferences::bradley_terry(-1 / std::max(person.noise, 1e-3f), 0);
    lesson.predict("How often does a person with s = " + fixed(person.noise, 1) +
                       " prefer an answer that is worse by 1? A fraction from 0 to 1; the next step counts.",
                   {worse_wins, 0.05});
    return beginning;
}

// The fraction of trials in which a person prefers the first of two answers whose scores differ by `difference`.
static double share_preferring(double difference, const preferences::Person& person, int times, Random& random) {
    int first = 0;
    for (int k = 0; k < times; ++k) {
        const std::vector<float> draws{std::max(random.uniform(), 1e-7f), std::max(random.uniform(), 1e-7f)};
        const std::vector<int> ranks = preferences::rank({static_cast<float>(difference), 0}, person, draws);
        first += ranks[0] == 1;
    }
    return static_cast<double>(first) / times;
}

// returns the largest difference between the counted fractions and Bradley-Terry
static double step_bradley_terry(Lesson& lesson, const preferences::Person& person, Random& random) {
    lesson.step("How often does the better answer win?", "P(i beats j) = sigmoid((score_i - score_j) / s)", "Bradley-Terry");
    const int times = 20000;
    const float scale = person.noise > 0 ? person.noise : 1;
    std::vector<std::vector<std::string>> rows{{"score difference", "counted", "sigmoid(difference / s)"}};
    Series counted{.name = "fraction that prefers the better", .x = {}, .y = {}};
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
    lesson.curves({counted}, {"difference of the scores", "fraction"});
    lesson.why(
        "the difference of two Gumbel variables is logistic, which makes the choice probability exactly Bradley-Terry. The noise carries the scale: from a person without noise one learns the order of two answers, but not their distance.");
    return largest;
}

static void step_plackett_luce(Lesson& lesson) {
    lesson.step("How likely is a whole ranking?", "P(1 > 2 > ... > K) = product over k of exp(r_k) / sum of exp(r_m), m >= k",
                "Plackett-Luce");
    const std::vector<float> r{std::log(4.0f), std::log(3.0f), std::log(2.0f), 0};
    std::vector<std::vector<std::string>> rows{
        {"order of four answers", "-log P of the ranking", "sum of -log P of its six pairs"}};
    for (const std::vector<int>& ranks : {std::vector<int>{1, 2, 3, 4}, {2, 1, 3, 4}, {1, 2, 4, 3}, {4, 3, 2, 1}}) {
        std::string order;
        for (int rank = 1; rank <= 4; ++rank)
            order +=
                (rank > 1 ? " > " : "") + text(static_cast<int>(std::find(ranks.begin(), ranks.end(), rank) - ranks.begin()) + 1);
        double pairs = 0;
        for (const preferences::Pair& pair : preferences::all_pairs({0, 0, 0, 0}, ranks).list)
            pairs -= std::log(preferences::bradley_terry(r[pair.better], r[pair.worse]));
        rows.push_back({order, fixed(preferences::plackett_luce_nll(r, ranks)), fixed(pairs)});
    }
    lesson.say("Four answers whose exp(r) are 4, 3, 2, 1:");
    lesson.table(rows);
    lesson.why(
        "the best answer is drawn from all, then the next from the rest: 4/10 * 3/6 * 2/3 = 0.1333 = exp(-2.0149). The sum over pairs treats the pairs as independent, which they are not, so the values differ; with enough data the same rewards minimise both.");
}

// --- the reward model ---

// returns the distance of the first loss from log 2
static double step_loss(Lesson& lesson, const gpt::Weights& sft, const std::vector<Ranking>& rankings) {
    lesson.step("How does a model learn from rankings?", "loss = mean of -log sigmoid(r_better - r_worse)", "InstructGPT Eq. 1");
    const reviews::Ranked ranked = reviews::ranked_rows(rankings);
    const reward_model::Weights w = reward_model::from_language_model(sft, reviews::model_config());
    const std::vector<int> lengths = reviews::text_lengths(ranked.episodes);
    lesson.code(2);
    const reward_model::Steps steps = reward_model::forward(ranked.episodes.tokens, lengths, w, reviews::model_config());
    const reward_model::LossSteps loss = reward_model::loss(steps.rewards, ranked.pairs);
    lesson.table({{"value", "shape", "what it is"},
                  {"trunk.hidden", shape(steps.trunk.hidden.value()), "the GPT's hidden state at every token of every answer"},
                  {"last_hidden", shape(steps.last_hidden.value()), "the row of each answer's last real token"},
                  {"rewards", shape(steps.rewards.value()), "one number per answer"},
                  {"differences", shape(loss.differences.value()), "r_better - r_worse of each comparison"},
                  {"ranking_loss", shape(loss.ranking_loss.value()), "the mean over the pairs of each ranking"}});
    const float first = loss.loss.value()(0, 0);
    lesson.say(
        "The trunk is the GPT that wrote the answers; only the head is new, and starts at 0. So every reward is 0 and the loss is ",
        fixed(first), " = log 2, whatever the rankings.");
    lesson.why("only differences of rewards enter the loss: a constant changes nothing, so the head needs no bias.");
    return std::abs(first - std::log(2.0));
}

static reviews::RewardModel step_train(Lesson& lesson, const gpt::Weights& sft, const std::vector<Ranking>& train,
                                       Random& random) {
    lesson.step("Does it learn?");
    lesson.code();
    const reviews::RewardModel reward_model = reviews::train_reward_model(sft, train, random);
    Series loss{.name = "loss per epoch", .x = {0}, .y = {std::log(2.0f)}};
    for (std::size_t epoch = 0; epoch < reward_model.losses.size(); ++epoch) {
        loss.x.push_back(static_cast<float>(epoch + 1));
        loss.y.push_back(reward_model.losses[epoch]);
    }
    lesson.curves({loss}, {"epoch", "loss, nats"});
    lesson.say("From ", fixed(std::log(2.0)), " to ", fixed(reward_model.losses.back()), ": ", reward_model.losses.size(),
               " passes over ", train.size(), " rankings, 16 per batch; each answer is read once for all its comparisons.");
    return reward_model;
}

static std::vector<std::string> evaluation_row(const std::string& name, const reviews::Evaluation& e) {
    return {name, percent(e.agreement), percent(e.true_agreement), fixed(e.correlation, 3), fixed(e.loss)};
}

// Reward of "was ADJECTIVE .", "was very ADJECTIVE ." and "was not ADJECTIVE .", (8, 3), mean over the nouns; or the true scores.
static Matrix phrase_table(const reviews::RewardModel* reward_model) {
    const int first_adjective = 12;
    Matrix scores(8, 3);
    for (int a = 0; a < 8; ++a) {
        int column = 0;
        for (const char* before : {"", "very ", "not "}) {
            const reviews::Answer answer =
                reviews::ids_of(std::string("was ") + before + reviews::words()[first_adjective + a] + " .");
            const ppo::Episodes texts = reviews::episodes_of({0, 1, 2, 3}, {answer, answer, answer, answer});
            scores(a, column++) =
                reward_model == nullptr ? reviews::true_score(answer) : reviews::mean(reviews::rewards_of(*reward_model, texts));
        }
    }
    return scores;
}

// Correlation of reward and true score over the eight adjectives: alone, after "very", after "not".
static std::vector<float> phrase_correlations(const Matrix& rewards, const Matrix& scores) {
    std::vector<float> correlations;
    for (int column = 0; column < 3; ++column) {
        std::vector<float> r, t;
        for (int a = 0; a < rewards.rows; ++a) {
            r.push_back(rewards(a, column));
            t.push_back(scores(a, column));
        }
        correlations.push_back(preferences::correlation(r, t));
    }
    return correlations;
}

static void step_phrases(Lesson& lesson, const reviews::RewardModel& reward_model, bool own) {
    lesson.step("What has it learned about the words?", "reward of \"was [very|not] ADJECTIVE .\"");
    const Matrix rewards = phrase_table(&reward_model), scores = phrase_table(nullptr);
    const std::vector<float> correlations = phrase_correlations(rewards, scores);
    if (!own)
        lesson.predict(
            "Has it learned that \"not\" turns good into bad? Give the correlation of reward and true score after \"not\", from -1 to 1.",
            {correlations[2], 0.15});
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
            "bright is what you prefer. The model was not given which adjectives are good, nor what \"very\" and \"not\" do.");
    else
        lesson.why("correlation of reward and score: ", fixed(correlations[0], 2), " for the adjectives alone, ",
                   fixed(correlations[1], 2), " after \"very\", ", fixed(correlations[2], 2), " after \"not\". ",
                   correlations[2] < 0.5f ? "After \"not\" the ranking should reverse, and this model has not learned that."
                                          : "It has learned that \"not\" reverses the ranking.");
}

// --- several seeds ---

// The rankings of a person; the first fifth is held out.
struct Split {
    std::vector<Ranking> train, test;
};

static Split ask_and_split(const std::vector<Ranking>& questions, const preferences::Person& person, Random& random) {
    const std::vector<Ranking> rankings = reviews::ask(questions, person, random);
    const std::size_t held_out = rankings.size() / 5;
    return {.train = some(rankings, held_out, rankings.size()), .test = some(rankings, 0, held_out)};
}

// What one seed's reward model has learned.
struct Outcome {
    reviews::Evaluation held_out;
    std::vector<float> phrases;  // correlations for the adjectives alone, after "very", after "not"
};

static Outcome outcome_of(const reviews::RewardModel& reward_model, const std::vector<Ranking>& test) {
    return {.held_out = reviews::evaluate(reward_model, test),
            .phrases = phrase_correlations(phrase_table(&reward_model), phrase_table(nullptr))};
}

static Outcome outcome_of_seed(const Choices& choices, const preferences::Person& person, int seed) {
    Random random(seed);
    const Beginning beginning = begin_with(random, choices);
    const Split rankings = ask_and_split(beginning.questions, person, random);
    return outcome_of(reviews::train_reward_model(beginning.sft.w, rankings.train, random), rankings.test);
}

static std::vector<Outcome> step_held_out(Lesson& lesson, const reviews::RewardModel& reward_model,
                                          const std::vector<Ranking>& test, const Choices& choices,
                                          const preferences::Person& person, int seed) {
    lesson.step("Does it agree on held-out rankings?", "several seeds");
    std::vector<Outcome> outcomes{outcome_of(reward_model, test)};
    for (int k = 1; k < choices.seeds; ++k) outcomes.push_back(outcome_of_seed(choices, person, seed + k));
    std::vector<std::vector<std::string>> rows{{"held-out", "agrees, person", "without noise", "corr. with score", "loss"}};
    for (std::size_t k = 0; k < outcomes.size(); ++k)
        rows.push_back(evaluation_row("seed " + text(seed + static_cast<int>(k)), outcomes[k].held_out));
    lesson.table(rows);
    lesson.why(
        "the person errs (s = ", fixed(person.noise, 1),
        "), so no model can always agree with them. The model agrees more often with the ranking that they would have given without noise: it has averaged over the noise.");
    return outcomes;
}

//   returns  the means over the seeds: adjectives alone, after "very", after "not"
static std::vector<float> step_not(Lesson& lesson, const std::vector<Outcome>& outcomes, int seed) {
    lesson.step("Does every seed learn \"not\"?", "correlation of reward and true score over eight adjectives");
    std::vector<float> means(3);
    std::vector<std::vector<std::string>> rows{{"", "alone", "after very", "after not"}};
    for (std::size_t k = 0; k < outcomes.size(); ++k) {
        rows.push_back({"seed " + text(seed + static_cast<int>(k))});
        for (int column = 0; column < 3; ++column) {
            const float correlation = outcomes[k].phrases[column];
            rows.back().push_back(fixed(correlation, 2));
            means[column] += correlation / static_cast<float>(outcomes.size());
        }
    }
    lesson.table(rows);
    if (means[2] < -0.5f)
        lesson.why(
            "no. After \"not\" the rewards keep the order of the adjectives alone, where the true scores reverse it. The reward model has learned which words are good, and that suffices to agree with most rankings; PPO is then rewarded for \"not\" before a good adjective. Next: rlhf/ppo maximises this reward.");
    else
        lesson.why("at least some seeds have begun to. Next: rlhf/ppo maximises this reward.");
    return means;
}

// --- rankings by the user ---

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

static void ask_for(const std::string& words) { write_or_throw(words, stdout); }

// The rankings in the file so far; none when there is no such file yet.
static std::vector<Ranking> begun(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (file == nullptr && errno == ENOENT) return {};
    require(file != nullptr, path, ": ", std::strerror(errno));
    std::fclose(file);
    return preferences::read_rankings(path);
}

// Prints the prompt of a question and its answers, numbered from 1.
static void print_question(const Ranking& question, std::size_t number, std::size_t count) {
    ask_for("\nquestion " + text(number) + " of " + text(count) + "   " + question.prompt + " ...\n");
    for (std::size_t k = 0; k < question.answers.size(); ++k) ask_for("  " + text(k + 1) + "   " + question.answers[k] + "\n");
}

// Adds the ranking that the line holds, or with "u" removes the last one, and saves the rankings. False, with a message, when the line
// does neither.
static bool rank_or_undo(const std::string& line, Ranking question, std::vector<Ranking>& rankings, const std::string& path) {
    if (line == "u" && rankings.empty()) {
        ask_for("  there is no ranking to undo\n");
        return false;
    }
    if (line == "u") {
        rankings.pop_back();
    } else {
        try {
            question.ranks = preferences::ranks_of_order(line, static_cast<int>(question.answers.size()));
        } catch (const std::invalid_argument& error) {
            ask_for(std::string("  ") + error.what() + "; try again\n");
            return false;
        }
        rankings.push_back(question);
    }
    preferences::write_rankings(path, rankings);
    return true;
}

// Shows the questions without a ranking; saves each ranking before the next question.
static void step_rank(Lesson& lesson, const std::vector<Ranking>& questions, std::vector<Ranking>& rankings,
                      const std::string& path) {
    lesson.step("Which answer is the best?");
    lesson.say(
        "Type the numbers of the answers, best first: 2 1 3=4 means that 2 is best, then 1, then 3 and 4 tied. u undoes your last ranking, q quits. Every ranking is saved to ",
        path, " at once; with the same file you continue where you stopped.");
    if (!rankings.empty()) lesson.say(rankings.size(), " rankings are in the file already.");
    bool ended = false;
    while (!ended && rankings.size() < questions.size()) {
        const Ranking& question = questions[rankings.size()];
        print_question(question, rankings.size() + 1, questions.size());
        bool settled = false;  // this question is ranked, or the last ranking was undone
        while (!settled && !ended) {
            ask_for("best first: ");
            const std::string line = line_from_keyboard(ended);
            if (line == "q") ended = true;
            settled = !ended && rank_or_undo(line, question, rankings, path);
        }
    }
    ask_for("\n");
    lesson.say(rankings.size(), " rankings are in ", path, ".");
}

static bool any_pair(const std::vector<Ranking>& rankings) { return !reviews::ranked_rows(rankings).pairs.list.empty(); }

// Learns from the user's rankings, whose true score is unknown.
static void learn_from_own(Lesson& lesson, const gpt::Weights& sft, const std::vector<Ranking>& rankings, Random& random) {
    if (rankings.empty() || !any_pair(rankings)) {
        lesson.say("No ranking yet says that one answer is better than another; there is nothing to learn from.");
        return;
    }
    const std::size_t held = rankings.size() >= 20 ? rankings.size() / 5 : 0;  // the last fifth is held out
    const std::vector<Ranking> train = some(rankings, 0, rankings.size() - held),
                               test = some(rankings, rankings.size() - held, rankings.size());
    if (!any_pair(train)) {
        lesson.say("All training rankings are ties; there is nothing to learn from.");
        return;
    }
    const double from_log_2 = step_loss(lesson, sft, train);
    const reviews::RewardModel reward_model = step_train(lesson, sft, train, random);
    lesson.say("It agrees with ", percent(reviews::evaluate(reward_model, train).agreement), " of the training comparisons.");
    if (held > 0 && any_pair(test))
        lesson.say("On the ", held, " held-out rankings: ", percent(reviews::evaluate(reward_model, test).agreement), ".");
    else
        lesson.say("With 20 rankings or more, a fifth of them is held out for a test.");
    step_phrases(lesson, reward_model, true);
    lesson.claim_at_most("distance of the first loss from log 2", from_log_2, 1e-5);
}

// --- the lesson ---

// Trains the model whose answers are ranked.
static Beginning step_write(Lesson& lesson, const Choices& choices, Random& random) {
    lesson.step("What is ranked?", "supervised fine-tuning (SFT), then sampling");
    lesson.code();
    const Beginning beginning = begin_with(random, choices);
    lesson.say("A small GPT has learned to write reviews, with a loss of ", fixed(beginning.sft.losses.back()),
               " nats per token. It answers each prompt ", choices.answers, " times.");
    return beginning;
}

static void walk_own(Lesson& lesson, const Choices& choices, int seed) {
    const std::string path = choices.rankings.empty() ? "rankings.jsonl" : choices.rankings;
    std::vector<Ranking> rankings = choices.rank ? begun(path) : preferences::read_rankings(path);
    reviews::ranked_rows(rankings);                                 // refuses unknown words before training
    if (choices.rank) preferences::write_rankings(path, rankings);  // and an unwritable file before the first question
    Random random(seed);
    const Beginning beginning = step_write(lesson, choices, random);
    if (choices.rank) step_rank(lesson, beginning.questions, rankings, path);
    learn_from_own(lesson, beginning.sft.w, rankings, random);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (choices.rank || !choices.rankings.empty()) return walk_own(lesson, choices, seed);
    const preferences::Person person{.noise = static_cast<float>(choices.noise)};
    Random random(seed), aside(seed + 1000);
    const Beginning beginning = step_order(lesson, choices, person, random, aside);
    const gpt::Weights& sft = beginning.sft.w;
    const Split rankings = ask_and_split(beginning.questions, person, random);
    const double from_bradley_terry = step_bradley_terry(lesson, person, aside);
    step_plackett_luce(lesson);
    const double from_log_2 = step_loss(lesson, sft, some(rankings.train, 0, 16));
    const reviews::RewardModel reward_model = step_train(lesson, sft, rankings.train, random);
    step_phrases(lesson, reward_model, false);
    const std::vector<Outcome> outcomes = step_held_out(lesson, reward_model, rankings.test, choices, person, seed);
    const std::vector<float> after = step_not(lesson, outcomes, seed);

    reviews::Evaluation mean;
    for (const Outcome& outcome : outcomes) {
        const float share = 1.0f / static_cast<float>(outcomes.size());
        mean.agreement += share * outcome.held_out.agreement;
        mean.true_agreement += share * outcome.held_out.true_agreement;
        mean.correlation += share * outcome.held_out.correlation;
        mean.loss += share * outcome.held_out.loss;
    }
    lesson.claim_at_most("distance of the first loss from log 2", from_log_2, 1e-5);
    lesson.claim_at_most("largest difference between counted choices and Bradley-Terry", from_bradley_terry, 0.02);
    const bool as_delivered = choices.answers == 4 && choices.prompts == 400 && choices.noise == 0.5;
    if (!as_delivered) return;
    lesson.claim_at_least("agreement with a noisy person on held-out rankings", mean.agreement, 0.72);
    lesson.claim_at_least("agreement with the same person without noise", mean.true_agreement, 0.78);
    lesson.claim_at_least("correlation of reward and true score", mean.correlation, 0.74);
    lesson.claim_at_least("correlation of reward and true score after \"very\"", after[1], 0.95);
    lesson.claim_at_most("correlation of reward and true score after \"not\", whose reversal has not been learned", after[2],
                         -0.9);
    lesson.claim_at_most("loss on held-out rankings (0.693 before training)", mean.loss, 0.55);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/ranking", "People rank answers; a model learns a reward from the rankings.",
                    "10 seconds; with --rank, until you stop");
    options.add("rank", choices.rank, "rank the answers yourself, at the keyboard");
    options.add("rankings", choices.rankings,
                "your rankings, one JSON object per line; alone: learn from the file; with --rank: add to it");
    options.add("answers", choices.answers, "K, answers per question", 2, 9);
    options.add("prompts", choices.prompts, "questions; a fifth of them is held out", 20, 5000);
    options.add("noise", choices.noise, "s, noise of the simulated person", 0, 10);
    options.add("seeds", choices.seeds, "number of seeds", 1, 20);
    for (const char* const name : {"noise", "seeds"})
        for (const char* const own : {"rank", "rankings"}) options.excludes(name, own);  // no simulated person ranks then
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
