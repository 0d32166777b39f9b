#include "rlhf/recipe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"

namespace rlhf {

// --- inputs of the loops ---

// The given rows of episodes, in this order.
static ppo::Episodes select(const ppo::Episodes& episodes, const std::vector<int>& rows) {
    ppo::Episodes selected;
    selected.length = episodes.length;
    for (const int row : rows) {
        const auto tokens = episodes.tokens.begin() + row * episodes.length;
        selected.tokens.insert(selected.tokens.end(), tokens, tokens + episodes.length);
        selected.prompt_lengths.push_back(episodes.prompt_lengths[row]);
        selected.answer_lengths.push_back(episodes.answer_lengths[row]);
    }
    return selected;
}

// The rows of each ranking.
static std::vector<std::vector<int>> rows_of_rankings(const RankedTexts& ranked) {
    const int N = ranked.texts.count();
    require(static_cast<int>(ranked.group.size()) == N && static_cast<int>(ranked.ranks.size()) == N, "rlhf: ", N, " texts, ",
            ranked.group.size(), " groups and ", ranked.ranks.size(), " ranks; each text needs one of each");
    std::vector<std::vector<int>> rows;
    for (int n = 0; n < N; ++n) {
        require(ranked.group[n] >= 0, "rlhf: text ", n, " belongs to ranking ", ranked.group[n], "; rankings are counted from 0");
        rows.resize(std::max<std::size_t>(rows.size(), ranked.group[n] + 1));
        rows[ranked.group[n]].push_back(n);
    }
    return rows;
}

PreferencePairs preference_pairs(const RankedTexts& ranked) {
    std::vector<int> chosen, rejected;
    for (const std::vector<int>& rows : rows_of_rankings(ranked)) {
        std::vector<int> ranks;
        for (const int row : rows) ranks.push_back(ranked.ranks[row]);
        const preferences::Pairs pairs = preferences::all_pairs(std::vector<int>(rows.size(), 0), ranks);
        for (const preferences::Pair& pair : pairs.list) {
            chosen.push_back(rows[pair.better]);
            rejected.push_back(rows[pair.worse]);
        }
    }
    return {.chosen = select(ranked.texts, chosen), .rejected = select(ranked.texts, rejected)};
}

// --- sampling and measuring ---

ppo::Episodes sample(const gpt::Weights& policy, const gpt::Config& config, const Prompts& prompts, int count,
                     const Rollout& rollout, Random& random, int times) {
    const int P = prompts.length;
    require(P > 0 && prompts.count() > 0 && prompts.tokens.size() % P == 0, "rlhf: ", prompts.tokens.size(),
            " tokens are not a whole number of prompts of ", P, " tokens; at least one prompt is needed");
    require(count > 0 && times > 0 && rollout.new_tokens > 0, "rlhf: ", count, " answers, each prompt ", times,
            " times, of up to ", rollout.new_tokens, " tokens; each must be at least 1");
    std::vector<int> tokens;  // (count*P)
    for (int b = 0; b < count; ++b) {
        const auto prompt = prompts.tokens.begin() + b / times % prompts.count() * P;
        tokens.insert(tokens.end(), prompt, prompt + P);
    }
    const Matrix draws = uniform_matrix(random, count, rollout.new_tokens);
    return ppo::roll_out(tokens, P, policy, config, rollout.new_tokens, rollout.end_token, rollout.padding_token, draws);
}

Matrix log_probabilities(const gpt::Weights& policy, const gpt::Config& config, const ppo::Episodes& episodes) {
    const NoTape frozen;
    const gpt::Steps steps = gpt::forward(episodes.tokens, episodes.length, policy, config);
    return ppo::token_log_probabilities(steps.logits, episodes).value();  // (B, T-1)
}

// The reward of each text, read at its last real token.
static Var reward_of_texts(const reward_model::Weights& w, const gpt::Config& config, const ppo::Episodes& episodes) {
    std::vector<int> lengths;
    for (int b = 0; b < episodes.count(); ++b) lengths.push_back(episodes.prompt_lengths[b] + episodes.answer_lengths[b]);
    return reward_model::forward(episodes.tokens, lengths, w, config).rewards;  // (B, 1)
}

std::vector<float> rewards(const reward_model::Weights& w, const gpt::Config& config, const ppo::Episodes& episodes) {
    const NoTape frozen;
    const Matrix r = reward_of_texts(w, config, episodes).value();  // (B, 1)
    return {r.begin(), r.end()};
}

std::vector<float> RewardScore::of(const ppo::Episodes& episodes) {
    std::vector<float> scores = rewards(w, config, episodes);
    for (float& score : scores) score -= shift;
    return scores;
}

// --- step 1: supervised fine-tuning ---

namespace {
struct NegativeLogLikelihood : Objective {
    const gpt::Weights& w;
    const gpt::Config& config;
    Demonstrations& demonstrations;
    int batch;
    Random& random;

