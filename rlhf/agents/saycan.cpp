#include "rlhf/agents/saycan.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/text/batch.h"

namespace saycan {

// --- usefulness: the language model ---

static void check(const std::vector<int>& context, const Skills& skills, const gpt::Config& config) {
    require(!context.empty() && skills.count() > 0, "saycan: a context of ", context.size(), " tokens and ", skills.count(),
            " skills, both must be at least 1");
    for (int k = 0; k < skills.count(); ++k) {
        require(!skills.tokens[k].empty(), "saycan: skill ", k, " of ", skills.count(),
                " has no token; a description needs at least 1");
        const std::size_t total = context.size() + skills.tokens[k].size();
        require(total <= static_cast<std::size_t>(config.positions), "saycan: a context of ", context.size(),
                " tokens and skill ", k, " of ", skills.tokens[k].size(), " exceed the ", config.positions,
                " positions of the language model; shorten one of them");
        for (const int token : skills.tokens[k])
            require(token >= 0 && token < config.vocabulary, "saycan: token ", token, " of skill ", k,
                    ", the language model knows ", config.vocabulary, ", counted from 0");
    }
}

// log p(token) from one row of logits, in double
static double log_probability(const float* logits, int count, int token) {
    const float largest = *std::max_element(logits, logits + count);
    double total = 0;
    for (int v = 0; v < count; ++v) total += std::exp(static_cast<double>(logits[v]) - largest);
    return logits[token] - largest - std::log(total);
}

std::vector<double> log_probabilities(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                      const gpt::Config& config) {
    check(context, skills, config);
    const NoTape no_tape;
    std::vector<std::vector<int>> rows;
    for (const std::vector<int>& skill : skills.tokens) {
        rows.push_back(context);
        rows.back().insert(rows.back().end(), skill.begin(), skill.end());
    }
    const TokenBatch batch = make_batch(rows);                                              // (K, P + L) padded on the right
    const Matrix logits = gpt::forward(batch.ids, batch.length, w, config).logits.value();  // (K*(P+L), V)
    std::vector<double> sums;
    for (int k = 0; k < skills.count(); ++k) {
        double sum = 0;
        for (std::size_t j = 0; j < skills.tokens[k].size(); ++j) {
            const int predicted_at = k * batch.length + static_cast<int>(context.size() + j) - 1;  // the last context token first
            sum += log_probability(logits.row(predicted_at), logits.cols, skills.tokens[k][j]);
        }
        sums.push_back(sum);
    }
    return sums;
}

std::vector<double> log_probabilities_with_cache(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                                 const gpt::Config& config) {
    check(context, skills, config);
    std::size_t longest = 0;
    for (const std::vector<int>& skill : skills.tokens) longest = std::max(longest, skill.size());
    gpt::Cache seen = gpt::make_cache(config, 1, static_cast<int>(context.size() + longest));
    const Matrix after_context = gpt::next_logits(context, w, config, seen);  // (1, V)
    std::vector<double> sums;
    for (const std::vector<int>& skill : skills.tokens) {
        gpt::Cache reading = gpt::select_sequences(seen, {0});  // continues from a copy
        Matrix logits = after_context;
        double sum = 0;
        for (std::size_t j = 0; j < skill.size(); ++j) {
            if (j > 0) logits = gpt::next_logits({skill[j - 1]}, w, config, reading);
            sum += log_probability(logits.row(0), logits.cols, skill[j]);
        }
        sums.push_back(sum);
    }
    return sums;
}

// --- feasibility: affordances ---

Matrix learned_affordances(const Matrix& success, int trials, float rate, Random& random) {
    require(rate > 0 && rate <= 1, "saycan: a learning rate of ", rate, ", it must be above 0 and at most 1");
    require(trials >= 1, "saycan: ", trials, " trials of each skill, at least 1 is needed");
    for (const float p : success)
        require(p >= 0 && p <= 1, "saycan: a chance of success of ", p, ", it must lie between 0 and 1");
    Matrix V(success.rows, success.cols);
    for (int s = 0; s < success.rows; ++s)
        for (int k = 0; k < success.cols; ++k)
            for (int trial = 0; trial < trials; ++trial) {
                const float reward = random.uniform() < success(s, k) ? 1 : 0;
                V(s, k) += rate * (reward - V(s, k));  // the trial ends here: no next state
            }
    return V;
}

// --- the plan ---

static int first_largest(const std::vector<double>& scores) {
    return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

static StepOfPlan one_step(const std::vector<int>& context, int state, const Skills& skills, const World& world,
                           const gpt::Weights& w, const gpt::Config& config, Choice choice) {
    StepOfPlan step{.state = state, .log_say = log_probabilities(context, skills, w, config)};
    for (int k = 0; k < skills.count(); ++k) {
        require(std::isfinite(step.log_say[k]), "saycan: the log-probability of skill ", k, " is ", step.log_say[k],
                ", it must be finite; the language model may hold NaN, trap_nan(true) names the operation");
        step.say.push_back(std::exp(step.log_say[k]));
        step.can.push_back(world.affordance(state, k));
        step.combined.push_back(step.say[k] * step.can[k]);
    }
    step.would_say = first_largest(step.say);
    step.could_do = first_largest(step.can);
    step.chosen = choice == Choice::say ? step.would_say : choice == Choice::can ? step.could_do : first_largest(step.combined);
    return step;
}

Plan make_plan(const std::vector<int>& instruction, int start, const Skills& skills, const World& world, const gpt::Weights& w,
               const gpt::Config& config, int longest, Choice choice) {
    const int S = world.affordance.rows, K = skills.count();
    require(world.affordance.cols == K && static_cast<int>(world.next_state.size()) == S * K, "saycan: affordances ",
            world.affordance, " and ", world.next_state.size(), " next states for ", K,
            " skills; each state needs both for each skill");
    for (const float p : world.affordance)
        require(p >= 0 && p <= 1, "saycan: an affordance of ", p, ", a probability lies between 0 and 1");
    for (const int next : world.next_state)
        require(next >= 0 && next < S, "saycan: a skill leads to state ", next, " of ", S, ", counted from 0");
    require(start >= 0 && start < S, "saycan: state ", start, " of ", S, ", counted from 0");
    require(skills.done >= -1 && skills.done < K, "saycan: the skill that ends a plan is ", skills.done, " of ", K,
            ", counted from 0");
    require(longest >= 1, "saycan: a plan of at most ", longest, " steps, it must be at least 1");
    Plan plan{.steps = {}, .context = instruction};
    int state = start;
    for (int t = 0; t < longest; ++t) {
        plan.steps.push_back(one_step(plan.context, state, skills, world, w, config, choice));
        const int chosen = plan.steps.back().chosen;
        if (chosen == skills.done) {
            plan.stopped_by_done = true;
            return plan;
        }
        state = world.next_state[static_cast<std::size_t>(state) * K + chosen];
        const std::vector<int>& words = skills.tokens[chosen];  // the history records the choice, whether or not it succeeded
        plan.context.insert(plan.context.end(), words.begin(), words.end());
    }
    return plan;
}

}  // namespace saycan
