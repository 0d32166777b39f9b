#include "vit/sequence/uvim.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "nn/base/finite.h"
#include "nn/data/text.h"
#include "nn/layers/names.h"
#include "nn/layers/position.h"
#include "nn/maps/resize.h"
#include "nn/training/loss.h"
#include "vit/vit.h"

namespace uvim {

int code_side(const Config& config) {
    require(config.code_length > 0, "uvim: a code of ", config.code_length, " tokens, it must have at least 1");
    return static_cast<int>(std::lround(std::sqrt(static_cast<double>(config.code_length))));
}

// --- patches and labels ---

// Calls use(image pixel, row, pixel of the patch) for every pixel: where it lies in image order and in patch order.
template <class Use>
static void for_each_pixel(int images, const Grid& grid, Use use) {
    for (int b = 0; b < images; ++b)
        for (int y = 0; y < grid.height; ++y)
            for (int x = 0; x < grid.width; ++x) {
                const int pixel = (b * grid.height + y) * grid.width + x;
                const int row = b * grid.count() + y / grid.patch_height * grid.across() + x / grid.patch_width;
                use(pixel, row, y % grid.patch_height * grid.patch_width + x % grid.patch_width);
            }
}

void check(const Grid& grid, const char* who) {
    require(grid.height > 0 && grid.width > 0 && grid.channels > 0, who, ": an image of ", grid.height, " x ", grid.width, " x ",
            grid.channels, " has no pixels; all must be at least 1");
    require(grid.patch_height > 0 && grid.patch_width > 0 && grid.height % grid.patch_height == 0 &&
                grid.width % grid.patch_width == 0,
            who, ": an image of ", grid.height, " x ", grid.width, " does not split into patches of ", grid.patch_height, " x ",
            grid.patch_width, "; they must divide it");
    const double pixels = static_cast<double>(grid.height) * grid.width;
    require(pixels * grid.channels <= std::numeric_limits<int>::max(), who, ": an image of ", grid.height, " x ", grid.width,
            " x ", grid.channels, " holds more numbers than an int can count");
}

Matrix cut(const std::vector<Image>& images, const Grid& grid, const char* who) {
    require(!images.empty(), who, ": there is no image; give at least one");
    const int B = static_cast<int>(images.size()), C = grid.channels;
    for (int b = 0; b < B; ++b)
        require(images[b].height == grid.height && images[b].width == grid.width && images[b].channels == C, who, ": image ", b,
                " is ", shape(images[b]), ", this model reads ", grid.height, " x ", grid.width, " x ", C);
    Matrix patches(B * grid.count(), grid.numbers());  // (B*n, a*channels)
    for_each_pixel(B, grid, [&](int pixel, int row, int p) {
        const int b = pixel / (grid.height * grid.width), within = pixel % (grid.height * grid.width);
        for (int c = 0; c < C; ++c) patches(row, p * C + c) = images[b](within / grid.width, within % grid.width, c);
    });
    return patches;
}

Matrix one_hot(const std::vector<int>& labels, int classes, const Grid& grid) {
    check(grid, "uvim");
    require(classes > 0, "uvim: an output of ", classes, " classes, it must have at least 1");
    const int pixels = grid.height * grid.width, area = grid.area();
    require(!labels.empty() && labels.size() % pixels == 0, "uvim: ", labels.size(), " labels are not whole images of ",
            grid.height, " x ", grid.width);
    const int images = static_cast<int>(labels.size()) / pixels;
    Matrix result(images * grid.count(), classes * area);  // (B*n, q*a)
    for_each_pixel(images, grid, [&](int pixel, int row, int p) {
        const int label = labels[pixel];
        if (label >= 0 && label < classes) result(row, label * area + p) = 1;
    });
    return result;
}

std::vector<int> depth_classes(const std::vector<float>& depths, double min, double max, int bins) {
    require(bins >= 1 && min < max, "uvim: ", bins, " bins of depth from ", min, " to ", max,
            "; there must be at least 1, and the first depth below the last");
    std::vector<int> classes;
    for (const float d : depths) {
        require(!std::isnan(d), "uvim: a depth of ", d, ", it must be a number");
        const double bin = std::floor((d - min) / (max - min) * bins);
        classes.push_back(static_cast<int>(std::clamp(bin, 0.0, bins - 1.0)));
    }
    return classes;
}

// --- positions ---

Matrix sine_positions(int rows, int cols, int width) {
    require(width % 4 == 0 && width >= 8, "uvim: positions of width ", width, ", it must be divisible by 4 and at least 8");
    // sine_code has frequencies base^(-i / (D/4)); with this base they are 10000^(-i / (D/4 - 1)).
    const double base = std::pow(10000.0, width / 4 / (width / 4 - 1.0));
    std::vector<double> row_of, col_of;  // of every patch
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            row_of.push_back(r);
            col_of.push_back(c);
        }
    const Matrix x = sine_code(col_of, width / 2, SineOrder::halves, base),
                 y = sine_code(row_of, width / 2, SineOrder::halves, base);
    return concat_cols({x, y}).value();  // (rows*cols, D)
}

