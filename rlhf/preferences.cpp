#include "rlhf/preferences.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

namespace preferences {

// --- pairs ---

Pairs all_pairs(const std::vector<int>& group, const std::vector<int>& ranks) {
    require(group.size() == ranks.size(), "all_pairs: ", group.size(), " group numbers and ", ranks.size(),
            " ranks; each answer needs both");
    Pairs pairs;
    const int N = static_cast<int>(ranks.size());
    for (int n = 0; n < N; ++n) {
        require(group[n] >= 0, "all_pairs: answer ", n, " belongs to ranking ", group[n], ", they are counted from 0");
        require(group[n] < N, "all_pairs: answer ", n, " belongs to ranking ", group[n], ", ", N, " answers have at most ", N,
                " rankings; number them without gaps");
        require(ranks[n] >= 1, "all_pairs: answer ", n, " has rank ", ranks[n], ", the best rank is 1");
        pairs.groups = std::max(pairs.groups, group[n] + 1);
    }
    for (int g = 0; g < pairs.groups; ++g)
        for (int i = 0; i < N; ++i)
            for (int j = i + 1; j < N; ++j) {
                if (group[i] != g || group[j] != g || ranks[i] == ranks[j]) continue;
                pairs.list.push_back(ranks[i] < ranks[j] ? Pair{i, j} : Pair{j, i});
                pairs.group.push_back(g);
            }
    return pairs;
}

// --- likelihoods ---

float bradley_terry(float reward_i, float reward_j) { return 1 / (1 + std::exp(reward_j - reward_i)); }

Var differences(const Var& rewards, const Pairs& pairs) {
    require(rewards.cols() == 1, "differences: rewards ", rewards.value(), ", they must be one column, a row for each answer");
    std::vector<int> better, worse;
    for (const Pair& pair : pairs.list) {
        better.push_back(pair.better);
        worse.push_back(pair.worse);
    }
    return subtract(gather_rows(rewards, better), gather_rows(rewards, worse));  // (pairs, 1)
}

// The answers from best to worst.
static std::vector<int> best_first(const std::vector<int>& ranks) {
    std::vector<int> order(ranks.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return ranks[a] < ranks[b]; });
    return order;
}

float plackett_luce_nll(const std::vector<float>& rewards, const std::vector<int>& ranks) {
    require(rewards.size() == ranks.size(), "plackett_luce_nll: ", rewards.size(), " rewards and ", ranks.size(),
            " ranks, each answer needs both");
    for (std::size_t k = 0; k < rewards.size(); ++k)
        require(std::isfinite(rewards[k]), "plackett_luce_nll: the reward of answer ", k, " is ", rewards[k],
                ", it must be a finite number");
    for (std::size_t k = 0; k < ranks.size(); ++k)
        require(ranks[k] >= 1, "plackett_luce_nll: answer ", k, " has rank ", ranks[k], ", the best rank is 1");
    const std::vector<int> order = best_first(ranks);
    for (std::size_t k = 1; k < order.size(); ++k)
        require(ranks[order[k]] != ranks[order[k - 1]], "plackett_luce_nll: rank ", ranks[order[k]],
                " occurs twice; Plackett-Luce has no ties, use the Bradley-Terry loss of pairs");
    double nll = 0,
           log_rest = -std::numeric_limits<double>::infinity();  // log of the sum of exp(r) over the answers not yet placed
    for (std::size_t k = order.size(); k-- > 0;) {               // from the worst, so the rest grows by one
        const double r = rewards[order[k]];
        const double larger = std::max(r, log_rest), smaller = std::min(r, log_rest);
        log_rest = larger + std::log1p(std::exp(smaller - larger));
        nll += log_rest - r;
    }
    return static_cast<float>(nll);
}

// --- a synthetic person ---

float gumbel(float u) {
    require(u > 0 && u < 1, "gumbel: the draw is ", u, ", it must lie between 0 and 1");
    return -std::log(-std::log(u));
}

