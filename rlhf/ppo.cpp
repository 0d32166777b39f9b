#include "rlhf/ppo.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"

namespace ppo {

// --- episodes ---

Matrix answer_mask(const Episodes& episodes) {
    const int B = episodes.count(), T = episodes.length;
    require(B > 0 && T > 0, "ppo: ", B, " episodes of ", T, " tokens; there must be at least one of each");
    require(static_cast<int>(episodes.answer_lengths.size()) == B && static_cast<int>(episodes.tokens.size()) == B * T,
            "ppo: ", episodes.tokens.size(), " tokens, ", B, " prompts and ", episodes.answer_lengths.size(),
            " answers do not form episodes of ", T, " tokens; each prompt needs an answer, filled up to that length");
    Matrix mask(B, T - 1);
    for (int b = 0; b < B; ++b) {
        const int prompt = episodes.prompt_lengths[b], answer = episodes.answer_lengths[b];
        require(prompt >= 1 && answer >= 0 && answer <= T - prompt, "ppo: episode ", b, " has a prompt of ", prompt,
                " and an answer of ", answer, " tokens of ", T);
        for (int t = prompt - 1; t < prompt + answer - 1; ++t) mask(b, t) = 1;  // the action at t is token t+1
    }
    return mask;
}

Episodes roll_out(const std::vector<int>& prompts, int prompt_length, const gpt::Weights& policy, const gpt::Config& config,
                  int new_tokens, int end_token, int padding_token, const Matrix& draws) {
    require(new_tokens > 0, "ppo: answers of up to ", new_tokens, " tokens, each must be at least 1");
    require(padding_token >= 0 && padding_token < config.vocabulary, "ppo: padding with token ", padding_token,
            ", the model knows ", config.vocabulary, "; any of them will do");
    const Limits limits{.new_tokens = new_tokens, .end_of_text = end_token};
    const auto answers = gpt::generate(prompts, prompt_length, policy, config, limits, {}, draws);
    Episodes episodes;
    episodes.length = prompt_length + new_tokens;
    for (std::size_t b = 0; b < answers.size(); ++b) {
        const auto prompt = prompts.begin() + static_cast<long>(b) * prompt_length;
        std::vector<int>& tokens = episodes.tokens;
        tokens.insert(tokens.end(), prompt, prompt + prompt_length);
        tokens.insert(tokens.end(), answers[b].begin(), answers[b].end());
        tokens.resize((b + 1) * static_cast<std::size_t>(episodes.length), padding_token);
        episodes.prompt_lengths.push_back(prompt_length);
        episodes.answer_lengths.push_back(static_cast<int>(answers[b].size()));
    }
    return episodes;
}

// The next token of each row where it belongs to an answer, else ignored_label.
static std::vector<int> answer_labels(const Episodes& episodes, const Matrix& mask) {
    const int T = episodes.length;
    std::vector<int> labels = next_tokens(episodes.tokens, T);
    for (int b = 0; b < episodes.count(); ++b)
        for (int t = 0; t + 1 < T; ++t)
            if (mask(b, t) == 0) labels[b * T + t] = ignored_label;
    return labels;
}

// One number per row, (B*T, 1) -> (B, T-1): the last token of an episode predicts nothing.
static Var by_episode(const Var& column, const Episodes& episodes) {
    const Var rows = reshape(column, episodes.count(), episodes.length);
    return slice_cols(rows, 0, episodes.length - 1);
}

Var token_log_probabilities(const Var& logits, const Episodes& episodes) {
    const std::vector<int> labels = answer_labels(episodes, answer_mask(episodes));
    const Var nll = token_losses(logits, labels);  // (B*T, 1)
    return scale(by_episode(nll, episodes), -1);   // (B, T-1)
}

PolicySteps forward(const Episodes& episodes, const Weights& w, const gpt::Config& config) {
    PolicySteps steps;
    steps.trunk = gpt::forward(episodes.tokens, episodes.length, w.trunk, config);    // (B*T, V)
    steps.log_probabilities = token_log_probabilities(steps.trunk.logits, episodes);  // (B, T-1)
    const Var values = by_episode(linear(steps.trunk.hidden, w.value), episodes);     // (B, T-1)
    steps.values = multiply(values, answer_mask(episodes));                           // (B, T-1)
    return steps;
}

// --- from a score to advantages ---

float masked_mean(const Matrix& x, const Matrix& mask) {
    require(same_shape(x, mask), "ppo: numbers ", x, " for a mask ", mask, ", the shapes must be equal");
    double total = 0, count = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
        total += x[k] * mask[k];
        count += mask[k];
    }
    require(count > 0, "ppo: none of ", mask.size(), " tokens belongs to an answer; at least one must");
    return static_cast<float>(total / count);
}

