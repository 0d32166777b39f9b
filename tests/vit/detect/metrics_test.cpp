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
    // Of two that it overlaps equally it takes the last: the first is free for the second detection, which only reaches that one.
    CHECK(average_precision(twice, {{0.6f, 0.6f}, {0.7f, 0.1f}}, {2}, 0.5f).correct == std::vector<char>{1, 1});
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
    // Of equal scores the first detection counts.
    const std::vector<BoxesOfImage> equal{{{{0, 0, 10, 1}, {5, 5, 6, 6}}, {0, 0}, {1, 1}}};
    CHECK(mean_average_precision(equal, one, 1, 0.5f, {.per_image = 1}) == 1);
}

TEST_CASE("average_precision: a detection takes a counted object before an ignored one, and a crowd as often as it is met") {
    // One counted object and one ignored. The first detection overlaps the ignored one more, but takes the counted one; the second
    // finds only the ignored one, which is neither right nor wrong; for the third nothing is left.
    const std::vector<Detection> three{{0, 0, 0.9f}, {0, 0, 0.8f}, {0, 0, 0.7f}};
    const std::vector<std::vector<float>> overlaps{{0.6f, 1}, {0.9f, 0.9f}, {0.9f, 0.9f}};
    using enum ObjectKind;
    CHECK(average_precision(three, overlaps, {2}, 0.5f, {{counted, ignored}}).correct == std::vector<char>{1, 0});
    CHECK(average_precision(three, overlaps, {2}, 0.5f, {{counted, crowd}}).correct == std::vector<char>{1});
    const std::vector<std::vector<float>> reversed{{1, 0.6f}, {0.9f, 0.9f}, {0.9f, 0.9f}};
    CHECK(average_precision(three, reversed, {2}, 0.5f, {{ignored, counted}}).correct == std::vector<char>{1, 0});
    CHECK(average_precision(three, reversed, {2}, 0.5f, {{crowd, counted}}).correct == std::vector<char>{1});
    CHECK(average_precision(three, overlaps, {2}, 0.5f, {{counted, counted}}).correct == std::vector<char>{1, 1, 0});
    CHECK(average_precision(three, overlaps, {2}, 0.5f, {{crowd, ignored}}).average == -1);  // nothing is to be found
    CHECK_THROWS_WITH(average_precision(three, overlaps, {2}, 0.5f, {{counted}}),
                      "average_precision: 2 objects in image 0 and 1 kinds; each object needs one");
    CHECK_THROWS_WITH(average_precision(three, overlaps, {2}, 0.5f, {{counted, crowd}, {}}),
                      "average_precision: kinds of the objects of 2 images, there are 1; each needs its own list");
}

TEST_CASE("average_precision: of equal scores the first in the list comes first, also across images") {
    // Right, then wrong: precision 1 at every recall. Wrong, then right: 1/2.
    const std::vector<Detection> equal{{1, 0, 0.5f}, {0, 0, 0.5f}};
    CHECK(average_precision(equal, {{0.8f}, {}}, {0, 1}, 0.5f).average == 1);
    CHECK(average_precision({equal[1], equal[0]}, {{}, {0.8f}}, {0, 1}, 0.5f).average == 0.5f);
}

TEST_CASE("mean_average_precision: inside a crowd a detection is not wrong, if at least half of it lies there") {
    // The object is found second. The first detection, 2 x 2, lies half in the crowd of 10 x 10: share 2/4, though their IoU is 2/102.
    const std::vector<BoxesOfImage> objects{{{{0, 0, 4, 4}, {20, 0, 30, 10}}, {0, 0}, {}, {0, 1}}};
    BoxesOfImage found{{{19, 0, 21, 2}, {0, 0, 4, 4}}, {0, 0}, {0.9f, 0.8f}};
    CHECK(mean_average_precision({found}, objects, 1, 0.5f) == 1);
    CHECK(mean_average_precision({found}, objects, 1, 0.55f) == 0.5f);  // a stricter threshold: wrong, then right
    std::vector<BoxesOfImage> plain = objects;
    plain[0].crowd.clear();
    CHECK(mean_average_precision({found}, plain, 1, 0.5f) == Approx(51 * 0.5 / 101));  // a second object, which nothing finds
}

