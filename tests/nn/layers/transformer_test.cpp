#include "nn/layers/transformer.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("transformer");

static const BlockOptions options{.heads = 2, .eps = 1e-5f, .activation = Activation::gelu_tanh};

struct Example {
    Block block;
    Var z;  // (5, 6)
};

static Example example() {
    Random random(1);
    Example e{.block = make_block(random, 6, 10, 0.5f), .z = Var(normal_matrix(random, 5, 6))};
    return e;
}

TEST_CASE("pre-norm: u = z + Attention(LN1(z)), z' = u + MLP(LN2(u))") {
    const Example e = example();
    const BlockSteps steps = pre_norm_block(e.z, e.block, options);
    const Var n1 = layer_norm(e.z, e.block.norm1, options.eps);
    const Var u = add(e.z, attention(n1, n1, e.block.attention, 2).output);
    const Var n2 = layer_norm(u, e.block.norm2, options.eps);
    const Var hidden = activate(linear(n2, e.block.mlp.expand), Activation::gelu_tanh);
    check_close("after_attention", steps.after_attention.value(), u.value());
    check_close("intermediate", steps.intermediate.value(), hidden.value());
    check_close("output", steps.output.value(), add(u, linear(hidden, e.block.mlp.contract)).value());
}

TEST_CASE("post-norm: u = LN1(z + Attention(z)), z' = LN2(u + MLP(u))") {
    const Example e = example();
    const BlockSteps steps = post_norm_block(e.z, e.block, options);
    const Var u = layer_norm(add(e.z, attention(e.z, e.z, e.block.attention, 2).output), e.block.norm1, options.eps);
    const Var hidden = activate(linear(u, e.block.mlp.expand), Activation::gelu_tanh);
    const Var out = layer_norm(add(u, linear(hidden, e.block.mlp.contract)), e.block.norm2, options.eps);
    check_close("after_attention", steps.after_attention.value(), u.value());
    check_close("output", steps.output.value(), out.value());
    CHECK(difference(pre_norm_block(e.z, e.block, options).output.value(), out.value()) != "");
}

TEST_CASE("layer scale: factors of 0 close both branches, and the block hands its input on") {
    Example e = example();
    e.block.scale1 = Matrix(1, 6);
    e.block.scale2 = Matrix(1, 6);
    check_close("output", pre_norm_block(e.z, e.block, options).output.value(), e.z.value());
    e.block.scale1 = Matrix(1, 6, 1);
    e.block.scale2 = Matrix(1, 6, 1);
    check_close("factors of 1", pre_norm_block(e.z, e.block, options).output.value(),
                pre_norm_block(e.z, example().block, options).output.value());
}

TEST_CASE("both blocks with a cache give the numbers of the full causal pass") {
    const Example e = example();
    const Attending how{.may = causal(5, 5)};
    const Matrix pre = pre_norm_block(e.z, e.block, options, how).output.value();
    const Matrix post = post_norm_block(e.z, e.block, options, how).output.value();
    KeyValueCache pre_cache = make_cache(1, 5, 6), post_cache = make_cache(1, 5, 6);
    for (int t = 0; t < 5; ++t) {
        const Var token = slice_rows(e.z, t, 1);
        check_close("pre-norm", pre_norm_block(token, e.block, options, pre_cache).output.value(), slice_rows(pre, t, 1));
        check_close("post-norm", post_norm_block(token, e.block, options, post_cache).output.value(), slice_rows(post, t, 1));
    }
}

TEST_CASE("a stack is its blocks one after the other; an empty one hands its input on") {
    Random random(2);
    const std::vector<Block> blocks = {make_block(random, 6, 10, 0.5f), make_block(random, 6, 10, 0.5f)};
    const Var z = Var(normal_matrix(random, 5, 6));
    const StackSteps pre = pre_norm_stack(z, blocks, options);
    REQUIRE(pre.blocks.size() == 2);
    check_close("pre-norm", pre.output.value(), pre_norm_block(pre_norm_block(z, blocks[0], options).output, blocks[1], options).output.value());
    const StackSteps post = post_norm_stack(z, blocks, options);
    check_close("post-norm", post.output.value(),
                post_norm_block(post_norm_block(z, blocks[0], options).output, blocks[1], options).output.value());
    CHECK(pre_norm_stack(z, {}, options).output.same_as(z));
}

TEST_SUITE_END();
