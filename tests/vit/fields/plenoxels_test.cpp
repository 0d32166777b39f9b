#include "vit/fields/plenoxels.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/training/optimizer.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "vit/fields/spheres.h"

TEST_SUITE_BEGIN("plenoxels");

static plenoxels::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("basis_type") == "1");  // spherical harmonics
    CHECK(file.metadata_double("sigma_thresh") == 0);
    CHECK(file.metadata_double("stop_thresh") == 0);
    return {.harmonics = file.metadata_int("basis_dim"),
            .step = static_cast<float>(file.metadata_double("step_size")),
            .near_clip = static_cast<float>(file.metadata_double("near_clip")),
            .background = static_cast<float>(file.metadata_double("background_brightness")),
            .lambda_density = static_cast<float>(file.metadata_double("lambda_tv")),
            .lambda_harmonics = static_cast<float>(file.metadata_double("lambda_tv_sh"))};
}

// A column as the row that a fixture keeps of it.
static Matrix as_row(const Matrix& column) { return reshape(column, 1, column.rows); }

// The samples of every ray, padded with zeros to the longest: (R * longest, C), one value of each as (R, longest).
static Matrix padded_samples(const Matrix& samples, const Segments& rays, int longest) {
    Matrix padded(rays.size() * longest, samples.cols);
    for (int r = 0; r < rays.size(); ++r)
        for (int i = 0; i < rays.list[r].count; ++i)
            std::copy_n(samples.row(rays.list[r].first + i), samples.cols, padded.row(r * longest + i));
    return samples.cols == 1 ? reshape(padded, rays.size(), longest) : padded;
}

static void check_same_gradient(const Golden& golden, const std::string& prefix, const plenoxels::Weights& w) {
    golden.check(prefix + ".density_data", w.density.gradient());
    golden.check(prefix + ".sh_data", w.harmonics.gradient());
}

TEST_CASE("plenoxels: every step, both losses, every gradient and trilinear samples equal the published implementation's") {
    for (const std::string& path : golden_files("plenoxels")) {
        const Golden golden(path);
        const plenoxels::Config config = config_of_fixture(golden);
        const plenoxels::Grid grid = plenoxels::read_grid(golden.file, "weights.");
        const Rays rays{golden.input("origins"), golden.input("dirs")};
        const Matrix target = golden.input("target_rgb");
        const plenoxels::Weights w = plenoxels::make_weights(grid, config);
        const Parameters parameters = plenoxels::parameters(w);
        golden.load_weights(parameters, {.ignored_endings = {"links", "radius", "center"}});

        const Tape tape;
        const plenoxels::Steps steps = plenoxels::forward(rays, grid, w, config);
        const plenoxels::Samples& samples = steps.samples;
        const int longest = golden.file.dimension("expected.sample_t", 1);
        golden.check("view_dirs", samples.view_directions);
        golden.check("sh_basis", steps.basis);
        golden.check("origins_grid", samples.origins);
        golden.check("dirs_grid", samples.directions);
        golden.check("delta_scale", as_row(samples.voxel_length));
        golden.check("t_near", as_row(samples.entry));
        golden.check("t_far", as_row(samples.exit));
        golden.check_integers("num_steps", samples.counts());
        CHECK(samples.rays.longest() == longest);
        golden.check("sample_t", padded_samples(samples.t, samples.rays, longest));
        golden.check("sample_sigma", padded_samples(steps.sigma.value(), samples.rays, longest));
        golden.check("sample_transmittance", padded_samples(steps.rendering.transmittance.value(), samples.rays, longest));
        golden.check("sample_weight", padded_samples(steps.rendering.weights.value(), samples.rays, longest));
        golden.check("sample_rgb", padded_samples(steps.colours.value(), samples.rays, longest));
        golden.check("rgb", steps.pixels.value());

        const Matrix coordinates = plenoxels::to_grid(golden.input("points"), grid);
        const plenoxels::Corners corners = plenoxels::corners_of(coordinates, grid);
        golden.check("points_grid", coordinates);
        golden.check("points_density", plenoxels::interpolate(w.density, corners).value());
        golden.check("points_sh", plenoxels::interpolate(w.harmonics, corners).value());

        const std::array<float, 3> scale = plenoxels::published_scale(grid);
        golden.check("tv_density", plenoxels::total_variation(w.density, grid, plenoxels::Missing::zero, scale).value());
        golden.check("tv_sh", plenoxels::total_variation(w.harmonics, grid, plenoxels::Missing::same, scale).value());
        golden.check("tv_kernel_grad.density_data",
                     plenoxels::released_total_variation_gradient(w.density.value(), grid, plenoxels::Missing::zero, scale));
        golden.check("tv_kernel_grad.sh_data",
                     plenoxels::released_total_variation_gradient(w.harmonics.value(), grid, plenoxels::Missing::same, scale));

        const Var loss = plenoxels::loss(steps, target, grid, w, config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);

        zero_gradients(variables(parameters));
        const Tape of_the_mse;
        const Var image_loss = plenoxels::image_loss(plenoxels::forward(rays, grid, w, config), target);
        golden.check("mse", image_loss.value());
        backward(image_loss);
        check_same_gradient(golden, "mse_grad", w);
        golden.check_all_used();
    }
}

// --- the grid ---

// 2 x 2 x 2 voxels in the box from -1 to 1: the world is stretched by 1, voxel (0, 0, 0) lies at (-1/2, -1/2, -1/2).
static plenoxels::Grid small_grid() { return plenoxels::full_grid({2, 2, 2}, {1, 1, 1}); }

