#include "nn/layers/transformer.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("transformer");

static BlockOptions options_of(Order order) {
    return {.heads = 2, .eps = 1e-5f, .activation = Activation::gelu_tanh, .order = order};
}

namespace {
struct BlockExample {
    Block block;
    Var z;       // (5, 6)
    Var source;  // (4, 7)
};
}  // namespace

static BlockExample example(const BlockShape& shape = {.width = 6, .mlp_width = 10}) {
    Random random(1);
    BlockExample e{.block = make_block(random, shape, {.stddev = 0.5f}), .z = Var(normal_matrix(random, 5, 6)), .source = {}};
    e.source = Var(normal_matrix(random, 4, 7));
    for (Norm* norm : {&e.block.norm1, &e.block.norm2, &e.block.norm_cross})  // gains that are not 1 tell one norm from another
        if (norm->gain) norm->gain.value() = uniform_matrix(random, 1, 6, 0.5f, 2);
    return e;
}

static Var plain_mlp(const Var& x, const Mlp& w) {
    return linear(activate(linear(x, w.expand), Activation::gelu_tanh), w.contract);
}

TEST_CASE("block, pre: u = z + Attention(N1(z)), z' = u + MLP(N2(u))") {
    const BlockExample e = example();
    const BlockSteps steps = block(e.z, e.block, options_of(Order::pre));
    const Var n1 = layer_norm(e.z, e.block.norm1, 1e-5f);
    const Var u = add(e.z, attention(n1, e.block.attention, 2).output);
    const Var n2 = layer_norm(u, e.block.norm2, 1e-5f);
    check_close("norm1", steps.norm1.value(), n1.value());
    check_close("after_attention", steps.after_attention.value(), u.value());
    check_close("norm2", steps.norm2.value(), n2.value());
    check_close("output", steps.output.value(), add(u, plain_mlp(n2, e.block.mlp)).value());
}

TEST_CASE("block, post: u = N1(z + Attention(z)), z' = N2(u + MLP(u))") {
    const BlockExample e = example();
    const BlockSteps steps = block(e.z, e.block, options_of(Order::post));
    const Var u = layer_norm(add(e.z, attention(e.z, e.block.attention, 2).output), e.block.norm1, 1e-5f);
    const Var out = layer_norm(add(u, plain_mlp(u, e.block.mlp)), e.block.norm2, 1e-5f);
    check_close("after_attention", steps.after_attention.value(), u.value());
    check_close("output", steps.output.value(), out.value());
    CHECK(steps.norm2.same_as(steps.output));
}

TEST_CASE("block, parallel: z' = z + Attention(x) + MLP(x), x = N1(z); with a second norm the MLP reads N2(z)") {
    BlockExample e = example();
    const Var x = layer_norm(e.z, e.block.norm1, 1e-5f), x2 = layer_norm(e.z, e.block.norm2, 1e-5f);
    const Var u = add(e.z, attention(x, e.block.attention, 2).output);
    check_close("two norms", block(e.z, e.block, options_of(Order::parallel)).output.value(),
                add(u, plain_mlp(x2, e.block.mlp)).value());
    e.block.norm2 = {};
    check_close("one norm", block(e.z, e.block, options_of(Order::parallel)).output.value(),
                add(u, plain_mlp(x, e.block.mlp)).value());
}

TEST_CASE("block, normed residual: x = N1(z), u = 3 x + Attention(x), y = N2(u), z' = 3 y + MLP(y), where residual = 3") {
    BlockExample e = example();
    BlockOptions options = options_of(Order::normed_residual);
    options.residual = 3;
    const Var x = layer_norm(e.z, e.block.norm1, 1e-5f);
    const Var u = add(scale(x, 3), attention(x, e.block.attention, 2).output);
    const Var y = layer_norm(u, e.block.norm2, 1e-5f);
    check_close("output", block(e.z, e.block, options).output.value(), add(scale(y, 3), plain_mlp(y, e.block.mlp)).value());
    e.block.attention = {};
    options.residual = 2;
    const Var y2 = layer_norm(e.z, e.block.norm2, 1e-5f);
    check_close("residual = 2", block(e.z, e.block, options).output.value(),
                add(scale(y2, 2), plain_mlp(y2, e.block.mlp)).value());
}

