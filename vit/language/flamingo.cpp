#include "vit/language/flamingo.h"

#include <algorithm>
#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace flamingo {

static void check(const Config& config);  // with the weights, below

// The weights hold as many layers as the configuration says.
static void check(const Weights& w, const Config& config) {
    check(config);
    require_depth("flamingo: resampler", config.resampler.depth, w.resampler.layers.size());
    require_depth("flamingo: language model", config.language.depth, w.language.blocks);
    require_depth("flamingo: new layers", config.language.depth / config.every, w.gated.size());
}

// --- which image each token attends to ---

Matrix visible_images(const TokenBatch& texts, int T, const Config& config, int columns) {
    require_fits("flamingo", texts);
    require(T > 0 && columns >= 0 && columns <= texts.length, "flamingo: the last ", columns, " of ", texts.length,
            " tokens and ", T, " images; there must be 0 (all) to that many, and an image");
    const int L = texts.length, n = columns > 0 ? columns : L;
    Matrix sees(texts.sequences * n, T);
    for (int b = 0; b < texts.sequences; ++b) {
        int before = 0;  // image tokens up to this token, itself included
        for (int t = 0; t < L; ++t) {
            before += texts.is_token(b, t) && texts.ids[b * L + t] == config.image_token;
            if (t < L - n) continue;
            for (int image = 1; image <= std::min(before, T); ++image)
                sees(b * n + t - (L - n), image - 1) = !config.only_last_image || image == before;
        }
        require(before <= T, "flamingo: text ", b, " has ", before, " image tokens, there are ", T, " images for each text");
    }
    return sees;
}

// The same for the R latents of every image: (n, T) -> (n, T*R).
static MayAttend may_attend_to_latents(const Matrix& sees, int R) {
    MayAttend may{.queries = sees.rows, .keys = sees.cols * R, .table = {}};
    for (int i = 0; i < sees.rows; ++i)
        for (int image = 0; image < sees.cols; ++image) may.table.insert(may.table.end(), R, sees(i, image) == 1);
    return may;
}

// --- the new layers ---

// z + tanh(gate) y
static Var through_gate(const Var& z, const Var& y, const Var& gate) { return add(z, multiply(y, tanh(gate))); }

static GatedSteps gated_layer(const Var& z, const Var& media, const GatedLayer& w, const Attending& how, const Config& config) {
    GatedSteps steps;
    steps.norm = layer_norm(z, w.block.norm_cross, config.eps);  // (B*L, E)
    {
        const InCrossAttention in_cross_attention;
        steps.attention = attention({steps.norm, media}, w.block.cross, config.heads, how);  // (B*L, E)
    }
    steps.after_attention = through_gate(z, steps.attention.output, w.attention_gate);  // (B*L, E)
    steps.mlp = mlp(layer_norm(steps.after_attention, w.block.norm2, config.eps), w.block.mlp, Activation::gelu);
    steps.output = through_gate(steps.after_attention, steps.mlp.output, w.mlp_gate);  // (B*L, E)
    return steps;
}

// --- the language model, block by block ---

// Whether a new layer precedes block l.
static bool is_gated(int l, const Config& config) { return (l + 1) % config.every == 0; }

// Everything from embeddings to the last norm.
//   selves   the context of each block of the language model, one for all or one for each
//   crosses  the context of each gated layer, likewise
static Steps read(const Var& embeddings, const Var& media, const std::vector<BlockContext>& selves,
                  const std::vector<Attending>& crosses, const Weights& w, const Config& config) {
    const gpt::Config& language = config.language;
    const BlockOptions options{
        .heads = language.heads, .eps = language.eps, .activation = language.activation, .order = language.order};
    Steps steps;
    steps.embeddings = embeddings;
    Var z = embeddings;  // (B*L, E)
    for (int l = 0; l < language.depth; ++l) {
        const InBlock in_block(l);
        if (is_gated(l, config)) {
            const InStack in_stack("gated");
            const int k = (l + 1) / config.every - 1;
            const GatedSteps gated = gated_layer(z, media, w.gated[k], crosses[crosses.size() == 1 ? 0 : k], config);
            z = gated.output;
            if (steps_are_kept()) steps.gated.push_back(gated);
        }
        const BlockSteps frozen = block(z, w.language.blocks[l], options, selves[selves.size() == 1 ? 0 : l]);
        z = frozen.output;
        if (steps_are_kept()) steps.blocks.push_back(frozen);
    }
    steps.hidden = language.order == Order::post ? z : layer_norm(z, w.language.norm, language.eps);  // (B*L, E)
    return steps;
}

