#include "vit/language/coca.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/norm.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"

TEST_SUITE_BEGIN("coca");

static coca::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const float eps = static_cast<float>(file.metadata_double("layer_norm_eps"));
    const int width = number("vision_cfg.width");
    return {.vision = {.grid = {.height = number("vision_cfg.image_height"),
                                .width = number("vision_cfg.image_width"),
                                .patch_size = number("vision_cfg.patch_size"),
                                .channels = dimensions_of(golden, "input.pixel_values")[1]},
                       .width = width,
                       .depth = number("vision_cfg.layers"),
                       .heads = width / number("vision_cfg.head_width"),
                       .mlp_width = static_cast<int>(width * file.metadata_double("vision_cfg.mlp_ratio")),
                       .eps = eps,
                       .activation = Activation::gelu},
            .queries = number("vision_cfg.n_queries"),
            .pooler_heads = number("vision_cfg.attn_pooler_heads"),
            .vocabulary = number("text_cfg.vocab_size"),
            .positions = number("text_cfg.context_length"),
            .width = number("embed_dim"),
            .text_depth = number("text_cfg.layers"),
            .text_heads = number("text_cfg.heads"),
            .decoder_depth = number("multimodal_cfg.layers"),
            .decoder_heads = number("multimodal_cfg.heads"),
            .eps = eps,
            .padding_token = number("pad_id"),
            .correct_class_mask = golden.flag("correct_cls_mask"),
            .contrastive_weight = static_cast<float>(file.metadata_double("clip_loss_weight")),
            .caption_weight = static_cast<float>(file.metadata_double("caption_loss_weight"))};
}

static TokenBatch captions_of_fixture(const Golden& golden) {
    return equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
}

static std::vector<int> ones_and_zeros(const MayAttend& may) { return {may.table.begin(), may.table.end()}; }

TEST_CASE("coca: every step of the three parts, both losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("coca")) {
        const Golden golden(path);
        const coca::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch captions = captions_of_fixture(golden);
        Random random;
        const coca::Weights w = coca::make_weights(config, random);
        const Parameters parameters = coca::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const coca::Steps steps = coca::forward(images, captions, w, config);
        const coca::Losses losses = coca::losses(steps, w, config);

        const coca::ImageSteps& image = steps.image;
        golden.check("visual.patch_embeddings", image.tower.patch_embeddings.value());
        golden.check("visual.pre_norm", image.tower.pre_norm.value());
        check_stack(golden, image.tower.encoder, config.vision.depth, {{"visual.block.#", Step::output}});
        golden.check("visual.pooler_attention", image.pooler.attention.weights.value());
        golden.check("visual.attn_pool", image.pooler.attention.output.value());
        golden.check("visual.post_norm", image.pooled.value());
        golden.check("image_features", image.features.value());
        golden.check("image_tokens", image.tokens.value());

        golden.check_integers("text.attention_allowed", ones_and_zeros(steps.text.may));
        check_stack(golden, steps.text.encoder, config.text_depth, {{"text.block.#", Step::output}});
        golden.check("text_features", steps.text.features.value());
        golden.check("text_tokens", steps.text.tokens.value());

        check_stack(golden, {steps.decoder.blocks, steps.decoder.norm}, config.decoder_depth,
                    {{"text_decoder.block.#", Step::output}});
        check_stack(golden, {steps.decoder.crosses, steps.decoder.norm}, config.decoder_depth,
                    {{"text_decoder.cross_attn.#", Step::output}});
        golden.check("text_decoder.final_norm", steps.decoder.norm.value());
        golden.check("logits", steps.decoder.logits.value());
        std::vector<int> labels = steps.labels;  // the fixture does not zero padding
        for (int& label : labels) label = label == ignored_label ? config.padding_token : label;
        golden.check_integers("labels", labels);

        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("contrastive_loss", losses.contrastive.value());
        golden.check("caption_loss", losses.caption.value());
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// 4 x 6 pixels in patches of 2, so N = 6; Dv = 12, D = 8, Q = 4, V = 11, captions of at most 7 tokens.
static const coca::Config tiny{.vision = {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 3},
                                          .width = 12,
                                          .depth = 1,
                                          .heads = 3,
                                          .mlp_width = 10,
                                          .activation = Activation::gelu},
                               .queries = 4,
                               .pooler_heads = 2,
                               .vocabulary = 11,
                               .positions = 7,
                               .width = 8,
                               .text_depth = 2,
                               .text_heads = 2,
                               .decoder_depth = 2,
                               .decoder_heads = 4};

