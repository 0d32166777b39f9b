#include "vit/detect/owl_vit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"
#include "vit/detect/boxes.h"
#include "vit/vit.h"

namespace owl_vit {

// --- text ---

// The lowest float for every key that is padding, as large as the attention weights: (B*heads*T, T). Added to a score it swallows it, so that
// where all keys are padding all are equal; minus infinity would leave nothing.
static Matrix padding_bias(const TokenBatch& texts, int heads) {
    const int B = texts.sequences, T = texts.length;
    Matrix bias(B * heads * T, T);
    for (int row = 0; row < bias.rows; ++row)
        for (int key = 0; key < T; ++key)
            if (!texts.is_token(row / (heads * T), key)) bias(row, key) = std::numeric_limits<float>::lowest();
    return bias;
}

clip::TextSteps masked_text_tower(const TokenBatch& texts, const clip::TextWeights& w, const clip::TextConfig& config) {
    const int B = texts.sequences, T = texts.length;
    require_fits("owl_vit", texts);
    require(T <= config.positions, "owl_vit: queries of ", T, " tokens, the model has ", config.positions,
            " positions; cut the longest");
    clip::check(config, "owl_vit");
    require_depth("owl_vit: text tower", config.depth, w.blocks);
    const BlockOptions options{.heads = config.heads, .eps = config.eps, .activation = config.activation};
    const Attending how{.segments = Segments::equal(B, T), .may = causal(T, T), .bias = padding_bias(texts, config.heads)};
    clip::TextSteps steps;
    steps.embeddings = add_repeated(embed(w.token_embedding, texts.ids), slice_rows(w.positions, 0, T));  // (B*Q*T, Dt)
    steps.encoder = stack(steps.embeddings, w.blocks, options, {.self = how});                            // (B*Q*T, Dt)
    steps.norm = layer_norm(steps.encoder.output, w.norm, config.eps);                                    // (B*Q*T, Dt)
    steps.ends = clip::end_of_text_positions(texts);
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) rows.push_back(b * T + steps.ends[b]);
    steps.pooled = gather_rows(steps.norm, rows);  // (B*Q, Dt)
    return steps;
}

TokenBatch repeated(const TokenBatch& texts, int images) {
    require_fits("owl_vit", texts);
    require(images > 0 && static_cast<double>(images) * static_cast<double>(texts.ids.size()) <= std::numeric_limits<int>::max(),
            "owl_vit: ", texts.sequences, " texts of ", texts.length, " tokens for ", images,
            " images; there must be an image, and no more tokens than an int can count");
    TokenBatch all = texts;
    for (int b = 1; b < images; ++b) all.ids.insert(all.ids.end(), texts.ids.begin(), texts.ids.end());
    all.sequences = texts.sequences * images;
    if (texts.mask.empty()) return all;
    all.mask = Matrix(all.sequences, texts.length);
    for (int row = 0; row < all.sequences; ++row)
        std::copy_n(texts.mask.row(row % texts.sequences), texts.length, all.mask.row(row));
    return all;
}

// --- image tokens ---

// Every token times the class token of its image, so that the class token still takes part: (B*(N+1), Dv) -> (B*N, Dv).
static Var merged(const Var& all_tokens, int images, int N) {
    std::vector<int> class_rows;
    for (int b = 0; b < images; ++b)
        for (int n = 0; n < N; ++n) class_rows.push_back(b * (N + 1));
    return multiply(drop_first_of_each(all_tokens, N + 1), gather_rows(all_tokens, class_rows));
}

// --- the class head ---

// Every row divided by its length + 1e-6: the 1e-6 is outside the root.
static Var nearly_unit_rows(const Var& x) { return divide(x, shift(sqrt(row_sums(square(x))), 1e-6f)); }

// elu(x) + 1: x + 1 above 0, exp(x) below; always positive
static Var positive(const Var& x) {
    const Var zero = Matrix(1, 1);
    return add(maximum(x, zero), exp(minimum(x, zero)));
}

