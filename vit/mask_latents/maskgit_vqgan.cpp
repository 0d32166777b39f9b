#include "vit/mask_latents/maskgit_vqgan.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/maps/pool.h"
#include "nn/maps/resize.h"
#include "nn/training/loss.h"

namespace maskgit_vqgan {

// --- the parts ---

// A convolution that keeps the size, or with stride 2 halves it.
static Map convolve_same(const Map& x, const Convolution& w, int side, int stride = 1) {
    return convolve(x, w, {.side = side, .stride = stride, .padding = same_padding(x.size, side, stride)});
}

static Map norm_and_activate(const Map& x, const Norm& w, const Config& config) {
    const Map normed = group_norm(x, w, config.groups, config.eps);
    return {activate(normed.pixels, config.activation), normed.size};
}

Map res_block(const Map& x, const ResBlock& w, const Config& config) {
    const Map hidden = convolve_same(norm_and_activate(x, w.norm1, config), w.conv1, 3);  // (n, out)
    const Map y = convolve_same(norm_and_activate(hidden, w.norm2, config), w.conv2, 3);  // (n, out)
    const Map residual = w.shortcut.weight ? convolve_same(y, w.shortcut, 1) : x;         // (n, out)
    return {add(y.pixels, residual.pixels), y.size};
}

namespace {

// Goes through a half: hands out its convolutions and blocks one after the other, and keeps what they compute.
struct Walk {
    const Half& half;
    const Config& config;
    HalfSteps* steps;
    std::size_t convolutions = 0, blocks = 0;  // used so far

    Map convolution(const Map& x, int side, int stride = 1) {
        const Map y = convolve_same(x, half.convolutions[convolutions++], side, stride);
        if (steps != nullptr) steps->convolutions.push_back(y);
        return y;
    }
    Map block(const Map& x) {
        const Map y = res_block(x, half.blocks[blocks++], config);
        if (steps != nullptr) steps->blocks.push_back(y);
        return y;
    }
};

}  // namespace

static int levels(const Config& config) { return static_cast<int>(config.multipliers.size()); }

static void check(const Config& config);  // with the weights, below

static void require_half(const Half& half, const std::string& which, int convolutions, const Config& config) {
    require_depth("maskgit_vqgan: convolutions of the " + which, convolutions, half.convolutions.size());
    require_depth("maskgit_vqgan: blocks of the " + which, config.res_blocks * (levels(config) + 1), half.blocks.size());
}

static void require_encoder(const Half& half, const Config& config) {
    check(config);
    require_half(half, "encoder", 2 + (config.strided_downsampling ? levels(config) - 1 : 0), config);
}

static void require_decoder(const Half& half, const Config& config) {
    check(config);
    require_half(half, "decoder", 2 + levels(config) - 1, config);
}

// --- from pixels to vectors, and back ---

Map encode(const Map& images, const Weights& w, const Config& config, HalfSteps* steps) {
    require_encoder(w.encoder, config);
    Walk walk{.half = w.encoder, .config = config, .steps = steps};
    Map x = walk.convolution(images, 3);
    for (int level = 0; level < levels(config); ++level) {
        for (int i = 0; i < config.res_blocks; ++i) x = walk.block(x);
        const bool last = level == levels(config) - 1;
        if (!last && config.strided_downsampling)
            x = walk.convolution(x, 4, 2);
        else if (!last)
            x = mean_pool(x, {.side = 2, .stride = 2, .padding = same_padding(x.size, 2, 2)});
    }
    for (int i = 0; i < config.res_blocks; ++i) x = walk.block(x);
    return walk.convolution(norm_and_activate(x, w.encoder.norm, config), 1);  // (B*h*w, E)
}

Map decode(const Map& codes, const Weights& w, const Config& config, HalfSteps* steps) {
    require_decoder(w.decoder, config);
    Walk walk{.half = w.decoder, .config = config, .steps = steps};
    Map x = walk.convolution(codes, 3);
    for (int i = 0; i < config.res_blocks; ++i) x = walk.block(x);
    for (int level = levels(config) - 1; level >= 0; --level) {
        for (int i = 0; i < config.res_blocks; ++i) x = walk.block(x);
        if (level == 0) continue;
        const Map larger = resize(x, 2 * x.size.height, 2 * x.size.width, Interpolation::nearest);
        x = walk.convolution(larger, 3);
    }
    return walk.convolution(norm_and_activate(x, w.decoder.norm, config), 3);  // (B*H*W, channels)
}

Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    const Map pixels = map_of(images);  // (B*H*W, channels)
    require(pixels.channels() == config.channels, "maskgit_vqgan: images of ", pixels.channels(), " channels, this model reads ",
            config.channels);
    Steps steps;
    steps.raw = encode(pixels, w, config, &steps.encoder);     // (B*h*w, E)
    steps.quantized = quantize(steps.raw.pixels, w.codebook);  // ids (B*h*w)
    steps.reconstruction = decode({steps.quantized.output, steps.raw.size}, w, config, &steps.decoder);
    return steps;
}