static ResamplerSteps look(const Var& vision_features, int B, int T, const Weights& w, const Config& config) {
    require(T > 0 && vision_features.cols() == config.resampler.width && vision_features.rows() % (B * T) == 0,
            "flamingo: image features of shape ", vision_features.value(), " for ", B, " texts with ", T, " images each, ",
            config.resampler.width, " wide; each image needs the same number of them, and each text an image");
    const InStack in_stack("resampler");
    return resample(vision_features, B * T, w.resampler, config.resampler.heads, config.eps);
}

Steps forward(const TokenBatch& texts, const Var& vision_features, int T, const Weights& w, const Config& config) {
    check(w, config);
    require_texts("flamingo", texts);
    const int B = texts.sequences, L = texts.length, R = config.resampler.latents;
    require(L <= config.language.positions, "flamingo: a text of ", L, " tokens, the language model has ",
            config.language.positions, " positions; cut the text");
    const ResamplerSteps resampler = look(vision_features, B, T, w, config);  // (B*T*R, Dv)
    const Matrix sees = visible_images(texts, T, config);                     // (B*L, T)
    const Attending cross{
        .segments = Segments::equal(B, L), .key_segments = Segments::equal(B, T * R), .may = may_attend_to_latents(sees, R)};
    const Var tokens = named_step("token_embeddings", embed(w.language.token_embedding, texts.ids));  // (B*L, E)
    const Var embeddings = add(tokens, gather_rows(w.language.positions, positions(texts)));          // (B*L, E)
    Steps steps = read(embeddings, resampler.latents, {{.self = attending(texts, true)}}, {cross}, w, config);
    steps.resampler = resampler;
    steps.sees = sees;
    steps.logits = matmul_transposed(steps.hidden, w.language.output);  // (B*L, V)
    return steps;
}

std::vector<int> labels_of(const TokenBatch& texts, const Config& config) {
    std::vector<int> labels = next_tokens(texts);
    std::replace(labels.begin(), labels.end(), config.image_token, ignored_label);
    return labels;
}

Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

// --- writing ---

Reader::Reader(const Var& vision_features, int sequences, int T, const Weights& w, const Config& c, int capacity)
    : weights(w), config(c), images(T) {
    check(w, c);
    require(capacity <= c.language.positions, "flamingo: ", capacity, " tokens to read, the language model has ",
            c.language.positions, " positions; ask for fewer");
    require(sequences > 0, "flamingo: ", sequences, " texts to read, there must be at least 1");
    const NoTape no_tape;
    media = look(vision_features, sequences, T, w, c).latents;
    memory = make_memory(c.language.depth, sequences, capacity, c.language.width);
    sources.assign(w.gated.size(), make_source_cache());
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    const int B = next.sequences, n = next.length, R = config.resampler.latents;
    const Reading reading = read_next(memory, next, "flamingo");
    const MayAttend may = may_attend_to_latents(visible_images(memory.seen, images, config, n), R);
    std::vector<Attending> crosses;
    for (KeyValueCache& source : sources)
        crosses.push_back(
            {.segments = Segments::equal(B, n), .key_segments = Segments::equal(B, images * R), .may = may, .cache = &source});
    const Var tokens = embed(weights.language.token_embedding, next.ids);                            // (B*n, E)
    const Var embeddings = add(tokens, gather_rows(weights.language.positions, reading.positions));  // (B*n, E)
    const Var hidden = flamingo::read(embeddings, media, reading.contexts, crosses, weights, config).hidden;
    return matmul_transposed(last_rows(hidden, next), weights.language.output).value();  // (B, V)
}

