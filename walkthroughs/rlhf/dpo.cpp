// dpo.cpp: the lesson on direct preference optimisation: PPO's rankings, but no reward model and no sampling, one loss.
//
//   paper    Rafailov et al., "Direct Preference Optimization", 2023, arXiv 2305.18290, Eq. 7
//   shows    that DPO converges to the closed-form optimum where all answers are listed; how it compares with PPO on the same
//            rankings; and how it fails while its loss looks fine
//   symbols  h = log pi(chosen) / pi_ref(chosen) - the same of rejected   beta KL coefficient
//   before   exact.cpp, ppo.cpp     next   walkthroughs/rlhf/agents
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/train.h"
#include "rlhf/dpo.h"
#include "rlhf/exact.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/review_models.h"

using preferences::Ranking;

struct Choices {
    std::string rankings;
    double beta = 0.5;
    double learning_rate = 2e-4;
    int epochs = 4;
    int seeds = 3;

    reviews::DpoRun dpo() const {
        return {.beta = static_cast<float>(beta), .learning_rate = static_cast<float>(learning_rate), .epochs = epochs};
    }
    bool own_rankings() const { return !rankings.empty(); }
    bool as_delivered() const { return rankings.empty() && beta == 0.5 && learning_rate == 2e-4 && epochs == 4; }
};

static float last_mean(const std::vector<float>& numbers) { return running_mean("", numbers, 30).y.back(); }

// --- five answers ---

// The DPO loss over all comparisons, weighted by their Bradley-Terry probability: log_p (1, Y) -> (1, 1).
static Var loss_of_all_pairs(const Var& log_p, const Matrix& log_q, const Matrix& rewards, float beta) {
    std::vector<int> chosen, rejected;
    const int Y = rewards.cols;
    for (int i = 0; i < Y; ++i)
        for (int j = 0; j < Y; ++j)
            if (i != j) {
                chosen.push_back(i);
                rejected.push_back(j);
            }
    Matrix weights(static_cast<int>(chosen.size()), 1);  // (pairs, 1)  how often chosen is preferred to rejected
    for (int k = 0; k < weights.rows; ++k) weights[k] = preferences::bradley_terry(rewards[chosen[k]], rewards[rejected[k]]);
    const Var column = transpose(log_p), reference_column = transpose(Var(log_q));  // (Y, 1)
    const dpo::LogProbabilities policy{
        .tokens = {}, .chosen = gather_rows(column, chosen), .rejected = gather_rows(column, rejected)};
    const dpo::LogProbabilities reference{
        .tokens = {}, .chosen = gather_rows(reference_column, chosen), .rejected = gather_rows(reference_column, rejected)};
    return sum(multiply(dpo::loss(policy, reference, {.beta = beta}).losses, weights));
}

static const int steps_on_five = 3000;
static const float rate_on_five = 1;  // of plain gradient descent

namespace {
struct AllPairs : Objective {
    Var logits;  // (1, Y)
    Matrix log_q, rewards, best;
    float beta = 0;
    Series distance{.name = "KL(p || pi*), nats", .x = {}, .y = {}};  // of the first 400 steps

    Var loss(int step) override {
        const Var log_p = log_softmax_rows(logits);
        if (step < 400 && step % 5 == 0) {
            distance.x.push_back(static_cast<float>(step));
            distance.y.push_back(static_cast<float>(exact::kl(exp(log_p.value()).value(), best)));
        }
        return loss_of_all_pairs(log_p, log_q, rewards, beta);
    }
};
}  // namespace

// Gradient descent on the loss of all pairs of answers, from the reference; with the distance to pi* on the way.
static AllPairs train_on_all_pairs(const Matrix& q, const Matrix& rewards, const Matrix& best, float beta) {
    AllPairs pairs;
    pairs.log_q = log(q).value();
    pairs.logits = parameter(pairs.log_q);
    pairs.rewards = rewards;
    pairs.best = best;
    pairs.beta = beta;
    Sgd descent({pairs.logits}, rate_on_five);
    for (int step = 0; step < steps_on_five; ++step) train_step(pairs, step, descent, rate_on_five, no_clipping);
    return pairs;
}

