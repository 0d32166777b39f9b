#include "nn/maps/convolution.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("convolution");

static const Matrix one_to_nine{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}};
static const MapSize three_by_three{1, 3, 3};

TEST_CASE("convolve: a 2 x 2 kernel on 3 x 3 pixels, by hand") {
    const Convolution w{.weight = Matrix{{1}, {2}, {3}, {4}}, .bias = Matrix{{0.5f}}};
    const Map y = convolve({one_to_nine, three_by_three}, w, {.side = 2});
    CHECK(y.size == MapSize{1, 2, 2});
    // 1*1 + 2*2 + 3*4 + 4*5 = 37; moved right, every pixel is 1 more: + 10; moved down, 3 more: + 30
    CHECK(identical(y.pixels.value(), Matrix{{37.5f}, {47.5f}, {67.5f}, {77.5f}}));
}

TEST_CASE("convolve: with one pixel of padding, a kernel of ones covers four pixels at the corner") {
    const Convolution ones{.weight = Matrix(9, 1, 1), .bias = {}};
    const Map y = convolve({one_to_nine, three_by_three}, ones, {.side = 3, .padding = Padding::all(1)});
    CHECK(y.size == three_by_three);
    CHECK(identical(y.pixels.value(), Matrix{{12}, {21}, {16}, {27}, {45}, {33}, {24}, {39}, {28}}));
    // stride 2 and padding below and to the right only: the corners are 1 2 4 5 ... of the whole square, then less and less
    const Map strided =
        convolve({one_to_nine, three_by_three}, ones, {.side = 3, .stride = 2, .padding = {.bottom = 2, .right = 2}});
    CHECK(identical(strided.pixels.value(), Matrix{{45}, {3 + 6 + 9}, {7 + 8 + 9}, {9}}));
}

TEST_CASE("convolve: the rows of the weight are kernel row, kernel column, channel, the channel fastest") {
    // two channels side by side in 1 x 2 pixels padded to 2 x 2: only rows 0 ... 3 of the weight meet a pixel
    const Matrix pixels{{1, 10}, {100, 1000}};
    const Convolution w{.weight = Matrix{{1}, {2}, {3}, {4}, {50}, {60}, {70}, {80}}, .bias = {}};
    const Map y = convolve({pixels, {1, 1, 2}}, w, {.side = 2, .padding = {.bottom = 1}});
    CHECK(identical(y.pixels.value(), Matrix{{1 + 20 + 300 + 4000}}));
}

static void check_against_textbook(const MapSize& size, int C, int D, const Window& window) {
    Random random(5);
    const Matrix x = normal_matrix(random, size.rows(), C);
    const Matrix weight = normal_matrix(random, window.side * window.side * C, D), bias = normal_matrix(random, 1, D);
    INFO("side ", window.side, ", stride ", window.stride);
    const Map y = convolve({x, size}, {.weight = weight, .bias = bias}, window);
    check_close("with bias", y.pixels.value(), convolve_textbook(x, size, weight, bias, window));
    CHECK(y.size == size_after(size, window));
    const Map without = convolve({x, size}, {.weight = weight, .bias = {}}, window);
    check_close("without bias", without.pixels.value(), convolve_textbook(x, size, weight, Matrix(), window));
}

TEST_CASE("convolve: equals the textbook loops for every kind of window") {
    const MapSize size{.images = 2, .height = 5, .width = 4};
    check_against_textbook(size, 3, 6, {.side = 3, .padding = Padding::all(1)});
    check_against_textbook(size, 3, 6, {.side = 3});
    check_against_textbook(size, 2, 5, {.side = 3, .stride = 2, .padding = {.bottom = 1, .right = 1}});
    check_against_textbook(size, 2, 5, {.side = 3, .stride = 2, .padding = same_padding(size, 3, 2)});
    check_against_textbook(size, 2, 5, {.side = 4, .stride = 2, .padding = same_padding(size, 4, 2)});
    check_against_textbook(size, 3, 2, {.side = 2, .stride = 2});
    check_against_textbook(size, 3, 2, {.side = 2, .padding = same_padding(size, 2)});
    check_against_textbook(size, 3, 2, {.side = 1});
    check_against_textbook(size, 3, 2, {.side = 1, .stride = 2});
    check_against_textbook(size, 3, 2, {.side = 1, .padding = Padding::all(1)});
    check_against_textbook(size, 1, 1, {.side = 2, .padding = {.top = 3, .left = 1}});
    // 1 x 1, the size stays, and yet other pixels are seen
    check_against_textbook({.images = 1, .height = 2, .width = 2}, 3, 2,
                           {.side = 1, .stride = 2, .padding = {.top = 1, .left = 1}});
}

