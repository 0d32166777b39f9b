#include "vit/language/clip.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/contrastive.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"
#include "vit/language/clip_tokenizer.h"

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
static const clip::Config tiny{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3},
                                          .width = 12,
                                          .depth = 2,
                                          .heads = 3,
                                          .mlp_width = 10},
                               .text = {.vocabulary = 11, .positions = 7, .width = 8, .depth = 2, .heads = 2, .mlp_width = 14},
                               .shared_width = 6};

// The settings that no tensor shape determines.
static const GivenSettings heads_of_tiny{{"vision_config.num_attention_heads", "3"}, {"text_config.num_attention_heads", "2"}};

static clip::Weights tiny_weights() {
    Random random(1);
    return clip::make_weights(tiny, random);
}

static std::vector<Image> tiny_images(int count) { return normal_images(count, 4, 4, 2); }

TEST_CASE("end_of_text_positions: the first of the largest ids, for either kind of padding") {
    const TokenBatch texts{
        .sequences = 3, .length = 6, .ids = {9, 5, 7, 10, 0, 0, 9, 10, 10, 10, 10, 10, 9, 1, 2, 3, 4, 10}, .mask = {}};
    CHECK(clip::end_of_text_positions(texts) == std::vector<int>{3, 1, 5});
}

TEST_CASE("text_tower: padding has no influence on a sentence's row") {
    const clip::Weights w = tiny_weights();
    const auto pooled = [&](const std::vector<int>& ids) {
        return clip::text_tower(equal_batch(ids, 6), w.text, tiny.text).pooled.value();
    };
    CHECK(identical(pooled({9, 5, 7, 10, 0, 0}), pooled({9, 5, 7, 10, 10, 10})));
    CHECK(!identical(pooled({9, 5, 7, 10, 0, 0}), pooled({9, 5, 6, 10, 0, 0})));
}

