#include "rlhf/dpo.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"

namespace dpo {

static int row_length(const char* which, const std::vector<int>& tokens, const std::vector<int>& labels, int pairs) {
    require(pairs > 0 && !tokens.empty() && tokens.size() % pairs == 0 && tokens.size() == labels.size(), "dpo: ", tokens.size(),
            " tokens and ", labels.size(), " labels of ", which, " answers do not form ", pairs,
            " rows; all rows need the same number of tokens, padded, and a label for each");
    return static_cast<int>(tokens.size()) / pairs;
}

// Shifts labels by one position, to the row that predicts them; the label of a row's first token is dropped.
static void append_rows(Batch& batch, const std::vector<int>& tokens, const std::vector<int>& labels, int length,
                        int padding_token) {
    for (int b = 0; b < batch.pairs; ++b) {
        for (int t = 0; t < batch.length; ++t) {
            batch.tokens.push_back(t < length ? tokens[b * length + t] : padding_token);
            batch.labels.push_back(t + 1 < length ? labels[b * length + t + 1] : ignored_label);
        }
    }
}

Batch join(const std::vector<int>& chosen_tokens, const std::vector<int>& chosen_labels, const std::vector<int>& rejected_tokens,
           const std::vector<int>& rejected_labels, int pairs, int padding_token) {
    const int chosen_length = row_length("chosen", chosen_tokens, chosen_labels, pairs);
    const int rejected_length = row_length("rejected", rejected_tokens, rejected_labels, pairs);
    Batch batch{.tokens = {}, .labels = {}, .length = std::max(chosen_length, rejected_length), .pairs = pairs};
    append_rows(batch, chosen_tokens, chosen_labels, chosen_length, padding_token);
    append_rows(batch, rejected_tokens, rejected_labels, rejected_length, padding_token);
    return batch;
}

// An answer without a token has probability 1, and a pair of two would teach nothing.
static void require_labels(const Batch& batch) {
    const int B = batch.pairs, T = batch.length;
    require(B > 0 && T > 0 && batch.labels.size() == 2 * static_cast<std::size_t>(B) * T, "dpo: ", batch.labels.size(),
            " labels are not those of ", B, " pairs of two answers in ", T, " tokens; join makes such a batch");
    for (int row = 0; row < 2 * B; ++row) {
        const auto first = batch.labels.begin() + static_cast<long>(row) * T;
        const bool has_label = std::any_of(first, first + T, [](int label) { return label != ignored_label; });
        require(has_label, "dpo: the ", row < B ? "chosen" : "rejected", " answer of pair ", row % B,
                " has no labelled token; leave the pair out");
    }
}

LogProbabilities log_probabilities(const Batch& batch, const gpt::Weights& w, const gpt::Config& config) {
    const int B = batch.pairs, T = batch.length;
    require_labels(batch);
    const gpt::Steps steps = gpt::forward(batch.tokens, T, w, config);  // (2B*T, V)
    const Var nll = token_losses(steps.logits, batch.labels);           // (2B*T, 1)
    LogProbabilities result;
    result.tokens = scale(slice_cols(reshape(nll, 2 * B, T), 0, T - 1), -1);  // (2B, T-1)
    const Var sums = row_sums(result.tokens);                                 // (2B, 1)
    result.chosen = slice_rows(sums, 0, B);
    result.rejected = slice_rows(sums, B, B);
    return result;
}

LossSteps loss(const LogProbabilities& policy, const LogProbabilities& reference, const Config& config) {
    const float beta = config.beta, eps = config.label_smoothing;
    require(beta > 0 && std::isfinite(beta), "dpo: beta is ", beta, ", it must be a number above 0; 0.1 is usual");
    require(eps >= 0 && eps < 0.5f, "dpo: a label smoothing of ", eps,
            ", it must be from 0 to below 0.5: from 0.5 on the labels would be uninformative or inverted");
    require(policy.chosen && policy.rejected && reference.chosen && reference.rejected,
            "dpo: log-probabilities are missing; compute those of policy and reference with log_probabilities");
    for (const Var& other : {policy.rejected, reference.chosen, reference.rejected})
        require(same_shape(other.value(), policy.chosen.value()), "dpo: log-probabilities ", policy.chosen.value(), " and ",
                other.value(), ", policy and reference must be of the same pairs");
    const Matrix& ref_chosen = reference.chosen.value();
    const Matrix& ref_rejected = reference.rejected.value();
    LossSteps steps;
    const Var pi = subtract(policy.chosen, policy.rejected);        // (B, 1)
    const Matrix ref = subtract(ref_chosen, ref_rejected).value();  // (B, 1)
    steps.margin = config.reference_free ? pi : subtract(pi, ref);  // (B, 1)  h
    if (config.form == Form::ipo) {
        steps.losses = square(shift(steps.margin, -1 / (2 * beta)));  // (B, 1)  [IPO 17]
    } else {
        const Var right = softplus(scale(steps.margin, -beta));        // (B, 1)  -log sigmoid(beta h)   [DPO 7]
        const Var wrong = softplus(scale(steps.margin, beta));         // (B, 1)  -log sigmoid(-beta h)
        steps.losses = add(scale(right, 1 - eps), scale(wrong, eps));  // (B, 1)  [cDPO 3]
    }
    steps.loss = mean(steps.losses);
    steps.chosen_rewards = scale(subtract(policy.chosen.value(), ref_chosen), beta).value();
    steps.rejected_rewards = scale(subtract(policy.rejected.value(), ref_rejected), beta).value();
    steps.reward_margins = subtract(steps.chosen_rewards, steps.rejected_rewards).value();
    const long in_order = std::count_if(steps.reward_margins.begin(), steps.reward_margins.end(), [](float m) { return m > 0; });
    steps.accuracy = static_cast<float>(in_order) / static_cast<float>(steps.reward_margins.size());
    return steps;
}

}  // namespace dpo
