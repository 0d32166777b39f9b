#include "vit/fields/dff.h"

#include <cctype>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/golden.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("dff");

// "1,3" -> {1, 3}
static std::vector<int> whole_numbers(const std::string& text) {
    std::vector<int> numbers;
    bool inside = false;
    for (const char c : text) {
        const bool digit = std::isdigit(static_cast<unsigned char>(c));
        if (digit && !inside) numbers.push_back(0);
        if (digit) numbers.back() = 10 * numbers.back() + (c - '0');
        inside = digit;
    }
    return numbers;
}

static dff::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(golden.flag("use_viewdirs"));
    return {.depth = file.metadata_int("netdepth"),
            .width = file.metadata_int("netwidth"),
            .skips = whole_numbers(file.metadata_text("skips")),
            .point_frequencies = file.metadata_int("multires"),
            .direction_frequencies = file.metadata_int("multires_views"),
            .coarse_samples = file.metadata_int("N_samples"),
            .fine_samples = file.metadata_int("N_importance"),
            .near = file.metadata_double("near"),
            .far = file.metadata_double("far"),
            .linear_in_disparity = golden.flag("lindisp"),
            .white_background = golden.flag("white_bkgd"),
            .noise = static_cast<float>(file.metadata_double("raw_noise_std")),
            .features = file.metadata_int("feature_dim"),
            .feature_width = file.metadata_int("feature_width"),
            .feature_frequencies = file.metadata_int("feature_multires"),
            .lambda_feature = static_cast<float>(file.metadata_double("lambda_feature"))};
}

static Camera camera_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.height = file.metadata_int("H"),
            .width = file.metadata_int("W"),
            .focal = file.metadata_double("focal"),
            .centre_x = file.metadata_double("cx"),
            .centre_y = file.metadata_double("cy"),
            .pose = golden.input("c2w")};
}

static Matrix input_or_nothing(const Golden& golden, const std::string& name) {
    return golden.has("input." + name) ? golden.input(name) : Matrix();
}

static dff::Query query_of_fixture(const Golden& golden) {
    dff::Query query{.vectors = golden.input("query_features"),
                     .positive = whole_numbers(golden.file.metadata_text("positive_ids"))};
    query.by_threshold = golden.file.metadata_text("score_threshold") != "none";
    if (query.by_threshold) query.threshold = static_cast<float>(golden.file.metadata_double("score_threshold"));
    return query;
}

// One number of each sample, (R*S, 1), as the fixture's (R, S); one of each ray as its row of R.
static Matrix by_rays(const Matrix& samples, int rays) { return reshape(samples, rays, static_cast<int>(samples.size()) / rays); }
static Matrix as_row(const Matrix& m) { return reshape(m, 1, static_cast<int>(m.size())); }

static Matrix pixels_with(const Var& optical_depths, const Var& colours, const dff::Pass& pass, const dff::Config& config) {
    return over_background(render(optical_depths, colours, pass.rays), config.white_background ? 1 : 0).value();
}

static void check_edits(const Golden& golden, const dff::Pass& fine, const dff::Selection& s, const dff::Config& config) {
    const Var& depths = fine.quiet_depths;
    golden.check("edit.original", pixels_with(depths, fine.colours, fine, config));
    golden.check("edit.deletion", pixels_with(dff::removed(depths, s.selected), fine.colours, fine, config));
    golden.check("edit.extraction", pixels_with(dff::extracted(depths, s.selected), fine.colours, fine, config));
    golden.check("edit.soft_deletion", pixels_with(dff::softly_removed(depths, s.positive), fine.colours, fine, config));
    golden.check("edit.soft_extraction", pixels_with(dff::softly_extracted(depths, s.positive), fine.colours, fine, config));
    const Var red_and_blue_exchanged = gather_cols(fine.colours, {2, 1, 0});
    golden.check("edit.color_bgr",
                 pixels_with(depths, dff::recoloured(fine.colours, red_and_blue_exchanged, s.selected), fine, config));
}

TEST_CASE("dff: every step, the losses, every gradient, queries and edits equal the published implementations'") {
    for (const std::string& path : golden_files("dff")) {
        const Golden golden(path);
        const dff::Config config = config_of_fixture(golden);
        const Camera camera = camera_of_fixture(golden);
        const Rays all = rays_of(camera);
        const Rays rays = rays_of_pixels(camera, golden.integers("input.pixel_indices"));
        check_close("input.rays_o", rays.origins, golden.input("rays_o"));
        check_close("input.rays_d", rays.directions, golden.input("rays_d"));
        check_close("input.viewdirs", unit_directions(rays.directions), golden.input("viewdirs"));
        golden.check("all_rays_o", all.origins);
        golden.check("all_rays_d", all.directions);
        Random random;
        const dff::Weights w = dff::make_weights(config, random);
        const Parameters parameters = dff::parameters(w);
        golden.load_weights(parameters);
        const dff::Draws draws{.coarse = input_or_nothing(golden, "t_rand"),
                               .fine = input_or_nothing(golden, "u_importance"),
                               .noise_coarse = input_or_nothing(golden, "noise_coarse"),
                               .noise_fine = input_or_nothing(golden, "noise_fine")};

        const Tape tape;
        const dff::Steps steps = dff::forward(rays, w, config, draws);
        const int R = rays.count();
        golden.check("embedded_dirs", steps.embedded_directions);
        golden.check("z_coarse", steps.coarse.depths);
        golden.check("embedded_points_coarse", steps.coarse.embedded);
        golden.check("raw_coarse", steps.coarse.raw.value());
        golden.check("weights_coarse", by_rays(steps.coarse.rendering.weights.value(), R));
        golden.check("rgb_coarse", steps.coarse.pixels.value());
        golden.check("z_std", as_row(dff::depth_deviation(steps.new_depths)));
        golden.check("z_fine", steps.fine.depths);
        golden.check("raw_fine", steps.fine.raw.value());
        golden.check("weights_fine", by_rays(steps.fine.rendering.weights.value(), R));
        golden.check("rgb_fine", steps.fine.pixels.value());
        golden.check("acc_fine", as_row(steps.fine.opacity.value()));
        golden.check("depth_fine", as_row(steps.fine.depth.value()));
        golden.check("features", steps.features.value());
        golden.check("rendered_features", steps.rendered_features.value());

        const Matrix teacher = golden.input("teacher_features");
        const Var surface = dff::surface_features(rays, steps, w, config);
        golden.check("surface_features", surface.value());
        golden.check("loss_feature_release", scale(dff::feature_loss(surface, teacher), 1e-2f).value());

        const dff::Query query = query_of_fixture(golden);
        const dff::Selection selection = dff::select(steps.features.value(), query);
        golden.check("cosine", selection.cosine);
        golden.check("probability", selection.probability);
        golden.check("selection", by_rays(selection.selected, R));
        check_edits(golden, steps.fine, selection, config);

        const dff::Losses losses = dff::loss(steps, golden.input("target_rgb"), teacher, config);
        golden.check("loss_rgb_coarse", losses.coarse.value());
        golden.check("loss_rgb_fine", losses.fine.value());
        golden.check("loss_feature", losses.feature.value());
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
