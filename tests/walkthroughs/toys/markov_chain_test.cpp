#include "walkthroughs/toys/markov_chain.h"

#include <cmath>
#include <set>

#include "nn/base/matmul.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("markov_chain");

TEST_CASE("MarkovChain: entropies of two symbols, worked out by hand") {
    // From 0 to 0 and 1 alike, from 1 always to 0.   pi_0 = pi_0 / 2 + pi_1, pi_0 + pi_1 = 1   ->  pi = [2/3, 1/3]
    const MarkovChain chain = markov_chain_of({{0.5f, 0.5f}, {1, 0}});
    CHECK(chain.stationary[0] == Approx(2.0 / 3));
    CHECK(chain.stationary[1] == Approx(1.0 / 3));
    // H(x_t) = 2/3 ln(3/2) + 1/3 ln 3
    CHECK(unigram_entropy(chain) == Approx(2.0 / 3 * std::log(1.5) + std::log(3.0) / 3));
    // only after 0 is there a choice, between two: H(x_t | x_t-1) = 2/3 ln 2
    CHECK(causal_entropy(chain) == Approx(2.0 / 3 * std::log(2.0)));
    // Between 0 and 0: 00 has 1/2 1/2 = 1/4, 01 0 has 1/2 1 = 1/2, so 1 is twice as likely. Everywhere else one symbol alone is possible.
    const Matrix odds = between(chain, 0, 0);
    CHECK(odds.rows == 1);
    CHECK(odds[0] == Approx(1.0 / 3));
    CHECK(odds[1] == Approx(2.0 / 3));
    CHECK(between(chain, 0, 1)[0] == Approx(1));
    CHECK(between(chain, 1, 0)[0] == Approx(1));
    // p(x_t-1 = 0, x_t+1 = 0) = 2/3 (1/4 + 1/2) = 1/2, so H(x_t | both) = 1/2 (1/3 ln 3 + 2/3 ln(3/2))
    CHECK(two_sided_entropy(chain) == Approx((std::log(3.0) / 3 + 2.0 / 3 * std::log(1.5)) / 2));
    // Every second symbol is 0, and 0 is certain two symbols later; between two zeros 1 and 2 are equally likely.
    const MarkovChain every_second = markov_chain_of({{0, 0.5f, 0.5f}, {1, 0, 0}, {1, 0, 0}});
    CHECK(two_sided_entropy(every_second) == Approx(std::log(2.0) / 2));
}

TEST_CASE("MarkovChain: conditioning on neighbours lowers the entropy; symbol frequencies equal pi") {
    for (int seed = 1; seed <= 5; ++seed) {
        Random random(seed);
        const MarkovChain chain = make_markov_chain(random);
        CHECK(chain.symbols() == 12);
        CHECK(unigram_entropy(chain) < std::log(12.0));
        CHECK(causal_entropy(chain) < unigram_entropy(chain) - 0.2);
        CHECK(two_sided_entropy(chain) < causal_entropy(chain) - 0.2);
        const Matrix next = matmul(chain.stationary, chain.transitions);  // (1, 12)
        for (int b = 0; b < 12; ++b) {
            CHECK(next[b] == Approx(chain.stationary[b]).epsilon(1e-4));
            for (int a = 0; a < 12; ++a) CHECK(chain.transitions(a, b) >= doctest::Approx(0.03 / 12));
        }
    }
}

TEST_CASE("MarkovChain: a long sample has the computed entropy; equal seeds give equal samples") {
    Random random(3), same(3);
    const MarkovChain chain = make_markov_chain(random), same_chain = make_markov_chain(same);
    const std::vector<int> symbols = sample(chain, random, 20000);
    CHECK(symbols == sample(same_chain, same, 20000));
    CHECK(symbols.size() == 20000);
    double surprise = 0;
    for (std::size_t t = 1; t < symbols.size(); ++t) surprise -= std::log(chain.transitions(symbols[t - 1], symbols[t]));
    CHECK(surprise / 19999 == Approx(causal_entropy(chain)).epsilon(0.02));
}

