#include "vit/fields/dff.h"

#include <algorithm>
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
    const std::string threshold = golden.file.metadata_text("score_threshold");
    query.by_threshold = threshold != "none" && threshold != "None";
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
        golden.check("z_std", as_row(dff::depth_standard_deviation(steps.new_depths)));
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

// --- depths and points ---

TEST_CASE("encode: the point, then sines and cosines of its doubles, each block as wide as the point") {
    const Matrix code = dff::encode({{0.5f, 0, -1}}, 2);
    const auto s = [](double x) { return static_cast<float>(std::sin(x)); };
    const auto c = [](double x) { return static_cast<float>(std::cos(x)); };
    check_close("code", code, {{0.5f, 0, -1, s(0.5), 0, s(-1), c(0.5), 1, c(-1), s(1), 0, s(-2), c(1), 1, c(-2)}});
    CHECK(identical(dff::encode({{0.5f, 0, -1}}, 0), {{0.5f, 0, -1}}));  // without frequencies the point alone
}

TEST_CASE("coarse_depths: evenly spaced in z or in 1/z, or drawn between the midpoints to the left and right") {
    const dff::Config config{.coarse_samples = 3, .near = 1, .far = 5};
    check_close("even", dff::coarse_depths(2, config), {{1, 3, 5}, {1, 3, 5}});
    // 1/z = 1, 0.6, 0.2
    dff::Config disparity = config;
    disparity.linear_in_disparity = true;
    check_close("disparity", dff::coarse_depths(1, disparity), {{1, 1 / 0.6f, 5}});
    // intervals 1 ... 2, 2 ... 4, 4 ... 5
    check_close("drawn", dff::coarse_depths(1, config, {{0.5f, 0.5f, 0.25f}}), {{1.5f, 3, 4.25f}});
}

TEST_CASE("importance_depths: inverts the cumulative weights, without the first and the last") {
    // middles 1, 3, 5, 7; inner weights 0.25, 0.25, 0.5 (up to 1e-5): cumulated 0, 0.25, 0.5, 1
    const Matrix depths{{0, 2, 4, 6, 8}}, weights{{9, 0.25f, 0.25f, 0.5f, 9}};
    const Matrix drawn = dff::importance_depths(depths, weights, 4, {{0.125f, 0.25f, 0.375f, 0.75f}});
    check_close("drawn", drawn, {{2, 3, 4, 6}}, {.absolute = 1e-4f});
    check_close("even", dff::importance_depths(depths, weights, 3), {{1, 5, 7}}, {.absolute = 1e-4f});
}

TEST_CASE("importance_depths: rays without weight are sampled uniformly") {
    check_close("even", dff::importance_depths({{0, 2, 4, 6, 8}}, Matrix(1, 5), 4), {{1, 3, 5, 7}});
}

TEST_CASE("depth_standard_deviation: of 1 and 3 it is 1") {
    check_close("deviation", dff::depth_standard_deviation({{1, 3}, {2, 2}}), {{1}, {0}});
}

// --- the whole ---

// All sizes differ.
static const dff::Config tiny{.depth = 3,
                              .width = 6,
                              .skips = {0},
                              .point_frequencies = 2,
                              .direction_frequencies = 1,
                              .coarse_samples = 4,
                              .fine_samples = 3,
                              .near = 1,
                              .far = 3,
                              .features = 5,
                              .feature_width = 7,
                              .feature_frequencies = 1};

static Rays two_rays() { return {{{0, 0, 2}, {0, 0.1f, 2}}, {{0.1f, 0, -1}, {-0.3f, 0.2f, -1}}}; }

TEST_CASE("forward: the density of a point does not depend on the direction, its colour does") {
    Random random(2);
    const dff::Weights w = dff::make_weights(tiny, random);
    const Rays one{{{0, 0, 2}}, {{0, 0, -1}}};
    // The same points from the other side: z = 2 - t and z = -2 + t meet for depths 1, 5/3, 7/3, 3 read backwards
    const Rays other{{{0, 0, -2}}, {{0, 0, 1}}};
    const Matrix there = dff::forward(one, w, tiny).coarse.raw.value(), back = dff::forward(other, w, tiny).coarse.raw.value();
    CHECK(there(0, 3) == Approx(back(3, 3)));
    CHECK(there(3, 3) == Approx(back(0, 3)));
    CHECK(std::abs(there(0, 0) - back(3, 0)) > 1e-4f);
}

