#include "vit/language/clip.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/contrastive.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/nn/data/told_config.h"

TEST_SUITE_BEGIN("clip");

static clip::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const float eps = static_cast<float>(file.metadata_double("layer_norm_eps"));
    const Activation activation = activation_of_name(file.metadata_text("hidden_act"));
    const int side = file.metadata_int("vision_config.image_size");
    return {.vision = {.grid = {.height = side,
                                .width = side,
                                .patch_size = file.metadata_int("vision_config.patch_size"),
                                .channels = file.metadata_int("vision_config.num_channels")},
                       .width = file.metadata_int("vision_config.hidden_size"),
                       .depth = file.metadata_int("vision_config.num_hidden_layers"),
                       .heads = file.metadata_int("vision_config.num_attention_heads"),
                       .mlp_width = file.metadata_int("vision_config.intermediate_size"),
                       .eps = eps,
                       .activation = activation},
            .text = {.vocabulary = file.metadata_int("text_config.vocab_size"),
                     .positions = file.metadata_int("text_config.max_position_embeddings"),
                     .width = file.metadata_int("text_config.hidden_size"),
                     .depth = file.metadata_int("text_config.num_hidden_layers"),
                     .heads = file.metadata_int("text_config.num_attention_heads"),
                     .mlp_width = file.metadata_int("text_config.intermediate_size"),
                     .eps = eps,
                     .activation = activation},
            .shared_width = file.metadata_int("projection_dim")};
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    return equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
}

TEST_CASE("clip: every step of both towers, the logits, the losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("clip")) {
        const Golden golden(path);
        const clip::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch texts = texts_of_fixture(golden);
        Random random;
        const clip::Weights w = clip::make_weights(config, random);
        const Parameters parameters = clip::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const clip::Steps steps = clip::forward(images, texts, w, config);
        const Contrastive losses = contrastive(steps.logits_per_text);
        const Var loss = clip::loss(steps);

        golden.check("vision_model.patches", channel_major_patches_of(images, config.vision.grid.patch_size));
        golden.check("vision_model.patch_embeddings", steps.image.patch_embeddings.value());
        golden.check("vision_model.embeddings", steps.image.embeddings.value());
        golden.check("vision_model.pre_norm", steps.image.pre_norm.value());
        check_stack(golden, steps.image.encoder, config.vision.depth,
                    {{"vision_model.attention.#", Step::weights}, {"vision_model.layer.#", Step::output}});
        golden.check("vision_model.pooled", steps.image.pooled.value());

        golden.check("text_model.embeddings", steps.text.embeddings.value());
        check_stack(golden, steps.text.encoder, config.text.depth,
                    {{"text_model.attention.#", Step::weights}, {"text_model.layer.#", Step::output}});
        golden.check("text_model.final_norm", steps.text.norm.value());
        golden.check_integers("eot_index", steps.text.ends);
        golden.check("text_model.pooled", steps.text.pooled.value());

        golden.check("image_embeds", steps.image_embeddings.value());
        golden.check("text_embeds", steps.text_embeddings.value());
        golden.check("logits_per_text", steps.logits_per_text.value());
        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("zero_shot_probability",
                     clip::class_probabilities(steps.image_embeddings, steps.text_embeddings, w).value());
        golden.check("loss_text", losses.loss_rows.value());
        golden.check("loss_image", losses.loss_columns.value());
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// All sizes differ: 4 x 4 pixels in patches of 2, so N = 4; widths 12 and 8, D = 6, V = 11.
static const clip::Config tiny{
    .vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3}, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10},
    .text = {.vocabulary = 11, .positions = 7, .width = 8, .depth = 2, .heads = 2, .mlp_width = 14},
    .shared_width = 6};

// What no shape of a file with these sizes tells.
static const Told heads_of_tiny{{"vision_config.num_attention_heads", "3"}, {"text_config.num_attention_heads", "2"}};

static clip::Weights tiny_weights() {
    Random random(1);
    return clip::make_weights(tiny, random);
}

