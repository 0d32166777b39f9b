#include "vit/sequence/unified_io.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/layers/relative_position.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"
#include "vit/vit.h"

namespace unified_io {

static void require_text_buckets(const Config& config) {
    require(config.buckets >= 4 && config.max_distance > config.buckets / 2, "unified_io: ", config.buckets,
            " buckets up to distance ", config.max_distance,
            ": there must be at least 4, and half of them fewer than the distance");
}

static void require_image_buckets(const Config& config) {
    require(config.image_buckets >= 2 && config.max_image_distance > config.image_buckets / 2,
            "unified_io: ", config.image_buckets, " buckets up to distance ", config.max_image_distance,
            " between patches: there must be at least 2, and half of them fewer than the distance");
}

static void check(const Config& config) {
    require(config.vocabulary > 1 && config.image_vocabulary > 0 && config.width > 0 && config.mlp_width > 0 &&
                config.encoder_depth >= 0 && config.decoder_depth >= 0,
            "unified_io: ", config.vocabulary, " tokens, ", config.image_vocabulary, " codes, width ", config.width,
            ", inner width ", config.mlp_width, ", depths ", config.encoder_depth, " and ", config.decoder_depth,
            ": sizes must be positive");
    require(config.heads > 0 && config.head_width > 0, "unified_io: ", config.heads, " heads of width ", config.head_width,
            ": both must be positive");
    check(config.grid, "unified_io");
    require(config.encoder_text > 0 && config.decoder_text > 0 && config.decoder_codes > 0 && config.decoder_grid > 0,
            "unified_io: at most ", config.encoder_text, " tokens are read, ", config.decoder_text, " tokens and ",
            config.decoder_codes, " codes in rows of ", config.decoder_grid, " are written: all must be positive");
    require(config.grid.count() <= config.encoder_patches, "unified_io: ", config.grid.count(),
            " patches, there are positions for ", config.encoder_patches);
    require_text_buckets(config);
    require_image_buckets(config);
    require_eps("unified_io", config.eps);
    const VaeConfig& vae = config.vae;
    require(vae.resolution > 0 && vae.filters > 0 && !vae.multipliers.empty() && vae.res_blocks >= 0 && vae.code_width > 0,
            "unified_io: images of side ", vae.resolution, ", ", vae.filters, " filters, ", vae.multipliers.size(), " levels, ",
            vae.res_blocks, " blocks, codes of width ", vae.code_width, ": sizes must be positive");
    for (const int multiplier : vae.multipliers)
        require(multiplier > 0 && vae.groups > 0 && vae.filters % vae.groups == 0, "unified_io: ", vae.filters,
                " filters, times ", multiplier, ", do not split into ", vae.groups, " groups");
    require_eps("unified_io: images", vae.eps);
}

// --- distances ---

// Distances below half of the buckets have one each; from there to `farthest` the logarithm is cut into equal parts.
static int bucket_of_distance(int distance, int buckets, int farthest) {
    const int exact = buckets / 2;
    if (distance < exact) return distance;
    const double ratio = static_cast<double>(distance) / exact + 1.1920929e-7;  // the published code adds float32's smallest step
    const double part = std::log(ratio) / std::log(static_cast<double>(farthest) / exact);
    return std::min(buckets - 1, exact + static_cast<int>(part * (buckets - exact)));
}

static void require_distance(int offset) {
    require(offset > std::numeric_limits<int>::min(), "unified_io: an offset of ", offset, " has no distance as an int");
}

int text_bucket(int offset, bool both_ways, const Config& config) {
    require_distance(offset);
    require_text_buckets(config);
    if (!both_ways) return bucket_of_distance(std::max(-offset, 0), config.buckets, config.max_distance);
    const int n = config.buckets / 2;  // of one direction
    return (offset > 0 ? n : 0) + bucket_of_distance(std::abs(offset), n, config.max_distance);
}

static int quadrant(int dx, int dy) {
    if (dx >= 0 && dy > 0) return 3;
    if (dx > 0) return 2;
    if (dx < 0 && dy >= 0) return 1;
    return 0;
}

int image_bucket(int dx, int dy, const Config& config) {
    require_distance(dx);
    require_distance(dy);
    require_image_buckets(config);
    const int n = config.image_buckets;
    const int across = bucket_of_distance(std::abs(dx), n, config.max_image_distance);
    const int down = bucket_of_distance(std::abs(dy), n, config.max_image_distance);
    return (quadrant(dx, dy) * n + down) * n + across;
}

// The bias of every pair of an example's rows: tokens among themselves, positions of a grid among themselves; 0 between the two.
//   returns  (H*(texts+patches), texts+patches)
static Var relative_bias(const Half& w, int texts, int patches, int across, bool both_ways, const Config& config) {
    const int of_images = w.text_distances.cols(), none = of_images + w.image_distances.cols();
    const Var zeros(Matrix(1, w.text_distances.rows()));
    const Var table = concat_rows({transpose(w.text_distances), transpose(w.image_distances), zeros});  // (entries, H)
    const int rows = texts + patches;
    std::vector<int> entries;
    for (int query = 0; query < rows; ++query)
        for (int key = 0; key < rows; ++key) {
            const int q = query - texts, k = key - texts;  // positions in the grid, where they are not negative
            if (q < 0 && k < 0)
                entries.push_back(text_bucket(key - query, both_ways, config));
            else if (q >= 0 && k >= 0)
                entries.push_back(of_images + image_bucket(k % across - q % across, k / across - q / across, config));
            else
                entries.push_back(none);
        }
    return bias_of_pairs(table, entries, rows);
}

// --- what both halves do ---

// Numbers first, first + 1, ...
static std::vector<int> numbers_from(int first, int count) {
    std::vector<int> numbers;
    for (int k = 0; k < count; ++k) numbers.push_back(first + k);
    return numbers;
}

// Positions of `texts` tokens and, from `longest` on, of `patches` patches or codes: (texts + patches, E).
static Var positions_of(const Half& w, int texts, int patches, int longest) {
    std::vector<int> rows = numbers_from(0, texts);
    for (const int row : numbers_from(longest, patches)) rows.push_back(row);
    return gather_rows(w.positions, rows);
}

// What each row is, of which segment, and where.
static Var placed(const Var& rows, const Var& positions, int segment, const Half& w) {
    const Var where = add_repeated(positions, slice_rows(w.segments, segment, 1));
    return add_repeated(rows, where);
}

// Learned positions as a bias: how much a query at one position attends to a key at another, whatever the tokens are.
//   positions  (n, E), normed;   returns (H*n, n)
static Var absolute_bias(const Var& positions, const Half& w, const Config& config) {
    const Var query = linear(positions, w.position_query), key = linear(positions, w.position_key);  // (n, H K)
    const float factor = 1 / std::sqrt(static_cast<float>(config.width) / static_cast<float>(config.heads));
    const int K = config.head_width;
    std::vector<Var> heads;
    for (int h = 0; h < config.heads; ++h)
        heads.push_back(scale(matmul_transposed(slice_cols(query, h * K, K), slice_cols(key, h * K, K)), factor));  // (n, n)
    return concat_rows(heads);
}

// The text tokens of each example, followed by its patches or codes: (B*T, E) and (B*m, E) -> (B*(T+m), E).
static Var concat_by_example(const Var& tokens, const Var& patches, int B) {
    const int T = tokens.rows() / B, m = patches.rows() / B;
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) {
        for (const int row : numbers_from(b * T, T)) rows.push_back(row);
        for (const int row : numbers_from(B * T + b * m, m)) rows.push_back(row);
    }
    return gather_rows(concat_rows({tokens, patches}), rows);
}

