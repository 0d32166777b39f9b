// rollout.h: from the attention weights of all layers to one relevance for each input token.
//
//   papers   Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, arXiv 2005.00928 (rollout, flow)
//            Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization", 2021, arXiv 2012.09838 (relevance);
//            the same, 2021, arXiv 2103.15679 (gradient_relevance)
//            the repository vit-explain, without a paper (explain, gradient rollout)
//   shows    that later layers attend to mixtures of tokens: rollout follows the mixing by a matrix product, attention flow as a
//            flow in a graph; both are the same for every output, unless each layer is weighted by the gradient of one
//   symbols  L layers   H heads   n tokens, [cls] is row 0   A_l (H*n, n) attention weights   G_l d output / d A_l, as large
//            M_l mean of A_l over the heads (n, n)   I the identity
//   differs  vit-explain divides column j by the sum of row j (a missing keepdim) and pairs layer l's attention with layer L-1-l's
//            gradient; both are implemented as published and as intended
//   neighbour  integrated_gradients.h uses gradients of the input; here the attention weights are used
//   use      for a model of this project: follow() of inside.h, then token_relevance() at the end of this file
//   next     rollout.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/interpret/inside.h"

namespace rollout {

// --- products ---

Matrix mean_over_heads(const Matrix& weights, int heads);  // (H*n, n) -> (n, n)
Matrix augmented(const Matrix& mean_attention);            // (M + I), each row divided by its sum: I for the residual connection

// J_0 = B_0, J_l = B_l J_(l-1). Row i of J_l: the fractions of the input tokens in token i after layer l.
std::vector<Matrix> products(const std::vector<Matrix>& layers);

// --- flow ---

// Maximum flow in a graph with a node for each token of each layer, and edges of capacity B_l[i, j] from token i above layer l to
// token j below it.
//   returns  for each layer l the maximum flow from token i above it to input token j, (n, n), each pair by itself
std::vector<Matrix> max_flows(const std::vector<Matrix>& layers);
Matrix rows_divided_by_sums(const Matrix& m);

// --- vit-explain ---

enum class Fusion { mean, max, min };  // of the heads
enum class Normalisation { rows, columns_as_published };

// One layer: heads fused, the floor(n n discard) smallest entries set to 0, then (F + I) / 2, normalised.
//   spare_first  entry [0, 0] is never set to 0
Matrix fused(const Matrix& weights, int heads, Fusion fusion);
Matrix discarded(Matrix fused, double discard, bool spare_first);
Matrix half_residual(const Matrix& discarded, Normalisation normalisation);

// Row 0 without column 0, divided by its maximum: the relevance of the other tokens for [cls], n - 1 numbers.
Matrix class_map(const Matrix& joint);

// The attention weighted by its gradient: max(0, mean over the heads of A * G).
Matrix weighted_mean(const Matrix& weights, const Matrix& gradient, int heads);

// --- gradient relevance ---

// C = mean over the heads of max(0, A * G); R = I, then R = R + C_l R for every layer.
Matrix positive_weighted_mean(const Matrix& weights, const Matrix& gradient, int heads);
std::vector<Matrix> gradient_relevance(const std::vector<Matrix>& weighted);  // R after each layer

// --- relevance: layer-wise relevance propagation through the model ---
// Each rule conserves the total relevance. a / b stands for a / (b + 1e-9), and 0 where b is 0.

// y = x W: relevance flows along positive products only (x+ W+ and x- W-); a bias gets none.   (n, out) -> (n, in)
Matrix linear_relevance(const Matrix& x, const Matrix& weight, const Matrix& relevance);

// y = u + v: in proportion to the summands, then each part rescaled so that the total is conserved.
struct Summands {
    Matrix u, v;
};
Summands sum_relevance(const Matrix& u, const Matrix& v, const Matrix& relevance);

// The relevance of every activation of a block, named as in BlockSteps; in the order of computation, from the output down.
struct BlockRelevance {
    Matrix mlp_residual, mlp_output;              // of the second residual connection
    Matrix hidden, mlp_input;                     // (n, m), (n, D)
    Matrix after_attention;                       // (n, D)
    Matrix attention_residual, attention_output;  // of the first
    Matrix context;                               // (n, D)
    Matrix weights;                               // (H*n, n)
    Matrix query, key, value;                     // (n, D)
    Matrix attention_input, input;                // (n, D)
};
// For one sequence whose steps were kept. Norms, activation functions, softmax and scale pass relevance on unchanged.
//   input      (n, D)  input of the block
//   relevance  (n, D)  of its output
//   throws     std::invalid_argument for a block for which no rule was published: a gated MLP, shared key heads, other orders than
//              pre-norm and post-norm
BlockRelevance block_relevance(const BlockSteps& steps, const Block& w, const BlockOptions& options, const Matrix& input,
                               const Matrix& relevance);

// The product of (I + C_l) from layer `start` up, optionally each with rows divided by their sums.
Matrix relevance_product(const std::vector<Matrix>& weighted, int start, bool normalise_rows);

// --- the whole way: a number for each token of one sequence that a model has read ---
// The relevance of each token (column) for the row from which the asked output was read, trace.asked[0].row: (1, n).
// Only the self-attention of one stack is used; for cross-attention use the weights and gradients in trace.steps.

// Fractions that sum to 1; they do not depend on the asked output.
Matrix token_rollout(const Inspection& trace, const Inside& inside);

// The row of R minus the identity with which R starts.
Matrix token_gradient_relevance(const Inspection& trace, const Inside& inside);

// Relevance through head and blocks down to the first, then the product of the I + C_l, rows not normalised, minus the identity.
//   throws  as block_relevance; also when the head makes other outputs of the last residual stream than the run has returned,
//           so `inside` belongs to another model
Matrix token_relevance(const Inspection& trace, const Inside& inside);

}  // namespace rollout
