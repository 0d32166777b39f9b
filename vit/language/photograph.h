// photograph.h: preprocessing of photographs: bicubic resizing and centre crop to the square that a model reads.
//
//   shows    the preprocessing of CLIP and its successors
//   source   Pillow's BICUBIC as torchvision calls it (Resize, CenterCrop), without its rounding to 8 bits
//   next     normalise() of image.h
#pragma once
#include <string>

#include "nn/data/image.h"
#include "nn/data/json.h"

// A published file may ask for pixels in another range than 0 ... 1, as images are read here.
//   throws   std::invalid_argument with the path where do_rescale is false or rescale_factor is not 1/255
void require_pixels_to_1(const Json& config, const std::string& path);

// A grey image with its values in all three channels; an image in colour as it is. Pillow's convert("RGB") does the same.
//   throws   std::invalid_argument for another number of channels
Image in_colour(const Image& image);

// Antialiased bicubic interpolation: Keys' kernel with a = -0.5; for downsampling it is widened by the same factor, so that every
// source pixel counts. First across, then down; values are clamped to 0 ... 1 after each, as 8-bit pixels are.
//   image    values 0 ... 1
//   throws   std::invalid_argument for an empty image or a size below 1
Image resize_bicubic_antialiased(const Image& image, int height, int width);

// The same with a new size of `side` for the shorter side and side * longer / shorter, rounded down, for the longer.
Image resize_shorter_side(const Image& image, int side);

// The middle (height, width) of an image. A corner at half a pixel is rounded to the even number.
//   throws   std::invalid_argument when the image is smaller
//   Example: 3 of 4 rows: those from 0 on (half a row rounds to 0); 3 of 6: from 2 on (1.5)
Image centre_crop(const Image& image, int height, int width);