static coca::Weights tiny_weights() {
    Random random(1);
    return coca::make_weights(tiny, random);
}

static std::vector<Image> tiny_images(int count, int seed = 2) { return normal_images(count, 4, 6, seed); }

TEST_CASE("read_texts: [cls] attends to tokens that are not padding; as published, with a mask one column too far to the right") {
    // T = 5: the tokens 9 1 2 0, of which the last is not read; columns 0 ... 3 are tokens 0 ... 3 = 9 1 2 0, column 4 is [cls]
    const coca::Weights w = tiny_weights();
    coca::Config config = tiny;
    const TokenBatch caption = equal_batch({9, 1, 2, 0, 0}, 5);
    const auto last_row = [](const MayAttend& may) { return std::vector<int>(may.table.end() - 5, may.table.end()); };
    CHECK(last_row(coca::read_texts(caption, w, config).may) ==
          std::vector<int>{1, 1, 1, 1, 0});  // the first padding, not itself
    config.correct_class_mask = true;
    const MayAttend may = coca::read_texts(caption, w, config).may;
    CHECK(last_row(may) == std::vector<int>{1, 1, 1, 0, 1});
    CHECK(std::vector<int>(may.table.begin() + 10, may.table.begin() + 15) ==
          std::vector<int>{1, 1, 1, 0, 0});  // the others: causal
    const MayAttend empty = coca::read_texts(equal_batch({0, 0, 0, 0, 0}, 5), w, config).may;
    CHECK(last_row(empty) == std::vector<int>{0, 0, 0, 0, 1});  // column 0 too is padding
}

TEST_CASE("forward: other images leave the text encoder unchanged, and change every logit") {
    const coca::Weights w = tiny_weights();
    const TokenBatch captions = equal_batch({9, 1, 2, 10, 9, 3, 4, 10}, 4);
    const coca::Steps one = coca::forward(tiny_images(2, 2), captions, w, tiny),
                      other = coca::forward(tiny_images(2, 3), captions, w, tiny);
    CHECK(identical(one.text.features.value(), other.text.features.value()));
    CHECK(identical(one.text.tokens.value(), other.text.tokens.value()));
    CHECK(!identical(one.decoder.logits.value(), other.decoder.logits.value()));
}

TEST_CASE("forward: the decoder attends to the queries after the first, the contrastive loss uses only the first") {
    const coca::Weights w = tiny_weights();
    const coca::ImageSteps image = coca::read_images(tiny_images(2), w, tiny);
    REQUIRE(shape(image.tokens.value()) == "(6, 8)");
    CHECK(identical(slice_rows(image.tokens.value(), 3, 3), slice_rows(image.pooled.value(), 5, 3)));
    check_close("feature", image.features.value(),
                unit_rows(linear(gather_rows(image.pooled, {0, 4}), w.image_projection)).value());
}

TEST_CASE("losses: labels are the next tokens without padding, and both losses carry their weights") {
    const coca::Weights w = tiny_weights();
    const TokenBatch captions = equal_batch({9, 1, 10, 0, 9, 3, 4, 10}, 4);
    const coca::Steps steps = coca::forward(tiny_images(2), captions, w, tiny);
    CHECK(steps.labels == std::vector<int>{1, 10, -100, 3, 4, 10});
    coca::Config once = tiny;
    once.caption_weight = 1;
    once.contrastive_weight = 3;
    const coca::Losses two = coca::losses(steps, w, tiny), one = coca::losses(steps, w, once);
    CHECK(two.caption.value()[0] == Approx(2 * one.caption.value()[0]));
    CHECK(one.contrastive.value()[0] == Approx(3 * two.contrastive.value()[0]));
    CHECK(one.total.value()[0] == Approx(one.caption.value()[0] + one.contrastive.value()[0]));
}

TEST_CASE("Captioner: token by token equals the full pass, also after a selection of sequences") {
    const coca::Weights w = tiny_weights();
    const std::vector<Image> images = tiny_images(2);
    const TokenBatch captions = equal_batch({9, 1, 2, 3, 10, 9, 4, 5, 6, 10}, 5);
    const Matrix full = coca::forward(images, captions, w, tiny).decoder.logits.value();  // rows 0 ... 3 and 4 ... 7
    coca::Captioner captioner(images, w, tiny, 6);
    check_close("start", captioner.read(equal_batch({9, 9}, 1)), gather_rows(full, {0, 4}).value());
    check_close("two at once", captioner.read(equal_batch({1, 2, 4, 5}, 2)), gather_rows(full, {2, 6}).value());
    captioner.select({1, 1, 0});
    check_close("chosen", captioner.read(equal_batch({6, 6, 3}, 1)), gather_rows(full, {7, 7, 3}).value());
}

