#include "gpt/families/glm.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace glm {

// --- from a text to a sequence ---

static void check_spans(const std::vector<int>& text, const std::vector<Span>& spans, const std::vector<int>& permutation) {
    const int n = static_cast<int>(text.size()), count = static_cast<int>(spans.size());
    int least = 0;  // where the next span may begin
    for (const Span& span : spans) {
        require(span.begin >= least && span.begin < span.end && span.end <= n, "glm: the span ", span.begin, " to ", span.end,
                " of a text of ", n, " tokens: spans must not be empty, in order, with a token between two of them");
        least = span.end + 1;
    }
    std::vector<int> named = permutation;
    std::sort(named.begin(), named.end());
    bool each_once = static_cast<int>(named.size()) == count;
    for (int k = 0; each_once && k < count; ++k) each_once = named[k] == k;
    require(each_once, "glm: a permutation of ", static_cast<int>(permutation.size()), " numbers must name each of ", count,
            " spans once");
}

// Appends one token with its entries in all lists.
static void append(Sequence& sequence, int token, int target, int in_loss, int position, int block_position) {
    sequence.tokens.push_back(token);
    sequence.targets.push_back(target);
    sequence.loss_mask.push_back(in_loss);
    sequence.positions.push_back(position);
    sequence.block_positions.push_back(block_position);
}

Sequence cut_spans(const std::vector<int>& text, const std::vector<Span>& spans, const std::vector<int>& permutation,
                   int mask_token, const SpecialTokens& special) {
    check_spans(text, spans, permutation);
    require(spans.empty() || (mask_token >= 0 && special.start >= 0 && special.end >= 0), "glm: the mask of a span is token ",
            mask_token, ", [sop] is ", special.start, " and [eop] ", special.end,
            "; a span needs all three, give them their ids");
    for (std::size_t t = 0; t < text.size(); ++t)
        require(text[t] >= 0, "glm: token ", t, " of the text is ", text[t], ", ids are counted from 0");
    Sequence sequence;

    // Part A: the text in its order, each span one mask. A span counts as one position.
    std::vector<int> position_of_span;
    int next = 0;  // token of the text
    for (const Span& span : spans) {
        for (; next < span.begin; ++next)
            append(sequence, text[next], text[next], 0, static_cast<int>(sequence.tokens.size()), 0);
        position_of_span.push_back(static_cast<int>(sequence.tokens.size()));
        append(sequence, mask_token, mask_token, 0, position_of_span.back(), 0);
        next = span.end;
    }
    for (; next < static_cast<int>(text.size()); ++next)
        append(sequence, text[next], text[next], 0, static_cast<int>(sequence.tokens.size()), 0);
    sequence.context = static_cast<int>(sequence.tokens.size());

    // Part B: in shuffled order each span, one token after its targets.
    for (const int k : permutation) {
        const Span span = spans[k];
        for (int t = span.begin; t <= span.end; ++t) {
            const int token = t == span.begin ? special.start : text[t - 1];
            const int target = t == span.end ? special.end : text[t];
            append(sequence, token, target, 1, position_of_span[k], t - span.begin + 1);
        }
    }
    return sequence;
}

// Query i may attend to key j when j is in part A, or not after i: so A is bidirectional and independent of B, and B is causal.
// Keys before `first` are padding.
static void add_rows(MayAttend& may, int first, int context, int queries) {
    for (int i = may.keys - queries; i < may.keys; ++i)
        for (int j = 0; j < may.keys; ++j) may.table.push_back(j >= first && (j < context || j <= i));
    may.queries += queries;
}

static void check_sequence(const Sequence& sequence, std::size_t number, std::size_t of) {
    const std::size_t count = sequence.tokens.size();
    require(count > 0, "glm: sequence ", number, " of ", of, " has no token; leave it out");
    for (const std::vector<int>* list : {&sequence.targets, &sequence.loss_mask, &sequence.positions, &sequence.block_positions})
        require(list->size() == count, "glm: sequence ", number, " has ", count, " tokens and a list of ", list->size(),
                " targets, marks or positions; each needs one for every token, cut_spans makes them");
    require(sequence.context >= 0 && static_cast<std::size_t>(sequence.context) <= count, "glm: sequence ", number, " has ",
            count, " tokens, of which the first ", sequence.context, " are the context; there must be 0 to all of them");
}

