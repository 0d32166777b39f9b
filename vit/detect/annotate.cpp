#include "vit/detect/annotate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "nn/base/finite.h"
#include "nn/base/require.h"

Colour palette(int number) {
    static const std::array<Colour, 12> colours{{{0.90f, 0.10f, 0.10f},
                                                 {0.10f, 0.70f, 0.20f},
                                                 {0.15f, 0.35f, 0.95f},
                                                 {1.00f, 0.85f, 0.10f},
                                                 {0.80f, 0.20f, 0.85f},
                                                 {0.10f, 0.80f, 0.85f},
                                                 {1.00f, 0.55f, 0.10f},
                                                 {0.60f, 0.90f, 0.20f},
                                                 {1.00f, 0.60f, 0.75f},
                                                 {0.55f, 0.35f, 0.15f},
                                                 {0.50f, 0.50f, 0.60f},
                                                 {0.95f, 0.95f, 0.95f}}};
    const int count = static_cast<int>(colours.size());
    return colours[(number % count + count) % count];
}

static void set(Image& image, int y, int x, Colour colour) {
    image(y, x, 0) = colour.red;
    image(y, x, 1) = colour.green;
    image(y, x, 2) = colour.blue;
}

Image enlarged(const Image& image, int factor) {
    require(factor >= 1 && (image.channels == 1 || image.channels == 3), "enlarged: an image of ", shape(image), " by ", factor,
            ", it must have 1 or 3 channels and the factor be at least 1");
    require_whole("enlarged", image);
    require(static_cast<double>(std::max(image.height, image.width)) * factor <= std::numeric_limits<int>::max(),
            "enlarged: an image of ", shape(image), " by ", factor, " has a side of more than 2147483647 pixels");
    Image large(image.height * factor, image.width * factor, 3);
    for (int y = 0; y < large.height; ++y)
        for (int x = 0; x < large.width; ++x)
            for (int c = 0; c < 3; ++c) large(y, x, c) = image(y / factor, x / factor, image.channels == 1 ? 0 : c);
    return large;
}

void draw_box(Image& image, const Matrix& corners, Colour colour) {
    require(image.channels == 3 && corners.rows == 1 && corners.cols == 4, "draw_box: a box ", corners, " on an image of ",
            shape(image), ", it must be (1, 4) on three channels");
    require_finite(corners, "draw_box", "corners");
    require(corners(0, 0) <= corners(0, 2) && corners(0, 1) <= corners(0, 3), "draw_box: the corners ", corners(0, 0), ", ",
            corners(0, 1), ", ", corners(0, 2), ", ", corners(0, 3),
            " must be left <= right and top <= bottom; convert_boxes makes them of other formats");
    const auto pixel = [](float share, int size) { return std::clamp(static_cast<int>(std::lround(share * size)), 0, size); };
    const int left = pixel(corners(0, 0), image.width), right = std::max(left, pixel(corners(0, 2), image.width) - 1);
    const int top = pixel(corners(0, 1), image.height), bottom = std::max(top, pixel(corners(0, 3), image.height) - 1);
    for (int x = left; x <= right && x < image.width; ++x)
        for (const int y : {top, bottom})
            if (y < image.height) set(image, y, x, colour);
    for (int y = top; y <= bottom && y < image.height; ++y)
        for (const int x : {left, right})
            if (x < image.width) set(image, y, x, colour);
}

Image with_segments(const Image& image, const std::vector<int>& ids, const std::vector<Colour>& colours, float share) {
    Image result = enlarged(image, 1);
    require(static_cast<int>(ids.size()) == image.height * image.width, "with_segments: ", ids.size(), " ids for an image of ",
            shape(image), ", each pixel needs one");
    require(share >= 0 && share <= 1, "with_segments: ", share,
            " of the colour in the mixture, it must be a fraction from 0 to 1");
    for (int k = 0; k < static_cast<int>(ids.size()); ++k) {
        if (ids[k] == 0) continue;
        require(ids[k] > 0 && ids[k] <= static_cast<int>(colours.size()), "with_segments: segment ", ids[k],
                " has no colour, there are ", colours.size(), ", for segments from 1 on");
        const int y = k / image.width, x = k % image.width;
        const Colour colour = colours[ids[k] - 1];
        result(y, x, 0) += share * (colour.red - result(y, x, 0));
        result(y, x, 1) += share * (colour.green - result(y, x, 1));
        result(y, x, 2) += share * (colour.blue - result(y, x, 2));
    }
    return result;
}

// Stacks images vertically or, with `across`, joins them horizontally.
static Image joined_images(const std::vector<Image>& images, int gap, bool across, const char* who) {
    require(!images.empty() && gap >= 0, who, ": ", images.size(), " images with ", gap,
            " pixels between them; there must be at least 1, and the gap not negative");
    int height = 0, width = 0;
    for (const Image& image : images) {
        require(image.channels == 3 && (across ? image.height == images[0].height : image.width == images[0].width), who, ": ",
                shape(image), " beside ", shape(images[0]), "; all must have 3 channels and the same ",
                across ? "height" : "width", ", see enlarged");
        height = across ? image.height : height + image.height + gap;
        width = across ? width + image.width + gap : image.width;
    }
    Image all(height - (across ? 0 : gap), width - (across ? gap : 0), 3, 1);
    int at = 0;
    for (const Image& image : images) {
        for (int y = 0; y < image.height; ++y)
            for (int x = 0; x < image.width; ++x)
                for (int c = 0; c < 3; ++c) all(across ? y : at + y, across ? at + x : x, c) = image(y, x, c);
        at += (across ? image.width : image.height) + gap;
    }
    return all;
}

Image in_a_row(const std::vector<Image>& images, int gap) { return joined_images(images, gap, true, "in_a_row"); }
Image in_a_column(const std::vector<Image>& images, int gap) { return joined_images(images, gap, false, "in_a_column"); }