TEST_CASE("block, with cross-attention: u = z + Self(N1(z)), c = u + Cross(Nc(u), source), z' = c + MLP(N2(c))") {
    const BlockExample e = example({.width = 6, .mlp_width = 10, .source_width = 7});
    const BlockContext context{.self = {.may = causal(5, 5)}, .source = e.source};
    const BlockSteps steps = block(e.z, e.block, options_of(Order::pre), context);
    const Var u = add(e.z, attention(layer_norm(e.z, e.block.norm1, 1e-5f), e.block.attention, 2, context.self).output);
    const Var nc = layer_norm(u, e.block.norm_cross, 1e-5f);
    const Var c = add(u, attention({nc, e.source}, e.block.cross, 2).output);
    const Var n2 = layer_norm(c, e.block.norm2, 1e-5f);
    check_close("norm_cross", steps.norm_cross.value(), nc.value());
    check_close("after_cross", steps.after_cross.value(), c.value());
    check_close("output", steps.output.value(), add(c, plain_mlp(n2, e.block.mlp)).value());
    CHECK_THROWS_WITH(block(e.z, e.block, options_of(Order::pre)),
                      "block: it has a cross-attention, but no source to attend to was given; set BlockContext::source");
}

TEST_CASE("block: without self-attention or MLP, only the parts that are present") {
    BlockExample e = example({.width = 6, .mlp_width = 10, .source_width = 7});
    e.block.attention = {};
    const BlockSteps steps = block(e.z, e.block, options_of(Order::pre), {.source = e.source});
    CHECK(steps.after_attention.same_as(e.z));
    const Var c = add(e.z, attention({layer_norm(e.z, e.block.norm_cross, 1e-5f), e.source}, e.block.cross, 2).output);
    check_close("after_cross", steps.after_cross.value(), c.value());
    e.block.mlp = {};
    check_close("no MLP", block(e.z, e.block, options_of(Order::pre), {.source = e.source}).output.value(), c.value());
}

TEST_CASE("mlp: with a gate: 2 silu(1) when one feature expands to 2 and its gate is 1") {
    const Mlp w{.expand = {.weight = Matrix{{2}}, .bias = {}},
                .contract = {.weight = Matrix{{1}}, .bias = {}},
                .gate = {.weight = Matrix{{1}}, .bias = {}}};
    // silu(1) = 1 / (1 + 1/e) = 0.731059; the expanded half is not activated
    const MlpSteps steps = mlp(Matrix{{1}}, w, Activation::silu);
    CHECK(steps.gate.value()[0] == Approx(0.731059));
    CHECK(steps.expanded.value()[0] == 2);
    CHECK(steps.output.value()[0] == Approx(2 * 0.731059));
}

TEST_CASE("block: layer scale factors of 0 switch off both branches, and the output is the input") {
    BlockExample e = example();
    const BlockOptions options = options_of(Order::pre);
    e.block.scale1 = Matrix(1, 6);
    e.block.scale2 = Matrix(1, 6);
    check_close("output", block(e.z, e.block, options).output.value(), e.z.value());
    e.block.scale1 = Matrix(1, 6, 1);
    e.block.scale2 = Matrix(1, 6, 1);
    check_close("factors of 1", block(e.z, e.block, options).output.value(), block(e.z, example().block, options).output.value());
}

TEST_CASE("block: with a cache equals the full causal pass, in every order") {
    for (const Order order : {Order::pre, Order::post, Order::parallel, Order::normed_residual}) {
        const BlockExample e = example({.width = 6, .mlp_width = 10, .source_width = 7});
        const BlockContext all{.self = {.may = causal(5, 5)}, .source = e.source};
        const Matrix full = block(e.z, e.block, options_of(order), all).output.value();
        KeyValueCache seen = make_cache(1, 5, 6), source = make_source_cache();
        for (int t = 0; t < 5; ++t) {
            const BlockContext next{.self = {.cache = &seen}, .source = e.source, .cross = {.cache = &source}};
            const Var token = slice_rows(e.z, t, 1);
            check_close("token", block(token, e.block, options_of(order), next).output.value(), slice_rows(full, t, 1));
        }
    }
}

