#include "vit/detect/owl_vit.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"
#include "vit/detect/boxes.h"

TEST_SUITE_BEGIN("owl_vit");

static owl_vit::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const char* key) { return static_cast<float>(file.metadata_double(key)); };
    const int side = file.metadata_int("vision_config.image_size");
    const Activation activation = activation_of_name(file.metadata_text("hidden_act"));
    owl_vit::Config config;
    config.clip.vision = {.grid = {.height = side,
                                   .width = side,
                                   .patch_size = file.metadata_int("vision_config.patch_size"),
                                   .channels = golden.file.dimension("input.pixel_values", 1)},
                          .width = file.metadata_int("vision_config.hidden_size"),
                          .depth = file.metadata_int("vision_config.num_hidden_layers"),
                          .heads = file.metadata_int("vision_config.num_attention_heads"),
                          .mlp_width = file.metadata_int("vision_config.intermediate_size"),
                          .eps = number("layer_norm_eps"),
                          .activation = activation};
    config.clip.text = {.vocabulary = file.metadata_int("text_config.vocab_size"),
                        .positions = file.metadata_int("text_config.max_position_embeddings"),
                        .width = file.metadata_int("text_config.hidden_size"),
                        .depth = file.metadata_int("text_config.num_hidden_layers"),
                        .heads = file.metadata_int("text_config.num_attention_heads"),
                        .mlp_width = file.metadata_int("text_config.intermediate_size"),
                        .eps = number("layer_norm_eps"),
                        .activation = activation};
    config.clip.shared_width = file.metadata_int("projection_dim");
    config.class_cost = number("cost_class");
    config.box_cost = number("cost_bbox");
    config.overlap_cost = number("cost_giou");
    config.class_weight = number("loss_class");
    config.box_weight = number("loss_bbox");
    config.overlap_weight = number("loss_giou");
    config.focal_alpha = number("focal_alpha");
    config.focal_gamma = number("focal_gamma");
    config.absent_logit = number("masked_logit");
    return config;
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    return {.sequences = golden.file.dimension("input.tokens", 0),
            .length = golden.file.dimension("input.tokens", 1),
            .ids = golden.integers("input.tokens"),
            .mask = numbers_of(golden, "input.attention_mask")};
}

static std::vector<owl_vit::Target> targets_of_fixture(const Golden& golden) {
    const std::vector<int> counts = golden.integers("input.target_counts"), labels = golden.integers("input.target_labels");
    const int M = golden.file.dimension("input.target_labels", 1);
    const Matrix boxes = golden.input("target_boxes");  // (B*M, 4)
    std::vector<owl_vit::Target> targets;
    for (int b = 0; b < static_cast<int>(counts.size()); ++b)
        targets.push_back(
            {std::vector<int>(labels.begin() + b * M, labels.begin() + b * M + counts[b]), slice_rows(boxes, b * M, counts[b])});
    return targets;
}

// The fixture's (B, N, M) costs, 0 where there is no target, and the token of each target, -1 where there is none.
static void check_matching(const Golden& golden, const owl_vit::Losses& losses) {
    const int B = golden.file.dimension("expected.match", 0), M = golden.file.dimension("expected.match", 1);
    const int N = golden.file.dimension("expected.match_cost", 1);
    Matrix cost(B * N, M);
    std::vector<int> tokens(B * M, -1);
    for (int b = 0; b < B; ++b) {
        for (int n = 0; n < N; ++n)
            for (int t = 0; t < losses.costs[b].cols; ++t) cost(b * N + n, t) = losses.costs[b](n, t);
        for (const Matched& pair : losses.matches[b]) tokens[b * M + pair.column] = pair.row;
    }
    golden.check("match_cost", cost);
    golden.check_integers("match", tokens);
}

