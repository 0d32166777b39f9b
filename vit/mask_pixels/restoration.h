// restoration.h: restored images, their errors, and the baselines that a method must beat.
//
//   symbols  N patches of an image, numbered row by row   P patch side
//   note     mask is the row of one image, (1, N), 1 = masked
#pragma once
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"

// The three images by which papers show predictions.
struct Triple {
    Image masked;    // masked patches grey
    Image restored;  // masked patches as predicted, visible ones unchanged
    Image original;
};
//   throws   std::invalid_argument when the sizes do not fit
Triple restoration(const Image& original, const Image& predicted, const Matrix& mask, int patch_size, float cover = 0.5f);

// A sheet of images of equal size in rows of `across`, with gaps, each pixel `zoom` pixels wide: to write to a file.
Image contact_sheet(const std::vector<Image>& images, int across, int zoom = 1, int gap = 1, float gap_value = 1);

// Mean absolute or squared error over the pixels of the masked patches of all images, and over those of the visible ones.
enum class Measure { absolute, squared };
struct Errors {
    double masked;
    double visible;
};
//   mask     (images, N)
Errors errors(const std::vector<Image>& predicted, const std::vector<Image>& originals, const Matrix& mask, int patch_size,
              Measure measure);

// Baselines that use the training set but not this image, pixel by pixel. Of all fixed images the mean has the least squared error,
// the median the least absolute error.
Image mean_image(const std::vector<Image>& images);
Image median_image(const std::vector<Image>& images);

// A baseline that uses this image alone: each masked patch is a copy of the nearest visible one, measured between centres (the
// first of several).   throws std::invalid_argument when no patch is visible
Image copy_nearest_visible(const Image& image, const Matrix& mask, int patch_size);
