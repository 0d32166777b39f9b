// exact.cpp: the lesson on exact RLHF. Six words, four positions: all answers are listed, so every estimate can be checked.
//
//   papers   the optimum: Rafailov et al., 2023, arXiv 2305.18290, Eq. 4; what is estimated: Schulman et al., 2017,
//            arXiv 1707.06347, Eq. 7
//   shows    that PPO approaches the closed-form optimum, by a gradient estimate that is right on average, and never exceeds it
//   symbols  Y answers   p(y) policy   q(y) reference   r(y) reward   beta KL coefficient   pi* optimal policy
//   before   ppo.cpp     next   dpo.cpp
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/data/parameters.h"
#include "nn/training/train.h"
#include "rlhf/exact.h"
#include "rlhf/ppo.h"
#include "rlhf/recipe.h"
#include "walkthroughs/lesson/lesson.h"

static const std::vector<std::string> words{".", "good", "bad", "very", "not", "was"};
static constexpr int full_stop = 0, good = 1, bad = 2, very = 3, negation = 4, was = 5;
static constexpr int longest = 4;  // words of an answer
static const std::vector<int> prompt{was};
static const gpt::Config config{.vocabulary = 6, .positions = 8, .width = 16, .depth = 1, .heads = 2, .mlp_width = 32};

struct Choices {
    double beta = 0.5;
    int iterations = 120;
};

// +1 for each "good", -1 for each "bad", times 1.5 after "very", times -0.5 after "not"; minus 1 without a full stop.
static float score_of(const std::vector<int>& answer) {
    float score = answer.back() == full_stop ? 0.0f : -1.0f;
    for (std::size_t k = 0; k < answer.size(); ++k) {
        const float factor = k > 0 && answer[k - 1] == very ? 1.5f : k > 0 && answer[k - 1] == negation ? -0.5f : 1.0f;
        if (answer[k] == good || answer[k] == bad) score += answer[k] == good ? factor : -factor;
    }
    return score;
}

static std::string text_of(const std::vector<int>& answer) {
    std::string words_of_answer;
    for (const int id : answer) words_of_answer += (words_of_answer.empty() ? "" : " ") + words[id];
    return words_of_answer;
}

// The exact quantities.
struct World {
    gpt::Weights reference;
    std::vector<std::vector<int>> answers;  // Y of them
    Matrix rewards;                         // (Y, 1)
    Matrix log_q, q;                        // (Y, 1)  of the reference
    Matrix best;                            // (Y, 1)  pi*
    float beta = 0;
    double optimum = 0;  // the objective of pi*
};

static Matrix log_probabilities(const gpt::Weights& w, const World& world) {
    const NoTape frozen;
    return exact::log_probabilities(prompt, world.answers, w, config).value();  // (Y, 1)
}

static World make_world(Random& random, float beta) {
    World world{.reference = gpt::make_weights(config, random, {.stddev = 0.3f, .embedding_stddev = 0.3f}),
                .answers = exact::all_answers(config.vocabulary, full_stop, longest),
                .rewards = {},
                .log_q = {},
                .q = {},
                .best = {},
                .beta = beta};
    world.rewards = Matrix(static_cast<int>(world.answers.size()), 1);
    for (int y = 0; y < world.rewards.rows; ++y) world.rewards[y] = score_of(world.answers[y]);
    world.log_q = log_probabilities(world.reference, world);
    world.q = exact::probabilities(world.log_q);
    world.best = exact::optimal_policy(world.q, world.rewards, beta);
    world.optimum = exact::optimal_objective(world.q, world.rewards, beta);
    return world;
}

// --- exact quantities ---

static void step_list(Lesson& lesson, const World& world) {
    lesson.step("How many answers are there?", "p(y) = product over t of pi(y_t | y_1 ... y_t-1)");
    lesson.code(2);
    const std::vector<std::vector<int>> answers = exact::all_answers(config.vocabulary, full_stop, longest);
    const Var log_p = exact::log_probabilities(prompt, answers, world.reference, config);
    const double sum = std::accumulate(world.q.begin(), world.q.end(), 0.0);
    lesson.say(answers.size(), " answers to \"was\", log-probabilities ", shape(log_p.value()), "; their probabilities sum to ",
               fixed(sum, 6), ".");
    lesson.why(
        "an answer ends with a full stop or at the ", longest,
        "th word: 1 + 5 + 25 + 125 * 6 = 781. With GPT-2's 50,257 tokens and a hundred positions no list is possible, and everything below must be estimated from samples.");
}

