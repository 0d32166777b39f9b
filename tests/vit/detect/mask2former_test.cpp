#include "vit/detect/mask2former.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/optimizer.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("mask2former");

using namespace mask2former;

static Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const char* key) { return static_cast<float>(file.metadata_double(key)); };
    return {.feature_channels = file.metadata_int("in_channels"),
            .width = file.metadata_int("hidden_dim"),
            .mask_channels = file.metadata_int("mask_dim"),
            .queries = file.metadata_int("num_queries"),
            .heads = file.metadata_int("nheads"),
            .mlp_width = file.metadata_int("dim_feedforward"),
            .layers = file.metadata_int("dec_layers"),
            .levels = file.metadata_int("num_feature_levels"),
            .classes = file.metadata_int("num_classes"),
            .pre_norm = golden.flag("pre_norm"),
            .always_project = golden.flag("enforce_input_project"),
            .eps = number("layer_norm_eps"),
            .activation = activation_of_name(file.metadata_text("activation")),
            .class_weight = number("class_weight"),
            .mask_weight = number("mask_weight"),
            .dice_weight = number("dice_weight"),
            .no_object_weight = number("no_object_weight"),
            .points = file.metadata_int("train_num_points"),
            .oversample = file.metadata_double("oversample_ratio"),
            .importance = file.metadata_double("importance_sample_ratio")};
}

static Map map_of_fixture(const Golden& golden, const std::string& name) {
    const std::vector<int> d = dimensions_of(golden, name);
    return {rows_of_maps(golden, name), {d[0], d[2], d[3]}};
}

static std::vector<bool> things_of_fixture(const Golden& golden) {
    std::vector<bool> things(golden.file.metadata_int("num_classes"), false);
    std::stringstream stream(golden.file.metadata_text("thing_classes"));
    for (std::string word; std::getline(stream, word, ',');) things[std::stoi(word)] = true;
    return things;
}

static std::vector<Target> targets_of_fixture(const Golden& golden, int images) {
    std::vector<Target> targets;
    for (int b = 0; b < images; ++b) {
        const std::string name = "input.target_" + std::to_string(b);
        const std::vector<int> d = dimensions_of(golden, name + ".masks");
        const Matrix masks = d[0] == 0 ? Matrix() : reshape(numbers_of(golden, name + ".masks"), d[0], d[1] * d[2]);
        targets.push_back({d[1], d[2], golden.integers(name + ".labels"), masks});
    }
    return targets;
}

// aux_0, aux_1, ..., final
static std::vector<std::string> set_names(const Config& config) {
    std::vector<std::string> names;
    for (int i = 0; i < config.layers; ++i) names.push_back("aux_" + std::to_string(i));
    names.push_back("final");
    return names;
}

// (m, k, 2) -> (m*k, 2); nothing where the fixture has no matched mask
static Matrix points_of(const Golden& golden, const std::string& name) {
    return golden.has("input." + name) ? golden.input(name) : Matrix(0, 2);
}

static Draws draws_of_fixture(const Golden& golden, const std::string& set, int images) {
    Draws draws;
    for (int b = 0; b < images; ++b) draws.matching.push_back(points_of(golden, "rand." + set + ".match_" + std::to_string(b)));
    draws.oversampled = points_of(golden, "rand." + set + ".oversample");
    draws.uniform = points_of(golden, "rand." + set + ".random");
    return draws;
}

static void check_forward(const Golden& golden, const Steps& steps, const Config& config, const std::vector<Map>& features) {
    const int B = steps.mask_size.images;
    for (int l = 0; l < config.levels; ++l) {  // the same for every image
        const Var repeated = add_repeated(Matrix(B * features[l].size.pixels(), config.width), steps.positions[l]);
        golden.check("pos_" + std::to_string(l),
                     maps_channels_first(repeated.value(), features[l].size.height, features[l].size.width));
    }
    for (int i = 0; i <= config.layers; ++i) {
        const Prediction& prediction = steps.predictions[i];
        const std::string head = "head_" + std::to_string(i);
        golden.check(head + ".class", prediction.class_logits.value());
        golden.check(head + ".mask",
                     reshape(prediction.mask_logits.value(), B * config.queries * steps.mask_size.height, steps.mask_size.width));
        golden.check_integers(head + ".blocked", integers_of(prediction.blocked));
    }
    for (int i = 0; i < config.layers; ++i) {
        const LayerSteps& layer = steps.layers[i];
        const std::string name = "layer_" + std::to_string(i);
        golden.check(name + ".cross_probs", layer.cross.weights.value());
        golden.check(name + ".after_cross", layer.after_cross.value());
        golden.check(name + ".self_probs", layer.attention.weights.value());
        golden.check(name + ".after_self", layer.after_attention.value());
        golden.check(name + ".after_ffn", layer.output.value());
    }
    golden.check("pred_logits", steps.predictions.back().class_logits.value());
    golden.check("pred_masks", reshape(steps.predictions.back().mask_logits.value(), B * config.queries * steps.mask_size.height,
                                       steps.mask_size.width));
}

