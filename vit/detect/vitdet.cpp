#include "vit/detect/vitdet.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"
#include "nn/maps/pool.h"
#include "nn/maps/resize.h"

namespace vitdet {

static bool contains(const std::vector<int>& list, int number) {
    return std::find(list.begin(), list.end(), number) != list.end();
}

bool is_windowed(const Config& config, int block) { return config.window > 0 && contains(config.windowed, block); }
bool has_residual(const Config& config, int block) { return contains(config.residual, block); }

// --- windows ---

Windows windows(const MapSize& size, int side) {
    require(side > 0 && size.rows() > 0, "windows: side ", side, " on ", shape(size), ", both must be at least 1");
    const double padded = (static_cast<double>(size.height) + side) * (static_cast<double>(size.width) + side);
    require(padded * size.images <= std::numeric_limits<int>::max(), "windows: side ", side, " on ", shape(size),
            ", padded to whole windows more rows than a matrix has; take smaller windows");
    Windows result;
    result.padded_height = (size.height + side - 1) / side * side;
    result.padded_width = (size.width + side - 1) / side * side;
    result.inverse.resize(size.rows());
    for (int image = 0; image < size.images; ++image)
        for (int top = 0; top < result.padded_height; top += side)
            for (int left = 0; left < result.padded_width; left += side, ++result.count)
                for (int i = 0; i < side; ++i)
                    for (int j = 0; j < side; ++j) {
                        const int row = size.row_or_nothing(image, top + i, left + j);
                        if (row >= 0) result.inverse[row] = static_cast<int>(result.rows.size());
                        result.rows.push_back(row);
                    }
    return result;
}

Var partition(const Var& map, const Windows& windows, Where where) { return gather_side_by_side(map, windows.rows, 1, where); }

Var unpartition(const Var& inside, const Windows& windows, Where where) { return gather_rows(inside, windows.inverse, where); }

// --- relative positions ---

std::vector<int> offsets(int length) {
    require(length > 0, "offsets: an axis of ", length, " tokens, it must have at least 1");
    require(static_cast<double>(length) * length <= std::numeric_limits<int>::max(), "offsets: an axis of ", length,
            " tokens has more pairs than an int can count");
    std::vector<int> rows;
    rows.reserve(static_cast<std::size_t>(length) * length);
    for (int query = 0; query < length; ++query)
        for (int key = 0; key < length; ++key) rows.push_back(query - key + length - 1);
    return rows;
}

Var table_for(const Var& table, int length, Where where) {
    require(length > 0, where, "table_for: an axis of ", length, " tokens, it must have at least 1");
    const int wanted = 2 * length - 1;
    if (table.rows() == wanted) return table;
    return resize({table, {1, table.rows(), 1}}, wanted, 1, Interpolation::bilinear, where).pixels;  // (2 length - 1, d)
}

// (S*n, A*d) -> (S*A*n, d): the heads stacked vertically in each segment.
static Var heads_stacked(const Var& x, int n, int heads, Where where) {
    const int segments = x.rows() / n;
    std::vector<int> rows;
    rows.reserve(static_cast<std::size_t>(x.rows()) * heads);
    for (int s = 0; s < segments; ++s)
        for (int head = 0; head < heads; ++head)
            for (int t = 0; t < n; ++t) rows.push_back((s * n + t) * heads + head);
    return gather_rows(reshape(x, x.rows() * heads, x.cols() / heads, where), rows, where);
}

Var decomposed_bias(const Var& query, const Var& down, const Var& across, int a, int b, int heads, Where where) {
    const int n = a * b;
    require(a > 0 && b > 0 && query.rows() % n == 0, where, "decomposed_bias: queries ", query.value(), " are not maps of ", a,
            " x ", b);
    require(heads > 0 && query.cols() == heads * down.cols() && down.cols() == across.cols(), where, "decomposed_bias: tables ",
            down.value(), " and ", across.value(), " for queries ", query.value(), " of ", heads, " heads");
    require(down.rows() == 2 * a - 1 && across.rows() == 2 * b - 1, where, "decomposed_bias: tables ", down.value(), " and ",
            across.value(), " for a map of ", a, " x ", b, ", which has ", 2 * a - 1, " and ", 2 * b - 1, " offsets");
    const Var q = heads_stacked(query, n, heads, where);        // (S*A*n, d)
    const Var by_row = matmul_transposed(q, down, where);       // (S*A*n, 2a - 1)  of every query with every offset
    const Var by_column = matmul_transposed(q, across, where);  // (S*A*n, 2b - 1)
    std::vector<int> row_offsets, column_offsets;               // of every query and key, as indices of those numbers
    row_offsets.reserve(static_cast<std::size_t>(q.rows()) * n);
    column_offsets.reserve(static_cast<std::size_t>(q.rows()) * n);
    const std::vector<int> down_offsets = offsets(a), across_offsets = offsets(b);
    for (int line = 0; line < q.rows(); ++line) {
        const int i = line % n / b, j = line % b;
        for (int key_i = 0; key_i < a; ++key_i)
            for (int key_j = 0; key_j < b; ++key_j) {
                row_offsets.push_back(line * (2 * a - 1) + down_offsets[i * a + key_i]);
                column_offsets.push_back(line * (2 * b - 1) + across_offsets[j * b + key_j]);
            }
    }
    const Var of_rows = gather_rows(reshape(by_row, q.rows() * (2 * a - 1), 1, where), row_offsets, where);  // (S*A*n*n, 1)
    const Var of_columns =
        gather_rows(reshape(by_column, q.rows() * (2 * b - 1), 1, where), column_offsets, where);  // (S*A*n*n, 1)
    return reshape(add(of_rows, of_columns, where), q.rows(), n, where);                           // (S*A*n, n)
}

// --- blocks ---

// y = LN(conv(x)), activated or not
static Map convolution_and_norm(const Map& x, const Convolution& convolution, const Norm& norm, int side, float eps) {
    const Map y = convolve(x, convolution, {.side = side, .padding = Padding::all(side / 2)});
    return {layer_norm(y.pixels, norm, eps), y.size};
}

static Map activated(const Map& x) { return {activate(x.pixels, Activation::gelu), x.size}; }

// x + LN(1x1(gelu(LN(3x3(gelu(LN(1x1(x))))))))
static Var residual_convolutions(const Map& x, const ResidualConvolutions& w, float eps) {
    const Map narrow = activated(convolution_and_norm(x, w.convolutions[0], w.norms[0], 1, eps));       // (B*h*w, D/2)
    const Map spread = activated(convolution_and_norm(narrow, w.convolutions[1], w.norms[1], 3, eps));  // (B*h*w, D/2)
    const Map wide = convolution_and_norm(spread, w.convolutions[2], w.norms[2], 1, eps);               // (B*h*w, D)
    return add(x.pixels, wide.pixels);
}

// Attention inside every window, or on every whole map: `inside` (S*a*b, D).
static void attend_inside(BlockSteps& steps, const Attention& w, const Var& down, const Var& across, const Config& config, int a,
                          int b) {
    AttentionSteps& attention = steps.attention;
    attention.query = linear(steps.inside, w.query);  // (S*a*b, D)
    attention.key = linear(steps.inside, w.key);      // (S*a*b, D)
    attention.value = linear(steps.inside, w.value);  // (S*a*b, D)
    if (config.relative_positions) {
        steps.table_down = table_for(down, a);      // (2a - 1, d)
        steps.table_across = table_for(across, b);  // (2b - 1, d)
        // The query enters unscaled: only the dot products with the keys are divided by sqrt(d).
        steps.bias =
            decomposed_bias(attention.query, steps.table_down, steps.table_across, a, b, config.heads);  // (S*A*a*b, a*b)
    }
    const Attending how{.segments = Segments::equal(steps.inside.rows() / (a * b), a * b), .bias = steps.bias};
    const Attended attended = attend(attention.query, attention.key, attention.value, config.heads, how);
    attention.weights = attended.weights;                   // (S*A*a*b, a*b)
    attention.context = attended.context;                   // (S*a*b, D)
    attention.output = linear(attended.context, w.output);  // (S*a*b, D)
}

BlockSteps block(const Var& z, const Weights& w, const Config& config, int number, const MapSize& size) {
    require_depth("vitdet", config.depth, w.blocks);
    require(number >= 0 && number < config.depth, "vitdet: there is no block ", number, " among ", config.depth,
            ", counted from 0");
    const Block& own = w.blocks[number];
    const Var down = config.relative_positions ? w.tables_down[number] : Var();
    const Var across = config.relative_positions ? w.tables_across[number] : Var();
    BlockSteps steps;
    steps.norm1 = layer_norm(z, own.norm1, config.eps);  // (B*h*w, D)
    Var moved;                                           // (B*h*w, D)  what attention adds
    if (is_windowed(config, number)) {
        const int k = config.window;
        const Windows cut = windows(size, k);
        // Padding comes after the norm, so it is zero. It is not masked: its keys and values are the biases, and are attended to.
        steps.inside = partition(steps.norm1, cut);  // (S*k*k, D)
        attend_inside(steps, own.attention, down, across, config, k, k);
        moved = unpartition(steps.attention.output, cut);
    } else {
        steps.inside = steps.norm1;
        attend_inside(steps, own.attention, down, across, config, size.height, size.width);
        moved = steps.attention.output;
    }
    steps.after_attention = add(z, moved);  // (B*h*w, D)
    steps.norm2 = layer_norm(steps.after_attention, own.norm2, config.eps);
    steps.mlp = mlp(steps.norm2, own.mlp, Activation::gelu);
    steps.output = add(steps.after_attention, steps.mlp.output);  // (B*h*w, D)
    if (has_residual(config, number)) steps.output = residual_convolutions({steps.output, size}, w.residual[number], config.eps);
    return steps;
}

// --- the pyramid ---

// The map of one level before its two convolutions: enlarged, as it is, or shrunk.
static Map at_scale(const Map& last, const Level& w, float eps) {
    if (w.scale == 0.5) return max_pool(last, {.side = 2, .stride = 2});
    Map x = last;
    for (std::size_t k = 0; k < w.deconvolutions.size(); ++k) {
        if (k > 0) x.pixels = activate(layer_norm(x.pixels, w.norm, eps), Activation::gelu);
        x = convolve_transposed(x, w.deconvolutions[k], 2);  // twice as high and wide, half the channels
    }
    return x;
}

std::vector<Map> pyramid(const Map& last, const Weights& w, const Config& config) {
    const int count = config.pyramid_channels > 0 ? static_cast<int>(config.scales.size()) : 0;
    require_depth("vitdet: levels of the pyramid", count, w.levels.size());
    std::vector<Map> levels;
    for (const Level& level : w.levels) {
        const Map scaled = at_scale(last, level, config.eps);
        const Map lateral = convolution_and_norm(scaled, level.lateral, level.lateral_norm, 1, config.eps);  // (B*h'*w', C)
        levels.push_back(convolution_and_norm(lateral, level.smooth, level.smooth_norm, 3, config.eps));     // (B*h'*w', C)
    }
    if (config.top_level && !levels.empty()) levels.push_back(max_pool(levels.back(), {.side = 1, .stride = 2}));
    return levels;
}

// --- the whole ---

// The absolute positions fitted to a map of h x w tokens: (h*w, D).
static Var fitted_positions(const Weights& w, const Config& config, const MapSize& size) {
    const int s = config.position_side;
    const Var grid = config.class_position ? slice_rows(w.positions, 1, s * s) : w.positions;  // (s*s, D)
    if (s == size.height && s == size.width) return grid;
    return resize({grid, {1, s, s}}, size.height, size.width, Interpolation::bicubic).pixels;  // (h*w, D)
}

Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    require_depth("vitdet", config.depth, w.blocks);
    require(!images.empty(), "vitdet: there is no image; give at least one");
    const int P = config.patch_size;
    const Image& first = images[0];
    require(first.channels == config.channels && first.height % P == 0 && first.width % P == 0 && !first.pixels.empty(),
            "vitdet: an image of ", shape(first), ", this model reads ", config.channels, " channels and sides that ", P,
            " divides");
    Steps steps;
    steps.image = map_of(images);                                                            // (B*H*W, channels)
    steps.patch_embeddings = convolve(steps.image, w.projection, {.side = P, .stride = P});  // (B*h*w, D)
    const MapSize size = steps.patch_embeddings.size;
    Var z = steps.patch_embeddings.pixels;
    if (config.absolute_positions) {
        steps.positions = fitted_positions(w, config, size);  // (h*w, D)
        z = add_repeated(z, steps.positions);                 // (B*h*w, D)
    }
    for (int l = 0; l < config.depth; ++l) {
        BlockSteps computed = block(z, w, config, l, size);
        z = computed.output;
        if (steps_are_kept()) steps.blocks.push_back(std::move(computed));
    }
    steps.last = {z, size};
    steps.pyramid = pyramid(steps.last, w, config);
    return steps;
}

