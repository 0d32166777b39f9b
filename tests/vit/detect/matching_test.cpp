#include "vit/detect/matching.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("matching");

TEST_CASE("assign: is cheaper than the greedy choice") {
    // Greedy takes the 1 and is left with the 9: 10. The other diagonal costs 2 + 3 = 5.
    const Matrix cost{{1, 2}, {3, 9}};
    CHECK(assign(cost) == std::vector<Matched>{{0, 1}, {1, 0}});
    CHECK(cost_of(cost, assign(cost)) == 5);
}

TEST_CASE("assign: more queries than targets, more targets than queries, and no targets") {
    const Matrix tall{{5, 5}, {1, 4}, {9, 9}, {2, 0}};  // rows 1 and 3 are the cheap ones
    CHECK(assign(tall) == std::vector<Matched>{{1, 0}, {3, 1}});
    CHECK(assign(transpose(tall)) == std::vector<Matched>{{0, 1}, {1, 3}});
    // Where all cost the same, row k gets column k, as SciPy's linear_sum_assignment has it.
    CHECK(assign(Matrix(2, 3, 7)) == std::vector<Matched>{{0, 0}, {1, 1}});
    CHECK(assign(Matrix(3, 2, 7)) == std::vector<Matched>{{0, 0}, {1, 1}});
    CHECK(assign(Matrix(4, 0)).empty());
    CHECK(assign(Matrix(0, 4)).empty());
}

// The smallest sum over all ways to give each column a row of its own; cost has at least as many rows as columns.
static double cheapest_of_all(const Matrix& cost) {
    std::vector<int> rows(cost.rows);
    std::iota(rows.begin(), rows.end(), 0);
    double best = std::numeric_limits<double>::infinity();
    do {
        double total = 0;
        for (int j = 0; j < cost.cols; ++j) total += cost(rows[j], j);
        best = std::min(best, total);
    } while (std::next_permutation(rows.begin(), rows.end()));
    return best;
}

static bool is_one_to_one(const Matrix& cost, const std::vector<Matched>& pairs) {
    std::vector<int> rows(cost.rows), columns(cost.cols);
    for (const Matched& pair : pairs)
        if (++rows.at(pair.row) > 1 || ++columns.at(pair.column) > 1) return false;
    return static_cast<int>(pairs.size()) == std::min(cost.rows, cost.cols) &&
           std::is_sorted(pairs.begin(), pairs.end(), [](const Matched& a, const Matched& b) { return a.row < b.row; });
}

TEST_CASE("assign: as cheap as the best of all permutations, on 3000 matrices of every shape, ties and negative costs included") {
    Random random(3);
    int wrong = 0, not_one_to_one = 0;
    for (int trial = 0; trial < 3000; ++trial) {
        const int n = 1 + random.below(6), m = 1 + random.below(n);
        Matrix cost(n, m);
        const bool ties = trial % 2 == 0;  // whole numbers from -2 to 2: many equal sums
        for (float& c : cost) c = ties ? static_cast<float>(random.below(5) - 2) : random.normal();
        const double best = cheapest_of_all(cost);
        const std::vector<Matched> tall = assign(cost), wide = assign(transpose(cost));
        wrong += std::abs(cost_of(cost, tall) - best) > 1e-9 || std::abs(cost_of(transpose(cost), wide) - best) > 1e-9;
        not_one_to_one += !is_one_to_one(cost, tall) || !is_one_to_one(transpose(cost), wide);
    }
    CHECK(wrong == 0);
    CHECK(not_one_to_one == 0);
}

TEST_CASE("assign: finds the known cheapest assignment of 200 rows and columns") {
    // Any potentials and a hidden permutation: pairs of it cost row + column, all others more.
    Random random(4);
    const int n = 200;
    const std::vector<int> hidden = permutation(random, n);
    std::vector<float> row(n), column(n);
    for (int i = 0; i < n; ++i) row[i] = random.normal(), column[i] = random.normal();
    Matrix cost(n, n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) cost(i, j) = row[i] + column[j] + (hidden[i] == j ? 0 : 0.01f + random.uniform());
    const std::vector<Matched> pairs = assign(cost);
    int wrong = 0;
    for (int i = 0; i < n; ++i) wrong += !(pairs[i] == Matched{i, hidden[i]});
    CHECK(wrong == 0);
}

TEST_CASE("assign: a forbidden pair has a large cost, which does not hide differences between the others") {
    const float never = 1e30f;
    const Matrix cost{{never, 1, never}, {2, never, 3}, {never, 5, 4}, {never, never, never}};
    CHECK(assign(cost) == std::vector<Matched>{{0, 1}, {1, 0}, {2, 2}});
}

TEST_CASE("assign: a cost that is not finite throws with its row and column") {
    CHECK(error_of([] { assign({{1, 2}, {NAN, 3}}); }) == "assign: the cost of row 1 and column 0 is nan, it must be finite");
    CHECK(error_of([] { assign({{1, INFINITY}}); }) == "assign: the cost of row 0 and column 1 is inf, it must be finite");
}

TEST_CASE("cost_of: a pair outside the cost matrix is refused") {
    CHECK_THROWS_WITH(cost_of(Matrix(2, 3), {{2, 0}}), "cost_of: row 2 and column 0 of costs (2, 3), both are counted from 0");
    CHECK_THROWS_WITH(cost_of(Matrix(2, 3), {{0, -1}}), "cost_of: row 0 and column -1 of costs (2, 3), both are counted from 0");
}

TEST_CASE("cost_of: a row below 0 and a column after the last are refused as well") {
    CHECK(cost_of({{1, 2}, {3, 4}}, {{1, 1}, {0, 0}}) == 5);
    CHECK_THROWS_WITH(cost_of(Matrix(2, 3), {{-1, 0}}), "cost_of: row -1 and column 0 of costs (2, 3), both are counted from 0");
    CHECK_THROWS_WITH(cost_of(Matrix(2, 3), {{0, 3}}), "cost_of: row 0 and column 3 of costs (2, 3), both are counted from 0");
}

TEST_SUITE_END();