std::vector<int> rank(const std::vector<float>& scores, const Person& person, const std::vector<float>& draws) {
    require(scores.size() == draws.size(), "rank: ", scores.size(), " scores and ", draws.size(),
            " draws, each answer needs both");
    require(person.noise >= 0 && std::isfinite(person.noise) && person.tie_margin >= 0, "rank: noise ", person.noise,
            " and a tie margin of ", person.tie_margin, ", neither may be negative, and the noise not infinite");
    for (std::size_t k = 0; k < scores.size(); ++k)
        require(std::isfinite(scores[k]), "rank: the score of answer ", k, " is ", scores[k], ", it must be a number");
    std::vector<float> noisy;
    for (std::size_t k = 0; k < scores.size(); ++k)
        noisy.push_back(scores[k] + (person.noise > 0 ? person.noise * gumbel(draws[k]) : 0));
    std::vector<int> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return noisy[a] > noisy[b]; });
    std::vector<int> ranks(scores.size());
    for (std::size_t k = 0; k < order.size(); ++k) {
        const bool tie = k > 0 && noisy[order[k - 1]] - noisy[order[k]] <= person.tie_margin;
        ranks[order[k]] = tie ? ranks[order[k - 1]] : static_cast<int>(k) + 1;
    }
    return ranks;
}

// --- agreement ---

// A comparison would take a NaN for a difference of 0.
static void require_finite(const std::vector<float>& rewards, const char* place) {
    for (std::size_t n = 0; n < rewards.size(); ++n)
        require(std::isfinite(rewards[n]), place, ": the reward of answer ", n, " is ", rewards[n],
                ", it must be a number; look for a NaN in the reward model");
}

float agreement(const std::vector<float>& rewards, const Pairs& pairs) {
    if (pairs.list.empty()) return 0.5f;
    require_finite(rewards, "agreement");
    float right = 0;
    const int N = static_cast<int>(rewards.size());
    for (const Pair& pair : pairs.list) {
        require(std::min(pair.better, pair.worse) >= 0 && std::max(pair.better, pair.worse) < N, "agreement: a pair of answers ",
                pair.better, " and ", pair.worse, ", there are ", N, " rewards, counted from 0");
        const float difference = rewards.at(pair.better) - rewards.at(pair.worse);
        right += difference > 0 ? 1.0f : difference == 0 ? 0.5f : 0.0f;
    }
    return right / static_cast<float>(pairs.list.size());
}

static int sign(float x) { return (x > 0) - (x < 0); }

float kendall_tau(const std::vector<float>& rewards, const std::vector<int>& ranks) {
    require(rewards.size() == ranks.size(), "kendall_tau: ", rewards.size(), " rewards and ", ranks.size(),
            " ranks, each answer needs both");
    require_finite(rewards, "kendall_tau");
    long same_minus_reversed = 0, reward_differs = 0, rank_differs = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i)
        for (std::size_t j = i + 1; j < ranks.size(); ++j) {
            const int by_reward = sign(rewards[i] - rewards[j]);
            const int by_rank = sign(static_cast<float>(ranks[j] - ranks[i]));  // a smaller rank is better
            same_minus_reversed += by_reward * by_rank;
            reward_differs += by_reward != 0;
            rank_differs += by_rank != 0;
        }
    if (reward_differs == 0 || rank_differs == 0) return 0;
    return static_cast<float>(same_minus_reversed / std::sqrt(static_cast<double>(reward_differs) * rank_differs));
}

float correlation(const std::vector<float>& a, const std::vector<float>& b) {
    require(a.size() == b.size() && !a.empty(), "correlation: ", a.size(), " numbers and ", b.size(),
            "; both must have the same number, at least 1");
    for (std::size_t k = 0; k < a.size(); ++k)
        require(std::isfinite(a[k]) && std::isfinite(b[k]), "correlation: numbers ", k, " are ", a[k], " and ", b[k],
                ", both must be finite");
    const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / a.size(),
                 mean_b = std::accumulate(b.begin(), b.end(), 0.0) / b.size();
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        ab += (a[k] - mean_a) * (b[k] - mean_b);
        aa += (a[k] - mean_a) * (a[k] - mean_a);
        bb += (b[k] - mean_b) * (b[k] - mean_b);
    }
    return aa == 0 || bb == 0 ? 0 : static_cast<float>(ab / std::sqrt(aa * bb));
}