double attention_multiplications(const Config& config, int block, int height, int width) {
    require(block >= 0 && block < config.depth && height > 0 && width > 0, "vitdet: block ", block, " of ", config.depth,
            " on a map of ", height, " x ", width, "; blocks are counted from 0, sizes from 1");
    const int k = config.window;
    if (!is_windowed(config, block)) return 2.0 * height * width * height * width * config.width;
    const Windows cut = windows({1, height, width}, k);
    return 2.0 * cut.count * k * k * k * k * config.width;
}

// --- weights ---

int level_number(double scale, const Config& config) {
    const int stride = static_cast<int>(config.patch_size / scale);
    require(stride >= 1, "vitdet: a level of scale ", scale, " of patches of ", config.patch_size,
            " pixels has a stride below a pixel; take a smaller scale or larger patches");
    int number = 0;
    while (stride >> (number + 1)) ++number;
    return number;
}

void check(const Config& config) {
    require(config.patch_size > 0 && config.channels > 0 && config.table_height > 0 && config.table_width > 0 &&
                config.position_side > 0,
            "vitdet: patch side ", config.patch_size, ", ", config.channels, " channels, tables for ", config.table_height, " x ",
            config.table_width, " tokens, positions of side ", config.position_side, ": all must be at least 1");
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "vitdet: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.depth >= 0 && config.mlp_width > 0 && config.window >= 0 && config.pyramid_channels >= 0, "vitdet: depth ",
            config.depth, ", inner width ", config.mlp_width, ", window ", config.window, ", ", config.pyramid_channels,
            " channels of the pyramid: none may be negative, and the inner width not 0");
    require(config.window > 0 || config.windowed.empty(), "vitdet: ", config.windowed.size(),
            " blocks with windows of side 0; give the side, or no such block");
    require(std::max(config.table_height, config.table_width) <= 1 << 30 &&
                static_cast<double>(config.position_side) * config.position_side < std::numeric_limits<int>::max(),
            "vitdet: tables for ", config.table_height, " x ", config.table_width, " tokens and positions of side ",
            config.position_side, " have more rows than a matrix");
    require_eps("vitdet", config.eps);
    for (const int l : config.windowed)
        require(l >= 0 && l < config.depth, "vitdet: block ", l, " cannot be windowed, there are ", config.depth,
                " blocks, counted from 0");
    for (const int l : config.residual)
        require(l >= 0 && l < config.depth, "vitdet: block ", l, " cannot have convolutions, there are ", config.depth,
                " blocks, counted from 0");
    for (const double scale : config.scales)
        require(scale == 4 || scale == 2 || scale == 1 || scale == 0.5, "vitdet: a level of scale ", scale,
                ", the pyramid has 4, 2, 1 and 0.5");
}

