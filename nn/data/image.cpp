#include "nn/data/image.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <string_view>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/image/png.h"

Image::Image(int height, int width, int channels, float value) : height(height), width(width), channels(channels) {
    require(height >= 0 && width >= 0 && channels >= 0, "Image: ", height, " x ", width, " x ", channels,
            " is impossible, none may be negative");
    const double numbers = static_cast<double>(height) * width * channels;  // also where 64 bits are too few
    require(numbers < 1e12, "Image: ", height, " x ", width, " x ", channels, " are ", numbers,
            " numbers, at most 1e12 can be held");
    try {
        pixels.assign(static_cast<std::size_t>(height) * width * channels, value);
    } catch (const std::bad_alloc&) {
        require(false, "Image: no memory for ", height, " x ", width, " x ", channels, " numbers, which take ", 4 * numbers / 1e9,
                " GB; make it smaller");
    }
}

void Image::outside(int y, int x, int c) const {
    throw std::out_of_range("Image: pixel (" + text(y) + ", " + text(x) + ", " + text(c) + ") of a " + shape(*this) + " image");
}

std::string shape(const Image& image) { return text(image.height) + " x " + text(image.width) + " x " + text(image.channels); }

namespace {
// A PNM file: words and numbers separated by spaces, "P3 # a comment\n 2 2 255 ..."; in P5 and P6, one space after the third
// number and then raw bytes.
class PnmReader {
public:
    PnmReader(std::string_view given, std::string_view source) : bytes(given), source(source) {}

    std::size_t position() const { return at; }  // the position after what was read

    Image whole_image() {
        const char kind = bytes.size() >= 2 && bytes[0] == 'P' ? bytes[1] : '?';
        const bool known = kind == '2' || kind == '3' || kind == '5' || kind == '6';
        const std::string other = known ? "" : looks_like(bytes);
        require(known, source, ": is not a PNG, PPM or PGM file, it must begin as PNG files do or with P2, P3, P5 or P6", other);
        const int channels = kind == '3' || kind == '6' ? 3 : 1;
        const int width = number("the width", 1, largest_side);
        const int height = number("the height", 1, largest_side);
        maximum = number("the largest value", 1, 65535);
        const std::uint64_t samples = std::uint64_t{1} * width * height * channels;
        return kind == '2' || kind == '3' ? plain_image(height, width, channels, samples)
                                          : byte_image(height, width, channels, samples);
    }

private:
    static constexpr int largest_side = 1'000'000;

    std::string_view bytes, source;
    std::size_t at = 2;  // after the letters of the kind
    int maximum = 0;

    static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

    // Spaces, and comments from # to the end of the line.
    void skip_spaces() {
        while (at < bytes.size() && (is_space(bytes[at]) || bytes[at] == '#')) {
            if (bytes[at] == '#') at = std::min(bytes.find('\n', at), bytes.size() - 1);
            ++at;
        }
    }

    // Whether another image of the same kind follows (P5 and P6 allow it).
    bool is_next_image(std::size_t position) const {
        return bytes.size() - position > 2 && bytes.substr(position, 2) == bytes.substr(0, 2) &&
               (is_space(bytes[position + 2]) || bytes[position + 2] == '#');
    }

    int number(std::string_view what, int least, int most) {
        const std::size_t spaces = at;
        skip_spaces();
        require(at < bytes.size(), source, ": ends where ", what, " should be");
        const std::size_t first = at;
        std::int64_t result = 0;
        for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at)
            result = std::min<std::int64_t>(result * 10 + (bytes[at] - '0'), std::int64_t{1} << 40);
        const bool stands_alone = first > spaces && (at == bytes.size() || is_space(bytes[at]) || bytes[at] == '#');
        require(stands_alone, source, ": byte ", first, ": ", what, " must be a number");
        require(result >= least && result <= most, source, ": byte ", first, ": ", what, " is ", result, ", it must be from ",
                least, " to ", most);
        return static_cast<int>(result);
    }

    Image plain_image(int height, int width, int channels, std::uint64_t samples) {
        require(samples <= (bytes.size() - at) / 2 + 1, source, ": ", height, " x ", width, " x ", channels, " needs ", samples,
                " numbers, the file ends before");
        Image image(height, width, channels);
        for (float& x : image.pixels) x = scaled(number("a sample", 0, maximum));
        skip_spaces();
        require(at == bytes.size(), source, ": byte ", at, ": something follows the last sample");
        return image;
    }

