// hog.h: histograms of oriented gradients (HOG): the orientations of edges in each cell, independent of brightness and contrast.
//
//   papers   Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", 2005
//            as the target of MaskFeat: Wei et al., 2021, arXiv 2112.09133, section 3.1
//   shows    a hand-crafted feature, computed in one pass without a trained network
//   symbols  H, W height and width   C channels   b bins   c side of a cell, pixels   u cells along the side of a patch
//   differs  from Dalal and Triggs, as MaskFeat's code does: a pixel votes for one bin of one cell (no interpolation), each cell is
//            normalised by itself (no overlapping blocks), nothing is clipped
//   neighbour  convolution.h (nn/maps) learns its filters; the filters and bins here are fixed
//   next     hog.cpp, then maskfeat.h, which predicts it
#pragma once
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"

namespace hog {

struct Config {
    int bins = 9;  // b, over 180 degrees: opposite gradients have the same orientation
    int cell = 8;  // c, pixels
};

// throws  std::invalid_argument when there are no bins, or c does not divide P; `who` begins the message
void check(const Config& config, const PatchGrid& grid, const char* who = "hog");

struct Steps {
    Image gradient_x;      // (H, W, C)  left minus right, weighted 1 2 1 over three rows (Sobel)
    Image gradient_y;      // (H, W, C)  upper minus lower, weighted 1 2 1 over three columns
    Image magnitude;       // (H, W, C)  sqrt(gx^2 + gy^2)
    std::vector<int> bin;  // H*W*C      0 ... b - 1, in the order of the pixels
    Matrix histograms;     // ((H/c)(W/c), C*b)  magnitudes of the cell's pixels, summed by bin; channel slowest
    Matrix descriptors;    // ((H/c)(W/c), C*b)  each channel's b numbers divided by their length
};

// The histogram of each cell, left to right and top to bottom.
//   image   (H, W, C), any unit; at least 2 x 2 pixels, because the border is reflected
//   throws  std::invalid_argument when c does not divide H and W
//   source  HOGLayerC of the published code
Steps describe(const Image& image, const Config& config);

// The descriptor of each patch: the descriptors of its u x u cells.
//   descriptors  of one image, (cells, C*b)
//   returns      (N, C*b*u*u); within a row the channel is slowest, then the bin, the row of the cell, its column
Matrix of_patches(const Matrix& descriptors, const PatchGrid& grid, const Config& config);

// --- visualisation ---

// A rose in each cell: for each orientation a line through the centre, along the edge (perpendicular to the gradient), its length and
// brightness proportional to the descriptor. Channels are averaged.
//   descriptors  of one image of `down` x `across` cells
//   side         of a drawn cell, pixels
//   returns      (down * side, across * side, 1), 0 ... 1
Image roses(const Matrix& descriptors, int down, int across, int bins, int side = 15);

}  // namespace hog
