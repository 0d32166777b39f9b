#include "vit/mask_pixels/maskfeat.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/temporary_folder.h"
#include "tests/vit/vit_fixture.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE_BEGIN("maskfeat");

static maskfeat::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = square_grid_of(golden),
            .hog = {.bins = file.metadata_int("nbins"), .cell = file.metadata_int("cell_sz")},
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_key_value_bias = golden.flag("qkv_bias"),
            .class_token = golden.flag("cls_embed_on"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

// The integers of (B, H, W, C) in the order (B, C, H, W).
static std::vector<int> channels_first_bins(const std::vector<hog::Steps>& all, const maskfeat::Config& config) {
    std::vector<int> bins;
    for (const hog::Steps& steps : all) bins.insert(bins.end(), steps.bin.begin(), steps.bin.end());
    const PatchGrid& grid = config.grid;
    return permuted(bins, {static_cast<int>(all.size()), grid.height, grid.width, grid.channels}, {0, 3, 1, 2});
}

static void check_hog(const Golden& golden, const std::vector<Image>& images, const maskfeat::Config& config) {
    std::vector<hog::Steps> all;
    std::vector<Image> gradient_x, gradient_y, magnitude;
    std::vector<Var> descriptors;
    for (const Image& image : images) {
        all.push_back(hog::describe(image, config.hog));
        gradient_x.push_back(all.back().gradient_x);
        gradient_y.push_back(all.back().gradient_y);
        magnitude.push_back(all.back().magnitude);
        descriptors.push_back(all.back().descriptors);
    }
    golden.check("gradient_x", channels_first_of(gradient_x));
    golden.check("gradient_y", channels_first_of(gradient_y));
    golden.check("magnitude", channels_first_of(magnitude));
    golden.check_integers("orientation_bin", channels_first_bins(all, config));
    const int down = config.grid.height / config.hog.cell, across = config.grid.width / config.hog.cell;
    golden.check("hog", maps_channels_first(concat_rows(descriptors).value(), down, across));
}

TEST_CASE("parity: the descriptors, every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("maskfeat")) {
        const Golden golden(path);
        const maskfeat::Config config = golden_config(golden);
        Random random(1);
        const maskfeat::Weights w = maskfeat::make_weights(config, random);
        golden.load_weights(maskfeat::parameters(w, config));
        const std::vector<Image> images = images_of(golden, "input.x");
        CHECK(static_cast<int>(images.size()) == golden.file.metadata_int("batch_size"));
        const Matrix mask = reshape(numbers_of(golden, "input.mask"), static_cast<int>(images.size()), config.grid.count());
        check_hog(golden, images, config);
        const Matrix targets = maskfeat::targets(images, config);
        golden.check("target", targets);
        Tape tape;
        const maskfeat::Steps steps = maskfeat::forward(images, mask, w, config);
        golden.check("patch_embed", steps.patch_embeddings.value());
        golden.check("masked_embed", steps.masked.value());
        golden.check("z0", steps.z0.value());
        check_stack(golden, steps.encoder, config.depth,
                    {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
        golden.check("pred", steps.prediction.value());
        golden.check("labels", gather_rows(targets, steps.masked_rows).value());
        const Var loss = maskfeat::loss(steps, targets);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(maskfeat::parameters(w, config), golden);
        golden.check_all_used();
    }
}

// --- what must be true of it ---

// A model and a batch that a test may modify.
namespace {
struct MaskFeatCase {
    maskfeat::Config config;
    maskfeat::Weights w;
    std::vector<Image> images;
    Matrix mask;
};
}  // namespace

static MaskFeatCase small_case() {
    MaskFeatCase c;
    c.config = {.grid = {.height = 8, .width = 12, .patch_size = 4, .channels = 2},
                .hog = {.bins = 5, .cell = 2},
                .width = 8,
                .depth = 2,
                .heads = 2,
                .mlp_ratio = 2};
    Random random(7);
    c.w = maskfeat::make_weights(c.config, random, {.stddev = 0.3f});
    c.images = uniform_images(random, 2, c.config.grid);
    c.mask = Matrix{{1, 0, 0, 0, 1, 1}, {0, 0, 1, 0, 0, 0}};
    return c;
}

TEST_CASE("make_weights: the encoder has no classifier") { CHECK_FALSE(small_case().w.encoder.classifier.weight); }

TEST_CASE("forward: masked patches have no influence on the prediction, visible ones have") {
    const MaskFeatCase c = small_case();
    const Matrix before = maskfeat::forward(c.images, c.mask, c.w, c.config).prediction.value();
    MaskFeatCase masked = c, visible = c;
    masked.images[0](0, 0, 0) += 1;   // in patch 0
    visible.images[0](0, 4, 0) += 1;  // in patch 1
    CHECK(before.rows == 4);          // 3 patches of image 0, 1 of image 1
    CHECK(before.cols == 2 * 5 * 4);  // channels, bins, cells of a patch
    CHECK(identical(maskfeat::forward(masked.images, c.mask, c.w, c.config).prediction.value(), before));
    const Matrix after = maskfeat::forward(visible.images, c.mask, c.w, c.config).prediction.value();
    CHECK(difference(slice_rows(after, 0, 3), slice_rows(before, 0, 3), {0, 0}) != "");
    CHECK(identical(slice_rows(after, 3, 1), slice_rows(before, 3, 1)));
}

TEST_CASE("loss: the mean over all masked patches of the batch, so an image with three masked patches counts three times") {
    maskfeat::Steps steps;
    steps.masked_rows = {0, 1, 2, 5};
    steps.prediction = Var(Matrix(4, 2));
    // differences 1 1 / 1 1 / 1 1 / 3 3: (6 * 1 + 2 * 9) / 8 = 3; the mean of the images' means would be (1 + 9) / 2
    const Matrix targets{{1, 1}, {1, 1}, {1, 1}, {9, 9}, {9, 9}, {3, 3}};
    CHECK(maskfeat::loss(steps, targets).value()(0, 0) == 3);
}

TEST_CASE("forward: without a class token each row is a patch, and the checkpoint has a position for each") {
    MaskFeatCase c = small_case();
    c.config.class_token = false;
    Random random(3);
    c.w = maskfeat::make_weights(c.config, random);
    const maskfeat::Steps steps = maskfeat::forward(c.images, c.mask, c.w, c.config);
    CHECK(steps.z0.rows() == 12);
    CHECK(steps.prediction.rows() == 4);
    for (const Parameter& parameter : maskfeat::parameters(c.w, c.config)) {
        CHECK(parameter.name != "cls_token");
        if (parameter.name == "pos_embed") CHECK(parameter.shape == std::vector<long>{1, 6, 8});
    }
}

TEST_CASE("maskfeat: an inconsistent config, image or mask throws an error that gives the reason") {
    const MaskFeatCase c = small_case();
    Random random;
    CHECK_THROWS_WITH(maskfeat::make_weights({.hog = {.bins = 9, .cell = 6}}, random),
                      "maskfeat: cells of 6 pixels do not fill a patch of side 16; its side must be a multiple of theirs");
    CHECK_THROWS_WITH(maskfeat::make_weights({.heads = 5}, random), "maskfeat: 5 heads do not divide a width of 768");
    CHECK_THROWS_WITH(maskfeat::forward(c.images, Matrix(2, 9), c.w, c.config),
                      "maskfeat: a mask (2, 9) for 2 images of 6 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(maskfeat::forward(c.images, Matrix(1, 6), c.w, c.config),
                      "maskfeat: a mask (1, 6) for 2 images of 6 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(maskfeat::loss(maskfeat::forward(c.images, Matrix(2, 6), c.w, c.config), Matrix(12, 40)),
                      "maskfeat: no patch is masked, so there is nothing to predict");
    CHECK_THROWS_WITH(maskfeat::forward({Image(8, 8, 1), Image(8, 8, 1)}, c.mask, c.w, c.config),
                      "maskfeat: image 0 is 8 x 8 x 1, this model reads 8 x 12 x 2");
}

TEST_CASE(
    "maskfeat: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the "
    "heads") {
    Random random(1);
    const auto table = [&](const maskfeat::Config& config) {
        return maskfeat::parameters(maskfeat::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("maskfeat"))
        check_given_settings(golden_config(Golden(path)), table, maskfeat::config_of, "the number of heads");
}

TEST_CASE("maskfeat::Config: the defaults") {
    const maskfeat::Config usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.query_key_value_bias);
    CHECK(usual.class_token);
    CHECK(usual.eps == 1e-6f);
}

TEST_CASE("target_width: cells that do not divide the patch are refused") {
    maskfeat::Config config{.grid = {.height = 8, .width = 8, .patch_size = 4, .channels = 1}, .hog = {.cell = 2}};
    CHECK(maskfeat::target_width(config) == 36);
    for (const int cell : {0, 3}) {
        config.hog.cell = cell;
        CHECK(error_of([&] { maskfeat::target_width(config); }).starts_with("maskfeat: "));
    }
}

TEST_SUITE_END();