static Var positions_or_sines(const Var& learned, const Config& config) {
    return learned ? learned : Var(sine_positions(config.grid.down(), config.grid.across(), config.width));
}

// --- from patches to code positions and back ---

// Mixes the rows of each image: y_j = sum over i of m_ij x_i.   x (B*in, D), m (in, out) -> (B*out, D)
static Var mix_positions(const Var& x, const Var& m) {
    const int in = m.rows(), out = m.cols(), B = x.rows() / in;
    std::vector<int> weight_rows, rows;
    for (int b = 0; b < B; ++b)
        for (int j = 0; j < out; ++j) {
            weight_rows.push_back(j);
            for (int i = 0; i < in; ++i) rows.push_back(b * in + i);
        }
    return mix_rows(x, rows, gather_rows(transpose(m), weight_rows));  // (B*out, D)
}

// jax.image.resize: shrinking widens the triangle, enlarging is plain bilinear.
static Var resize_grid(const Var& x, int images, int rows, int cols, int new_rows, int new_cols) {
    return resize({x, {images, rows, cols}}, new_rows, new_cols, Interpolation::bilinear_antialiased).pixels;
}

static Var to_code_positions(const Var& x, const Weights& w, const Config& config) {
    if (w.to_code_positions) return mix_positions(x, w.to_code_positions);
    const Grid& grid = config.grid;
    const int side = code_side(config);
    return resize_grid(x, x.rows() / grid.count(), grid.down(), grid.across(), side, side);  // (B*l, D)
}

static Var from_code_positions(const Var& x, const Weights& w, const Config& config) {
    if (w.from_code_positions) return mix_positions(x, w.from_code_positions);
    const Grid& grid = config.grid;
    const int side = code_side(config);
    return resize_grid(x, x.rows() / config.code_length, side, side, grid.down(), grid.across());  // (B*n, D)
}

// --- the oracle ---

static void check(const Config& config);  // with the weights, below

static BlockOptions block_options(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh};
}

static StackSteps run(const Var& z0, const Trunk& w, const Config& config) {
    const int n = config.grid.count();
    return stack(z0, w.blocks, block_options(config), {.self = {.segments = Segments::equal(z0.rows() / n, n)}});
}

OracleSteps oracle(const std::vector<Matrix>& one_hots, const std::vector<Image>& images, const Weights& w,
                   const Config& config) {
    check(config);
    require_depth("uvim: oracle", config.oracle_depth, w.oracle.blocks);
    require(one_hots.size() == config.outputs.size(), "uvim: labels of ", one_hots.size(), " outputs for a model of ",
            config.outputs.size(), ", each needs its own");
    OracleSteps steps;
    Var z;
    for (std::size_t k = 0; k < one_hots.size(); ++k) {
        steps.stems.push_back(linear(one_hots[k], w.label_embeddings[k]));  // (B*n, D)
        z = k == 0 ? steps.stems[k] : add(z, steps.stems[k]);
    }
    if (w.oracle_image.weight) z = add(z, linear(cut(images, config.grid, "uvim"), w.oracle_image));
    steps.z0 = add_repeated(z, positions_or_sines(w.oracle_positions, config));  // (B*n, D)
    steps.blocks = run(steps.z0, w.oracle, config);
    steps.norm = layer_norm(steps.blocks.output, w.oracle.norm, config.eps);  // (B*n, D)
    const Var narrow = to_code_positions(steps.norm, w, config);              // (B*l, D)
    const Var vectors = linear(narrow, w.to_code);                            // (B*l, C)
    steps.bottleneck = layer_norm(vectors, {}, config.standardise_eps);       // (B*l, C)
    steps.quantized = quantize(steps.bottleneck, codewords(w.dictionary));    // ids (B*l)
    return steps;
}

