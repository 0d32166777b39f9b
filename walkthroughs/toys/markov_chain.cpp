#include "walkthroughs/toys/markov_chain.h"

#include <cmath>
#include <utility>

#include "nn/base/matmul.h"
#include "nn/base/require.h"

// A draw from the gamma distribution with shape `a` (Marsaglia and Tsang, 2000): a transformed normal draw, accepted or rejected.
// For a shape below 1, a draw of shape a + 1 is multiplied by a power of a uniform draw.
static double gamma_draw(Random& random, double a) {
    if (a < 1) {
        const double u = 1.0 - random.uniform();  // (0, 1]
        return gamma_draw(random, a + 1) * std::pow(u, 1 / a);
    }
    const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
        const double x = random.normal();
        const double root = 1 + c * x;
        const double u = 1.0 - random.uniform();
        if (root <= 0) continue;
        const double v = root * root * root;
        if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
}

// Solves pi P = pi by power iteration.
static Matrix stationary_of(const Matrix& P) {
    Matrix pi(1, P.rows, 1.0f / P.rows);
    for (int step = 0; step < 1000; ++step) {
        const Matrix next = matmul(pi, P);
        for (int b = 0; b < P.cols; ++b) pi[b] = 0.5f * (pi[b] + next[b]);  // averaging makes periodic chains converge too
    }
    return pi;
}

static void check_distributions(const Matrix& rows, const char* place) {
    for (int a = 0; a < rows.rows; ++a) {
        double total = 0;
        for (int b = 0; b < rows.cols; ++b) {
            require(rows(a, b) >= 0, place, ": a probability of ", rows(a, b), " in row ", a);
            total += rows(a, b);
        }
        require(std::abs(total - 1) < 1e-5, place, ": row ", a, " sums to ", total, ", not to 1");
    }
}

MarkovChain markov_chain_of(Matrix transitions) {
    require(transitions.rows >= 2 && transitions.rows == transitions.cols, "markov_chain_of: transitions are ", transitions,
            ", they must be square with two symbols or more");
    check_distributions(transitions, "markov_chain_of");
    Matrix pi = stationary_of(transitions);
    return {.transitions = std::move(transitions), .stationary = std::move(pi)};
}

// (rows, symbols) distributions: normalised gamma draws are a Dirichlet draw.
static Matrix dirichlet_rows(Random& random, int rows, int symbols, float concentration, float uniform_share, const char* place) {
    require(symbols >= 2, place, ": ", symbols, " symbols, two are needed");
    require(concentration > 0, place, ": a concentration of ", concentration, ", it must be positive");
    require(uniform_share >= 0 && uniform_share <= 1, place, ": a uniform fraction of ", uniform_share, " is outside 0 ... 1");
    Matrix P(rows, symbols);
    for (int a = 0; a < rows; ++a) {
        std::vector<double> row;
        double total = 0;
        for (int b = 0; b < symbols; ++b) {
            row.push_back(gamma_draw(random, concentration));
            total += row.back();
        }
        for (int b = 0; b < symbols; ++b)
            P(a, b) = static_cast<float>((1 - uniform_share) * row[b] / total + uniform_share / symbols);
    }
    return P;
}

MarkovChain make_markov_chain(Random& random, int symbols, float concentration, float uniform_share) {
    return markov_chain_of(dirichlet_rows(random, symbols, symbols, concentration, uniform_share, "make_markov_chain"));
}

std::vector<int> sample(const MarkovChain& chain, Random& random, int length) {
    const int S = chain.symbols();
    std::vector<int> symbols;
    for (int t = 0; t < length; ++t) {
        const float* const odds = t == 0 ? chain.stationary.row(0) : chain.transitions.row(symbols.back());
        symbols.push_back(draw(odds, S, random.uniform()));
    }
    return symbols;
}

static double minus_p_log(double weight, double p) { return p > 0 ? -weight * std::log(p) : 0; }

double unigram_entropy(const MarkovChain& chain) {
    double entropy = 0;
    for (const float p : chain.stationary) entropy += minus_p_log(p, p);
    return entropy;
}

double causal_entropy(const MarkovChain& chain) {
    const Matrix& P = chain.transitions;
    double entropy = 0;
    for (int a = 0; a < P.rows; ++a)
        for (int b = 0; b < P.cols; ++b) entropy += minus_p_log(chain.stationary[a] * P(a, b), P(a, b));
    return entropy;
}