TEST_CASE("parity: every step, the matching, every loss and gradient of the published code") {
    for (const std::string& path : golden_files("owl_vit")) {
        const Golden golden(path);
        const owl_vit::Config config = config_of_fixture(golden);
        Random random;
        const owl_vit::Weights w = owl_vit::make_weights(config, random);
        const Parameters parameters = owl_vit::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const owl_vit::Steps steps =
            owl_vit::forward(images_of(golden, "input.pixel_values"), texts_of_fixture(golden), w, config);
        const owl_vit::Losses losses = owl_vit::losses(steps, targets_of_fixture(golden), config);

        golden.check("vision_model.embeddings", steps.image.embeddings.value());
        check_stack(golden, steps.image.encoder, config.clip.vision.depth, {{"vision_model.layer.#", Step::output}});
        check_stack(golden, steps.text.encoder, config.clip.text.depth, {{"text_model.layer.#", Step::output}});
        golden.check("image_features", steps.features.value());
        golden.check("text_embeds", steps.queries.value());
        golden.check("class_embeds", steps.class_embeddings.value());
        golden.check("logit_shift", steps.shift.value());
        golden.check_integers("query_mask", steps.present);
        golden.check("box_bias", owl_vit::box_bias(config.clip.vision.grid));
        golden.check("box_raw", steps.box_raw.value());
        golden.check("pred_boxes", steps.boxes.value());
        golden.check("pred_boxes_corners", convert_boxes(steps.boxes, BoxFormat::centre_size, BoxFormat::corners).value());
        golden.check("logits", steps.logits.value());
        golden.check("scores", sigmoid(steps.logits).value());
        check_matching(golden, losses);
        golden.check("loss_class", losses.classes.value());
        golden.check("loss_bbox", losses.boxes.value());
        golden.check("loss_giou", losses.overlap.value());
        golden.check("loss", losses.total.value());

        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// Images of 4 x 6 in patches of 2: 2 x 3 tokens.
static owl_vit::Config tiny_config() {
    owl_vit::Config config;
    config.clip.vision = {
        .grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 1}, .width = 8, .depth = 1, .heads = 2, .mlp_width = 6};
    config.clip.text = {.vocabulary = 10, .positions = 5, .width = 6, .depth = 1, .heads = 3, .mlp_width = 5};
    config.clip.shared_width = 6;
    return config;
}

static Image random_image(Random& random) {
    Image image(4, 6, 1);
    for (float& x : image.pixels) x = random.normal();
    return image;
}

// Two queries, the second one absent: token 9 ends a text.
static const TokenBatch one_and_none{.sequences = 2, .length = 3, .ids = {8, 3, 9, 0, 0, 0}, .mask = {{1, 1, 1}, {0, 0, 0}}};

TEST_CASE("box_bias: boxes start at the lower right corner of their cell, one cell large") {
    // token 1 of 2 x 3: column 1, row 0: x = 2/3, y = 1/2, w = 1/3, h = 1/2. log(v + 1e-4) - log(1 - v + 1e-4), sigmoid of which is v again
    const Matrix boxes = sigmoid(owl_vit::box_bias(tiny_config().clip.vision.grid)).value();
    for (const auto& [j, v] : {std::pair{0, 2.0 / 3}, std::pair{1, 0.5}, std::pair{2, 1.0 / 3}, std::pair{3, 0.5}})
        CHECK(boxes(1, j) == Approx(v).epsilon(2e-4));
    CHECK(owl_vit::box_bias(tiny_config().clip.vision.grid)(5, 0) ==
          Approx(std::log(1.0001 / 0.0001)));  // the last column: v = 1
}

TEST_CASE("make_weights: the heads are Xavier-uniform") {
    owl_vit::Config wide = tiny_config();
    wide.clip.vision.width = 80, wide.clip.text.width = 60, wide.clip.shared_width = 60;
    Random random(2);
    const owl_vit::Weights w = owl_vit::make_weights(wide, random);
    const auto ratio = [](const Linear& linear, int in, int out) {
        return root_mean_square(linear.weight.value()) / xavier_deviation(in, out);
    };
    CHECK(ratio(w.class_embedding, 80, 60) == Approx(1).epsilon(0.05));
    CHECK(ratio(w.logit_shift, 80, 1) == Approx(1).epsilon(0.3));
    CHECK(ratio(w.logit_scale, 80, 1) == Approx(1).epsilon(0.3));
    CHECK(ratio(w.box[0], 80, 80) == Approx(1).epsilon(0.05));
    CHECK(ratio(w.box[1], 80, 80) == Approx(1).epsilon(0.05));
    CHECK(ratio(w.box[2], 80, 4) == Approx(1).epsilon(0.15));
}

TEST_CASE("forward: an absent query gets absent_logit and no gradient; other images have no influence") {
    const owl_vit::Config config = tiny_config();
    Random random(1);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const Image a = random_image(random), b = random_image(random);
    const owl_vit::Steps steps = owl_vit::forward({a, b}, owl_vit::repeated(one_and_none, 2), w, config);
    CHECK(steps.present == std::vector<int>{1, 0, 1, 0});
    const TokenBatch lowest{.sequences = 1, .length = 1, .ids = {1}, .mask = {}};  // 0 is padding, 1 is a token
    CHECK(owl_vit::forward({a}, lowest, w, config).present == std::vector<int>{1});
    for (int n = 0; n < steps.logits.rows(); ++n) {
        CHECK(steps.logits.value()(n, 1) == -1e6f);
        CHECK(steps.logits.value()(n, 0) > -100);
    }
    check_close("image 1 alone", slice_rows(steps.logits.value(), 6, 6),
                owl_vit::forward({b}, one_and_none, w, config).logits.value());
    for (const float scale : steps.scale.value()) CHECK(scale > 0);
}

TEST_CASE("masked_text_tower: a sentence of padding only attends uniformly to the tokens before") {
    const KeepSteps keep;
    const owl_vit::Config config = tiny_config();
    Random random(2);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const clip::TextSteps steps = owl_vit::masked_text_tower(one_and_none, w.clip.text, config.clip.text);
    const Matrix& weights = steps.encoder.blocks[0].attention.weights.value();  // (2 sentences * 3 heads * 3, 3)
    check_close("head 0 of the second sentence", slice_rows(weights, 9, 3),
                {{1, 0, 0}, {0.5f, 0.5f, 0}, {1.0f / 3, 1.0f / 3, 1.0f / 3}});
}

TEST_CASE("losses: without targets only the negatives remain; targets must be queries of the image") {
    const owl_vit::Config config = tiny_config();
    Random random(3);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const owl_vit::Steps steps = owl_vit::forward({random_image(random)}, one_and_none, w, config);
    const owl_vit::Losses none = owl_vit::losses(steps, {{}}, config);
    CHECK(none.classes.value()[0] > 0);
    CHECK(identical(none.boxes.value(), Matrix(1, 1)));
    CHECK(identical(none.overlap.value(), Matrix(1, 1)));
    CHECK(none.matches[0].empty());
    const Matrix box{{0.4f, 0.5f, 0.1f, 0.2f}};
    const owl_vit::Losses one = owl_vit::losses(steps, {{{1}, box}}, config);  // divided by the one target
    const float* const nearest = steps.boxes.value().row(one.matches[0][0].row);
    float distance = 0;
    for (int side = 0; side < 4; ++side) distance += std::abs(nearest[side] - box[side]);
    CHECK(one.boxes.value()[0] == doctest::Approx(distance));
    CHECK(error_of([&] {
              owl_vit::losses(steps, {{{2}, {{0.5f, 0.5f, 0.1f, 0.1f}}}}, config);
          }) == "owl_vit: label 2 is not one of 2 queries, counted from 0");
    CHECK(error_of([&] {
              owl_vit::losses(steps, {{{0}, Matrix(2, 4)}}, config);
          }) ==
          "owl_vit: boxes (2, 4) for 1 targets, an image has 6 tokens; each target is four numbers and needs a token of its own");
}

TEST_CASE("losses: gradients agree with finite differences where one image, or both, have no targets") {
    const owl_vit::Config config = tiny_config();
    Random random(4);
    // Two images of 6 tokens. Of the second, tokens 1 and 3 are nearest to the targets, with no edge within a step of the target's edge:
    // L1 and IoU have kinks.
    const Matrix logits = normal_matrix(random, 12, 2, 0.5f), near{{0.38f, 0.5f, 0.27f, 0.4f}, {0.62f, 0.6f, 0.37f, 0.3f}};
    Matrix boxes(12, 4, 0.1f);
    std::copy_n(near.row(0), 4, boxes.row(6 + 1));
    std::copy_n(near.row(1), 4, boxes.row(6 + 3));
    const owl_vit::Target none, some{{1, 0}, {{0.3f, 0.4f, 0.2f, 0.3f}, {0.7f, 0.5f, 0.3f, 0.2f}}};
    for (const owl_vit::Target& second : {some, none})
        check_gradient_by_differences(
            [&](const std::vector<Var>& v) {
                owl_vit::Steps steps;
                steps.present = {1, 1, 1, 1};
                steps.logits = v[0];
                steps.boxes = v[1];
                const owl_vit::Losses losses = owl_vit::losses(steps, {none, second}, config);
                if (!second.labels.empty()) CHECK((losses.matches[1] == std::vector<Matched>{{1, 0}, {3, 1}}));
                return losses.total;
            },
            {logits, boxes});
}

TEST_CASE("matching_cost: a logit of 0 and an exact box, by hand") {
    // p = 1/2: 0.3 * 1/4 * ln 2 - 0.7 * 1/4 * ln 2 = -0.1 ln 2; distance 0; generalised IoU 1
    const owl_vit::Target target{{0}, {{0.5f, 0.5f, 0.25f, 0.5f}}};
    CHECK(owl_vit::matching_cost(Matrix(1, 1), target.boxes, target, tiny_config())(0, 0) == Approx(-0.1 * std::log(2.0) - 1));
}

TEST_CASE("detections: best first, scores at least the threshold, and overlapping boxes of one query suppressed") {
    owl_vit::Steps steps;
    steps.logits = Matrix{{2, -9}, {3, -9}, {-9, 1}, {-5, -5}};
    steps.boxes = Matrix{{0.5f, 0.5f, 0.2f, 0.2f}, {0.5f, 0.5f, 0.2f, 0.22f}, {0.5f, 0.5f, 0.2f, 0.2f}, {0.1f, 0.1f, 0.1f, 0.1f}};
    steps.present = {1, 1};
    const std::vector<owl_vit::Found> found = owl_vit::detections(steps, 0, 0.5f, 0.8f);
    REQUIRE(found.size() == 2);
    CHECK(found[0].token == 1);
    CHECK(found[1].query == 1);
    check_close("corners", found[0].box, {{0.4f, 0.39f, 0.6f, 0.61f}});
    CHECK(owl_vit::detections(steps, 0, 0.5f).size() == 3);
    CHECK(error_of([&] { owl_vit::detections(steps, 1, 0.5f); }) == "detections: there is no image 1 among 1, counted from 0");
}

TEST_CASE("owl_vit: inconsistent arguments throw a one-line error") {
    owl_vit::Config config = tiny_config();
    Random random(4);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const Image image = random_image(random);
    CHECK(error_of([&] {
              owl_vit::forward({image, image, image}, one_and_none, w, config);
          }) == "owl_vit: 2 queries for 3 images; there must be an image, and the same number of queries for each");
    config.clip.shared_width = 7;
    CHECK(error_of([&] { owl_vit::make_weights(config, random); }) ==
          "owl_vit: sentences are projected to width 7, tokens are compared in the text tower's, 6");
}

TEST_CASE(
    "owl_vit: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const owl_vit::Config& config) {
        return owl_vit::parameters(owl_vit::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("owl_vit")) {
        owl_vit::Config config = config_of_fixture(Golden(path));
        config.clip.vision.grid.height = config.clip.vision.grid.width;  // a square grid of positions determines the size
        check_given_settings(config, table, owl_vit::config_of, "the number of heads (vision_config)");
    }
    owl_vit::Config trained = tiny_config();  // as DETR weights costs and losses
    trained.clip.vision.grid.height = trained.clip.vision.grid.width;
    trained.class_cost = 2, trained.box_cost = 5, trained.overlap_cost = 3;
    trained.class_weight = 4, trained.box_weight = 6, trained.overlap_weight = 7;
    trained.focal_alpha = 0.25f, trained.focal_gamma = 1.5f, trained.absent_logit = -1e4f;
    const TemporaryFolder folder;
    const std::string path = folder.path("owl_vit.safetensors");
    save(table(trained), path, owl_vit::metadata(trained));
    const owl_vit::Config read = owl_vit::config_of(Safetensors(path), {});
    CHECK(read.class_cost == 2);
    CHECK(read.box_cost == 5);
    CHECK(read.overlap_cost == 3);
    CHECK(read.class_weight == 4);
    CHECK(read.box_weight == 6);
    CHECK(read.overlap_weight == 7);
    CHECK(read.focal_alpha == 0.25f);
    CHECK(read.focal_gamma == 1.5f);
    CHECK(read.absent_logit == -1e4f);
}

TEST_CASE("owl_vit: a depth that the weights do not have, invalid boxes and thresholds above 1 are refused") {
    const owl_vit::Config config = tiny_config();
    Random random(4);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const Image image = random_image(random);
    owl_vit::Config deeper = config, no_eps = config;
    deeper.clip.vision.depth = 2;
    no_eps.clip.text.eps = -1;
    const owl_vit::Steps steps = owl_vit::forward({image}, one_and_none, w, config);
    const auto target = [](const Matrix& box, int label) { return owl_vit::Target{.labels = {label}, .boxes = box}; };
    CHECK_THROWS_WITH(
        owl_vit::forward({image}, one_and_none, w, deeper),
        "owl_vit: the configuration says 2 blocks, the weights hold 1; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(owl_vit::forward({image}, one_and_none, w, no_eps),
                      "owl_vit: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    CHECK_THROWS_WITH(owl_vit::forward({}, one_and_none, w, config),
                      "owl_vit: 2 queries for 0 images; there must be an image, and the same number of queries for each");
    CHECK_THROWS_WITH(owl_vit::losses(steps, {target({{0.5f, 0.5f, -0.1f, 0.2f}}, 0)}, config),
                      "owl_vit: target 0 is the box (0.500000, 0.500000, -0.100000, 0.200000), it must be finite: centre x and "
                      "y, width and height at least 0, as fractions of the image");
    CHECK_THROWS_WITH(owl_vit::losses(steps, {target({{0.5f, NAN, 0.1f, 0.2f}}, 0)}, config),
                      "owl_vit: target 0 is the box (0.500000, nan, 0.100000, 0.200000), it must be finite: centre x and y, "
                      "width and height at least 0, as fractions of the image");
    CHECK_THROWS_WITH(owl_vit::losses(steps, {target({{0.5f, 0.5f, 0.1f, 0.2f}}, 2)}, config),
                      "owl_vit: label 2 is not one of 2 queries, counted from 0");
    CHECK_THROWS_WITH(owl_vit::losses(steps, {}, config),
                      "owl_vit: targets of 0 images for 1, each needs its own, if only an empty one");
    CHECK_THROWS_WITH(owl_vit::detections(steps, 1, 0.5f), "detections: there is no image 1 among 1, counted from 0");
    CHECK_THROWS_WITH(owl_vit::detections(steps, 0, 1.5f), "detections: a threshold of 1.500000, a score lies between 0 and 1");
}

TEST_CASE("make_weights: a focal alpha outside 0 to 1 and a negative gamma are refused, the bounds are accepted") {
    Random random(4);
    for (const auto& [alpha, gamma, text] :
         std::vector<std::tuple<float, float, std::string>>{{1.5f, 2.f, "1.500000, gamma 2.000000"},
                                                            {-0.5f, 2.f, "-0.500000, gamma 2.000000"},
                                                            {0.5f, -1.f, "0.500000, gamma -1.000000"}}) {
        owl_vit::Config config = tiny_config();
        config.focal_alpha = alpha, config.focal_gamma = gamma;
        const std::string rule = "; alpha lies between 0 and 1, gamma is not negative; 0.25 and 2 are usual";
        CHECK_THROWS_WITH(owl_vit::make_weights(config, random), ("owl_vit: focal alpha " + text + rule).c_str());
    }
    owl_vit::Config bounds = tiny_config();
    bounds.focal_alpha = bounds.focal_gamma = 0;
    CHECK_NOTHROW(owl_vit::check(bounds));
    bounds.focal_alpha = 1;
    CHECK_NOTHROW(owl_vit::check(bounds));
}

TEST_CASE("forward, losses, detections: each argument check fails by itself, the limits are allowed") {
    const owl_vit::Config config = tiny_config();
    Random random(4);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const Image image = random_image(random);
    const TokenBatch nothing{.sequences = 0, .length = 1, .ids = {}, .mask = {}};
    CHECK(error_of([&] { owl_vit::forward({image}, nothing, w, config); }) ==
          "owl_vit: 0 queries for 1 images; there must be an image, and the same number of queries for each");
    const auto long_texts = [&](int length) {
        return TokenBatch{.sequences = 1, .length = length, .ids = std::vector<int>(length, 1), .mask = {}};
    };
    CHECK_NOTHROW(owl_vit::forward({image}, long_texts(1), w, config));  // a single query
    const int positions = config.clip.text.positions;
    CHECK_NOTHROW(owl_vit::masked_text_tower(long_texts(positions), w.clip.text, config.clip.text));
    CHECK(error_of([&] { owl_vit::masked_text_tower(long_texts(positions + 1), w.clip.text, config.clip.text); }) ==
          "owl_vit: queries of " + std::to_string(positions + 1) + " tokens, the model has " + std::to_string(positions) +
              " positions; cut the longest");

    const owl_vit::Steps steps = owl_vit::forward({image}, one_and_none, w, config);
    const auto refusal = [&](const std::vector<int>& labels, const Matrix& boxes) {
        return error_of([&] { owl_vit::losses(steps, {{.labels = labels, .boxes = boxes}}, config); });
    };
    const std::string token = " targets, an image has 6 tokens; each target is four numbers and needs a token of its own";
    CHECK(refusal({0}, Matrix(1, 4)) == "");  // an empty box, of the first query
    CHECK(refusal({0}, Matrix(1, 5)) == "owl_vit: boxes (1, 5) for 1" + token);
    CHECK(refusal(std::vector<int>(6, 1), Matrix(6, 4)) == "");
    CHECK(refusal(std::vector<int>(7, 1), Matrix(7, 4)) == "owl_vit: boxes (7, 4) for 7" + token);
    CHECK(refusal({0}, {{0.5f, 0.5f, 0.1f, -0.5f}}) ==
          "owl_vit: target 0 is the box (0.500000, 0.500000, 0.100000, -0.500000), it must be finite: centre x and y, width and "
          "height at least 0, as fractions of the image");
    for (int k = 0; k < 4; ++k) {
        Matrix box(1, 4);
        box[k] = INFINITY;
        CHECK(refusal({0}, box).starts_with("owl_vit: target 0 is the box ("));
    }
    CHECK(refusal({-1}, Matrix(1, 4)) == "owl_vit: label -1 is not one of 2 queries, counted from 0");
    CHECK_NOTHROW(owl_vit::detections(steps, 0, 0));
    CHECK_NOTHROW(owl_vit::detections(steps, 0, 1));
    CHECK_THROWS_WITH(owl_vit::detections(steps, -1, 0.5f), "detections: there is no image -1 among 1, counted from 0");
    CHECK_THROWS_WITH(owl_vit::detections(steps, 0, -0.5f), "detections: a threshold of -0.500000, a score lies between 0 and 1");
}

TEST_CASE("detections: a score that is equal to the threshold is found") {
    owl_vit::Steps steps;
    steps.logits = Matrix{{0}};  // a score of 1/2
    steps.boxes = Matrix{{0.5f, 0.5f, 0.2f, 0.2f}};
    steps.present = {1};
    CHECK(owl_vit::detections(steps, 0, 0.5f).size() == 1);
}

TEST_CASE("repeated: texts without a mask stay without one") {
    const TokenBatch twice = owl_vit::repeated({.sequences = 1, .length = 2, .ids = {3, 4}, .mask = {}}, 2);
    CHECK(twice.ids == std::vector<int>{3, 4, 3, 4});
    CHECK(twice.sequences == 2);
    CHECK(twice.mask.empty());
    const Matrix both{{1, 1, 1}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}};
    CHECK(identical(owl_vit::repeated(one_and_none, 2).mask, both));
}

