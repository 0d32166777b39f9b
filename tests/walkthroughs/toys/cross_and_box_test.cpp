#include "walkthroughs/toys/cross_and_box.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "nn/data/patches.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("cross_and_box");

// Correlation of a shape with each of the nine cells: its sixteen pixels, minus their mean, times the cell's.
static int best_cell(const Image& image, const Matrix& shape) {
    const Matrix patches = patchify(image, 4);  // (9, 16)
    float mean = 0;
    for (const float x : shape) mean += x / 16;
    int best = 0;
    float most = -1e9f;
    for (int n = 0; n < patches.rows; ++n) {
        float match = 0;
        for (int k = 0; k < 16; ++k) match += patches(n, k) * (shape[k] - mean);
        if (match > most) {
            most = match;
            best = n;
        }
    }
    return best;
}

static const Matrix cross{{0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0}};
static const Matrix box{{1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1}};

TEST_CASE("cross_and_box: the label is 1 exactly if the cross comes first in reading order") {
    Random random(3);
    const LabelledImages data = cross_and_box(random, 200);
    REQUIRE(data.count() == 200);
    CHECK(data.classes == 2);
    int agree = 0;
    for (int i = 0; i < data.count(); ++i)
        agree += (best_cell(data.images[i], cross) < best_cell(data.images[i], box)) == (data.labels[i] == 1);
    CHECK(agree >= 198);  // the noise may hide a shape once in a while
    const long ones = std::count(data.labels.begin(), data.labels.end(), 1);
    CHECK(ones > 70);  // both classes are equally likely: 100 +- 7
    CHECK(ones < 130);
}

TEST_CASE("cross_and_box: every pair of different positions occurs, and the shapes never overlap") {
    Random random(4);
    const LabelledImages data = cross_and_box(random, 600);
    std::vector<int> pairs(81);
    for (const Image& image : data.images) ++pairs[best_cell(image, cross) * 9 + best_cell(image, box)];
    int seen = 0;
    for (int cell = 0; cell < 81; ++cell) seen += cell / 9 != cell % 9 && pairs[cell] > 0;
    CHECK(seen == 72);
}

TEST_CASE("cross_and_box: noise of standard deviation 0.3, shapes add 1") {
    Random random(5);
    const Image image = cross_and_box_at(random, 0, 8);
    CHECK(shape(image) == "12 x 12 x 1");
    float squares = 0, inside = 0;
    for (int y = 4; y < 8; ++y)
        for (int x = 0; x < 12; ++x) squares += image(y, x, 0) * image(y, x, 0);  // the middle row of cells is empty
    CHECK(std::sqrt(squares / 48) / 0.3 == doctest::Approx(1).epsilon(0.15));
    for (int y = 1; y < 3; ++y)
        for (int x = 0; x < 4; ++x) inside += image(y, x, 0) / 8;  // the bar of the cross
    CHECK(inside == doctest::Approx(1).epsilon(0.35));
}

TEST_CASE("cross_and_box_at: each pixel is the noise of one draw, and in the two cells a pixel of the shape") {
    Random random(6), again(6);
    const Matrix patches = patchify(cross_and_box_at(random, 7, 4), 4);  // (9, 16)
    Image noise(12, 12, 1);
    for (float& pixel : noise.pixels) pixel = 0.3f * again.normal();
    const Matrix without = patchify(noise, 4);
    for (int cell = 0; cell < 9; ++cell)
        for (int k = 0; k < 16; ++k) {
            const float added = cell == 7 ? cross[k] : cell == 4 ? box[k] : 0;
            CHECK(patches(cell, k) == Approx(without(cell, k) + added).epsilon(1e-5));
        }
}

TEST_CASE("cross_and_box: rejects equal positions and positions outside") {
    Random random;
    CHECK_THROWS_WITH_AS(cross_and_box_at(random, 3, 3), "cross_and_box: cells 3 and 3, they must be two of 0 to 8",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(cross_and_box_at(random, 0, 9), "cross_and_box: cells 0 and 9, they must be two of 0 to 8",
                         std::invalid_argument);
    CHECK_THROWS_WITH(cross_and_box_at(random, 9, 0), "cross_and_box: cells 9 and 0, they must be two of 0 to 8");
    CHECK_THROWS_WITH(cross_and_box_at(random, -1, 0), "cross_and_box: cells -1 and 0, they must be two of 0 to 8");
    CHECK_THROWS_WITH(cross_and_box_at(random, 0, -1), "cross_and_box: cells 0 and -1, they must be two of 0 to 8");
    CHECK_NOTHROW(cross_and_box_at(random, 8, 0));
}

TEST_SUITE_END();
