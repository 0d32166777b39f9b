// vector_quantizer.h: vector quantisation (VQ): a vector is replaced by the nearest row of a codebook, so an image becomes tokens.
//
//   papers   van den Oord et al., "Neural Discrete Representation Learning" (VQ-VAE), 2017, arXiv 1711.00937, section 3
//            codes as moving averages: the same, appendix A.1
//   shows    the three parts of a codebook: the nearest code, the gradient through a choice that has no derivative (straight-through),
//            and the update of the codes (by gradient, or as moving averages of the vectors assigned to them)
//   symbols  n vectors   C their width   K codes   id the number of a code
//   users    maskgit_vqgan.h: codes trained by gradient;  beit_v2.h: averaged directions;  vit/sequence/uvim.h: averaged sums
//   neighbour  embedding.h (nn/layers) is given the row; here the nearest row is searched
//   note     An averaged codebook is a constant on the tape, and is stored in the checkpoint with the weights.
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"

// --- the nearest code ---

// d_ik = |x_i - e_k|^2 = |x_i|^2 - 2 x_i . e_k + |e_k|^2, formed in double. Gradients flow to both.
//   x (n, C), codebook (K, C) -> (n, K)
//   throws   std::invalid_argument when the widths differ
Var squared_distances(const Var& x, const Var& codebook, Where where = Where::current());

// For each row the column of the smallest distance; of several the first.
std::vector<int> nearest_codes(const Matrix& distances);

struct Quantized {
    Var distances;         // (n, K)
    std::vector<int> ids;  // (n)     the codes
    Var codes;             // (n, C)  row ids[i] of the codebook; gradients flow to the codebook, if it is trained
    Var output;            // (n, C)  the same numbers, but gradients flow to x unchanged (straight-through)
};
Quantized quantize(const Var& x, const Var& codebook, Where where = Where::current());

// The two losses between vectors and their codes, means over all n * C numbers, (1, 1).
Var commitment_loss(const Var& x, const Quantized& quantized);  // mean (x - stop(code))^2: the vector moves to its code
Var codebook_loss(const Var& x, const Quantized& quantized);    // mean (code - stop(x))^2: the code moves to its vectors

// --- statistics of a batch ---

std::vector<int> code_counts(const std::vector<int>& ids, int codes);
int codes_in_use(const std::vector<int>& ids, int codes);

// The sum of the rows of x with each id: (n, C) -> (K, C), formed in double; zeros for an unused code.
Matrix sums_by_code(const Matrix& x, const std::vector<int>& ids, int codes);

// --- codes as averaged directions (BEiT v2) ---

// Moves each code towards the mean direction of the rows assigned to it, and back onto the unit sphere:
//   e_k = unit(sum of the z with id k), or v_k for an unused code;   v_k <- unit(decay v_k + (1 - decay) e_k)
//   cluster_size_k <- decay cluster_size_k + (1 - decay) n_k: statistics, otherwise unused
//   codes (K, C) of length 1, cluster_size (1, K), z (n, C) of length 1
//   throws   std::invalid_argument when shapes do not fit or decay is outside [0, 1]
void average_directions(Matrix& codes, Matrix& cluster_size, const Matrix& z, const std::vector<int>& ids, float decay);

// Initialises such a codebook: k-means on the sphere. A code without rows stays unchanged.
//   z        (n, C) of length 1
//   first    K row indices of z: the initial codes
//   returns  (K, C) of length 1
Matrix spherical_k_means(const Matrix& z, const std::vector<int>& first, int rounds);
// `count` random row indices of 0 ... rows - 1, distinct if there are enough.
std::vector<int> random_rows(Random& random, int rows, int count);

// --- codes as averaged sums, with restart (UViM) ---

// Sums and counts that decay at the same rate; their quotient is a mean.
struct SummedCodebook {
    Var sums;    // (K, C)  of the vectors assigned to each code; a constant
    Var counts;  // (1, K)  of the same vectors; a constant
};

// The codes: sums_k / counts_k, divided by its length. (K, C)
Matrix codewords(const SummedCodebook& book);

// counts_k <- momentum counts_k + n_k,   sums_k <- momentum sums_k + sum of the x with id k
void average_sums(SummedCodebook& book, const Matrix& x, const std::vector<int>& ids, float momentum);

// The restart. While a code's count is below min_count, the most used code is split: each of the two gets half of its sums and count:
//   sums_min <- sums_max / 2 times (1 - perturb + 2 perturb u), u drawn for each number;
//   sums_max <- sums_max / 2;   both counts likewise
//   uniforms  (rows, C), u in [0, 1): one row for each split
//   returns   the number of splits
//   throws    std::invalid_argument when the rows are used up: all counts together are too small for K codes of min_count
int split_busiest(SummedCodebook& book, float min_count, float perturb, const Matrix& uniforms);
