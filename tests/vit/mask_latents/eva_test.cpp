#include "vit/mask_latents/eva.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/relative_position.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/temporary_folder.h"
#include "tests/vit/vit_fixture.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE_BEGIN("eva");

static eva::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(!golden.flag("postnorm"));
    CHECK(!golden.flag("stop_grad_conv1"));
    return {.grid = grid_of(golden),
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .mlp_width = file.metadata_int("intermediate_size"),
            .feature_width = file.metadata_int("predict_feature_dim"),
            .query_value_bias = golden.flag("qkv_bias"),
            .layer_scale = layer_scale_of(golden),
            .absolute_positions = golden.flag("use_abs_pos_emb"),
            .shared_relative_bias = golden.flag("use_shared_rel_pos_bias"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("eva")) {
        Golden golden(path);
        float largest = 0;  // of the first block's outputs
        if (golden.has("expected.blocks.0.output"))
            for (const float x : numbers_of(golden, "expected.blocks.0.output")) largest = std::max(largest, std::abs(x));
        if (largest > 15)  // PyTorch's float32 uses half of the tolerance there; 1.25 times that is allowed
            golden.allow_share(0.625, "activations of 20 beside outputs below 0.1");
        const eva::Config config = golden_config(golden);
        const int down = config.grid.down(), across = config.grid.across();
        Random random(1);
        const eva::Weights w = eva::make_weights(config, random);
        golden.load_weights(eva::parameters(w, config));
        const std::vector<Image> images = images_of(golden, "input.samples");
        CHECK(static_cast<int>(images.size()) == golden.file.metadata_int("batch_size"));
        const Matrix features = golden.input("clip_features"), mask = numbers_of(golden, "input.bool_masked_pos");
        Tape tape;
        const eva::Steps steps = eva::forward(images, mask, w, config);
        CHECK(static_cast<int>(steps.masked_rows.size()) == mask.rows * golden.file.metadata_int("num_mask_patches"));
        golden.check("patch_embed", steps.patch_embeddings.value());
        golden.check("masked_embed", steps.masked.value());
        if (golden.has("expected.relative_position_index"))
            golden.check_integers("relative_position_index", relative_position_index(down, across));
        if (w.relative_table) golden.check("rel_pos_bias", steps.bias.value());
        golden.check("z0", steps.z0.value());
        check_stack(golden, steps.encoder, config.depth,
                    {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
        golden.check("norm", steps.norm.value());
        golden.check("pred", steps.prediction.value());
        golden.check("labels", gather_rows(features, steps.masked_rows).value());
        const Var cosines = eva::cosines(steps, features);
        golden.check("cosine", transpose(cosines.value()));
        const Var loss = eva::loss(steps, features);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(eva::parameters(w, config), golden);
        golden.check_all_used();
    }
}

// --- what must be true of it ---

// Steps with these predictions for the masked ones of three patches.
static eva::Steps steps_with(const Var& prediction) {
    eva::Steps steps;
    steps.mask = Matrix{{1, 0, 1}};
    steps.masked_rows = masked_rows(steps.mask);
    steps.prediction = prediction;
    return steps;
}

TEST_CASE("loss: minus the mean cosine, by hand: 1 and 0.6 give -0.8; lengths do not matter") {
    const eva::Steps steps = steps_with(Var(Matrix{{2, 0}, {3, 4}}));
    CHECK(eva::loss(steps, {{7, 0}, {9, 9}, {0.5f, 0}}).value()(0, 0) == Approx(-0.8));
    CHECK(eva::loss(steps, {{70, 0}, {9, 9}, {5, 0}}).value()(0, 0) == Approx(-0.8));
}

TEST_CASE("loss: its gradient is perpendicular to the prediction, so only the direction is learned") {
    const Var prediction = parameter({{2, 0}, {3, 4}});
    const eva::Steps steps = steps_with(prediction);
    const Tape tape;
    backward(eva::loss(steps, {{1, 1}, {9, 9}, {1, 0}}));
    const Matrix& g = prediction.gradient();
    // row 0: u = (1, 0), v = (1, 1) / sqrt 2: -(v - (u.v) u) / (2 |p|) = -(0, 1 / sqrt 2) / 4
    check_close("row 0", slice_rows(g, 0, 1), {{0, -1 / (4 * std::sqrt(2.0f))}});
    CHECK(std::abs(3 * g(1, 0) + 4 * g(1, 1)) < 1e-7);
}

// A model and a batch that a test may modify.
namespace {
struct EvaCase {
    eva::Config config;
    eva::Weights w;
    std::vector<Image> images;
    Matrix mask;
};
}  // namespace

static EvaCase small_case() {
    EvaCase c;
    c.config = {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 2},
                .width = 8,
                .depth = 2,
                .heads = 2,
                .mlp_width = 12,
                .feature_width = 5};
    Random random(7);
    c.w = eva::make_weights(c.config, random, 0.3f);
    c.images = uniform_images(random, 2, c.config.grid);
    c.mask = Matrix{{1, 0, 0, 0, 1, 1}, {0, 0, 1, 0, 0, 0}};
    return c;
}

TEST_CASE("forward: masked patches have no influence on the prediction, visible ones only on their own image") {
    const EvaCase c = small_case();
    const Matrix before = eva::forward(c.images, c.mask, c.w, c.config).prediction.value();
    EvaCase masked = c, visible = c;
    masked.images[0](0, 0, 0) += 1;   // in patch 0
    visible.images[0](0, 2, 0) += 1;  // in patch 1
    CHECK(identical(eva::forward(masked.images, c.mask, c.w, c.config).prediction.value(), before));
    const Matrix after = eva::forward(visible.images, c.mask, c.w, c.config).prediction.value();
    CHECK(difference(slice_rows(after, 0, 3), slice_rows(before, 0, 3), {0, 0}) != "");
    CHECK(identical(slice_rows(after, 3, 1), slice_rows(before, 3, 1)));
}

TEST_CASE("make_weights: output projections of block l are divided by sqrt(2 l)") {
    const eva::Config config{
        .grid = {.height = 8, .width = 8, .patch_size = 4}, .width = 32, .depth = 4, .heads = 4, .mlp_width = 64};
    Random random(5);
    const eva::Weights w = eva::make_weights(config, random);
    for (int l = 1; l <= 4; ++l) {
        float most = 0;
        for (const float x : w.encoder.blocks[l - 1].mlp.contract.weight.value()) most = std::max(most, std::abs(x));
        CHECK(most * std::sqrt(2.0 * l) / 0.03 == Approx(1).epsilon(0.02));  // truncated at two standard deviations of 0.015
    }
}

TEST_CASE("parameters: positions, relative table and scales exist only where the config asks for them") {
    EvaCase c = small_case();
    const auto has = [](const eva::Config& config, const std::string& name) {
        Random random;
        for (const Parameter& parameter : eva::parameters(eva::make_weights(config, random), config))
            if (parameter.name == name) return true;
        return false;
    };
    CHECK(has(c.config, "pos_embed"));
    CHECK_FALSE(has(c.config, "rel_pos_bias.relative_position_bias_table"));
    CHECK_FALSE(has(c.config, "blocks.0.gamma_1"));
    c.config.absolute_positions = false;
    c.config.shared_relative_bias = true;
    c.config.layer_scale = 0.1f;
    CHECK_FALSE(has(c.config, "pos_embed"));
    CHECK(has(c.config, "rel_pos_bias.relative_position_bias_table"));
    CHECK(has(c.config, "blocks.0.gamma_1"));
}

TEST_CASE("eva: an inconsistent config, image, mask or feature throws an error that gives the reason") {
    const EvaCase c = small_case();
    Random random;
    CHECK_THROWS_WITH(eva::make_weights({.heads = 5}, random), "eva: 5 heads do not divide a width of 1408");
    CHECK_THROWS_WITH(eva::make_weights({.depth = -1}, random),
                      "eva: depth -1, inner width 6144, 0 classes: none may be negative, and the width not 0");
    CHECK_THROWS_WITH(eva::make_weights({.depth = 1, .feature_width = 0}, random),
                      "eva: features of 0 numbers, at least 1 is needed");
    CHECK_THROWS_WITH(eva::forward(c.images, Matrix(2, 9), c.w, c.config),
                      "eva: a mask (2, 9) for 2 images of 6 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(eva::forward(c.images, Matrix(1, 6), c.w, c.config),
                      "eva: a mask (1, 6) for 2 images of 6 patches; each image needs a row, each patch a number");
    eva::Config narrow = c.config;
    narrow.feature_width = 1;
    CHECK_NOTHROW(eva::make_weights(narrow, random));
    const eva::Steps steps = eva::forward(c.images, c.mask, c.w, c.config);
    CHECK_THROWS_WITH(eva::loss(steps, Matrix(11, 5)), "eva: features (11, 5) for 12 patches and predictions (4, 5)");
    CHECK_THROWS_WITH(eva::loss(steps, Matrix(12, 4)), "eva: features (12, 4) for 12 patches and predictions (4, 5)");
    CHECK_THROWS_WITH(eva::loss(eva::forward(c.images, Matrix(2, 6), c.w, c.config), Matrix(12, 5)),
                      "eva: no patch is masked, so there is nothing to predict");
}

TEST_CASE(
    "eva: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const eva::Config& config) { return eva::parameters(eva::make_weights(config, random), config); };
    for (const std::string& path : golden_files("eva")) {
        eva::Config config = golden_config(Golden(path));
        config.absolute_positions = false;
        check_given_settings(config, table, eva::config_of, "the size of the images");
        config.absolute_positions = true;  // a square grid of them determines the size
        config.grid.height = config.grid.width;
        check_given_settings(config, table, eva::config_of, "the number of heads");
        const TemporaryFolder folder;
        const std::string saved = folder.path("eva.safetensors");
        for (const bool scaled : {true, false}) {  // the factors are among the tensors; fresh ones would begin at 1
            config.layer_scale = scaled ? std::optional<float>(0.1f) : std::nullopt;
            save(table(config), saved, eva::metadata(config));
            config.layer_scale = scaled ? std::optional<float>(1.0f) : std::nullopt;
            CHECK(eva::config_of(Safetensors(saved), {}).layer_scale == config.layer_scale);
        }
    }
}

TEST_CASE("eva::Config: the defaults") {
    const eva::Config usual{};
    CHECK(usual.width == 1408);
    CHECK(usual.depth == 40);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 6144);
    CHECK(usual.feature_width == 768);
    CHECK(usual.query_value_bias);
    CHECK(usual.absolute_positions);
    CHECK(!usual.shared_relative_bias);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.grid.height == 224);
    CHECK(usual.grid.width == 224);
    CHECK(usual.grid.patch_size == 14);
}

TEST_SUITE_END();
