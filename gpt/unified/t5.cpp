#include "gpt/unified/t5.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/layers/relative_position.h"
#include "nn/training/loss.h"

namespace t5 {

// --- positions ---

int relative_bucket(int offset, bool both_ways, int buckets, int max_distance) {
    require(buckets >= 4 && max_distance > buckets / 2, "relative_bucket: ", buckets, " buckets up to distance ", max_distance,
            "; there must be at least 4, and half of them fewer than the distance");
    const int n = both_ways ? buckets / 2 : buckets;  // buckets of one direction
    const int base = both_ways && offset > 0 ? n : 0;
    require(offset > std::numeric_limits<int>::min(), "relative_bucket: an offset of ", offset, " has no distance as an int");
    const int distance = both_ways ? std::abs(offset) : std::max(-offset, 0);
    const int exact = n / 2;  // distances below it have a bucket each
    if (distance < exact) return base + distance;
    // From `exact` to M the logarithm of the distance is cut into n - exact equal parts.
    const double part = std::log(static_cast<double>(distance) / exact) / std::log(static_cast<double>(max_distance) / exact);
    return base + std::min(n - 1, exact + static_cast<int>(part * (n - exact)));
}

std::vector<int> relative_buckets(int queries, int keys, bool both_ways, const Config& config) {
    std::vector<int> buckets;
    require(queries >= 1 && queries <= keys, "t5: ", queries, " queries are the last of ", keys,
            " keys; there must be 1 to that many");
    require(long{queries} * keys <= std::numeric_limits<int>::max(), "t5: ", queries, " queries and ", keys,
            " keys have more pairs than the 2147483647 rows of a matrix");
    for (int i = keys - queries; i < keys; ++i)
        for (int j = 0; j < keys; ++j) buckets.push_back(relative_bucket(j - i, both_ways, config.buckets, config.max_distance));
    return buckets;
}

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.encoder_depth >= 0 && config.decoder_depth >= 0 &&
                config.mlp_width > 0,
            "t5: ", config.vocabulary, " tokens, width ", config.width, ", depths ", config.encoder_depth, " and ",
            config.decoder_depth, ", inner width ", config.mlp_width, ": sizes must be positive");
    require(config.heads > 0 && config.head_width > 0, "t5: ", config.heads, " heads of width ", config.head_width,
            ": both must be positive");
    require(config.buckets >= 4 && config.max_distance > config.buckets / 2, "t5: ", config.buckets, " buckets up to distance ",
            config.max_distance, ": there must be at least 4, and half of them fewer than the distance");
    for (const int token : {config.padding_token, config.end_token, config.start_token})
        require(token >= 0 && token < config.vocabulary, "t5: special token ", token, " is not one of ", config.vocabulary,
                " tokens");
    require_eps("t5", config.eps);
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation, .norm = NormKind::rms};
}

// q k^T + bias: nothing is divided by sqrt(K).
static Attending unscaled(Attending how, const Var& bias = {}) {
    how.bias = bias;
    how.scale = 1;
    return how;
}

EncoderSteps encode(const Var& embeddings, const TokenBatch& source, const Weights& w, const Config& config) {
    require_texts("t5", source);
    check(config);
    require_depth("t5: encoder", config.encoder_depth, w.encoder);
    require_shape("t5: encoder", "table of distances", w.encoder_distances, config.buckets, config.heads);
    const InStack in_stack("encoder");
    EncoderSteps steps;
    steps.embeddings = named_step("embeddings", embeddings);                        // (B*S, E)
    steps.buckets = relative_buckets(source.length, source.length, true, config);   // (S*S)
    steps.bias = bias_of_pairs(w.encoder_distances, steps.buckets, source.length);  // (H*S, S)
    const BlockContext context{.self = unscaled(attending(source, false), steps.bias)};
    steps.blocks = stack(steps.embeddings, w.encoder, options_of(config), context);  // (B*S, E)
    steps.output = rms_norm(steps.blocks.output, w.encoder_norm, config.eps);        // (B*S, E)
    return steps;
}

