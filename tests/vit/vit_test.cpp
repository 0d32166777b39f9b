#include "vit/vit.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/interpret/inside.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"

TEST_SUITE_BEGIN("vit");

static const std::vector<StepName> names_of_block{{"layer.#.layernorm_before", Step::norm1},
                                                  {"layer.#.query", Step::query},
                                                  {"layer.#.key", Step::key},
                                                  {"layer.#.value", Step::value},
                                                  {"layer.#.attention_probs", Step::weights},
                                                  {"layer.#.context", Step::context},
                                                  {"layer.#.attention_output", Step::attention_output},
                                                  {"layer.#.after_attention", Step::after_attention},
                                                  {"layer.#.layernorm_after", Step::norm2},
                                                  {"layer.#.intermediate", Step::hidden},
                                                  {"layer.#.output", Step::output}};

TEST_CASE("parity: every step, the loss and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("vit")) {
        const Golden golden(path);
        const vit::Config config = vit_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const std::vector<int> labels = golden.integers("input.labels");
        Random random;
        const vit::Weights w = vit::make_weights(config, random);
        const Parameters parameters = vit::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const vit::Steps steps = vit::forward(images, w, config);
        const Var loss = vit::loss(steps, labels);

        golden.check("image_hwc", channels_last_of(images));
        golden.check("patches", steps.embedding.patches);
        golden.check("patches_channel_major", channel_major_patches_of(images, config.grid.patch_size));
        golden.check("projection_matrix", w.projection.weight.value());
        golden.check("patch_embeddings", steps.embedding.patch_embeddings.value());
        golden.check("z0", steps.embedding.z0.value());
        check_stack(golden, steps.encoder, config.depth, names_of_block);
        golden.check("layernorm", steps.norm.value());
        golden.check("logits", steps.logits.value());
        golden.check("probabilities", steps.probabilities.value());
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// The smallest model in which all sizes differ: H = 4, W = 6, P = 2, C = 3, so N = 6; D = 8, two heads of 4.
static const vit::Config tiny{.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 3},
                              .width = 8,
                              .depth = 2,
                              .heads = 2,
                              .mlp_width = 12,
                              .classes = 5,
                              .eps = 1e-6f};

static Image random_image(Random& random, const vit::Config& config) {
    Image image(config.grid.height, config.grid.width, config.grid.channels);
    for (float& x : image.pixels) x = random.normal();
    return image;
}

TEST_CASE("embed_patches: equals a convolution whose stride is its kernel size") {
    Random random(2);
    const Image image = random_image(random, tiny);
    const vit::Weights w = vit::make_weights(tiny, random, {.stddev = 0.5f});
    const Matrix kernels = published_value(vit::parameters(w, tiny)[2]);  // (D, C, P, P), flattened to (D*C*P, P)
    const Matrix embeddings = vit::embed_patches({image}, w, tiny).patch_embeddings.value();
    const int P = tiny.grid.patch_size;
    for (int down = 0; down < tiny.grid.down(); ++down)
        for (int across = 0; across < tiny.grid.across(); ++across)
            for (int d = 0; d < tiny.width; ++d) {
                float sum = 0;  // the convolution by its definition, at this position, for this output channel
                for (int c = 0; c < tiny.grid.channels; ++c)
                    for (int y = 0; y < P; ++y)
                        for (int x = 0; x < P; ++x)
                            sum += kernels((d * tiny.grid.channels + c) * P + y, x) * image(down * P + y, across * P + x, c);
                CHECK(embeddings(down * tiny.grid.across() + across, d) == Approx(sum).epsilon(1e-4));
            }
}

TEST_CASE("forward: the images of a batch do not attend to each other") {
    Random random(4);
    const vit::Weights w = vit::make_weights(tiny, random, {.stddev = 0.5f});
    const Image a = random_image(random, tiny), b = random_image(random, tiny);
    const Matrix together = vit::forward({a, b}, w, tiny).logits.value();
    check_close("image 0 alone", slice_rows(together, 0, 1), vit::forward({a}, w, tiny).logits.value());
    check_close("image 1 alone", slice_rows(together, 1, 1), vit::forward({b}, w, tiny).logits.value());
}