TEST_CASE("corners_of: the eight trilinear weights, the rows of x = 1 last") {
    const plenoxels::Corners corners = plenoxels::corners_of({{0.25f, 0, 0.5f}}, small_grid());
    CHECK(corners.rows == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
    // x: 3/4 and 1/4; y: 1 and 0; z: 1/2 and 1/2
    check_close("weights", corners.weights, {{0.375f, 0.375f, 0, 0, 0.125f, 0.125f, 0, 0}});
}

TEST_CASE("corners_of: a point outside the grid is moved to its edge, and an empty voxel has row -1") {
    plenoxels::Grid grid = small_grid();
    grid.links = {-1, 0, 1, 2, 3, 4, 5, 6};
    const plenoxels::Corners corners = plenoxels::corners_of({{-7, 0.5f, 9}}, grid);
    CHECK(corners.rows == std::vector<int>{-1, 0, 1, 2, 3, 4, 5, 6});
    check_close("weights", corners.weights, {{0, 0.5f, 0, 0.5f, 0, 0, 0, 0}});  // x = 0, y = 1/2, z = 1
    const Matrix field{{1}, {2}, {3}, {4}, {5}, {6}, {7}};
    check_close("value", plenoxels::interpolate(field, corners).value(), {{2}});  // (1 + 3) / 2
}

TEST_CASE("to_grid: voxel centres are integers, the box begins half a voxel before the first") {
    const plenoxels::Grid grid = plenoxels::full_grid({2, 4, 8}, {1, 2, 2}, {1, 0, 0});
    // x: box 0 ... 2 in 2 voxels; y: -2 ... 2 in 4; z: -2 ... 2 in 8
    check_close("coordinates", plenoxels::to_grid({{0, -2, -2}, {0.5f, -1.5f, -1.75f}, {2, 2, 2}}, grid),
                {{-0.5f, -0.5f, -0.5f}, {0, 0, 0}, {1.5f, 3.5f, 7.5f}});
}

TEST_CASE("sample_rays: samples are half a voxel apart from edge to edge, for directions of any length") {
    // g = (-5/2, 1/2, 1/2): enters at -1/2 after 2 voxels, leaves at 3/2 after 4
    const Rays rays{{{-3, 0, 0}, {-3, 5, 0}, {0, 0, 0}}, {{2, 0, 0}, {1, 0.1f, 0}, {0, 0, -3}}};
    const plenoxels::Samples samples = plenoxels::sample_rays(rays, small_grid(), {});
    CHECK(samples.counts() == std::vector<int>{5, 0, 3});
    check_close("t", samples.t, {{2}, {2.5f}, {3}, {3.5f}, {4}, {0}, {0.5f}, {1}});
    check_close("entry", samples.entry, {{2}, {0}, {0}});
    check_close("exit", samples.exit, {{4}, {0}, {1}});  // the second misses the box
    check_close("view directions", slice_rows(samples.view_directions, 2, 1), {{0, 0, -1}});
    CHECK(plenoxels::sample_rays(rays, small_grid(), {.near_clip = 2.75f}).counts() == std::vector<int>{3, 0, 0});
}

TEST_CASE("sample_rays: an axis along which a ray does not move is ignored in its intersection with the box") {
    const plenoxels::Samples samples = plenoxels::sample_rays({{{-3, 5, 0}}, {{1, 0, 0}}}, small_grid(), {});
    CHECK(samples.counts() == std::vector<int>{5});     // beside the box
    CHECK(samples.corners.weights(0, 0) == Approx(0));  // y moved to the edge: 1
    CHECK(samples.corners.weights(0, 2) == Approx(0.5));
}

TEST_CASE("sample_rays: a voxel is longer in the world along the long side of a box, and so is the step") {
    const plenoxels::Grid grid = plenoxels::full_grid({2, 2, 2}, {2, 1, 1});
    const Rays rays{{{-5, 0, 0}, {0, -5, 0}}, {{1, 0, 0}, {0, 1, 0}}};
    check_close("delta", plenoxels::sample_rays(rays, grid, {}).voxel_length, {{2}, {1}});
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Steps steps = plenoxels::forward(rays, grid, plenoxels::make_weights(grid, config, 0.5f), config);
    CHECK(steps.optical_depths.value()(0, 0) == Approx(0.5));   // density 1/2, half a voxel of length 2
    CHECK(steps.optical_depths.value()(5, 0) == Approx(0.25));  // of length 1
}

TEST_CASE("spherical_harmonics: the nine are orthonormal over the sphere") {
    const int count = 4000;
    Matrix directions(count, 3);
    const std::vector<Point3> points = points_on_sphere(count, 1);
    for (int i = 0; i < count; ++i) {
        directions(i, 0) = static_cast<float>(points[i].x);
        directions(i, 1) = static_cast<float>(points[i].y);
        directions(i, 2) = static_cast<float>(points[i].z);
    }
    const Matrix Y = plenoxels::spherical_harmonics(directions, 9);
    Matrix products(9, 9), identity(9, 9);
    for (int a = 0; a < 9; ++a) {
        identity(a, a) = 1;
        for (int b = 0; b < 9; ++b)
            for (int i = 0; i < count; ++i)
                products(a, b) += Y(i, a) * Y(i, b) * 12.566371f / count;  // the sphere's area is 4 pi
    }
    check_close("integrals", products, identity, {.absolute = 2e-3f});
    CHECK(identical(plenoxels::spherical_harmonics(directions, 4), slice_cols(Y, 0, 4)));
    CHECK_THROWS_WITH(plenoxels::spherical_harmonics(directions, 3), "plenoxels: 3 spherical harmonics; there are 1, 4 or 9");
}

// --- rendering ---

static Rays through_the_middle() { return {{{-3, 0, 0}}, {{1, 0, 0}}}; }

TEST_CASE("forward: an opaque grid has the colour 1/2 plus the harmonics, channel by channel") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Weights w = plenoxels::make_weights(grid, config, 1000);
    for (int v = 0; v < 8; ++v) {
        w.harmonics->value(v, 0) = 1;    // red: 1/2 + 0.2821
        w.harmonics->value(v, 2) = -10;  // blue: below 0
    }
    check_close("pixel", plenoxels::forward(through_the_middle(), grid, w, config).pixels.value(), {{0.78209479f, 0.5f, 0}});
}

TEST_CASE("forward: a negative density and a negative colour count as 0 and get no gradient") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Weights w = plenoxels::make_weights(grid, config, -1);
    const Tape tape;
    backward(sum(plenoxels::forward(through_the_middle(), grid, w, config).pixels));
    CHECK(identical(w.density.gradient(), Matrix(8, 1)));
    const plenoxels::Weights black = plenoxels::make_weights(grid, config, 1);
    for (float& x : black.harmonics->value) x = -10;
    backward(sum(plenoxels::forward(through_the_middle(), grid, black, config).pixels));
    CHECK(identical(black.harmonics.gradient(), Matrix(8, 3)));
    CHECK(black.density.gradient()(0, 0) < 0);  // hides the white background
}

TEST_CASE("forward: a ray that misses the box sees the background") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Config config{.background = 0.25f};
    const Rays rays{{{-3, 5, 0}}, {{1, 0.1f, 0}}};
    check_close("pixel", plenoxels::forward(rays, grid, plenoxels::make_weights(grid, config, 9), config).pixels.value(),
                {{0.25f, 0.25f, 0.25f}});
}