TEST_CASE(
    "mean_average_precision: outside the range of areas objects need not be found, and detections without one are not wrong") {
    // Areas 16 and 100. Found: both, and two boxes of areas 4 and 50 that hit nothing, all with better scores.
    const std::vector<BoxesOfImage> objects{{{{0, 0, 4, 4}, {20, 0, 30, 10}}, {0, 0}}};
    const std::vector<BoxesOfImage> found{
        {{{50, 0, 52, 2}, {60, 0, 70, 5}, {0, 0, 4, 4}, {20, 0, 30, 10}}, {0, 0, 0, 0}, {0.9f, 0.8f, 0.7f, 0.6f}}};
    // All: precision 0, 0, 1/3, 1/2, made monotonic 1/2. Up to 16: the box of area 4 is wrong, then right.
    // From 16.5 to 99: nothing to find.
    CHECK(mean_average_precision(found, objects, 1, 0.5f) == 0.5f);
    CHECK(mean_average_precision(found, objects, 1, 0.5f, {.largest_area = 16}) == 0.5f);
    CHECK(mean_average_precision(found, objects, 1, 0.5f, {.smallest_area = 100}) == 1);
    CHECK(mean_average_precision(found, objects, 1, 0.5f, {.smallest_area = 16, .largest_area = 40}) == 1);
    CHECK(mean_average_precision(found, objects, 1, 0.5f, {.smallest_area = 16.5f, .largest_area = 99}) == -1);
    std::vector<BoxesOfImage> masks = objects;
    masks[0].areas = {12, 100};  // the first object is a disc
    CHECK(mean_average_precision(found, masks, 1, 0.5f, {.smallest_area = 16, .largest_area = 99}) == -1);
}

TEST_CASE("mean_average_precision: counts the best detections of each class and image, as many as the limit says") {
    const std::vector<BoxesOfImage> objects{{{{0, 0, 4, 4}, {8, 0, 9, 9}}, {0, 1}}};
    const std::vector<BoxesOfImage> found{{{{0, 0, 4, 4}, {9, 9, 10, 10}, {8, 0, 9, 9}}, {0, 0, 1}, {0.5f, 0.6f, 0.4f}}};
    CHECK(mean_average_precision(found, objects, 2, 0.5f) == 0.75f);                   // class 0: wrong, then right
    CHECK(mean_average_precision(found, objects, 2, 0.5f, {.per_image = 1}) == 0.5f);  // class 0: wrong; class 1 keeps its own
    CHECK(coco_average_precision(found, objects, 2, {.per_image = 0}) == 0);
}

TEST_CASE("mean_average_precision: 0 without detections, -1 without objects of any class") {
    const BoxesOfImage none{}, one{{{0, 0, 1, 1}}, {0}}, hit{{{0, 0, 1, 1}}, {0}, {1}};
    CHECK(mean_average_precision({none}, {one}, 2, 0.5f) == 0);
    CHECK(coco_average_precision({hit}, {none}, 2) == -1);
    CHECK(coco_average_precision({}, {}, 2) == -1);
    CHECK(coco_average_precision({hit, none}, {one, none}, 2) == 1);
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
    const PanopticQuality mean = mean_panoptic_quality({found}, {truth}, 1);
    CHECK(mean.true_positives == 1);
    CHECK(mean.false_positives == 1);
    CHECK(mean.missed == 1);
}

TEST_CASE("panoptic_quality: an IoU of exactly 1/2 does not match, and void pixels do not enlarge the union") {
    const PanopticImage truth{{1, 1, 1, 0}, {0}};
    CHECK(panoptic_quality({{{1, 1, 0, 1}, {0}}}, {truth}, 0).segmentation == Approx(2.0 / 3));  // the void pixel is left out
    const PanopticImage pair{{1, 1}, {0}};
    CHECK(panoptic_quality({{{1, 0}, {0}}}, {pair}, 0).true_positives == 0);
    CHECK(panoptic_quality({{{1, 0}, {0}}}, {pair}, 0).false_positives == 1);  // of one pixel
    CHECK(panoptic_quality({{{1, 0}, {0}}}, {{{1, 0}, {1}}}, 1).missed == 1);
}