static void check_losses(const Golden& golden, const Losses& losses, const Config& config) {
    const std::vector<std::string> names = set_names(config);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const SetLosses& set = losses.sets[i];
        for (std::size_t b = 0; b < set.costs.size(); ++b) {
            const std::string match = "match." + names[i] + "." + std::to_string(b);
            std::vector<int> queries, columns;
            for (const Matched& pair : set.matches[b]) {
                queries.push_back(pair.row);
                columns.push_back(pair.column);
            }
            golden.check(match + ".cost", set.costs[b]);
            golden.check_integers(match + ".query", queries);
            golden.check_integers(match + ".target", columns);
        }
        const std::string ending = names[i] == "final" ? "" : "_" + std::to_string(i);
        golden.check("losses.loss_ce" + ending, set.classes.value());
        golden.check("losses.loss_mask" + ending, set.mask.value());
        golden.check("losses.loss_dice" + ending, set.dice.value());
    }
    golden.check("loss", losses.total.value());
}

static void check_instances(const Golden& golden, const std::string& name, const std::vector<Instance>& instances, int height) {
    std::vector<int> classes;
    Matrix scores(1, static_cast<int>(instances.size()));
    std::vector<Var> masks;
    for (std::size_t k = 0; k < instances.size(); ++k) {
        classes.push_back(instances[k].label);
        scores[k] = instances[k].score;
        masks.push_back(instances[k].mask);
    }
    golden.check_integers(name + ".classes", classes);
    golden.check(name + ".scores", scores);
    const Matrix all = concat_rows(masks).value();
    golden.check(name + ".masks", reshape(all, all.rows * height, all.cols / height));
}

static void check_inference(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::vector<int> d = dimensions_of(golden, "input.infer.pred_masks"),
                           low = dimensions_of(golden, "input.infer.low_masks");
    const int Q = d[0], H = d[1], W = d[2];
    const Matrix logits = golden.input("infer.pred_logits"), masks = reshape(golden.input("infer.pred_masks"), Q, H * W);
    const std::vector<bool> things = things_of_fixture(golden);
    const int most = file.metadata_int("detections_per_image");

    const Matrix semantic_scores = semantic(logits, masks);
    golden.check("infer.semantic", reshape(semantic_scores, semantic_scores.rows * H, W));
    golden.check_integers("infer.semantic_argmax", semantic_classes(semantic_scores));
    check_instances(golden, "infer.instance_all", instances(logits, masks, most), H);
    check_instances(golden, "infer.instance_things", instances(logits, masks, most, things), H);
    const Panoptic scene = panoptic(logits, masks, things, static_cast<float>(file.metadata_double("object_mask_threshold")),
                                    static_cast<float>(file.metadata_double("overlap_threshold")));
    golden.check_integers("infer.panoptic_seg", scene.ids);
    std::vector<int> rows;
    for (const PanopticSegment& segment : scene.segments)
        for (const int number : {segment.id, segment.label, static_cast<int>(segment.thing)}) rows.push_back(number);
    golden.check_integers("infer.panoptic_segments", rows);
    const Matrix small = reshape(golden.input("infer.low_masks"), low[0], low[1] * low[2]);
    golden.check("infer.upsampled_masks", reshape(resized_masks(small, low[1], low[2], H, W), low[0] * H, W));
}

