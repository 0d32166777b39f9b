#include "nn/training/loss.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/base/parallel.h"

namespace {
struct TokenLossesRecord : Record {
    std::vector<int> labels;
    Matrix log_total;  // (n, 1)  log sum_k exp(logit_k)
};
}  // namespace

// forward   loss_i = log sum_k exp(s_ik) - s_i,label
// backward  ds_ij = dloss_i (softmax(s_i)_j - [j = label]), and 0 for an ignored row
static void token_losses_backward(Record& losses) {
    const TokenLossesRecord& kept = static_cast<TokenLossesRecord&>(losses);
    const Matrix& logits = losses.inputs[0].value();
    Matrix ds = Matrix::unset(logits.rows, logits.cols);
    const auto row_backward = [&](int i) {
        float* const to = ds.row(i);
        if (kept.labels[i] == ignored_label) {
            std::fill_n(to, ds.cols, 0.0f);
            return;
        }
        const float* const s = logits.row(i);
        const float dloss = losses.gradient(i, 0), log_total = kept.log_total(i, 0);
        for (int j = 0; j < ds.cols; ++j) to[j] = dloss * fast_exp(s[j] - log_total);
        to[kept.labels[i]] -= dloss;
    };
    parallel_ranges(logits.rows, grain_of_rows(logits.cols), [&](int first, int last) {
        for (int i = first; i < last; ++i) row_backward(i);
    });
    add_gradient(losses.inputs[0], std::move(ds));
}

static Explained token_losses_explained(const Record& y, const std::vector<Var>&) {
    const std::vector<int>& labels = static_cast<const TokenLossesRecord&>(y).labels;  // ignored_label is below 0
    return {.value = "if(label(i) < 0, 0, log(sum(k, cols(a), exp(a(i,k)))) - a(i,label(i)))",
            .gradients = {"if(label(i) < 0, 0, dy(i,0) * (exp(a(i,j)) / sum(k, cols(a), exp(a(i,k))) - (label(i) == j)))"},
            .tables = {{"label", {labels.begin(), labels.end()}}}};
}

Var token_losses(const Var& logits, const std::vector<int>& labels, Where where) {
    const Matrix& s = logits.value();
    require(static_cast<int>(labels.size()) == s.rows, where, "token_losses: ", labels.size(), " labels for the rows of ", s,
            ", each needs one");
    for (const int label : labels)
        require(label == ignored_label || (label >= 0 && label < s.cols), where, "token_losses: label ", label, " is not one of ",
                s.cols, " classes, nor ", ignored_label, " (ignored)");
    Matrix losses(s.rows, 1);
    Matrix log_total(s.rows, 1);
    parallel_ranges(s.rows, grain_of_rows(s.cols), [&](int first, int last) {
        std::vector<float> exponentials(s.cols);  // exp(s_ij - largest); only their sum is used
        for (int i = first; i < last; ++i) {
            if (labels[i] == ignored_label) continue;
            const float* const row = s.row(i);
            const float largest = max_of(row, s.cols);
            const float total = exp_of(row, largest, exponentials.data(), s.cols);
            log_total(i, 0) = largest + std::log(total);
            losses(i, 0) = log_total(i, 0) - row[labels[i]];
        }
    });
    TokenLossesRecord* const kept = new TokenLossesRecord;
    kept->labels = labels;
    kept->log_total = std::move(log_total);
    return record_operation(kept, "token_losses", std::move(losses), {logits}, {token_losses_backward, token_losses_explained},
                            where);
}

Var smoothed_token_losses(const Var& logits, const std::vector<int>& labels, float smoothing, Where where) {
    require(smoothing >= 0 && smoothing < 1, where, "smoothed_token_losses: a smoothing of ", smoothing,
            ", it lies from 0 to below 1");
    const Var losses = token_losses(logits, labels, where);  // (n, 1)  -log p(label), 0 where ignored
    if (smoothing == 0) return losses;
    Matrix counts(logits.rows(), 1);
    for (int i = 0; i < counts.rows; ++i) counts(i, 0) = labels[i] == ignored_label ? 0 : 1;
    const Var of_all = row_means(log_softmax_rows(logits, where), where);  // (n, 1)  mean over the classes of log p
    const Var uniform = multiply(of_all, counts, where);
    return subtract(scale(losses, 1 - smoothing, where), scale(uniform, smoothing, where), where);
}