// Cosines of the tokens of each image with its queries: (B*N, Dt), (B*Q, Dt) -> (B*N, Q).
static Var cosines(const Var& embeddings, const Var& queries, int images) {
    const int N = embeddings.rows() / images, Q = queries.rows() / images;
    std::vector<Var> of_images;
    for (int b = 0; b < images; ++b)
        of_images.push_back(matmul_transposed(slice_rows(embeddings, b * N, N), slice_rows(queries, b * Q, Q)));
    return concat_rows(of_images);
}

// `logit` in the columns of absent queries, without gradient.
static Var absent_set(const Var& logits, const std::vector<int>& present, int images, float logit) {
    const int N = logits.rows() / images, Q = logits.cols();
    Matrix keep(logits.rows(), Q), instead(logits.rows(), Q);
    for (int row = 0; row < logits.rows(); ++row)
        for (int q = 0; q < Q; ++q) {
            keep(row, q) = static_cast<float>(present[row / N * Q + q]);
            instead(row, q) = present[row / N * Q + q] == 1 ? 0 : logit;
        }
    return add(multiply(logits, std::move(keep)), std::move(instead));
}

// --- the box head ---

Matrix box_bias(const PatchGrid& grid) {
    check(grid, "owl_vit");
    const int down = grid.down(), across = grid.across();
    Matrix bias(grid.count(), 4);
    for (int n = 0; n < bias.rows; ++n) {
        const double start[4] = {(n % across + 1.0) / across, (n / across + 1.0) / down, 1.0 / across, 1.0 / down};
        for (int j = 0; j < 4; ++j) bias(n, j) = static_cast<float>(std::log(start[j] + 1e-4) - std::log(1 - start[j] + 1e-4));
    }
    return bias;
}

// --- the whole ---

Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config) {
    check(config);
    const int B = static_cast<int>(images.size()), N = config.clip.vision.grid.count();
    require(B > 0 && texts.sequences > 0 && texts.sequences % B == 0, "owl_vit: ", texts.sequences, " queries for ", B,
            " images; there must be an image, and the same number of queries for each");
    const int Q = texts.sequences / B;
    Steps steps;
    steps.image = clip::vision_trunk(images, w.clip.vision, config.clip.vision, "owl_vit");
    steps.all_tokens = layer_norm(steps.image.encoder.output, w.clip.vision.post_norm, config.clip.vision.eps);  // (B*(N+1), Dv)
    steps.features = layer_norm(merged(steps.all_tokens, B, N), w.merge_norm, config.clip.vision.eps);           // (B*N, Dv)

    steps.text = masked_text_tower(texts, w.clip.text, config.clip.text);
    steps.queries = unit_rows(linear(steps.text.pooled, w.clip.text_projection), 0);  // (B*Q, D)
    for (int q = 0; q < B * Q; ++q) steps.present.push_back(texts.ids[q * texts.length] > 0);

    steps.class_embeddings = nearly_unit_rows(linear(steps.features, w.class_embedding));     // (B*N, Dt)
    const Var similar = cosines(steps.class_embeddings, nearly_unit_rows(steps.queries), B);  // (B*N, Q)
    steps.shift = linear(steps.features, w.logit_shift);                                      // (B*N, 1)
    steps.scale = positive(linear(steps.features, w.logit_scale));                            // (B*N, 1)
    steps.logits =
        absent_set(multiply(add(similar, steps.shift), steps.scale), steps.present, B, config.absent_logit);  // (B*N, Q)

    const Var hidden1 = activate(linear(steps.features, w.box[0]), Activation::gelu);       // (B*N, Dv)
    const Var hidden2 = activate(linear(hidden1, w.box[1]), Activation::gelu);              // (B*N, Dv)
    steps.box_raw = linear(hidden2, w.box[2]);                                              // (B*N, 4)
    steps.boxes = sigmoid(add_repeated(steps.box_raw, box_bias(config.clip.vision.grid)));  // (B*N, 4)
    return steps;
}

// --- matching ---