TEST_CASE("convolve_transposed: every pixel becomes a square, by hand") {
    const TransposedConvolution w{.weight = Matrix{{1, 2, 3, 4}}, .bias = Matrix{{10}}};
    const Map y = convolve_transposed({Matrix{{1}, {2}}, {1, 1, 2}}, w, 2);
    CHECK(y.size == MapSize{1, 2, 4});
    CHECK(identical(y.pixels.value(), Matrix{{11}, {12}, {12}, {14}, {13}, {14}, {16}, {18}}));
}

TEST_CASE("convolve_transposed: equals the textbook: zeros between the pixels and a mirrored kernel") {
    Random random(6);
    const MapSize size{.images = 2, .height = 3, .width = 2};
    for (const int side : {1, 2, 3}) {
        INFO("side ", side);
        const Matrix x = normal_matrix(random, size.rows(), 3);
        const Matrix weight = normal_matrix(random, 3, side * side * 4), bias = normal_matrix(random, 1, 4);
        const Map y = convolve_transposed({x, size}, {.weight = weight, .bias = bias}, side);
        check_close("with bias", y.pixels.value(), convolve_transposed_textbook(x, size, weight, bias, side));
        CHECK(y.size == MapSize{2, 3 * side, 2 * side});
        const Map without = convolve_transposed({x, size}, {.weight = weight, .bias = {}}, side);
        check_close("without bias", without.pixels.value(), convolve_transposed_textbook(x, size, weight, Matrix(), side));
    }
}

TEST_CASE("convolve, convolve_transposed: gradients of map, weight and bias agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    Random random(7);
    const Matrix x = normal_matrix(random, 2 * 3 * 4, 2), bias = normal_matrix(random, 1, 3);
    check_gradient_by_differences(
        [](Inputs v) {
            const Window window{.side = 3, .stride = 2, .padding = {.bottom = 1, .right = 1}};
            return convolve({v[0], {2, 3, 4}}, {.weight = v[1], .bias = v[2]}, window).pixels;
        },
        {x, normal_matrix(random, 9 * 2, 3), bias});
    check_gradient_by_differences(
        [](Inputs v) {
            return convolve({v[0], {2, 3, 4}}, {.weight = v[1], .bias = v[2]}, {.side = 1}).pixels;
        },
        {x, normal_matrix(random, 2, 3), bias});
    check_gradient_by_differences(
        [](Inputs v) {
            return convolve_transposed({v[0], {2, 3, 4}}, {.weight = v[1], .bias = v[2]}, 2).pixels;
        },
        {x, normal_matrix(random, 2, 4 * 3), bias});
}

TEST_CASE("make_convolution: shapes, a bias of zeros, and weights within two standard deviations") {
    Random random(8);
    const Convolution w = make_convolution(random, 3, 4, 5, {.stddev = 0.1f});
    CHECK(shape(w.weight.value()) == "(36, 5)");
    CHECK(identical(w.bias.value(), Matrix(1, 5)));
    for (const float weight : w.weight.value()) CHECK(std::abs(weight) <= 0.2f);
    CHECK(w.weight.requires_gradient());
    // Xavier: sqrt(6 / (9 * 4 + 9 * 5)) = 0.272; with 5 instead of 9 * 5 numbers out it would be 0.383
    const Convolution xavier = make_convolution_without_bias(random, 3, 4, 5, {.draw = Draw::xavier_uniform});
    float largest = 0;
    for (const float weight : xavier.weight.value()) largest = std::max(largest, std::abs(weight));
    CHECK((largest > 0.25f && largest <= 0.273f));
    CHECK_FALSE(make_convolution_without_bias(random, 3, 4, 5).bias);
    const TransposedConvolution transposed = make_transposed_convolution(random, 2, 4, 5);
    CHECK(shape(transposed.weight.value()) == "(4, 20)");
    CHECK(identical(transposed.bias.value(), Matrix(1, 5)));
}

