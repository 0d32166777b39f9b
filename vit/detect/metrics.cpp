#include "vit/detect/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "nn/base/require.h"
#include "vit/detect/boxes.h"

// --- average precision ---

// The free object that overlaps most, at least by the threshold, the last of several; -1 when there is none.
static int best_free_object(const std::vector<float>& overlaps, const std::vector<char>& taken, float threshold) {
    int best = -1;
    for (int o = 0; o < static_cast<int>(overlaps.size()); ++o) {
        if (taken[o] || overlaps[o] < threshold) continue;
        if (best < 0 || overlaps[o] >= overlaps[best]) best = o;
    }
    return best;
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

PrecisionRecall average_precision(const std::vector<Detection>& detections, const std::vector<std::vector<float>>& overlaps,
                                  const std::vector<int>& objects_in, float threshold) {
    require(detections.size() == overlaps.size(), "average_precision: overlaps of ", overlaps.size(), " detections, there are ",
            detections.size(), "; each needs its own list");
    require(threshold > 0 && threshold <= 1, "average_precision: a threshold of ", threshold,
            ", it must lie above 0 and up to 1; 0.5 is usual");
    for (std::size_t i = 0; i < objects_in.size(); ++i)
        require(objects_in[i] >= 0, "average_precision: ", objects_in[i], " objects in image ", i,
                ", there cannot be fewer than 0");
    for (std::size_t d = 0; d < detections.size(); ++d) {
        require(!std::isnan(detections[d].score), "average_precision: the score of detection ", d, " is ", detections[d].score,
                ", it must be a number");
        for (const float overlap : overlaps[d])
            require(overlap >= 0 && overlap <= 1, "average_precision: detection ", d, " has an overlap of ", overlap,
                    ", it must lie between 0 and 1");
    }
    const int objects = std::accumulate(objects_in.begin(), objects_in.end(), 0);
    PrecisionRecall result;
    if (objects == 0) {
        result.average = -1;
        return result;
    }
    std::vector<int> order(detections.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return detections[a].score > detections[b].score; });
    std::vector<std::vector<char>> taken;
    for (const int count : objects_in) taken.push_back(std::vector<char>(count, 0));
    int correct = 0;
    std::vector<double> falling, recall;
    for (const int d : order) {
        const int image = detections[d].image;
        require(image >= 0 && image < static_cast<int>(taken.size()) && overlaps[d].size() == taken[image].size(),
                "average_precision: ", overlaps[d].size(), " overlaps of a detection in image ", image, " of ", taken.size(),
                "; there must be one for each object of the image");
        const int object = best_free_object(overlaps[d], taken[image], threshold);
        if (object >= 0) taken[image][object] = 1;
        correct += object >= 0;
        result.correct.push_back(object >= 0);
        falling.push_back(static_cast<double>(correct) / static_cast<double>(result.correct.size()));
        recall.push_back(static_cast<double>(correct) / objects);
        result.precision.push_back(static_cast<float>(falling.back()));
        result.recall.push_back(static_cast<float>(recall.back()));
    }
    for (int k = static_cast<int>(falling.size()) - 2; k >= 0; --k) falling[k] = std::max(falling[k], falling[k + 1]);
    result.average = area_of_101_points(falling, recall);
    return result;
}

// The boxes of one class in one image.
static Matrix boxes_of_class(const BoxesOfImage& image, int label) {
    std::vector<int> rows;
    for (int i = 0; i < static_cast<int>(image.labels.size()); ++i)
        if (image.labels[i] == label) rows.push_back(i);
    Matrix boxes(static_cast<int>(rows.size()), 4);
    for (int i = 0; i < boxes.rows; ++i) std::copy_n(image.corners.row(rows[i]), 4, boxes.row(i));
    return boxes;
}

