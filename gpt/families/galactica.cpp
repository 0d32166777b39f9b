#include "gpt/families/galactica.h"

#include <utility>

#include "nn/interpret/inside.h"

namespace galactica {

// --- the model ---

// OPT's decoder with what the paper decides otherwise.
static opt::Config decoder(const Config& config) {
    return {.vocabulary = config.vocabulary,
            .width = config.width,
            .depth = config.depth,
            .heads = config.heads,
            .mlp_width = config.mlp_width,
            .positions = config.positions,
            .position_offset = config.position_offset,
            .biases = config.biases,
            .affine_norms = config.affine_norms,
            .activation = config.activation,
            .eps = config.eps,
            .name = "galactica"};
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) { return opt::forward(batch, w, decoder(config)); }

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return opt::make_memory(decoder(config), sequences, capacity);
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    return opt::read_on(next, w, decoder(config), memory);
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return opt::logits_of(hidden, w); }

// --- tokenisation ---

static const std::vector<std::string_view> special_tokens{"[START_REF]",      "[END_REF]",      "[START_SMILES]", "[END_SMILES]",
                                                          "[START_I_SMILES]", "[END_I_SMILES]", "[START_AMINO]",  "[END_AMINO]",
                                                          "[START_DNA]",      "[END_DNA]",      "<work>",         "</work>"};

// What begins a passage whose characters are tokens, and what ends it.
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

// A character of UTF-8 is its first byte and all bytes 10xxxxxx after it.
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
    std::string_view spelled_until;  // the special token that ends a spelled passage; empty outside one
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

Weights make_weights(const Config& config, Random& random, const Init& init) {
    return opt::make_weights(decoder(config), random, init);
}

Parameters parameters(const Weights& w, const Config& config) { return opt::parameters(w, decoder(config)); }

LoadRules load_rules() {
    return {.optional_prefixes = {"model."}, .other_names = {{"model.decoder.embed_tokens.weight", "lm_head.weight"}}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const opt::Config found = opt::config_of(checkpoint, given, {}, decoder({}));
    const ModelConfig model_config(checkpoint, given);
    if (!checkpoint.has("lm_head.weight")) model_config.require_tied(true);  // a copy suits either word
    return {.vocabulary = found.vocabulary,
            .width = found.width,
            .depth = found.depth,
            .heads = found.heads,
            .mlp_width = found.mlp_width,
            .positions = found.positions,
            .biases = found.biases,
            .affine_norms = found.affine_norms,
            .activation = model_config.activation(settings::activation)};
}

std::map<std::string, std::string> metadata(const Config& config) {
    return {{"format", "pt"},
            {"model_type", "opt"},
            {"num_attention_heads", std::to_string(config.heads)},
            {"activation_function", name_of_activation(config.activation)}};
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return opt::inside(w, decoder(config)); }

}  // namespace galactica
