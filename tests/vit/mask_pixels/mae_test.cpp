#include "vit/mask_pixels/mae.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/patches.h"
#include "nn/layers/position.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/vit/vit_fixture.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE_BEGIN("mae");

static mae::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = square_grid_of(golden),
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .decoder_width = file.metadata_int("decoder_embed_dim"),
            .decoder_depth = file.metadata_int("decoder_depth"),
            .decoder_heads = file.metadata_int("decoder_num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .mask_ratio = file.metadata_double("mask_ratio"),
            .normalise_targets = golden.flag("norm_pix_loss"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

namespace {
// A model and a batch that a test may modify.
struct MaeCase {
    mae::Config config;
    mae::Weights w;
    std::vector<Image> images;
    Matrix noise;
};
}  // namespace

static MaeCase golden_case(const Golden& golden) {
    MaeCase c;
    c.config = golden_config(golden);
    Random random(1);
    c.w = mae::make_weights(c.config, random);
    golden.load_weights(mae::parameters(c.w, c.config));
    c.images = images_of(golden, "input.imgs");
    c.noise = golden.input("noise");
    return c;
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("mae")) {
        const Golden golden(path);
        const MaeCase c = golden_case(golden);
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
        check_stack(golden, steps.encoder, c.config.depth,
                    {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
        golden.check("latent", steps.latent.value());
        golden.check("decoder_embed", steps.decoder_embedding.value());
        golden.check("decoder_input", steps.decoder_input.value());
        check_stack(golden, steps.decoder, c.config.decoder_depth,
                    {{"decoder_blocks.#.attention_probs", Step::weights}, {"decoder_blocks.#.output", Step::output}});
        golden.check("decoder_norm", steps.decoder_norm.value());
        golden.check("pred", steps.prediction.value());
        golden.check("target_patches", steps.patches);
        golden.check("target_normalised", normalise_patches(steps.patches));
        const Var losses = mae::patch_losses(steps, c.config);
        golden.check("loss_per_patch", reshape(losses.value(), steps.masking.mask.rows, steps.masking.mask.cols));
        golden.check("reconstruction", channels_first_of(unpatchify_all(steps.prediction.value(), c.config.grid)));
        const Var loss = mae::loss(steps, c.config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(mae::parameters(c.w, c.config), golden);
        golden.check_all_used();
    }
}

// --- what must be true of any masked autoencoder ---

static MaeCase small_case() {
    MaeCase c;
    c.config = {.grid = {.height = 6, .width = 6, .patch_size = 2, .channels = 2},
                .width = 8,
                .depth = 2,
                .heads = 2,
                .decoder_width = 4,
                .decoder_depth = 1,
                .decoder_heads = 1,
                .mlp_ratio = 2,
                .mask_ratio = 0.5,
                .normalise_targets = false};
    Random random(7);
    c.w = mae::make_weights(c.config, random);
    c.images = uniform_images(random, 2, c.config.grid);
    c.noise = uniform_matrix(random, 2, 9);
    return c;
}

// Changes every pixel of a patch of image 0.
static void repaint(Image& image, int patch, const mae::Config& config) {
    const int P = config.grid.patch_size, across = config.grid.across();
    for (int y = 0; y < P; ++y)
        for (int x = 0; x < P; ++x) image(patch / across * P + y, patch % across * P + x, 0) += 0.5f;
}

TEST_CASE("random_masking: 9 patches at ratio 0.5 leave 4, those with the smallest noise, in the order of their noise") {
    mae::Config config = small_case().config;
    const Matrix noise{{0.9f, 0.1f, 0.8f, 0.2f, 0.7f, 0.3f, 0.6f, 0.4f, 0.5f}};
    const mae::Masking masking = mae::random_masking(noise, config);
    CHECK(mae::visible_count(config) == 4);  // 4.5 rounded down
    CHECK(masking.keep == std::vector<int>{1, 3, 5, 7});
    CHECK(masking.shuffle == std::vector<int>{1, 3, 5, 7, 8, 6, 4, 2, 0});
    CHECK(masking.restore == std::vector<int>{8, 0, 7, 1, 6, 2, 5, 3, 4});
    CHECK(identical(masking.mask, Matrix{{1, 0, 1, 0, 1, 0, 1, 0, 1}}));
    config.mask_ratio = 0.75;
    CHECK(mae::visible_count(config) == 2);  // 2.25 rounded down
}

TEST_CASE("forward: masked patches have no influence on the prediction, only on the loss") {
    const MaeCase c = small_case();
    const mae::Steps before = mae::forward(c.images, c.noise, c.w, c.config);
    MaeCase changed = c;
    repaint(changed.images[0], before.masking.shuffle[8], c.config);  // the largest noise: masked
    const mae::Steps after = mae::forward(changed.images, c.noise, c.w, c.config);
    CHECK(identical(after.prediction.value(), before.prediction.value()));
    CHECK(mae::loss(after, c.config).value()(0, 0) != mae::loss(before, c.config).value()(0, 0));
}

TEST_CASE("forward: a visible patch changes its own image's prediction and no other's") {
    const MaeCase c = small_case();
    const mae::Steps before = mae::forward(c.images, c.noise, c.w, c.config);
    MaeCase changed = c;
    repaint(changed.images[0], before.masking.keep[0], c.config);
    const mae::Steps after = mae::forward(changed.images, c.noise, c.w, c.config);
    CHECK(difference(slice_rows(after.prediction.value(), 0, 9), slice_rows(before.prediction.value(), 0, 9)) != "");
    CHECK(identical(slice_rows(after.prediction.value(), 9, 9), slice_rows(before.prediction.value(), 9, 9)));
}

TEST_CASE("loss: the gradient at predictions of visible patches is zero, at masked ones it is not") {
    const MaeCase c = small_case();
    const Tape tape;
    const mae::Steps steps = mae::forward(c.images, c.noise, c.w, c.config);
    backward(mae::loss(steps, c.config));
    for (int i = 0; i < 18; ++i) {
        double size = 0;
        for (int k = 0; k < 8; ++k) size += std::abs(steps.prediction.gradient()(i, k));
        CHECK((size > 0) == (steps.masking.mask[i] == 1));
    }
}

TEST_CASE("forward: masked patches enter the decoder as the mask token plus their position, and nothing else") {
    const MaeCase c = small_case();
    const mae::Steps steps = mae::forward(c.images, c.noise, c.w, c.config);
    for (int b = 0; b < 2; ++b)
        for (int i = 0; i < 9; ++i) {
            if (steps.masking.mask(b, i) == 0) continue;
            for (int j = 0; j < 4; ++j)
                CHECK(steps.decoder_input.value()(b * 10 + 1 + i, j) - c.w.decoder_positions.value()(1 + i, j) ==
                      Approx(c.w.mask_token.value()(0, j)).epsilon(1e-4));
        }
}

TEST_CASE("make_weights: the encoder has no classifier, and nothing is drawn for one") {
    const mae::Config config = small_case().config;
    Random random(8), again(8);
    const mae::Weights w = mae::make_weights(config, random);
    CHECK_FALSE(w.encoder.classifier.weight);
    CHECK(identical(w.encoder.blocks[0].attention.query.weight.value(),
                    vit::make_weights(mae::vit_config(config, 0), again, {.draw = Draw::xavier_uniform})
                        .blocks[0]
                        .attention.query.weight.value()));
    CHECK(identical(w.encoder.class_token.value(), normal_matrix(again, 1, config.width, 0.02f)));
}

TEST_CASE("make_weights: fixed positions are zero for [cls], else sines and cosines, as in the published files") {
    for (const std::string& path : golden_files("mae")) {
        const Golden golden(path);
        const mae::Config config = golden_config(golden);
        Random random;
        const mae::Weights w = mae::make_weights(config, random);
        check_close("pos_embed", w.encoder.positions.value(), golden.weight("pos_embed"), {1e-6f, 0});
        check_close("decoder_pos_embed", w.decoder_positions.value(), golden.weight("decoder_pos_embed"), {1e-6f, 0});
        CHECK(identical(slice_rows(w.encoder.positions.value(), 0, 1), Matrix(1, config.width)));
        const int n = config.grid.across();
        CHECK(identical(slice_rows(w.encoder.positions.value(), 1, n * n), sine_cosine_grid(n, n, config.width)));
        CHECK(!w.encoder.positions.requires_gradient());
        CHECK(!w.decoder_positions.requires_gradient());
    }
}

TEST_CASE("parameters: both position tables are loaded and saved, though they are not trained") {
    const MaeCase c = small_case();
    Var positions = c.w.encoder.positions, decoder_positions = c.w.decoder_positions;
    positions.value()(3, 1) = 77;
    decoder_positions.value()(2, 2) = 88;
    const TemporaryFolder folder;
    const std::string path = folder.path("mae.safetensors");
    save(mae::parameters(c.w, c.config), path);
    Random random(8);
    const mae::Weights fresh = mae::make_weights(c.config, random);
    load(mae::parameters(fresh, c.config), Safetensors(path));
    CHECK(fresh.encoder.positions.value()(3, 1) == 77);
    CHECK(fresh.decoder_positions.value()(2, 2) == 88);
    const mae::Steps ours = mae::forward(c.images, c.noise, c.w, c.config);
    const mae::Steps theirs = mae::forward(c.images, c.noise, fresh, c.config);
    CHECK(identical(ours.prediction.value(), theirs.prediction.value()));
    for (const Var& trained : variables(mae::parameters(fresh, c.config))) {
        CHECK(!trained.same_as(fresh.encoder.positions));
        CHECK(!trained.same_as(fresh.decoder_positions));
    }
}

TEST_CASE("config_of: the published names and those of Hugging Face give the same configuration and numbers") {
    const MaeCase c = small_case();
    const Matrix expected = mae::forward(c.images, c.noise, c.w, c.config).prediction.value();
    const TemporaryFolder folder;
    const std::string path = folder.path("mae.safetensors");
    for (const bool theirs : {false, true}) {
        const auto table = theirs ? mae::hugging_face_parameters : mae::parameters;
        save(table(c.w, c.config), path, mae::metadata(c.config));
        const Safetensors file(path);
        CHECK(mae::has_hugging_face_names(file) == theirs);
        CHECK(file.has(theirs ? "vit.encoder.layer.0.attention.attention.query.weight" : "blocks.0.attn.qkv.weight"));
        const mae::Config found = mae::config_of(file);
        CHECK(found.grid.height == c.config.grid.height);
        CHECK(found.grid.width == c.config.grid.width);
        CHECK(found.depth == c.config.depth);
        CHECK(found.heads == c.config.heads);
        CHECK(found.decoder_depth == c.config.decoder_depth);
        CHECK(found.decoder_heads == c.config.decoder_heads);
        CHECK(found.eps == c.config.eps);
        CHECK(found.normalise_targets == c.config.normalise_targets);
        CHECK(found.mask_ratio == Approx(c.config.mask_ratio));
        Random random(8);
        const mae::Weights fresh = mae::make_weights(found, random);
        load(table(fresh, found), file);
        CHECK(identical(mae::forward(c.images, c.noise, fresh, found).prediction.value(), expected));
        std::map<std::string, std::string> without_eps = mae::metadata(c.config);
        std::erase_if(without_eps, [](const auto& setting) { return setting.first.find("eps") != std::string::npos; });
        save(table(c.w, c.config), path, without_eps);
        CHECK(mae::config_of(Safetensors(path)).eps == (theirs ? 1e-12f : 1e-6f));
        std::map<std::string, std::string> without_loss = mae::metadata(c.config);
        without_loss.erase("mask_ratio");
        without_loss.erase("norm_pix_loss");
        save(table(c.w, c.config), path, without_loss);
        CHECK(mae::config_of(Safetensors(path)).mask_ratio == 0.75);
        CHECK(mae::config_of(Safetensors(path)).normalise_targets == !theirs);
        mae::Config many = c.config;
        many.grid.channels = 5;  // unlike the side of a patch
        Random other_random(9);
        save(table(mae::make_weights(many, other_random), many), path, mae::metadata(many));
        CHECK(mae::config_of(Safetensors(path)).grid.channels == 5);
        CHECK(mae::config_of(Safetensors(path)).grid.patch_size == c.config.grid.patch_size);
        save(table(c.w, c.config), path);
        CHECK(error_of([&] { mae::config_of(Safetensors(path)); }).find(": missing setting: the ") != std::string::npos);
    }
}

TEST_CASE("forward: a depth, decoder depth or eps that does not match the weights throws") {
    const MaeCase c = small_case();
    mae::Config deep = c.config, decoder = c.config, negative = c.config;
    deep.depth += 3;
    decoder.decoder_depth += 3;
    negative.eps = -1;
    CHECK(error_of([&] { mae::forward(c.images, c.noise, c.w, deep); }).starts_with("mae: the configuration says "));
    CHECK(error_of([&] { mae::forward(c.images, c.noise, c.w, decoder); }).starts_with("mae: decoder: the configuration says "));
    CHECK(error_of([&] { mae::forward(c.images, c.noise, c.w, negative); }).starts_with("mae: an eps of -1"));
    Random random;
    CHECK(error_of([&] { mae::make_classifier(c.w, c.config, 0, random); }).starts_with("mae: a classifier of 0 classes"));
}

TEST_CASE("make_weights: Xavier-uniform, bounded by sqrt(6 / (in + out)); query, key and value count as one matrix") {
    const mae::Config config{.grid = {.height = 16, .width = 16, .patch_size = 4},
                             .width = 32,
                             .depth = 1,
                             .heads = 4,
                             .decoder_width = 16,
                             .decoder_depth = 1,
                             .decoder_heads = 4};
    Random random(3);
    const mae::Weights w = mae::make_weights(config, random);
    const auto largest = [](const Linear& layer) {
        float most = 0;
        for (const float x : layer.weight.value()) most = std::max(most, std::abs(x));
        return most;
    };
    CHECK(largest(w.encoder.projection) / std::sqrt(6.0 / (48 + 32)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].attention.query) / std::sqrt(6.0 / (32 + 96)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].attention.key) / std::sqrt(6.0 / (32 + 96)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].attention.value) / std::sqrt(6.0 / (32 + 96)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].attention.output) / std::sqrt(6.0 / (32 + 32)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].mlp.expand) / std::sqrt(6.0 / (32 + 128)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.encoder.blocks[0].mlp.contract) / std::sqrt(6.0 / (32 + 128)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.decoder_embedding) / std::sqrt(6.0 / (32 + 16)) == Approx(1).epsilon(0.01));
    CHECK(largest(w.decoder_prediction) / std::sqrt(6.0 / (16 + 48)) == Approx(1).epsilon(0.01));
    for (const float x : w.mask_token.value()) CHECK(std::abs(x) < 0.1f);
}

