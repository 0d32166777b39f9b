#include "nn/maps/pool.h"

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pool");

// 3 x 3 pixels of two channels, the second the negative of the first
static const Matrix pixels{{1, -1}, {2, -2}, {3, -3}, {4, -4}, {5, -5}, {6, -6}, {7, -7}, {8, -8}, {9, -9}};
static const MapSize size{1, 3, 3};

TEST_CASE("mean_pool: by hand, the last odd row and column are dropped") {
    const Map y = mean_pool({pixels, size}, {.side = 2, .stride = 2});
    CHECK(y.size == MapSize{1, 1, 1});
    CHECK(identical(y.pixels.value(), Matrix{{3, -3}}));  // (1 + 2 + 4 + 5) / 4
    CHECK(identical(mean_pool({pixels, size}, {.side = 2}).pixels.value(), Matrix{{3, -3}, {4, -4}, {6, -6}, {7, -7}}));
}

TEST_CASE("mean_pool: padding counts as zeros, the divisor stays side * side") {
    const Map y = mean_pool({pixels, size}, {.side = 2, .stride = 2, .padding = {.bottom = 1, .right = 1}});
    CHECK(identical(y.pixels.value(), Matrix{{3, -3}, {9.0f / 4, -9.0f / 4}, {15.0f / 4, -15.0f / 4}, {9.0f / 4, -9.0f / 4}}));
}

TEST_CASE("max_pool: by hand, each channel by itself; padding is ignored, also beside negative numbers") {
    const Map y = max_pool({pixels, size}, {.side = 2, .stride = 2});
    CHECK(identical(y.pixels.value(), Matrix{{5, -1}}));
    const Map padded = max_pool({pixels, size}, {.side = 2, .stride = 2, .padding = {.bottom = 1, .right = 1}});
    CHECK(identical(padded.pixels.value(), Matrix{{5, -1}, {6, -3}, {8, -7}, {9, -9}}));
}

TEST_CASE("max_pool: a window of one pixel and a stride of 2 keep every second pixel") {
    const Map y = max_pool({pixels, size}, {.side = 1, .stride = 2});
    CHECK(y.size == MapSize{1, 2, 2});
    CHECK(identical(y.pixels.value(), Matrix{{1, -1}, {3, -3}, {7, -7}, {9, -9}}));
}

TEST_CASE("mean_pool, max_pool: images are independent, and the new map has fewer pixels per image") {
    const Map y = max_pool({Matrix{{1}, {2}, {3}, {4}}, {2, 1, 2}}, {.side = 1, .stride = 2});
    CHECK(y.size == MapSize{2, 1, 1});
    CHECK(identical(y.pixels.value(), Matrix{{1}, {3}}));
}

TEST_CASE("mean_pool, max_pool: gradients agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    Random random(9);
    const Matrix x = normal_matrix(random, 2 * 3 * 4, 2);
    check_gradient_by_differences([](Inputs v) { return mean_pool({v[0], {2, 3, 4}}, {.side = 2, .stride = 2}).pixels; }, {x});
    check_gradient_by_differences(
        [](Inputs v) {
            return mean_pool({v[0], {2, 3, 4}}, {.side = 3, .stride = 2, .padding = Padding::all(1)}).pixels;
        },
        {x});
    Matrix apart(24, 2);  // no two numbers so close that finite differences would change the maximum
    const std::vector<int> order = permutation(random, 48);
    for (int n = 0; n < 48; ++n) apart[n] = 0.25f * static_cast<float>(order[n]);
    check_gradient_by_differences([](Inputs v) { return max_pool({v[0], {2, 3, 4}}, {.side = 2, .stride = 2}).pixels; }, {apart});
}

TEST_CASE("mean_pool, max_pool: a window larger than the map, or entirely in the padding, is refused") {
    CHECK(without_place(error_of([] {
              mean_pool({pixels, {1, 2, 3}}, {.side = 2});
          })) == "mean_pool: pixels (9, 2) for a map of 1 image of 2 x 3, it must have 6 rows, one for each pixel");
    CHECK(
        without_place(error_of([] {
            max_pool({pixels, size}, {.side = 4});
        })) ==
        "size_after: a window of side 4 does not fit into 3 x 3 pixels, padding included; take a smaller window or more padding");
    CHECK(without_place(error_of([] {
              max_pool({pixels, size}, {.side = 1, .padding = {.top = 1}});
          })) == "max_rows: all of the 1 indices of row 0 are -1, a maximum needs at least one row");
}

TEST_SUITE_END();