    NegativeLogLikelihood(const gpt::Weights& w, const gpt::Config& config, Demonstrations& demonstrations, int batch,
                          Random& random)
        : w(w), config(config), demonstrations(demonstrations), batch(batch), random(random) {}

    Var loss(int) override {
        const ppo::Episodes texts = demonstrations.draw(batch, random);
        const Matrix mask = ppo::answer_mask(texts);                                   // (B, T-1)
        const gpt::Steps steps = gpt::forward(texts.tokens, texts.length, w, config);  // logits (B*T, V)
        const Var log_p = ppo::token_log_probabilities(steps.logits, texts);           // (B, T-1)
        const float tokens = std::accumulate(mask.begin(), mask.end(), 0.0f);
        require(tokens > 0, "rlhf: the demonstrations have no answer tokens");
        return scale(sum(log_p), -1 / tokens);  // (1, 1)
    }
};
}  // namespace

std::vector<float> supervised_fine_tuning(const gpt::Weights& w, const gpt::Config& config, Demonstrations& demonstrations,
                                          const Recipe& recipe, Random& random, Watcher* watcher) {
    NegativeLogLikelihood objective(w, config, demonstrations, recipe.batch, random);
    return train(objective, nothing_decays(variables(gpt::parameters(w, config))), recipe, watcher);
}

// --- step 2: reward model training ---

namespace {
// A batch of rankings per step, every ranking once per epoch.
struct RankingLoss : Objective {
    const reward_model::Weights& w;
    const gpt::Config& config;
    const RankedTexts& ranked;
    std::vector<std::vector<int>> rankings;  // the rows of each ranking
    int batch;
    std::vector<int> order;  // of the rankings in this epoch
    int next = 0;            // start of the next batch in `order`
    int batches_with_pairs = 0;

    RankingLoss(const reward_model::Weights& w, const gpt::Config& config, const RankedTexts& ranked, int batch)
        : w(w), config(config), ranked(ranked), rankings(rows_of_rankings(ranked)), batch(batch) {}

    void begin_epoch(Random& random) {
        order = permutation(random, static_cast<int>(rankings.size()));
        next = 0;
        batches_with_pairs = 0;
    }