// Rows first ... first + count - 1 of each example.
static Var part_of_each(const Var& rows, int B, int first, int count) {
    std::vector<int> chosen;
    for (int b = 0; b < B; ++b)
        for (const int row : numbers_from(b * (rows.rows() / B) + first, count)) chosen.push_back(row);
    return gather_rows(rows, chosen);
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh, .norm = NormKind::rms};
}

// q k^T + bias: nothing is divided by sqrt(K).
static Attending unscaled(Attending how, const Var& bias = {}) {
    how.bias = bias;
    how.scale = 1;
    return how;
}

// A batch of which only sizes and mask matter.
static TokenBatch rows_with(const Matrix& mask) {
    return {.sequences = mask.rows, .length = mask.cols, .ids = std::vector<int>(mask.size()), .mask = mask};
}

// --- encoder ---

static EncoderSteps encode(const Source& source, const Matrix& mask, const Weights& w, const Config& config) {
    const Half& half = w.encoder;
    const int B = mask.rows, S = static_cast<int>(source.tokens.size()) / B, n = config.grid.count();
    const Var positions = positions_of(half, S, n, config.encoder_text);  // (S+n, E)
    EncoderSteps steps;
    const Var tokens = placed(embed(w.token_embedding, source.tokens), slice_rows(positions, 0, S), 0, half);  // (B*S, E)
    steps.text = rms_norm(tokens, half.text_norm, config.eps);                                                 // (B*S, E)
    steps.patches = patchify_all(source.images, config.grid, "unified_io");                                    // (B*n, P*P*C)
    const Var seen = placed(linear(steps.patches, w.image_projection), slice_rows(positions, S, n), 1, half);
    steps.image = rms_norm(seen, half.image_norm, config.eps);                       // (B*n, E)
    steps.embeddings = concat_by_example(steps.text, steps.image, B);                // (B*(S+n), E)
    steps.positions = rms_norm(positions, half.position_norm, config.eps);           // (S+n, E)
    steps.relative = relative_bias(half, S, n, config.grid.across(), true, config);  // (H*(S+n), S+n)
    steps.absolute = absolute_bias(steps.positions, half, config);                   // (H*(S+n), S+n)
    const BlockContext context{.self = unscaled(attending(rows_with(mask), false), add(steps.relative, steps.absolute))};
    const InStack in_stack("encoder");
    steps.blocks = stack(steps.embeddings, half.blocks, options_of(config), context);  // (B*(S+n), E)
    steps.output = rms_norm(steps.blocks.output, half.norm, config.eps);               // (B*(S+n), E)
    return steps;
}

// --- decoder ---

// `first`, then all entries but the last, of each of B rows.
static std::vector<int> shifted(const std::vector<int>& ids, int B, int first) {
    const int length = static_cast<int>(ids.size()) / B;
    std::vector<int> moved;
    for (int k = 0; k < B * length; ++k) moved.push_back(k % length == 0 ? first : ids[k - 1]);
    return moved;
}

// The decoder's image rows: the last token of the table starts them, codes are tokens from V on.
static std::vector<int> image_inputs(const Target& target, int B, const Config& config) {
    const int start = config.vocabulary - 1;
    if (target.codes.empty()) return std::vector<int>(B, start);
    std::vector<int> ids;
    for (const int code : target.codes) ids.push_back(code + config.vocabulary);
    return shifted(ids, B, start);
}

// What the decoder reads, of each example its tokens and then its codes: rows of the token embedding, (B*(T+m)).
static std::vector<int> inputs_of(const Target& target, int B, const Config& config) {
    const std::vector<int> tokens = target.inputs.empty() ? shifted(target.tokens, B, 0) : target.inputs;
    const std::vector<int> codes = image_inputs(target, B, config);
    const int T = static_cast<int>(tokens.size()) / B, m = static_cast<int>(codes.size()) / B;
    std::vector<int> ids;
    for (int b = 0; b < B; ++b) {
        ids.insert(ids.end(), tokens.begin() + b * T, tokens.begin() + (b + 1) * T);
        ids.insert(ids.end(), codes.begin() + b * m, codes.begin() + (b + 1) * m);
    }
    return ids;
}

namespace {
// Which rows the decoder reads now: those from `first` on, of T tokens and then m codes. Earlier ones are in the caches.
struct RowRange {
    int tokens, codes, first;

    int count() const { return tokens + codes - first; }
};

// What the encoder has made of a source.
struct Encoded {
    Var rows;     // (B*(S+n), E)
    Matrix mask;  // (B, S+n)
};
}  // namespace

