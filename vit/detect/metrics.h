// metrics.h: metrics of detection: average precision (AP) of boxes or masks, and panoptic quality (PQ).
//
//   papers   Lin et al., "Microsoft COCO", 2014, arXiv 1405.0312, and its evaluation (pycocotools): AP
//            Kirillov et al., "Panoptic Segmentation", 2018, arXiv 1801.00868, Eq. 1: PQ = SQ x RQ
//   equations [PQ 1]
//   shows    that AP is the area under the precision-recall curve of one sorted list of detections; that panoptic quality needs no
//            score
//   symbols  TP, FP, FN true and false positives, missed objects   SQ segmentation quality   RQ recognition quality
//   differs  no "crowd" regions, no size classes, no limit on detections per image
#pragma once
#include <vector>

#include "nn/base/matrix.h"

// --- average precision ---

// One detection of one class in one image.
struct Detection {
    int image = 0;
    int label = 0;
    float score = 0;
};

// Detections of one class against the objects of that class, at one threshold.
//   detections  all of them, in any order; equal scores keep it
//   overlaps    IoU of each detection with each object of its image: overlaps[d] has objects_in[image] numbers
//   objects_in  number of objects of the class in each image
struct PrecisionRecall {
    std::vector<char> correct;     // of each detection, the best score first
    std::vector<float> precision;  // after each of them: TP / (TP + FP)
    std::vector<float> recall;     // TP / objects
    float average = 0;             // AP; -1 when there is no object
};
// As COCO does it: from the best score down, each detection takes the free object of the largest IoU, if it reaches the threshold; then
// precision is made monotonic (each value becomes the largest from there on) and averaged over 101 recalls 0, 0.01, ..., 1.
PrecisionRecall average_precision(const std::vector<Detection>& detections, const std::vector<std::vector<float>>& overlaps,
                                  const std::vector<int>& objects_in, float threshold);

// The boxes of one image, of all classes.
struct BoxesOfImage {
    Matrix corners = {};             // (n, 4)
    std::vector<int> labels = {};    // n
    std::vector<float> scores = {};  // n; of objects: empty
};
// The mean over the classes that have an object, at one threshold; and over thresholds 0.50, 0.55, ..., 0.95, which is COCO's "AP".
//   throws  std::invalid_argument when the images are not equally many, or numbers of labels, scores and boxes differ
float mean_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes,
                             float threshold);
float coco_average_precision(const std::vector<BoxesOfImage>& found, const std::vector<BoxesOfImage>& objects, int classes);

// --- panoptic quality ---

// An image in which every pixel belongs to at most one segment.
struct PanopticImage {
    std::vector<int> ids = {};     // of each pixel; 0 = void
    std::vector<int> labels = {};  // class of segment 1, 2, ...
};

struct PanopticQuality {
    double quality = 0;       // PQ = sum of the IoU of all TP / (TP + FP / 2 + FN / 2)
    double segmentation = 0;  // SQ = mean IoU of the TP
    double recognition = 0;   // RQ = TP / (TP + FP / 2 + FN / 2)
    int true_positives = 0, false_positives = 0, missed = 0;
};
// One class in all images. A predicted segment and a true one of the same class match when their IoU exceeds 1/2, so each has at most
// one partner. Void pixels of the truth do not count in a union, and a predicted segment that is mostly void is ignored. Without any
// segment all numbers are 0.
//   throws  std::invalid_argument when images or pixels are not equally many, or an id has no label
PanopticQuality panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth, int label);

// PQ, SQ and RQ averaged over the classes that occur in the truth or in the predictions; the counts are summed.
PanopticQuality mean_panoptic_quality(const std::vector<PanopticImage>& found, const std::vector<PanopticImage>& truth,
                                      int classes);
