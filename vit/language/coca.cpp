#include "vit/language/coca.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/layers/names.h"
#include "nn/training/contrastive.h"
#include "nn/training/loss.h"
#include "vit/vit.h"

namespace coca {

static void check(const Config& config);  // with the weights, below

// --- the image ---

// Rows `first` ... `first + count - 1` of every group of `group` rows.
static Var rows_of_each(const Var& x, int group, int first, int count) {
    std::vector<int> rows;
    for (int b = 0; b < x.rows() / group; ++b)
        for (int i = 0; i < count; ++i) rows.push_back(b * group + first + i);
    return gather_rows(x, rows);
}

ImageSteps read_images(const std::vector<Image>& images, const Weights& w, const Config& config) {
    check(config);
    const int Q = config.queries;
    const Segments segments = Segments::equal(static_cast<int>(images.size()), config.vision.grid.count() + 1);
    ImageSteps steps;
    steps.tower = clip::vision_trunk(images, w.vision, config.vision, "coca");
    const InStack in_stack("pooler");
    steps.pooler = pool(steps.tower.encoder.output, segments, w.pooler, config.pooler_heads, config.eps);
    steps.pooled = layer_norm(steps.pooler.attention.output, w.pooled_norm, config.eps);  // (B*Q, D)
    const Var first_queries = rows_of_each(steps.pooled, Q, 0, 1);                        // (B, D)
    steps.features = unit_rows(linear(first_queries, w.image_projection));                // (B, D)
    steps.tokens = rows_of_each(steps.pooled, Q, 1, Q - 1);                               // (B*(Q-1), D)
    return steps;
}

// --- the text, without the image ---

static BlockOptions text_options(const Config& config) { return {.heads = config.text_heads, .eps = config.eps}; }
static BlockOptions decoder_options(const Config& config) { return {.heads = config.decoder_heads, .eps = config.eps}; }

// Tokens attend to those before them. [cls], in the last row, attends to tokens that are not padding: in the published models
// through a mask that is one column too far to the right, so that column 0 is always allowed.
static MayAttend text_mask(const TokenBatch& captions, const Config& config) {
    const int B = captions.sequences, T = captions.length, shift = config.correct_class_mask ? 0 : 1;
    MayAttend may{.queries = B * T, .keys = T, .table = {}};
    for (int b = 0; b < B; ++b)
        for (int i = 0; i < T; ++i)
            for (int j = 0; j < T; ++j) {
                const int token = j - shift;                      // whose padding decides about column j
                const bool always = token < 0 || token == T - 1;  // column 0, or [cls] itself
                const bool padding = !always && captions.ids[b * T + token] == config.padding_token;
                may.table.push_back(j <= i && (i < T - 1 || !padding));
            }
    return may;
}

TextSteps read_texts(const TokenBatch& captions, const Weights& w, const Config& config) {
    require_texts("coca", captions);
    check(config);
    require_depth("coca: text", config.text_depth, w.text_blocks);
    const int B = captions.sequences, T = captions.length;
    require(T >= 2 && T <= config.positions, "coca: captions of ", T, " tokens, there must be 2 to ", config.positions,
            ", its positions; cut the longest");
    std::vector<int> read;  // all but the last token of each caption
    for (int b = 0; b < B; ++b)
        for (int t = 0; t + 1 < T; ++t) read.push_back(captions.ids[b * T + t]);
    const InStack in_stack("text");
    const Var tokens = named_step("token_embeddings", embed(w.token_embedding, read));  // (B*(T-1), D)
    // [cls] after each caption: it is row B (T-1) of the two together.
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) {
        for (int t = 0; t + 1 < T; ++t) rows.push_back(b * (T - 1) + t);
        rows.push_back(B * (T - 1));
    }
    const Var with_class = gather_rows(concat_rows({tokens, w.class_token}), rows);  // (B*T, D)
    const Var z0 = add_repeated(with_class, slice_rows(w.positions, 0, T));          // (B*T, D)
    TextSteps steps;
    steps.may = text_mask(captions, config);
    const Attending how{.segments = Segments::equal(B, T), .may = steps.may};
    steps.encoder = stack(z0, w.text_blocks, text_options(config), {.self = how});  // (B*T, D)
    const Var class_tokens = rows_of_each(steps.encoder.output, T, T - 1, 1);       // (B, D)
    const Var normalised = layer_norm(class_tokens, w.text_norm, config.eps);       // (B, D)
    steps.features = unit_rows(linear(normalised, w.text_projection));              // (B, D)
    steps.tokens = rows_of_each(steps.encoder.output, T, 0, T - 1);                 // (B*(T-1), D)
    return steps;
}

