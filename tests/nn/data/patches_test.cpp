#include "nn/data/patches.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("patches");

// 2 x 4 pixels, 2 channels; the number is 100 y + 10 x + c
static Image numbered() {
    Image image(2, 4, 2);
    for (int y = 0; y < 2; ++y)
        for (int x = 0; x < 4; ++x)
            for (int c = 0; c < 2; ++c) image(y, x, c) = static_cast<float>(100 * y + 10 * x + c);
    return image;
}

TEST_CASE("patchify: two patches side by side; within a row: pixel row, pixel column, channel") {
    CHECK(identical(patchify(numbered(), 2), Matrix{{0, 1, 10, 11, 100, 101, 110, 111}, {20, 21, 30, 31, 120, 121, 130, 131}}));
}

TEST_CASE("patchify_channel_major: channel, pixel row, pixel column") {
    CHECK(identical(patchify_channel_major(numbered(), 2),
                    Matrix{{0, 10, 100, 110, 1, 11, 101, 111}, {20, 30, 120, 130, 21, 31, 121, 131}}));
}

TEST_CASE("patchify: patches of side 1 are the pixels in order, in both layouts") {
    const Matrix pixels{{0, 1}, {10, 11}, {20, 21}, {30, 31}, {100, 101}, {110, 111}, {120, 121}, {130, 131}};
    CHECK(identical(patchify(numbered(), 1), pixels));
    CHECK(identical(patchify_channel_major(numbered(), 1), pixels));
    const PatchGrid grid{.height = 2, .width = 4, .patch_size = 1, .channels = 2};
    CHECK(identical(patchify_all({numbered()}, grid, "vit"), pixels));
    CHECK(unpatchify_channel_major(pixels, 1, 2, 4, 2).pixels == numbered().pixels);
}

TEST_CASE("patchify: patches are numbered left to right, then top to bottom") {
    Image image(4, 2, 1);
    image(2, 0, 0) = 7;  // the corner of the lower patch
    CHECK(patchify(image, 2)(1, 0) == 7);
}

TEST_CASE("unpatchify: the inverse of patchify") {
    const Image image = numbered();
    CHECK(unpatchify(patchify(image, 2), 2, 2, 4, 2).pixels == image.pixels);
    CHECK(unpatchify_channel_major(patchify_channel_major(image, 2), 2, 2, 4, 2).pixels == image.pixels);
    CHECK(unpatchify(patchify(image, 1), 1, 2, 4, 2).pixels == image.pixels);
    CHECK(shape(unpatchify(Matrix(0, 8), 2, 0, 4, 2)) == "0 x 4 x 2");
    CHECK(shape(unpatchify(Matrix(0, 8), 2, 4, 0, 2)) == "4 x 0 x 2");
    const PatchGrid grid{.height = 2, .width = 4, .patch_size = 2, .channels = 2};
    Image other = image;
    for (float& x : other.pixels) x += 0.5f;
    const std::vector<Image> both = unpatchify_all(patchify_all({image, other}, grid, "test"), grid);
    REQUIRE(both.size() == 2);
    CHECK(both[0].pixels == image.pixels);
    CHECK(both[1].pixels == other.pixels);
}

TEST_CASE("patchify, unpatchify: sizes that do not fit are refused") {
    CHECK_THROWS_WITH(patchify(numbered(), 3),
                      "patchify: a 2 x 4 image does not split into patches of side 3; it must divide both");
    CHECK_THROWS_WITH(patchify(numbered(), 0),
                      "patchify: a 2 x 4 image does not split into patches of side 0; it must divide both");
    CHECK_THROWS_WITH(unpatchify(Matrix(2, 8), 2, 4, 4, 2),
                      "unpatchify: (2, 8) does not make up a 4 x 4 x 2 image of patches of side 2");
    const PatchGrid grid{.height = 2, .width = 4, .patch_size = 2, .channels = 2};
    PatchGrid no_patches = grid, no_channels = grid;
    no_patches.patch_size = 0;
    no_channels.channels = 0;
    CHECK_THROWS_WITH(
        patchify_all({numbered()}, no_patches, "vit"),
        "vit: an image of 2 x 4 does not split into patches of side 0; sizes must be at least 1, and the side divide both");
    CHECK_THROWS_WITH(patchify_all({numbered()}, no_channels, "vit"), "vit: images of 0 channels, there must be at least 1");
    CHECK_THROWS_WITH(unpatchify_all(Matrix(3, 8), grid),
                      "unpatchify_all: (3, 8) are not whole images of 2 patches; their rows must be a multiple of that");
}

TEST_CASE("patchify: an image without pixels is refused") {
    CHECK_THROWS_WITH(patchify(Image(0, 4, 1), 2), "patchify: an image of 0 x 4 x 1 has no pixels; each size must be at least 1");
    CHECK_THROWS_WITH(patchify(Image(4, 0, 1), 2), "patchify: an image of 4 x 0 x 1 has no pixels; each size must be at least 1");
    CHECK_THROWS_WITH(patchify(Image(4, 4, 0), 2), "patchify: an image of 4 x 4 x 0 has no pixels; each size must be at least 1");
}