TEST_CASE("forward: more sentences than images give logits (images, sentences), none above the scale") {
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

TEST_CASE("limit_scale: limits exp(log_scale) to 100, and leaves smaller values alone") {
    clip::Weights w = tiny_weights();
    w.log_scale.value()[0] = 6;
    clip::limit_scale(w);
    CHECK(std::exp(w.log_scale.value()[0]) == Approx(100.0));
    w.log_scale.value()[0] = 2;
    clip::limit_scale(w);
    CHECK(w.log_scale.value()[0] == 2);
}

TEST_CASE("class_directions: the mean of the prompts, normalised to length 1; one prompt is its own direction") {
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

TEST_CASE("class_directions: of two prompts that are nearly opposite the direction has length 1, too") {
    clip::Weights w = tiny_weights();
    const TokenBatch two = equal_batch({9, 1, 10, 9, 2, 10}, 3);
    const Matrix pooled = clip::text_tower(two, w.text, tiny.text).pooled.value();
    Matrix& projection = w.text_projection.weight.value();
    for (int i = 0; i < projection.rows; ++i)
        for (int j = 0; j < 6; ++j) projection(i, j) = j == 0 ? 100 * (pooled(0, i) - pooled(1, i)) : 0.1f * projection(i, j);
    const Matrix embeddings = clip::embed_texts(two, w, tiny).value();
    double squares = 0;
    for (int j = 0; j < 6; ++j) squares += std::pow(embeddings(0, j) + embeddings(1, j), 2);
    REQUIRE(squares < 0.1);
    CHECK(root_mean_square(clip::class_directions({two}, w, tiny).value()) * std::sqrt(6.0) == Approx(1));
}

TEST_CASE("check: every invalid size of a tower is refused by itself, the smallest valid one is accepted") {
    const clip::VisionConfig vision{.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                                    .width = 1,
                                    .depth = 0,
                                    .heads = 1,
                                    .mlp_width = 1,
                                    .eps = 0};
    const clip::TextConfig words{.vocabulary = 1, .positions = 1, .width = 1, .depth = 0, .heads = 1, .mlp_width = 1, .eps = 0};
    CHECK_NOTHROW(clip::check(vision));
    CHECK_NOTHROW(clip::check(words));
    const auto image_tower = [&](int clip::VisionConfig::*size, int wrong) {
        clip::VisionConfig config = vision;
        config.*size = wrong;
        return error_of([&] { clip::check(config); });
    };
    const auto text_tower = [&](int clip::TextConfig::*size, int wrong) {
        clip::TextConfig config = words;
        config.*size = wrong;
        return error_of([&] { clip::check(config); });
    };
    const std::string image_rule = ": the depth may not be negative, the width must be positive";
    CHECK(image_tower(&clip::VisionConfig::width, 0) == "clip: 1 heads do not divide an image tower of width 0");
    CHECK(image_tower(&clip::VisionConfig::heads, 0) == "clip: 0 heads do not divide an image tower of width 1");
    CHECK(image_tower(&clip::VisionConfig::heads, 2) == "clip: 2 heads do not divide an image tower of width 1");
    CHECK(image_tower(&clip::VisionConfig::depth, -1) == "clip: an image tower of depth -1 and inner width 1" + image_rule);
    CHECK(image_tower(&clip::VisionConfig::mlp_width, 0) == "clip: an image tower of depth 0 and inner width 0" + image_rule);
    const std::string rule = ": sizes must be positive", tower = "clip: a text tower of ";
    CHECK(text_tower(&clip::TextConfig::width, 0) == "clip: 1 heads do not divide a text tower of width 0");
    CHECK(text_tower(&clip::TextConfig::heads, 0) == "clip: 0 heads do not divide a text tower of width 1");
    CHECK(text_tower(&clip::TextConfig::heads, 2) == "clip: 2 heads do not divide a text tower of width 1");
    CHECK(text_tower(&clip::TextConfig::vocabulary, 0) == tower + "0 tokens, 1 positions, depth 0 and inner width 1" + rule);
    CHECK(text_tower(&clip::TextConfig::positions, 0) == tower + "1 tokens, 0 positions, depth 0 and inner width 1" + rule);
    CHECK(text_tower(&clip::TextConfig::depth, -1) == tower + "1 tokens, 1 positions, depth -1 and inner width 1" + rule);
    CHECK(text_tower(&clip::TextConfig::mlp_width, 0) == tower + "1 tokens, 1 positions, depth 0 and inner width 0" + rule);
}

TEST_CASE("make_weights: standard deviations as published") {
    const clip::Config wide{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3},
                                       .width = 64,
                                       .depth = 3,
                                       .heads = 4,
                                       .mlp_width = 256},
                            .text = {.vocabulary = 300, .positions = 40, .width = 48, .depth = 3, .heads = 4, .mlp_width = 192},
                            .shared_width = 32};
    Random random(4);
    const clip::Weights w = clip::make_weights(wide, random);
    CHECK(w.log_scale.value()[0] == Approx(std::log(1 / 0.07)));
    CHECK(root_mean_square(w.vision.projection.weight.value()) / 0.02 == Approx(1).epsilon(0.1));
    CHECK(root_mean_square(w.text.token_embedding.value()) / 0.02 == Approx(1).epsilon(0.05));
    CHECK(root_mean_square(w.text.positions.value()) / 0.01 == Approx(1).epsilon(0.05));
    const Block& block = w.vision.blocks[1];
    const double residual = 1 / 8.0 / std::sqrt(6.0);                                                      // of 2 * 3 additions
    CHECK(root_mean_square(block.attention.query.weight.value()) / (1 / 8.0) == Approx(1).epsilon(0.05));  // 64^-1/2
    CHECK(root_mean_square(block.attention.output.weight.value()) / residual == Approx(1).epsilon(0.05));
    CHECK(root_mean_square(block.mlp.expand.weight.value()) / (1 / std::sqrt(128.0)) == Approx(1).epsilon(0.05));
    CHECK(root_mean_square(block.mlp.contract.weight.value()) / residual == Approx(1).epsilon(0.05));
    const Block alone = clip::make_blocks(random, 64, 1, 256)[0];
    CHECK(root_mean_square(alone.mlp.contract.weight.value()) / (1 / 8.0 / std::sqrt(2.0)) == Approx(1).epsilon(0.05));
}