void Reader::select(const std::vector<int>& chosen) {
    memory = select_sequences(memory, chosen);
    for (KeyValueCache& source : sources) source = select_sequences(source, chosen);
}

// --- weights ---

static void check(const Config& config) {
    const ResamplerShape& of = config.resampler;
    require(
        of.latents > 0 && of.width > 0 && of.depth > 0 && of.heads > 0 && of.head_width > 0 && of.mlp_width > 0 && of.frames > 0,
        "flamingo: a resampler of ", of.latents, " latents, width ", of.width, ", depth ", of.depth, ", ", of.heads, " heads of ",
        of.head_width, ", inner width ", of.mlp_width, ", ", of.frames, " frames: sizes must be positive");
    require(config.heads > 0 && config.head_width > 0 && config.mlp_width > 0, "flamingo: ", config.heads, " heads of ",
            config.head_width, " and inner width ", config.mlp_width, ": sizes must be positive");
    require(long{config.heads} * config.head_width <= std::numeric_limits<int>::max(), "flamingo: ", config.heads,
            " heads of width ", config.head_width, " are wider than the 2147483647 columns of a matrix");
    require(config.image_token >= 0 && config.image_token < config.language.vocabulary, "flamingo: images are marked by token ",
            config.image_token, ", the language model knows ", config.language.vocabulary, ", counted from 0");
    require(config.every > 0 && config.every <= std::max(1, config.language.depth), "flamingo: a new layer before every ",
            config.every, "th of ", config.language.depth, " blocks; it must be 1 to that many");
    require_eps("flamingo", config.eps);
    require_eps("flamingo: language model", config.language.eps);
}

Weights make_weights(const Config& config, const gpt::Weights& language, Random& random, const Init& init) {
    check(config);
    const int E = config.language.width;
    const BlockShape shape{.width = E,
                           .mlp_width = config.mlp_width,
                           .query_width = config.heads * config.head_width,
                           .query_bias = false,
                           .key_bias = false,
                           .value_bias = false,
                           .bias = false};
    Weights w;
    w.language = language;
    w.resampler = make_resampler(random, config.resampler, init);
    for (int l = 0; l < config.language.depth; ++l) {
        if (!is_gated(l, config)) continue;
        Block block;
        block.norm_cross = make_layer_norm(E);
        block.cross = make_attention(random, shape, config.resampler.width, init);
        block.norm2 = make_layer_norm(E);
        block.mlp = make_mlp(random, shape, init);
        w.gated.push_back({.block = block, .attention_gate = parameter(Matrix(1, 1)), .mlp_gate = parameter(Matrix(1, 1))});
    }
    return w;
}

void freeze_language_model(const Weights& w, const Config& config) {
    for (const Var& weight : variables(gpt::parameters(w.language, config.language))) {
        weight->requires_gradient = false;
        weight->gradient = {};
    }
}

Parameters trained_parameters(const Weights& w, const Config& config) {
    Parameters table;
    add_parameters(table, "perceiver.", w.resampler);
    for (int l = 0; l < config.language.depth; ++l) {
        if (!is_gated(l, config)) continue;
        const GatedLayer& gated = w.gated[(l + 1) / config.every - 1];
        const std::string name = "lang_encoder.transformer.h." + std::to_string(l) + ".gated_cross_attn_layer.";
        table.push_back({name + "attn_gate", {1}, Stored::as_it_is, {gated.attention_gate}});
        table.push_back({name + "ff_gate", {1}, Stored::as_it_is, {gated.mlp_gate}});
        add_parameters(table, name, gated.block, flamingo_names);
    }
    return table;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.language.vocabulary, E = config.language.width;
    const std::string language = "lang_encoder.transformer.";
    Parameters table = trained_parameters(w, config);
    table.push_back({language + "wte.weight", {V, E}, Stored::as_it_is, {w.language.token_embedding}});
    table.push_back({language + "wpe.weight", {config.language.positions, E}, Stored::as_it_is, {w.language.positions}});
    add_parameters(table, language + "h.", w.language.blocks, gpt2_names, 0, ".decoder_layer.");
    if (config.language.order == Order::pre) add_parameters(table, language + "ln_f", w.language.norm);
    if (!config.language.tied) table.push_back({"lang_encoder.lm_head.weight", {V, E}, Stored::as_it_is, {w.language.output}});
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine: first of the language model, under GPT-2's own names.
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    gpt::Config& language = config.language;
    return {{settings::width, &language.width, From::shapes},
            {settings::depth, &language.depth, From::shapes},
            {settings::heads, &language.heads, From::file},
            {settings::activation, &language.activation, From::file},
            {settings::eps, &language.eps},
            {{"the number of heads of the resampler", {"perceiver.heads"}}, &config.resampler.heads, From::file},
            {{"the number of heads of the gated layers", {"cross_attn.heads"}}, &config.heads, From::file},
            {{"the token that marks an image", {"media_token_id"}}, &config.image_token, From::file},
            {{"whether a token sees only the last image", {"only_attend_immediate_media"}}, &config.only_last_image},
            {{"the eps of the new norms", {"cross_attn.layer_norm_eps"}}, &config.eps}};
}