TEST_CASE("panoptic_quality: a crowd is neither matched nor missed, and a segment mostly in it or in void is not false") {
    // Truth: segment 1 is a crowd of class 0, six pixels; segment 2 of class 0, two pixels; two void.
    const PanopticImage truth{{1, 1, 1, 1, 1, 1, 2, 2, 0, 0}, {0, 0}, {1, 0}};
    // Found 1 covers the crowd exactly; found 2 has one pixel of it, one void and one of segment 2: 2/3 ignored.
    const PanopticQuality q = panoptic_quality({{{1, 1, 1, 1, 1, 2, 2, 0, 2, 0}, {0, 0}}}, {truth}, 0);
    CHECK(q.true_positives == 0);
    CHECK(q.false_positives == 0);
    CHECK(q.missed == 1);
    // Half is not more than half: found 1, two pixels in the crowd and two in segment 2. And a crowd of another class hides nothing.
    const PanopticImage half{{0, 0, 0, 0, 1, 1, 1, 1, 0, 0}, {0}};
    CHECK(panoptic_quality({half}, {truth}, 0).true_positives == 0);  // I = 2, U = 4 + 2 - 2 = 4: 1/2 does not match
    CHECK(panoptic_quality({half}, {truth}, 0).false_positives == 1);
    const std::vector<int> inside{1, 1, 1, 1, 1, 1, 0, 0, 0, 0};  // all of the crowd
    CHECK(panoptic_quality({{inside, {0}}}, {truth}, 0).false_positives == 0);
    CHECK(panoptic_quality({{inside, {1}}}, {truth}, 1).false_positives == 1);
    CHECK_THROWS_WITH(panoptic_quality({half}, {{half.ids, {0}, {0, 1}}}, 0),
                      "panoptic_quality: 2 marks of crowds for 1 labels; every segment needs one, or none");
}

TEST_CASE("mean_panoptic_quality: a class of ignored segments only, and a label without pixels, do not occur") {
    const PanopticImage truth{{0, 0, 1, 1}, {0, 2}}, found{{2, 2, 1, 1}, {0, 1}};  // class 1 on void only; class 2 has no pixel
    const PanopticQuality q = mean_panoptic_quality({found}, {truth}, 3);
    CHECK(q.quality == 1);
    CHECK(q.false_positives + q.missed == 0);
    CHECK(mean_panoptic_quality({{{0, 0}, {}}}, {{{0, 0}, {}}}, 3).quality == 0);  // nothing to find, nothing found
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
    const BoxesOfImage one{{{0, 0, 1, 1}}, {0}, {0.9f}}, wrong{{{0, 0, 1, 1}}, {3}, {}}, centre{{{4, 4, 1, 1}}, {0}, {0.9f}};
    const BoxesOfImage object{{{0, 0, 1, 1}}, {0}}, unmarked{{{0, 0, 1, 1}}, {0}, {}, {0, 1}},
        unscored{{{0, 0, 1, 1}}, {0}, {NAN}};
    const PanopticImage image{{0, 1}, {2}};
    CHECK_THROWS_WITH(average_precision({{0, 0, 1}}, {}, {1}, 0.5f),
                      "average_precision: overlaps of 0 detections, there are 1; each needs its own list");
    CHECK_THROWS_WITH(average_precision({{0, 0, NAN}}, {{1}}, {1}, 0.5f),
                      "average_precision: the score of detection 0 is nan, it must be a number");
    CHECK_THROWS_WITH(average_precision({{0, 0, 1}}, {{NAN}}, {1}, 0.5f),
                      "average_precision: detection 0 has an overlap of nan, it must lie between 0 and 1");
    CHECK_THROWS_WITH(average_precision({}, {}, {-1}, 0.5f),
                      "average_precision: -1 objects in image 0, there cannot be fewer than 0");
    CHECK_THROWS_WITH(average_precision({}, {}, {1}, 1.5f),
                      "average_precision: a threshold of 1.500000, it must lie above 0 and up to 1; 0.5 is usual");
    CHECK_THROWS_WITH(
        average_precision({{1, 0, 1}}, {{1}}, {1}, 0.5f),
        "average_precision: 1 overlaps of a detection in image 1 of 1; there must be one for each object of the image");
    CHECK_THROWS_WITH(mean_average_precision({one}, {}, 1, 0.5f),
                      "mean_average_precision: boxes found in 1 images, objects in 0; there must be one of each for every image");
    CHECK_THROWS_WITH(mean_average_precision({one}, {object}, 0, 0.5f),
                      "mean_average_precision: 0 classes, there must be at least 1");
    CHECK_THROWS_WITH(mean_average_precision({one}, {wrong}, 2, 0.5f),
                      "mean_average_precision: label 3 in image 0 is not one of 2 classes, counted from 0");
    CHECK(without_place(error_of([&] { mean_average_precision({centre}, {object}, 1, 0.5f); })) ==
          "pairwise_iou: box 0 is (4.000000, 4.000000, 1.000000, 1.000000), it must be finite, with left <= right and top <= "
          "bottom; convert_boxes makes corners of other formats");
    CHECK_THROWS_WITH(
        mean_average_precision({one}, {one}, 1, 0.5f),
        "mean_average_precision: image 0 has 1 scores and 0 marks of crowds for 1 boxes that were found, and 1 scores "
        "for objects; each found box needs a score and no mark, objects no score");
    CHECK_THROWS_WITH(mean_average_precision({one}, {unmarked}, 1, 0.5f),
                      "mean_average_precision: image 0 has 1 labels, 2 marks of crowds and 0 areas for objects (1, 4); every box "
                      "needs a label, and all or none a mark or an area");
    CHECK_THROWS_WITH(mean_average_precision({unscored}, {object}, 1, 0.5f),
                      "mean_average_precision: a score in image 0 is nan, it must be a number");
    CHECK_THROWS_WITH(mean_average_precision({one}, {object}, 1, 0.5f, {.smallest_area = 9, .largest_area = 1}),
                      "mean_average_precision: at most 100 detections in an image, areas from 9.000000 to 1.000000; neither may "
                      "be negative or reversed");
    CHECK_THROWS_WITH(panoptic_quality({image}, {}, 0),
                      "panoptic_quality: segments found in 1 images, true ones in 0; there must be one of each for every image");
    CHECK_THROWS_WITH(panoptic_quality({{{2}, {1}}}, {{{0}, {}}}, 0),
                      "panoptic_quality: a pixel of segment 2, there are 1 labels, of segments from 1 on; 0 is not a segment");
    CHECK_THROWS_WITH(panoptic_quality({{{0}, {}}}, {image}, 0),
                      "panoptic_quality: images of 1 and 2 pixels, both must have the same number");
    CHECK_THROWS_WITH(mean_panoptic_quality({image}, {image}, 2),
                      "mean_panoptic_quality: label 2 in image 0 is not one of 2 classes, counted from 0");
    CHECK_THROWS_WITH(mean_panoptic_quality({image}, {image}, 0), "mean_panoptic_quality: 0 classes, there must be at least 1");
}

