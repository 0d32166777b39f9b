// rlhf.cpp: the questions for the tasks of the module rlhf.
#include <algorithm>
#include <functional>

#include "course/drawn/drawn.h"
#include "nn/autograd/operations.h"
#include "rlhf/dpo.h"
#include "rlhf/ppo.h"
#include "rlhf/preferences.h"
#include "rlhf/reward_model.h"

// Answers of several rankings, not sorted; some ranks are equal.
static void draw_rankings(Random& random, int answers, int rankings, std::vector<int>& group, std::vector<int>& ranks) {
    for (int n = 0; n < answers; ++n) {
        group.push_back(random.below(rankings));
        ranks.push_back(between(random, 1, 4));
    }
}

static Matrix numbers_of(const preferences::Pairs& pairs) {
    require(pairs.list.size() == pairs.group.size(), pairs.list.size(), " pairs, ", pairs.group.size(),
            " of them have a ranking");
    Matrix m(static_cast<int>(pairs.list.size()), 3);
    for (int p = 0; p < m.rows; ++p) {
        m(p, 0) = static_cast<float>(pairs.list[p].better), m(p, 1) = static_cast<float>(pairs.list[p].worse);
        m(p, 2) = static_cast<float>(pairs.group[p]);
    }
    return m;
}

static const Drawn pairs("all_pairs", [](Random& random, int round, Answers& answers) {
    std::vector<int> group, ranks;
    draw_rankings(random, 9 + 2 * round, between(random, 3, 5), group, ranks);
    std::vector<int> order = permutation(random, 5 + round);
    for (int& rank : order) ++rank;
    const std::vector<int> alone(order.size());
    answers.ask("one ranking without ties", [&] { return numbers_of(preferences::all_pairs(alone, order)); });
    answers.ask("three rankings with ties", [&] { return numbers_of(preferences::all_pairs(group, ranks)); });
    answers.ask("the number of rankings", [&] { return static_cast<float>(preferences::all_pairs(group, ranks).groups); });
    order.insert(order.end(), {2, 2, 2});
    std::vector<int> and_ties(alone);
    and_ties.insert(and_ties.end(), 3, 1);
    answers.ask("a ranking, and one of nothing but ties", [&] { return numbers_of(preferences::all_pairs(and_ties, order)); });
});

static const Drawn reward_loss("reward_loss", [](Random& random, int round, Answers& answers) {
    // Written out here, so that one task does not depend on another. The third ranking is all ties.
    preferences::Pairs pairs;
    pairs.list = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {3, 2}, {5, 4}, {6, 7}, {6, 8}, {7, 8}};
    pairs.group = {0, 0, 0, 0, 0, 1, 3, 3, 3};
    pairs.groups = 4;
    const int answered = 9 + round;  // no answer after the ninth is in a pair
    const Var rewards = parameter(normal_matrix(random, answered, 1));
    const auto steps = [&] { return reward_model::loss(rewards, pairs); };
    answers.ask("differences", [&] { return steps().differences; });
    answers.ask("pair_loss", [&] { return steps().pair_loss; });
    answers.ask("ranking_loss", [&] { return steps().ranking_loss; });
    answers.ask("loss", [&] { return steps().loss; });
    answers.ask("loss_flat", [&] { return steps().loss_flat; });
    answers.ask("probability", [&] { return steps().probability; });
    answers.ask("accuracy", [&] { return steps().accuracy; });
    answers.ask("gradient", [&] {
        const Tape tape;
        backward(steps().loss);
        return Matrix(rewards.gradient());
    });
});

// A prompt, an answer, padding: 0 ... 0 1 ... 1 0 ... 0 in every row.
static Matrix answer_places(Random& random, int B, int T) {
    Matrix mask(B, T);
    for (int b = 0; b < B; ++b) {
        const int first = random.below(3), end = between(random, first + 2, T - 1);
        std::fill(mask.row(b) + first, mask.row(b) + end, 1.0f);
    }
    return mask;
}

static Matrix only_at(Matrix x, const Matrix& mask) {
    std::transform(x.begin(), x.end(), mask.begin(), x.begin(), std::multiplies<float>());
    return x;
}

static const Drawn whitening("whiten", [](Random& random, int round, Answers& answers) {
    const int B = 2 + round, T = 7;
    const Matrix mask = answer_places(random, B, T);
    Matrix x = normal_matrix(random, B, T, 2), nearly = Matrix(B, T);  // around 0: a mean of floats would lose digits elsewhere
    for (float& number : x) number += 0.8f;
    for (int k = 0; float& number : nearly) number = 1e-4f * static_cast<float>(k++ % 3);
    answers.ask("everything counts", [&] { return ppo::whiten(x, Matrix(B, T, 1)); });
    answers.ask("only answers count", [&] { return ppo::whiten(x, mask); });
    answers.ask("the mean is kept", [&] { return ppo::whiten(x, mask, true); });
    answers.ask("numbers that are nearly equal", [&] { return ppo::whiten(nearly, mask); });
});

