#include "vit/sequence/uvim.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"

TEST_SUITE_BEGIN("uvim");

static std::vector<int> pair_in(const std::string& text) {  // "12,16"
    const std::size_t comma = text.find(',');
    return {std::stoi(text.substr(0, comma)), std::stoi(text.substr(comma + 1))};
}

static uvim::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::vector<int> size = pair_in(file.metadata_text("input_size")), patch = pair_in(file.metadata_text("patch_size"));
    const std::string task = file.metadata_text("task");
    REQUIRE((task == "panoptic" || task == "depth"));
    uvim::Config config{.grid = {.height = size[0], .width = size[1], .patch_height = patch[0], .patch_width = patch[1]},
                        .outputs = {},
                        .width = file.metadata_int("width"),
                        .oracle_depth = file.metadata_int("enc_depth"),
                        .base_depth = file.metadata_int("dec_depth"),
                        .heads = file.metadata_int("num_heads"),
                        .mlp_width = file.metadata_int("mlp_dim"),
                        .learned_positions = file.metadata_text("posemb") == "learn",
                        .oracle_sees_image = golden.flag("with_encoder_ctx"),
                        .base_sees_image = golden.flag("with_decoder_ctx"),
                        .code_length = file.metadata_int("code_len"),
                        .resize_bottleneck = golden.flag("bottleneck_resize"),
                        .codebook_size = file.metadata_int("dict_size"),
                        .code_width = file.metadata_int("codeword_dim"),
                        .momentum = static_cast<float>(file.metadata_double("dict_momentum")),
                        .min_count = static_cast<float>(file.metadata_double("min_count")),
                        .perturb = static_cast<float>(file.metadata_double("perturb")),
                        .commitment = static_cast<float>(file.metadata_double("w_commitment")),
                        .standardise_eps = static_cast<float>(file.metadata_double("standardize_epsilon")),
                        .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon"))};
    if (task == "panoptic") {
        config.outputs = {{"semantics", file.metadata_int("classes_semantics")},
                          {"instances", file.metadata_int("classes_instances")}};
    } else {
        config.outputs = {{"depth", file.metadata_int("classes_depth"), true}};
    }
    return config;
}

static bool is_depth(const uvim::Config& config) { return config.outputs[0].name == "depth"; }

// Every output's classes, from labels (B, channels, H, W).
static std::vector<Matrix> golden_labels(const Golden& golden, const uvim::Config& config) {
    const std::vector<int> dimensions = dimensions_of(golden, "input.labels");
    const Matrix labels = permuted(numbers_of(golden, "input.labels"), dimensions, {1, 0, 2, 3});  // channel by channel
    const std::size_t count = labels.size() / dimensions[1];
    std::vector<Matrix> one_hots;
    for (std::size_t k = 0; k < config.outputs.size(); ++k) {
        const std::vector<float> numbers(labels.begin() + k * count, labels.begin() + (k + 1) * count);
        const std::vector<int> classes =
            is_depth(config) ? uvim::depth_classes(numbers, golden.file.metadata_double("min_depth"),
                                                   golden.file.metadata_double("max_depth"), config.outputs[k].classes)
                             : integers_of(row_of(numbers));
        one_hots.push_back(uvim::one_hot(classes, config.outputs[k].classes, config.grid));
        golden.check_integers("one_hot." + config.outputs[k].name, integers_of(one_hots.back()));
    }
    return one_hots;
}

static Matrix golden_keep(const Golden& golden, const uvim::Config& config) {
    const std::string dropout = golden.file.metadata_text("code_dropout");
    if (dropout == "none") return {};
    REQUIRE((dropout == "seq" || dropout == "random"));
    const Matrix thresholds = golden.input("code_dropout_threshold");
    const std::vector<int> permutations =
        dropout == "random" ? golden.integers("input.code_dropout_permutation") : std::vector<int>{};
    return uvim::kept_positions({thresholds.begin(), thresholds.end()}, permutations, config.code_length);
}

// As many rows as ours.
static Matrix in_rows(const Matrix& m, int rows) { return reshape(m, rows, static_cast<int>(m.size()) / rows); }

static void check_trunk(const Golden& golden, const std::string& name, const StackSteps& blocks, const Var& norm, int depth) {
    check_stack(golden, blocks, depth, {{name + ".attention_probs_#", Step::weights}, {name + ".block_#", Step::output}});
    golden.check(name + ".norm", norm.value());
}

static void check_logits(const Golden& golden, const std::string& prefix, const uvim::BaseSteps& steps,
                         const uvim::Config& config) {
    for (std::size_t k = 0; k < config.outputs.size(); ++k) {
        const std::string name = prefix + "logits." + config.outputs[k].name;
        const int area = config.grid.area();
        if (golden.has("expected." + name))
            golden.check(name, reshape(steps.logits[k].value(), static_cast<int>(steps.logits[k].value().size()) / area, area));
    }
}

