#include "nn/layers/transformer.h"

#include "nn/autograd/operations.h"

Mlp make_mlp(Random& random, int width, int inner, float deviation) {
    return {.expand = make_linear(random, width, inner, deviation), .contract = make_linear(random, inner, width, deviation)};
}

Block make_block(Random& random, int width, int inner, float deviation) {
    return {.norm1 = make_layer_norm(width),
            .attention = make_attention(random, width, deviation),
            .norm2 = make_layer_norm(width),
            .mlp = make_mlp(random, width, inner, deviation),
            .scale1 = {},
            .scale2 = {}};
}

// z + share, the share scaled feature by feature where the block has such factors
static Var add_share(const Var& z, const Var& share, const Var& factors) {
    if (!factors) return add(z, share);
    const Var scaled = multiply(share, factors);
    return add(z, scaled);
}

static void mlp_steps(BlockSteps& steps, const Var& input, const Mlp& w, Activation activation) {
    const Var expanded = linear(input, w.expand);             // (n, m)
    steps.intermediate = activate(expanded, activation);      // (n, m)
    steps.mlp_output = linear(steps.intermediate, w.contract);  // (n, D)
}

// `Self` is what attention is told: an Attending, or the cache of the tokens before.
static AttentionSteps self_attention(const Var& x, const Attention& w, int heads, const Attending& how) {
    return attention(x, x, w, heads, how);
}
static AttentionSteps self_attention(const Var& x, const Attention& w, int heads, KeyValueCache& cache) {
    return attention(x, w, heads, cache);
}

template <class Self>
static BlockSteps pre_norm_steps(const Var& z, const Block& w, const BlockOptions& options, Self& self) {
    BlockSteps steps;
    steps.norm1 = layer_norm(z, w.norm1, options.eps);                                    // (n, D)
    steps.attention = self_attention(steps.norm1, w.attention, options.heads, self);      // (n, D)
    steps.after_attention = add_share(z, steps.attention.output, w.scale1);               // (n, D)
    steps.norm2 = layer_norm(steps.after_attention, w.norm2, options.eps);                // (n, D)
    mlp_steps(steps, steps.norm2, w.mlp, options.activation);                             // (n, m) -> (n, D)
    steps.output = add_share(steps.after_attention, steps.mlp_output, w.scale2);          // (n, D)
    return steps;
}

template <class Self>
static BlockSteps post_norm_steps(const Var& z, const Block& w, const BlockOptions& options, Self& self) {
    BlockSteps steps;
    steps.attention = self_attention(z, w.attention, options.heads, self);                // (n, D)
    const Var first_sum = add_share(z, steps.attention.output, w.scale1);                 // (n, D)
    steps.norm1 = layer_norm(first_sum, w.norm1, options.eps);                            // (n, D)
    steps.after_attention = steps.norm1;
    mlp_steps(steps, steps.norm1, w.mlp, options.activation);                             // (n, m) -> (n, D)
    const Var second_sum = add_share(steps.norm1, steps.mlp_output, w.scale2);            // (n, D)
    steps.norm2 = layer_norm(second_sum, w.norm2, options.eps);                           // (n, D)
    steps.output = steps.norm2;
    return steps;
}

BlockSteps pre_norm_block(const Var& z, const Block& w, const BlockOptions& options, const Attending& how) {
    return pre_norm_steps(z, w, options, how);
}

BlockSteps post_norm_block(const Var& z, const Block& w, const BlockOptions& options, const Attending& how) {
    return post_norm_steps(z, w, options, how);
}

BlockSteps pre_norm_block(const Var& z, const Block& w, const BlockOptions& options, KeyValueCache& cache) {
    return pre_norm_steps(z, w, options, cache);
}

BlockSteps post_norm_block(const Var& z, const Block& w, const BlockOptions& options, KeyValueCache& cache) {
    return post_norm_steps(z, w, options, cache);
}

using BlockFunction = BlockSteps(const Var&, const Block&, const BlockOptions&, const Attending&);

static StackSteps stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const Attending& how,
                        BlockFunction* run_block) {
    StackSteps steps{.blocks = {}, .output = z0};
    for (const Block& block : blocks) {
        steps.blocks.push_back(run_block(steps.output, block, options, how));
        steps.output = steps.blocks.back().output;
    }
    return steps;
}

StackSteps pre_norm_stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const Attending& how) {
    return stack(z0, blocks, options, how, pre_norm_block);
}

StackSteps post_norm_stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const Attending& how) {
    return stack(z0, blocks, options, how, post_norm_block);
}
