#include "walkthroughs/toys/cross_and_box.h"

#include "nn/base/require.h"

static const int side = 4;    // of a shape, pixels
static const int across = 3;  // cells in a row

static const Matrix cross{{0, 1, 1, 0},  //
                          {1, 1, 1, 1},
                          {1, 1, 1, 1},
                          {0, 1, 1, 0}};
static const Matrix box{{1, 1, 1, 1},  //
                        {1, 0, 0, 1},
                        {1, 0, 0, 1},
                        {1, 1, 1, 1}};

static void add_shape(Image& image, const Matrix& shape, int cell) {
    const int top = cell / across * side, left = cell % across * side;
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) image(top + y, left + x, 0) += shape(y, x);
}

Image cross_and_box_at(Random& random, int cross_cell, int box_cell) {
    const int cells = across * across;
    require(cross_cell >= 0 && cross_cell < cells && box_cell >= 0 && box_cell < cells && cross_cell != box_cell,
            "cross_and_box: cells ", cross_cell, " and ", box_cell, ", they must be two of 0 to ", cells - 1);
    Image image(across * side, across * side, 1);
    for (float& pixel : image.pixels) pixel = 0.3f * random.normal();
    add_shape(image, cross, cross_cell);
    add_shape(image, box, box_cell);
    return image;
}

LabelledImages cross_and_box(Random& random, int count) {
    LabelledImages data{.images = {}, .labels = {}, .classes = 2};
    for (int i = 0; i < count; ++i) {
        const int cross_cell = random.below(across * across);
        const int box_cell = (cross_cell + 1 + random.below(across * across - 1)) % (across * across);  // any other cell
        data.images.push_back(cross_and_box_at(random, cross_cell, box_cell));
        data.labels.push_back(cross_cell < box_cell ? 1 : 0);
    }
    return data;
}
