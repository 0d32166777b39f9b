#include "nn/image/png.h"

#include <array>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "nn/base/require.h"
#include "nn/image/inflate.h"

static constexpr std::string_view signature = "\x89PNG\r\n\x1A\n";
static constexpr std::uint64_t most_samples = 100'000'000;

bool is_png(std::string_view bytes) { return bytes.starts_with(signature); }

std::uint32_t crc32(std::string_view bytes) {
    static const std::array<std::uint32_t, 256> table = [] {  // the remainder of each byte
        std::array<std::uint32_t, 256> remainders{};
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            std::uint32_t remainder = byte;
            for (int bit = 0; bit < 8; ++bit) remainder = remainder & 1 ? 0xEDB88320u ^ remainder >> 1 : remainder >> 1;
            remainders[byte] = remainder;
        }
        return remainders;
    }();
    std::uint32_t sum = 0xFFFFFFFFu;
    for (const char byte : bytes) sum = table[(sum ^ static_cast<unsigned char>(byte)) & 255] ^ sum >> 8;
    return ~sum;
}

// Four bytes, the highest first.
static std::uint32_t big_endian(std::string_view bytes) {
    std::uint32_t number = 0;
    for (int k = 0; k < 4; ++k) number = number << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(k)]);
    return number;
}

static std::string big_endian(std::uint32_t number) {
    std::string bytes;
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift & 255);
    return bytes;
}

// ---- reading ----------------------------------------------------------------------------------------------------------------

namespace {

enum class ColourType { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 };

class PngReader {
public:
    PngReader(std::string_view bytes, std::string_view source) : bytes(bytes), source(source) {}

    Pixels image() {
        require(is_png(bytes), source, ": is not a PNG file");
        at = signature.size();
        read_header(chunk("IHDR"));
        const std::string compressed = read_chunks();
        require(at == bytes.size(), source, ": ", bytes.size() - at,
                " bytes follow the end of the image; cut them off, or convert it: magick FILE FILE.ppm");
        require(type != ColourType::palette || !palette.empty(), source,
                ": there is no palette (PLTE), of which the pixels are the numbers");
        std::size_t size = 0;  // of the rows of all passes
        for (const Pass& pass : passes()) size += rows_of(pass) * (row_bytes(pass) + 1);
        std::string rows = zlib_unpacked(compressed, size, source);
        require(rows.size() == size, source, ": the rows take ", size, " bytes, ", rows.size(), " bytes are there");
        return pixels_of(rows);
    }

private:
    std::string_view bytes, source;
    std::size_t at = 0;
    int height = 0, width = 0, depth = 0;
    bool interlaced = false;
    ColourType type = ColourType::grey;
    std::string_view palette, transparency;

    // The pixels that are stored together, as a small image of their own: every dx-th of every dy-th row, from (y, x) on.
    struct Pass {
        int x, y, dx, dy;
    };

