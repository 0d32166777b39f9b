#include "vit/sequence/uvim.h"

#include <algorithm>

#include "nn/autograd/operations.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("uvim");

static std::vector<int> pair_in(const std::string& text) {  // "12,16"
    const std::size_t comma = text.find(',');
    return {std::stoi(text.substr(0, comma)), std::stoi(text.substr(comma + 1))};
}

static uvim::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::vector<int> size = pair_in(file.metadata_text("input_size")), patch = pair_in(file.metadata_text("patch_size"));
    REQUIRE(patch[0] == patch[1]);
    const std::string task = file.metadata_text("task");
    REQUIRE((task == "panoptic" || task == "depth"));
    uvim::Config config{.grid = {.height = size[0], .width = size[1], .patch_size = patch[0], .channels = 3},
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
                        .words = file.metadata_int("dict_size"),
                        .word_width = file.metadata_int("codeword_dim"),
                        .momentum = static_cast<float>(file.metadata_double("dict_momentum")),
                        .min_count = static_cast<float>(file.metadata_double("min_count")),
                        .perturb = static_cast<float>(file.metadata_double("perturb")),
                        .commitment = static_cast<float>(file.metadata_double("w_commitment")),
                        .standardise_eps = static_cast<float>(file.metadata_double("standardize_epsilon")),
                        .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon"))};
    if (task == "panoptic") {
        config.outputs = {{"semantics", file.metadata_int("classes_semantics")}, {"instances", file.metadata_int("classes_instances")}};
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

static void check_logits(const Golden& golden, const std::string& prefix, const uvim::BaseSteps& steps, const uvim::Config& config) {
    for (std::size_t k = 0; k < config.outputs.size(); ++k) {
        const std::string name = prefix + "logits." + config.outputs[k].name;
        const int area = config.grid.patch_size * config.grid.patch_size;
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
    const std::vector<int> classes = uvim::classes_of_instances(steps.logits[0].value(), config.outputs[0], instances, config.grid);
    Matrix both(static_cast<int>(instances.size()), 2);
    for (int i = 0; i < both.rows; ++i) {
        both(i, 0) = static_cast<float>(classes[i]);
        both(i, 1) = static_cast<float>(instances[i]);
    }
    golden.check("eval.prediction", both);
}

TEST_CASE("uvim: every step, loss and gradient, the dictionary after its update, and predictions equal the published implementation's") {
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

        const uvim::BaseSteps evaluated = uvim::forward(labels, images, {}, w, config).base;  // the dictionary is still the old one
        check_logits(golden, "eval.", evaluated, config);
        check_prediction(golden, evaluated, config);
        const Matrix nothing(steps.oracle.bottleneck.rows(), config.word_width);
        check_logits(golden, "no_code.", uvim::base(nothing, images, w, config), config);

        const std::vector<int> counts = code_counts(steps.oracle.quantized.ids, config.words);
        const float total = static_cast<float>(steps.oracle.quantized.ids.size());
        golden.check_integers("batch_counts", counts);
        golden.check("codebook_max_ratio", static_cast<float>(*std::max_element(counts.begin(), counts.end())) / total);
        golden.check("codebook_zeros_ratio",
                     static_cast<float>(config.words - codes_in_use(steps.oracle.quantized.ids, config.words)) / config.words);
        golden.check_integers("splits", {uvim::update_dictionary(w, steps.oracle, golden.input("split_uniform"), config)});
        golden.check("new_state.dictionary", w.dictionary.sums.value());
        golden.check("new_state.counts", w.dictionary.counts.value());
        golden.check_all_used();
    }
}

TEST_SUITE_END();
