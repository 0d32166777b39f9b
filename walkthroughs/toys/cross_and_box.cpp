#include "walkthroughs/toys/cross_and_box.h"

#include "nn/base/require.h"

static const int side = 4;    // of a shape, pixels
static const int across = 3;  // places in a row

static const Matrix cross{{0, 1, 1, 0},  //
                          {1, 1, 1, 1},
                          {1, 1, 1, 1},
                          {0, 1, 1, 0}};
static const Matrix box{{1, 1, 1, 1},  //
                        {1, 0, 0, 1},
                        {1, 0, 0, 1},
                        {1, 1, 1, 1}};

static void add_shape(Image& image, const Matrix& shape, int place) {
    const int top = place / across * side, left = place % across * side;
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) image(top + y, left + x, 0) += shape(y, x);
}

Image cross_and_box_at(Random& random, int cross_place, int box_place) {
    const int places = across * across;
    require(cross_place >= 0 && cross_place < places && box_place >= 0 && box_place < places && cross_place != box_place,
            "cross_and_box: cells ", cross_place, " and ", box_place, ", they must be two of 0 to ", places - 1);
    Image image(across * side, across * side, 1);
    for (float& pixel : image.pixels) pixel = 0.3f * random.normal();
    add_shape(image, cross, cross_place);
    add_shape(image, box, box_place);
    return image;
}

LabelledImages cross_and_box(Random& random, int count) {
    LabelledImages data{.images = {}, .labels = {}, .classes = 2};
    for (int i = 0; i < count; ++i) {
        const int cross_place = random.below(across * across);
        const int box_place = (cross_place + 1 + random.below(across * across - 1)) % (across * across);  // any other place
        data.images.push_back(cross_and_box_at(random, cross_place, box_place));
        data.labels.push_back(cross_place < box_place ? 1 : 0);
    }
    return data;
}
