#include "nn/autograd/hook.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/transformer.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("hook");

namespace {

// Puts a value in place of one step of one block.
struct Replace : Hook {
    int block;
    std::string name;
    Var other;
    Replace(int block, std::string name, Var other) : block(block), name(std::move(name)), other(std::move(other)) {}

    Var at(const StepId& step, const Var& value) override { return step.block == block && step.is(name) ? other : value; }
};

struct Names : Hook {
    std::vector<std::string> seen;
    Var at(const StepId& step, const Var& value) override {
        seen.push_back(std::to_string(step.block) + " " + step.full_name());
        return value;
    }
};

struct HookExample {
    std::vector<Block> blocks;
    Var z;
    BlockContext context;
};

}  // namespace

static const BlockOptions options{.heads = 2};

static HookExample example() {
    Random random(1);
    HookExample e;
    for (int l = 0; l < 2; ++l) e.blocks.push_back(make_block(random, {.width = 4, .mlp_width = 6}, {.stddev = 0.5f}));
    e.z = Var(normal_matrix(random, 5, 4));
    e.context.self = {.segments = Segments::of({2, 3}), .may = {}, .bias = Var(normal_matrix(random, 6, 3))};
    return e;
}

TEST_CASE(
    "Hook: without a hook values pass through unchanged; with one, attention computed step by step gives the same numbers") {
    const HookExample e = example();
    CHECK(named_step("input", e.z).same_as(e.z));
    const Matrix plain = stack(e.z, e.blocks, options, e.context).output.value();
    const Names names;
    check_close("output", stack(e.z, e.blocks, options, e.context).output.value(), plain);
    BlockContext causal_context;
    causal_context.self.may = causal(5, 5);
    check_close("causal", stack(e.z, e.blocks, options, causal_context).output.value(), [&] {
        std::vector<Var> rows;  // token by token, each attends only to earlier ones
        for (int t = 0; t < 5; ++t) {
            const Var seen = slice_rows(e.z, 0, t + 1);
            rows.push_back(slice_rows(stack(seen, e.blocks, options, {.self = {.may = causal(t + 1, t + 1)}}).output, t, 1));
        }
        return concat_rows(rows).value();
    }());
}

TEST_CASE("Hook: steps are named in the order in which they are computed, block by block") {
    const HookExample e = example();
    Names names;
    stack(e.z, e.blocks, options, e.context);
    REQUIRE(names.seen.size() == 26);
    CHECK(std::vector<std::string>(names.seen.begin() + 13, names.seen.end()) ==
          std::vector<std::string>{"1 input", "1 norm1", "1 query", "1 key", "1 value", "1 weights", "1 context",
                                   "1 attention_output", "1 after_attention", "1 norm2", "1 hidden", "1 mlp_output", "1 output"});
}

TEST_CASE("Hook: steps of cross-attention have StepId::cross set") {
    Random random(1);
    const Block w = make_block(random, {.width = 4, .mlp_width = 6, .source_width = 4}, {.stddev = 0.5f});
    Names names;
    block(Var(normal_matrix(random, 2, 4)), w, options, {.source = Var(normal_matrix(random, 3, 4))});
    CHECK(std::count(names.seen.begin(), names.seen.end(), "-1 cross query") == 1);
    CHECK(std::count(names.seen.begin(), names.seen.end(), "-1 query") == 1);
    CHECK(std::count(names.seen.begin(), names.seen.end(), "-1 cross after_cross") == 1);
}

