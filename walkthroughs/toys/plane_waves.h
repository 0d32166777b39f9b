// plane_waves.h: plane waves, in which a few pixels determine the whole image, so that masked patches can be restored exactly;
// and images whose patches share only the direction of their stripes.
//
//   shows    what "redundant" means: direction, wavelength and phase determine the whole image; and what can be predicted of a
//            patch (the direction of its stripes) when its pixels cannot (their phase)
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/data/patches.h"

// sin(k (x cos a + y sin a) + phase), the same in all channels; direction a in [0, pi),
// wavelength 2 pi / k in [6, 12) pixels, any phase.
Image plane_wave(Random& random, int size, int channels = 3);
std::vector<Image> plane_waves(Random& random, int count, int size, int channels = 3);

// Every patch has stripes sin(2 pi / 5 (x cos a + y sin a) + phase), the same in all channels, with its own phase.
//   angles  a of each patch
Image oriented_patches(Random& random, const PatchGrid& grid, const std::vector<float>& angles);

// `count` images, each with one random direction in [0, pi) for all its patches.
std::vector<Image> images_of_one_direction(Random& random, const PatchGrid& grid, int count);
