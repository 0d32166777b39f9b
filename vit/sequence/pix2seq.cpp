#include "vit/sequence/pix2seq.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/base/random.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"
#include "vit/vit.h"

namespace pix2seq {

// --- boxes as tokens ---

int quantised(float coordinate, int bins) {
    require(bins >= 2 && !std::isnan(coordinate), "pix2seq: a coordinate of ", coordinate, " in ", bins,
            " bins; it must be a number, and there must be at least 2 bins");
    require(bins <= 1 << 24, "pix2seq: ", bins, " bins, a float tells at most 16777216 apart; take fewer");
    const float bin = std::nearbyint(coordinate * static_cast<float>(bins - 1));  // half to even
    return static_cast<int>(std::clamp(bin, 0.0f, static_cast<float>(bins - 1)));
}

float dequantised(int bin, int bins) {
    require(bins >= 2, "pix2seq: ", bins, " bins, there must be at least 2");
    return std::clamp(static_cast<float>(bin) / static_cast<float>(bins - 1), 0.0f, 1.0f);
}

static void append_clipped(std::vector<std::vector<float>>& boxes, float ymin, float xmin, float ymax, float xmax) {
    std::vector<float> box{ymin, xmin, ymax, xmax};
    for (float& x : box) x = std::clamp(x, 0.0f, 1.0f);
    boxes.push_back(box);
}

static void append_around(std::vector<std::vector<float>>& boxes, const float* centre, float height, float width) {
    append_clipped(boxes, centre[0] - height / 2, centre[1] - width / 2, centre[0] + height / 2, centre[1] + width / 2);
}

template <class Item>
static std::vector<Item> shuffled(const char* what, const std::vector<Item>& items, const std::vector<int>& order) {
    require(order.size() == items.size(), "pix2seq: a permutation of ", order.size(), " for ", items.size(), " ", what,
            ", it must name each of them once");
    std::vector<Item> result;
    std::vector<char> named(items.size());
    for (const int k : order) {
        require(k >= 0 && k < static_cast<int>(items.size()) && !named[k], "pix2seq: a permutation of ", items.size(), " ", what,
                " names number ", k, ", it must name each of them once, counted from 0");
        named[k] = 1;
        result.push_back(items[k]);
    }
    return result;
}

static void require_draws(const char* what, const Matrix& draws, int rows, int cols) {
    require(draws.rows == rows && (rows == 0 || draws.cols == cols), "pix2seq: the draws of ", what, " are ", draws, ", (", rows,
            ", ", cols, ") are needed");
}

using Boxes = std::vector<std::vector<float>>;  // four numbers each

// `bad` boxes without an object: some as large as objects, elsewhere, and random ones.
//   tiles  the object whose size each shifted box has
static Boxes bad_boxes_of(const Objects& objects, const std::vector<int>& tiles, int bad, const NoiseDraws& draws) {
    const int shifted = objects.boxes.rows > 0 ? bad : 0;
    require_draws("shifted centres", draws.shifted_centres, shifted, 2);
    require_draws("random centres", draws.random_centres, bad, 2);
    require_draws("random sizes", draws.random_sizes, bad, 2);
    Boxes bad_boxes;
    for (int i = 0; i < shifted; ++i) {
        const float* const box = objects.boxes.row(tiles[i]);
        append_around(bad_boxes, draws.shifted_centres.row(i), std::abs(box[2] - box[0]), std::abs(box[3] - box[1]));
    }
    for (int i = 0; i < bad; ++i)
        append_around(bad_boxes, draws.random_centres.row(i), std::abs(draws.random_sizes(i, 0)) / 2,
                      std::abs(draws.random_sizes(i, 1)) / 2);
    bad_boxes = shuffled("bad boxes", bad_boxes, draws.bad);
    bad_boxes.resize(bad);
    return bad_boxes;
}

// Appends duplicates: boxes of objects, a little moved.
static void append_duplicates(Boxes& noise, const Objects& objects, const std::vector<int>& tiles, const NoiseDraws& draws) {
    require_draws("jitter", draws.jitter, draws.duplicates, 4);
    for (int i = 0; i < draws.duplicates; ++i) {
        const float* const box = objects.boxes.row(tiles[i]);
        const float* const z = draws.jitter.row(i);
        const float h = box[2] - box[0], w = box[3] - box[1];
        append_clipped(noise, box[0] + h * z[0] * 0.05f, box[1] + w * z[1] * 0.05f, box[2] + h * z[2] * 0.05f,
                       box[3] + w * z[3] * 0.05f);
    }
}

Objects with_noise(const Objects& objects, int slots, const NoiseDraws& draws, const Vocabulary& vocabulary) {
    const int n = objects.boxes.rows, k = slots - n;
    require(static_cast<int>(objects.labels.size()) == n && (n == 0 || objects.boxes.cols == 4), "pix2seq: boxes ", objects.boxes,
            " for ", objects.labels.size(), " labels; each object needs four numbers and a label");
    require_finite(objects.boxes, "pix2seq", "boxes");
    if (k <= 0) return objects;
    const int duplicates = draws.duplicates, bad = k - duplicates;
    require(duplicates >= 0 && bad >= 0 && (n > 0 || duplicates == 0), "pix2seq: ", duplicates, " duplicates of ", n,
            " objects for ", k, " empty slots; there can be 0 to that many, and none without an object");
    std::vector<int> tiles;  // which object
    for (int copy = 0; n > 0 && copy < k / n + 1; ++copy)
        for (int i = 0; i < n; ++i) tiles.push_back(i);
    tiles = shuffled("tiled objects", tiles, draws.tiles);

    Boxes noise = bad_boxes_of(objects, tiles, bad, draws);
    tiles = shuffled("tiled objects", tiles, draws.again);
    append_duplicates(noise, objects, tiles, draws);
    noise = shuffled("noise objects", noise, draws.noise);

    Objects result{.boxes = Matrix(slots, 4), .labels = objects.labels};
    std::copy(objects.boxes.begin(), objects.boxes.end(), result.boxes.begin());
    for (int i = 0; i < k; ++i) {
        std::copy(noise[i].begin(), noise[i].end(), result.boxes.row(n + i));
        result.labels.push_back(vocabulary.fake_class - vocabulary.base_shift);
    }
    return result;
}

Corruption corruption_of_name(const std::string& name) {
    if (name == "rand_cls") return Corruption::random;
    if (name == "rand_n_fake_cls") return Corruption::random_or_fake;
    if (name == "real_n_fake_cls") return Corruption::real_or_fake;
    require(name == "real_n_rand_n_fake_cls", "pix2seq: '", name,
            "' is not one of rand_cls, rand_n_fake_cls, real_n_fake_cls, real_n_rand_n_fake_cls");
    return Corruption::real_or_random_or_fake;
}

static int corrupted_class(int real, std::size_t object, Corruption corruption, const CorruptionDraws& draws,
                           const Vocabulary& vocabulary) {
    const int random = vocabulary.base_shift + draws.classes[object], fake = vocabulary.fake_class;
    const int random_or_fake = draws.u_random[object] > 0.5f ? random : fake;
    switch (corruption) {
        case Corruption::random: return random;
        case Corruption::random_or_fake: return random_or_fake;
        case Corruption::real_or_fake: return draws.u_real_or_fake[object] > 0.5f ? real : fake;
        case Corruption::real_or_random_or_fake: return draws.u_real_or_random[object] > 0.5f ? real : random_or_fake;
    }
    return real;
}

Sequence make_sequence(const Objects& objects, int length, Corruption corruption, const CorruptionDraws& draws,
                       const LossWeights& weights, const Vocabulary& vocabulary) {
    const std::size_t n = objects.labels.size();
    require(objects.boxes.rows == static_cast<int>(n) && draws.classes.size() == n && draws.u_random.size() == n &&
                draws.u_real_or_fake.size() == n && draws.u_real_or_random.size() == n,
            "pix2seq: ", n, " labels, boxes ", objects.boxes, ", draws for ", draws.classes.size(), ", ", draws.u_random.size(),
            ", ", draws.u_real_or_fake.size(), " and ", draws.u_real_or_random.size(), " objects; all counts must be equal");
    require(n == 0 || objects.boxes.cols == 4, "pix2seq: boxes ", objects.boxes, ", each must be four numbers");
    require_finite(objects.boxes, "pix2seq", "boxes");
    require(length >= 1, "pix2seq: a sequence of ", length, " tokens, it must have at least 1");
    const int classes = vocabulary.coordinate_shift - vocabulary.base_shift,
              noise_label = vocabulary.fake_class - vocabulary.base_shift;
    for (std::size_t k = 0; k < n; ++k) {
        const bool is_class = objects.labels[k] >= 0 && objects.labels[k] < classes;
        require(is_class || objects.labels[k] == noise_label, "pix2seq: the label of object ", k, " is ", objects.labels[k],
                ", there are ", classes, ", counted from 0 (an empty slot), and ", noise_label, " (noise)");
        require(draws.classes[k] >= 0 && draws.classes[k] < classes, "pix2seq: the class drawn for object ", k, " is ",
                draws.classes[k], ", there are ", classes, ", counted from 0");
    }
    Sequence sequence{.input = {vocabulary.task}, .target = {}, .weights = {}};
    for (std::size_t k = 0; k < n; ++k) {
        if (objects.labels[k] == 0) {  // an empty slot
            sequence.target.insert(sequence.target.end(), 5, 0);
            sequence.input.insert(sequence.input.end(), 5, 0);
            sequence.weights.insert(sequence.weights.end(), 5, weights.padding);
            continue;
        }
        const int class_token = vocabulary.base_shift + objects.labels[k];
        const bool noise = class_token == vocabulary.fake_class;
        for (int side = 0; side < 4; ++side) {
            const int token = vocabulary.coordinate_shift + quantised(objects.boxes(static_cast<int>(k), side), vocabulary.bins);
            sequence.target.push_back(token);
            sequence.input.push_back(token);
            sequence.weights.push_back(noise ? 0.0f : 1.0f);
        }
        sequence.target.push_back(class_token);
        sequence.input.push_back(corrupted_class(class_token, k, corruption, draws, vocabulary));
        sequence.weights.push_back(noise ? weights.noise_class : 1);
    }
    sequence.input.resize(length, 0);
    sequence.target.resize(length, 0);
    sequence.weights.resize(length, weights.padding);
    return sequence;
}

Detections detections(const std::vector<int>& tokens, const Matrix& logits, const Vocabulary& vocabulary) {
    require(logits.rows == static_cast<int>(tokens.size()) && logits.cols == vocabulary.size, "pix2seq: logits ", logits, " for ",
            tokens.size(), " tokens of ", vocabulary.size, "; each token needs a row of them");
    require_finite(logits, "pix2seq", "logits");
    const Matrix p = softmax_rows(logits).value();  // over all tokens, not only classes
    const int n = static_cast<int>(tokens.size()) / 5;
    Detections result{.boxes = Matrix(n, 4), .classes = {}, .scores = {}};
    for (int k = 0; k < n; ++k) {
        for (int side = 0; side < 4; ++side)
            result.boxes(k, side) = dequantised(tokens[5 * k + side] - vocabulary.coordinate_shift, vocabulary.bins);
        const float* const row = p.row(5 * k + 4);
        const float* const best = std::max_element(row + vocabulary.base_shift, row + vocabulary.coordinate_shift);
        result.classes.push_back(static_cast<int>(best - row) - vocabulary.base_shift);
        result.scores.push_back(*best);
    }
    return result;
}

std::vector<int> nucleus(const float* logits, int count, float p) {
    require(logits != nullptr || count < 1, "nucleus: ", count, " logits are not given");
    require(count >= 1 && p >= 0 && p <= 1, "nucleus: p = ", p, " of ", count,
            " logits; p lies between 0 and 1, and there must be a logit");
    for (int k = 0; k < count; ++k)
        require(!std::isnan(logits[k]), "nucleus: logit ", k, " is ", logits[k], ", it must be a number");
    std::vector<float> probabilities(logits, logits + count);
    softmax_in_place(probabilities.data(), count);
    std::vector<int> order(count), kept(count, 0);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return probabilities[a] > probabilities[b]; });
    double sum = 0;
    for (int rank = 0; rank < count; ++rank) {
        sum += probabilities[order[rank]];
        if (rank > 0 && sum > p) break;
        kept[order[rank]] = 1;
    }
    return kept;
}