static void check_prediction(const Golden& golden, const uvim::BaseSteps& steps, const uvim::Config& config) {
    const Safetensors& file = golden.file;
    if (is_depth(config)) {
        const int bins = config.outputs[0].classes;
        const std::vector<int> classes = uvim::classes_of(steps.logits[0].value(), bins, config.grid);
        const std::vector<float> depths =
            uvim::depths_of(classes, file.metadata_double("min_depth"), file.metadata_double("max_depth"), bins);
        golden.check("eval.prediction", in_rows(row_of(depths), golden.expected("eval.prediction").rows));
        return;
    }
    const std::vector<int> instances = uvim::classes_of(steps.logits[1].value(), config.outputs[1].classes, config.grid);
    const std::vector<int> classes =
        uvim::classes_of_instances(steps.logits[0].value(), config.outputs[0], instances, config.grid);
    Matrix both(static_cast<int>(instances.size()), 2);
    for (int i = 0; i < both.rows; ++i) {
        both(i, 0) = static_cast<float>(classes[i]);
        both(i, 1) = static_cast<float>(instances[i]);
    }
    golden.check("eval.prediction", both);
}

TEST_CASE("uvim: every step, loss, gradient, dictionary update and prediction equals the published implementation's") {
    for (const std::string& path : golden_files("uvim")) {
        const Golden golden(path);
        const uvim::Config config = golden_config(golden);
        Random random;
        uvim::Weights w = uvim::make_weights(config, random);
        const Parameters parameters = uvim::parameters(w, config);
        golden.load_weights(parameters);
        CHECK(identical(w.dictionary.sums.value(), golden.input("state.dictionary")));
        CHECK(identical(w.dictionary.counts.value(), golden.input("state.counts")));
        const std::vector<Image> images = images_of(golden, "input.image");
        const std::vector<Matrix> labels = golden_labels(golden, config);

        const Tape tape;
        const uvim::Steps steps = uvim::forward(labels, images, golden_keep(golden, config), w, config);
        for (std::size_t k = 0; k < config.outputs.size(); ++k)
            golden.check("stem." + config.outputs[k].name, steps.oracle.stems[k].value());
        check_trunk(golden, "encoder", steps.oracle.blocks, steps.oracle.norm, config.oracle_depth);
        golden.check("bottleneck", steps.oracle.bottleneck.value());
        golden.check("codewords", codewords(w.dictionary));
        golden.check_integers("code", steps.oracle.quantized.ids);
        golden.check("bottleneck_q", steps.oracle.quantized.output.value());
        check_trunk(golden, "decoder", steps.base.blocks, steps.base.norm, config.base_depth);
        check_logits(golden, "", steps.base, config);

        const uvim::Losses losses = uvim::losses(steps, labels, config);
        for (std::size_t k = 0; k < config.outputs.size(); ++k)
            golden.check("loss_" + config.outputs[k].name, losses.outputs[k].value());
        golden.check("loss_rec", losses.reconstruction.value());
        golden.check("loss_commitment", losses.commitment.value());
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);

        const uvim::BaseSteps evaluated =
            uvim::forward(labels, images, {}, w, config).base;  // the dictionary is still the old one
        check_logits(golden, "eval.", evaluated, config);
        check_prediction(golden, evaluated, config);
        const Matrix nothing(steps.oracle.bottleneck.rows(), config.code_width);
        check_logits(golden, "no_code.", uvim::base(nothing, images, w, config), config);

        const std::vector<int> counts = code_counts(steps.oracle.quantized.ids, config.codebook_size);
        const float total = static_cast<float>(steps.oracle.quantized.ids.size());
        golden.check_integers("batch_counts", counts);
        golden.check("codebook_max_ratio", static_cast<float>(*std::max_element(counts.begin(), counts.end())) / total);
        golden.check("codebook_zeros_ratio",
                     static_cast<float>(config.codebook_size - codes_in_use(steps.oracle.quantized.ids, config.codebook_size)) /
                         config.codebook_size);
        golden.check_integers("splits", {uvim::update_dictionary(w, steps.oracle, golden.input("split_uniform"), config)});
        golden.check("new_state.dictionary", w.dictionary.sums.value());
        golden.check("new_state.counts", w.dictionary.counts.value());
        golden.check_all_used();
    }
}

// --- properties ---

// 4 x 6 pixels in patches of 2 x 3: all sizes differ.
static const uvim::Config tiny{.grid = {.height = 4, .width = 6, .patch_height = 2, .patch_width = 3},
                               .outputs = {{"semantics", 3}, {"instances", 2}},
                               .width = 8,
                               .oracle_depth = 1,
                               .base_depth = 1,
                               .heads = 2,
                               .mlp_width = 12,
                               .code_length = 4,
                               .codebook_size = 5,
                               .code_width = 3,
                               .momentum = 0.5f};

