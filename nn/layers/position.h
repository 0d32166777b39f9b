// position.h: attention does not know the order of its tokens; a vector added to each says where it stands.
//
//   note     learned positions need no code of their own: a table that add_repeated() adds to every sequence
#pragma once
#include "nn/base/matrix.h"

// Fixed positions of a text: columns 0, 2, 4, ... are sin(t w_k), columns 1, 3, 5, ... are cos(t w_k), w_k = 10000^(-2k / width).
//   returns  (length, width), width even
//   source   Vaswani et al. 2017, section 3.5
Matrix sine_cosine_positions(int length, int width);

// Fixed positions of a grid of patches, numbered row by row. With w_k = 10000^(-k / (width / 4)), the columns are
// sin(c w_k), cos(c w_k) of the patch's column c, then sin(r w_k), cos(r w_k) of its row r, a quarter of the width each.
//   returns  (rows * cols, width), width divisible by 4
//   source   the code of MAE (He et al. 2021): the column comes first
Matrix sine_cosine_grid(int rows, int cols, int width);

// Learned positions of a grid, resampled bicubically for an image of another size, as the published ViT code does.
//   positions  (rows * cols, width)
//   returns    (new_rows * new_cols, width)
//   source     ViT section 3.2; the kernel is Keys' with a = -0.75, pixel centres at half steps, edges repeated (PyTorch's bicubic)
Matrix resample_grid(const Matrix& positions, int rows, int cols, int new_rows, int new_cols);