Batch make_batch(const std::vector<Sequence>& sequences) {
    require(!sequences.empty(), "glm: there is no sequence; give at least one");
    for (std::size_t b = 0; b < sequences.size(); ++b) check_sequence(sequences[b], b, sequences.size());
    Batch batch;
    batch.sequences = static_cast<int>(sequences.size());
    for (const Sequence& sequence : sequences) batch.length = std::max(batch.length, static_cast<int>(sequence.tokens.size()));
    batch.may.keys = batch.length;
    for (const Sequence& sequence : sequences) {
        const int count = static_cast<int>(sequence.tokens.size());
        for (int t = 0; t < batch.length; ++t) {
            const bool padding = t >= count;
            batch.tokens.push_back(padding ? 0 : sequence.tokens[t]);
            batch.targets.push_back(padding ? 0 : sequence.targets[t]);
            batch.loss_mask.push_back(padding ? 0 : sequence.loss_mask[t]);
            batch.positions.push_back(padding ? 0 : sequence.positions[t]);
            batch.block_positions.push_back(padding ? 0 : sequence.block_positions[t]);
        }
        add_rows(batch.may, 0, sequence.context, batch.length);  // only padding attends to padding, which comes last
    }
    return batch;
}

// The column of the first of `wanted` in columns first ... end - 1 of a text; -1 = not found.
static int find_token(const TokenBatch& texts, int sequence, int first, int end, const std::vector<int>& wanted) {
    for (int t = first; t < end; ++t)
        if (std::count(wanted.begin(), wanted.end(), texts.ids[sequence * texts.length + t]) > 0) return t;
    return -1;
}

Batch to_be_continued(const TokenBatch& texts, const Config& config, int last) {
    const SpecialTokens& special = config.special;
    const int T = texts.length, count = last > 0 ? last : T;
    require(last >= 0 && last <= T, "glm: the last ", last, " columns of texts of ", T,
            " tokens; there must be 1 to that many, or 0 for all");
    Batch batch;
    batch.sequences = texts.sequences;
    batch.length = count;
    batch.may.keys = T;
    for (int b = 0; b < texts.sequences; ++b) {
        int first = 0;  // the column after the padding
        while (first < T && !texts.is_token(b, first)) ++first;
        const int start = find_token(texts, b, first, T, {special.start});  // of part B
        require(start >= 0, "glm: sequence ", b, " has no [sop], token ", special.start, ", where its blank is filled");
        const int mask = find_token(texts, b, first, start, {special.mask, special.long_mask, special.sentence_mask});
        require(mask >= 0, "glm: sequence ", b, " has no [MASK], [gMASK] or [sMASK] before its [sop]");
        const bool counts_on = config.version == Version::glm130b && texts.ids[b * T + mask] == special.long_mask;
        for (int t = T - count; t < T; ++t) {
            batch.tokens.push_back(texts.ids[b * T + t]);
            const int position = std::max(0, t - first);
            batch.positions.push_back(t < start || counts_on ? position : mask - first);
            batch.block_positions.push_back(t < start ? 0 : t - start + 1);
        }
        add_rows(batch.may, first, start, count);
    }
    return batch;
}

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0, "glm: ", config.vocabulary,
            " tokens, width ", config.width, ", depth ", config.depth, ", inner width ", config.mlp_width,
            ": sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, "glm: ", config.heads, " heads do not divide a width of ",
            config.width);
    require(config.version == Version::glm || config.width / config.heads % 2 == 0, "glm: heads of width ",
            config.width / config.heads, " cannot be turned in pairs of columns; an even width can");
    require(config.version == Version::glm130b || config.positions > 0, "glm: ", config.positions,
            " positions, there must be one at least");
    require_eps("glm", config.eps);
    require(config.alpha >= 0 && config.rotary_base > 0, "glm: a factor alpha of ", config.alpha, " and a rotary base of ",
            config.rotary_base, ", the first may not be negative (0 = sqrt(2 L)), the second must be above 0; 10000 is usual");
}

