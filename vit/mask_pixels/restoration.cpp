#include "vit/mask_pixels/restoration.h"

#include <algorithm>
#include <cmath>

#include "nn/base/require.h"

static bool same_size(const Image& a, const Image& b) {
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

static bool is_hidden(const Matrix& mask, int picture, int y, int x, int across, int patch_size) {
    return mask(picture, y / patch_size * across + x / patch_size) != 0;
}

static void require_mask(const Matrix& mask, int pictures, const Image& picture, int patch_size) {
    require(patch_size > 0 && picture.height % patch_size == 0 && picture.width % patch_size == 0 && mask.rows == pictures &&
                mask.cols == (picture.height / patch_size) * (picture.width / patch_size),
            "restoration: a mask ", shape(mask), " for ", pictures, " pictures of ", shape(picture), " in patches of side ",
            patch_size, "; each picture needs a row, each patch a number");
}

Triple restoration(const Image& original, const Image& predicted, const Matrix& hidden, int patch_size, float cover) {
    require(same_size(original, predicted), "restoration: the prediction is ", shape(predicted), ", the picture ",
            shape(original), ", both must be equally large");
    require_mask(hidden, 1, original, patch_size);
    Triple triple{original, original, original};
    const int across = original.width / patch_size;
    for (int y = 0; y < original.height; ++y)
        for (int x = 0; x < original.width; ++x) {
            if (!is_hidden(hidden, 0, y, x, across, patch_size)) continue;
            for (int c = 0; c < original.channels; ++c) {
                triple.masked(y, x, c) = cover;
                triple.restored(y, x, c) = predicted(y, x, c);
            }
        }
    return triple;
}

Image contact_sheet(const std::vector<Image>& pictures, int across, int zoom, int gap, float gap_value) {
    require(!pictures.empty() && across > 0 && zoom > 0 && gap >= 0, "contact_sheet: ", pictures.size(), " pictures, ", across,
            " across, ", zoom, " times as large, with gaps of ", gap, "; only the gap may be 0");
    const Image& first = pictures[0];
    const int down = (static_cast<int>(pictures.size()) + across - 1) / across;
    const int cell_height = first.height * zoom + gap, cell_width = first.width * zoom + gap;
    Image sheet(down * cell_height - gap, across * cell_width - gap, first.channels, gap_value);
    for (int n = 0; n < static_cast<int>(pictures.size()); ++n) {
        require(same_size(pictures[n], first), "contact_sheet: picture ", n, " is ", shape(pictures[n]), ", the first one ",
                shape(first));
        const int top = n / across * cell_height, left = n % across * cell_width;
        for (int y = 0; y < first.height * zoom; ++y)
            for (int x = 0; x < first.width * zoom; ++x)
                for (int c = 0; c < first.channels; ++c) sheet(top + y, left + x, c) = pictures[n](y / zoom, x / zoom, c);
    }
    return sheet;
}

Errors errors(const std::vector<Image>& predicted, const std::vector<Image>& originals, const Matrix& mask, int patch_size,
              Measure measure) {
    require(!originals.empty() && predicted.size() == originals.size(), "errors: ", predicted.size(), " predictions of ",
            originals.size(), " pictures; each needs one, and there must be a picture");
    require_mask(mask, static_cast<int>(originals.size()), originals[0], patch_size);
    double total[2] = {0, 0};  // of the visible pixels, of the hidden ones
    long count[2] = {0, 0};
    for (int b = 0; b < mask.rows; ++b) {
        const Image& original = originals[b];
        require(same_size(original, originals[0]) && same_size(original, predicted[b]), "errors: picture ", b, " is ",
                shape(original), ", its prediction ", shape(predicted[b]), ", the first picture ", shape(originals[0]));
        for (int y = 0; y < original.height; ++y)
            for (int x = 0; x < original.width; ++x)
                for (int c = 0; c < original.channels; ++c) {
                    const double difference = predicted[b](y, x, c) - original(y, x, c);
                    const int side = is_hidden(mask, b, y, x, original.width / patch_size, patch_size);
                    total[side] += measure == Measure::squared ? difference * difference : std::abs(difference);
                    ++count[side];
                }
    }
    return {.hidden = count[1] == 0 ? 0 : total[1] / count[1], .visible = count[0] == 0 ? 0 : total[0] / count[0]};
}

static void require_equal_size(const char* who, const std::vector<Image>& pictures) {
    require(!pictures.empty(), who, ": there is no picture; give at least one");
    for (const Image& picture : pictures)
        require(same_size(picture, pictures[0]), who, ": ", shape(picture), " among pictures of ", shape(pictures[0]));
}

Image mean_image(const std::vector<Image>& pictures) {
    require_equal_size("mean_image", pictures);
    Image mean(pictures[0].height, pictures[0].width, pictures[0].channels);
    for (const Image& picture : pictures)
        for (std::size_t k = 0; k < mean.pixels.size(); ++k)
            mean.pixels[k] += picture.pixels[k] / static_cast<float>(pictures.size());
    return mean;
}

Image median_image(const std::vector<Image>& pictures) {
    require_equal_size("median_image", pictures);
    Image median = pictures[0];
    std::vector<float> values(pictures.size());
    for (std::size_t k = 0; k < median.pixels.size(); ++k) {
        for (std::size_t b = 0; b < pictures.size(); ++b) values[b] = pictures[b].pixels[k];
        std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
        median.pixels[k] = values[values.size() / 2];  // of an even number, the upper one of the middle two
    }
    return median;
}

// The visible patch nearest to patch n, -1 when there is none.
static int nearest_visible(const Matrix& hidden, int n, int across) {
    int nearest = -1, least = 0;
    for (int m = 0; m < hidden.cols; ++m) {
        const int down = m / across - n / across, right = m % across - n % across;
        const int squared = down * down + right * right;
        if (hidden(0, m) != 0 || (nearest >= 0 && squared >= least)) continue;
        nearest = m;
        least = squared;
    }
    return nearest;
}

Image copy_nearest_visible(const Image& picture, const Matrix& hidden, int patch_size) {
    require_mask(hidden, 1, picture, patch_size);
    const Matrix patches = patchify(picture, patch_size);  // (N, P*P*C)
    Matrix copied = patches;
    for (int n = 0; n < patches.rows; ++n) {
        if (hidden(0, n) == 0) continue;
        const int from = nearest_visible(hidden, n, picture.width / patch_size);
        require(from >= 0, "copy_nearest_visible: no patch is visible; a smaller mask ratio leaves some");
        std::copy_n(patches.row(from), patches.cols, copied.row(n));
    }
    return unpatchify(copied, patch_size, picture.height, picture.width, picture.channels);
}