TEST_CASE("predicted_images: normalised predictions become pixels by each patch's own mean and standard deviation") {
    MaeCase c = small_case();
    mae::Steps steps = mae::forward(c.images, c.noise, c.w, c.config);
    steps.prediction = Var(normalise_patches(steps.patches));  // a perfect prediction
    c.config.normalise_targets = true;
    const std::vector<Image> restored = mae::predicted_images(steps, c.config);
    for (std::size_t k = 0; k < restored[1].pixels.size(); ++k)
        CHECK(restored[1].pixels[k] == Approx(c.images[1].pixels[k]).epsilon(1e-4));
    CHECK(mae::loss(steps, c.config).value()(0, 0) == 0);
}

TEST_CASE("make_classifier: its encoder gives the latent of a masked autoencoder that masks nothing") {
    MaeCase c = small_case();
    c.config.mask_ratio = 0;
    for (int b = 0; b < 2; ++b)
        for (int i = 0; i < 9; ++i) c.noise(b, i) = static_cast<float>(i);  // every patch keeps its position
    Random random(2);
    const vit::Weights classifier = mae::make_classifier(c.w, c.config, 5, random);
    const vit::Steps steps = vit::forward(c.images, classifier, mae::vit_config(c.config, 5));
    check_close("latent", steps.norm.value(), mae::forward(c.images, c.noise, c.w, c.config).latent.value());
    CHECK(steps.logits.cols() == 5);
    CHECK(classifier.positions.requires_gradient());
    CHECK(!classifier.blocks[1].mlp.expand.weight.same_as(
        c.w.encoder.blocks[1].mlp.expand.weight));  // copies: fine-tuning leaves the old ones
}