TEST_CASE("forward: gradients of densities and harmonics agree with finite differences") {
    const plenoxels::Grid grid = plenoxels::full_grid({2, 3, 2}, {0.8, 1, 1.2});
    const plenoxels::Config config{.harmonics = 4, .step = 0.7f};
    const Rays rays{{{-3, 0.2f, 0.1f}, {2, -2, 0.3f}}, {{1, 0.03f, 0.02f}, {-1, 1.1f, -0.1f}}};
    Random random(3);
    const auto pixels = [&](const std::vector<Var>& in) { return plenoxels::forward(rays, grid, {in[0], in[1]}, config).pixels; };
    check_gradient_by_differences(pixels, {uniform_matrix(random, 12, 1, 0.3f, 1), uniform_matrix(random, 12, 12, -0.2f, 0.2f)});
}

// --- total variation ---

TEST_CASE("total_variation: differences of 2, 2 and 1 have the length 3") {
    const plenoxels::Grid grid = small_grid();  // only voxel (0, 0, 0) has three next ones
    Matrix field(8, 1);
    field(0, 0) = 1;
    field(4, 0) = 3, field(2, 0) = -1, field(1, 0) = 2;  // next along x, y, z
    const float unscaled = plenoxels::total_variation(field, grid, plenoxels::Missing::zero, {1, 1, 1}).value()(0, 0);
    CHECK(unscaled == Approx(std::sqrt(9 + 1e-5)));
    const float scaled = plenoxels::total_variation(field, grid, plenoxels::Missing::zero, {0.5f, 0, 2}).value()(0, 0);
    CHECK(scaled == Approx(std::sqrt(1 + 0 + 4 + 1e-5)));
}

TEST_CASE("total_variation: an empty neighbour is 0 for densities, and adds no difference for harmonics") {
    plenoxels::Grid grid = small_grid();
    grid.links = {0, -1, -1, -1, -1, -1, -1, -1};
    const Matrix field{{4}};
    CHECK(plenoxels::total_variation(field, grid, plenoxels::Missing::zero, {1, 1, 0}).value()(0, 0) ==
          Approx(std::sqrt(32 + 1e-5)));
    CHECK(plenoxels::total_variation(field, grid, plenoxels::Missing::same, {1, 1, 0}).value()(0, 0) == Approx(std::sqrt(1e-5)));
    grid.links = {-1, 0, -1, -1, -1, -1, -1, -1};  // the voxel itself is empty, row 0 is its neighbour along z
    for (const plenoxels::Missing missing : {plenoxels::Missing::zero, plenoxels::Missing::same}) {
        CHECK(plenoxels::total_variation(field, grid, missing, {1, 1, 1}).value()(0, 0) == Approx(std::sqrt(16 + 1e-5)));
        CHECK(plenoxels::released_total_variation_gradient(field, grid, missing, {1, 1, 3})(0, 0) == Approx(3 * 4 / 4.0));
    }
}

TEST_CASE("total_variation: of chosen voxels; gradients agree with finite differences; the last of an axis throws") {
    const plenoxels::Grid grid = plenoxels::full_grid({3, 2, 2}, {1, 1, 1});
    Random random(5);
    const Matrix field = normal_matrix(random, 12, 2);
    const auto of = [&](const std::vector<int>& cells) {
        return plenoxels::total_variation(field, grid, plenoxels::Missing::zero, {1, 2, 3}, cells).value()(0, 0);
    };
    CHECK(plenoxels::cells_with_neighbours(grid) == std::vector<int>{0, 4});
    CHECK((of({0}) + of({4})) / 2 == Approx(of({})));
    const auto all = [&](const std::vector<Var>& in) {
        return plenoxels::total_variation(in[0], grid, plenoxels::Missing::zero, {1, 2, 3});
    };
    check_gradient_by_differences(all, {field});
    for (const int last : {-1, 1, 2, 8})  // before the first, and the last along z, y, x
        CHECK(error_of([&] { of({last}); }) == "total_variation: voxel " + std::to_string(last) +
                                                   " of a grid of 3 x 2 x 2 voxels has no next voxel along every axis");
}

TEST_CASE("released_total_variation_gradient: differs from the derivative when the axes have different scales") {
    const plenoxels::Grid grid = small_grid();
    Matrix values(8, 1);
    values(4, 0) = 3, values(2, 0) = 4;  // d = (3, 4, 0), length 5
    const Matrix released = plenoxels::released_total_variation_gradient(values, grid, plenoxels::Missing::zero, {2, 1, 1});
    CHECK(released(4, 0) == Approx(2 * 3 / 5.0));  // scale * d / length of the unscaled differences
    Matrix slight(8, 1);
    slight(4, 0) = 3.1622777e-5f;  // d^2 is 1e-9, as much as is added under the root
    CHECK(plenoxels::released_total_variation_gradient(slight, grid, plenoxels::Missing::zero, {1, 1, 1})(4, 0) ==
          Approx(std::sqrt(0.5)));
    const Tape tape;
    const Var field = parameter(values);
    backward(plenoxels::total_variation(field, grid, plenoxels::Missing::zero, {2, 1, 1}));
    CHECK(field.gradient()(4, 0) == Approx(2 * 6 / std::sqrt(36 + 16 + 1e-5)));  // scale^2 d / length of the scaled ones
}

// --- fitting ---

TEST_CASE("RmsProp: the first step has the size of the learning rate, later ones average, rows without gradient stay") {
    Var w = parameter({{5}, {5}}), other = parameter({{1}});
    plenoxels::RmsProp optimizer({w, other}, {0.5f, 100});
    w.gradient() = {{2}, {0}};
    optimizer.update(0.2f);  // r = 4: 5 - 0.2 * 0.5 * 2 / 2
    check_close("first", w.value(), {{4.9f}, {5}});
    w.gradient() = {{1}, {0}};
    optimizer.update(0.2f);  // r = 0.95 * 4 + 0.05 = 3.85
    CHECK(w.value()(0, 0) == Approx(4.9 - 0.1 / std::sqrt(3.85)));
    CHECK(optimizer.r[0](1, 0) == 0);
    CHECK(other.value()(0, 0) == 1);  // has no gradient at all
    CHECK(optimizer.steps == 2);
    Var wide = parameter({{1, 2, 3}, {4, 5, 6}});
    plenoxels::RmsProp of_wide({wide}, {1});
    wide.gradient() = {{1, -1, 2}, {-2, 3, 0}};
    of_wide.update(0.5f);  // every first step is 0.5 against the sign of its gradient
    check_close("wide", wide.value(), {{0.5f, 2.5f, 2.5f}, {4.5f, 4.5f, 6}});
    CHECK_THROWS_WITH(plenoxels::RmsProp({w}, {1, 2}), "RmsProp: 2 learning rates for 1 variables, each has its own");
}

