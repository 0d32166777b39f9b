#include "vit/detect/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

#include "nn/base/require.h"
#include "vit/detect/boxes.h"

// --- average precision ---

// The object that overlaps most, at least by the threshold, the last of several; -1 when there is none.
//   may_take  of each object
static int best_object(const std::vector<float>& overlaps, const std::vector<char>& may_take, float threshold) {
    int best = -1;
    for (int o = 0; o < static_cast<int>(overlaps.size()); ++o) {
        if (!may_take[o] || overlaps[o] < threshold) continue;
        if (best < 0 || overlaps[o] >= overlaps[best]) best = o;
    }
    return best;
}

// The object that a detection takes; -1 = none. Those that are not counted come second, however much they overlap.
//   taken  of each object: a crowd may be taken again
static int object_for(const std::vector<float>& overlaps, const std::vector<ObjectKind>& kinds, const std::vector<char>& taken,
                      float threshold) {
    std::vector<char> counted, others;
    for (std::size_t o = 0; o < kinds.size(); ++o) {
        counted.push_back(kinds[o] == ObjectKind::counted && !taken[o]);
        others.push_back(kinds[o] == ObjectKind::crowd || (kinds[o] == ObjectKind::ignored && !taken[o]));
    }
    const int best = best_object(overlaps, counted, threshold);
    return best >= 0 ? best : best_object(overlaps, others, threshold);
}

// The mean of the precision at recalls 0, 0.01, ..., 1: that of the first detection that reaches the recall, 0 beyond the last.
static float area_of_101_points(const std::vector<double>& falling, const std::vector<double>& recall) {
    double total = 0;
    for (int point = 0; point <= 100; ++point) {
        const double wanted = point == 100 ? 1 : point * 0.01;  // rounded as NumPy's linspace rounds: 35 * 0.01 is above 7 / 20
        const std::size_t first = std::lower_bound(recall.begin(), recall.end(), wanted) - recall.begin();
        if (first < falling.size()) total += falling[first];
    }
    return static_cast<float>(total / 101);
}

static void check_detections(const std::vector<Detection>& detections, const std::vector<std::vector<float>>& overlaps,
                             const std::vector<int>& objects_in, float threshold,
                             const std::vector<std::vector<ObjectKind>>& kinds) {
    require(detections.size() == overlaps.size(), "average_precision: overlaps of ", overlaps.size(), " detections, there are ",
            detections.size(), "; each needs its own list");
    require(threshold > 0 && threshold <= 1, "average_precision: a threshold of ", threshold,
            ", it must lie above 0 and up to 1; 0.5 is usual");
    require(kinds.empty() || kinds.size() == objects_in.size(), "average_precision: kinds of the objects of ", kinds.size(),
            " images, there are ", objects_in.size(), "; each needs its own list");
    for (std::size_t i = 0; i < objects_in.size(); ++i) {
        require(objects_in[i] >= 0, "average_precision: ", objects_in[i], " objects in image ", i,
                ", there cannot be fewer than 0");
        require(kinds.empty() || static_cast<int>(kinds[i].size()) == objects_in[i], "average_precision: ", objects_in[i],
                " objects in image ", i, " and ", kinds.empty() ? 0 : kinds[i].size(), " kinds; each object needs one");
    }
    for (std::size_t d = 0; d < detections.size(); ++d) {
        const int image = detections[d].image, images = static_cast<int>(objects_in.size());
        require(!std::isnan(detections[d].score), "average_precision: the score of detection ", d, " is ", detections[d].score,
                ", it must be a number");
        for (const float overlap : overlaps[d])
            require(overlap >= 0 && overlap <= 1, "average_precision: detection ", d, " has an overlap of ", overlap,
                    ", it must lie between 0 and 1");
        require(image >= 0 && image < images && static_cast<int>(overlaps[d].size()) == objects_in[image],
                "average_precision: ", overlaps[d].size(), " overlaps of a detection in image ", image, " of ", images,
                "; there must be one for each object of the image");
    }
}