TEST_CASE("add_parameters: a PyTorch weight (D, C, k, k) and a Flax weight (k, k, C, D) are the same matrix") {
    Matrix weight(4 * 3, 2);  // k = 2, C = 3, D = 2
    for (std::size_t n = 0; n < weight.size(); ++n) weight[n] = static_cast<float>(n);
    const Convolution w{.weight = parameter(weight), .bias = parameter(Matrix{{1, 2}})};
    Parameters pytorch, flax;
    add_parameters(pytorch, "conv", w, 2);
    add_parameters(flax, "conv", w, 2, Stored::as_it_is);
    CHECK(pytorch[0].name == "conv.weight");
    CHECK(pytorch[0].shape == std::vector<long>{2, 3, 2, 2});
    CHECK(flax[0].shape == std::vector<long>{2, 2, 3, 2});
    CHECK(pytorch[1].name == "conv.bias");
    CHECK(pytorch[1].shape == std::vector<long>{2});
    const Matrix published = published_value(pytorch[0]);  // its numbers in the order (d, c, ky, kx)
    for (int d = 0; d < 2; ++d)
        for (int c = 0; c < 3; ++c)
            for (int k = 0; k < 4; ++k) CHECK(published[(d * 3 + c) * 4 + k] == weight(k * 3 + c, d));
    const Matrix in_flax = published_value(flax[0]);
    for (std::size_t n = 0; n < weight.size(); ++n) CHECK(in_flax[n] == weight[n]);
    CHECK_THROWS_WITH(add_parameters(flax, "conv", w, 2, Stored::out_by_in),
                      "add_parameters: conv: a convolution cannot be stored out by in, which is the layout of linear layers; "
                      "give Stored::patches or Stored::as_it_is");
}

TEST_CASE("convolve, convolve_transposed: weights that do not fit are refused with the shapes") {
    const Map x{one_to_nine, three_by_three};
    CHECK(without_place(error_of([&] { convolve(x, {.weight = Matrix(8, 2), .bias = {}}, {.side = 3}); })) ==
          "convolve: a weight (8, 2) for 1 channels and a kernel of side 3, it must have 9 rows");
    CHECK(without_place(error_of([&] { convolve(x, {.weight = Matrix(9, 2), .bias = Matrix(1, 3)}, {.side = 3}); })) ==
          "convolve: a bias of (1, 3) for 2 channels, it must be (1, 2)");
    CHECK(without_place(error_of([&] { convolve(x, {.weight = Matrix(9, 2), .bias = Matrix(2, 2)}, {.side = 3}); })) ==
          "convolve: a bias of (2, 2) for 2 channels, it must be (1, 2)");
    CHECK(without_place(error_of([&] {
              convolve({one_to_nine, {1, 2, 3}}, {.weight = Matrix(9, 2), .bias = {}}, {.side = 3});
          })) == "convolve: pixels (9, 1) for a map of 1 image of 2 x 3, it must have 6 rows, one for each pixel");
    CHECK(without_place(error_of([&] { convolve_transposed(x, {.weight = Matrix(1, 6), .bias = {}}, 2); })) ==
          "convolve_transposed: a weight (1, 6) for 1 channels and a kernel of side 2, it must be (1, 4 * channels out)");
    CHECK(without_place(error_of([&] { convolve_transposed(x, {.weight = Matrix(2, 8), .bias = {}}, 2); })) ==
          "convolve_transposed: a weight (2, 8) for 1 channels and a kernel of side 2, it must be (1, 4 * channels out)");
    CHECK(without_place(error_of([&] { convolve_transposed(x, {.weight = Matrix(1, 8), .bias = Matrix(2, 1)}, 2); })) ==
          "convolve_transposed: a bias of (2, 1) for 2 channels, it must be (1, 2)");
}

TEST_CASE("add_parameters: a transposed convolution is published as (in, out, k, k)") {
    // C = 1, D = 2: kernel positions (0 0) (0 1) (1 0) (1 1), two channels each
    const TransposedConvolution w{.weight = Matrix{{1, 10, 2, 20, 3, 30, 4, 40}}, .bias = Matrix{{5, 6}}};
    Parameters table;
    add_parameters(table, "up", w, 2);
    REQUIRE(table.size() == 2);
    CHECK(table[0].name == "up.weight");
    CHECK(table[0].shape == std::vector<long>{1, 2, 2, 2});
    CHECK(identical(published_value(table[0]), Matrix{{1, 2}, {3, 4}, {10, 20}, {30, 40}}));
    CHECK(table[1].name == "up.bias");
    CHECK(table[1].shape == std::vector<long>{2});
}

