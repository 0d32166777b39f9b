#include "vit/detect/vild.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("vild");

static vild::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::string distill = file.metadata_text("visual_feature_distill");
    REQUIRE((distill == "vanilla" || distill == "double_branch"));
    REQUIRE(file.metadata_int("num_convs") == 0);
    REQUIRE(!golden.flag("use_batch_norm"));
    return {.region_height = file.metadata_int("roi_height"),
            .region_width = file.metadata_int("roi_width"),
            .region_channels = file.metadata_int("num_filters"),
            .layers = file.metadata_int("num_fcs"),
            .hidden = file.metadata_int("fc_dims"),
            .clip_width = file.metadata_int("clip_dim"),
            .classes = file.metadata_int("num_classes") - 1,  // theirs counts background
            .double_branch = distill == "double_branch",
            .unit_classifier = golden.flag("normalize_classifier"),
            .unit_regions = golden.flag("normalize_visual"),
            .temperature = static_cast<float>(file.metadata_double("temperature")),
            .distill_weight = static_cast<float>(file.metadata_double("feat_distill_weight")),
            .mask_rare = golden.flag("mask_rare")};
}

// (B, regions, h, w, c) -> (B*regions, h*w*c)
static Matrix regions_of(const Golden& golden, const std::string& name) {
    const std::vector<int> d = dimensions_of(golden, "input." + name);
    return reshape(golden.input(name), d[0] * d[1], d[2] * d[3] * d[4]);
}