static Image with_patches_swapped(const Image& image) {  // patch 0 and patch 4 are exchanged
    Matrix patches = patchify(image, tiny.grid.patch_size);
    for (int j = 0; j < patches.cols; ++j) std::swap(patches(0, j), patches(4, j));
    return unpatchify(patches, tiny.grid.patch_size, image.height, image.width, image.channels);
}

TEST_CASE("forward: without positions, permuting the patches does not change the class; with them it does") {
    Random random(5);
    const vit::Weights w = vit::make_weights(tiny, random, {.stddev = 0.5f});
    const Image image = random_image(random, tiny);
    const Image swapped = with_patches_swapped(image);
    CHECK(difference(vit::forward({swapped}, w, tiny).logits.value(), vit::forward({image}, w, tiny).logits.value()) != "");
    vit::Weights bag = w;
    bag.positions = parameter(Matrix(w.positions.rows(), w.positions.cols()));
    check_close("bag of patches", vit::forward({swapped}, bag, tiny).logits.value(),
                vit::forward({image}, bag, tiny).logits.value());
}

TEST_CASE("class_attention: the class token's attention weights without its own, on the patch grid") {
    const KeepSteps keep;
    Random random(6);
    const vit::Weights w = vit::make_weights(tiny, random, {.stddev = 0.5f});
    const vit::Steps steps = vit::forward({random_image(random, tiny), random_image(random, tiny)}, w, tiny);
    const int tokens = tiny.grid.count() + 1;
    const Matrix map = vit::class_attention(steps, tiny, 1, 1, 1);
    REQUIRE(shape(map) == "(2, 3)");
    const Matrix& weights = steps.encoder.blocks[1].attention.weights.value();
    for (int n = 0; n < tiny.grid.count(); ++n) CHECK(map[n] == weights((1 * tiny.heads + 1) * tokens, 1 + n));
    CHECK_THROWS_WITH(
        vit::class_attention(steps, tiny, 2, 0),
        "class_attention: there is no head 0 in block 2; this model has 2 blocks of 2 heads, counted from 0 (no blocks: make a "
        "KeepSteps before forward)");
    const auto refusal = [&](int block, int head, int image) {
        return error_of([&] { vit::class_attention(steps, tiny, block, head, image); });
    };
    CHECK(refusal(1, 1, 1) == "");
    CHECK(refusal(0, 0, 0) == "");
    CHECK(refusal(-1, 0, 0).starts_with("class_attention: there is no head 0 in block -1; "));
    CHECK(refusal(0, -1, 0).starts_with("class_attention: there is no head -1 in block 0; "));
    CHECK(refusal(0, 2, 0).starts_with("class_attention: there is no head 2 in block 0; "));
    CHECK(refusal(0, 0, 2) == "class_attention: there is no image 2 among 2, counted from 0");
    CHECK(refusal(0, 0, -1) == "class_attention: there is no image -1 among 2, counted from 0");
}

TEST_CASE("parameters: the published base model has 86,567,656") {
    // by hand: projection 768*768 + 768, class token 768, positions 197*768, each of 12 blocks 4*(768*768 + 768) + 2*768*3072 + 3072 + 768
    // + 4*768, last norm 2*768, classifier 768*1000 + 1000
    const long block = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768;
    const long by_hand = 768 * 768 + 768 + 768 + 197 * 768 + 12 * block + 2 * 768 + 768 * 1000 + 1000;
    REQUIRE(by_hand == 86567656);
    vit::Config one_block;  // the base model with one of its twelve blocks
    one_block.depth = 1;
    Random random;
    const vit::Weights w = vit::make_weights(one_block, random);
    CHECK(count_numbers(vit::parameters(w, one_block)) == by_hand - 11 * block);
}