// --- the text, with the image ---

// Alternates self-attention and cross-attention to the image.
//   selves, crosses  the context of each block, one for all or one for each
static DecoderSteps decode(const Var& text_tokens, const Var& image_tokens, const std::vector<BlockContext>& selves,
                           const std::vector<Attending>& crosses, const Weights& w, const Config& config) {
    require_depth("coca: decoder", config.decoder_depth, w.decoder_blocks);
    require_depth("coca: decoder's looks at the image", config.decoder_depth, w.decoder_crosses.size());
    const BlockOptions options = decoder_options(config);
    DecoderSteps steps;
    Var z = text_tokens;  // (B*T, D)
    for (std::size_t l = 0; l < w.decoder_blocks.size(); ++l) {
        const InStack in_stack("decoder");
        const InBlock in_block(static_cast<int>(l));
        const BlockSteps self = block(z, w.decoder_blocks[l], options, selves[selves.size() == 1 ? 0 : l]);
        const InStack in_crosses("crosses");
        const Attending& how = crosses[crosses.size() == 1 ? 0 : l];
        const Var source = layer_norm(image_tokens, w.decoder_crosses[l].source_norm, config.eps);  // (B*(Q-1), D)
        const BlockSteps cross = block(self.output, w.decoder_crosses[l].block, options, {.source = source, .cross = how});
        z = cross.output;
        if (!steps_are_kept()) continue;
        steps.blocks.push_back(self);
        steps.crosses.push_back(cross);
    }
    steps.norm = layer_norm(z, w.decoder_norm, config.eps);  // (B*T, D)
    return steps;
}

// --- both together ---

static std::vector<int> caption_labels(const TokenBatch& captions, const Config& config) {
    std::vector<int> labels;
    for (int b = 0; b < captions.sequences; ++b)
        for (int t = 1; t < captions.length; ++t) {
            const int next = captions.ids[b * captions.length + t];
            labels.push_back(next == config.padding_token ? ignored_label : next);
        }
    return labels;
}

Steps forward(const std::vector<Image>& images, const TokenBatch& captions, const Weights& w, const Config& config) {
    const int B = static_cast<int>(images.size()), T = captions.length;
    require(B == captions.sequences, "coca: ", B, " images and ", captions.sequences,
            " captions are not pairs; give one caption to each image");
    Steps steps;
    steps.image = read_images(images, w, config);
    steps.text = read_texts(captions, w, config);
    const Attending self{.segments = Segments::equal(B, T - 1), .may = causal(T - 1, T - 1)};
    const Attending cross{.segments = self.segments, .key_segments = Segments::equal(B, config.queries - 1)};
    steps.decoder = decode(steps.text.tokens, steps.image.tokens, {{.self = self}}, {cross}, w, config);
    steps.decoder.logits = linear(steps.decoder.norm, w.output);  // (B*(T-1), V)
    steps.labels = caption_labels(captions, config);
    steps.logits_per_image = scaled_cosines(steps.image.features, steps.text.features, w.log_scale);  // (B, B)
    return steps;
}

Losses losses(const Steps& steps, const Weights&, const Config& config) {
    check(config);
    Losses of;
    of.contrastive = scale(contrastive(steps.logits_per_image).loss, config.contrastive_weight);   // (1, 1)
    of.caption = scale(cross_entropy(steps.decoder.logits, steps.labels), config.caption_weight);  // (1, 1)
    of.total = add(of.contrastive, of.caption);                                                    // (1, 1)
    return of;
}

// --- writing captions ---

