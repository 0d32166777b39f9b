#include "vit/fields/volume_rendering.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rows.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("volume_rendering");

TEST_CASE("render: two samples of opacity 1/2 have weights 1/2 and 1/4") {
    const float half = std::log(2.f);  // exp(-ln 2) = 1/2
    const Rendering r = render(Matrix{{half}, {half}}, Matrix{{8, 0}, {4, 4}}, Segments::one(2));
    check_close("alphas", r.alphas.value(), {{0.5f}, {0.5f}});
    check_close("transmittance", r.transmittance.value(), {{1}, {0.5f}});
    check_close("weights", r.weights.value(), {{0.5f}, {0.25f}});
    check_close("pixels", r.pixels.value(), {{5, 1}});  // 8/2 + 4/4, 0/2 + 4/4
    check_close("remaining", r.remaining.value(), {{0.25f}});
    check_close("over a background of 2", over_background(r, 2).value(), {{5.5f, 1.5f}});
}

TEST_CASE("render: a ray without samples sees only the background, and rays do not affect each other") {
    const Rendering r = render(Matrix{{50}, {50}}, Matrix{{3}, {7}}, Segments::of({1, 0, 1}));
    check_close("pixels", over_background(r, 1).value(), {{3}, {1}, {7}});
}

TEST_CASE("render: the gradient of a depth is T after the sample times its colour, minus the light from farther samples") {
    // depths ln 2, ln 2, ln 4, colours 8, 4, 16, background 1: T after the samples 1/2, 1/4, 1/16
    // weights 1/2, 1/4, 3/16; light from behind sample 0: 4/4 + 16*3/16 + 1/16 = 65/16, sample 1: 49/16, sample 2: 1/16
    // dC/d depth: 8/2 - 65/16 = -1/16, 4/4 - 49/16 = -33/16, 16/16 - 1/16 = 15/16
    const Tape tape;
    const Var depths = parameter({{std::log(2.f)}, {std::log(2.f)}, {std::log(4.f)}});
    const Var colours = parameter({{8}, {4}, {16}});
    backward(over_background(render(depths, colours, Segments::one(3)), 1));
    check_close("depths", depths.gradient(), {{-1 / 16.f}, {-33 / 16.f}, {15 / 16.f}});
    check_close("colours", colours.gradient(), {{0.5f}, {0.25f}, {3 / 16.f}});
}

TEST_CASE("render: gradients agree with finite differences") {
    const auto pixels = [](const std::vector<Var>& in) {
        return over_background(render(in[0], in[1], Segments::of({2, 0, 3})), 0.7f);
    };
    check_gradient_by_differences(
        pixels, {{{0.3f}, {1.2f}, {0.1f}, {0.8f}, {2}}, {{0.2f, 0.9f}, {0.5f, 0.4f}, {0.1f, 0.6f}, {0.8f, 0.3f}, {0.7f, 0.5f}}});
}

TEST_CASE("render: an opaque sample hides all farther samples, for any depth, and gradients stay finite") {
    const Tape tape;
    const Var depths = parameter({{1e10f}, {1e10f}});
    const Rendering r = render(depths, Matrix{{3}, {7}}, Segments::one(2));
    CHECK(r.pixels.value()(0, 0) == 3);
    CHECK(r.remaining.value()(0, 0) == 0);
    backward(sum(r.pixels));
    CHECK(identical(depths.gradient(), {{0}, {0}}));
}

TEST_CASE("absorbed: equals the depth of a thin layer to the last digit") {
    const float thin = 1e-6f;  // 1 - exp(-1e-6) = 1e-6 - 5e-13; subtracting from 1 in float would give 9.54e-7
    CHECK(absorbed(Matrix{{thin}}).value()(0, 0) / (1e-6 - 5e-13) == Approx(1).epsilon(1e-7));
    check_gradient_by_differences([](const std::vector<Var>& in) { return absorbed(in[0]); }, {{{0.01f}, {0.5f}, {3}}});
}

TEST_CASE("along_rays: other values with the same weights") {
    const Rendering r = render(Matrix{{std::log(2.f)}, {50}}, Matrix{{1}, {1}}, Segments::one(2));
    check_close("depth", along_rays(r.weights, Matrix{{2}, {6}}, Segments::one(2)).value(), {{4}});  // 2/2 + 6/2
}

