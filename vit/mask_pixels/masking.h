// masking.h: what every method that hides patches shares: choosing them, the squares to predict, and a mean over the hidden ones.
//
//   shows    that "masked image modelling" is bookkeeping around a ViT; the ideas are in the files of the methods
//   symbols  B images   N patches of an image, numbered row by row
//   note     A mask of the input has a row for each image and a column for each patch: 1 = hidden, 0 = visible.
//            It has nothing to do with MayAttend, which says who may look at whom.
//   next     mae.h, simmim.h, videomae.h, maskfeat.h; restoration.h draws and judges what they restore
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/random.h"

// --- choosing ---

// The places 0 ... cols - 1 of every row in ascending order of its numbers, one row after the other; equal numbers stay in place.
// Random numbers in, random permutations out.
std::vector<int> sorting_order(const Matrix& numbers);

// The inverse of each of these permutations: where each place went.
//   permutations  one after the other, each of 0 ... places - 1
//   throws        std::invalid_argument when one is no permutation
std::vector<int> inverse_permutations(const std::vector<int>& permutations, int places);

// A mask: the places that stand at entries begin ... end - 1 of a permutation are hidden. (permutations, places)
//   throws        std::invalid_argument when one is no permutation, or there are no such entries
Matrix hide(const std::vector<int>& permutations, int places, int begin, int end);

// Masks for `count` images, each of which hides `hidden` of its places at random: (count, places).
Matrix draw_masks(Random& random, int count, int places, int hidden);

// The rows of the hidden patches, and of the visible ones, in a matrix that has N rows for each image: image by image, in order.
//   mask     (B, N), 1 = hidden
std::vector<int> hidden_rows(const Matrix& mask);
std::vector<int> visible_rows(const Matrix& mask);

// --- covering ---

// x (1 - m) + token m: the one learned token in place of every hidden patch.
//   x        (B*N, D)
//   token    (1, D)
//   mask     (B, N), 1 = hidden
//   throws   std::invalid_argument when the mask does not have a number for each row
Var cover(const Var& x, const Var& token, const Matrix& mask, Where where = Where::current());

// --- targets ---

// Every patch by itself: (t - mean) / sqrt(variance + 1e-6).
//   note     the variance is the unbiased one, it divides by one number less than there are (LayerNorm divides by all)
//   source   He et al. 2021, section 3, "Reconstruction target"; 1e-6 and the unbiased variance from their code
Matrix normalise_patches(const Matrix& patches);

// Back again: `patches` times the standard deviation plus the mean of the same row of `like`.
Matrix denormalise_patches(const Matrix& patches, const Matrix& like);

// --- judging the hidden ones only ---

// sum(losses * mask) / (sum(mask) + extra): the mean over the hidden patches of all images together.
//   losses   (B*N, 1)
//   mask     (B, N), 1 = hidden
//   extra    keeps an empty mask from dividing by zero
//   throws   std::invalid_argument when the sizes differ, or nothing is hidden and extra is 0
Var masked_mean(const Var& losses, const Matrix& mask, float extra = 0, Where where = Where::current());