static void step_optimum(Lesson& lesson, const World& world) {
    lesson.step("Which policy is optimal?", "pi*(y) = q(y) exp(r(y) / beta) / Z", "DPO Eq. 4");
    lesson.code(2);
    const Matrix best = exact::optimal_policy(world.q, world.rewards, world.beta);        // (Y, 1)
    const double optimum = exact::optimal_objective(world.q, world.rewards, world.beta);  // beta log Z
    std::vector<int> order(best.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return best[a] > best[b]; });
    std::vector<std::vector<std::string>> rows{{"answer", "reward", "reference q", "optimal pi*"}};
    for (int k = 0; k < 8; ++k)
        rows.push_back({text_of(world.answers[order[k]]), fixed(world.rewards[order[k]], 1), fixed(world.q[order[k]]),
                        fixed(best[order[k]])});
    lesson.table(rows);
    const Matrix log_q = reshape(world.log_q, 11, 71), log_best = reshape(log(best).value(), 11, 71);
    lesson.heat("log q of all answers, shortest first", log_q);
    lesson.heat("log pi* of all answers", log_best);
    lesson.table(
        {{"policy", "expected reward", "KL to the reference", "objective"},
         {"reference", fixed(exact::expected_reward(world.q, world.rewards)), fixed(exact::kl(world.q, world.q)),
          fixed(exact::objective(world.q, world.q, world.rewards, world.beta))},
         {"optimal", fixed(exact::expected_reward(best, world.rewards)), fixed(exact::kl(best, world.q)), fixed(optimum)}});
    lesson.why(
        "each answer's probability is multiplied by exp(r / beta) and normalised. A small beta concentrates the policy on the best answers, a large one leaves it near the reference.");
    const float half = world.beta / 2;
    const Matrix best_of_half = exact::optimal_policy(world.q, world.rewards, half);  // (Y, 1)
    lesson.predict("What is the expected reward of the optimal policy at beta = " + fixed(half, 2) + "?",
                   {exact::expected_reward(best_of_half, world.rewards), 0.1});
}

// --- a policy during training ---

static gpt::Weights copy_of(const gpt::Weights& w) {
    Random unused;  // its draws are overwritten
    gpt::Weights copy = gpt::make_weights(config, unused);
    copy_values(gpt::parameters(w, config), gpt::parameters(copy, config));
    return copy;
}

// Of both runs.
static const Schedule constant_rate{.peak = 3e-3f, .descent = Descent::none};

namespace {
struct ExactLoss : Objective {
    const gpt::Weights& w;
    const World& world;
    ExactLoss(const gpt::Weights& w, const World& world) : w(w), world(world) {}

    Var loss(int) override {
        return exact::loss(exact::log_probabilities(prompt, world.answers, w, config), world.log_q, world.rewards, world.beta);
    }
};
}  // namespace

// Ascends the exact gradient.   returns  the objective before each step
static std::vector<float> ascend_exactly(const gpt::Weights& w, const World& world, int steps) {
    Recipe recipe{.schedule = constant_rate, .clip_norm = no_clipping};
    recipe.schedule.steps = steps;
    ExactLoss loss(w, world);
    std::vector<float> objectives = train(loss, nothing_decays(variables(gpt::parameters(w, config))), recipe);
    for (float& objective : objectives) objective = -objective;
    return objectives;
}

// returns the largest |gap - beta KL(p || pi*)| over several policies
static double step_gap(Lesson& lesson, const World& world) {
    lesson.step("How far is a policy below the optimum?", "optimum - objective(p) = beta KL(p || pi*)");
    std::vector<std::vector<std::string>> rows{{"policy", "objective", "optimum - objective", "beta KL(p || pi*)"}};
    double largest = 0;
    const gpt::Weights w = copy_of(world.reference);
    for (int taken = 0; taken <= 40; taken += 10) {
        const Matrix p = exact::probabilities(log_probabilities(w, world));
        const double objective = exact::objective(p, world.q, world.rewards, world.beta);
        const double gap = world.optimum - objective, distance = world.beta * exact::kl(p, world.best);
        rows.push_back({"after " + text(taken) + " exact steps", fixed(objective, 5), fixed(gap, 5), fixed(distance, 5)});
        largest = std::max(largest, std::abs(gap - distance));
        ascend_exactly(w, world, 10);
    }
    lesson.table(rows);
    lesson.why(
        "substitute r = beta log(pi* / q) + beta log Z into the objective, and only the KL to pi* remains. A KL is never negative, so no policy exceeds the optimum, and raising the objective is the same as approaching pi*.");
    return largest;
}

// --- estimated: the KL ---

