#include "vit/mask_pixels/simmim.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/patches.h"
#include "nn/layers/relative_position.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/vit/vit_fixture.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE_BEGIN("simmim");

static simmim::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = square_grid_of(golden),
            .mask_unit = file.metadata_int("mask_patch_size"),
            .mask_ratio = file.metadata_double("mask_ratio"),
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_value_bias = golden.flag("qkv_bias"),
            .layer_scale = layer_scale_of(golden),
            .absolute_positions = golden.flag("use_abs_pos_emb"),
            .shared_relative_bias = golden.flag("use_shared_rel_pos_bias"),
            .relative_bias_per_block = golden.flag("use_rel_pos_bias"),
            .mean_pooling = golden.flag("use_mean_pooling"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

namespace {
// A model and a batch that a test may modify.
struct SimmimCase {
    simmim::Config config;
    simmim::Weights w;
    std::vector<Image> images;
    Matrix mask;
};
}  // namespace

static SimmimCase golden_case(const Golden& golden) {
    SimmimCase c;
    c.config = golden_config(golden);
    Random random(1);
    c.w = simmim::make_weights(c.config, random);
    golden.load_weights(simmim::parameters(c.w, c.config));
    c.images = images_of(golden, "input.x");
    c.mask = simmim::random_masking(golden.integers("input.mask_permutation"), c.config);
    return c;
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    const KeepSteps keep;
    for (const std::string& path : golden_files("simmim")) {
        const Golden golden(path);
        const SimmimCase c = golden_case(golden);
        const int n = c.config.grid.across();
        CHECK(simmim::masked_units(c.config) == golden.file.metadata_int("mask_count"));
        CHECK(c.config.grid.patch_size == golden.file.metadata_int("encoder_stride"));
        CHECK(static_cast<int>(c.images.size()) == golden.file.metadata_int("batch_size"));
        CHECK(integers_of(c.mask) == golden.integers("input.mask"));
        Tape tape;
        const simmim::Steps steps = simmim::forward(c.images, c.mask, c.w, c.config);
        golden.check_integers("mask", integers_of(steps.mask));
        golden.check("patch_embed", steps.patch_embeddings.value());
        golden.check("masked_embed", steps.masked.value());
        if (golden.has("expected.relative_position_index"))
            golden.check_integers("relative_position_index", relative_position_index(n, n));
        if (c.w.relative_table) golden.check("rel_pos_bias", relative_position_bias(c.w.relative_table, n, n).value());
        golden.check("z0", steps.z0.value());
        for (std::size_t l = 0; l < c.w.block_tables.size(); ++l)
            golden.check("blocks." + std::to_string(l) + ".rel_pos_bias",
                         relative_position_bias(c.w.block_tables[l], n, n).value());
        check_stack(golden, steps.encoder, c.config.depth,
                    {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
        golden.check("norm", steps.norm.value());
        golden.check("decoder_conv", maps_channels_first(steps.decoder_output.value(), n, n));
        golden.check("reconstruction", channels_first_of(simmim::predicted_images(steps, c.config)));
        golden.check_integers("pixel_mask", integers_of(simmim::pixel_mask(c.mask, c.config)));
        const Var loss = simmim::loss(steps, c.config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(simmim::parameters(c.w, c.config), golden);
        golden.check_all_used();
    }
}

TEST_CASE("forward: a key bias has no effect and no gradient") {
    for (const std::string& path : golden_files("simmim")) {
        const Golden golden(path);
        SimmimCase c = golden_case(golden);
        Random random(2);
        for (Block& block : c.w.encoder.blocks) block.attention.key.bias = parameter(normal_matrix(random, 1, c.config.width));
        const Tape tape;
        const Var loss = simmim::loss(simmim::forward(c.images, c.mask, c.w, c.config), c.config);
        check_close("loss", loss.value(), golden.expected("loss"));
        backward(loss);
        for (const Block& block : c.w.encoder.blocks)
            for (const float g : block.attention.key.bias.gradient()) CHECK(std::abs(g) < 1e-5f);  // zero up to rounding
    }
}

// --- what must be true of it ---

static SimmimCase small_case() {
    SimmimCase c;
    c.config = {.grid = {.height = 8, .width = 8, .patch_size = 2, .channels = 2},
                .mask_unit = 4,
                .mask_ratio = 0.5,
                .width = 8,
                .depth = 2,
                .heads = 2,
                .mlp_ratio = 2};
    Random random(7);
    c.w = simmim::make_weights(c.config, random);
    c.images = uniform_images(random, 2, c.config.grid);
    c.mask = simmim::random_masking({0, 3, 1, 2, /* image 1 */ 2, 1, 0, 3}, c.config);
    return c;
}

TEST_CASE("random_masking: a unit of 4 pixels masks 2 x 2 patches of 2; half of 4 units are the first two of the permutation") {
    const SimmimCase c = small_case();
    CHECK(identical(c.mask, Matrix{{1, 1, 0, 0,  // units 0 and 3
                                    1, 1, 0, 0,  //
                                    0, 0, 1, 1,  //
                                    0, 0, 1, 1},
                                   {0, 0, 1, 1,  // units 2 and 1
                                    0, 0, 1, 1,  //
                                    1, 1, 0, 0,  //
                                    1, 1, 0, 0}}));
}

TEST_CASE("masked_units: rounded up: 0.6 of 4 is 3, 0.5 of 9 is 5; ratios 0 and 1 are exact") {
    CHECK(simmim::masked_units({.grid = {.height = 16, .width = 16, .patch_size = 8}, .mask_unit = 8, .mask_ratio = 0.6}) == 3);
    CHECK(simmim::masked_units({.grid = {.height = 12, .width = 12, .patch_size = 4}, .mask_unit = 4, .mask_ratio = 0.5}) == 5);
    CHECK(simmim::masked_units({.grid = {.height = 12, .width = 12, .patch_size = 4}, .mask_unit = 4, .mask_ratio = 1}) == 9);
    CHECK(simmim::masked_units({.grid = {.height = 12, .width = 12, .patch_size = 4}, .mask_unit = 4, .mask_ratio = 0}) == 0);
}

TEST_CASE("pixel_shuffle: two channels of a 1 x 2 strip, channel slowest in, channel fastest out") {
    // one token, P = 2: channel 0 is 0 1 2 3, channel 1 is 10 11 12 13
    const Var shuffled = simmim::pixel_shuffle(Matrix{{0, 1, 2, 3, 10, 11, 12, 13}}, 2, 2);
    CHECK(identical(shuffled.value(), Matrix{{0, 10, 1, 11, 2, 12, 3, 13}}));
    CHECK_THROWS_WITH(simmim::pixel_shuffle(Matrix(1, 7), 2, 2), "pixel_shuffle: tokens (1, 7) for 2 channels of 2 x 2 pixels");
}

TEST_CASE("forward: masked patches have no influence on the prediction; visible ones have, but only on their own image") {
    const SimmimCase c = small_case();
    const simmim::Steps before = simmim::forward(c.images, c.mask, c.w, c.config);
    SimmimCase masked = c, visible = c;
    masked.images[0](0, 0, 0) += 1;   // in unit 0
    visible.images[0](0, 7, 0) += 1;  // in unit 1
    const Matrix after_masked = simmim::forward(masked.images, c.mask, c.w, c.config).reconstruction.value();
    const Matrix after_visible = simmim::forward(visible.images, c.mask, c.w, c.config).reconstruction.value();
    CHECK(identical(after_masked, before.reconstruction.value()));
    CHECK(difference(slice_rows(after_visible, 0, 16), slice_rows(before.reconstruction.value(), 0, 16), {0, 0}) != "");
    CHECK(identical(slice_rows(after_visible, 16, 16), slice_rows(before.reconstruction.value(), 16, 16)));
}

TEST_CASE("loss: for an empty mask it is 0, because of the 1e-5, and the mask token gets no gradient") {
    const SimmimCase c = small_case();
    const Tape tape;
    const Var loss = simmim::loss(simmim::forward(c.images, Matrix(2, 16), c.w, c.config), c.config);
    CHECK(loss.value()(0, 0) == 0);
    backward(loss);
    for (const float g : c.w.mask_token.gradient()) CHECK(g == 0);
}

TEST_CASE("loss: the 1e-5 is counted in pixels: one masked patch of 4 pixels divides by 4.00001") {
    simmim::Steps steps;
    steps.mask = Matrix{{1, 0}};
    steps.patches = Matrix(2, 4);
    steps.reconstruction = Var(Matrix(2, 4, 1e6f));
    const simmim::Config config{.grid = {.patch_size = 2, .channels = 1}};
    CHECK(simmim::loss(steps, config).value()(0, 0) == Approx(4e6 / 4.00001).epsilon(2e-7));
}

TEST_CASE("loss: the L1 gradient is sign / count at each masked number, and 0 at a difference of 0") {
    simmim::Steps steps;
    steps.mask = Matrix{{1, 0}};
    steps.patches = Matrix{{1, 2, 3, 4}, {0, 0, 0, 0}};
    steps.reconstruction = parameter(Matrix{{9, 1.5f, 3, 4.001f}, {5, 5, 5, 5}});
    const simmim::Config config{.grid = {.patch_size = 2, .channels = 1}};
    const Tape tape;
    backward(simmim::loss(steps, config));
    check_close("gradient", steps.reconstruction.gradient(), {{0.25f, -0.25f, 0, 0.25f}, {0, 0, 0, 0}});
}

TEST_CASE("forward: biases of the shared table and of the blocks' tables add") {
    const KeepSteps keep;
    SimmimCase c = small_case();
    c.config.relative_bias_per_block = true;
    Random random(3);
    c.w = simmim::make_weights(c.config, random);
    c.w.relative_table.value() = normal_matrix(random, 52, 2);
    for (Var& table : c.w.block_tables) table.value() = normal_matrix(random, 52, 2);
    const simmim::Steps both = simmim::forward(c.images, c.mask, c.w, c.config);
    for (Var& table : c.w.block_tables) add_to(table.value(), c.w.relative_table.value());
    c.w.relative_table = {};
    const simmim::Steps sum = simmim::forward(c.images, c.mask, c.w, c.config);
    check_close("output", both.encoder.blocks[1].output.value(), sum.encoder.blocks[1].output.value());
    CHECK(!identical(sum.biases[0].value(), sum.biases[1].value()));
}

TEST_CASE("forward: without positions, two masked patches get the same prediction") {
    SimmimCase c = small_case();
    c.config.shared_relative_bias = false;
    Random random(3);
    c.w = simmim::make_weights(c.config, random);
    const simmim::Steps steps = simmim::forward(c.images, c.mask, c.w, c.config);
    CHECK(!steps.biases[0]);
    check_close("patches 0 and 15 of image 0", slice_rows(steps.reconstruction.value(), 0, 1),
                slice_rows(steps.reconstruction.value(), 15, 1));
}

TEST_CASE("forward: with mean_pooling the last norm is skipped; the checkpoint calls it fc_norm") {
    const KeepSteps keep;
    SimmimCase c = small_case();
    c.config.mean_pooling = true;
    const simmim::Steps steps = simmim::forward(c.images, c.mask, c.w, c.config);
    CHECK(identical(steps.norm.value(), steps.encoder.blocks.back().output.value()));
    bool named = false;
    for (const Parameter& parameter : simmim::parameters(c.w, c.config)) {
        named = named || parameter.name == "encoder.fc_norm.weight";
        CHECK(parameter.name != "encoder.norm.weight");
    }
    CHECK(named);
}

TEST_CASE("parameters: positions, tables, scales and biases exist only where the config asks for them") {
    const auto has = [](const simmim::Config& config, const std::string& name) {
        Random random;
        for (const Parameter& parameter : simmim::parameters(simmim::make_weights(config, random), config))
            if (parameter.name == name) return true;
        return false;
    };
    simmim::Config config = small_case().config;
    CHECK(has(config, "encoder.rel_pos_bias.relative_position_bias_table"));
    CHECK(has(config, "encoder.blocks.1.gamma_2"));
    CHECK(has(config, "encoder.blocks.1.attn.q_bias"));
    CHECK(!has(config, "encoder.pos_embed"));
    CHECK(!has(config, "encoder.blocks.0.attn.relative_position_bias_table"));
    config.absolute_positions = config.relative_bias_per_block = true;
    config.shared_relative_bias = config.query_value_bias = false;
    config.layer_scale = {};
    CHECK(!has(config, "encoder.rel_pos_bias.relative_position_bias_table"));
    CHECK(!has(config, "encoder.blocks.1.gamma_2"));
    CHECK(!has(config, "encoder.blocks.1.attn.q_bias"));
    CHECK(has(config, "encoder.pos_embed"));
    CHECK(has(config, "encoder.blocks.0.attn.relative_position_bias_table"));
}

TEST_CASE("load_rules: the pair indices of published files are ignored") {
    SimmimCase c = small_case();
    std::vector<TensorToWrite> tensors;
    for (const Parameter& parameter : simmim::parameters(c.w, c.config))
        tensors.push_back({.name = parameter.name, .shape = parameter.shape, .floats = published_value(parameter)});
    const std::vector<int> index = relative_position_index(4, 4);  // 16 patches and [cls]
    tensors.push_back({.name = "encoder.rel_pos_bias.relative_position_index",
                       .shape = {17, 17},
                       .integers = std::vector<long>(index.begin(), index.end())});
    const TemporaryFolder folder;
    const std::string path = folder.path("simmim.safetensors");
    write_safetensors(path, tensors);
    Random random(8);
    const simmim::Weights other = simmim::make_weights(c.config, random);
    load(simmim::parameters(other, c.config), Safetensors(path), simmim::load_rules());
    CHECK(identical(other.decoder.weight.value(), c.w.decoder.weight.value()));
}

TEST_CASE("make_weights: output projections of block l are divided by sqrt(2 l), LayerScale has its value, tables are 0") {
    const simmim::Config config{
        .grid = {.height = 8, .width = 8, .patch_size = 4}, .mask_unit = 4, .width = 32, .depth = 8, .heads = 4};
    Random random(5);
    const simmim::Weights w = simmim::make_weights(config, random);
    const auto largest = [](const Var& v) {
        float most = 0;
        for (const float x : v.value()) most = std::max(most, std::abs(x));
        return most;
    };
    for (int l = 1; l <= 8; ++l) {  // truncated at two standard deviations of 0.02
        CHECK(largest(w.encoder.blocks[l - 1].attention.output.weight) * std::sqrt(2.0 * l) / 0.04 == Approx(1).epsilon(0.02));
        CHECK(largest(w.encoder.blocks[l - 1].mlp.contract.weight) * std::sqrt(2.0 * l) / 0.04 == Approx(1).epsilon(0.02));
        CHECK(largest(w.encoder.blocks[l - 1].mlp.expand.weight) / 0.04 == Approx(1).epsilon(0.02));
    }
    CHECK(identical(w.encoder.blocks[3].scale2.value(), Matrix(1, 32, 0.1f)));
    CHECK(largest(w.relative_table) == 0);
}

TEST_CASE("average_distance, by hand: a masked square of 2 in a corner of 4 x 4 pixels") {
    const simmim::Config config{.grid = {.height = 4, .width = 4, .patch_size = 2}, .mask_unit = 2};
    // pixel (0,0) is 2 away from column 2; (0,1), (1,0) and (1,1) are 1 away
    CHECK(simmim::average_distance({{1, 0, 0, 0}}, config) == Approx((2 + 1 + 1 + 1) / 4.0));
    // patch 3 alone is visible: in patch 0, (1,1) is sqrt 2 from (2,2), (0,1) and (1,0) sqrt 5, (0,0) sqrt 8;
    // patches 1 and 2: 2 1 2 1 each
    CHECK(simmim::average_distance({{1, 1, 1, 0}}, config) ==
          Approx((std::sqrt(2.0) + 2 * std::sqrt(5.0) + std::sqrt(8.0) + 12) / 12));
    const simmim::Config pixels{.grid = {.height = 2, .width = 2, .patch_size = 1}, .mask_unit = 1};
    CHECK(simmim::average_distance({{1, 0, 0, 0}}, pixels) == 1);  // a single masked pixel
    // four rows of two pixels or two of four: only the last pixel is visible
    const simmim::Config tall{.grid = {.height = 4, .width = 2, .patch_size = 1}, .mask_unit = 1};
    const simmim::Config wide{.grid = {.height = 2, .width = 4, .patch_size = 1}, .mask_unit = 1};
    for (const simmim::Config& oblong : {tall, wide})
        CHECK(simmim::average_distance({{1, 1, 1, 1, 1, 1, 1, 0}}, oblong) ==
              Approx((1 + 2 + 3 + 1 + std::sqrt(2.0) + std::sqrt(5.0) + std::sqrt(10.0)) / 7));
    CHECK_THROWS_WITH(simmim::average_distance(Matrix(1, 4, 1), config),
                      "average_distance: an image has no visible pixel; a smaller mask ratio leaves some");
    CHECK_THROWS_WITH(simmim::average_distance(Matrix(1, 4), config),
                      "average_distance: no pixel is masked; a larger mask ratio masks some");
}

TEST_CASE("average_distance: larger units mask pixels farther from visible ones") {
    double before = 0;
    for (const int unit : {2, 4, 6}) {
        const simmim::Config config{.grid = {.height = 12, .width = 12, .patch_size = 2}, .mask_unit = unit, .mask_ratio = 0.5};
        Random random(1);
        std::vector<int> permutations;
        for (int b = 0; b < 50; ++b) {
            const std::vector<int> one = permutation(random, simmim::unit_count(config));
            permutations.insert(permutations.end(), one.begin(), one.end());
        }
        const double distance = simmim::average_distance(simmim::random_masking(permutations, config), config);
        CHECK(distance > before);
        before = distance;
    }
}

TEST_CASE("simmim: an inconsistent config, image or mask throws an error that gives the reason") {
    const SimmimCase c = small_case();
    Random random;
    CHECK_THROWS_WITH(
        simmim::make_weights({.grid = {.height = 10, .width = 10, .patch_size = 4}}, random),
        "simmim: an image of 10 x 10 does not split into patches of side 4; sizes must be at least 1, and the side divide both");
    CHECK_THROWS_WITH(simmim::make_weights({.mask_unit = 24}, random),
                      "simmim: a mask unit of 24 pixels must be a multiple of the patch side 16 and divide the image, 224 x 224");
    CHECK_THROWS_WITH(simmim::make_weights({.grid = {.height = 48, .width = 48}, .mask_unit = 32}, random),
                      "simmim: a mask unit of 32 pixels must be a multiple of the patch side 16 and divide the image, 48 x 48");
    CHECK_THROWS_WITH(simmim::make_weights({.mask_ratio = 1.5}, random),
                      "simmim: a mask ratio of 1.500000 is not a fraction from 0 to 1");
    CHECK_THROWS_WITH(simmim::make_weights({.heads = 5}, random), "simmim: 5 heads do not divide a width of 768");
    CHECK_THROWS_WITH(simmim::forward(c.images, Matrix(2, 9), c.w, c.config),
                      "simmim: a mask (2, 9) for 2 images of 16 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(simmim::forward(c.images, Matrix(1, 16), c.w, c.config),
                      "simmim: a mask (1, 16) for 2 images of 16 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(simmim::forward({Image(8, 8, 1), Image(8, 8, 1)}, c.mask, c.w, c.config),
                      "simmim: image 0 is 8 x 8 x 1, this model reads 8 x 8 x 2");
}

TEST_CASE("simmim: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<simmim::Config, std::string>>{
             {{.heads = 0}, "simmim: 0 heads do not divide a width of 768"},
             {{.width = 0}, "simmim: 12 heads do not divide a width of 0"},
             {{.depth = -1}, "simmim: depth -1, MLP ratio 4.000000; the depth may not be negative, the ratio must be positive"},
             {{.mlp_ratio = 0},
              "simmim: depth 12, MLP ratio 0.000000; the depth may not be negative, the ratio must be positive"},
             {{.mask_ratio = -0.5}, "simmim: a mask ratio of -0.500000 is not a fraction from 0 to 1"},
             {{.mask_unit = 0},
              "simmim: a mask unit of 0 pixels must be a multiple of the patch side 16 and divide the image, 224 x 224"},
             {{.grid = {.height = 48, .width = 48}, .mask_unit = 24},
              "simmim: a mask unit of 24 pixels must be a multiple of the patch side 16 and divide the image, 48 x 48"},
             {{.grid = {.height = 64, .width = 48}, .mask_unit = 32},
              "simmim: a mask unit of 32 pixels must be a multiple of the patch side 16 and divide the image, 64 x 48"},
             {{.grid = {.height = 48, .width = 64}, .mask_unit = 32},
              "simmim: a mask unit of 32 pixels must be a multiple of the patch side 16 and divide the image, 48 x 64"},
         })
        CHECK_THROWS_WITH(simmim::make_weights(config, random), text.c_str());
    const simmim::Config smallest{.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                                  .mask_unit = 1,
                                  .mask_ratio = 0,
                                  .width = 1,
                                  .depth = 0,
                                  .heads = 1,
                                  .mlp_ratio = 1,
                                  .eps = 0};
    CHECK_NOTHROW(simmim::make_weights(smallest, random));
    simmim::Config all_masked = smallest;
    all_masked.mask_ratio = 1;
    CHECK_NOTHROW(simmim::make_weights(all_masked, random));
}

TEST_CASE("simmim::Config: the defaults") {
    const simmim::Config usual{};
    CHECK(usual.mask_unit == 32);
    CHECK(usual.mask_ratio == 0.6);
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.query_value_bias);
    CHECK(!usual.absolute_positions);
    CHECK(usual.shared_relative_bias);
    CHECK(!usual.relative_bias_per_block);
    CHECK(!usual.mean_pooling);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.layer_scale == 0.1f);
}

TEST_CASE("unit_count, masked_units, pixel_mask: units, ratios and masks that do not fit are refused") {
    simmim::Config config{.grid = {.height = 8, .width = 8, .patch_size = 2, .channels = 1}, .mask_unit = 4};
    CHECK(simmim::unit_count(config) == 4);
    CHECK(simmim::pixel_mask(Matrix(1, 16), config).rows == 8);
    for (const int columns : {15, 17})
        CHECK(error_of([&] { simmim::pixel_mask(Matrix(1, columns), config); }) ==
              "simmim: a mask (1, " + std::to_string(columns) +
                  ") for images of 16 patches; each image needs a row, each patch a number");
    for (const double ratio : {static_cast<double>(NAN), 1.5, -0.5}) {
        config.mask_ratio = ratio;
        CHECK(error_of([&] { simmim::masked_units(config); }).ends_with(" is not a fraction from 0 to 1"));
    }
    for (const int unit : {0, -4, 3, 6}) {
        config.mask_unit = unit;
        CHECK(
            error_of([&] {
                simmim::unit_count(config);
            }).starts_with("simmim: a mask unit of " + std::to_string(unit) + " pixels must be a multiple of the patch side 2"));
    }
}

TEST_SUITE_END();
