#include "walkthroughs/lesson/plane_waves.h"

#include <cmath>

static const float pi = 3.14159265f;

Image plane_wave(Random& random, int size, int channels) {
    const float direction = random.uniform(0, pi);
    const float wave_number = 2 * pi / random.uniform(6, 12);
    const float phase = random.uniform(0, 2 * pi);
    Image wave(size, size, channels);
    for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x)
            for (int c = 0; c < channels; ++c)
                wave(y, x, c) = std::sin(wave_number * (x * std::cos(direction) + y * std::sin(direction)) + phase);
    return wave;
}

std::vector<Image> plane_waves(Random& random, int count, int size, int channels) {
    std::vector<Image> waves;
    for (int b = 0; b < count; ++b) waves.push_back(plane_wave(random, size, channels));
    return waves;
}
