// annotate.h: draw boxes and masks on images, in colours that are easy to tell apart.
//
//   shows    a detector's output as an image, for the terminal (picture of a lesson) and for a file (write_image)
//   unit     0 is black and 1 is white
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

struct Colour {
    float red = 0, green = 0, blue = 0;
};

// Colour `number` of twelve that differ clearly; larger numbers start again from the first.
Colour palette(int number);

// Every pixel as factor x factor pixels, in three channels; an image of one channel becomes grey.
//   throws  std::invalid_argument for another number of channels, or a factor below 1
Image enlarged(const Image& image, int factor);

// Draws the outline of a box, one pixel wide, clipped to the image.
//   corners  (1, 4) left, top, right, bottom, relative to width and height
void draw_box(Image& image, const Matrix& corners, Colour colour);

// An image of three channels in which segment k = 1, 2, ... is blended with colours[k - 1]; segment 0 stays as it is.
//   ids      the segment of each pixel
//   share    opacity of the colour, 0 ... 1
//   throws   std::invalid_argument when there are not as many ids as pixels, or a segment has no colour
Image with_segments(const Image& image, const std::vector<int>& ids, const std::vector<Colour>& colours, float share = 0.7f);

// Joins images of equal height side by side, with a white line of `gap` pixels between them.
Image in_a_row(const std::vector<Image>& images, int gap = 2);
// Stacks images of equal width vertically, with the same line between them.
Image in_a_column(const std::vector<Image>& images, int gap = 2);
