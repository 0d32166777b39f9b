// image.cpp: any bytes as a PPM or PGM file. Either an image of the size that it says, or one line of refusal.
// covers nn/data/image.cpp PnmReader|parse_image
#include "nn/data/image.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const Image image = parse_image({reinterpret_cast<const char*>(data), size}, "fuzz");
        for (const float x : image.pixels)
            if (!(x >= 0 && x <= 1)) std::abort();
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