// --- the base model ---

Matrix vectors_of(const std::vector<int>& code, const Weights& w) { return gather_rows(codewords(w.dictionary), code).value(); }

BaseSteps base(const Var& code, const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    require_depth("uvim: base", config.base_depth, w.base.blocks);
    require(code.rows() > 0 && code.rows() % config.code_length == 0 && code.cols() == config.code_width, "uvim: code vectors ",
            code.value(), " for codes of ", config.code_length, " tokens of width ", config.code_width);
    BaseSteps steps;
    Var z = from_code_positions(linear(code, w.from_code), w, config);  // (B*n, D)
    if (w.base_image.weight) z = add(z, linear(cut(images, config.grid, "uvim"), w.base_image));
    steps.z0 = add_repeated(z, positions_or_sines(w.base_positions, config));  // (B*n, D)
    steps.blocks = run(steps.z0, w.base, config);
    steps.norm = layer_norm(steps.blocks.output, w.base.norm, config.eps);                // (B*n, D)
    for (const Linear& head : w.heads) steps.logits.push_back(linear(steps.norm, head));  // (B*n, q*a)
    return steps;
}

Matrix kept_positions(const std::vector<float>& thresholds, const std::vector<int>& permutations, int code_length) {
    const int B = static_cast<int>(thresholds.size()), l = code_length;
    require(l >= 1, "uvim: codes of ", l, " tokens, there must be at least 1");
    for (const float threshold : thresholds)
        require(!std::isnan(threshold), "uvim: a threshold of ", threshold, ", it must be a number");
    for (const int position : permutations)
        require(position >= 0 && position < l, "uvim: a permutation names position ", position, " of ", l, ", counted from 0");
    require(permutations.empty() || static_cast<int>(permutations.size()) == B * l, "uvim: ", permutations.size(),
            " numbers are not permutations of ", l, " positions for ", B, " images");
    for (std::size_t first = 0; first < permutations.size(); first += static_cast<std::size_t>(l)) {
        std::vector<bool> named(static_cast<std::size_t>(l), false);
        for (std::size_t k = first; k < first + static_cast<std::size_t>(l); ++k) {
            require(!named[permutations[k]], "uvim: the permutation of image ", first / static_cast<std::size_t>(l),
                    " names position ", permutations[k], " twice, each once is needed");
            named[permutations[k]] = true;
        }
    }
    Matrix keep(B * l, 1);
    for (int b = 0; b < B; ++b)
        for (int k = 0; k < l; ++k) {
            const int position = permutations.empty() ? k : permutations[b * l + k];
            const double importance = 1 - (position + 1.0) / (l + 1);
            keep(b * l + k, 0) = importance > thresholds[b] ? 1.0f : 0.0f;
        }
    return keep;
}

Steps forward(const std::vector<Matrix>& one_hots, const std::vector<Image>& images, const Matrix& keep, const Weights& w,
              const Config& config) {
    for (const float kept : keep)
        require(kept == 0 || kept == 1, "uvim: a position of the code is kept by ", kept, ", it must be 1 (kept) or 0");
    Steps steps;
    steps.oracle = oracle(one_hots, images, w, config);
    const Var& code = steps.oracle.quantized.output;  // (B*l, C)
    steps.base = base(keep.empty() ? code : multiply(code, keep), images, w, config);
    return steps;
}

// --- losses ---

// Columns class by class become rows pixel by pixel: (B*n, q*a) -> (B*n*a, q).
static Var rows_of_pixels(const Var& logits, int classes) {
    const int area = logits.cols() / classes;
    std::vector<int> columns;
    for (int p = 0; p < area; ++p)
        for (int k = 0; k < classes; ++k) columns.push_back(k * area + p);
    return reshape(gather_cols(logits, columns), logits.rows() * area, classes);
}