// returns the largest |p - pi*|
static double step_five(Lesson& lesson) {
    lesson.step("What policy does DPO converge to?", "pi*(y) = q(y) exp(r(y) / beta) / Z", "DPO Eq. 4");
    const Matrix q{{0.1f, 0.2f, 0.4f, 0.2f, 0.1f}}, rewards{{2, 1, 0.5f, 0, -1}};
    const float beta = 0.5f;
    const Matrix best = exact::optimal_policy(q, rewards, beta);
    const AllPairs pairs = train_on_all_pairs(q, rewards, best, beta);
    const Matrix p = softmax_rows(pairs.logits.value()).value();
    std::vector<std::vector<std::string>> rows{{"answer", "reward", "reference q", "DPO", "closed form pi*"}};
    double largest = 0;
    for (int y = 0; y < q.cols; ++y) {
        rows.push_back({text(y + 1), fixed(rewards[y], 1), fixed(q[y], 2), fixed(p[y]), fixed(best[y])});
        largest = std::max<double>(largest, std::abs(p[y] - best[y]));
    }
    lesson.table(rows);
    lesson.curves({pairs.distance}, {"training step", "KL, nats"});
    lesson.say("E[r] went from ", fixed(exact::expected_reward(q, rewards), 3), " to ",
               fixed(exact::expected_reward(p, rewards), 3), " at a KL of ", fixed(exact::kl(p, q), 3),
               " nats. DPO saw no reward, only how often each answer wins against each other.");
    lesson.why(
        "solve pi* for r: r = beta log(pi* / q) + beta log Z. In a comparison log Z cancels, so beta times the policy's log-ratio is a reward, and its Bradley-Terry likelihood can be maximised directly.");
    lesson.predict("What is pi* of answer 1 when beta is 50?", {exact::optimal_policy(q, rewards, 50)[0], 0.02});
    lesson.predict("What is pi* of answer 1 when beta is 0.05?", {exact::optimal_policy(q, rewards, 0.05f)[0], 0.02});
    return largest;
}

// --- one pair ---

// The SFT model, its answers ranked, and the pairs of these rankings.
struct Start {
    reviews::SftModel sft;
    std::vector<Ranking> rankings;
    reviews::Comparisons comparisons;
    double from_log_2 = 0;  // the distance of the first loss, before any training, from log 2
};

static std::vector<Ranking> rankings_of_file(const std::string& path) {
    const std::vector<Ranking> rankings = preferences::read_rankings(path);
    const int pairs = static_cast<int>(reviews::ranked_rows(rankings).pairs.list.size());
    require(pairs >= 64, path, ": ", pairs,
            " comparisons, but a batch of DPO needs 64; rank more answers with rlhf/ranking --rank");
    return rankings;
}

static Start start_of(const Choices& choices, Random& random) {
    Start start{.sft = reviews::train_sft(random, Descent::linear), .rankings = {}, .comparisons = {}};
    const ppo::Episodes texts = reviews::write(start.sft.w, 1600, random, 4);
    start.rankings = choices.own_rankings() ? rankings_of_file(choices.rankings)
                                            : reviews::ask(reviews::questions(texts, 4), {.noise = 0.5f}, random);
    start.comparisons = reviews::comparisons_of(start.rankings);
    return start;
}

static Start step_pair(Lesson& lesson, const Choices& choices, Random& random) {
    lesson.step("What does DPO see?", "loss = -log sigmoid(beta h)", "DPO Eq. 7");
    Start start = start_of(choices, random);
    const reviews::Comparisons& comparisons = start.comparisons;
    std::vector<int> order;
    for (int k = 0; k < std::min(64, comparisons.count()); ++k) order.push_back(k);
    const dpo::Batch batch = reviews::dpo_batch(comparisons, order, 0, static_cast<int>(order.size()));
    lesson.code(2);
    const dpo::LogProbabilities policy = dpo::log_probabilities(batch, start.sft.w, reviews::model_config());
    const dpo::LossSteps steps = dpo::loss(policy, policy, {.beta = static_cast<float>(choices.beta)});
    lesson.table(
        {{"value", "shape", "what it is"},
         {"tokens", shape(policy.tokens.value()), "log pi of every answer token; chosen rows first, 0 for prompt and padding"},
         {"chosen", shape(policy.chosen.value()), "sums over an answer, not means"},
         {"rejected", shape(policy.rejected.value()), ""},
         {"margin", shape(steps.margin.value()), "h"},
         {"losses", shape(steps.losses.value()), "-log sigmoid(beta h)"}});
    lesson.table(
        {{"first pair", "answer", "log pi"},
         {"chosen", reviews::text_of(reviews::answer_of(comparisons.chosen, 0)), fixed(policy.chosen.value()[0])},
         {"rejected", reviews::text_of(reviews::answer_of(comparisons.rejected, 0)), fixed(policy.rejected.value()[0])}});
    const float first = steps.loss.value()(0, 0);
    lesson.why("at the start the policy is the reference: every h is 0 and the loss is ", fixed(first),
               " = log 2, whatever the pairs. It does not matter which answer is more likely, only how that changes.");
    start.from_log_2 = std::abs(first - std::log(2.0));
    return start;
}

