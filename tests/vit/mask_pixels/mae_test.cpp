#include "vit/mask_pixels/mae.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/patches.h"
#include "nn/layers/position.h"
#include "tests/golden.h"
#include "tests/images.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE("mae") {

static mae::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.image_size = file.metadata_int("img_size"),
            .patch_size = file.metadata_int("patch_size"),
            .channels = file.metadata_int("in_chans"),
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .decoder_width = file.metadata_int("decoder_embed_dim"),
            .decoder_depth = file.metadata_int("decoder_depth"),
            .decoder_heads = file.metadata_int("decoder_num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .mask_ratio = file.metadata_double("mask_ratio"),
            .normalise_targets = file.metadata_text("norm_pix_loss") == "true",
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

// A model and a batch that a test may spoil.
struct Case {
    mae::Config config;
    mae::Weights w;
    std::vector<Image> images;
    Matrix noise;
};

static Case golden_case(const Golden& golden) {
    Case c;
    c.config = golden_config(golden);
    Random random(1);
    c.w = mae::make_weights(c.config, random);
    golden.load_weights(mae::parameters(c.w, c.config));
    c.images = images_of_fixture(golden.input("imgs"), c.config.channels, c.config.image_size);
    c.noise = golden.input("noise");
    return c;
}

static void check_stack(const Golden& golden, const std::string& name, const StackSteps& steps) {
    for (std::size_t l = 0; l < steps.blocks.size(); ++l) {
        const std::string block = name + "." + std::to_string(l);
        golden.check(block + ".attention_probs", steps.blocks[l].attention.weights.value());
        golden.check(block + ".output", steps.blocks[l].output.value());
    }
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("mae")) {
        const Golden golden(path);
        const Case c = golden_case(golden);
        CHECK(mae::visible_count(c.config) == golden.file.metadata_int("len_keep"));
        CHECK(static_cast<int>(c.images.size()) == golden.file.metadata_int("batch_size"));
        Tape tape;
        const mae::Steps steps = mae::forward(c.images, c.noise, c.w, c.config);
        golden.check("patch_embed", steps.patch_embeddings.value());
        golden.check_integers("ids_shuffle", steps.masking.shuffle);
        golden.check_integers("ids_restore", steps.masking.restore);
        golden.check_integers("ids_keep", steps.masking.keep);
        golden.check("mask", steps.masking.mask);
        golden.check("x_masked", steps.visible.value());
        golden.check("encoder_input", steps.encoder_input.value());
        check_stack(golden, "blocks", steps.encoder);
        golden.check("latent", steps.latent.value());
        golden.check("decoder_embed", steps.decoder_embedding.value());
        golden.check("decoder_input", steps.decoder_input.value());
        check_stack(golden, "decoder_blocks", steps.decoder);
        golden.check("decoder_norm", steps.decoder_norm.value());
        golden.check("pred", steps.prediction.value());
        golden.check("target_patches", steps.patches);
        golden.check("target_normalised", normalise_patches(steps.patches));
        const Var losses = mae::patch_losses(steps, c.config);
        golden.check("loss_per_patch", reshape(losses.value(), steps.masking.mask.rows, steps.masking.mask.cols));
        const int S = c.config.image_size, P = c.config.patch_size;
        golden.check("reconstruction", as_in_fixture(unpatchify_all(steps.prediction.value(), P, S, S, c.config.channels)));
        const Var loss = mae::loss(steps, c.config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(mae::parameters(c.w, c.config), golden);
        golden.check_all_used();
    }
}

}