Var output_loss(const Var& logits, const Matrix& one_hot, const Output& output) {
    require(same_shape(logits.value(), one_hot), "uvim: logits ", logits.value(), " for labels ", one_hot,
            ", the shapes must be equal");
    require(output.classes > 0 && one_hot.cols % output.classes == 0, "uvim: labels ", one_hot, " for the output ", output.name,
            " of ", output.classes, " classes, whose number must divide the columns");
    const Var by_pixel = rows_of_pixels(logits, output.classes);            // (B*n*a, q)
    const Matrix labels = rows_of_pixels(one_hot, output.classes).value();  // (B*n*a, q)
    std::vector<int> targets;
    for (int i = 0; i < labels.rows; ++i) {
        const int label = argmax_row(labels, i);
        const bool counts = labels(i, label) == 1 && !(output.ignores_class_0 && label == 0);
        targets.push_back(counts ? label : ignored_label);
    }
    return mean(token_losses(by_pixel, targets));  // (1, 1)  ignored pixels count as 0
}

Losses losses(const Steps& steps, const std::vector<Matrix>& one_hots, const Config& config) {
    require(one_hots.size() == config.outputs.size() && steps.base.logits.size() == one_hots.size(), "uvim: labels of ",
            one_hots.size(), " outputs and logits of ", steps.base.logits.size(), " for a model of ", config.outputs.size(),
            ", each needs its own");
    Losses parts;
    for (std::size_t k = 0; k < one_hots.size(); ++k) {
        parts.outputs.push_back(output_loss(steps.base.logits[k], one_hots[k], config.outputs[k]));
        parts.reconstruction = k == 0 ? parts.outputs[k] : add(parts.reconstruction, parts.outputs[k]);
    }
    parts.commitment = commitment_loss(steps.oracle.bottleneck, steps.oracle.quantized);
    parts.total = add(parts.reconstruction, scale(parts.commitment, config.commitment));
    return parts;
}

int update_dictionary(Weights& w, const OracleSteps& steps, const Matrix& uniforms, const Config& config) {
    average_sums(w.dictionary, steps.bottleneck.value(), steps.quantized.ids, config.momentum);
    return split_busiest(w.dictionary, config.min_count, config.perturb, uniforms);
}

// --- predictions ---

// A row of each patch of whole images, a column of each class and pixel; of a NaN the class would be 0.
static void check_logits(const Matrix& logits, int classes, const Grid& grid) {
    require(classes >= 1 && logits.rows > 0 && logits.rows % grid.count() == 0 && logits.cols == classes * grid.area(),
            "uvim: logits ", logits, " for ", classes, " classes; images of ", grid.count(),
            " patches need rows for all of them, and ", grid.area(), " columns for each class");
    require_finite(logits, "uvim", "logits");
}

std::vector<int> classes_of(const Matrix& logits, int classes, const Grid& grid) {
    check_logits(logits, classes, grid);
    const int images = logits.rows / grid.count(), area = grid.area();
    std::vector<int> result(static_cast<std::size_t>(images) * grid.height * grid.width);
    for_each_pixel(images, grid, [&](int pixel, int row, int p) {
        for (int k = 1; k < classes; ++k)
            if (logits(row, k * area + p) > logits(row, result[pixel] * area + p)) result[pixel] = k;
    });
    return result;
}

std::vector<int> classes_of_instances(const Matrix& semantics, const Output& output, const std::vector<int>& instances,
                                      const Grid& grid) {
    check_logits(semantics, output.classes, grid);
    require(static_cast<int>(instances.size()) == semantics.rows / grid.count() * grid.height * grid.width,
            "uvim: ", instances.size(), " numbers of instances for logits ", semantics, ", each pixel needs one");
    for (const int instance : instances) require(instance >= 0, "uvim: instance ", instance, ", they are counted from 0");
    const int images = semantics.rows / grid.count(), area = grid.area(), q = output.classes;
    const int pixels = grid.height * grid.width, most = 1 + *std::max_element(instances.begin(), instances.end());
    std::vector<double> votes(static_cast<std::size_t>(images) * most * q);  // of each image, instance and class
    for_each_pixel(images, grid, [&](int pixel, int row, int p) {
        double* const of_instance = &votes[(static_cast<std::size_t>(pixel / pixels) * most + instances[pixel]) * q];
        for (int k = 0; k < q; ++k) of_instance[k] += semantics(row, k * area + p);
    });
    std::vector<int> classes;
    for (std::size_t pixel = 0; pixel < instances.size(); ++pixel) {
        const double* const of_instance = &votes[(pixel / pixels * most + instances[pixel]) * q];
        classes.push_back(static_cast<int>(std::max_element(of_instance, of_instance + q) - of_instance));
    }
    return classes;
}