    Var loss(int) override {
        const int end = std::min(static_cast<int>(order.size()), next + batch);
        std::vector<int> rows, group, ranks;
        for (int k = next; k < end; ++k)
            for (const int row : rankings[order[k]]) {
                rows.push_back(row);
                group.push_back(k - next);
                ranks.push_back(ranked.ranks[row]);
            }
        next = end;
        const preferences::Pairs pairs = preferences::all_pairs(group, ranks);
        if (pairs.list.empty()) return {};  // all tied
        ++batches_with_pairs;
        const Var rewards = reward_of_texts(w, config, select(ranked.texts, rows));  // (N, 1)
        return reward_model::loss(rewards, pairs).loss;                              // (1, 1)
    }
};
}  // namespace

static bool any_pair(const RankedTexts& ranked, const std::vector<std::vector<int>>& rankings) {
    for (const std::vector<int>& rows : rankings)
        for (const int row : rows)
            if (ranked.ranks[row] != ranked.ranks[rows[0]]) return true;
    return false;
}

static int batches_of(int count, int batch) { return (count + batch - 1) / batch; }

std::vector<float> train_reward_model(const reward_model::Weights& w, const gpt::Config& config, const RankedTexts& ranked,
                                      const RewardModelRecipe& recipe, Random& random, Watcher* watcher) {
    require(recipe.epochs >= 0, "rlhf: ", recipe.epochs, " epochs of reward model training, it must not be negative");
    require_sound(recipe.training);
    RankingLoss objective(w, config, ranked, recipe.training.batch);
    require(any_pair(ranked, objective.rankings),
            "rlhf: no ranking says that one answer is better than another; rank answers that differ");
    const int batches = batches_of(static_cast<int>(objective.rankings.size()), recipe.training.batch);
    Recipe training = recipe.training;
    training.schedule.steps = recipe.epochs * batches;
    Trainer trainer(nothing_decays(variables(reward_model::parameters(w, config))), training);
    std::vector<float> means;
    for (int epoch = 0; epoch < recipe.epochs; ++epoch) {
        objective.begin_epoch(random);
        float total = 0;
        for (const float loss : train_until((epoch + 1) * batches, objective, trainer, watcher)) total += loss;
        means.push_back(total / static_cast<float>(std::max(1, objective.batches_with_pairs)));
    }
    return means;
}

// --- step 3: PPO ---

static const PpoRecipe& sound(const PpoRecipe& recipe, Where where) {
    const ppo::Config& c = recipe.objective;
    require(recipe.epochs >= 0, where, "rlhf: ", recipe.epochs, " epochs on each rollout, it must not be negative; 4 is usual");
    require(recipe.rollout.new_tokens > 0, where, "rlhf: answers of up to ", recipe.rollout.new_tokens,
            " tokens, each must be at least 1");
    require(c.kl_coefficient >= 0 && std::isfinite(c.kl_coefficient), where, "rlhf: a KL coefficient of ", c.kl_coefficient,
            ", it must be finite and at least 0; 0 turns the penalty off");
    require(!c.adaptive || (c.kl_target > 0 && c.kl_horizon > 0), where, "rlhf: a KL target of ", c.kl_target,
            " and a horizon of ", c.kl_horizon, ", both must be above 0; 6 and 10000 are usual");
    require(c.discount >= 0 && c.discount <= 1 && c.trace >= 0 && c.trace <= 1, where, "rlhf: a discount of ", c.discount,
            " and a lambda of ", c.trace, ", both must be from 0 to 1; 1 and 0.95 are usual");
    require(c.clip > 0 && c.value_clip > 0, where, "rlhf: ratios clipped at ", c.clip, " and values at ", c.value_clip,
            ", both must be above 0; 0.2 is usual");
    require(c.value_weight >= 0 && std::isfinite(c.value_weight), where, "rlhf: a value loss of weight ", c.value_weight,
            ", it must be finite and at least 0; 0.1 is usual");
    return recipe;
}

PpoTrainer::PpoTrainer(const gpt::Weights& given_reference, const gpt::Config& config, const PpoRecipe& given, Where where)
    : config(config),
      recipe(sound(given, where)),
      reference(given_reference),
      policy(ppo::from_language_model(reference, config)),
      kl_coefficient(recipe.objective.kl_coefficient),
      trainer(nothing_decays(variables(ppo::parameters(policy, config))), recipe.training, where) {}

namespace {
// The clipped loss on a fixed rollout.
struct ClippedSurrogate : Objective {
    const PpoTrainer& run;
    const PpoIteration& rollout;
    float ratio_error = -1;  // of the first epoch

    ClippedSurrogate(const PpoTrainer& run, const PpoIteration& rollout) : run(run), rollout(rollout) {}

