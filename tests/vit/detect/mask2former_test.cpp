#include "vit/detect/mask2former.h"

#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
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
        golden.check("pos_" + std::to_string(l), maps_channels_first(repeated.value(), features[l].size.height, features[l].size.width));
    }
    for (int i = 0; i <= config.layers; ++i) {
        const Prediction& prediction = steps.predictions[i];
        const std::string head = "head_" + std::to_string(i);
        golden.check(head + ".class", prediction.class_logits.value());
        golden.check(head + ".mask", reshape(prediction.mask_logits.value(), B * config.queries * steps.mask_size.height, steps.mask_size.width));
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
    golden.check("pred_masks", reshape(steps.predictions.back().mask_logits.value(), B * config.queries * steps.mask_size.height, steps.mask_size.width));
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
    const std::vector<int> d = dimensions_of(golden, "input.infer.pred_masks"), low = dimensions_of(golden, "input.infer.low_masks");
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

TEST_CASE("mask2former: parity: every step, matching, loss, gradient and all three tasks of the published code") {
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

TEST_SUITE_END();