static std::vector<int> some_labels(int classes) {
    std::vector<int> labels;
    for (int p = 0; p < 24; ++p) labels.push_back((p * 7 + p / 5) % classes);
    return labels;
}

TEST_CASE("one_hot: class k at pixel p of a patch is column k a + p; a label outside the classes gives zeros") {
    const uvim::Grid grid{.height = 2, .width = 4, .patch_height = 2, .patch_width = 2};
    // image    0 1 | 2 9      patch 0: pixels 0 1 / 1 1, patch 1: 2 9 / 0 2
    //          1 1 | 0 2
    const Matrix expected{{1, 0, 0, 0, /* class 1 */ 0, 1, 1, 1, /* class 2 */ 0, 0, 0, 0},
                          {0, 0, 1, 0, /* class 1 */ 0, 0, 0, 0, /* class 2 */ 1, 0, 0, 1}};
    CHECK(identical(uvim::one_hot({0, 1, 2, 9, 1, 1, 0, 2}, 3, grid), expected));
    CHECK_THROWS_WITH(uvim::one_hot({0, 1}, 3, grid), "uvim: 2 labels are not whole images of 2 x 4");
}

TEST_CASE("classes_of: inverts one_hot, for patches of any shape") {
    const std::vector<int> labels = some_labels(3);
    CHECK(uvim::classes_of(uvim::one_hot(labels, 3, tiny.grid), 3, tiny.grid) == labels);
}