// The decoder's rows of the range, in every example: what each is, where, and whether it is a token or a code.
//   ids       (B*count)  rows of the token embedding
//   contexts  one, or one for each block: mask and caches
static DecoderSteps read_rows(const std::vector<int>& ids, const RowRange& range, std::vector<BlockContext> contexts,
                              const Encoded& source, const Weights& w, const Config& config) {
    const Half& half = w.decoder;
    const int T = range.tokens, m = range.codes, first = range.first, count = range.count();
    const Var positions = positions_of(half, T, m, config.decoder_text);  // (T+m, E)
    std::vector<int> segments(T, 0);
    segments.resize(T + m, 1);
    const Var where = add(positions, gather_rows(half.segments, segments));  // (T+m, E)
    DecoderSteps steps;
    const Var rows = add_repeated(embed(w.token_embedding, ids), slice_rows(where, first, count));  // (B*count, E)
    steps.embeddings = rms_norm(rows, half.text_norm, config.eps);                                  // (B*count, E)
    steps.positions = rms_norm(positions, half.position_norm, config.eps);                          // (T+m, E)
    const Var relative = relative_bias(half, T, m, config.decoder_grid, false, config);             // (H*(T+m), T+m)
    const Var absolute = absolute_bias(steps.positions, half, config);                              // (H*(T+m), T+m)
    steps.relative = part_of_each(relative, config.heads, first, count);                            // (H*count, T+m)
    steps.absolute = part_of_each(absolute, config.heads, first, count);                            // (H*count, T+m)
    const Var bias = add(steps.relative, steps.absolute);
    const Attending cross = unscaled(attending_to(rows_with(source.mask), count));
    for (BlockContext& context : contexts) {
        KeyValueCache* const kept = context.cross.cache;
        context.self = unscaled(context.self, bias);
        context.source = source.rows;
        context.cross = cross;
        context.cross.cache = kept;
    }
    const InStack in_stack("decoder");
    steps.blocks = stack(steps.embeddings, half.blocks, options_of(config), contexts);  // (B*count, E)
    steps.hidden = rms_norm(steps.blocks.output, half.norm, config.eps);                // (B*count, E)
    return steps;
}

// The output matrix is the token embedding; its last Vi rows are the codes.   hidden (rows, E) -> (rows, V) and (rows, Vi)
static Var text_logits_of(const Var& hidden, const Weights& w, const Config& config) {
    const Var scaled = scale(hidden, 1 / std::sqrt(static_cast<float>(config.width)));
    return matmul_transposed(scaled, slice_rows(w.token_embedding, 0, config.vocabulary));
}

static Var image_logits_of(const Var& hidden, const Weights& w, const Config& config) {
    const Var scaled = scale(hidden, 1 / std::sqrt(static_cast<float>(config.width)));
    return matmul_transposed(scaled, slice_rows(w.token_embedding, config.vocabulary, config.image_vocabulary));
}

static DecoderSteps decode(const Target& target, const Matrix& mask, const Encoded& source, const Weights& w,
                           const Config& config) {
    const int B = mask.rows, T = static_cast<int>(target.tokens.size()) / B, m = mask.cols - T;
    const std::vector<BlockContext> contexts{{.self = attending(rows_with(mask), true)}};
    DecoderSteps steps = read_rows(inputs_of(target, B, config), {T, m, 0}, contexts, source, w, config);
    steps.text_logits = text_logits_of(part_of_each(steps.hidden, B, 0, T), w, config);    // (B*T, V)
    steps.image_logits = image_logits_of(part_of_each(steps.hidden, B, T, m), w, config);  // (B*m, Vi)
    return steps;
}

// --- the model ---

// 1 where a token is not padding, followed by the mask of the patches.
static Matrix mask_of(const std::vector<int>& tokens, const Matrix& patches) {
    const int B = patches.rows, T = static_cast<int>(tokens.size()) / B;
    Matrix mask(B, T + patches.cols);
    for (int b = 0; b < B; ++b) {
        for (int t = 0; t < T; ++t) mask(b, t) = tokens[b * T + t] != 0;
        for (int k = 0; k < patches.cols; ++k) mask(b, T + k) = patches(b, k);
    }
    return mask;
}

static Matrix source_mask(const Source& source, const Config& config) {
    const int B = static_cast<int>(source.images.size());
    return mask_of(source.tokens, source.patches.empty() ? Matrix(B, config.grid.count(), 1) : source.patches);
}

static void require_rows(const std::vector<int>& ids, int B, int most, int ids_below, const char* what) {
    const int count = static_cast<int>(ids.size());
    require(count % B == 0 && count / B <= most, "unified_io: ", count, " ", what, " for ", B,
            " examples, each needs the same number, at most ", most);
    for (const int id : ids)
        require(id >= 0 && id < ids_below, "unified_io: ", id, " is not one of ", ids_below, " ", what, ", counted from 0");
}

static void check(const Source& source, const Target& target, const Weights& w, const Config& config) {
    check(config);
    require_depth("unified_io: encoder", config.encoder_depth, w.encoder.blocks);
    require_depth("unified_io: decoder", config.decoder_depth, w.decoder.blocks);
    require(!source.images.empty() && !source.tokens.empty() && !target.tokens.empty(), "unified_io: ", source.images.size(),
            " images, ", source.tokens.size(), " tokens of prompts, ", target.tokens.size(),
            " of answers: there must be some of each");
    const int B = static_cast<int>(source.images.size());
    require_rows(source.tokens, B, config.encoder_text, config.vocabulary, "tokens of prompts");
    require_rows(target.tokens, B, config.decoder_text, config.vocabulary, "tokens of answers");
    require_rows(target.inputs, B, config.decoder_text, config.vocabulary, "tokens that the decoder reads");
    require(target.inputs.empty() || target.inputs.size() == target.tokens.size(), "unified_io: the decoder reads ",
            target.inputs.size(), " tokens and writes ", target.tokens.size(), "; give the same number, or none to read");
    require_rows(target.codes, B, config.decoder_codes, config.image_vocabulary, "codes");
    require(source.patches.empty() || (source.patches.rows == B && source.patches.cols == config.grid.count()),
            "unified_io: a mask of ", source.patches, " for ", B, " images of ", config.grid.count(),
            " patches, each needs one number");
    for (const float x : source.patches)
        require(x == 0 || x == 1, "unified_io: a mask of patches holds ", x, ", it must hold 1 (seen) and 0 (not seen)");
}

