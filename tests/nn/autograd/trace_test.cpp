#include "nn/autograd/trace.h"

#include <cmath>
#include <limits>

#include "gpt/gpt.h"
#include "nn/autograd/operations.h"
#include "nn/layers/norm.h"
#include "nn/training/loss.h"
#include "tests/nn/autograd/explained.h"
#include "tests/test.h"
#include "vit/vit.h"

TEST_SUITE_BEGIN("trace");

// loss = 3 w^2, and a step w -= gradient.
static void step(Var& w) {
    const Tape tape;
    w.zero_gradient();
    backward(scale(square(w), 3));
    w.value()[0] -= w.gradient()[0];
}

TEST_CASE("Tracing: the operations of a backward pass, leaves in front of their readers, before the weights change") {
    Var w = parameter(Matrix{{2}});
    Tracing tracing;
    step(w);
    const Trace trace = tracing.trace();
    REQUIRE(trace.values.size() == 3);
    CHECK(trace.values[0].operation == std::string("parameter"));
    CHECK(trace.values[1].operation == std::string("square"));
    CHECK(trace.values[2].operation == std::string("scale"));
    CHECK(trace.values[1].inputs == std::vector<int>{0});
    CHECK(trace.values[2].inputs == std::vector<int>{1});
    CHECK(trace.loss == 2);
    CHECK(identical(trace.values[0].value, Matrix{{2}}));  // w is 2 - 12 now
    CHECK(identical(trace.values[0].gradient, Matrix{{12}}));
    CHECK(identical(trace.values[1].gradient, Matrix{{3}}));
    CHECK(trace.values[1].where.line() == trace.values[2].where.line());
    CHECK(readers_of(trace, 0) == std::vector<std::pair<int, int>>{{1, 0}});
    CHECK(readers_of(trace, 2).empty());
}

TEST_CASE("Tracing: the backward pass that was asked for; 0 is the last one") {
    for (const int number : {1, 2, 0}) {
        Var w = parameter(Matrix{{0.1f}});
        Tracing tracing(number);
        std::vector<float> before;
        for (int k = 0; k < 3; ++k) {
            before.push_back(w.value()[0]);
            step(w);
        }
        CHECK(tracing.trace().values[0].value[0] == before[number == 0 ? 2 : static_cast<std::size_t>(number) - 1]);
    }
}

TEST_CASE("Tracing: after the backward pass that was asked for nothing more is held") {
    for (const int number : {1, 2, 0}) {
        Var w = parameter(Matrix{{0.1f}});
        Tracing tracing(number);
        step(w);
        const Tape tape;
        const Var y = square(w);
        CHECK(y->handles == (number == 1 ? 2 : 3));  // y itself, the tape, and the run of a tracing that goes on
    }
}

TEST_CASE("Tracing: a program without a backward pass is kept from its beginning") {
    Tracing tracing;
    const Var y = exp(add(Matrix{{1, 2}}, Matrix{{1}}));
    const Trace trace = tracing.trace();
    REQUIRE(trace.values.size() == 4);
    CHECK(trace.values[3].operation == std::string("exp"));
    CHECK(trace.loss == -1);
    check_explained(trace);
}

TEST_CASE("Tracing: without a tape at most 2 million numbers are kept; with one there is no limit") {
    {
        Tracing tracing;
        const Var two_million = scale(Matrix(1000, 2000), 2);
        const Var kept = exp(Matrix{{1}});  // it exceeds the limit and is the last
        const Var not_kept = exp(Matrix{{2}});
        const Trace trace = tracing.trace();
        REQUIRE(trace.values.size() == 4);  // two constants and what is computed from them
        CHECK(trace.values[3].value[0] == kept.value()[0]);
    }
    Tracing tracing;
    const Var w = parameter(Matrix{{3}});
    const Tape tape;
    const Var more = shift(Matrix(1000, 2001), 1);
    backward(scale(w, more.value()[0]));
    const Trace trace = tracing.trace();
    REQUIRE(trace.values.size() == 4);
    CHECK(trace.loss == 3);
}

TEST_CASE("Tracing: after its scope nothing is recorded") {
    Var w = parameter(Matrix{{2}});
    Trace trace;
    {
        Tracing tracing;
        step(w);
        trace = tracing.trace();
    }
    const std::size_t count = trace.values.size();
    step(w);
    CHECK(trace.values.size() == count);
    CHECK(steps_are_kept() == false);
}

TEST_CASE("first_not_finite: minus infinity is a mask, NaN and infinity are mistakes") {
    Tracing tracing;
    const float inf = std::numeric_limits<float>::infinity();
    const Var masked = add(Matrix{{1}}, Matrix{{-inf}});
    const Var bad = log(Matrix{{-1}});
    const Trace trace = tracing.trace();
    CHECK(trace.values[static_cast<std::size_t>(first_not_finite(trace))].operation == std::string("log"));
    CHECK(std::isnan(bad.value()[0]));
    CHECK(masked.value()[0] == -inf);
    CHECK(first_not_finite({}) == -1);
    Trace first;
    first.values.push_back({.operation = "constant", .value = Matrix{{0, inf}}});
    CHECK(first_not_finite(first) == 0);
}