TEST_CASE("config_of: a saved model loads with the same configuration and numbers") {
    const vit::Config oblong{.grid = {.height = 6, .width = 4, .patch_size = 2, .channels = 1},
                             .width = 8,
                             .depth = 2,
                             .heads = 2,
                             .mlp_width = 12,
                             .classes = 5,
                             .eps = 1e-3f,
                             .activation = Activation::relu};
    Random random(7);
    const vit::Weights w = vit::make_weights(oblong, random, {.stddev = 0.5f});
    const std::string path = "build/vit_test.safetensors";
    save(vit::parameters(w, oblong), path, vit::metadata(oblong));
    const Safetensors checkpoint(path);
    const vit::Config config = vit::config_of(checkpoint);
    CHECK(config.grid.height == 6);
    CHECK(config.grid.width == 4);
    CHECK(config.grid.patch_size == 2);
    CHECK(config.grid.channels == 1);
    CHECK(config.width == 8);
    CHECK(config.depth == 2);
    CHECK(config.heads == 2);
    CHECK(config.mlp_width == 12);
    CHECK(config.classes == 5);
    CHECK(config.eps == oblong.eps);
    CHECK(config.activation == oblong.activation);
    const vit::Weights other = vit::make_weights(config, random);
    load(vit::parameters(other, config), checkpoint);
    const Image image = random_image(random, oblong);
    CHECK(identical(vit::forward({image}, other, config).logits.value(), vit::forward({image}, w, oblong).logits.value()));
    save(vit::parameters(w, oblong), path);
    CHECK(error_of([&] { vit::config_of(Safetensors(path)); }).starts_with(path + ": missing setting: the size of the images"));
    CHECK(
        error_of([&] {
            vit::config_of(Safetensors(path), {{"image_size", "8"}, {"num_attention_heads", "2"}});
        }) ==
        path +
            ": images of 8 x 8 do not have the 6 patches of side 2 that its table of positions is made for; an image size of 4 would");
    const auto with_size = [&](const std::string& size) {
        return error_of([&] { vit::config_of(Safetensors(path), {{"image_size", size}, {"num_attention_heads", "2"}}); });
    };
    CHECK(with_size("6,4") == "");
    CHECK(vit::config_of(Safetensors(path), {{"image_size", "6,4"}, {"num_attention_heads", "2"}}).eps == 1e-12f);
    CHECK(with_size("[6,4]") == "");
    CHECK(with_size("[6,4") != "");
    CHECK(with_size("6,4]") != "");
    CHECK(with_size("6,4,3") == path + ": an image size of 3 numbers, it is one side, or height and width");
    CHECK(with_size("-6,-4").starts_with(path + ": an image of -6 x -4 does not split into patches of side 2"));
    CHECK(error_of([&] {
              vit::config_of(Safetensors(path), {{"image_size", "4,6"}});
          }).starts_with(path + ": missing setting: the number of heads"));
}

TEST_CASE("config_of: a checkpoint without biases of query, key and value is recognised") {
    const vit::Config bare{.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 1},
                           .width = 8,
                           .depth = 1,
                           .heads = 2,
                           .mlp_width = 12,
                           .classes = 5,
                           .query_key_value_bias = false};
    Random random(9);
    const vit::Weights w = vit::make_weights(bare, random);
    const TemporaryFolder folder;
    const std::string path = folder.path("vit_bare.safetensors");
    save(vit::parameters(w, bare), path);
    const Safetensors checkpoint(path);
    const vit::Config config = vit::config_of(checkpoint, {{"num_attention_heads", "2"}});
    CHECK(!config.query_key_value_bias);
    CHECK_NOTHROW(vit::config_of(checkpoint, {{"num_attention_heads", "2"}, {"qkv_bias", "false"}}));
    CHECK(error_of([&] {
              vit::config_of(checkpoint, {{"num_attention_heads", "2"}, {"qkv_bias", "true"}});
          }) == "the given settings: qkv_bias is true, but the tensors of " + path +
                    " say false for whether query, key and value have biases; this is the configuration of another model");
    for (const std::string size : {"num_channels", "num_labels", "intermediate_size"})
        CHECK(error_of([&] {
                  vit::config_of(checkpoint, {{"num_attention_heads", "2"}, {size, "99"}});
              }).starts_with("the given settings: " + size + " is 99, but the tensors of "));
    const vit::Weights other = vit::make_weights(config, random);
    load(vit::parameters(other, config), checkpoint);
    CHECK(identical(other.blocks[0].attention.key.weight.value(), w.blocks[0].attention.key.weight.value()));
}

