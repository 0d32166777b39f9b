// transformer.h: a block = attention, then a small network for each token, each added to what was there before.
//
//   paper    Vaswani et al. 2017, section 3.1; pre-norm: Baevski and Auli 2018, Wang et al. 2019
//   shows    that pre-norm (ViT, GPT-2, MAE) and post-norm (BERT, GPT) are the same parts in another order
//   symbols  n tokens (all sequences of the batch)   D width   m inner width of the MLP   H heads
#pragma once
#include "nn/layers/activation.h"
#include "nn/layers/attention.h"
#include "nn/layers/norm.h"

struct Mlp {
    Linear expand;    // (D, m)
    Linear contract;  // (m, D)
};

struct Block {
    LayerNorm norm1;
    Attention attention;
    LayerNorm norm2;
    Mlp mlp;
    Var scale1, scale2;  // (1, D) factors on what attention and MLP add ("layer scale"); absent in most models
};

Mlp make_mlp(Random& random, int width, int inner, float deviation = 0.02f);
Block make_block(Random& random, int width, int inner, float deviation = 0.02f);

// What a block is told besides its weights.
struct BlockOptions {
    int heads = 1;
    float eps = 1e-6f;
    Activation activation = Activation::gelu;
};

// Every value on the way through a block, in the order in which it is computed.
struct BlockSteps {
    Var norm1;             // (n, D)  pre-norm: LN(z); post-norm: LN(z + attention)
    AttentionSteps attention;
    Var after_attention;   // (n, D)  pre-norm: z + attention; post-norm: the same as norm1
    Var norm2;             // (n, D)  pre-norm: LN(after_attention); post-norm: the same as output
    Var intermediate;      // (n, m)  after the activation
    Var mlp_output;        // (n, D)  before it is added
    Var output;            // (n, D)
};

//   u = z + Attention(LN1(z)),   z' = u + MLP(LN2(u))          the stream z itself is never normalised
BlockSteps pre_norm_block(const Var& z, const Block& w, const BlockOptions& options, const Attending& how = {});

//   u = LN1(z + Attention(z)),   z' = LN2(u + MLP(u))          every block hands on normalised tokens
BlockSteps post_norm_block(const Var& z, const Block& w, const BlockOptions& options, const Attending& how = {});

// The pre-norm and the post-norm block for the tokens that come next, with the keys and values of the earlier ones in a cache.
BlockSteps pre_norm_block(const Var& z, const Block& w, const BlockOptions& options, KeyValueCache& cache);
BlockSteps post_norm_block(const Var& z, const Block& w, const BlockOptions& options, KeyValueCache& cache);

// All blocks of a stack, one after the other.
struct StackSteps {
    std::vector<BlockSteps> blocks;
    Var output;  // (n, D)  of the last block; the input itself when there is none
};
StackSteps pre_norm_stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const Attending& how = {});
StackSteps post_norm_stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const Attending& how = {});