static ResidualConvolutions make_residual(Random& random, int width, const Init& init) {
    ResidualConvolutions w;
    w.convolutions[0] = make_convolution_without_bias(random, 1, width, width / 2, init);
    w.convolutions[1] = make_convolution_without_bias(random, 3, width / 2, width / 2, init);
    w.convolutions[2] = make_convolution_without_bias(random, 1, width / 2, width, init);
    w.norms[0] = make_layer_norm(width / 2);
    w.norms[1] = make_layer_norm(width / 2);
    w.norms[2] = make_layer_norm(width);
    w.norms[2].gain = parameter(Matrix(1, width));  // 0: at first the convolutions add nothing
    return w;
}

static Level make_level(Random& random, double scale, const Config& config, const Init& init) {
    Level level;
    level.scale = scale;
    int channels = config.width;
    for (int doubling = scale == 4 ? 2 : scale == 2 ? 1 : 0; doubling > 0; --doubling) {
        const int to = config.width / (level.deconvolutions.empty() ? 2 : 4);
        level.deconvolutions.push_back(make_transposed_convolution(random, 2, channels, to, init));
        channels = to;
    }
    if (level.deconvolutions.size() == 2) level.norm = make_layer_norm(config.width / 2);
    level.lateral = make_convolution_without_bias(random, 1, channels, config.pyramid_channels, init);
    level.smooth = make_convolution_without_bias(random, 3, config.pyramid_channels, config.pyramid_channels, init);
    level.lateral_norm = make_layer_norm(config.pyramid_channels);
    level.smooth_norm = make_layer_norm(config.pyramid_channels);
    return level;
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width, d = D / config.heads;
    Weights w;
    w.projection = make_convolution(random, config.patch_size, config.channels, D, init);
    if (config.absolute_positions)
        w.positions = make_weight(random, config.position_side * config.position_side + config.class_position, D, init);
    const bool bias = config.query_key_value_bias;
    const BlockShape shape{.width = D, .mlp_width = config.mlp_width, .query_bias = bias, .key_bias = bias, .value_bias = bias};
    for (int l = 0; l < config.depth; ++l) {
        w.blocks.push_back(make_block(random, shape, init));
        const int a = is_windowed(config, l) ? config.window : config.table_height;
        const int b = is_windowed(config, l) ? config.window : config.table_width;
        if (config.relative_positions) {
            w.tables_down.push_back(parameter(Matrix(2 * a - 1, d)));
            w.tables_across.push_back(parameter(Matrix(2 * b - 1, d)));
        }
        w.residual.push_back(has_residual(config, l) ? make_residual(random, D, init) : ResidualConvolutions());
    }
    if (config.pyramid_channels > 0)
        for (const double scale : config.scales) w.levels.push_back(make_level(random, scale, config, init));
    return w;
}

