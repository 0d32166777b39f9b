#include "nn/maps/group_norm.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"

GroupNorm make_group_norm(int channels) {
    return {.gain = parameter(Matrix(1, channels, 1)), .bias = parameter(Matrix(1, channels))};
}

// The mean over the pixels of each image and over each group of channels, spelled out for every channel: (n, C) -> (images, C).
static Var group_means(const Var& pixels, const MapSize& size, int groups, Where where) {
    const int C = pixels.cols(), in_group = C / groups;
    const Var sums = segment_sums(pixels, Segments::equal(size.images, size.pixels()), where);  // (images, C)
    const Var by_group = reshape(sums, size.images * groups, in_group, where);                  // (images*groups, C/groups)
    const Var means = scale(row_means(by_group, where), 1.0f / size.pixels(), where);           // (images*groups, 1)
    const Var for_channels = matmul(means, Matrix(1, in_group, 1), where);                      // (images*groups, C/groups)
    return reshape(for_channels, size.images, C, where);                                        // (images, C)
}

// For each pixel the number of its image.
static std::vector<int> image_of_pixels(const MapSize& size) {
    std::vector<int> images;
    for (int row = 0; row < size.rows(); ++row) images.push_back(row / size.pixels());
    return images;
}

Map group_norm(const Map& x, const GroupNorm& w, int groups, float eps, Where where) {
    require_map(x, "group_norm", where);
    const int C = x.channels();
    require(groups > 0 && C % groups == 0, where, "group_norm: ", C, " channels do not split into ", groups, " groups");
    require(w.gain.rows() == 1 && w.gain.cols() == C && same_shape(w.gain.value(), w.bias.value()), where,
            "group_norm: an input of shape ", x.pixels.value(), " meets a gain of shape ", w.gain.value(),
            " and a bias of shape ", w.bias.value());
    const std::vector<int> images = image_of_pixels(x.size);
    const Var mean = group_means(x.pixels, x.size, groups, where);                    // (images, C)
    const Var centred = subtract(x.pixels, gather_rows(mean, images, where), where);  // (n, C)
    const Var variance = group_means(square(centred, where), x.size, groups, where);  // (images, C)   [GN 3]
    const Var sigma = sqrt(shift(variance, eps, where), where);                       // (images, C)
    const Var factor = divide(w.gain, sigma, where);                                  // (images, C)   gain / sigma
    const Var scaled = multiply(centred, gather_rows(factor, images, where), where);  // (n, C)
    return {add(scaled, w.bias, where), x.size};                                      // (n, C)        [GN 1]
}

void add_parameters(Parameters& table, const std::string& name, const GroupNorm& w) {
    table.push_back({name + ".weight", {w.gain.cols()}, Stored::as_it_is, {w.gain}});
    table.push_back({name + ".bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}