static ppo::Episodes sample(const gpt::Weights& w, int count, Random& random) {
    const Matrix draws = uniform_matrix(random, count, longest);
    return ppo::roll_out(std::vector<int>(count, was), 1, w, config, longest, full_stop, full_stop, draws);
}

static Matrix token_log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes) {
    const NoTape frozen;
    return ppo::token_log_probabilities(gpt::forward(episodes.tokens, episodes.length, w, config).logits, episodes).value();
}

struct SampledKl {
    double exact = 0, mean = 0;
    double negative_answers = 0, negative_batches = 0;  // shares
};

// The mean of the first n samples, for n = 32, 64, ..., 2048.
static Series mean_of_first(const std::vector<float>& kl) {
    Series running{.name = "mean of the first n samples", .x = {}, .y = {}};
    double sum = 0;
    for (int n = 1; n <= 2048; ++n) {
        sum += kl[n - 1];
        if (n % 32 != 0) continue;
        running.x.push_back(static_cast<float>(n));
        running.y.push_back(static_cast<float>(sum / n));
    }
    return running;
}

// The share of the means of `batch` samples that are negative.
static double negative_share(const std::vector<float>& kl, int batch) {
    const int batches = static_cast<int>(kl.size()) / batch;
    int negative = 0;
    for (int b = 0; b < batches; ++b) {
        const auto first = kl.begin() + b * batch;
        negative += std::accumulate(first, first + batch, 0.0) < 0;
    }
    return static_cast<double>(negative) / batches;
}

static SampledKl step_kl(Lesson& lesson, const World& world, const gpt::Weights& w, Random& random) {
    lesson.step("How far is the policy from the reference?", "KL(p || q) = E over y ~ p of log p(y) / q(y)");
    const int count = 8192, batch = 8;
    const ppo::Episodes episodes = sample(w, count, random);
    const Matrix log_p = token_log_probabilities(w, episodes), log_q = token_log_probabilities(world.reference, episodes);
    lesson.code(1);
    const std::vector<float> kl = ppo::kl_of_episodes(log_p, log_q, ppo::answer_mask(episodes));
    const SampledKl sampled{.exact = exact::kl(exact::probabilities(log_probabilities(w, world)), world.q),
                            .mean = std::accumulate(kl.begin(), kl.end(), 0.0) / count,
                            .negative_answers = negative_share(kl, 1),
                            .negative_batches = negative_share(kl, batch)};
    double squares = 0;
    for (const float x : kl) squares += 0.5 * x * x;
    const Series running = mean_of_first(kl);
    const Series truth{.name = "listed: the true KL",
                       .x = running.x,
                       .y = std::vector<float>(running.x.size(), static_cast<float>(sampled.exact))};
    lesson.curves({running, truth}, {"samples", "KL, nats"});
    lesson.table({{"what", "nats"},
                  {"true KL, by listing all answers", fixed(sampled.exact)},
                  {"mean of log p/q over " + text(count) + " samples", fixed(sampled.mean)},
                  {"mean of half its square (never negative, but biased)", fixed(squares / count)},
                  {"first sample", fixed(kl[0])},
                  {"second sample", fixed(kl[1])},
                  {"third sample", fixed(kl[2])}});
    lesson.why(
        fixed(100 * sampled.negative_answers, 1), " % of the samples are negative, and ",
        fixed(100 * sampled.negative_batches, 1), " % of the means of ", batch,
        ": such answers became less likely than under the reference. The true KL cannot be negative, so a slightly negative KL on a training curve is noise, not a bug.");
    return sampled;
}

// --- estimated: the gradient ---

static std::vector<double> gradient_of(const gpt::Weights& w) {
    std::vector<double> gradient;
    for (Var& variable : variables(gpt::parameters(w, config))) {
        const Matrix& g = variable.gradient();
        if (g.empty()) gradient.insert(gradient.end(), variable.value().size(), 0.0);
        gradient.insert(gradient.end(), g.begin(), g.end());
        variable.zero_gradient();
    }
    return gradient;
}

static double cosine(const std::vector<double>& a, const std::vector<double>& b) {
    const double ab = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    return ab / std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0) *
                          std::inner_product(b.begin(), b.end(), b.begin(), 0.0));
}

static std::vector<float> scores_of(const ppo::Episodes& episodes) {
    std::vector<float> scores;
    for (int b = 0; b < episodes.count(); ++b) {
        const auto answer = episodes.tokens.begin() + b * episodes.length + 1;
        scores.push_back(score_of({answer, answer + episodes.answer_lengths[b]}));
    }
    return scores;
}