TEST_CASE("fit: twelve small views of a sphere are enough to render held-out ones" * only_when_optimised) {
    const std::vector<Sphere> sphere{{{0.1, 0, 0}, 0.4, {0.9, 0.2, 0.2}}};
    const plenoxels::Config config{.harmonics = 1};
    plenoxels::Scene scene{plenoxels::full_grid({10, 10, 10}, {0.8, 0.8, 0.8}), {}};
    scene.weights = plenoxels::make_weights(scene.grid, config);
    const View test = views_of(sphere, 3, 12, 1)[1];
    const double before = psnr(plenoxels::photograph(test.camera, scene, config), pixels_of(test.image));
    plenoxels::fit(scene, pixel_rays(views_of(sphere, 12, 12)), config, {.steps = 100, .batch = 200}, 1);
    const double after = psnr(plenoxels::photograph(test.camera, scene, config), pixels_of(test.image));
    INFO("before ", before, " dB, after ", after, " dB");
    CHECK(after > before + 8);
}

TEST_CASE("Fitting: the loss is that of the batch plus both total variations, with unscaled differences") {
    const PixelRays one{through_the_middle(), {{1, 0, 0}}};
    plenoxels::Scene scene{small_grid(), plenoxels::make_weights(small_grid(), {.harmonics = 1}, 0.5f)};
    scene.weights.density->value(0, 0) = 2.5f;  // three differences of 2
    scene.weights.harmonics->value(0, 1) = 1;   // three of 1, the other columns are flat
    plenoxels::Fitting fitting(scene, one, {.harmonics = 1}, {.batch = 3, .tv_density = 0.5f, .tv_harmonics = 0.25f}, 1);
    const float loss = fitting.loss(0).value()(0, 0);
    const float rough = std::sqrt(12 + 1e-5f), flat = std::sqrt(1e-5f);
    CHECK(loss - fitting.image_loss == Approx(0.5 * rough + 0.25 * (std::sqrt(3 + 1e-5f) + 2 * flat)));
    const Var alone =
        plenoxels::image_loss(plenoxels::forward(one.rays, scene.grid, scene.weights, {.harmonics = 1}), one.colours);
    CHECK(fitting.image_loss == Approx(alone.value()(0, 0)));
    CHECK_THROWS_WITH(plenoxels::Fitting(scene, one, {.harmonics = 1}, {.batch = 0}, 1),
                      "plenoxels: a batch of 0 rays out of 1, both must be positive");
}

TEST_CASE("photograph: an image larger than a chunk is complete, its rays pass through the centres of pixels") {
    const plenoxels::Config config{.harmonics = 4, .step = 0.1f};  // enough samples for several ranges of each loop
    const plenoxels::Scene scene{small_grid(), plenoxels::make_weights(small_grid(), config, 0.7f)};
    const Camera camera = look_at({0.5, -1.5, 0.7}, {}, {0, 0, 1}, 70, 66, 20);
    const Matrix pixels = plenoxels::photograph(camera, scene, config);
    CHECK(shape(pixels) == "(4620, 3)");
    for (const int pixel : {0, 2400, 4095, 4096, 4300}) {
        const Matrix alone =
            plenoxels::forward(rays_of_pixels(camera, {pixel}, 0.5), scene.grid, scene.weights, config).pixels.value();
        check_close("pixel", slice_rows(pixels, pixel, 1), alone);
    }
    CHECK(pixels(2400, 0) != pixels(4300, 0));
    CHECK(std::abs(pixels(0, 0) - pixels(4096, 0)) > 0.01f);
}

// --- pruning and upsampling ---

TEST_CASE("resampled: a linear field stays linear on a finer grid, in the same box") {
    plenoxels::Scene scene{plenoxels::full_grid({4, 2, 2}, {2, 1, 1}, {5, 0, 0}), {}};
    scene.weights = plenoxels::make_weights(scene.grid, {.harmonics = 1});
    for (int x = 0; x < 4; ++x)
        for (int v = 0; v < 4; ++v) scene.weights.density->value(x * 4 + v, 0) = static_cast<float>(x);
    const plenoxels::Scene fine = plenoxels::resampled(scene, {8, 2, 2});
    // voxel k of 8 lies at (k + 1/2) / 2 - 1/2 of 4, and no further than the outermost centres
    const float expected[8] = {0, 0.25f, 0.75f, 1.25f, 1.75f, 2.25f, 2.75f, 3};
    for (int k = 0; k < 8; ++k) CHECK(fine.weights.density.value()(k * 4, 0) == Approx(expected[k]));
    CHECK(fine.grid.radius == scene.grid.radius);
    CHECK(fine.grid.centre == scene.grid.centre);
}

TEST_CASE("resampled: a voxel interpolated from empty voxels alone is empty") {
    plenoxels::Scene scene{plenoxels::full_grid({4, 2, 2}, {1, 1, 1}), {}};
    for (int cell = 0; cell < 16; ++cell) scene.grid.links[cell] = cell < 4 ? cell : -1;  // only x = 0
    scene.weights = plenoxels::make_weights(scene.grid, {.harmonics = 1}, 3);
    const plenoxels::Scene fine = plenoxels::resampled(scene, {8, 2, 2});
    CHECK(fine.grid.voxels() == 3 * 4);  // x = 0, 0.25 and 0.75 of the old grid; 1.25 lies between 1 and 2
    CHECK(fine.weights.density.value()(11, 0) == Approx(0.75));
    for (int cell = 0; cell < 32; ++cell) CHECK(fine.grid.links[cell] == (cell < 12 ? cell : -1));
}