// H(x_1 | x_0 = a, x_d = c), with p(b | a, c) = P_ab (P^(d-1))_bc / (P^d)_ac
static double entropy_before(const MarkovChain& chain, int d) {
    const Matrix& P = chain.transitions;
    Matrix rest = P;  // P^(d-1)
    for (int step = 2; step < d; ++step) rest = matmul(rest, P);
    const Matrix all = matmul(P, rest);  // P^d
    double entropy = 0;
    for (int a = 0; a < P.rows; ++a) {
        for (int c = 0; c < P.cols; ++c) {
            if (all(a, c) == 0) continue;
            for (int b = 0; b < P.rows; ++b) {
                const double joint = static_cast<double>(P(a, b)) * rest(b, c);
                entropy += minus_p_log(chain.stationary[a] * joint, joint / all(a, c));
            }
        }
    }
    return entropy;
}

double two_sided_entropy(const MarkovChain& chain) { return entropy_before(chain, 2); }

// Chain rule, symbol by symbol: each is conditioned on the one before it and on the far side of the gap.
double span_entropy(const MarkovChain& chain, int count) {
    require(count >= 1, "span_entropy: a span of ", count, " symbols");
    double sum = 0;
    for (int d = 2; d <= count + 1; ++d) sum += entropy_before(chain, d);
    return sum / count;
}

// p(b | a, c) = P_ab P_bc / sum over b, by Bayes' rule and the Markov property
Matrix between(const MarkovChain& chain, int before, int after) {
    const Matrix& P = chain.transitions;
    require(before >= 0 && before < P.rows && after >= 0 && after < P.rows, "between: symbols ", before, " and ", after, " of ",
            P.rows);
    Matrix odds(1, P.rows);
    double total = 0;
    for (int b = 0; b < P.rows; ++b) {
        odds[b] = P(before, b) * P(b, after);
        total += odds[b];
    }
    for (float& p : odds) p = total > 0 ? static_cast<float>(p / total) : 0;
    return odds;
}

// --- second order ---

// Pairs form a first-order chain: from the pair (a, b) to (b, c) with p(c | a, b).
static Matrix pairs_of(const Matrix& transitions) {
    const int S = transitions.cols;
    Matrix P(S * S, S * S);
    for (int a = 0; a < S; ++a)
        for (int b = 0; b < S; ++b)
            for (int c = 0; c < S; ++c) P(a * S + b, b * S + c) = transitions(a * S + b, c);
    return P;
}

SecondOrderChain second_order_chain_of(Matrix transitions) {
    const int S = transitions.cols;
    require(S >= 2 && transitions.rows == S * S, "second_order_chain_of: transitions are ", transitions,
            ", they must be (S * S, S) with two symbols or more");
    check_distributions(transitions, "second_order_chain_of");
    Matrix pi = stationary_of(pairs_of(transitions));
    return {.transitions = std::move(transitions), .stationary = std::move(pi)};
}

SecondOrderChain make_second_order_chain(Random& random, int symbols, float concentration, float uniform_share) {
    return second_order_chain_of(
        dirichlet_rows(random, symbols * symbols, symbols, concentration, uniform_share, "make_second_order_chain"));
}

std::vector<int> sample(const SecondOrderChain& chain, Random& random, int length) {
    const int S = chain.symbols();
    const int pair = draw(chain.stationary.row(0), S * S, random.uniform());
    std::vector<int> symbols{pair / S, pair % S};
    while (static_cast<int>(symbols.size()) < length) {
        const int t = static_cast<int>(symbols.size());
        symbols.push_back(draw(chain.transitions.row(symbols[t - 2] * S + symbols[t - 1]), S, random.uniform()));
    }
    symbols.resize(length);
    return symbols;
}

double causal_entropy(const SecondOrderChain& chain) {
    double entropy = 0;
    for (int pair = 0; pair < chain.transitions.rows; ++pair)
        for (int c = 0; c < chain.symbols(); ++c)
            entropy += minus_p_log(chain.stationary[pair] * chain.transitions(pair, c), chain.transitions(pair, c));
    return entropy;
}

double bigram_entropy(const SecondOrderChain& chain) {
    const int S = chain.symbols();
    double entropy = 0;
    for (int b = 0; b < S; ++b) {
        double of_b = 0;                        // p(x_t-1 = b)
        std::vector<double> with_next(S, 0.0);  // p(x_t-1 = b, x_t = c)
        for (int a = 0; a < S; ++a) {
            of_b += chain.stationary[a * S + b];
            for (int c = 0; c < S; ++c) with_next[c] += chain.stationary[a * S + b] * chain.transitions(a * S + b, c);
        }
        for (int c = 0; c < S; ++c) entropy += minus_p_log(with_next[c], with_next[c] / of_b);
    }
    return entropy;
}
