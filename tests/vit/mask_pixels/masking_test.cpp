#include "vit/mask_pixels/masking.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("masking");

TEST_CASE("sorting_order: indices by their numbers, smallest first, image by image; ties keep their order") {
    const Matrix noise{{0.5f, 0.1f, 0.9f}, {0.2f, 0.2f, 0.1f}};
    CHECK(sorting_order(noise) == std::vector<int>{1, 0, 2, 2, 0, 1});
    const std::vector<int> unmoved = sorting_order(Matrix(1, 100, 0.5f));
    for (int j = 0; j < 100; ++j) CHECK(unmoved[j] == j);
}

TEST_CASE("inverse_permutations: 2 comes first, so the inverse sends 2 to 0") {
    CHECK(inverse_permutations({2, 0, 1, /* next image */ 0, 2, 1}, 3) == std::vector<int>{1, 2, 0, 0, 2, 1});
}

TEST_CASE("inverse_permutations: undoes the shuffle of any noise") {
    Random random(4);
    const std::vector<int> shuffle = sorting_order(uniform_matrix(random, 3, 16));
    const std::vector<int> restore = inverse_permutations(shuffle, 16);
    for (int b = 0; b < 3; ++b)
        for (int i = 0; i < 16; ++i) CHECK(shuffle[b * 16 + restore[b * 16 + i]] == i);
}

TEST_CASE("make_mask: marks the positions in the given entries") {
    const std::vector<int> permutations{2, 0, 3, 1, /* next image */ 0, 1, 2, 3};
    CHECK(identical(make_mask(permutations, 4, 0, 1), Matrix{{0, 0, 1, 0}, {1, 0, 0, 0}}));
    CHECK(identical(make_mask(permutations, 4, 2, 4), Matrix{{0, 1, 0, 1}, {0, 0, 1, 1}}));
    CHECK(identical(make_mask(permutations, 4, 1, 1), Matrix(2, 4)));
}

TEST_CASE("inverse_permutations, make_mask: a list that is not a permutation throws an error that gives the reason") {
    CHECK_THROWS_WITH(inverse_permutations({0, 1, 2}, 2),
                      "masking: 3 numbers are not permutations of 2 positions; their number must be a multiple of that");
    CHECK_THROWS_WITH(inverse_permutations({0, 1, 2, 0}, 2),
                      "masking: permutation 1 names the position 2, there are 2, counted from 0");
    CHECK_THROWS_WITH(make_mask({1, 1}, 2, 0, 1), "masking: permutation 0 names the position 1 twice");
    CHECK_THROWS_WITH(make_mask({-1, 1}, 2, 0, 1), "masking: permutation 0 names the position -1, there are 2, counted from 0");
    CHECK_THROWS_WITH(make_mask({1, 0}, 2, 0, 3), "masking: entries 0 to 3 of permutations of 2 positions");
}

TEST_CASE("normalise_patches: 1 and 3 have mean 2 and the unbiased variance 2, so they become -1 / sqrt 2 and 1 / sqrt 2") {
    const Matrix normalised = normalise_patches({{1, 3}});
    CHECK(normalised(0, 0) == Approx(-1 / std::sqrt(2.0)));
    CHECK(normalised(0, 1) == Approx(1 / std::sqrt(2.0)));
}

TEST_CASE("normalise_patches: in a constant patch only the 1e-6 under the root remains") {
    CHECK(identical(normalise_patches({{5, 5, 5}}), Matrix{{0, 0, 0}}));
    // +-0.001: variance 2e-6, so each is 0.001 / sqrt(3e-6) = 0.57735; with 1e-6 outside the root it would be 0.706
    CHECK(normalise_patches({{-0.001f, 0.001f}})(0, 1) == Approx(0.57735));
}

TEST_CASE("denormalise_patches: takes normalised patches back to pixels") {
    Random random(2);
    const Matrix patches = uniform_matrix(random, 5, 12);
    check_close("there and back", denormalise_patches(normalise_patches(patches), patches), patches);
    CHECK_THROWS_WITH(denormalise_patches(Matrix(2, 3), Matrix(3, 3)), "denormalise_patches: (2, 3) like (3, 3)");
    CHECK_THROWS_WITH(normalise_patches(Matrix(2, 1)), "normalise_patches: patches of 1 number have no variance");
}