// --- the encoder ---

static void check(const Config& config);  // with the weights, below

Positions positions_of_name(const std::string& name) {
    require(name == "sin_cos" || name == "learned", "pix2seq: positions '", name, "' are neither sin_cos nor learned");
    return name == "sin_cos" ? Positions::sine : Positions::learned;
}

Projection projection_of_name(const std::string& name) {
    require(name == "linear" || name == "linear_p" || name == "mlp", "pix2seq: a projection '", name,
            "' is not one of linear, linear_p, mlp");
    return name == "linear" ? Projection::linear : name == "linear_p" ? Projection::linear_p : Projection::mlp;
}

static int tokens_of_image(const Config& config) { return config.grid.count() + config.class_token; }

static BlockOptions encoder_options(const Config& config) { return {.heads = config.heads, .eps = config.eps}; }
static BlockOptions decoder_options(const Config& config) { return {.heads = config.decoder_heads, .eps = config.eps}; }

// Positions of the patches of each image; a class token in front has none.
static Var add_positions(const Var& x, const Var& positions, const Config& config) {
    if (!config.class_token) return add_repeated(x, positions);
    return add_repeated(x, concat_rows({Var(Matrix(1, positions.cols())), positions}));
}

EncoderSteps encode(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    require_depth("pix2seq: encoder", config.depth, w.encoder);
    require_depth("pix2seq: decoder", config.decoder_depth, w.decoder);
    const int B = static_cast<int>(images.size());
    EncoderSteps steps;
    steps.patches = patchify_all(images, config.grid, "pix2seq");                                             // (B*N, P*P*C)
    steps.patch_tokens = layer_norm(linear(steps.patches, w.stem), w.stem_norm, config.eps);                  // (B*N, D)
    const Var placed = add_repeated(steps.patch_tokens, w.positions);                                         // (B*N, D)
    steps.input = config.class_token ? prepend_to_each(w.class_token, placed, config.grid.count()) : placed;  // (B*M, D)
    const Segments images_apart = Segments::equal(B, tokens_of_image(config));
    const InStack in_stack("encoder");
    steps.blocks = stack(steps.input, w.encoder, encoder_options(config), {.self = {.segments = images_apart}});
    steps.output = layer_norm(steps.blocks.output, w.encoder_norm, config.eps);                           // (B*M, D)
    const Var projected = layer_norm(linear(steps.output, w.projection), w.projection_norm, config.eps);  // (B*M, E)
    steps.encoded = projected;
    if (config.projection == Projection::linear) return steps;
    steps.encoded = add_positions(projected, w.projected_positions, config);  // (B*M, E)
    if (config.projection == Projection::mlp)
        steps.encoded = block(steps.encoded, w.projection_mlp, decoder_options(config)).output;
    return steps;
}