    Var loss(int) override {
        const ppo::PolicySteps policy = ppo::forward(rollout.episodes, run.policy, run.config);
        const ppo::LossSteps steps =
            ppo::loss(policy, rollout.log_probabilities, rollout.values, rollout.rewards, rollout.mask, run.recipe.objective);
        if (ratio_error < 0) {
            ratio_error = 0;
            for (const float ratio : steps.ratio.value()) ratio_error = std::max(ratio_error, std::abs(ratio - 1));
        }
        return steps.loss;  // (1, 1)
    }
};
}  // namespace

PpoIteration ppo_iteration(PpoTrainer& run, const Prompts& prompts, Score& score, Random& random) {
    const int B = run.recipe.training.batch;
    const ppo::Config& objective = run.recipe.objective;
    PpoIteration it;
    // Rollout: the policy answers, and its log-probabilities and values are kept as they were.
    it.episodes = sample(run.policy.trunk, run.config, prompts, B, run.recipe.rollout, random);
    it.mask = ppo::answer_mask(it.episodes);  // (B, T-1)
    const ppo::PolicySteps old = ppo::forward(it.episodes, run.policy, run.config);
    it.log_probabilities = old.log_probabilities.value();                                        // (B, T-1)
    it.values = old.values.value();                                                              // (B, T-1)
    it.reference_log_probabilities = log_probabilities(run.reference, run.config, it.episodes);  // (B, T-1)
    // Scoring: one number for the whole answer.
    it.scores = score.of(it.episodes);  // B
    require(static_cast<int>(it.scores.size()) == B, "rlhf: ", it.scores.size(), " scores for ", B, " episodes; each needs one");
    // Advantages: the score at the last token, the KL penalty at every token.
    it.kl_coefficient = run.kl_coefficient;
    it.rewards = ppo::rewards_and_advantages(it.scores, it.log_probabilities, it.reference_log_probabilities, it.values, it.mask,
                                             it.kl_coefficient, objective);
    // K epochs of clipped updates on the same numbers.
    ClippedSurrogate surrogate(run, it);
    for (int epoch = 0; epoch < run.recipe.epochs; ++epoch) it.losses.push_back(train_step(surrogate, run.trainer));
    it.first_ratio_error = std::max(0.0f, surrogate.ratio_error);
    // The next KL coefficient.
    it.mean_score = ppo::mean_of(it.scores);
    it.mean_kl = ppo::mean_of(ppo::kl_of_episodes(it.log_probabilities, it.reference_log_probabilities, it.mask));
    run.kl_coefficient = ppo::next_kl_coefficient(it.kl_coefficient, it.mean_kl, B, objective);
    return it;
}

// --- DPO ---

// The token itself where it belongs to an answer, else ignored_label (unshifted, as dpo::join expects).
static std::vector<int> answer_labels(const ppo::Episodes& episodes) {
    std::vector<int> labels(episodes.tokens.size(), ignored_label);
    for (int b = 0; b < episodes.count(); ++b) {
        const int first = b * episodes.length + episodes.prompt_lengths[b];
        std::copy_n(episodes.tokens.begin() + first, episodes.answer_lengths[b], labels.begin() + first);
    }
    return labels;
}

// The margin compares answers to one question; the rows of both sides must ask it.
static void require_same_prompts(const ppo::Episodes& chosen, const ppo::Episodes& rejected, const std::vector<int>& pairs) {
    for (int b = 0; b < chosen.count(); ++b) {
        const int length = chosen.prompt_lengths[b];
        const auto left = chosen.tokens.begin() + b * chosen.length, right = rejected.tokens.begin() + b * rejected.length;
        require(length == rejected.prompt_lengths[b] && std::equal(left, left + length, right), "rlhf: the answers of pair ",
                pairs[b], " follow different prompts, of ", length, " and ", rejected.prompt_lengths[b],
                " tokens; both must have the same");
    }
}

dpo::Batch dpo_batch(const PreferencePairs& pairs, const std::vector<int>& order, int first, int count, int padding_token) {
    const int N = static_cast<int>(order.size()), held = std::min(pairs.chosen.count(), pairs.rejected.count());
    require(first >= 0 && count > 0 && first <= N - count, "rlhf: pairs ", first, " to ", long{first} + count, " of an order of ",
            N, ", counted from 0, at least one");
    for (int k = first; k < first + count; ++k)
        require(order[k] >= 0 && order[k] < held, "rlhf: there is no pair ", order[k], " among ", pairs.chosen.count(),
                " chosen and ", pairs.rejected.count(), " rejected answers, counted from 0");
    const std::vector<int> rows(order.begin() + first, order.begin() + first + count);
    const ppo::Episodes chosen = select(pairs.chosen, rows), rejected = select(pairs.rejected, rows);
    require_same_prompts(chosen, rejected, rows);
    return dpo::join(chosen.tokens, answer_labels(chosen), rejected.tokens, answer_labels(rejected), count, padding_token);
}

static DpoRecipe sound(DpoRecipe recipe, int pairs, Where where) {
    require(recipe.epochs >= 0, where, "rlhf: ", recipe.epochs, " epochs of DPO, it must not be negative");
    const float beta = recipe.objective.beta;
    require(beta > 0 && std::isfinite(beta), where, "rlhf: a beta of ", beta, ", it must be above 0 and finite; 0.1 is usual");
    require(recipe.objective.label_smoothing >= 0 && recipe.objective.label_smoothing < 0.5f, where, "rlhf: labels smoothed by ",
            recipe.objective.label_smoothing, ", it must be from 0 to below 0.5; 0 turns it off");
    require_sound(recipe.training, where);
    require(pairs >= recipe.training.batch, where, "rlhf: ", pairs, " preference pairs, a batch needs ", recipe.training.batch,
            "; rank more answers or take a smaller batch");
    recipe.training.schedule.steps = recipe.epochs * (pairs / recipe.training.batch);
    return recipe;
}

DpoTrainer::DpoTrainer(const gpt::Weights& given_reference, const gpt::Config& config, const DpoRecipe& given, int pairs,
                       Where where)
    : config(config),
      recipe(sound(given, pairs, where)),
      reference(given_reference),
      policy(ppo::from_language_model(reference, config).trunk),  // a copy
      trainer(nothing_decays(variables(gpt::parameters(policy, config))), recipe.training, where) {}

namespace {
struct PreferenceLoss : Objective {
    const DpoTrainer& run;
    const PreferencePairs& pairs;
    std::vector<int> order;
    int next = 0;  // start of the next batch in `order`
    DpoStep measured;

