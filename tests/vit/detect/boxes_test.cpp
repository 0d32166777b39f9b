#include "vit/detect/boxes.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("boxes");

TEST_CASE("convert_boxes: one box in four formats, by hand") {
    // 6 wide and 4 high, its upper left corner at (1, 2): right 7, bottom 6, centre (4, 4)
    const Matrix corners{{1, 2, 7, 6}}, centre{{4, 4, 6, 4}}, corner_size{{1, 2, 6, 4}}, rows_first{{2, 1, 6, 7}};
    const std::vector<std::pair<BoxFormat, Matrix>> forms{{BoxFormat::corners, corners},
                                                          {BoxFormat::centre_size, centre},
                                                          {BoxFormat::corner_size, corner_size},
                                                          {BoxFormat::rows_first, rows_first}};
    for (const auto& [from, given] : forms)
        for (const auto& [to, wanted] : forms) CHECK(identical(convert_boxes(given, from, to).value(), wanted));
}

TEST_CASE("relative_boxes: fractions of width and height; pixel_boxes inverts it") {
    const Matrix pixels{{2, 5, 4, 10}};  // in an image 20 high and 8 wide
    CHECK(identical(relative_boxes(pixels, 20, 8), Matrix{{0.25f, 0.25f, 0.5f, 0.5f}}));
    CHECK(identical(pixel_boxes(relative_boxes(pixels, 20, 8), 20, 8), pixels));
    CHECK(identical(clipped_boxes({{-1, -2, 9, 21}}, 20, 8), Matrix{{0, 0, 8, 20}}));
    CHECK(error_of([] { relative_boxes({{0, 0, 1, 1}}, 0, 8); }) == "relative_boxes: an image of 0 x 8, both must be at least 1");
}

TEST_CASE("pairwise_iou, pairwise_generalised_iou: half, touching, apart, inside and empty, by hand") {
    const Matrix a{{0, 0, 2, 2}};
    const Matrix b{{1, 0, 3, 2},   // I = 2, U = 6, C = 6: 1/3 and 1/3
                   {2, 0, 4, 2},   // touching: I = 0, U = 8 = C: 0 and 0
                   {4, 0, 6, 2},   // a gap of 2: U = 8, C = 12: 0 and -1/3
                   {0, 0, 1, 1},   // inside: I = 1, U = 4 = C: 1/4 and 1/4
                   {1, 1, 1, 1}};  // empty: 0 and 0
    check_close("IoU", pairwise_iou(a, b), {{1.0f / 3, 0, 0, 0.25f, 0}});
    check_close("generalised", pairwise_generalised_iou(a, b), {{1.0f / 3, 0, -1.0f / 3, 0.25f, 0}});
    // four different sides: areas 12 and 6, I = 2 * 2, U = 14, C = 4 * 4
    const Matrix low{{1, 3, 5, 6}}, high{{2, 2, 4, 5}};
    check_close("IoU", pairwise_iou(low, high), {{4.0f / 14}});
    check_close("generalised", pairwise_generalised_iou(low, high), {{4.0f / 14 - 2.0f / 16}});
    check_close("share", pairwise_share(low, high), {{4.0f / 12}});
    check_close("iou", iou(low, high).value(), {{4.0f / 14}});
    check_close("generalised_iou", generalised_iou(low, high).value(), {{4.0f / 14 - 2.0f / 16}});
    CHECK(identical(pairwise_iou({{1, 1, 1, 1}}, {{1, 1, 1, 1}}), Matrix{{0}}));  // two empty boxes
    CHECK(identical(pairwise_generalised_iou({{1, 1, 1, 1}}, {{1, 1, 1, 1}}), Matrix{{0}}));
    CHECK(identical(iou(Matrix{{1, 1, 1, 1}}, Matrix{{1, 1, 1, 1}}).value(), Matrix{{0}}));
    CHECK(pairwise_iou(Matrix(0, 4), b).rows == 0);
    check_close("share", pairwise_share(a, b), {{0.5f, 0, 0, 0.25f, 0}});           // I / 4
    CHECK(identical(pairwise_share({{1, 1, 1, 3}}, {{0, 0, 4, 4}}), Matrix{{0}}));  // an empty box lies nowhere
    CHECK(identical(box_areas({{0, 0, 2, 3}, {2, 0, 0, 3}}), Matrix{{6}, {0}}));    // the second has its right left of its left
}

