#include "gpt/families/galactica.h"

#include <utility>

#include "nn/autograd/operations.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace galactica {

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0 && config.positions > 0,
            "galactica: ", config.vocabulary, " tokens, width ", config.width, ", depth ", config.depth, ", inner width ",
            config.mlp_width, ", ", config.positions, " positions: sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, "galactica: ", config.heads, " heads must divide a width of ",
            config.width);
    require(config.position_offset > 0, "galactica: a position offset of ", config.position_offset,
            ": padding reads the row before that of the first token, so there must be one");
    require_eps("galactica", config.eps);
}

// Everything between ids and the last norm.
static Steps read(const std::vector<int>& ids, const std::vector<int>& rows, const std::vector<BlockContext>& contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth("galactica", config.depth, w.blocks);
    const BlockOptions options{.heads = config.heads, .eps = config.eps, .activation = config.activation};
    Steps steps;
    steps.positions = embed(w.positions, rows);                            // (B*T, E)
    steps.embeddings = add(embed(w.words, ids), steps.positions);          // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options, contexts);  // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);   // (B*T, E)
    return steps;
}

static void check_length(const TokenBatch& batch, const Config& config) {
    require(batch.length <= config.positions, "galactica: a text of ", batch.length, " tokens, but there are ", config.positions,
            " positions; cut the text");
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("galactica", batch);
    check_length(batch, config);
    const std::vector<BlockContext> contexts{{.self = attending(batch, true)}};
    Steps steps = read(batch.ids, position_rows(batch, config.position_offset), contexts, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.words); }

Var loss(const Steps& steps, const TokenBatch& batch) { return loss(steps, next_tokens(batch)); }
Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.width);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    require(memory.seen.length + next.length <= config.positions, "galactica: ", memory.seen.length, " tokens were read, ",
            next.length, " more exceed ", config.positions, " positions; ask for fewer");
    const Reading reading = read_next(memory, next, "galactica");
    return read(next.ids, position_rows(memory.seen, config.position_offset, next.length), reading.contexts, w, config);
}

// --- tokenisation ---

static const std::vector<std::string_view> special_tokens{"[START_REF]",      "[END_REF]",      "[START_SMILES]", "[END_SMILES]",
                                                          "[START_I_SMILES]", "[END_I_SMILES]", "[START_AMINO]",  "[END_AMINO]",
                                                          "[START_DNA]",      "[END_DNA]",      "<work>",         "</work>"};

// What begins a stretch whose characters are tokens, and what ends it.
static const std::vector<std::pair<std::string_view, std::string_view>> spelled{{"[START_SMILES]", "[END_SMILES]"},
                                                                                {"[START_I_SMILES]", "[END_I_SMILES]"},
                                                                                {"[START_AMINO]", "[END_AMINO]"},
                                                                                {"[START_DNA]", "[END_DNA]"}};

static std::string_view special_token_at(std::string_view text) {
    for (const std::string_view token : special_tokens)
        if (text.starts_with(token)) return token;
    return {};
}

static bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

// Digits, the point of a number, operators and parentheses.
static bool stands_alone(std::string_view text, std::size_t at) {
    const char letter = text[at];
    const bool point_of_number =
        letter == '.' && at > 0 && is_digit(text[at - 1]) && at + 1 < text.size() && is_digit(text[at + 1]);
    return is_digit(letter) || point_of_number || std::string_view("=+-*/^<>|&~()").find(letter) != std::string_view::npos;
}

// A character of UTF-8 is its first byte and all bytes 10xxxxxx behind it.
static std::size_t bytes_of_character(std::string_view text, std::size_t at) {
    std::size_t count = 1;
    while (at + count < text.size() && (static_cast<unsigned char>(text[at + count]) & 0xC0) == 0x80) ++count;
    return count;
}

// Adds ordinary text, which byte-pair encoding cuts further.
static void add_text(std::vector<Piece>& pieces, char letter) {
    if (pieces.empty() || pieces.back().is_token) pieces.push_back({});
    pieces.back().text += letter;
}

std::vector<Piece> pieces(std::string_view text) {
    std::vector<Piece> pieces;
    std::string_view spelled_until;  // the special token that ends a spelled stretch; empty outside of one
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view special = special_token_at(text.substr(at));
        const bool ends_here = !spelled_until.empty() && special == spelled_until;
        if (!special.empty() && (spelled_until.empty() || ends_here)) {
            pieces.push_back({.text = std::string(special), .is_token = true});
            spelled_until = {};
            for (const auto& [start, end] : spelled)
                if (special == start) spelled_until = end;
            at += special.size();
        } else if (!spelled_until.empty()) {
            const std::size_t count = bytes_of_character(text, at);
            pieces.push_back({.text = std::string(text.substr(at, count)), .is_token = true});
            at += count;
        } else if (stands_alone(text, at)) {
            pieces.push_back({.text = std::string(1, text[at]), .is_token = true});
            ++at;
        } else {
            add_text(pieces, text[at]);
            ++at;
        }
    }
    return pieces;
}

// --- weights ---

// Norms as the paper has them: nothing is learned.
static void take_gains_away(Weights& w) {
    w.norm = {};
    for (Block& block : w.blocks) block.norm1 = block.norm2 = {};
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const BlockShape shape{.width = config.width,
                           .mlp_width = config.mlp_width,
                           .query_bias = config.biases,
                           .key_bias = config.biases,
                           .value_bias = config.biases,
                           .bias = config.biases};
    Weights w;
    w.words = make_embedding(random, config.vocabulary, config.width, init);
    w.positions = make_embedding(random, config.positions + config.position_offset, config.width, init);
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.norm = make_layer_norm(config.width);
    if (!config.affine_norms) take_gains_away(w);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary, E = config.width, P = config.positions + config.position_offset;
    Parameters table;
    table.push_back({"model.decoder.embed_tokens.weight", {V, E}, Stored::as_it_is, {w.words}});
    table.push_back({"model.decoder.embed_positions.weight", {P, E}, Stored::as_it_is, {w.positions}});
    add_parameters(table, "model.decoder.layers.", w.blocks, opt_names);
    add_parameters(table, "model.decoder.final_layer_norm", w.norm);
    return table;
}

static std::vector<Member> told_members(Config& config) {
    using From = Member::From;
    return {{settings::vocabulary, &config.vocabulary, From::shapes},
            {settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::mlp_width, &config.mlp_width, From::shapes},
            {settings::positions, &config.positions, From::shapes},
            {settings::heads, &config.heads, From::file},
            {settings::activation, &config.activation},
            {settings::eps, &config.eps}};
}

Config config_of(const Safetensors& checkpoint, const Told& told) {
    const std::string decoder = "model.decoder.", layer = decoder + "layers.0.";
    Config config;
    config.vocabulary = size_of(checkpoint, decoder + "embed_tokens.weight", 0, load_rules());
    config.width = size_of(checkpoint, decoder + "embed_tokens.weight", 1, load_rules());
    config.positions = size_of(checkpoint, decoder + "embed_positions.weight", 0) - config.position_offset;
    config.depth = count_blocks(checkpoint, decoder + "layers.", ".fc1.weight");
    config.mlp_width = size_of(checkpoint, layer + "fc1.weight", 0);
    config.biases = checkpoint.has(layer + "fc1.bias");
    config.affine_norms = checkpoint.has(layer + "final_layer_norm.weight");
    read_members(ModelConfig(checkpoint, told), told_members(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("opt", told_members(copy));
}

LoadRules load_rules() { return {.other_names = {{"model.decoder.embed_tokens.weight", "lm_head.weight"}}}; }

}  // namespace galactica