Matrix matching_cost(const Matrix& logits, const Matrix& boxes, const Target& target, const Config& config) {
    const int N = logits.rows, n = static_cast<int>(target.labels.size());
    Matrix cost(N, n);
    if (n == 0) return cost;
    const Matrix ours = convert_boxes(boxes, BoxFormat::centre_size, BoxFormat::corners).value();           // (N, 4)
    const Matrix theirs = convert_boxes(target.boxes, BoxFormat::centre_size, BoxFormat::corners).value();  // (n, 4)
    const Matrix overlap = pairwise_generalised_iou(ours, theirs);                                          // (N, n)
    const double alpha = config.focal_alpha, gamma = config.focal_gamma;
    for (int i = 0; i < N; ++i)
        for (int t = 0; t < n; ++t) {
            const double p = 1 / (1 + std::exp(-static_cast<double>(logits(i, target.labels[t]))));
            const double if_right = alpha * std::pow(1 - p, gamma) * -std::log(p + 1e-8);
            const double if_wrong = (1 - alpha) * std::pow(p, gamma) * -std::log(1 - p + 1e-8);
            double distance = 0;
            for (int j = 0; j < 4; ++j) distance += std::abs(static_cast<double>(boxes(i, j)) - target.boxes(t, j));
            cost(i, t) = static_cast<float>(config.class_cost * (if_right - if_wrong) + config.box_cost * distance -
                                            config.overlap_cost * overlap(i, t));
        }
    return cost;
}

static void check_targets(const std::vector<Target>& targets, int images, int tokens, int queries) {
    require(static_cast<int>(targets.size()) == images, "owl_vit: targets of ", targets.size(), " images for ", images,
            ", each needs its own, if only an empty one");
    for (const Target& target : targets) {
        const int n = static_cast<int>(target.labels.size());
        require(n <= tokens && (n == 0 || (target.boxes.rows == n && target.boxes.cols == 4)), "owl_vit: boxes ", target.boxes,
                " for ", n, " targets, an image has ", tokens,
                " tokens; each target is four numbers and needs a token of its own");
        for (int i = 0; i < target.boxes.rows; ++i) {
            const float* const b = target.boxes.row(i);
            const bool finite = std::isfinite(b[0]) && std::isfinite(b[1]) && std::isfinite(b[2]) && std::isfinite(b[3]);
            require(finite && b[2] >= 0 && b[3] >= 0, "owl_vit: target ", i, " is the box (", b[0], ", ", b[1], ", ", b[2], ", ",
                    b[3], "), it must be finite: centre x and y, width and height at least 0, as fractions of the image");
        }
        for (const int label : target.labels)
            require(label >= 0 && label < queries, "owl_vit: label ", label, " is not one of ", queries,
                    " queries, counted from 0");
    }
}

Losses losses(const Steps& steps, const std::vector<Target>& targets, const Config& config) {
    const int N = config.clip.vision.grid.count(), Q = steps.logits.cols(), B = steps.logits.rows() / N;
    check_targets(targets, B, N, Q);
    Losses result;
    Matrix positives(steps.logits.rows(), Q);  // 1 = this token answers this query
    std::vector<int> rows;                     // of the matched tokens
    std::vector<float> numbers;                // four for each of them: the boxes that they should predict
    for (int b = 0; b < B; ++b) {
        const Matrix logits = slice_rows(steps.logits.value(), b * N, N), boxes = slice_rows(steps.boxes.value(), b * N, N);
        result.costs.push_back(matching_cost(logits, boxes, targets[b], config));
        result.matches.push_back(assign(result.costs.back()));
        for (const Matched& pair : result.matches.back()) {
            positives(b * N + pair.row, targets[b].labels[pair.column]) = 1;
            rows.push_back(b * N + pair.row);
            numbers.insert(numbers.end(), targets[b].boxes.row(pair.column), targets[b].boxes.row(pair.column) + 4);
        }
    }
    const float share = 1.0f / static_cast<float>(std::max<std::size_t>(rows.size(), 1));
    const Var focal = focal_losses(steps.logits, positives, config.focal_alpha, config.focal_gamma);  // (B*N, Q)
    result.classes = scale(sum(focal), share);
    if (rows.empty()) {
        result.boxes = result.overlap = Matrix(1, 1);
    } else {
        Matrix wanted(static_cast<int>(rows.size()), 4);  // (matched, 4)
        std::copy(numbers.begin(), numbers.end(), wanted.begin());
        const Var ours = gather_rows(steps.boxes, rows);  // (matched, 4)
        const Var overlap = generalised_iou(convert_boxes(ours, BoxFormat::centre_size, BoxFormat::corners),
                                            convert_boxes(wanted, BoxFormat::centre_size, BoxFormat::corners));  // (matched, 1)
        result.boxes = scale(sum(abs(subtract(ours, wanted))), share);
        result.overlap = scale(sum(shift(scale(overlap, -1), 1)), share);
    }
    result.total = add(add(scale(result.classes, config.class_weight), scale(result.boxes, config.box_weight)),
                       scale(result.overlap, config.overlap_weight));
    return result;
}

