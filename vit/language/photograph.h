// photograph.h: from a photograph of any size to the square that a model reads, step by step.
//
//   shows    resize the shorter side, cut out the middle: what CLIP and its successors do before the first matrix product
//   source   Pillow's BICUBIC as torchvision calls it (Resize, CenterCrop), up to its rounding to 8 bits
//   next     normalise() of image.h
#pragma once
#include "nn/data/image.h"

// Bicubic as image libraries resize photographs: Keys' kernel with a = -0.5; when shrinking it is widened by the same factor, so
// that every source pixel counts. First across, then down; what overshoots 0 ... 1 is cut off after each, as 8-bit pixels are.
//   image    values 0 ... 1
//   throws   std::invalid_argument for an empty image or a size below 1
Image resize_bicubic_antialiased(const Image& image, int height, int width);

// The same so that the shorter side becomes `side`, and the longer side * longer / shorter, rounded down.
Image resize_shorter_side(const Image& image, int side);

// The middle (height, width) of an image. Where it does not lie evenly, the corner is rounded to the even number.
//   throws   std::invalid_argument when the image is smaller
//   Example: 3 of 4 rows: those from 0 on (half a row rounds to 0); 3 of 6: from 2 on (1.5)
Image centre_crop(const Image& image, int height, int width);