std::vector<float> depths_of(const std::vector<int>& classes, double min, double max, int bins) {
    require(bins >= 1 && min < max, "uvim: ", bins, " bins of depth from ", min, " to ", max,
            "; there must be at least 1, and the first depth below the last");
    for (const int k : classes)
        require(k >= 0 && k < bins, "uvim: bin ", k, " of ", bins, " bins of depth, they are counted from 0");
    std::vector<float> depths;
    for (const int k : classes) depths.push_back(static_cast<float>((k + 0.5) / bins * (max - min) + min));
    return depths;
}

// --- weights ---

Trunk make_trunk(int depth, const BlockShape& shape, Random& random, const Init& init) {
    Trunk w;
    for (int l = 0; l < depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_layer_norm(shape.width);
    return w;
}

void add_trunk(Parameters& table, const std::string& prefix, const Trunk& w, int heads) {
    add_parameters(table, prefix + "encoderblock_", w.blocks, flax_vit_names, heads, "/");
    add_parameters(table, prefix + "encoder_norm/*", w.norm, flax_vit_names);
}

static void check(const Config& config) {
    check(config.grid, "uvim");
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "uvim: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(!config.outputs.empty() && config.code_length > 0 && config.codebook_size > 0 && config.code_width > 0 &&
                config.mlp_width > 0,
            "uvim: ", config.outputs.size(), " outputs, codes of ", config.code_length, " of ", config.codebook_size,
            " tokens of width ", config.code_width, ", inner width ", config.mlp_width, ": sizes must be positive");
    for (const Output& output : config.outputs)
        require(output.classes > 0, "uvim: the output ", output.name, " has ", output.classes,
                " classes, it must have at least 1");
    require(config.oracle_depth >= 0 && config.base_depth >= 0, "uvim: depths ", config.oracle_depth, " and ", config.base_depth,
            ", neither may be negative");
    require(config.momentum >= 0 && config.momentum < 1 && config.perturb >= 0 && config.perturb <= 1,
            "uvim: a dictionary of momentum ", config.momentum, ", perturbed by ", config.perturb,
            "; they must be from 0 to below 1, and from 0 to 1");
    for (const float number : {config.min_count, config.commitment})
        require(number >= 0 && std::isfinite(number), "uvim: a least count of ", config.min_count,
                " and a commitment loss times ", config.commitment, ", both must be finite and at least 0");
    require_eps("uvim", config.eps);
    require_eps("uvim: bottleneck", config.standardise_eps);
    require(!config.resize_bottleneck || code_side(config) * code_side(config) == config.code_length, "uvim: a code of ",
            config.code_length, " tokens is not a square grid; set resize_bottleneck to false");
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width, n = config.grid.count(), l = config.code_length, area = config.grid.area();
    const BlockShape shape{.width = D, .mlp_width = config.mlp_width};
    const float spread = 1 / std::sqrt(static_cast<float>(D));  // of learned positions
    Weights w;
    for (const Output& output : config.outputs) {
        w.label_embeddings.push_back(make_linear(random, output.classes * area, D, init));
        w.heads.push_back(make_linear(random, D, output.classes * area, init));
    }
    if (config.oracle_sees_image) w.oracle_image = make_linear(random, config.grid.numbers(), D, init);
    if (config.base_sees_image) w.base_image = make_linear(random, config.grid.numbers(), D, init);
    if (config.learned_positions) {
        w.oracle_positions = parameter(normal_matrix(random, n, D, spread));
        w.base_positions = parameter(normal_matrix(random, n, D, spread));
    }
    w.oracle = make_trunk(config.oracle_depth, shape, random, init);
    w.base = make_trunk(config.base_depth, shape, random, init);
    if (!config.resize_bottleneck) {
        w.to_code_positions = make_weight(random, n, l, init);
        w.from_code_positions = make_weight(random, l, n, init);
    }
    w.to_code = make_linear(random, D, config.code_width, init);
    w.from_code = make_linear(random, config.code_width, D, init);
    w.dictionary = {.sums = Var(unit_rows(normal_matrix(random, config.codebook_size, config.code_width)).value()),
                    .counts = Var(Matrix(1, config.codebook_size, 1))};
    return w;
}

