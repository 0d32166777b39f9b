#include "nn/maps/map.h"

#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("map");

TEST_CASE("MapSize: rows are numbered image after image, row by row") {
    const MapSize size{.images = 2, .height = 3, .width = 4};
    CHECK(size.pixels() == 12);
    CHECK(size.rows() == 24);
    CHECK(size.row(0, 0, 3) == 3);
    CHECK(size.row(0, 1, 0) == 4);
    CHECK(size.row(1, 2, 3) == 23);
    CHECK(size.row_or_nothing(1, 2, 3) == 23);
    CHECK(size.row_or_nothing(0, 3, 0) == -1);
    CHECK(size.row_or_nothing(0, 0, 4) == -1);
    CHECK(size.row_or_nothing(1, -1, 0) == -1);
    CHECK(size.row_or_nothing(1, 0, -1) == -1);
    CHECK(shape(size) == "2 images of 3 x 4");
    CHECK(shape(MapSize{1, 3, 4}) == "1 image of 3 x 4");
}

TEST_CASE("map_of, images_of: the channels of a pixel are one row; and back") {
    Image first(1, 2, 3), second(1, 2, 3);
    for (int k = 0; k < 6; ++k) {
        first.pixels[k] = static_cast<float>(k);
        second.pixels[k] = static_cast<float>(10 + k);
    }
    const Map map = map_of({first, second});
    CHECK(map.size == MapSize{2, 1, 2});
    CHECK(map.channels() == 3);
    CHECK(identical(map.pixels.value(), Matrix{{0, 1, 2}, {3, 4, 5}, {10, 11, 12}, {13, 14, 15}}));
    const std::vector<Image> images = images_of(map);
    CHECK(images.size() == 2);
    CHECK(images[0].pixels == first.pixels);
    CHECK(images[1].pixels == second.pixels);
    CHECK(images[1](0, 1, 2) == 15);
}

TEST_CASE("size_after: the number of window positions") {
    const MapSize size{.images = 3, .height = 5, .width = 8};
    CHECK(size_after(size, {.side = 3}) == MapSize{3, 3, 6});
    CHECK(size_after(size, {.side = 3, .padding = Padding::all(1)}) == MapSize{3, 5, 8});
    CHECK(size_after(size, {.side = 2, .stride = 2}) == MapSize{3, 2, 4});  // row 4 is dropped
    CHECK(size_after(size, {.side = 1, .stride = 2}) == MapSize{3, 3, 4});
    CHECK(size_after(size, {.side = 3, .stride = 2, .padding = {.bottom = 1, .right = 1}}) == MapSize{3, 2, 4});
    CHECK(size_after(size, {.side = 5}) == MapSize{3, 1, 4});
    const int most = 2147483647;  // rows of a matrix
    CHECK(size_after({1, 1, most}, {.side = 1}) == MapSize{1, 1, most});
    CHECK(size_after({1, most, 1}, {.side = 1}) == MapSize{1, most, 1});
    CHECK(size_after({most, 1, 1}, {.side = 1}) == MapSize{most, 1, 1});
    CHECK(error_of([] {
              size_after({2, 32768, 32768}, {.side = 1});
          })
              .ends_with(
                  "size_after: 2 images of 32768 x 32768 pixels, padding included, are more than 2147483647 rows, the maximum "
                  "of a matrix"));
}

TEST_CASE("same_padding: the new size is the old one divided by the stride, rounded up; an odd pixel goes to bottom and right") {
    const Padding one = same_padding({1, 5, 8}, 3);
    CHECK((one.top == 1 && one.bottom == 1 && one.left == 1 && one.right == 1));
    // by hand: 5 pixels, stride 2 -> 3 positions, which reach (3 - 1) * 2 + 3 = 7 pixels: 2 of padding; 8 -> 4 positions, 9
    // pixels: 1
    const Padding strided = same_padding({1, 5, 8}, 3, 2);
    CHECK((strided.top == 1 && strided.bottom == 1 && strided.left == 0 && strided.right == 1));
    const Padding wide = same_padding({1, 8, 5}, 3, 2);  // the other way round
    CHECK((wide.top == 0 && wide.bottom == 1 && wide.left == 1 && wide.right == 1));
    const Padding four = same_padding({1, 8, 8}, 4, 2);  // as conv_downsample of VQGAN: one before, one after
    CHECK((four.top == 1 && four.bottom == 1 && four.left == 1 && four.right == 1));
    const Padding single = same_padding({1, 1, 1}, 4);  // one pixel in a window of 4
    CHECK((single.top == 1 && single.bottom == 2 && single.left == 1 && single.right == 2));
    const Padding none = same_padding({1, 8, 8}, 1, 2);  // the formula gives a negative number
    CHECK((none.top == 0 && none.bottom == 0 && none.left == 0 && none.right == 0));
    for (const int stride : {1, 2, 3})
        for (const int side : {1, 2, 3, 4, 5})
            for (const int length : {5, 6, 7, 8}) {
                const MapSize size{1, length, length};
                const MapSize after = size_after(size, {side, stride, same_padding(size, side, stride)});
                CHECK(after.height == (length + stride - 1) / stride);
                CHECK(after.width == after.height);
            }
}