TEST_CASE("encoder_multiplications: by hand, T = 3 tokens of width 4, inner width 8") {
    const mae::Config config{.width = 4, .depth = 2, .mlp_ratio = 2};
    // 4 T D^2 = 192 for q, k, v, o;  2 T^2 D = 72 for the scores and their sum;  2 T D M = 192 for the MLP;  456 a block
    CHECK(mae::encoder_multiplications(config, 3) == 912);
}

TEST_CASE("mae: an inconsistent config, image or noise throws an error that gives the reason") {
    const MaeCase c = small_case();
    Random random;
    CHECK_THROWS_WITH(
        mae::make_weights({.grid = {.height = 10, .width = 10, .patch_size = 4}}, random),
        "mae: an image of 10 x 10 does not split into patches of side 4; sizes must be at least 1, and the side divide both");
    CHECK_THROWS_WITH(mae::make_weights({.width = 12, .heads = 5}, random), "mae: 5 heads do not divide a width of 12");
    CHECK_THROWS_WITH(mae::make_weights({.decoder_width = 6, .decoder_heads = 3}, random),
                      "mae: a decoder width of 6 must be divisible by 3 heads and by 4 for the positions");
    CHECK_THROWS_WITH(mae::make_weights({.mask_ratio = 1}, random),
                      "mae: a mask ratio of 1.000000 leaves 0 of 196 patches; it must leave at least 1 of them");
    CHECK_THROWS_WITH(mae::make_weights({.mask_ratio = -0.5}, random),
                      "mae: a mask ratio of -0.500000 is not a fraction from 0 to 1");
    CHECK_THROWS_WITH(mae::forward({Image(6, 6, 3)}, Matrix(1, 9), c.w, c.config),
                      "mae: image 0 is 6 x 6 x 3, this model reads 6 x 6 x 2");
    CHECK_THROWS_WITH(mae::forward(c.images, Matrix(2, 8), c.w, c.config),
                      "mae: noise (2, 8) for images of 9 patches, it needs a row for each image");
    CHECK_THROWS_WITH(mae::forward(c.images, Matrix(1, 9), c.w, c.config), "mae: noise (1, 9) for 2 images, each needs a row");
}