// --- names ---

static void add_image_embedding(Parameters& table, const std::string& name, const Linear& w, const Grid& grid) {
    if (!w.weight) return;
    const long D = w.weight.cols();
    table.push_back({name + "/kernel", {grid.patch_height, grid.patch_width, grid.channels, D}, Stored::as_it_is, {w.weight}});
    table.push_back({name + "/bias", {D}, Stored::as_it_is, {w.bias}});
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, n = config.grid.count(), l = config.code_length, C = config.code_width;
    const long area = config.grid.area();
    require_depth("uvim: label embeddings", static_cast<int>(config.outputs.size()), w.label_embeddings.size());
    require_depth("uvim: heads", static_cast<int>(config.outputs.size()), w.heads.size());
    Parameters table;
    for (std::size_t k = 0; k < config.outputs.size(); ++k) {
        const auto& [name, classes, ignores] = config.outputs[k];
        const long q = classes;
        table.push_back({"params/embedding_" + name + "/kernel", {q, area, D}, Stored::as_it_is, {w.label_embeddings[k].weight}});
        table.push_back({"params/embedding_" + name + "/bias", {D}, Stored::as_it_is, {w.label_embeddings[k].bias}});
        table.push_back({"params/head_" + name + "/kernel", {D, q, area}, Stored::in_by_rest, {w.heads[k].weight}});
        table.push_back({"params/head_" + name + "/bias", {q, area}, Stored::one_row, {w.heads[k].bias}});
    }
    add_image_embedding(table, "params/ctx_enc_embedding", w.oracle_image, config.grid);
    add_image_embedding(table, "params/ctx_dec_embedding", w.base_image, config.grid);
    if (w.oracle_positions) table.push_back({"params/pos_embedding_encoder", {1, n, D}, Stored::as_it_is, {w.oracle_positions}});
    if (w.base_positions) table.push_back({"params/pos_embedding_decoder", {1, n, D}, Stored::as_it_is, {w.base_positions}});
    add_trunk(table, "params/encoder/", w.oracle, config.heads);
    add_trunk(table, "params/decoder/", w.base, config.heads);
    if (w.to_code_positions) table.push_back({"params/bottleneck_downsample", {n, l}, Stored::as_it_is, {w.to_code_positions}});
    if (w.from_code_positions) table.push_back({"params/bottleneck_upsample", {l, n}, Stored::as_it_is, {w.from_code_positions}});
    add_parameters(table, "params/encoder_head/*", w.to_code, flax_vit_names);
    add_parameters(table, "params/decoder_stem/*", w.from_code, flax_vit_names);
    table.push_back({"state/dictionary", {config.codebook_size, C}, Stored::as_it_is, {w.dictionary.sums}});
    table.push_back({"state/counts", {config.codebook_size}, Stored::as_it_is, {w.dictionary.counts}});
    return table;
}

// --- the configuration of a checkpoint ---

static const Setting output_names{"the outputs", {"outputs"}}, unknown_names{"the outputs whose class 0 is unknown", {"unknown"}};

// What tensor shapes do not determine; the heads are a dimension of the published tensors.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::heads, &config.heads, From::shapes},
            {{"the length of the code", {"code_len"}}, &config.code_length, config.resize_bottleneck ? From::file : From::shapes},
            {{"the momentum of the dictionary", {"dict_momentum"}}, &config.momentum},
            {{"the count below which a code is restarted", {"min_count"}}, &config.min_count},
            {{"the perturbation of a restarted code", {"perturb"}}, &config.perturb},
            {{"the weight of the commitment loss", {"w_commitment"}}, &config.commitment},
            {{"the eps of the standardisation", {"standardize_epsilon"}}, &config.standardise_eps},
            {{"the eps of the norms", {"layer_norm_epsilon", "layer_norm_eps"}}, &config.eps}};
}