TEST_CASE("patchify, check: an image whose numbers were moved away, and a grid that no int counts, are refused") {
    Image image(4, 4, 1);
    const Image taken = std::move(image);
    CHECK_THROWS_WITH(patchify(image, 2),
                      "patchify: an image of 4 x 4 x 1 holds 0 numbers, it must hold one for each pixel and channel");
    CHECK(patchify(taken, 2).rows == 4);
    CHECK(error_of([] {
              check(PatchGrid{.height = 1000000000, .width = 1000000000, .patch_size = 1, .channels = 1}, "vit");
          }).starts_with("vit: an image of 1000000000 x 1000000000 x 1 in patches of side 1 is too large"));
    CHECK(error_of([] {
              check(PatchGrid{.height = 46341, .width = 46341, .patch_size = 46341, .channels = 3}, "vit");
          }).find("it has 1.000000 patches of 6442464843.000000 numbers") != std::string::npos);
}

TEST_CASE("check: each size of a grid is checked by itself, and fewer than 1e9 patches of fewer than 1e9 numbers are allowed") {
    const auto refusal = [](int height, int width, int patch_size, int channels) {
        return error_of(
            [&] { check(PatchGrid{.height = height, .width = width, .patch_size = patch_size, .channels = channels}, "vit"); });
    };
    const auto split = [](const std::string& sides, int patch_size) {
        return "vit: an image of " + sides + " does not split into patches of side " + std::to_string(patch_size) +
               "; sizes must be at least 1, and the side divide both";
    };
    CHECK(refusal(1, 1, 1, 1).empty());
    CHECK(refusal(4, 4, 0, 1) == split("4 x 4", 0));
    CHECK(refusal(4, 4, -2, 1) == split("4 x 4", -2));
    CHECK(refusal(0, 4, 2, 1) == split("0 x 4", 2));
    CHECK(refusal(4, 0, 2, 1) == split("4 x 0", 2));
    CHECK(refusal(5, 4, 2, 1) == split("5 x 4", 2));
    CHECK(refusal(4, 5, 2, 1) == split("4 x 5", 2));
    CHECK(refusal(4, 4, 2, 0) == "vit: images of 0 channels, there must be at least 1");
    CHECK(refusal(999999999, 1, 1, 1).empty());
    CHECK(refusal(1000000000, 1, 1, 1) ==
          "vit: an image of 1000000000 x 1 x 1 in patches of side 1 is too large; it has 1000000000.000000 patches of 1.000000 "
          "numbers");
    CHECK(refusal(1, 1, 1, 999999999).empty());
    CHECK(refusal(1, 1, 1, 1000000000) ==
          "vit: an image of 1 x 1 x 1000000000 in patches of side 1 is too large; it has 1.000000 patches of 1000000000.000000 "
          "numbers");
}

TEST_CASE("unpatchify, patchify_all: each size that does not fit is refused by itself") {
    const auto joined_of = [](const Matrix& patches, int patch_size, int height, int width, int channels) {
        return error_of([&] { unpatchify(patches, patch_size, height, width, channels); });
    };
    const auto rule = [](const std::string& patches, const std::string& image, int patch_size) {
        return "unpatchify: " + patches + " does not make up a " + image + " image of patches of side " +
               std::to_string(patch_size);
    };
    CHECK(joined_of(Matrix(1, 1), 1, 1, 1, 1).empty());
    CHECK(joined_of(Matrix(1, 0), 1, 1, 1, 0) == rule("(1, 0)", "1 x 1 x 0", 1));
    CHECK(joined_of(Matrix(1, 1), 0, 1, 1, 1) == rule("(1, 1)", "1 x 1 x 1", 0));
    CHECK(joined_of(Matrix(1, 1), 1, -1, -1, 1) == rule("(1, 1)", "-1 x -1 x 1", 1));
    CHECK(joined_of(Matrix(1, 4), 2, 3, 2, 1) == rule("(1, 4)", "3 x 2 x 1", 2));
    CHECK(joined_of(Matrix(1, 4), 2, 2, 3, 1) == rule("(1, 4)", "2 x 3 x 1", 2));
    CHECK(joined_of(Matrix(2, 4), 2, 2, 2, 1) == rule("(2, 4)", "2 x 2 x 1", 2));
    CHECK(joined_of(Matrix(1, 5), 2, 2, 2, 1) == rule("(1, 5)", "2 x 2 x 1", 2));
    const PatchGrid grid{.height = 2, .width = 4, .patch_size = 2, .channels = 1};
    const auto cut_from = [&](int height, int width, int channels) {
        return error_of([&] { patchify_all({Image(height, width, channels)}, grid, "vit"); });
    };
    CHECK(cut_from(2, 4, 1).empty());
    CHECK(cut_from(4, 4, 1) == "vit: image 0 is 4 x 4 x 1, this model reads 2 x 4 x 1");
    CHECK(cut_from(2, 2, 1) == "vit: image 0 is 2 x 2 x 1, this model reads 2 x 4 x 1");
    CHECK(cut_from(2, 4, 3) == "vit: image 0 is 2 x 4 x 3, this model reads 2 x 4 x 1");
}

TEST_CASE("PatchGrid: the defaults") {
    const PatchGrid usual{};
    CHECK(usual.height == 224);
    CHECK(usual.width == 224);
    CHECK(usual.patch_size == 16);
    CHECK(usual.channels == 3);
}

TEST_SUITE_END();