    Image byte_image(int height, int width, int channels, std::uint64_t samples) {
        require(at < bytes.size() && is_space(bytes[at]), source, ": byte ", at,
                ": one space must stand in front of the samples");
        ++at;
        const std::uint64_t size = maximum < 256 ? 1 : 2;  // bytes per sample, big-endian
        const std::uint64_t held = bytes.size() - at;
        const bool fits = held == samples * size || (held > samples * size && is_next_image(at + samples * size));
        const bool two_bytes = held > samples * size && bytes[at - 1] == '\r' && bytes[at] == '\n';
        const std::string_view cure = held < samples * size ? "; perhaps a download that broke off"
                                      : two_bytes ? "; its header ends in \\r\\n, one byte may stand in front of the samples"
                                                  : "; cut off what follows them, or convert it: magick FILE FILE.ppm";
        require(fits, source, ": ", height, " x ", width, " x ", channels, " needs ", samples * size,
                " bytes of samples, the file holds ", held, cure);
        Image image(height, width, channels);
        for (float& x : image.pixels) {
            const int high = size == 2 ? static_cast<unsigned char>(bytes[at++]) : 0;
            const int sample = high * 256 + static_cast<unsigned char>(bytes[at++]);
            require(sample <= maximum, source, ": byte ", at - size, ": a sample is ", sample, ", the largest value ", maximum);
            x = scaled(sample);
        }
        return image;
    }

    float scaled(int sample) const { return static_cast<float>(sample) / static_cast<float>(maximum); }
};
}  // namespace

static Image image_of_png(std::string_view bytes, std::string_view source) {
    const Pixels pixels = parse_png(bytes, source);
    Image image(pixels.height, pixels.width, pixels.channels);
    for (std::size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = static_cast<float>(static_cast<unsigned char>(pixels.samples[k])) / 255;
    return image;
}

Image parse_image(std::string_view bytes, std::string_view source) {
    return is_png(bytes) ? image_of_png(bytes, source) : PnmReader(bytes, source).whole_image();
}

std::vector<Image> parse_images(std::string_view bytes, std::string_view source) {
    if (is_png(bytes)) return {image_of_png(bytes, source)};
    std::vector<Image> images;
    for (std::size_t begin = 0; begin < bytes.size() || images.empty();) {
        PnmReader reader(bytes.substr(begin), source);
        images.push_back(reader.whole_image());
        begin += reader.position();
    }
    return images;
}

std::vector<Image> read_images(const std::string& path) { return parse_images(read_file(path), path); }

Image read_image(const std::string& path) { return parse_image(read_file(path), path); }

void require_whole(std::string_view place, const Image& image) {
    require(image.pixels.size() == static_cast<std::size_t>(image.height) * image.width * image.channels, place, ": an image of ",
            shape(image), " holds ", image.pixels.size(), " numbers, it must hold one for each pixel and channel");
}

// 0 ... 1 as bytes 0 ... 255.
static Pixels bytes_of(const Image& image, const std::string& place) {
    const bool writable = image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3);
    require(writable, place, ": a ", shape(image), " image, it must have pixels and 1 or 3 channels");
    require_whole(place, image);
    Pixels pixels{.height = image.height, .width = image.width, .channels = image.channels, .samples = {}};
    pixels.samples.reserve(image.pixels.size());
    for (const float x : image.pixels) {
        const float clamped = x > 0 ? std::min(x, 1.f) : 0.f;  // NaN is not > 0
        pixels.samples += static_cast<char>(static_cast<unsigned char>(std::lround(clamped * 255)));
    }
    return pixels;
}

std::string png_of(const Image& image) { return png_file(bytes_of(image, "png_of")); }