// --- published files ---

TEST_CASE(
    "openai_parameters: the original layout holds the same model, with a fused tensor, two transposed projections and buffers") {
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

TEST_CASE("config_of: OpenAI's layout without a configuration has heads of width 64, as its published code") {
    clip::Config wide = tiny;
    wide.vision.width = 128, wide.vision.heads = 2, wide.text.width = 64, wide.text.heads = 1;
    Random random(3);
    const TemporaryFolder folder;
    const std::string path = folder.path("original.safetensors");
    save(clip::openai_parameters(clip::make_weights(wide, random), wide), path);
    const clip::Config config = clip::config_of(Safetensors(path), {});
    CHECK(config.vision.heads == 2);
    CHECK(config.text.heads == 1);
    CHECK(config.vision.eps == 1e-5f);
    CHECK(config.text.activation == Activation::gelu_quick);
}

TEST_CASE("load_rules: files of Hugging Face also hold position ids, and the scale as a scalar") {
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
    CHECK(identical(clip::embed_images(tiny_images(2), other, config).value(),
                    clip::embed_images(tiny_images(2), w, tiny).value()));
    GivenSettings five = heads_of_tiny;
    five["vision_config.num_attention_heads"] = "5";
    GivenSettings one = heads_of_tiny, none = heads_of_tiny;
    one["vision_config.num_attention_heads"] = "1";
    CHECK(clip::config_of(checkpoint, one).vision.heads == 1);
    for (const std::string size :
         {"vision_config.num_hidden_layers", "vision_config.intermediate_size", "vision_config.image_size",
          "vision_config.patch_size", "text_config.num_hidden_layers", "text_config.intermediate_size", "text_config.vocab_size",
          "text_config.max_position_embeddings", "projection_dim"}) {
        GivenSettings other = one;
        other[size] = "99";
        CHECK(error_of([&] {
                  clip::config_of(checkpoint, other);
              }).starts_with("the given settings: " + size + " is 99, but the tensors of "));
    }
    none["vision_config.num_attention_heads"] = "0";
    CHECK_THROWS_WITH(clip::config_of(checkpoint, none), doctest::Contains("vision_config: 0 heads do not divide a width of 12"));
    CHECK_THROWS_WITH(clip::config_of(checkpoint, five), doctest::Contains("vision_config: 5 heads do not divide a width of 12"));
    CHECK_THROWS_WITH(clip::config_of(checkpoint), doctest::Contains("missing setting: the number of heads (vision_config)"));
    CHECK(config.vision.activation == Activation::gelu_quick);
    GivenSettings exact = heads_of_tiny;
    exact["text_config.hidden_act"] = "gelu";
    CHECK(clip::config_of(checkpoint, exact).text.activation == Activation::gelu);
    change_shape(path, "vision_model.embeddings.position_embedding.weight", {7, 12});
    CHECK_THROWS_WITH(clip::config_of(Safetensors(path), heads_of_tiny),
                      (path + ": 6 positions are not a square grid; state the image size").c_str());
}

// --- published files, built by hand: the expected numbers are those of another program (plain Python, double precision) ---

namespace {

// A tensor as another program would write it: element k of the tensor `name` is 0.4 sin(c + 1.7 k), gains of norms 1 + half of that,
// where c is the sum of the bytes of its Hugging Face name modulo 97.
struct WrittenTensor {
    std::vector<long> shape;
    std::vector<float> values;
};

struct WrittenClip {
    std::map<std::string, WrittenTensor> tensors;  // names and layout of Hugging Face

    void add(const std::string& name, const std::vector<long>& shape) {
        long count = 1, c = 0;
        for (const long n : shape) count *= n;
        for (const char letter : name) c += static_cast<unsigned char>(letter);
        const bool gain = name.find("norm") != std::string::npos && name.ends_with("weight");
        WrittenTensor tensor{.shape = shape, .values = {}};
        for (long k = 0; k < count; ++k) {
            const double wave = std::sin(static_cast<double>(c % 97) + 1.7 * static_cast<double>(k));
            tensor.values.push_back(static_cast<float>(gain ? 1 + 0.2 * wave : 0.4 * wave));
        }
        tensors[name] = tensor;
    }
    void add_layer(const std::string& name, long out, long in) {
        add(name + ".weight", {out, in});
        add(name + ".bias", {out});
    }
    void add_norm(const std::string& name, long width) {
        add(name + ".weight", {width});
        add(name + ".bias", {width});
    }
    void add_block(const std::string& name, long width, long inner) {
        for (const std::string one : {"q", "k", "v", "out"}) add_layer(name + ".self_attn." + one + "_proj", width, width);
        for (const std::string one : {"1", "2"}) add_norm(name + ".layer_norm" + one, width);
        add_layer(name + ".mlp.fc1", inner, width);
        add_layer(name + ".mlp.fc2", width, inner);
    }

    WrittenClip() {  // 8 x 8 pixels in patches of 4; widths 6 and 4, one block each, 520 tokens, D = 5
        add("vision_model.embeddings.class_embedding", {6});
        add("vision_model.embeddings.patch_embedding.weight", {6, 3, 4, 4});
        add("vision_model.embeddings.position_embedding.weight", {5, 6});
        add_norm("vision_model.pre_layrnorm", 6);
        add_norm("vision_model.post_layernorm", 6);
        add_block("vision_model.encoder.layers.0", 6, 10);
        add("text_model.embeddings.token_embedding.weight", {520, 4});
        add("text_model.embeddings.position_embedding.weight", {12, 4});
        add_norm("text_model.final_layer_norm", 4);
        add_block("text_model.encoder.layers.0", 4, 6);
        add("visual_projection.weight", {5, 6});
        add("text_projection.weight", {5, 4});
        tensors["logit_scale"] = {.shape = {}, .values = {2.5f}};
    }

    const WrittenTensor& at(const std::string& name) const { return tensors.at(name); }
};

}  // namespace

// The same numbers under the names of OpenAI's original file: query, key and value stacked vertically, projections (in, out).
static std::map<std::string, WrittenTensor> original_layout(const WrittenClip& clip) {
    std::map<std::string, WrittenTensor> file;
    const auto turned = [](const WrittenTensor& t) {
        WrittenTensor result{.shape = {t.shape[1], t.shape[0]}, .values = {}};
        for (long j = 0; j < t.shape[1]; ++j)
            for (long i = 0; i < t.shape[0]; ++i) result.values.push_back(t.values[i * t.shape[1] + j]);
        return result;
    };
    file["visual.class_embedding"] = clip.at("vision_model.embeddings.class_embedding");
    file["visual.conv1.weight"] = clip.at("vision_model.embeddings.patch_embedding.weight");
    file["visual.positional_embedding"] = clip.at("vision_model.embeddings.position_embedding.weight");
    file["positional_embedding"] = clip.at("text_model.embeddings.position_embedding.weight");
    file["token_embedding.weight"] = clip.at("text_model.embeddings.token_embedding.weight");
    file["visual.proj"] = turned(clip.at("visual_projection.weight"));
    file["text_projection"] = turned(clip.at("text_projection.weight"));
    file["logit_scale"] = clip.at("logit_scale");
    for (const std::string end : {".weight", ".bias"}) {
        file["visual.ln_pre" + end] = clip.at("vision_model.pre_layrnorm" + end);
        file["visual.ln_post" + end] = clip.at("vision_model.post_layernorm" + end);
        file["ln_final" + end] = clip.at("text_model.final_layer_norm" + end);
        for (const auto& [from, to] :
             std::map<std::string, std::string>{{"vision_model.encoder.layers.0.", "visual.transformer.resblocks.0."},
                                                {"text_model.encoder.layers.0.", "transformer.resblocks.0."}}) {
            WrittenTensor fused;
            for (const std::string one : {"q", "k", "v"}) {
                const WrittenTensor& part = clip.at(from + "self_attn." + one + "_proj" + end);
                fused.shape = part.shape;
                fused.shape[0] *= 3;
                fused.values.insert(fused.values.end(), part.values.begin(), part.values.end());
            }
            file[to + (end == ".weight" ? "attn.in_proj_weight" : "attn.in_proj_bias")] = fused;
            file[to + "attn.out_proj" + end] = clip.at(from + "self_attn.out_proj" + end);
            file[to + "ln_1" + end] = clip.at(from + "layer_norm1" + end);
            file[to + "ln_2" + end] = clip.at(from + "layer_norm2" + end);
            file[to + "mlp.c_fc" + end] = clip.at(from + "mlp.fc1" + end);
            file[to + "mlp.c_proj" + end] = clip.at(from + "mlp.fc2" + end);
        }
    }
    return file;
}

// The bytes of a safetensors file: length of the header, header, numbers.
static std::string safetensors_bytes(const std::map<std::string, WrittenTensor>& tensors) {
    std::string header = R"({"__metadata__":{"format":"pt"})", numbers;
    for (const auto& [name, tensor] : tensors) {
        std::string shape;
        for (const long n : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(n);
        const std::size_t begin = numbers.size();
        for (const float x : tensor.values) numbers.append(reinterpret_cast<const char*>(&x), sizeof x);
        header += ",\"" + name + R"(":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[)" + std::to_string(begin) + "," +
                  std::to_string(numbers.size()) + "]}";
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    for (std::size_t k = 0; k < 8; ++k) length[k] = static_cast<char>(header.size() >> (8 * k));
    return length + header + numbers;
}

// vocab.json of these merges: the bytes in the order of GPT-2, the same with </w>, one token of each merge, start, end.
static std::string written_vocabulary(const std::vector<std::string>& merged) {
    std::vector<int> order;
    for (int b = 33; b < 127; ++b) order.push_back(b);
    for (int b = 161; b < 256; ++b)
        if (b != 173) order.push_back(b);
    std::vector<int> shown = order;
    for (int b = 0, next = 256; b < 256; ++b)
        if (std::find(order.begin(), order.begin() + 188, b) == order.begin() + 188) order.push_back(b), shown.push_back(next++);
    std::string json;
    int id = 0;
    const auto put = [&](const std::string& token) {
        json += (id == 0 ? "{\"" : ", \"") + token + "\": " + std::to_string(id), ++id;
    };
    for (const std::string end : {"", "</w>"})
        for (const int code : shown) {
            char letter[16];
            std::snprintf(letter, sizeof letter, "\\u%04x", static_cast<unsigned>(code));
            put(letter + end);
        }
    for (const std::string& token : merged) put(token);
    put("<|startoftext|>");
    put("<|endoftext|>");
    return json + "}";
}

TEST_CASE(
    "clip: checkpoints in both published layouts, with vocabulary, configuration and preprocessing, give another program's scores") {
    const WrittenClip written;
    const TemporaryFolder folder;
    const std::string tower = R"("num_hidden_layers":1,"hidden_act":"quick_gelu","layer_norm_eps":1e-05,)";
    folder.file("config.json",
                R"({"model_type":"clip","projection_dim":5,"text_config":{)" + tower +
                    R"("hidden_size":4,"num_attention_heads":2,"intermediate_size":6,"vocab_size":520},"vision_config":{)" +
                    tower + R"("hidden_size":6,"num_attention_heads":3,"intermediate_size":10,"image_size":8,"patch_size":4}})");
    const std::string vocabulary = folder.file("vocab.json", written_vocabulary({"ph", "ot", "ca", "cat</w>", "re", "red</w>"}));
    const std::string merges = folder.file("merges.txt", "#version: 0.2\np h\no t\nc a\nca t</w>\nr e\nre d</w>\n");
    const clip::Tokenizer tokenizer = clip::load_vocabulary(vocabulary, merges);
    CHECK(clip::encode("A RED cat!", tokenizer) == std::vector<int>{320, 517, 515, 256});
    Image photograph(11, 15, 3);
    for (int y = 0; y < 11; ++y)
        for (int x = 0; x < 15; ++x)
            for (int c = 0; c < 3; ++c) photograph(y, x, c) = static_cast<float>((x * 20 + y * 7 + c * 50) % 256) / 255;

    for (const bool original : {false, true}) {
        CAPTURE(original);
        const std::string path =
            folder.file("model.safetensors", safetensors_bytes(original ? original_layout(written) : written.tensors));
        const Safetensors checkpoint(path);
        REQUIRE(clip::is_openai_layout(checkpoint) == original);
        const clip::Config config = clip::config_of(checkpoint);
        CHECK(config.vision.heads == 3);
        CHECK(config.text.heads == 2);
        Random random;
        const clip::Weights w = clip::make_weights(config, random);
        load(original ? clip::openai_parameters(w, config) : clip::parameters(w, config), checkpoint, clip::load_rules());
        for (const bool own_preparation : {false, true}) {
            if (own_preparation)
                folder.file(
                    "preprocessor_config.json",
                    R"({"do_resize":true,"size":{"shortest_edge":9},"do_center_crop":true,"crop_size":{"height":8,"width":8},)"
                    R"("do_normalize":true,"image_mean":[0.45,0.5,0.4],"image_std":[0.3,0.25,0.2],"resample":3})");
            else
                folder.file("preprocessor_config.json", R"({"size":8,"crop_size":8})");  // as the first files had it
            const Image seen = clip::preprocess(photograph, config.vision, clip::preparation_of(path, config.vision));
            const Matrix expected = own_preparation ? Matrix{{0.0853451f, -0.1747268f}} : Matrix{{0.0886975f, -0.1666392f}};
            for (const int padding : {0, tokenizer.end}) {
                const TokenBatch texts = clip::make_sentences({"a photo of a cat", "A RED cat!"}, tokenizer, 12, padding);
                const Var image = clip::embed_images({seen}, w, config), sentences = clip::embed_texts(texts, w, config);
                check_close("cosines", matmul_transposed(image, sentences).value(), expected);
                if (own_preparation)
                    check_close("probabilities", clip::class_probabilities(image, sentences, w).value(),
                                Matrix{{0.9596247f, 0.0403753f}});
            }
        }
    }
}

TEST_CASE("preparation_of: without a file as OpenAI's models; an unsupported step throws with the path") {
    const clip::VisionConfig config{.grid = {.height = 8, .width = 8, .patch_size = 4, .channels = 3}};
    const TemporaryFolder folder;
    const std::string checkpoint = folder.path("model.safetensors"), path = folder.path("preprocessor_config.json");
    CHECK(clip::preparation_of(checkpoint, config).mean == clip::image_mean);
    CHECK(clip::preparation_of(checkpoint, config).shorter_side == 0);
    const auto refused = [&](const std::string& json) {
        folder.file("preprocessor_config.json", json);
        return error_of([&] { clip::preparation_of(checkpoint, config); });
    };
    CHECK(refused(R"({"do_center_crop": false})") ==
          path + ": do_center_crop is false; only photographs that are resized, cropped and normalised are read here");
    CHECK(refused(R"({"do_rescale": false})") == path + ": do_rescale is false; only pixels from 0 to 1 are normalised here");
    CHECK(refused(R"({"rescale_factor": 0.00784})").starts_with(path + ": rescale_factor is 0.00784; only 1/255 is known here"));
    CHECK(refused(R"({"do_rescale": true, "rescale_factor": 0.00392156862745098})") == "");
    CHECK(refused(R"({"do_center_crop": null, "size": null, "crop_size": null, "image_std": null, "resample": null})") == "");
    const std::string needed = "; a side is needed, as 224, {\"shortest_edge\": 224} or {\"height\": 224, \"width\": 224}";
    CHECK(refused(R"({"size": [8, 8]})") == path + R"(: size is "[8,8]")" + needed);
    CHECK(refused(R"({"size": {"height": 8}})") == path + R"(: size is "{\"height\":8}")" + needed);
    CHECK(refused(R"({"size": {"width": 8}})") == path + R"(: size is "{\"width\":8}")" + needed);
    CHECK(refused(R"({"resample": 2})") == path + ": resample is 2; only 3, bicubic, is known here");
    CHECK(refused(R"({"crop_size": 224})") ==
          path + ": crop_size is 224, the model reads images of 8; this belongs to another model");
    CHECK(refused(R"({"size": {"shortest_edge": 7}})") == path + ": size is 7, less than the 8 that are cut out of it");
    CHECK(refused(R"({"image_mean": [0.5]})") == path + ": image_mean has 1 numbers, one for each of 3 channels is needed");
    CHECK(refused(R"({"crop_size": {"height": 8, "width": 9}})") ==
          path + ": crop_size is not a square; only squares are read here");
    CHECK(refused(R"({"size": 8, "crop_size": 8, "image_std": [1, 0, 1]})") ==
          path + ": image_std holds 0.000000, by which pixels are divided; it must be above 0");
    CHECK(refused("[]") == path + ": json: line 1: an object is needed, this is an array");
    CHECK(refused(R"({"do_resize": 1})") == path + ": json: line 1: a truth value is needed, this is a number");
}

TEST_CASE("config_of: a config.json that omits the values of ViT-B/32 means 12 and 8 heads") {
    const clip::Config sizes{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3},
                                        .width = 24,
                                        .depth = 1,
                                        .heads = 12,
                                        .mlp_width = 10},
                             .text = {.vocabulary = 11, .positions = 7, .width = 16, .depth = 1, .heads = 8, .mlp_width = 14},
                             .shared_width = 6};
    Random random(1);
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    save(clip::parameters(clip::make_weights(sizes, random), sizes), path);
    folder.file("config.json", R"({"text_config": {"bos_token_id": 0}, "vision_config": {"dropout": 0.0}})");
    const Safetensors checkpoint(path);
    CHECK(clip::config_of(checkpoint).vision.heads == 12);
    CHECK(clip::config_of(checkpoint).text.heads == 8);
}

TEST_CASE("preprocess: resizes the shorter side, crops the centre, normalises each channel by mean and standard deviation") {
    const clip::VisionConfig config{.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3}};
    Image photograph(8, 16, 3);  // black left and right, grey in the middle
    for (int y = 0; y < 8; ++y)
        for (int x = 4; x < 12; ++x)
            for (int c = 0; c < 3; ++c) photograph(y, x, c) = 0.5f;
    const Image seen = clip::preprocess(photograph, config);
    CHECK(shape(seen) == "4 x 4 x 3");
    // by hand, up to the overshoot at the edges of the grey: (0.5 - 0.48145466) / 0.26862954
    CHECK(seen(2, 1, 0) == Approx(0.069043).epsilon(0.025));
    Image white(4, 4, 3, 1);
    CHECK(clip::preprocess(white, config)(0, 0, 2) == Approx((1 - 0.40821073) / 0.27577711));
    CHECK(clip::preprocess(Image(5, 4, 1, 1), config).pixels == clip::preprocess(white, config).pixels);  // grey
    CHECK_THROWS_WITH(clip::preprocess(white, {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 3}}),
                      "clip: photographs are prepared for square images of 3 channels, not for 4 x 6 x 3");
    CHECK_THROWS_WITH(clip::preprocess(white, {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 1}}),
                      "clip: photographs are prepared for square images of 3 channels, not for 4 x 4 x 1");
}

