// show_image.h: print an image, from a program or from a debugger.
//
//   shows   show(image) prints shape and numbers of each channel, heat(image) draws it, stats(image) statistics of each
//           channel
//   unit    0 is black and 1 is white in heat(image); other ranges (a normalised image, for example) are rescaled, and heat says
//           so
#pragma once
#include <string>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

void show(const Image& image);
void heat(const Image& image);
void stats(const Image& image);

// Channel c as rows and columns of pixels.   throws std::invalid_argument when there is no channel c
Matrix channel(const Image& image, int c);

// What heat prints. In colour, two rows of pixels share one line of half blocks; otherwise a pixel is two characters. An image of
// three channels is drawn in colour; of other images the first channel is drawn. An image of more than 96 rows or 80 columns, without colour 40, is subsampled.
std::string image_text(const Image& image, bool in_colour);