Map paint(const std::vector<int>& ids, const MapSize& size, const Weights& w, const Config& config) {
    check(config);
    require(size.rows() > 0 && static_cast<int>(ids.size()) == size.rows(), "maskgit_vqgan: ", ids.size(), " tokens for ",
            shape(size), ", each pixel of the code needs one");
    return decode({gather_rows(w.codebook, ids), size}, w, config);
}

// --- losses ---

Var entropy_loss(const Var& distances, const Config& config) {
    check(config);
    const Var affinity = scale(distances, -1 / config.entropy_temperature);  // (n, K)
    const Var p = softmax_rows(affinity);                                    // (n, K)
    const Var log_p = log_softmax_rows(affinity);                            // (n, K)
    Var target = p;                                                          // (n, K)
    if (config.entropy_target == EntropyTarget::argmax) {
        Matrix nearest(p.rows(), p.cols());
        for (int i = 0; i < p.rows(); ++i) nearest(i, argmax_row(affinity.value(), i)) = 1;
        target = straight_through(nearest, p);
    }
    const float n = static_cast<float>(p.rows());
    const Var of_each = scale(sum(multiply(target, log_p)), -1 / n);                   // (1, 1)  low: the code is certain
    const Var average = matmul(Matrix(1, p.rows(), 1 / n), target);                    // (1, K)
    const Var of_all = scale(sum(multiply(average, log(shift(average, 1e-5f)))), -1);  // (1, 1)  high: all codes are used
    return scale(subtract(of_each, of_all), config.entropy_ratio);                     // (1, 1)
}

Losses losses(const Steps& steps, const std::vector<Image>& images, const Config& config) {
    const Var& raw = steps.raw.pixels;
    Losses parts;
    parts.commitment = scale(commitment_loss(raw, steps.quantized), config.commitment);
    parts.codebook = codebook_loss(raw, steps.quantized);
    parts.entropy = config.entropy_ratio == 0 ? Var(Matrix(1, 1)) : entropy_loss(steps.quantized.distances, config);
    parts.quantizer = add(add(parts.commitment, parts.codebook), parts.entropy);
    parts.reconstruction = mean_squared_error(steps.reconstruction.pixels, map_of(images).pixels);
    parts.total = add(parts.reconstruction, parts.quantizer);
    return parts;
}

// --- weights ---

static void check(const Config& config) {
    require(!config.multipliers.empty() && config.channels > 0 && config.filters > 0 && config.res_blocks >= 0 &&
                config.code_width > 0 && config.codes > 0,
            "maskgit_vqgan: ", config.multipliers.size(), " levels, ", config.channels, " channels, ", config.filters,
            " filters, ", config.res_blocks, " blocks, ", config.codes, " codes of width ", config.code_width,
            ": sizes must be positive");
    for (const int multiplier : config.multipliers)
        require(multiplier > 0 && config.groups > 0 && config.filters * multiplier % config.groups == 0,
                "maskgit_vqgan: ", config.filters * multiplier, " channels do not split into ", config.groups, " groups");
    require_eps("maskgit_vqgan", config.eps);
    require(config.entropy_temperature > 0 && std::isfinite(config.entropy_temperature), "maskgit_vqgan: a temperature of ",
            config.entropy_temperature, " of the entropy, it must be finite and above 0");
    for (const float weight : {config.commitment, config.entropy_ratio})
        require(weight >= 0 && std::isfinite(weight), "maskgit_vqgan: a loss times ", weight,
                ", the factors must be finite and at least 0");
}

static ResBlock make_res_block(int in, int out, Random& random, const Init& init) {
    ResBlock w;
    w.norm1 = make_layer_norm(in);
    w.conv1 = make_convolution_without_bias(random, 3, in, out, init);
    w.norm2 = make_layer_norm(out);
    w.conv2 = make_convolution_without_bias(random, 3, out, out, init);
    if (in != out) w.shortcut = make_convolution_without_bias(random, 1, out, out, init);
    return w;
}