Steps forward(const Source& source, const Target& target, const Weights& w, const Config& config) {
    check(source, target, w, config);
    const int B = static_cast<int>(source.images.size());
    const int m = static_cast<int>(target.codes.size()) / B;
    const Matrix codes = m == 0 ? Matrix(B, 1) : Matrix(B, m, 1);  // without an image one masked row
    Steps steps;
    steps.source_mask = source_mask(source, config);
    steps.target_mask = mask_of(target.tokens, codes);
    steps.encoder = encode(source, steps.source_mask, w, config);
    steps.decoder = decode(target, steps.target_mask, {steps.encoder.output, steps.source_mask}, w, config);
    return steps;
}

Losses losses(const Steps& steps, const Target& target) {
    std::vector<int> labels;
    for (const int id : target.tokens) labels.push_back(id == 0 ? ignored_label : id);
    const auto asked = std::count_if(labels.begin(), labels.end(), [](int label) { return label != ignored_label; });
    const float count = static_cast<float>(asked) + static_cast<float>(target.codes.size());
    require(count > 0, "unified_io: none of ", target.tokens.size(),
            " tokens and no code is asked for; an answer needs at least one");
    Losses losses;
    losses.text = token_losses(steps.decoder.text_logits, labels);  // (B*T, 1)
    Var all = sum(losses.text);
    if (!target.codes.empty()) {
        losses.image = token_losses(steps.decoder.image_logits, target.codes);  // (B*m, 1)
        all = add(all, sum(losses.image));
    }
    losses.total = scale(all, 1 / count);
    return losses;
}

// --- writing ---

Reader::Reader(const Source& source, int text_rows, int codes, const Weights& w, const Config& c)
    : weights(w), config(c), text_rows(text_rows) {
    check(source, {.tokens = std::vector<int>(source.images.size(), 1)}, w, c);  // of the answer only the size matters here
    require(text_rows > 0 && text_rows <= c.decoder_text && codes >= 0 && codes <= c.decoder_codes, "unified_io: ", text_rows,
            " tokens of text and ", codes, " codes to be written, there are positions for ", c.decoder_text, " and ",
            c.decoder_codes);
    const NoTape no_tape;
    memory =
        make_memory(c.decoder_depth, static_cast<int>(source.images.size()), text_rows + codes, c.heads * c.head_width, true);
    mask = source_mask(source, c);
    encoded = encode(source, mask, w, c).output;
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    const int first = memory.seen.length;
    const Reading reading = read_next(memory, next, "unified_io");
    const int all = memory.seen.length;
    const RowRange range{.tokens = std::min(text_rows, all), .codes = std::max(0, all - text_rows), .first = first};
    const Var hidden = last_rows(read_rows(next.ids, range, reading.contexts, {encoded, mask}, weights, config).hidden, next);
    const bool of_code = all > text_rows;
    const Matrix logits = (of_code ? image_logits_of(hidden, weights, config) : text_logits_of(hidden, weights, config)).value();
    Matrix result(hidden.rows(), config.vocabulary + config.image_vocabulary, -1e10f);  // text follows text, codes follow codes
    for (int b = 0; b < result.rows; ++b)
        std::copy_n(logits.row(b), logits.cols, result.row(b) + (of_code ? config.vocabulary : 0));
    return result;
}

void Reader::select(const std::vector<int>& chosen) {
    const NoTape no_tape;
    memory = select_sequences(memory, chosen);
    const int rows = mask.cols;
    std::vector<int> kept;
    for (const int b : chosen)
        for (const int row : numbers_from(b * rows, rows)) kept.push_back(row);
    encoded = gather_rows(encoded, kept);
    mask = gather_rows(mask, chosen).value();
}

std::vector<std::vector<int>> write_text(const Source& source, int most, const Weights& w, const Config& config, int end_token) {
    Reader reader(source, most, 0, w, config);
    const TokenBatch starts = equal_batch(std::vector<int>(source.images.size(), 0), 1);
    return generate_greedily(starts, reader, {.new_tokens = most, .end_of_text = end_token});
}

std::vector<int> write_codes(const Source& source, int count, const Weights& w, const Config& config) {
    Reader reader(source, 1, count, w, config);
    std::vector<int> starts;
    for (std::size_t b = 0; b < source.images.size(); ++b) starts.insert(starts.end(), {0, config.vocabulary - 1});
    std::vector<int> codes;
    for (const std::vector<int>& ids : generate_greedily(equal_batch(starts, 2), reader, {.new_tokens = count}))
        for (const int id : ids) codes.push_back(id - config.vocabulary);
    return codes;
}

// --- images as codes ---

static Map convolve_same(const Map& x, const Convolution& w, int side) {
    return convolve(x, w, {.side = side, .padding = same_padding(x.size, side)});
}

static Map norm_and_swish(const Map& x, const Norm& w, const VaeConfig& config) {
    const Map normed = group_norm(x, w, config.groups, config.eps);
    return {activate(normed.pixels, Activation::silu), normed.size};
}

static Map res_block(const Map& x, const ResBlock& w, const VaeConfig& config) {
    const Map hidden = convolve_same(norm_and_swish(x, w.norm1, config), w.conv1, 3);
    const Map y = convolve_same(norm_and_swish(hidden, w.norm2, config), w.conv2, 3);
    const Map residual = w.shortcut.weight ? convolve_same(x, w.shortcut, 1) : x;
    return {add(residual.pixels, y.pixels), y.size};
}