    // An interlaced file has seven (Adam7), each of which doubles the pixels that a slow connection has shown.
    std::vector<Pass> passes() const {
        if (!interlaced) return {{0, 0, 1, 1}};
        const Pass all[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
        std::vector<Pass> present;  // a pass without pixels has no rows in the file
        for (const Pass& pass : all)
            if (pass.x < width && pass.y < height) present.push_back(pass);
        return present;
    }

    std::size_t columns_of(const Pass& pass) const { return static_cast<std::size_t>((width - pass.x + pass.dx - 1) / pass.dx); }
    std::size_t rows_of(const Pass& pass) const { return static_cast<std::size_t>((height - pass.y + pass.dy - 1) / pass.dy); }
    std::size_t row_bytes(const Pass& pass) const {
        return (columns_of(pass) * static_cast<std::size_t>(samples_of_pixel() * depth) + 7) / 8;
    }

    int samples_of_pixel() const {
        switch (type) {
            case ColourType::grey:
            case ColourType::palette: return 1;
            case ColourType::grey_alpha: return 2;
            case ColourType::rgb: return 3;
            case ColourType::rgb_alpha: return 4;
        }
        return 0;
    }

    // Length, name, data, checksum of name and data.
    std::pair<std::string_view, std::string_view> next_chunk() {
        require(bytes.size() - at >= 12, source, ": ends at byte ", bytes.size(),
                ", where a chunk should follow; the last is IEND");
        const std::uint32_t length = big_endian(bytes.substr(at));
        const std::string_view name = bytes.substr(at + 4, 4);
        for (const char letter : name)
            require((letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z'), source, ": byte ", at + 4,
                    ": the name of a chunk must be four letters");
        require(length <= bytes.size() - at - 12, source, ": the chunk ", name, " says ", length,
                " bytes, the file ends before; perhaps a download that broke off");
        const std::string_view data = bytes.substr(at + 8, length);
        const std::uint32_t sum = crc32(bytes.substr(at + 4, 4 + std::size_t{length})),
                            said = big_endian(bytes.substr(at + 8 + length));
        require(sum == said, source, ": the checksum of the chunk ", name, " is ", sum, ", the file says ", said);
        at += 12 + std::size_t{length};
        return {name, data};
    }

    std::string_view chunk(std::string_view wanted) {
        const auto [name, data] = next_chunk();
        require(name == wanted, source, ": begins with the chunk ", name, ", it must be ", wanted);
        return data;
    }

    // All chunks after the header, up to the last.   returns  the data of every IDAT
    std::string read_chunks() {
        std::string compressed;
        std::string_view before = "IHDR";
        while (before != "IEND") {
            const auto [name, data] = next_chunk();
            const bool known = name == "PLTE" || name == "IDAT" || name == "IEND";
            const bool needed =
                name[0] >= 'A' && name[0] <= 'Z';  // a capital: a reader that does not know it must refuse the file
            require(known || !needed, source, ": the chunk ", name, " is not known here, and cannot be skipped");
            const bool in_data = before == "IDAT" || compressed.empty();
            require(name != "IDAT" || in_data, source, ": a chunk IDAT follows ", before,
                    "; the data of the pixels stand in one row of chunks");
            if (name == "PLTE" || name == "tRNS")
                require(compressed.empty(), source, ": the chunk ", name,
                        " follows the pixels (IDAT), which need it before them");
            if (name == "PLTE") read_palette(data);
            if (name == "tRNS") read_transparency(data);
            if (name == "IDAT") compressed += data;
            require(name != "IEND" || data.empty(), source, ": the chunk IEND has ", data.size(), " bytes, it must be empty");
            before = name;
        }
        return compressed;
    }

    void read_palette(std::string_view data) {
        require(palette.empty(), source, ": a second palette (PLTE); there may be one");
        require(type != ColourType::grey && type != ColourType::grey_alpha, source,
                ": a palette (PLTE) in an image of colour type ", static_cast<int>(type), ", whose pixels are grey");
        require(!data.empty() && data.size() % 3 == 0 && data.size() <= 768, source, ": a palette of ", data.size(),
                " bytes, it must be 3 for each of 1 to 256 colours");
        palette = data;
    }

    // The alpha of each colour of the palette, or the one transparent colour.
    void read_transparency(std::string_view data) {
        require(transparency.empty(), source, ": a second chunk tRNS; there may be one");
        const bool indexed = type == ColourType::palette;
        const std::size_t most = indexed ? palette.size() / 3 : 2 * static_cast<std::size_t>(samples_of_pixel());
        const bool has_alpha = type == ColourType::grey_alpha || type == ColourType::rgb_alpha;
        require(!has_alpha && !data.empty() && (indexed ? data.size() <= most : data.size() == most), source,
                ": the chunk tRNS has ", data.size(), " bytes in an image of colour type ", static_cast<int>(type),
                indexed     ? ", it must have one for each colour of the palette before it, or for the first of them"
                : has_alpha ? ", whose pixels have an alpha of their own"
                            : ", it must have two for each channel");
        transparency = data;
    }

    void read_header(std::string_view header) {
        require(header.size() == 13, source, ": a header of ", header.size(), " bytes, it must be 13");
        const auto byte = [&](std::size_t k) { return static_cast<int>(static_cast<unsigned char>(header[k])); };
        const std::uint64_t wide = big_endian(header), high = big_endian(header.substr(4));
        depth = byte(8);
        const int colour = byte(9);
        require(colour == 0 || colour == 2 || colour == 3 || colour == 4 || colour == 6, source, ": there is no colour type ",
                colour, " in PNG files");
        type = static_cast<ColourType>(colour);
        const bool may_be_small = type == ColourType::grey || type == ColourType::palette;
        const bool small = may_be_small && (depth == 1 || depth == 2 || depth == 4);
        const bool large = type != ColourType::palette && depth == 16;
        require(depth == 8 || small || large, source, ": there are no ", depth, " bits a sample of colour type ", colour,
                " in PNG files");
        require(byte(10) == 0 && byte(11) == 0, source, ": compression ", byte(10), " and filter ", byte(11), ", both must be 0");
        require(byte(12) <= 1, source, ": interlacing ", byte(12), ", it must be 0 (none) or 1 (Adam7)");
        interlaced = byte(12) == 1;
        require(wide > 0 && high > 0 && high <= most_samples / 3 / wide, source, ": ", high, " x ", wide,
                " pixels, there must be some and at most ", most_samples / 3);
        width = static_cast<int>(wide);
        height = static_cast<int>(high);
    }

    // Each row begins with the number of its filter: what was subtracted from each byte, the byte to the left (a), above (b), above
    // to the left (c), is added again.
    //   at_row  where the rows of the pass begin
    void undo_filters(std::string& rows, std::size_t at_row, const Pass& pass) const {
        const std::size_t bytes_of_row = row_bytes(pass);
        const std::size_t step = static_cast<std::size_t>(samples_of_pixel() * depth + 7) / 8;  // bytes to the pixel on the left
        const auto byte = [&](std::size_t k) { return static_cast<int>(static_cast<unsigned char>(rows[k])); };
        for (std::size_t y = 0; y < rows_of(pass); ++y) {
            const std::size_t first = at_row + y * (bytes_of_row + 1) + 1;
            const int filter = byte(first - 1);
            require(filter <= 4, source, ": row ", y, " has the filter ", filter, ", 4 is the last");
            for (std::size_t k = 0; k < bytes_of_row; ++k) {
                const int a = k >= step ? byte(first + k - step) : 0;
                const int b = y > 0 ? byte(first + k - (bytes_of_row + 1)) : 0;
                const int c = y > 0 && k >= step ? byte(first + k - step - (bytes_of_row + 1)) : 0;
                const int added = filter == 1   ? a
                                  : filter == 2 ? b
                                  : filter == 3 ? (a + b) / 2
                                  : filter == 4 ? nearest(a, b, c)
                                                : 0;
                rows[first + k] = static_cast<char>(byte(first + k) + added);
            }
        }
    }

    // Paeth's predictor: of a, b and c the one that is nearest to a + b - c; the first of equals.
    static int nearest(int a, int b, int c) {
        const int to_a = std::abs(b - c), to_b = std::abs(a - c), to_c = std::abs(a + b - 2 * c);
        return to_a <= to_b && to_a <= to_c ? a : to_b <= to_c ? b : c;
    }

    Pixels pixels_of(std::string& rows) const {
        const bool grey = type == ColourType::grey || type == ColourType::grey_alpha;
        Pixels pixels{.height = height, .width = width, .channels = grey ? 1 : 3, .samples = {}};
        pixels.samples.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width * pixels.channels));
        const std::size_t samples = static_cast<std::size_t>(samples_of_pixel());
        std::size_t row = 0;  // where the next row begins
        for (const Pass& pass : passes()) {
            undo_filters(rows, row, pass);
            for (int y = pass.y; y < height; y += pass.dy, row += row_bytes(pass) + 1)
                for (std::size_t i = 0; i < columns_of(pass); ++i) {
                    std::array<int, 4> s{};
                    for (std::size_t k = 0; k < samples; ++k) s[k] = sample(rows, row + 1, i * samples + k);
                    set_pixel(pixels, s, y, pass.x + static_cast<int>(i) * pass.dx);
                }
        }
        return pixels;
    }