TEST_CASE("average_precision: each argument check fails by itself, the limits are allowed") {
    const auto refusal = [](int image, float overlap, int objects, float threshold) {
        return error_of([&] { average_precision({{image, 0, 1}}, {{overlap}}, {objects}, threshold); });
    };
    const std::string above_0 = ", it must lie above 0 and up to 1; 0.5 is usual";
    CHECK(refusal(0, 0, 1, 1) == "");
    CHECK(refusal(0, 1, 1, 1) == "");
    CHECK(refusal(0, 1, 1, 0) == "average_precision: a threshold of 0.000000" + above_0);
    CHECK(refusal(0, -0.5f, 1, 1) == "average_precision: detection 0 has an overlap of -0.500000, it must lie between 0 and 1");
    CHECK(refusal(0, 1.5f, 1, 1) == "average_precision: detection 0 has an overlap of 1.500000, it must lie between 0 and 1");
    const std::string each = " of 1; there must be one for each object of the image";
    CHECK(refusal(-1, 1, 1, 1) == "average_precision: 1 overlaps of a detection in image -1" + each);
    CHECK(refusal(1, 1, 1, 1) == "average_precision: 1 overlaps of a detection in image 1" + each);
    CHECK(refusal(0, 1, 2, 1) == "average_precision: 1 overlaps of a detection in image 0" + each);
}

TEST_CASE("mean_average_precision: each argument check fails by itself, the limits are allowed") {
    const BoxesOfImage found{{{0, 0, 1, 1}}, {0}, {0.9f}}, object{{{0, 0, 1, 1}}, {0}};
    const auto refusal = [](const BoxesOfImage& one, const BoxesOfImage& other, const DetectionLimits& limits = {}) {
        return error_of([&] { mean_average_precision({one}, {other}, 1, 0.5f, limits); });
    };
    const auto label = [](int label) { return BoxesOfImage{{{0, 0, 1, 1}}, {label}}; };
    CHECK(refusal(found, label(-1)) == "mean_average_precision: label -1 in image 0 is not one of 1 classes, counted from 0");
    CHECK(refusal(found, label(1)) == "mean_average_precision: label 1 in image 0 is not one of 1 classes, counted from 0");
    const std::string every = "; every box needs a label, and all or none a mark or an area";
    CHECK(refusal(found, {Matrix(2, 4), {0}}) ==
          "mean_average_precision: image 0 has 1 labels, 0 marks of crowds and 0 areas for objects (2, 4)" + every);
    CHECK(refusal(found, {{{0, 0, 1, 1}}, {0}, {}, {}, {1, 2}}) ==
          "mean_average_precision: image 0 has 1 labels, 0 marks of crowds and 2 areas for objects (1, 4)" + every);
    const std::string areas = "; neither may be negative or reversed";
    CHECK(refusal(found, object, {.per_image = -1, .smallest_area = 1, .largest_area = 2}) ==
          "mean_average_precision: at most -1 detections in an image, areas from 1.000000 to 2.000000" + areas);
    CHECK(refusal(found, object, {.per_image = 0, .smallest_area = 1, .largest_area = 1}) == "");
    const std::string each = " scores for objects; each found box needs a score and no mark, objects no score";
    CHECK(refusal({{{0, 0, 1, 1}}, {0}}, object) ==
          "mean_average_precision: image 0 has 0 scores and 0 marks of crowds for 1 boxes that were found, and 0" + each);
    CHECK(refusal({{{0, 0, 1, 1}}, {0}, {0.9f}, {1}}, object) ==
          "mean_average_precision: image 0 has 1 scores and 1 marks of crowds for 1 boxes that were found, and 0" + each);
}

