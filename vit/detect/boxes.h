// boxes.h: bounding boxes: formats, intersection over union (IoU), non-maximum suppression, quantised coordinates.
//
//   papers   Everingham et al., "The Pascal VOC Challenge", 2010, Eq. 3 (intersection over union)
//            Rezatofighi et al., "Generalized Intersection over Union", 2019, arXiv 1902.09630, Algorithm 1
//            Chen et al., "Pix2seq", 2021, arXiv 2109.10852, section 2.1 (quantised coordinates)
//   equations [VOC 3] intersection over union
//   shows    that a format is a 4 x 4 matrix, so boxes convert with gradient; that IoU is 0 for all boxes that do not overlap, near
//            or far, and so has no gradient there, while generalised IoU has one
//   symbols  n, m boxes   I area of the intersection   U of the union   C of the smallest box around both
//   unit     any, the same on both axes of a box: pixels, or fractions of width and height (relative)
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

enum class BoxFormat {
    corners,      // left, top, right, bottom.            torchvision, Mask R-CNN; the format of all functions below
    centre_size,  // centre x, centre y, width, height.   DETR, OWL-ViT, YOLO
    corner_size,  // left, top, width, height.            COCO's files
    rows_first,   // top, left, bottom, right.            TensorFlow, Pix2Seq, ViLD
};

// (n, 4) in one format as (n, 4) in another.
Var convert_boxes(const Var& boxes, BoxFormat from, BoxFormat to, Where where = Where::current());

// Corners in pixels to fractions of height and width, and back.
Matrix relative_boxes(const Matrix& corners, int height, int width);
Matrix pixel_boxes(const Matrix& corners, int height, int width);

// Corners clipped to the image.
Matrix clipped_boxes(const Matrix& corners, float height, float width);

// (n, 4) corners -> (n, 1). A box whose right is left of its left, or whose bottom is above its top, is empty.
Matrix box_areas(const Matrix& corners);

// --- overlap ---

// A box that is not finite, or whose right is left of its left, is refused: it would silently overlap nothing.
// IoU, I / U, and generalised IoU, I / U - (C - U) / C, of every box of a with every box of b: (n, 4), (m, 4) corners -> (n, m). Two
// empty boxes have IoU 0.
//   example  1 x 1 beside 1 x 1, touching: IoU 0, generalised 0; with a gap of 1 between them U = 2, C = 3, so -1/3
Matrix pairwise_iou(const Matrix& a, const Matrix& b);
Matrix pairwise_generalised_iou(const Matrix& a, const Matrix& b);
// The fraction of each box of a that lies in each box of b, I / area of a; 0 for an empty box of a: (n, m). COCO's
// overlap with a crowd.
Matrix pairwise_share(const Matrix& a, const Matrix& b);

// The same of box i with box i, with gradient: (n, 4), (n, 4) corners -> (n, 1).
Var iou(const Var& a, const Var& b, Where where = Where::current());
Var generalised_iou(const Var& a, const Var& b, Where where = Where::current());

// Non-maximum suppression (NMS): from the best score down, a box is kept unless its IoU with a kept one exceeds the threshold.
//   labels   of each box; only boxes of the same label suppress each other. Empty = all have the same label
//   returns  the kept boxes, the best first; equal scores keep their order
//   throws   std::invalid_argument unless there is one score and one label for each box
std::vector<int> suppress_non_maxima(const Matrix& corners, const std::vector<float>& scores, float threshold,
                                     const std::vector<int>& labels = {});

// --- coordinates as tokens ---

// round(x * (bins - 1)), half to even, within 0 ... bins - 1; x from 0 to 1.   And back: bin / (bins - 1).
//   throws   std::invalid_argument for fewer than 2 bins, or a coordinate that is not a number
std::vector<int> quantised(const Matrix& coordinates, int bins);
Matrix dequantised(const std::vector<int>& bins_of, int bins, int columns);