TEST_CASE("pruned: voxels that reach the threshold stay with all neighbours, also diagonal, and the image does not change") {
    plenoxels::Scene scene{plenoxels::full_grid({5, 5, 5}, {1, 1, 1}), {}};
    const plenoxels::Config config{.harmonics = 1};
    scene.weights = plenoxels::make_weights(scene.grid, config, -1);
    const int middle = scene.grid.cell(2, 2, 2);
    scene.weights.density->value(middle, 0) = 30;
    const plenoxels::Scene sparse = plenoxels::pruned(scene, scene.weights.density.value(), 30);
    CHECK(sparse.grid.voxels() == 27);
    CHECK(sparse.grid.link(1, 1, 1) == 0);
    CHECK(sparse.grid.link(2, 2, 2) == 13);
    CHECK(sparse.grid.link(0, 2, 2) == -1);
    const Camera camera = look_at({2, 1, 1}, {}, {0, 0, 1}, 9, 9, 45);
    const Matrix before = plenoxels::photograph(camera, scene, config), after = plenoxels::photograph(camera, sparse, config);
    CHECK(before(40, 0) < 0.9f);  // the middle pixel sees something
    check_close("image", after, before);
    CHECK_THROWS_WITH(plenoxels::pruned(scene, scene.weights.density.value(), 31),
                      "pruned: no voxel reaches 31.000000, nothing would stay of the scene; take a lower threshold");
}

TEST_CASE("pruned: keeps all neighbours in a grid of three different sides") {
    plenoxels::Scene scene{plenoxels::full_grid({3, 4, 6}, {1, 1, 1}), {}};
    scene.weights = plenoxels::make_weights(scene.grid, {.harmonics = 1});
    Matrix values(72, 1);
    values(scene.grid.cell(1, 2, 4), 0) = 1;
    CHECK(plenoxels::pruned(scene, values, 1).grid.voxels() == 27);
    values(scene.grid.cell(1, 2, 4), 0) = 0;
    values(scene.grid.cell(2, 3, 5), 0) = 1;  // the last corner has seven neighbours
    const plenoxels::Scene corner = plenoxels::pruned(scene, values, 1);
    CHECK(corner.grid.voxels() == 8);
    CHECK(corner.grid.link(2, 3, 5) == 7);
    CHECK(corner.grid.link(0, 0, 0) == -1);
    values(scene.grid.cell(2, 3, 5), 0) = 0;
    values(0, 0) = 1;  // the first row belongs to the first corner
    CHECK(plenoxels::pruned(scene, values, 1).grid.voxels() == 8);
}

TEST_CASE("largest_weights: an opaque wall has weight, the voxels hidden by it have none") {
    const plenoxels::Grid grid = plenoxels::full_grid({6, 2, 2}, {3, 1, 1});
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Weights w = plenoxels::make_weights(grid, config, 500);
    const Matrix seen = plenoxels::largest_weights({{{-9, 0, 0}}, {{1, 0, 0}}}, grid, w, config);
    CHECK(seen(grid.cell(0, 0, 0), 0) == Approx(1));
    CHECK(seen(grid.cell(4, 0, 0), 0) == Approx(0));
    const plenoxels::Weights thin = plenoxels::make_weights(grid, config, 0.1f);
    CHECK(plenoxels::largest_weights({{{-9, 0, 0}}, {{1, 0, 0}}}, grid, thin, config)(grid.cell(4, 0, 0), 0) > 0.01f);
}

// --- files and bad input ---

TEST_CASE("save: grid and weights are read back, with empty voxels") {
    const TemporaryFolder folder;
    const std::string path = folder.path("scene.safetensors");
    plenoxels::Grid grid = plenoxels::full_grid({2, 3, 4}, {1, 2, 3}, {0.5, 0, -1});
    grid.links[0] = -1;
    for (int cell = 1; cell < 24; ++cell) grid.links[cell] = cell - 1;
    Random random(1);
    const plenoxels::Weights w{parameter(normal_matrix(random, 23, 1)), parameter(normal_matrix(random, 23, 12))};
    plenoxels::save(path, grid, w);
    const Safetensors file(path);
    const plenoxels::Grid read = plenoxels::read_grid(file);
    CHECK(read.size == grid.size);
    CHECK(read.links == grid.links);
    CHECK(read.radius == grid.radius);
    CHECK(read.centre == grid.centre);
    const plenoxels::Weights loaded = plenoxels::make_weights(read, {.harmonics = 4});
    load(plenoxels::parameters(loaded), file, {.ignored_endings = {"links", "radius", "center"}});
    CHECK(identical(loaded.density.value(), w.density.value()));
    CHECK(identical(loaded.harmonics.value(), w.harmonics.value()));
}

TEST_CASE("plenoxels: inconsistent grids, weights and configs throw an error that gives the reason") {
    CHECK_THROWS_WITH(plenoxels::full_grid({2, 1, 2}, {1, 1, 1}),
                      "plenoxels: a grid of 2 x 1 x 2 voxels; interpolation needs at least 2 along each axis");
    CHECK_THROWS_WITH(plenoxels::full_grid({2, 2, 2}, {1, 0, 1}),
                      "plenoxels: half a side of the box is 0.000000, it must be positive and finite");
    CHECK_THROWS_WITH(plenoxels::make_weights(small_grid(), {.harmonics = 2}),
                      "plenoxels: 2 spherical harmonics; there are 1, 4 or 9");
    const plenoxels::Weights w = plenoxels::make_weights(small_grid(), {.harmonics = 4});
    CHECK_THROWS_WITH(plenoxels::forward(through_the_middle(), small_grid(), w, {.harmonics = 9}),
                      "plenoxels: harmonics (8, 12) where the config has 9 for each of 3 channels");
    CHECK_THROWS_WITH(plenoxels::forward(through_the_middle(), plenoxels::full_grid({2, 2, 3}, {1, 1, 1}), w, {.harmonics = 4}),
                      "plenoxels: densities (8, 1) and harmonics (8, 12) for 12 voxels; each needs one row of both");
    CHECK_THROWS_WITH(plenoxels::forward(through_the_middle(), small_grid(), w, {.harmonics = 4, .step = 0}),
                      "plenoxels: the step is 0.000000 voxels, it must be positive and finite; 0.5 is usual");
}