TEST_CASE("cut: a patch of 2 x 3 pixels, row by row, the channel fastest") {
    Image image(2, 6, 3);
    for (std::size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = static_cast<float>(k);
    const uvim::Grid grid{.height = 2, .width = 6, .patch_height = 2, .patch_width = 3};
    const Matrix patches = uvim::cut({image}, grid, "uvim");
    CHECK(patches(1, 0) == 9);       // pixel (0, 3), channel 0
    CHECK(patches(1, 3 * 3) == 27);  // pixel (1, 3), channel 0
    CHECK_THROWS_WITH(uvim::cut({Image(4, 6, 3)}, grid, "uvim"), "uvim: image 0 is 4 x 6 x 3, this model reads 2 x 6 x 3");
}

TEST_CASE("depth_classes, depths_of: five bins from 0 to 10 metres; depths_of gives the centre of a bin") {
    const std::vector<int> bins = uvim::depth_classes({-1, 0, 1.9f, 2, 9.9f, 10, 50}, 0, 10, 5);
    CHECK(bins == std::vector<int>{0, 0, 0, 1, 4, 4, 4});
    CHECK(uvim::depths_of({0, 4}, 0, 10, 5) == std::vector<float>{1, 9});
}

TEST_CASE("kept_positions: importances 0.8, 0.6, 0.4, 0.2 of four positions; a permutation drops other positions") {
    CHECK(identical(uvim::kept_positions({0.5f}, {}, 4), Matrix{{1}, {1}, {0}, {0}}));
    CHECK(identical(uvim::kept_positions({0.5f}, {3, 1, 2, 0}, 4), Matrix{{0}, {1}, {0}, {1}}));
    CHECK(identical(uvim::kept_positions({0, 0.9f}, {}, 4), Matrix{{1}, {1}, {1}, {1}, {0}, {0}, {0}, {0}}));
}

TEST_CASE("classes_of_instances: an instance gets the class with the largest sum of logits over its pixels") {
    // One patch of 1 x 3 pixels, two classes. Instance 0 is pixels 0 and 1: sums 1 + 1 = 2 and 0 + 3 = 3, so class 1 wins.
    const uvim::Grid grid{.height = 1, .width = 3, .patch_height = 1, .patch_width = 3};
    const Matrix semantics{{1, 1, 5, /* class 1 */ 0, 3, 4}};
    CHECK(uvim::classes_of_instances(semantics, {"semantics", 2}, {0, 0, 1}, grid) == std::vector<int>{1, 1, 0});
}

TEST_CASE("output_loss: ignored pixels have loss 0 but count in the mean") {
    // One patch of two pixels, two classes with equal logits: ln 2 each.
    const Var logits = Matrix(1, 4);
    const Matrix both = uvim::one_hot({0, 1}, 2, {.height = 1, .width = 2, .patch_height = 1, .patch_width = 2});
    CHECK(uvim::output_loss(logits, both, {"depth", 2, false}).value()(0, 0) == Approx(std::log(2.0)));
    CHECK(uvim::output_loss(logits, both, {"depth", 2, true}).value()(0, 0) == Approx(std::log(2.0) / 2));
}

TEST_CASE("base: the code of another image changes the predicted labels; the same code does not") {
    Random random(3);
    const uvim::Weights w = uvim::make_weights(tiny, random);
    const std::vector<Image> images{Image(4, 6, 3, 0.3f)};
    const Matrix one = uvim::base(uvim::vectors_of({0, 1, 2, 3}, w), images, w, tiny).logits[0].value();
    CHECK(identical(one, uvim::base(uvim::vectors_of({0, 1, 2, 3}, w), images, w, tiny).logits[0].value()));
    CHECK(!identical(one, uvim::base(uvim::vectors_of({0, 1, 2, 4}, w), images, w, tiny).logits[0].value()));
}

TEST_CASE("oracle: each row of the bottleneck has mean 0, and the base model reads unit vectors") {
    Random random(4);
    const uvim::Weights w = uvim::make_weights(tiny, random);
    const std::vector<Matrix> labels{uvim::one_hot(some_labels(3), 3, tiny.grid), uvim::one_hot(some_labels(2), 2, tiny.grid)};
    const uvim::OracleSteps steps = uvim::oracle(labels, {Image(4, 6, 3)}, w, tiny);
    for (int i = 0; i < 4; ++i) {
        double length = 0, mean = 0;
        for (int c = 0; c < 3; ++c) {
            length += std::pow(steps.quantized.output.value()(i, c), 2);
            mean += steps.bottleneck.value()(i, c);
        }
        CHECK(length == Approx(1));
        CHECK(std::abs(mean) < 1e-5);
    }
}

TEST_CASE("sine_positions: the last frequency is 1 / 10000, which MAE's never reaches") {
    const Matrix positions = uvim::sine_positions(1, 2, 8);  // D / 4 = 2 frequencies: 1 and 1 / 10000
    check_close("row of column 1", slice_rows(positions, 1, 1),
                {{std::sin(1.0f), std::sin(1e-4f), std::cos(1.0f), std::cos(1e-4f), 0, 0, 1, 1}});
    CHECK(uvim::sine_positions(1, 31417, 8)(31416, 1) == Approx(std::sin(3.1416)).epsilon(1e-6));  // exactly 1 / 10000
}

TEST_CASE("uvim: an inconsistent config or code throws an error that gives the reason") {
    Random random;
    uvim::Config config = tiny;
    config.code_length = 3;
    CHECK_THROWS_WITH(uvim::make_weights(config, random),
                      "uvim: a code of 3 tokens is not a square grid; set resize_bottleneck to false");
    config.resize_bottleneck = false;
    CHECK_NOTHROW(uvim::make_weights(config, random));
    config.grid.patch_width = 4;
    CHECK_THROWS_WITH(uvim::make_weights(config, random),
                      "uvim: an image of 4 x 6 does not split into patches of 2 x 4; they must divide it");
    const uvim::Weights w = uvim::make_weights(tiny, random);
    CHECK_THROWS_WITH(uvim::base(Matrix(4, 2), {Image(4, 6, 3)}, w, tiny),
                      "uvim: code vectors (4, 2) for codes of 4 tokens of width 3");
    CHECK_THROWS_WITH(uvim::oracle({Matrix(4, 18)}, {Image(4, 6, 3)}, w, tiny),
                      "uvim: labels of 1 outputs for a model of 2, each needs its own");
}

TEST_CASE("uvim: depths, codes and logits that would silently give class 0 are refused") {
    Random random;
    const uvim::Weights w = uvim::make_weights(tiny, random);
    uvim::Config deeper = tiny, no_eps = tiny;
    deeper.base_depth = tiny.base_depth + 1;
    no_eps.eps = -1;
    const int n = tiny.grid.count(), area = tiny.grid.area();
    Matrix logits(n, 2 * area);
    const uvim::Output two{.name = "two", .classes = 2};
    const Matrix code(tiny.code_length, tiny.code_width);
    CHECK_THROWS_WITH(uvim::base(code, {Image(4, 6, 3)}, w, deeper),
                      "uvim: base: the configuration says 2 blocks, the weights hold 1; pass the configuration that the weights "
                      "were made with");
    CHECK_THROWS_WITH(uvim::base(code, {Image(4, 6, 3)}, w, no_eps),
                      "uvim: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    CHECK_THROWS_WITH(uvim::oracle({}, {}, w, tiny), "uvim: labels of 0 outputs for a model of 2, each needs its own");
    CHECK_THROWS_WITH(uvim::depth_classes({NAN}, 0, 1, 4), "uvim: a depth of nan, it must be a number");
    CHECK_THROWS_WITH(
        uvim::depth_classes({0.5f}, 1, 1, 4),
        "uvim: 4 bins of depth from 1.000000 to 1.000000; there must be at least 1, and the first depth below the last");
    CHECK_THROWS_WITH(uvim::depths_of({4}, 0, 1, 4), "uvim: bin 4 of 4 bins of depth, they are counted from 0");
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f}, {0, 4}, 2), "uvim: a permutation names position 4 of 2, counted from 0");
    CHECK_THROWS_WITH(
        uvim::classes_of(logits, 3, tiny.grid),
        "uvim: logits (4, 12) for 3 classes; images of 4 patches need rows for all of them, and 6 columns for each class");
    CHECK_THROWS_WITH(uvim::classes_of_instances(logits, two, {0, 1}, tiny.grid),
                      "uvim: 2 numbers of instances for logits (4, 12), each pixel needs one");
    CHECK_THROWS_WITH(uvim::classes_of_instances(logits, two, std::vector<int>(24, -1), tiny.grid),
                      "uvim: instance -1, they are counted from 0");
    logits[1] = NAN;
    CHECK_THROWS_WITH(uvim::classes_of(logits, 2, tiny.grid),
                      "uvim: the logits (4, 12) hold nan in row 0, column 1 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
}