    int sample(const std::string& rows, std::size_t first, std::size_t number) const {
        const std::size_t bit = number * static_cast<std::size_t>(depth);
        const int byte = static_cast<unsigned char>(rows[first + bit / 8]);
        if (depth == 16) return 256 * byte + static_cast<unsigned char>(rows[first + bit / 8 + 1]);
        return byte >> (8 - depth - static_cast<int>(bit % 8)) & ((1 << depth) - 1);  // small samples: the high bits come first
    }

    // Alpha blending of `value` over white: alpha 255 shows only the value, 0 only white.
    static char over_white(int value, int alpha) { return static_cast<char>((value * alpha + 255 * (255 - alpha) + 127) / 255); }

    // tRNS of a grey or RGB image: two bytes a sample, the one colour that is transparent.
    bool is_transparent(const std::array<int, 4>& s, std::size_t samples) const {
        if (transparency.empty()) return false;
        for (std::size_t k = 0; k < samples; ++k)
            if (s[k] !=
                256 * static_cast<unsigned char>(transparency[2 * k]) + static_cast<unsigned char>(transparency[2 * k + 1]))
                return false;
        return true;
    }

    // A sample as one of 0 ... 255; those of 16 bits are rounded.
    int to_byte(int sample) const {
        const int largest = (1 << depth) - 1;
        return (sample * 255 + largest / 2) / largest;
    }