Var weighted_mean(const Var& losses, const std::vector<float>& weights, float eps, Where where) {
    require(losses.cols() == 1 && losses.rows() == static_cast<int>(weights.size()), where, "weighted_mean: losses ",
            losses.value(), " and ", weights.size(), " weights; losses are one column, and each needs a weight");
    require(eps >= 0 && std::isfinite(eps), where, "weighted_mean: eps is ", eps, ", it must be finite and not below 0");
    Matrix column(losses.rows(), 1);
    double total = 0;
    for (int i = 0; i < column.rows; ++i) {
        require(std::isfinite(weights[i]) && weights[i] >= 0, where, "weighted_mean: the weight of row ", i, " is ", weights[i],
                ", it must be finite and not below 0");
        column(i, 0) = weights[i];
        total += weights[i];
    }
    require(total + eps != 0, where, "weighted_mean: all weights are 0; at least one row must count");
    return scale(sum(multiply(losses, column, where), where), static_cast<float>(1 / (total + eps)), where);
}

Var cross_entropy(const Var& logits, const std::vector<int>& labels, Where where) {
    const Var losses = token_losses(logits, labels, where);  // (n, 1)
    const long counted = std::count_if(labels.begin(), labels.end(), [](int label) { return label != ignored_label; });
    return scale(sum(losses, where), counted > 0 ? 1.0f / static_cast<float>(counted) : 0.0f, where);
}

// Without this check, broadcasting would silently compare one row with every row.
static void require_same_shape(const char* name, const Var& a, const Var& b, Where where) {
    require(same_shape(a.value(), b.value()), where, name, ": ", a.value(), " and ", b.value(), ", the shapes must be equal");
}

Var mean_squared_error(const Var& a, const Var& b, Where where) {
    require_same_shape("mean_squared_error", a, b, where);
    return mean(square(subtract(a, b, where), where), where);
}

Var mean_absolute_error(const Var& a, const Var& b, Where where) {
    require_same_shape("mean_absolute_error", a, b, where);
    return mean(abs(subtract(a, b, where), where), where);
}

namespace {
struct SmoothRecord : Record {
    float beta = 1;
};
}  // namespace

// forward   y = d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere
// backward  dd = dy d / beta inside, dy sign(d) outside
static void smooth_absolute_backward(Record& y) {
    const float beta = static_cast<SmoothRecord&>(y).beta;
    const Matrix& d = y.inputs[0].value();
    Matrix dd = Matrix::unset(d.rows, d.cols);
    for (std::size_t k = 0; k < d.size(); ++k) dd[k] = y.gradient[k] * std::clamp(d[k] / beta, -1.0f, 1.0f);
    add_gradient(y.inputs[0], std::move(dd));
}

static Explained smooth_absolute_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "if(abs(a(i,j)) < beta, a(i,j) * a(i,j) / (2 * beta), abs(a(i,j)) - beta / 2)",
            .gradients = {"dy(i,j) * min(max(a(i,j) / beta, -1), 1)"},
            .tables = {{"beta", {static_cast<const SmoothRecord&>(y).beta}}}};
}

Var smooth_absolute(const Var& d, float beta, Where where) {
    require(beta > 0 && std::isfinite(beta), where, "smooth_absolute: beta is ", beta, ", it must be finite and positive");
    Matrix y = Matrix::unset(d.rows(), d.cols());
    for (std::size_t k = 0; k < y.size(); ++k) {
        const float size = std::abs(d.value()[k]);
        y[k] = size < beta ? size * size / (2 * beta) : size - beta / 2;
    }
    SmoothRecord* const record = new SmoothRecord;
    record->beta = beta;
    return record_operation(record, "smooth_absolute", std::move(y), {d}, {smooth_absolute_backward, smooth_absolute_explained},
                            where);
}

Var smooth_l1(const Var& a, const Var& b, float beta, Where where) {
    require(beta > 0 && std::isfinite(beta), where, "smooth_l1: beta is ", beta, ", it must be finite and positive");
    require_same_shape("smooth_l1", a, b, where);
    return mean(smooth_absolute(subtract(a, b, where), beta, where), where);
}