    PreferenceLoss(const DpoTrainer& run, const PreferencePairs& pairs, std::vector<int> order)
        : run(run), pairs(pairs), order(std::move(order)) {}

    dpo::LogProbabilities frozen_log_probabilities(const dpo::Batch& batch) const {
        const NoTape frozen;
        return dpo::log_probabilities(batch, run.reference, run.config);
    }

    Var loss(int) override {
        const int B = run.recipe.training.batch;
        const dpo::Batch batch = dpo_batch(pairs, order, next, B, run.recipe.padding_token);
        next += B;
        const dpo::LogProbabilities reference = frozen_log_probabilities(batch);
        const dpo::LogProbabilities policy = dpo::log_probabilities(batch, run.policy, run.config);
        const dpo::LossSteps steps = dpo::loss(policy, reference, run.recipe.objective);
        const Matrix &chosen = steps.chosen_rewards, &rejected = steps.rejected_rewards;  // (B, 1)  beta (log pi - log pi_ref)
        const float beta = run.recipe.objective.beta;
        measured = {.loss = steps.loss.value()(0, 0),
                    .accuracy = steps.accuracy,
                    .chosen = ppo::mean_of({chosen.begin(), chosen.end()}) / beta,
                    .rejected = ppo::mean_of({rejected.begin(), rejected.end()}) / beta};
        return steps.loss;  // (1, 1)
    }
};
}  // namespace

std::vector<DpoStep> dpo_epoch(DpoTrainer& run, const PreferencePairs& pairs, Random& random, Watcher* watcher) {
    const int batches = pairs.count() / run.recipe.training.batch;
    require(batches > 0, "rlhf: ", pairs.count(), " preference pairs, a batch needs ", run.recipe.training.batch,
            "; rank more answers or take a smaller batch");
    PreferenceLoss objective(run, pairs, permutation(random, pairs.count()));
    std::vector<DpoStep> steps;
    bool continues = true;
    for (int b = 0; b < batches && continues; ++b) {
        const int step = run.trainer.optimizer.steps;
        train_step(objective, run.trainer);
        steps.push_back(objective.measured);
        if (watcher != nullptr) continues = watcher->after_step(step, steps.back().loss);
    }
    return steps;
}

}  // namespace rlhf