// The gradient of the PPO loss of `count` fresh episodes, before any step is taken.
//   whitened  whitened advantages, as in PPO; false: raw
static std::vector<double> sampled_gradient(const ppo::Weights& w, const World& world, int count, float trace, bool whitened,
                                            Random& random) {
    const ppo::Config settings{.kl_coefficient = world.beta, .adaptive = false, .trace = trace, .value_weight = 0};
    const ppo::Episodes episodes = sample(w.trunk, count, random);
    const Matrix mask = ppo::answer_mask(episodes), log_q = token_log_probabilities(world.reference, episodes);
    const Tape tape;
    const ppo::PolicySteps policy = ppo::forward(episodes, w, config);
    const Matrix log_p = policy.log_probabilities.value(), values = policy.values.value();
    ppo::RewardSteps rewards = ppo::rewards_and_advantages(scores_of(episodes), log_p, log_q, values, mask, world.beta, settings);
    if (!whitened) rewards.advantages = rewards.advantages_raw;
    backward(ppo::loss(policy, log_p, values, rewards, mask, settings).loss);
    return gradient_of(w.trunk);
}

// The gradient of the objective itself, from the list of all answers.
static std::vector<double> exact_gradient(const gpt::Weights& w, const World& world) {
    const Tape tape;
    const Var log_p = exact::log_probabilities(prompt, world.answers, w, config);  // (Y, 1)
    backward(exact::loss(log_p, world.log_q, world.rewards, world.beta));
    return gradient_of(w);
}

struct MeanCosine {
    double raw = 0, white = 0, one_step = 0;
};

// The cosine of the exact and the estimated gradient, the mean of four estimates from `count` episodes each.
static MeanCosine mean_cosine(const std::vector<double>& truth, const ppo::Weights& w, const World& world, int count,
                              Random& random) {
    MeanCosine mean;
    const int repetitions = 4;
    for (int k = 0; k < repetitions; ++k) {
        mean.raw += cosine(sampled_gradient(w, world, count, 1, false, random), truth) / repetitions;
        mean.white += cosine(sampled_gradient(w, world, count, 1, true, random), truth) / repetitions;
        mean.one_step += cosine(sampled_gradient(w, world, count, 0, true, random), truth) / repetitions;
    }
    return mean;
}

struct Cosines {
    std::vector<float> samples, raw, white, one_step;  // means over some repetitions
};

static Cosines step_gradient(Lesson& lesson, const World& world, const gpt::Weights& policy, Random& random) {
    lesson.step("Is PPO's gradient right?", "cosine of estimated and exact gradient", "PPO Eq. 7");
    const ppo::Weights w = ppo::from_language_model(policy, config);  // all values 0
    const std::vector<double> truth = exact_gradient(w.trunk, world);
    Cosines cosines;
    std::vector<std::vector<std::string>> rows{{"episodes", "raw advantages", "whitened", "lambda = 0: one-step"}};
    for (int count = 16; count <= 4096; count *= 4) {
        const auto [raw, white, one_step] = mean_cosine(truth, w, world, count, random);
        rows.push_back({text(count), fixed(raw, 3), fixed(white, 3), fixed(one_step, 3)});
        cosines.samples.push_back(static_cast<float>(std::log2(count)));
        cosines.raw.push_back(static_cast<float>(raw));
        cosines.white.push_back(static_cast<float>(white));
        cosines.one_step.push_back(static_cast<float>(one_step));
    }
    lesson.table(rows);
    lesson.curves({{.name = "raw", .x = cosines.samples, .y = cosines.raw},
                   {.name = "whitened", .x = cosines.samples, .y = cosines.white},
                   {.name = "lambda = 0", .x = cosines.samples, .y = cosines.one_step}},
                  {"log2 of the episodes", "cosine"});
    lesson.why(
        "before the first update the ratio is 1, and the gradient of the clipped loss is the policy gradient: unbiased, and noisy. Whitening subtracts a mean, which does not change the expected direction and helps most when all scores are far from 0. With lambda = 0 and values that are still 0, a token is credited only with its own reward: more samples reduce the noise, not the bias, and the cosine stays at ",
        fixed(cosines.one_step.back(), 3), ". That is why PPO needs a value function, and a lambda near 1.");
    return cosines;
}

// --- PPO compared with the optimum ---

struct Path {
    std::vector<float> objective, distance;  // exact, before every iteration and after the last; distance = KL(p || pi*)
};

static void record(Path& path, const gpt::Weights& w, const World& world) {
    const Matrix p = exact::probabilities(log_probabilities(w, world));
    path.objective.push_back(static_cast<float>(exact::objective(p, world.q, world.rewards, world.beta)));
    path.distance.push_back(static_cast<float>(exact::kl(p, world.best)));
}

