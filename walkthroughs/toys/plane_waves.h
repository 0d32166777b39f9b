// plane_waves.h: pictures so regular that a few pixels determine the rest: a model that hides patches can restore them exactly. And
// pictures whose patches agree in direction and in nothing else.
//
//   shows    what "redundant" means: direction, wavelength and phase, three numbers, are the whole picture; and what can be inferred
//            of a patch (which way its stripes run) when its pixels cannot (where they begin)
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/data/patches.h"

// sin(k (x cos a + y sin a) + phase), the same in all channels; direction a in [0, pi),
// wavelength 2 pi / k in [6, 12) pixels, any phase.
Image plane_wave(Random& random, int size, int channels = 3);
std::vector<Image> plane_waves(Random& random, int count, int size, int channels = 3);

// Every patch shows stripes sin(2 pi / 5 (x cos a + y sin a) + phase), the same in all channels, with a phase of its own.
//   angles  a of each patch
Image oriented_patches(Random& random, const PatchGrid& grid, const std::vector<float>& angles);

// One direction in [0, pi) for each of `count` pictures, the same for all its patches.
std::vector<Image> pictures_of_one_direction(Random& random, const PatchGrid& grid, int count);