// Self-attention over all pixels of an image, with one head.
static Map map_attention(const Map& x, const MapAttention& w, const VaeConfig& config) {
    const Map normed = group_norm(x, w.norm, config.groups, config.eps);
    const Attending how{.segments = Segments::equal(x.size.images, x.size.pixels())};
    const Attended seen = attend(convolve_same(normed, w.query, 1).pixels, convolve_same(normed, w.key, 1).pixels,
                                 convolve_same(normed, w.value, 1).pixels, 1, how);
    return {add(x.pixels, convolve_same({seen.context, x.size}, w.output, 1).pixels), x.size};
}

CodeSteps codes_of(const std::vector<Image>& images, const Weights& w, const Config& config) {
    const NoTape no_tape;
    const VaeConfig& vae = config.vae;
    Map x = map_of(images);
    require(x.size.height == vae.resolution && x.size.width == vae.resolution && x.channels() == config.grid.channels,
            "unified_io: ", shape(x.size), " with ", x.channels(), " channels, codes are made from images of side ",
            vae.resolution, " with ", config.grid.channels);
    x = convolve_same(x, w.vae.first, 3);
    for (const Level& level : w.vae.levels) {
        for (std::size_t k = 0; k < level.blocks.size(); ++k) {
            x = res_block(x, level.blocks[k], vae);
            if (!level.attentions.empty()) x = map_attention(x, level.attentions[k], vae);
        }
        // one row of zeros below and one column on the right, none above and on the left
        if (level.down.weight) x = convolve(x, level.down, {.side = 3, .stride = 2, .padding = {.bottom = 1, .right = 1}});
    }
    x = res_block(x, w.vae.middle1, vae);
    x = map_attention(x, w.vae.middle_attention, vae);
    x = res_block(x, w.vae.middle2, vae);
    CodeSteps steps;
    steps.encoded = convolve_same(norm_and_swish(x, w.vae.norm, vae), w.vae.last, 3);
    steps.raw = convolve_same(steps.encoded, w.vae.to_code, 1);
    steps.ids = quantize(steps.raw.pixels, w.vae.codebook).ids;
    return steps;
}

// --- coordinates as tokens ---

std::array<int, 4> tokens_of_box(const Box& box, int width, int height, const CoordinateIds& coordinates) {
    const double side = std::max(width, height);
    require(width > 0 && height > 0, "unified_io: a box in an image of ", width, " x ", height, ", both must be at least 1");
    require(coordinates.bins > 0, "unified_io: coordinates in ", coordinates.bins, " bins, there must be at least 1");
    require(!(box.x2 < box.x1) && !(box.y2 < box.y1), "unified_io: a box from x ", box.x1, " to ", box.x2, " and y ", box.y1,
            " to ", box.y2, ", neither may end before it begins");
    std::array<int, 4> ids{};
    const std::array<float, 4> ordered{box.y1, box.x1, box.y2, box.x2};
    for (std::size_t k = 0; k < 4; ++k) {
        const double part = ordered[k] / side;
        require(part >= 0 && part <= 1, "unified_io: a box that reaches to ", ordered[k], " in an image of ", width, " x ",
                height, "; it must lie inside a square around the image");
        ids[k] = coordinates.last - coordinates.ordinary - static_cast<int>((coordinates.bins - 1) * part);
    }
    return ids;
}

float coordinate_of(int id, int width, int height, const CoordinateIds& coordinates) {
    require(width > 0 && height > 0, "unified_io: a point in an image of ", width, " x ", height, ", both must be at least 1");
    require(coordinates.bins > 0, "unified_io: coordinates in ", coordinates.bins, " bins, there must be at least 1");
    const long bin = 0L + coordinates.last + 1 - id - coordinates.ordinary;  // one more than was written
    return static_cast<float>(static_cast<double>(bin) * std::max(width, height) / coordinates.bins);
}

// The answer up to its end.
static std::vector<int> written(const std::vector<int>& answer, const CoordinateIds& coordinates) {
    return {answer.begin(), std::find(answer.begin(), answer.end(), coordinates.end_token)};
}

static bool is_coordinate(int id, const CoordinateIds& coordinates) { return id > coordinates.first_id; }

// `count` coordinates from `at` on, which moves past them.
static std::vector<int> coordinates_at(const std::vector<int>& ids, std::size_t& at, int count,
                                       const CoordinateIds& coordinates) {
    std::vector<int> found;
    for (int k = 0; k < count; ++k) {
        const std::string instead = at < ids.size() ? ", it is " + std::to_string(ids[at]) : ", the answer has ended";
        require(at < ids.size() && is_coordinate(ids[at], coordinates), "unified_io: token ", at,
                " of an answer must be coordinate ", k + 1, " of ", count, instead);
        found.push_back(ids[at++]);
    }
    return found;
}

std::vector<FoundBox> boxes_of(const std::vector<int>& answer, int width, int height, const CoordinateIds& coordinates) {
    const std::vector<int> ids = written(answer, coordinates);
    std::vector<FoundBox> boxes;
    for (std::size_t at = 0; at < ids.size();) {
        const std::vector<int> corners = coordinates_at(ids, at, 4, coordinates);
        FoundBox found{};
        std::copy(corners.begin(), corners.end(), found.ids.begin());
        const auto read = [&](int k) { return coordinate_of(corners[k], width, height, coordinates); };
        found.box = {.x1 = read(1), .y1 = read(0), .x2 = read(3), .y2 = read(2)};
        while (at < ids.size() && !is_coordinate(ids[at], coordinates)) {
            require(ids[at] > coordinates.end_token, "unified_io: token ", at, ", ", ids[at],
                    ", in the label of a box is not a token of a text; its tokens are above ", coordinates.end_token);
            found.label.push_back(ids[at++]);
        }
        require(!found.label.empty(), "unified_io: the box that ends at token ", at,
                " has no label; four coordinates must be followed by at least one token");
        boxes.push_back(found);
    }
    return boxes;
}