static std::vector<Image> tiny_images(int count) {
    Random random(2);
    std::vector<Image> images(count, Image(4, 4, 3));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.normal();
    return images;
}

TEST_CASE("end_of_text_positions: the first of the largest ids, whichever way a sentence is filled up") {
    const TokenBatch texts{.sequences = 3, .length = 6, .ids = {9, 5, 7, 10, 0, 0, 9, 10, 10, 10, 10, 10, 9, 1, 2, 3, 4, 10}, .mask = {}};
    CHECK(clip::end_of_text_positions(texts) == std::vector<int>{3, 1, 5});
}

TEST_CASE("text_tower: what a sentence is filled up with does not reach its row") {
    const clip::Weights w = tiny_weights();
    const auto pooled = [&](const std::vector<int>& ids) { return clip::text_tower(equal_batch(ids, 6), w.text, tiny.text).pooled.value(); };
    CHECK(identical(pooled({9, 5, 7, 10, 0, 0}), pooled({9, 5, 7, 10, 10, 10})));
    CHECK(!identical(pooled({9, 5, 7, 10, 0, 0}), pooled({9, 5, 6, 10, 0, 0})));
}

TEST_CASE("forward: more sentences than images give a table of images by sentences, and no logit exceeds the scale") {
    const clip::Weights w = tiny_weights();
    const TokenBatch texts = equal_batch({9, 1, 10, 9, 2, 10, 9, 3, 10}, 3);
    const clip::Steps steps = clip::forward(tiny_images(2), texts, w, tiny);
    REQUIRE(shape(steps.logits_per_image.value()) == "(2, 3)");
    check_close("transposed", steps.logits_per_text.value(), transpose(steps.logits_per_image.value()));
    const float scale = std::exp(w.log_scale.value()[0]);
    CHECK(scale == Approx(1 / 0.07));
    for (const float logit : steps.logits_per_image.value()) CHECK(std::abs(logit) <= scale * 1.00001f);
    for (int i = 0; i < 2; ++i) {
        float square = 0;
        for (int j = 0; j < 6; ++j) square += steps.image_embeddings.value()(i, j) * steps.image_embeddings.value()(i, j);
        CHECK(square == Approx(1.0));
    }
    check_close("images alone", clip::embed_images(tiny_images(2), w, tiny).value(), steps.image_embeddings.value());
    check_close("texts alone", clip::embed_texts(texts, w, tiny).value(), steps.text_embeddings.value());
}

TEST_CASE("limit_scale: exp(log_scale) is brought back to 100, and left alone below") {
    clip::Weights w = tiny_weights();
    w.log_scale.value()[0] = 6;
    clip::limit_scale(w);
    CHECK(std::exp(w.log_scale.value()[0]) == Approx(100.0));
    w.log_scale.value()[0] = 2;
    clip::limit_scale(w);
    CHECK(w.log_scale.value()[0] == 2);
}

TEST_CASE("class_directions: the mean of the prompts, brought to length 1; one prompt is its own direction") {
    const clip::Weights w = tiny_weights();
    const TokenBatch two = equal_batch({9, 1, 10, 9, 2, 10}, 3), one = equal_batch({9, 3, 10}, 3);
    const Matrix directions = clip::class_directions({two, one}, w, tiny).value();
    const Matrix of_two = clip::embed_texts(two, w, tiny).value();
    float length = 0;
    std::vector<float> mean(6);
    for (int j = 0; j < 6; ++j) mean[j] = (of_two(0, j) + of_two(1, j)) / 2;
    for (const float x : mean) length += x * x;
    for (int j = 0; j < 6; ++j) CHECK(directions(0, j) == Approx(mean[j] / std::sqrt(length)).epsilon(1e-4));
    check_close("one prompt", slice_rows(directions, 1, 1), clip::embed_texts(one, w, tiny).value());
    const Matrix p = clip::class_probabilities(clip::embed_images(tiny_images(2), w, tiny), directions, w).value();
    CHECK(p(0, 0) + p(0, 1) == Approx(1.0));
    CHECK_THROWS_WITH(clip::class_directions({}, w, tiny),
                      "class_directions: there is no class; give the sentences of at least one");
}