TEST_CASE("stack: applies its blocks one after the other; an empty stack returns its input") {
    Random random(2);
    const BlockShape shape{.width = 6, .mlp_width = 10};
    const std::vector<Block> blocks{make_block(random, shape, {.stddev = 0.5f}), make_block(random, shape, {.stddev = 0.5f})};
    const Var z = Var(normal_matrix(random, 5, 6));
    const BlockOptions options = options_of(Order::pre);
    const KeepSteps keep;
    const StackSteps steps = stack(z, blocks, options);
    REQUIRE(steps.blocks.size() == 2);
    const Var first = block(z, blocks[0], options).output;
    check_close("first", steps.blocks[0].output.value(), first.value());
    check_close("output", steps.output.value(), block(first, blocks[1], options).output.value());
    CHECK(stack(z, {}, options).output.same_as(z));
}

TEST_CASE("stack: each block may have its own context") {
    Random random(2);
    const BlockShape shape{.width = 6, .mlp_width = 10};
    const std::vector<Block> blocks{make_block(random, shape, {.stddev = 0.5f}), make_block(random, shape, {.stddev = 0.5f})};
    const Var z = Var(normal_matrix(random, 5, 6));
    const BlockOptions options = options_of(Order::pre);
    const BlockContext free, masked{.self = {.may = causal(5, 5)}};
    const Var first = block(z, blocks[0], options, masked).output;
    check_close("output", stack(z, blocks, options, {masked, free}).output.value(),
                block(first, blocks[1], options, free).output.value());
    CHECK_THROWS_WITH(stack(z, blocks, options, {free, free, free}),
                      "stack: 3 contexts for 2 blocks; give one for all, or one for each");
}

TEST_CASE("stack: keeps the steps of its blocks only under a KeepSteps or a Tape") {
    const BlockExample e = example();
    const std::vector<Block> blocks(3, e.block);
    CHECK(stack(e.z, blocks, options_of(Order::pre)).blocks.empty());
    CHECK(!attention(e.z, e.block.attention, 2).weights);
    {
        const KeepSteps keep;
        CHECK(stack(e.z, blocks, options_of(Order::pre)).blocks.size() == 3);
        CHECK(attention(e.z, e.block.attention, 2).weights.rows() == 2 * 5);
    }
    const Tape tape;
    CHECK(stack(e.z, blocks, options_of(Order::pre)).blocks.size() == 3);
}

TEST_CASE("make_block: the parts of the shape, and only these") {
    Random random(4);
    const Block plain = make_block(random, {.width = 6, .mlp_width = 10});
    CHECK(!plain.cross.query.weight);
    CHECK(!plain.mlp.gate.weight);
    CHECK(!plain.scale1);
    const Block other = make_block(random, {.width = 6,
                                            .mlp_width = 10,
                                            .query_width = 8,
                                            .key_value_width = 4,
                                            .source_width = 7,
                                            .gated = true,
                                            .key_bias = false,
                                            .bias = false,
                                            .norm = NormKind::rms,
                                            .layer_scale = 0.1f});
    CHECK(same_shape(other.attention.query.weight.value(), Matrix(6, 8)));
    CHECK(same_shape(other.attention.value.weight.value(), Matrix(6, 4)));
    CHECK(same_shape(other.attention.output.weight.value(), Matrix(8, 6)));
    CHECK(same_shape(other.cross.key.weight.value(), Matrix(7, 4)));
    CHECK(same_shape(other.mlp.gate.weight.value(), Matrix(6, 10)));
    CHECK(other.attention.query.bias);
    CHECK(!other.attention.key.bias);
    CHECK(!other.attention.output.bias);
    CHECK(!other.norm1.bias);
    CHECK(identical(other.scale1.value(), Matrix(1, 6, 0.1f)));
    CHECK(identical(other.scale2.value(), Matrix(1, 6, 0.1f)));
}

TEST_CASE("make_block: Init::residual scales the two matrices that write to the residual stream") {
    Random one(5), two(5);
    const Block plain = make_block(one, {.width = 6, .mlp_width = 10});
    const Block smaller = make_block(two, {.width = 6, .mlp_width = 10}, {.residual = 0.25f});
    check_close("output", smaller.attention.output.weight.value(), scale(plain.attention.output.weight, 0.25f).value(),
                {0, 1e-6f});
    check_close("contract", smaller.mlp.contract.weight.value(), scale(plain.mlp.contract.weight, 0.25f).value(), {0, 1e-6f});
    CHECK(identical(smaller.attention.query.weight.value(), plain.attention.query.weight.value()));
    CHECK(identical(smaller.mlp.expand.weight.value(), plain.mlp.expand.weight.value()));
}