TEST_CASE("MarkovChain: rejects a matrix whose rows are not distributions") {
    CHECK_THROWS_WITH(markov_chain_of({{1, 0}}),
                      "markov_chain_of: transitions are (1, 2), they must be square with two symbols or more");
    CHECK_THROWS_WITH(markov_chain_of({{1}}),
                      "markov_chain_of: transitions are (1, 1), they must be square with two symbols or more");
    CHECK_THROWS_WITH(markov_chain_of({{0.5f, 0.25f, 0.25f}, {0, 1, 0}}),
                      "markov_chain_of: transitions are (2, 3), they must be square with two symbols or more");
    CHECK_THROWS_WITH(markov_chain_of({{0.5f, 0.25f}, {0, 1}}), "markov_chain_of: row 0 sums to 0.750000, not to 1");
    CHECK_THROWS_WITH(markov_chain_of({{2, -1}, {0, 1}}), "markov_chain_of: a probability of -1.000000 in row 0");
    Random random;
    CHECK_THROWS_WITH(make_markov_chain(random, 1), "make_markov_chain: 1 symbols, two are needed");
    CHECK_THROWS_WITH(make_markov_chain(random, 3, 0), "make_markov_chain: a concentration of 0.000000, it must be positive");
    CHECK_THROWS_WITH(make_markov_chain(random, 3, 1, 2), "make_markov_chain: a uniform fraction of 2.000000 is outside 0 ... 1");
    CHECK_THROWS_WITH(make_markov_chain(random, 3, 1, -0.5f),
                      "make_markov_chain: a uniform fraction of -0.500000 is outside 0 ... 1");
    CHECK(make_markov_chain(random, 2, 1, 0).symbols() == 2);
    for (const float p : make_markov_chain(random, 4, 1, 1).transitions) CHECK(p == 0.25f);
    const MarkovChain three = make_markov_chain(random, 3);
    CHECK_THROWS_WITH(between(three, 0, 3), "between: symbols 0 and 3 of 3");
    CHECK_THROWS_WITH(between(three, 3, 0), "between: symbols 3 and 0 of 3");
    CHECK_THROWS_WITH(between(three, -1, 0), "between: symbols -1 and 0 of 3");
    CHECK_THROWS_WITH(between(three, 0, -1), "between: symbols 0 and -1 of 3");
    CHECK_NOTHROW(between(three, 2, 0));
    // after 0 only 1 follows, after 1 only 0: nothing stands between 0 and 1
    for (const float p : between(markov_chain_of({{0, 1}, {1, 0}}), 0, 1)) CHECK(p == 0);
}

TEST_CASE("make_markov_chain: rows are Dirichlet draws: mean 1/S, variance (1/S) (1 - 1/S) / (S a + 1)") {
    const int S = 60;
    for (const float concentration : {0.3f, 1.0f, 2.5f}) {
        Random random(1);
        const MarkovChain chain = make_markov_chain(random, S, concentration, 0);
        double variance = 0;
        for (const float p : chain.transitions) variance += (p - 1.0 / S) * (p - 1.0 / S) / (S * S);
        CHECK(variance * (S * concentration + 1) * S / (1 - 1.0 / S) == Approx(1).epsilon(0.1));
    }
}

TEST_CASE("make_markov_chain: fractions of probabilities above a bound, for concentrations 1 and 1/2; what seed 1 gives") {
    const int S = 300;
    const auto above = [&](const MarkovChain& chain, double bound) {
        int count = 0;
        for (const float p : chain.transitions) count += S * p > bound;
        return static_cast<double>(count) / (S * S);
    };
    Random random(1);
    const MarkovChain one = make_markov_chain(random, S, 1, 0), half = make_markov_chain(random, S, 0.5f, 0);
    for (const double bound : {0.1, 0.5, 1.0, 2.0, 4.0}) {
        // uniform on the simplex: (1 - x)^(S - 1)
        CHECK(above(one, bound) == Approx(std::pow(1 - bound / S, S - 1)).epsilon(0.03));
        // the square of a coordinate of a random unit vector, so S p is nearly a normal draw squared
        CHECK(above(half, bound) == Approx(std::erfc(std::sqrt(bound / 2))).epsilon(0.03));
    }
    Random first(1);  // the claims of the lessons are made for these numbers
    Random same(1);
    CHECK(make_markov_chain(same, 2, 1, 0).transitions(1, 1) == Approx(0.989308));
    CHECK(make_markov_chain(first, 60).transitions(59, 59) == Approx(0.110082));
    CHECK(make_second_order_chain(first).transitions(35, 5) == Approx(0.523644));
}

