// matching.h: bipartite matching: the cheapest one-to-one assignment of predictions to objects.
//
//   papers   Kuhn, "The Hungarian Method for the Assignment Problem", 1955; the form with potentials and one shortest path for each
//            row: Jonker and Volgenant, 1987. In detection since DETR, Carion et al. 2020, arXiv 2005.12872, Eq. 1
//   equations [DETR 1]
//   shows    that a set of predictions can be trained without an order: the loss first matches predictions to objects
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

// The min(n, m) pairs, each row and each column at most once, with the smallest total cost; sorted by row. Ties are broken
// deterministically.
//   cost     (n, m), any finite numbers; n or m may be 0, then nothing is matched
//   throws   std::invalid_argument when a cost is not finite
std::vector<Matched> assign(const Matrix& cost);

// The sum of the costs of these pairs.
double cost_of(const Matrix& cost, const std::vector<Matched>& pairs);