TEST_CASE(
    "uvim: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const uvim::Config& config) { return uvim::parameters(uvim::make_weights(config, random), config); };
    for (const std::string& path : golden_files("uvim")) {
        const uvim::Config config = golden_config(Golden(path));
        check_given_settings(config, table, uvim::config_of, "the size of the images");
    }
}

TEST_CASE(
    "uvim: config_of keeps the order of the outputs, which of them ignore class 0, and patch sizes that no tensor determines") {
    Random random(1);
    const auto table = [&](const uvim::Config& config) { return uvim::parameters(uvim::make_weights(config, random), config); };
    uvim::Config config = golden_config(Golden(golden_files("uvim")[0]));
    config.outputs = {{"semantics", 4}, {"depth", 3, true}};
    config.oracle_sees_image = config.base_sees_image = false;
    config.grid = {.height = 8, .width = 12, .patch_height = 2, .patch_width = 4};
    check_given_settings(config, table, uvim::config_of, "the size of the images");
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    save(table(config), path, uvim::metadata(config));
    const uvim::Config read = uvim::config_of(Safetensors(path));
    CHECK(read.grid.patch_height == 2);
    CHECK(read.grid.patch_width == 4);
    CHECK(read.grid.height == 8);
    REQUIRE(read.outputs.size() == 2);
    CHECK(read.outputs[1].name == "depth");
    CHECK(read.outputs[1].classes == 3);
    CHECK(read.outputs[1].ignores_class_0);
    CHECK_FALSE(read.outputs[0].ignores_class_0);
    CHECK_FALSE(read.base_sees_image);
    const auto with = [&](const std::string& key, const std::string& sizes) {
        return error_of([&] { uvim::config_of(Safetensors(path), {{key, sizes}}); });
    };
    CHECK(with("image_size", "8,12,3") == path + ": an image size of 3 numbers, it is one side, or height and width");
    CHECK(with("patch_size", "2,4,3") == path + ": a patch size of 3 numbers, it is one side, or height and width");
    CHECK(uvim::config_of(Safetensors(path), {{"patch_size", "2"}}).grid.patch_width == 2);
    for (const bool oracle : {true, false}) {  // a single tensor tells the sides of patches
        config.oracle_sees_image = oracle;
        config.base_sees_image = !oracle;
        std::map<std::string, std::string> without_sides = uvim::metadata(config);
        without_sides.erase("patch_size");
        save(table(config), path, without_sides);
        const uvim::Config told = uvim::config_of(Safetensors(path));
        CHECK(told.oracle_sees_image == oracle);
        CHECK(told.base_sees_image == !oracle);
        CHECK(told.grid.patch_height == 2);
        CHECK(told.grid.patch_width == 4);
    }
}

TEST_CASE("sine_positions, kept_positions: a width without two frequencies and a code without tokens are refused") {
    CHECK_THROWS_WITH(uvim::sine_positions(2, 2, 10), "uvim: positions of width 10, it must be divisible by 4 and at least 8");
    CHECK_THROWS_WITH(uvim::sine_positions(2, 2, 4), "uvim: positions of width 4, it must be divisible by 4 and at least 8");
    CHECK_NOTHROW(uvim::sine_positions(2, 2, 8));
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f}, {}, 0), "uvim: codes of 0 tokens, there must be at least 1");
}

