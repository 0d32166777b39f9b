// plane_waves.h: pictures so regular that a few pixels determine the rest: a model that hides patches can restore them exactly.
//
//   shows    what "redundant" means: direction, wavelength and phase, three numbers, are the whole picture
#pragma once
#include <vector>

#include "nn/base/random.h"
#include "nn/data/image.h"

// sin(k (x cos a + y sin a) + phase), the same in all channels; direction a in [0, pi),
// wavelength 2 pi / k in [6, 12) pixels, any phase.
Image plane_wave(Random& random, int size, int channels = 3);
std::vector<Image> plane_waves(Random& random, int count, int size, int channels = 3);
