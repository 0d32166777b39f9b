#include "nn/maps/group_norm.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"

// The mean over the pixels of each image and over each group of channels, repeated for every channel: (n, C) -> (images, C).
static Var group_means(const Var& pixels, const MapSize& size, int groups, Where where) {
    const int C = pixels.cols(), in_group = C / groups;
    const Var sums = segment_sums(pixels, Segments::equal(size.images, size.pixels()), where);  // (images, C)
    const Var by_group = reshape(sums, size.images * groups, in_group, where);         // (images*groups, C/groups)  [GN 7]
    const Var means = scale(row_means(by_group, where), 1.0f / size.pixels(), where);  // (images*groups, 1)
    const Var for_channels = matmul(means, Matrix(1, in_group, 1), where);             // (images*groups, C/groups)
    return reshape(for_channels, size.images, C, where);                               // (images, C)
}

// For each pixel the number of its image.
static std::vector<int> image_of_pixels(const MapSize& size) {
    std::vector<int> images;
    for (int row = 0; row < size.rows(); ++row) images.push_back(row / size.pixels());
    return images;
}

static void require_one_row(const char* what, const Var& row, int channels, Where where) {
    require(!row || (row.rows() == 1 && row.cols() == channels), where, "group_norm: a ", what, " of ",
            row ? shape(row.value()) : "", " for ", channels, " channels, it must be (1, ", channels, ")");
}

Map group_norm(const Map& x, const Norm& w, int groups, float eps, Where where) {
    require_map(x, "group_norm", where);
    const int C = x.channels();
    require(groups > 0 && C % groups == 0, where, "group_norm: ", C, " channels do not split into ", groups,
            " groups; their number must divide the channels");
    require(eps >= 0, where, "group_norm: eps is ", eps, ", it is under a root and cannot be negative; 1e-5 is usual");
    require_one_row("gain", w.gain, C, where);
    require_one_row("bias", w.bias, C, where);
    const std::vector<int> images = image_of_pixels(x.size);
    const Var mean = group_means(x.pixels, x.size, groups, where);                    // (images, C)
    const Var centred = subtract(x.pixels, gather_rows(mean, images, where), where);  // (n, C)
    const Var variance = group_means(square(centred, where), x.size, groups, where);  // (images, C)   [GN 2]
    const Var sigma = sqrt(shift(variance, eps, where), where);                       // (images, C)
    const Var factor = divide(w.gain ? w.gain : Matrix(1, 1, 1), sigma, where);       // (images, C)   gain / sigma
    const Var scaled = multiply(centred, gather_rows(factor, images, where), where);  // (n, C)        [GN 1] times gain
    return {w.bias ? add(scaled, w.bias, where) : scaled, x.size};                    // (n, C)        [GN 6]
}