TEST_CASE("parity: embeddings, logits, both losses, every gradient and the ensemble of the published code") {
    for (const std::string& path : golden_files("vild")) {
        const Golden golden(path);
        const vild::Config config = config_of_fixture(golden);
        Random random;
        const vild::Weights w = vild::make_weights(config, random);
        const Parameters parameters = vild::parameters(w, config);
        golden.load_weights(parameters);
        const vild::Distillation distillation{regions_of(golden, "distill_roi_features"), golden.input("clip_image_embeddings"),
                                              golden.input("distill_boxes")};
        const std::vector<int> base = golden.integers("input.base_class_mask");
        const Matrix regions = regions_of(golden, "roi_features");

        const Tape tape;
        const vild::Steps steps =
            vild::training_losses(regions, golden.integers("input.class_targets"), distillation, base, w, config);

        golden.check("projected", steps.regions.projected.value());
        golden.check("region_embeddings", steps.regions.embeddings.value());
        golden.check("class_logits", steps.logits.value());
        const Matrix text = vild::text_probabilities(steps.logits.value());
        golden.check("class_probability", text);
        golden.check("distill_region_embeddings", steps.distilled.embeddings.value());
        golden.check("distill_targets", steps.targets);
        golden.check_integers("valid_rois", steps.valid);
        golden.check("text_loss", steps.text_loss.value());
        golden.check("image_loss", steps.image_loss.value());
        golden.check("loss", steps.loss.value());
        if (config.double_branch) {
            const NoTape inference;
            const Var embeddings = vild::embed_regions(regions, w.image, config).embeddings;
            const Matrix cosines = vild::class_cosines(embeddings, w, config).value();
            const Matrix image = vild::image_probabilities(cosines);
            golden.check("image_branch_embeddings", embeddings.value());
            golden.check("image_branch_logits", cosines);
            golden.check("image_branch_probability", image);
            golden.check("ensemble_probability", vild::ensemble(text, image, base));
        }

        backward(steps.loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

static const vild::Config tiny{
    .region_height = 1, .region_width = 2, .region_channels = 3, .layers = 1, .hidden = 5, .clip_width = 2, .classes = 3};

TEST_CASE("logits: background first, the temperature multiplies, lengths do not matter") {
    Random random(1);
    vild::Weights w = vild::make_weights(tiny, random);
    w.background = parameter({{0}, {7}});       // straight up
    w.classes = Matrix{{1, 3, -2}, {0, 4, 0}};  // to the right; (3, 4) / 5; to the left
    const Matrix cosines = vild::logits(Matrix{{1, 0}}, w, tiny).value();
    check_close("logits", cosines, {{0, 100, 60, -100}});
    check_close("without background", vild::class_cosines(Matrix{{1, 0}}, w, tiny).value(), {{100, 60, -100}});
    check_close("probabilities", vild::text_probabilities({{std::log(2.0f), 0, 0}}), {{0.25f, 0.25f}});
}

TEST_CASE("make_weights: Xavier-uniform layers, classes in random directions, a background near 0") {
    vild::Config wide = tiny;
    wide.region_height = 3, wide.region_width = 4, wide.layers = 2, wide.hidden = 50, wide.clip_width = 70, wide.classes = 20;
    wide.double_branch = true;
    Random random(2);
    const vild::Weights w = vild::make_weights(wide, random);
    for (const vild::Branch& branch : {w.text, w.image}) {
        CHECK(root_mean_square(branch.layers[0].weight.value()) / xavier_deviation(36, 50) == Approx(1).epsilon(0.06));
        CHECK(root_mean_square(branch.layers[1].weight.value()) / xavier_deviation(50, 50) == Approx(1).epsilon(0.06));
        CHECK(root_mean_square(branch.project.weight.value()) / xavier_deviation(50, 70) == Approx(1).epsilon(0.06));
    }
    CHECK(root_mean_square(w.classes.value()) == Approx(1).epsilon(0.1));
    CHECK(root_mean_square(w.background.value()) / 0.01 == Approx(1).epsilon(0.3));
}

TEST_CASE("ensemble: the text branch counts twice for base classes, the image branch for novel ones") {
    // base: 0.8^(2/3) 0.1^(1/3) = (0.064)^(1/3) = 0.4; novel: 0.8^(1/3) 0.1^(2/3) = (0.008)^(1/3) = 0.2
    check_close("ensemble", vild::ensemble({{0.8f, 0.8f}}, {{0.1f, 0.1f}}, {1, 0}), {{0.4f, 0.2f}});
    CHECK(error_of([] { vild::ensemble(Matrix(1, 2), Matrix(1, 2), {1}); }) ==
          "ensemble: (1, 2) and (1, 2) with 1 marks of base classes; both must have the same shape, and each class one mark");
}

TEST_CASE("training_losses: padding does not count, and sentences are not trained") {
    Random random(2);
    const vild::Weights w = vild::make_weights(tiny, random);
    const Matrix regions = normal_matrix(random, 2, 6), clip = normal_matrix(random, 3, 2);
    vild::Distillation distillation{normal_matrix(random, 3, 6), clip, {{0, 0, 1, 1}, {0, 0, 0, 0}, {0, 0.5f, 0, 0}}};
    const Tape tape;
    const vild::Steps steps = vild::training_losses(regions, {0, 3}, distillation, {}, w, tiny);
    CHECK(steps.valid == std::vector<int>{1, 0, 1});
    double by_hand = 0;
    for (const int i : {0, 2})
        for (int j = 0; j < 2; ++j) by_hand += std::abs(steps.distilled.embeddings.value()(i, j) - steps.targets(i, j)) / 2;
    CHECK(steps.image_loss.value()[0] == Approx(by_hand));
    backward(steps.loss);
    CHECK(w.classes.gradient().empty());
    CHECK_FALSE(w.background.gradient().empty());
    distillation.boxes = Matrix(3, 4);
    CHECK(vild::training_losses(regions, {0, 3}, distillation, {}, w, tiny).image_loss.value()[0] == 0);
}

TEST_CASE("training_losses: the logit of a novel class is 0, not excluded") {
    Random random(3);
    vild::Config config = tiny;
    config.mask_rare = true;
    const vild::Weights w = vild::make_weights(config, random);
    const Matrix regions = normal_matrix(random, 1, 6);
    const vild::Distillation distillation{normal_matrix(random, 1, 6), normal_matrix(random, 1, 2), {{0, 0, 1, 1}}};
    const vild::Steps steps = vild::training_losses(regions, {1}, distillation, {1, 0, 1}, w, config);
    Matrix masked = steps.logits.value();
    masked(0, 2) = 0;
    CHECK(steps.text_loss.value()[0] == Approx(cross_entropy(masked, {1}).value()[0]));
    masked = steps.logits.value();
    masked(0, 1) = 0;  // the first class: column 0 is background
    CHECK(vild::training_losses(regions, {2}, distillation, {0, 1, 1}, w, config).text_loss.value()[0] ==
          Approx(cross_entropy(masked, {2}).value()[0]));
    CHECK(error_of([&] { vild::training_losses(regions, {1}, distillation, {1}, w, config); }) ==
          "vild: 1 marks of base classes for 3 classes, each needs one: 1 (base) or 0 (novel)");
    CHECK(error_of([&] {
              vild::training_losses(Matrix(1, 5), {1}, distillation, {1, 0, 1}, w, config);
          }) == "vild: regions (1, 5) and (1, 6), this model reads rows of 1 x 2 x 3 numbers");
}

TEST_CASE("training_losses: a wrong depth, empty or mismatched regions and wrong labels are refused") {
    Random random(4);
    const vild::Weights w = vild::make_weights(tiny, random);
    const vild::Distillation none{Matrix(0, 6), Matrix(0, 2), Matrix(0, 4)};
    vild::Config deeper = tiny, rare = tiny;
    deeper.layers = 2;
    rare.mask_rare = true;
    CHECK_THROWS_WITH(
        vild::training_losses(Matrix(1, 6), {0}, none, {}, w, deeper),
        "vild: the configuration says 2 layers, the weights hold 1; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(vild::training_losses(Matrix(0, 6), {}, none, {}, w, tiny),
                      "vild: regions (0, 6), there must be at least one");
    CHECK_THROWS_WITH(vild::training_losses(Matrix(1, 5), {0}, none, {}, w, tiny),
                      "vild: regions (1, 5) and (0, 6), this model reads rows of 1 x 2 x 3 numbers");
    const auto rule_of = [&](const Matrix& embeddings, const Matrix& boxes) {
        return error_of([&] { vild::training_losses(Matrix(1, 6), {0}, {Matrix(2, 6), embeddings, boxes}, {}, w, tiny); });
    };
    const std::string rule = ", width 2; each proposal needs an embedding of that width and a box of 4 numbers";
    CHECK(rule_of(Matrix(1, 2), Matrix(2, 4)) == "vild: 2 proposals with CLIP's embeddings (1, 2) and boxes (2, 4)" + rule);
    CHECK(rule_of(Matrix(2, 3), Matrix(2, 4)) == "vild: 2 proposals with CLIP's embeddings (2, 3) and boxes (2, 4)" + rule);
    CHECK(rule_of(Matrix(2, 2), Matrix(1, 4)) == "vild: 2 proposals with CLIP's embeddings (2, 2) and boxes (1, 4)" + rule);
    CHECK(rule_of(Matrix(2, 2), Matrix(2, 5)) == "vild: 2 proposals with CLIP's embeddings (2, 2) and boxes (2, 5)" + rule);
    CHECK_THROWS_WITH(vild::training_losses(Matrix(1, 6), {0}, none, {1, 2, 0}, w, rare),
                      "vild: a class is marked 2, it must be 1 (base) or 0 (novel)");
    CHECK_THROWS_WITH(vild::training_losses(Matrix(1, 6), {0}, none, {1}, w, rare),
                      "vild: 1 marks of base classes for 3 classes, each needs one: 1 (base) or 0 (novel)");
    CHECK(without_place(error_of([&] { vild::training_losses(Matrix(1, 6), {4}, none, {}, w, tiny); })) ==
          "token_losses: label 4 is not one of 4 classes, nor -100 (ignored)");
    CHECK_THROWS_WITH(vild::ensemble({{0.5f, 3}}, {{0.5f, 0.5f}}, {1, 0}),
                      "ensemble: a probability of 3.000000, it must lie between 0 and 1; text_probabilities and "
                      "image_probabilities make them of logits");
    CHECK_THROWS_WITH(vild::ensemble({{0.5f, 0.5f}}, {{0.5f, 0.5f}}, {1, 7}),
                      "ensemble: a class is marked 7, it must be 1 (base) or 0 (novel)");
    CHECK_THROWS_WITH(
        vild::ensemble({{0.5f, 0.5f}}, {{0.5f, 0.5f}}, {1}),
        "ensemble: (1, 2) and (1, 2) with 1 marks of base classes; both must have the same shape, and each class one mark");
}

TEST_CASE(
    "vild: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const vild::Config& config) { return vild::parameters(vild::make_weights(config, random), config); };
    for (const std::string& path : golden_files("vild")) {
        const vild::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, vild::config_of, "the height of a region");
        const TemporaryFolder folder;
        const std::string saved = folder.path("vild.safetensors");
        std::vector<TensorToWrite> without_layers;
        for (const Parameter& parameter : table(config))
            if (parameter.name.find("/fc") == std::string::npos)
                without_layers.push_back({parameter.name, parameter.shape, published_value(parameter)});
        write_safetensors(saved, without_layers, vild::metadata(config));
        CHECK(error_of([&] { vild::config_of(Safetensors(saved)); }).find("frcnn_layer_0/fast_rcnn_head/fc6/kernel") !=
              std::string::npos);
    }
}

TEST_CASE("vild: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<vild::Config, std::string>>{
             {{.region_height = 0},
              "vild: regions of 0 x 7 x 256, 2 layers of 1024, CLIP's width 512, 1203 classes: all must be at least 1"},
             {{.region_width = 0},
              "vild: regions of 7 x 0 x 256, 2 layers of 1024, CLIP's width 512, 1203 classes: all must be at least 1"},
             {{.region_channels = 0},
              "vild: regions of 7 x 7 x 0, 2 layers of 1024, CLIP's width 512, 1203 classes: all must be at least 1"},
             {{.layers = 0},
              "vild: regions of 7 x 7 x 256, 0 layers of 1024, CLIP's width 512, 1203 classes: all must be at least 1"},
             {{.hidden = 0},
              "vild: regions of 7 x 7 x 256, 2 layers of 0, CLIP's width 512, 1203 classes: all must be at least 1"},
             {{.clip_width = 0},
              "vild: regions of 7 x 7 x 256, 2 layers of 1024, CLIP's width 0, 1203 classes: all must be at least 1"},
             {{.classes = 0},
              "vild: regions of 7 x 7 x 256, 2 layers of 1024, CLIP's width 512, 0 classes: all must be at least 1"},
             {{.temperature = 0}, "vild: temperature 0.000000 must be positive, weight 0.500000 may not be negative"},
             {{.distill_weight = -1}, "vild: temperature 100.000000 must be positive, weight -1.000000 may not be negative"},
         })
        CHECK_THROWS_WITH(vild::make_weights(config, random), text.c_str());
    const vild::Config smallest{.region_height = 1,
                                .region_width = 1,
                                .region_channels = 1,
                                .layers = 1,
                                .hidden = 1,
                                .clip_width = 1,
                                .classes = 1,
                                .temperature = 0.5f,
                                .distill_weight = 0};
    CHECK_NOTHROW(vild::check(smallest));
}

