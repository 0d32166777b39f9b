#include "vit/language/pacl.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pacl");

static pacl::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("activation") == "relu");
    return {.rows = file.metadata_int("grid_height"),
            .cols = file.metadata_int("grid_width"),
            .vision_width = file.metadata_int("vision_dim"),
            .text_width = file.metadata_int("text_dim"),
            .width = file.metadata_int("embed_dim")};
}

TEST_CASE("pacl: every step, the loss, every gradient and the class of every pixel equal the reference's") {
    for (const std::string& path : golden_files("pacl")) {
        const Golden golden(path);
        const pacl::Config config = config_of_fixture(golden);
        const int height = golden.file.metadata_int("image_height"), width = golden.file.metadata_int("image_width");
        Random random;
        const pacl::Weights w = pacl::make_weights(config, random);
        const Parameters parameters = pacl::parameters(w);
        golden.load_weights(parameters);

        const Tape tape;
        const pacl::Steps steps = pacl::forward(golden.input("patch_features"), golden.input("text_features"), w, config);
        const Var loss = pacl::loss(steps);
        golden.check("vision_embeddings", steps.vision_embeddings.value());
        golden.check("text_embeddings", steps.text_embeddings.value());
        golden.check("vision_normalized", steps.patches.value());
        golden.check("text_normalized", steps.texts.value());
        golden.check("similarity", steps.similarity.value());
        golden.check("patch_weights", steps.patch_weights.value());
        golden.check("pooled", steps.pooled.value());
        golden.check("compatibility", steps.compatibility.value());
        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("loss", loss.value());

        const pacl::Segmentation map =
            pacl::segment(golden.input("patch_features"), golden.input("class_text_features"), height, width, w, config);
        golden.check("patch_scores", maps_channels_first(map.patch_scores.pixels.value(), config.rows, config.cols));
        golden.check_integers("patch_labels", map.patch_classes);
        golden.check("upsampled_scores", maps_channels_first(map.scores.pixels.value(), height, width));
        golden.check("class_probability", maps_channels_first(map.probabilities.pixels.value(), height, width));
        golden.check_integers("segmentation", map.classes);

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// A grid of 2 x 3 patches, so N = 6; Dv = 5, Dt = 4, D = 7.
static const pacl::Config tiny{.rows = 2, .cols = 3, .vision_width = 5, .text_width = 4, .width = 7};

static pacl::Weights tiny_weights() {
    Random random(1);
    return pacl::make_weights(tiny, random);
}

static Matrix draws(int rows, int cols, int seed) {
    Random random(seed);
    return normal_matrix(random, rows, cols);
}

TEST_CASE("forward: weights sum to 1 over the patches of an image, and phi is the weighted mean of the cosines") {
    const pacl::Steps steps = pacl::forward(draws(12, 5, 2), draws(3, 4, 3), tiny_weights(), tiny);
    REQUIRE(shape(steps.compatibility.value()) == "(2, 3)");
    const Matrix &a = steps.patch_weights.value(), &s = steps.similarity.value();
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j) {
            float total = 0, mean = 0;
            for (int n = 0; n < 6; ++n) {
                total += a(i * 3 + j, n);
                mean += a(i * 3 + j, n) * s(i * 3 + j, n);
            }
            CHECK(total == Approx(1.0));
            CHECK(steps.compatibility.value()(i, j) == Approx(mean).epsilon(1e-4));
            CHECK(std::abs(mean) <= 1);
        }
}

TEST_CASE("make_weights: standard deviations of one over the root of the inputs, and the scale of CLIP") {
    const pacl::Config wide{.rows = 2, .cols = 3, .vision_width = 100, .text_width = 64, .width = 36};
    Random random(2);
    const pacl::Weights w = pacl::make_weights(wide, random);
    const auto ratio = [](const Linear& linear, double deviation) { return root_mean_square(linear.weight.value()) / deviation; };
    CHECK(ratio(w.linear, 1 / 10.0) == Approx(1).epsilon(0.05));
    CHECK(ratio(w.expand, 1 / 10.0) == Approx(1).epsilon(0.05));
    CHECK(ratio(w.contract, 1 / 6.0) == Approx(1).epsilon(0.1));
    CHECK(ratio(w.text, 1 / 8.0) == Approx(1).epsilon(0.05));
    CHECK(std::exp(w.log_scale.value()[0]) == Approx(1 / 0.07));
}

TEST_CASE("forward: each pair of image and sentence has its own pooled vector") {
    const pacl::Weights w = tiny_weights();
    const Matrix patches = draws(12, 5, 2), texts = draws(2, 4, 3);
    const Matrix both = pacl::forward(patches, texts, w, tiny).compatibility.value();
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j)
            CHECK(both(i, j) == Approx(pacl::forward(slice_rows(patches, i * 6, 6), slice_rows(texts, j, 1), w, tiny)
                                           .compatibility.value()(0, 0)));
}