TEST_CASE("masked_mean: masked patches of all images together, not the mean of the images' means") {
    const Var losses = parameter(Matrix{{1}, {2}, {3}, /* next image */ {4}, {5}, {6}});
    const Matrix mask{{1, 0, 0}, {0, 1, 1}};
    const Tape tape;
    const Var mean = masked_mean(losses, mask);  // (1 + 5 + 6) / 3; image by image it would be (1 + 5.5) / 2 = 3.25
    CHECK(mean.value()(0, 0) == Approx(4));
    backward(mean);
    check_close("gradient", losses.gradient(), {{1.0f / 3}, {0}, {0}, {0}, {1.0f / 3}, {1.0f / 3}});
}

TEST_CASE("masked_mean: without a masked patch it throws, or is 0 with a positive `extra`") {
    CHECK(without_place(error_of([] { masked_mean(Matrix(2, 1), Matrix(1, 2)); })) ==
          "masked_mean: no patch is masked, so there is nothing to take a mean of; a larger mask ratio masks some");
    CHECK(masked_mean(Matrix(2, 1, 7), Matrix(1, 2), 1e-5f).value()(0, 0) == 0);
    CHECK(without_place(error_of([] { masked_mean(Matrix(3, 1), Matrix(1, 2)); })) ==
          "masked_mean: losses (3, 1) for a mask (1, 2), one is needed for each patch");
}

TEST_CASE("draw_masks: the given number of positions of each image is masked, and not always the same") {
    Random random(1);
    const Matrix mask = draw_masks(random, 50, 9, 4);
    CHECK(shape(mask) == "(50, 9)");
    Matrix often(1, 9);
    add_sum_of_rows(often, mask);
    for (int b = 0; b < 50; ++b) CHECK(std::count(mask.row(b), mask.row(b) + 9, 1.0f) == 4);
    for (const float times : often) CHECK(std::abs(times - 50 * 4 / 9.0f) < 15);
}

// How many of the four neighbours of a masked patch are masked too, on average; beyond the border none is.
static double masked_neighbours(const Matrix& mask, int down, int across) {
    double neighbours = 0, masked = 0;
    for (int b = 0; b < mask.rows; ++b)
        for (int y = 0; y < down; ++y)
            for (int x = 0; x < across; ++x) {
                if (mask(b, y * across + x) == 0) continue;
                ++masked;
                if (y > 0) neighbours += mask(b, (y - 1) * across + x);
                if (y + 1 < down) neighbours += mask(b, (y + 1) * across + x);
                if (x > 0) neighbours += mask(b, y * across + x - 1);
                if (x + 1 < across) neighbours += mask(b, y * across + x + 1);
            }
    return neighbours / masked;
}

TEST_CASE("draw_block_masks: the given number of patches of each image is masked, and masked patches are neighbours") {
    Random random(1);
    const int down = 14, across = 10, masked = 56;  // 40 %
    const Matrix blocks = draw_block_masks(random, 50, down, across, masked), single = draw_masks(random, 50, 140, masked);
    for (int b = 0; b < 50; ++b) CHECK(std::count(blocks.row(b), blocks.row(b) + 140, 1.0f) == masked);
    CHECK(masked_neighbours(single, down, across) == Approx(4 * 0.4 * 0.92).epsilon(0.05));  // some lie at the border
    CHECK(masked_neighbours(blocks, down, across) > 2.5);
    Matrix often(1, 140);
    add_sum_of_rows(often, blocks);
    for (const float times : often) CHECK(times > 0);  // no patch is always visible
    CHECK(std::count(often.begin(), often.end(), 50.0f) == 0);
}