TEST_CASE("ensemble: tables of two shapes and probabilities below 0 or above 1 are refused, 0 and 1 are allowed") {
    CHECK_NOTHROW(vild::ensemble({{0, 1}}, {{1, 0}}, {0, 1}));
    const std::string rule = " marks of base classes; both must have the same shape, and each class one mark";
    CHECK(error_of([] { vild::ensemble(Matrix(1, 2), Matrix(2, 2), {0, 1}); }) == "ensemble: (1, 2) and (2, 2) with 2" + rule);
    CHECK(error_of([] { vild::ensemble(Matrix(1, 2), Matrix(1, 2), {0}); }) == "ensemble: (1, 2) and (1, 2) with 1" + rule);
    const std::string between = ", it must lie between 0 and 1; text_probabilities and image_probabilities make them of logits";
    CHECK(error_of([] { vild::ensemble({{0, 1}}, {{-0.5f, 0}}, {0, 1}); }) == "ensemble: a probability of -0.500000" + between);
    CHECK(error_of([] { vild::ensemble({{0, 1.5f}}, {{1, 0}}, {0, 1}); }) == "ensemble: a probability of 1.500000" + between);
}

TEST_CASE("training_losses, config_of: regions of the wrong size, and sizes that do not divide the inputs, are refused") {
    Random random(5);
    const vild::Weights w = vild::make_weights(tiny, random);
    CHECK_THROWS_WITH(vild::training_losses(Matrix(1, 6), {0}, {Matrix(0, 5), Matrix(0, 2), Matrix(0, 4)}, {}, w, tiny),
                      "vild: regions (1, 6) and (0, 5), this model reads rows of 1 x 2 x 3 numbers");
    const TemporaryFolder folder;
    const std::string path = folder.path("vild.safetensors");
    std::map<std::string, std::string> settings = vild::metadata(tiny);
    const auto refusal = [&](const std::string& height, const std::string& width) {
        settings["roi_height"] = height;
        settings["roi_width"] = width;
        save(vild::parameters(w, tiny), path, settings);
        return error_of([&] { vild::config_of(Safetensors(path), {}); });
    };
    const std::string divide = " positions do not divide the 6 inputs of the first layer; give its roi_height and roi_width";
    CHECK(refusal("1", "2") == "");
    CHECK(refusal("1", "1") == "");
    CHECK(refusal("1", "4") == path + ": regions of 1 x 4" + divide);
    CHECK(refusal("0", "2") == path + ": regions of 0 x 2" + divide);
}

TEST_CASE("vild::Config: the defaults") {
    const vild::Config usual{};
    CHECK(usual.region_height == 7);
    CHECK(usual.region_width == 7);
    CHECK(usual.region_channels == 256);
    CHECK(usual.layers == 2);
    CHECK(usual.hidden == 1024);
    CHECK(usual.clip_width == 512);
    CHECK(usual.classes == 1203);
    CHECK(!usual.double_branch);
    CHECK(usual.unit_classifier);
    CHECK(usual.unit_regions);
    CHECK(usual.temperature == 100);
    CHECK(usual.distill_weight == 0.5f);
    CHECK(!usual.mask_rare);
}

TEST_SUITE_END();
