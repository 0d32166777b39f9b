// annotate.h: boxes and masks drawn onto pictures, in colours that can be told apart.
//
//   shows    what a detector found, as an image like any other: for the terminal (picture of a lesson) and for a file (write_image)
//   unit     0 is black and 1 is white
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

struct Colour {
    float red = 0, green = 0, blue = 0;
};

// Colour number 0, 1, ... of twelve that differ clearly, then again from the first.
Colour palette(int number);

// Every pixel as factor x factor pixels, in three channels; a picture of one channel becomes grey.
//   throws  std::invalid_argument for another number of channels, or a factor below 1
Image enlarged(const Image& image, int factor);

// The outline of a box, one pixel wide, clipped to the picture.
//   corners  (1, 4) left, top, right, bottom, as shares of width and height
void draw_box(Image& image, const Matrix& corners, Colour colour);

// A picture of three channels in which pixels of segment 1, 2, ... are mixed with colours[0], colours[1], ...; those of segment 0 stay.
//   ids      of each pixel
//   share    of the colour in the mixture
//   throws   std::invalid_argument when there are not as many ids as pixels, or a segment has no colour
Image with_segments(const Image& image, const std::vector<int>& ids, const std::vector<Colour>& colours, float share = 0.7f);

// All pictures, equally high, in one row, with a white line of `gap` pixels between them.
Image in_a_row(const std::vector<Image>& images, int gap = 2);
// And rows of pictures below one another, all equally wide.
Image in_a_column(const std::vector<Image>& images, int gap = 2);
