// resize.h: resize a map by interpolation.
//
//   shows    that every kind of interpolation is a weighted gather; only positions and weights differ
//   symbols  new pixel p of P lies at the old position (p + 1/2) L/P - 1/2 of L pixels ("half-pixel centres", PyTorch's
//            align_corners = False), or at p (L - 1) / (P - 1) where the corners are aligned
//   source   PyTorch's interpolate; antialiased: jax.image.resize and Pillow; bicubic: Keys 1981 with a = -0.75
#pragma once
#include "nn/maps/map.h"

enum class Interpolation {
    nearest,               // old pixel p L / P, rounded down
    bilinear,              // the two nearest in each direction; half-pixel centres, edges repeated
    bilinear_corners,      // the same with aligned corners (align_corners = True)
    bilinear_antialiased,  // when shrinking, the triangle filter is L/P times as wide; weights sum to 1 also at the edges
    bicubic,               // four in each direction; half-pixel centres, edges repeated
};

// x (images * H * W, C) -> (images * height * width, C), with gradients.
//   use      position embeddings for another image size: resize({positions, {1, rows, cols}}, new_rows, new_cols, bicubic);
//            a table (L, C) along one axis is a map of width 1
//   throws   std::invalid_argument when height or width is below 1
Map resize(const Map& x, int height, int width, Interpolation how, Where where = Where::current());
