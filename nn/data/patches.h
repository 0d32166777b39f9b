// patches.h: an image cut into square patches, each flattened to one row; and back.
//
//   symbols  H, W height and width   P patch side   C channels   N = (H / P)(W / P) patches
//   order    patches are numbered left to right, then top to bottom: n = (row of patches) * (W / P) + (column of patches)
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

// The image size of a model and its patches.
struct PatchGrid {
    int height = 224;     // H, pixels
    int width = 224;      // W, pixels
    int patch_size = 16;  // P, pixels; must divide H and W
    int channels = 3;     // C

    int down() const { return height / patch_size; }                    // H / P
    int across() const { return width / patch_size; }                   // W / P
    int count() const { return down() * across(); }                     // N
    int numbers() const { return patch_size * patch_size * channels; }  // per patch: P*P*C
};

// throws  std::invalid_argument when P does not divide H and W, or a size is not positive; `who` begins the message
void check(const PatchGrid& grid, const char* who);

// Cuts an image into P x P patches and flattens each to one row.
//   image    (H, W, C), any unit
//   returns  (N, P*P*C); within a row the pixel row is slowest, then the pixel column, and the channel changes fastest
//   throws   std::invalid_argument when P does not divide H and W
//   source   ViT section 3.1 (x_p)
Matrix patchify(const Image& image, int patch_size);

// The same patches with the channel slowest, then the pixel row, then the column: the layout of a convolution weight (d, C, P,
// P).
Matrix patchify_channel_major(const Image& image, int patch_size);

// The inverses of patchify() and patchify_channel_major().
//   patches  (N, P*P*C)
//   throws   std::invalid_argument when the patches do not form such an image
Image unpatchify(const Matrix& patches, int patch_size, int height, int width, int channels);
Image unpatchify_channel_major(const Matrix& patches, int patch_size, int height, int width, int channels);

// A batch: the patches of all images as rows, (B*N, P*P*C), and back.
//   who      begins the message, "vit: image 0 is 8 x 8 x 1, this model reads 8 x 8 x 3"
//   throws   std::invalid_argument when there is no image, one is not (H, W, C), or the patches are not those of whole images
Matrix patchify_all(const std::vector<Image>& images, const PatchGrid& grid, const char* who);
std::vector<Image> unpatchify_all(const Matrix& patches, const PatchGrid& grid);