// --- the decoder ---

// Everything after the encoder; `first` is the position of the first token of each sequence.
static DecoderSteps read(const std::vector<int>& ids, int first, int length, std::vector<BlockContext> contexts,
                         const Var& encoded, const Weights& w, const Config& config) {
    for (BlockContext& context : contexts) context.source = encoded;
    const Var tokens = embed(w.tokens, ids);                                           // (B*T, E)
    const Var x = add_repeated(tokens, slice_rows(w.token_positions, first, length));  // (B*T, E)
    DecoderSteps steps;
    const InStack in_stack("decoder");
    steps.blocks = stack(x, w.decoder, decoder_options(config), contexts);
    steps.hidden = layer_norm(steps.blocks.output, w.decoder_norm, config.eps);  // (B*T, E)
    return steps;
}

static Var logits_of(const Var& hidden, const Weights& w) {
    const Var logits = matmul_transposed(hidden, w.output);  // (B*T, V)
    return w.output_bias ? add(logits, w.output_bias) : logits;
}

Steps forward(const std::vector<Image>& images, const std::vector<int>& input, const Weights& w, const Config& config) {
    const int B = static_cast<int>(images.size()), total = static_cast<int>(input.size()), T = total / std::max(1, B);
    require(B > 0 && T > 0 && total == B * T && T <= config.length, "pix2seq: ", total, " tokens for ", B,
            " images; each needs the same number, at most ", config.length);
    Steps steps;
    steps.encoder = encode(images, w, config);
    BlockContext context;
    context.self = {.segments = Segments::equal(B, T), .may = causal(T, T)};
    context.cross = {.segments = Segments::equal(B, T), .key_segments = Segments::equal(B, tokens_of_image(config))};
    steps.decoder = read(input, 0, T, {context}, steps.encoder.encoded, w, config);
    steps.decoder.logits = logits_of(steps.decoder.hidden, w);
    return steps;
}

