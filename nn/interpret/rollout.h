// rollout.h: from the attention matrices of all layers to one number for each input token: how much did it matter?
//
//   papers   Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, arXiv 2005.00928 (rollout, flow)
//            Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization", 2021, arXiv 2012.09838 (relevance);
//            the same, 2021, arXiv 2103.15679 (gradient_relevance)
//            the repository vit-explain, without a paper (explain, gradient rollout)
//   shows    that attention of a later layer looks at mixtures: the mixing is followed down by a product (rollout) or as a flow; both
//            know no question, weighting each layer by the gradient of one output does
//   symbols  L layers   H heads   n tokens, [cls] is row 0   A_l (H*n, n) attention weights   G_l d output / d A_l, as large
//            M_l mean of A_l over the heads (n, n)   I the identity
//   differs  vit-explain divides column j by the sum of row j (a missing keepdim) and pairs layer l's attention with layer L-1-l's
//            gradient; both are here as published and as meant
//   neighbour  integrated_gradients.h asks the gradients of the input; here the attention weights are asked
//   next     rollout.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/layers/transformer.h"

namespace rollout {

// --- products ---

Matrix mean_over_heads(const Matrix& weights, int heads);  // (H*n, n) -> (n, n)
Matrix augmented(const Matrix& mean_attention);            // (M + I), each row divided by its sum: half stays where it is

// J_0 = B_0, J_l = B_l J_(l-1). Row i of J_l: the shares of the input tokens in token i after layer l.
std::vector<Matrix> products(const std::vector<Matrix>& layers);

// --- flow ---

// A graph with a node for each token of each layer, and pipes of capacity B_l[i, j] from token i above layer l to token j below it.
//   returns  for each layer l the largest flow from token i above it to input token j, (n, n), each pair by itself
std::vector<Matrix> max_flows(const std::vector<Matrix>& layers);
Matrix rows_divided_by_sums(const Matrix& m);

// --- vit-explain ---

enum class Fusion { mean, max, min };                  // of the heads
enum class Normalisation { rows, columns_as_published };

// One layer: heads fused, the floor(n n discard) smallest entries set to 0, then (F + I) / 2, normalised.
//   spare_first  entry [0, 0] is not set to 0 though it may be among the smallest
Matrix fused(const Matrix& weights, int heads, Fusion fusion);
Matrix discarded(Matrix fused, double discard, bool spare_first);
Matrix half_residual(const Matrix& discarded, Normalisation normalisation);

// Row 0 without its own column, divided by its largest: what [cls] looks at, n - 1 numbers.
Matrix class_map(const Matrix& joint);

// The attention weighted by its gradient: max(0, mean over the heads of A * G).
Matrix weighted_mean(const Matrix& weights, const Matrix& gradient, int heads);

// --- gradient relevance ---

// C = mean over the heads of max(0, A * G); R = I, then R = R + C_l R for every layer.
Matrix positive_weighted_mean(const Matrix& weights, const Matrix& gradient, int heads);
std::vector<Matrix> gradient_relevance(const std::vector<Matrix>& weighted);  // R after each layer

// --- relevance: layer-wise relevance propagation through the model ---
// Each rule hands all relevance on, so that the total stays 1. a / b stands for a / (b + 1e-9), and 0 where b is 0.

// y = x W: relevance flows along positive products only (x+ W+ and x- W-); a bias takes nothing.   (n, out) -> (n, in)
Matrix linear_relevance(const Matrix& x, const Matrix& weight, const Matrix& relevance);

// y = u + v: in proportion to the summands, then each part scaled to its share of the total.
struct Summands {
    Matrix u, v;
};
Summands sum_relevance(const Matrix& u, const Matrix& v, const Matrix& relevance);

// Every activation's relevance on the way down through one block, named as in BlockSteps; in the order in which it is computed.
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
// One sequence, its steps kept. Norms, activation functions, softmax and scale hand relevance on unchanged.
//   input      (n, D)  what the block has read
//   relevance  (n, D)  of its output
BlockRelevance block_relevance(const BlockSteps& steps, const Block& w, const BlockOptions& options, const Matrix& input,
                               const Matrix& relevance);

// The product of (I + C_l) from layer `start` up, each optionally divided by its row sums.
Matrix relevance_product(const std::vector<Matrix>& weighted, int start, bool normalise_rows);

}  // namespace rollout
