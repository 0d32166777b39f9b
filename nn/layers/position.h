// position.h: attention does not know the order of its tokens; something has to tell it where each stands.
//
//   papers   Vaswani et al. 2017, section 3.5 (sines and cosines that are added)
//            Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, arXiv 2104.09864, Eq. 34 (rotation)
//   shows    three ways: a fixed vector or a learned one is added to each token, or queries and keys are turned by their position
//   symbols  t position   h head width   w_k frequency of pair k
//   note     learned positions need no code of their own: a table that add_repeated() adds to every sequence, and that resize() of
//            nn/maps/resize.h fits to an image of another size
//   next     relative_position.h (positions as a bias on the scores), attention.h
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

// --- fixed vectors that are added ---

// How the sines and cosines of a code lie in its columns.
enum class SineOrder {
    interleaved,  // sin, cos, sin, cos, ...
    halves,       // all sines, then all cosines
};

// One row for each coordinate: sin(x w_k) and cos(x w_k), w_k = base^(-k / (width / 2)), k = 0 ... width / 2 - 1.
//   returns  (coordinates, width)
//   throws   std::invalid_argument when the width is odd or not positive
Matrix sine_code(const std::vector<double>& coordinates, int width, SineOrder order, double base = 10000);

// Fixed positions of a text: the interleaved code of 0, 1, 2, ...
//   returns  (length, width), width even
//   source   Vaswani et al. 2017, section 3.5
Matrix sine_cosine_positions(int length, int width);

// Fixed positions of a grid of patches, numbered row by row: the code of the patch's column beside the code of its row, each half of
// the width, sines and cosines in halves.
//   returns  (rows * cols, width), width divisible by 4
//   source   the code of MAE (He et al. 2021): the column comes first
Matrix sine_cosine_grid(int rows, int cols, int width);

// --- rotation of queries and keys ---

// Which two columns of a head form the pair that is turned.
enum class RotaryLayout {
    halves,      // columns k and k + h / 2: LLaMA as Hugging Face stores it, GLM-130B, PaLM
    neighbours,  // columns 2k and 2k + 1:   LLaMA as Meta stores it, RoFormer
};

// How attention turns queries and keys; the default turns nothing.
struct Rotary {
    float base = 0;                            // 10000 in the published models; 0 = no rotation
    RotaryLayout layout = RotaryLayout::halves;
    std::vector<int> positions = {};           // of each row of q and k; empty = 0, 1, 2, ... in each segment
};

// Turns pair k of every head of row i by the angle positions[i] base^(-2k / h):
//   (a, b) -> (a cos - b sin, a sin + b cos)
// so that the product of a query and a key depends on their positions only through the difference.
//   x        (n, heads * h), h even
//   throws   std::invalid_argument when h is odd or does not divide the width, or there are not n positions
//   source   RoFormer Eq. 34
Var rotate(const Var& x, const std::vector<int>& positions, int head_width, float base, RotaryLayout layout = RotaryLayout::halves,
           Where where = Where::current());
