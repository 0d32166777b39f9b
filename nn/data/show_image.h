// show_image.h: look at a picture, from a program or from a debugger.
//
//   shows   show(image) prints shape and numbers of each channel, heat(image) the picture itself, stats(image) each channel
//   unit    0 is black and 1 is white in heat(image); a picture in another unit (normalised, say) is stretched from its smallest
//           to its largest number, and heat says so
#pragma once
#include <string>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

void show(const Image& image);
void heat(const Image& image);
void stats(const Image& image);

// Channel c as rows and columns of pixels.   throws std::invalid_argument when there is no channel c
Matrix channel(const Image& image, int c);

// What heat prints. In colour two rows of pixels share one line of half blocks; without, a pixel is two letters, darker to brighter.
// A picture of three channels is drawn in its own colours; of any other number of channels, the first is drawn.
// A picture wider or higher than 96 pixels is drawn by every second, third, ... pixel.
std::string picture_text(const Image& image, bool in_colour);