// --- training, compared with PPO ---

static reviews::DpoModel step_train(Lesson& lesson, const Start& start, const Choices& choices, Random& random) {
    lesson.step("Does it learn from the rankings?");
    lesson.code();
    const reviews::DpoModel trained = reviews::train_dpo(start.sft.w, start.comparisons, choices.dpo(), random);
    const reviews::DpoHistory& history = trained.history;
    lesson.curves({running_mean("accuracy", history.accuracy, 20), running_mean("loss", history.loss, 20)},
                  {"training step", "accuracy; loss, nats"});
    lesson.curves({running_mean("change of log pi, chosen", history.chosen, 20), running_mean("rejected", history.rejected, 20)},
                  {"training step", "change of log pi, nats"});
    lesson.say(start.comparisons.count(), " pairs in batches of 64. The loss went from ", fixed(history.loss.front()), " to ",
               fixed(last_mean(history.loss)), ".");
    lesson.why(
        "the loss depends on the difference alone, and it falls almost entirely because rejected answers become unlikely. Their probability may move to any answer, not only to the chosen one.");
    return trained;
}

// The policies of one seed.
struct Compared {
    reviews::RewardModel reward_model;
    reviews::Measured before, ppo, dpo;
    float accuracy = 0;  // of DPO, mean of the last 30 steps
};

// Trains a reward model and PPO on the same rankings, and measures all policies.
static Compared compare(const Start& start, const reviews::DpoModel& by_dpo, Random& random) {
    const gpt::Weights& sft = start.sft.w;
    const reviews::RewardModel reward_model = reviews::train_reward_model(sft, start.rankings, random);
    const reviews::PpoModel by_ppo = reviews::train_ppo(sft, reward_model, {.beta = 0.2f}, random);
    return {.reward_model = reward_model,
            .before = reviews::measure(sft, sft, reward_model, random),
            .ppo = reviews::measure(by_ppo.w.trunk, sft, reward_model, random),
            .dpo = reviews::measure(by_dpo.w, sft, reward_model, random),
            .accuracy = last_mean(by_dpo.history.accuracy)};
}

static Compared compare_seed(const Choices& choices, int seed) {
    Random random(seed);
    const Start start = start_of(choices, random);
    const reviews::DpoModel by_dpo = reviews::train_dpo(start.sft.w, start.comparisons, choices.dpo(), random);
    return compare(start, by_dpo, random);
}

static std::vector<std::string> measured_row(const std::string& name, const reviews::Measured& m) {
    return {name, fixed(m.true_score, 2), fixed(m.reward, 2), fixed(m.kl, 2), percent(m.sentences)};
}

static reviews::Measured mean_of(const std::vector<Compared>& all, reviews::Measured Compared::*which) {
    reviews::Measured mean;
    const float share = 1.0f / static_cast<float>(all.size());
    for (const Compared& one : all) {
        mean.true_score += share * (one.*which).true_score;
        mean.reward += share * (one.*which).reward;
        mean.kl += share * (one.*which).kl;
        mean.sentences += share * (one.*which).sentences;
    }
    return mean;
}

static std::vector<Compared> step_compare(Lesson& lesson, const Start& start, const reviews::DpoModel& by_dpo,
                                          const Choices& choices, int seed, Random& random) {
    lesson.step("Which learns more from the same rankings, DPO or PPO?", "the same SFT model, the same rankings");
    std::vector<Compared> all{compare(start, by_dpo, random)};
    for (int k = 1; k < choices.seeds; ++k) all.push_back(compare_seed(choices, seed + k));
    std::vector<std::vector<std::string>> rows{{"", "true score", "reward", "KL", "sentences"}};
    for (std::size_t k = 0; k < all.size(); ++k) {
        rows.push_back(measured_row("seed " + text(seed + static_cast<int>(k)) + ", before", all[k].before));
        rows.push_back(measured_row("   PPO, beta 0.2", all[k].ppo));
        rows.push_back(measured_row("   DPO", all[k].dpo));
    }
    lesson.table(rows);
    lesson.why(
        "DPO needs no reward model, no sampling, and a fraction of the time. PPO is scored on its own samples; DPO is trained only on answers of the SFT model, so it gains less, and nothing corrects ungrammatical answers that it begins to prefer.");
    return all;
}

// --- failure ---

struct Failure {
    std::string name;
    reviews::Measured measured;
    float chosen = 0, rejected = 0, accuracy = 0, loss = 0;  // means of the last 30 steps
};

static Failure failure_of(const std::string& name, const reviews::DpoModel& trained, const reviews::Measured& measured) {
    const reviews::DpoHistory& history = trained.history;
    return {.name = name,
            .measured = measured,
            .chosen = last_mean(history.chosen),
            .rejected = last_mean(history.rejected),
            .accuracy = last_mean(history.accuracy),
            .loss = last_mean(history.loss)};
}