// A convolution and its norm as detectron2 calls them: name.weight, name.norm.weight, name.norm.bias.
static void add_with_norm(Parameters& table, const std::string& name, const Convolution& convolution, int side,
                          const Norm& norm) {
    add_parameters(table, name, convolution, side);
    add_parameters(table, name + ".norm", norm);
}

// The layers of a level are numbered; those without numbers of their own (GELU, pooling) count too.
static void add_level(Parameters& table, const std::string& name, const Level& level) {
    int next = level.scale == 0.5 ? 1 : 0;
    for (std::size_t k = 0; k < level.deconvolutions.size(); ++k) {
        if (k > 0) {
            add_parameters(table, name + ".1", level.norm);
            next = 3;
        }
        add_parameters(table, name + "." + std::to_string(next++), level.deconvolutions[k], 2);
    }
    add_with_norm(table, name + "." + std::to_string(next), level.lateral, 1, level.lateral_norm);
    add_with_norm(table, name + "." + std::to_string(next + 1), level.smooth, 3, level.smooth_norm);
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table;
    const std::string net = "backbone.net.";
    if (w.positions) table.push_back({net + "pos_embed", {1, w.positions.rows(), config.width}, Stored::as_it_is, {w.positions}});
    add_parameters(table, net + "patch_embed.proj", w.projection, config.patch_size);
    add_parameters(table, net + "blocks.", w.blocks, timm_names);
    for (int l = 0; l < config.depth; ++l) {
        const std::string block = net + "blocks." + std::to_string(l) + ".";
        if (config.relative_positions) {
            for (const auto& [name, rows] :
                 {std::pair{"rel_pos_h", w.tables_down[l]}, std::pair{"rel_pos_w", w.tables_across[l]}})
                table.push_back({block + "attn." + name, {rows.rows(), rows.cols()}, Stored::as_it_is, {rows}});
        }
        if (!has_residual(config, l)) continue;
        for (int k = 0; k < 3; ++k) {
            const std::string number = std::to_string(k + 1);
            add_parameters(table, block + "residual.conv" + number, w.residual[l].convolutions[k], k == 1 ? 3 : 1);
            add_parameters(table, block + "residual.norm" + number, w.residual[l].norms[k]);
        }
    }
    for (const Level& level : w.levels)
        add_level(table, "backbone.simfp_" + std::to_string(level_number(level.scale, config)), level);
    return table;
}

