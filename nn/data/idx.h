// idx.h: labelled grey-scale images in the IDX format: MNIST, Fashion-MNIST and the digits of this project.
//
//   format   2 bytes 0, one byte for the type (8: unsigned byte), one for the number of dimensions, each dimension as 4 bytes
//            big-endian, then the numbers, the last dimension fastest
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "nn/data/image.h"

struct LabelledImages {
    std::vector<Image> images;  // all of one size, 1 channel, 0 ... 1
    std::vector<int> labels;    // as many
    int classes = 0;            // the largest label + 1

    int count() const { return static_cast<int>(images.size()); }
};

// Images, three dimensions (count, height, width): 0 ... 255 becomes 0 ... 1. Labels, one dimension: 0 ... 255.
//   throws  std::invalid_argument with the path and what is wrong, also when the length of the file does not match its dimensions
std::vector<Image> read_idx_images(const std::string& path);
std::vector<int> read_idx_labels(const std::string& path);

// Both.   throws std::invalid_argument also when the numbers of labels and images differ or are 0
LabelledImages read_labelled_images(const std::string& images_path, const std::string& labels_path);

// The same from bytes in memory; `source` names them in messages.
std::vector<Image> parse_idx_images(std::string_view bytes, std::string_view source);
std::vector<int> parse_idx_labels(std::string_view bytes, std::string_view source);