// The run of step_train, one with 4 times its learning rate, and one that also has a fifth of its beta.
static std::vector<Failure> step_failure(Lesson& lesson, const Start& start, const reviews::DpoModel& by_dpo,
                                         const Compared& compared, const Choices& choices, Random& random) {
    lesson.step("How does DPO fail?", "a small beta, a large learning rate");
    reviews::DpoRun large_rate = choices.dpo();
    large_rate.learning_rate *= 4;
    reviews::DpoRun small_beta = large_rate;
    small_beta.beta /= 5;
    const gpt::Weights& sft = start.sft.w;
    std::vector<Failure> runs{failure_of("as above", by_dpo, compared.dpo)};
    for (const auto& [name, run] : {std::pair("4 x learning rate", large_rate), std::pair("and beta / 5", small_beta)}) {
        const reviews::DpoModel trained = reviews::train_dpo(sft, start.comparisons, run, random);
        runs.push_back(failure_of(name, trained, reviews::measure(trained.w, sft, compared.reward_model, random)));
    }
    std::vector<std::vector<std::string>> rows{
        {"run", "loss", "accuracy", "chosen", "rejected", "true score", "KL", "sentences"}};
    for (const Failure& run : runs)
        rows.push_back({run.name, fixed(run.loss, 3), percent(run.accuracy), fixed(run.chosen, 2), fixed(run.rejected, 2),
                        fixed(run.measured.true_score, 2), fixed(run.measured.kl, 2), percent(run.measured.sentences)});
    lesson.table(rows);
    lesson.why(
        "loss and accuracy look fine, even better. But both log-probabilities fall: the probability moved to answers in neither column, which offline data does not contain. Watch the log-probability of the chosen answers, not the loss alone. Next: rlhf/agents/saycan.");
    return runs;
}

// --- the lesson ---

static void claim_all(Lesson& lesson, const std::vector<Compared>& all, const std::vector<Failure>& runs) {
    const reviews::Measured before = mean_of(all, &Compared::before), dpo = mean_of(all, &Compared::dpo),
                            ppo = mean_of(all, &Compared::ppo);
    double accuracy = 0;
    for (const Compared& one : all) accuracy += one.accuracy / static_cast<double>(all.size());
    lesson.claim_at_least("DPO: gain of true score, mean of the seeds", dpo.true_score - before.true_score, 0.25);
    lesson.claim_at_least("DPO: accuracy at the end", accuracy, 0.7);
    lesson.claim_at_most("DPO: KL", dpo.kl, 2.5);
    lesson.claim_at_least("PPO on the same rankings: gain of true score", ppo.true_score - before.true_score, 0.7);
    lesson.claim_at_most("failed run: change of the chosen answers' log-probability", runs.back().chosen, -1);
    lesson.claim_at_most("failed run: change of the rejected answers' log-probability", runs.back().rejected, -5);
    lesson.claim_at_least("failed run: accuracy all the same", runs.back().accuracy, 0.7);
    lesson.claim_at_most("failed run: change of the fraction of sentences",
                         runs.back().measured.sentences - all[0].before.sentences, -0.03);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (choices.own_rankings()) rankings_of_file(choices.rankings);  // an invalid file throws before training
    Random random(seed);
    const double from_closed_form = step_five(lesson);
    const Start start = step_pair(lesson, choices, random);
    const reviews::DpoModel by_dpo = step_train(lesson, start, choices, random);
    const std::vector<Compared> all = step_compare(lesson, start, by_dpo, choices, seed, random);
    const std::vector<Failure> runs = step_failure(lesson, start, by_dpo, all[0], choices, random);
    lesson.claim_at_most("five answers: largest difference between DPO's policy and the closed form", from_closed_form, 1e-3);
    lesson.claim_at_most("distance of the first loss from log 2", start.from_log_2, 1e-5);
    if (choices.as_delivered()) claim_all(lesson, all, runs);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/dpo", "DPO: the policy is the reward model. Learn from rankings with one loss, and compare with PPO.",
                    "25 seconds");
    options.add("beta", choices.beta, "strength of the KL penalty", 0.001, 100);
    options.add("learning-rate", choices.learning_rate, "of Adam", 0, 1);
    options.add("epochs", choices.epochs, "passes over all pairs", 1, 100);
    options.add("seeds", choices.seeds, "number of seeds", 1, 20);
    options.add("rankings", choices.rankings,
                "a file of your own rankings, as rlhf/ranking --rank writes it, instead of the simulated person");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
