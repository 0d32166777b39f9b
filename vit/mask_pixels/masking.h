// masking.h: shared parts of masked image modelling: random masks, mask tokens, normalised targets, a mean over masked patches.
//
//   shows    that masked image modelling is bookkeeping around a ViT; the ideas are in the files of the methods
//   symbols  B images   N patches of an image, numbered row by row
//   note     A mask of the input has a row for each image and a column for each patch: 1 = masked, 0 = visible.
//            It is not an attention mask (MayAttend).
//   next     mae.h, simmim.h, videomae.h, maskfeat.h; restoration.h draws and measures their predictions
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"

// --- masks ---

// For each row the column indices in ascending order of its numbers, row after row; ties keep their order. Uniform random numbers
// give random permutations.
std::vector<int> sorting_order(const Matrix& numbers);

// The inverse of each permutation.
//   permutations  one after the other, each of 0 ... length - 1
//   throws        std::invalid_argument when one is not a permutation
std::vector<int> inverse_permutations(const std::vector<int>& permutations, int length);

// A mask with 1 at the positions in entries begin ... end - 1 of each permutation. (permutations, length)
//   throws        std::invalid_argument when one is not a permutation, or the entries do not exist
Matrix make_mask(const std::vector<int>& permutations, int length, int begin, int end);

// Random permutations of 0 ... length - 1 for `count` images, one after the other.
std::vector<int> draw_permutations(Random& random, int count, int length);

// Masks for `count` images, each with `masked` random positions out of `length`: (count, length).
Matrix draw_masks(Random& random, int count, int length, int masked);

// The same in blocks: rectangles of random area and aspect ratio are masked one after another, each with at least `smallest`
// patches as long as that many are to be masked. Where no rectangle fits any more, single patches follow.
//   down, across  rows and columns of patches
//   returns       (count, down * across); exactly `masked` patches of each image are masked
//   throws        std::invalid_argument when there are fewer patches than are to be masked
//   source        Bao et al. 2021 (BEiT), arXiv 2106.08254, Algorithm 1; the aspect ratios and ten attempts from its code
Matrix draw_block_masks(Random& random, int count, int down, int across, int masked, int smallest = 4);

// The rows of the masked patches, and of the visible ones, in a matrix with N rows for each image: image by image, in order.
//   mask     (B, N), 1 = masked
std::vector<int> masked_rows(const Matrix& mask);
std::vector<int> visible_rows(const Matrix& mask);

// --- mask tokens ---

// x (1 - m) + token m: replaces each masked patch by the learned mask token.
//   x        (B*N, D)
//   token    (1, D)
//   mask     (B, N), 1 = masked
//   throws   std::invalid_argument when the mask does not have a number for each row
Var cover(const Var& x, const Var& token, const Matrix& mask, Where where = Where::current());

// --- targets ---

// Each patch by its own statistics: (t - mean) / sqrt(variance + 1e-6).
//   note     the variance is unbiased: it divides by n - 1 (LayerNorm divides by n)
//   source   He et al. 2021, section 3, "Reconstruction target"; 1e-6 and the unbiased variance from their code
Matrix normalise_patches(const Matrix& patches);

// The inverse: `patches` times the standard deviation plus the mean of the same row of `like`.
Matrix denormalise_patches(const Matrix& patches, const Matrix& like);

// --- the loss ---

// sum(losses * mask) / (sum(mask) + extra): the mean over the masked patches of all images together.
//   losses   (B*N, 1)
//   mask     (B, N), 1 = masked
//   extra    keeps an empty mask from dividing by zero
//   throws   std::invalid_argument when the sizes differ, or nothing is masked and extra is 0
Var masked_mean(const Var& losses, const Matrix& mask, float extra = 0, Where where = Where::current());