float mean_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             float threshold) {
    require(found.size() == objects.size(), "mean_average_precision: boxes found in ", found.size(), " images, objects in ",
            objects.size(), "; there must be one of each for every image");
    require(classes >= 1, "mean_average_precision: ", classes, " classes, there must be at least 1");
    for (std::size_t i = 0; i < found.size(); ++i)
        for (const std::vector<int>* const labels : {&found[i].labels, &objects[i].labels})
            for (const int label : *labels)
                require(label >= 0 && label < classes, "mean_average_precision: label ", label, " in image ", i,
                        " is not one of ", classes, " classes, counted from 0");
    for (std::size_t i = 0; i < found.size(); ++i)
        require(found[i].labels.size() == found[i].scores.size() &&
                    found[i].corners.rows == static_cast<int>(found[i].labels.size()) &&
                    objects[i].corners.rows == static_cast<int>(objects[i].labels.size()),
                "mean_average_precision: image ", static_cast<int>(i), " has ", found[i].labels.size(), " labels and ",
                found[i].scores.size(), " scores for boxes ", found[i].corners, ", ", objects[i].labels.size(),
                " labels for objects ", objects[i].corners, "; every box needs a label, and one that was found a score");
    double total = 0;
    int counted = 0;
    for (int label = 0; label < classes; ++label) {
        std::vector<Detection> detections;
        std::vector<std::vector<float>> overlaps;
        std::vector<int> objects_in;
        for (int i = 0; i < static_cast<int>(found.size()); ++i) {
            const Matrix truth = boxes_of_class(objects[i], label);
            objects_in.push_back(truth.rows);
            const Matrix both = pairwise_iou(boxes_of_class(found[i], label), truth);
            int row = 0;
            for (std::size_t d = 0; d < found[i].labels.size(); ++d) {
                if (found[i].labels[d] != label) continue;
                detections.push_back({i, label, found[i].scores[d]});
                overlaps.push_back({both.row(row), both.row(row) + both.cols});
                ++row;
            }
        }
        const float average = average_precision(detections, overlaps, objects_in, threshold).average;
        if (average < 0) continue;  // the class has no object
        total += average;
        ++counted;
    }
    return counted == 0 ? 0 : static_cast<float>(total / counted);
}

float coco_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes) {
    double total = 0;
    for (int k = 0; k < 10; ++k) total += mean_average_precision(found, objects, classes, static_cast<float>(0.5 + 0.05 * k));
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
    for (const int id : image.ids)
        require(id >= 0 && id <= static_cast<int>(image.labels.size()), "panoptic_quality: a pixel of segment ", id,
                ", there are ", image.labels.size(), " labels, of segments from 1 on; 0 is not a segment");
}

static void add_image(QualitySums& sums, const PanopticImage& found, const PanopticImage& truth, int label) {
    require(found.ids.size() == truth.ids.size(), "panoptic_quality: images of ", found.ids.size(), " and ", truth.ids.size(),
            " pixels, both must have equally many");
    require_panoptic(found);
    require_panoptic(truth);
    std::vector<int> found_area(found.labels.size() + 1), truth_area(truth.labels.size() + 1);
    std::map<std::pair<int, int>, int> both;  // pixels of each pair of segments
    for (std::size_t k = 0; k < found.ids.size(); ++k) {
        ++found_area[found.ids[k]];
        ++truth_area[truth.ids[k]];
        ++both[{found.ids[k], truth.ids[k]}];
    }
    std::vector<char> matched_found(found_area.size()), matched_truth(truth_area.size());
    for (const auto& [pair, area] : both) {
        const auto [f, t] = pair;
        if (f == 0 || t == 0 || found.labels[f - 1] != label || truth.labels[t - 1] != label) continue;
        const auto on_void = both.find({f, 0});
        const int united = found_area[f] + truth_area[t] - area - (on_void == both.end() ? 0 : on_void->second);
        const double iou = static_cast<double>(area) / united;
        if (iou <= 0.5) continue;
        sums.iou += iou;
        ++sums.true_positives;
        matched_found[f] = matched_truth[t] = 1;
    }
    for (int t = 1; t < static_cast<int>(truth_area.size()); ++t)
        sums.missed += truth.labels[t - 1] == label && truth_area[t] > 0 && !matched_truth[t];
    for (int f = 1; f < static_cast<int>(found_area.size()); ++f) {
        if (found.labels[f - 1] != label || found_area[f] == 0 || matched_found[f]) continue;
        const auto on_void = both.find({f, 0});
        const bool mostly_void = on_void != both.end() && 2 * on_void->second > found_area[f];
        sums.false_positives += !mostly_void;
    }
}

PanopticQuality panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth, int label) {
    require(found.size() == truth.size(), "panoptic_quality: segments found in ", found.size(), " images, true ones in ",
            truth.size(), "; there must be one of each for every image");
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