TEST_CASE("rays_of_pixels: the middle pixel looks along the optical axis; x points right and y up") {
    Camera camera{.height = 5, .width = 5, .focal = 2, .centre_x = 2, .centre_y = 2};
    camera.pose = {{1, 0, 0, 7}, {0, 1, 0, 8}, {0, 0, 1, 9}};  // not turned: looks along -z
    const Rays rays = rays_of_pixels(camera, {12, 14, 2});     // the middle, the right end of its row, the top of its column
    CHECK(identical(rays.directions, {{0, 0, -1}, {1, 0, -1}, {0, 1, -1}}));
    CHECK(identical(rays.origins, {{7, 8, 9}, {7, 8, 9}, {7, 8, 9}}));
    CHECK(rays_of(camera).count() == 25);
    CHECK(rays_of_pixels(camera, {12}, 0.5).directions(0, 0) == 0.25f);  // half a pixel to the right, focal length 2
    CHECK_THROWS_WITH(rays_of_pixels(camera, {25}),
                      "rays_of_pixels: pixel 25 is outside an image of 5 x 5, they are counted from 0, row by row");
}

TEST_CASE("look_at: the middle of the image looks at the target, and `up` is up") {
    const Camera camera = look_at({0, -3, 0}, {}, {0, 0, 1}, 10, 10, 90);
    CHECK(camera.focal == Approx(5));  // half of the width over tan 45 degrees
    // columns: right is +x, up is +z, backward is -y
    check_close("pose", camera.pose, {{1, 0, 0, 0}, {0, 0, -1, -3}, {0, 1, 0, 0}});
    check_close("middle", rays_of_pixels(camera, {55}).directions, {{0, 1, 0}});
    CHECK_THROWS_WITH(look_at({0, 0, 3}, {}, {0, 0, 1}, 10, 10, 45),
                      "look_at: a direction of (0.000000, 0.000000, 0.000000); the direction up must be finite and not lie on "
                      "the line of sight");
    CHECK_THROWS_WITH(
        look_at({1, 2, 3}, {1, 2, 3}, {0, 0, 1}, 10, 10, 45),
        "look_at: a direction of (0.000000, 0.000000, 0.000000); position and target must be finite and not the same point");
}

TEST_CASE("unit_directions: each row has length 1, and a row of zeros throws") {
    check_close("unit", unit_directions({{3, 0, 4}, {0, -2, 0}}), {{0.6f, 0, 0.8f}, {0, -1, 0}});
    CHECK_THROWS_WITH(unit_directions({{1, 0, 0}, {0, 0, 0}}),
                      "unit_directions: direction 1 has length 0.000000, it must be finite and not 0");
}

TEST_CASE("psnr: an error of a tenth everywhere is 20 dB") {
    CHECK(psnr({{0.5f, 0.6f}}, {{0.4f, 0.7f}}) == Approx(20).epsilon(1e-5));
    CHECK_THROWS_WITH(psnr(Matrix(1, 2), Matrix(2, 1)), "psnr: (1, 2) against (2, 1), the shapes must be equal and not empty");
}

TEST_CASE("image_of: rows of pixels become an image, clamped, and pixels_of inverts it") {
    const Image image = image_of({{0.1f}, {-1}, {2}, {0.4f}, {0.5f}, {0.6f}}, 3, 2);
    CHECK(image(1, 0, 0) == 1);
    CHECK(identical(pixels_of(image), {{0.1f}, {0}, {1}, {0.4f}, {0.5f}, {0.6f}}));
    CHECK_THROWS_WITH(image_of(Matrix(5, 3), 3, 2), "image_of: (5, 3) does not fill 3 x 2 pixels; there must be a row for each");
}

TEST_CASE("render: inconsistent sizes throw with the caller's line") {
    CHECK(without_place(error_of([] { render(Matrix(3, 1), Matrix(2, 3), Segments::one(2)); })) ==
          "render: optical depths (3, 1) and values (2, 3) on rays with 2 samples; every sample needs one row of each");
    CHECK(without_place(error_of([] { render(Matrix(2, 2), Matrix(2, 3), Segments::one(2)); })) ==
          "render: optical depths (2, 2) and values (2, 3) on rays with 2 samples; every sample needs one row of each");
    CHECK(without_place(error_of([] { render(Matrix(2, 1), Matrix(2, 3), Segments::one(3)); })) ==
          "render: optical depths (2, 1) and values (2, 3) on rays with 3 samples; every sample needs one row of each");
}

