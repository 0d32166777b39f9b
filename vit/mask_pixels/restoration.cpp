#include "vit/mask_pixels/restoration.h"

#include <algorithm>
#include <cmath>

#include "nn/base/require.h"

static bool same_size(const Image& a, const Image& b) {
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

static bool is_masked(const Matrix& mask, int image, int y, int x, int across, int patch_size) {
    return mask(image, y / patch_size * across + x / patch_size) != 0;
}

static void require_mask(const Matrix& mask, int images, const Image& image, int patch_size) {
    require(patch_size > 0 && image.height % patch_size == 0 && image.width % patch_size == 0 && mask.rows == images &&
                mask.cols == (image.height / patch_size) * (image.width / patch_size),
            "restoration: a mask ", shape(mask), " for ", images, " images of ", shape(image), " in patches of side ", patch_size,
            "; each image needs a row, each patch a number");
    for (const float x : mask) require(x == 0 || x == 1, "restoration: a mask holds 1 (masked) and 0 (visible), not ", x);
}

Triple restoration(const Image& original, const Image& predicted, const Matrix& mask, int patch_size, float cover) {
    require(same_size(original, predicted), "restoration: the prediction is ", shape(predicted), ", the image ", shape(original),
            ", both must have the same size");
    require_mask(mask, 1, original, patch_size);
    Triple triple{original, original, original};
    const int across = original.width / patch_size;
    for (int y = 0; y < original.height; ++y)
        for (int x = 0; x < original.width; ++x) {
            if (!is_masked(mask, 0, y, x, across, patch_size)) continue;
            for (int c = 0; c < original.channels; ++c) {
                triple.masked(y, x, c) = cover;
                triple.restored(y, x, c) = predicted(y, x, c);
            }
        }
    return triple;
}

Image contact_sheet(const std::vector<Image>& images, int across, int zoom, int gap, float gap_value) {
    require(!images.empty() && across > 0 && zoom > 0 && gap >= 0, "contact_sheet: ", images.size(), " images, ", across,
            " across, ", zoom, " times as large, with gaps of ", gap, "; only the gap may be 0");
    const Image& first = images[0];
    const int down = (static_cast<int>(images.size()) + across - 1) / across;
    const int cell_height = first.height * zoom + gap, cell_width = first.width * zoom + gap;
    Image sheet(down * cell_height - gap, across * cell_width - gap, first.channels, gap_value);
    for (int n = 0; n < static_cast<int>(images.size()); ++n) {
        require(same_size(images[n], first), "contact_sheet: image ", n, " is ", shape(images[n]), ", the first one ",
                shape(first));
        const int top = n / across * cell_height, left = n % across * cell_width;
        for (int y = 0; y < first.height * zoom; ++y)
            for (int x = 0; x < first.width * zoom; ++x)
                for (int c = 0; c < first.channels; ++c) sheet(top + y, left + x, c) = images[n](y / zoom, x / zoom, c);
    }
    return sheet;
}

Errors errors(const std::vector<Image>& predicted, const std::vector<Image>& originals, const Matrix& mask, int patch_size,
              Measure measure) {
    require(!originals.empty() && predicted.size() == originals.size(), "errors: ", predicted.size(), " predictions of ",
            originals.size(), " images; each needs one, and there must be an image");
    require_mask(mask, static_cast<int>(originals.size()), originals[0], patch_size);
    double total[2] = {0, 0};  // of the visible pixels, of the masked ones
    long count[2] = {0, 0};
    for (int b = 0; b < mask.rows; ++b) {
        const Image& original = originals[b];
        require(same_size(original, originals[0]) && same_size(original, predicted[b]), "errors: image ", b, " is ",
                shape(original), ", its prediction ", shape(predicted[b]), ", the first image ", shape(originals[0]));
        for (int y = 0; y < original.height; ++y)
            for (int x = 0; x < original.width; ++x)
                for (int c = 0; c < original.channels; ++c) {
                    const double difference = predicted[b](y, x, c) - original(y, x, c);
                    const int side = is_masked(mask, b, y, x, original.width / patch_size, patch_size);
                    total[side] += measure == Measure::squared ? difference * difference : std::abs(difference);
                    ++count[side];
                }
    }
    return {.masked = count[1] == 0 ? 0 : total[1] / count[1], .visible = count[0] == 0 ? 0 : total[0] / count[0]};
}

static void require_equal_size(const char* who, const std::vector<Image>& images) {
    require(!images.empty(), who, ": there is no image; give at least one");
    for (const Image& image : images) {
        require(same_size(image, images[0]), who, ": ", shape(image), " among images of ", shape(images[0]));
        require_whole(who, image);
    }
}

Image mean_image(const std::vector<Image>& images) {
    require_equal_size("mean_image", images);
    Image mean(images[0].height, images[0].width, images[0].channels);
    for (const Image& image : images)
        for (std::size_t k = 0; k < mean.pixels.size(); ++k)
            mean.pixels[k] += image.pixels[k] / static_cast<float>(images.size());
    return mean;
}

Image median_image(const std::vector<Image>& images) {
    require_equal_size("median_image", images);
    Image median = images[0];
    std::vector<float> values(images.size());
    for (std::size_t k = 0; k < median.pixels.size(); ++k) {
        for (std::size_t b = 0; b < images.size(); ++b) values[b] = images[b].pixels[k];
        std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
        median.pixels[k] = values[values.size() / 2];  // of an even number, the upper one of the middle two
    }
    return median;
}

// The visible patch nearest to patch n, -1 when there is none.
static int nearest_visible(const Matrix& mask, int n, int across) {
    int nearest = -1, least = 0;
    for (int m = 0; m < mask.cols; ++m) {
        const int down = m / across - n / across, right = m % across - n % across;
        const int squared = down * down + right * right;
        if (mask(0, m) != 0 || (nearest >= 0 && squared >= least)) continue;
        nearest = m;
        least = squared;
    }
    return nearest;
}

Image copy_nearest_visible(const Image& image, const Matrix& mask, int patch_size) {
    require_mask(mask, 1, image, patch_size);
    const Matrix patches = patchify(image, patch_size);  // (N, P*P*C)
    Matrix copied = patches;
    for (int n = 0; n < patches.rows; ++n) {
        if (mask(0, n) == 0) continue;
        const int from = nearest_visible(mask, n, image.width / patch_size);
        require(from >= 0, "copy_nearest_visible: no patch is visible; a smaller mask ratio leaves some");
        std::copy_n(patches.row(from), patches.cols, copied.row(n));
    }
    return unpatchify(copied, patch_size, image.height, image.width, image.channels);
}