// `self` and its cache differ from block to block when a text is generated; bias and source are the same for all.
static DecoderSteps read_target(const TokenBatch& target, int keys, std::vector<BlockContext> contexts, const Var& encoded,
                                const TokenBatch& source, const Weights& w, const Config& config) {
    check(config);
    require_depth("t5: decoder", config.decoder_depth, w.decoder);
    const InStack in_stack("decoder");
    DecoderSteps steps;
    steps.embeddings = named_step("token_embeddings", embed(w.token_embedding, target.ids));  // (B*T, E)
    steps.buckets = relative_buckets(target.length, keys, false, config);                     // (T*keys)
    require_shape("t5: decoder", "table of distances", w.decoder_distances, config.buckets, config.heads);
    steps.bias = bias_of_pairs(w.decoder_distances, steps.buckets, keys);  // (H*T, keys)
    const Attending cross = unscaled(attending_to(source, target.length));
    for (BlockContext& context : contexts) {
        KeyValueCache* const kept = context.cross.cache;
        context.self = unscaled(context.self, steps.bias);
        context.source = encoded;
        context.cross = cross;
        context.cross.cache = kept;
    }
    steps.blocks = stack(steps.embeddings, w.decoder, options_of(config), contexts);  // (B*T, E)
    steps.hidden = rms_norm(steps.blocks.output, w.decoder_norm, config.eps);         // (B*T, E)
    return steps;
}

DecoderSteps decode(const TokenBatch& target, const Var& encoded, const TokenBatch& source, const Weights& w,
                    const Config& config) {
    require_texts("t5", target);
    require_texts("t5", source);
    require(target.sequences == source.sequences, "t5: ", target.sequences, " targets for ", source.sequences,
            " sources, each needs one");
    require(encoded.rows() == source.sequences * source.length, "t5: an encoded source ", encoded.value(), " for ",
            source.sequences, " sources of ", source.length, " tokens, each token needs a row");
    const std::vector<BlockContext> contexts{{.self = attending(target, true)}};
    DecoderSteps steps = read_target(target, target.length, contexts, encoded, source, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Steps forward(const TokenBatch& source, const TokenBatch& target, const Weights& w, const Config& config) {
    require_fits("t5", source);
    Steps steps;
    steps.encoder = encode(embed(w.token_embedding, source.ids), source, w, config);
    steps.decoder = decode(target, steps.encoder.output, source, w, config);
    return steps;
}

// A token embedding whose entries have standard deviation 1 would give logits of standard deviation sqrt(E); the factor takes that back.
Var logits_of(const Var& hidden, const Weights& w, const Config& config) {
    const Var scaled = config.tied ? scale(hidden, 1 / std::sqrt(static_cast<float>(config.width))) : hidden;
    return matmul_transposed(scaled, w.output);  // (B*T, V)
}

TokenBatch shifted_right(const std::vector<int>& labels, int length, const Config& config) {
    TokenBatch target = equal_batch(labels, length);
    for (int b = 0; b < target.sequences; ++b) {
        target.ids[b * length] = config.start_token;
        for (int t = 1; t < length; ++t) {
            const int label = labels[b * length + t - 1];
            target.ids[b * length + t] = label == ignored_label ? config.padding_token : label;
        }
    }
    return target;
}

Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.decoder.logits, labels); }

// --- writing ---

Reader::Reader(const TokenBatch& source, const Weights& w, const Config& c, int capacity) : Reader(source, {}, w, c, capacity) {}

Reader::Reader(const TokenBatch& source, const Var& encoded, const Weights& w, const Config& c, int capacity)
    : weights(w),
      config(c),
      source(source),
      encoded(encoded),
      memory(make_memory(c.decoder_depth, source.sequences, capacity, c.heads * c.head_width, true)) {
    const NoTape no_tape;
    if (encoded)
        require(encoded.rows() == source.sequences * source.length, "t5: an encoded source ", encoded.value(), " for ",
                source.sequences, " sources of ", source.length, " tokens, each token needs a row");
    if (!encoded) this->encoded = encode(embed(w.token_embedding, source.ids), source, w, c).output;
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    const Reading reading = read_next(memory, next, "t5");
    const Var hidden = read_target(next, memory.seen.length, reading.contexts, encoded, source, weights, config).hidden;
    return logits_of(last_rows(hidden, next), weights, config).value();  // (B, V)
}

