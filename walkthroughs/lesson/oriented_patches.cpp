#include "walkthroughs/lesson/oriented_patches.h"

#include <cmath>

#include "nn/base/require.h"
#include "vit/mask_pixels/masking.h"

static const float pi = 3.14159265f;

Image oriented_patches(Random& random, const PatchGrid& grid, const std::vector<float>& angles) {
    require(static_cast<int>(angles.size()) == grid.count(), "oriented_patches: ", static_cast<int>(angles.size()), " directions for ",
            grid.count(), " patches");
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

std::vector<Image> pictures_of_one_direction(Random& random, const PatchGrid& grid, int count) {
    std::vector<Image> pictures;
    for (int b = 0; b < count; ++b) {
        const float direction = random.uniform(0, pi);
        pictures.push_back(oriented_patches(random, grid, std::vector<float>(grid.count(), direction)));
    }
    return pictures;
}

Matrix draw_masks(Random& random, int count, int patches, int hidden) {
    std::vector<int> permutations;
    for (int b = 0; b < count; ++b) {
        const std::vector<int> one = permutation(random, patches);
        permutations.insert(permutations.end(), one.begin(), one.end());
    }
    return hide(permutations, patches, 0, hidden);
}