Pose pose_of(const std::vector<int>& answer, const std::array<int, 3>& label_tokens, int width, int height,
             const CoordinateIds& coordinates) {
    const std::vector<int> ids = written(answer, coordinates);
    Pose pose;
    double x = 0, y = 0;
    int seen = 0;
    for (std::size_t at = 0; at < ids.size();) {
        require(pose.labels.size() < joints, "unified_io: token ", at, " begins joint ", joints + 1,
                " of a pose, it has at most ", joints);
        const std::vector<int> point = coordinates_at(ids, at, 2, coordinates);
        const auto token = at < ids.size() ? std::find(label_tokens.begin(), label_tokens.end(), ids[at]) : label_tokens.end();
        require(token != label_tokens.end(), "unified_io: token ", at, " of a pose must be a joint's label",
                at < ids.size() ? ", it is " + std::to_string(ids[at]) : ", the answer has ended");
        ++at;
        pose.y.push_back(coordinate_of(point[0], width, height, coordinates));
        pose.x.push_back(coordinate_of(point[1], width, height, coordinates));
        pose.labels.push_back(static_cast<int>(token - label_tokens.begin()));
        if (pose.labels.back() == 0) continue;
        x += pose.x.back();
        y += pose.y.back();
        ++seen;
    }
    pose.invalid = pose.labels.size() < joints;
    pose.found = seen > 0;
    pose.x.resize(joints);
    pose.y.resize(joints);
    pose.labels.resize(joints);
    for (int k = 0; k < joints && pose.found; ++k) {
        if (pose.labels[k] != 0) continue;
        pose.x[k] = static_cast<float>(x / seen);
        pose.y[k] = static_cast<float>(y / seen);
    }
    return pose;
}

// Runs of at most `longest` pixels become 0. The published code labels the flattened image: a run goes on in the next row.
static void remove_short_runs(std::vector<int>& mask, std::size_t longest) {
    for (std::size_t first = 0; first < mask.size();) {
        std::size_t end = first;
        while (end < mask.size() && mask[end] == 1) ++end;
        if (end - first <= longest) std::fill(mask.begin() + first, mask.begin() + end, 0);
        first = end + 1;
    }
}

std::vector<std::vector<int>> masks_of(const Image& image) {
    require(image.channels == 3, "unified_io: masks are read from three colours, this image is ", shape(image));
    std::vector<std::vector<int>> masks(4, std::vector<int>(static_cast<std::size_t>(image.height) * image.width));
    for (std::size_t k = 0; k < masks[0].size(); ++k) {
        const float* const pixel = &image.pixels[3 * k];
        const double mean = (static_cast<double>(pixel[0]) + pixel[1] + pixel[2]) / 3;
        double colour = 0;
        for (int c = 0; c < 3; ++c) colour += std::abs(pixel[c] - mean);
        masks[0][k] = mean > 30 && colour < 100;
        const int strongest = static_cast<int>(std::max_element(pixel, pixel + 3) - pixel);
        masks[1 + strongest][k] = std::abs(pixel[strongest] - mean) > 40;
    }
    for (std::vector<int>& mask : masks) remove_short_runs(mask, 10);
    std::erase_if(masks, [](const std::vector<int>& mask) { return std::find(mask.begin(), mask.end(), 1) == mask.end(); });
    return masks;
}

// --- weights ---

static Init normal(double stddev) { return {.draw = Draw::normal, .stddev = static_cast<float>(stddev)}; }

static Linear normal_linear(Random& random, int in, int out, double stddev) {
    return make_linear_without_bias(random, in, out, normal(stddev));
}

static Attention fresh_attention(Random& random, const Config& config) {
    const int E = config.width, HK = config.heads * config.head_width;
    return {.query = normal_linear(random, E, HK, 1 / std::sqrt(static_cast<double>(E) * config.head_width)),
            .key = normal_linear(random, E, HK, 1 / std::sqrt(E)),
            .value = normal_linear(random, E, HK, 1 / std::sqrt(E)),
            .output = normal_linear(random, HK, E, 1 / std::sqrt(HK))};
}

static Block fresh_block(Random& random, const Config& config, bool of_decoder) {
    const int E = config.width, F = config.mlp_width;
    Block w;
    w.norm1 = make_rms_norm(E);
    w.attention = fresh_attention(random, config);
    if (of_decoder) {
        w.norm_cross = make_rms_norm(E);
        w.cross = fresh_attention(random, config);
    }
    w.norm2 = make_rms_norm(E);
    w.mlp.gate = normal_linear(random, E, F, 1 / std::sqrt(E));
    w.mlp.expand = normal_linear(random, E, F, 1 / std::sqrt(E));
    w.mlp.contract = normal_linear(random, F, E, 1 / std::sqrt(F));
    return w;
}

static Half fresh_half(Random& random, const Config& config, bool of_decoder) {
    const int E = config.width, H = config.heads, HK = H * config.head_width, N = config.image_buckets;
    const int positions = of_decoder ? config.decoder_text + config.decoder_codes : config.encoder_text + config.encoder_patches;
    Half w;
    w.positions = make_embedding(random, positions, E, normal(0.02));
    w.segments = make_embedding(random, 2, E, normal(0.02));
    w.text_norm = make_rms_norm(E);
    w.image_norm = of_decoder ? w.text_norm : make_rms_norm(E);
    w.position_norm = make_rms_norm(E);
    w.position_query = normal_linear(random, E, HK, 1 / std::sqrt(static_cast<double>(E) * config.head_width));
    w.position_key = normal_linear(random, E, HK, 1 / std::sqrt(E));
    w.text_distances = make_embedding(random, H, config.buckets, normal(0.02));
    w.image_distances = make_embedding(random, H, 4 * N * N, normal(0.02));
    const int depth = of_decoder ? config.decoder_depth : config.encoder_depth;
    for (int l = 0; l < depth; ++l) w.blocks.push_back(fresh_block(random, config, of_decoder));
    w.norm = make_rms_norm(E);
    return w;
}

// The VQ-GAN is pre-trained and frozen: its matrices are constants.
static Var frozen(const Var& w) { return Var(Matrix(w.value())); }

static Convolution frozen_convolution(Random& random, int side, int in, int out) {
    const Convolution w = make_convolution(random, side, in, out, normal(1 / std::sqrt(static_cast<double>(side) * side * in)));
    return {.weight = frozen(w.weight), .bias = frozen(w.bias)};
}