TEST_CASE("make_weights: standard deviations as published") {
    const clip::Config wide{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3}, .width = 64, .depth = 3, .heads = 4,
                                       .mlp_width = 256},
                            .text = {.vocabulary = 300, .positions = 40, .width = 48, .depth = 3, .heads = 4, .mlp_width = 192},
                            .shared_width = 32};
    Random random(4);
    const clip::Weights w = clip::make_weights(wide, random);
    const auto stddev = [](const Var& v) {
        double square = 0;
        for (const float x : v.value()) square += static_cast<double>(x) * x;
        return std::sqrt(square / static_cast<double>(v.value().size()));
    };
    CHECK(stddev(w.text.words) == Approx(0.02).epsilon(0.05));
    CHECK(stddev(w.text.positions) == Approx(0.01).epsilon(0.05));
    const Block& block = w.vision.blocks[1];
    CHECK(stddev(block.attention.query.weight) == Approx(1 / 8.0).epsilon(0.05));                     // 64^-1/2
    CHECK(stddev(block.attention.output.weight) == Approx(1 / 8.0 / std::sqrt(6.0)).epsilon(0.05));  // of 2 * 3 additions
    CHECK(stddev(block.mlp.expand.weight) == Approx(1 / std::sqrt(128.0)).epsilon(0.05));
    CHECK(stddev(block.mlp.contract.weight) == Approx(1 / 8.0 / std::sqrt(6.0)).epsilon(0.05));
}

// --- published files ---

TEST_CASE("openai_parameters: the original layout holds the same model, with a fused tensor, two projections turned and buffers") {
    const clip::Weights w = tiny_weights();
    Parameters table = clip::openai_parameters(w, tiny);
    for (const std::string name : {"input_resolution", "context_length", "vocab_size"})
        table.push_back({name, {1}, Stored::as_it_is, {Var(Matrix(1, 1))}});
    const TemporaryFolder folder;
    const std::string path = folder.path("original.safetensors");
    save(table, path);
    const Safetensors checkpoint(path);
    CHECK(clip::is_openai_layout(checkpoint));
    CHECK(checkpoint.dimension("visual.transformer.resblocks.0.attn.in_proj_weight", 0) == 3 * 12);
    CHECK(checkpoint.dimension("text_projection", 0) == 8);
    const clip::Config config = clip::config_of(checkpoint, heads_of_tiny);
    CHECK(config.vision.width == 12);
    CHECK(config.vision.heads == 3);
    CHECK(config.text.depth == 2);
    CHECK(config.text.heads == 2);
    CHECK(config.text.positions == 7);
    CHECK(config.shared_width == 6);
    CHECK(config.vision.grid.height == 4);
    Random random(9);
    const clip::Weights other = clip::make_weights(config, random);
    load(clip::openai_parameters(other, config), checkpoint, clip::load_rules());
    const TokenBatch texts = equal_batch({9, 1, 10, 9, 2, 10}, 3);
    CHECK(identical(clip::forward(tiny_images(2), texts, other, config).logits_per_image.value(),
                    clip::forward(tiny_images(2), texts, w, tiny).logits_per_image.value()));
}

