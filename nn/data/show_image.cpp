#include "nn/data/show_image.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "nn/base/require.h"
#include "nn/base/show.h"

Matrix channel(const Image& image, int c) {
    require(c >= 0 && c < image.channels, "channel: number ", c, " of an image with ", image.channels,
            " channels, they are counted from 0");
    require_whole("channel", image);
    Matrix m(image.height, image.width);
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) m(y, x) = image(y, x, c);
    return m;
}

static void print(const std::string& words) {
    std::fputs(words.c_str(), stdout);
    std::fflush(stdout);
}

void show(const Image& image) {
    print(shape(image) + "\n");
    for (int c = 0; c < image.channels; ++c) print("channel " + text(c) + " " + grid_text(channel(image, c)));
}

void stats(const Image& image) {
    print(shape(image) + "\n");
    for (int c = 0; c < image.channels; ++c) print("channel " + text(c) + " " + stats_text(channel(image, c)) + "\n");
}

void heat(const Image& image) { print(image_text(image, colours_welcome())); }

using Colour = std::array<float, 3>;  // red, green, blue, 0 ... 1

static Colour pixel(const Image& image, int y, int x, float black, float white) {
    Colour colour;
    for (int k = 0; k < 3; ++k) {
        const float number = image(y, x, image.channels == 3 ? k : 0);
        colour[k] = std::isfinite(number) && white > black ? std::clamp((number - black) / (white - black), 0.0f, 1.0f) : 0;
    }
    return colour;
}

// A terminal of 256 colours has a ramp of 24 greys (232 ...) and a cube of 6 x 6 x 6 colours (16 ...).
static std::string terminal_colour(const Colour& colour) {
    if (colour[0] == colour[1] && colour[1] == colour[2]) return text(232 + static_cast<int>(std::lround(colour[0] * 23)));
    int index = 0;
    for (const float share : colour) index = index * 6 + static_cast<int>(std::lround(share * 5));
    return text(16 + index);
}

static char letter(const Colour& colour) {
    const std::string ramp = " .:-=+*#%@";
    const float brightness = 0.299f * colour[0] + 0.587f * colour[1] + 0.114f * colour[2];  // luma (ITU-R BT.601)
    return ramp[std::lround(brightness * (ramp.size() - 1))];
}

std::string image_text(const Image& image, bool in_colour) {
    std::string words = shape(image);
    if (image.pixels.empty()) return words + "\n";
    const auto [low, high] = std::minmax_element(image.pixels.begin(), image.pixels.end());
    const bool stretched = *low < 0 || *high > 1;
    const float black = stretched ? *low : 0, white = stretched ? *high : 1;
    if (stretched) words += "  stretched from " + text(*low) + " ... " + text(*high);
    const int down = 96, across = in_colour ? 80 : 40;  // a row fits into 80 characters
    const int every = std::max((image.height + down - 1) / down, (image.width + across - 1) / across);
    if (every > 1) words += "  one pixel of " + text(every) + " x " + text(every);
    words += "\n";
    for (int y = 0; y < image.height; y += in_colour ? 2 * every : every) {
        for (int x = 0; x < image.width; x += every) {
            const Colour upper = pixel(image, y, x, black, white);
            if (!in_colour) {
                words += std::string(2, letter(upper));
                continue;
            }
            words += "\x1b[38;5;" + terminal_colour(upper) + "m";
            if (y + every < image.height) words += "\x1b[48;5;" + terminal_colour(pixel(image, y + every, x, black, white)) + "m";
            words += "\u2580";
        }
        words += in_colour ? "\x1b[0m\n" : "\n";
    }
    return words;
}
