#include "nn/maps/group_norm.h"

#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("group_norm");

TEST_CASE("group_norm: with one group, all pixels and channels share a mean, by hand") {
    // 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5; with eps 4 the standard deviation is 3
    const Map x{Matrix{{1, 3}, {5, 7}}, {1, 1, 2}};
    check_close("normalised", group_norm(x, make_layer_norm(2), 1, 4).pixels.value(), Matrix{{-1, -1.0f / 3}, {1.0f / 3, 1}});
    const Norm w{.gain = Matrix{{3, 6}}, .bias = Matrix{{10, 20}}};
    check_close("gain and bias", group_norm(x, w, 1, 4).pixels.value(), Matrix{{7, 18}, {11, 26}});
    check_close("gain alone", group_norm(x, {.gain = w.gain, .bias = {}}, 1, 4).pixels.value(), Matrix{{-3, -2}, {1, 6}});
    check_close("neither", group_norm(x, {}, 1, 4).pixels.value(), Matrix{{-1, -1.0f / 3}, {1.0f / 3, 1}});
}

TEST_CASE("group_norm: with one group per channel it is instance norm, by hand") {
    // channel 0: 1, 5 has mean 3 and variance 4; channel 1: 3, 9 has mean 6 and variance 9
    const Map x{Matrix{{1, 3}, {5, 9}}, {1, 2, 1}};
    check_close("normalised", group_norm(x, make_layer_norm(2), 2, 0).pixels.value(), Matrix{{-1, -1}, {1, 1}});
}

TEST_CASE("group_norm: groups are adjacent channels") {
    // groups of channels 0 1 and 2 3: 1, 3 has mean 2 and variance 1; 10, 50 has mean 30 and variance 400
    const Map x{Matrix{{1, 3, 10, 50}}, {1, 1, 1}};
    check_close("normalised", group_norm(x, make_layer_norm(4), 2, 0).pixels.value(), Matrix{{-1, 1, -1, 1}});
}

TEST_CASE("group_norm: images are independent") {
    Random random(13);
    const MapSize size{.images = 2, .height = 2, .width = 3};
    Matrix x = normal_matrix(random, size.rows(), 4);
    const Matrix before = group_norm({x, size}, make_layer_norm(4), 2, 1e-6f).pixels.value();
    for (int j = 0; j < 4; ++j) x(7, j) += 3;  // a pixel of the second image
    const Matrix after = group_norm({x, size}, make_layer_norm(4), 2, 1e-6f).pixels.value();
    CHECK(identical(slice_rows(after, 0, 6), slice_rows(before, 0, 6)));
    CHECK_FALSE(identical(slice_rows(after, 6, 6), slice_rows(before, 6, 6)));
}

TEST_CASE("group_norm: of single pixels with one group is layer norm") {
    Random random(14);
    const Matrix x = normal_matrix(random, 5, 6), gain = normal_matrix(random, 1, 6), bias = normal_matrix(random, 1, 6);
    const Map y = group_norm({x, {5, 1, 1}}, {.gain = gain, .bias = bias}, 1, 1e-5f);
    check_close("layer norm", y.pixels.value(), layer_norm(x, {.gain = gain, .bias = bias}, 1e-5f).value());
    check_close("neither", group_norm({x, {5, 1, 1}}, {}, 1, 1e-5f).pixels.value(), layer_norm(x, {}, 1e-5f).value());
}

TEST_CASE("group_norm: gradients of map, gain and bias agree with finite differences") {
    Random random(15);
    check_gradient_by_differences(
        [](const std::vector<Var>& v) {
            return group_norm({v[0], {2, 2, 3}}, {.gain = v[1], .bias = v[2]}, 2, 0.1f).pixels;
        },
        {normal_matrix(random, 12, 4), normal_matrix(random, 1, 4), normal_matrix(random, 1, 4)});
}

TEST_CASE("group_norm: groups and widths that do not fit are refused") {
    CHECK(without_place(error_of([] {
              group_norm({Matrix(2, 4), {1, 1, 2}}, make_layer_norm(4), 3, 0);
          })) == "group_norm: 4 channels do not split into 3 groups; their number must divide the channels");
    for (const int groups : {0, -2})
        CHECK(error_of([&] {
                  group_norm({Matrix(4, 4), {1, 2, 2}}, {}, groups, 0);
              }).find("group_norm: 4 channels do not split into " + std::to_string(groups) + " groups") != std::string::npos);
    CHECK(without_place(error_of([] {
              group_norm({Matrix(2, 4), {1, 1, 2}}, make_layer_norm(3), 2, 0);
          })) == "group_norm: a gain of (1, 3) for 4 channels, it must be (1, 4)");
    CHECK(without_place(error_of([] {
              group_norm({Matrix(2, 4), {1, 1, 2}}, {.gain = {}, .bias = Matrix(2, 4)}, 2, 0);
          })) == "group_norm: a bias of (2, 4) for 4 channels, it must be (1, 4)");
    CHECK(without_place(error_of([] {
              group_norm({Matrix(3, 4), {1, 1, 2}}, make_layer_norm(4), 2, 0);
          })) == "group_norm: pixels (3, 4) for a map of 1 image of 1 x 2, it must have 2 rows, one for each pixel");
}

TEST_CASE("group_norm: an eps below 0 is refused") {
    CHECK(without_place(error_of([&] {
              group_norm({Matrix(2, 4), {1, 1, 2}}, make_layer_norm(4), 2, -1);
          })) == "group_norm: eps is -1.000000, it is under a root and cannot be negative; 1e-5 is usual");
}

TEST_SUITE_END();
