#include "nn/autograd/trace.h"

#include <algorithm>
#include <cmath>
#include <limits>

// ---- keeping a run ----------------------------------------------------------------------------------------------------------

void Tracing::tape_began() {
    const bool finished = wanted > 0 && passes >= wanted;
    if (finished) return;
    run.clear();
    steps.clear();
    collecting = true;
    on_tape = true;
}

void Tracing::made(const Var& result, const std::vector<Var>& inputs) {
    if (!collecting) return;
    run.push_back({result, inputs});
    numbers += result.value().size();
    if (!on_tape && numbers > most_numbers) collecting = false;
}

Var Tracing::at(const StepId& step, const Var& value) {
    if (!collecting) return value;
    const std::string block = step.block < 0 ? "" : joined({"block ", step.block, ", "});
    steps.emplace_back(value, joined({block, step.cross ? "cross " : "", step.name}));
    return value;
}

void Tracing::walked_back(const Var& loss) {
    if (!collecting) return;
    ++passes;
    collecting = false;
    if (wanted == 0 || passes == wanted) kept = copied(loss);
    run.clear();
    steps.clear();
}

Trace Tracing::trace() const { return kept.values.empty() ? copied({}) : kept; }

Trace Tracing::copied(const Var& loss) const {
    Trace trace;
    std::map<const Record*, int> numbers_of;
    const auto add = [&](const Var& v, const std::vector<int>& inputs, Explained explained) {
        numbers_of[v.operator->()] = static_cast<int>(trace.values.size());
        trace.values.push_back({.operation = v->operation,
                                .step = {},
                                .where = v->where,
                                .inputs = inputs,
                                .value = v.value(),
                                .gradient = v.gradient(),
                                .explained = std::move(explained)});
    };
    for (const Made& made : run) {
        std::vector<int> inputs;
        for (const Var& input : made.inputs) {
            if (input && numbers_of.count(input.operator->()) == 0)
                add(input, {}, {});  // a leaf, or computed before the tape began
            inputs.push_back(input ? numbers_of.at(input.operator->()) : -1);
        }
        const Record& record = *made.result.operator->();
        add(made.result, inputs, record.explain == nullptr ? Explained{} : record.explain(record, made.inputs));
    }
    for (const auto& [value, name] : steps) {
        const auto found = numbers_of.find(value.operator->());
        if (found != numbers_of.end()) trace.values[static_cast<std::size_t>(found->second)].step = name;
    }
    if (loss && numbers_of.count(loss.operator->()) > 0) trace.loss = numbers_of.at(loss.operator->());
    return trace;
}

// ---- reading a trace --------------------------------------------------------------------------------------------------------

static void require_value(const char* place, const Trace& trace, int index) {
    require(index >= 0 && index < static_cast<int>(trace.values.size()), place, ": value ", index, " of a trace of ",
            trace.values.size(), ", counted from 0");
}

Facts facts_of(const Trace& trace, int index) {
    require_value("facts_of", trace, index);
    const TracedValue& traced = trace.values[static_cast<std::size_t>(index)];
    Facts facts{.inputs = {}, .value = &traced.value, .gradient = &traced.gradient, .explained = &traced.explained};
    for (const int input : traced.inputs) {
        if (input >= 0) require_value("facts_of", trace, input);
        facts.inputs.push_back(input < 0 ? nullptr : &trace.values[static_cast<std::size_t>(input)].value);
    }
    return facts;
}

std::vector<std::pair<int, int>> readers_of(const Trace& trace, int index) {
    require_value("readers_of", trace, index);
    std::vector<std::pair<int, int>> readers;
    for (std::size_t k = static_cast<std::size_t>(index) + 1; k < trace.values.size(); ++k)
        for (std::size_t which = 0; which < trace.values[k].inputs.size(); ++which)
            if (trace.values[k].inputs[which] == index) readers.emplace_back(static_cast<int>(k), static_cast<int>(which));
    return readers;
}

int first_not_finite(const Trace& trace) {
    for (std::size_t k = 0; k < trace.values.size(); ++k)
        for (const float x : trace.values[k].value) {
            const bool is_mask = x == -std::numeric_limits<float>::infinity();  // what is computed from a mask holds it too
            if (!std::isfinite(x) && !is_mask) return static_cast<int>(k);
        }
    return -1;
}

int first_difference(const Trace& a, const Trace& b) {
    const std::size_t count = std::min(a.values.size(), b.values.size());
    for (std::size_t k = 0; k < count; ++k) {
        const TracedValue& one = a.values[k];
        const TracedValue& other = b.values[k];
        if (one.operation != other.operation || !same_shape(one.value, other.value)) return static_cast<int>(k);
        for (std::size_t e = 0; e < one.value.size(); ++e) {
            const float x = one.value[e], y = other.value[e];
            if (x == y || (std::isnan(x) && std::isnan(y))) continue;
            if (!(std::abs(x - y) <= 1e-5f + 1e-4f * std::abs(x))) return static_cast<int>(k);
        }
    }
    return a.values.size() == b.values.size() ? -1 : static_cast<int>(count);
}
