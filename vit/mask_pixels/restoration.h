// restoration.h: a restored picture to look at, the number that judges it, and the guesses that any method has to beat.
//
//   symbols  N patches of a picture, numbered row by row   P patch side
//   note     hidden is the row of a mask that belongs to the picture, (1, N), 1 = hidden
#pragma once
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"

// The three pictures in which papers show what a model fills in.
struct Triple {
    Image masked;    // hidden patches covered with one grey
    Image restored;  // hidden patches as predicted, visible ones as they are
    Image original;
};
//   throws   std::invalid_argument when the sizes do not fit
Triple restoration(const Image& original, const Image& predicted, const Matrix& hidden, int patch_size, float cover = 0.5f);

// Pictures of equal size in rows of `across`, with gaps, every pixel `zoom` pixels wide: a page to write to a file.
Image contact_sheet(const std::vector<Image>& pictures, int across, int zoom = 1, int gap = 1, float gap_value = 1);

// Mean over the pixels of the hidden patches of all pictures, and over those of the visible ones, of |difference| or its square.
enum class Measure { absolute, squared };
struct Errors {
    double hidden;
    double visible;
};
//   mask     (pictures, N)
Errors errors(const std::vector<Image>& predicted, const std::vector<Image>& originals, const Matrix& mask, int patch_size,
              Measure measure);

// Guesses that know the kind of pictures and not this one, pixel by pixel. Of all fixed pictures the mean has the least
// squared error, the median the least absolute one.
Image mean_picture(const std::vector<Image>& pictures);
Image median_picture(const std::vector<Image>& pictures);

// A guess that knows this picture and no other: every hidden patch is a copy of the visible one whose centre is nearest (the
// first of several).   throws std::invalid_argument when no patch is visible
Image copy_nearest_visible(const Image& picture, const Matrix& hidden, int patch_size);
