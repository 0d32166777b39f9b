#include "tests/nn/autograd/explained.h"

#include <optional>

#include "tests/close.h"

// What flows into the gradient of a value from all its readers: nothing when one of them has no formula.
static std::optional<Matrix> explained_gradient(const Trace& trace, int index) {
    const TracedValue& traced = trace.values[static_cast<std::size_t>(index)];
    Matrix sums(traced.value.rows, traced.value.cols);
    for (const auto& [reader, which] : readers_of(trace, index)) {
        const TracedValue& read = trace.values[static_cast<std::size_t>(reader)];
        if (read.gradient.empty()) continue;
        const Facts facts = facts_of(trace, reader);
        const std::string words = gradient_formula(read.explained, facts, which);
        if (words.empty()) return std::nullopt;
        const Formula formula = parse_formula(words);
        for (int i = 0; i < sums.rows; ++i)
            for (int j = 0; j < sums.cols; ++j) sums(i, j) += static_cast<float>(evaluate(formula, facts, i, j, which));
    }
    return sums;
}

static Matrix explained_value(const Trace& trace, int index) {
    const TracedValue& traced = trace.values[static_cast<std::size_t>(index)];
    const Formula formula = parse_formula(traced.explained.value);
    const Facts facts = facts_of(trace, index);
    Matrix m(traced.value.rows, traced.value.cols);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) m(i, j) = static_cast<float>(evaluate(formula, facts, i, j));
    return m;
}

std::string explanation_difference(const Trace& trace, int& skipped) {
    for (int k = 0; k < static_cast<int>(trace.values.size()); ++k) {
        const TracedValue& traced = trace.values[static_cast<std::size_t>(k)];
        const std::string name = joined({"value ", k, ", ", traced.operation});
        if (traced.explained.value.empty()) {
            skipped += !traced.inputs.empty();
        } else {
            const std::string different = difference(explained_value(trace, k), traced.value);
            if (!different.empty()) return joined({name, ": ", traced.explained.value, ": ", different});
        }
        if (traced.gradient.empty() || k == trace.loss) continue;
        const std::optional<Matrix> gradient = explained_gradient(trace, k);
        if (!gradient) {
            ++skipped;
            continue;
        }
        const std::string different = difference(*gradient, traced.gradient);
        if (!different.empty()) return joined({"gradient of ", name, ": ", different});
    }
    return "";
}

void check_explained(const Trace& trace, Where where) {
    int skipped = 0;
    std::string complaint = explanation_difference(trace, skipped);
    if (complaint.empty() && skipped > 0) complaint = joined({skipped, " values or gradients have no formula"});
    if (complaint.empty() && trace.values.empty()) complaint = "the trace is empty";
    check_none(complaint, where);
}
