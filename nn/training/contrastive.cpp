#include "nn/training/contrastive.h"

#include <numeric>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"

Var scaled_cosines(const Var& unit_a, const Var& unit_b, const Var& log_scale, Where where) {
    require(log_scale.rows() == 1 && log_scale.cols() == 1, where, "scaled_cosines: a logarithm of the scale of shape ",
            log_scale.value(), ", it must be (1, 1), one for all cosines");
    const Var cosines = matmul_transposed(unit_a, unit_b, where);  // (n, m)
    return multiply(cosines, exp(log_scale, where), where);        // (n, m)
}

Contrastive contrastive(const Var& logits, Where where) {
    require(logits.rows() == logits.cols() && logits.rows() > 0, where, "contrastive: logits of shape ", logits.value(),
            ", row i and column i must be a pair, so they are square; there must be a pair");
    std::vector<int> own(static_cast<std::size_t>(logits.rows()));  // the target of row i is column i
    std::iota(own.begin(), own.end(), 0);
    Contrastive steps;
    steps.loss_rows = cross_entropy(logits, own, where);                               // (1, 1)   [CPC 4]
    steps.loss_columns = cross_entropy(transpose(logits, where), own, where);          // (1, 1)
    steps.loss = scale(add(steps.loss_rows, steps.loss_columns, where), 0.5f, where);  // (1, 1)
    return steps;
}

Contrastive contrastive(const Var& unit_a, const Var& unit_b, const Var& log_scale, Where where) {
    return contrastive(scaled_cosines(unit_a, unit_b, log_scale, where), where);
}