TEST_CASE("forward: d phi / d s = a (1 + s - phi), larger for a patch that fits better than the mean") {
    // by hand, two patches with cosines 1 and 0: a = [e, 1] / (e + 1), phi = a_0; ds_0 = a_0 (2 - a_0), ds_1 = a_1 (1 - a_0)
    const Tape tape;
    const Var s = parameter(Matrix{{1, 0}});
    const Var a = softmax_rows(s);
    backward(sum(multiply(a, s)));
    const float a0 = std::exp(1.0f) / (std::exp(1.0f) + 1);
    CHECK(s.gradient()(0, 0) == Approx(a0 * (2 - a0)));
    CHECK(s.gradient()(0, 1) == Approx((1 - a0) * (1 - a0)));
}

TEST_CASE("segment: the centre of a patch that fits only one class gets that class, borders repeat the edge") {
    const pacl::Weights w = tiny_weights();
    const Matrix patches = draws(6, 5, 2), classes = draws(3, 4, 5);
    const pacl::Segmentation map = pacl::segment(patches, classes, 6, 9, w, tiny);
    REQUIRE(map.classes.size() == 54);
    for (int row = 0; row < 2; ++row)
        for (int col = 0; col < 3; ++col) CHECK(map.classes[(3 * row + 1) * 9 + 3 * col + 1] == map.patch_classes[row * 3 + col]);
    for (int c = 0; c < 3; ++c) CHECK(map.scores.pixels.value()(0, c) == Approx(map.patch_scores.pixels.value()(0, c)));
}

TEST_CASE("clip_patch_features: patch tokens without the class token, and no gradient into the tower") {
    const clip::VisionConfig vision{
        .grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 1}, .width = 8, .depth = 1, .heads = 2, .mlp_width = 6};
    Random random(3);
    const clip::VisionWeights w = clip::make_vision_weights(vision, random);
    Image image(4, 6, 1);
    for (float& x : image.pixels) x = random.normal();
    const Matrix tokens = clip::vision_trunk({image, image}, w, vision).encoder.output.value();
    const Tape tape;
    const Var features = pacl::clip_patch_features({image, image}, w, vision);
    CHECK(!features.requires_gradient());
    CHECK(identical(slice_rows(features.value(), 6, 6), slice_rows(tokens, 8, 6)));
}

TEST_CASE("pacl: features that are not whole images, or of another width, throw") {
    const pacl::Weights w = tiny_weights();
    CHECK_THROWS_WITH(pacl::forward(draws(7, 5, 1), draws(1, 4, 1), w, tiny),
                      "pacl: features of shape (7, 5) are not whole images of 2 x 3 patches, each 5 wide");
    CHECK_THROWS_WITH(pacl::forward(draws(6, 5, 1), draws(1, 3, 1), w, tiny),
                      "pacl: sentences of shape (1, 3); there must be at least one, with features 4 wide");
    Random random;
    CHECK_THROWS_WITH(pacl::make_weights({.rows = 0}, random),
                      "pacl: 0 x 14 patches, widths 768, 512 and 512: sizes must be positive");
}

