// points.h: the value of a map at any point, mixed from the four pixels around it.
//
//   papers   Jaderberg et al., "Spatial Transformer Networks", 2015, arXiv 1506.02025, Eqs. 5-7
//            Kirillov et al., "PointRend", 2020, arXiv 1912.08193 (losses on points)
//   shows    that reading between pixels is a weighted sum of four rows; the weights have a gradient with respect to the point, so
//            a model can learn where to look
//   symbols  x, y a point: 0 ... 1 from the left and the top edge of the map; pixel (i, j) has its centre at ((j + 1/2) / W, (i + 1/2) / H)
//   source   PyTorch's grid_sample with align_corners = False and zero padding; detectron2's point_sample
#pragma once
#include <vector>

#include "nn/maps/map.h"

// The four pixels around every point and how much of each.
struct Corners {
    std::vector<int> rows;  // 4 n rows of the map: above left, above right, below left, below right; -1 beyond the edge
    Var weights;            // (n, 4)  the areas opposite to them
};

// points   (n, 2), x and y; anything beyond 0 ... 1 by more than half a pixel has only some of its four pixels, or none
// image    of each point; empty = as many points in every image, image after image
// throws   std::invalid_argument when the points are not (n, 2), or an image does not exist
Corners corners(const MapSize& size, const Var& points, const std::vector<int>& image = {}, Where where = Where::current());

// The map at these points, with zeros around it. Gradients flow to the map and to the points.
//   returns  (n, C)
Var sample(const Map& map, const Var& points, const std::vector<int>& image = {}, Where where = Where::current());