static Norm frozen_norm(int channels) { return {.gain = Var(Matrix(1, channels, 1)), .bias = Var(Matrix(1, channels))}; }

static ResBlock frozen_block(Random& random, int in, int out) {
    ResBlock w;
    w.norm1 = frozen_norm(in);
    w.conv1 = frozen_convolution(random, 3, in, out);
    w.norm2 = frozen_norm(out);
    w.conv2 = frozen_convolution(random, 3, out, out);
    if (in != out) w.shortcut = frozen_convolution(random, 1, in, out);
    return w;
}

static MapAttention frozen_attention(Random& random, int channels) {
    MapAttention w;
    w.norm = frozen_norm(channels);
    for (Convolution* part : {&w.query, &w.key, &w.value, &w.output}) *part = frozen_convolution(random, 1, channels, channels);
    return w;
}

static Vae frozen_vae(Random& random, const Config& config) {
    const VaeConfig& vae = config.vae;
    Vae w;
    int channels = vae.filters, side = vae.resolution;
    w.first = frozen_convolution(random, 3, config.grid.channels, channels);
    for (std::size_t l = 0; l < vae.multipliers.size(); ++l) {
        const std::vector<int>& sides = vae.attention_sides;
        const bool attends = std::find(sides.begin(), sides.end(), side) != sides.end();
        Level level;
        for (int k = 0; k < vae.res_blocks; ++k) {
            level.blocks.push_back(frozen_block(random, channels, vae.filters * vae.multipliers[l]));
            channels = vae.filters * vae.multipliers[l];
            if (attends) level.attentions.push_back(frozen_attention(random, channels));
        }
        if (l + 1 < vae.multipliers.size()) level.down = frozen_convolution(random, 3, channels, channels);
        side /= 2;
        w.levels.push_back(level);
    }
    w.middle1 = frozen_block(random, channels, channels);
    w.middle_attention = frozen_attention(random, channels);
    w.middle2 = frozen_block(random, channels, channels);
    w.norm = frozen_norm(channels);
    w.last = frozen_convolution(random, 3, channels, vae.code_width);
    w.to_code = frozen_convolution(random, 1, vae.code_width, vae.code_width);
    w.codebook = frozen(make_embedding(random, config.image_vocabulary, vae.code_width, normal(1)));
    return w;
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int E = config.width;
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary + config.image_vocabulary, E, normal(1));
    w.image_projection = normal_linear(random, config.grid.numbers(), E, 1 / std::sqrt(config.grid.numbers()));
    w.encoder = fresh_half(random, config, false);
    w.decoder = fresh_half(random, config, true);
    w.vae = frozen_vae(random, config);
    return w;
}

// --- names ---

static void add_table(Parameters& table, const std::string& name, const Var& w) {
    table.push_back({name, {w.rows(), w.cols()}, Stored::as_it_is, {w}});
}

static void add_scale(Parameters& table, const std::string& name, const Norm& w) {
    table.push_back({name + "/scale", {w.gain.cols()}, Stored::as_it_is, {w.gain}});
}

static void add_half(Parameters& table, const std::string& prefix, const Half& w, bool of_decoder) {
    const std::string of_self = of_decoder ? "self_" : "";
    add_table(table, prefix + "position_embedding/embedding", w.positions);
    add_table(table, prefix + (of_decoder ? "segments_embedding/embedding" : "segment_embedding/embedding"), w.segments);
    if (of_decoder) {
        add_scale(table, prefix + "pre_ln", w.text_norm);
    } else {
        add_scale(table, prefix + "txt_emb_pre_ln", w.text_norm);
        add_scale(table, prefix + "img_emb_pre_ln", w.image_norm);
    }
    add_scale(table, prefix + "pe_pre_ln", w.position_norm);
    add_table(table, prefix + of_self + "position_q_linear/kernel", w.position_query.weight);
    add_table(table, prefix + of_self + "position_k_linear/kernel", w.position_key.weight);
    add_table(table, prefix + "relpos_bias/rel_embedding", w.text_distances);
    add_table(table, prefix + "relpos_bias/image_rel_embedding", w.image_distances);
    for (std::size_t l = 0; l < w.blocks.size(); ++l)
        add_parameters(table, prefix + "layers_" + std::to_string(l) + "/", w.blocks[l],
                       of_decoder ? unified_io_decoder_names : unified_io_encoder_names);
    add_scale(table, prefix + (of_decoder ? "decoder_norm" : "encoder_norm"), w.norm);
}

static void add_convolution(Parameters& table, const std::string& name, const Convolution& w, int side) {
    const long out = w.weight.cols(), in = w.weight.rows() / (side * side);
    table.push_back({name + "/kernel", {side, side, in, out}, Stored::as_it_is, {w.weight}});
    table.push_back({name + "/bias", {out}, Stored::as_it_is, {w.bias}});
}