void Reader::select(const std::vector<int>& chosen) {
    const NoTape no_tape;
    memory = select_sequences(memory, chosen);
    std::vector<int> rows;
    for (const int b : chosen)
        for (int t = 0; t < source.length; ++t) rows.push_back(b * source.length + t);
    encoded = gather_rows(encoded, rows);
    source = select_sequences(source, chosen);
}

// The decoder reads the start token and all new tokens but the last.
static int tokens_read(const Limits& limits) { return std::max(1, limits.new_tokens); }

std::vector<std::vector<int>> generate(const TokenBatch& source, const Weights& w, const Config& config, const Limits& limits,
                                       const Sampling& sampling, const Matrix& draws) {
    Reader reader(source, w, config, tokens_read(limits));
    const TokenBatch starts = equal_batch(std::vector<int>(source.sequences, config.start_token), 1);
    return ::generate(starts, reader, limits, sampling, draws);
}

std::vector<Beam> beam_search(const std::vector<int>& source, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha) {
    Reader reader(make_batch({source}), w, config, tokens_read(limits));
    return ::beam_search({config.start_token}, width, reader, limits, alpha);
}

// --- pre-training ---

int sentinel(int k, int vocabulary) {
    require(k >= 0 && k < vocabulary, "sentinel: number ", k, " in a vocabulary of ", vocabulary, ", counted from 0");
    return vocabulary - 1 - k;
}

Corrupted corrupt(const std::vector<int>& ids, const std::vector<char>& is_masked, int first_sentinel, int end_token) {
    require(ids.size() == is_masked.size(), "corrupt: ", ids.size(), " tokens, but ", is_masked.size(),
            " entries say which are masked; each token needs one");
    Corrupted corrupted;
    int next_sentinel = first_sentinel;
    for (std::size_t t = 0; t < ids.size(); ++t) {
        if (!is_masked[t]) {
            corrupted.input.push_back(ids[t]);
            continue;
        }
        const bool span_begins = t == 0 || !is_masked[t - 1];
        if (span_begins) {
            corrupted.input.push_back(next_sentinel);
            corrupted.target.push_back(next_sentinel--);
        }
        corrupted.target.push_back(ids[t]);
    }
    require(next_sentinel >= 0, "corrupt: the masked spans need ", first_sentinel - next_sentinel + 1, " sentinels, from ",
            first_sentinel, " downwards there are fewer ids; mask fewer spans");
    corrupted.target.push_back(next_sentinel);
    corrupted.input.push_back(end_token);
    corrupted.target.push_back(end_token);
    return corrupted;
}

// `total` as a sum of `parts` positive integers, in random order: all such sums are equally likely.
static std::vector<int> random_parts(int total, int parts, Random& random) {
    std::vector<int> cuts = permutation(random, total - 1);  // a cut after token 1, 2, ...
    cuts.resize(parts - 1);
    std::sort(cuts.begin(), cuts.end());
    cuts.push_back(total - 1);
    std::vector<int> lengths;
    int before = 0;
    for (const int cut : cuts) {
        lengths.push_back(cut + 1 - before);
        before = cut + 1;
    }
    return lengths;
}

std::vector<char> random_spans(int length, int masked, int spans, Random& random) {
    require(spans >= 1 && spans <= masked && spans <= length - masked, "random_spans: ", spans, " spans of ", masked,
            " masked tokens together in a text of ", length, ": every span needs a token, and a visible one before it");
    const std::vector<int> masked_lengths = random_parts(masked, spans, random);
    const std::vector<int> visible_lengths = random_parts(length - masked, spans, random);
    std::vector<char> is_masked;
    for (int s = 0; s < spans; ++s) {
        is_masked.insert(is_masked.end(), visible_lengths[s], 0);
        is_masked.insert(is_masked.end(), masked_lengths[s], 1);
    }
    return is_masked;
}

// --- weights ---

static Linear normal_linear(Random& random, int in, int out, double stddev) {
    return make_linear_without_bias(random, in, out, {.draw = Draw::normal, .stddev = static_cast<float>(stddev)});
}

static Attention fresh_attention(Random& random, const Config& config, double factor) {
    const int E = config.width, K = config.head_width, HK = config.heads * K;
    return {.query = normal_linear(random, E, HK, factor / std::sqrt(static_cast<double>(E) * K)),
            .key = normal_linear(random, E, HK, factor / std::sqrt(E)),
            .value = normal_linear(random, E, HK, factor / std::sqrt(E)),
            .output = normal_linear(random, HK, E, factor / std::sqrt(HK))};
}