TEST_CASE("uvim: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    const std::string grid = " has no pixels; all must be at least 1", split = "; they must divide it",
                      sizes = ": sizes must be positive";
    const auto with = [](const auto& change) {
        uvim::Config config = tiny;
        change(config);
        return config;
    };
    for (const auto& [config, text] : std::vector<std::pair<uvim::Config, std::string>>{
             {with([](auto& c) { c.grid.height = 0; }), "uvim: an image of 0 x 6 x 3" + grid},
             {with([](auto& c) { c.grid.width = 0; }), "uvim: an image of 4 x 0 x 3" + grid},
             {with([](auto& c) { c.grid.channels = 0; }), "uvim: an image of 4 x 6 x 0" + grid},
             {with([](auto& c) { c.grid.patch_height = 0; }),
              "uvim: an image of 4 x 6 does not split into patches of 0 x 3" + split},
             {with([](auto& c) { c.grid.patch_width = 0; }),
              "uvim: an image of 4 x 6 does not split into patches of 2 x 0" + split},
             {with([](auto& c) { c.grid.patch_height = 3; }),
              "uvim: an image of 4 x 6 does not split into patches of 3 x 3" + split},
             {with([](auto& c) { c.heads = 0; }), "uvim: 0 heads do not divide a width of 8"},
             {with([](auto& c) { c.width = 0; }), "uvim: 2 heads do not divide a width of 0"},
             {with([](auto& c) { c.heads = 3; }), "uvim: 3 heads do not divide a width of 8"},
             {with([](auto& c) { c.outputs.clear(); }),
              "uvim: 0 outputs, codes of 4 of 5 tokens of width 3, inner width 12" + sizes},
             {with([](auto& c) { c.code_length = 0; }),
              "uvim: 2 outputs, codes of 0 of 5 tokens of width 3, inner width 12" + sizes},
             {with([](auto& c) { c.codebook_size = 0; }),
              "uvim: 2 outputs, codes of 4 of 0 tokens of width 3, inner width 12" + sizes},
             {with([](auto& c) { c.code_width = 0; }),
              "uvim: 2 outputs, codes of 4 of 5 tokens of width 0, inner width 12" + sizes},
             {with([](auto& c) { c.mlp_width = 0; }),
              "uvim: 2 outputs, codes of 4 of 5 tokens of width 3, inner width 0" + sizes},
             {with([](auto& c) { c.outputs[1].classes = 0; }),
              "uvim: the output instances has 0 classes, it must have at least 1"},
             {with([](auto& c) { c.oracle_depth = -1; }), "uvim: depths -1 and 1, neither may be negative"},
             {with([](auto& c) { c.base_depth = -1; }), "uvim: depths 1 and -1, neither may be negative"},
             {with([](auto& c) { c.standardise_eps = -1; }),
              "uvim: bottleneck: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"}})
        CHECK_THROWS_WITH(uvim::make_weights(config, random), text.c_str());
    const uvim::Config least{.grid = {.height = 1, .width = 1, .patch_height = 1, .patch_width = 1, .channels = 1},
                             .outputs = {{"one", 1}},
                             .width = 8,
                             .oracle_depth = 0,
                             .base_depth = 0,
                             .heads = 1,
                             .mlp_width = 1,
                             .code_length = 1,
                             .codebook_size = 1,
                             .code_width = 1};
    CHECK_NOTHROW(uvim::base(Matrix(1, 1), {Image(1, 1, 1)}, uvim::make_weights(least, random), least));
    uvim::Config narrow = least;
    narrow.learned_positions = true;  // sines need a width of 8
    narrow.width = 1;
    CHECK_NOTHROW(uvim::make_weights(narrow, random));
}

TEST_CASE("cut, one_hot, base, losses: each argument check fails by itself") {
    Random random;
    const uvim::Weights w = uvim::make_weights(tiny, random);
    const Image image(4, 6, 3);
    CHECK_THROWS_WITH(uvim::cut({}, tiny.grid, "uvim"), "uvim: there is no image; give at least one");
    for (const Image& other : {Image(5, 6, 3), Image(4, 7, 3), Image(4, 6, 1)})
        CHECK(error_of([&] {
                  uvim::cut({image, other}, tiny.grid, "uvim");
              }) == "uvim: image 1 is " + shape(other) + ", this model reads 4 x 6 x 3");
    CHECK_THROWS_WITH(uvim::one_hot({}, 3, tiny.grid), "uvim: 0 labels are not whole images of 4 x 6");
    const uvim::Grid pair{.height = 1, .width = 4, .patch_height = 1, .patch_width = 2};
    CHECK(identical(uvim::one_hot({-1, 3, -1, -1}, 3, pair), Matrix(2, 6)));  // none is one of three classes
    const auto refusal = [&](const Matrix& code) { return error_of([&] { uvim::base(code, {image}, w, tiny); }); };
    const std::string codes = " for codes of 4 tokens of width 3";
    CHECK(refusal(Matrix(4, 3)) == "");
    CHECK(refusal(Matrix(0, 3)) == "uvim: code vectors (0, 3)" + codes);
    CHECK(refusal(Matrix(3, 3)) == "uvim: code vectors (3, 3)" + codes);

    const std::vector<Matrix> labels{uvim::one_hot(some_labels(3), 3, tiny.grid), uvim::one_hot(some_labels(2), 2, tiny.grid)};
    uvim::Steps steps = uvim::forward(labels, {image}, {}, w, tiny);
    CHECK_NOTHROW(uvim::losses(steps, labels, tiny));
    CHECK_THROWS_WITH(uvim::losses(steps, {labels[0]}, tiny),
                      "uvim: labels of 1 outputs and logits of 2 for a model of 2, each needs its own");
    CHECK_THROWS_WITH(uvim::output_loss(Matrix(4, 18), Matrix(4, 12), {"semantics", 3}),
                      "uvim: logits (4, 18) for labels (4, 12), the shapes must be equal");
    steps.base.logits.pop_back();
    CHECK_THROWS_WITH(uvim::losses(steps, {labels[0]}, tiny),
                      "uvim: labels of 1 outputs and logits of 1 for a model of 2, each needs its own");
    CHECK_THROWS_WITH(uvim::losses(steps, labels, tiny),
                      "uvim: labels of 2 outputs and logits of 1 for a model of 2, each needs its own");
}