Captioner::Captioner(const std::vector<Image>& images, const Weights& w, const Config& c, int capacity) : weights(w), config(c) {
    require(capacity < c.positions, "coca: a caption of ", capacity, " tokens, at most ", c.positions - 1,
            " can be read; ask for fewer");
    const NoTape no_tape;
    const int B = static_cast<int>(images.size());
    image_tokens = read_images(images, w, c).tokens;
    text = make_memory(c.text_depth, B, capacity, c.width);
    decoder = make_memory(c.decoder_depth, B, capacity, c.width);
    sources.assign(w.decoder_crosses.size(), make_source_cache());
}

Matrix Captioner::read(const TokenBatch& next) {
    const NoTape no_tape;
    const Reading of_text = read_next(text, next, "coca"), of_decoder = read_next(decoder, next, "coca");
    const Var embedded = embed(weights.token_embedding, next.ids);                    // (B*T, D)
    const Var z0 = add(embedded, gather_rows(weights.positions, of_text.positions));  // (B*T, D)
    // [cls] follows all tokens and no token attends to it, so a caption is written without it.
    const Var tokens = stack(z0, weights.text_blocks, text_options(config), of_text.contexts).output;  // (B*T, D)
    std::vector<Attending> crosses;
    for (KeyValueCache& source : sources)
        crosses.push_back({.segments = Segments::equal(next.sequences, next.length),
                           .key_segments = Segments::equal(next.sequences, config.queries - 1),
                           .cache = &source});
    const Var hidden = decode(tokens, image_tokens, of_decoder.contexts, crosses, weights, config).norm;  // (B*T, D)
    return linear(last_rows(hidden, next), weights.output).value();                                       // (B, V)
}

void Captioner::select(const std::vector<int>& chosen) {
    text = select_sequences(text, chosen);
    decoder = select_sequences(decoder, chosen);
    for (KeyValueCache& source : sources) source = select_sequences(source, chosen);
}

std::vector<std::vector<int>> captions(const std::vector<Image>& images, const Weights& w, const Config& config, int start_token,
                                       const Limits& limits) {
    Captioner captioner(images, w, config, std::max(1, limits.new_tokens));
    const std::vector<int> starts(images.size(), start_token);
    return generate_greedily(equal_batch(starts, 1), captioner, limits);
}

// --- weights ---

static void check(const Config& config) {
    clip::check(config.vision, "coca");
    require(config.width > 0 && config.text_heads > 0 && config.width % config.text_heads == 0 && config.decoder_heads > 0 &&
                config.width % config.decoder_heads == 0 && config.pooler_heads > 0 && config.width % config.pooler_heads == 0,
            "coca: ", config.text_heads, ", ", config.decoder_heads, " and ", config.pooler_heads,
            " heads of text, decoder and pooler must divide a width of ", config.width);
    require(config.queries >= 2, "coca: ", config.queries,
            " queries; the first is for the contrastive loss, the decoder needs another");
    require(config.vocabulary > 0 && config.positions >= 2 && config.text_depth >= 0 && config.decoder_depth >= 0,
            "coca: ", config.vocabulary, " tokens, ", config.positions, " positions, depths ", config.text_depth, " and ",
            config.decoder_depth, ": sizes must be positive, with at least 2 positions");
    require(config.padding_token >= 0 && config.padding_token < config.vocabulary, "coca: padding with token ",
            config.padding_token, ", there are ", config.vocabulary, ", counted from 0");
    for (const float weight : {config.contrastive_weight, config.caption_weight})
        require(weight >= 0 && std::isfinite(weight), "coca: a loss times ", weight,
                ", the factor must be finite and at least 0");
    require_eps("coca", config.eps);
}