// Adds `count` blocks that lead from `channels` to `out`.
static void add_blocks(Half& half, int count, int& channels, int out, Random& random, const Init& init) {
    for (int i = 0; i < count; ++i) {
        half.blocks.push_back(make_res_block(channels, out, random, init));
        channels = out;
    }
}

static Half make_encoder(const Config& config, Random& random, const Init& init) {
    Half half;
    int channels = config.filters;
    half.convolutions.push_back(make_convolution_without_bias(random, 3, config.channels, channels, init));
    for (int level = 0; level < levels(config); ++level) {
        const int out = config.filters * config.multipliers[level];
        add_blocks(half, config.res_blocks, channels, out, random, init);
        if (level == levels(config) - 1 || !config.strided_downsampling) continue;
        half.convolutions.push_back(make_convolution(random, 4, channels, out, init));
        channels = out;
    }
    add_blocks(half, config.res_blocks, channels, config.filters * config.multipliers.back(), random, init);
    half.norm = make_layer_norm(channels);
    half.convolutions.push_back(make_convolution(random, 1, channels, config.code_width, init));
    return half;
}

static Half make_decoder(const Config& config, Random& random, const Init& init) {
    Half half;
    int channels = config.filters * config.multipliers.back();
    half.convolutions.push_back(make_convolution(random, 3, config.code_width, channels, init));
    add_blocks(half, config.res_blocks, channels, channels, random, init);
    for (int level = levels(config) - 1; level >= 0; --level) {
        const int out = config.filters * config.multipliers[level];
        add_blocks(half, config.res_blocks, channels, out, random, init);
        if (level == 0) continue;
        half.convolutions.push_back(make_convolution(random, 3, channels, out, init));
        channels = out;
    }
    half.norm = make_layer_norm(channels);
    half.convolutions.push_back(make_convolution(random, 3, channels, config.channels, init));
    return half;
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    Weights w;
    w.encoder = make_encoder(config, random, init);
    const float bound = std::sqrt(3.0f / static_cast<float>(config.codes));  // uniform in +-bound has variance bound^2 / 3
    w.codebook = parameter(uniform_matrix(random, config.codes, config.code_width, -bound, bound));
    w.decoder = make_decoder(config, random, init);
    return w;
}

// --- names ---

static void add_convolution(Parameters& table, const std::string& name, const Convolution& w, int side) {
    const long out = w.weight.cols(), in = w.weight.rows() / (side * side);
    table.push_back({name + "/kernel", {side, side, in, out}, Stored::as_it_is, {w.weight}});
    if (w.bias) table.push_back({name + "/bias", {out}, Stored::as_it_is, {w.bias}});
}

static void add_group_norm(Parameters& table, const std::string& name, const Norm& w) {
    table.push_back({name + "/scale", {w.gain.cols()}, Stored::as_it_is, {w.gain}});
    table.push_back({name + "/bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}

// last_side, middle_side: of the kernels of the last convolution and of those between it and the first
static void add_half(Parameters& table, const std::string& prefix, const Half& half, int middle_side, int last_side) {
    const std::size_t last = half.convolutions.size() - 1;
    for (std::size_t k = 0; k <= last; ++k)
        add_convolution(table, prefix + "Conv_" + std::to_string(k), half.convolutions[k],
                        k == 0      ? 3
                        : k == last ? last_side
                                    : middle_side);
    for (std::size_t k = 0; k < half.blocks.size(); ++k) {
        const std::string name = prefix + "ResBlock_" + std::to_string(k) + "/";
        const ResBlock& block = half.blocks[k];
        add_group_norm(table, name + "GroupNorm_0", block.norm1);
        add_convolution(table, name + "Conv_0", block.conv1, 3);
        add_group_norm(table, name + "GroupNorm_1", block.norm2);
        add_convolution(table, name + "Conv_1", block.conv2, 3);
        if (block.shortcut.weight) add_convolution(table, name + "Conv_2", block.shortcut, 1);
    }
    add_group_norm(table, prefix + "GroupNorm_0", half.norm);
}

Parameters parameters(const Weights& w, const Config& config) {
    require_encoder(w.encoder, config);
    require_decoder(w.decoder, config);
    Parameters table;
    add_half(table, "params/encoder/", w.encoder, 4, 1);
    table.push_back({"params/quantizer/codebook", {config.codes, config.code_width}, Stored::as_it_is, {w.codebook}});
    add_half(table, "params/decoder/", w.decoder, 3, 3);
    return table;
}

}  // namespace maskgit_vqgan