Var token_losses(const Steps& steps, const std::vector<int>& target, float smoothing) {
    return smoothed_token_losses(steps.decoder.logits, target, smoothing);
}

Var loss(const Var& token_losses, const std::vector<float>& weights) { return weighted_mean(token_losses, weights, 1e-9f); }

// --- writing ---

Reader::Reader(const std::vector<Image>& images, const Weights& w, const Config& c)
    : weights(w),
      config(c),
      memory(make_memory(c.decoder_depth, static_cast<int>(images.size()), c.length, c.decoder_width, true)) {
    const NoTape no_tape;
    encoded = encode(images, w, c).encoded;
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    const int first = memory.seen.length;
    Reading reading = read_next(memory, next, "pix2seq");
    const Segments of_images = Segments::equal(memory.sequences, tokens_of_image(config));
    for (BlockContext& context : reading.contexts) context.cross.key_segments = of_images;  // computed at the first call
    const DecoderSteps steps = pix2seq::read(next.ids, first, next.length, reading.contexts, encoded, weights, config);
    logits.push_back(logits_of(last_rows(steps.hidden, next), weights).value());  // (B, V)
    return logits.back();
}

void Reader::select(const std::vector<int>& chosen) {
    memory = select_sequences(memory, chosen);
    for (Matrix& step : logits) step = gather_rows(step, chosen).value();
}