Weights make_weights(const Config& config, Random& random) {
    check(config);
    const int D = config.width;
    const Init of_width{.draw = Draw::normal, .stddev = 1 / std::sqrt(static_cast<float>(D))};
    const Init small{.draw = Draw::normal, .stddev = 0.01f};
    Weights w;
    w.vision = clip::make_vision_weights(config.vision, random);
    w.vision.post_norm = {};
    w.pooler = make_pooler(random, config.queries, D, config.vision.width, of_width);
    w.pooled_norm = make_layer_norm(D);
    w.image_projection = make_linear_without_bias(random, D, D, of_width);
    w.token_embedding = make_embedding(random, config.vocabulary, D, {.draw = Draw::normal, .stddev = 0.02f});
    w.positions = make_weight(random, config.positions + 1, D, small);
    w.class_token = make_weight(random, 1, D, small);
    w.text_blocks = clip::make_blocks(random, D, config.text_depth, 4 * D);
    w.text_norm = make_layer_norm(D);
    w.text_projection = make_linear_without_bias(random, D, D, of_width);
    w.decoder_blocks = clip::make_blocks(random, D, config.decoder_depth, 4 * D);
    for (Block& fresh : clip::make_blocks(random, D, config.decoder_depth, 4 * D)) {
        CrossBlock cross{.source_norm = make_layer_norm(D), .block = fresh};
        std::swap(cross.block.cross, cross.block.attention);  // what it attends to is the image
        std::swap(cross.block.norm_cross, cross.block.norm1);
        w.decoder_crosses.push_back(cross);
    }
    w.decoder_norm = make_layer_norm(D);
    w.output = make_linear_without_bias(random, D, config.vocabulary, of_width);
    w.log_scale = parameter(Matrix{{std::log(1 / 0.07f)}});
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, Dv = config.vision.width, P = config.vision.grid.patch_size, V = config.vocabulary;
    const std::string visual = "visual.", pooler = "visual.attn_pool.", text = "text.", decoder = "text_decoder.";
    Parameters table;
    table.push_back({"logit_scale", {}, Stored::as_it_is, {w.log_scale}});
    table.push_back({visual + "class_embedding", {Dv}, Stored::as_it_is, {w.vision.class_token}});
    table.push_back(
        {visual + "positional_embedding", {config.vision.grid.count() + 1, Dv}, Stored::as_it_is, {w.vision.positions}});
    table.push_back(
        {visual + "conv1.weight", {Dv, config.vision.grid.channels, P, P}, Stored::patches, {w.vision.projection.weight}});
    add_parameters(table, visual + "ln_pre", w.vision.pre_norm);
    add_parameters(table, visual + "transformer.resblocks.", w.vision.blocks, open_clip_names);
    table.push_back({pooler + "query", {config.queries, D}, Stored::as_it_is, {w.pooler.queries}});
    add_parameters(table, pooler + "ln_q", w.pooler.query_norm);
    add_parameters(table, pooler + "ln_k", w.pooler.source_norm);
    const Attention& look =
        w.pooler.attention;  // three matrices, since the tokens are wider than the queries; one tensor of biases
    table.push_back({pooler + "attn.q_proj_weight", {D, D}, Stored::out_by_in, {look.query.weight}});
    table.push_back({pooler + "attn.k_proj_weight", {D, Dv}, Stored::out_by_in, {look.key.weight}});
    table.push_back({pooler + "attn.v_proj_weight", {D, Dv}, Stored::out_by_in, {look.value.weight}});
    table.push_back({pooler + "attn.in_proj_bias", {3 * D}, Stored::as_it_is, {look.query.bias, look.key.bias, look.value.bias}});
    add_parameters(table, pooler + "attn.out_proj", look.output);
    add_parameters(table, visual + "ln_post", w.pooled_norm);
    table.push_back({visual + "proj", {D, D}, Stored::as_it_is, {w.image_projection.weight}});
    table.push_back({text + "token_embedding.weight", {V, D}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({text + "positional_embedding", {config.positions + 1, D}, Stored::as_it_is, {w.positions}});
    table.push_back({text + "cls_emb", {D}, Stored::as_it_is, {w.class_token}});
    add_parameters(table, text + "transformer.resblocks.", w.text_blocks, open_clip_names);
    add_parameters(table, text + "ln_final", w.text_norm);
    table.push_back({text + "text_projection", {D, D}, Stored::as_it_is, {w.text_projection.weight}});
    add_parameters(table, decoder + "resblocks.", w.decoder_blocks, open_clip_names);
    for (std::size_t l = 0; l < w.decoder_crosses.size(); ++l) {
        const std::string name = decoder + "cross_attn." + std::to_string(l) + ".";
        add_parameters(table, name, w.decoder_crosses[l].block, open_clip_names);
        add_parameters(table, name + "ln_1_kv", w.decoder_crosses[l].source_norm);
    }
    add_parameters(table, decoder + "ln_final", w.decoder_norm);
    table.push_back({decoder + "text_projection", {D, V}, Stored::as_it_is, {w.output.weight}});
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine. open_clip gives the image tower the width of a head, the other parts a number of heads.
static std::vector<Member> members_of(Config& config, int& head_width) {
    using From = Member::From;
    return {{{"the width (vision_cfg)", {"vision_cfg.width"}}, &config.vision.width, From::shapes},
            {{"the width (text_cfg)", {"text_cfg.width"}}, &config.width, From::shapes},
            {{"the width of a head (vision_cfg)", {"vision_cfg.head_width"}}, &head_width, From::file},
            {{"the number of heads of the pooler", {"vision_cfg.attn_pooler_heads"}}, &config.pooler_heads, From::file},
            {{"the number of heads (text_cfg)", {"text_cfg.heads"}}, &config.text_heads, From::file},
            {{"the number of heads (multimodal_cfg)", {"multimodal_cfg.heads"}}, &config.decoder_heads, From::file},
            {{"the eps of the norms (vision_cfg)", {"vision_cfg.layer_norm_eps"}}, &config.vision.eps},
            {{"the activation function (vision_cfg)", {"vision_cfg.hidden_act"}}, &config.vision.activation},
            {settings::eps, &config.eps},
            {{"the padding token", {"pad_id"}}, &config.padding_token},
            {{"the form of the mask of [cls]", {"correct_cls_mask"}}, &config.correct_class_mask},
            {{"the weight of the contrastive loss", {"clip_loss_weight"}}, &config.contrastive_weight},
            {{"the weight of the caption loss", {"caption_loss_weight"}}, &config.caption_weight}};
}

static void read_shapes(const Safetensors& checkpoint, Config& config) {
    const std::string blocks = "transformer.resblocks.", expand = ".mlp.c_fc.weight";
    clip::VisionConfig& vision = config.vision;
    vision.width = size_of(checkpoint, "visual.conv1.weight", 0);
    vision.grid.channels = size_of(checkpoint, "visual.conv1.weight", 1);
    vision.grid.patch_size = size_of(checkpoint, "visual.conv1.weight", 2);
    vision.depth = count_blocks(checkpoint, "visual." + blocks, expand);
    vision.mlp_width = size_of(checkpoint, "visual." + blocks + "0" + expand, 0);
    config.queries = size_of(checkpoint, "visual.attn_pool.query", 0);
    config.vocabulary = size_of(checkpoint, "text.token_embedding.weight", 0);
    config.width = size_of(checkpoint, "text.token_embedding.weight", 1);
    config.positions = size_of(checkpoint, "text.positional_embedding", 0) - 1;  // the last row is that of [cls]
    config.text_depth = count_blocks(checkpoint, "text." + blocks, expand);
    config.decoder_depth = count_blocks(checkpoint, "text_decoder.resblocks.", expand);
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    Config config;
    read_shapes(checkpoint, config);
    const ModelConfig model_config(checkpoint, given);
    const int N = size_of(checkpoint, "visual.positional_embedding", 0) - 1;
    vit::set_image_size(config.vision.grid, N, model_config, checkpoint.path);
    int head_width = 0;
    read_members(model_config, members_of(config, head_width));
    require(head_width > 0 && config.vision.width % head_width == 0, checkpoint.path, ": heads of width ", head_width,
            " do not divide the image tower's width of ", config.vision.width, "; give its vision_cfg.head_width");
    config.vision.heads = config.vision.width / head_width;
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    const PatchGrid& grid = config.vision.grid;
    int head_width = config.vision.width / config.vision.heads;
    std::map<std::string, std::string> all = metadata_of("coca", members_of(copy, head_width));
    all["image_size"] = std::to_string(grid.height) + "," + std::to_string(grid.width);
    return all;
}

}  // namespace coca
