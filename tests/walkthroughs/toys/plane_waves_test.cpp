#include "walkthroughs/toys/plane_waves.h"

#include <algorithm>
#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("plane_waves");

TEST_CASE("plane_waves: pixel variance 1/2, that of a sine; all channels are equal") {
    Random random(3);
    double squares = 0, mean = 0;
    const std::vector<Image> waves = plane_waves(random, 500, 12);
    for (const Image& wave : waves)
        for (int k = 0; k < 144; ++k) {
            mean += wave.pixels[3 * k] / (500 * 144);
            squares += wave.pixels[3 * k] * wave.pixels[3 * k] / (500 * 144);
            REQUIRE(wave.pixels[3 * k] == wave.pixels[3 * k + 2]);
        }
    CHECK(squares - mean * mean == Approx(0.5).epsilon(0.03));
}

TEST_CASE("plane_wave: the sine of one direction, one wavelength of 6 to 12 pixels and one phase, drawn in this order") {
    Random random(4), again(4);
    const std::vector<Image> waves = plane_waves(random, 3, 5, 2);
    REQUIRE(waves.size() == 3);
    const float pi = 3.14159265f;
    for (const Image& wave : waves) {
        const double direction = again.uniform(0, pi), length = again.uniform(6, 12), phase = again.uniform(0, 2 * pi);
        for (int y = 0; y < 5; ++y)
            for (int x = 0; x < 5; ++x)
                for (int c = 0; c < 2; ++c) {
                    const double along = x * std::cos(direction) + y * std::sin(direction);
                    CHECK(std::abs(wave(y, x, c) - std::sin(2 * 3.14159265 / length * along + phase)) < 1e-5);
                }
    }
}

TEST_CASE("plane_waves: on every line the middle of three equidistant pixels is a fixed fraction of the sum of its neighbours") {
    // sin(t - k) + sin(t + k) = 2 cos(k) sin(t): the factor 2 cos k is the same everywhere in one image
    Random random(5);
    const Image wave = plane_wave(random, 12, 1);
    const double share = (wave(0, 0, 0) + wave(0, 2, 0)) / wave(0, 1, 0);
    for (int y = 0; y < 12; ++y)
        for (int x = 1; x < 11; ++x) CHECK(wave(y, x - 1, 0) + wave(y, x + 1, 0) == Approx(share * wave(y, x, 0)).epsilon(1e-3));
}

// The factor 2 cos(k cos a) along the rows, measured where the wave is largest.
static double row_share(const Image& wave) {
    int y = 0, x = 1;
    for (int v = 0; v < wave.height; ++v)
        for (int u = 1; u + 1 < wave.width; ++u)
            if (std::abs(wave(v, u, 0)) > std::abs(wave(y, x, 0))) y = v, x = u;
    return (wave(y, x - 1, 0) + wave(y, x + 1, 0)) / wave(y, x, 0);
}

TEST_CASE("plane_waves: no wavelength below 6 pixels, where 2 cos(2 pi / 6) = 1; some near it, some along the rows") {
    Random random(9);
    double least = 2, most = 0;
    for (const Image& wave : plane_waves(random, 300, 12, 1)) {
        least = std::min(least, row_share(wave));
        most = std::max(most, row_share(wave));
    }
    CHECK(least > 0.999);
    CHECK(least < 1.1);
    CHECK(most > 1.999);
}

TEST_CASE("plane_waves, oriented_patches: the phase takes every value of a full turn") {
    const PatchGrid one_patch{.height = 6, .width = 6, .patch_size = 6, .channels = 1};
    Random random(2);
    double least[2] = {1, 1}, most[2] = {-1, -1};
    for (int trial = 0; trial < 300; ++trial) {
        const float first[2] = {plane_wave(random, 2, 1)(0, 0, 0), oriented_patches(random, one_patch, {0})(0, 0, 0)};
        for (int k = 0; k < 2; ++k)
            least[k] = std::min<double>(least[k], first[k]), most[k] = std::max<double>(most[k], first[k]);
    }
    for (int k = 0; k < 2; ++k) {
        CHECK(least[k] < -0.99);
        CHECK(most[k] > 0.99);
    }
}

static const PatchGrid four_patches{.height = 12, .width = 12, .patch_size = 6, .channels = 2};

TEST_CASE("oriented_patches: direction 0 is vertical stripes: equal rows, different columns; random phase") {
    Random random(1);
    const Image image = oriented_patches(random, four_patches, {0, 0, 0, 0});
    for (int y = 1; y < 6; ++y) CHECK(image(y, 2, 0) == image(0, 2, 0));
    CHECK(image(0, 2, 0) != image(0, 3, 0));
    CHECK(image(0, 0, 0) == Approx(image(0, 5, 0)).epsilon(1e-4));  // a wavelength of 5 pixels
    CHECK(image(0, 0, 1) == image(0, 0, 0));
    CHECK(image(0, 6, 0) != image(0, 0, 0));
    // a quarter turn: horizontal stripes in the second patch, which is at the right, and no others
    const Image mixed = oriented_patches(random, four_patches, {0, 1.57079633f, 0, 0});
    for (int x = 7; x < 12; ++x) CHECK(mixed(2, x, 0) == Approx(mixed(2, 6, 0)).epsilon(1e-4));
    CHECK(mixed(2, 6, 0) != Approx(mixed(3, 6, 0)));
    for (int y = 7; y < 12; ++y) CHECK(mixed(y, 2, 0) == mixed(6, 2, 0));
    // an eighth: the same along lines from the lower left to the upper right
    const Image slanted = oriented_patches(random, four_patches, {0.78539816f, 0.78539816f, 0.78539816f, 0.78539816f});
    CHECK(slanted(0, 3, 0) == Approx(slanted(3, 0, 0)).epsilon(1e-4));
    CHECK(slanted(0, 0, 0) != Approx(slanted(3, 3, 0)));
}

TEST_CASE(
    "images_of_one_direction: two patches of an image are the same stripes, moved: their columns have the same wavelength") {
    Random random(1);
    const std::vector<Image> images = images_of_one_direction(random, four_patches, 3);
    CHECK(images.size() == 3);
    Random again(1);
    for (const Image& image : images) {
        const float direction = again.uniform(0, 3.14159265f);
        CHECK(image.pixels == oriented_patches(again, four_patches, std::vector<float>(4, direction)).pixels);
    }
    for (const Image& image : images) {
        // f(x - 1) + f(x + 1) = 2 cos(w) f(x) with the same w in every patch
        const float first = (image(1, 1, 0) + image(1, 3, 0)) / (2 * image(1, 2, 0));
        const float second = (image(7, 7, 0) + image(7, 9, 0)) / (2 * image(7, 8, 0));
        CHECK(first == Approx(second).epsilon(1e-3));
    }
}

TEST_CASE("oriented_patches: one draw a patch, its phase, uniform over a full turn") {
    Random random(9), again(9);
    const PatchGrid pixels{.height = 4, .width = 5, .patch_size = 1, .channels = 1};
    const Image image = oriented_patches(random, pixels, std::vector<float>(20, 0.5f));
    for (const float pixel : image.pixels)
        CHECK(pixel == Approx(std::sin(static_cast<double>(again.uniform(0, 2 * 3.14159265f)))).epsilon(1e-4));
    CHECK(random.uniform() == again.uniform());
}

TEST_CASE("oriented_patches: requires a direction for each patch") {
    Random random(1);
    CHECK_THROWS_WITH(oriented_patches(random, four_patches, {0}), "oriented_patches: 1 directions for 4 patches");
}

TEST_SUITE_END();
