// metrics.h: metrics of detection: average precision (AP) of boxes or masks, and panoptic quality (PQ).
//
//   papers   Lin et al., "Microsoft COCO", 2014, arXiv 1405.0312, and its evaluation (pycocotools): AP
//            Kirillov et al., "Panoptic Segmentation", 2018, arXiv 1801.00868, Eq. 1: PQ = SQ x RQ
//   equations [PQ 1]
//   shows    that AP is the area under the precision-recall curve of one sorted list of detections; that panoptic quality needs no
//            score
//   symbols  TP, FP, FN true and false positives, missed objects   SQ segmentation quality   RQ recognition quality
//   source   COCOeval of pycocotools for boxes, and panopticapi's evaluation
#pragma once
#include <vector>

#include "nn/base/matrix.h"

// --- average precision ---

// One detection of one class in one image.
struct Detection {
    int image = 0;
    int label = 0;
    float score = 0;
    bool outside = false;  // its area is outside the range that is evaluated: unmatched, it is ignored and no false positive
};

enum class ObjectKind : char {
    counted,  // an ordinary object, matched by at most one detection; unmatched, it is missed
    ignored,  // its area is outside the range: the one detection that matches it is neither a true nor a false positive
    crowd,    // one box around many objects: as ignored, but any number of detections may match it
};

// Detections of one class against the objects of that class, at one threshold.
//   detections  all of them, in any order, which decides between equal scores
//   overlaps    IoU of each detection with each object of its image: overlaps[d] has objects_in[image] numbers; with a crowd, the
//               fraction of the detection that lies in it
//   objects_in  number of objects of the class in each image
//   kinds       of the objects of each image; empty = all are counted
struct PrecisionRecall {
    std::vector<char> correct;     // of each detection that is not ignored, the best score first
    std::vector<float> precision;  // after each of them: TP / (TP + FP)
    std::vector<float> recall;     // TP / counted objects
    float average = 0;             // AP; -1, and the lists are empty, when there is no counted object
};
// As COCO does it: from the best score down, each detection matches the free object of largest IoU, if it reaches the threshold,
// the last of equal ones; ignored objects and crowds are considered only when no counted one does. Then precision is made
// monotonic (each value becomes the largest from there on) and averaged over 101 recalls 0, 0.01, ..., 1.
//   throws  std::invalid_argument when sizes do not fit, for a score that is NaN, an overlap outside [0, 1], a threshold outside (0, 1]
PrecisionRecall average_precision(const std::vector<Detection>& detections, const std::vector<std::vector<float>>& overlaps,
                                  const std::vector<int>& objects_in, float threshold,
                                  const std::vector<std::vector<ObjectKind>>& kinds = {});

// The boxes of one image, of all classes.
struct BoxesOfImage {
    Matrix corners = {};             // (n, 4)
    std::vector<int> labels = {};    // n
    std::vector<float> scores = {};  // n; of objects: empty
    std::vector<char> crowd = {};    // of objects: n, 1 = a crowd; empty = none is
    std::vector<float> areas = {};   // n; empty = areas of the boxes. COCO takes the areas of the objects' masks
};

// What is evaluated. The defaults are those of COCO's "AP"; of its small, medium and large objects: areas 0 to 32^2, 32^2 to
// 96^2, 96^2 to 1e10 pixels, both ends included.
struct DetectionLimits {
    int per_image = 100;  // most detections of one class that count in one image: those of the best scores
    float smallest_area = 0, largest_area = 1e10f;
};
// The mean over the classes that have a counted object, -1 when none has; at one threshold, and over thresholds 0.50, 0.55, ..., 0.95,
// which is COCO's "AP".
//   throws  std::invalid_argument when the numbers of images, or of labels, scores and boxes differ; for a label outside the
//           classes, a score that is NaN, or limits that are negative or reversed
float mean_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             float threshold, const DetectionLimits& limits = {});
float coco_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             const DetectionLimits& limits = {});

// --- panoptic quality ---

// An image in which every pixel belongs to at most one segment.
struct PanopticImage {
    std::vector<int> ids = {};     // of each pixel; 0 = void
    std::vector<int> labels = {};  // class of segment 1, 2, ...
    std::vector<char> crowd = {};  // of true segments: 1 = a crowd, one segment of many objects; empty = none is
};

struct PanopticQuality {
    double quality = 0;       // PQ = sum of the IoU of all TP / (TP + FP / 2 + FN / 2)
    double segmentation = 0;  // SQ = mean IoU of the TP
    double recognition = 0;   // RQ = TP / (TP + FP / 2 + FN / 2)
    int true_positives = 0, false_positives = 0, missed = 0;
};
// One class in all images. A predicted segment and a true one of the same class match when their IoU exceeds 1/2, so each has at most
// one partner. Void pixels of the ground truth do not count in a union. A crowd is neither matched nor missed. A predicted
// segment is ignored when more than half of it is void or crowd of its class; a segment without pixels does not exist. Without any
// segment all numbers are 0.
//   throws  std::invalid_argument when the numbers of images or pixels differ, an id has no label, or crowd does not fit labels
PanopticQuality panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth, int label);

// PQ, SQ and RQ averaged over the classes that occur in the truth or in the predictions; the counts are summed.
PanopticQuality mean_panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth,
                                      int classes);