static Block fresh_block(Random& random, const Config& config, bool of_decoder, double factor) {
    const int E = config.width, F = config.mlp_width;
    Block w;
    w.norm1 = make_rms_norm(E);
    w.attention = fresh_attention(random, config, factor);
    if (of_decoder) {
        w.norm_cross = make_rms_norm(E);
        w.cross = fresh_attention(random, config, factor);
    }
    w.norm2 = make_rms_norm(E);
    if (config.gated) w.mlp.gate = normal_linear(random, E, F, factor / std::sqrt(E));
    w.mlp.expand = normal_linear(random, E, F, factor / std::sqrt(E));
    w.mlp.contract = normal_linear(random, F, E, factor / std::sqrt(F));
    return w;
}

static Var fresh_table(Random& random, int rows, int cols, double stddev) {
    return make_embedding(random, rows, cols, {.draw = Draw::normal, .stddev = static_cast<float>(stddev)});
}

// The published standard deviations, all of them times `factor`.
static Weights fresh_weights(const Config& config, Random& random, double output_stddev, double factor) {
    check(config);
    const double of_distances = factor / std::sqrt(config.width);
    Weights w;
    w.token_embedding = fresh_table(random, config.vocabulary, config.width, factor);
    w.encoder_distances = fresh_table(random, config.buckets, config.heads, of_distances);
    for (int l = 0; l < config.encoder_depth; ++l) w.encoder.push_back(fresh_block(random, config, false, factor));
    w.encoder_norm = make_rms_norm(config.width);
    w.decoder_distances = fresh_table(random, config.buckets, config.heads, of_distances);
    for (int l = 0; l < config.decoder_depth; ++l) w.decoder.push_back(fresh_block(random, config, true, factor));
    w.decoder_norm = make_rms_norm(config.width);
    w.output = config.tied ? w.token_embedding : fresh_table(random, config.vocabulary, config.width, factor * output_stddev);
    return w;
}

Weights make_weights(const Config& config, Random& random, float output_stddev) {
    return fresh_weights(config, random, output_stddev, 1);
}

Weights empty_weights(const Config& config) {
    Random not_used;
    return fresh_weights(config, not_used, 0, 0);
}