TEST_CASE("forward: each image has its own present and absent queries") {
    const owl_vit::Config config = tiny_config();
    Random random(4);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    // image 0: the second query is absent; image 1: the first
    const TokenBatch texts{.sequences = 4, .length = 2, .ids = {8, 9, 0, 0, 0, 0, 8, 9}, .mask = {}};
    const Matrix logits = owl_vit::forward({random_image(random), random_image(random)}, texts, w, config).logits.value();
    REQUIRE(shape(logits) == "(12, 2)");  // 6 tokens of each image
    for (int row = 0; row < 12; ++row) {
        CHECK((logits(row, 0) == config.absent_logit) == (row >= 6));
        CHECK((logits(row, 1) == config.absent_logit) == (row < 6));
    }
}

TEST_CASE("forward: the length of a projected query does not matter; detections: each image has its own boxes") {
    const owl_vit::Config config = tiny_config();
    Random random(4);
    const owl_vit::Weights w = owl_vit::make_weights(config, random);
    const Image image = random_image(random);
    const Matrix before = owl_vit::forward({image}, one_and_none, w, config).queries.value();
    Var projection = w.clip.text_projection.weight;
    for (float& x : projection.value()) x *= 1e-3f;
    check_close("queries", owl_vit::forward({image}, one_and_none, w, config).queries.value(), before);

    owl_vit::Steps steps;
    steps.logits = Matrix{{0}, {std::log(3.0f)}};
    steps.boxes = Matrix{{0.5f, 0.5f, 0.2f, 0.2f}, {0.25f, 0.75f, 0.5f, 0.5f}};
    steps.present = {1, 1};
    check_close("image 0", owl_vit::detections(steps, 0, 0)[0].box, {{0.4f, 0.4f, 0.6f, 0.6f}});
    check_close("image 1", owl_vit::detections(steps, 1, 0)[0].box, {{0, 0.5f, 0.5f, 1}});
    CHECK(owl_vit::detections(steps, 0, 0)[0].score == Approx(0.5));
    CHECK(owl_vit::detections(steps, 1, 0)[0].score == Approx(0.75));
}

