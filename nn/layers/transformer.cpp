#include "nn/layers/transformer.h"

#include <cmath>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/base/decimal.h"
#include "nn/layers/model_config.h"

// --- the MLP ---

MlpSteps mlp(const Var& x, const Mlp& w, Activation activation) {
    MlpSteps steps;
    steps.expanded = linear(x, w.expand);  // (n, m)
    if (w.gate.weight) {
        const Var gate_input = linear(x, w.gate);                                   // (n, m)
        steps.gate = activate(gate_input, activation);                              // (n, m)
        steps.hidden = named_step("hidden", multiply(steps.gate, steps.expanded));  // (n, m)   [GLU 5]
    } else {
        steps.hidden = named_step("hidden", activate(steps.expanded, activation));  // (n, m)
    }
    steps.output = named_step("mlp_output", linear(steps.hidden, w.contract));  // (n, D)   [GLU 6] when gated
    return steps;
}

// --- the block ---

// x, the input of a sublayer: N(z), or z itself in post-norm blocks.
static Var sublayer_input(const Var& z, const Norm& norm, const BlockOptions& options) {
    return options.order == Order::post ? z : normalise(z, norm, options.norm, options.eps);
}

static Var named_input(const char* name, const Var& z, const Norm& norm, const BlockOptions& options) {
    const Var x = sublayer_input(z, norm, options);
    return options.order == Order::post ? x : named_step(name, x);
}

// z', the output of the residual connection around a sublayer with input x and output y.
static Var residual_connection(const Var& z, const Var& x, const Var& y, const Var& layer_scale, const Norm& norm,
                               const BlockOptions& options) {
    const Var carried = options.order == Order::normed_residual ? x : z;                      // (n, D)
    const Var residual = options.residual == 1 ? carried : scale(carried, options.residual);  // (n, D)
    const Var added = layer_scale ? multiply(y, layer_scale) : y;                             // (n, D)
    const Var sum = add(residual, added);                                                     // (n, D)
    return options.order == Order::post ? normalise(sum, norm, options.norm, options.eps) : sum;
}

// Weights of a layer norm under an RMS norm would be read with a bias that published RMS norms do not have.
static void require_norms_of_kind(const Block& w, NormKind kind) {
    if (kind == NormKind::layer) return;
    for (const auto& [name, norm] : {std::pair{"norm1", &w.norm1}, {"norm2", &w.norm2}, {"norm_cross", &w.norm_cross}})
        require(!norm->bias, "block: ", name,
                " has a bias, but the options say RMS norm, which has a gain only; make the block with ",
                "BlockShape::norm as BlockOptions::norm, or leave the bias out");
}

static void require_source_is_read(const Block& w, const Var& source) {
    if (!source || w.cross.query.weight) return;
    fail({"block: a source ", source.value(),
          " is given, but no cross-attention that would read it; leave it out, or make the block with a source_width"});
}

BlockSteps block(const Var& z, const Block& w, const BlockOptions& options, const BlockContext& context) {
    require(std::isfinite(options.residual), "block: a residual factor of ", options.residual,
            ", it must be finite; 1 in all but DeepNorm");
    require_norms_of_kind(w, options.norm);
    require_source_is_read(w, context.source);
    const bool post = options.order == Order::post;
    const Var stream = named_step("input", z);  // (n, D)
    BlockSteps steps;

    // Self-attention: tokens of one sequence attend to one another.
    steps.after_attention = stream;
    if (w.attention.query.weight) {
        const Var x = named_input("norm1", stream, w.norm1, options);  // (n, D)
        steps.attention = attention(x, w.attention, options.heads, context.self);
        const Var sum = residual_connection(stream, x, steps.attention.output, w.scale1, w.norm1, options);
        steps.after_attention = named_step("after_attention", sum);  // (n, D)
        steps.norm1 = post ? steps.after_attention : x;
    }

    // Cross-attention: they attend to a source.
    steps.after_cross = steps.after_attention;
    if (w.cross.query.weight) {
        require(static_cast<bool>(context.source),
                "block: it has a cross-attention, but no source to attend to was given; set BlockContext::source");
        const InCrossAttention in_cross_attention;
        const Var x = named_input("norm_cross", steps.after_attention, w.norm_cross, options);  // (n, D)
        steps.cross = attention({x, context.source}, w.cross, options.heads, context.cross);
        const Var sum = residual_connection(steps.after_attention, x, steps.cross.output, {}, w.norm_cross, options);
        steps.after_cross = named_step("after_cross", sum);  // (n, D)
        steps.norm_cross = post ? steps.after_cross : x;
    }

    // MLP: each token by itself.
    steps.output = steps.after_cross;
    if (w.mlp.expand.weight) {
        const bool one_norm = options.order == Order::parallel && !w.norm2.gain;  // then the MLP shares attention's input
        const Var from = options.order == Order::parallel ? stream : steps.after_cross;
        const Var x = one_norm ? steps.norm1 : named_input("norm2", from, w.norm2, options);  // (n, D)
        steps.mlp = mlp(x, w.mlp, options.activation);
        const Var sum = residual_connection(steps.after_cross, x, steps.mlp.output, w.scale2, w.norm2, options);
        steps.output = named_step("output", sum);  // (n, D)
        steps.norm2 = post ? steps.output : x;
    }
    return steps;
}

