#include "nn/interpret/ridge_probe.h"

#include <cmath>

#include "nn/base/random.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("ridge_probe");

TEST_CASE("ridge_probe: linearly separable classes are separated, also with a constant added to all features") {
    Random random(1);
    for (const float offset : {0.0f, 10.0f}) {
        Matrix features = normal_matrix(random, 200, 2), test = normal_matrix(random, 100, 2);
        std::vector<int> labels, test_labels;
        for (int i = 0; i < 200; ++i) labels.push_back(features(i, 0) > 0);
        for (int i = 0; i < 100; ++i) test_labels.push_back(test(i, 0) > 0);
        for (float& x : features) x += offset;
        for (float& x : test) x += offset;
        CHECK(ridge_probe(features, labels, test, test_labels, 2) > 0.9);
    }
    CHECK(ridge_probe({{-1}, {1}}, {0, 1}, {{-2}, {2}, {3}, {4}}, {0, 1, 0, 1}, 2) == 0.75);
}

TEST_CASE("ridge_probe: with fewer rows than features, the smaller system of equations gives the same classifier") {
    // Features that are always 0 change nothing: 2 rows of 1 feature and a constant are fitted in one form, of 4 in the other.
    // The fraction of 41 points on the side of class 0 tells where the border lies.
    const Matrix narrow{{2}, {-1}}, wide{{2, 0, 0, 0}, {-1, 0, 0, 0}};
    Matrix asked(41, 1), asked_wide(41, 4);
    for (int i = 0; i < 41; ++i) asked(i, 0) = asked_wide(i, 0) = 0.1f * static_cast<float>(i) - 2;
    const std::vector<int> labels{0, 1}, all_first(41, 0);
    for (const double lambda : {1e-3, 0.1, 2.0})
        CHECK(ridge_probe(narrow, labels, asked, all_first, 2, lambda) ==
              ridge_probe(wide, labels, asked_wide, all_first, 2, lambda));
}

TEST_CASE("ridge_probe: the border between two points, by hand; and a single point") {
    // targets 1 and -1 of class 0 at x = 2 and -1, ridge 2 lambda = 1: (6 1; 1 3) (w, b) = (3, 0), w = 9 / 17, b = -3 / 17: x = 1/3
    const Matrix features{{2}, {-1}}, asked{{0.32f}, {0.35f}};
    CHECK(ridge_probe(features, {0, 1}, asked, {1, 0}, 2, 0.5) == 1);
    CHECK(ridge_probe({{1, 2}}, {1}, {{1, 2}, {3, 4}}, {1, 1}, 2) == 1);
}

TEST_CASE("ridge_probe: uninformative features give chance") {
    Random random(2);
    const Matrix features = normal_matrix(random, 800, 3), test = normal_matrix(random, 800, 3);
    std::vector<int> labels, test_labels;
    for (int i = 0; i < 800; ++i) {
        labels.push_back(random.below(4));
        test_labels.push_back(random.below(4));
    }
    CHECK(ridge_probe(features, labels, test, test_labels, 4) == Approx(0.25).epsilon(0.03));
}

TEST_CASE("ridge_probe: labels that do not fit are refused") {
    CHECK_THROWS_WITH(
        ridge_probe(Matrix(2, 3), {0}, Matrix(2, 3), {0, 1}, 2),
        "ridge_probe: features (2, 3) and (2, 3) for 1 and 2 labels; both must have the same number of columns, with a label for each row");
    CHECK(error_of([] { ridge_probe(Matrix(0, 3), {}, Matrix(1, 3), {0}, 2); }).starts_with("ridge_probe: features (0, 3)"));
    CHECK(error_of([] {
              ridge_probe(Matrix(1, 3), {0}, Matrix(0, 3), {}, 2);
          }).starts_with("ridge_probe: features (1, 3) and (0, 3)"));
    CHECK_THROWS_WITH(ridge_probe(Matrix(2, 3), {0, -1}, Matrix(2, 3), {0, 1}, 2),
                      "ridge_probe: label -1 of 2 classes, they are counted from 0");
    CHECK_THROWS_WITH(ridge_probe(Matrix(2, 3), {0, 2}, Matrix(2, 3), {0, 1}, 2),
                      "ridge_probe: label 2 of 2 classes, they are counted from 0");
}

TEST_CASE("ridge_probe: NaN, no regularisation and test labels outside the classes are refused") {
    CHECK_THROWS_WITH(ridge_probe({{NAN}, {1}}, {0, 1}, {{1}}, {0}, 2),
                      "ridge_probe: the features (2, 1) hold nan in row 0, column 0 (from 0); all must be finite, trap_nan(true) "
                      "names the operation that made it");
    CHECK_THROWS_WITH(ridge_probe({{0}, {1}}, {0, 1}, {{1}}, {2}, 2),
                      "ridge_probe: label 2 of 2 classes, they are counted from 0");
    CHECK(error_of([] { ridge_probe({{0}, {1}}, {0, 1}, {{1}}, {0}, 2, INFINITY); }).starts_with("ridge_probe: lambda is inf"));
    CHECK(error_of([] {
              ridge_probe({{0}, {1}}, {0, 1}, {{1, 2}}, {0}, 2);
          }).starts_with("ridge_probe: features (2, 1) and (1, 2)"));
    CHECK(error_of([] {
              ridge_probe({{0}, {1}}, {0, 1}, {{1}}, {0, 1}, 2);
          }).starts_with("ridge_probe: features (2, 1) and (1, 1)"));
    CHECK_THROWS_WITH(ridge_probe({{0}, {1}}, {0, 1}, {{1}}, {0}, 2, -1),
                      "ridge_probe: lambda is -1.000000, it must be positive and finite, or there may be no solution");
    CHECK(error_of([] { ridge_probe({{0}, {1}}, {0, 1}, {{1}}, {0}, 2, 0); }).starts_with("ridge_probe: lambda is 0.0"));
}

TEST_SUITE_END();