// A PPM file with the name of another format would be opened as that.
static void require_known_ending(const std::string& path) {
    for (const std::string_view ending : {".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".JPG", ".JPEG", ".PNG"})
        require(!path.ends_with(ending), "write_image: ", path, ": a file ", ending,
                " cannot be written here; name it .ppm or .png, or .pgm for grey");
}

void write_image(const std::string& path, const Image& image) {
    require_known_ending(path);
    const Pixels pixels = bytes_of(image, "write_image: " + path);
    const std::string header = (image.channels == 3 ? "P6\n" : "P5\n") + text(image.width) + " " + text(image.height) + "\n255\n";
    write_file_atomically(path, path.ends_with(".png") ? png_file(pixels) : header + pixels.samples);
}

Image image_from_channels_first(const float* numbers, int channels, int height, int width) {
    Image image(height, width, channels);
    require(numbers != nullptr || image.pixels.empty(), "image_from_channels_first: no numbers for an image of ", shape(image),
            "; it needs one for each pixel and channel");
    for (int c = 0; c < channels; ++c)
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) image(y, x, c) = *numbers++;
    return image;
}

std::vector<float> channels_first(const Image& image) {
    require_whole("channels_first", image);
    std::vector<float> numbers;
    numbers.reserve(image.pixels.size());
    for (int c = 0; c < image.channels; ++c)
        for (int y = 0; y < image.height; ++y)
            for (int x = 0; x < image.width; ++x) numbers.push_back(image(y, x, c));
    return numbers;
}

namespace {
// Along one axis: the source pixels of a new pixel are first, first + 1, ..., with weights that sum to 1.
struct SourcePixels {
    int first;
    std::vector<float> weights;
};
}  // namespace

// New pixel i has its centre at (i + 1/2) old/new; it is interpolated from the two nearest old pixels.
static std::vector<SourcePixels> bilinear_taps(int old_size, int new_size) {
    std::vector<SourcePixels> taps;
    for (int i = 0; i < new_size; ++i) {
        const double centre = (i + 0.5) * old_size / new_size - 0.5;  // in old pixels, 0 = the centre of the first
        const double position = std::clamp(centre, 0.0, old_size - 1.0);
        const int first = std::min(static_cast<int>(position), std::max(old_size - 2, 0));
        const double fraction = position - first;
        taps.push_back({first, {static_cast<float>(1 - fraction)}});
        if (old_size > 1) taps.back().weights.push_back(static_cast<float>(fraction));
    }
    return taps;
}

// A triangle filter around the new pixel's centre, which reaches one new pixel to each side but at least one old pixel; weights
// are normalised at the edges.
static std::vector<SourcePixels> triangle_taps(int old_size, int new_size) {
    const double scale = static_cast<double>(old_size) / new_size;
    const double reach = std::max(scale, 1.0);
    std::vector<SourcePixels> taps;
    for (int i = 0; i < new_size; ++i) {
        const double centre = (i + 0.5) * scale;
        const int first = std::max(static_cast<int>(centre - reach + 0.5), 0);
        const int end = std::min(static_cast<int>(centre + reach + 0.5), old_size);
        std::vector<double> heights;
        double sum = 0;
        for (int k = first; k < end; ++k) {
            heights.push_back(std::max(0.0, 1 - std::abs(k + 0.5 - centre) / reach));
            sum += heights.back();
        }
        taps.push_back({first, {}});
        for (const double height : heights) taps.back().weights.push_back(static_cast<float>(height / sum));
    }
    return taps;
}

static Image resize_rows(const Image& image, const std::vector<SourcePixels>& taps) {
    Image result(static_cast<int>(taps.size()), image.width, image.channels);
    for (int y = 0; y < result.height; ++y)
        for (std::size_t k = 0; k < taps[y].weights.size(); ++k)
            for (int x = 0; x < result.width; ++x)
                for (int c = 0; c < result.channels; ++c)
                    result(y, x, c) += taps[y].weights[k] * image(taps[y].first + static_cast<int>(k), x, c);
    return result;
}

static Image resize_columns(const Image& image, const std::vector<SourcePixels>& taps) {
    Image result(image.height, static_cast<int>(taps.size()), image.channels);
    for (int y = 0; y < result.height; ++y)
        for (int x = 0; x < result.width; ++x)
            for (std::size_t k = 0; k < taps[x].weights.size(); ++k)
                for (int c = 0; c < result.channels; ++c)
                    result(y, x, c) += taps[x].weights[k] * image(y, taps[x].first + static_cast<int>(k), c);
    return result;
}

static void require_resizable(const char* name, const Image& image, int height, int width) {
    require(image.height > 0 && image.width > 0 && height > 0 && width > 0, name, ": a ", shape(image), " image to ", height,
            " x ", width, ", every side must be at least 1");
    require(static_cast<double>(height) * width * image.channels < 1e12, name, ": ", height, " x ", width, " x ", image.channels,
            " numbers are more than the 1e12 that can be held");
    require_whole(name, image);
}

Image resize_bilinear(const Image& image, int height, int width) {
    require_resizable("resize_bilinear", image, height, width);
    return resize_rows(resize_columns(image, bilinear_taps(image.width, width)), bilinear_taps(image.height, height));
}

Image resize_bilinear_antialiased(const Image& image, int height, int width) {
    require_resizable("resize_bilinear_antialiased", image, height, width);
    return resize_rows(resize_columns(image, triangle_taps(image.width, width)), triangle_taps(image.height, height));
}

Image normalise(const Image& image, const std::vector<float>& mean, const std::vector<float>& standard_deviation) {
    const std::size_t C = static_cast<std::size_t>(image.channels);
    require(mean.size() == C && standard_deviation.size() == C, "normalise: ", mean.size(), " means and ",
            standard_deviation.size(), " standard deviations for a ", shape(image),
            " image, one of each for every channel is needed");
    require_whole("normalise", image);
    for (const float of_channel : mean)
        require(std::isfinite(of_channel), "normalise: a mean of ", of_channel,
                ", it must be finite; 0 leaves a channel as it is");
    for (const float deviation : standard_deviation)
        require(deviation > 0 && std::isfinite(deviation), "normalise: a standard deviation of ", deviation,
                ", it must be finite and above 0; 1 leaves a channel as it is");
    Image result = image;
    for (std::size_t k = 0; k < image.pixels.size(); ++k)
        result.pixels[k] = (image.pixels[k] - mean[k % C]) / standard_deviation[k % C];
    return result;
}

Image shifted(const Image& image, int down, int right, float fill) {
    require_whole("shifted", image);
    Image result(image.height, image.width, image.channels, fill);
    const int H = image.height, W = image.width;
    for (int y = 0; y < H; ++y)
        for (int x = 0; x < W; ++x) {
            const long from_y = long{y} - down, from_x = long{x} - right;
            if (from_y < 0 || from_y >= H || from_x < 0 || from_x >= W) continue;
            for (int c = 0; c < image.channels; ++c)
                result(y, x, c) = image(static_cast<int>(from_y), static_cast<int>(from_x), c);
        }
    return result;
}

Image warped(const Image& image, const Warp& warp, float fill) {
    require_whole("warped", image);
    for (const float number : {warp.down, warp.right, warp.yy, warp.yx, warp.xy, warp.xx})
        require(std::isfinite(number), "warped: a number of the transformation is ", number, ", all six must be finite");
    const int H = image.height, W = image.width, C = image.channels;
    const float centre_y = static_cast<float>(H - 1) / 2, centre_x = static_cast<float>(W - 1) / 2;
    Image result(H, W, C);
    for (int y = 0; y < H; ++y)
        for (int x = 0; x < W; ++x) {
            const float dy = static_cast<float>(y) - centre_y, dx = static_cast<float>(x) - centre_x;
            // More than a pixel outside, the result is `fill`.
            const float from_y = std::clamp(centre_y + warp.yy * dy + warp.yx * dx - warp.down, -2.f, static_cast<float>(H + 1));
            const float from_x = std::clamp(centre_x + warp.xy * dy + warp.xx * dx - warp.right, -2.f, static_cast<float>(W + 1));
            const float top = std::floor(from_y), left = std::floor(from_x);
            const float fraction_y = from_y - top, fraction_x = from_x - left;  // weights of the lower and of the right pixels
            for (int c = 0; c < C; ++c) {
                float mixed = 0;
                for (int corner = 0; corner < 4; ++corner) {
                    const int below = corner / 2, right = corner % 2;
                    const int at_y = static_cast<int>(top) + below, at_x = static_cast<int>(left) + right;
                    const bool inside = at_y >= 0 && at_y < H && at_x >= 0 && at_x < W;
                    mixed += (below ? fraction_y : 1 - fraction_y) * (right ? fraction_x : 1 - fraction_x) *
                             (inside ? image(at_y, at_x, c) : fill);
                }
                result(y, x, c) = mixed;
            }
        }
    return result;
}