TEST_CASE("read_grid: links that name a row twice or beyond the voxels throw") {
    const TemporaryFolder folder;
    const std::string path = folder.path("scene.safetensors");
    const auto error_with = [&](const std::vector<long>& links) {
        write_safetensors(path, {{"links", {2, 2, 2}, {}, links}, {"radius", {3}, {{1, 1, 1}}}, {"center", {3}, {{0, 0, 0}}}});
        return error_of([&] { plenoxels::read_grid(Safetensors(path)); });
    };
    CHECK(error_with({0, 1, 2, 3, 4, 5, 6, -1}) == "");
    CHECK(error_with({0, 1, 2, 3, 4, 5, 5, -1}) == path + ": link 5 of 7 voxels; the links name the rows 0 to 6 once each");
    CHECK(error_with({0, 1, 2, 3, 4, 5, 0, -1}) == path + ": link 0 of 7 voxels; the links name the rows 0 to 6 once each");
    CHECK(error_with({0, 1, 2, 3, 4, 5, 7, -1}) == path + ": link 7 of 7 voxels; the links name the rows 0 to 6 once each");
}

TEST_CASE("plenoxels: NaN in rays and points, and invalid recipes, are refused") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Weights w = plenoxels::make_weights(grid, {.harmonics = 1});
    const plenoxels::Config config{.harmonics = 1};
    Rays rays = through_the_middle();
    rays.origins[0] = NAN;
    CHECK_THROWS_WITH(plenoxels::forward(rays, grid, w, config),
                      "plenoxels: the origins of rays (1, 3) hold nan in row 0, column 0 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(
        plenoxels::corners_of({{NAN, 0, 0}}, grid),
        "plenoxels: the grid coordinates (1, 3) hold nan in row 0, column 0 (from 0); all must be finite, trap_nan(true) "
        "names the operation that made it");
    CHECK_THROWS_WITH(plenoxels::corners_of(Matrix(1, 2), grid), "plenoxels: grid coordinates (1, 2) must have 3 columns");
    CHECK_THROWS_WITH(plenoxels::spherical_harmonics(Matrix(1, 2), 4),
                      "spherical_harmonics: directions (1, 2) must have 3 columns");
    CHECK_THROWS_WITH(
        plenoxels::sample_rays(through_the_middle(), grid, {.step = 1e-30f}),
        "plenoxels: a step of 1e-30 voxels takes more than 2147483647 samples, the maximum of rows of a matrix; 0.5 is usual");
    const Rays from_afar{{{-2e9f, 0, 0}}, {{1, 0, 0}}};  // samples are counted inside of the box alone
    CHECK(plenoxels::sample_rays(from_afar, grid, {.step = 0.5f}).t.rows ==
          plenoxels::sample_rays(through_the_middle(), grid, {.step = 0.5f}).t.rows);
    CHECK_THROWS_WITH(
        plenoxels::full_grid({4000, 5000, 6000}, {1, 1, 1}),
        "plenoxels: a grid of 4000 x 5000 x 6000 voxels holds more than 2147483647, the maximum of rows of a matrix");
    CHECK_THROWS_WITH(plenoxels::sample_rays(through_the_middle(), grid, {.step = INFINITY}),
                      "plenoxels: the step is inf voxels, it must be positive and finite; 0.5 is usual");
    CHECK_THROWS_WITH(plenoxels::sample_rays(through_the_middle(), grid, {.near_clip = NAN}),
                      "plenoxels: rays begin at nan voxels, it must be finite and at least 0");
    CHECK_THROWS_WITH(plenoxels::released_total_variation_gradient(Matrix(3, 1), grid, plenoxels::Missing::zero, {1, 1, 1}),
                      "released_total_variation_gradient: a field (3, 1) for 8 voxels, each needs one row");
    CHECK_THROWS_WITH(plenoxels::full_grid({2, 2, 2}, {1, 1, 1}, {0, NAN, 0}),
                      "plenoxels: a coordinate of the centre of the box is nan, it must be finite");
}

TEST_CASE("Fitting, pruned, sample_rays: each argument check fails by itself, the limits are allowed") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Scene scene{grid, plenoxels::make_weights(grid, {.harmonics = 1})};
    const PixelRays one{through_the_middle(), Matrix(1, 3)};
    const auto refusal = [&](const plenoxels::FitRecipe& recipe) {
        return error_of([&] { plenoxels::Fitting(scene, one, {.harmonics = 1}, recipe, 1); });
    };
    CHECK(refusal({.steps = 0, .batch = 1, .density_rate = 0, .harmonics_rate = 0, .last_rate = 0, .keep = 0}) == "");
    CHECK(refusal({.steps = -1}) == "plenoxels: -1 steps of fitting, there cannot be fewer than 0");
    const std::string from_0 = ", it must be finite and at least 0";
    CHECK(refusal({.density_rate = -1}) == "plenoxels: a learning rate of -1.000000" + from_0);
    CHECK(refusal({.harmonics_rate = INFINITY}) == "plenoxels: a learning rate of inf" + from_0);
    CHECK(refusal({.last_rate = -1}) == "plenoxels: a learning rate of -1.000000" + from_0);
    const std::string below_1 = " of its memory, it must be from 0 to below 1; 0.95 is usual";
    CHECK(refusal({.keep = -0.5f}) == "plenoxels: RMSProp keeps -0.500000" + below_1);
    CHECK(refusal({.keep = 1}) == "plenoxels: RMSProp keeps 1.000000" + below_1);
    CHECK_THROWS_WITH(plenoxels::Fitting(scene, {}, {.harmonics = 1}, {}, 1),
                      "plenoxels: a batch of 500 rays out of 0, both must be positive");

    CHECK_THROWS_WITH(plenoxels::pruned(scene, Matrix(7, 1), 0), "pruned: values (7, 1) for 8 voxels, each needs one");
    CHECK_THROWS_WITH(plenoxels::pruned(scene, Matrix(8, 2), 0), "pruned: values (8, 2) for 8 voxels, each needs one");
    CHECK_THROWS_WITH(plenoxels::to_grid(Matrix(1, 2), grid), "plenoxels: points (1, 2) must have 3 columns");
    CHECK_THROWS_WITH(plenoxels::sample_rays({Matrix(1, 3), Matrix(2, 3, 1)}, grid, {}),
                      "plenoxels: origins (1, 3) and directions (2, 3) must have the same number of rows");
    CHECK_NOTHROW(plenoxels::sample_rays(through_the_middle(), grid, {.near_clip = 0}));
    CHECK_THROWS_WITH(plenoxels::sample_rays(through_the_middle(), grid, {.near_clip = -1}),
                      "plenoxels: rays begin at -1.000000 voxels, it must be finite and at least 0");
    CHECK_THROWS_WITH(plenoxels::sample_rays(through_the_middle(), grid, {.near_clip = INFINITY}),
                      "plenoxels: rays begin at inf voxels, it must be finite and at least 0");
    plenoxels::Grid unlinked = grid;
    unlinked.links.pop_back();
    CHECK_THROWS_WITH(plenoxels::sample_rays(through_the_middle(), unlinked, {}),
                      "plenoxels: 7 links for a grid of 2 x 2 x 2 voxels, each needs one");
    const std::string least = " voxels; interpolation needs at least 2 along each axis";
    CHECK(error_of([] { plenoxels::full_grid({1, 2, 2}, {1, 1, 1}); }) == "plenoxels: a grid of 1 x 2 x 2" + least);
    CHECK(error_of([] { plenoxels::full_grid({2, 2, 1}, {1, 1, 1}); }) == "plenoxels: a grid of 2 x 2 x 1" + least);
}

