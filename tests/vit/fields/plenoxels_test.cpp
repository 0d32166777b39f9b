#include "vit/fields/plenoxels.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/training/optimizer.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

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

        const Matrix places = plenoxels::to_grid(golden.input("points"), grid);
        const plenoxels::Corners corners = plenoxels::corners_of(places, grid);
        golden.check("points_grid", places);
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
        const Tape of_the_picture;
        const Var picture_loss = plenoxels::picture_loss(plenoxels::forward(rays, grid, w, config), target);
        golden.check("mse", picture_loss.value());
        backward(picture_loss);
        check_same_gradient(golden, "mse_grad", w);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
