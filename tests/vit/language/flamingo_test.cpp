#include "vit/language/flamingo.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("flamingo");

static flamingo::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const int E = number("n_embd"), Dv = number("vis_dim");
    return {.language = {.vocabulary = number("vocab_size"),
                         .positions = number("n_positions"),
                         .width = E,
                         .depth = number("n_layer"),
                         .heads = number("n_head"),
                         .mlp_width = 4 * E,
                         .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                         .activation = activation_of_name(file.metadata_text("activation_function"))},
            .resampler = {.latents = number("perceiver.num_latents"),
                          .width = Dv,
                          .depth = number("perceiver.depth"),
                          .heads = number("perceiver.heads"),
                          .head_width = number("perceiver.dim_head"),
                          .mlp_width = number("perceiver.ff_mult") * Dv,
                          .frames = number("frames")},
            .heads = number("cross_attn.heads"),
            .head_width = number("cross_attn.dim_head"),
            .mlp_width = number("cross_attn.ff_mult") * E,
            .every = number("cross_attn_every_n_layers"),
            .only_last_image = golden.flag("only_attend_immediate_media"),
            .image_token = number("media_token_id")};
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    TokenBatch texts = equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
    texts.mask = numbers_of(golden, "input.attention_mask");
    return texts;
}

TEST_CASE("flamingo: every step, the loss and every gradient, of the frozen model too, equal the published implementation's") {
    for (const std::string& path : golden_files("flamingo")) {
        Golden golden(path);
        const flamingo::Config config = config_of_fixture(golden);
        const TokenBatch texts = texts_of_fixture(golden);
        const int T = golden.file.metadata_int("num_media");
        Random random;
        const gpt::Weights language = gpt::make_weights(config.language, random);
        const flamingo::Weights w = flamingo::make_weights(config, language, random);
        const Parameters parameters = flamingo::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const flamingo::Steps steps = flamingo::forward(texts, golden.input("vision_features"), T, w, config);
        const Var loss = flamingo::loss(steps, next_tokens(golden.integers("input.labels"), texts.length));

        const auto tokens_only = [&](const Var& value) { return padding_zeroed(value.value(), texts.mask); };
        REQUIRE(static_cast<int>(steps.resampler.layers.size()) == config.resampler.depth);
        for (int l = 0; l < config.resampler.depth; ++l) {
            const std::string layer = "perceiver.layer." + std::to_string(l);
            golden.check(layer + ".attn_out", steps.resampler.layers[l].attention.output.value());
            golden.check(layer + ".ff_out", steps.resampler.layers[l].mlp.output.value());
        }
        golden.check("media_latents", steps.resampler.latents.value());
        golden.check_integers("media_mask", integers_of(padding_zeroed(steps.sees, texts.mask)));
        for (int l = 0; l < config.language.depth; ++l) {
            const std::string layer = "layer." + std::to_string(l);
            if ((l + 1) % config.every == 0) {
                const flamingo::GatedSteps& gated = steps.gated[(l + 1) / config.every - 1];
                golden.check(layer + ".cross_attention", tokens_only(gated.attention.weights));
                golden.check(layer + ".cross_attn_out", tokens_only(gated.attention.output));
                golden.check(layer + ".gated_cross_attn", tokens_only(gated.output));
            }
            golden.check(layer + ".output", tokens_only(steps.blocks[l].output));
        }
        golden.check("final_norm", tokens_only(steps.hidden));
        golden.check("logits", tokens_only(steps.logits));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// 3 blocks of width 8, a new layer before block 1; Dv = 6, R = 3; the image token is 10 of 11.
static const flamingo::Config tiny{
    .language = {.vocabulary = 11, .positions = 12, .width = 8, .depth = 3, .heads = 2, .mlp_width = 12},
    .resampler = {.latents = 3, .width = 6, .depth = 1, .heads = 2, .head_width = 5, .mlp_width = 7},
    .heads = 3,
    .head_width = 4,
    .mlp_width = 9,
    .every = 2,
    .image_token = 10};

static flamingo::Weights tiny_weights(float gate) {
    Random random(1);
    const gpt::Weights language = gpt::make_weights(tiny.language, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const flamingo::Weights w = flamingo::make_weights(tiny, language, random, {.draw = Draw::normal, .stddev = 0.5f});
    for (flamingo::GatedLayer layer : w.gated) layer.attention_gate.value()[0] = layer.mlp_gate.value()[0] = gate;
    return w;
}

// Features of `images` images of 4 tokens.
static Matrix tiny_features(int images, int seed = 2) {
    Random random(seed);
    return normal_matrix(random, images * 4, 6);
}

TEST_CASE("visible_images: the last image so far, or all of them; padding is not an image") {
    TokenBatch texts = equal_batch({1, 10, 2, 10, 3, 10}, 6);
    check_close("last", flamingo::visible_images(texts, 3, tiny),
                {{0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 0, 1}});
    flamingo::Config all = tiny;
    all.only_last_image = false;
    check_close("all", flamingo::visible_images(texts, 3, all),
                {{0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 1}});
    check_close("the last two columns", flamingo::visible_images(texts, 3, tiny, 2), {{0, 1, 0}, {0, 0, 1}});
    texts.mask = {{0, 0, 1, 1, 1, 1}};
    check_close("padded", flamingo::visible_images(texts, 3, tiny),
                {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {0, 1, 0}});
}

TEST_CASE("forward: with gates 0 the logits equal those of the language model, bit by bit") {
    const flamingo::Weights w = tiny_weights(0);
    const TokenBatch texts = equal_batch({10, 2, 3, 10, 4, 1, 10, 5, 6, 7}, 5);
    CHECK(identical(flamingo::forward(texts, tiny_features(4), 2, w, tiny).logits.value(),
                    gpt::forward(texts.ids, 5, w.language, tiny.language).logits.value()));
    const flamingo::Weights open = tiny_weights(0.1f);
    CHECK(!identical(flamingo::forward(texts, tiny_features(4), 2, open, tiny).logits.value(),
                     gpt::forward(texts.ids, 5, open.language, tiny.language).logits.value()));
}

TEST_CASE("freeze_language_model: its weights get no gradient, the gated layers before it do") {
    const flamingo::Weights w = tiny_weights(0.3f);
    flamingo::freeze_language_model(w, tiny);
    const TokenBatch texts = equal_batch({10, 2, 3, 10, 4}, 5);
    const Tape tape;
    backward(flamingo::loss(flamingo::forward(texts, tiny_features(2), 2, w, tiny), flamingo::labels_of(texts, tiny)));
    CHECK(variables(gpt::parameters(w.language, tiny.language)).empty());
    for (const Parameter& frozen : gpt::parameters(w.language, tiny.language))
        for (const Var& part : frozen.parts) CHECK_MESSAGE(part.gradient().size() == 0, frozen.name);
    for (const Parameter& trained : flamingo::trained_parameters(w, tiny))
        for (const Var& part : trained.parts) CHECK_MESSAGE(part.gradient().size() > 0, trained.name);
    CHECK(variables(flamingo::parameters(w, tiny)).size() == variables(flamingo::trained_parameters(w, tiny)).size());
}

TEST_CASE("forward: in the first step only the gates get a gradient") {
    const flamingo::Weights w = tiny_weights(0);
    const TokenBatch texts = equal_batch({10, 2, 3, 10, 4}, 5);
    const Tape tape;
    backward(flamingo::loss(flamingo::forward(texts, tiny_features(2), 2, w, tiny), flamingo::labels_of(texts, tiny)));
    CHECK(w.gated[0].attention_gate.gradient()[0] != 0);
    CHECK(w.gated[0].mlp_gate.gradient()[0] != 0);
    for (const float x : w.gated[0].block.cross.query.weight.gradient()) CHECK(x == 0);
    for (const float x : w.resampler.latents.gradient()) CHECK(x == 0);
}

TEST_CASE("forward: an image changes the text after it, not the text before it") {
    const flamingo::Weights w = tiny_weights(0.5f);
    const TokenBatch texts = equal_batch({1, 2, 10, 3, 4}, 5);
    const Matrix one = flamingo::forward(texts, tiny_features(1, 2), 1, w, tiny).logits.value();
    const Matrix other = flamingo::forward(texts, tiny_features(1, 3), 1, w, tiny).logits.value();
    CHECK(identical(slice_rows(one, 0, 2), slice_rows(other, 0, 2)));
    for (int i = 2; i < 5; ++i) CHECK(!identical(slice_rows(one, i, 1), slice_rows(other, i, 1)));
}

TEST_CASE("labels_of: image tokens and padding are not labels") {
    TokenBatch texts = equal_batch({10, 2, 10, 4, 0}, 5);
    texts.mask = {{1, 1, 1, 1, 0}};
    CHECK(flamingo::labels_of(texts, tiny) == std::vector<int>{2, -100, 4, -100, -100});
}

TEST_CASE("Reader: token by token equals the full pass, also after padding on the left") {
    const flamingo::Weights w = tiny_weights(0.5f);
    const Matrix features = tiny_features(4);
    const TokenBatch texts = make_batch({{10, 2, 3, 10, 4, 5}, {1, 10, 6, 7}}, 0, Side::left);
    const Matrix full = flamingo::forward(texts, features, 2, w, tiny).logits.value();  // (12, V)
    flamingo::Reader reader(features, 2, 2, w, tiny, 6);
    check_close("prompt", reader.read(make_batch({{10, 2, 3, 10}, {1, 10}}, 0, Side::left)), gather_rows(full, {3, 9}).value());
    reader.select({1, 0});
    check_close("next", reader.read(equal_batch({6, 4}, 1)), gather_rows(full, {10, 4}).value());
}

TEST_CASE("forward: the language model may be GPT (2018), with post-norm and an untied output matrix") {
    flamingo::Config config = tiny;
    config.language.order = Order::post;
    config.language.tied = false;
    Random random(1);
    const flamingo::Weights w = flamingo::make_weights(config, gpt::make_weights(config.language, random), random);
    const std::vector<int> ids{10, 2, 3, 4};
    CHECK(identical(flamingo::forward(equal_batch(ids, 4), tiny_features(1), 1, w, config).logits.value(),
                    gpt::forward(ids, 4, w.language, config.language).logits.value()));
    CHECK(flamingo::parameters(w, config).back().name == "lang_encoder.lm_head.weight");
}

TEST_CASE("flamingo: an inconsistent config or batch throws an error that gives the reason") {
    const flamingo::Weights w = tiny_weights(0);
    CHECK_THROWS_WITH(flamingo::forward(equal_batch({1, 2}, 2), tiny_features(1), 3, w, tiny),
                      "flamingo: image features of shape (4, 6) for 1 texts with 3 images each, 6 wide; each image needs the "
                      "same number of them, and each text an image");
    CHECK_THROWS_WITH(flamingo::forward(equal_batch(std::vector<int>(13, 1), 13), tiny_features(1), 1, w, tiny),
                      "flamingo: a text of 13 tokens, the language model has 12 positions; cut the text");
    CHECK_NOTHROW(flamingo::forward(equal_batch(std::vector<int>(12, 1), 12), tiny_features(1), 1, w, tiny));
    const std::string wide = ", 6 wide; each image needs the same number of them, and each text an image";
    CHECK(error_of([&] {
              flamingo::forward(equal_batch({1, 2}, 2), tiny_features(1), 0, w, tiny);
          }) == "flamingo: image features of shape (4, 6) for 1 texts with 0 images each" + wide);
    CHECK(error_of([&] {
              flamingo::forward(equal_batch({1, 2}, 2), Matrix(4, 5), 1, w, tiny);
          }) == "flamingo: image features of shape (4, 5) for 1 texts with 1 images each" + wide);
    CHECK_NOTHROW(flamingo::Reader(tiny_features(1), 1, 1, w, tiny, 12));
    CHECK_THROWS_WITH(flamingo::Reader(tiny_features(1), 1, 1, w, tiny, 13),
                      "flamingo: 13 tokens to read, the language model has 12 positions; ask for fewer");
    Random random;
    flamingo::Config bad = tiny;
    bad.every = 4;
    CHECK_THROWS_WITH(flamingo::make_weights(bad, w.language, random),
                      "flamingo: a new layer before every 4th of 3 blocks; it must be 1 to that many");
    bad = tiny;
    bad.heads = 0;
    CHECK_THROWS_WITH(flamingo::make_weights(bad, w.language, random),
                      "flamingo: 0 heads of 4 and inner width 9: sizes must be positive");
}

TEST_CASE(
    "flamingo: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const flamingo::Config& config) {
        return flamingo::parameters(flamingo::make_weights(config, gpt::make_weights(config.language, random), random), config);
    };
    for (const std::string& path : golden_files("flamingo")) {
        const flamingo::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, flamingo::config_of, "the number of heads");
    }
}

TEST_CASE("make_weights: every invalid size of the resampler is refused by itself") {
    Random random(1);
    const gpt::Weights language = gpt::make_weights(tiny.language, random);
    const auto refusal = [&](int ResamplerShape::*size, int given) {
        flamingo::Config config = tiny;
        config.resampler.*size = given;
        return error_of([&] { flamingo::make_weights(config, language, random); });
    };
    using Shape = ResamplerShape;
    const std::string frames = std::to_string(tiny.resampler.frames), rule = " frames: sizes must be positive";
    CHECK(refusal(&Shape::latents, 0) ==
          "flamingo: a resampler of 0 latents, width 6, depth 1, 2 heads of 5, inner width 7, " + frames + rule);
    CHECK(refusal(&Shape::width, 0) ==
          "flamingo: a resampler of 3 latents, width 0, depth 1, 2 heads of 5, inner width 7, " + frames + rule);
    CHECK(refusal(&Shape::depth, 0) ==
          "flamingo: a resampler of 3 latents, width 6, depth 0, 2 heads of 5, inner width 7, " + frames + rule);
    CHECK(refusal(&Shape::heads, 0) ==
          "flamingo: a resampler of 3 latents, width 6, depth 1, 0 heads of 5, inner width 7, " + frames + rule);
    CHECK(refusal(&Shape::head_width, 0) ==
          "flamingo: a resampler of 3 latents, width 6, depth 1, 2 heads of 0, inner width 7, " + frames + rule);
    CHECK(refusal(&Shape::mlp_width, 0) ==
          "flamingo: a resampler of 3 latents, width 6, depth 1, 2 heads of 5, inner width 0, " + frames + rule);
    CHECK(refusal(&Shape::frames, 0) ==
          "flamingo: a resampler of 3 latents, width 6, depth 1, 2 heads of 5, inner width 7, 0" + rule);
    flamingo::Config least = tiny;
    least.resampler.latents = least.resampler.width = least.resampler.heads = least.resampler.head_width = 1;
    least.resampler.mlp_width = least.resampler.frames = 1;
    least.resampler.depth = 1;
    CHECK_NOTHROW(flamingo::make_weights(least, language, random));
}

TEST_CASE("make_weights: every invalid size of the gated layers is refused by itself, the limits are allowed") {
    Random random(1);
    const gpt::Weights language = gpt::make_weights(tiny.language, random);
    const auto refusal = [&](int flamingo::Config::*size, int given) {
        flamingo::Config config = tiny;
        config.*size = given;
        return error_of([&] { flamingo::make_weights(config, language, random); });
    };
    const std::string rule = ": sizes must be positive", every = "th of 3 blocks; it must be 1 to that many";
    CHECK(refusal(&flamingo::Config::heads, 0) == "flamingo: 0 heads of 4 and inner width 9" + rule);
    CHECK(refusal(&flamingo::Config::head_width, 0) == "flamingo: 3 heads of 0 and inner width 9" + rule);
    CHECK(refusal(&flamingo::Config::mlp_width, 0) == "flamingo: 3 heads of 4 and inner width 0" + rule);
    CHECK(refusal(&flamingo::Config::every, 0) == "flamingo: a new layer before every 0" + every);
    CHECK(refusal(&flamingo::Config::every, 4) == "flamingo: a new layer before every 4" + every);
    CHECK(refusal(&flamingo::Config::every, 1) == "");
    CHECK(refusal(&flamingo::Config::every, 3) == "");
    flamingo::Config shallow = tiny;  // one block: the only one before which a layer can stand
    shallow.language.depth = 1;
    CHECK(error_of([&] { flamingo::make_weights(shallow, language, random); }) ==
          "flamingo: a new layer before every 2th of 1 blocks; it must be 1 to that many");
    flamingo::Config third = tiny;
    third.every = 3;  // a gated layer before block 2 alone
    bool found = false;
    for (const Parameter& each : flamingo::parameters(flamingo::make_weights(third, language, random), third))
        found = found || each.name.find("h.2.gated_cross_attn_layer") != std::string::npos;
    CHECK(found);
    CHECK(refusal(&flamingo::Config::heads, 1) == "");
    CHECK(refusal(&flamingo::Config::head_width, 1) == "");
    CHECK(refusal(&flamingo::Config::mlp_width, 1) == "");
}

TEST_CASE("config_of: heads that do not divide the columns of queries are refused") {
    const flamingo::Weights w = tiny_weights(0);
    const TemporaryFolder folder;
    const std::string path = folder.path("flamingo.safetensors");
    const auto refusal = [&](const flamingo::Config& config) {
        save(flamingo::parameters(w, tiny), path, flamingo::metadata(config));
        return error_of([&] { flamingo::config_of(Safetensors(path), {}); });
    };
    CHECK(refusal(tiny) == "");
    flamingo::Config resampler = tiny, gated = tiny;
    resampler.resampler.heads = gated.heads = 1;
    CHECK(refusal(resampler) == "");
    CHECK(refusal(gated) == "");
    resampler.resampler.heads = 3;
    CHECK(refusal(resampler) == path + ": 3 heads of the resampler do not divide its 10 columns of queries");
    gated.heads = 0;
    CHECK(refusal(gated) == path + ": 0 heads of the gated layers do not divide its 12 columns of queries");
}

TEST_CASE("config_of: a file without gated layers is refused, with the name of the first that could be there") {
    const flamingo::Weights w = tiny_weights(0);
    const TemporaryFolder folder;
    const std::string path = folder.path("flamingo.safetensors");
    Parameters table = flamingo::parameters(w, tiny);
    std::erase_if(table, [](const Parameter& each) { return each.name.find("gated_cross_attn") != std::string::npos; });
    save(table, path, flamingo::metadata(tiny));
    CHECK(
        error_of([&] { flamingo::config_of(Safetensors(path), {}); }) ==
        path +
            ": none of its 3 blocks has a gated layer, such as lang_encoder.transformer.h.0.gated_cross_attn_layer.attn_gate; is it "
            "the language model alone?");
}

TEST_CASE("flamingo::Config: the defaults") {
    const flamingo::Config usual{};
    CHECK(usual.heads == 8);
    CHECK(usual.head_width == 64);
    CHECK(usual.mlp_width == 4 * 768);
    CHECK(usual.every == 1);
    CHECK(usual.only_last_image);
    CHECK(usual.image_token == 50257);
    CHECK(usual.eps == 1e-5f);
}

TEST_CASE("visible_images, Reader, make_weights: images, columns, texts, heads and tokens outside their range are refused") {
    const TokenBatch texts = equal_batch({10, 1, 10, 2}, 4);
    const auto refusal = [&](int images, int columns) {
        return error_of([&] { flamingo::visible_images(texts, images, tiny, columns); });
    };
    CHECK(refusal(2, 4).empty());
    CHECK(refusal(1, 0) == "flamingo: text 0 has 2 image tokens, there are 1 images for each text");
    CHECK(refusal(0, 0) == "flamingo: the last 0 of 4 tokens and 0 images; there must be 0 (all) to that many, and an image");
    CHECK(refusal(2, 5).starts_with("flamingo: the last 5 of 4 tokens and 2 images;"));
    CHECK(refusal(2, -1).starts_with("flamingo: the last -1 of 4 tokens"));
    CHECK(error_of([] { flamingo::visible_images({}, 1, tiny); }).starts_with("flamingo: 0 ids are not 0 sequences"));
    const flamingo::Weights w = tiny_weights(0);
    CHECK(error_of([&] { flamingo::Reader(tiny_features(1), 0, 1, w, tiny, 4); }) ==
          "flamingo: 0 texts to read, there must be at least 1");
    Random random(1);
    flamingo::Config other = tiny;
    other.heads = other.head_width = 65536;
    CHECK(error_of([&] { flamingo::make_weights(other, w.language, random); }) ==
          "flamingo: 65536 heads of width 65536 are wider than the 2147483647 columns of a matrix");
    other = tiny;
    other.image_token = 0;
    CHECK_NOTHROW(flamingo::make_weights(other, w.language, random));
    for (const int token : {-1, 11}) {
        other = tiny;
        other.image_token = token;
        CHECK(error_of([&] { flamingo::make_weights(other, w.language, random); }) ==
              "flamingo: images are marked by token " + std::to_string(token) + ", the language model knows 11, counted from 0");
    }
}

TEST_SUITE_END();
