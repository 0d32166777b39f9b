// cross_and_box.h: images whose class depends only on order: whether the cross comes before the box.
//
//   shows   the need for positions: without them a transformer sees a bag of patches, which is the same for both classes
//   sizes   12 x 12 grey pixels, a 3 x 3 grid of cells of 4 x 4
#pragma once
#include "nn/base/random.h"
#include "nn/data/idx.h"

// Noise of standard deviation 0.3 everywhere; a filled cross is added in one cell and a hollow box in another.
//   returns  label 1 where the cross comes first in reading order, 0 where the box does
LabelledImages cross_and_box(Random& random, int count);

// One such image with its shapes in the given cells, 0 ... 8.   throws std::invalid_argument when they are equal or outside
Image cross_and_box_at(Random& random, int cross_cell, int box_cell);