TEST_CASE("captions: equal the argmax of the full pass, token by token") {
    const coca::Weights w = tiny_weights();
    const std::vector<Image> images = tiny_images(1);
    const std::vector<int> written = coca::captions(images, w, tiny, 9, {.new_tokens = 5})[0];
    std::vector<int> text{9};
    for (const int id : written) {
        std::vector<int> read = text;
        read.push_back(0);  // the last token is only predicted
        const Matrix logits =
            coca::forward(images, equal_batch(read, static_cast<int>(read.size())), w, tiny).decoder.logits.value();
        CHECK(argmax_row(logits, logits.rows - 1) == id);
        text.push_back(id);
    }
}

TEST_CASE("coca: an inconsistent config or batch throws an error that gives the reason") {
    Random random;
    coca::Config bad = tiny;
    bad.queries = 1;
    CHECK_THROWS_WITH(coca::make_weights(bad, random),
                      "coca: 1 queries; the first is for the contrastive loss, the decoder needs another");
    bad = tiny;
    bad.text_heads = 3;
    CHECK_THROWS_WITH(coca::make_weights(bad, random),
                      "coca: 3, 4 and 2 heads of text, decoder and pooler must divide a width of 8");
    const coca::Weights w = tiny_weights();
    CHECK_THROWS_WITH(coca::forward(tiny_images(2), equal_batch({9, 10}, 2), w, tiny),
                      "coca: 2 images and 1 captions are not pairs; give one caption to each image");
    CHECK_THROWS_WITH(coca::read_texts(equal_batch({9}, 1), w, tiny),
                      "coca: captions of 1 tokens, there must be 2 to 7, its positions; cut the longest");
    CHECK_NOTHROW(coca::read_texts(equal_batch(std::vector<int>(7, 9), 7), w, tiny));
    CHECK_THROWS_WITH(coca::read_texts(equal_batch(std::vector<int>(8, 9), 8), w, tiny),
                      "coca: captions of 8 tokens, there must be 2 to 7, its positions; cut the longest");
    CHECK_THROWS_WITH(coca::read_images({Image(4, 4, 3)}, w, tiny), "coca: image 0 is 4 x 4 x 3, this model reads 4 x 6 x 3");
    CHECK_THROWS_WITH(coca::Captioner(tiny_images(1), w, tiny, 7),
                      "coca: a caption of 7 tokens, at most 6 can be read; ask for fewer");
}

TEST_CASE(
    "coca: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const coca::Config& config) { return coca::parameters(coca::make_weights(config, random), config); };
    for (const std::string& path : golden_files("coca")) {
        const coca::Config config = config_of_fixture(Golden(path));
        const PatchGrid& grid = config.vision.grid;
        coca::Config square = config;
        square.vision.grid.height = square.vision.grid.width;  // a square grid of positions determines the size
        const std::string missing = "the width of a head (vision_cfg)";
        check_given_settings(square, table, coca::config_of, missing);
        check_given_settings(config, table, coca::config_of, grid.height == grid.width ? missing : "the size of the images");
    }
}

TEST_CASE("coca: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<coca::Config, std::string>>{
             {{.width = 0}, "coca: 12, 12 and 8 heads of text, decoder and pooler must divide a width of 0"},
             {{.text_heads = 0}, "coca: 0, 12 and 8 heads of text, decoder and pooler must divide a width of 768"},
             {{.decoder_heads = 0}, "coca: 12, 0 and 8 heads of text, decoder and pooler must divide a width of 768"},
             {{.decoder_heads = 5}, "coca: 12, 5 and 8 heads of text, decoder and pooler must divide a width of 768"},
             {{.pooler_heads = 0}, "coca: 12, 12 and 0 heads of text, decoder and pooler must divide a width of 768"},
             {{.pooler_heads = 5}, "coca: 12, 12 and 5 heads of text, decoder and pooler must divide a width of 768"},
             {{.vocabulary = 0},
              "coca: 0 tokens, 76 positions, depths 12 and 12: sizes must be positive, with at least 2 positions"},
             {{.positions = 1},
              "coca: 49408 tokens, 1 positions, depths 12 and 12: sizes must be positive, with at least 2 positions"},
             {{.text_depth = -1},
              "coca: 49408 tokens, 76 positions, depths -1 and 12: sizes must be positive, with at least 2 positions"},
             {{.decoder_depth = -1},
              "coca: 49408 tokens, 76 positions, depths 12 and -1: sizes must be positive, with at least 2 positions"},
         })
        CHECK_THROWS_WITH(coca::make_weights(config, random), text.c_str());
    const coca::Config smallest{.vision = {.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                                           .width = 1,
                                           .depth = 0,
                                           .heads = 1,
                                           .mlp_width = 1},
                                .queries = 2,
                                .pooler_heads = 1,
                                .vocabulary = 1,
                                .positions = 2,
                                .width = 1,
                                .text_depth = 0,
                                .text_heads = 1,
                                .decoder_depth = 0,
                                .decoder_heads = 1,
                                .eps = 0};
    CHECK_NOTHROW(coca::make_weights(smallest, random));
    coca::Config two = tiny;
    two.positions = 2;  // one for a token, one for [cls]
    CHECK(coca::captions(tiny_images(1), coca::make_weights(two, random), two, 9, {.new_tokens = 1})[0].size() == 1);
}