TEST_CASE("InStack: the name of a stack precedes those of its steps, until the object is gone") {
    const HookExample e = example();
    Names names;
    {
        const InStack encoder("encoder");
        stack(e.z, e.blocks, options, e.context);
        const InStack inner("decoder");
        const InCrossAttention cross;
        named_step("query", e.z);
    }
    named_step("token_embeddings", e.z);
    CHECK(names.seen[0] == "0 encoder input");
    CHECK(names.seen[25] == "1 encoder output");
    CHECK(names.seen[26] == "-1 decoder cross query");
    CHECK(names.seen[27] == "-1 token_embeddings");
    Recording recording;
    const InStack encoder("encoder");
    stack(e.z, e.blocks, options, e.context);
    CHECK(recording.has(1, "encoder weights"));
    CHECK(!recording.has(1, "weights"));
    CHECK(error_of([&] { recording.step(1, "weights"); })
              .starts_with("Recording: this run had no step weights in block 1, which has encoder after_attention, encoder "
                           "attention_output, encoder context, "));
    CHECK_THROWS_WITH(recording.step(2, "encoder weights"),
                      "Recording: this run had no step encoder weights in block 2, which has no steps at all; blocks are counted "
                      "from 0, -1 is what comes before them");
}

TEST_CASE("Hook: the forward pass continues with what at() returns: the input of another run gives that run's output") {
    const HookExample e = example();
    Random random(2);
    const Var other_z = normal_matrix(random, 5, 4);
    const Var other_input = block(other_z, e.blocks[0], options, e.context).output;
    const Matrix expected = stack(other_z, e.blocks, options, e.context).output.value();
    const Matrix before = stack(e.z, e.blocks, options, e.context).output.value();
    {
        const Replace replace(1, "input", other_input);
        check_close("replaced", stack(e.z, e.blocks, options, e.context).output.value(), expected);
    }
    CHECK(identical(stack(e.z, e.blocks, options, e.context).output.value(), before));  // no effect remains
}

TEST_CASE("Hook: attention weights can be replaced, and have a gradient") {
    const HookExample e = example();
    const Matrix weights = [&] {
        const KeepSteps keep;
        return stack(e.z, e.blocks, options, e.context).blocks[0].attention.weights.value();
    }();
    using Inputs = const std::vector<Var>&;
    check_gradient_by_differences(
        [&](Inputs x) {
            const Replace replace(0, "weights", x[0]);
            return stack(e.z, e.blocks, options, e.context).output;
        },
        {weights});
    const Matrix plain = stack(e.z, e.blocks, options, e.context).output.value();
    const Replace the_same(0, "weights", weights);
    check_close("the same weights", stack(e.z, e.blocks, options, e.context).output.value(), plain);
}

TEST_CASE("Hook: hooks nest, the innermost is called last; a replacement of another shape is refused") {
    const HookExample e = example();
    const Replace first(0, "output", Matrix(5, 4, 1));
    {
        const Replace second(0, "output", Matrix(5, 4, 2));
        CHECK(stack(e.z, {e.blocks[0]}, options, e.context).output.value()(0, 0) == 2);
    }
    CHECK(stack(e.z, {e.blocks[0]}, options, e.context).output.value()(0, 0) == 1);
    const Replace wrong(0, "input", Matrix(4, 4));
    CHECK_THROWS_WITH(stack(e.z, e.blocks, options, e.context),
                      "hook: step input of block 0 is (5, 4), it cannot be replaced by (4, 4)");
}

TEST_CASE("Hook: a step that is replaced by nothing is refused") {
    struct Nothing : Hook {
        Var at(const StepId&, const Var&) override { return {}; }
    } nothing;
    CHECK_THROWS_WITH(named_step("output", Matrix(2, 3)), doctest::Contains(" is (2, 3), it cannot be replaced by nothing"));
}

TEST_CASE("InStack, named_step: a name that is no name is refused") {
    CHECK(error_of([] { const InStack stack(nullptr); }).starts_with("InStack: no name is given"));
    Recording recording;
    CHECK(error_of([] { named_step(nullptr, Var(Matrix(2, 3))); }) ==
          "named_step: no name is given for a value (2, 3); hook.h lists the names");
    named_step("input", Var(Matrix(2, 3)));
    CHECK(recording.has(-1, "input"));  // the refused stack left no name behind
}

TEST_SUITE_END();