void read_image_size(Grid& grid, const ModelConfig& model_config, const std::string& path) {
    PatchGrid size;
    vit::set_image_size(size, model_config, path);
    grid.height = size.height;
    grid.width = size.width;
}

static void read_blocks(const Safetensors& checkpoint, Config& config) {
    const std::string block = "encoderblock_", inner = "/MlpBlock_0/Dense_0/kernel", base = "params/decoder/" + block;
    config.oracle_depth = count_blocks(checkpoint, "params/encoder/" + block, inner);
    config.base_depth = count_blocks(checkpoint, base, inner);
    config.width = size_of(checkpoint, base + "0" + inner, 0);
    config.mlp_width = size_of(checkpoint, base + "0" + inner, 1);
    config.heads = size_of(checkpoint, base + "0/MultiHeadDotProductAttention_0/query/kernel", 1);
    config.learned_positions = checkpoint.has("params/pos_embedding_encoder");
    config.codebook_size = size_of(checkpoint, "state/dictionary", 0);
    config.code_width = size_of(checkpoint, "state/dictionary", 1);
    config.resize_bottleneck = !checkpoint.has("params/bottleneck_downsample");
    if (!config.resize_bottleneck) config.code_length = size_of(checkpoint, "params/bottleneck_downsample", 1);
}

// A model that sees the image has a tensor whose shape gives the sides of its patches; for others they are settings.
static void read_grid(const Safetensors& checkpoint, const ModelConfig& model_config, Config& config) {
    const std::string to_oracle = "params/ctx_enc_embedding/kernel", to_base = "params/ctx_dec_embedding/kernel";
    config.oracle_sees_image = checkpoint.has(to_oracle);
    config.base_sees_image = checkpoint.has(to_base);
    read_image_size(config.grid, model_config, checkpoint.path);
    if (config.oracle_sees_image || config.base_sees_image) {
        const std::string kernel = config.base_sees_image ? to_base : to_oracle;
        config.grid.patch_height = size_of(checkpoint, kernel, 0);
        config.grid.patch_width = size_of(checkpoint, kernel, 1);
        config.grid.channels = size_of(checkpoint, kernel, 2);
    } else {
        const std::vector<int> sides = model_config.integers(settings::patch_size);
        require(sides.size() == 1 || sides.size() == 2, checkpoint.path, ": a patch size of ", sides.size(),
                " numbers, it is one side, or height and width");
        config.grid.patch_height = sides.front();
        config.grid.patch_width = sides.back();
    }
}

static void read_outputs(const Safetensors& checkpoint, const ModelConfig& model_config, Config& config) {
    const std::vector<std::string> unknown = split(model_config.string(unknown_names, ""), ',');
    config.outputs.clear();
    for (const std::string& name : split(model_config.string(output_names), ',')) {
        const int classes = size_of(checkpoint, "params/embedding_" + name + "/kernel", 0);
        config.outputs.push_back({name, classes, std::find(unknown.begin(), unknown.end(), name) != unknown.end()});
    }
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_blocks(checkpoint, config);
    const ModelConfig model_config(checkpoint, given);
    read_grid(checkpoint, model_config, config);
    read_outputs(checkpoint, model_config, config);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("uvim", members_of(copy));
    all["image_size"] = std::to_string(config.grid.height) + "," + std::to_string(config.grid.width);
    all["patch_size"] = std::to_string(config.grid.patch_height) + "," + std::to_string(config.grid.patch_width);
    std::string names, unknown;
    for (const Output& output : config.outputs) {
        names += (names.empty() ? "" : ",") + output.name;
        if (output.ignores_class_0) unknown += (unknown.empty() ? "" : ",") + output.name;
    }
    all[output_names.keys[0]] = names;
    if (!unknown.empty()) all[unknown_names.keys[0]] = unknown;
    return all;
}

}  // namespace uvim