// GLM adds two position embeddings; GLM-130B rotates queries and keys instead.
static Var embed_tokens(const Batch& batch, const Weights& w, const Config& config) {
    const Var tokens = named_step("token_embeddings", embed(w.token_embedding, batch.tokens));  // (B*T, E)
    if (config.version == Version::glm130b) return tokens;
    const Var in_text = add(tokens, embed(w.positions, batch.positions));  // (B*T, E)
    return add(in_text, embed(w.block_positions, batch.block_positions));  // (B*T, E)
}

static float alpha(const Config& config) {
    return config.alpha != 0 ? config.alpha : static_cast<float>(std::sqrt(2.0 * std::max(1, config.depth)));
}

static BlockOptions options_of(const Config& config) {
    if (config.version == Version::glm) return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh};
    // DeepNorm: x = N(z), z' = alpha x + f(x). The more blocks there are, the less one of them changes the residual stream.
    return {.heads = config.heads,
            .eps = config.eps,
            .activation = Activation::gelu,
            .order = Order::normed_residual,
            .residual = alpha(config)};
}

// Everything between tokens and logits.
static Steps read(const Batch& batch, std::vector<BlockContext> contexts, const Weights& w, const Config& config) {
    check(config);
    require_depth("glm", config.depth, w.blocks);
    for (BlockContext& context : contexts) {
        context.self.may = batch.may;
        if (config.version == Version::glm130b) context.self.rotary = {.base = config.rotary_base, .positions = batch.positions};
    }
    Steps steps;
    steps.embeddings = embed_tokens(batch, w, config);                                // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);              // (B*T, E)
    return steps;
}

static void check(const Batch& batch) {
    const std::size_t rows = static_cast<std::size_t>(batch.sequences) * batch.length;
    require(rows > 0 && batch.tokens.size() == rows && batch.positions.size() == rows && batch.block_positions.size() == rows &&
                batch.may.queries == static_cast<int>(rows),
            "glm: ", batch.sequences, " sequences of ", batch.length, " tokens, but ", static_cast<int>(batch.tokens.size()),
            " tokens, ", static_cast<int>(batch.positions.size()), " positions, ", static_cast<int>(batch.block_positions.size()),
            " block positions, and a mask for ", batch.may.queries,
            " queries; there must be one of each for every token, see make_batch");
}

Steps forward(const Batch& batch, const Weights& w, const Config& config) {
    check(batch);
    Steps steps = read(batch, {{.self = {.segments = Segments::equal(batch.sequences, batch.length)}}}, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.token_embedding); }

Var target_losses(const Steps& steps, const Batch& batch) { return token_losses(steps.logits, batch.targets); }