PrecisionRecall average_precision(const std::vector<Detection>& detections, const std::vector<std::vector<float>>& overlaps,
                                  const std::vector<int>& objects_in, float threshold,
                                  const std::vector<std::vector<ObjectKind>>& kinds) {
    check_detections(detections, overlaps, objects_in, threshold, kinds);
    std::vector<std::vector<ObjectKind>> kinds_in = kinds;
    std::vector<std::vector<char>> taken;
    int objects = 0;
    for (std::size_t i = 0; i < objects_in.size(); ++i) {
        if (kinds.empty()) kinds_in.emplace_back(objects_in[i], ObjectKind::counted);
        taken.emplace_back(objects_in[i], 0);
        objects += static_cast<int>(std::count(kinds_in[i].begin(), kinds_in[i].end(), ObjectKind::counted));
    }
    PrecisionRecall result;
    if (objects == 0) {
        result.average = -1;
        return result;
    }
    std::vector<int> order(detections.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return detections[a].score > detections[b].score; });
    int correct = 0;
    std::vector<double> falling, recall;
    for (const int d : order) {
        const int image = detections[d].image;
        const int object = object_for(overlaps[d], kinds_in[image], taken[image], threshold);
        if (object >= 0) taken[image][object] = 1;
        const bool right = object >= 0 && kinds_in[image][object] == ObjectKind::counted;
        if (!right && (object >= 0 || detections[d].outside)) continue;  // neither right nor wrong
        correct += right;
        result.correct.push_back(right);
        falling.push_back(static_cast<double>(correct) / static_cast<double>(result.correct.size()));
        recall.push_back(static_cast<double>(correct) / objects);
        result.precision.push_back(static_cast<float>(falling.back()));
        result.recall.push_back(static_cast<float>(recall.back()));
    }
    for (int k = static_cast<int>(falling.size()) - 2; k >= 0; --k) falling[k] = std::max(falling[k], falling[k + 1]);
    result.average = area_of_101_points(falling, recall);
    return result;
}

static void check_boxes(const BoxesOfImage& boxes, const char* what, std::size_t image, int classes) {
    const std::size_t n = boxes.labels.size();
    for (const int label : boxes.labels)
        require(label >= 0 && label < classes, "mean_average_precision: label ", label, " in image ", image, " is not one of ",
                classes, " classes, counted from 0");
    require(boxes.corners.rows == static_cast<int>(n) && (boxes.crowd.empty() || boxes.crowd.size() == n) &&
                (boxes.areas.empty() || boxes.areas.size() == n),
            "mean_average_precision: image ", image, " has ", n, " labels, ", boxes.crowd.size(), " marks of crowds and ",
            boxes.areas.size(), " areas for ", what, " ", boxes.corners,
            "; every box needs a label, and all or none a mark or an area");
    for (const float area : boxes.areas)
        require(area >= 0 && std::isfinite(area), "mean_average_precision: an area of ", area, " in image ", image,
                ", it must be finite and at least 0");
}

// The rows of one class; of detections, which have scores, the best of them, the best first.
static std::vector<int> rows_of_class(const BoxesOfImage& boxes, int label, int at_most) {
    std::vector<int> rows;
    for (int i = 0; i < static_cast<int>(boxes.labels.size()); ++i)
        if (boxes.labels[i] == label) rows.push_back(i);
    if (boxes.scores.empty()) return rows;
    std::stable_sort(rows.begin(), rows.end(), [&](int a, int b) { return boxes.scores[a] > boxes.scores[b]; });
    if (static_cast<int>(rows.size()) > at_most) rows.resize(at_most);
    return rows;
}

static Matrix boxes_of_rows(const BoxesOfImage& boxes, const std::vector<int>& rows) {
    Matrix corners(static_cast<int>(rows.size()), 4);
    for (int i = 0; i < corners.rows; ++i) std::copy_n(boxes.corners.row(rows[i]), 4, corners.row(i));
    return corners;
}

// Of these rows: is the area outside the limits?
static std::vector<char> outside_of(const BoxesOfImage& boxes, const std::vector<int>& rows, const DetectionLimits& limits) {
    const Matrix areas = box_areas(boxes_of_rows(boxes, rows));
    std::vector<char> outside;
    for (int i = 0; i < areas.rows; ++i) {
        const float area = boxes.areas.empty() ? areas(i, 0) : boxes.areas[rows[i]];
        outside.push_back(area < limits.smallest_area || area > limits.largest_area);
    }
    return outside;
}

namespace {

// What average_precision reads, of one class in all images.
struct OneClass {
    std::vector<Detection> detections;
    std::vector<std::vector<float>> overlaps;
    std::vector<int> objects_in;
    std::vector<std::vector<ObjectKind>> kinds;
};

}  // namespace

