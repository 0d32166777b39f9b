#include "vit/language/pali.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"

TEST_SUITE_BEGIN("pali");

static pali::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const std::string feed_forward = file.metadata_text("t5.feed_forward_proj");
    const bool gated = feed_forward.starts_with("gated-");
    return {.vision = {.grid = {.height = number("vit.image_height"),
                                .width = number("vit.image_width"),
                                .patch_size = number("vit.patch_size"),
                                .channels = number("vit.num_channels")},
                       .width = number("vit.hidden_size"),
                       .depth = number("vit.num_hidden_layers"),
                       .heads = number("vit.num_attention_heads"),
                       .mlp_width = number("vit.intermediate_size"),
                       .classes = 0,
                       .eps = static_cast<float>(file.metadata_double("vit.layer_norm_eps"))},
            .language = {.vocabulary = number("t5.vocab_size"),
                         .width = number("t5.d_model"),
                         .encoder_depth = number("t5.num_layers"),
                         .decoder_depth = number("t5.num_decoder_layers"),
                         .heads = number("t5.num_heads"),
                         .head_width = number("t5.d_kv"),
                         .mlp_width = number("t5.d_ff"),
                         .gated = gated,
                         .activation = activation_of_name(file.metadata_text("t5.dense_act_fn")),
                         .tied = golden.flag("t5.tie_word_embeddings"),
                         .buckets = number("t5.relative_attention_num_buckets"),
                         .max_distance = number("t5.relative_attention_max_distance"),
                         .eps = static_cast<float>(file.metadata_double("t5.layer_norm_epsilon")),
                         .padding_token = number("pad_token_id"),
                         .end_token = number("eos_token_id"),
                         .start_token = number("t5.decoder_start_token_id")}};
}