static void add_group_norm(Parameters& table, const std::string& name, const Norm& w) {
    add_scale(table, name, w);
    table.push_back({name + "/bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}

static void add_res_block(Parameters& table, const std::string& name, const ResBlock& w) {
    add_group_norm(table, name + "/norm1", w.norm1);
    add_convolution(table, name + "/conv1", w.conv1, 3);
    add_group_norm(table, name + "/norm2", w.norm2);
    add_convolution(table, name + "/conv2", w.conv2, 3);
    if (w.shortcut.weight) add_convolution(table, name + "/nin_shortcut", w.shortcut, 1);
}

static void add_map_attention(Parameters& table, const std::string& name, const MapAttention& w) {
    add_group_norm(table, name + "/norm", w.norm);
    add_convolution(table, name + "/q", w.query, 1);
    add_convolution(table, name + "/k", w.key, 1);
    add_convolution(table, name + "/v", w.value, 1);
    add_convolution(table, name + "/proj_out", w.output, 1);
}

static void add_vae(Parameters& table, const std::string& prefix, const Vae& w) {
    const std::string encoder = prefix + "encoder/";
    add_convolution(table, encoder + "conv_in", w.first, 3);
    for (std::size_t l = 0; l < w.levels.size(); ++l) {
        const std::string level = encoder + "down_" + std::to_string(l);
        for (std::size_t k = 0; k < w.levels[l].blocks.size(); ++k)
            add_res_block(table, level + "_block_" + std::to_string(k), w.levels[l].blocks[k]);
        for (std::size_t k = 0; k < w.levels[l].attentions.size(); ++k)
            add_map_attention(table, level + "_attn_" + std::to_string(k), w.levels[l].attentions[k]);
        if (w.levels[l].down.weight) add_convolution(table, level + "_downsample/conv", w.levels[l].down, 3);
    }
    add_res_block(table, encoder + "mid_block_1", w.middle1);
    add_map_attention(table, encoder + "mid_attn_1", w.middle_attention);
    add_res_block(table, encoder + "mid_block_2", w.middle2);
    add_group_norm(table, encoder + "norm_out", w.norm);
    add_convolution(table, encoder + "conv_out", w.last, 3);
    add_convolution(table, prefix + "quant_conv", w.to_code, 1);
    add_table(table, prefix + "quantize/embedding", w.codebook);
}

Parameters parameters(const Weights& w, const Config& config) {
    check(config);
    Parameters table;
    add_table(table, "token_embedder/embedding", w.token_embedding);
    add_table(table, "encoder/image_projection/kernel", w.image_projection.weight);
    add_half(table, "encoder/", w.encoder, false);
    add_half(table, "decoder/", w.decoder, true);
    add_vae(table, "discrete_vae/", w.vae);
    return table;
}

LoadRules load_rules() {
    return {.ignored_prefixes = {"decoder/cross_position_", "discrete_vae/decoder/", "discrete_vae/post_quant_conv/"}};
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine: of each half, one table holds the positions of text and of patches or codes.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{{"the width", {"emb_dim"}}, &config.width, From::shapes},
            {{"the number of heads", {"num_heads"}}, &config.heads, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::file},
            {{"the longest prompt", {"encoder_max_text_length"}}, &config.encoder_text, From::file},
            {{"the longest answer", {"decoder_max_text_length"}}, &config.decoder_text, From::file},
            {{"the number of codes in a row", {"decoder_img_width"}}, &config.decoder_grid, From::file},
            {{"the side of the images of the VQ-GAN", {"vae_resolution"}}, &config.vae.resolution, From::file},
            {{"the largest distance between tokens", {"max_distance"}}, &config.max_distance},
            {{"the largest distance between patches", {"img_max_distance"}}, &config.max_image_distance},
            {{"the eps of the norms", {"layer_norm_epsilon", "layer_norm_eps"}}, &config.eps},
            {{"the groups of the VQ-GAN's norms", {"vae_num_groups"}}, &config.vae.groups},
            {{"the eps of the VQ-GAN's norms", {"vae_norm_eps"}}, &config.vae.eps}};
}

static void read_shapes(const Safetensors& checkpoint, Config& config) {
    const std::string encoder = "encoder/layers_", decoder = "decoder/layers_", hidden = "/mlp/wi_0/kernel",
                      distances = "encoder/relpos_bias/";
    config.image_vocabulary = size_of(checkpoint, "discrete_vae/quantize/embedding", 0);
    config.vocabulary = size_of(checkpoint, "token_embedder/embedding", 0) - config.image_vocabulary;
    config.width = size_of(checkpoint, "token_embedder/embedding", 1);
    config.encoder_depth = count_blocks(checkpoint, encoder, hidden);
    config.decoder_depth = count_blocks(checkpoint, decoder, hidden);
    config.mlp_width = size_of(checkpoint, encoder + "0" + hidden, 1);
    config.heads = size_of(checkpoint, distances + "rel_embedding", 0);
    config.buckets = size_of(checkpoint, distances + "rel_embedding", 1);
    config.head_width = size_of(checkpoint, encoder + "0/attention/query/kernel", 1) / std::max(1, config.heads);
    const int pairs = size_of(checkpoint, distances + "image_rel_embedding", 1);  // 4 N^2: a quadrant, and N x N buckets
    config.image_buckets = static_cast<int>(std::lround(std::sqrt(pairs / 4.0)));
}

// The levels of the VQ-GAN; one with attention is named by its side.
static void read_vae(const Safetensors& checkpoint, VaeConfig& vae) {
    const std::string encoder = "discrete_vae/encoder/", level = encoder + "down_", convolution = "/conv1/kernel";
    vae.filters = size_of(checkpoint, encoder + "conv_in/kernel", 3);
    vae.code_width = size_of(checkpoint, "discrete_vae/quantize/embedding", 1);
    vae.res_blocks = count_blocks(checkpoint, level + "0_block_", convolution);
    vae.multipliers.clear();
    vae.attention_sides.clear();
    const int levels = count_blocks(checkpoint, level, "_block_0" + convolution);
    for (int l = 0; l < levels; ++l) {
        const std::string name = level + std::to_string(l);
        vae.multipliers.push_back(size_of(checkpoint, name + "_block_0" + convolution, 3) / std::max(1, vae.filters));
        if (checkpoint.has(name + "_attn_0/q/kernel")) vae.attention_sides.push_back(vae.resolution >> l);
    }
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_shapes(checkpoint, config);
    const ModelConfig model_config(checkpoint, given);
    vit::set_image_size(config.grid, model_config, checkpoint.path);
    read_members(model_config, members_of(config));
    require(config.grid.patch_size > 0, checkpoint.path, ": patches of side ", config.grid.patch_size, ", it must be at least 1");
    const int area = config.grid.patch_size * config.grid.patch_size;
    config.grid.channels = size_of(checkpoint, "encoder/image_projection/kernel", 0) / area;
    config.encoder_patches = size_of(checkpoint, "encoder/position_embedding/embedding", 0) - config.encoder_text;
    config.decoder_codes = size_of(checkpoint, "decoder/position_embedding/embedding", 0) - config.decoder_text;
    read_vae(checkpoint, config.vae);
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("unified_io", members_of(copy));
    all["image_size"] = std::to_string(config.grid.height) + "," + std::to_string(config.grid.width);
    return all;
}

}  // namespace unified_io