TEST_CASE("owl_vit::Config: the defaults") {
    const owl_vit::Config usual{};
    CHECK(usual.class_cost == 1);
    CHECK(usual.box_cost == 1);
    CHECK(usual.overlap_cost == 1);
    CHECK(usual.class_weight == 1);
    CHECK(usual.box_weight == 1);
    CHECK(usual.overlap_weight == 1);
    CHECK(usual.focal_alpha == 0.3f);
    CHECK(usual.focal_gamma == 2);
    CHECK(usual.absent_logit == -1e6f);
    CHECK(usual.clip.vision.grid.height == 768);
    CHECK(usual.clip.vision.grid.width == 768);
    CHECK(usual.clip.vision.grid.patch_size == 32);
    CHECK(usual.clip.text.positions == 16);
}

TEST_CASE("repeated, box_bias: no image, too many tokens and patches that do not divide are refused") {
    CHECK(owl_vit::repeated(one_and_none, 1).sequences == 2);
    CHECK(owl_vit::repeated(one_and_none, 2).sequences == 4);
    const std::string rule = " images; there must be an image, and no more tokens than an int can count";
    for (const int images : {0, -1, 357913942})
        CHECK(error_of([&] { owl_vit::repeated(one_and_none, images); }) ==
              "owl_vit: 2 texts of 3 tokens for " + std::to_string(images) + rule);
    CHECK(error_of([] { owl_vit::box_bias({4, 4, 0, 1}); }).starts_with("owl_vit: an image of 4 x 4 does not split"));
}

TEST_SUITE_END();
