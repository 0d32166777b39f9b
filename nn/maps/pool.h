// pool.h: one pixel for each window of a map, with nothing to learn.
//
//   shows    that pooling mixes rows with equal weights, or takes the largest of each channel
#pragma once
#include "nn/maps/map.h"

// The mean of each window, channel by channel. Padding counts as zeros and the sum is always divided by side*side (PyTorch's and
// Flax's count_include_pad = True).
//   x (images * H * W, C) -> (images * H' * W', C), H' and W' as size_after() says: a last odd row or column is dropped
Map mean_pool(const Map& x, const Window& window, Where where = Where::current());

// The largest of each window, channel by channel; padding counts as nothing.
//   throws   std::invalid_argument also when a window lies in the padding alone
Map max_pool(const Map& x, const Window& window, Where where = Where::current());