Var weighted_cross_entropy(const Var& logits, const std::vector<int>& labels, const std::vector<float>& weights, Where where) {
    require(static_cast<int>(weights.size()) == logits.cols(), where, "weighted_cross_entropy: ", weights.size(),
            " weights for the ", logits.cols(), " classes of ", logits.value(), ", each needs one");
    for (const float weight : weights)
        require(weight >= 0 && std::isfinite(weight), where, "weighted_cross_entropy: a weight of ", weight,
                ", each must be finite and not below 0");
    const Var losses = token_losses(logits, labels, where);  // (n, 1)
    Matrix of_rows(losses.rows(), 1);                        // (n, 1)  0 for an ignored row
    double total = 0;
    for (int i = 0; i < of_rows.rows; ++i) {
        if (labels[i] != ignored_label) of_rows(i, 0) = weights[labels[i]];
        total += of_rows(i, 0);
    }
    return scale(sum(multiply(losses, std::move(of_rows), where), where), total > 0 ? static_cast<float>(1 / total) : 0.0f,
                 where);
}

// For a target outside them the loss has no minimum: descent would lower it for ever.
static void require_from_0_to_1(const char* name, const Matrix& targets, Where where) {
    for (const float target : targets)
        require(target >= 0 && target <= 1, where, name, ": a target of ", target, ", it must be a probability from 0 to 1");
}

Var binary_losses(const Var& logits, const Matrix& targets, Where where) {
    require_same_shape("binary_losses", logits, targets, where);
    require_from_0_to_1("binary_losses", targets, where);
    return subtract(softplus(logits, where), multiply(logits, targets, where), where);  // (n, m)
}

Var binary_cross_entropy(const Var& logits, const Matrix& targets, Where where) {
    return mean(binary_losses(logits, targets, where), where);
}

// With s = logit where the target is 1 and -logit where it is 0, p_right = sigmoid(s) is the probability of the right answer:
//   -log p_right = softplus(-s)   and   (1 - p_right)^gamma = sigmoid(-s)^gamma = exp(-gamma softplus(s))
Var focal_losses(const Var& logits, const Matrix& targets, float alpha, float gamma, Where where) {
    require_same_shape("focal_losses", logits, targets, where);
    require(gamma >= 0 && std::isfinite(gamma), where, "focal_losses: gamma is ", gamma,
            ", it must be finite and at least 0; 2 is usual");
    require(alpha >= 0 && alpha <= 1, where, "focal_losses: alpha is ", alpha, ", it must lie between 0 and 1; 0.25 is usual");
    Matrix sign = Matrix::unset(targets.rows, targets.cols), balance = Matrix::unset(targets.rows, targets.cols);
    for (std::size_t k = 0; k < targets.size(); ++k) {
        require(targets[k] == 0 || targets[k] == 1, where, "focal_losses: a target of ", targets[k], ", each must be 0 or 1");
        sign[k] = targets[k] == 1 ? 1.0f : -1.0f;
        balance[k] = targets[k] == 1 ? alpha : 1 - alpha;
    }
    const Var s = multiply(logits, std::move(sign), where);                                  // (n, m)
    const Var cross_entropy = softplus(scale(s, -1, where), where);                          // (n, m)  -log p_right
    const Var modulation = exp(scale(softplus(s, where), -gamma, where), where);             // (n, m)  (1 - p_right)^gamma
    return multiply(multiply(modulation, cross_entropy, where), std::move(balance), where);  // (n, m)   [Focal 5]
}

Var dice_losses(const Var& logits, const Matrix& targets, Where where) {
    require_same_shape("dice_losses", logits, targets, where);
    require_from_0_to_1("dice_losses", targets, where);
    const Var t = targets;
    const Var p = sigmoid(logits, where);                                                       // (n, m)
    const Var both = shift(scale(row_sums(multiply(p, t, where), where), 2, where), 1, where);  // (n, 1)  2 sum p t + 1
    const Var each = shift(add(row_sums(p, where), row_sums(t, where), where), 1, where);       // (n, 1)  sum p + sum t + 1
    return shift(scale(divide(both, each, where), -1, where), 1, where);                        // (n, 1)
}

float accuracy(const Matrix& logits, const std::vector<int>& labels) {
    require(static_cast<int>(labels.size()) == logits.rows, "accuracy: ", labels.size(), " labels for the rows of ", logits,
            ", each needs one");
    int counted = 0, right = 0;
    for (int i = 0; i < logits.rows; ++i) {
        if (labels[i] == ignored_label) continue;
        require(labels[i] >= 0 && labels[i] < logits.cols, "accuracy: label ", labels[i], " of row ", i, " is not one of ",
                logits.cols, " classes, nor ", ignored_label, " (ignored)");
        ++counted;
        const int best = argmax_row(logits, i);  // that of a NaN, if there is one
        right += best == labels[i] && !std::isnan(logits(i, best));
    }
    return counted == 0 ? 0 : static_cast<float>(right) / counted;
}
