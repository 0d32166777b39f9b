// points.h: bilinear sampling: the value of a map at any point, interpolated between the four pixels around it.
//
//   papers   Jaderberg et al., "Spatial Transformer Networks", 2015, arXiv 1506.02025, Eq. 5
//            Kirillov et al., "PointRend", 2020, arXiv 1912.08193 (losses on points)
//   equations [STN 5]
//   shows    that interpolation is a weighted sum of four rows; the weights have a gradient with respect to the point, so a model can
//            learn where to look
//   symbols  x, y a point: 0 ... 1 from the left and the top edge; pixel (i, j) has its centre at ((j + 1/2) / W, (i + 1/2) / H)
//   source   PyTorch's grid_sample with align_corners = False and zero padding; detectron2's point_sample
#pragma once
#include <vector>

#include "nn/maps/map.h"

// The four pixels around each point and their weights.
struct Corners {
    std::vector<int> rows;  // 4 n rows of the map: above left, above right, below left, below right; -1 outside the map
    Var weights;            // (n, 4)  bilinear weights
};

// points   (n, 2), x and y; a point near or beyond the edge has fewer than four pixels inside the map, or none
// image    of each point; empty = the same number of points in each image, image after image
// throws   std::invalid_argument when the points are not (n, 2), or an image does not exist
Corners corners(const MapSize& size, const Var& points, const std::vector<int>& image = {}, Where where = Where::current());

// The map at these points; outside it is zero. Gradients flow to the map and to the points.
//   returns  (n, C)
Var sample(const Map& map, const Var& points, const std::vector<int>& image = {}, Where where = Where::current());
