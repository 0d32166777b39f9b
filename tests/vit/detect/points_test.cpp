#include "vit/detect/points.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/maps/resize.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("points");

// One image, 2 high and 4 wide, one channel: 0 1 2 3 above 10 11 12 13.
static const Map small{Matrix{{0}, {1}, {2}, {3}, {10}, {11}, {12}, {13}}, {1, 2, 4}};

TEST_CASE("sample: at centres, between pixels, half outside and far outside, by hand") {
    const Matrix points{{0.125f, 0.25f},  // the centre of pixel (0, 0): 0
                        {0.875f, 0.75f},  // of pixel (1, 3): 13
                        {0.5f, 0.5f},     // between 1, 2, 11, 12: 6.5
                        {0.25f, 0.25f},   // between 0 and 1: 0.5
                        {1, 0.75f},       // half of 13, half of nothing: 6.5
                        {1, 1},           // a quarter of 13
                        {5, -7}};         // nothing
    check_close("sample", sample(small, points).value(), {{0}, {13}, {6.5f}, {0.5f}, {6.5f}, {3.25f}, {0}});
}

TEST_CASE("sample: points are (x, y), not (y, x)") {
    check_close("sample", sample(small, Matrix{{0.875f, 0.25f}}).value(), {{3}});
}

TEST_CASE("sample: at the centres of a finer grid it equals bilinear resizing, away from the edges") {
    Random random(1);
    const Map map{normal_matrix(random, 2 * 3 * 5, 2), {2, 3, 5}};
    const Map fine = resize(map, 6, 10, Interpolation::bilinear);
    Matrix points(2 * 6 * 10, 2);
    for (int k = 0; k < points.rows; ++k) {
        points(k, 0) = (k % 10 + 0.5f) / 10;
        points(k, 1) = (k / 10 % 6 + 0.5f) / 6;
    }
    const Matrix sampled = sample(map, points).value();
    int compared = 0;
    for (int b = 0; b < 2; ++b)
        for (int y = 1; y < 5; ++y)
            for (int x = 1; x < 9; ++x, ++compared) {
                const int row = fine.size.row(b, y, x);
                for (int c = 0; c < 2; ++c) CHECK(sampled(row, c) == Approx(fine.pixels.value()(row, c)).epsilon(1e-4));
            }
    CHECK(compared == 64);
}

TEST_CASE("sample: gradients of map and points agree with finite differences; images may be given for each point") {
    Random random(2);
    const Matrix pixels = normal_matrix(random, 2 * 3 * 4, 2), points{{0.3f, 0.4f}, {0.55f, 0.7f}, {0.97f, 0.3f}};
    const std::vector<int> image{1, 0, 1};
    check_gradient_by_differences(
        [&](const std::vector<Var>& v) {
            return sample({v[0], {2, 3, 4}}, v[1], image);
        },
        {pixels, points});
    // image 1 alone gives the same numbers at its points
    const Map second{Matrix(slice_rows(pixels, 12, 12)), {1, 3, 4}};
    const Matrix both = sample({pixels, {2, 3, 4}}, points, image).value(), alone = sample(second, points).value();
    check_close("point 0", slice_rows(both, 0, 1), slice_rows(alone, 0, 1));
    check_close("point 2", slice_rows(both, 2, 1), slice_rows(alone, 2, 1));
}

TEST_CASE("sample: points that are not pairs, an image that does not exist and a point that is not finite throw") {
    CHECK(without_place(error_of([] { sample(small, Matrix(2, 3)); })) == "sample: points (2, 3), each must be x and y");
    CHECK(without_place(error_of([] { sample(small, Matrix(1, 2), {1}); })) ==
          "sample: point 0 lies in image 1 of 1 image of 2 x 4, counted from 0");
    CHECK(without_place(error_of([] {
              sample(small, Matrix{{NAN, 0}});
          })) == "sample: point 0 is (nan, 0.000000), both must be finite");
}

TEST_CASE("sample: a map without pixels is refused, before anything is divided by its size") {
    CHECK(without_place(error_of([&] {
              sample({Matrix(0, 1), {0, 2, 3}}, Matrix(1, 2));
          })) == "sample: a map of 0 images of 2 x 3 has no pixels; images, height and width must be at least 1");
    CHECK(without_place(error_of([&] {
              corners({0, 2, 3}, Matrix(1, 2));
          })) == "sample: a map of 0 images of 2 x 3 has no pixels; images, height and width must be at least 1");
}

TEST_CASE("sample: each argument check fails by itself, the smallest map is allowed") {
    const auto refusal = [](const MapSize& size, const Matrix& points, const std::vector<int>& image) {
        return without_place(error_of([&] { corners(size, points, image); }));
    };
    const Matrix middle{{0.5f, 0.5f}};
    CHECK(refusal({1, 1, 1}, middle, {}) == "");
    CHECK(refusal({1, 1, 1}, middle, {0}) == "");
    for (const MapSize& size : {MapSize{0, 1, 1}, MapSize{1, 0, 1}, MapSize{1, 1, 0}})
        CHECK(refusal(size, middle, {}).ends_with(" has no pixels; images, height and width must be at least 1"));
    CHECK(refusal({1, 1, 1}, Matrix(1, 3), {}) == "sample: points (1, 3), each must be x and y");
    const std::string each = "; give one for each point, or none and the same number of points in each image";
    CHECK(refusal({2, 1, 1}, middle, {}).ends_with(each));
    CHECK(refusal({1, 1, 1}, middle, {0, 0}).ends_with(each));
    CHECK(refusal({1, 1, 1}, middle, {-1}).starts_with("sample: point 0 lies in image -1 of "));
    CHECK(refusal({1, 1, 1}, middle, {1}).starts_with("sample: point 0 lies in image 1 of "));
    CHECK(refusal({1, 1, 1}, {{NAN, 0.5f}}, {}) == "sample: point 0 is (nan, 0.500000), both must be finite");
    CHECK(refusal({1, 1, 1}, {{0.5f, INFINITY}}, {}) == "sample: point 0 is (0.500000, inf), both must be finite");
}

TEST_SUITE_END();