TEST_CASE("stack: a single cache for several blocks is refused, the second block would read the keys of the first") {
    Random random(1);
    KeyValueCache cache = make_cache(1, 3, 4);
    const std::vector<Block> blocks{make_block(random, {.width = 4}), make_block(random, {.width = 4})};
    CHECK_THROWS_WITH(
        stack(Matrix(1, 4, 1), blocks, {}, BlockContext{.self = {.cache = &cache}}),
        "stack: one cache of keys and values for 2 blocks, each needs its own; make the cache with the depth of the model");
}

TEST_CASE("block: a norm with a bias is refused where the options say RMS norm") {
    Random random(1);
    const Matrix z(2, 4, 1);
    const BlockShape shape{.width = 4, .mlp_width = 3, .source_width = 4};
    const Block with_biases = make_block(random, shape);
    BlockShape without = shape;
    without.norm = NormKind::rms;
    const Block rms = make_block(random, without);
    const BlockContext context{.source = Var(z)};
    CHECK_NOTHROW(block(z, rms, {.norm = NormKind::rms}, context));
    CHECK_NOTHROW(block(z, rms, {.norm = NormKind::layer}, context));  // PaLM's layer norms have no bias
    const auto refusal = [&](Norm Block::*norm) {
        Block mixed = rms;
        mixed.*norm = with_biases.*norm;
        return error_of([&] { block(z, mixed, {.norm = NormKind::rms}, context); });
    };
    const std::string rule = " has a bias, but the options say RMS norm, which has a gain only; make the block with ";
    CHECK(refusal(&Block::norm1).starts_with("block: norm1" + rule));
    CHECK(refusal(&Block::norm2).starts_with("block: norm2" + rule));
    CHECK(refusal(&Block::norm_cross).starts_with("block: norm_cross" + rule));
}

TEST_CASE("make_block, block: sizes below 0 and factors that are not numbers are refused") {
    Random random(1);
    CHECK_THROWS_WITH(
        make_block(random, {.width = 4, .mlp_width = -1}),
        "make_block: an MLP of inner width -1 and a source of width 0, neither can be below 0 (0 = the block has none)");
    CHECK_THROWS_WITH(
        make_block(random, {.width = 4, .mlp_width = 4, .source_width = -1}),
        "make_block: an MLP of inner width 4 and a source of width -1, neither can be below 0 (0 = the block has none)");
    CHECK_THROWS_WITH(make_block(random, {.width = 4}, {.residual = NAN}),
                      "make_block: Init::residual is nan, it must be finite; 1 / sqrt(2 L) in GPT-2");
    CHECK_THROWS_WITH(make_block(random, {.width = 4, .layer_scale = NAN}),
                      "make_block: a layer scale of nan, it must be finite; 1e-5 is usual");
    CHECK_THROWS_WITH(block(Matrix(2, 4, 1), make_block(random, {.width = 4}), {.residual = INFINITY}),
                      "block: a residual factor of inf, it must be finite; 1 in all but DeepNorm");
}

TEST_CASE("make_block: any source has a cross-attention, also one of width 1, and a block without a source has not") {
    Random random(1);
    const Block with = make_block(random, {.width = 4, .source_width = 1}), without = make_block(random, {.width = 4});
    CHECK(with.cross.key.weight.rows() == 1);
    CHECK(!without.cross.key.weight);
}

TEST_CASE("make_attention: queries of width 1 are allowed, and keys as wide as they; 0 is the width of the tokens") {
    Random random(1);
    const Attention narrow = make_attention(random, {.width = 4, .query_width = 1}, 4);
    CHECK(shape(narrow.query.weight.value()) == "(4, 1)");
    CHECK(shape(narrow.key.weight.value()) == "(4, 1)");
    const Attention shared = make_attention(random, {.width = 4, .key_value_width = 1}, 4);
    CHECK(shape(shared.query.weight.value()) == "(4, 4)");
    CHECK(shape(shared.value.weight.value()) == "(4, 1)");
}