TEST_CASE("rows_in_window: row numbers for each position, -1 in the padding, never a pixel of another image") {
    const MapSize size{.images = 2, .height = 2, .width = 2};
    CHECK(rows_in_window(size, {.side = 2}) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
    CHECK(rows_in_window(size, {.side = 2, .stride = 2, .padding = Padding::all(1)}) ==
          std::vector<int>{-1, -1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, -1,
                           -1, -1, -1, 4, -1, -1, 5, -1, -1, 6, -1, -1, 7, -1, -1, -1});
    // one row below and one column to the right only
    CHECK(rows_in_window({1, 2, 2}, {.side = 3, .stride = 2, .padding = {.bottom = 1, .right = 1}}) ==
          std::vector<int>{0, 1, -1, 2, 3, -1, -1, -1, -1});
}

TEST_CASE("map_of, require_map, size_after: sizes that do not fit are refused with both") {
    CHECK_THROWS_WITH(map_of({}), "map_of: 0 images; give at least one, with at least one pixel");
    CHECK_THROWS_WITH(map_of({Image(2, 2, 1), Image(2, 2, 3)}),
                      "map_of: an image 2 x 2 x 3 beside one of 2 x 2 x 1, all must have the same size");
    CHECK_THROWS_WITH(map_of({Image(2, 2, 1), Image(3, 2, 1)}),
                      "map_of: an image 3 x 2 x 1 beside one of 2 x 2 x 1, all must have the same size");
    CHECK_THROWS_WITH(map_of({Image(2, 2, 1), Image(2, 3, 1)}),
                      "map_of: an image 2 x 3 x 1 beside one of 2 x 2 x 1, all must have the same size");
    CHECK(without_place(error_of([] {
              require_map({Matrix(5, 1), {1, 2, 3}}, "pool", Where::current());
          })) == "pool: pixels (5, 1) for a map of 1 image of 2 x 3, it must have 6 rows, one for each pixel");
    CHECK(without_place(error_of([] {
              require_map({Matrix(0, 1), {1, 0, 2}}, "pool", Where::current());
          })) == "pool: a map of 1 image of 0 x 2 has no pixels; images, height and width must be at least 1");
    CHECK(
        without_place(error_of([] {
            size_after({1, 2, 5}, {.side = 3});
        })) ==
        "size_after: a window of side 3 does not fit into 2 x 5 pixels, padding included; take a smaller window or more padding");
    CHECK(
        without_place(error_of([] {
            size_after({1, 2, 5}, {.side = 2, .padding = {2000000000, 2000000000, 0, 0}});
        })) ==
        "size_after: 1 images of 4000000002 x 5 pixels, padding included, are more than 2147483647 rows, the maximum of a matrix");
    CHECK(without_place(error_of([] {
              size_after({1, 2, 5}, {.side = 2, .stride = 0});
          })) == "size_after: a window of side 2 and stride 0, both must be at least 1");
    CHECK(without_place(error_of([] {
              size_after({1, 2, 5}, {.side = 1, .padding = {.left = -1}});
          })) == "size_after: padding of 0, 0, -1, 0, none may be below 0");
    CHECK_THROWS_WITH(same_padding({1, 2, 5}, 3, 0), "same_padding: a window of side 3 and stride 0, both must be at least 1");
    CHECK_THROWS_WITH(same_padding({1, 2, 5}, 0), "same_padding: a window of side 0 and stride 1, both must be at least 1");
}

TEST_CASE("map: sizes of 0 or below are refused before they are divided by") {
    CHECK_THROWS_WITH(map_of({Image()}),
                      "map_of: 1 images, the first of them 0 x 0 x 0; give at least one, with at least one pixel");
    CHECK_THROWS_WITH(same_padding({1, 0, 2}, 3, 1),
                      "same_padding: a map of 1 image of 0 x 2, height and width must be at least 1");
    CHECK_THROWS_WITH(same_padding({1, 2, 0}, 3, 1),
                      "same_padding: a map of 1 image of 2 x 0, height and width must be at least 1");
    CHECK(without_place(error_of([&] {
              size_after({1, -2, 5}, {.side = 1});
          })) == "size_after: a map of 1 image of -2 x 5, images, height and width must be at least 1");
    CHECK(without_place(error_of([&] {
              size_after({1, 2, 5}, {.side = 0});
          })) == "size_after: a window of side 0 and stride 1, both must be at least 1");
}

TEST_CASE("require_map, size_after: each size of a map is checked by itself") {
    for (const MapSize& size : {MapSize{0, 1, 1}, MapSize{1, 0, 1}, MapSize{1, 1, 0}, MapSize{-1, 1, -1}}) {
        const Map map{Matrix(1, 1), size};
        CHECK(without_place(error_of([&] { require_map(map, "test", Where::current()); })) ==
              "test: a map of " + shape(size) + " has no pixels; images, height and width must be at least 1");
        CHECK(without_place(error_of([&] { size_after(size, {.side = 1}); })) ==
              "size_after: a map of " + shape(size) + ", images, height and width must be at least 1");
    }
    CHECK(size_after({1, 1, 1}, {.side = 1}) == MapSize{1, 1, 1});
    for (const Padding& padding : {Padding{.top = -1}, {.bottom = -1}, {.left = -1}, {.right = -1}})
        CHECK(without_place(error_of([&] {
                  size_after({1, 5, 5}, {.side = 1, .padding = padding});
              })).starts_with("size_after: padding of "));
}

TEST_CASE("Window: the defaults") {
    const Window usual{};
    CHECK(usual.stride == 1);
}

TEST_SUITE_END();