TEST_CASE("forward: the fine network evaluates coarse and new depths, in order") {
    Random random(2);
    const dff::Steps steps = dff::forward(two_rays(), dff::make_weights(tiny, random), tiny);
    CHECK(shape(steps.fine.depths) == "(2, 7)");
    for (int r = 0; r < 2; ++r) {
        for (int k = 0; k + 1 < 7; ++k) CHECK(steps.fine.depths(r, k) <= steps.fine.depths(r, k + 1));
        for (int k = 0; k < 4; ++k)
            CHECK(std::count(steps.fine.depths.row(r), steps.fine.depths.row(r) + 7, steps.coarse.depths(r, k)) >= 1);
        for (int m = 0; m < 3; ++m)
            CHECK(std::count(steps.fine.depths.row(r), steps.fine.depths.row(r) + 7, steps.new_depths(r, m)) >= 1);
    }
}

TEST_CASE("forward: steps are measured in the world, so a direction twice as long doubles them") {
    Random random(2);
    const dff::Weights w = dff::make_weights(tiny, random);
    const Rays one{{{0, 0, 2}}, {{0, 0, -1}}}, twice{{{0, 0, 2}}, {{0, 0, -2}}};
    const Matrix short_steps = dff::forward(one, w, tiny).coarse.steps, long_steps = dff::forward(twice, w, tiny).coarse.steps;
    CHECK(short_steps(0, 0) == Approx(2 / 3.0));  // three steps from 1 to 3
    CHECK(long_steps(0, 0) == Approx(4 / 3.0));
    CHECK(short_steps(3, 0) == Approx(1e10));  // the last sample extends to infinity
}

TEST_CASE("loss: the feature loss has no gradient for densities and colours") {
    Random random(2);
    const dff::Weights w = dff::make_weights(tiny, random);
    const Tape tape;
    const dff::Steps steps = dff::forward(two_rays(), w, tiny);
    backward(dff::feature_loss(steps.rendered_features, Matrix(2, 5, 1.f)));
    CHECK(w.fine.density.weight.gradient().empty());
    CHECK(w.coarse.density.weight.gradient().empty());
    CHECK(!w.features[2].weight.gradient().empty());
}

TEST_CASE("forward: noise changes the densities of training, but not the input of edits") {
    Random random(2);
    const dff::Weights w = dff::make_weights(tiny, random);
    dff::Config noisy = tiny;
    noisy.noise = 3;
    const dff::Steps steps = dff::forward(two_rays(), w, noisy, {.noise_coarse = Matrix(2, 4, 1.f)});
    const Matrix quiet = steps.coarse.quiet_depths.value(), shaken = steps.coarse.optical_depths.value();
    const float density = steps.coarse.raw.value()(0, 3), step = steps.coarse.steps(0, 0);
    CHECK(quiet(0, 0) == Approx(std::max(density, 0.f) * step));
    CHECK(shaken(0, 0) == Approx((density + 3) * step));
}

TEST_CASE("feature_loss: the sum over features, the mean over rays") {
    CHECK(dff::feature_loss(Matrix{{1, 2}, {0, 0}}, {{0, 0}, {3, 0}}).value()(0, 0) == Approx(7));  // (1 + 4 + 9) / 2
}

// --- queries and edits ---

