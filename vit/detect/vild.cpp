#include "vit/detect/vild.h"

#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/activation.h"
#include "nn/layers/model_config.h"
#include "nn/layers/norm.h"
#include "nn/layers/transformer.h"
#include "nn/training/loss.h"

namespace vild {

// --- region embeddings ---

// Rows of length 1; TensorFlow's l2_normalize divides by at least 1e-6.
static Var unit(const Var& x) { return unit_rows(x, 1e-6f); }

BranchSteps embed_regions(const Var& regions, const Branch& w, const Config& config) {
    Var hidden = regions;                                                                             // (regions, h*w*c)
    for (const Linear& layer : w.layers) hidden = activate(linear(hidden, layer), Activation::relu);  // (regions, hidden)
    BranchSteps steps;
    steps.projected = linear(hidden, w.project);  // (regions, D)
    steps.embeddings = config.unit_regions ? unit(steps.projected) : steps.projected;
    return steps;
}

// --- comparison with text embeddings ---

// The columns of a classifier as rows, of length 1: (D, K) -> (K, D).
static Var directions(const Var& kernel, const Config& config) {
    const Var rows = transpose(kernel);
    return config.unit_classifier ? unit(rows) : rows;
}

Var class_cosines(const Var& embeddings, const Weights& w, const Config& config) {
    return scale(matmul_transposed(embeddings, directions(w.classes, config)), config.temperature);  // (regions, C)
}

Var logits(const Var& embeddings, const Weights& w, const Config& config) {
    const Var background =
        scale(matmul_transposed(embeddings, directions(w.background, config)), config.temperature);  // (regions, 1)
    return concat_cols({background, class_cosines(embeddings, w, config)});                          // (regions, C + 1)
}

// --- losses ---

// 1 for background and base classes, 0 for novel ones: a novel class stays in the softmax with logit 0.
static Matrix trained_columns(const std::vector<int>& base) {
    Matrix mask(1, static_cast<int>(base.size()) + 1, 1);
    for (std::size_t k = 0; k < base.size(); ++k) mask[k + 1] = static_cast<float>(base[k]);
    return mask;
}

// The L1 distance of unit vectors, summed over D, averaged over the valid rows; 0 when all are padding.
static Var distance_of_valid(const Var& embeddings, const Matrix& targets, const std::vector<int>& valid) {
    Matrix counts(embeddings.rows(), 1);
    float total = 0;
    for (int i = 0; i < counts.rows; ++i) {
        counts(i, 0) = static_cast<float>(valid[i]);
        total += counts(i, 0);
    }
    const Var distances = row_sums(abs(subtract(embeddings, targets)));  // (M, 1)
    return scale(sum(multiply(distances, std::move(counts))), total > 0 ? 1 / total : 0);
}

static std::vector<int> valid_boxes(const Matrix& boxes) {
    std::vector<int> valid;
    for (int i = 0; i < boxes.rows; ++i)
        valid.push_back(boxes(i, 0) != 0 || boxes(i, 1) != 0 || boxes(i, 2) != 0 || boxes(i, 3) != 0);
    return valid;
}

static void check_regions(const Matrix& regions, const Distillation& distillation, const std::vector<int>& base,
                          const Config& config) {
    const int numbers = config.region_height * config.region_width * config.region_channels, M = distillation.regions.rows;
    require(regions.cols == numbers && distillation.regions.cols == numbers, "vild: regions ", regions, " and ",
            distillation.regions, ", this model reads rows of ", config.region_height, " x ", config.region_width, " x ",
            config.region_channels, " numbers");
    require(regions.rows > 0, "vild: regions ", regions, ", there must be at least one");
    require(distillation.clip_embeddings.rows == M && distillation.clip_embeddings.cols == config.clip_width &&
                distillation.boxes.rows == M && distillation.boxes.cols == 4,
            "vild: ", M, " proposals with CLIP's embeddings ", distillation.clip_embeddings, " and boxes ", distillation.boxes,
            ", width ", config.clip_width, "; each proposal needs an embedding of that width and a box of 4 numbers");
    require(!config.mask_rare || static_cast<int>(base.size()) == config.classes, "vild: ", base.size(),
            " marks of base classes for ", config.classes, " classes, each needs one: 1 (base) or 0 (novel)");
    for (const int mark : base)
        require(mark == 0 || mark == 1, "vild: a class is marked ", mark, ", it must be 1 (base) or 0 (novel)");
}

Steps training_losses(const Matrix& regions, const std::vector<int>& labels, const Distillation& distillation,
                      const std::vector<int>& base, const Weights& w, const Config& config) {
    check(config);
    require_depth("vild", config.layers, w.text.layers.size());
    check_regions(regions, distillation, base, config);
    const Branch& student = config.double_branch ? w.image : w.text;
    Steps steps;
    steps.regions = embed_regions(regions, w.text, config);
    steps.logits = logits(steps.regions.embeddings, w, config);  // (R, C + 1)   [ViLD 3]
    const Var trained = config.mask_rare ? multiply(steps.logits, trained_columns(base)) : steps.logits;
    steps.text_loss = cross_entropy(trained, labels);

    steps.distilled = embed_regions(distillation.regions, student, config);
    steps.targets = unit(distillation.clip_embeddings).value();  // (M, D)
    steps.valid = valid_boxes(distillation.boxes);
    steps.image_loss = distance_of_valid(steps.distilled.embeddings, steps.targets, steps.valid);  // [ViLD 4]
    steps.loss = add(steps.text_loss, scale(steps.image_loss, config.distill_weight));
    return steps;
}

// --- inference ---

Matrix text_probabilities(const Matrix& logits) { return slice_cols(softmax_rows(logits).value(), 1, logits.cols - 1); }

Matrix image_probabilities(const Matrix& class_cosines) { return softmax_rows(class_cosines).value(); }

Matrix ensemble(const Matrix& text, const Matrix& image, const std::vector<int>& base) {
    require(same_shape(text, image) && static_cast<int>(base.size()) == text.cols, "ensemble: ", text, " and ", image, " with ",
            base.size(), " marks of base classes; both must have the same shape, and each class one mark");
    for (const int mark : base)
        require(mark == 0 || mark == 1, "ensemble: a class is marked ", mark, ", it must be 1 (base) or 0 (novel)");
    for (const Matrix* const probabilities : {&text, &image})
        for (const float p : *probabilities)
            require(p >= 0 && p <= 1, "ensemble: a probability of ", p,
                    ", it must lie between 0 and 1; text_probabilities and image_probabilities "
                    "make them of logits");
    Matrix mean(text.rows, text.cols);
    for (int i = 0; i < text.rows; ++i)
        for (int k = 0; k < text.cols; ++k) {
            const double third = base[k] == 1 ? text(i, k) : image(i, k);  // the branch that counts twice
            mean(i, k) = static_cast<float>(std::cbrt(static_cast<double>(text(i, k)) * image(i, k) * third));  // [ViLD 5]
        }
    return mean;
}

// --- weights ---

void check(const Config& config) {
    require(config.region_height > 0 && config.region_width > 0 && config.region_channels > 0 && config.layers > 0 &&
                config.hidden > 0 && config.clip_width > 0 && config.classes > 0,
            "vild: regions of ", config.region_height, " x ", config.region_width, " x ", config.region_channels, ", ",
            config.layers, " layers of ", config.hidden, ", CLIP's width ", config.clip_width, ", ", config.classes,
            " classes: all must be at least 1");
    require(config.temperature > 0 && config.distill_weight >= 0, "vild: temperature ", config.temperature,
            " must be positive, weight ", config.distill_weight, " may not be negative");
}

static Branch make_branch(const Config& config, Random& random) {
    const Init xavier{.draw = Draw::xavier_uniform};
    Branch branch;
    int in = config.region_height * config.region_width * config.region_channels;
    for (int k = 0; k < config.layers; ++k, in = config.hidden)
        branch.layers.push_back(make_linear(random, in, config.hidden, xavier));
    branch.project = make_linear(random, config.hidden, config.clip_width, xavier);
    return branch;
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    Weights w;
    w.text = make_branch(config, random);
    if (config.double_branch) w.image = make_branch(config, random);
    w.classes = normal_matrix(random, config.clip_width, config.classes);
    w.background = parameter(normal_matrix(random, config.clip_width, 1, 0.01f));
    return w;
}

static void add_layer(Parameters& table, const std::string& name, const Linear& w) {
    table.push_back({name + "/kernel", {w.weight.rows(), w.weight.cols()}, Stored::as_it_is, {w.weight}});
    table.push_back({name + "/bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}

// Fully connected layers are counted from 6, as in AlexNet.
static void add_branch(Parameters& table, const std::string& layer, const std::string& project, const Branch& w) {
    for (std::size_t k = 0; k < w.layers.size(); ++k) add_layer(table, layer + std::to_string(6 + k), w.layers[k]);
    add_layer(table, project, w.project);
}

Parameters parameters(const Weights& w, const Config& config) {
    const std::string head = "frcnn_layer_0/fast_rcnn_head/";
    Parameters table;
    add_branch(table, head + "fc", head + "project-to-clip", w.text);
    if (config.double_branch) add_branch(table, head + "distill_fc", head + "distill-project-to-clip", w.image);
    table.push_back({head + "class-predict/kernel", {config.clip_width, config.classes}, Stored::as_it_is, {w.classes}});
    table.push_back({head + "background-class-predict/kernel", {config.clip_width, 1}, Stored::as_it_is, {w.background}});
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine: of a region only height * width * channels is in them.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{{"the height of a region", {"roi_height"}}, &config.region_height, From::file},
            {{"the width of a region", {"roi_width"}}, &config.region_width, From::file},
            {{"the temperature", {"temperature"}}, &config.temperature},
            {{"the weight of the distillation loss", {"feat_distill_weight"}}, &config.distill_weight},
            {{"whether the classifier is normalised", {"normalize_classifier"}}, &config.unit_classifier},
            {{"whether region embeddings are normalised", {"normalize_visual"}}, &config.unit_regions},
            {{"whether novel classes are masked in training", {"mask_rare"}}, &config.mask_rare}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string head = "frcnn_layer_0/fast_rcnn_head/";
    Config config;
    config.clip_width = size_of(checkpoint, head + "class-predict/kernel", 0);
    config.classes = size_of(checkpoint, head + "class-predict/kernel", 1);
    config.hidden = size_of(checkpoint, head + "project-to-clip/kernel", 0);
    config.layers = count_blocks(checkpoint, head + "fc", "/kernel", {}, 6);
    config.double_branch = checkpoint.has(head + "distill-project-to-clip/kernel");
    read_members(ModelConfig(checkpoint, given), members_of(config));
    const int inputs = size_of(checkpoint, head + "fc6/kernel", 0);
    const int area = config.region_height * config.region_width;
    require(area > 0 && inputs % area == 0, checkpoint.path, ": regions of ", config.region_height, " x ", config.region_width,
            " positions do not divide the ", inputs, " inputs of the first layer; give its roi_height and roi_width");
    config.region_channels = inputs / area;
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("vild", members_of(copy));
}

}  // namespace vild