    void set_pixel(Pixels& pixels, const std::array<int, 4>& s, int y, int x) const {
        char* const pixel =
            &pixels.samples[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
                            static_cast<std::size_t>(pixels.channels)];
        if (type == ColourType::grey) {
            pixel[0] = over_white(to_byte(s[0]), is_transparent(s, 1) ? 0 : 255);
        } else if (type == ColourType::grey_alpha) {
            pixel[0] = over_white(to_byte(s[0]), to_byte(s[1]));
        } else if (type == ColourType::palette) {
            const std::size_t number = static_cast<std::size_t>(s[0]);
            require(number < palette.size() / 3, source, ": pixel (", y, ", ", x, ") has colour ", number, " of a palette of ",
                    palette.size() / 3);
            const int alpha = number < transparency.size() ? static_cast<unsigned char>(transparency[number]) : 255;
            for (std::size_t c = 0; c < 3; ++c) pixel[c] = over_white(static_cast<unsigned char>(palette[3 * number + c]), alpha);
        } else {
            const int alpha = type == ColourType::rgb_alpha ? to_byte(s[3]) : is_transparent(s, 3) ? 0 : 255;
            for (std::size_t c = 0; c < 3; ++c) pixel[c] = over_white(to_byte(s[c]), alpha);
        }
    }
};

}  // namespace

Pixels parse_png(std::string_view bytes, std::string_view source) { return PngReader(bytes, source).image(); }

// ---- writing ----------------------------------------------------------------------------------------------------------------

static void add_chunk(std::string& file, std::string_view name, std::string_view data) {
    const std::string body = std::string(name) + std::string(data);
    file += big_endian(static_cast<std::uint32_t>(data.size())) + body + big_endian(crc32(body));
}

// The colours of an RGB image in the order of their first pixels; none when there are more than 256.
static std::map<std::string_view, int> few_colours(const Pixels& pixels) {
    std::map<std::string_view, int> numbers;
    for (std::size_t k = 0; k < pixels.samples.size() && numbers.size() <= 256; k += 3)
        numbers.emplace(std::string_view(pixels.samples).substr(k, 3), static_cast<int>(numbers.size()));
    if (numbers.size() > 256) numbers.clear();
    return numbers;
}

std::string png_file(const Pixels& pixels) {
    const std::size_t row = static_cast<std::size_t>(pixels.width) * static_cast<std::size_t>(pixels.channels);
    const bool fits = pixels.height > 0 && pixels.width > 0 && (pixels.channels == 1 || pixels.channels == 3) &&
                      pixels.samples.size() == row * static_cast<std::size_t>(pixels.height);
    require(fits, "png_file: ", pixels.height, " x ", pixels.width, " x ", pixels.channels, " with ", pixels.samples.size(),
            " samples; it must have pixels, 1 or 3 channels, and as many samples as that makes");
    std::map<std::string_view, int> colours;
    if (pixels.channels == 3) colours = few_colours(pixels);
    const bool with_palette = !colours.empty();
    std::string rows;
    for (int y = 0; y < pixels.height; ++y) {
        rows += '\0';  // no filter
        const std::string_view samples = std::string_view(pixels.samples).substr(static_cast<std::size_t>(y) * row, row);
        if (!with_palette) rows += samples;
        for (std::size_t k = 0; with_palette && k < row; k += 3) rows += static_cast<char>(colours.at(samples.substr(k, 3)));
    }
    const ColourType type = with_palette ? ColourType::palette : pixels.channels == 1 ? ColourType::grey : ColourType::rgb;
    std::string file(signature);
    const std::string sizes =
        big_endian(static_cast<std::uint32_t>(pixels.width)) + big_endian(static_cast<std::uint32_t>(pixels.height));
    add_chunk(file, "IHDR", sizes + '\x08' + static_cast<char>(type) + std::string(3, '\0'));
    if (with_palette) {
        std::string palette(3 * colours.size(), '\0');
        for (const auto& [colour, number] : colours) palette.replace(3 * static_cast<std::size_t>(number), 3, colour);
        add_chunk(file, "PLTE", palette);
    }
    add_chunk(file, "IDAT", zlib_stored(rows));
    add_chunk(file, "IEND", "");
    return file;
}