TEST_CASE("plenoxels: a grid with more voxels than rows, an infinite box and weights of another grid are refused") {
    plenoxels::Grid large = small_grid();
    const auto of_size = [&](const std::array<int, 3>& size) {
        large.size = size;
        return error_of([&] { plenoxels::sample_rays(through_the_middle(), large, {}); });
    };
    // 2^28 - 1 = 435 * 4859 * 127 voxels are the most
    CHECK(of_size({435, 4859, 127}) == "plenoxels: 8 links for a grid of 435 x 4859 x 127 voxels, each needs one");
    CHECK(of_size({16384, 8192, 2}) == "plenoxels: a grid of 16384 x 8192 x 2 voxels is larger than rows can be numbered");
    CHECK_THROWS_WITH(plenoxels::full_grid({2, 2, 2}, {1, INFINITY, 1}),
                      "plenoxels: half a side of the box is inf, it must be positive and finite");
    const auto of_weights = [](const Matrix& density, const Matrix& harmonics) {
        const plenoxels::Weights w{density, harmonics};
        return error_of([&] { plenoxels::forward(through_the_middle(), small_grid(), w, {.harmonics = 1}); });
    };
    const std::string rows = " for 8 voxels; each needs one row of both";
    CHECK(of_weights(Matrix(8, 1), Matrix(8, 3)) == "");
    CHECK(of_weights(Matrix(7, 1), Matrix(8, 3)) == "plenoxels: densities (7, 1) and harmonics (8, 3)" + rows);
    CHECK(of_weights(Matrix(8, 2), Matrix(8, 3)) == "plenoxels: densities (8, 2) and harmonics (8, 3)" + rows);
    CHECK(of_weights(Matrix(8, 1), Matrix(7, 3)) == "plenoxels: densities (8, 1) and harmonics (7, 3)" + rows);
}

TEST_CASE("read_grid: a radius or centre that is not three numbers is refused") {
    const TemporaryFolder folder;
    const std::string path = folder.path("scene.safetensors");
    const auto error_with = [&](int radius, int centre) {
        write_safetensors(path, {{"links", {2, 2, 2}, {}, {0, 1, 2, 3, 4, 5, 6, 7}},
                                 {"radius", {radius}, Matrix(1, radius, 1)},
                                 {"center", {centre}, Matrix(1, centre)}});
        return error_of([&] { plenoxels::read_grid(Safetensors(path)); });
    };
    const std::string both = "; both are 3 numbers, one for each axis";
    CHECK(error_with(3, 3) == "");
    CHECK(error_with(4, 3) == path + ": radius (1, 4) and center (1, 3)" + both);
    CHECK(error_with(3, 2) == path + ": radius (1, 3) and center (1, 2)" + both);
}

TEST_CASE("sample_rays: a ray that only touches an edge of the box has one sample there") {
    // along (-1, 1, 0) through the edge x = y = 1 of a box that ends at 1: sqrt(2) from (2, 0), as two voxels are two long
    const plenoxels::Samples samples = plenoxels::sample_rays({{{2, 0, 0}}, {{-1, 1, 0}}}, small_grid(), {});
    REQUIRE(samples.t.rows == 1);
    CHECK(samples.t(0, 0) == Approx(std::sqrt(2.0)));
    CHECK(samples.entry(0, 0) == samples.exit(0, 0));
}

TEST_CASE("released_total_variation_gradient: does not depend on the order of the rows") {
    const plenoxels::Grid grid = small_grid();
    plenoxels::Grid reversed = grid;
    std::reverse(reversed.links.begin(), reversed.links.end());
    Random random(3);
    const Matrix field = normal_matrix(random, 8, 2);
    Matrix upside_down(8, 2);
    for (int i = 0; i < 8; ++i) std::copy_n(field.row(i), 2, upside_down.row(7 - i));
    for (const plenoxels::Missing missing : {plenoxels::Missing::zero, plenoxels::Missing::same}) {
        const auto gradient = [&](const Matrix& of, const plenoxels::Grid& in) {
            return plenoxels::released_total_variation_gradient(of, in, missing, {1, 2, 3});
        };
        const Matrix straight = gradient(field, grid), turned = gradient(upside_down, reversed);
        for (int i = 0; i < 8; ++i)
            for (int c = 0; c < 2; ++c) CHECK(turned(7 - i, c) == straight(i, c));
        CHECK(plenoxels::total_variation(upside_down, reversed, missing, {1, 2, 3}).value()(0, 0) ==
              Approx(plenoxels::total_variation(field, grid, missing, {1, 2, 3}).value()(0, 0)));
    }
}

TEST_CASE("Fitting: without total variation the loss is that of the batch") {
    const PixelRays one{through_the_middle(), {{1, 0, 0}}};
    const plenoxels::Scene scene{small_grid(), plenoxels::make_weights(small_grid(), {.harmonics = 1}, 0.5f)};
    plenoxels::Fitting fitting(scene, one, {.harmonics = 1}, {.batch = 3, .tv_density = 0, .tv_harmonics = 0}, 1);
    CHECK(fitting.loss(0).value()(0, 0) == fitting.image_loss);
}

namespace {
struct StopAfter : Watcher {
    int last = 0, called = 0;
    bool after_step(int step, float) override {
        ++called;
        return step < last;
    }
};
}  // namespace