TEST_CASE("draw_block_masks: a block has the least number of patches, and nothing, everything and a single row can be masked") {
    Random random(2);
    int tall = 0, wide = 0;
    for (int k = 0; k < 40; ++k) {  // one block of 3 x 3, 4 x 2 or 2 x 4 patches, or nearly that with single patches
        const Matrix mask = reshape(draw_block_masks(random, 1, 8, 8, 9, 9), 8, 8);
        CHECK(masked_neighbours(reshape(mask, 1, 64), 8, 8) > 1.3);
        const Matrix in_rows = row_sums(mask).value(), in_columns = row_sums(transpose(mask)).value();
        const auto longest = [](const Matrix& sums) { return *std::max_element(sums.begin(), sums.end()); };
        tall += longest(in_columns) > longest(in_rows) + 1;
        wide += longest(in_rows) > longest(in_columns) + 1;
    }
    CHECK(tall > 3);
    CHECK(wide > 3);
    CHECK(sum(draw_block_masks(random, 3, 4, 4, 0)).value()[0] == 0);
    Random used(5), unused(5);
    draw_block_masks(used, 1, 4, 4, 0);
    permutation(unused, 16);
    CHECK(used.uniform() == unused.uniform());  // where nothing is masked no block is drawn
    draw_block_masks(used, 1, 1, 6, 2);
    for (int k = 0; k < 10 * 2; ++k) unused.uniform();  // ten attempts, of an area and a ratio: in a single row no block fits
    permutation(unused, 6);
    CHECK(used.uniform() == unused.uniform());
    Random block(3), patch(3);
    const Matrix single = draw_block_masks(block, 1, 8, 8, 1, 1);  // a block of one patch, for these draws
    for (int k = 0; k < 2; ++k) patch.uniform();
    const int row = patch.below(8), column = patch.below(8);
    CHECK(single[row * 8 + column] == 1);
    CHECK(sum(draw_block_masks(random, 3, 4, 4, 16)).value()[0] == 48);
    CHECK(sum(draw_block_masks(random, 3, 1, 6, 2)).value()[0] == 6);
    CHECK(draw_block_masks(random, 0, 4, 4, 2).rows == 0);
    CHECK_THROWS_WITH(
        draw_block_masks(random, 1, 2, 3, 7),
        "draw_block_masks: 7 of 2 x 3 patches in blocks of at least 4; there must be as many patches as are to be masked");
}

TEST_CASE("masked_rows, visible_rows: image by image, in the order of the patches") {
    const Matrix mask{{0, 1, 1}, {1, 0, 0}};
    CHECK(masked_rows(mask) == std::vector<int>{1, 2, 3});
    CHECK(visible_rows(mask) == std::vector<int>{0, 4, 5});
}

TEST_CASE("cover: masked rows become the token, the others stay; only masked rows give the token a gradient") {
    const Var x = parameter({{1, 2}, {3, 4}, {5, 6}, {7, 8}}), token = parameter({{-1, -2}});
    const Matrix mask{{0, 1}, {1, 0}};
    const Tape tape;
    const Var covered = cover(x, token, mask);
    CHECK(identical(covered.value(), Matrix{{1, 2}, {-1, -2}, {-1, -2}, {7, 8}}));
    backward(sum(covered));
    CHECK(identical(x.gradient(), Matrix{{1, 1}, {0, 0}, {0, 0}, {1, 1}}));
    CHECK(identical(token.gradient(), Matrix{{2, 2}}));
    CHECK(without_place(error_of([&] { cover(x, token, Matrix(1, 3)); })) ==
          "cover: a mask (1, 3) for 4 patches, one number is needed for each");
}

TEST_CASE("cover, masked_rows, sorting_order: masks that hold other numbers than 0 and 1, and noise that is NaN, are refused") {
    CHECK(without_place(error_of([] {
              cover(Matrix(2, 1), Matrix(1, 1), Matrix{{1, 0.5f}});
          })) == "cover: a mask (1, 2) holds 0.500000, it must hold 1 (masked) and 0 (visible)");
    CHECK_THROWS_WITH(masked_rows(Matrix{{1, 2}}),
                      "masking: a mask (1, 2) holds 2.000000, it must hold 1 (masked) and 0 (visible)");
    CHECK_THROWS_WITH(sorting_order(Matrix{{std::nanf(""), 0}}), "sorting_order: number 0 of (1, 2) is NaN, which has no order");
    CHECK_THROWS_WITH(sorting_order(Matrix{{0, std::nanf("")}}), "sorting_order: number 1 of (1, 2) is NaN, which has no order");
}

