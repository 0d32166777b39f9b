#include "vit/detect/metrics.h"

#include <cmath>

#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("metrics");

TEST_CASE("average_precision: three detections of two objects, by hand") {
    // Scores 0.9 right, 0.8 wrong, 0.7 right, two objects: precision 1, 1/2, 2/3; recall 1/2, 1/2, 1.
    // Made to fall only: 1, 2/3, 2/3. Recalls 0 ... 0.50 (51 of them) read 1, the other 50 read 2/3: (51 + 50 * 2/3) / 101.
    const std::vector<Detection> detections{{0, 0, 0.7f}, {0, 0, 0.9f}, {1, 0, 0.8f}};
    const std::vector<std::vector<float>> overlaps{{0.1f, 0.6f}, {0.8f, 0.3f}, {}};
    const PrecisionRecall result = average_precision(detections, overlaps, {2, 0}, 0.5f);
    CHECK(result.correct == std::vector<char>{1, 0, 1});
    check_close("precision", {{result.precision[0], result.precision[1], result.precision[2]}}, {{1, 0.5f, 2.0f / 3}});
    check_close("recall", {{result.recall[0], result.recall[1], result.recall[2]}}, {{0.5f, 0.5f, 1}});
    CHECK(result.average == Approx((51 + 50 * 2.0 / 3) / 101));
}

TEST_CASE("average_precision: a wrong detection before the right one costs half, by hand") {
    // Scores 0.9 wrong, 0.8 right, one object: precision 0, 1/2; recall 0, 1. Each recall reads the largest precision from there on, 1/2,
    // recall 0 too, although the first detection alone reaches it.
    CHECK(average_precision({{0, 0, 0.9f}, {0, 0, 0.8f}}, {{0.1f}, {0.7f}}, {1}, 0.5f).average == Approx(0.5).epsilon(1e-5));
}

TEST_CASE("average_precision: a second detection of the same object is wrong, one exactly at the threshold is right") {
    const std::vector<Detection> twice{{0, 0, 0.9f}, {0, 0, 0.8f}};
    CHECK(average_precision(twice, {{0.5f}, {0.9f}}, {1}, 0.5f).correct == std::vector<char>{1, 0});
    CHECK(average_precision(twice, {{0.49f}, {0.9f}}, {1}, 0.5f).correct == std::vector<char>{0, 1});
    // Each takes what it overlaps most of what is free: the second gets the other object.
    CHECK(average_precision(twice, {{0.9f, 0.6f}, {0.8f, 0.55f}}, {2}, 0.5f).correct == std::vector<char>{1, 1});
}

TEST_CASE("average_precision: 0 without detections, -1 without objects") {
    CHECK(average_precision({}, {}, {3}, 0.5f).average == 0);
    CHECK(average_precision({{0, 0, 1}}, {{}}, {0}, 0.5f).average == -1);
}

TEST_CASE("mean_average_precision: classes with objects count, boxes of another class do not help") {
    // Class 0: found exactly: 1. Class 1: its object is only found as class 2: 0. Class 2 has no object and does not count.
    const std::vector<BoxesOfImage> objects{{{{0, 0, 2, 2}, {5, 5, 9, 9}}, {0, 1}, {}}};
    const std::vector<BoxesOfImage> found{{{{0, 0, 2, 2}, {5, 5, 9, 9}}, {0, 2}, {0.9f, 0.8f}}};
    CHECK(mean_average_precision(found, objects, 3, 0.5f) == 0.5f);
    // IoU 0.7: right at 0.50, 0.55, 0.60, 0.65, 0.70, so half of the ten thresholds.
    const std::vector<BoxesOfImage> one{{{{0, 0, 10, 1}}, {0}, {}}}, shorter{{{{0, 0, 7, 1}}, {0}, {1}}};
    CHECK(coco_average_precision(shorter, one, 1) == Approx(0.5));
}

TEST_CASE("panoptic_quality: one match of IoU 3/5, one false, one missed, by hand") {
    // ten pixels; the truth: segment 1 = 4 pixels, segment 2 = 3, void 3. Found: segment 1 = 4 pixels (3 in the true 1, one in the
    // true 2), segment 2 = 2 pixels of the true 2, segment 3 = 2 pixels of void.
    const PanopticImage truth{{1, 1, 1, 1, 2, 2, 2, 0, 0, 0}, {0, 0}};
    const PanopticImage found{{1, 1, 1, 0, 1, 2, 0, 3, 3, 2}, {0, 0, 0}};
    // found 1: I = 3, U = 4 + 4 - 3 = 5: 3/5 matches. found 2: one pixel in the true 2, one in void: U = 2 + 3 - 1 - 1 = 3: 1/3 does
    // not; half of it lies on void, so it is false. found 3 lies on void only and is not counted. The true 2 is missed.
    const PanopticQuality q = panoptic_quality({found}, {truth}, 0);
    CHECK(q.true_positives == 1);
    CHECK(q.false_positives == 1);
    CHECK(q.missed == 1);
    CHECK(q.segmentation == Approx(0.6));
    CHECK(q.recognition == Approx(0.5));
    CHECK(q.quality == Approx(0.3));
}

