// preferences.h: rankings of answers by people, and their likelihoods under Bradley-Terry and Plackett-Luce.
//
//   papers   Bradley and Terry, "Rank Analysis of Incomplete Block Designs", 1952; Plackett, "The Analysis of Permutations",
//            1975; Ouyang et al. (InstructGPT), 2022, arXiv 2203.02155, section 3.5: one ranking of K answers gives K(K-1)/2
//            pairs
//   shows    that people can say which answer is better, not how good it is: only differences of rewards are determined
//   symbols  K answers in a ranking   r_i reward of answer i   rank 1 is best, equal ranks are a tie
//   next     reward_model.h learns a reward from these rankings
#pragma once
#include <string>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"

namespace preferences {

// One person's ranking of the answers to one prompt.
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
    std::vector<int> group;  // the ranking of each pair
    int groups = 0;          // rankings in the batch, including those without a pair
};

// All pairs of answers of one ranking with different ranks; a tie gives no pair. In the order i < j of the rows.
//   throws  std::invalid_argument when group and ranks differ in length, a group is negative, or a rank below 1
Pairs all_pairs(const std::vector<int>& group, const std::vector<int>& ranks);

// --- likelihoods ---

// P(i beats j) = exp(r_i) / (exp(r_i) + exp(r_j)) = sigmoid(r_i - r_j)
float bradley_terry(float reward_i, float reward_j);

// r_better - r_worse of every pair: rewards (N, 1) -> (pairs, 1)
Var differences(const Var& rewards, const Pairs& pairs);

// -log of the product over k of exp(r_k) / sum of exp(r_m) over all m not yet placed: the best answer is drawn from all, then the
// second from the rest, and so on.
//   rewards  of the answers of one ranking
//   throws   std::invalid_argument when two ranks are equal: the model has no ties
float plackett_luce_nll(const std::vector<float>& rewards, const std::vector<int>& ranks);

// --- a synthetic person ---

// A simulated person who ranks by score + noise. With Gumbel noise of scale s the rankings follow Plackett-Luce exactly, and the
// best reward that can be learned from them is score / s, up to a constant.
struct Person {
    float noise = 0.5f;    // s; 0 = no errors
    float tie_margin = 0;  // answers within this distance of the one ranked before them share its rank
};

// -log(-log u): Gumbel noise of scale 1 from a uniform draw in (0, 1).
float gumbel(float u);

// The ranks that the person gives.   draws  one uniform number in (0, 1) per score
std::vector<int> rank(const std::vector<float>& scores, const Person& person, const std::vector<float>& draws);

// --- agreement ---

// Accuracy: fraction of pairs whose better answer has the larger reward; equal rewards count half. 0.5 = chance, also without a
// pair.
float agreement(const std::vector<float>& rewards, const Pairs& pairs);

// Kendall's tau-b between rewards and ranks: 1 same order, 0 unrelated, -1 reversed, corrected for ties. 0 when one side is all
// ties.
float kendall_tau(const std::vector<float>& rewards, const std::vector<int>& ranks);

// Pearson's correlation; 0 when one side is constant.
float correlation(const std::vector<float>& a, const std::vector<float>& b);

// --- rankings in a file ---

// Reads one JSON object per line:
//   {"prompt": "the movie was", "answers": ["good .", "very bad ."], "ranks": [1, 2]}
//   throws  std::invalid_argument with path and line: not JSON, a missing field, unequal numbers of answers and ranks, a rank
//           below 1. An incomplete last line (an interrupted write) is an error too, unless `forgive_last_line`
std::vector<Ranking> read_rankings(const std::string& path, bool forgive_last_line = false);

// Parses an order, best first, into ranks: "2 1 3=4" of four answers gives {2, 1, 3, 3}. "=" separates ties; a space, a comma or
// ">" separates the others.
//   throws  std::invalid_argument for a word that is not a number, an unknown answer, or one that is repeated or missing
std::vector<int> ranks_of_order(const std::string& order, int answers);

// The line of one ranking, with its newline.
std::string line_of(const Ranking& ranking);

// Writes all rankings through a temporary file and a rename, so that the file is complete at any moment.
void write_rankings(const std::string& path, const std::vector<Ranking>& rankings);

}  // namespace preferences
