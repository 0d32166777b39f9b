// markov_chain.h: a language in which every probability is known, so that a model can be measured against the best there is.
//
//   shows    the least loss that any model can reach, exactly: with what came before, and with both neighbours
//   symbols  S symbols   P (S, S) transitions, P_ab = p(next = b | now = a)   pi (1, S) how often each symbol occurs
//   note     entropies are in nats: a loss of ln S means "no idea"
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/base/random.h"

struct MarkovChain {
    Matrix transitions;  // P; every row sums to 1
    Matrix stationary;   // pi = pi P

    int symbols() const { return transitions.rows; }
};

// Rows from a Dirichlet distribution (a small concentration makes a few symbols likely), mixed with a little of the uniform one,
// so that nothing is impossible.
//   throws  std::invalid_argument for fewer than two symbols, a concentration of 0 or less, or a share outside 0 ... 1
MarkovChain make_markov_chain(Random& random, int symbols = 12, float concentration = 0.3f, float uniform_share = 0.03f);

// The chain of a transition matrix written by hand.   throws std::invalid_argument when a row is not a distribution
MarkovChain markov_chain_of(Matrix transitions);

// `length` symbols, the first drawn from pi.
std::vector<int> sample(const MarkovChain& chain, Random& random, int length);

double unigram_entropy(const MarkovChain& chain);    // H(x_t):                     knowing no neighbour
double causal_entropy(const MarkovChain& chain);     // H(x_t | x_t-1):             the floor of every left-to-right model
double two_sided_entropy(const MarkovChain& chain);  // H(x_t | x_t-1, x_t+1):      the floor of a model that sees both sides

// H of `count` symbols for each of them, when the symbols on both sides of the gap are known: the floor of filling it.
//   Example: span_entropy(chain, 1) is two_sided_entropy(chain); a long span tends to causal_entropy(chain)
double span_entropy(const MarkovChain& chain, int count);

// p(x_t = b | x_t-1 = before, x_t+1 = after) for every b, (1, S): what a perfect model answers for a hidden symbol.
Matrix between(const MarkovChain& chain, int before, int after);

// --- the last two symbols decide ---

// A bigram knows too little of such a text, and its floor is as exact.
struct SecondOrderChain {
    Matrix transitions;  // (S*S, S)  row a S + b: p(next | a, then b); every row sums to 1
    Matrix stationary;   // (1, S*S)  how often each pair occurs

    int symbols() const { return transitions.cols; }
};

// Rows from a Dirichlet distribution, mixed with a little of the uniform one.   throws as make_markov_chain
SecondOrderChain make_second_order_chain(Random& random, int symbols = 6, float concentration = 0.25f, float uniform_share = 0.05f);

// The chain of a table written by hand.   throws std::invalid_argument when a row is not a distribution or the shape is not (S*S, S)
SecondOrderChain second_order_chain_of(Matrix transitions);

// `length` symbols, the first two drawn as a pair.
std::vector<int> sample(const SecondOrderChain& chain, Random& random, int length);

double causal_entropy(const SecondOrderChain& chain);  // H(x_t | x_t-2, x_t-1): the floor of every left-to-right model
double bigram_entropy(const SecondOrderChain& chain);  // H(x_t | x_t-1):        the floor of a model that only knows the last symbol