TEST_CASE("classes_of, depth_classes, depths_of, kept_positions: each argument check fails by itself") {
    const uvim::Grid pixel{.height = 1, .width = 1, .patch_height = 1, .patch_width = 1};
    const auto classes = [](const Matrix& logits, int count, const uvim::Grid& grid) {
        return error_of([&] { uvim::classes_of(logits, count, grid); });
    };
    const std::string one = " classes; images of 1 patches need rows for all of them, and 1 columns for each class";
    CHECK(classes(Matrix(1, 1), 1, pixel) == "");
    CHECK(classes(Matrix(1, 0), 0, pixel) == "uvim: logits (1, 0) for 0" + one);
    CHECK(classes(Matrix(0, 1), 1, pixel) == "uvim: logits (0, 1) for 1" + one);
    CHECK(classes(Matrix(1, 2), 1, pixel) == "uvim: logits (1, 2) for 1" + one);
    CHECK(classes(Matrix(3, 6), 1, tiny.grid) ==
          "uvim: logits (3, 6) for 1 classes; images of 4 patches need rows for all of them, and 6 columns for each class");
    CHECK(uvim::classes_of({{2, 2}}, 2, pixel) == std::vector<int>{0});  // of equal classes the first

    const std::string depths = "; there must be at least 1, and the first depth below the last";
    CHECK(uvim::depth_classes({0.5f}, 0, 1, 1) == std::vector<int>{0});
    CHECK(uvim::depths_of({0}, 0, 1, 1) == std::vector<float>{0.5f});
    CHECK(error_of([] { uvim::depth_classes({0.5f}, 0, 1, 0); }) == "uvim: 0 bins of depth from 0.000000 to 1.000000" + depths);
    CHECK(error_of([] { uvim::depths_of({}, 0, 1, 0); }) == "uvim: 0 bins of depth from 0.000000 to 1.000000" + depths);
    CHECK(error_of([] { uvim::depths_of({}, 1, 1, 4); }) == "uvim: 4 bins of depth from 1.000000 to 1.000000" + depths);
    CHECK_THROWS_WITH(uvim::depths_of({-1}, 0, 1, 4), "uvim: bin -1 of 4 bins of depth, they are counted from 0");

    CHECK(identical(uvim::kept_positions({0.5f, 0.49f}, {}, 1), Matrix{{0}, {1}}));  // importance 1/2
    CHECK_THROWS_WITH(uvim::kept_positions({NAN}, {}, 1), "uvim: a threshold of nan, it must be a number");
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f}, {-1}, 1), "uvim: a permutation names position -1 of 1, counted from 0");
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f}, {1}, 1), "uvim: a permutation names position 1 of 1, counted from 0");
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f}, {0, 0}, 1),
                      "uvim: 2 numbers are not permutations of 1 positions for 1 images");
}

TEST_CASE("base, oracle: a model that does not see the image reads none") {
    Random random(5);
    uvim::Config blind = tiny;
    blind.oracle_sees_image = blind.base_sees_image = false;
    const uvim::Weights w = uvim::make_weights(blind, random);
    const std::vector<Matrix> labels{uvim::one_hot(some_labels(3), 3, tiny.grid), uvim::one_hot(some_labels(2), 2, tiny.grid)};
    const uvim::Steps without = uvim::forward(labels, {}, {}, w, blind);
    const uvim::Steps with = uvim::forward(labels, {Image(4, 6, 3, 0.5f)}, {}, w, blind);
    CHECK(identical(without.base.logits[0].value(), with.base.logits[0].value()));
}

TEST_CASE("make_weights: learned positions have the standard deviation 1 / sqrt(D)") {
    Random random(5);
    uvim::Config config = tiny;
    config.learned_positions = true;
    config.width = 64;
    const uvim::Weights w = uvim::make_weights(config, random);
    for (const Var& positions : {w.oracle_positions, w.base_positions}) {
        double squares = 0;
        for (const float x : positions.value()) squares += static_cast<double>(x) * x;
        CHECK(squares / static_cast<double>(positions.value().size()) * 64 == Approx(1).epsilon(0.2));
    }
}

TEST_CASE("uvim::Output: the defaults") {
    const uvim::Output usual{};
    CHECK(usual.classes == 0);
    CHECK(!usual.ignores_class_0);
}