TEST_CASE("resized: positions that are linear across the grid stay linear on a grid twice as fine") {
    Random random(8);
    vit::Config config = tiny;
    const vit::Weights w = vit::make_weights(config, random);
    Matrix positions(7, 8);
    for (int n = 0; n < 6; ++n) positions(1 + n, 0) = static_cast<float>(n % 3);  // feature 0 = the patch's column
    positions(0, 0) = 42;
    vit::Weights ramp = w;
    ramp.positions = parameter(positions);
    const vit::Weights finer = vit::resized(ramp, config, 8, 12);
    CHECK(config.grid.height == 8);
    CHECK_THROWS_WITH(
        vit::resized(finer, config, 8, 13),
        "vit: an image of 8 x 13 does not split into patches of side 2; sizes must be at least 1, and the side divide both");
    CHECK(config.grid.width == 12);  // as it was
    REQUIRE(shape(finer.positions.value()) == "(25, 8)");
    CHECK(finer.positions.value()(0, 0) == 42);  // the class token keeps its own
    for (int c = 1; c < 6; ++c) CHECK(finer.positions.value()(1 + c, 0) > finer.positions.value()(c, 0));
    CHECK(finer.positions.value()(1 + 2, 0) + finer.positions.value()(1 + 3, 0) == Approx(2.0));  // symmetric about the middle
    CHECK(vit::forward({random_image(random, config)}, finer, config).logits.rows() == 1);
}

TEST_CASE("preprocess: black becomes -1, white becomes 1, for a photograph of any size") {
    const Image black(5, 9, 3, 0), white(9, 5, 3, 1);
    for (const float x : vit::preprocess(black, tiny).pixels) CHECK(x == Approx(-1));
    for (const float x : vit::preprocess(white, tiny).pixels) CHECK(x == Approx(1));
    CHECK(shape(vit::preprocess(black, tiny)) == "4 x 6 x 3");
}

TEST_CASE("loss: a few steps of gradient descent memorise four images") {
    Random random(9);
    const vit::Weights w = vit::make_weights(tiny, random, {.stddev = 0.2f});
    std::vector<Image> images;
    for (int b = 0; b < 4; ++b) images.push_back(random_image(random, tiny));
    const std::vector<int> labels = {0, 1, 2, 3};
    float first = 0, last = 0;
    for (int step = 0; step < 60; ++step) {
        const Tape tape;
        const Var loss = vit::loss(vit::forward(images, w, tiny), labels);
        backward(loss);
        if (step == 0) first = loss.value()[0];
        last = loss.value()[0];
        for (Var& v : variables(vit::parameters(w, tiny))) {
            for (std::size_t k = 0; k < v.value().size(); ++k) v.value()[k] -= 0.1f * v.gradient()[k];
            v.zero_gradient();
        }
    }
    CHECK(first == Approx(std::log(5.0)).epsilon(0.2));  // five classes, nothing known
    CHECK(last < 0.1f);
}

TEST_CASE("vit: wrong input throws an error with the sizes received and required") {
    Random random(10);
    const vit::Weights w = vit::make_weights(tiny, random);
    CHECK_THROWS_WITH(vit::forward({Image(4, 4, 3)}, w, tiny), "vit: image 0 is 4 x 4 x 3, this model reads 4 x 6 x 3");
    CHECK_THROWS_WITH(vit::forward({}, w, tiny), "vit: there is no image; give at least one");
    vit::Config uneven = tiny;
    uneven.grid.width = 7;
    CHECK_THROWS_WITH(
        vit::make_weights(uneven, random),
        "vit: an image of 4 x 7 does not split into patches of side 2; sizes must be at least 1, and the side divide both");
    vit::Config three_heads = tiny;
    three_heads.heads = 3;
    CHECK_THROWS_WITH(vit::make_weights(three_heads, random), "vit: 3 heads do not divide a width of 8");
}

