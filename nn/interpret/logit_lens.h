// logit_lens.h: the prediction of a language model after each layer, and the contribution of each component to a logit.
//
//   sources  nostalgebraist, "interpreting GPT: the logit lens", 2020 (a blog post); statistics as in the code of tuned-lens 0.2;
//            direct logit attribution as in TransformerLens 1.9
//   shows    that every block only adds to the residual stream: so the output layer can be applied after any block, and the
//            logits are a sum with one term for each head, each MLP and each embedding
//   symbols  n tokens (all sequences)   E width   V tokens of the vocabulary   r the residual stream (n, E)
//            r_L after the last block   s standard deviation of r_L (with eps), one number per token
//   differs  independent of the model: takes residual streams, block steps and a readout
//   use      for a model of this project: follow() of inside.h gives the residual streams, readout_of() and parts_of() the rest
//   next     logit_lens.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/interpret/inside.h"

namespace logit_lens {

// The output layer of a model: logits = norm(residual stream) output_matrix^T.
struct Readout {
    Norm norm;  // gain, and a bias where there is one
    float eps = 1e-5f;
    Matrix output_matrix;             // (V, E)  the output matrix
    NormKind kind = NormKind::layer;  // rms: the mean is not subtracted (LLaMA, T5)
};

// The readout of a model, from its `inside`.
//   throws  std::invalid_argument when its head is not one norm and one matrix; outputs_of() of inside.h is the lens then
Readout readout_of(const Inside& inside);

// --- the lens ---

// The readout of any residual stream, normalised by its own mean and standard deviation: (n, E) -> (n, V).
Matrix logits(const Matrix& stream, const Readout& readout);

// How a layer's prediction compares with the final one, token by token; n numbers each.
struct Comparison {
    std::vector<float> kl;             // KL(last || layer), nats
    std::vector<float> reverse_kl;     // KL(layer || last)
    std::vector<float> js;             // mean KL of both to their average distribution
    std::vector<float> entropy;        // of the layer's prediction, nats
    std::vector<float> cross_entropy;  // -log p(right token)
    std::vector<float> max_probability;
    std::vector<int> rank;  // of the right token: 1 + number of tokens with a larger logit
    std::vector<int> top;   // the layer's most likely token
};
//   right    the right token of each row
//   throws   std::invalid_argument when the shapes differ, or there are not n right tokens, or one is outside the vocabulary
Comparison compare(const Matrix& layer_logits, const Matrix& last_logits, const std::vector<int>& right);

// --- the same, linear: with the standard deviation of the last residual stream ---

// Gain and bias of the norm folded into the output matrix: logits = ((r - mean of r) / s) U + c.
struct Unembedding {
    Matrix U;  // (E, V)  gain * output_matrix^T; NormKind::layer: each column less its mean, which a centred r ignores
    Matrix c;  // (1, V)  bias output_matrix^T
    NormKind kind = NormKind::layer;
};
Unembedding folded(const Readout& readout);

// s of every token of the final residual stream: sqrt(variance + eps), with NormKind::rms sqrt(mean square + eps), (n, 1).
Matrix final_scale(const Matrix& last_stream, const Readout& readout);

// The logits of a residual stream, with the s of the final one, plus c: (n, V). Linear in that stream, so differences of layers
// add up.
Matrix frozen_logits(const Matrix& stream, const Matrix& scale, const Unembedding& unembedding);

// --- direct logit attribution ---

// One of the terms whose sum is the final residual stream.
struct Part {
    std::string name;  // "L0H3" head 3 of block 0, "0_mlp_out", "embed", "pos_embed", "bias" (all output biases of attention)
    Matrix value;      // (n, E)  not normalised
};

// All terms of a stack of pre-norm blocks, whose steps have been kept: heads block by block, then the MLPs, the token
// embeddings, the
// positions, the biases.
//   tokens, positions  (n, E)  the embeddings that are added before the first block
//   throws             std::invalid_argument when the steps were not kept
std::vector<Part> parts_of(const StackSteps& steps, const std::vector<Block>& blocks, int heads, const Matrix& tokens,
                           const Matrix& positions);

// The same of any model of pre-norm or parallel blocks: the input of the first block is one part, "embed".
//   throws  std::invalid_argument for blocks whose outputs are not simply added (post-norm, DeepNorm, layer scale, cross-attention)
std::vector<Part> parts_of(const Inspection& trace, const Inside& inside);

// The contribution of a part to all logits of the given rows: (rows, V). Summed over all parts, plus c, these are the logits.
Matrix contribution(const Part& part, const std::vector<int>& rows, const Matrix& scale, const Unembedding& unembedding);

// The contribution of a part to the logit of one token per row, (n).
std::vector<float> contribution_to(const Part& part, const std::vector<int>& tokens, const Matrix& scale,
                                   const Unembedding& unembedding);

}  // namespace logit_lens
