#include "nn/data/patches.h"

#include <algorithm>

#include "nn/base/require.h"

namespace {
enum class Order { channel_last, channel_major };
}  // namespace

// The column of pixel (y, x), channel c of a patch.
static int column_of(Order order, int y, int x, int c, int P, int C) {
    return order == Order::channel_last ? (y * P + x) * C + c : (c * P + y) * P + x;
}

static Matrix cut(const Image& image, int patch_size, Order order) {
    const int P = patch_size, C = image.channels, H = image.height, W = image.width;
    require(H > 0 && W > 0 && C > 0, "patchify: an image of ", shape(image), " has no pixels; each size must be at least 1");
    require_whole("patchify", image);
    require(P > 0 && H % P == 0 && W % P == 0, "patchify: a ", H, " x ", W, " image does not split into patches of side ", P,
            "; it must divide both");
    Matrix patches = Matrix::unset((H / P) * (W / P), P * P * C);  // (N, P*P*C)
    for (int n = 0; n < patches.rows; ++n) {
        const int top = n / (W / P) * P, left = n % (W / P) * P;  // the patch's corner, in pixels
        for (int y = 0; y < P; ++y)
            for (int x = 0; x < P; ++x)
                for (int c = 0; c < C; ++c) patches(n, column_of(order, y, x, c, P, C)) = image(top + y, left + x, c);
    }
    return patches;
}

static Image join(const Matrix& patches, int patch_size, int height, int width, int channels, Order order) {
    const int P = patch_size, C = channels, H = height, W = width;
    require(P > 0 && C > 0 && H >= 0 && W >= 0 && H % P == 0 && W % P == 0 && patches.rows == (H / P) * (W / P) &&
                patches.cols == P * P * C,
            "unpatchify: ", patches, " does not make up a ", H, " x ", W, " x ", C, " image of patches of side ", P);
    Image image(H, W, C);
    for (int n = 0; n < patches.rows; ++n) {
        const int top = n / (W / P) * P, left = n % (W / P) * P;
        for (int y = 0; y < P; ++y)
            for (int x = 0; x < P; ++x)
                for (int c = 0; c < C; ++c) image(top + y, left + x, c) = patches(n, column_of(order, y, x, c, P, C));
    }
    return image;
}

Matrix patchify(const Image& image, int patch_size) { return cut(image, patch_size, Order::channel_last); }

Matrix patchify_channel_major(const Image& image, int patch_size) { return cut(image, patch_size, Order::channel_major); }

Image unpatchify(const Matrix& patches, int patch_size, int height, int width, int channels) {
    return join(patches, patch_size, height, width, channels, Order::channel_last);
}

Image unpatchify_channel_major(const Matrix& patches, int patch_size, int height, int width, int channels) {
    return join(patches, patch_size, height, width, channels, Order::channel_major);
}

// --- a batch ---

void check(const PatchGrid& grid, const char* who) {
    require(grid.patch_size > 0 && grid.height > 0 && grid.width > 0 && grid.height % grid.patch_size == 0 &&
                grid.width % grid.patch_size == 0,
            who, ": an image of ", grid.height, " x ", grid.width, " does not split into patches of side ", grid.patch_size,
            "; sizes must be at least 1, and the side divide both");
    require(grid.channels > 0, who, ": images of ", grid.channels, " channels, there must be at least 1");
    const double patches = static_cast<double>(grid.down()) * grid.across();  // also where an int is too small
    const double numbers = static_cast<double>(grid.patch_size) * grid.patch_size * grid.channels;
    require(patches < 1e9 && numbers < 1e9, who, ": an image of ", grid.height, " x ", grid.width, " x ", grid.channels,
            " in patches of side ", grid.patch_size, " is too large; it has ", patches, " patches of ", numbers, " numbers");
}

Matrix patchify_all(const std::vector<Image>& images, const PatchGrid& grid, const char* who) {
    check(grid, who);
    require(!images.empty(), who, ": there is no image; give at least one");
    const int N = grid.count();
    Matrix patches = Matrix::unset(static_cast<int>(images.size()) * N, grid.numbers());  // (B*N, P*P*C)
    for (int b = 0; b < static_cast<int>(images.size()); ++b) {
        const Image& image = images[b];
        require(image.height == grid.height && image.width == grid.width && image.channels == grid.channels, who, ": image ", b,
                " is ", shape(image), ", this model reads ", grid.height, " x ", grid.width, " x ", grid.channels);
        const Matrix squares = patchify(image, grid.patch_size);  // (N, P*P*C)
        std::copy(squares.begin(), squares.end(), patches.row(b * N));
    }
    return patches;
}

std::vector<Image> unpatchify_all(const Matrix& patches, const PatchGrid& grid) {
    check(grid, "unpatchify_all");
    const int N = grid.count();
    require(patches.rows % N == 0, "unpatchify_all: ", patches, " are not whole images of ", N,
            " patches; their rows must be a multiple of that");
    std::vector<Image> images;
    for (int first = 0; first < patches.rows; first += N)
        images.push_back(unpatchify(slice_rows(patches, first, N), grid.patch_size, grid.height, grid.width, grid.channels));
    return images;
}