TEST_CASE("span_entropy: one symbol is the two-sided entropy, two can be worked out by hand, a long span is nearly causal") {
    const MarkovChain chain = markov_chain_of({{0.5f, 0.5f}, {1, 0}});
    CHECK(span_entropy(chain, 1) == Approx(two_sided_entropy(chain)));
    // Two symbols between a and c. The paths and their probabilities P_ax P_xy P_yc:
    //   0xy0: xy = 00 1/8, 01 1/4, 10 1/4, together 5/8      0xy1: xy = 00 1/8, 10 1/4, together 3/8
    //   1xy0: xy = 00 1/4, 01 1/2, together 3/4              1xy1: xy = 00 alone
    const double from_0_to_0 = std::log(5.0) - 4.0 / 5 * std::log(2.0), third = std::log(3.0) - 2.0 / 3 * std::log(2.0);
    const double both = 2.0 / 3 * (5.0 / 8 * from_0_to_0 + 3.0 / 8 * third) + 1.0 / 3 * (3.0 / 4 * third);
    CHECK(span_entropy(chain, 2) == Approx(both / 2));
    CHECK(span_entropy(chain, 60) == Approx(causal_entropy(chain)).epsilon(0.01));
    CHECK_THROWS_WITH(span_entropy(chain, 0), "span_entropy: a span of 0 symbols");
}

TEST_CASE("SecondOrderChain: entropies that can be worked out by hand") {
    // The next symbol is always the last but one, so 0 0 0 ..., 1 1 1 ... and 0 1 0 1 ... are the only texts.
    const SecondOrderChain chain = second_order_chain_of({{1, 0}, {1, 0}, {0, 1}, {0, 1}});
    // Pairs are equally frequent; after a pair the next symbol is certain, after one symbol both are equally likely
    for (const float share : chain.stationary) CHECK(share == Approx(0.25));
    CHECK(causal_entropy(chain) == Approx(0));
    CHECK(bigram_entropy(chain) == Approx(std::log(2.0)));
    // no memory at all, and a memory of one symbol: the chain of two symbols worked out above
    const SecondOrderChain coin = second_order_chain_of(Matrix(4, 2, 0.5f));
    CHECK(causal_entropy(coin) == Approx(std::log(2.0)));
    CHECK(bigram_entropy(coin) == Approx(std::log(2.0)));
    const SecondOrderChain first_order = second_order_chain_of({{0.5f, 0.5f}, {1, 0}, {0.5f, 0.5f}, {1, 0}});
    CHECK(causal_entropy(first_order) == Approx(2.0 / 3 * std::log(2.0)));
    CHECK(bigram_entropy(first_order) == Approx(2.0 / 3 * std::log(2.0)));
    Random random(1);
    const std::vector<int> text = sample(chain, random, 9);
    CHECK(text.size() == 9);
    for (int t = 2; t < 9; ++t) CHECK(text[t] == text[t - 2]);
    CHECK(sample(chain, random, 1).size() == 1);
}

TEST_CASE("sample: the first pair is one draw, each further symbol one more; a text of one symbol is half of a pair") {
    Random random(3);
    const SecondOrderChain chain = make_second_order_chain(random, 3);
    for (const auto& [length, draws] : {std::pair{5, 4}, std::pair{2, 1}, std::pair{1, 1}}) {
        Random drawn(7), again(7);
        CHECK(sample(chain, drawn, length).size() == static_cast<std::size_t>(length));
        for (int k = 0; k < draws; ++k) again.uniform();
        CHECK(drawn.uniform() == again.uniform());
    }
    std::set<std::vector<int>> pairs;
    for (int k = 0; k < 500; ++k) pairs.insert(sample(chain, random, 2));
    CHECK(pairs.size() == 9);
}

TEST_CASE("SecondOrderChain: a long sample has the computed entropy; one symbol of context gives a higher one") {
    for (int seed = 1; seed <= 3; ++seed) {
        Random random(seed);
        const SecondOrderChain chain = make_second_order_chain(random);
        CHECK(causal_entropy(chain) < bigram_entropy(chain) - 0.1);
        const std::vector<int> text = sample(chain, random, 30000);
        double surprise = 0;
        for (std::size_t t = 2; t < text.size(); ++t)
            surprise -= std::log(chain.transitions(text[t - 2] * 6 + text[t - 1], text[t]));
        CHECK(surprise / 29998 == Approx(causal_entropy(chain)).epsilon(0.03));
    }
    CHECK_THROWS_WITH(second_order_chain_of({{1}}),
                      "second_order_chain_of: transitions are (1, 1), they must be (S * S, S) with two symbols or more");
    CHECK_THROWS_WITH(second_order_chain_of({{1, 0}, {1, 0}, {0, 1}, {0, 0.5f}}),
                      "second_order_chain_of: row 3 sums to 0.500000, not to 1");
    CHECK_THROWS_WITH(second_order_chain_of({{1, 0}, {0, 1}}),
                      "second_order_chain_of: transitions are (2, 2), they must be (S * S, S) with two symbols or more");
}

TEST_SUITE_END();
