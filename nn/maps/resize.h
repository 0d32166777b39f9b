// resize.h: a map of another height and width, each new pixel a mixture of old ones.
//
//   shows    that every kind of interpolation is a weighted gather; only places and weights differ
//   symbols  a new pixel p of P lies at the old place (p + 1/2) L/P - 1/2 of L pixels ("half-pixel centres", PyTorch's
//            align_corners = False), or at p (L - 1) / (P - 1) where the corners are aligned
//   source   PyTorch's interpolate; antialiased: jax.image.resize and Pillow; bicubic: Keys 1981 with a = -0.75
#pragma once
#include "nn/maps/map.h"

enum class Interpolation {
    nearest,               // old pixel p L / P, rounded down: enlarged by a whole factor, every pixel becomes a square
    bilinear,              // the two nearest in each direction; half-pixel centres, edges repeated
    bilinear_corners,      // the same with the corner pixels on each other (align_corners = True)
    bilinear_antialiased,  // when shrinking, every old pixel under a triangle L/P times as wide; weights sum to 1 also at the edges
    bicubic,               // four in each direction; half-pixel centres, edges repeated
};

// x (images * H * W, C) -> (images * height * width, C). Gradients flow back through the mixture.
//   use      positions of patches for an image of another size: resize({positions, {1, rows, cols}}, new_rows, new_cols, bicubic);
//            a table (L, C) along one axis is a map of width 1
//   throws   std::invalid_argument when height or width is below 1
Map resize(const Map& x, int height, int width, Interpolation how, Where where = Where::current());