TEST_CASE("pali: every step from pixels to logits, the loss and every gradient equal the published halves put together") {
    for (const std::string& path : golden_files("pali")) {
        const Golden golden(path);
        const pali::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch prompts{.sequences = dimensions_of(golden, "input.tokens")[0],
                                 .length = dimensions_of(golden, "input.tokens")[1],
                                 .ids = golden.integers("input.tokens"),
                                 .mask = numbers_of(golden, "input.attention_mask")};
        const std::vector<int> labels = golden.integers("input.labels");
        const TokenBatch target = t5::shifted_right(labels, dimensions_of(golden, "input.labels")[1], config.language);
        Random random;
        const pali::Weights w = pali::make_weights(config, random);
        const Parameters parameters = pali::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const pali::Steps steps = pali::forward(images, prompts, target, w, config);
        const Var loss = pali::loss(steps, labels);

        check_stack(golden, steps.image.vision.encoder, config.vision.depth, {{"vit.layer.#", Step::output}});
        golden.check("visual_tokens", steps.image.tokens.value());
        golden.check("visual_embeddings", steps.image.embeddings.value());
        const Matrix& mask = steps.source.mask;
        golden.check_integers("encoder_mask", integers_of(mask));
        for (int b = 0; b < prompts.sequences; ++b)
            for (int t = 0; t < prompts.length; ++t)
                CHECK(steps.source.ids[(b + 1) * steps.source.length - prompts.length + t] ==
                      prompts.ids[b * prompts.length + t]);
        golden.check("encoder_input", padding_zeroed(steps.encoder_input.value(), mask));
        const StepView view{.sequences = prompts.sequences, .heads = config.language.heads, .mask = mask};
        check_stack(golden, steps.encoder.blocks, config.language.encoder_depth,
                    {{"encoder.attention.#", Step::weights}, {"encoder.block.#", Step::output, Heads::side_by_side, true}}, view);
        golden.check("encoder.final", padding_zeroed(steps.encoder.output.value(), mask));
        golden.check_integers("decoder_input_ids", target.ids);
        check_stack(golden, steps.decoder.blocks, config.language.decoder_depth,
                    {{"decoder.block.#", Step::output, Heads::side_by_side, true}});
        golden.check("decoder.final", steps.decoder.hidden.value());
        golden.check("logits", steps.decoder.logits.value());
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// 4 x 6 pixels in patches of 2, so N = 6; Dv = 12, E = 8, V = 11.
static const pali::Config tiny{.vision = {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 3},
                                          .width = 12,
                                          .depth = 1,
                                          .heads = 3,
                                          .mlp_width = 10,
                                          .classes = 0,
                                          .eps = 1e-6f},
                               .language = {.vocabulary = 11,
                                            .width = 8,
                                            .encoder_depth = 2,
                                            .decoder_depth = 2,
                                            .heads = 2,
                                            .head_width = 5,
                                            .mlp_width = 9,
                                            .gated = true,
                                            .activation = Activation::gelu_tanh,
                                            .tied = false,
                                            .buckets = 8,
                                            .max_distance = 20}};

static pali::Weights tiny_weights() {
    Random random(1);
    return pali::make_weights(tiny, random);
}

static std::vector<Image> tiny_images(int count, int seed = 2) { return normal_images(count, 4, 6, seed); }

TEST_CASE("forward: patches first, then the prompt; padding is masked, patches are not") {
    const pali::Weights w = tiny_weights();
    const TokenBatch prompts = make_batch({{3, 4, 5}, {6}});
    const pali::Steps steps = pali::forward(tiny_images(2), prompts, equal_batch({0, 7, 0, 8}, 2), w, tiny);
    REQUIRE(shape(steps.encoder_input.value()) == "(18, 8)");
    CHECK(identical(slice_rows(steps.encoder_input.value(), 9, 6), slice_rows(steps.image.embeddings.value(), 6, 6)));
    CHECK(identical(slice_rows(steps.encoder_input.value(), 6, 1), slice_rows(w.language.token_embedding.value(), 3, 1)));
    check_close("mask", steps.source.mask, {{1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 0, 0}});
}

TEST_CASE("make_weights: the projection has the standard deviation one over the root of the width of the vision tower") {
    pali::Config wide = tiny;
    wide.vision.width = 144, wide.language.width = 40;
    Random random(2);
    const pali::Weights w = pali::make_weights(wide, random);
    CHECK(root_mean_square(w.projection.weight.value()) * 12 == Approx(1).epsilon(0.05));
}

TEST_CASE("forward: padding changes no logit, the image and the prompt do") {
    const pali::Weights w = tiny_weights();
    const TokenBatch target = equal_batch({0, 7}, 2);
    const auto logits = [&](const std::vector<int>& ids, int seed) {
        TokenBatch prompts = equal_batch(ids, 3);
        prompts.mask = {{1, 1, 0}};
        return pali::forward(tiny_images(1, seed), prompts, target, w, tiny).decoder.logits.value();
    };
    const Matrix one = logits({3, 4, 0}, 2);
    CHECK(identical(logits({3, 4, 9}, 2), one));
    CHECK(!identical(logits({3, 5, 0}, 2), one));
    CHECK(!identical(logits({3, 4, 0}, 3), one));
}

TEST_CASE("forward: the class token of the ViT is dropped, not the first patch") {
    const pali::Weights w = tiny_weights();
    const pali::ImageSteps image = pali::read_images(tiny_images(2), w, tiny);
    CHECK(identical(slice_rows(image.tokens.value(), 6, 6), slice_rows(image.vision.norm.value(), 8, 6)));
}

TEST_CASE("answers: equal the argmax of the full pass, token by token, and end at the end token") {
    const pali::Weights w = tiny_weights();
    const std::vector<Image> images = tiny_images(2);
    const TokenBatch prompts = make_batch({{3, 4, 5}, {6}});
    const std::vector<std::vector<int>> written = pali::answers(images, prompts, w, tiny, 4);
    REQUIRE(written.size() == 2);
    for (int b = 0; b < 2; ++b) {
        std::vector<int> read{tiny.language.start_token};
        for (const int id : written[b]) {
            std::vector<int> both;  // the same target for both, of which one is looked at
            for (int twice = 0; twice < 2; ++twice) both.insert(both.end(), read.begin(), read.end());
            const int T = static_cast<int>(read.size());
            const Matrix logits = pali::forward(images, prompts, equal_batch(both, T), w, tiny).decoder.logits.value();
            CHECK(argmax_row(logits, b * T + T - 1) == id);
            read.push_back(id);
        }
        const bool ended = written[b].back() == tiny.language.end_token;
        CHECK((ended || written[b].size() == 4));
    }
}

TEST_CASE("pali: inconsistent arguments throw an error that gives the reason") {
    const pali::Weights w = tiny_weights();
    CHECK_THROWS_WITH(pali::forward(tiny_images(2), make_batch({{3}}), equal_batch({0}, 1), w, tiny),
                      "pali: 2 images and 1 prompts; each image needs one");
    Random random;
    pali::Config bad = tiny;
    bad.vision.classes = 3;
    CHECK_THROWS_WITH(pali::make_weights(bad, random),
                      "pali: the image tower has 3 classes, it needs none; set vision.classes to 0");
}

TEST_CASE(
    "pali: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const pali::Config& config) { return pali::parameters(pali::make_weights(config, random), config); };
    for (const std::string& path : golden_files("pali")) {
        const pali::Config config = config_of_fixture(Golden(path));
        const PatchGrid& grid = config.vision.grid;
        pali::Config square = config;
        square.vision.grid.height = square.vision.grid.width;  // a square grid of positions determines the size
        const std::string missing = "the number of heads of the ViT";
        check_given_settings(square, table, pali::config_of, missing);
        check_given_settings(config, table, pali::config_of, grid.height == grid.width ? missing : "the size of the images");
    }
}

TEST_CASE("pali::Config: the defaults") {
    const pali::Config usual{};
    CHECK(usual.vision.classes == 0);
    CHECK(usual.vision.eps == 1e-6f);
    CHECK(usual.language.gated);
    CHECK(usual.language.activation == Activation::gelu_tanh);
    CHECK(!usual.language.tied);
}

TEST_SUITE_END();
