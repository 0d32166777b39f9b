// preferences.h: what people can tell us. Not how good an answer is, but which of several is better.
//
//   papers   Bradley and Terry, "Rank Analysis of Incomplete Block Designs", 1952; Plackett, "The Analysis of Permutations", 1975;
//            Ouyang et al. (InstructGPT), 2022, arXiv 2203.02155, section 3.5: one ranking of K answers gives K(K-1)/2 pairs
//   shows    that an order carries no scale: only differences of rewards matter
//   symbols  K answers in a ranking   r_i reward of answer i   rank 1 is best, equal ranks are a tie
//   next     reward_model.h learns a number from these orders
#pragma once
#include <string>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"

namespace preferences {

// One person's order of the answers to one prompt.
struct Ranking {
    std::string prompt;
    std::vector<std::string> answers;  // K of them
    std::vector<int> ranks;            // of each answer; 1 is best, equal numbers are ties
};

// One comparison: the row of the better answer and the row of the worse.
struct Pair {
    int better;
    int worse;
};

// The comparisons of a batch of answers. Answer n belongs to ranking group[n] and has rank ranks[n] there.
struct Pairs {
    std::vector<Pair> list;
    std::vector<int> group;  // the ranking that each pair comes from
    int groups = 0;          // rankings in the batch, those without a pair included
};

// Every pair of one ranking whose ranks differ; ties give none. In the order i < j over the rows.
//   throws  std::invalid_argument when group and ranks are not equally long, a group is negative, or a rank below 1
Pairs all_pairs(const std::vector<int>& group, const std::vector<int>& ranks);

// --- likelihoods ---

// P(i beats j) = exp(r_i) / (exp(r_i) + exp(r_j)) = sigmoid(r_i - r_j)
float bradley_terry(float reward_i, float reward_j);

// r_better - r_worse of every pair: rewards (N, 1) -> (pairs, 1)
Var differences(const Var& rewards, const Pairs& pairs);

// -log of the product over k of exp(r_k) / sum of exp(r_m) over all m that are not yet placed: the best is drawn from all, then the
// best of the rest, and so on.
//   rewards  of the answers of one ranking
//   throws   std::invalid_argument when two ranks are equal: the model has no word for a tie
float plackett_luce_nll(const std::vector<float>& rewards, const std::vector<int>& ranks);

// --- a synthetic person ---

// A person who feels score + noise and orders by that. With Gumbel noise of scale s the choices follow Plackett and Luce exactly:
// the best reward that can be learned from them is score / s, up to a constant.
struct Person {
    float noise = 0.5f;       // s; 0 = never wrong
    float tie_margin = 0;     // answers that feel no farther than this from the one ranked before them share its rank
};

// -log(-log u): noise of scale 1 from a uniform draw of (0, 1).
float gumbel(float u);

// The ranks that the person gives.   draws  one uniform number of (0, 1) for each score
std::vector<int> rank(const std::vector<float>& scores, const Person& person, const std::vector<float>& draws);

// --- agreement ---

// Share of pairs whose better answer has the larger reward; equal rewards count half. 0.5 = chance.
float agreement(const std::vector<float>& rewards, const Pairs& pairs);

// Kendall's tau-b between rewards and ranks: 1 same order, 0 unrelated, -1 reversed; ties are taken out of the denominator.
// 0 when one side is all ties.
float kendall_tau(const std::vector<float>& rewards, const std::vector<int>& ranks);

// Pearson's correlation; 0 when one side is constant.
float correlation(const std::vector<float>& a, const std::vector<float>& b);

// --- rankings in a file ---

// One JSON object a line, which a person can write:
//   {"prompt": "the movie was", "answers": ["good .", "very bad ."], "ranks": [1, 2]}
//   throws  std::invalid_argument with path and line: not JSON, a missing field, unequal numbers of answers and ranks, a rank below 1.
//           A last line that breaks off (somebody pulled the plug) is an error too, unless `forgive_last_line`
std::vector<Ranking> read_rankings(const std::string& path, bool forgive_last_line = false);

// The ranks that an order says, best first: "2 1 3=4" of four answers means {2, 1, 3, 3}. "=" stands between equals; between the others
// a space, a comma or ">".
//   throws  std::invalid_argument in one line: not a number, no such answer, one named twice, one missing
std::vector<int> ranks_of_order(const std::string& order, int answers);

// The line of one ranking, with its newline.
std::string line_of(const Ranking& ranking);

// Writes all of them, by temporary file and rename, so that a file that is added to again and again is whole at every moment.
void write_rankings(const std::string& path, const std::vector<Ranking>& rankings);

}  // namespace preferences