std::vector<Detections> detect(const std::vector<Image>& images, const Weights& w, const Config& config, int new_tokens) {
    require(new_tokens >= 1 && new_tokens <= config.length, "pix2seq: ", new_tokens, " new tokens, it must be 1 to ",
            config.length, ", the longest sequence");
    Reader reader(images, w, config);
    const int B = static_cast<int>(images.size());
    const std::vector<std::vector<int>> written =
        generate_greedily(equal_batch(std::vector<int>(B, config.vocabulary.task), 1), reader, {.new_tokens = new_tokens});
    std::vector<Detections> result;
    for (int b = 0; b < B; ++b) {
        std::vector<Var> rows;
        for (std::size_t t = 0; t < written[b].size(); ++t) rows.push_back(slice_rows(Var(reader.logits[t]), b, 1));
        result.push_back(detections(written[b], concat_rows(rows).value(), config.vocabulary));
    }
    return result;
}

// --- weights ---

// The code of a row in the first half of the columns, that of a column in the second; coordinates from 0 to 2 pi.
static Var sine_positions(const PatchGrid& grid, int width) {
    std::vector<double> y, x;
    for (int r = 0; r < grid.down(); ++r)
        for (int c = 0; c < grid.across(); ++c) {
            y.push_back(2 * std::numbers::pi * r / std::max(1, grid.down() - 1));
            x.push_back(2 * std::numbers::pi * c / std::max(1, grid.across() - 1));
        }
    return Var(concat_cols({sine_code(y, width / 2, SineOrder::halves), sine_code(x, width / 2, SineOrder::halves)}).value());
}