TEST_CASE("select: with several queries a positive one must be the most probable, or their sum reach the threshold") {
    const Matrix features{{2, 0}, {0, 5}, {1, 1}};
    dff::Query query{.vectors = {{3, 0}, {0, 1}}};
    const dff::Selection won = dff::select(features, query);
    check_close("cosine", won.cosine, {{1, 0}, {0, 1}, {std::sqrt(0.5f), std::sqrt(0.5f)}});  // lengths do not matter
    const float first = 1 / (1 + std::exp(-1.f));
    check_close("probability", won.probability, {{first, 1 - first}, {1 - first, first}, {0.5f, 0.5f}});
    CHECK(won.selected(0, 0) == 1);
    CHECK(won.selected(1, 0) == 0);
    query.by_threshold = true;
    query.threshold = 0.25f;
    check_close("threshold", dff::select(features, query).selected, {{1}, {1}, {1}});
    query.threshold = 0.6f;
    check_close("threshold", dff::select(features, query).selected, {{1}, {0}, {0}});
}

TEST_CASE("select: probabilities of positive queries are summed before the comparison") {
    // cosines 0.6, 0, 0.8: the third wins alone, the first two together do
    const Matrix features{{0.6f, 0, 0.8f}};
    dff::Query query{.vectors = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    CHECK(dff::select(features, query).selected(0, 0) == 0);
    query.positive = {0, 1};
    const dff::Selection s = dff::select(features, query);
    CHECK(s.positive(0, 0) == Approx(s.probability(0, 0) + s.probability(0, 1)));
    CHECK(s.selected(0, 0) == 1);
}

TEST_CASE("select: a single query is compared as a cosine, by default with 0.4") {
    const dff::Selection s = dff::select({{0.5f, std::sqrt(0.75f)}, {0.3f, std::sqrt(0.91f)}}, {.vectors = {{1, 0}}});
    check_close("probability", s.probability, {{0.5f}, {0.3f}});
    check_close("selected", s.selected, {{1}, {0}});
}

TEST_CASE("select: sharpness multiplies the cosines before softmax") {
    const dff::Selection s = dff::select({{1, 0}}, {.vectors = {{1, 0}, {0, 1}}, .sharpness = 10});
    CHECK(s.cosine(0, 0) == Approx(1));
    CHECK(s.probability(0, 0) == Approx(1 / (1 + std::exp(-10.0))));
}

TEST_CASE("removed, extracted: sum to the original") {
    const Var depths = Matrix{{3}, {5}};
    CHECK(identical(dff::removed(depths, {{1}, {0}}).value(), {{0}, {5}}));
    CHECK(identical(dff::extracted(depths, {{1}, {0}}).value(), {{3}, {0}}));
}

TEST_CASE("softly_removed: multiplies the opacity of a sample, also where it is 1") {
    // alpha 1/2 times 1 - 1/2 is 1/4; an opaque sample times 1 - 3/4 stops 1/4; p above 1 counts as 1
    const Var depths = Matrix{{std::log(2.f)}, {1e10f}, {1e10f}, {2}};
    const Var edited = dff::softly_removed(depths, {{0.5f}, {0.75f}, {0}, {1.5f}});
    check_close("alphas", absorbed(edited).value(), {{0.25f}, {0.25f}, {1}, {0}});
    check_close("alphas", absorbed(dff::softly_extracted(depths, {{0.5f}, {0.75f}, {0}, {-1}})).value(),
                {{0.25f}, {0.75f}, {0}, {0}});
}

TEST_CASE("recoloured: only selected points take the other colour") {
    check_close("colours", dff::recoloured(Matrix{{1, 0, 0}, {0, 1, 0}}, Matrix{{0, 0, 1}, {0, 0, 1}}, {{0}, {1}}).value(),
                {{1, 0, 0}, {0, 0, 1}});
}

TEST_CASE("dff: inconsistent configs, draws and queries throw an error that gives the reason") {
    Random random(1);
    CHECK_THROWS_WITH(dff::make_weights({.depth = 4, .skips = {3}}, random),
                      "dff: a skip after layer 3 of 4; it must have a layer after it");
    CHECK_THROWS_WITH(dff::make_weights({.depth = 4, .skips = {-1}}, random),
                      "dff: a skip after layer -1 of 4; it must have a layer after it");
    CHECK_THROWS_WITH(dff::make_weights({.coarse_samples = 2}, random),
                      "dff: 2 coarse and 128 fine samples; at least 3 and 1 are needed");
    CHECK_THROWS_WITH(
        dff::make_weights({.width = 7}, random),
        "dff: 8 layers of width 7, 512 features from a network of width 64; sizes must be positive, the width even");
    CHECK_THROWS_WITH(
        dff::make_weights({.near = 2, .far = 2}, random),
        "dff: samples between 2.000000 and 2.000000; near must be less than far, and positive when they are even in 1/z");
    const dff::Weights w = dff::make_weights(tiny, random);
    CHECK_THROWS_WITH(dff::forward(two_rays(), w, tiny, {.coarse = Matrix(2, 5)}),
                      "dff: draws of coarse depths are (2, 5), expected (2, 4)");
    CHECK_THROWS_WITH(dff::forward(two_rays(), w, tiny, {.noise_fine = Matrix(2, 5)}),
                      "dff: draws of noise are (2, 5), expected (2, 7)");
    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(2, 2, 1.f), .positive = {2}}),
                      "dff: positive query 2 of 2, they are counted from 0");
    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(2, 3, 1.f)}),
                      "dff: features (1, 2) and queries (2, 3) must have the same number of columns, and there must be a query");
    CHECK_THROWS_WITH(dff::removed(Matrix(3, 1), Matrix(2, 1)),
                      "dff: a selection (2, 1) for samples (3, 1), each needs one number");
}