// --- bad input ---

TEST_CASE("preprocess: a shorter side of 0 means that of the model's images; one that is too short to cut them out is refused") {
    const clip::VisionConfig config{.grid = {.height = 2, .width = 2, .patch_size = 1, .channels = 3}};
    Image photograph(3, 6, 3);
    for (std::size_t k = 0; k < photograph.pixels.size(); ++k) photograph.pixels[k] = static_cast<float>(k) / 54;
    CHECK(clip::preprocess(photograph, config).pixels == clip::preprocess(photograph, config, {.shorter_side = 2}).pixels);
    CHECK(clip::preprocess(photograph, config).pixels != clip::preprocess(photograph, config, {.shorter_side = 3}).pixels);
    CHECK(error_of([&] { clip::preprocess(photograph, config, {.shorter_side = 1}); }) != "");
}

TEST_CASE("clip: an inconsistent config or batch throws an error that gives the reason") {
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
    bad.shared_width = 1;
    CHECK_NOTHROW(clip::make_weights(bad, random));
    const clip::Weights w = tiny_weights();
    CHECK_THROWS_WITH(clip::embed_texts(equal_batch({9, 1, 2, 3, 4, 5, 6, 10}, 8), w, tiny),
                      "clip: sentences of 8 tokens, the model has 7 positions; cut the longest");
    CHECK_THROWS_WITH(clip::embed_images({Image(4, 6, 3)}, w, tiny), "clip: image 0 is 4 x 6 x 3, this model reads 4 x 4 x 3");
    CHECK(without_place(error_of([&] {
              clip::loss(clip::forward(tiny_images(2), equal_batch({9, 10}, 2), w, tiny));
          })) ==
          "contrastive: logits of shape (1, 2), row i and column i must be a pair, so they are square; there must be a pair");
}

