#include "walkthroughs/lesson/markov_chain.h"

#include <cmath>
#include <utility>

#include "nn/base/matmul.h"
#include "nn/base/require.h"

// A draw from the gamma distribution with shape `a` (Marsaglia and Tsang, 2000): a normal draw, cubed so that it fits, kept or
// thrown away. Below 1 the shape is raised by one, and a power of a uniform draw takes it back.
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

// pi P = pi. Any start, followed far enough, forgets where it began.
static Matrix stationary_of(const Matrix& P) {
    Matrix pi(1, P.rows, 1.0f / P.rows);
    for (int step = 0; step < 1000; ++step) {
        const Matrix next = matmul(pi, P);
        for (int b = 0; b < P.cols; ++b) pi[b] = 0.5f * (pi[b] + next[b]);  // half: a chain that only alternates settles too
    }
    return pi;
}

MarkovChain markov_chain_of(Matrix transitions) {
    require(transitions.rows >= 2 && transitions.rows == transitions.cols, "markov_chain_of: transitions are ",
            transitions, ", they must be square with two symbols or more");
    for (int a = 0; a < transitions.rows; ++a) {
        double total = 0;
        for (int b = 0; b < transitions.cols; ++b) {
            require(transitions(a, b) >= 0, "markov_chain_of: a probability of ", transitions(a, b), " in row ", a);
            total += transitions(a, b);
        }
        require(std::abs(total - 1) < 1e-5, "markov_chain_of: row ", a, " sums to ", total, ", not to 1");
    }
    Matrix pi = stationary_of(transitions);
    return {.transitions = std::move(transitions), .stationary = std::move(pi)};
}

MarkovChain make_markov_chain(Random& random, int symbols, float concentration, float uniform_share) {
    require(symbols >= 2, "make_markov_chain: ", symbols, " symbols, two are needed");
    require(concentration > 0, "make_markov_chain: a concentration of ", concentration, ", it must be positive");
    require(uniform_share >= 0 && uniform_share <= 1, "make_markov_chain: a uniform share of ", uniform_share,
            " is outside 0 ... 1");
    Matrix P(symbols, symbols);
    for (int a = 0; a < symbols; ++a) {
        std::vector<double> row;  // gamma draws divided by their sum are a Dirichlet draw
        double total = 0;
        for (int b = 0; b < symbols; ++b) {
            row.push_back(gamma_draw(random, concentration));
            total += row.back();
        }
        for (int b = 0; b < symbols; ++b)
            P(a, b) = static_cast<float>((1 - uniform_share) * row[b] / total + uniform_share / symbols);
    }
    return markov_chain_of(std::move(P));
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

double two_sided_entropy(const MarkovChain& chain) {
    const Matrix& P = chain.transitions;
    const Matrix two_steps = matmul(P, P);  // p(x_t+1 = c | x_t-1 = a)
    double entropy = 0;
    for (int a = 0; a < P.rows; ++a) {
        for (int c = 0; c < P.cols; ++c) {
            const Matrix odds = between(chain, a, c);  // (1, S)
            for (int b = 0; b < P.rows; ++b) entropy += minus_p_log(chain.stationary[a] * two_steps(a, c) * odds[b], odds[b]);
        }
    }
    return entropy;
}

// p(b | a, c) = P_ab P_bc / sum over b: Bayes' rule, because what follows b does not ask what came before it
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