static const Drawn advantages("advantages", [](Random& random, int round, Answers& answers) {
    const int B = 2 + round, T = 6;
    const Matrix mask = answer_places(random, B, T), all(B, T, 1);
    const Matrix rewards = normal_matrix(random, B, T), values = normal_matrix(random, B, T);
    answers.ask("one step: trace 0", [&] { return ppo::generalised_advantages(rewards, values, all, 0.9f, 0); });
    answers.ask("the whole return: trace 1", [&] { return ppo::generalised_advantages(rewards, values, all, 1, 1); });
    answers.ask("discount and trace", [&] { return ppo::generalised_advantages(rewards, values, all, 0.9f, 0.7f); });
    answers.ask("prompts and padding",
                [&] { return ppo::generalised_advantages(only_at(rewards, mask), only_at(values, mask), mask, 0.95f, 0.8f); });
    answers.ask("numbers outside the answers", [&] { return ppo::generalised_advantages(rewards, values, mask, 0.95f, 0.8f); });
});

static const Drawn ppo_loss("ppo_loss", [](Random& random, int round, Answers& answers) {
    const int B = 3, T = 6 + round, V = 5;
    const Matrix mask = answer_places(random, B, T);
    const Matrix old_log_p = only_at(uniform_matrix(random, B, T, -3, -0.5f), mask),
                 old_values = only_at(normal_matrix(random, B, T), mask);
    Matrix log_p = old_log_p, values = old_values;
    add_to(log_p, only_at(normal_matrix(random, B, T, 0.4f), mask));
    add_to(values, only_at(normal_matrix(random, B, T, 0.4f), mask));
    ppo::RewardSteps rewards;
    rewards.advantages = only_at(normal_matrix(random, B, T), mask);
    rewards.returns = only_at(normal_matrix(random, B, T), mask);
    ppo::PolicySteps policy;
    policy.log_probabilities = parameter(log_p);
    policy.values = parameter(values);
    policy.trunk.logits = normal_matrix(random, B * (T + 1), V);
    const ppo::Config config{.clip = 0.25f, .value_clip = 0.3f, .value_weight = 0.15f};
    const auto steps = [&] { return ppo::loss(policy, old_log_p, old_values, rewards, mask, config); };
    answers.ask("ratio", [&] { return steps().ratio; });
    answers.ask("policy_loss", [&] { return steps().policy_loss; });
    answers.ask("value_loss", [&] { return steps().value_loss; });
    answers.ask("loss", [&] { return steps().loss; });
    answers.ask("policy_clip_fraction", [&] { return steps().policy_clip_fraction; });
    answers.ask("value_clip_fraction", [&] { return steps().value_clip_fraction; });
    answers.ask("entropy", [&] { return steps().entropy; });
    answers.ask("approximate_kl", [&] { return steps().approximate_kl; });
    answers.ask("policy_kl", [&] { return steps().policy_kl; });
    answers.ask("gradients", [&] {
        const Tape tape;
        backward(steps().loss);
        Matrix both = policy.log_probabilities.gradient();
        add_to(both, scale(policy.values.gradient(), 3).value());
        return both;
    });
});

static const Drawn dpo_loss("dpo_loss", [](Random& random, int round, Answers& answers) {
    const int B = 3 + round;
    dpo::LogProbabilities policy, reference;
    policy.chosen = parameter(uniform_matrix(random, B, 1, -9, -3));
    policy.rejected = parameter(uniform_matrix(random, B, 1, -9, -3));
    reference.chosen = uniform_matrix(random, B, 1, -9, -3);
    reference.rejected = uniform_matrix(random, B, 1, -9, -3);
    const dpo::Config plain{.beta = 0.3f}, smooth{.beta = 0.3f, .label_smoothing = 0.2f},
        ipo{.beta = 0.4f, .form = dpo::Form::ipo};
    const dpo::Config alone{.reference_free = true};
    const auto steps = [&](const dpo::Config& config) { return dpo::loss(policy, reference, config); };
    answers.ask("margin", [&] { return steps(plain).margin; });
    answers.ask("losses", [&] { return steps(plain).losses; });
    answers.ask("loss", [&] { return steps(plain).loss; });
    answers.ask("losses with smoothed labels", [&] { return steps(smooth).losses; });
    answers.ask("losses of IPO", [&] { return steps(ipo).losses; });
    answers.ask("margin without a reference", [&] { return steps(alone).margin; });
    answers.ask("chosen_rewards", [&] { return steps(plain).chosen_rewards; });
    answers.ask("rejected_rewards", [&] { return steps(plain).rejected_rewards; });
    answers.ask("reward_margins", [&] { return steps(plain).reward_margins; });
    answers.ask("accuracy", [&] { return steps(plain).accuracy; });
    answers.ask("gradient of chosen", [&] {
        const Tape tape;
        backward(steps(plain).loss);
        return Matrix(policy.chosen.gradient());
    });
});
