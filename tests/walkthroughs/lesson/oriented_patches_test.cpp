#include "walkthroughs/lesson/oriented_patches.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("oriented_patches");

static const PatchGrid grid{.height = 12, .width = 12, .patch_size = 6, .channels = 2};

TEST_CASE("oriented_patches: direction 0 is upright stripes: rows are alike, columns differ; every patch begins elsewhere") {
    Random random(1);
    const Image image = oriented_patches(random, grid, {0, 0, 0, 0});
    for (int y = 1; y < 6; ++y) CHECK(image(y, 2, 0) == image(0, 2, 0));
    CHECK(image(0, 2, 0) != image(0, 3, 0));
    CHECK(image(0, 0, 0) == Approx(image(0, 5, 0)).epsilon(1e-4));  // a wavelength of 5 pixels
    CHECK(image(0, 0, 1) == image(0, 0, 0));
    CHECK(image(0, 6, 0) != image(0, 0, 0));
}

TEST_CASE("pictures_of_one_direction: two patches of a picture are the same stripes, moved: their columns have the same wavelength") {
    Random random(1);
    for (const Image& image : pictures_of_one_direction(random, grid, 3)) {
        // f(x - 1) + f(x + 1) = 2 cos(w) f(x) with the same w in every patch
        const float first = (image(1, 1, 0) + image(1, 3, 0)) / (2 * image(1, 2, 0));
        const float second = (image(7, 7, 0) + image(7, 9, 0)) / (2 * image(7, 8, 0));
        CHECK(first == Approx(second).epsilon(1e-3));
    }
}

TEST_CASE("draw_masks: every picture hides as many patches as asked") {
    Random random(1);
    const Matrix mask = draw_masks(random, 5, 9, 4);
    for (int b = 0; b < 5; ++b) {
        float hidden = 0;
        for (int n = 0; n < 9; ++n) hidden += mask(b, n);
        CHECK(hidden == 4);
    }
    CHECK_THROWS_WITH(oriented_patches(random, grid, {0}), "oriented_patches: 1 directions for 4 patches");
}

TEST_SUITE_END();