Matrix whiten(const Matrix& x, const Matrix& mask, bool keep_mean) {
    const float mean = masked_mean(x, mask);
    double sum_of_squares = 0, count = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
        sum_of_squares += mask[k] * (x[k] - mean) * (x[k] - mean);
        count += mask[k];
    }
    require(count > 1, "ppo: whitening needs two answer tokens, here is ", count, "; roll out longer answers or more prompts");
    const float standard_deviation = static_cast<float>(std::sqrt(sum_of_squares / (count - 1) + 1e-8));
    Matrix white(x.rows, x.cols);
    for (std::size_t k = 0; k < x.size(); ++k)
        if (mask[k] == 1) white[k] = (x[k] - mean) / standard_deviation + (keep_mean ? mean : 0);
    return white;
}

Matrix generalised_advantages(const Matrix& rewards, const Matrix& values, const Matrix& mask, float discount, float trace) {
    require(same_shape(values, rewards) && same_shape(mask, rewards), "generalised_advantages: rewards ", rewards, ", values ",
            values, " and a mask ", mask, ", the shapes must be equal");
    require(discount >= 0 && discount <= 1 && trace >= 0 && trace <= 1, "generalised_advantages: a discount of ", discount,
            " and a lambda of ", trace, ", both must be from 0 to 1; 1 and 0.95 are usual");
    Matrix advantages(rewards.rows, rewards.cols);
    for (int b = 0; b < rewards.rows; ++b) {
        float next_value = 0, next_advantage = 0;  // beyond the end of the answer there is nothing
        for (int t = rewards.cols - 1; t >= 0; --t) {
            if (mask(b, t) == 0) continue;
            const float delta = rewards(b, t) + discount * next_value - values(b, t);
            advantages(b, t) = delta + discount * trace * next_advantage;  // [GAE 16]
            next_value = values(b, t);
            next_advantage = advantages(b, t);
        }
    }
    return advantages;
}

static float penalty_of(float log_ratio, Penalty penalty) {
    switch (penalty) {
        case Penalty::kl: return log_ratio;
        case Penalty::abs: return std::abs(log_ratio);
        case Penalty::square: return 0.5f * log_ratio * log_ratio;
    }
    return 0;
}

static void require_kl_coefficient(float beta) {
    require(beta >= 0 && std::isfinite(beta), "ppo: a KL coefficient of ", beta,
            ", it must be finite and at least 0; 0.2 is usual, 0 turns the penalty off");
}

