#include "vit/mask_pixels/restoration.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("restoration");

// 2 x 4 pixels, one channel: two patches of side 2
static Image image_of(float left, float right) {
    Image image(2, 4, 1, left);
    for (int y = 0; y < 2; ++y) image(y, 2, 0) = image(y, 3, 0) = right;
    return image;
}

TEST_CASE("restoration: grey where masked, the prediction only where masked, the original") {
    const Triple triple = restoration(image_of(1, 2), image_of(3, 4), {{0, 1}}, 2);
    CHECK(triple.masked.pixels == image_of(1, 0.5f).pixels);
    CHECK(triple.restored.pixels == image_of(1, 4).pixels);
    CHECK(triple.original.pixels == image_of(1, 2).pixels);
}

TEST_CASE("errors: masked and visible pixels have separate means") {
    const std::vector<Image> originals{image_of(1, 2), image_of(0, 0)}, predicted{image_of(4, 2), image_of(1, -3)};
    const Matrix mask{{1, 0}, {0, 1}};
    const Errors squared = errors(predicted, originals, mask, 2, Measure::squared);
    CHECK(squared.masked == Approx((9 + 9) / 2.0));  // 4 - 1 and -3 - 0
    CHECK(squared.visible == Approx((0 + 1) / 2.0));
    const Errors absolute = errors(predicted, originals, mask, 2, Measure::absolute);
    CHECK(absolute.masked == Approx(3));
    CHECK(absolute.visible == Approx(0.5));
    CHECK(errors(predicted, originals, Matrix(2, 2, 1), 2, Measure::squared).visible == 0);  // there is no such pixel
    CHECK(errors(predicted, originals, Matrix(2, 2), 2, Measure::squared).masked == 0);
}

TEST_CASE("mean_image: the mean of each pixel") {
    CHECK(mean_image({image_of(1, 2), image_of(3, 8)}).pixels == image_of(2, 5).pixels);
    const Image wide = mean_image({Image(1, 3, 2)});
    CHECK((wide.height == 1 && wide.width == 3 && wide.channels == 2));
}

TEST_CASE("median_image: the median of each pixel, the upper of the middle two when their number is even") {
    CHECK(median_image({image_of(1, 9), image_of(7, 2), image_of(3, 4)}).pixels == image_of(3, 4).pixels);
    CHECK(median_image({image_of(1, 9), image_of(7, 2)}).pixels == image_of(7, 9).pixels);
    CHECK(median_image({image_of(3, 4)}).pixels == image_of(3, 4).pixels);
    CHECK(median_image({image_of(9, 1), image_of(1, 7), image_of(8, 8), image_of(2, 5), image_of(4, 6)}).pixels ==
          image_of(4, 6).pixels);
}

TEST_CASE("copy_nearest_visible: by distance of centres, the first of several") {
    Image row(1, 4, 1);  // four patches of one pixel
    row.pixels = {10, 20, 30, 40};
    CHECK(copy_nearest_visible(row, {{0, 1, 1, 0}}, 1).pixels == std::vector<float>{10, 10, 40, 40});
    CHECK(copy_nearest_visible(row, {{0, 1, 0, 1}}, 1).pixels ==
          std::vector<float>{10, 10, 30, 30});  // 0 and 2 are equally near to 1
    CHECK(copy_nearest_visible(row, {{1, 1, 0, 0}}, 1).pixels == std::vector<float>{30, 30, 30, 40});
    Image square(3, 3, 1);
    for (int k = 0; k < 9; ++k) square.pixels[k] = static_cast<float>(k);
    // the middle is one away from 5 and sqrt 2 from 0
    CHECK(copy_nearest_visible(square, {{0, 1, 1, 1, 1, 0, 1, 1, 1}}, 1)(1, 1, 0) == 5);
    Image large(4, 6, 1);  // 2 x 3 patches of side 2, patch n holds n
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 6; ++x) large(y, x, 0) = static_cast<float>(y / 2 * 3 + x / 2);
    // patch 3 is one away from 0, which is below it in the list by three, and two away from 5
    CHECK(copy_nearest_visible(large, {{0, 1, 1, 1, 1, 0}}, 2)(2, 0, 0) == 0);
    CHECK_THROWS_WITH(copy_nearest_visible(row, Matrix(1, 4, 1), 1),
                      "copy_nearest_visible: no patch is visible; a smaller mask ratio leaves some");
}

TEST_CASE("contact_sheet: three images, two across, zoomed twice, with gaps of one") {
    const Image one(1, 1, 1, 0.25f);
    const Image sheet = contact_sheet({one, one, one}, 2, 2, 1, 1);
    CHECK(sheet.height == 5);
    CHECK(sheet.width == 5);
    CHECK(sheet.pixels == std::vector<float>{0.25f, 0.25f, 1, 0.25f, 0.25f,  //
                                             0.25f, 0.25f, 1, 0.25f, 0.25f,  //
                                             1,     1,     1, 1,     1,      //
                                             0.25f, 0.25f, 1, 1,     1,      //
                                             0.25f, 0.25f, 1, 1,     1});
}