static void check(const Config& config) {
    check(config.grid, "pix2seq");
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0 && config.decoder_heads > 0 &&
                config.decoder_width > 0 && config.decoder_width % config.decoder_heads == 0,
            "pix2seq: ", config.heads, " and ", config.decoder_heads, " heads do not divide widths of ", config.width, " and ",
            config.decoder_width);
    require(config.positions == Positions::learned || (config.width % 4 == 0 && config.decoder_width % 4 == 0),
            "pix2seq: widths of ", config.width, " and ", config.decoder_width,
            " must be divisible by 4 for sines of rows and columns");
    require(config.depth >= 0 && config.decoder_depth > 0 && config.mlp_width > 0 && config.decoder_mlp_width > 0 &&
                config.length > 0,
            "pix2seq: depths ", config.depth, " and ", config.decoder_depth, ", inner widths ", config.mlp_width, " and ",
            config.decoder_mlp_width, ", sequences of ", config.length, " tokens: sizes must be positive");
    require_eps("pix2seq", config.eps);
    const Vocabulary& v = config.vocabulary;
    require(v.bins > 1 && v.base_shift < v.coordinate_shift && v.coordinate_shift + v.bins <= v.size, "pix2seq: ", v.bins,
            " bins from token ", v.coordinate_shift, " on, after classes from ", v.base_shift, " on, do not fit into ", v.size,
            " tokens");
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width, E = config.decoder_width, N = config.grid.count(), V = config.vocabulary.size;
    const bool learned = config.positions == Positions::learned;
    Weights w;
    w.stem = make_linear(random, config.grid.numbers(), D, init);
    w.stem_norm = make_layer_norm(D);
    if (config.class_token) w.class_token = make_weight(random, 1, D, init);
    w.positions = learned ? make_weight(random, N, D, init) : sine_positions(config.grid, D);
    for (int l = 0; l < config.depth; ++l)
        w.encoder.push_back(make_block(random, {.width = D, .mlp_width = config.mlp_width}, init));
    w.encoder_norm = make_layer_norm(D);
    w.projection = make_linear(random, D, E, init);
    w.projection_norm = make_layer_norm(E);
    if (config.projection != Projection::linear)
        w.projected_positions = learned ? make_weight(random, N, E, init) : sine_positions(config.grid, E);
    const BlockShape decoder_block{.width = E, .mlp_width = config.decoder_mlp_width, .source_width = E};
    if (config.projection == Projection::mlp) {
        w.projection_mlp.norm2 = make_layer_norm(E);
        w.projection_mlp.mlp = make_mlp(random, decoder_block, init);
    }
    w.tokens = make_embedding(random, V, E, init);
    w.token_positions = make_embedding(random, config.length, E, init);
    for (int l = 0; l < config.decoder_depth; ++l) w.decoder.push_back(make_block(random, decoder_block, init));
    w.decoder_norm = make_layer_norm(E);
    w.output = config.shared_embedding ? w.tokens : make_embedding(random, V, E, init);
    if (config.output_bias) w.output_bias = parameter(Matrix(1, V));
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, E = config.decoder_width, P = config.grid.patch_size, C = config.grid.channels,
               N = config.grid.count(), V = config.vocabulary.size;
    const BlockNames& spelling = pix2seq_encoder_names;
    Parameters table;
    table.push_back({"model/encoder/stem_conv/kernel", {P, P, C, D}, Stored::as_it_is, {w.stem.weight}});
    table.push_back({"model/encoder/stem_conv/bias", {D}, Stored::as_it_is, {w.stem.bias}});
    add_parameters(table, "model/encoder/stem_ln/*", w.stem_norm, spelling);
    if (config.class_token) table.push_back({"model/encoder/cls_token_emb", {1, D}, Stored::as_it_is, {w.class_token}});
    if (config.positions == Positions::learned) {
        table.push_back({"model/encoder/vis_pos_emb", {N, D}, Stored::as_it_is, {w.positions}});
        if (config.projection != Projection::linear)
            table.push_back({"model/vis_pos_emb", {N, E}, Stored::as_it_is, {w.projected_positions}});
    }
    add_parameters(table, "model/encoder/transformer_encoder/enc_layers/", w.encoder, spelling, config.heads, "/");
    add_parameters(table, "model/encoder/output_ln/*", w.encoder_norm, spelling);
    add_parameters(table, "model/proj/*", w.projection, spelling);
    add_parameters(table, "model/proj_ln/*", w.projection_norm, spelling);
    if (config.projection == Projection::mlp) {
        add_parameters(table, "model/proj_mlp/layernorms/0/*", w.projection_mlp.norm2, spelling);
        add_parameters(table, "model/proj_mlp/mlp_layers/0/dense1/*", w.projection_mlp.mlp.expand, spelling);
        add_parameters(table, "model/proj_mlp/mlp_layers/0/dense2/*", w.projection_mlp.mlp.contract, spelling);
    }
    const std::string decoder = "model/decoder/";
    table.push_back(
        {decoder + (config.shared_embedding ? "token_embedding" : "inp_token_embedding"), {V, E}, Stored::as_it_is, {w.tokens}});
    if (!config.shared_embedding) table.push_back({decoder + "outp_token_embedding", {V, E}, Stored::as_it_is, {w.output}});
    if (config.output_bias) table.push_back({decoder + "outp_bias", {V}, Stored::as_it_is, {w.output_bias}});
    table.push_back({decoder + "seq_pos_emb", {config.length, E}, Stored::as_it_is, {w.token_positions}});
    add_parameters(table, decoder + "decoder/dec_layers/", w.decoder, pix2seq_decoder_names, config.decoder_heads, "/");
    add_parameters(table, decoder + "output_ln/*", w.decoder_norm, spelling);
    return table;
}

// --- the configuration of a checkpoint ---