TEST_CASE("make_mask, draw_block_masks, denormalise_patches, masked_mean: each argument check fails by itself") {
    CHECK_THROWS_WITH(make_mask({0}, 0, 0, 0),
                      "masking: 1 numbers are not permutations of 0 positions; their number must be a multiple of that");
    CHECK_THROWS_WITH(make_mask({1, 0}, 2, -1, 1), "masking: entries -1 to 1 of permutations of 2 positions");
    CHECK_THROWS_WITH(make_mask({1, 0}, 2, 2, 1), "masking: entries 2 to 1 of permutations of 2 positions");
    CHECK(make_mask({0}, 1, 0, 1)[0] == 1);
    CHECK(make_mask({0}, 1, 1, 1)[0] == 0);

    Random random(1);
    const auto refusal = [&](int count, int down, int across, int masked, int smallest) {
        return error_of([&] { draw_block_masks(random, count, down, across, masked, smallest); });
    };
    const std::string rule = "; there must be as many patches as are to be masked";
    CHECK(refusal(0, 1, 1, 0, 1) == "");
    CHECK(refusal(1, 1, 1, 1, 1) == "");
    CHECK(refusal(-1, 1, 1, 0, 1) == "draw_block_masks: 0 of 1 x 1 patches in blocks of at least 1" + rule);
    CHECK(refusal(1, 0, 1, 0, 1) == "draw_block_masks: 0 of 0 x 1 patches in blocks of at least 1" + rule);
    CHECK(refusal(1, 1, 0, 0, 1) == "draw_block_masks: 0 of 1 x 0 patches in blocks of at least 1" + rule);
    CHECK(refusal(1, 1, 1, -1, 1) == "draw_block_masks: -1 of 1 x 1 patches in blocks of at least 1" + rule);
    CHECK(refusal(1, 1, 1, 2, 1) == "draw_block_masks: 2 of 1 x 1 patches in blocks of at least 1" + rule);
    CHECK(refusal(1, 1, 1, 0, 0) == "draw_block_masks: 0 of 1 x 1 patches in blocks of at least 0" + rule);

    CHECK_THROWS_WITH(denormalise_patches(Matrix(2, 1), Matrix(2, 1)), "denormalise_patches: (2, 1) like (2, 1)");
    CHECK_NOTHROW(denormalise_patches(Matrix(2, 2), Matrix(2, 2)));
    CHECK(without_place(error_of([] { masked_mean(Matrix(2, 2), Matrix(1, 2, 1)); })) ==
          "masked_mean: losses (2, 2) for a mask (1, 2), one is needed for each patch");
    CHECK(without_place(error_of([] { masked_mean(Matrix(3, 1), Matrix(1, 2, 1)); })) ==
          "masked_mean: losses (3, 1) for a mask (1, 2), one is needed for each patch");
}

TEST_CASE("masked_mean: one masked patch is enough") { CHECK(masked_mean(Matrix{{3}, {5}}, {{1, 0}}).value()(0, 0) == 3); }

// The longest run of masked patches in a row of the grid, or in a column.
static int longest_run(const float* mask, int down, int across, bool in_column) {
    int longest = 0;
    for (int line = 0; line < (in_column ? across : down); ++line) {
        int run = 0;
        for (int k = 0; k < (in_column ? down : across); ++k) {
            run = mask[in_column ? k * across + line : line * across + k] == 1 ? run + 1 : 0;
            longest = std::max(longest, run);
        }
    }
    return longest;
}

TEST_CASE("draw_block_masks: blocks of 16 patches are wide or tall, up to about 2 x 7") {
    Random random(1);
    const Matrix masks = draw_block_masks(random, 200, 12, 12, 16, 16);
    int wide = 0, tall = 0;
    for (int b = 0; b < 200; ++b) {
        wide += longest_run(masks.row(b), 12, 12, false) >= 6;
        tall += longest_run(masks.row(b), 12, 12, true) >= 6;
    }
    CHECK(wide > 20);
    CHECK(tall > 20);
    int squares = 0;  // a block of exactly as many patches as are to be masked is taken
    for (int b = 0; b < 200; ++b)
        squares += longest_run(masks.row(b), 12, 12, false) == 4 && longest_run(masks.row(b), 12, 12, true) == 4;
    CHECK(squares > 20);
    // A block of 8 patches is at least 2 wide and 2 tall; it is not placed where it would fill a grid of 2 columns, or 2 rows.
    const Matrix narrow = draw_block_masks(random, 50, 100, 2, 8, 8), flat = draw_block_masks(random, 50, 2, 100, 8, 8);
    for (int b = 0; b < 50; ++b) {
        CHECK(longest_run(narrow.row(b), 100, 2, true) < 4);
        CHECK(longest_run(flat.row(b), 2, 100, false) < 4);
    }
}

TEST_CASE("draw_permutations, draw_masks: fewer than 0 images, and more numbers than can be counted, are refused") {
    Random random(1);
    CHECK(draw_permutations(random, 0, 3).empty());
    const std::string rule = "draw_permutations: -1 images, there cannot be fewer than 0";
    CHECK(error_of([&] { draw_permutations(random, -1, 3); }) == rule);
    CHECK(error_of([&] { draw_masks(random, -1, 3, 1); }) == rule);
    CHECK(error_of([&] { draw_permutations(random, 65536, 32768); }) ==
          "draw_permutations: 65536 images of 32768 patches are more than an int can count");
}

TEST_SUITE_END();