TEST_CASE("panoptic_quality: an IoU of exactly 1/2 does not match, and void pixels do not enlarge the union") {
    const PanopticImage truth{{1, 1, 1, 0}, {0}};
    CHECK(panoptic_quality({{{1, 1, 0, 1}, {0}}}, {truth}, 0).segmentation == Approx(2.0 / 3));  // the void pixel is left out
    const PanopticImage pair{{1, 1}, {0}};
    CHECK(panoptic_quality({{{1, 0}, {0}}}, {pair}, 0).true_positives == 0);
}

TEST_CASE("mean_panoptic_quality: the mean over the classes that occur") {
    const PanopticImage truth{{1, 1, 2, 2}, {0, 1}}, found{{1, 1, 2, 2}, {0, 2}};
    // class 0 is 1; class 1 is missed and class 2 wrong: both 0; class 3 does not occur
    CHECK(mean_panoptic_quality({found}, {truth}, 4).quality == Approx(1.0 / 3));
    CHECK(mean_panoptic_quality({}, {}, 4).quality == 0);
    CHECK(error_of([] {
              panoptic_quality({{{1}, {}}}, {{{0}, {}}}, 0);
          }) == "panoptic_quality: a pixel of segment 1, there are 0 labels, of segments from 1 on; 0 is not a segment");
}

TEST_CASE("metrics: arguments that would silently change the average are refused") {
    const BoxesOfImage one{{{0, 0, 1, 1}}, {0}, {0.9f}}, wrong{{{0, 0, 1, 1}}, {3}, {0.9f}}, centre{{{4, 4, 1, 1}}, {0}, {0.9f}};
    const PanopticImage image{{0, 1}, {2}};
    CHECK_THROWS_WITH(average_precision({{0, 0, 1}}, {}, {1}, 0.5f),
                      "average_precision: overlaps of 0 detections, there are 1; each needs its own list");
    CHECK_THROWS_WITH(average_precision({{0, 0, NAN}}, {{1}}, {1}, 0.5f),
                      "average_precision: the score of detection 0 is nan, it must be a number");
    CHECK_THROWS_WITH(average_precision({{0, 0, 1}}, {{NAN}}, {1}, 0.5f),
                      "average_precision: detection 0 has an overlap of nan, it must lie between 0 and 1");
    CHECK_THROWS_WITH(average_precision({}, {}, {-1}, 0.5f),
                      "average_precision: -1 objects in image 0, there cannot be fewer than 0");
    CHECK_THROWS_WITH(average_precision({}, {}, {1}, 50),
                      "average_precision: a threshold of 50.000000, it must lie above 0 and up to 1; 0.5 is usual");
    CHECK_THROWS_WITH(
        average_precision({{1, 0, 1}}, {{1}}, {1}, 0.5f),
        "average_precision: 1 overlaps of a detection in image 1 of 1; there must be one for each object of the image");
    CHECK_THROWS_WITH(mean_average_precision({one}, {}, 1, 0.5f),
                      "mean_average_precision: boxes found in 1 images, objects in 0; there must be one of each for every image");
    CHECK_THROWS_WITH(mean_average_precision({one}, {one}, 0, 0.5f),
                      "mean_average_precision: 0 classes, there must be at least 1");
    CHECK_THROWS_WITH(mean_average_precision({one}, {wrong}, 2, 0.5f),
                      "mean_average_precision: label 3 in image 0 is not one of 2 classes, counted from 0");
    CHECK(without_place(error_of([&] { mean_average_precision({centre}, {one}, 1, 0.5f); })) ==
          "pairwise_iou: box 0 is (4.000000, 4.000000, 1.000000, 1.000000), it must be finite, with left <= right and top <= "
          "bottom; convert_boxes makes corners of other formats");
    CHECK_THROWS_WITH(panoptic_quality({image}, {}, 0),
                      "panoptic_quality: segments found in 1 images, true ones in 0; there must be one of each for every image");
    CHECK_THROWS_WITH(panoptic_quality({{{2}, {1}}}, {{{0}, {}}}, 0),
                      "panoptic_quality: a pixel of segment 2, there are 1 labels, of segments from 1 on; 0 is not a segment");
    CHECK_THROWS_WITH(panoptic_quality({{{0}, {}}}, {image}, 0),
                      "panoptic_quality: images of 1 and 2 pixels, both must have equally many");
    CHECK_THROWS_WITH(mean_panoptic_quality({image}, {image}, 2),
                      "mean_panoptic_quality: label 2 in image 0 is not one of 2 classes, counted from 0");
    CHECK_THROWS_WITH(mean_panoptic_quality({image}, {image}, 0), "mean_panoptic_quality: 0 classes, there must be at least 1");
}

TEST_SUITE_END();