TEST_CASE("mae: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<mae::Config, std::string>>{
             {{.width = 18, .heads = 1}, "mae: a width of 18 must be divisible by 4 for the positions"},
             {{.decoder_heads = 0}, "mae: a decoder width of 512 must be divisible by 0 heads and by 4 for the positions"},
             {{.decoder_heads = 5}, "mae: a decoder width of 512 must be divisible by 5 heads and by 4 for the positions"},
             {{.decoder_width = 18, .decoder_heads = 1},
              "mae: a decoder width of 18 must be divisible by 1 heads and by 4 for the positions"},
             {{.width = 8, .heads = 1, .decoder_width = 4, .decoder_heads = 1, .mlp_ratio = 0.125},  // MLPs of 1 and of 0
              "mae: a decoder of 8 blocks with MLPs of ratio 0.125000; the depth may not be negative, the ratio must be "
              "positive"},
             {{.decoder_depth = -1},
              "mae: a decoder of -1 blocks with MLPs of ratio 4.000000; the depth may not be negative, the ratio must "
              "be positive"},
         })
        CHECK_THROWS_WITH(mae::make_weights(config, random), text.c_str());
    const mae::Config smallest{.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                               .width = 4,
                               .depth = 0,
                               .heads = 1,
                               .decoder_width = 4,
                               .decoder_depth = 0,
                               .decoder_heads = 1,
                               .mlp_ratio = 0.25,
                               .mask_ratio = 0,
                               .eps = 0};
    CHECK_NOTHROW(mae::make_weights(smallest, random));
    const mae::Weights w = mae::make_weights(smallest, random);
    CHECK_NOTHROW(mae::make_classifier(w, smallest, 1, random));
    CHECK(error_of([&] { mae::make_classifier(w, smallest, 0, random); }).starts_with("mae: a classifier of 0 classes"));
}

