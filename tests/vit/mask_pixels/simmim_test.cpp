#include "vit/mask_pixels/simmim.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/layers/relative_position.h"
#include "tests/golden.h"
#include "tests/images.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE("simmim") {

static bool metadata_flag(const Golden& golden, const std::string& name) {
    const std::string word = golden.file.metadata_text(name);
    REQUIRE((word == "true" || word == "false"));
    return word == "true";
}

static simmim::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    simmim::Config config{.image_size = file.metadata_int("img_size"),
                          .patch_size = file.metadata_int("patch_size"),
                          .mask_unit = file.metadata_int("mask_patch_size"),
                          .mask_ratio = file.metadata_double("mask_ratio"),
                          .channels = file.metadata_int("in_chans"),
                          .width = file.metadata_int("embed_dim"),
                          .depth = file.metadata_int("depth"),
                          .heads = file.metadata_int("num_heads"),
                          .mlp_ratio = file.metadata_double("mlp_ratio"),
                          .query_value_bias = metadata_flag(golden, "qkv_bias"),
                          .layer_scale = {},
                          .absolute_positions = metadata_flag(golden, "use_abs_pos_emb"),
                          .shared_relative_bias = metadata_flag(golden, "use_shared_rel_pos_bias"),
                          .relative_bias_per_block = metadata_flag(golden, "use_rel_pos_bias"),
                          .mean_pooling = metadata_flag(golden, "use_mean_pooling"),
                          .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
    if (file.metadata_text("init_values") != "none") config.layer_scale = static_cast<float>(file.metadata_double("init_values"));
    return config;
}

// A model and a batch that a test may spoil.
struct Case {
    simmim::Config config;
    simmim::Weights w;
    std::vector<Image> images;
    Matrix mask;
};

static Case golden_case(const Golden& golden) {
    Case c;
    c.config = golden_config(golden);
    Random random(1);
    c.w = simmim::make_weights(c.config, random);
    golden.load_weights(simmim::parameters(c.w, c.config));
    c.images = images_of_fixture(golden.input("x"), c.config.channels, c.config.image_size);
    c.mask = simmim::random_masking(golden.integers("input.mask_permutation"), c.config);
    return c;
}

static std::vector<int> as_integers(const Matrix& m) { return std::vector<int>(m.begin(), m.end()); }

// (B*N, F) as the published code keeps it, (B, F, n, n).
static Matrix features_first(const Matrix& tokens, int n) {
    const int N = n * n, F = tokens.cols;
    Matrix maps(tokens.rows / N * F * n, n);
    for (int i = 0; i < tokens.rows; ++i)
        for (int f = 0; f < F; ++f) maps((i / N * F + f) * n + i % N / n, i % n) = tokens(i, f);
    return maps;
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("simmim")) {
        const Golden golden(path);
        const Case c = golden_case(golden);
        const int n = simmim::patches_across(c.config);
        CHECK(simmim::hidden_units(c.config) == golden.file.metadata_int("mask_count"));
        CHECK(c.config.patch_size == golden.file.metadata_int("encoder_stride"));
        CHECK(static_cast<int>(c.images.size()) == golden.file.metadata_int("batch_size"));
        CHECK(as_integers(c.mask) == golden.integers("input.mask"));
        Tape tape;
        const simmim::Steps steps = simmim::forward(c.images, c.mask, c.w, c.config);
        golden.check_integers("mask", as_integers(steps.mask));
        golden.check("patch_embed", steps.patch_embeddings.value());
        golden.check("masked_embed", steps.masked.value());
        if (golden.has("expected.relative_position_index")) golden.check_integers("relative_position_index", relative_position_index(n, n));
        if (c.w.relative_table) golden.check("rel_pos_bias", relative_position_bias(c.w.relative_table, n, n).value());
        golden.check("z0", steps.z0.value());
        for (int l = 0; l < c.config.depth; ++l) {
            const std::string block = "blocks." + std::to_string(l);
            if (c.config.relative_bias_per_block)
                golden.check(block + ".rel_pos_bias", relative_position_bias(c.w.block_tables[l], n, n).value());
            golden.check(block + ".attention_probs", steps.blocks[l].attention.weights.value());
            golden.check(block + ".output", steps.blocks[l].output.value());
        }
        golden.check("norm", steps.norm.value());
        golden.check("decoder_conv", features_first(steps.decoder_output.value(), n));
        golden.check("reconstruction", as_in_fixture(simmim::predicted_images(steps, c.config)));
        golden.check_integers("pixel_mask", as_integers(simmim::pixel_mask(c.mask, c.config)));
        const Var loss = simmim::loss(steps, c.config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(simmim::parameters(c.w, c.config), golden);
        golden.check_all_used();
    }
}

}