// --- detections ---

std::vector<Found> detections(const Steps& steps, int image, float threshold, float overlap) {
    const int B = static_cast<int>(steps.present.size()) / steps.logits.cols(), N = steps.logits.rows() / B;
    require(image >= 0 && image < B, "detections: there is no image ", image, " among ", B, ", counted from 0");
    require(threshold >= 0 && threshold <= 1, "detections: a threshold of ", threshold, ", a score lies between 0 and 1");
    const Matrix scores = sigmoid(slice_rows(steps.logits, image * N, N)).value();  // (N, Q)
    const Matrix boxes = convert_boxes(slice_rows(steps.boxes, image * N, N), BoxFormat::centre_size, BoxFormat::corners).value();
    std::vector<float> best;
    std::vector<int> labels;
    for (int n = 0; n < N; ++n) {
        labels.push_back(argmax_row(scores, n));
        best.push_back(scores(n, labels.back()));
    }
    std::vector<Found> found;
    for (const int n : suppress_non_maxima(boxes, best, overlap, labels))
        if (best[n] >= threshold) found.push_back({n, labels[n], best[n], slice_rows(boxes, n, 1)});
    return found;
}

// --- weights ---

void check(const Config& config) {
    clip::check(config.clip.vision, "owl_vit");
    clip::check(config.clip.text, "owl_vit");
    require(config.clip.shared_width == config.clip.text.width, "owl_vit: sentences are projected to width ",
            config.clip.shared_width, ", tokens are compared in the text tower's, ", config.clip.text.width);
    require(config.focal_gamma >= 0 && config.focal_alpha >= 0 && config.focal_alpha <= 1, "owl_vit: focal alpha ",
            config.focal_alpha, ", gamma ", config.focal_gamma,
            "; alpha lies between 0 and 1, gamma is not negative; 0.25 and 2 are usual");
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int Dv = config.clip.vision.width;
    const Init xavier{.draw = Draw::xavier_uniform};
    Weights w;
    w.clip = clip::make_weights(config.clip, random);
    w.merge_norm = make_layer_norm(Dv);
    w.class_embedding = make_linear(random, Dv, config.clip.text.width, xavier);
    w.logit_shift = make_linear(random, Dv, 1, xavier);
    w.logit_scale = make_linear(random, Dv, 1, xavier);
    for (int k = 0; k < 3; ++k) w.box[k] = make_linear(random, Dv, k < 2 ? Dv : 4, xavier);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table = clip::parameters(w.clip, config.clip);
    for (Parameter& entry : table) {
        const std::size_t misspelt = entry.name.find("pre_layrnorm");  // as CLIP's files spell it; these do not
        if (misspelt != std::string::npos) entry.name.replace(misspelt, 12, "pre_layernorm");
        entry.name = "owlvit." + entry.name;
    }
    add_parameters(table, "layer_norm", w.merge_norm);
    add_parameters(table, "class_head.dense0", w.class_embedding);
    add_parameters(table, "class_head.logit_shift", w.logit_shift);
    add_parameters(table, "class_head.logit_scale", w.logit_scale);
    for (int k = 0; k < 3; ++k) add_parameters(table, "box_head.dense" + std::to_string(k), w.box[k]);
    return table;
}