RewardSteps rewards_and_advantages(const std::vector<float>& scores, const Matrix& old_log_probabilities,
                                   const Matrix& reference_log_probabilities, const Matrix& old_values, const Matrix& mask,
                                   float beta, const Config& config) {
    const int B = mask.rows, columns = mask.cols;
    require(static_cast<int>(scores.size()) == B && same_shape(old_log_probabilities, mask) &&
                same_shape(reference_log_probabilities, mask) && same_shape(old_values, mask),
            "ppo: ", scores.size(), " scores, log-probabilities ", old_log_probabilities, " and ", reference_log_probabilities,
            ", values ", old_values, " for a mask of ", mask, "; each token needs one of each");
    require_kl_coefficient(beta);
    for (int b = 0; b < B; ++b)
        require(std::isfinite(scores[b]), "ppo: the score of episode ", b, " is ", scores[b],
                ", it must be a number; look for a NaN in the reward model");
    for (std::size_t k = 0; k < mask.size(); ++k) {
        require(mask[k] == 0 || mask[k] == 1, "ppo: the mask of token ", k, " is ", mask[k],
                ", it must be 1 (of an answer) or 0");
        const float kl = old_log_probabilities[k] - reference_log_probabilities[k];
        require(std::isfinite(kl) && std::isfinite(old_values[k]), "ppo: token ", k, " has the log-probabilities ",
                old_log_probabilities[k], " and ", reference_log_probabilities[k], " and the value ", old_values[k],
                ", all must be finite; look for a NaN in the policy, the reference or the value head");
    }
    RewardSteps steps;
    steps.kl = Matrix(B, columns);
    steps.non_score_reward = Matrix(B, columns);
    for (std::size_t k = 0; k < mask.size(); ++k) {
        steps.kl[k] = mask[k] * penalty_of(old_log_probabilities[k] - reference_log_probabilities[k], config.penalty);
        steps.non_score_reward[k] = -beta * steps.kl[k];
    }
    steps.rewards = steps.non_score_reward;
    for (int b = 0; b < B; ++b) {
        int last = columns - 1;  // the last token of the answer, not of the padded row
        while (last >= 0 && mask(b, last) == 0) --last;
        if (last >= 0) steps.rewards(b, last) += scores[b];
    }
    steps.rewards_used = config.whiten_rewards ? whiten(steps.rewards, mask, true) : steps.rewards;
    steps.advantages_raw = generalised_advantages(steps.rewards_used, old_values, mask, config.discount, config.trace);
    steps.returns = steps.advantages_raw;
    for (std::size_t k = 0; k < mask.size(); ++k) steps.returns[k] += mask[k] * old_values[k];
    steps.advantages = whiten(steps.advantages_raw, mask);
    return steps;
}

// --- the loss ---

// sum(x mask) / sum(mask), differentiable
static Var masked_mean(const Var& x, const Matrix& mask) {
    const float count = std::accumulate(mask.begin(), mask.end(), 0.0f);
    require(count > 0, "ppo: none of ", mask.size(), " tokens belongs to an answer; at least one must");
    return scale(sum(multiply(x, mask)), 1 / count);
}

// Fraction of the masked positions where `clipped` is the larger loss.
static float share_where_larger(const Var& clipped, const Var& plain, const Matrix& mask) {
    Matrix larger(mask.rows, mask.cols);
    for (std::size_t k = 0; k < mask.size(); ++k) larger[k] = clipped.value()[k] > plain.value()[k];
    return masked_mean(larger, mask);
}

// -sum_v p_v log p_v of every row that precedes an answer token, and their mean.
static float mean_entropy(const Var& logits, const Matrix& mask) {
    const Matrix log_p = log_softmax_rows(logits.value()).value();  // (B*T, V)
    const int T = mask.cols + 1;
    Matrix entropy(mask.rows, mask.cols);
    for (int b = 0; b < mask.rows; ++b)
        for (int t = 0; t < mask.cols; ++t) {
            const float* const row = log_p.row(b * T + t);
            double total = 0;
            for (int v = 0; v < log_p.cols; ++v) total -= std::exp(row[v]) * row[v];
            entropy(b, t) = static_cast<float>(total);
        }
    return masked_mean(entropy, mask);
}

static void require_sound(const Config& config) {
    require(config.clip > 0 && config.value_clip > 0, "ppo: ratios clipped at ", config.clip, " and values at ",
            config.value_clip, ", both must be above 0; 0.2 is usual");
    require(std::isfinite(config.value_weight) && config.value_weight >= 0, "ppo: the value loss times ", config.value_weight,
            ", the factor must be finite and at least 0; 0.1 is usual");
}