TEST_CASE("parity: every step, matching, loss, gradient and all three tasks of the published code") {
    for (const std::string& path : golden_files("mask2former")) {
        const Golden golden(path);
        const Config config = config_of_fixture(golden);
        Random random;
        const Weights w = make_weights(config, random);
        const Parameters parameters = mask2former::parameters(w, config);
        golden.load_weights(parameters);
        std::vector<Map> features;
        for (int l = 0; l < config.levels; ++l) features.push_back(map_of_fixture(golden, "input.features_" + std::to_string(l)));
        const Map mask_features = map_of_fixture(golden, "input.mask_features");
        const int B = golden.file.metadata_int("batch");
        const std::vector<Target> targets = targets_of_fixture(golden, B);
        std::vector<Draws> draws;
        for (const std::string& set : set_names(config)) draws.push_back(draws_of_fixture(golden, set, B));

        const Tape tape;
        const Steps steps = mask2former::forward(features, mask_features, w, config);
        const Losses losses = mask2former::losses(steps, targets, draws, config);
        check_forward(golden, steps, config, features);
        check_losses(golden, losses, config);
        check_inference(golden);

        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_CASE("may_attend_unblocked: a query with an empty mask may attend to all pixels") {
    const MayAttend may = may_attend_unblocked({{1, 0, 1}, {1, 1, 1}, {0, 0, 0}});
    CHECK_FALSE(may(0, 0));
    CHECK(may(0, 1));
    for (int j = 0; j < 3; ++j) {
        CHECK(may(1, j));  // all blocked: unblocked
        CHECK(may(2, j));
    }
}

// Sizes that all differ: two images, 3 queries, two levels of 1 x 2 and 3 x 4, masks of 5 x 6, two layers.
static const Config tiny{.feature_channels = 5,
                         .width = 8,
                         .mask_channels = 4,
                         .queries = 3,
                         .heads = 2,
                         .mlp_width = 6,
                         .layers = 2,
                         .levels = 2,
                         .classes = 2,
                         .points = 12};

namespace {
struct Example {
    std::vector<Map> features;
    Map mask_features;
};
}  // namespace

static Example random_example(Random& random, int images = 2) {
    const MapSize sizes[] = {{images, 1, 2}, {images, 3, 4}, {images, 5, 6}};
    return {{{normal_matrix(random, sizes[0].rows(), 5), sizes[0]}, {normal_matrix(random, sizes[1].rows(), 5), sizes[1]}},
            {normal_matrix(random, sizes[2].rows(), 4), sizes[2]}};
}

// n targets of 7 x 8 with random masks
static Target random_target(Random& random, int n) {
    Target target{7, 8, {}, Matrix(n, 7 * 8)};
    for (int k = 0; k < n; ++k) target.labels.push_back(random.below(2));
    for (float& x : target.masks) x = static_cast<float>(random.below(2));
    return target;
}

static std::vector<Draws> random_draws(const std::vector<Target>& targets, Random& random) {
    std::vector<Draws> draws;
    for (int i = 0; i <= tiny.layers; ++i) draws.push_back(draw(targets, tiny, random));
    return draws;
}

TEST_CASE("layer: a query depends only on the pixels that it may attend to") {
    Random random(1);
    const Weights w = make_weights(tiny, random);
    const Matrix x = normal_matrix(random, 3, 8), positions = sine_positions(1, 2, 8);
    Matrix source = normal_matrix(random, 2, 8);
    const MayAttend may = may_attend({{1, 0}, {1, 1}, {1, 1}});
    const Matrix before = layer(x, source, positions, may, w.layers[0], w, tiny).after_cross.value();
    source(1, 3) += 1;
    const Matrix after = layer(x, source, positions, may, w.layers[0], w, tiny).after_cross.value();
    CHECK(identical(slice_rows(after, 0, 1), slice_rows(before, 0, 1)));
    CHECK(difference(slice_rows(after, 1, 1), slice_rows(before, 1, 1)) != "");
}

TEST_CASE("forward: the images of a batch do not attend to each other, with norms before and after") {
    for (const bool pre_norm : {false, true}) {
        Config config = tiny;
        config.pre_norm = pre_norm;
        Random random(2);
        const Weights w = make_weights(config, random);
        const Example two = random_example(random);
        std::vector<Map> second;
        for (const Map& map : two.features) {
            const int pixels = map.size.pixels();
            second.push_back({slice_rows(map.pixels, pixels, pixels), {1, map.size.height, map.size.width}});
        }
        const Map masks{slice_rows(two.mask_features.pixels, 30, 30), {1, 5, 6}};
        const Steps together = forward(two.features, two.mask_features, w, config), alone = forward(second, masks, w, config);
        check_close("masks", slice_rows(together.predictions.back().mask_logits.value(), 3, 3),
                    alone.predictions.back().mask_logits.value());
    }
}

TEST_CASE("losses: an image or a whole batch may have no targets") {
    Random random(3);
    const Weights w = make_weights(tiny, random);
    const Example two = random_example(random);
    for (const bool any : {true, false}) {
        const std::vector<Target> targets{random_target(random, any ? 2 : 0), random_target(random, 0)};
        const Tape tape;
        const Steps steps = forward(two.features, two.mask_features, w, tiny);
        const Losses result = losses(steps, targets, random_draws(targets, random), tiny);
        CHECK(std::isfinite(result.total.value()[0]));
        CHECK((result.sets[0].dice.value()[0] > 0) == any);
        CHECK(result.sets[0].matches[0].size() == (any ? 2u : 0u));
        CHECK(result.sets[0].costs[1].cols == 0);
        backward(result.total);
        CHECK_FALSE(w.query_features.gradient().empty());
        zero_gradients(variables(parameters(w, tiny)));
    }
}

TEST_CASE("losses: gradients of logits agree with finite differences where one image, or both, have no targets") {
    Config config = tiny;
    config.layers = 0;      // one prediction
    config.importance = 0;  // all points uniform: a choice by certainty would jump
    Random random(5);
    const Matrix classes = normal_matrix(random, 2 * 3, 3), masks = normal_matrix(random, 2 * 3, 5 * 6);
    for (const int count : {2, 0}) {
        const std::vector<Target> targets{random_target(random, 0), random_target(random, count)};
        const std::vector<Draws> draws{draw(targets, config, random)};
        check_gradient_by_differences(
            [&](const std::vector<Var>& v) {
                Steps steps;
                steps.mask_size = {2, 5, 6};
                steps.predictions.resize(1);
                steps.predictions[0].class_logits = v[0];
                steps.predictions[0].mask_logits = v[1];
                return losses(steps, targets, draws, config).total;
            },
            {classes, masks});
    }
}

TEST_CASE("losses: the class loss of uniform predictions, by hand") {
    // Zero logits: every query loses ln 3. One of three is matched with weight 1, two say "no object" with weight 0.1: the weighted mean of
    // equal numbers is ln 3 again, whatever the weights. A plain mean of weighted losses would be (1 + 0.1 + 0.1) / 3 of it.
    Random random(4);
    Weights w = make_weights(tiny, random);
    w.classes.weight = parameter(Matrix(8, 3));
    const Example one = random_example(random, 1);
    const std::vector<Target> targets{random_target(random, 1)};
    const Losses result = losses(forward(one.features, one.mask_features, w, tiny), targets, random_draws(targets, random), tiny);
    CHECK(result.sets[0].classes.value()[0] == Approx(std::log(3.0)));
}

TEST_CASE("matching_cost: one query, one target, by hand") {
    // class logits 0, 0, 0: probability 1/3, cost -2/3. Mask logits ln 3 and 0 against 1 and 0: cross-entropy (ln 4/3 + ln 2) / 2;
    // dice 1 - (2 * 3/4 + 1) / (5/4 + 1 + 1)
    const float ln3 = std::log(3.0f);
    const double by_hand = -2.0 / 3 + 5 * (std::log(4.0 / 3) + std::log(2.0)) / 2 + 5 * (1 - 2.5 / 3.25);
    CHECK(matching_cost(Matrix(1, 3), {{ln3, 0}}, {1}, {{1, 0}}, tiny)(0, 0) == Approx(by_hand));
}

TEST_CASE("certain_count: rounded up, since the importance fraction is rounded down") {
    Config config;
    config.points = 10;
    config.importance = 0.75;
    CHECK(certain_count(config) == 3);
}

// Four pixels; logits of +-4 are probabilities 0.982 and 0.018.
TEST_CASE("semantic, instances and panoptic: two queries on four pixels, by hand") {
    const Matrix masks{{4, 4, -4, -4}, {-4, 4, 4, 4}};
    const Matrix classes{{std::log(8.0f), 0, 0}, {0, std::log(18.0f), 0}};  // 0.8 of class 0; 0.9 of class 1
    const double p = 1 / (1 + std::exp(-4.0));
    // semantic: class 0 at pixel 0: 0.8 p + 0.05 (1 - p)
    CHECK(semantic(classes, masks)(0, 0) == Approx(0.8 * p + 0.05 * (1 - p)));
    CHECK(semantic_classes(semantic(classes, masks)) == std::vector<int>{0, 1, 1, 1});
    // instances: the two best pairs; score 0.9 p of query 1 and 0.8 p of query 0
    const std::vector<Instance> best = instances(classes, masks, 2);
    REQUIRE(best.size() == 2);
    CHECK(best[0].query == 1);
    CHECK(best[0].score == Approx(0.9 * p).epsilon(1e-5));
    // one pixel of probability 1, one class beside "no object" that is certain: 1 / (1 + 1e-6)
    CHECK(instances({{100, 0}}, {{100}}, 1)[0].score == static_cast<float>(1 / (1 + 1e-6)));
    CHECK(identical(best[1].mask, Matrix{{1, 1, 0, 0}}));
    CHECK(instances(classes, masks, 2, {true, false}).size() == 1);
    CHECK(instances(classes, masks, 100).size() == 4);
    // panoptic: pixel 1 goes to query 1, 0.9 p against 0.8 p. Query 0 keeps one of its two pixels: 1/2.
    CHECK(panoptic(classes, masks, {true, true}, 0.5f, 0.5f).ids == std::vector<int>{1, 2, 2, 2});
    const Panoptic strict = panoptic(classes, masks, {true, true}, 0.5f, 0.6f);
    CHECK(strict.ids == std::vector<int>{0, 1, 1, 1});  // dropped; the other takes the first id
    CHECK(strict.segments[0].query == 1);
    CHECK(panoptic(classes, masks, {true, true}, 0.85f, 0.5f).segments.size() == 1);  // the threshold leaves one
    CHECK(panoptic(classes, masks, {true, true}, 0.95f, 0.5f).ids == std::vector<int>{0, 0, 0, 0});
}

TEST_CASE("panoptic: two queries of one stuff class give one segment, two of a thing class give two") {
    const Matrix masks{{4, -4}, {-4, 4}}, classes{{9, 0}, {9, 0}};
    CHECK(panoptic(classes, masks, {false}, 0.5f, 0.5f).ids == std::vector<int>{1, 1});
    CHECK(panoptic(classes, masks, {true}, 0.5f, 0.5f).ids == std::vector<int>{1, 2});
}

TEST_CASE("panoptic: a query whose pixels all lie outside its mask gets no id") {
    // query 0 has the highest score at both pixels, but its mask is below one half everywhere
    const Panoptic scene = panoptic({{9, 0}, {9, 0}}, {{-1, -1}, {-4, -4}}, {true}, 0.5f, 0.5f);
    CHECK(scene.ids == std::vector<int>{0, 0});
    CHECK(scene.segments.empty());
}

TEST_CASE("mask2former: inconsistent arguments throw a one-line error") {
    Random random(5);
    const Weights w = make_weights(tiny, random);
    const Example two = random_example(random);
    CHECK(error_of([&] { forward({two.features[0]}, two.mask_features, w, tiny); }) ==
          "mask2former: 1 maps for 2 levels, each needs one");
    CHECK(error_of([&] { forward(two.features, two.features[0], w, tiny); }) ==
          "mask2former: mask features of 5 channels, this model reads 4");
    const Steps steps = forward(two.features, two.mask_features, w, tiny);
    const std::vector<Target> many{random_target(random, 4), random_target(random, 0)};
    CHECK(error_of([&] { losses(steps, many, random_draws(many, random), tiny); }) ==
          "mask2former: 4 targets in an image, only 3 queries; each needs one of its own, take more queries");
    CHECK(error_of([&] { losses(steps, {random_target(random, 1)}, {}, tiny); }) ==
          "mask2former: targets of 1 images for 2, each needs its own, if only an empty one");
    Config wrong = tiny;
    wrong.width = 6;
    CHECK(error_of([&] { make_weights(wrong, random); }) ==
          "mask2former: a width of 6 must be divisible by its 2 heads, and by 4 for the positions");
}

TEST_CASE("mask2former: misuse that would silently give wrong classes and masks is refused") {
    Random random(5);
    const Weights w = make_weights(tiny, random);
    const Example two = random_example(random);
    Config deeper = tiny;
    deeper.layers = tiny.layers + 1;
    const Steps steps = forward(two.features, two.mask_features, w, tiny);
    std::vector<Target> targets{random_target(random, 1), random_target(random, 0)};
    const std::vector<Draws> draws = random_draws(targets, random);
    const Matrix classes(2, 4), masks(2, 6);
    CHECK_THROWS_WITH(forward(two.features, two.mask_features, w, deeper),
                      "mask2former: the configuration says 3 layers, the weights hold 2; pass the configuration that the weights "
                      "were made with");
    CHECK_THROWS_WITH(semantic(Matrix(3, 4), masks),
                      "semantic: class logits (3, 4) and masks (2, 6); each query needs a row of both, with at least one class "
                      "beside \"no object\"");
    CHECK_THROWS_WITH(semantic({{NAN, 0}}, {{1}}),
                      "semantic: the class logits (1, 2) hold nan in row 0, column 0 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(instances(classes, masks, 0, {}), "instances: at most 0 of them, it must be at least 1");
    CHECK_THROWS_WITH(instances(classes, masks, 1, {true}),
                      "instances: 1 kinds for 3 classes, each needs one; give none where all are things");
    CHECK_THROWS_WITH(panoptic(classes, {{0, 0, 0}, {0, INFINITY, 0}}, {true, true, true}, 0.8f, 0.8f),
                      "panoptic: the masks (2, 3) hold inf in row 1, column 1 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
    CHECK_THROWS_WITH(panoptic(classes, masks, {true, true, true}, 8, 0.8f),
                      "panoptic: thresholds 8.000000 and 0.800000, both must lie between 0 and 1; 0.8 is usual");
    CHECK_THROWS_WITH(sine_positions(0, 2, 8), "sine_positions: a map of 0 x 2, both must be at least 1");
    targets[0].masks[0] = 0.5f;
    CHECK_THROWS_WITH(losses(steps, targets, draws, tiny), "mask2former: a target's mask holds 0.500000, it must hold 0 and 1");
    targets[0].masks[0] = 1;
    targets[0].height = 0;
    const auto rule_named = [&] {
        return error_of([&] { losses(steps, targets, draws, tiny); }).ends_with("each is a row with one number a pixel");
    };
    CHECK(rule_named());
    for (const auto& [height, width] : {std::pair{0, 8}, std::pair{7, 0}}) {
        targets[0] = {height, width, {0}, Matrix(1, 0)};
        CHECK(rule_named());
    }
}

TEST_CASE(
    "mask2former: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const mask2former::Config& config) {
        return mask2former::parameters(mask2former::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("mask2former")) {
        const mask2former::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, mask2former::config_of, "the number of heads");
    }
}

TEST_CASE("make_weights: every invalid size or weight is refused by itself, the smallest valid one is accepted") {
    Random random(1);
    const auto refusal = [&](auto Config::*size, auto given) {
        Config config = tiny;
        config.*size = given;
        return error_of([&] { make_weights(config, random); });
    };
    const std::string divisible = " heads, and by 4 for the positions", layers = " layers: only the layers may be 0",
                      chosen = " of them by importance: that many cannot be chosen", negative = ": none may be negative";
    CHECK(refusal(&Config::heads, 0) == "mask2former: a width of 8 must be divisible by its 0" + divisible);
    CHECK(refusal(&Config::width, 0) == "mask2former: a width of 0 must be divisible by its 2" + divisible);
    CHECK(refusal(&Config::heads, 3) == "mask2former: a width of 8 must be divisible by its 3" + divisible);
    CHECK(refusal(&Config::feature_channels, 0) ==
          "mask2former: 0 and 4 channels, 3 queries, inner width 6, 2 levels, 2 classes, 2" + layers);
    CHECK(refusal(&Config::mask_channels, 0) ==
          "mask2former: 5 and 0 channels, 3 queries, inner width 6, 2 levels, 2 classes, 2" + layers);
    CHECK(refusal(&Config::queries, 0) ==
          "mask2former: 5 and 4 channels, 0 queries, inner width 6, 2 levels, 2 classes, 2" + layers);
    CHECK(refusal(&Config::mlp_width, 0) ==
          "mask2former: 5 and 4 channels, 3 queries, inner width 0, 2 levels, 2 classes, 2" + layers);
    CHECK(refusal(&Config::levels, 0) ==
          "mask2former: 5 and 4 channels, 3 queries, inner width 6, 0 levels, 2 classes, 2" + layers);
    CHECK(refusal(&Config::classes, 0) ==
          "mask2former: 5 and 4 channels, 3 queries, inner width 6, 2 levels, 0 classes, 2" + layers);
    CHECK(refusal(&Config::layers, -1) ==
          "mask2former: 5 and 4 channels, 3 queries, inner width 6, 2 levels, 2 classes, -1" + layers);
    CHECK(refusal(&Config::points, 0) == "mask2former: 0 points, oversampled 3.000000 times, 0.750000" + chosen);
    CHECK(refusal(&Config::importance, -0.5) == "mask2former: 12 points, oversampled 3.000000 times, -0.500000" + chosen);
    CHECK(refusal(&Config::importance, 1.5) == "mask2former: 12 points, oversampled 3.000000 times, 1.500000" + chosen);
    CHECK(refusal(&Config::oversample, 0.5) == "mask2former: 12 points, oversampled 0.500000 times, 0.750000" + chosen);
    CHECK(refusal(&Config::class_weight, -1.0f) == "mask2former: weights -1.000000, 5.000000, 5.000000, 0.100000" + negative);
    CHECK(refusal(&Config::mask_weight, -1.0f) == "mask2former: weights 2.000000, -1.000000, 5.000000, 0.100000" + negative);
    CHECK(refusal(&Config::dice_weight, -1.0f) == "mask2former: weights 2.000000, 5.000000, -1.000000, 0.100000" + negative);
    CHECK(refusal(&Config::no_object_weight, -1.0f) == "mask2former: weights 2.000000, 5.000000, 5.000000, -1.000000" + negative);
    CHECK(refusal(&Config::eps, -1.0f) ==
          "mask2former: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    const Config least{.feature_channels = 1,
                       .width = 4,
                       .mask_channels = 1,
                       .queries = 1,
                       .heads = 1,
                       .mlp_width = 1,
                       .layers = 0,
                       .levels = 1,
                       .classes = 1,
                       .eps = 0,
                       .class_weight = 0,
                       .mask_weight = 0,
                       .dice_weight = 0,
                       .no_object_weight = 0,
                       .points = 1,
                       .oversample = 1,
                       .importance = 1};
    CHECK_NOTHROW(make_weights(least, random));
    Config uniform = least;
    uniform.oversample = uniform.importance = 0;
    CHECK_NOTHROW(make_weights(uniform, random));
}

TEST_CASE("sine_positions, forward, losses, panoptic: each argument check fails by itself") {
    Random random(5);
    // the last coordinate is 2 pi / (1 + 1e-6), whose sine is -2 pi 1e-6
    CHECK(sine_positions(1, 1, 4)(0, 0) / -6.283185e-6 == Approx(1).epsilon(0.05));
    const std::string fours = " does not split into sines and cosines of y and x; a multiple of 4 does";
    CHECK(error_of([] { sine_positions(1, 1, 0); }) == "sine_positions: a width of 0" + fours);
    CHECK(error_of([] { sine_positions(1, 1, 6); }) == "sine_positions: a width of 6" + fours);
    CHECK_THROWS_WITH(sine_positions(1, 0, 4), "sine_positions: a map of 1 x 0, both must be at least 1");

    const Weights w = make_weights(tiny, random);
    const Example two = random_example(random), one = random_example(random, 1);
    CHECK(error_of([&] {
              forward({one.features[0], two.features[1]}, two.mask_features, w, tiny);
          }).starts_with("mask2former: a map of "));
    Map wide = two.features[0];
    wide.pixels = Matrix(wide.size.rows(), 6);
    CHECK(error_of([&] {
              forward({wide, two.features[1]}, two.mask_features, w, tiny);
          }).ends_with(", this model reads 5 channels"));

    const Steps steps = forward(two.features, two.mask_features, w, tiny);
    const std::vector<Target> targets{random_target(random, 3), random_target(random, 0)};  // as many as queries
    const std::vector<Draws> draws = random_draws(targets, random);
    CHECK_NOTHROW(losses(steps, targets, draws, tiny));
    const auto refused_targets = [&](const auto& change) {
        std::vector<Target> changed = targets;
        change(changed[0]);
        return error_of([&] { losses(steps, changed, draws, tiny); });
    };
    CHECK(refused_targets([](Target& t) { t = {1, 56, t.labels, t.masks}; }) == "");
    CHECK(refused_targets([](Target& t) { t = {56, 1, t.labels, t.masks}; }) == "");
    const std::string each_row = " for 3 targets of 7 x 8; each is a row with one number a pixel";
    CHECK(refused_targets([](Target& t) { t.masks = Matrix(2, 56); }) == "mask2former: masks (2, 56)" + each_row);
    CHECK(refused_targets([](Target& t) { t.masks = Matrix(3, 55); }) == "mask2former: masks (3, 55)" + each_row);
    CHECK(refused_targets([](Target& t) { t.labels[0] = -1; }) ==
          "mask2former: label -1 is not one of 2 classes, counted from 0");
    CHECK(refused_targets([](Target& t) { t.labels[0] = 2; }) == "mask2former: label 2 is not one of 2 classes, counted from 0");
    CHECK(error_of([&] {
              losses(steps, {targets[0], targets[1], targets[1]}, draws, tiny);
          }) == "mask2former: targets of 3 images for 2, each needs its own, if only an empty one");
    const auto refused_draws = [&](const auto& change) {
        std::vector<Draws> changed = draws;
        change(changed);
        return error_of([&] { losses(steps, targets, changed, tiny); });
    };
    CHECK(refused_draws([](auto& d) { d.pop_back(); }) ==
          "mask2former: draws for 2 sets of predictions, there are 3; call draw() once for each");
    CHECK(refused_draws([](auto& d) { d[1].matching.pop_back(); }) == "mask2former: points for 1 images in set 1, there are 2");
    CHECK(refused_draws([](auto& d) { d[1].matching[0] = Matrix(11, 2); }) ==
          "mask2former: points (11, 2) for matching in set 1, they must be (12, 2)");
    CHECK(refused_draws([](auto& d) { d[1].matching[0] = Matrix(12, 3); }) ==
          "mask2former: points (12, 3) for matching in set 1, they must be (12, 2)");
    // 3 masks, 12 points of each: 27 certain ones are chosen from 3 * 36, 9 are uniform
    const std::string drawn = " drawn for 3 matched masks; 36 and 3 for each are needed, x and y";
    CHECK(refused_draws([](auto& d) { d[0].oversampled = Matrix(107, 2); }) == "mask2former: points (107, 2) and (9, 2)" + drawn);
    CHECK(refused_draws([](auto& d) { d[0].oversampled = Matrix(108, 3); }) == "mask2former: points (108, 3) and (9, 2)" + drawn);
    CHECK(refused_draws([](auto& d) { d[0].uniform = Matrix(8, 2); }) == "mask2former: points (108, 2) and (8, 2)" + drawn);
    CHECK(refused_draws([](auto& d) { d[0].uniform = Matrix(9, 3); }) == "mask2former: points (108, 2) and (9, 3)" + drawn);

    const Matrix classes(1, 2), masks(1, 1);
    const auto thresholds = [&](float object, float overlap) {
        return error_of([&] { panoptic(classes, masks, {true}, object, overlap); });
    };
    const std::string between = ", both must lie between 0 and 1; 0.8 is usual";
    CHECK(thresholds(0, 0) == "");
    CHECK(thresholds(1, 1) == "");
    CHECK(thresholds(-0.5f, 0) == "panoptic: thresholds -0.500000 and 0.000000" + between);
    CHECK(thresholds(1.5f, 0) == "panoptic: thresholds 1.500000 and 0.000000" + between);
    CHECK(thresholds(0, -0.5f) == "panoptic: thresholds 0.000000 and -0.500000" + between);
    CHECK(thresholds(0, 1.5f) == "panoptic: thresholds 0.000000 and 1.500000" + between);
    CHECK_THROWS_WITH(panoptic(classes, masks, {true, true}), "panoptic: 2 kinds for 1 classes, each needs one");
    const std::string row_of_both = "; each query needs a row of both, with at least one class beside \"no object\"";
    CHECK(error_of([&] { semantic(Matrix(1, 1), masks); }) == "semantic: class logits (1, 1) and masks (1, 1)" + row_of_both);
    CHECK(error_of([&] { semantic(classes, Matrix(1, 0)); }) == "semantic: class logits (1, 2) and masks (1, 0)" + row_of_both);
}

TEST_CASE("instances, panoptic: ties and limits: the first of equal queries, more than a threshold, a logit of 0 as published") {
    const Matrix even{{0, 0}};                                       // 1/2 for class 0, 1/2 for no object
    CHECK(panoptic(even, {{4}}, {true}, 0.5f, 0).segments.empty());  // not more than the threshold
    CHECK(panoptic(even, {{4}}, {true}, 0.49f, 0).ids == std::vector<int>{1});
    const Matrix twice{{9, 0}, {9, 0}};
    const Panoptic first = panoptic(twice, {{4, 4}, {4, 4}}, {true}, 0.5f, 0.5f);
    REQUIRE(first.segments.size() == 1);
    CHECK(first.segments[0].query == 0);
    CHECK(panoptic(twice, {{-4, 4}, {4, -4}}, {true}, 0.5f, 0.5f).ids == std::vector<int>{2, 1});
    const std::vector<Instance> equal = instances(twice, {{4, 4}, {4, 4}}, 2);
    CHECK(equal[0].query == 0);
    CHECK(equal[1].query == 1);
    // Probability 1/2 at the second pixel: inside the mask for panoptic, outside of it for instances.
    CHECK(panoptic({{9, 0}}, {{4, 0}}, {true}, 0.5f, 0.5f).ids == std::vector<int>{1, 1});
    CHECK(identical(instances({{9, 0}}, {{4, 0}}, 1)[0].mask, Matrix{{1, 0}}));
    // That pixel belongs to another query: the first keeps one of the two pixels of its mask, too few.
    CHECK(panoptic({{9, 0}, {9, 0}}, {{4, 0}, {-4, 4}}, {true}, 0.5f, 0.6f).ids == std::vector<int>{0, 1});
}

TEST_CASE("predict: a mask logit of 0, a probability of 1/2, blocks no pixel") {
    Random random(6);
    const Weights w = make_weights(tiny, random);
    const Example example = random_example(random);
    const Map nothing{Matrix(example.mask_features.pixels.rows(), tiny.mask_channels), example.mask_features.size};
    const Prediction prediction = predict(normal_matrix(random, 2 * tiny.queries, tiny.width), nothing, {2, 1, 2}, w, tiny);
    for (const float blocked : prediction.blocked) CHECK(blocked == 0);
}

TEST_CASE("config_of: a model without decoder layers is read back") {
    Random random(6);
    Config config = tiny;
    config.layers = 0;
    const TemporaryFolder folder;
    const std::string path = folder.path("mask2former.safetensors");
    save(parameters(make_weights(config, random), config), path, metadata(config));
    CHECK(config_of(Safetensors(path), {}).layers == 0);
    CHECK_FALSE(config_of(Safetensors(path), {}).always_project);
    config = tiny;
    config.feature_channels = config.width;
    for (const bool always : {true, false}) {  // maps as wide as the model may be projected or not
        config.always_project = always;
        save(parameters(make_weights(config, random), config), path, metadata(config));
        CHECK(config_of(Safetensors(path), {}).always_project == always);
    }
}

TEST_CASE("mask2former::Config: the defaults") {
    const mask2former::Config usual{};
    CHECK(usual.feature_channels == 256);
    CHECK(usual.width == 256);
    CHECK(usual.mask_channels == 256);
    CHECK(usual.queries == 100);
    CHECK(usual.heads == 8);
    CHECK(usual.mlp_width == 2048);
    CHECK(usual.layers == 9);
    CHECK(usual.levels == 3);
    CHECK(usual.classes == 80);
    CHECK(!usual.pre_norm);
    CHECK(!usual.always_project);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.activation == Activation::relu);
    CHECK(usual.class_weight == 2);
    CHECK(usual.mask_weight == 5);
    CHECK(usual.dice_weight == 5);
    CHECK(usual.no_object_weight == 0.1f);
    CHECK(usual.points == 12544);
    CHECK(usual.oversample == 3);
    CHECK(usual.importance == 0.75);
}

TEST_CASE("make_weights: queries and levels are normal, everything else is Xavier-uniform") {
    Config wide = tiny;
    wide.feature_channels = 48, wide.width = 64, wide.heads = 2, wide.mlp_width = 80, wide.queries = 30, wide.classes = 39;
    wide.mask_channels = 20;
    Random random(2);
    const Weights w = make_weights(wide, random);
    CHECK(root_mean_square(w.query_features.value()) == Approx(1).epsilon(0.1));
    CHECK(root_mean_square(w.query_positions.value()) == Approx(1).epsilon(0.1));
    CHECK(root_mean_square(w.level_embedding.value()) == Approx(1).epsilon(0.3));
    const auto ratio = [](const Linear& linear, int in, int out) {
        return root_mean_square(linear.weight.value()) / xavier_deviation(in, out);
    };
    CHECK(ratio(w.classes, 64, 40) == Approx(1).epsilon(0.06));
    CHECK(ratio(w.mask_embedding[0], 64, 64) == Approx(1).epsilon(0.06));
    CHECK(ratio(w.mask_embedding[1], 64, 64) == Approx(1).epsilon(0.06));
    CHECK(ratio(w.mask_embedding[2], 64, 20) == Approx(1).epsilon(0.06));
    CHECK(ratio(w.layers[0].mlp.expand, 64, 80) == Approx(1).epsilon(0.06));
    CHECK(ratio(w.layers[0].mlp.contract, 80, 64) == Approx(1).epsilon(0.06));
    for (const Convolution& projection : w.projections)
        CHECK(root_mean_square(projection.weight.value()) / xavier_deviation(48, 64) == Approx(1).epsilon(0.06));
}

TEST_CASE("may_attend_unblocked: numbers other than 0 and 1 are refused") {
    for (const float x : {0.5f, NAN})
        CHECK(error_of([&] {
                  mask2former::may_attend_unblocked(Matrix(1, 1, x));
              }).starts_with("mask2former: a mask of blocked pixels holds 1 (blocked) and 0 (free), not "));
}

TEST_CASE("matching_cost, losses, certain_count, sine_positions: rows, points, labels and sizes that do not fit are refused") {
    const auto cost = [](int logits, int points, int label, int of_target) {
        return error_of([&] { matching_cost(Matrix(logits, 3), Matrix(2, points), {label}, Matrix(1, of_target), tiny); });
    };
    CHECK(cost(2, 8, 1, 8).empty());
    CHECK(cost(2, 1, 1, 1).empty());
    const std::string rows = "; each query and each target needs its row, both masks the same points";
    CHECK(cost(2, 8, 0, 7) == "matching_cost: class logits (2, 3), masks (2, 8) and (1, 7) of 1 targets" + rows);
    CHECK(cost(3, 8, 0, 8) == "matching_cost: class logits (3, 3), masks (2, 8) and (1, 8) of 1 targets" + rows);
    CHECK(cost(2, 0, 0, 0).ends_with(rows));
    CHECK(error_of([] {
              matching_cost(Matrix(2, 3), Matrix(2, 8), {0, 1}, Matrix(1, 8), tiny);
          }).ends_with(" of 2 targets" + rows));
    for (const int label : {-1, 2})
        CHECK(cost(2, 8, label, 8) == "matching_cost: label " + std::to_string(label) + " of 2 classes, counted from 0");
    Random random(1);
    Steps steps;
    steps.mask_size = {1, 5, 6};
    CHECK(error_of([&] { losses(steps, {random_target(random, 1)}, {}, tiny); }) ==
          "mask2former: no predictions; forward() makes them");
    Config other = tiny;
    other.importance = NAN;
    CHECK(error_of([&] { certain_count(other); }).starts_with("mask2former: 12 points, oversampled "));
    CHECK(error_of([] { sine_positions(65536, 65536, 8); }) ==
          "sine_positions: a map of 65536 x 65536 pixels, more than the 2147483647 rows of a matrix");
}

TEST_SUITE_END();