TEST_CASE(
    "clip: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const clip::Config& config) { return clip::parameters(clip::make_weights(config, random), config); };
    for (const std::string& path : golden_files("clip")) {
        clip::Config config = config_of_fixture(Golden(path));
        config.vision.grid.height = config.vision.grid.width;  // CLIP's images are square
        check_given_settings(config, table, clip::config_of, "the number of heads (vision_config)");
    }
}

TEST_CASE("embed_images, embed_texts, forward: embeddings have length 1, however short the projected vectors are") {
    const clip::Weights w = tiny_weights();
    for (Var projection : {w.image_projection.weight, w.text_projection.weight})
        for (float& x : projection.value()) x *= 1e-3f;
    const TokenBatch texts = equal_batch({9, 1, 10, 9, 2, 10}, 3);
    const clip::Steps steps = clip::forward(tiny_images(2), texts, w, tiny);
    for (const Matrix& rows : {clip::embed_images(tiny_images(2), w, tiny).value(), clip::embed_texts(texts, w, tiny).value(),
                               steps.image_embeddings.value(), steps.text_embeddings.value()})
        CHECK(root_mean_square(rows) * std::sqrt(6.0) == Approx(1));  // each row has 6 numbers
}

TEST_CASE("clip::VisionConfig: the defaults") {
    const clip::VisionConfig usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.activation == Activation::gelu_quick);
    CHECK(usual.grid.patch_size == 32);
}

TEST_CASE("clip::TextConfig: the defaults") {
    const clip::TextConfig usual{};
    CHECK(usual.vocabulary == 49408);
    CHECK(usual.positions == 77);
    CHECK(usual.width == 512);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 8);
    CHECK(usual.mlp_width == 2048);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.activation == Activation::gelu_quick);
}

TEST_CASE("clip::Config: the defaults") {
    const clip::Config usual{};
    CHECK(usual.shared_width == 512);
}

TEST_CASE("preprocess: a shorter side below 0 is refused") {
    CHECK(error_of([] { clip::preprocess(Image(4, 4, 3), tiny.vision, {.shorter_side = -4}); }) ==
          "clip: a shorter side of -4 pixels, it cannot be below 0; 0 = the side of the model's images");
}

TEST_SUITE_END();
