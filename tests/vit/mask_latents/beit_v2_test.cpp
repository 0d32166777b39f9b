#include "vit/mask_latents/beit_v2.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/layers/relative_position.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/vit/vit_fixture.h"

TEST_SUITE_BEGIN("beit_v2");

static beit_v2::TokenizerConfig golden_tokenizer_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = square_grid_of(golden),
            .width = file.metadata_int("encoder_embed_dim"),
            .encoder_depth = file.metadata_int("encoder_depth"),
            .decoder_depth = file.metadata_int("decoder_depth"),
            .heads = file.metadata_int("tokenizer_num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_value_bias = golden.flag("qkv_bias"),
            .codes = file.metadata_int("n_embed"),
            .code_width = file.metadata_int("code_dim"),
            .teacher_width = file.metadata_int("decoder_out_dim"),
            .decay = static_cast<float>(file.metadata_double("decay")),
            .beta = static_cast<float>(file.metadata_double("beta")),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

static beit_v2::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = square_grid_of(golden),
            .width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_value_bias = golden.flag("qkv_bias"),
            .layer_scale = layer_scale_of(golden),
            .absolute_positions = golden.flag("use_abs_pos_emb"),
            .shared_relative_bias = golden.flag("use_shared_rel_pos_bias"),
            .codes = file.metadata_int("vocab_size"),
            .early_block = file.metadata_int("early_layers"),
            .head_depth = file.metadata_int("head_layers"),
            .shared_head = golden.flag("shared_lm_head"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

static void check_tokenizer(const Golden& golden, const beit_v2::TokenizerSteps& steps, const beit_v2::TokenizerConfig& config) {
    golden.check("tokenizer.preprocessed", channels_first_of(steps.scaled));
    golden.check("tokenizer.encoder_z0", steps.encoder_z0.value());
    check_stack(golden, steps.encoder, config.encoder_depth, {{"tokenizer.encoder.blocks.#.output", Step::output}});
    golden.check("tokenizer.encoder_features", steps.encoder_features.value());
    golden.check("tokenizer.to_quantizer", steps.to_quantizer.value());
    golden.check("tokenizer.z", steps.z.value());
    golden.check("tokenizer.distances", steps.quantized.distances.value());
    golden.check_integers("tokenizer.token_ids", steps.quantized.ids);
    golden.check("tokenizer.quantized",
                 maps_channels_first(steps.quantized.output.value(), config.grid.down(), config.grid.across()));
    golden.check("tokenizer.decoder_z0", steps.decoder_z0.value());
    check_stack(golden, steps.decoder, config.decoder_depth, {{"tokenizer.decoder.blocks.#.output", Step::output}});
    golden.check("tokenizer.decoder_features", steps.decoder_features.value());
    golden.check("tokenizer.reconstruction", steps.reconstruction.value());
}

static void check_masked_model(const Golden& golden, const beit_v2::Steps& steps, const beit_v2::Config& config) {
    if (golden.has("expected.relative_position_index"))
        golden.check_integers("relative_position_index", relative_position_index(config.grid.down(), config.grid.across()));
    if (steps.bias) golden.check("rel_pos_bias", steps.bias.value());
    golden.check("patch_embed", steps.patch_embeddings.value());
    golden.check("z0", steps.z0.value());
    check_stack(golden, steps.encoder, config.depth,
                {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
    golden.check("cls_pt_input", steps.branch_input.value());
    check_stack(golden, steps.branch, config.head_depth, {{"cls_pt_layers.#.output", Step::output}});
    golden.check("logits", steps.logits.value());
    golden.check("cls_pt_logits", steps.branch_logits.value());
}

TEST_CASE("beit_v2: every step, gradient and codebook update of both stages equals the published implementation's") {
    for (const std::string& path : golden_files("beit_v2")) {
        const Golden golden(path);
        const beit_v2::TokenizerConfig tokenizer_config = golden_tokenizer_config(golden);
        const beit_v2::Config config = golden_config(golden);
        Random random;
        beit_v2::TokenizerWeights tokenizer = beit_v2::make_weights(tokenizer_config, random);
        const beit_v2::Weights w = beit_v2::make_weights(config, random);
        Parameters parameters = beit_v2::parameters(tokenizer, tokenizer_config);
        for (const Parameter& parameter : beit_v2::parameters(w, config)) parameters.push_back(parameter);
        golden.load_weights(parameters);

        const Tape tape;
        const beit_v2::TokenizerSteps words = beit_v2::tokenize(images_of(golden, "input.images"), tokenizer, tokenizer_config);
        check_tokenizer(golden, words, tokenizer_config);
        const Matrix teacher = golden.input("teacher_features");
        golden.check("tokenizer.quantize_loss", beit_v2::quantize_loss(words, tokenizer_config).value());
        golden.check("tokenizer.rec_loss", beit_v2::reconstruction_loss(words, teacher).value());
        const Var tokenizer_loss = beit_v2::loss(words, teacher, tokenizer_config);
        golden.check("tokenizer.loss", tokenizer_loss.value());

        const Matrix mask = numbers_of(golden, "input.bool_masked_pos");
        const beit_v2::Steps steps = beit_v2::forward(images_of(golden, "input.samples"), mask, w, config);
        check_masked_model(golden, steps, config);
        const std::vector<int> labels = beit_v2::masked_tokens(words.quantized.ids, steps);
        golden.check_integers("labels", labels);
        golden.check("mim_loss", beit_v2::mask_loss(steps, labels).value());
        golden.check("cls_pt_loss", beit_v2::branch_loss(steps, labels).value());
        const Var pretrain_loss = beit_v2::loss(steps, labels);
        golden.check("pretrain_loss", pretrain_loss.value());
        const Var loss = add(tokenizer_loss, pretrain_loss);
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        beit_v2::update_codebook(tokenizer, words, tokenizer_config);
        golden.check("tokenizer.ema_codebook", tokenizer.codebook.value());
        golden.check("tokenizer.ema_cluster_size", tokenizer.cluster_size.value());
        golden.check_all_used();
    }
}

// --- properties ---

static const beit_v2::TokenizerConfig tiny_tokenizer{.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 2},
                                                     .width = 8,
                                                     .encoder_depth = 1,
                                                     .decoder_depth = 1,
                                                     .heads = 2,
                                                     .mlp_ratio = 2,
                                                     .codes = 7,
                                                     .code_width = 3,
                                                     .teacher_width = 5};
static const beit_v2::Config tiny{.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 2},
                                  .width = 8,
                                  .depth = 3,
                                  .heads = 2,
                                  .mlp_ratio = 2,
                                  .layer_scale = 0.5f,
                                  .codes = 7,
                                  .early_block = 2,
                                  .head_depth = 1};

static std::vector<Image> tiny_images(Random& random, int count) {
    std::vector<Image> images;
    for (int b = 0; b < count; ++b) {
        Image image(4, 6, 2);
        for (float& x : image.pixels) x = random.uniform();
        images.push_back(image);
    }
    return images;
}

TEST_CASE("scale_images: maps 0 ... 1 to -1 ... 1; a batch with values above 1 is taken for bytes") {
    Image image(1, 2, 1);
    image.pixels = {0, 1};
    CHECK(beit_v2::scale_images({image})[0].pixels == std::vector<float>{-1, 1});
    image.pixels = {0, 255};
    CHECK(beit_v2::scale_images({image})[0].pixels == std::vector<float>{-1, 1});
    image.pixels = {0, 1.5f};
    CHECK(beit_v2::scale_images({image})[0].pixels == std::vector<float>{-1, 1.5f / 127.5f - 1});
}

TEST_CASE("reconstruction_loss: the cosine of short vectors is that of long ones") {
    beit_v2::TokenizerSteps steps;
    steps.reconstruction = Var(Matrix{{3e-4f, 4e-4f}});
    CHECK(beit_v2::reconstruction_loss(steps, {{1e-3f, 0}}).value()(0, 0) == Approx(1 - 0.6));
}

TEST_CASE("tokenize: a vector of zeros has the length 1e-12, so that z stays 0 and is finite") {
    Random random(6);
    const beit_v2::TokenizerWeights w = beit_v2::make_weights(tiny_tokenizer, random);
    for (Var part : {w.to_code.weight, w.to_code.bias})
        for (float& x : part.value()) x = 0;
    for (const float z : beit_v2::tokenize(tiny_images(random, 1), w, tiny_tokenizer).z.value()) CHECK(z == 0);
}

TEST_CASE("tokenize: the length of z has no gradient") {
    // The gradient through unit_rows is at a right angle to to_quantizer.
    Random random(5);
    const beit_v2::TokenizerWeights w = beit_v2::make_weights(tiny_tokenizer, random, {.stddev = 0.5f});
    const Tape tape;
    const beit_v2::TokenizerSteps steps = beit_v2::tokenize(tiny_images(random, 2), w, tiny_tokenizer);
    const Var kept = steps.to_quantizer;
    backward(beit_v2::reconstruction_loss(steps, normal_matrix(random, 12, 5)));
    for (int i = 0; i < 12; ++i) {
        double along = 0;
        for (int c = 0; c < 3; ++c) along += static_cast<double>(kept.gradient()(i, c)) * kept.value()(i, c);
        CHECK(std::abs(along) < 1e-6);
    }
}

TEST_CASE("forward: a masked patch has no influence on any prediction, a visible one has") {
    Random random(6);
    const beit_v2::Weights w = beit_v2::make_weights(tiny, random, {.stddev = 0.3f});
    const Matrix mask{{1, 0, 0, 1, 0, 0}};
    std::vector<Image> images = tiny_images(random, 1);
    const beit_v2::Steps before = beit_v2::forward(images, mask, w, tiny);
    images[0](0, 0, 0) += 1;  // patch 0, masked
    const beit_v2::Steps masked = beit_v2::forward(images, mask, w, tiny);
    CHECK(identical(masked.logits.value(), before.logits.value()));
    CHECK(identical(masked.branch_logits.value(), before.branch_logits.value()));
    images[0](0, 2, 0) += 1;  // patch 1, visible
    CHECK(!identical(beit_v2::forward(images, mask, w, tiny).logits.value(), before.logits.value()));
}

TEST_CASE("forward: the second branch reads [cls] of the last block and the patches of the early one") {
    const KeepSteps keep;
    Random random(7);
    const beit_v2::Weights w = beit_v2::make_weights(tiny, random, {.stddev = 0.3f});
    const beit_v2::Steps steps = beit_v2::forward(tiny_images(random, 2), Matrix(2, 6, 1), w, tiny);
    const Matrix &input = steps.branch_input.value(), &last = steps.encoder.blocks[2].output.value(),
                 &early = steps.encoder.blocks[1].output.value();
    for (int image = 0; image < 2; ++image) {
        CHECK(identical(slice_rows(input, image * 7, 1), slice_rows(last, image * 7, 1)));
        CHECK(identical(slice_rows(input, image * 7 + 1, 6), slice_rows(early, image * 7 + 1, 6)));
    }
}

TEST_CASE("start_codebook: sets each code to a direction of the batch, and its count") {
    Random random(8);
    beit_v2::TokenizerWeights w = beit_v2::make_weights(tiny_tokenizer, random, {.stddev = 0.5f});
    const beit_v2::TokenizerSteps steps = beit_v2::tokenize(tiny_images(random, 4), w, tiny_tokenizer);
    const double before = beit_v2::quantize_loss(steps, tiny_tokenizer).value()(0, 0);
    beit_v2::start_codebook(w, steps, random);
    const beit_v2::TokenizerSteps after = beit_v2::tokenize({steps.scaled.begin(), steps.scaled.end()}, w, tiny_tokenizer);
    CHECK(sum(w.cluster_size).value()(0, 0) == 24);  // 4 images of 6 patches
    CHECK(quantize(steps.z, w.codebook).ids.size() == 24);
    CHECK(commitment_loss(steps.z, quantize(steps.z, w.codebook)).value()(0, 0) < before);
}

TEST_CASE("beit_v2: an inconsistent config, mask or teacher throws an error that gives the reason") {
    Random random(9);
    beit_v2::Config config = tiny;
    config.early_block = 4;
    CHECK_THROWS_WITH(beit_v2::make_weights(config, random),
                      "beit_v2: the early block 4 is not one of 3 blocks, or 1 blocks of the branch are negative");
    beit_v2::TokenizerConfig tokenizer = tiny_tokenizer;
    tokenizer.heads = 3;
    CHECK_THROWS_WITH(beit_v2::make_weights(tokenizer, random), "beit_v2: tokenizer: 3 heads do not divide a width of 8");
    const std::string branch = " blocks of the branch are negative";
    config.early_block = 0;
    CHECK(error_of([&] { beit_v2::make_weights(config, random); }) ==
          "beit_v2: the early block 0 is not one of 3 blocks, or 1" + branch);
    config.early_block = 3;
    CHECK_NOTHROW(beit_v2::make_weights(config, random));
    config.head_depth = 0;
    CHECK_NOTHROW(beit_v2::make_weights(config, random));
    config.head_depth = -1;
    CHECK(error_of([&] { beit_v2::make_weights(config, random); }) ==
          "beit_v2: the early block 3 is not one of 3 blocks, or -1" + branch);
    const beit_v2::Weights w = beit_v2::make_weights(tiny, random);
    CHECK_THROWS_WITH(beit_v2::forward(tiny_images(random, 2), Matrix(2, 5), w, tiny),
                      "beit_v2: a mask (2, 5) for 2 images of 6 patches; each image needs a row, each patch a number");
    const beit_v2::Steps last_masked = beit_v2::forward(tiny_images(random, 1), {{0, 0, 0, 0, 0, 1}}, w, tiny);
    CHECK(beit_v2::masked_tokens({0, 1, 2, 3, 4, 5}, last_masked) == std::vector<int>{5});
    CHECK_THROWS_WITH(beit_v2::masked_tokens({0, 1, 2, 3, 4}, last_masked), "beit_v2: 5 tokens, but patch 5 is masked");
    CHECK_THROWS_WITH(beit_v2::forward(tiny_images(random, 2), Matrix(1, 6), w, tiny),
                      "beit_v2: a mask (1, 6) for 2 images of 6 patches; each image needs a row, each patch a number");
    CHECK_THROWS_WITH(beit_v2::forward(tiny_images(random, 1), Matrix(1, 6), w, tiny),
                      "beit_v2: no patch is masked, there is nothing to predict");
    const beit_v2::TokenizerWeights t = beit_v2::make_weights(tiny_tokenizer, random);
    const beit_v2::TokenizerSteps steps = beit_v2::tokenize(tiny_images(random, 1), t, tiny_tokenizer);
    CHECK_THROWS_WITH(beit_v2::reconstruction_loss(steps, Matrix(5, 5)),
                      "beit_v2: teacher features (5, 5) for reconstructions (6, 5), the shapes must be equal");
}

TEST_CASE(
    "beit_v2: both config_of read back what metadata wrote, for the sizes of every fixture; without it one line says what is "
    "missing") {
    Random random(1);
    const auto table_of = [&](const beit_v2::Config& c) { return beit_v2::parameters(beit_v2::make_weights(c, random), c); };
    const auto tokenizer_table_of = [&](const beit_v2::TokenizerConfig& c) {
        return beit_v2::parameters(beit_v2::make_weights(c, random), c);
    };
    for (const std::string& path : golden_files("beit_v2")) {
        beit_v2::Config config = golden_config(Golden(path));
        config.absolute_positions = false;
        check_given_settings(config, table_of, beit_v2::config_of, "the size of the images");
        config.absolute_positions = true;
        config.grid.height = config.grid.width;  // a square grid of positions determines the size
        check_given_settings(config, table_of, beit_v2::config_of, "the number of heads");
        const TemporaryFolder folder;
        const std::string saved = folder.path("beit_v2.safetensors");
        for (const bool scaled : {true, false}) {  // the factors are among the tensors; fresh ones would begin at 1
            config.layer_scale = scaled ? std::optional<float>(0.1f) : std::nullopt;
            save(table_of(config), saved, beit_v2::metadata(config));
            config.layer_scale = scaled ? std::optional<float>(1.0f) : std::nullopt;
            CHECK(beit_v2::config_of(Safetensors(saved), {}).layer_scale == config.layer_scale);
        }
        beit_v2::TokenizerConfig tokenizer = golden_tokenizer_config(Golden(path));
        tokenizer.grid.height = tokenizer.grid.width;  // a square grid of positions determines the size
        check_given_settings(tokenizer, tokenizer_table_of, beit_v2::tokenizer_config_of, "the number of heads");
    }
}

TEST_CASE("beit_v2: every invalid size or factor of a tokenizer is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<beit_v2::TokenizerConfig, std::string>>{
             {{.code_width = 0},
              "beit_v2: tokenizer: codes 0 wide, teacher 512, depths 12 and 3: none may be negative, and no width 0"},
             {{.teacher_width = 0},
              "beit_v2: tokenizer: codes 32 wide, teacher 0, depths 12 and 3: none may be negative, and no width 0"},
             {{.encoder_depth = -1},
              "beit_v2: tokenizer: codes 32 wide, teacher 512, depths -1 and 3: none may be negative, and no width 0"},
             {{.decoder_depth = -1},
              "beit_v2: tokenizer: codes 32 wide, teacher 512, depths 12 and -1: none may be negative, and no width 0"},
             {{.heads = 0}, "beit_v2: tokenizer: 0 heads do not divide a width of 768"},
             {{.heads = 5}, "beit_v2: tokenizer: 5 heads do not divide a width of 768"},
             {{.width = 0}, "beit_v2: tokenizer: 12 heads do not divide a width of 0"},
             {{.mlp_ratio = 0}, "beit_v2: tokenizer: MLP ratio 0.000000, 8192 codes: sizes must be positive"},
             {{.codes = 0}, "beit_v2: tokenizer: MLP ratio 4.000000, 0 codes: sizes must be positive"},
             {{.eps = -1}, "beit_v2: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
             {{.decay = 1.5f}, "beit_v2: tokenizer: a decay of 1.500000, it must be a fraction from 0 to 1"},
             {{.decay = -0.5f}, "beit_v2: tokenizer: a decay of -0.500000, it must be a fraction from 0 to 1"},
         })
        CHECK_THROWS_WITH(beit_v2::make_weights(config, random), text.c_str());
    const beit_v2::TokenizerConfig smallest{.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                                            .width = 1,
                                            .encoder_depth = 0,
                                            .decoder_depth = 0,
                                            .heads = 1,
                                            .mlp_ratio = 1,
                                            .codes = 1,
                                            .code_width = 1,
                                            .teacher_width = 1,
                                            .decay = 0,
                                            .eps = 0};
    CHECK_NOTHROW(beit_v2::make_weights(smallest, random));
    CHECK_NOTHROW(beit_v2::make_weights(
        beit_v2::TokenizerConfig{
            .grid = smallest.grid, .width = 1, .encoder_depth = 0, .decoder_depth = 0, .heads = 1, .decay = 1},
        random));
}

TEST_CASE("beit_v2::TokenizerConfig: the defaults") {
    const beit_v2::TokenizerConfig usual{};
    CHECK(usual.width == 768);
    CHECK(usual.encoder_depth == 12);
    CHECK(usual.decoder_depth == 3);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.query_value_bias);
    CHECK(usual.codes == 8192);
    CHECK(usual.code_width == 32);
    CHECK(usual.teacher_width == 512);
    CHECK(usual.decay == 0.99f);
    CHECK(usual.beta == 1);
    CHECK(usual.eps == 1e-6f);
}

TEST_CASE("beit_v2::Config: the defaults") {
    const beit_v2::Config usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.query_value_bias);
    CHECK(!usual.absolute_positions);
    CHECK(usual.shared_relative_bias);
    CHECK(usual.codes == 8192);
    CHECK(usual.early_block == 9);
    CHECK(usual.head_depth == 2);
    CHECK(usual.shared_head);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.layer_scale == 0.1f);
}

TEST_SUITE_END();