Var loss(const Steps& steps, const Batch& batch) {
    std::vector<int> labels = batch.targets;
    require(batch.loss_mask.size() == labels.size(), "glm: ", labels.size(), " targets and ", batch.loss_mask.size(),
            " marks of those that count; each needs one");
    for (std::size_t row = 0; row < labels.size(); ++row) {
        require(batch.loss_mask[row] == 0 || batch.loss_mask[row] == 1, "glm: target ", row, " is marked ", batch.loss_mask[row],
                ", it must be 1 (it counts) or 0");
        if (batch.loss_mask[row] == 0) labels[row] = ignored_label;
    }
    return cross_entropy(steps.logits, labels);
}

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.width);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    TokenBatch all = memory.seen;
    append(all, next);
    const Batch batch = to_be_continued(all, config, next.length);
    const Reading reading = read_next(memory, next, "glm");
    return read(batch, reading.contexts, w, config);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init, const Init& embeddings) {
    check(config);
    Init matrices = init;
    matrices.residual = init.residual / std::sqrt(2.0f * std::max(1, config.depth));
    const BlockShape shape{.width = config.width, .mlp_width = config.mlp_width, .gated = config.version == Version::glm130b};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, embeddings);
    if (config.version == Version::glm) {
        w.positions = make_embedding(random, config.positions + 1, config.width, embeddings);
        w.block_positions = make_embedding(random, config.positions + 1, config.width, embeddings);
    }
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, matrices));
    w.norm = make_layer_norm(config.width);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const bool large = config.version == Version::glm130b;
    const long V = config.vocabulary, E = config.width, P = config.positions;
    Parameters table;
    table.push_back(
        {large ? "transformer.word_embeddings.weight" : "word_embeddings.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    if (!large) {
        table.push_back({"transformer.position_embeddings.weight", {P + 1, E}, Stored::as_it_is, {w.positions}});
        table.push_back({"transformer.block_position_embeddings.weight", {P + 1, E}, Stored::as_it_is, {w.block_positions}});
    }
    add_parameters(table, "transformer.layers.", w.blocks, large ? glm130b_names : glm_names, config.heads);
    add_parameters(table, "transformer.final_layernorm", w.norm);
    return table;
}

LoadRules load_rules() { return {.optional_prefixes = {"glm."}, .ignored_endings = {".rotary_emb.inv_freq"}}; }

// The name as this file has it; our own where it does not hold the tensor, for messages.
static std::string name_in(const Safetensors& checkpoint, const std::string& name) {
    const std::string stored = name_in_file(checkpoint, name, load_rules());
    return stored.empty() ? name : stored;
}

// The keys of the special tokens in a configuration, in the order of SpecialTokens.
static const std::vector<std::string> token_keys{"mask_token_id", "gmask_token_id", "smask_token_id", "sop_token_id",
                                                 "eop_token_id"};

static std::vector<int*> ids_of(SpecialTokens& special) {
    return {&special.mask, &special.long_mask, &special.sentence_mask, &special.start, &special.end};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string positions = name_in(checkpoint, "transformer.position_embeddings.weight");
    const bool large = !checkpoint.has(positions);
    const std::string words = name_in(checkpoint, large ? "transformer.word_embeddings.weight" : "word_embeddings.weight");
    Config config;
    config.version = large ? Version::glm130b : Version::glm;
    config.vocabulary = checkpoint.dimension(words, 0);
    config.width = checkpoint.dimension(words, 1);
    config.positions = large ? 0 : checkpoint.dimension(positions, 0) - 1;
    config.depth = count_blocks(checkpoint, "transformer.layers.", ".input_layernorm.weight", load_rules());
    config.mlp_width = checkpoint.dimension(name_in(checkpoint, "transformer.layers.0.mlp.dense_4h_to_h.weight"), 1);
    const ModelConfig model_config(checkpoint, given);
    model_config.require_agrees(settings::width, config.width);
    model_config.require_agrees(settings::depth, config.depth);
    model_config.require_agrees(settings::vocabulary, config.vocabulary);
    config.heads = model_config.integer(settings::heads);
    config.eps = static_cast<float>(model_config.real(settings::eps, 1e-5));
    for (std::size_t k = 0; k < token_keys.size(); ++k)
        *ids_of(config.special)[k] = model_config.integer({"a special token", {token_keys[k]}}, -1);
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    std::map<std::string, std::string> entries{{"format", "pt"},
                                               {"model_type", config.version == Version::glm ? "glm" : "glm130b"},
                                               {"num_attention_heads", text(config.heads)},
                                               {"layernorm_epsilon", setting_text(config.eps)}};
    SpecialTokens special = config.special;
    for (std::size_t k = 0; k < token_keys.size(); ++k) entries[token_keys[k]] = text(*ids_of(special)[k]);
    return entries;
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    return inside_of(w.blocks, options_of(config), w.norm, w.token_embedding);
}

}  // namespace glm
