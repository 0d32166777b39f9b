// idx.cpp: any bytes as IDX images and as IDX labels.
// covers nn/data/idx.cpp parse_idx|checked_dimensions
#include "nn/data/idx.h"

#include <cstdint>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        parse_idx_images(bytes, "fuzz");
    } catch (const std::invalid_argument&) {
    }
    try {
        parse_idx_labels(bytes, "fuzz");
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
