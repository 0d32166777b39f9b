// matching.h: which prediction answers for which object: the cheapest one-to-one assignment.
//
//   papers   Kuhn, "The Hungarian Method for the Assignment Problem", 1955; the form with potentials and one shortest path for each
//            row: Jonker and Volgenant, 1987. In detection since DETR, Carion et al. 2020, arXiv 2005.12872, Eq. 1
//   shows    that a set of predictions can be trained without an order: the loss first asks who is meant
//   symbols  n rows (queries)   m columns (targets)   c cost
//   cost     O(min(n, m)^2 max(n, m)), in double; exact
#pragma once
#include <vector>

#include "nn/base/matrix.h"

struct Matched {
    int row;     // query
    int column;  // target

    bool operator==(const Matched&) const = default;
};

// The min(n, m) pairs, no row and no column twice, whose costs sum to the smallest number possible; sorted by row. Of several
// assignments with equal sums the choice is always the same one.
//   cost     (n, m), any finite numbers; either side may be 0, then nothing is matched
//   throws   std::invalid_argument when a cost is not finite
std::vector<Matched> assign(const Matrix& cost);

// The sum of the costs of these pairs.
double cost_of(const Matrix& cost, const std::vector<Matched>& pairs);
