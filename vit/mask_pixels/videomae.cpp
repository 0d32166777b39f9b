#include "vit/mask_pixels/videomae.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"
#include "nn/layers/position.h"
#include "nn/training/loss.h"
#include "vit/mask_pixels/masking.h"

namespace videomae {

static int counted(double number, const char* what) {
    require(number <= std::numeric_limits<int>::max(), "videomae: ", number, " ", what, " are more than an int can count");
    return static_cast<int>(number);
}

int time_slots(const Config& config) {
    require(config.tubelet > 0 && config.frames > 0 && config.frames % config.tubelet == 0, "videomae: cubes of ", config.tubelet,
            " frames do not divide a clip of ", config.frames);
    return config.frames / config.tubelet;
}

int token_count(const Config& config) {
    check(config.grid, "videomae");
    return counted(static_cast<double>(time_slots(config)) * config.grid.count(), "cubes of a clip");
}

int cube_numbers(const Config& config) {
    check(config.grid, "videomae");
    time_slots(config);  // checks the cubes
    return counted(static_cast<double>(config.tubelet) * config.grid.numbers(), "numbers of a cube");
}

int masked_positions(const Config& config) {
    check(config.grid, "videomae");
    require(config.mask_ratio >= 0 && config.mask_ratio <= 1, "videomae: a mask ratio of ", config.mask_ratio,
            " is not a fraction from 0 to 1");
    return static_cast<int>(config.mask_ratio * config.grid.count());
}

static int mlp_width(const Config& config, int width) { return static_cast<int>(width * config.mlp_ratio); }

// --- cubes of a clip ---

Matrix cubes_of(const Clip& clip, const Config& config, int number) {
    const PatchGrid& grid = config.grid;
    const int t = config.tubelet;
    require(static_cast<int>(clip.size()) == config.frames, "videomae: clip ", number, " has ", static_cast<int>(clip.size()),
            " frames, this model reads ", config.frames);
    std::vector<Var> slots;
    for (int first = 0; first < config.frames; first += t) {
        std::vector<Var> frames;
        for (int k = first; k < first + t; ++k) {
            const Image& frame = clip[k];
            require(frame.height == grid.height && frame.width == grid.width && frame.channels == grid.channels,
                    "videomae: frame ", k, " of clip ", number, " is ", shape(frame), ", this model reads ", grid.height, " x ",
                    grid.width, " x ", grid.channels);
            frames.push_back(patchify(frame, grid.patch_size));  // (n, P*P*C)
        }
        slots.push_back(concat_cols(frames));  // (n, F)
    }
    return concat_rows(slots).value();  // (N, F)
}

Clip clip_of(const Matrix& cubes, const Config& config) {
    const PatchGrid& grid = config.grid;
    const int n = grid.count(), numbers = grid.numbers();
    require(cubes.rows == token_count(config) && cubes.cols == cube_numbers(config), "videomae: cubes ", cubes, " for a clip of ",
            token_count(config), " cubes of ", cube_numbers(config), " numbers");
    Clip clip;
    for (int k = 0; k < config.frames; ++k) {
        const Matrix slot = slice_rows(cubes, k / config.tubelet * n, n);                // (n, F)
        const Matrix patches = slice_cols(slot, k % config.tubelet * numbers, numbers);  // (n, P*P*C)
        clip.push_back(unpatchify(patches, grid.patch_size, grid.height, grid.width, grid.channels));
    }
    return clip;
}

static Matrix cubes_of_all(const std::vector<Clip>& clips, const Config& config) {
    std::vector<Var> all;
    for (const Clip& clip : clips) all.push_back(cubes_of(clip, config, static_cast<int>(all.size())));
    return concat_rows(all).value();
}

// --- tubes ---

Matrix tube_masking(const std::vector<int>& permutations, const Config& config) {
    const int n = config.grid.count(), S = time_slots(config);
    const std::vector<int> inverse = inverse_permutations(permutations, n);  // entry k: the position of number k in a permutation
    const Matrix of_slot = make_mask(inverse, n, n - masked_positions(config), n);  // (B, n)
    std::vector<Var> slots(S, Var(of_slot));
    return concat_cols(slots).value();  // (B, N)
}

// How many tokens of each clip are masked: M.
static int masked_count(const Matrix& mask) {
    int M = -1;
    for (int b = 0; b < mask.rows; ++b) {
        const int masked = static_cast<int>(std::count(mask.row(b), mask.row(b) + mask.cols, 1.0f));
        require(M < 0 || masked == M, "videomae: clip ", b, " has ", masked, " masked cubes and clip 0 ", M,
                "; all clips must have the same number");
        M = masked;
    }
    require(M > 0 && M < mask.cols, "videomae: ", M, " masked cubes of ", mask.cols, "; some must be visible, and some not");
    return M;
}

// --- the encoder sees what is left ---

static void encode(Steps& steps, const Weights& w, const Config& config) {
    const vit::Weights& v = w.encoder;
    const int B = steps.mask.rows;
    const std::vector<int> visible = visible_rows(steps.mask);
    const BlockOptions options{.heads = config.heads, .eps = config.eps};
    steps.cube_embeddings = linear(steps.cubes, v.projection);            // (B*N, D)
    const Var placed = add_repeated(steps.cube_embeddings, v.positions);  // (B*N, D)
    steps.encoder_input = gather_rows(placed, visible);                   // (B*K, D)
    const Segments clips = Segments::equal(B, static_cast<int>(visible.size()) / B);
    const InStack in_stack("encoder");
    steps.encoder = stack(steps.encoder_input, v.blocks, options, {.self = {.segments = clips}});
    steps.encoder_norm = layer_norm(steps.encoder.output, v.norm, config.eps);  // (B*K, D)
}

// --- the decoder predicts what is masked ---

// The tokens of each clip in the decoder's order, as rows of a matrix with N rows for each clip: the visible ones first.
static std::vector<int> decoder_order(const Matrix& mask) {
    std::vector<int> rows;
    for (int b = 0; b < mask.rows; ++b)
        for (const float mark : {0.0f, 1.0f})
            for (int i = 0; i < mask.cols; ++i)
                if (mask(b, i) == mark) rows.push_back(b * mask.cols + i);
    return rows;
}

// For each row of the decoder's input its row in [visible tokens of all clips; mask token].
static std::vector<int> rows_to_decode(int clips, int K, int M) {
    const int mask_token = clips * K;
    std::vector<int> rows;
    for (int b = 0; b < clips; ++b) {
        for (int j = 0; j < K; ++j) rows.push_back(b * K + j);
        rows.insert(rows.end(), M, mask_token);
    }
    return rows;
}

// Rows K ... N - 1 of each clip.
static std::vector<int> last_rows(int clips, int K, int M) {
    std::vector<int> rows;
    for (int b = 0; b < clips; ++b)
        for (int j = K; j < K + M; ++j) rows.push_back(b * (K + M) + j);
    return rows;
}

static void decode(Steps& steps, const Weights& w, const Config& config) {
    const int B = steps.mask.rows, N = steps.mask.cols, M = masked_count(steps.mask), K = N - M;
    const BlockOptions options{.heads = config.decoder_heads, .eps = config.eps};
    steps.encoder_to_decoder = linear(steps.encoder_norm, w.encoder_to_decoder);        // (B*K, E)
    const Var with_mask_token = concat_rows({steps.encoder_to_decoder, w.mask_token});  // (B*K+1, E)
    const Var tokens = gather_rows(with_mask_token, rows_to_decode(B, K, M));           // (B*N, E)
    // Nothing is put back in the order of the clip: the positions carry it.
    const Var positions = concat_rows(std::vector<Var>(B, w.decoder_positions));           // (B*N, E)
    steps.decoder_input = add(tokens, gather_rows(positions, decoder_order(steps.mask)));  // (B*N, E)
    const InStack in_stack("decoder");
    steps.decoder = stack(steps.decoder_input, w.decoder_blocks, options, {.self = {.segments = Segments::equal(B, N)}});
    const Var of_masked = gather_rows(steps.decoder.output, last_rows(B, K, M));  // (B*M, E)
    steps.decoder_norm = layer_norm(of_masked, w.decoder_norm, config.eps);       // (B*M, E)
    steps.prediction = linear(steps.decoder_norm, w.head);                        // (B*M, F)
}

static void check(const Config& config);  // with the weights, below

Steps forward(const std::vector<Clip>& clips, const Matrix& mask, const Weights& w, const Config& config) {
    check(config);
    require_depth("videomae", config.depth, w.encoder.blocks);
    require_depth("videomae: decoder", config.decoder_depth, w.decoder_blocks);
    require(!clips.empty() && mask.rows == static_cast<int>(clips.size()) && mask.cols == token_count(config),
            "videomae: a mask ", mask, " for ", static_cast<int>(clips.size()), " clips of ", token_count(config),
            " cubes; each clip needs a row, each cube a number");
    masked_count(mask);
    Steps steps;
    steps.mask = mask;
    steps.cubes = cubes_of_all(clips, config);  // (B*N, F)
    encode(steps, w, config);
    decode(steps, w, config);
    return steps;
}

// --- the target ---

Clip undo_normalisation(const Clip& clip, const Config& config) {
    Clip pixels = clip;
    if (config.channel_mean.empty()) return pixels;
    for (Image& frame : pixels) {
        const int C = frame.channels;
        require(C == static_cast<int>(config.channel_mean.size()), "videomae: a clip of ", C, " channels, there are ",
                static_cast<int>(config.channel_mean.size()), " means of channels");
        for (std::size_t k = 0; k < frame.pixels.size(); ++k)
            frame.pixels[k] = frame.pixels[k] * config.channel_std[k % C] + config.channel_mean[k % C];
    }
    return pixels;
}

Matrix normalise_cubes(const Matrix& cubes, int channels) {
    require(channels > 0 && cubes.cols % channels == 0 && cubes.cols / channels > 1, "normalise_cubes: cubes of ", cubes.cols,
            " numbers of ", channels, " channels have no variance");
    const int count = cubes.cols / channels;  // of one channel: t*P*P
    Matrix normalised = Matrix::unset(cubes.rows, cubes.cols);
    for (int n = 0; n < cubes.rows; ++n)
        for (int c = 0; c < channels; ++c) {
            double mean = 0, squares = 0;
            for (int k = c; k < cubes.cols; k += channels) mean += static_cast<double>(cubes(n, k)) / count;
            for (int k = c; k < cubes.cols; k += channels) squares += (cubes(n, k) - mean) * (cubes(n, k) - mean);
            const double deviation = std::sqrt(squares / (count - 1)) + 1e-6;
            for (int k = c; k < cubes.cols; k += channels)
                normalised(n, k) = static_cast<float>((cubes(n, k) - mean) / deviation);
        }
    return normalised;
}

Matrix targets(const std::vector<Clip>& clips, const Config& config) {
    std::vector<Clip> pixels;
    for (const Clip& clip : clips) pixels.push_back(undo_normalisation(clip, config));
    const Matrix cubes = cubes_of_all(pixels, config);  // (B*N, F)
    return config.normalise_targets ? normalise_cubes(cubes, config.grid.channels) : cubes;
}

Var loss(const Steps& steps, const Matrix& targets) {
    return mean_squared_error(steps.prediction, gather_rows(targets, masked_rows(steps.mask)));
}

Matrix completed(const Steps& steps, const Matrix& targets) {
    Matrix cubes = targets;
    const std::vector<int> masked = masked_rows(steps.mask);
    const Matrix& predicted = steps.prediction.value();
    for (std::size_t i = 0; i < masked.size(); ++i) {
        const float* const row = predicted.row(static_cast<int>(i));
        std::copy(row, row + predicted.cols, cubes.row(masked[i]));
    }
    return cubes;
}

// --- weights ---

static void check(const Config& config) {
    vit::check({.grid = config.grid,
                .width = config.width,
                .depth = config.depth,
                .heads = config.heads,
                .mlp_width = mlp_width(config, config.width),
                .classes = 0,
                .eps = config.eps},
               "videomae");
    token_count(config);   // checks the cubes and their number
    cube_numbers(config);  // and their size
    require(config.width % 2 == 0 && config.decoder_width % 2 == 0, "videomae: widths of ", config.width, " and ",
            config.decoder_width, " must be even for the positions");
    require(config.decoder_heads > 0 && config.decoder_width > 0 && config.decoder_width % config.decoder_heads == 0,
            "videomae: ", config.decoder_heads, " heads do not divide a decoder width of ", config.decoder_width);
    require(config.decoder_depth >= 0 && mlp_width(config, config.decoder_width) > 0, "videomae: a decoder of ",
            config.decoder_depth, " blocks with MLPs of ratio ", config.mlp_ratio,
            "; the depth may not be negative, the ratio must be positive");
    require(masked_positions(config) > 0 && masked_positions(config) < config.grid.count(), "videomae: a mask ratio of ",
            config.mask_ratio, " masks ", masked_positions(config), " of ", config.grid.count(), " positions");
    require(config.channel_mean.size() == config.channel_std.size() &&
                (config.channel_mean.empty() || static_cast<int>(config.channel_mean.size()) == config.grid.channels),
            "videomae: ", static_cast<int>(config.channel_mean.size()), " means and ",
            static_cast<int>(config.channel_std.size()), " standard deviations for ", config.grid.channels, " channels");
    for (const float deviation : config.channel_std)
        require(deviation > 0, "videomae: a standard deviation of ", deviation, " of a channel, it must be above 0");
}

static std::vector<Block> make_blocks(Random& random, int width, int depth, const Config& config, const Init& init) {
    const BlockShape shape{.width = width,
                           .mlp_width = mlp_width(config, width),
                           .query_bias = config.query_value_bias,
                           .key_bias = false,
                           .value_bias = config.query_value_bias,
                           .layer_scale = config.layer_scale};
    std::vector<Block> blocks;
    for (int l = 0; l < depth; ++l) blocks.push_back(make_block(random, shape, init));
    return blocks;
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width, E = config.decoder_width, N = token_count(config), F = cube_numbers(config);
    const Init xavier{.draw = Draw::xavier_uniform};
    Weights w;
    w.encoder.projection = make_linear(random, F, D, xavier);
    w.encoder.positions = sine_cosine_positions(N, D);  // a constant: no gradient flows into it
    w.encoder.blocks = make_blocks(random, D, config.depth, config, xavier);
    w.encoder.norm = make_layer_norm(D);
    w.encoder_to_decoder = make_linear_without_bias(random, D, E, xavier);
    w.mask_token = make_weight(random, 1, E);
    w.decoder_positions = sine_cosine_positions(N, E);
    w.decoder_blocks = make_blocks(random, E, config.decoder_depth, config, xavier);
    w.decoder_norm = make_layer_norm(E);
    w.head = make_linear(random, E, F, xavier);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, E = config.decoder_width, P = config.grid.patch_size, C = config.grid.channels,
               t = config.tubelet;
    Parameters table;
    table.push_back({"mask_token", {1, 1, E}, Stored::as_it_is, {w.mask_token}});
    table.push_back({"encoder.patch_embed.proj.weight", {D, C, t, P, P}, Stored::patches, {w.encoder.projection.weight}});
    table.push_back({"encoder.patch_embed.proj.bias", {D}, Stored::as_it_is, {w.encoder.projection.bias}});
    add_parameters(table, "encoder.blocks.", w.encoder.blocks, timm_names);
    add_parameters(table, "encoder.norm", w.encoder.norm);
    add_parameters(table, "encoder_to_decoder", w.encoder_to_decoder);
    add_parameters(table, "decoder.blocks.", w.decoder_blocks, timm_names);
    add_parameters(table, "decoder.norm", w.decoder_norm);
    add_parameters(table, "decoder.head", w.head);
    return table;
}

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::patch_size, &config.grid.patch_size, From::shapes},
            {{"the frames of a cube", {"tubelet_size"}}, &config.tubelet, From::shapes},
            {{"the decoder's width", {"decoder_hidden_size", "decoder_embed_dim"}}, &config.decoder_width, From::shapes},
            {{"the number of the decoder's blocks", {"decoder_num_hidden_layers", "decoder_depth"}},
             &config.decoder_depth,
             From::shapes},
            {{"the number of frames", {"num_frames"}}, &config.frames, From::file},
            {settings::heads, &config.heads, From::file},
            {{"the number of the decoder's heads", {"decoder_num_attention_heads", "decoder_num_heads"}},
             &config.decoder_heads,
             From::file},
            {{"the fraction of masked cubes", {"mask_ratio"}}, &config.mask_ratio},
            {{"whether targets are normalised", {"norm_pix_loss", "normlize_target"}}, &config.normalise_targets},
            {{"the mean of each channel", {"image_mean"}}, &config.channel_mean},
            {{"the standard deviation of each channel", {"image_std"}}, &config.channel_std},
            {settings::eps, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string projection = "encoder.patch_embed.proj.weight";
    Config config;
    config.width = size_of(checkpoint, projection, 0);
    config.grid.channels = size_of(checkpoint, projection, 1);
    config.tubelet = size_of(checkpoint, projection, 2);
    config.grid.patch_size = size_of(checkpoint, projection, 3);
    config.depth = count_blocks(checkpoint, "encoder.blocks.", ".norm1.weight");
    config.decoder_width = size_of(checkpoint, "encoder_to_decoder.weight", 0);
    config.decoder_depth = count_blocks(checkpoint, "decoder.blocks.", ".norm1.weight");
    config.mlp_ratio = ratio_of(size_of(checkpoint, "encoder.blocks.0.mlp.fc1.weight", 0), config.width);
    config.query_value_bias = checkpoint.has("encoder.blocks.0.attn.q_bias");
    if (checkpoint.has("encoder.blocks.0.gamma_1")) config.layer_scale = 1.0f;  // where they began is past
    const ModelConfig model_config(checkpoint, given);
    vit::set_image_size(config.grid, model_config, checkpoint.path);  // positions are computed, so no tensor shape gives it
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    std::map<std::string, std::string> all = metadata_of("videomae", members_of(copy));
    all["image_size"] = vit::image_size_text(config.grid);
    return all;
}

}  // namespace videomae
