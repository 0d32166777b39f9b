// cross_and_box.h: pictures whose class is nothing but order: does the cross come before the box?
//
//   shows   what positions are for: without them a transformer reads a bag of patches, and the bags of both classes are the same
//   sizes   12 x 12 grey pixels, a 3 x 3 grid of places, each 4 x 4
#pragma once
#include "nn/base/random.h"
#include "nn/data/idx.h"

// Noise of deviation 0.3 everywhere; a filled cross is added in one place and a hollow box in another.
//   returns  label 1 where the cross comes first in reading order, 0 where the box does
LabelledImages cross_and_box(Random& random, int count);

// One such picture with its shapes in the given places, 0 ... 8.   throws std::invalid_argument when they are the same or outside
Image cross_and_box_at(Random& random, int cross_place, int box_place);