TEST_CASE("forward: a depth, number of classes or eps that does not match the weights throws") {
    Random random(10);
    const vit::Weights w = vit::make_weights(tiny, random);
    const std::vector<Image> images{random_image(random, tiny)};
    vit::Config five = tiny, headless = tiny, negative = tiny, none = tiny;
    five.depth = 5;
    headless.classes = 0;
    negative.eps = -1;
    none.mlp_width = 0;
    CHECK(
        error_of([&] { vit::forward(images, w, five); }).starts_with("vit: the configuration says 5 blocks, the weights hold "));
    CHECK(error_of([&] {
              vit::forward(images, vit::make_weights(headless, random), tiny);
          }).starts_with("vit: the configuration asks for 5 classes"));
    CHECK(error_of([&] { vit::loss(vit::forward(images, w, headless), {0}); }).starts_with("vit: a loss needs logits"));
    CHECK(error_of([&] { vit::forward(images, w, negative); }).starts_with("vit: an eps of -1"));
    CHECK(error_of([&] { vit::forward(images, w, none); }).starts_with("vit: depth "));
    vit::Config wider = tiny, classes = tiny, inner = tiny;
    wider.width *= 2;
    classes.classes = 7;
    inner.mlp_width = 99;
    vit::Config single = tiny;
    single.classes = 1;
    CHECK(error_of([&] { vit::forward(images, w, single); }).starts_with("vit: the classifier is ("));
    const std::string cure = "; pass the configuration that the weights were made with";
    CHECK(error_of([&] { vit::forward(images, w, wider); }).starts_with("vit: the patch projection is ("));
    CHECK(error_of([&] { vit::forward(images, w, classes); }).starts_with("vit: the classifier is ("));
    CHECK(error_of([&] { vit::forward(images, w, classes); }).ends_with(", 7)" + cure));
    CHECK(error_of([&] { vit::forward(images, w, inner); }).starts_with("vit: the first matrix of an MLP is ("));
}

TEST_CASE("load_rules: files without vit., without a classifier, with a pooler or with MAE's decoder give the same tokens") {
    const vit::Config square{.grid = {.height = 6, .width = 6, .patch_size = 2, .channels = 1},
                             .width = 8,
                             .depth = 2,
                             .heads = 2,
                             .mlp_width = 12,
                             .classes = 5};
    Random random(7);
    const vit::Weights w = vit::make_weights(square, random, {.stddev = 0.5f});
    const Image image = random_image(random, square);
    const Matrix tokens = vit::forward({image}, w, square).class_tokens.value();
    const TemporaryFolder folder;
    const std::string path = folder.path("trunk.safetensors");
    for (const bool with_prefix : {true, false})
        for (const std::string extra : {"", "pooler.dense.weight", "decoder.mask_token"}) {
            Parameters table;
            for (Parameter parameter : vit::parameters(w, square)) {
                if (parameter.name.starts_with("classifier")) continue;
                if (!with_prefix) parameter.name.erase(0, 4);
                table.push_back(parameter);
            }
            const std::string prefix = with_prefix && extra.starts_with("pooler") ? "vit." : "";
            if (!extra.empty()) table.push_back({prefix + extra, {3}, Stored::as_it_is, {Var(Matrix(1, 3))}});
            save(table, path);
            const Safetensors checkpoint(path);
            const vit::Config config = vit::config_of(checkpoint, {{"num_attention_heads", "2"}});
            CHECK(config.classes == 0);
            CHECK(config.depth == 2);
            CHECK(config.query_key_value_bias);
            const vit::Weights other = vit::make_weights(config, random);
            load(vit::parameters(other, config), checkpoint, vit::load_rules());
            CHECK_MESSAGE(identical(vit::forward({image}, other, config).class_tokens.value(), tokens), extra);
        }
}