TEST_CASE("iou, generalised_iou: equal the pairwise numbers; gradients agree with finite differences") {
    const Matrix a{{0, 0, 2, 2}, {0, 0, 2, 2}, {1, 1, 4, 3}}, b{{1, 0.5f, 3, 2.5f}, {4, 0.5f, 6, 2.5f}, {0, 0, 5, 5}};
    const Matrix pairs = pairwise_iou(a, b), general = pairwise_generalised_iou(a, b);
    check_close("iou", iou(a, b).value(), {{pairs(0, 0)}, {pairs(1, 1)}, {pairs(2, 2)}});
    check_close("generalised_iou", generalised_iou(a, b).value(), {{general(0, 0)}, {general(1, 1)}, {general(2, 2)}});
    check_gradient_by_differences([](const std::vector<Var>& v) { return iou(v[0], v[1]); }, {a, b});
    check_gradient_by_differences([](const std::vector<Var>& v) { return generalised_iou(v[0], v[1]); }, {a, b});
    CHECK(iou(Matrix{{1, 1, 1, 1}}, Matrix{{1, 1, 1, 1}}).value()(0, 0) == 0);
}

TEST_CASE("generalised_iou: has a gradient for boxes that do not overlap; iou has none") {
    const Var near = parameter(Matrix{{0, 0, 2, 2}});
    const Matrix far{{5, 0, 7, 2}};
    {
        const Tape tape;
        backward(iou(near, far));
    }
    for (const float g : near.gradient()) CHECK(g == 0);
    const Tape tape;
    backward(generalised_iou(near, far));
    CHECK(near.gradient()(0, 2) > 0);  // moving the right side to the right helps
}

TEST_CASE("iou, generalised_iou: empty and equal boxes have finite gradients") {
    for (const auto measure : {iou, generalised_iou}) {
        const Var a = parameter({{1, 1, 1, 1}, {2, 2, 2, 5}, {0, 0, 2, 2}}),
                  b = parameter({{1, 1, 1, 1}, {2, 3, 2, 4}, {0, 0, 2, 2}});
        const Tape tape;
        backward(sum(measure(a, b, Where::current())));
        for (const Var* const boxes : {&a, &b})
            for (const float g : boxes->gradient()) CHECK(std::isfinite(g));
    }
}

TEST_CASE("suppress_non_maxima: equal boxes leave one at every threshold below 1, touching and empty boxes all stay") {
    const Matrix equal{{0, 0, 2, 2}, {0, 0, 2, 2}}, touching{{0, 0, 2, 2}, {2, 0, 4, 2}}, empty{{1, 1, 1, 1}, {1, 1, 1, 1}};
    CHECK(suppress_non_maxima(equal, {0.5f, 0.5f}, 0.99f) == std::vector<int>{0});
    CHECK(suppress_non_maxima(equal, {0.5f, 0.5f}, 1) == std::vector<int>{0, 1});  // their IoU, 1, does not exceed 1
    CHECK(suppress_non_maxima(touching, {0.5f, 0.6f}, 0) == std::vector<int>{1, 0});
    CHECK(suppress_non_maxima(empty, {0.5f, 0.6f}, 0) == std::vector<int>{1, 0});
    // A box that was suppressed suppresses nothing itself: 1 falls to 0, so 2 stays, which overlaps 1 by half and 0 not at all.
    CHECK(suppress_non_maxima({{0, 0, 4, 1}, {1, 0, 5, 1}, {4, 0, 7, 1}}, {0.9f, 0.8f, 0.7f}, 0.1f) == std::vector<int>{0, 2});
}

TEST_CASE("convert_boxes: an empty box, an inverted one and none at all keep their numbers") {
    const Matrix inverted{{6, 5, 2, 5}};  // its right is 4 left of its left, its height 0
    CHECK(identical(convert_boxes(inverted, BoxFormat::corners, BoxFormat::corner_size).value(), Matrix{{6, 5, -4, 0}}));
    CHECK(identical(convert_boxes(inverted, BoxFormat::corners, BoxFormat::centre_size).value(), Matrix{{4, 5, -4, 0}}));
    CHECK(identical(convert_boxes(Matrix{{4, 5, -4, 0}}, BoxFormat::centre_size, BoxFormat::rows_first).value(),
                    Matrix{{5, 6, 5, 2}}));
    CHECK(convert_boxes(Matrix(0, 4), BoxFormat::corners, BoxFormat::centre_size).rows() == 0);
}

