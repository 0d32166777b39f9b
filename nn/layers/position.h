// position.h: position embeddings, since attention by itself ignores the order of tokens.
//
//   papers   Vaswani et al. 2017, section 3.5 (sines and cosines that are added)
//            Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, arXiv 2104.09864, Eq. 34 (rotation)
//   equations [RoFormer 34]
//   shows    three ways: add a fixed vector to each token, add a learned one, or rotate queries and keys by their position
//   symbols  t position   h head width   w_k frequency of pair k
//   note     learned positions need no code here: add_repeated() adds a table to every sequence, and resize() of nn/maps/resize.h
//            fits it to another image size
//   next     relative_position.h (positions as a bias on the scores), attention.h
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

// --- sine and cosine embeddings ---

// The order of sines and cosines in the columns.
enum class SineOrder {
    interleaved,  // sin, cos, sin, cos, ...
    halves,       // all sines, then all cosines
};

// One row per coordinate x: sin(x w_k) and cos(x w_k), w_k = base^(-k / (width / 2)), k = 0 ... width / 2 - 1.
//   returns  (coordinates, width)
//   throws   std::invalid_argument when the width is odd or not positive
Matrix sine_code(const std::vector<double>& coordinates, int width, SineOrder order, double base = 10000);

// Sinusoidal positions of a text: the interleaved code of 0, 1, 2, ...
//   returns  (length, width), width even
//   source   Vaswani et al. 2017, section 3.5
Matrix sine_cosine_positions(int length, int width);

// Sinusoidal positions of a grid of patches, numbered row by row: the code of the column, then the code of the row, each half the
// width, sines and cosines in halves.
//   returns  (rows * cols, width), width divisible by 4
//   source   MAE's published code (He et al. 2021), which puts the column first
Matrix sine_cosine_grid(int rows, int cols, int width);

// --- rotary position embedding (RoPE) ---

// Which two columns of a head form a rotated pair.
enum class RotaryLayout {
    halves,      // columns k and k + h / 2: LLaMA as Hugging Face stores it, GLM-130B, PaLM
    neighbours,  // columns 2k and 2k + 1:   LLaMA as Meta stores it, RoFormer
};

// The rotation of queries and keys; none by default.
struct Rotary {
    float base = 0;  // 10000 in the published models; 0 = no rotation
    RotaryLayout layout = RotaryLayout::halves;
    std::vector<int> positions = {};  // of each row of q and k; empty = 0, 1, 2, ... in each segment
};

// Rotates pair k of every head of row i by the angle positions[i] base^(-2k / h):
//   (a, b) -> (a cos - b sin, a sin + b cos)
// so that the dot product of a query and a key depends only on the difference of their positions.
//   x        (n, heads * h), h even
//   throws   std::invalid_argument when h is odd or does not divide the width, or there are not n positions
//   source   RoFormer Eq. 34
Var rotate(const Var& x, const std::vector<int>& positions, int head_width, float base,
           RotaryLayout layout = RotaryLayout::halves, Where where = Where::current());