TEST_CASE("make_attention: query, key and value are drawn like parts of one matrix (D, 3 D), as published code does") {
    Random random(1);
    const Attention w = make_attention(random, 64, {.draw = Draw::xavier_uniform});
    const float bound = std::sqrt(6.0f / (64 + 3 * 64));  // of the numbers of a (64, 3 * 64) matrix
    for (const Linear* layer : {&w.query, &w.key, &w.value}) {
        float largest = 0;
        for (const float x : layer->weight.value()) largest = std::max(largest, std::abs(x));
        CHECK(largest <= bound);
        CHECK(largest > 0.98f * bound);
    }
}

TEST_CASE("make_mlp: each matrix is drawn for its own numbers of inputs and outputs") {
    Random random(1);
    const Mlp w = make_mlp(random, {.width = 20, .mlp_width = 60, .gated = true}, {.draw = Draw::xavier_uniform});
    const float bound = std::sqrt(6.0f / (20 + 60));
    for (const Linear* layer : {&w.expand, &w.gate, &w.contract}) {
        float largest = 0;
        for (const float x : layer->weight.value()) largest = std::max(largest, std::abs(x));
        CHECK(largest <= bound);
        CHECK(largest > 0.98f * bound);
        CHECK(identical(layer->bias.value(), Matrix(1, layer->weight.cols())));
    }
}

TEST_CASE("require_eps: 0 is allowed, below it and without end is not") {
    CHECK_NOTHROW(require_eps("x", 0));
    CHECK(error_of([] { require_eps("x", -1e-9f); }).starts_with("x: an eps of -1e-09, it is added to a variance"));
    CHECK(error_of([] { require_eps("x", INFINITY); }).starts_with("x: an eps of inf"));
}

TEST_CASE("BlockOptions: the defaults") {
    const BlockOptions usual{};
    CHECK(usual.heads == 1);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.activation == Activation::gelu);
    CHECK(usual.order == Order::pre);
    CHECK(usual.norm == NormKind::layer);
    CHECK(usual.residual == 1);
}

TEST_CASE("BlockShape: the defaults") {
    const BlockShape usual{};
    CHECK(usual.width == 0);
    CHECK(usual.mlp_width == 0);
    CHECK(usual.query_width == 0);
    CHECK(usual.key_value_width == 0);
    CHECK(usual.source_width == 0);
    CHECK(!usual.gated);
    CHECK(usual.query_bias);
    CHECK(usual.key_bias);
    CHECK(usual.value_bias);
    CHECK(usual.bias);
    CHECK(usual.norm == NormKind::layer);
}

TEST_CASE("make_block: widths of queries and keys below 0 are refused") {
    Random random(1);
    const std::string rule = ", neither can be below 0 (0 = that of the tokens, or of the queries)";
    CHECK(error_of([&] { make_block(random, {.width = 4, .query_width = -4}); }) ==
          "make_attention: queries of width -4 and keys of width 0" + rule);
    CHECK(error_of([&] { make_block(random, {.width = 4, .key_value_width = -4}); }) ==
          "make_attention: queries of width 0 and keys of width -4" + rule);
}

TEST_CASE("block: a source without a cross-attention that reads it is refused") {
    Random random(1);
    const Block w = make_block(random, {.width = 4, .mlp_width = 8});
    const Var z = Matrix(3, 4, 1);
    CHECK(error_of([&] { block(z, w, {}); }).empty());
    CHECK(error_of([&] { block(z, w, {}, {.source = Matrix(5, 6)}); }) ==
          "block: a source (5, 6) is given, but no cross-attention that would read it; leave it out, or make the block with a "
          "source_width");
}

TEST_CASE("make_attention, make_mlp: a residual factor that is not finite is refused") {
    Random random(1);
    for (const float factor : {NAN, INFINITY}) {
        const Init init{.residual = factor};
        const std::string rule = ", it must be finite; 1 / sqrt(2 L) in GPT-2";
        CHECK(error_of([&] { make_attention(random, 4, init); }).ends_with(rule));
        CHECK(error_of([&] { make_mlp(random, {.width = 4, .mlp_width = 8}, init); }).ends_with(rule));
    }
}

TEST_SUITE_END();