TEST_CASE("make_convolution: a side or channels below 1, and more rows than a matrix has, are refused") {
    Random random(1);
    const std::string rule = "; each must be at least 1, and a matrix has at most 2147483647 rows";
    CHECK(error_of([&] { make_convolution(random, -3, 3, 2); }) ==
          "make_convolution: a kernel of -3 x -3 pixels from 3 to 2 channels" + rule);
    CHECK(error_of([&] { make_convolution(random, 0, 3, 2); }).ends_with(rule));
    CHECK(error_of([&] { make_convolution(random, 3, 0, 2); }).ends_with(rule));
    CHECK(error_of([&] { make_convolution(random, 3, 3, 0); }).ends_with(rule));
    CHECK(error_of([&] { make_convolution(random, 100'000, 1, 1); }).ends_with(rule));
    CHECK(error_of([&] { make_convolution_without_bias(random, -1, 1, 1); }) ==
          "make_convolution_without_bias: a kernel of -1 x -1 pixels from 1 to 1 channels" + rule);
    CHECK(error_of([&] { make_transposed_convolution(random, -2, 1, 1); }) ==
          "make_transposed_convolution: a kernel of -2 x -2 pixels from 1 to 1 channels" + rule);
    CHECK(make_convolution(random, 1, 1, 1).weight.rows() == 1);
    CHECK(make_transposed_convolution(random, 1, 1, 1).weight.cols() == 1);
}

TEST_CASE("convolve_textbook, convolve_transposed_textbook: maps, weights, biases and sides that do not fit are refused") {
    const Matrix x(4, 3);
    const MapSize size{1, 2, 2};
    const auto plain = [&](const MapSize& of_map, const Matrix& weight, const Matrix& bias, int side) {
        return error_of([&] { convolve_textbook(x, of_map, weight, bias, {.side = side}); });
    };
    CHECK(plain(size, Matrix(12, 5), Matrix(1, 5), 2).empty());
    CHECK(plain({1, 2, 3}, Matrix(12, 5), Matrix(), 2)
              .ends_with(
                  "convolve_textbook: pixels (4, 3) for a map of 1 image of 2 x 3, it must have 6 rows, one for each pixel"));
    CHECK(plain(size, Matrix(11, 5), Matrix(), 2)
              .ends_with("convolve_textbook: a weight (11, 5) for 3 channels and a kernel of side 2, it must have 12 rows"));
    CHECK(plain(size, Matrix(12, 5), Matrix(5, 1), 2)
              .ends_with("convolve_textbook: a bias of (5, 1) for 5 channels, it must be (1, 5)"));
    CHECK(plain(size, Matrix(0, 5), Matrix(), 0).ends_with("a kernel of side 0, it must have 0 rows"));
    const auto transposed = [&](const MapSize& of_map, const Matrix& weight, int side) {
        return error_of([&] { convolve_transposed_textbook(x, of_map, weight, Matrix(), side); });
    };
    CHECK(transposed(size, Matrix(3, 8), 2).empty());
    CHECK(transposed({1, 3, 2}, Matrix(3, 8), 2)
              .ends_with("for a map of 1 image of 3 x 2, it must have 6 rows, one for each pixel"));
    const std::string kernel = " for 3 channels and a kernel of side ";
    CHECK(transposed(size, Matrix(4, 8), 2).ends_with("a weight (4, 8)" + kernel + "2, it must be (3, 4 * channels out)"));
    CHECK(transposed(size, Matrix(3, 7), 2).ends_with("a weight (3, 7)" + kernel + "2, it must be (3, 4 * channels out)"));
    CHECK(transposed(size, Matrix(3, 0), 2).ends_with("a weight (3, 0)" + kernel + "2, it must be (3, 4 * channels out)"));
    CHECK(transposed(size, Matrix(3, 8), 0).ends_with("a weight (3, 8)" + kernel + "0, it must be (3, 0 * channels out)"));
}

TEST_CASE("convolve_transposed: a side whose square an int cannot count is refused") {
    const TransposedConvolution w{.weight = Matrix(3, 8), .bias = {}};
    CHECK(error_of([&] {
              convolve_transposed({Matrix(4, 3), {1, 2, 2}}, w, 131072);
          }).ends_with("a kernel of side 131072, it must be (3, 17179869184 * channels out)"));
}

TEST_CASE("add_parameters of convolutions: a side that the weight cannot have is refused") {
    Parameters table;
    const Convolution plain{.weight = Matrix(12, 5), .bias = {}};
    const TransposedConvolution transposed{.weight = Matrix(3, 20), .bias = {}};
    CHECK(error_of([&] { add_parameters(table, "conv", plain, 2); }).empty());
    CHECK(error_of([&] { add_parameters(table, "conv", transposed, 2); }).empty());
    for (const int side : {0, 3, -2}) CHECK(error_of([&] { add_parameters(table, "conv", plain, side); }).empty() == false);
    CHECK(error_of([&] { add_parameters(table, "conv", plain, 3); }) ==
          "add_parameters: conv is a weight (12, 5), whose rows are not a whole number of channels for a kernel of side 3");
    for (const int side : {0, 3, -2})
        CHECK(error_of([&] { add_parameters(table, "conv", transposed, side); }) ==
              "add_parameters: conv is a weight (3, 20), whose columns are not a whole number of channels for a kernel of side " +
                  std::to_string(side));
    CHECK(table.size() == 2);
    add_parameters(table, "one", plain, 1);
    add_parameters(table, "one_up", transposed, 1);
    CHECK(table[2].shape == std::vector<long>{5, 12, 1, 1});
    CHECK(table[3].shape == std::vector<long>{3, 20, 1, 1});
}

TEST_SUITE_END();