Parameters parameters(const Weights& w, const Config& config, const std::string& prefix) {
    const long V = config.vocabulary, E = config.width, N = config.buckets, H = config.heads;
    const std::string distances = ".block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    Parameters table;
    table.push_back({prefix + "shared.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({prefix + "encoder" + distances, {N, H}, Stored::as_it_is, {w.encoder_distances}});
    add_parameters(table, prefix + "encoder.block.", w.encoder, t5_encoder_names);
    add_parameters(table, prefix + "encoder.final_layer_norm", w.encoder_norm);
    table.push_back({prefix + "decoder" + distances, {N, H}, Stored::as_it_is, {w.decoder_distances}});
    add_parameters(table, prefix + "decoder.block.", w.decoder, t5_decoder_names);
    add_parameters(table, prefix + "decoder.final_layer_norm", w.decoder_norm);
    if (!config.tied) table.push_back({prefix + "lm_head.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

LoadRules load_rules(const Config& config) {
    LoadRules rules{
        .other_names = {{"shared.weight", "encoder.embed_tokens.weight"}, {"shared.weight", "decoder.embed_tokens.weight"}},
        .ignored_endings = {"EncDecAttention.relative_attention_bias.weight"}};
    if (config.tied) rules.other_names.push_back({"shared.weight", "lm_head.weight"});
    return rules;
}

// The configurations call the activation "relu", or "gated-gelu" where there is a gate, and mean GELU's tanh form there.
static Activation activation_of(const ModelConfig& model_config, const std::string& path, bool gated) {
    const Setting setting{"the activation of the MLP", {"feed_forward_proj"}};
    const std::string name = gated ? model_config.string(setting) : model_config.string(setting, "relu");
    require(name.starts_with("gated-") == gated, path, ": feed_forward_proj is ", name, ", but the tensors have ",
            gated ? "a gate" : "no gate");
    if (name == "gated-gelu") return Activation::gelu_tanh;
    return activation_of_name(gated ? name.substr(6) : name);
}

Config sizes_of(const Safetensors& checkpoint, const std::string& prefix) {
    const std::string stored = name_in_file(checkpoint, prefix + "shared.weight", load_rules({}));
    const std::string words = stored.empty() ? prefix + "shared.weight" : stored;
    const auto depth_of = [&](const std::string& stack) {
        return count_blocks(checkpoint, prefix + stack + ".block.", ".layer.0.SelfAttention.q.weight");
    };
    const std::string block = prefix + "encoder.block.0.layer.", first = block + "0.SelfAttention.",
                      mlp = block + "1.DenseReluDense.", output = prefix + "lm_head.weight";
    Config config;
    config.vocabulary = checkpoint.dimension(words, 0);
    config.width = checkpoint.dimension(words, 1);
    config.encoder_depth = depth_of("encoder");
    config.decoder_depth = depth_of("decoder");
    config.buckets = checkpoint.dimension(first + "relative_attention_bias.weight", 0);
    config.heads = checkpoint.dimension(first + "relative_attention_bias.weight", 1);
    config.head_width = checkpoint.dimension(first + "q.weight", 0) / std::max(1, config.heads);
    config.gated = checkpoint.has(mlp + "wi_0.weight");
    config.mlp_width = checkpoint.dimension(mlp + (config.gated ? "wi_0.weight" : "wi.weight"), 0);
    config.tied = !checkpoint.has(output) || identical(checkpoint.matrix(output), checkpoint.matrix(words));
    return config;
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config = sizes_of(checkpoint);
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::heads, config.heads);
    model_config.require_agrees(settings::mlp_width, config.mlp_width);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    model_config.require_agrees({"the width of a head", {"d_kv"}}, config.head_width);
    model_config.require_agrees({"the blocks of the encoder", {"num_layers"}}, config.encoder_depth);
    model_config.require_agrees({"the blocks of the decoder", {"num_decoder_layers"}}, config.decoder_depth);
    model_config.require_agrees({"the buckets of distances", {"relative_attention_num_buckets"}}, config.buckets);
    const bool holds_copy = config.tied && checkpoint.has("lm_head.weight");
    if (!holds_copy) model_config.require_tied(config.tied);  // a copy suits either word
    config.activation = activation_of(model_config, checkpoint.path, config.gated);
    config.max_distance =
        model_config.integer({"the distance from which on all share a bucket", {"relative_attention_max_distance"}}, 128);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-6));
    config.padding_token = model_config.integer({"the padding token", {"pad_token_id"}}, 0);
    const Setting end{"the end token", {"eos_token_id"}};
    if (model_config.has(end)) config.end_token = model_config.integers(end).front();  // 1, or [1]
    config.start_token = model_config.integer({"the token that the decoder starts with", {"decoder_start_token_id"}}, 0);
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    const bool tanh_of_gate = config.gated && config.activation == Activation::gelu_tanh;
    const std::string activation = tanh_of_gate ? "gelu" : name_of_activation(config.activation);
    return {{"format", "pt"},
            {"model_type", "t5"},
            {"feed_forward_proj", (config.gated ? "gated-" : "") + activation},
            {"relative_attention_max_distance", std::to_string(config.max_distance)},
            {"layer_norm_epsilon", setting_text(config.eps)},
            {"pad_token_id", std::to_string(config.padding_token)},
            {"eos_token_id", std::to_string(config.end_token)},
            {"decoder_start_token_id", std::to_string(config.start_token)}};
}

// --- for nn/interpret ---

Inside encoder_inside(const Weights& w, const Config& config) {
    return {.stack = "encoder", .blocks = w.encoder, .options = options_of(config)};
}

Inside decoder_inside(const Weights& w, const Config& config) {
    const float factor = config.tied ? 1 / std::sqrt(static_cast<float>(config.width)) : 1;
    const Linear to_words{.weight = scale(transpose(w.output), factor), .bias = {}};  // (E, V)
    const HeadLayer last{.normed = true, .norm = w.decoder_norm, .kind = NormKind::rms, .eps = config.eps, .linear = to_words};
    return {.stack = "decoder", .blocks = w.decoder, .options = options_of(config), .head = {last}};
}

}  // namespace t5
