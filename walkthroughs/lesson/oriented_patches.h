// oriented_patches.h: pictures whose patches agree in direction and in nothing else, and masks for a batch of them.
//
//   shows    what can be inferred of a hidden patch (which way its stripes run) and what cannot (where they begin)
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/data/patches.h"

// Every patch shows stripes sin(2 pi / 5 (x cos a + y sin a) + phase), the same in all channels, with a phase of its own.
//   angles  a of each patch
Image oriented_patches(Random& random, const PatchGrid& grid, const std::vector<float>& angles);

// One direction in [0, pi) for each of `count` pictures, the same for all its patches.
std::vector<Image> pictures_of_one_direction(Random& random, const PatchGrid& grid, int count);

// A mask for each of `count` pictures that hides `hidden` of its patches at random: (count, patches), 1 = hidden.
Matrix draw_masks(Random& random, int count, int patches, int hidden);