// --- the configuration of a checkpoint ---

static const std::string net = "backbone.net.";
static const Setting windowed_blocks{"the blocks with window attention", {"window_block_indexes"}};

// With relative positions the shapes determine the number of heads: a table is as wide as one head.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::heads, &config.heads, config.relative_positions ? From::shapes : From::file},
            {{"the side of a window, in tokens; 0 without windows", {"window_size"}}, &config.window, From::file},
            {{"whether the pyramid has one more level", {"top_level"}}, &config.top_level},
            {settings::eps, &config.eps}};
}

// "0,2" or [0, 2]; "" and [] are an empty list.
static std::vector<int> list_of(const ModelConfig& model_config, const Setting& setting) {
    const std::string words = model_config.string(setting);
    return words.empty() || words == "[]" ? std::vector<int>() : model_config.integers(setting);
}

static std::string list_text(const std::vector<int>& numbers) {
    std::string words;
    for (const int number : numbers) words += (words.empty() ? "" : ",") + std::to_string(number);
    return words;
}

static void read_blocks(const Safetensors& checkpoint, Config& config) {
    const std::string projection = net + "patch_embed.proj.weight", first = net + "blocks.0.";
    config.width = size_of(checkpoint, projection, 0);
    config.channels = size_of(checkpoint, projection, 1);
    config.patch_size = size_of(checkpoint, projection, 2);
    config.depth = count_blocks(checkpoint, net + "blocks.", ".mlp.fc1.weight");
    config.mlp_width = size_of(checkpoint, first + "mlp.fc1.weight", 0);
    config.query_key_value_bias = checkpoint.has(first + "attn.qkv.bias");
    config.relative_positions = checkpoint.has(first + "attn.rel_pos_h");
    if (config.relative_positions) config.heads = config.width / std::max(1, size_of(checkpoint, first + "attn.rel_pos_h", 1));
    config.residual.clear();
    for (int l = 0; l < config.depth; ++l)
        if (checkpoint.has(net + "blocks." + std::to_string(l) + ".residual.conv1.weight")) config.residual.push_back(l);
}