// --- rankings in a file ---

static Ranking ranking_of(const Json& object) {
    Ranking ranking;
    ranking.prompt = object.at("prompt").as_string();
    for (const Json& answer : object.at("answers").as_array()) ranking.answers.push_back(answer.as_string());
    for (const Json& rank : object.at("ranks").as_array()) {
        ranking.ranks.push_back(rank.as_int());
        require(ranking.ranks.back() >= 1, "a rank of ", ranking.ranks.back(), ", the best rank is 1");
    }
    require(ranking.answers.size() == ranking.ranks.size(), ranking.answers.size(), " answers but ", ranking.ranks.size(),
            " ranks");
    return ranking;
}

std::vector<Ranking> read_rankings(const std::string& path, bool forgive_last_line) {
    const std::vector<std::string> lines = lines_of_file(read_text_file(path), path);
    std::vector<Ranking> rankings;
    for (std::size_t k = 0; k < lines.size(); ++k) {
        if (lines[k].empty()) continue;
        try {
            rankings.push_back(ranking_of(parse_json(lines[k], "this line")));
        } catch (const std::invalid_argument& error) {
            const bool last = k + 1 == lines.size();
            require(last && forgive_last_line, path, ": line ", k + 1, ": ", error.what());
        }
    }
    return rankings;
}

std::vector<int> ranks_of_order(const std::string& order, int answers) {
    require(answers >= 0, "ranks_of_order: ", answers, " answers, there cannot be fewer than 0");
    std::string spaced;  // "3=4" becomes "3 = 4"
    for (const char letter : order)
        spaced += letter == '=' ? " = " : letter == ',' || letter == '>' || letter == '\t' ? " " : std::string(1, letter);
    std::vector<int> ranks(answers);
    int placed = 0, rank = 0;
    bool equal = false;  // "=" was the last thing read
    for (const std::string& word : split(spaced, ' ')) {
        if (word.empty()) continue;
        if (word == "=") {
            require(placed > 0 && !equal, "an = must stand between two tied answers");
            equal = true;
            continue;
        }
        const std::optional<long> number = whole_number(word);
        require(number && *number >= 1 && *number <= answers, "\"", word, "\" is not one of the answers 1 to ", answers);
        require(ranks[*number - 1] == 0, "answer ", *number, " occurs twice");
        ++placed;
        if (!equal) rank = placed;  // ties share the rank of their first answer; the following ranks are skipped
        equal = false;
        ranks[*number - 1] = rank;
    }
    require(!equal, "an = must stand between two tied answers");
    for (int k = 0; k < answers; ++k) require(ranks[k] != 0, "answer ", k + 1, " is missing");
    return ranks;
}

std::string line_of(const Ranking& ranking) {
    require(ranking.answers.size() == ranking.ranks.size(), "line_of: ", ranking.answers.size(), " answers but ",
            ranking.ranks.size(), " ranks to the prompt ", brief_string(ranking.prompt), ", each answer needs one");
    for (const int rank : ranking.ranks)
        require(rank >= 1, "line_of: a rank of ", rank, " to the prompt ", brief_string(ranking.prompt), ", the best rank is 1");
    std::string answers, ranks;
    for (const std::string& answer : ranking.answers) answers += (answers.empty() ? "" : ", ") + json_string(answer);
    for (const int rank : ranking.ranks) ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
    return "{\"prompt\": " + json_string(ranking.prompt) + ", \"answers\": [" + answers + "], \"ranks\": [" + ranks + "]}\n";
}

void write_rankings(const std::string& path, const std::vector<Ranking>& rankings) {
    std::string text;
    for (const Ranking& ranking : rankings) text += line_of(ranking);
    write_file_atomically(path, text);
}

}  // namespace preferences
