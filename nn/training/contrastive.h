// contrastive.h: the contrastive loss of a batch of pairs.
//
//   papers   van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018, arXiv 1807.03748, Eq. 4;
//            in both directions: Radford et al. (CLIP), 2021, arXiv 2103.00020, Figure 3
//   equations [CPC 4]
//   shows    that the other pairs of a batch serve as negatives: row i must be classified as column i, and column i as row i
//   symbols  B pairs   D width   a, b the two sides of the pairs, rows of length 1 (unit_rows of nn/layers/norm.h)
//   note     The scale is trained as a logarithm, so that it stays positive.
#pragma once
#include "nn/autograd/variable.h"

// exp(log_scale) times the cosine of every row of a with every row of b.
//   unit_a, unit_b  (n, D), (m, D)
//   log_scale       (1, 1)
//   returns         (n, m)
Var scaled_cosines(const Var& unit_a, const Var& unit_b, const Var& log_scale, Where where = Where::current());

struct Contrastive {
    Var loss_rows;     // (1, 1)  cross-entropy of the rows, with the diagonal as target: which b belongs to this a?
    Var loss_columns;  // (1, 1)  of the columns: which a belongs to this b?
    Var loss;          // (1, 1)  the mean of the two
};

// The loss of any similarity logits (B, B), in which row i and column i are a pair.
//   throws  std::invalid_argument unless the logits are square
Contrastive contrastive(const Var& logits, Where where = Where::current());

// The same with scaled_cosines as logits: CLIP, CoCa.
Contrastive contrastive(const Var& unit_a, const Var& unit_b, const Var& log_scale, Where where = Where::current());