TEST_CASE("uvim::Grid: the defaults") {
    const uvim::Grid usual{};
    CHECK(usual.height == 512);
    CHECK(usual.width == 512);
    CHECK(usual.patch_height == 16);
    CHECK(usual.patch_width == 16);
    CHECK(usual.channels == 3);
}

TEST_CASE("uvim::Config: the defaults") {
    const uvim::Config usual{};
    CHECK(usual.outputs.size() == 2);
    CHECK(usual.outputs[0].name == "semantics");
    CHECK(usual.outputs[0].classes == 134);
    CHECK(usual.outputs[1].name == "instances");
    CHECK(usual.outputs[1].classes == 100);
    CHECK(usual.width == 768);
    CHECK(usual.oracle_depth == 6);
    CHECK(usual.base_depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(!usual.learned_positions);
    CHECK(!usual.oracle_sees_image);
    CHECK(usual.base_sees_image);
    CHECK(usual.code_length == 256);
    CHECK(usual.resize_bottleneck);
    CHECK(usual.codebook_size == 4096);
    CHECK(usual.code_width == 768);
    CHECK(usual.momentum == 0.995f);
    CHECK(usual.min_count == 0.1f);
    CHECK(usual.perturb == 0.001f);
    CHECK(usual.commitment == 0);
    CHECK(usual.standardise_eps == 1e-5f);
    CHECK(usual.eps == 1e-6f);
}

TEST_CASE("kept_positions: a permutation that names a position twice is refused") {
    CHECK_THROWS_WITH(uvim::kept_positions({0.5f, 0.5f}, {0, 1, 1, 1}, 2),
                      "uvim: the permutation of image 1 names position 1 twice, each once is needed");
    CHECK_NOTHROW(uvim::kept_positions({0.5f, 0.5f}, {0, 1, 1, 0}, 2));
}

TEST_CASE("uvim: dictionaries, codes, grids, classes and kept positions that are none are refused") {
    Random random(1);
    const auto refusal = [&](float uvim::Config::*which, float value) {
        uvim::Config other = tiny;
        other.*which = value;
        return error_of([&] { uvim::make_weights(other, random); });
    };
    for (const float value : {NAN, -0.5f, 1.5f}) {
        CHECK(refusal(&uvim::Config::momentum, value).starts_with("uvim: a dictionary of momentum "));
        CHECK(refusal(&uvim::Config::perturb, value).starts_with("uvim: a dictionary of momentum "));
    }
    CHECK(refusal(&uvim::Config::momentum, 1).starts_with("uvim: a dictionary of momentum 1"));
    CHECK(refusal(&uvim::Config::momentum, 0).empty());
    for (const float value : {0.0f, 1.0f}) CHECK(refusal(&uvim::Config::perturb, value).empty());
    for (const float value : {NAN, INFINITY, -1.0f}) {
        CHECK(refusal(&uvim::Config::min_count, value).ends_with(", both must be finite and at least 0"));
        CHECK(refusal(&uvim::Config::commitment, value).ends_with(", both must be finite and at least 0"));
    }
    uvim::Config other = tiny;
    other.code_length = -4;
    CHECK(error_of([&] { uvim::code_side(other); }) == "uvim: a code of -4 tokens, it must have at least 1");
    CHECK(error_of([] {
              check(uvim::Grid{65536, 65536, 1, 1, 3}, "uvim");
          }).ends_with(" holds more numbers than an int can count"));
    CHECK_NOTHROW(check(uvim::Grid{1, 2147483647, 1, 1, 1}, "uvim"));
    CHECK(error_of([] { uvim::one_hot(some_labels(3), 0, tiny.grid); }) ==
          "uvim: an output of 0 classes, it must have at least 1");
    CHECK(uvim::one_hot(std::vector<int>(24), 1, tiny.grid).cols == tiny.grid.area());
    const Matrix labels(4, 18);
    for (const int classes : {0, 4})
        CHECK(error_of([&] {
                  uvim::output_loss(labels, labels, {.name = "semantics", .classes = classes});
              }).ends_with(" classes, whose number must divide the columns"));
    for (const float kept : {0.5f, NAN})
        CHECK(error_of([&] { uvim::forward({}, {}, Matrix(4, 1, kept), {}, tiny); }).ends_with(", it must be 1 (kept) or 0"));
    CHECK(error_of([] {
              uvim::parameters({}, tiny);
          }).starts_with("uvim: label embeddings: the configuration says 2 layers, the weights hold 0"));
    uvim::Weights w = uvim::make_weights(tiny, random);
    w.heads.pop_back();
    CHECK(error_of([&] {
              uvim::parameters(w, tiny);
          }).starts_with("uvim: heads: the configuration says 2 layers, the weights hold 1"));
}

TEST_SUITE_END();