TEST_CASE("pacl: an invalid config, and NaN that would silently be class 0, are refused") {
    const pacl::Weights w = tiny_weights();
    pacl::Config empty = tiny;
    empty.rows = 0;
    Matrix features = draws(6, 5, 1);
    features[3] = NAN;
    CHECK_THROWS_WITH(pacl::forward(draws(6, 5, 1), draws(1, 4, 1), w, empty),
                      "pacl: 0 x 3 patches, widths 5, 4 and 7: sizes must be positive");
    CHECK_THROWS_WITH(pacl::segment(features, draws(2, 4, 1), 4, 6, w, tiny),
                      "pacl: the embeddings of patches (6, 7) hold nan in row 0, column 0 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK(without_place(error_of([&] { pacl::segment(draws(6, 5, 1), draws(2, 4, 1), 0, 6, w, tiny); })) ==
          "resize: a map of 0 x 6 pixels, both must be at least 1");
}

TEST_CASE(
    "pacl: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const pacl::Config& config) { return pacl::parameters(pacl::make_weights(config, random)); };
    for (const std::string& path : golden_files("pacl")) {
        const pacl::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, pacl::config_of, "the number of rows of patches");
        const TemporaryFolder folder;
        const std::string saved = folder.path("pacl.safetensors");
        save(table(config), saved, {{"grid_height", "3"}, {"grid_width", "5"}});
        const pacl::Config read = pacl::config_of(Safetensors(saved), {});
        CHECK(read.rows == 3);
        CHECK(read.cols == 5);
    }
}

TEST_CASE("pacl: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<pacl::Config, std::string>>{
             {{.rows = 0}, "pacl: 0 x 14 patches, widths 768, 512 and 512: sizes must be positive"},
             {{.cols = 0}, "pacl: 14 x 0 patches, widths 768, 512 and 512: sizes must be positive"},
             {{.vision_width = 0}, "pacl: 14 x 14 patches, widths 0, 512 and 512: sizes must be positive"},
             {{.text_width = 0}, "pacl: 14 x 14 patches, widths 768, 0 and 512: sizes must be positive"},
             {{.width = 0}, "pacl: 14 x 14 patches, widths 768, 512 and 0: sizes must be positive"}})
        CHECK_THROWS_WITH(pacl::make_weights(config, random), text.c_str());
    CHECK_NOTHROW(pacl::make_weights({.rows = 1, .cols = 1, .vision_width = 1, .text_width = 1, .width = 1}, random));
    const pacl::Weights w = tiny_weights();
    CHECK(w.log_scale.value()[0] == Approx(std::log(1 / 0.07)));  // CLIP's temperature
    const auto refusal = [&](const Matrix& patches, const Matrix& texts) {
        return error_of([&] { pacl::forward(patches, texts, w, tiny); });
    };
    CHECK_NOTHROW(
        pacl::forward(draws(1, 5, 1), draws(1, 4, 1), w, {.rows = 1, .cols = 1, .vision_width = 5, .text_width = 4, .width = 7}));
    const std::string whole = " are not whole images of 2 x 3 patches, each 5 wide";
    CHECK(refusal(draws(6, 4, 1), draws(1, 4, 1)) == "pacl: features of shape (6, 4)" + whole);
    CHECK(refusal(Matrix(0, 5), draws(1, 4, 1)) == "pacl: features of shape (0, 5)" + whole);
    CHECK(refusal(draws(6, 5, 1), Matrix(0, 4)) ==
          "pacl: sentences of shape (0, 4); there must be at least one, with features 4 wide");
}

TEST_CASE("pacl::Config: the defaults") {
    const pacl::Config usual{};
    CHECK(usual.rows == 14);
    CHECK(usual.cols == 14);
    CHECK(usual.vision_width == 768);
    CHECK(usual.text_width == 512);
    CHECK(usual.width == 512);
}

TEST_CASE("make_weights: more patches than an int can count are refused") {
    Random random(1);
    pacl::Config other = tiny;
    other.rows = other.cols = 65536;
    CHECK(error_of([&] { pacl::make_weights(other, random); }) == "pacl: 65536 x 65536 patches are more than an int can count");
    other.rows = 1 << 30, other.cols = 2;
    CHECK(error_of([&] { pacl::make_weights(other, random); }) == "pacl: 1073741824 x 2 patches are more than an int can count");
}

TEST_SUITE_END();