TEST_CASE("dff: NaN and sizes of 0 that would silently give samples or selections are refused") {
    Random random(1);
    const dff::Weights w = dff::make_weights(tiny, random);
    dff::Config deeper = tiny;
    deeper.depth = tiny.depth + 1;
    const Matrix depths{{1, 2, 3}};
    CHECK_THROWS_WITH(dff::forward({{{0, 0, 0}}, {{0, 0, 1}}}, w, deeper, {}),
                      "dff: coarse: the configuration says 4 layers, the weights hold 3; pass the configuration that the weights "
                      "were made with");
    CHECK_THROWS_WITH(dff::forward({Matrix(0, 3), Matrix(0, 3)}, w, tiny, {}), "dff: there is no ray; give at least one");
    CHECK_THROWS_WITH(dff::coarse_depths(0, tiny), "dff: 4 coarse samples on each of 0 rays; at least 2 and 1 are needed");
    CHECK_THROWS_WITH(dff::importance_depths(depths, {{0.1f, NAN, 0.2f}}, 2),
                      "dff: the weights (1, 3) hold nan in row 0, column 1 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
    CHECK_THROWS_WITH(dff::importance_depths(depths, {{0.1f, -1, 0.2f}}, 2),
                      "dff: a weight of -1.000000, a fraction of light is not negative");
    CHECK_THROWS_WITH(dff::importance_depths(depths, {{0.1f, 1, 0.2f}}, 0), "dff: 0 fine samples a ray, at least 1 is needed");
    CHECK_THROWS_WITH(dff::depth_standard_deviation(Matrix(2, 0)),
                      "depth_standard_deviation: depths (2, 0), each ray needs at least 1");
    CHECK_THROWS_WITH(dff::encode(depths, -1), "encode: -1 frequencies, there cannot be fewer than 0");
    CHECK_THROWS_WITH(dff::select({{NAN, 0}}, {.vectors = {{1, 0}}, .positive = {0}}),
                      "dff: the features (1, 2) hold nan in row 0, column 0 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
    CHECK_THROWS_WITH(dff::select({{1, 0}}, {.vectors = {{1, 0}}, .positive = {1}}),
                      "dff: positive query 1 of 1, they are counted from 0");
}

TEST_CASE("dff: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<dff::Config, std::string>>{
             {{.point_frequencies = -1}, "dff: -1, 4 and 10 frequencies, none may be negative"},
             {{.direction_frequencies = -1}, "dff: 10, -1 and 10 frequencies, none may be negative"},
             {{.feature_frequencies = -1}, "dff: 10, 4 and -1 frequencies, none may be negative"},
             {{.depth = 0},
              "dff: 0 layers of width 256, 512 features from a network of width 64; sizes must be positive, the width even"},
             {{.width = 0},
              "dff: 8 layers of width 0, 512 features from a network of width 64; sizes must be positive, the width even"},
             {{.features = 0},
              "dff: 8 layers of width 256, 0 features from a network of width 64; sizes must be positive, the width even"},
             {{.feature_width = 0},
              "dff: 8 layers of width 256, 512 features from a network of width 0; sizes must be positive, the width even"},
             {{.fine_samples = 0}, "dff: 64 coarse and 0 fine samples; at least 3 and 1 are needed"},
             {{.near = 0, .linear_in_disparity = true},
              "dff: samples between 0.000000 and 6.000000; near must be less than far, and positive when they are even in 1/z"},
         })
        CHECK_THROWS_WITH(dff::make_weights(config, random), text.c_str());
    CHECK_NOTHROW(dff::make_weights({.depth = 1,
                                     .width = 2,
                                     .skips = {},
                                     .point_frequencies = 0,
                                     .direction_frequencies = 0,
                                     .coarse_samples = 3,
                                     .fine_samples = 1,
                                     .near = 0,
                                     .features = 1,
                                     .feature_width = 1,
                                     .feature_frequencies = 0},
                                    random));
}

