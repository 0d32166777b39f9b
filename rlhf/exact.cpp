#include "rlhf/exact.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/training/loss.h"

namespace exact {

std::vector<std::vector<int>> all_answers(int vocabulary, int end_token, int longest, int most) {
    require(vocabulary > 0 && longest > 0, "all_answers: ", vocabulary, " tokens and answers of at most ", longest,
            "; both must be at least 1");
    require(end_token >= 0 && end_token < vocabulary, "all_answers: token ", end_token, " ends an answer, there are ", vocabulary,
            ", counted from 0");
    std::vector<std::vector<int>> finished, open = {{}};
    for (int length = 1; length <= longest; ++length) {
        std::vector<std::vector<int>> longer;
        for (const std::vector<int>& beginning : open)
            for (int token = 0; token < vocabulary; ++token) {
                std::vector<int> answer = beginning;
                answer.push_back(token);
                (token == end_token || length == longest ? finished : longer).push_back(std::move(answer));
                require(static_cast<int>(finished.size() + longer.size()) <= most, "all_answers: ", vocabulary, " tokens and ",
                        longest, " positions make more than ", most, " answers; take fewer tokens or shorter answers");
            }
        open = std::move(longer);
    }
    return finished;
}

Var log_probabilities(const std::vector<int>& prompt, const std::vector<std::vector<int>>& answers, const gpt::Weights& w,
                      const gpt::Config& config) {
    require(!prompt.empty() && !answers.empty(), "exact: a prompt of ", prompt.size(), " tokens and ", answers.size(),
            " answers; there must be at least one of each");
    std::size_t longest = 0;
    for (std::size_t y = 0; y < answers.size(); ++y) {
        require(!answers[y].empty(), "exact: answer ", y, " of ", answers.size(), " is empty; an answer has at least one token");
        longest = std::max(longest, answers[y].size());
    }
    const int P = static_cast<int>(prompt.size()), T = P + static_cast<int>(longest), Y = static_cast<int>(answers.size());
    std::vector<int> tokens, labels;  // Y rows of T; padding after the answer, ignored
    for (const std::vector<int>& answer : answers) {
        std::vector<int> row = prompt;
        row.insert(row.end(), answer.begin(), answer.end());
        row.resize(T, 0);
        std::vector<int> row_labels(T, ignored_label);
        for (std::size_t k = 0; k < answer.size(); ++k) row_labels[P - 1 + k] = answer[k];  // predicted one position earlier
        tokens.insert(tokens.end(), row.begin(), row.end());
        labels.insert(labels.end(), row_labels.begin(), row_labels.end());
    }
    const gpt::Steps steps = gpt::forward(tokens, T, w, config);  // (Y*T, V)
    const Var nll = token_losses(steps.logits, labels);           // (Y*T, 1)
    return scale(row_sums(reshape(nll, Y, T)), -1);               // (Y, 1)
}

Matrix probabilities(const Matrix& log_probabilities) { return exp(log_probabilities).value(); }

// Also false for NaN.
static void require_probabilities(const char* place, const Matrix& p) {
    double sum = 0;
    for (std::size_t y = 0; y < p.size(); ++y) {
        require(p[y] >= 0 && std::isfinite(p[y]), place, ": the probability of answer ", y, " is ", p[y],
                ", it must be finite and at least 0");
        sum += p[y];
    }
    require(std::abs(sum - 1) <= 1e-3, place, ": the probabilities ", p, " sum to ", sum,
            ", those of all answers sum to 1; take every answer, as all_answers lists them");
}

double expected_reward(const Matrix& p, const Matrix& rewards) {
    require(same_shape(p, rewards), "expected_reward: probabilities ", p, " and rewards ", rewards, ", each answer needs both");
    require_probabilities("expected_reward", p);
    require_finite(rewards, "expected_reward", "rewards");
    double total = 0;
    for (std::size_t y = 0; y < p.size(); ++y) total += static_cast<double>(p[y]) * rewards[y];
    return total;
}

double kl(const Matrix& p, const Matrix& q) {
    require(same_shape(p, q), "kl: probabilities ", p, " and ", q, ", the shapes must be equal");
    require_probabilities("kl", p);
    require_probabilities("kl", q);
    double total = 0;
    for (std::size_t y = 0; y < p.size(); ++y) {
        if (p[y] == 0) continue;
        require(q[y] > 0, "kl: answer ", y, " has p > 0 but q = 0, so the KL is infinite; q must be above 0 wherever p is");
        total += p[y] * std::log(static_cast<double>(p[y]) / q[y]);
    }
    return total;
}

double objective(const Matrix& p, const Matrix& q, const Matrix& rewards, float beta) {
    require(beta >= 0 && std::isfinite(beta), "objective: beta is ", beta, ", it must be finite and at least 0");
    return expected_reward(p, rewards) - beta * kl(p, q);  // [DPO 3]
}

// Z = sum q exp(r / beta), with the largest exponent taken out.
struct Partition {
    double largest = 0;  // max r / beta
    double rest = 0;     // Z / exp(largest)
};

static Partition partition(const Matrix& q, const Matrix& rewards, float beta) {
    require(same_shape(q, rewards) && !q.empty(), "optimal_policy: probabilities ", q, " and rewards ", rewards,
            ", each answer needs both, and there must be one");
    require_probabilities("optimal_policy", q);
    require_finite(rewards, "optimal_policy", "rewards");
    require(beta > 0 && std::isfinite(beta), "optimal_policy: beta is ", beta,
            ", it must be a number above 0; without the KL penalty the optimum is the single best answer");
    Partition Z{.largest = *std::max_element(rewards.begin(), rewards.end()) / static_cast<double>(beta)};
    for (std::size_t y = 0; y < q.size(); ++y) Z.rest += q[y] * std::exp(rewards[y] / static_cast<double>(beta) - Z.largest);
    return Z;
}

Matrix optimal_policy(const Matrix& q, const Matrix& rewards, float beta) {
    const Partition Z = partition(q, rewards, beta);
    Matrix best(q.rows, q.cols);
    for (std::size_t y = 0; y < q.size(); ++y)
        best[y] = static_cast<float>(q[y] * std::exp(rewards[y] / static_cast<double>(beta) - Z.largest) / Z.rest);  // [DPO 4]
    return best;
}

double optimal_objective(const Matrix& q, const Matrix& rewards, float beta) {
    const Partition Z = partition(q, rewards, beta);
    return beta * (Z.largest + std::log(Z.rest));
}

Var loss(const Var& log_p, const Matrix& log_q, const Matrix& rewards, float beta) {
    require(same_shape(log_p.value(), log_q) && same_shape(log_q, rewards) && rewards.cols == 1, "exact: log-probabilities ",
            log_p.value(), " and ", log_q, " and rewards ", rewards,
            "; each answer needs a row of each, and there is one column");
    require(beta >= 0 && std::isfinite(beta), "exact: beta is ", beta, ", it must be finite and at least 0");
    const Var p = exp(log_p);                                 // (Y, 1)
    const Var penalty = scale(subtract(log_p, log_q), beta);  // (Y, 1)  beta log(p / q)
    const Var gain = subtract(rewards, penalty);              // (Y, 1)
    return scale(sum(multiply(p, gain)), -1);                 // (1, 1)
}

}  // namespace exact