TEST_CASE("mae::Config: the defaults") {
    const mae::Config usual{};
    CHECK(usual.width == 1024);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.decoder_width == 512);
    CHECK(usual.decoder_depth == 8);
    CHECK(usual.decoder_heads == 16);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.mask_ratio == 0.75);
    CHECK(usual.normalise_targets);
    CHECK(usual.eps == 1e-6f);
}

TEST_CASE("visible_count, encoder_multiplications: ratios that are no fraction and fewer than 0 tokens are refused") {
    mae::Config config{.grid = {.height = 8, .width = 8, .patch_size = 2, .channels = 1}};
    for (const double ratio : {static_cast<double>(NAN), 1.5, -0.5}) {
        config.mask_ratio = ratio;
        CHECK(error_of([&] { mae::visible_count(config); }).ends_with(" is not a fraction from 0 to 1"));
    }
    config.mask_ratio = 1;
    CHECK(mae::visible_count(config) == 0);
    config.grid.patch_size = 0;
    CHECK(error_of([&] {
              mae::visible_count(config);
          }).starts_with("mae: an image of 8 x 8 does not split into patches of side 0"));
    CHECK(mae::encoder_multiplications(config, 0) == 0);
    CHECK(error_of([&] { mae::encoder_multiplications(config, -1); }) ==
          "mae: multiplications for -1 tokens, there cannot be fewer than 0");
}

TEST_SUITE_END();