static const Setting projection_setting{"how the encoder's output is projected", {"dec_proj_mode"}};

// What tensor shapes do not determine; the heads are a dimension of the published tensors.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    Vocabulary& vocabulary = config.vocabulary;
    return {{{"the width of the encoder", {"dim_att"}}, &config.width, From::shapes},
            {{"the width of the decoder", {"dim_att_dec"}}, &config.decoder_width, From::shapes},
            {{"the number of heads of the encoder", {"num_heads"}}, &config.heads, From::shapes},
            {{"the number of heads of the decoder", {"num_heads_dec"}}, &config.decoder_heads, From::shapes},
            {{"the number of bins", {"quantization_bins"}}, &vocabulary.bins, From::file},
            {{"the token of bin 0", {"coord_vocab_shift"}}, &vocabulary.coordinate_shift, From::file},
            {{"the token of class 0", {"base_vocab_shift"}}, &vocabulary.base_shift},
            {{"the token of the noise class", {"fake_class_token"}}, &vocabulary.fake_class},
            {{"the token of the task", {"task_vocab_id"}}, &vocabulary.task},
            {{"the eps of the norms", {"layer_norm_epsilon", "layer_norm_eps"}}, &config.eps}};
}

static void read_shapes(const Safetensors& checkpoint, Config& config) {
    const std::string stem = "model/encoder/stem_conv/kernel", encoder = "model/encoder/transformer_encoder/enc_layers/",
                      decoder = "model/decoder/decoder/dec_layers/", hidden = "/mlp/mlp_layers/0/dense1/kernel",
                      tokens = "model/decoder/token_embedding";
    config.shared_embedding = checkpoint.has(tokens);
    const std::string table = config.shared_embedding ? tokens : "model/decoder/inp_token_embedding";
    config.grid.patch_size = size_of(checkpoint, stem, 0);
    config.grid.channels = size_of(checkpoint, stem, 2);
    config.width = size_of(checkpoint, stem, 3);
    config.depth = count_blocks(checkpoint, encoder, hidden);
    config.heads = size_of(checkpoint, encoder + "0/mha/_query_dense/kernel", 1);
    config.mlp_width = size_of(checkpoint, encoder + "0" + hidden, 1);
    config.vocabulary.size = size_of(checkpoint, table, 0);
    config.decoder_width = size_of(checkpoint, table, 1);
    config.decoder_depth = count_blocks(checkpoint, decoder, hidden);
    config.decoder_heads = size_of(checkpoint, decoder + "0/self_mha/_query_dense/kernel", 1);
    config.decoder_mlp_width = size_of(checkpoint, decoder + "0" + hidden, 1);
    config.length = size_of(checkpoint, "model/decoder/seq_pos_emb", 0);
    config.class_token = checkpoint.has("model/encoder/cls_token_emb");
    config.output_bias = checkpoint.has("model/decoder/outp_bias");
}

// Learned positions are tensors; sines and cosines are not, so that the size of the images must be given.
static void read_positions(const Safetensors& checkpoint, const ModelConfig& model_config, Config& config) {
    const std::string positions = "model/encoder/vis_pos_emb";
    config.positions = checkpoint.has(positions) ? Positions::learned : Positions::sine;
    if (config.positions == Positions::learned) {
        vit::set_image_size(config.grid, size_of(checkpoint, positions, 0), model_config, checkpoint.path);
    } else {
        vit::set_image_size(config.grid, model_config, checkpoint.path);
    }
    if (checkpoint.has("model/proj_mlp/mlp_layers/0/dense1/kernel"))
        config.projection = Projection::mlp;
    else if (config.positions == Positions::learned)
        config.projection = checkpoint.has("model/vis_pos_emb") ? Projection::linear_p : Projection::linear;
    else
        config.projection = projection_of_name(model_config.string(projection_setting));
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_shapes(checkpoint, config);
    const ModelConfig model_config(checkpoint, given);
    read_positions(checkpoint, model_config, config);
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("pix2seq", members_of(copy));
    all["image_size"] = std::to_string(config.grid.height) + "," + std::to_string(config.grid.width);
    const Projection projection = config.projection;
    all[projection_setting.keys[0]] = projection == Projection::mlp      ? "mlp"
                                      : projection == Projection::linear ? "linear"
                                                                         : "linear_p";
    return all;
}

}  // namespace pix2seq