TEST_CASE("suppress_non_maxima: the best score is kept, and so is a box exactly at the threshold") {
    const Matrix boxes{{0, 0, 2, 2}, {0, 0, 2, 1}, {10, 0, 12, 2}, {0, 0, 2, 2}};  // IoU of 0 and 1 is 1/2
    CHECK(suppress_non_maxima(boxes, {0.9f, 0.8f, 0.95f, 0.7f}, 0.5f) == std::vector<int>{2, 0, 1});
    CHECK(suppress_non_maxima(boxes, {0.9f, 0.8f, 0.95f, 0.7f}, 0.49f) == std::vector<int>{2, 0});
    CHECK(suppress_non_maxima(boxes, {0.5f, 0.5f, 0.5f, 0.5f}, 0.49f) == std::vector<int>{0, 2});  // equal scores: the first
    CHECK(suppress_non_maxima(boxes, {0.9f, 0.8f, 0.95f, 0.7f}, 0.49f, {0, 1, 0, 0}) == std::vector<int>{2, 0, 1});
    CHECK(suppress_non_maxima(Matrix(0, 4), {}, 0.5f).empty());
    CHECK(
        error_of([&] { suppress_non_maxima(boxes, {1}, 0.5f); }) ==
        "suppress_non_maxima: 1 scores and 0 labels for boxes (4, 4); each box needs a score, and a label unless there are none");
}

TEST_CASE("quantised: rounds half to even, stays within the bins, and dequantised divides by one bin less") {
    // nine bins: 0.25 is bin 2; 0.3125 * 8 = 2.5 rounds to 2, 0.4375 * 8 = 3.5 to 4
    CHECK(quantised({{0, 0.25f, 0.3125f, 0.4375f, 1, -1, 7}}, 9) == std::vector<int>{0, 2, 2, 4, 8, 0, 8});
    CHECK(identical(dequantised({0, 2, 4, 8}, 9, 2), Matrix{{0, 0.25f}, {0.5f, 1}}));
    CHECK(error_of([] { quantised({{NAN}}, 9); }) == "quantised: a coordinate of nan, each must be a number");
    CHECK(error_of([] { quantised({{0}}, 1); }) == "quantised: 1 bins, there must be at least 2");
}

TEST_CASE("convert_boxes, iou: a matrix that does not have four columns throws with the caller's line") {
    CHECK(without_place(error_of([] { convert_boxes(Matrix(2, 3), BoxFormat::corners, BoxFormat::rows_first); })) ==
          "convert_boxes: boxes (2, 3), each must be four numbers");
    CHECK(without_place(error_of([] { iou(Matrix(2, 4), Matrix(1, 4)); })) == "iou: (2, 4) and (1, 4), the shapes must be equal");
}