TEST_CASE("load_rules: files of Hugging Face hold position numbers besides, and the scale as a single number without dimensions") {
    const clip::Weights w = tiny_weights();
    Parameters table = clip::parameters(w, tiny);
    for (const std::string tower : {"text_model", "vision_model"})
        table.push_back({tower + ".embeddings.position_ids", {1, 3}, Stored::as_it_is, {Var(Matrix(1, 3))}});
    const TemporaryFolder folder;
    const std::string path = folder.path("clip.safetensors");
    save(table, path);
    const Safetensors checkpoint(path);
    CHECK(checkpoint.tensors.at("logit_scale").shape.empty());
    const clip::Config config = clip::config_of(checkpoint, heads_of_tiny);
    CHECK(config.text.mlp_width == 14);
    CHECK(config.vision.mlp_width == 10);
    CHECK(config.text.vocabulary == 11);
    Random random(9);
    const clip::Weights other = clip::make_weights(config, random);
    load(clip::parameters(other, config), checkpoint, clip::load_rules());
    CHECK(identical(clip::embed_images(tiny_images(2), other, config).value(), clip::embed_images(tiny_images(2), w, tiny).value()));
    Told five = heads_of_tiny;
    five["vision_config.num_attention_heads"] = "5";
    CHECK_THROWS_WITH(clip::config_of(checkpoint, five), doctest::Contains("vision_config: 5 heads do not divide a width of 12"));
    CHECK_THROWS_WITH(clip::config_of(checkpoint), doctest::Contains("nothing says the number of heads (vision_config)"));
    CHECK(config.vision.activation == Activation::gelu_quick);
    Told exact = heads_of_tiny;
    exact["text_config.hidden_act"] = "gelu";
    CHECK(clip::config_of(checkpoint, exact).text.activation == Activation::gelu);
}

TEST_CASE("preprocess: the shorter side is fitted, the middle cut out, each channel brought to its mean and deviation") {
    const clip::VisionConfig config{.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3}};
    Image photograph(8, 16, 3);  // black left and right, grey in the middle
    for (int y = 0; y < 8; ++y)
        for (int x = 4; x < 12; ++x)
            for (int c = 0; c < 3; ++c) photograph(y, x, c) = 0.5f;
    const Image seen = clip::preprocess(photograph, config);
    CHECK(shape(seen) == "4 x 4 x 3");
    // by hand, away from the edges of the grey: (0.5 - 0.48145466) / 0.26862954
    CHECK(seen(2, 1, 0) == Approx(0.069043).epsilon(0.2));
    Image white(4, 4, 3, 1);
    CHECK(clip::preprocess(white, config)(0, 0, 2) == Approx((1 - 0.40821073) / 0.27577711));
    CHECK_THROWS_WITH(clip::preprocess(white, {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 3}}),
                      "clip: photographs are prepared for square images of 3 channels, not for 4 x 6 x 3");
}

// --- bad input ---

TEST_CASE("clip: a config or batch that does not fit is refused, and says why") {
    Random random;
    clip::Config bad = tiny;
    bad.vision.heads = 5;
    CHECK_THROWS_WITH(clip::make_weights(bad, random), "clip: 5 heads do not divide an image tower of width 12");
    bad = tiny;
    bad.text.heads = 3;
    CHECK_THROWS_WITH(clip::make_weights(bad, random), "clip: 3 heads do not divide a text tower of width 8");
    bad = tiny;
    bad.shared_width = 0;
    CHECK_THROWS_WITH(clip::make_weights(bad, random), "clip: a shared width of 0, it must be positive");
    const clip::Weights w = tiny_weights();
    CHECK_THROWS_WITH(clip::embed_texts(equal_batch({9, 1, 2, 3, 4, 5, 6, 10}, 8), w, tiny),
                      "clip: sentences of 8 tokens, the model has 7 positions; cut the longest");
    CHECK_THROWS_WITH(clip::embed_images({Image(4, 6, 3)}, w, tiny), "clip: image 0 is 4 x 6 x 3, this model reads 4 x 4 x 3");
    CHECK(without_place(error_of([&] { clip::loss(clip::forward(tiny_images(2), equal_batch({9, 10}, 2), w, tiny)); })) ==
          "contrastive: logits of shape (1, 2), row i and column i must be a pair, so they are square");
}

TEST_CASE(
    "clip: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const clip::Config& config) { return clip::parameters(clip::make_weights(config, random), config); };
    for (const std::string& path : golden_files("clip")) {
        clip::Config config = config_of_fixture(Golden(path));
        config.vision.grid.height = config.vision.grid.width;  // CLIP's images are square
        check_told(config, table, clip::config_of, "the number of heads (vision_config)");
    }
}

TEST_SUITE_END();