namespace {
struct TrueScore : rlhf::Score {
    std::vector<float> of(const ppo::Episodes& episodes) override { return scores_of(episodes); }
};
}  // namespace

static Path ascend_by_samples(const World& world, int iterations, Random& random) {
    const rlhf::PpoRecipe recipe{.objective = {.kl_coefficient = world.beta, .adaptive = false},
                                 .epochs = 4,
                                 .rollout = {.new_tokens = longest, .end_token = full_stop, .padding_token = full_stop},
                                 .training = {.schedule = constant_rate, .batch = 64}};
    rlhf::PpoTrainer trainer(world.reference, config, recipe);
    TrueScore score;
    Progress progress("PPO", iterations);
    Path path;
    record(path, trainer.policy.trunk, world);
    for (int iteration = 0; iteration < iterations; ++iteration) {
        rlhf::ppo_iteration(trainer, {.tokens = prompt, .length = 1}, score, random);
        record(path, trainer.policy.trunk, world);
        progress.update(iteration, -path.objective.back());
    }
    return path;
}

static Series over_iterations(const std::string& name, const std::vector<float>& y) {
    Series series{.name = name, .x = {}, .y = y};
    for (std::size_t k = 0; k < y.size(); ++k) series.x.push_back(static_cast<float>(k));
    return series;
}

static Path step_ppo(Lesson& lesson, const World& world, const Choices& choices, Random& random) {
    lesson.step("How close does PPO come?", "E[r] - beta KL(p || q), listed, not sampled");
    lesson.code(1);
    const Path path = ascend_by_samples(world, choices.iterations, random);
    const gpt::Weights w = copy_of(world.reference);
    const std::vector<float> exactly = ascend_exactly(w, world, choices.iterations + 1);
    const std::vector<float> optimum(path.objective.size(), static_cast<float>(world.optimum));
    lesson.curves({over_iterations("PPO, 64 episodes per iteration", path.objective),
                   over_iterations("exact gradient, one step per iteration", exactly), over_iterations("optimum", optimum)},
                  {"iteration", "objective"});
    lesson.curves({over_iterations("distance KL(p || pi*) of PPO, nats", path.distance)}, {"iteration", "KL, nats"});
    lesson.say("From ", fixed(path.objective.front()), " to ", fixed(path.objective.back()), "; the optimum is ",
               fixed(world.optimum), ". The distance to pi* went from ", fixed(path.distance.front()), " to ",
               fixed(path.distance.back()), " nats.");
    lesson.why(
        "each iteration samples 64 of 781 answers, so the path is noisy and ends near the optimum, not at it; it never exceeds it. Next: rlhf/dpo reaches the same optimum without a reward model.");
    return path;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const World world = make_world(random, static_cast<float>(choices.beta));
    step_list(lesson, world);
    step_optimum(lesson, world);
    const double largest_gap_error = step_gap(lesson, world);
    const gpt::Weights policy = copy_of(world.reference);  // a policy between the reference and the optimum
    ascend_exactly(policy, world, 5);
    const SampledKl kl = step_kl(lesson, world, policy, random);
    const Cosines cosines = step_gradient(lesson, world, policy, random);
    const Path path = step_ppo(lesson, world, choices, random);

    lesson.claim_at_most("largest difference between optimum - objective and beta KL(p || pi*)", largest_gap_error, 1e-4);
    lesson.claim("the true KL is not negative, but single samples are", kl.exact >= 0 && kl.negative_answers > 0);
    lesson.claim_at_most("mean of 8192 samples, distance from the true KL", std::abs(kl.mean - kl.exact), 0.12);
    lesson.claim_at_least("cosine of PPO's and the exact gradient, 4096 episodes", cosines.white.back(), 0.9);
    lesson.claim_at_least("increase of this cosine from 16 to 4096 episodes", cosines.white.back() - cosines.white.front(), 0.05);
    const double highest = *std::max_element(path.objective.begin(), path.objective.end());
    lesson.claim_at_most("excess of the highest objective over the optimum", highest - world.optimum, 1e-5);
    if (choices.iterations >= 120 && choices.beta >= 0.2)
        lesson.claim_at_most("remaining fraction of the distance to pi*", path.distance.back() / path.distance.front(), 0.25);
}

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/exact", "A task so small that the optimal policy is known: how close does PPO come?", "5 seconds");
    options.add("beta", choices.beta, "KL coefficient", 0.05, 10);
    options.add("iterations", choices.iterations, "PPO iterations of 64 episodes", 1, 2000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
