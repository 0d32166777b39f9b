// png.cpp: any bytes as a PNG file. The checksums are written by us, so that what follows them is reached; either an image of
// the size that the file says, which reads back from the file that we write of it, or one line of refusal.
// covers nn/image/png.cpp PngReader|parse_png
// covers nn/image/inflate.cpp Inflater|Code|Bits|zlib_unpacked
#include "nn/image/png.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "nn/image/inflate.h"

// Puts the right sum after each chunk whose length fits.
static void mend_sums(std::string& file) {
    std::size_t at = 8;
    while (file.size() - at >= 12 && at < file.size()) {
        std::size_t length = 0;
        for (std::size_t k = 0; k < 4; ++k) length = length << 8 | static_cast<unsigned char>(file[at + k]);
        if (length > file.size() - at - 12) return;
        const std::uint32_t sum = crc32(std::string_view(file).substr(at + 4, 4 + length));
        for (std::size_t k = 0; k < 4; ++k) file[at + 8 + length + k] = static_cast<char>(sum >> (24 - 8 * k) & 255);
        at += 12 + length;
    }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string file(reinterpret_cast<const char*>(data), size);
    try {
        zlib_unpacked(file, 100000, "fuzz");
    } catch (const std::invalid_argument&) {
    }
    if (file.size() > 8) mend_sums(file);
    try {
        const Pixels pixels = parse_png(file, "fuzz");
        if (pixels.samples.size() != static_cast<std::size_t>(pixels.height) * pixels.width * pixels.channels) std::abort();
        if (parse_png(png_file(pixels), "fuzz").samples != pixels.samples) std::abort();
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
