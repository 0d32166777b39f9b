// markov_chain.h: a language with known probabilities, so that a model can be compared with the optimum.
//
//   shows    the exact minimum of the loss of any model: given the left context, or both neighbours
//   symbols  S symbols   P (S, S) transitions, P_ab = p(next = b | now = a)   pi (1, S) stationary distribution
//   note     entropies are in nats; a uniform guess has a loss of ln S
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/base/random.h"

struct MarkovChain {
    Matrix transitions;  // P; every row sums to 1
    Matrix stationary;   // pi = pi P

    int symbols() const { return transitions.rows; }
};

// Rows from a Dirichlet distribution (a small concentration makes a few symbols likely), mixed with a uniform one, so that every
// transition is possible.
//   throws  std::invalid_argument for fewer than two symbols, a concentration of 0 or less, or a uniform_share outside 0 ... 1
MarkovChain make_markov_chain(Random& random, int symbols = 12, float concentration = 0.3f, float uniform_share = 0.03f);

// The chain of a given transition matrix.   throws std::invalid_argument when a row is not a distribution
MarkovChain markov_chain_of(Matrix transitions);

// `length` symbols, the first drawn from pi.
std::vector<int> sample(const MarkovChain& chain, Random& random, int length);

double unigram_entropy(const MarkovChain& chain);    // H(x_t):                     without context
double causal_entropy(const MarkovChain& chain);     // H(x_t | x_t-1):             minimal loss of a left-to-right model
double two_sided_entropy(const MarkovChain& chain);  // H(x_t | x_t-1, x_t+1):      minimal loss of a bidirectional model

// Entropy per symbol of a gap of `count` symbols, given the symbols on both sides: the minimal loss of filling it.
//   Example: span_entropy(chain, 1) is two_sided_entropy(chain); a long span tends to causal_entropy(chain)
double span_entropy(const MarkovChain& chain, int count);

// p(x_t = b | x_t-1 = before, x_t+1 = after) for every b, (1, S): the optimal prediction of a masked symbol.
Matrix between(const MarkovChain& chain, int before, int after);

// --- second order: the last two symbols determine the distribution of the next ---

// For texts that a bigram model cannot predict optimally.
struct SecondOrderChain {
    Matrix transitions;  // (S*S, S)  row a S + b: p(next | a, then b); every row sums to 1
    Matrix stationary;   // (1, S*S)  stationary distribution of pairs

    int symbols() const { return transitions.cols; }
};

// Rows from a Dirichlet distribution, mixed with a uniform one.   throws as make_markov_chain
SecondOrderChain make_second_order_chain(Random& random, int symbols = 6, float concentration = 0.25f,
                                         float uniform_share = 0.05f);

// The chain of a given table.   throws std::invalid_argument when a row is not a distribution or the shape is not (S*S, S)
SecondOrderChain second_order_chain_of(Matrix transitions);

// `length` symbols, the first two drawn as a pair.
std::vector<int> sample(const SecondOrderChain& chain, Random& random, int length);

double causal_entropy(const SecondOrderChain& chain);  // H(x_t | x_t-2, x_t-1): minimal loss of a left-to-right model
double bigram_entropy(const SecondOrderChain& chain);  // H(x_t | x_t-1):        minimal loss of a bigram model