TEST_CASE("make_weights: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    const auto refusal = [&](int vit::Config::*size, int given) {
        vit::Config config = tiny;
        config.*size = given;
        return error_of([&] { vit::make_weights(config, random); });
    };
    const std::string divide = " heads do not divide a width of ", rule = " classes: none may be negative, and the width not 0";
    const std::string depth = std::to_string(tiny.depth), inner = std::to_string(tiny.mlp_width),
                      classes = std::to_string(tiny.classes);
    CHECK(refusal(&vit::Config::heads, 0) == "vit: 0" + divide + std::to_string(tiny.width));
    CHECK(refusal(&vit::Config::width, 0) == "vit: " + std::to_string(tiny.heads) + divide + "0");
    CHECK(refusal(&vit::Config::depth, -1) == "vit: depth -1, inner width " + inner + ", " + classes + rule);
    CHECK(refusal(&vit::Config::mlp_width, 0) == "vit: depth " + depth + ", inner width 0, " + classes + rule);
    CHECK(refusal(&vit::Config::classes, -1) == "vit: depth " + depth + ", inner width " + inner + ", -1" + rule);
    vit::Config least = tiny;
    least.width = least.heads = least.mlp_width = 1;
    least.depth = least.classes = 0;
    CHECK_NOTHROW(vit::make_weights(least, random));
}

TEST_CASE("make_weights, parameters: a single class has a classifier") {
    Random random(3);
    vit::Config single = tiny;
    single.classes = 1;
    const vit::Weights w = vit::make_weights(single, random);
    CHECK(shape(w.classifier.weight.value()) == "(8, 1)");
    CHECK(vit::parameters(w, single).back().name == "classifier.bias");
    const TemporaryFolder folder;
    const std::string path = folder.path("vit_single.safetensors");
    save(vit::parameters(w, single), path, vit::metadata(single));
    CHECK(error_of([&] {
              vit::config_of(Safetensors(path), {{"num_labels", "2"}});
          }).starts_with("the given settings: num_labels is 2, but the tensors of "));
    const Image image = random_image(random, single);
    const vit::Steps steps = vit::forward({image}, w, single);
    REQUIRE(steps.logits.cols() == 1);
    // interpretation reads the logit through the same layers
    const Inside inside = vit::inside(w, single);
    REQUIRE(inside.head.size() == 1);
    check_close("the class token's logit", slice_rows(outputs_of(steps.encoder.output.value(), inside), 0, 1),
                steps.logits.value());
    vit::Config none = tiny;
    none.classes = 0;
    CHECK(vit::inside(w, none).head.empty());
}

TEST_CASE("vit::Config: the defaults") {
    const vit::Config usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.classes == 1000);
    CHECK(usual.eps == 1e-12f);
    CHECK(usual.activation == Activation::gelu);
    CHECK(usual.query_key_value_bias);
}

TEST_CASE("class_attention: a configuration of another model than that of the steps is refused") {
    Random random(1);
    const vit::Weights w = vit::make_weights(tiny, random);
    const KeepSteps keep;
    const vit::Steps steps = vit::forward({random_image(random, tiny)}, w, tiny);
    vit::Config other = tiny;
    other.heads = 4;
    CHECK(error_of([&] { vit::class_attention(steps, tiny, 1, 1); }).empty());
    CHECK(
        error_of([&] { vit::class_attention(steps, other, 1, 1); }) ==
        "class_attention: the weights are (14, 7), 1 images of 7 tokens and 4 heads have others; pass the configuration of these "
        "steps");
    other = tiny;
    other.grid.patch_size = 1;
    CHECK(error_of([&] { vit::class_attention(steps, other, 1, 1); }).find("1 images of 25 tokens and 2 heads") !=
          std::string::npos);
}

TEST_SUITE_END();