TEST_CASE("config_of: a width of the heads that does not divide the image tower's is refused") {
    Random random;
    const coca::Weights w = coca::make_weights(tiny, random);
    const TemporaryFolder folder;
    const std::string path = folder.path("coca.safetensors");
    save(coca::parameters(w, tiny), path, coca::metadata(tiny));
    const auto refusal = [&](const std::string& head_width) {
        return error_of([&] { coca::config_of(Safetensors(path), {{"vision_cfg.head_width", head_width}}); });
    };
    const std::string rule = " do not divide the image tower's width of 12; give its vision_cfg.head_width";
    CHECK(refusal("1") == "");
    CHECK(refusal("12") == "");
    CHECK(refusal("0") == path + ": heads of width 0" + rule);
    CHECK(refusal("5") == path + ": heads of width 5" + rule);
}

TEST_CASE("make_weights: standard deviations as published") {
    Random random(4);
    coca::Config wide = tiny;
    wide.width = 64;
    wide.vision.width = 48;
    wide.vocabulary = 300;
    wide.positions = 39;
    wide.queries = 60;
    const coca::Weights w = coca::make_weights(wide, random);
    CHECK(w.log_scale.value()[0] == Approx(std::log(1 / 0.07)));
    CHECK(root_mean_square(w.token_embedding.value()) / 0.02 == Approx(1).epsilon(0.05));
    CHECK(root_mean_square(w.positions.value()) / 0.01 == Approx(1).epsilon(0.05));
    for (const Var& of_width : {w.pooler.queries, w.image_projection.weight, w.text_projection.weight, w.output.weight})
        CHECK(root_mean_square(of_width.value()) / (1 / 8.0) == Approx(1).epsilon(0.05));  // 64^-1/2
}

TEST_CASE("coca::Config: the defaults") {
    const coca::Config usual{};
    CHECK(usual.queries == 256);
    CHECK(usual.pooler_heads == 8);
    CHECK(usual.vocabulary == 49408);
    CHECK(usual.positions == 76);
    CHECK(usual.width == 768);
    CHECK(usual.text_depth == 12);
    CHECK(usual.text_heads == 12);
    CHECK(usual.decoder_depth == 12);
    CHECK(usual.decoder_heads == 12);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.padding_token == 0);
    CHECK(!usual.correct_class_mask);
    CHECK(usual.contrastive_weight == 1);
    CHECK(usual.caption_weight == 2);
}

TEST_CASE("coca: a padding token outside the vocabulary, and factors of losses that are none, are refused") {
    Random random(1);
    for (const int token : {-1, tiny.vocabulary}) {
        coca::Config other = tiny;
        other.padding_token = token;
        CHECK(error_of([&] {
                  coca::make_weights(other, random);
              }).starts_with("coca: padding with token " + std::to_string(token)));
    }
    for (const float factor : {NAN, INFINITY, -1.0f})
        for (float coca::Config::*const which : {&coca::Config::contrastive_weight, &coca::Config::caption_weight}) {
            coca::Config other = tiny;
            other.*which = factor;
            const std::string words = error_of([&] { coca::make_weights(other, random); });
            CHECK(words.ends_with(", the factor must be finite and at least 0"));
            CHECK(error_of([&] { coca::losses({}, {}, other); }) == words);
            other.*which = 0;
            CHECK_NOTHROW(coca::make_weights(other, random));
        }
}

TEST_SUITE_END();