static Trace trace_of_sum(float a, float b) {
    Tracing tracing;
    const Var y = add(scale(Matrix{{a}}, 2), Matrix{{b}});
    return tracing.trace();
}

TEST_CASE("first_difference: ignores rounding; finds a different value, operation or length") {
    CHECK(first_difference(trace_of_sum(1, 2), trace_of_sum(1, 2)) == -1);
    CHECK(first_difference(trace_of_sum(1, 2), trace_of_sum(1.00001f, 2)) == -1);
    CHECK(first_difference(trace_of_sum(1, 2), trace_of_sum(1, 3)) == 2);  // 0: a, 1: 2 a, 2: b, 3: the sum
    CHECK(first_difference(trace_of_sum(1, NAN), trace_of_sum(1, NAN)) == -1);
    // 1e-5 + 1e-4 |x| is still rounding: around 0 the first term decides, around 1 both do
    const auto differs = [](float x, float y) {
        Trace one, other;
        one.values.push_back({.operation = "constant", .value = Matrix{{x}}});
        other.values.push_back({.operation = "constant", .value = Matrix{{y}}});
        return first_difference(one, other) == 0;
    };
    CHECK(!differs(0, 0.9e-5f));
    CHECK(differs(0, 1.2e-5f));
    CHECK(!differs(1, 1 + 1.0e-4f));
    CHECK(differs(1, 1 + 1.2e-4f));
    Trace shorter = trace_of_sum(1, 2);
    shorter.values.pop_back();
    CHECK(first_difference(trace_of_sum(1, 2), shorter) == 3);
    CHECK(first_difference(shorter, trace_of_sum(1, 2)) == 3);
    CHECK(first_difference(trace_of_sum(1, 2), {}) == 0);
    CHECK(first_difference({}, trace_of_sum(1, 2)) == 0);
    Trace other = trace_of_sum(1, 2);
    other.values[1].operation = "shift";
    CHECK(first_difference(trace_of_sum(1, 2), other) == 1);
}

TEST_CASE("Tracing: each number of a Vision Transformer and its gradients is explained, and attention weights are a named step") {
    const vit::Config config{.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3},
                             .width = 6,
                             .depth = 2,
                             .heads = 3,
                             .mlp_width = 7,
                             .classes = 3};
    Random random(3);
    const vit::Weights w = vit::make_weights(config, random);
    Image image(4, 4, 3);
    for (float& pixel : image.pixels) pixel = random.uniform();
    Tracing tracing;
    const Tape tape;
    backward(vit::loss(vit::forward({image, image}, w, config), {1, 0}));
    const Trace trace = tracing.trace();
    check_explained(trace);
    bool found = false;
    for (const TracedValue& value : trace.values) found = found || value.step == "block 0, weights";
    CHECK(found);
}

TEST_CASE("Tracing: each number of a GPT and its gradients is explained") {
    const gpt::Config config{.vocabulary = 5, .positions = 4, .width = 6, .depth = 2, .heads = 2, .mlp_width = 9};
    Random random(4);
    const gpt::Weights w = gpt::make_weights(config, random);
    Tracing tracing;
    const Tape tape;
    backward(gpt::loss(gpt::forward({1, 2, 3, 4, 0, 2}, 3, w, config), {2, 3, ignored_label, 0, 2, ignored_label}));
    check_explained(tracing.trace());
}

TEST_CASE("Tracing: a loss that was computed before it began does not belong to the trace") {
    const Var w = parameter(Matrix{{2}});
    const Tape tape;
    const Var loss = square(w);
    Tracing tracing;
    backward(loss);
    const Trace trace = tracing.trace();
    CHECK(trace.loss == -1);
    CHECK(trace.values.empty());
}

TEST_CASE("Tracing: an absent input has the number -1") {
    Tracing tracing;
    const Var normed = layer_norm(Matrix{{1, 2}}, {.gain = {}, .bias = Matrix{{3, 4}}}, 0);
    const Trace trace = tracing.trace();
    REQUIRE(trace.values.size() == 3);
    CHECK(trace.values[2].inputs == std::vector<int>{0, -1, 1});
}

TEST_CASE("facts_of, readers_of: a value that the trace does not have is refused") {
    Trace trace;
    trace.values.push_back({.operation = "add", .inputs = {-1, 1}, .value = Matrix(1, 1)});
    for (const int index : {-1, 1}) {
        const std::string rule = ": value " + std::to_string(index) + " of a trace of 1, counted from 0";
        CHECK(error_of([&] { facts_of(trace, index); }) == "facts_of" + rule);
        CHECK(error_of([&] { readers_of(trace, index); }) == "readers_of" + rule);
    }
    CHECK(error_of([&] { facts_of(trace, 0); }) == "facts_of: value 1 of a trace of 1, counted from 0");  // its second input
    CHECK(readers_of(trace, 0).empty());
}

TEST_SUITE_END();