static const std::string language_prefix = "lang_encoder.transformer.";

static void read_shapes(const Safetensors& checkpoint, gpt::Config& language) {
    const std::string inner = ".decoder_layer.mlp.c_fc.weight";
    language.vocabulary = size_of(checkpoint, language_prefix + "wte.weight", 0);
    language.width = size_of(checkpoint, language_prefix + "wte.weight", 1);
    language.positions = size_of(checkpoint, language_prefix + "wpe.weight", 0);
    language.depth = count_blocks(checkpoint, language_prefix + "h.", inner);
    language.mlp_width = size_of(checkpoint, language_prefix + "h.0" + inner, 1);
    language.order = checkpoint.has(language_prefix + "ln_f.weight") ? Order::pre : Order::post;
    language.tied = !checkpoint.has("lang_encoder.lm_head.weight");
}

static void read_shapes(const Safetensors& checkpoint, ResamplerShape& resampler) {
    resampler.latents = size_of(checkpoint, "perceiver.latents", 0);
    resampler.width = size_of(checkpoint, "perceiver.latents", 1);
    resampler.depth = count_blocks(checkpoint, "perceiver.layers.", ".0.to_q.weight");
    resampler.mlp_width = size_of(checkpoint, "perceiver.layers.0.1.1.weight", 0);
    resampler.frames = checkpoint.has("perceiver.frame_embs") ? size_of(checkpoint, "perceiver.frame_embs", 0) : 1;
}

// The width of a head, when `inner` columns of queries belong to all heads.
static int width_of_head(int inner, int heads, const std::string& path, const char* which) {
    require(heads > 0 && inner % heads == 0, path, ": ", heads, " heads of the ", which, " do not divide its ", inner,
            " columns of queries");
    return inner / heads;
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_shapes(checkpoint, config.language);
    read_shapes(checkpoint, config.resampler);
    const std::string blocks = language_prefix + "h.", gated = ".gated_cross_attn_layer.";
    int first = 0;  // the first block with a gated layer before it
    while (first < config.language.depth && !checkpoint.has(blocks + std::to_string(first) + gated + "attn_gate")) ++first;
    require(first < config.language.depth, checkpoint.path, ": none of its ", config.language.depth,
            " blocks has a gated layer, such as ", blocks, "0", gated, "attn_gate; is it the language model alone?");
    config.every = first + 1;
    const std::string layer = blocks + std::to_string(first) + gated;
    config.mlp_width = size_of(checkpoint, layer + "ff.1.weight", 0);
    read_members(ModelConfig(checkpoint, given), members_of(config));
    const int resampler_inner = size_of(checkpoint, "perceiver.layers.0.0.to_q.weight", 0);
    const int gated_inner = size_of(checkpoint, layer + "attn.to_q.weight", 0);
    config.resampler.head_width = width_of_head(resampler_inner, config.resampler.heads, checkpoint.path, "resampler");
    config.head_width = width_of_head(gated_inner, config.heads, checkpoint.path, "gated layers");
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("flamingo", members_of(copy));
}

}  // namespace flamingo