static void add_image(OneClass& one, int image, const BoxesOfImage& found, const BoxesOfImage& objects, int label,
                      const DetectionLimits& limits) {
    const std::vector<int> found_rows = rows_of_class(found, label, limits.per_image);
    const std::vector<int> object_rows = rows_of_class(objects, label, limits.per_image);
    const std::vector<char> found_outside = outside_of(found, found_rows, limits);
    const std::vector<char> object_outside = outside_of(objects, object_rows, limits);
    const Matrix boxes = boxes_of_rows(found, found_rows), truth = boxes_of_rows(objects, object_rows);
    const Matrix iou = pairwise_iou(boxes, truth), share = pairwise_share(boxes, truth);  // (found, objects) each
    std::vector<ObjectKind> kinds;
    for (std::size_t o = 0; o < object_rows.size(); ++o) {
        const bool crowd = !objects.crowd.empty() && objects.crowd[object_rows[o]];
        kinds.push_back(crowd ? ObjectKind::crowd : object_outside[o] ? ObjectKind::ignored : ObjectKind::counted);
    }
    for (int d = 0; d < boxes.rows; ++d) {
        one.detections.push_back({image, label, found.scores[found_rows[d]], found_outside[d] != 0});
        std::vector<float> overlaps;
        for (int o = 0; o < truth.rows; ++o) overlaps.push_back(kinds[o] == ObjectKind::crowd ? share(d, o) : iou(d, o));
        one.overlaps.push_back(overlaps);
    }
    one.objects_in.push_back(truth.rows);
    one.kinds.push_back(kinds);
}

float mean_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             float threshold, const DetectionLimits& limits) {
    require(found.size() == objects.size(), "mean_average_precision: boxes found in ", found.size(), " images, objects in ",
            objects.size(), "; there must be one of each for every image");
    require(classes >= 1, "mean_average_precision: ", classes, " classes, there must be at least 1");
    require(limits.per_image >= 0 && limits.smallest_area <= limits.largest_area, "mean_average_precision: at most ",
            limits.per_image, " detections in an image, areas from ", limits.smallest_area, " to ", limits.largest_area,
            "; neither may be negative or reversed");
    for (std::size_t i = 0; i < found.size(); ++i) {
        check_boxes(found[i], "boxes", i, classes);
        check_boxes(objects[i], "objects", i, classes);
        require(found[i].scores.size() == found[i].labels.size() && objects[i].scores.empty() && found[i].crowd.empty(),
                "mean_average_precision: image ", i, " has ", found[i].scores.size(), " scores and ", found[i].crowd.size(),
                " marks of crowds for ", found[i].labels.size(), " boxes that were found, and ", objects[i].scores.size(),
                " scores for objects; each found box needs a score and no mark, objects no score");
        for (const float score : found[i].scores)
            require(!std::isnan(score), "mean_average_precision: a score in image ", i, " is ", score, ", it must be a number");
    }
    double total = 0;
    int counted = 0;
    for (int label = 0; label < classes; ++label) {
        OneClass one;
        for (int i = 0; i < static_cast<int>(found.size()); ++i) add_image(one, i, found[i], objects[i], label, limits);
        const float average = average_precision(one.detections, one.overlaps, one.objects_in, threshold, one.kinds).average;
        if (average < 0) continue;  // the class has no object
        total += average;
        ++counted;
    }
    return counted == 0 ? -1 : static_cast<float>(total / counted);
}

float coco_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             const DetectionLimits& limits) {
    double total = 0;
    for (int k = 0; k < 10; ++k)
        total += mean_average_precision(found, objects, classes, static_cast<float>(0.5 + 0.05 * k), limits);
    return static_cast<float>(total / 10);
}

// --- panoptic quality ---

namespace {

// Sums over all images for one class.
struct QualitySums {
    double iou = 0;
    int true_positives = 0, false_positives = 0, missed = 0;
};

}  // namespace

static void require_panoptic(const PanopticImage& image) {
    require(image.crowd.empty() || image.crowd.size() == image.labels.size(), "panoptic_quality: ", image.crowd.size(),
            " marks of crowds for ", image.labels.size(), " labels; every segment needs one, or none");
    for (const int id : image.ids)
        require(id >= 0 && id <= static_cast<int>(image.labels.size()), "panoptic_quality: a pixel of segment ", id,
                ", there are ", image.labels.size(), " labels, of segments from 1 on; 0 is not a segment");
}