LossSteps loss(const PolicySteps& policy, const Matrix& old_log_probabilities, const Matrix& old_values,
               const RewardSteps& rewards, const Matrix& mask, const Config& config) {
    const Matrix& log_probabilities = policy.log_probabilities.value();
    require(same_shape(log_probabilities, mask) && same_shape(old_log_probabilities, mask) &&
                same_shape(policy.values.value(), mask) && same_shape(old_values, mask),
            "ppo: log-probabilities ", log_probabilities, " and ", old_log_probabilities, ", values ", policy.values.value(),
            " and ", old_values, " for a mask of ", mask, "; each token needs one of each");
    require_sound(config);
    LossSteps steps;

    // The ratio of the new to the old probability of each token. Taking the larger of two losses removes the incentive to leave the
    // clipping range, but keeps the gradient back into it.
    const Var log_ratio = multiply(subtract(policy.log_probabilities, old_log_probabilities), mask);  // (B, T-1)
    steps.ratio = exp(log_ratio);                                                                     // (B, T-1)
    const Matrix minus_A = scale(rewards.advantages, -1).value();                                     // (B, T-1)
    const Var plain = multiply(steps.ratio, minus_A);
    const Var clipped = multiply(clamp(steps.ratio, 1 - config.clip, 1 + config.clip), minus_A);
    steps.policy_loss = masked_mean(maximum(plain, clipped), mask);  // (1, 1)  [PPO 7]
    steps.policy_clip_fraction = share_where_larger(clipped, plain, mask);

    // The same for the value: the larger loss of the value and of the value clipped around the old one.
    const Matrix lowest = shift(old_values, -config.value_clip).value(), highest = shift(old_values, config.value_clip).value();
    const Var near_value = maximum(minimum(policy.values, highest), lowest);  // not old + clamp(V - old), which would round V
    const Var error = square(subtract(policy.values, rewards.returns));
    const Var near_error = square(subtract(near_value, rewards.returns));
    steps.value_loss = scale(masked_mean(maximum(error, near_error), mask), 0.5f);
    steps.value_clip_fraction = share_where_larger(near_error, error, mask);

    steps.loss = add(steps.policy_loss, scale(steps.value_loss, config.value_weight));

    // Diagnostics.
    steps.entropy = mean_entropy(policy.trunk.logits, mask);
    steps.approximate_kl = 0.5f * masked_mean(square(log_ratio.value()).value(), mask);
    steps.policy_kl = -masked_mean(log_ratio.value(), mask);
    return steps;
}

// --- the KL coefficient ---

std::vector<float> kl_of_episodes(const Matrix& old_log_probabilities, const Matrix& reference_log_probabilities,
                                  const Matrix& mask) {
    require(same_shape(old_log_probabilities, mask) && same_shape(reference_log_probabilities, mask), "ppo: log-probabilities ",
            old_log_probabilities, " and ", reference_log_probabilities, " for a mask ", mask, ", the shapes must be equal");
    std::vector<float> kl(mask.rows);
    for (int b = 0; b < mask.rows; ++b)
        for (int t = 0; t < mask.cols; ++t)
            kl[b] += mask(b, t) * (old_log_probabilities(b, t) - reference_log_probabilities(b, t));
    return kl;
}

float mean_of(const std::vector<float>& numbers) {
    require(!numbers.empty(), "mean_of: no numbers; give at least one");
    return static_cast<float>(std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size()));
}

float next_kl_coefficient(float beta, float mean_kl, int episodes, const Config& config) {
    require_kl_coefficient(beta);
    if (!config.adaptive) return beta;
    require(config.kl_target > 0 && config.kl_horizon > 0, "next_kl_coefficient: a KL target of ", config.kl_target,
            " and a horizon of ", config.kl_horizon, ", both must be above 0; 6 and 10000 are usual");
    require(std::isfinite(mean_kl) && episodes > 0, "next_kl_coefficient: a mean KL of ", mean_kl, " over ", episodes,
            " episodes; it must be a number, of at least 1 episode");
    const float e = std::clamp(mean_kl / config.kl_target - 1, -0.2f, 0.2f);
    const float factor = 1 + e * episodes / config.kl_horizon;
    require(factor > 0, "next_kl_coefficient: ", episodes, " episodes for a horizon of ", config.kl_horizon,
            " would turn the coefficient to 0 or below; take a horizon above ", 0.2 * episodes);
    return beta * factor;
}

// --- weights ---

Weights from_language_model(const gpt::Weights& trained, const gpt::Config& config) {
    Random unused;  // its draws are overwritten
    Weights w{.trunk = gpt::make_weights(config, unused),
              .value = {.weight = parameter(Matrix(config.width, 1)), .bias = parameter(Matrix(1, 1))}};
    copy_values(gpt::parameters(trained, config), gpt::parameters(w.trunk, config));
    return w;
}

Parameters parameters(const Weights& w, const gpt::Config& config) {
    Parameters table = gpt::parameters(w.trunk, config, "transformer.");
    add_parameters(table, "v_head.summary", w.value);
    return table;
}

}  // namespace ppo