// Heads, eps and activation of both towers; published code takes eps 1e-5 and the quick form of GELU as defaults.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    clip::VisionConfig& vision = config.clip.vision;
    clip::TextConfig& text = config.clip.text;
    return {{{"the width (vision_config)", {"vision_config.hidden_size"}}, &vision.width, From::shapes},
            {{"the width (text_config)", {"text_config.hidden_size"}}, &text.width, From::shapes},
            {{"the number of heads (vision_config)", {"vision_config.num_attention_heads"}}, &vision.heads, From::file},
            {{"the number of heads (text_config)", {"text_config.num_attention_heads"}}, &text.heads, From::file},
            {{"the eps of the norms (vision_config)", {"vision_config.layer_norm_eps"}}, &vision.eps},
            {{"the eps of the norms (text_config)", {"text_config.layer_norm_eps"}}, &text.eps},
            {{"the activation function (vision_config)", {"vision_config.hidden_act"}}, &vision.activation},
            {{"the activation function (text_config)", {"text_config.hidden_act"}}, &text.activation},
            {{"the cost of the class", {"cost_class"}}, &config.class_cost},
            {{"the cost of the box", {"cost_bbox"}}, &config.box_cost},
            {{"the cost of the overlap", {"cost_giou"}}, &config.overlap_cost},
            {{"the weight of the class loss", {"loss_class"}}, &config.class_weight},
            {{"the weight of the box loss", {"loss_bbox"}}, &config.box_weight},
            {{"the weight of the overlap loss", {"loss_giou"}}, &config.overlap_weight},
            {{"alpha of the focal loss", {"focal_alpha"}}, &config.focal_alpha},
            {{"gamma of the focal loss", {"focal_gamma"}}, &config.focal_gamma},
            {{"the logit of a padding query", {"masked_logit"}}, &config.absent_logit}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string image = "owlvit.vision_model.", sentence = "owlvit.text_model.", layer = ".layer_norm1.weight";
    const std::string patches = image + "embeddings.patch_embedding.weight",
                      words = sentence + "embeddings.token_embedding.weight";
    Config config;
    clip::VisionConfig& vision = config.clip.vision;
    vision.width = size_of(checkpoint, patches, 0);
    vision.grid.channels = size_of(checkpoint, patches, 1);
    vision.grid.patch_size = size_of(checkpoint, patches, 2);
    vision.depth = count_blocks(checkpoint, image + "encoder.layers.", layer);
    vision.mlp_width = size_of(checkpoint, image + "encoder.layers.0.mlp.fc1.weight", 0);
    clip::TextConfig& text = config.clip.text;
    text.vocabulary = size_of(checkpoint, words, 0);
    text.width = size_of(checkpoint, words, 1);
    text.positions = size_of(checkpoint, sentence + "embeddings.position_embedding.weight", 0);
    text.depth = count_blocks(checkpoint, sentence + "encoder.layers.", layer);
    text.mlp_width = size_of(checkpoint, sentence + "encoder.layers.0.mlp.fc1.weight", 0);
    config.clip.shared_width = size_of(checkpoint, "owlvit.text_projection.weight", 0);
    const ModelConfig model_config(checkpoint, given);
    const int N = size_of(checkpoint, image + "embeddings.position_embedding.weight", 0) - 1;
    vit::set_image_size(vision.grid, N, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    const PatchGrid& grid = config.clip.vision.grid;
    std::map<std::string, std::string> all = metadata_of("owlvit", members_of(copy));
    all["image_size"] = std::to_string(grid.height) + "," + std::to_string(grid.width);
    return all;
}

}  // namespace owl_vit
