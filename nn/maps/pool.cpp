#include "nn/maps/pool.h"

#include "nn/autograd/rows.h"

Map mean_pool(const Map& x, const Window& window, Where where) {
    require_map(x, "mean_pool", where);
    const MapSize output = size_after(x.size, window, where);
    const int taps = window.side * window.side;
    const Matrix weights(output.rows(), taps, 1.0f / taps);                                      // (n, k*k)
    return {mix_rows(x.pixels, rows_in_window(x.size, window, where), weights, where), output};  // (n, C)
}

Map max_pool(const Map& x, const Window& window, Where where) {
    require_map(x, "max_pool", where);
    const MapSize output = size_after(x.size, window, where);
    return {max_rows(x.pixels, rows_in_window(x.size, window, where), window.side * window.side, where), output};  // (n, C)
}