TEST_CASE("boxes: NaN, corners in the wrong order and sizes of 0 are refused; they would silently overlap nothing") {
    const Matrix good{{0, 0, 2, 2}}, inverted{{3, 0, 2, 2}}, no_number{{0, NAN, 2, 2}};
    CHECK(without_place(error_of([&] { pairwise_iou(good, no_number); })) ==
          "pairwise_iou: box 0 is (0.000000, nan, 2.000000, 2.000000), it must be finite, with left <= right and top <= bottom; "
          "convert_boxes makes corners of other formats");
    CHECK(without_place(error_of([&] { pairwise_generalised_iou(inverted, good); })) ==
          "pairwise_generalised_iou: box 0 is (3.000000, 0.000000, 2.000000, 2.000000), it must be finite, with left <= right "
          "and top <= bottom; convert_boxes makes corners of other formats");
    for (int k = 0; k < 4; ++k) {
        Matrix unbounded{{0, 0, 2, 2}};
        unbounded[k] = k < 2 ? -INFINITY : INFINITY;
        CHECK(without_place(error_of([&] { pairwise_iou(good, unbounded); })).starts_with("pairwise_iou: box 0 is ("));
    }
    const Matrix endless{{0, 0, INFINITY, 2}};
    CHECK(without_place(error_of([&] {
              pairwise_iou(endless, good);
          })).starts_with("pairwise_iou: box 0 is (0.000000, 0.000000, inf"));
    CHECK(without_place(error_of([&] {
              pairwise_iou({{0, 3, 2, 2}}, good);
          })) ==
          "pairwise_iou: box 0 is (0.000000, 3.000000, 2.000000, 2.000000), it must be finite, with left <= right and top <= "
          "bottom; convert_boxes makes corners of other formats");
    CHECK(without_place(error_of([&] { iou(good, inverted); })) ==
          "iou: box 0 is (3.000000, 0.000000, 2.000000, 2.000000), it must be finite, with left <= right and top <= bottom; "
          "convert_boxes makes corners of other formats");
    CHECK(without_place(error_of([&] { generalised_iou(no_number, good); })) ==
          "generalised_iou: box 0 is (0.000000, nan, 2.000000, 2.000000), it must be finite, with left <= right and top <= "
          "bottom; convert_boxes makes corners of other formats");
    CHECK(without_place(error_of([&] { suppress_non_maxima(inverted, {1}, 0.5f); })) ==
          "suppress_non_maxima: box 0 is (3.000000, 0.000000, 2.000000, 2.000000), it must be finite, with left <= right and top "
          "<= bottom; convert_boxes makes corners of other formats");
    CHECK_THROWS_WITH(suppress_non_maxima(good, {NAN}, 0.5f),
                      "suppress_non_maxima: the score of box 0 is nan, it must be a number");
    CHECK_THROWS_WITH(
        suppress_non_maxima(good, {1, 2}, 0.5f),
        "suppress_non_maxima: 2 scores and 0 labels for boxes (1, 4); each box needs a score, and a label unless there are none");
    CHECK_THROWS_WITH(suppress_non_maxima(good, {1}, 1.5f),
                      "suppress_non_maxima: a threshold of 1.500000, an overlap lies between 0 and 1");
    CHECK_THROWS_WITH(relative_boxes(good, 0, 3), "relative_boxes: an image of 0 x 3, both must be at least 1");
    CHECK_THROWS_WITH(pixel_boxes(good, 3, -1), "pixel_boxes: an image of 3 x -1, both must be at least 1");
    CHECK_THROWS_WITH(pixel_boxes(good, 0, 3), "pixel_boxes: an image of 0 x 3, both must be at least 1");
    CHECK_THROWS_WITH(pixel_boxes(good, 3, 0), "pixel_boxes: an image of 3 x 0, both must be at least 1");
    CHECK(identical(pixel_boxes(good, 1, 1), good));
    CHECK_THROWS_WITH(relative_boxes(good, 0, 3), "relative_boxes: an image of 0 x 3, both must be at least 1");
    CHECK_THROWS_WITH(relative_boxes(good, 3, 0), "relative_boxes: an image of 3 x 0, both must be at least 1");
    CHECK(identical(relative_boxes(good, 1, 1), good));
    CHECK(suppress_non_maxima(good, {1}, 0) == std::vector<int>{0});  // the bounds are accepted
    CHECK(suppress_non_maxima(good, {1}, 1) == std::vector<int>{0});
    CHECK_THROWS_WITH(suppress_non_maxima(good, {1}, -0.5f),
                      "suppress_non_maxima: a threshold of -0.500000, an overlap lies between 0 and 1");
    CHECK_THROWS_WITH(clipped_boxes(good, 0, 3), "clipped_boxes: an image of 0.000000 x 3.000000, both must be above 0");
    CHECK_THROWS_WITH(clipped_boxes(good, 3, 0), "clipped_boxes: an image of 3.000000 x 0.000000, both must be above 0");
    CHECK(identical(clipped_boxes(good, 0.5f, 0.25f), Matrix{{0, 0, 0.25f, 0.5f}}));  // boxes may be fractions of an image
    CHECK_THROWS_WITH(dequantised({4}, 4, 1), "dequantised: bin 4 of 4, they are counted from 0");
    CHECK_THROWS_WITH(dequantised({1, 2, 3}, 4, 2),
                      "dequantised: 3 numbers of 4 bins in 2 columns; whole rows are needed, and at least 2 bins");
    CHECK_THROWS_WITH(quantised({{NAN}}, 4), "quantised: a coordinate of nan, each must be a number");
}

TEST_CASE("suppress_non_maxima, quantised, dequantised: each argument check fails by itself, the limits are allowed") {
    const Matrix box{{0, 0, 1, 1}};
    CHECK_NOTHROW(suppress_non_maxima(box, {1}, 0));
    CHECK_NOTHROW(suppress_non_maxima(box, {1}, 1, {7}));
    CHECK_THROWS_WITH(suppress_non_maxima(box, {1}, 0.5f, {7, 8}),
                      "suppress_non_maxima: 1 scores and 2 labels for boxes (1, 4); each box needs a score, and a label unless "
                      "there are none");
    CHECK(quantised({{0.25f}}, 2) == std::vector<int>{0});
    CHECK_THROWS_WITH(quantised({{0}}, 1), "quantised: 1 bins, there must be at least 2");
    const std::string rule = " columns; whole rows are needed, and at least 2 bins";
    CHECK(dequantised({1}, 2, 1)[0] == 1);
    CHECK(error_of([] { dequantised({0}, 1, 1); }) == "dequantised: 1 numbers of 1 bins in 1" + rule);
    CHECK(error_of([] { dequantised({0}, 2, 0); }) == "dequantised: 1 numbers of 2 bins in 0" + rule);
    CHECK_THROWS_WITH(dequantised({-1}, 2, 1), "dequantised: bin -1 of 2, they are counted from 0");
}

TEST_CASE("quantised: more bins than a float tells apart are refused") {
    CHECK(quantised(Matrix(1, 1, 1), 1 << 24)[0] == 16777215);
    CHECK(error_of([] { quantised(Matrix(1, 1, 1), (1 << 24) + 1); }) ==
          "quantised: 16777217 bins, a float tells at most 16777216 apart; take fewer");
}

TEST_SUITE_END();