TEST_CASE("mean_panoptic_quality: labels and segments below 0 are refused, one class is enough") {
    const auto of = [](int id, int label) {
        const PanopticImage image{{id}, {label}};
        return error_of([&] { mean_panoptic_quality({image}, {image}, 1); });
    };
    CHECK(of(1, 0) == "");
    CHECK(of(1, -1) == "mean_panoptic_quality: label -1 in image 0 is not one of 1 classes, counted from 0");
    CHECK(of(1, 1) == "mean_panoptic_quality: label 1 in image 0 is not one of 1 classes, counted from 0");
    CHECK(of(-1, 0) == "panoptic_quality: a pixel of segment -1, there are 1 labels, of segments from 1 on; 0 is not a segment");
}

TEST_CASE("panoptic_quality: with two matches the segmentation quality is the mean of their IoU") {
    const PanopticImage truth{{1, 1, 1, 1, 2, 2, 2, 2}, {0, 0}}, found{{1, 1, 1, 0, 2, 2, 2, 2}, {0, 0}};  // IoU 3/4 and 1
    const PanopticQuality q = panoptic_quality({found}, {truth}, 0);
    CHECK(q.true_positives == 2);
    CHECK(q.segmentation == Approx(0.875));
    CHECK(q.recognition == Approx(1));
    CHECK(q.quality == Approx(0.875));
    // The same as two classes, and a third that is missed: each quality is a mean over three.
    const PanopticImage classes{{1, 1, 1, 1, 2, 2, 2, 2, 3}, {0, 1, 2}}, seen{{1, 1, 1, 0, 2, 2, 2, 2, 0}, {0, 1}};
    const PanopticQuality mean = mean_panoptic_quality({seen}, {classes}, 3);
    CHECK(mean.segmentation == Approx(1.75 / 3));
    CHECK(mean.recognition == Approx(2.0 / 3));
    CHECK(mean.quality == Approx(1.75 / 3));
    CHECK(mean.true_positives == 2);
    CHECK(mean.missed == 1);
    CHECK(mean.false_positives == 0);
}

TEST_CASE("panoptic_quality: the first segment counts as missed, or as false, like every other") {
    const PanopticImage one{{1, 1}, {0}}, nothing{{0, 0}, {}};
    CHECK(panoptic_quality({nothing}, {one}, 0).missed == 1);
    CHECK(panoptic_quality({one}, {{{1, 1}, {1}}}, 0).false_positives == 1);
}

TEST_CASE("DetectionLimits: the defaults") {
    const DetectionLimits usual{};
    CHECK(usual.per_image == 100);
    CHECK(usual.smallest_area == 0);
    CHECK(usual.largest_area == 1e10f);
}

TEST_CASE("mean_average_precision, panoptic_quality: areas that are none and labels below 0 are refused") {
    const BoxesOfImage found{.corners = {{0, 0, 1, 1}}, .labels = {0}, .scores = {1}};
    for (const float area : {NAN, INFINITY, -1.0f}) {
        const BoxesOfImage object{.corners = {{0, 0, 1, 1}}, .labels = {0}, .areas = {area}};
        CHECK(error_of([&] {
                  mean_average_precision({found}, {object}, 1, 0.5f);
              }).ends_with(" in image 0, it must be finite and at least 0"));
    }
    const BoxesOfImage empty{.corners = {{0, 0, 1, 1}}, .labels = {0}, .areas = {0}};
    CHECK(mean_average_precision({found}, {empty}, 1, 0.5f) == 1);
    CHECK(error_of([] { panoptic_quality({}, {}, -1); }) == "panoptic_quality: of label -1, they are counted from 0");
}

TEST_SUITE_END();