TEST_CASE("restoration: inconsistent sizes throw") {
    CHECK_THROWS_WITH(restoration(Image(2, 4, 1), Image(2, 2, 1), {{0, 1}}, 2),
                      "restoration: the prediction is 2 x 2 x 1, the image 2 x 4 x 1, both must have the same size");
    CHECK_THROWS_WITH(restoration(Image(2, 4, 1), Image(2, 4, 1), {{0, 1, 0}}, 2),
                      "restoration: a mask (1, 3) for 1 images of 2 x 4 x 1 in patches of side 2; each image needs a row, "
                      "each patch a number");
    CHECK_THROWS_WITH(errors({}, {}, Matrix(0, 2), 2, Measure::squared),
                      "errors: 0 predictions of 0 images; each needs one, and there must be an image");
    CHECK_THROWS_WITH(mean_image({Image(1, 1, 1), Image(1, 2, 1)}), "mean_image: 1 x 2 x 1 among images of 1 x 1 x 1");
    CHECK_THROWS_WITH(mean_image({}), "mean_image: there is no image; give at least one");
    CHECK_THROWS_WITH(contact_sheet({}, 1),
                      "contact_sheet: 0 images, 1 across, 1 times as large, with gaps of 1; only the gap may be 0");
}

TEST_CASE("restoration, contact_sheet, errors: each argument check fails by itself, the smallest sizes are allowed") {
    const auto refusal = [](int height, int width, const Matrix& mask, int patch_size) {
        return error_of([&] { restoration(Image(height, width, 1), Image(height, width, 1), mask, patch_size); });
    };
    const std::string rule = "; each image needs a row, each patch a number";
    CHECK(refusal(1, 1, Matrix(1, 1), 1) == "");
    CHECK(refusal(2, 2, Matrix(1, 1), 0) == "restoration: a mask (1, 1) for 1 images of 2 x 2 x 1 in patches of side 0" + rule);
    CHECK(refusal(3, 2, Matrix(1, 1), 2) == "restoration: a mask (1, 1) for 1 images of 3 x 2 x 1 in patches of side 2" + rule);
    CHECK(refusal(2, 3, Matrix(1, 1), 2) == "restoration: a mask (1, 1) for 1 images of 2 x 3 x 1 in patches of side 2" + rule);
    CHECK(refusal(2, 2, Matrix(2, 1), 2) == "restoration: a mask (2, 1) for 1 images of 2 x 2 x 1 in patches of side 2" + rule);

    const std::vector<Image> one{Image(1, 1, 1)}, two{Image(1, 1, 1), Image(1, 2, 1)};
    const auto sheet = [&](int across, int zoom, int gap) { return error_of([&] { contact_sheet(one, across, zoom, gap); }); };
    CHECK(sheet(1, 1, 0) == "");
    CHECK(sheet(0, 1, 0) == "contact_sheet: 1 images, 0 across, 1 times as large, with gaps of 0; only the gap may be 0");
    CHECK(sheet(1, 0, 0) == "contact_sheet: 1 images, 1 across, 0 times as large, with gaps of 0; only the gap may be 0");
    CHECK(sheet(1, 1, -1) == "contact_sheet: 1 images, 1 across, 1 times as large, with gaps of -1; only the gap may be 0");
    CHECK_THROWS_WITH(contact_sheet(two, 1), "contact_sheet: image 1 is 1 x 2 x 1, the first one 1 x 1 x 1");

    CHECK_THROWS_WITH(errors({}, one, Matrix(1, 1), 1, Measure::squared),
                      "errors: 0 predictions of 1 images; each needs one, and there must be an image");
    CHECK_THROWS_WITH(errors(two, two, Matrix(2, 1), 1, Measure::squared),
                      "errors: image 1 is 1 x 2 x 1, its prediction 1 x 2 x 1, the first image 1 x 1 x 1");
    CHECK_THROWS_WITH(errors({two[1]}, one, Matrix(1, 1), 1, Measure::squared),
                      "errors: image 0 is 1 x 1 x 1, its prediction 1 x 2 x 1, the first image 1 x 1 x 1");
}

TEST_CASE("restoration, errors: patches are numbered row by row") {
    Image original(4, 6, 1, 1), predicted(4, 6, 1, 2);  // 2 x 3 patches
    for (int y = 2; y < 4; ++y)
        for (int x = 0; x < 2; ++x) predicted(y, x, 0) = 5;  // patch 3, at the lower left
    const Matrix mask{{0, 0, 0, 1, 0, 0}};
    const Triple triple = restoration(original, predicted, mask, 2);
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 6; ++x) CHECK(triple.restored(y, x, 0) == (y >= 2 && x < 2 ? 5 : 1));
    const Errors absolute = errors({predicted}, {original}, mask, 2, Measure::absolute);
    CHECK(absolute.masked == 4);
    CHECK(absolute.visible == 1);
    predicted(0, 0, 0) = 21;  // 19 more in one of the 20 visible pixels
    CHECK(errors({predicted}, {original}, mask, 2, Measure::absolute).visible == Approx(39 / 20.0));
}

TEST_CASE("mean_image, median_image: an image that lacks pixels is refused") {
    Image cut(2, 2, 1);
    cut.pixels.resize(3);
    const std::string rule = ": an image of 2 x 2 x 1 holds 3 numbers, it must hold one for each pixel and channel";
    CHECK(error_of([&] { mean_image({Image(2, 2, 1), cut}); }) == "mean_image" + rule);
    CHECK(error_of([&] { median_image({cut, cut}); }) == "median_image" + rule);
}

TEST_CASE("restoration: a mask that is neither 0 nor 1 is refused") {
    const Image image(4, 4, 1);
    for (const float x : {0.5f, NAN})
        CHECK(error_of([&] {
                  restoration(image, image, Matrix(1, 4, x), 2);
              }).starts_with("restoration: a mask holds 1 (masked) and 0 (visible), not "));
}

TEST_SUITE_END();
