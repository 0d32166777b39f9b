#include "walkthroughs/toys/plane_waves.h"

#include <cmath>

#include "nn/base/require.h"

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

Image oriented_patches(Random& random, const PatchGrid& grid, const std::vector<float>& angles) {
    require(static_cast<int>(angles.size()) == grid.count(), "oriented_patches: ", static_cast<int>(angles.size()),
            " directions for ", grid.count(), " patches");
    const int P = grid.patch_size;
    Image image(grid.height, grid.width, grid.channels);
    for (int n = 0; n < grid.count(); ++n) {
        const int top = n / grid.across() * P, left = n % grid.across() * P;
        const float phase = random.uniform(0, 2 * pi), right = std::cos(angles[n]), down = std::sin(angles[n]);
        for (int y = 0; y < P; ++y)
            for (int x = 0; x < P; ++x)
                for (int c = 0; c < grid.channels; ++c)
                    image(top + y, left + x, c) = std::sin(2 * pi / 5 * (x * right + y * down) + phase);
    }
    return image;
}

std::vector<Image> images_of_one_direction(Random& random, const PatchGrid& grid, int count) {
    std::vector<Image> images;
    for (int b = 0; b < count; ++b) {
        const float direction = random.uniform(0, pi);
        images.push_back(oriented_patches(random, grid, std::vector<float>(grid.count(), direction)));
    }
    return images;
}