TEST_CASE("make_weights: weights and biases uniform within one over the root of the inputs, as PyTorch's linear layers") {
    Random random(3);
    dff::Config config = tiny;
    config.width = 20;
    config.skips = {1};
    const dff::Weights w = dff::make_weights(config, random);
    std::vector<Linear> layers = w.features;
    for (const dff::Network* const network : {&w.coarse, &w.fine}) {
        layers.insert(layers.end(), network->points.begin(), network->points.end());
        layers.insert(layers.end(), {network->density, network->feature, network->direction, network->colour});
    }
    for (const Linear& layer : layers) {
        const double bound = 1 / std::sqrt(static_cast<double>(layer.weight.rows()));
        double largest = 0;
        for (const float x : layer.weight.value()) largest = std::max(largest, static_cast<double>(std::abs(x)));
        CHECK(largest <= bound + 1e-6);
        CHECK(largest > 0.8 * bound);  // of at least 20 draws
        for (const float x : layer.bias.value()) CHECK(std::abs(x) <= bound + 1e-6);
    }
}

TEST_CASE("points_at, select: a depth for another ray and a selection without a positive query are refused") {
    CHECK_THROWS_WITH(dff::points_at(two_rays(), Matrix(1, 3)), "dff: depths (1, 3) for 2 rays, each needs a row");
    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(1, 2, 1.f), .positive = {}}),
                      "dff: none of 1 queries is positive, nothing could be selected; name at least one");
}

TEST_CASE("dff: the fewest samples, queries and features that are allowed are accepted, one less is refused") {
    dff::Config config = tiny;
    const auto of_samples = [&](int samples) {
        config.coarse_samples = samples;
        return error_of([&] { dff::coarse_depths(1, config); });
    };
    CHECK(of_samples(2) == "");
    CHECK(of_samples(1) == "dff: 1 coarse samples on each of 1 rays; at least 2 and 1 are needed");
    config.coarse_samples = 4;
    CHECK_THROWS_WITH(dff::coarse_depths(2, config, Matrix(1, 4)), "dff: draws of coarse depths are (1, 4), expected (2, 4)");

    // weights 1 at the middle sample: the first and last middle enclose it, u = 0 is the first of them
    CHECK(dff::importance_depths({{1, 2, 4}}, {{0, 1, 0}}, 1)(0, 0) == Approx(1.5));
    const std::string samples = " must have the same shape, with at least 3 samples a ray";
    CHECK(error_of([] { dff::importance_depths({{1, 2}}, {{0, 1}}, 1); }) == "dff: depths (1, 2) and weights (1, 2)" + samples);
    CHECK(error_of([] {
              dff::importance_depths({{1, 2, 4}}, {{0, 1}}, 1);
          }) == "dff: depths (1, 3) and weights (1, 2)" + samples);
    CHECK(dff::depth_standard_deviation({{3}})(0, 0) == 0);
    CHECK(identical(dff::encode({{3, 4}}, 0), Matrix{{3, 4}}));

    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(0, 2)}),
                      "dff: features (1, 2) and queries (0, 2) must have the same number of columns, and there must be a query");
    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(1, 2, 1.f), .threshold = NAN}),
                      "dff: the threshold is nan, it must be a number");
    CHECK_THROWS_WITH(dff::select(Matrix(1, 2, 1.f), {.vectors = Matrix(1, 2, 1.f), .positive = {-1}}),
                      "dff: positive query -1 of 1, they are counted from 0");
    CHECK_THROWS_WITH(dff::removed(Matrix(3, 1), Matrix(3, 2)),
                      "dff: a selection (3, 2) for samples (3, 1), each needs one number");
}

