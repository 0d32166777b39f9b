#include "vit/detect/deformable.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("deformable");

TEST_CASE("parity: locations, weights, output and every gradient of the published operator") {
    for (const std::string& path : golden_files("mask2former_deform")) {
        const Golden golden(path);
        const deformable::Config config{.width = golden.file.metadata_int("d_model"),
                                        .heads = golden.file.metadata_int("n_heads"),
                                        .levels = golden.file.metadata_int("n_levels"),
                                        .points = golden.file.metadata_int("n_points")};
        const std::vector<int> shapes = golden.integers("input.spatial_shapes");
        std::vector<MapSize> sizes;
        for (int l = 0; l < config.levels; ++l)
            sizes.push_back({golden.file.metadata_int("batch"), shapes[2 * l], shapes[2 * l + 1]});
        const std::vector<int> padded =
            golden.has("input.padding_mask") ? golden.integers("input.padding_mask") : std::vector<int>();
        Random random;
        const deformable::Weights w = deformable::make_weights(config, random);
        const Parameters parameters = deformable::parameters(w, "self_attn.");
        golden.load_weights(parameters);
        const Var query = parameter(golden.input("query"));
        const Matrix references = golden.input("reference_points");  // (B*n*L, 2)

        const Tape tape;
        const Var reference = reshape(references, query.rows(), 2 * config.levels);
        const deformable::Steps steps = deformable::attend(query, reference, golden.input("values"), sizes, padded, w, config);
        const Var loss = mean_squared_error(steps.output, golden.input("target"));

        golden.check("sampling_locations",
                     reshape(steps.locations.value(), static_cast<int>(steps.locations.value().size() / 2), 2));
        golden.check("attention_weights", reshape(steps.weights.value(),
                                                  static_cast<int>(steps.weights.value().size()) / config.points, config.points));
        golden.check("output", steps.output.value());
        golden.check("loss", loss.value());

        backward(loss);
        golden.check("grad_query", query.gradient());
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_CASE("attend: fresh weights read the pixels around the reference with equal weight") {
    // One head of width 1 on a 3 x 3 map, one point: the offset of head 0 is one pixel to the right. value and output pass numbers on.
    const deformable::Config config{.width = 1, .heads = 1, .levels = 1, .points = 1};
    Random random(1);
    deformable::Weights w = deformable::make_weights(config, random);
    w.value.weight = w.output.weight = parameter({{1}});
    const Matrix values{{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}}, middle{{0.5f, 0.5f}};
    const deformable::Steps steps = deformable::attend(Matrix(1, 1), middle, values, {{1, 3, 3}}, {}, w, config);
    check_close("location", steps.locations.value(), {{0.5f + 1.0f / 3, 0.5f}});
    check_close("output", steps.output.value(), {{5}});  // right of the middle pixel, 4
}

TEST_CASE("attend: levels, images and padding by hand") {
    // Two images, levels of 1 x 1 and 1 x 2, so three values each; two points that stay at the reference and count by their softmax.
    const deformable::Config config{.width = 1, .heads = 1, .levels = 2, .points = 1};
    Random random(2);
    deformable::Weights w = deformable::make_weights(config, random);
    w.value.weight = w.output.weight = parameter({{1}});
    w.value.bias = parameter({{0.5f}});
    w.offsets.bias = parameter(Matrix(1, 4));
    w.weights.bias = parameter({{std::log(3.0f), 0}});  // level 0 counts 3/4, level 1 a quarter
    const Matrix values{{1}, {2}, {3}, {10}, {20}, {30}};
    const Matrix references{{0.5f, 0.5f, 0.25f, 0.5f}, {0.5f, 0.5f, 0.75f, 0.5f}};  // the left pixel of level 1; the right one
    const std::vector<MapSize> sizes{{2, 1, 1}, {2, 1, 2}};
    // image 0: 0.75 * 1.5 + 0.25 * 2.5 = 1.75; image 1: 0.75 * 10.5 + 0.25 * 30.5 = 15.5; padded 30 counts nothing, not even its bias
    check_close("all", deformable::attend(Matrix(2, 1), references, values, sizes, {}, w, config).output.value(),
                {{1.75f}, {15.5f}});
    check_close("padded",
                deformable::attend(Matrix(2, 1), references, values, sizes, {0, 0, 0, 0, 0, 1}, w, config).output.value(),
                {{1.75f}, {7.875f}});
}

TEST_CASE("attend: an offset of P reaches the edge of a reference box, on every level by hand") {
    // One head of width 1, two points, two levels of 1 x 4 and 2 x 2; values are the columns 0 ... 3, and 10, 20, 30, 40.
    const deformable::Config config{.width = 1, .heads = 1, .levels = 2, .points = 2};
    Random random(4);
    deformable::Weights w = deformable::make_weights(config, random);
    w.value.weight = w.output.weight = parameter({{1}});
    w.offsets.bias = parameter({{2, 0, -1, 0, 0, 2, 1, -2}});  // level 0: right edge, half way left; level 1: lower edge, above
    const Matrix values{{0}, {1}, {2}, {3}, {10}, {20}, {30}, {40}};
    const std::vector<MapSize> sizes{{1, 1, 4}, {1, 2, 2}};
    // level 0: a box around x = 1/2, half of the map wide: points at 3/4 and 3/8. Level 1: around (1/4, 1/2), half by half.
    const Matrix boxes{{0.5f, 0.5f, 0.5f, 1, 0.25f, 0.5f, 0.5f, 0.5f}};
    const deformable::Steps steps = deformable::attend(Matrix(1, 1), boxes, values, sizes, {}, w, config);
    check_close("locations", steps.locations.value(), {{0.75f, 0.5f, 0.375f, 0.5f, 0.25f, 0.75f, 0.375f, 0.25f}});
    // read at columns 2.5 and 1 of level 0; at row 1, column 0 and at row 0, column 1/4 of level 1
    check_close("output", steps.output.value(), {{(2.5f + 1 + 30 + 12.5f) / 4}});
}

TEST_CASE("attend: gradients of reference boxes agree with finite differences") {
    const deformable::Config config{.width = 4, .heads = 2, .levels = 2, .points = 2};
    Random random(5);
    deformable::Weights w = deformable::make_weights(config, random);
    w.offsets.bias = parameter(uniform_matrix(random, 1, 16, -1, 1));
    // Centres half way between four pixels, and boxes so small that no point comes near a pixel's centre, where the derivative
    // jumps.
    const Matrix boxes{{2.0f / 3, 1.0f / 3, 0.3f, 0.2f, 1.0f / 3, 0.5f, 0.2f, 0.3f}};
    const Matrix query = normal_matrix(random, 1, 4), values = normal_matrix(random, 15, 4);
    check_gradient_by_differences(
        [&](const std::vector<Var>& v) {
            return deformable::attend(v[0], v[1], v[2], {{1, 3, 3}, {1, 2, 3}}, {}, w, config).output;
        },
        {query, boxes, values});
}

TEST_CASE("deformable: inconsistent arguments throw a one-line error") {
    const deformable::Config config{.width = 4, .heads = 2, .levels = 1, .points = 1};
    Random random(3);
    const deformable::Weights w = deformable::make_weights(config, random);
    CHECK(error_of([&] {
              deformable::attend(Matrix(1, 4), Matrix(1, 2), Matrix(3, 4), {{1, 2, 2}}, {}, w, config);
          }) == "deformable: values (3, 4), the levels have 4 pixels of width 4");
    CHECK(
        error_of([&] {
            deformable::attend(Matrix(1, 4), Matrix(1, 3), Matrix(4, 4), {{1, 2, 2}}, {}, w, config);
        }) ==
        "deformable: queries (1, 4) with references (1, 3), 1 levels; a query is 4 wide and has 2 or 4 numbers at each level, and "
        "all images have the same number of queries");
    CHECK(error_of([&] { deformable::make_weights({.width = 5, .heads = 2}, random); }) ==
          "deformable: 2 heads do not divide a width of 5; it must be a multiple of them");
}

TEST_CASE("deformable: an invalid config, levels of different images and invalid padding marks are refused") {
    const deformable::Config config{.width = 4, .heads = 2, .levels = 1, .points = 1};
    Random random(3);
    const deformable::Weights w = deformable::make_weights(config, random);
    deformable::Config wrong = config;
    wrong.heads = 3;
    CHECK_THROWS_WITH(deformable::attend(Matrix(1, 4), Matrix(1, 2), Matrix(4, 4), {{1, 2, 2}}, {}, w, wrong),
                      "deformable: 3 heads do not divide a width of 4; it must be a multiple of them");
    CHECK_THROWS_WITH(deformable::attend(Matrix(1, 4), Matrix(1, 2), Matrix(4, 4), {{0, 2, 2}}, {}, w, config),
                      "deformable: a level of 0 images of 2 x 2, the first has 0 images of 2 x 2; sizes must be at least 1, and "
                      "all levels be of the same images");
    CHECK_THROWS_WITH(deformable::attend(Matrix(1, 4), Matrix(1, 2), Matrix(4, 4), {{1, 2, 2}}, {0, 0, 2, 0}, w, config),
                      "deformable: a mark of padding is 2, it must be 1 (padding) or 0");
    CHECK(without_place(error_of([&] {
              deformable::attend(Matrix(1, 4), Matrix{{NAN, 0}}, Matrix(4, 4), {{1, 2, 2}}, {}, w, config);
          })) == "sample: point 0 is (nan, 0.000000), both must be finite");
}

TEST_CASE("attend: each argument check fails by itself, the smallest sizes are allowed") {
    Random random(1);
    const deformable::Config least{.width = 1, .heads = 1, .levels = 1, .points = 1};
    const deformable::Weights w = deformable::make_weights(least, random);
    const auto refusal = [&](const Matrix& query, const Matrix& references, const Matrix& values,
                             const std::vector<MapSize>& sizes, const std::vector<int>& padded,
                             const deformable::Config& config) {
        return error_of([&] { deformable::attend(query, references, values, sizes, padded, w, config); });
    };
    const Matrix one(1, 1), point(1, 2);
    const std::vector<MapSize> pixel{{1, 1, 1}};
    const auto of_config = [&](const deformable::Config& config) { return refusal(one, point, one, pixel, {}, config); };
    CHECK(of_config(least) == "");
    CHECK(of_config({.width = 1, .heads = 0, .levels = 1, .points = 1}) ==
          "deformable: 0 heads do not divide a width of 1; it must be a multiple of them");
    CHECK(of_config({.width = 0, .heads = 1, .levels = 1, .points = 1}) ==
          "deformable: 1 heads do not divide a width of 0; it must be a multiple of them");
    CHECK(of_config({.width = 1, .heads = 1, .levels = 0, .points = 1}) ==
          "deformable: 0 levels, 1 points, both must be at least 1");
    CHECK(of_config({.width = 1, .heads = 1, .levels = 1, .points = 0}) ==
          "deformable: 1 levels, 0 points, both must be at least 1");
    // as many offsets as an int can count: only the values are refused
    CHECK(refusal(one, point, Matrix(1, 2), pixel, {}, {.width = 1, .heads = 1, .levels = 1, .points = 1073741823}) ==
          "deformable: values (1, 2), the levels have 1 pixels of width 1");
    CHECK(refusal(one, point, one, {}, {}, least) == "deformable: 0 sizes for 1 levels, each needs one");
    CHECK(refusal(one, point, Matrix(1, 2), pixel, {}, least) ==
          "deformable: values (1, 2), the levels have 1 pixels of width 1");
    CHECK(refusal(one, point, Matrix(2, 1), pixel, {}, least) ==
          "deformable: values (2, 1), the levels have 1 pixels of width 1");
    const std::string sizes_rule = "; sizes must be at least 1, and all levels be of the same images";
    CHECK(refusal(one, point, one, {{1, 0, 1}}, {}, least).ends_with(sizes_rule));
    CHECK(refusal(one, point, one, {{1, 1, 0}}, {}, least).ends_with(sizes_rule));
    const deformable::Config two_levels{.width = 1, .heads = 1, .levels = 2, .points = 1};
    CHECK(refusal(one, Matrix(1, 4), one, {{1, 1, 1}, {2, 1, 1}}, {}, two_levels).ends_with(sizes_rule));
    const std::string query_rule =
        ", 1 levels; a query is 1 wide and has 2 or 4 numbers at each level, and all images have the same number of queries";
    CHECK(refusal(Matrix(1, 2), point, one, pixel, {}, least) ==
          "deformable: queries (1, 2) with references (1, 2)" + query_rule);
    CHECK(refusal(one, point, Matrix(2, 1), {{2, 1, 1}}, {}, least) ==
          "deformable: queries (1, 1) with references (1, 2)" + query_rule);
    CHECK(refusal(one, Matrix(2, 2), one, pixel, {}, least) == "deformable: queries (1, 1) with references (2, 2)" + query_rule);
    CHECK(refusal(one, Matrix(1, 3), one, pixel, {}, least) == "deformable: queries (1, 1) with references (1, 3)" + query_rule);
    CHECK(refusal(one, point, one, pixel, {0, 0}, least) ==
          "deformable: 2 marks of padding for 1 values; give one for each, or none");
}

TEST_CASE("make_weights: the first offsets of a head point in its direction, 1, 2, 3, ... pixels away, on every level") {
    Random random(2);
    const deformable::Config config{.width = 8, .heads = 4, .levels = 2, .points = 3};
    const Matrix offsets = deformable::make_weights(config, random).offsets.bias.value();  // (1, A*L*P*2)
    const int right[4] = {1, 0, -1, 0}, down[4] = {0, 1, 0, -1};
    REQUIRE(offsets.cols == 48);
    for (int head = 0; head < 4; ++head)
        for (int level = 0; level < 2; ++level)
            for (int point = 0; point < 3; ++point) {
                const int at = ((head * 2 + level) * 3 + point) * 2;
                CHECK(offsets[at] == Approx(right[head] * (point + 1)));
                CHECK(offsets[at + 1] == Approx(down[head] * (point + 1)));
            }
}

TEST_CASE("deformable::Config: the defaults") {
    const deformable::Config usual{};
    CHECK(usual.width == 256);
    CHECK(usual.heads == 8);
    CHECK(usual.levels == 4);
    CHECK(usual.points == 4);
}

TEST_CASE("make_weights: more offsets than an int can count are refused") {
    Random random(1);
    CHECK(error_of([&] { deformable::make_weights({.width = 8, .heads = 2, .levels = 65536, .points = 65536}, random); }) ==
          "deformable: 2 heads, 65536 levels and 65536 points make more offsets than an int can count");
}

TEST_SUITE_END();
