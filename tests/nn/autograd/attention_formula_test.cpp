#include "nn/autograd/attention_formula.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/trace.h"
#include "nn/base/random.h"
#include "nn/layers/attention.h"
#include "tests/nn/autograd/explained.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("attention_formula");

// attend() as the one operation that it is without a hook: its inputs, its result and their gradients as a trace.
static Trace trace_of_attend(const std::vector<Matrix>& values, int heads, Attending how) {
    std::vector<Var> inputs;
    for (const Matrix& value : values) inputs.push_back(parameter(value));
    if (inputs.size() > 3) how.bias = inputs[3];
    const Tape tape;
    const Var context = attend(inputs[0], inputs[1], inputs[2], heads, how).context;
    inputs.resize(4);
    const Explained explained = context->explain(*context.operator->(), inputs);
    Random random(5);
    backward(sum(multiply(context, normal_matrix(random, context.rows(), context.cols()))));
    Trace trace;
    std::vector<int> numbers;
    for (const Var& input : inputs) {
        numbers.push_back(input ? static_cast<int>(trace.values.size()) : -1);
        if (input) trace.values.push_back({.operation = "parameter", .value = input.value(), .gradient = input.gradient()});
    }
    trace.values.push_back({.operation = "attend",
                            .inputs = numbers,
                            .value = context.value(),
                            .gradient = context.gradient(),
                            .explained = explained});
    trace.loss = static_cast<int>(trace.values.size()) - 1;  // its own gradient was given, not computed
    return trace;
}

TEST_CASE(
    "attend: its formulas give the context and all gradients: heads that share keys, wider values, one segment or several") {
    Random random(11);
    const Segments queries{{{0, 2}, {2, 3}}}, keys{{{0, 4}, {4, 2}}};
    const Matrix q = normal_matrix(random, 5, 4), k = normal_matrix(random, 6, 2), v = normal_matrix(random, 6, 3);
    check_explained(trace_of_attend({q, k, v}, 2, {}));  // one key head for both query heads, hv = 3
    check_explained(trace_of_attend({q, k, v}, 2, {.segments = queries, .key_segments = keys, .scale = 0.3f}));
    check_explained(trace_of_attend({q, q, q}, 4, {.segments = queries}));  // h = 1
    const Matrix wide = normal_matrix(random, 6, 4), far = normal_matrix(random, 5, 8);
    check_explained(trace_of_attend({far, wide, wide}, 4, {.segments = queries, .key_segments = keys}));  // H = 4, G = 2
    check_explained(trace_of_attend({k, slice_cols(q, 0, 2), slice_cols(q, 0, 2)}, 1, {}));  // more queries than keys
}

TEST_CASE("attend: its formulas under a mask; a query that may attend to nothing gives zeros") {
    Random random(12);
    const Matrix q = normal_matrix(random, 5, 4), k = normal_matrix(random, 5, 4), v = normal_matrix(random, 5, 6);
    check_explained(trace_of_attend({q, k, v}, 2, {.may = causal(5, 5)}));
    const Segments two{{{2, 3}, {0, 2}}};  // the mask has a row for each query of the batch
    check_explained(trace_of_attend({q, k, v}, 2, {.segments = two, .may = causal(5, 5)}));
    MayAttend nothing = causal(5, 5);
    for (int key = 0; key < 5; ++key) nothing.table[static_cast<std::size_t>(2 * 5 + key)] = 0;
    check_explained(trace_of_attend({q, k, v}, 2, {.may = nothing}));
}

TEST_CASE("attend: its formulas with one bias for all segments, and with one for each") {
    Random random(13);
    const Segments queries{{{0, 2}, {2, 3}}}, keys{{{0, 4}, {4, 2}}};
    const Matrix q = normal_matrix(random, 5, 4), k = normal_matrix(random, 6, 4), v = normal_matrix(random, 6, 4);
    const Matrix shared = normal_matrix(random, 2 * 3, 4), own = normal_matrix(random, 2 * 5, 4);
    for (const Matrix& bias : {shared, own})
        check_explained(trace_of_attend({q, k, v, bias}, 2, {.segments = queries, .key_segments = keys}));
    check_explained(trace_of_attend({q, q, q, normal_matrix(random, 2 * 5, 5)}, 2, {.may = causal(5, 5)}));
}

TEST_SUITE_END();