TEST_CASE("select: a probability equal to the threshold is selected, one equal to that of another query is not") {
    CHECK(dff::select({{1, 0}}, {.vectors = {{1, 0}}, .threshold = 1}).selected(0, 0) == 1);
    CHECK(dff::select({{1, 1}}, {.vectors = {{1, 0}, {0, 1}}}).selected(0, 0) == 0);
}

TEST_CASE("importance_depths: an interval with less than 1e-5 of the weight is not divided, its samples lie at its beginning") {
    // middles 1.5, 2.5, 3.5, 4.5; shares 1/2, 2.5e-6 and 1/2. A draw in the second interval
    const Matrix drawn = dff::importance_depths({{1, 2, 3, 4, 5}}, {{0, 2, 0, 2, 0}}, 1, {{0.5f}});
    CHECK(drawn(0, 0) == Approx(2.5));
}

TEST_CASE("dff::Config: the defaults") {
    const dff::Config usual{};
    CHECK(usual.depth == 8);
    CHECK(usual.width == 256);
    CHECK(usual.point_frequencies == 10);
    CHECK(usual.direction_frequencies == 4);
    CHECK(usual.coarse_samples == 64);
    CHECK(usual.fine_samples == 128);
    CHECK(usual.near == 2);
    CHECK(usual.far == 6);
    CHECK(!usual.linear_in_disparity);
    CHECK(usual.white_background);
    CHECK(usual.noise == 0);
    CHECK(usual.features == 512);
    CHECK(usual.feature_width == 64);
    CHECK(usual.feature_frequencies == 10);
    CHECK(usual.lambda_feature == 0.04f);
    CHECK(usual.skips == std::vector<int>{4});
}

TEST_CASE("dff::Query: the defaults") {
    const dff::Query usual{};
    CHECK(!usual.by_threshold);
    CHECK(usual.threshold == 0.4f);
    CHECK(usual.sharpness == 1);
}

TEST_CASE("coarse_depths, importance_depths, select, make_weights: draws, ranges and factors that are none are refused") {
    dff::Config config{.coarse_samples = 3, .near = 2, .far = 6};
    CHECK(error_of([&] { dff::coarse_depths(1, config, Matrix(1, 3, 1)); }).empty());
    for (const float u : {NAN, -0.5f, 1.5f}) {
        CHECK(error_of([&] { dff::coarse_depths(1, config, Matrix(1, 3, u)); }).starts_with("dff: draws of coarse depths hold "));
        CHECK(error_of([&] {
                  dff::importance_depths(Matrix(1, 3, 1), Matrix(1, 3, 1), 2, Matrix(1, 2, u));
              }).starts_with("dff: draws of fine depths hold "));
    }
    config.near = NAN;
    CHECK(error_of([&] { dff::coarse_depths(1, config); }).starts_with("dff: samples between nan and 6"));
    Random random(1);
    for (const float noise : {NAN, INFINITY, -1.0f}) {
        dff::Config noisy;
        noisy.noise = noise;
        CHECK(
            error_of([&] { dff::make_weights(noisy, random); }).ends_with(", it must be finite and at least 0; 0 turns it off"));
    }
    for (const float sharpness : {NAN, INFINITY}) {
        dff::Query query;
        query.vectors = Matrix(1, 3, 1);
        query.sharpness = sharpness;
        CHECK(error_of([&] { dff::select(Matrix(2, 3, 1), query); }).ends_with(", it must be finite; 1 is usual"));
    }
}

TEST_SUITE_END();