StackSteps stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const BlockContext& context) {
    return stack(z0, blocks, options, std::vector<BlockContext>{context});
}

StackSteps stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options,
                 const std::vector<BlockContext>& contexts) {
    require(contexts.size() == 1 || contexts.size() == blocks.size(), "stack: ", contexts.size(), " contexts for ", blocks.size(),
            " blocks; give one for all, or one for each");
    require(contexts.size() == blocks.size() || !contexts[0].self.cache, "stack: one cache of keys and values for ",
            blocks.size(), " blocks, each needs its own; make the cache with the depth of the model");
    StackSteps steps{.blocks = {}, .output = z0};
    for (std::size_t l = 0; l < blocks.size(); ++l) {
        const InBlock in_block(static_cast<int>(l));
        BlockSteps of_block = block(steps.output, blocks[l], options, contexts[contexts.size() == 1 ? 0 : l]);
        steps.output = of_block.output;
        if (steps_are_kept()) steps.blocks.push_back(std::move(of_block));
    }
    return steps;
}

void require_depth(std::string_view who, int depth, const std::vector<Block>& blocks) {
    require(depth == static_cast<int>(blocks.size()), who, ": the configuration says ", depth, " blocks, the weights hold ",
            blocks.size(), "; pass the configuration that the weights were made with");
}

void require_eps(std::string_view who, float eps) {
    require(eps >= 0 && std::isfinite(eps), who, ": an eps of ", short_digits(eps, 6),
            ", it is added to a variance and must be finite and at least 0; 1e-5 is usual");
}

// --- initial weights ---

static Linear fresh_linear(Random& random, int in, int out, bool bias, const Init& init, int fan_out = 0) {
    return {.weight = make_weight(random, in, out, init, fan_out), .bias = bias ? parameter(Matrix(1, out)) : Var()};
}

// A layer that writes to the residual stream.
static Linear fresh_residual_linear(Random& random, int in, int out, bool bias, const Init& init) {
    require(std::isfinite(init.residual), "Init: a residual factor of ", init.residual,
            ", it must be finite; 1 / sqrt(2 L) in GPT-2");
    Linear layer = fresh_linear(random, in, out, bias, init);
    for (float& x : layer.weight.value()) x *= init.residual;
    return layer;
}

Norm make_norm(int width, NormKind kind) { return kind == NormKind::layer ? make_layer_norm(width) : make_rms_norm(width); }

Attention make_attention(Random& random, const BlockShape& shape, int source_width, const Init& init) {
    require(shape.query_width >= 0 && shape.key_value_width >= 0, "make_attention: queries of width ", shape.query_width,
            " and keys of width ", shape.key_value_width, ", neither can be below 0 (0 = that of the tokens, or of the queries)");
    const int D = shape.width, queries = shape.query_width > 0 ? shape.query_width : D;
    const int keys = shape.key_value_width > 0 ? shape.key_value_width : queries;
    const int fused = queries + 2 * keys;  // published code initialises query, key and value as one matrix
    return {.query = fresh_linear(random, D, queries, shape.query_bias, init, fused),
            .key = fresh_linear(random, source_width, keys, shape.key_bias, init, fused),
            .value = fresh_linear(random, source_width, keys, shape.value_bias, init, fused),
            .output = fresh_residual_linear(random, queries, D, shape.bias, init)};
}

Attention make_attention(Random& random, int width, const Init& init) {
    return make_attention(random, BlockShape{.width = width}, width, init);
}

Mlp make_mlp(Random& random, const BlockShape& shape, const Init& init) {
    Mlp w;
    w.expand = fresh_linear(random, shape.width, shape.mlp_width, shape.bias, init);
    w.contract = fresh_residual_linear(random, shape.mlp_width, shape.width, shape.bias, init);
    if (shape.gated) w.gate = fresh_linear(random, shape.width, shape.mlp_width, shape.bias, init);
    return w;
}

Block make_block(Random& random, const BlockShape& shape, const Init& init) {
    const int D = shape.width;
    require(shape.mlp_width >= 0 && shape.source_width >= 0, "make_block: an MLP of inner width ", shape.mlp_width,
            " and a source of width ", shape.source_width, ", neither can be below 0 (0 = the block has none)");
    require(std::isfinite(init.residual), "make_block: Init::residual is ", init.residual,
            ", it must be finite; 1 / sqrt(2 L) in GPT-2");
    require(std::isfinite(shape.layer_scale.value_or(0)), "make_block: a layer scale of ", shape.layer_scale.value_or(0),
            ", it must be finite; 1e-5 is usual");
    Block w;
    w.norm1 = make_norm(D, shape.norm);
    w.attention = make_attention(random, shape, D, init);
    if (shape.mlp_width > 0) {
        w.norm2 = make_norm(D, shape.norm);
        w.mlp = make_mlp(random, shape, init);
    }
    if (shape.source_width > 0) {
        w.norm_cross = make_norm(D, shape.norm);
        w.cross = make_attention(random, shape, shape.source_width, init);
    }
    if (shape.layer_scale) {
        w.scale1 = parameter(Matrix(1, D, *shape.layer_scale));
        w.scale2 = parameter(Matrix(1, D, *shape.layer_scale));
    }
    return w;
}