TEST_CASE("volume_rendering: invalid cameras, directions and densities are refused") {
    Camera camera = look_at({0, 0, 3}, {}, {0, 1, 0}, 2, 2, 40);
    Camera empty = camera, flat = camera;
    empty.height = 0;
    flat.focal = 0;
    CHECK_THROWS_WITH(
        look_at({0, 0, 3}, {0, 0, 3}, {0, 1, 0}, 2, 2, 40),
        "look_at: a direction of (0.000000, 0.000000, 0.000000); position and target must be finite and not the same point");
    CHECK_THROWS_WITH(
        look_at({0, 0, NAN}, {}, {0, 1, 0}, 2, 2, 40),
        "look_at: a direction of (0.000000, 0.000000, nan); position and target must be finite and not the same point");
    CHECK_THROWS_WITH(
        look_at({0, 0, INFINITY}, {}, {0, 1, 0}, 2, 2, 40),
        "look_at: a direction of (0.000000, 0.000000, inf); position and target must be finite and not the same point");
    CHECK(error_of([] {
              look_at({0, 0, 1e-10}, {}, {0, 1, 0}, 2, 2, 40);
          }).ends_with("; position and target must be finite and not the same point"));
    CHECK_THROWS_WITH(look_at({0, 0, 3}, {}, {0, 0, 1}, 2, 2, 40),
                      "look_at: a direction of (0.000000, 0.000000, 0.000000); the direction up must be finite and not lie on "
                      "the line of sight");
    CHECK_THROWS_WITH(
        look_at({0, 0, 3}, {}, {0, 1, 0}, 2, 0, 40),
        "look_at: an image of 2 x 0 pixels and 40.000000 degrees; sizes must be positive, the angle between 0 and 180");
    CHECK_THROWS_WITH(rays_of(empty), "rays_of: an image of 0 x 2 pixels, both must be at least 1");
    CHECK_THROWS_WITH(rays_of(flat), "rays_of_pixels: the focal length is 0.000000 pixels, it must be positive and finite");
    CHECK_THROWS_WITH(rays_of_pixels(camera, {4}),
                      "rays_of_pixels: pixel 4 is outside an image of 2 x 2, they are counted from 0, row by row");
    CHECK_THROWS_WITH(unit_directions({{INFINITY, 0, 0}}),
                      "unit_directions: direction 0 has length inf, it must be finite and not 0");
    CHECK(without_place(error_of([&] { render(Matrix{{-0.5f}}, Matrix{{1}}, Segments::one(1)); })) ==
          "render: the optical depth of sample 0 is -0.500000, a density that amplifies light; it must be 0 or more, as relu "
          "makes it");
    CHECK_THROWS_WITH(image_of(Matrix(3, 3), 2, 2), "image_of: (3, 3) does not fill 2 x 2 pixels; there must be a row for each");
    camera.pose(1, 2) = NAN;
    CHECK_THROWS_WITH(rays_of(camera),
                      "rays_of_pixels: the numbers of the pose (3, 4) hold nan in row 1, column 2 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
}

TEST_CASE("look_at, rays_of_pixels, unit_directions: each argument check fails by itself, the smallest sizes are allowed") {
    const auto refusal = [](int height, int width, double angle) {
        return error_of([&] { look_at({0, 0, 3}, {}, {0, 1, 0}, height, width, angle); });
    };
    const std::string rule = " degrees; sizes must be positive, the angle between 0 and 180";
    CHECK(refusal(1, 1, 179) == "");
    CHECK(refusal(1, 1, 0.5) == "");
    CHECK(refusal(0, 1, 40) == "look_at: an image of 0 x 1 pixels and 40.000000" + rule);
    CHECK(refusal(1, 0, 40) == "look_at: an image of 1 x 0 pixels and 40.000000" + rule);
    CHECK(refusal(1, 1, 0) == "look_at: an image of 1 x 1 pixels and 0.000000" + rule);
    CHECK(refusal(1, 1, 180) == "look_at: an image of 1 x 1 pixels and 180.000000" + rule);
    const Camera camera = look_at({0, 0, 3}, {}, {0, 1, 0}, 1, 1, 40);
    const auto rays = [&](const auto& change) {
        Camera changed = camera;
        change(changed);
        return error_of([&] { rays_of_pixels(changed, {}); });
    };
    CHECK(rays([](Camera& c) { c.height = 0; }) == "rays_of_pixels: an image of 0 x 1 pixels, both must be at least 1");
    CHECK(rays([](Camera& c) { c.width = 0; }) == "rays_of_pixels: an image of 1 x 0 pixels, both must be at least 1");
    CHECK(rays([](Camera& c) { c.pose = Matrix(4, 4); }) == "rays_of_pixels: a pose is (3, 4), not (4, 4)");
    CHECK(rays([](Camera& c) { c.pose = Matrix(3, 3); }) == "rays_of_pixels: a pose is (3, 4), not (3, 3)");
    CHECK(rays_of(camera).count() == 1);
    CHECK_THROWS_WITH(unit_directions(Matrix(1, 2, 1)), "unit_directions: directions have 3 columns, not 2");
}

TEST_CASE("rays_of, rays_of_pixels, psnr, image_of: images without pixels and pixels before the first are refused") {
    Camera camera = look_at({0, 0, 3}, {}, {0, 1, 0}, 1, 1, 40);
    CHECK_THROWS_WITH(rays_of_pixels(camera, {-1}),
                      "rays_of_pixels: pixel -1 is outside an image of 1 x 1, they are counted from 0, row by row");
    CHECK_NOTHROW(rays_of_pixels(camera, {0}));
    camera.focal = 0.5;  // a wide view of a single pixel
    CHECK_NOTHROW(rays_of_pixels(camera, {0}));
    camera.focal = INFINITY;
    CHECK_THROWS_WITH(rays_of_pixels(camera, {0}),
                      "rays_of_pixels: the focal length is inf pixels, it must be positive and finite");
    camera.width = 0;
    CHECK_THROWS_WITH(rays_of(camera), "rays_of: an image of 1 x 0 pixels, both must be at least 1");
    CHECK_THROWS_WITH(psnr(Matrix(), Matrix()), "psnr: (0, 0) against (0, 0), the shapes must be equal and not empty");
    CHECK_NOTHROW(image_of(Matrix(1, 3), 1, 1));
    CHECK_THROWS_WITH(image_of(Matrix(0, 3), 0, 1), "image_of: (0, 3) does not fill 0 x 1 pixels; there must be a row for each");
    CHECK_THROWS_WITH(image_of(Matrix(0, 3), 1, 0), "image_of: (0, 3) does not fill 1 x 0 pixels; there must be a row for each");
}

TEST_CASE("rays_of_pixels: with an offset of 1/2 a ray passes through the middle of its pixel, right and down") {
    const Camera camera = look_at({0, 0, 3}, {}, {0, 1, 0}, 3, 3, 90);  // focal length 1.5
    check_close("middle", rays_of_pixels(camera, {4}, 0.5).directions, {{0, 0, -1}});
    check_close("first", rays_of_pixels(camera, {0}, 0.5).directions, {{-1 / 1.5f, 1 / 1.5f, -1}});
}

TEST_CASE("look_at: the camera's right, up and backward directions have length 1 and are perpendicular") {
    const Matrix pose = look_at({3, -2, 5}, {0.5, 1, -1}, {0, 0, 2}, 4, 4, 50).pose;
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b <= a; ++b) {
            const float product = pose(0, a) * pose(0, b) + pose(1, a) * pose(1, b) + pose(2, a) * pose(2, b);
            CHECK(product == Approx(a == b ? 1 : 0));
        }
}

TEST_CASE("rays_of_pixels: an offset that is not finite is refused") {
    const Camera camera = look_at({0, 0, 3}, {0, 0, 0}, {0, 1, 0}, 2, 2, 60);
    CHECK_THROWS_WITH(rays_of_pixels(camera, {0}, NAN),
                      "rays_of_pixels: an offset of nan pixels, it must be finite; 0.5 is the middle");
}

TEST_CASE("rays_of: more pixels than a matrix has rows are refused") {
    Camera camera;
    camera.height = camera.width = 65536;
    CHECK(error_of([&] { rays_of(camera); }) ==
          "rays_of: an image of 65536 x 65536 pixels, more than the 2147483647 rows of a matrix");
}

TEST_SUITE_END();