// A table of s*s positions, or of one more for a class token.
static void read_positions(const Safetensors& checkpoint, Config& config) {
    config.absolute_positions = checkpoint.has(net + "pos_embed");
    if (!config.absolute_positions) return;
    const int rows = size_of(checkpoint, net + "pos_embed", 1);
    config.position_side = static_cast<int>(std::sqrt(static_cast<double>(rows)));
    const int square = config.position_side * config.position_side;
    config.class_position = rows == square + 1;
    require(rows == square || rows == square + 1, checkpoint.path, ": ", rows,
            " absolute positions are neither a square nor one more than a square");
}

// The tables of a global block have 2 h - 1 and 2 w - 1 rows.
static void read_table_sizes(const Safetensors& checkpoint, Config& config) {
    if (!config.relative_positions) return;
    for (int l = 0; l < config.depth; ++l) {
        if (is_windowed(config, l)) continue;
        const std::string table = net + "blocks." + std::to_string(l) + ".attn.rel_pos_";
        config.table_height = (size_of(checkpoint, table + "h", 0) + 1) / 2;
        config.table_width = (size_of(checkpoint, table + "w", 0) + 1) / 2;
    }
}

// The names determine the levels and the layers of each; the last layer is the 3 x 3 convolution.
static void read_pyramid(const Safetensors& checkpoint, Config& config) {
    config.scales.clear();
    config.pyramid_channels = 0;
    for (const double scale : {4.0, 2.0, 1.0, 0.5}) {
        if (config.patch_size / scale < 1) continue;  // no such level
        const std::string level = "backbone.simfp_" + std::to_string(level_number(scale, config)) + ".";
        for (int layer = 0; layer < 6; ++layer) {
            const std::string norm = level + std::to_string(layer) + ".norm.weight";
            if (!checkpoint.has(norm)) continue;
            config.pyramid_channels = size_of(checkpoint, norm, 0);
            if (config.scales.empty() || config.scales.back() != scale) config.scales.push_back(scale);
        }
    }
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_blocks(checkpoint, config);
    read_positions(checkpoint, config);
    read_pyramid(checkpoint, config);
    const ModelConfig model_config(checkpoint, given);
    read_members(model_config, members_of(config));
    config.windowed = config.window > 0 ? list_of(model_config, windowed_blocks) : std::vector<int>();
    read_table_sizes(checkpoint, config);
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("vitdet", members_of(copy));
    if (config.window > 0) all[windowed_blocks.keys[0]] = list_text(config.windowed);
    return all;
}

}  // namespace vitdet
