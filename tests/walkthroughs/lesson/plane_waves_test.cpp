#include "walkthroughs/lesson/plane_waves.h"

#include <algorithm>
#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("plane_waves");

TEST_CASE("the variance of the pixels is 1/2, that of a sine; all channels are equal") {
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

TEST_CASE(
    "a wave repeats its own law: along every line the middle of three equidistant pixels is a fixed share of its neighbours") {
    // sin(t - k) + sin(t + k) = 2 cos(k) sin(t): the share 2 cos k is the same everywhere in one picture
    Random random(5);
    const Image wave = plane_wave(random, 12, 1);
    const double share = (wave(0, 0, 0) + wave(0, 2, 0)) / wave(0, 1, 0);
    for (int y = 0; y < 12; ++y)
        for (int x = 1; x < 11; ++x) CHECK(wave(y, x - 1, 0) + wave(y, x + 1, 0) == Approx(share * wave(y, x, 0)).epsilon(1e-3));
}

// The share 2 cos(k cos a) along the rows, taken where the wave is largest.
static double row_share(const Image& wave) {
    int y = 0, x = 1;
    for (int v = 0; v < wave.height; ++v)
        for (int u = 1; u + 1 < wave.width; ++u)
            if (std::abs(wave(v, u, 0)) > std::abs(wave(y, x, 0))) y = v, x = u;
    return (wave(y, x - 1, 0) + wave(y, x + 1, 0)) / wave(y, x, 0);
}

TEST_CASE("no wavelength is below 6 pixels, where the share is 2 cos(2 pi / 6) = 1; some are near it, some run along the rows") {
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

TEST_SUITE_END();
