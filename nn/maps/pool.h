// pool.h: mean and max pooling over the windows of a map.
//
//   shows    that mean pooling is a sum of rows with equal weights, and max pooling a maximum of rows
#pragma once
#include "nn/maps/map.h"

// The mean of each window, channel by channel. Padding counts as zeros; the sum is always divided by side*side (count_include_pad
// = True in PyTorch and Flax).
//   x (images * H * W, C) -> (images * H' * W', C), H' and W' from size_after(): an odd last row or column is dropped
Map mean_pool(const Map& x, const Window& window, Where where = Where::current());

// The maximum of each window, channel by channel; padding is ignored.
//   throws   std::invalid_argument also when a window lies entirely in the padding
Map max_pool(const Map& x, const Window& window, Where where = Where::current());
