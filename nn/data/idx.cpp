#include "nn/data/idx.h"

#include <algorithm>
#include <cstdint>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"

static unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

// The dimensions of the header, checked against the length of the file.
static std::vector<std::uint32_t> checked_dimensions(std::string_view bytes, std::string_view source, std::size_t wanted) {
    const bool is_idx = bytes.size() >= 2 && byte_at(bytes, 0) == 0 && byte_at(bytes, 1) == 0;
    const std::string other = is_idx ? "" : kind_of_bytes(bytes);
    require(other.empty(), source, ": is not an IDX file, it looks like ", other);
    const std::size_t header = 4 + 4 * wanted;
    require(bytes.size() >= header, source, ": ", bytes.size(), " bytes are too few for an IDX file of ", wanted, " dimensions");
    require(byte_at(bytes, 0) == 0 && byte_at(bytes, 1) == 0, source, ": is not an IDX file, it must begin with two bytes 0");
    require(byte_at(bytes, 2) == 8, source, ": holds numbers of type ", byte_at(bytes, 2), ", only bytes (type 8) are read");
    require(byte_at(bytes, 3) == wanted, source, ": has ", byte_at(bytes, 3), " dimensions, ", wanted,
            wanted == 3 ? " are needed (images)" : " is needed (labels)");

    std::vector<std::uint32_t> dimensions;
    const std::uint64_t held = bytes.size() - header;
    std::uint64_t needed = 1;
    for (std::size_t k = 0; k < wanted; ++k) {
        const std::size_t at = 4 + 4 * k;
        dimensions.push_back(byte_at(bytes, at) << 24 | byte_at(bytes, at + 1) << 16 | byte_at(bytes, at + 2) << 8 |
                             byte_at(bytes, at + 3));
        require(dimensions.back() > 0, source, ": dimension ", k + 1, " is 0, it must be at least 1");
        needed = std::min(needed * dimensions.back(), std::uint64_t{1} << 31);  // 2^31 * 2^32 still fits 64 bits
    }
    const std::string at_least = needed == std::uint64_t{1} << 31 ? "at least " : "";
    require(needed == held, source, ": the header promises ", at_least, needed, " numbers, the file holds ", held);
    return dimensions;
}

std::vector<Image> parse_idx_images(std::string_view bytes, std::string_view source) {
    const std::vector<std::uint32_t> dimensions = checked_dimensions(bytes, source, 3);
    const int height = static_cast<int>(dimensions[1]), width = static_cast<int>(dimensions[2]);
    std::vector<Image> images;
    images.reserve(dimensions[0]);
    std::size_t at = 16;
    for (std::uint32_t n = 0; n < dimensions[0]; ++n) {
        images.emplace_back(height, width, 1);
        for (float& x : images.back().pixels) x = static_cast<float>(byte_at(bytes, at++)) / 255.f;
    }
    return images;
}

std::vector<int> parse_idx_labels(std::string_view bytes, std::string_view source) {
    checked_dimensions(bytes, source, 1);
    std::vector<int> labels;
    labels.reserve(bytes.size() - 8);
    for (std::size_t at = 8; at < bytes.size(); ++at) labels.push_back(static_cast<int>(byte_at(bytes, at)));
    return labels;
}

std::vector<Image> read_idx_images(const std::string& path) { return parse_idx_images(read_file(path), path); }

std::vector<int> read_idx_labels(const std::string& path) { return parse_idx_labels(read_file(path), path); }

LabelledImages read_labelled_images(const std::string& images_path, const std::string& labels_path) {
    LabelledImages both{read_idx_images(images_path), read_idx_labels(labels_path)};
    require(both.images.size() == both.labels.size(), labels_path, ": ", both.labels.size(), " labels for the ",
            both.images.size(), " images of ", images_path, ", each needs one");
    both.classes = *std::max_element(both.labels.begin(), both.labels.end()) + 1;
    return both;
}
