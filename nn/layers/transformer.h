// transformer.h: a transformer block: attention, then an MLP on each token, each with a residual connection.
//
//   papers   Vaswani et al. 2017, section 3.1; pre-norm: Baevski and Auli 2018, Wang et al. 2019
//            gated MLP: Shazeer, "GLU Variants Improve Transformer", 2020, arXiv 2002.05202, Eqs. 5-6
//            parallel: Chowdhery et al. (PaLM), 2022, arXiv 2204.02311, section 2
//            normed residual: Zeng et al. (GLM-130B), 2022, arXiv 2210.02414, after DeepNorm, Wang et al. 2022, arXiv 2203.00555
//   equations [GLU 5] [GLU 6]
//   shows    that the blocks of BERT, GPT, ViT, T5, LLaMA, PaLM and GLM-130B are the same parts in another order
//   symbols  n tokens (all sequences of the batch)   D width   m inner width of the MLP   H heads
//            N a norm   f a sublayer: self-attention, cross-attention or MLP
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "nn/layers/activation.h"
#include "nn/layers/attention.h"
#include "nn/layers/norm.h"

// --- the MLP ---

struct Mlp {
    Linear expand;    // (D, m)
    Linear contract;  // (m, D)
    Linear gate;      // (D, m); no values in most models
};

struct MlpSteps {
    Var expanded;  // (n, m)  x expand
    Var gate;      // (n, m)  activation(x gate), if gated
    Var hidden;    // (n, m)  activation(expanded); if gated, gate * expanded
    Var output;    // (n, D)  hidden contract
};

// plain  contract(activation(expand(x)))
// gated  contract(activation(gate(x)) * expand(x)): SwiGLU with SiLU, GeGLU with GELU
MlpSteps mlp(const Var& x, const Mlp& w, Activation activation);

// --- the block ---

struct Block {
    Norm norm1;
    Attention attention;  // self-attention; may be absent
    Norm norm2;
    Mlp mlp;  // may be absent
    Norm norm_cross;
    Attention cross;     // cross-attention to a source, between the two, in decoders; absent in most models
    Var scale1, scale2;  // (1, D) layer scale: factors on the outputs of self-attention and MLP; absent in most models
};

// Where the norms are and what the residual connection carries. x is the input of the sublayer f.
enum class Order {
    pre,       // x = N(z),  z' = z + f(x)          the residual stream z itself is never normalised.   GPT-2, ViT, T5, LLaMA
    post,      // x = z,     z' = N(z + f(x))       the output of every sublayer is normalised.         BERT, GPT (2018)
    parallel,  // x = N(z),  z' = z + attention(x) + mlp(x)    one norm for both, or N1 and N2 of z.    PaLM
    normed_residual,  // x = N(z),  z' = x + f(x)          the residual connection carries the normed value.   GLM-130B
};

// Hyperparameters that all blocks of a stack share.
struct BlockOptions {
    int heads = 1;
    float eps = 1e-6f;
    Activation activation = Activation::gelu;
    Order order = Order::pre;
    NormKind norm = NormKind::layer;
    float residual = 1;  // factor on the value that the residual connection carries; DeepNorm: sqrt(2 L) or similar
};

// Inputs of a block besides its tokens, which may differ from block to block: mask, bias, cache, ...
struct BlockContext {
    Attending self = {};
    Var source = {};  // (rows, width) the source of the cross-attention
    Attending cross = {};
};

// The intermediate values of a block, in the order of computation.
struct BlockSteps {
    Var norm1;  // (n, D)  N1(z); with Order::post N1 of the sum
    AttentionSteps attention;
    Var after_attention;  // (n, D)  after the first residual connection (and, with Order::post, its norm)
    Var norm_cross;       // (n, D)  the same for the cross-attention, if there is one
    AttentionSteps cross;
    Var after_cross;  // (n, D)
    Var norm2;        // (n, D)  N2
    MlpSteps mlp;
    Var output;  // (n, D)
};

BlockSteps block(const Var& z, const Block& w, const BlockOptions& options, const BlockContext& context = {});

// Blocks applied one after the other.
struct StackSteps {
    std::vector<BlockSteps> blocks;  // empty unless steps are kept (KeepSteps, or a running Tape)
    Var output;                      // (n, D)  of the last block; the input if there is no block
};

// One context for all blocks, or one for each.
//   throws  std::invalid_argument when the number of contexts is neither 1 nor that of the blocks
StackSteps stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options, const BlockContext& context = {});
StackSteps stack(const Var& z0, const std::vector<Block>& blocks, const BlockOptions& options,
                 const std::vector<BlockContext>& contexts);

// Checks at the beginning of a forward pass; `who` begins the message.
//   throws  std::invalid_argument when the number of blocks is not that of the configuration; when eps is negative or not finite
void require_depth(std::string_view who, int depth, const std::vector<Block>& blocks);
void require_eps(std::string_view who, float eps);

// --- initial weights ---

// The sizes of a block, and which parts it has.
struct BlockShape {
    int width = 0;            // D
    int mlp_width = 0;        // m; 0 = no MLP
    int query_width = 0;      // H h; 0 = D
    int key_value_width = 0;  // G h; 0 = query_width
    int source_width = 0;     // of a cross-attention's source; 0 = no cross-attention
    bool gated = false;       // the MLP has a gate
    bool query_bias = true, key_bias = true, value_bias = true;
    bool bias = true;  // of every other linear layer
    NormKind norm = NormKind::layer;
    std::optional<float> layer_scale = {};  // initial value of the factors
};

Attention make_attention(Random& random, const BlockShape& shape, int source_width, const Init& init = {});
Attention make_attention(Random& random, int width, const Init& init = {});
Mlp make_mlp(Random& random, const BlockShape& shape, const Init& init = {});
Norm make_norm(int width, NormKind kind);
Block make_block(Random& random, const BlockShape& shape, const Init& init = {});