static void add_image(QualitySums& sums, const PanopticImage& found, const PanopticImage& truth, int label) {
    require(found.ids.size() == truth.ids.size(), "panoptic_quality: images of ", found.ids.size(), " and ", truth.ids.size(),
            " pixels, both must have the same number");
    require_panoptic(found);
    require_panoptic(truth);
    std::vector<int> found_area(found.labels.size() + 1), truth_area(truth.labels.size() + 1);
    std::map<std::pair<int, int>, int> both;  // pixels of each pair of segments
    for (std::size_t k = 0; k < found.ids.size(); ++k) {
        ++found_area[found.ids[k]];
        ++truth_area[truth.ids[k]];
        ++both[{found.ids[k], truth.ids[k]}];
    }
    const auto is_crowd = [&](int t) { return t > 0 && !truth.crowd.empty() && truth.crowd[t - 1]; };
    std::vector<int> on_void(found_area.size()), ignored(found_area.size());  // pixels of each found segment: void; or crowd too
    for (const auto& [pair, area] : both) {
        const auto [f, t] = pair;
        if (t == 0) on_void[f] += area;
        if (f > 0 && (t == 0 || (is_crowd(t) && truth.labels[t - 1] == found.labels[f - 1]))) ignored[f] += area;
    }
    std::vector<char> matched_found(found_area.size()), matched_truth(truth_area.size());
    for (const auto& [pair, area] : both) {
        const auto [f, t] = pair;
        if (f == 0 || t == 0 || is_crowd(t) || found.labels[f - 1] != label || truth.labels[t - 1] != label) continue;
        const int united = found_area[f] + truth_area[t] - area - on_void[f];
        const double iou = static_cast<double>(area) / united;
        if (iou <= 0.5) continue;
        sums.iou += iou;
        ++sums.true_positives;
        matched_found[f] = matched_truth[t] = 1;
    }
    for (int t = 1; t < static_cast<int>(truth_area.size()); ++t)
        sums.missed += truth.labels[t - 1] == label && truth_area[t] > 0 && !matched_truth[t] && !is_crowd(t);
    for (int f = 1; f < static_cast<int>(found_area.size()); ++f)
        sums.false_positives +=
            found.labels[f - 1] == label && found_area[f] > 0 && !matched_found[f] && 2 * ignored[f] <= found_area[f];
}

PanopticQuality panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth, int label) {
    require(found.size() == truth.size(), "panoptic_quality: segments found in ", found.size(), " images, true ones in ",
            truth.size(), "; there must be one of each for every image");
    require(label >= 0, "panoptic_quality: of label ", label, ", they are counted from 0");
    QualitySums sums;
    for (std::size_t i = 0; i < found.size(); ++i) add_image(sums, found[i], truth[i], label);
    PanopticQuality result{.true_positives = sums.true_positives, .false_positives = sums.false_positives, .missed = sums.missed};
    const double all = sums.true_positives + 0.5 * sums.false_positives + 0.5 * sums.missed;
    if (all == 0) return result;
    result.quality = sums.iou / all;  // [PQ 1]
    result.segmentation = sums.true_positives == 0 ? 0 : sums.iou / sums.true_positives;
    result.recognition = sums.true_positives / all;
    return result;
}

PanopticQuality mean_panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth,
                                      int classes) {
    require(classes >= 1, "mean_panoptic_quality: ", classes, " classes, there must be at least 1");
    for (const std::vector<PanopticImage>* const images : {&found, &truth})
        for (std::size_t i = 0; i < images->size(); ++i)
            for (const int label : (*images)[i].labels)
                require(label >= 0 && label < classes, "mean_panoptic_quality: label ", label, " in image ", i, " is not one of ",
                        classes, " classes, counted from 0");
    PanopticQuality mean;
    int counted = 0;
    for (int label = 0; label < classes; ++label) {
        const PanopticQuality one = panoptic_quality(found, truth, label);
        if (one.true_positives + one.false_positives + one.missed == 0) continue;
        mean.quality += one.quality;
        mean.segmentation += one.segmentation;
        mean.recognition += one.recognition;
        mean.true_positives += one.true_positives;
        mean.false_positives += one.false_positives;
        mean.missed += one.missed;
        ++counted;
    }
    if (counted == 0) return mean;
    mean.quality /= counted;
    mean.segmentation /= counted;
    mean.recognition /= counted;
    return mean;
}