TEST_CASE("fit: a watcher sees every step and can stop it") {
    const PixelRays one{through_the_middle(), {{1, 0, 0}}};
    const plenoxels::Scene scene{small_grid(), plenoxels::make_weights(small_grid(), {.harmonics = 1}, 0.5f)};
    StopAfter all, some;
    all.last = 9, some.last = 1;
    plenoxels::fit(scene, one, {.harmonics = 1}, {.steps = 4, .batch = 1}, 1, &all);
    plenoxels::fit(scene, one, {.harmonics = 1}, {.steps = 4, .batch = 1}, 1, &some);
    CHECK(all.called == 4);
    CHECK(some.called == 2);
}

TEST_CASE("largest_weights: empty voxels have no row and receive nothing") {
    plenoxels::Grid grid = small_grid();
    grid.links = {-1, 0, 1, 2, 3, 4, 5, 6};
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Weights w = plenoxels::make_weights(grid, config, 500);
    const Matrix seen = plenoxels::largest_weights(through_the_middle(), grid, w, config);
    CHECK(shape(seen) == "(7, 1)");
    CHECK(*std::max_element(seen.begin(), seen.end()) > 0.5f);
}

TEST_CASE("resampled: the new grid may have three different sides") {
    plenoxels::Scene scene{plenoxels::full_grid({2, 2, 2}, {1, 1, 1}), {}};
    Matrix along_y(8, 1);
    for (int x = 0; x < 2; ++x)
        for (int z = 0; z < 2; ++z) along_y(scene.grid.cell(x, 1, z), 0) = 1;
    scene.weights = {parameter(along_y), parameter(Matrix(8, 3))};
    const plenoxels::Scene fine = plenoxels::resampled(scene, {2, 3, 5});
    REQUIRE(fine.grid.voxels() == 30);
    for (int x = 0; x < 2; ++x)
        for (int z = 0; z < 5; ++z)
            for (int y = 0; y < 3; ++y)  // the voxels lie at -1/6, 1/2 and 7/6 of the old grid
                CHECK(fine.weights.density.value()(fine.grid.link(x, y, z), 0) == Approx(y / 2.0));
}

TEST_CASE("plenoxels::Grid: the defaults") {
    const plenoxels::Grid usual{};
    CHECK(usual.radius == std::array<double, 3>{1, 1, 1});
    CHECK(usual.centre == std::array<double, 3>{0, 0, 0});
}

TEST_CASE("plenoxels::Config: the defaults") {
    const plenoxels::Config usual{};
    CHECK(usual.harmonics == 9);
    CHECK(usual.step == 0.5f);
    CHECK(usual.near_clip == 0);
    CHECK(usual.background == 1);
    CHECK(usual.lambda_density == 1e-5f);
    CHECK(usual.lambda_harmonics == 1e-3f);
}

TEST_CASE("plenoxels::FitRecipe: the defaults") {
    const plenoxels::FitRecipe usual{};
    CHECK(usual.steps == 400);
    CHECK(usual.batch == 500);
    CHECK(usual.density_rate == 2);
    CHECK(usual.harmonics_rate == 0.03f);
    CHECK(usual.last_rate == 0.1f);
    CHECK(usual.tv_density == 2e-4f);
    CHECK(usual.tv_harmonics == 2e-3f);
    CHECK(usual.keep == 0.95f);
}

TEST_CASE("RmsProp: rates, memories, constants, moments and gradients that do not fit are refused") {
    using plenoxels::RmsProp;
    const Var w = parameter(Matrix(2, 1, 1));
    const auto made = [&](float rate, float keep) { return error_of([&] { RmsProp({w}, {rate}, keep); }); };
    CHECK(made(0, 0).empty());
    for (const float rate : {NAN, INFINITY, -1.0f}) CHECK(made(rate, 0.5f).ends_with(", it must be finite and at least 0"));
    for (const float keep : {NAN, 1.0f, -0.5f}) CHECK(made(1, keep).ends_with(", it must be from 0 to below 1; 0.95 is usual"));
    CHECK(error_of([] { RmsProp({Var(Matrix(2, 1))}, {1}); }) ==
          "RmsProp: a variable of shape (2, 1) is a constant, make it with parameter()");
    const auto update = [&](auto change, float rate = 1) {
        RmsProp optimizer({w}, {1});
        Var handle = w;
        handle.gradient() = Matrix(2, 1, 1);
        change(optimizer);
        return error_of([&] { optimizer.update(rate); });
    };
    CHECK(update([](RmsProp&) {}).empty());
    for (const float rate : {NAN, INFINITY, -1.0f})
        CHECK(update([](RmsProp&) {}, rate).ends_with(", it must be finite and at least 0"));
    CHECK(update([](RmsProp& o) { o.rates.clear(); }) == "RmsProp: 0 learning rates for 1 variables, each has its own");
    CHECK(update([](RmsProp& o) { o.keep = NAN; }).ends_with("0.95 is usual"));
    CHECK(update([](RmsProp& o) { o.r.clear(); }) ==
          "RmsProp: 1 variables but 0 moments; make a new optimizer when variables are added or taken away");
    CHECK(update([](RmsProp& o) {
              o.r[0] = Matrix(1, 2);
          }).starts_with("RmsProp: a gradient of shape (2, 1) and a moment of shape (1, 2)"));
    CHECK(update([](RmsProp& o) {
              o.variables[0].gradient() = Matrix(3, 1);
          }).starts_with("RmsProp: a gradient of shape (3, 1) and a moment of shape (2, 1) for a variable of shape (2, 1)"));
    Var handle = w;
    handle.zero_gradient();
}

TEST_CASE("Fitting, make_weights: colours of another number of rays, and a density that is no number, are refused") {
    const plenoxels::Grid grid = small_grid();
    const plenoxels::Config config{.harmonics = 1};
    const plenoxels::Scene scene{grid, plenoxels::make_weights(grid, config)};
    const auto refusal = [&](const Matrix& colours) {
        return error_of([&] { plenoxels::Fitting(scene, {through_the_middle(), colours}, config, {}, 1); });
    };
    CHECK(refusal(Matrix(1, 3)).empty());
    CHECK(refusal(Matrix(2, 3)) == "plenoxels: colours (2, 3) of 1 rays, each needs a red, a green and a blue");
    CHECK(refusal(Matrix(1, 4)) == "plenoxels: colours (1, 4) of 1 rays, each needs a red, a green and a blue");
    CHECK(error_of([&] { plenoxels::make_weights(grid, config, NAN); }).ends_with(", it must be finite; 0.1 is usual"));
}

TEST_SUITE_END();
