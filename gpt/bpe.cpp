#include "gpt/bpe.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <unordered_set>
#include <utility>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/data/unicode.h"

namespace bpe {

// ---- From text to pieces ------------------------------------------------------------------------------------------------------

enum class Kind : char { letter, number, space, symbol };  // \p{L}, \p{N}, \s, [^\s\p{L}\p{N}]

static Kind kind_of(char32_t c) {
    if (is_white_space(c)) return Kind::space;
    const CharacterClass wide = character_class(c);
    if (wide == CharacterClass::letter) return Kind::letter;
    return wide == CharacterClass::number ? Kind::number : Kind::symbol;
}

// A character of the text, its class in the pattern, and the index of its first byte.
struct Character {
    char32_t code;
    Kind kind;
    std::size_t begin;
};

static std::vector<Character> characters_of(std::string_view text) {
    std::vector<Character> characters;
    characters.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t valid = valid_utf8_length(text.substr(at));
        for (const char32_t c : decode_utf8(text.substr(at, valid))) {
            characters.push_back({c, kind_of(c), at});
            at += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        }
        if (at < text.size()) characters.push_back({replacement_character, Kind::symbol, at++});  // an invalid byte
    }
    return characters;
}

// Every matcher returns the end of its match at `at`, or `at` if nothing matches.

// 's|'t|'re|'ve|'m|'ll|'d
static std::size_t match_contraction(const std::vector<Character>& text, std::size_t at) {
    if (text[at].code != U'\'') return at;
    for (const std::u32string_view ending : {U"s", U"t", U"re", U"ve", U"m", U"ll", U"d"}) {
        std::size_t end = at + 1;
        while (end < text.size() && end - at - 1 < ending.size() && text[end].code == ending[end - at - 1]) ++end;
        if (end - at - 1 == ending.size()) return end;
    }
    return at;
}

//  ?\p{L}+ and its forms with \p{N} and [^\s\p{L}\p{N}]
static std::size_t match_run(const std::vector<Character>& text, std::size_t at, Kind kind) {
    const std::size_t begin = text[at].code == U' ' ? at + 1 : at;
    std::size_t end = begin;
    while (end < text.size() && text[end].kind == kind) ++end;
    return end > begin ? end : at;
}

// \s+(?!\S)   the whole run at the end of the text; elsewhere the run without its last character, if that is not empty
static std::size_t match_space_before_space(const std::vector<Character>& text, std::size_t at) {
    std::size_t end = at;
    while (end < text.size() && text[end].kind == Kind::space) ++end;
    return end == text.size() || end == at ? end : end - 1;
}

// \s+   reached only by a single white space before a non-space: longer runs match earlier
static std::size_t match_space(const std::vector<Character>& text, std::size_t at) {
    return text[at].kind == Kind::space ? at + 1 : at;
}

static std::size_t match_piece(const std::vector<Character>& text, std::size_t at) {
    std::size_t end = match_contraction(text, at);
    if (end == at) end = match_run(text, at, Kind::letter);
    if (end == at) end = match_run(text, at, Kind::number);
    if (end == at) end = match_run(text, at, Kind::symbol);
    if (end == at) end = match_space_before_space(text, at);
    if (end == at) end = match_space(text, at);
    return end;
}

std::vector<std::string_view> split_pieces(std::string_view text) {
    const std::vector<Character> characters = characters_of(text);
    std::vector<std::string_view> pieces;
    for (std::size_t at = 0; at < characters.size();) {
        const std::size_t end = match_piece(characters, at);
        const std::size_t first_byte = characters[at].begin;
        const std::size_t last_byte = end < characters.size() ? characters[end].begin : text.size();
        pieces.push_back(text.substr(first_byte, last_byte - first_byte));
        at = end;
    }
    return pieces;
}

// ---- Bytes as printable symbols -----------------------------------------------------------------------------------------------

static bool stands_for_itself(int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

std::array<unsigned char, 256> published_byte_order() {
    std::array<unsigned char, 256> order{};
    int position = 0;
    for (const bool wanted : {true, false})
        for (int byte = 0; byte < 256; ++byte)
            if (stands_for_itself(byte) == wanted) order[position++] = static_cast<unsigned char>(byte);
    return order;
}

static std::array<char32_t, 256> symbol_table() {
    std::array<char32_t, 256> symbols{};
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) symbols[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
    return symbols;
}

char32_t symbol_of(unsigned char byte) {
    static const std::array<char32_t, 256> symbols = symbol_table();
    return symbols[byte];
}

std::string symbols_of(std::string_view bytes) {
    std::string symbols;
    for (const char byte : bytes) symbols += encode_utf8(symbol_of(static_cast<unsigned char>(byte)));
    return symbols;
}

// The byte that a symbol stands for, or -1.
static int byte_of(char32_t symbol) {
    if (symbol < 0x100) return stands_for_itself(static_cast<int>(symbol)) ? static_cast<int>(symbol) : -1;
    static const std::array<unsigned char, 256> order = published_byte_order();
    constexpr int themselves = 188;  // bytes that stand for themselves, first in that order
    const char32_t position = themselves + (symbol - 0x100);
    return position < 256 ? order[position] : -1;
}

std::string bytes_of(std::string_view symbols) {
    std::string bytes;
    for (const char32_t symbol : decode_utf8(symbols)) {
        const int byte = byte_of(symbol);
        require(byte >= 0, "bpe::bytes_of: the character ", encode_utf8(symbol), " stands for no byte");
        bytes += static_cast<char>(byte);
    }
    return bytes;
}

// ---- The vocabulary -----------------------------------------------------------------------------------------------------------

constexpr std::string_view end_of_text_name = "<|endoftext|>";

static std::uint64_t pair_key(int left, int right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

static std::string quoted(const std::string& bytes) { return "\"" + symbols_of(bytes) + "\""; }

static void add_bytes(Vocabulary& vocabulary, ByteOrder order) {
    const std::array<unsigned char, 256> published = published_byte_order();
    for (int id = 0; id < 256; ++id) {
        const unsigned char byte = order == ByteOrder::raw ? static_cast<unsigned char>(id) : published[id];
        vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
        vocabulary.byte_ids[byte] = id;
    }
}

// Returns false when the pair already has a rank.
static bool add_merge(Vocabulary& vocabulary, const Merge& merge) {
    const int rank = static_cast<int>(vocabulary.merges.size());
    vocabulary.merges.push_back(merge);
    return vocabulary.ranks.emplace(pair_key(merge.left, merge.right), rank).second;
}

static void add_special(Vocabulary& vocabulary, int id) {
    vocabulary.specials.push_back(id);
    if (vocabulary.tokens[id] == end_of_text_name) vocabulary.end_of_text = id;
}

static void add_end_of_text(Vocabulary& vocabulary) {
    vocabulary.tokens.emplace_back(end_of_text_name);
    add_special(vocabulary, vocabulary.size() - 1);
}

Vocabulary make_vocabulary(const std::vector<Pair>& pairs, ByteOrder order) {
    Vocabulary vocabulary;
    add_bytes(vocabulary, order);
    for (const Pair& pair : pairs) {
        const int result = vocabulary.size();
        const bool both_known = std::min(pair.left, pair.right) >= 0 && std::max(pair.left, pair.right) < result;
        require(both_known, "bpe::make_vocabulary: merge ", result - 256, " joins ", pair.left, " and ", pair.right,
                ", but there are only ", result, " tokens before it");
        vocabulary.tokens.push_back(vocabulary.tokens[pair.left] + vocabulary.tokens[pair.right]);
        const bool is_new = add_merge(vocabulary, {pair.left, pair.right, result});
        require(is_new, "bpe::make_vocabulary: merge ", result - 256, " joins ", pair.left, " and ", pair.right,
                " a second time");
    }
    add_end_of_text(vocabulary);
    return vocabulary;
}

// A line of merges.txt, as bytes.
struct MergeLine {
    std::string left, right;
    int number;  // line number, from 1
};

// "left right" as bytes.   throws  std::invalid_argument "place: ..."
static MergeLine parse_merge(std::string_view line, int number, const std::string& place) {
    const std::vector<std::string> sides = split(line, ' ');
    const bool two_sides = sides.size() == 2 && !sides[0].empty() && !sides[1].empty();
    require(two_sides, place, ": ", brief_string(line), " is not a merge, which is two tokens with one space between them");
    for (const std::string& side : sides)
        for (const char32_t symbol : decode_utf8(side))
            require(byte_of(symbol) >= 0, place, ": the character ", encode_utf8(symbol), " stands for no byte");
    return {bytes_of(sides[0]), bytes_of(sides[1]), number};
}

static std::string place_of_line(std::string_view source, int number) { return joined({source, ": line ", number}); }

static std::vector<MergeLine> parse_merges(std::string_view file_content, std::string_view source) {
    const std::string other = kind_that_is_no_merges(file_content.substr(0, 512));
    require(other.empty(), source, ": is not a merges.txt, which has a merge of two tokens in each line; it looks like ", other);
    std::vector<MergeLine> merges;
    std::vector<std::string> lines = lines_of_file(file_content, source);
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const int number = static_cast<int>(i) + 1;
        if (i == 0 && lines[i].starts_with("#version")) continue;
        merges.push_back(parse_merge(lines[i], number, place_of_line(source, number)));
    }
    return merges;
}

using Ids = std::unordered_map<std::string, int>;  // bytes -> id

// Checks that every line joins two tokens made by a byte or an earlier line, and that no line occurs twice. Two lines may make
// the same token ("ab c" and "a bc").
static void check_order(const std::vector<MergeLine>& lines, std::string_view source) {
    std::set<std::pair<std::string, std::string>> pairs;
    std::unordered_set<std::string> made;
    for (int byte = 0; byte < 256; ++byte) made.emplace(1, static_cast<char>(byte));
    for (const MergeLine& line : lines) {
        for (const std::string& side : {line.left, line.right})
            require(made.contains(side), source, ": line ", line.number, ": no byte and no earlier line makes ", quoted(side),
                    "; is a line missing?");
        made.insert(line.left + line.right);
        const bool is_new = pairs.insert({line.left, line.right}).second;
        require(is_new, source, ": line ", line.number, ": ", quoted(line.left), " and ", quoted(line.right),
                " are joined already by an earlier line; leave one out");
    }
}

// The vocabulary of `size` numbers in which bytes and merge results have the ids given by `ids`.
static Vocabulary assemble(const std::vector<MergeLine>& lines, const Ids& ids, std::size_t size) {
    Vocabulary vocabulary;
    vocabulary.tokens.resize(size);
    for (const auto& [bytes, id] : ids) vocabulary.tokens[id] = bytes;
    for (int byte = 0; byte < 256; ++byte) vocabulary.byte_ids[byte] = ids.at(std::string(1, static_cast<char>(byte)));
    for (const MergeLine& line : lines)
        add_merge(vocabulary, {ids.at(line.left), ids.at(line.right), ids.at(line.left + line.right)});
    return vocabulary;
}

Vocabulary read_merges(std::string_view file_content, std::string_view source) {
    const std::vector<MergeLine> lines = parse_merges(file_content, source);
    check_order(lines, source);
    Ids ids;
    for (const unsigned char byte : published_byte_order())
        ids.emplace(std::string(1, static_cast<char>(byte)), static_cast<int>(ids.size()));
    for (const MergeLine& line : lines) {
        const bool is_new = ids.emplace(line.left + line.right, static_cast<int>(ids.size())).second;
        require(is_new, source, ": line ", line.number, ": ", quoted(line.left + line.right),
                " is made a second time; its id is only in the vocab.json that belongs to this file");
    }
    Vocabulary vocabulary = assemble(lines, ids, ids.size());
    add_end_of_text(vocabulary);
    return vocabulary;
}

constexpr std::size_t largest_file = std::size_t{1} << 28;  // bytes; the published files have a million

Vocabulary load_merges(const std::string& path) { return read_merges(read_text_file(path, largest_file), path); }

static bool is_special_name(std::string_view name) { return name.size() > 2 && name.front() == '<' && name.back() == '>'; }

// "madeupword0000": fairseq fills its vocabularies up with such names to a multiple of 8; RoBERTa, BART and OPT have them.
static bool is_filler(std::string_view name) {
    const std::string_view begin = "madeupword";
    return name.size() == begin.size() + 4 && name.starts_with(begin) &&
           name.find_first_not_of("0123456789", begin.size()) == std::string_view::npos;
}

constexpr int most_tokens = 1'000'000;  // published vocabularies have at most a quarter of that

// The number of a token in a file.   throws  std::invalid_argument, with its line
static int token_number(const std::string& name, const Json& number, std::string_view source) {
    const std::string place = joined({source, ": line ", number.line, ": "});
    require(!name.empty(), place, "a token without a name");
    require(number.whole && number.integer >= 0 && number.integer < most_tokens, place, "the number of ", brief_string(name),
            " is ", brief_string(json_text(number)), ", it must be one of 0 ... ", most_tokens - 1);
    return static_cast<int>(number.integer);
}

// Gives a token its number in a list by number, which grows as needed; numbers without a token are "".
static void set_name(std::vector<std::string>& names, int id, const std::string& name, std::string_view source) {
    if (id >= static_cast<int>(names.size())) names.resize(id + 1);
    require(names[id].empty() || names[id] == name, source, ": the number ", id, " is given to ", json_string(names[id]),
            " and to ", json_string(name));
    names[id] = name;
}

// The names of the tokens in vocab.json, by id.
static std::vector<std::string> parse_names(std::string_view vocab_json, std::string_view source) {
    const Json json = parse_json(vocab_json, source);
    require(json.kind == Json::Kind::object, source, ": an object of tokens and their numbers is needed, as {\"a\": 0, ...}");
    std::vector<std::string> names;
    for (const JsonMember& member : json.members)
        set_name(names, token_number(member.name, member.value, source), member.name, source);
    return names;
}

// The vocabulary of these names, by id, and merges. What no merge makes must be one of `specials` (by id) or a filler.
static Vocabulary vocabulary_of(const std::vector<std::string>& names, std::string_view vocab_source,
                                const std::vector<MergeLine>& lines, std::string_view merges_source,
                                const std::vector<bool>& may_be_special) {
    check_order(lines, merges_source);
    std::unordered_map<std::string, int> id_of_name;
    for (int id = 0; id < static_cast<int>(names.size()); ++id)
        if (!names[id].empty()) id_of_name.emplace(names[id], id);

    Ids ids;
    for (int byte = 0; byte < 256; ++byte) {
        const std::string bytes(1, static_cast<char>(byte));
        const auto found = id_of_name.find(symbols_of(bytes));
        require(found != id_of_name.end(), vocab_source, ": ", quoted(bytes), ", the symbol of byte ", byte,
                ", is missing; a byte-level vocabulary has a token for each of the 256 bytes");
        ids.emplace(bytes, found->second);
    }
    for (const MergeLine& line : lines) {
        const std::string bytes = line.left + line.right;
        const auto found = id_of_name.find(symbols_of(bytes));
        require(found != id_of_name.end(), merges_source, ": line ", line.number, ": ", vocab_source, " has no number for ",
                quoted(bytes));
        ids.emplace(bytes, found->second);
    }
    std::vector<bool> is_made(names.size(), false);
    for (const auto& [bytes, id] : ids) is_made[id] = true;
    std::vector<int> specials;
    for (int id = 0; id < static_cast<int>(names.size()); ++id) {
        if (is_made[id] || names[id].empty()) continue;
        const bool filler = !may_be_special[id] && is_filler(names[id]);
        require(may_be_special[id] || filler, vocab_source, ": no merge of ", merges_source, " makes ", json_string(names[id]));
        require(ids.emplace(names[id], id).second, vocab_source, ": ", json_string(names[id]), " is also made of merges");
        if (!filler) specials.push_back(id);
    }
    Vocabulary vocabulary = assemble(lines, ids, names.size());
    for (const int id : specials) add_special(vocabulary, id);
    return vocabulary;
}

Vocabulary read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                           std::string_view merges_source) {
    const std::vector<std::string> names = parse_names(vocab_json, vocab_source);
    std::vector<bool> may_be_special;
    for (const std::string& name : names) may_be_special.push_back(is_special_name(name));
    return vocabulary_of(names, vocab_source, parse_merges(merges_txt, merges_source), merges_source, may_be_special);
}

// ---- tokenizer.json -----------------------------------------------------------------------------------------------------------

// Whether the member is true, or, where it is missing, what the library takes then.
static bool is_true(const Json& object, std::string_view name, bool otherwise) {
    const Json* const value = object.find_unless_null(name);
    return value == nullptr ? otherwise : value->as_boolean();
}

static std::string type_of(const Json* part) {
    const Json* const type = part == nullptr ? nullptr : part->find_unless_null("type");
    return type == nullptr ? "none" : type->as_string();
}

// The part itself, or the only one of a sequence; nullptr for a sequence of none.
static const Json* single_part(const Json* part, std::string_view list_name) {
    const Json* const list = type_of(part) == "Sequence" ? part->find_unless_null(list_name) : nullptr;
    if (list == nullptr || list->as_array().size() > 1) return part;
    return list->as_array().empty() ? nullptr : &list->as_array().front();
}

// Everything about a tokenizer that changes ids and is not done here.
static void require_plain_bytes(const Json& tokenizer, std::string_view source) {
    const std::string cure = "; only a byte-level BPE that cuts a text as GPT-2 does is read here, give ids instead of words";
    require(tokenizer.kind == Json::Kind::object && tokenizer.find_unless_null("model") != nullptr, source,
            ": holds no \"model\", as every tokenizer.json of the tokenizers library does; is it another file?");
    const Json& model = tokenizer.at("model");
    const Json* const cut = single_part(tokenizer.find_unless_null("pre_tokenizer"), "pretokenizers");
    const Json* const normalizer = single_part(tokenizer.find_unless_null("normalizer"), "normalizers");
    const bool untyped = type_of(&model) == "none" && model.find_unless_null("merges") != nullptr;  // as GPT-2's own file has it
    require(type_of(&model) == "BPE" || untyped, source, ": its model is ", brief_string(type_of(&model)), ", not BPE", cure);
    require(type_of(normalizer) == "none", source, ": it has a normalizer", cure);
    const Json* const dropout = model.find_unless_null("dropout");
    require(dropout == nullptr || dropout->as_number() == 0, source, ": it leaves merges out at random (dropout)", cure);
    require(type_of(cut) == "ByteLevel", source, ": its pre-tokenizer is ", brief_string(type_of(cut)), ", not ByteLevel", cure);
    require(!is_true(*cut, "add_prefix_space", true), source, ": it puts a space before a text", cure);
    require(is_true(*cut, "use_regex", true), source, ": its pre-tokenizer does not cut into words", cure);
    const std::string around = type_of(tokenizer.find_unless_null("post_processor"));
    require(around == "none" || around == "ByteLevel", source, ": it puts tokens around a text (", brief_string(around), ")",
            cure);
    for (const char* const rule : {"byte_fallback", "ignore_merges"})
        require(!is_true(model, rule, false), source, ": ", rule, " is true", cure);
    for (const char* const rule : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const Json* const words = model.find_unless_null(rule);
        require(words == nullptr || words->as_string().empty(), source, ": it has a ", rule, cure);
    }
}

// The names by id, of the model's own tokens and of the added ones, which may be among them.
struct TokenizerNames {
    std::vector<std::string> names;
    std::vector<bool> may_be_special;
};

// Added tokens that take white space with them, or match only as whole words, would be cut out of a text differently.
static void require_plain_added_token(const Json& token, std::string_view source) {
    for (const char* const rule : {"lstrip", "rstrip", "single_word"})
        require(!is_true(token, rule, false), source, ": its added token ", brief_string(token.at("content").as_string()),
                " has ", rule, ", which is not implemented here; give ids instead of words");
}

static TokenizerNames names_of_tokenizer(const Json& tokenizer, std::string_view source) {
    const Json& own = tokenizer.at("model").at("vocab");
    const Json* const added = tokenizer.find_unless_null("added_tokens");
    TokenizerNames all;
    for (const JsonMember& token : own.as_object())
        set_name(all.names, token_number(token.name, token.value, source), token.name, source);
    std::vector<int> added_ids;
    if (added != nullptr)
        for (const Json& token : added->as_array()) {
            require_plain_added_token(token, source);
            const std::string& name = token.at("content").as_string();
            added_ids.push_back(token_number(name, token.at("id"), source));
            set_name(all.names, added_ids.back(), name, source);
        }
    all.may_be_special.resize(all.names.size());
    for (const int id : added_ids) all.may_be_special[id] = true;
    for (std::size_t id = 0; id < all.names.size(); ++id)
        if (is_special_name(all.names[id])) all.may_be_special[id] = true;  // known to the model alone
    return all;
}

// "left right", or ["left", "right"] as later versions of the library write it.
static std::vector<MergeLine> merges_of_tokenizer(const Json& tokenizer, std::string_view source) {
    std::vector<MergeLine> merges;
    for (const Json& merge : tokenizer.at("model").at("merges").as_array()) {
        std::string line;
        if (merge.kind == Json::Kind::array)
            for (const Json& side : merge.as_array()) line += (line.empty() ? "" : " ") + side.as_string();
        else
            line = merge.as_string();
        merges.push_back(parse_merge(line, merge.line, place_of_line(source, merge.line)));
    }
    return merges;
}

Vocabulary read_tokenizer(std::string_view tokenizer_json, std::string_view source) {
    const Json tokenizer = parse_json(tokenizer_json, source);
    return with_source(source, [&] {
        require_plain_bytes(tokenizer, source);
        const TokenizerNames all = names_of_tokenizer(tokenizer, source);
        return vocabulary_of(all.names, source, merges_of_tokenizer(tokenizer, source), source, all.may_be_special);
    });
}

// The id of the token with this name, as vocab.json writes it, or -1.
static int name_id(const Vocabulary& vocabulary, const std::string& name) {
    for (const int id : vocabulary.specials)
        if (vocabulary.tokens[id] == name) return id;
    for (const char32_t symbol : decode_utf8(name))
        if (byte_of(symbol) < 0) return -1;
    const int id = id_of(vocabulary, bytes_of(name));
    const bool is_special = std::find(vocabulary.specials.begin(), vocabulary.specials.end(), id) != vocabulary.specials.end();
    return is_special ? -1 : id;
}

// ---- both files ---------------------------------------------------------------------------------------------------------------

void add_tokens(Vocabulary& vocabulary, std::string_view added_tokens_json, std::string_view source) {
    const Json json = parse_json(added_tokens_json, source);
    require(json.kind == Json::Kind::object, source,
            ": an object of tokens and their numbers is needed, as {\"[PAD]\": 50257}; it holds something else");
    std::map<int, std::string> added;  // by id
    for (const JsonMember& member : json.members) {
        const int id = token_number(member.name, member.value, source), known = name_id(vocabulary, member.name);
        const std::string place = joined({source, ": line ", member.value.line, ": "});
        require(known < 0 || known == id, place, brief_string(member.name), " has the number ", id, ", vocab.json gives it ",
                known);
        if (known >= 0) continue;
        const bool is_free = id >= vocabulary.size() || vocabulary.tokens[id].empty();
        require(is_free, place, brief_string(member.name), " has the number ", id, " of another token; from ", vocabulary.size(),
                " on they are free");
        const auto [entry, is_new] = added.emplace(id, member.name);
        require(is_new, place, "the number ", id, " is given to ", brief_string(entry->second), " and to ",
                brief_string(member.name));
    }
    for (const auto& [id, name] : added) {
        set_name(vocabulary.tokens, id, name, source);
        add_special(vocabulary, id);
    }
}

// Settings beside vocab.json or tokenizer.json that put something before a text, which is not done here.
static void require_plain_settings(const std::string& path) {
    if (!is_file(path)) return;
    const Json settings = read_json(path);
    with_source(path, [&] {
        for (const char* const rule : {"add_prefix_space", "add_bos_token"})
            require(!is_true(settings, rule, false), path, ": ", rule,
                    " is true, which is not implemented here; give ids instead of words");
    });
}

Vocabulary load_tokenizer(const std::string& path) {
    require_plain_settings(beside(path, "tokenizer.json", "tokenizer_config.json"));
    return read_tokenizer(read_text_file(path, largest_file), path);
}

Vocabulary load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path) {
    Vocabulary vocabulary = read_vocabulary(read_text_file(vocab_json_path, largest_file), vocab_json_path,
                                            read_text_file(merges_txt_path, largest_file), merges_txt_path);
    require_plain_settings(beside(vocab_json_path, "vocab.json", "tokenizer_config.json"));
    const std::string added = beside(vocab_json_path, "vocab.json", "added_tokens.json");
    if (is_file(added)) add_tokens(vocabulary, read_text_file(added, largest_file), added);
    return vocabulary;
}

void save_vocabulary(const Vocabulary& vocabulary, const std::string& vocab_json_path, const std::string& merges_txt_path) {
    require(vocabulary.size() > 0, "bpe::save_vocabulary: a vocabulary without tokens; load or train one first");
    std::vector<bool> is_special(vocabulary.tokens.size(), false);
    for (const int id : vocabulary.specials) is_special[id] = true;
    Ids ids;
    std::string names;
    for (int id = 0; id < vocabulary.size(); ++id) {
        const std::string& bytes = vocabulary.tokens[id];
        if (bytes.empty()) continue;  // a number without a token
        const auto [first, is_new] = ids.emplace(bytes, id);
        require(is_new, "bpe::save_vocabulary: the tokens ", first->second, " and ", id, " are both ", quoted(bytes));
        names +=
            (names.empty() ? "" : ", ") + json_string(is_special[id] ? bytes : symbols_of(bytes)) + ": " + std::to_string(id);
    }
    std::string lines = "#version: 0.2\n";
    for (const Merge& merge : vocabulary.merges)
        lines += symbols_of(vocabulary.tokens[merge.left]) + " " + symbols_of(vocabulary.tokens[merge.right]) + "\n";
    write_file_atomically(vocab_json_path, "{" + names + "}\n");
    write_file_atomically(merges_txt_path, lines);
}

int id_of(const Vocabulary& vocabulary, std::string_view bytes) {
    const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), bytes);
    return found == vocabulary.tokens.end() ? -1 : static_cast<int>(found - vocabulary.tokens.begin());
}

// ---- Encoding -----------------------------------------------------------------------------------------------------------------

// The specification of encoding, in two functions.

// Replaces every adjacent pair left, right by the result, from left to right: in "aaa" the first two letters.
static std::vector<int> merged_everywhere(const std::vector<int>& ids, const Merge& merge) {
    std::vector<int> merged;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool here = i + 1 < ids.size() && ids[i] == merge.left && ids[i + 1] == merge.right;
        merged.push_back(here ? merge.result : ids[i]);
        if (here) ++i;
    }
    return merged;
}

static void require_tokens(const Vocabulary& vocabulary) {
    require(vocabulary.size() > 0, "bpe::encode: a vocabulary without tokens; load or train one first");
}

std::vector<int> encode_piece_textbook(std::string_view piece, const Vocabulary& vocabulary) {
    require_tokens(vocabulary);
    std::vector<int> ids;
    for (const char byte : piece) ids.push_back(vocabulary.byte_ids[static_cast<unsigned char>(byte)]);
    const int no_merge = static_cast<int>(vocabulary.merges.size());
    for (;;) {
        int lowest = no_merge;  // the lowest rank among adjacent pairs
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
            const auto rank = vocabulary.ranks.find(pair_key(ids[i], ids[i + 1]));
            if (rank != vocabulary.ranks.end()) lowest = std::min(lowest, rank->second);
        }
        if (lowest == no_merge) return ids;
        ids = merged_everywhere(ids, vocabulary.merges[lowest]);
    }
}

// The same in near-linear time: mergeable pairs wait in a queue, and a merge changes only the pairs beside it.

constexpr std::size_t longest_text = 2'000'000'000;  // bytes, because indices are ints
constexpr int nowhere = -1;

// A doubly linked list of tokens: adjacent tokens merge without moving the others.
struct LinkedTokens {
    std::vector<int> ids;             // by position (index of its first byte); nowhere once merged into the token before it
    std::vector<int> previous, next;  // positions; nowhere at the ends of a piece

    // Appends a piece.
    void append(std::string_view piece, const std::array<int, 256>& byte_ids) {
        const int first = static_cast<int>(ids.size());
        for (const char byte : piece) ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
        link(first);
    }

    // Links all positions from `first` on.
    void link(int first) {
        const int last = static_cast<int>(ids.size()) - 1;
        for (int position = first; position <= last; ++position) {
            previous.push_back(position > first ? position - 1 : nowhere);
            next.push_back(position < last ? position + 1 : nowhere);
        }
    }

    // Merges the token at `position` with the next one into `result`.
    void merge(int position, int result) {
        const int removed = next[position];
        const int after = next[removed];
        ids[position] = result;
        ids[removed] = nowhere;
        next[position] = after;
        if (after != nowhere) previous[after] = position;
    }

    bool is_pair(int position, Pair pair) const {
        return ids[position] == pair.left && next[position] != nowhere && ids[next[position]] == pair.right;
    }

    std::vector<int> remaining() const {
        std::vector<int> rest;
        for (const int id : ids)
            if (id != nowhere) rest.push_back(id);
        return rest;
    }
};

// A merge that was possible when it was put into the queue.
struct Candidate {
    int rank, position;
};

// Lowest rank first, then from left to right. (The top of a std::priority_queue is its largest element.)
struct ComesLater {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
    }
};

using Queue = std::priority_queue<Candidate, std::vector<Candidate>, ComesLater>;

static void push_candidate(Queue& queue, const LinkedTokens& tokens, int position, const Vocabulary& vocabulary) {
    if (position == nowhere || tokens.next[position] == nowhere) return;
    const auto rank = vocabulary.ranks.find(pair_key(tokens.ids[position], tokens.ids[tokens.next[position]]));
    if (rank != vocabulary.ranks.end()) queue.push({rank->second, position});
}

// Applies a rank everywhere, from left to right, before looking for the next. (The next may be lower, where two merges make the
// same token.)
static std::vector<int> merge_all(LinkedTokens& tokens, const Vocabulary& vocabulary) {
    Queue queue;
    for (int position = 0; position < static_cast<int>(tokens.ids.size()); ++position)
        push_candidate(queue, tokens, position, vocabulary);
    std::vector<int> positions;  // of the lowest rank, increasing
    while (!queue.empty()) {
        const int rank = queue.top().rank;
        positions.clear();
        for (; !queue.empty() && queue.top().rank == rank; queue.pop()) positions.push_back(queue.top().position);
        const Merge& merge = vocabulary.merges[rank];
        for (const int position : positions) {
            if (!tokens.is_pair(position, {merge.left, merge.right})) continue;  // an earlier merge removed it
            tokens.merge(position, merge.result);
            push_candidate(queue, tokens, tokens.previous[position], vocabulary);
            push_candidate(queue, tokens, position, vocabulary);
        }
    }
    return tokens.remaining();
}

std::vector<int> encode_piece(std::string_view piece, const Vocabulary& vocabulary) {
    require_tokens(vocabulary);
    require(piece.size() <= longest_text, "bpe::encode: ", piece.size(), " bytes in one piece; at most ", longest_text);
    LinkedTokens tokens;
    tokens.append(piece, vocabulary.byte_ids);
    return merge_all(tokens, vocabulary);
}

std::vector<int> merge_tokens(std::span<const int> ids, const Vocabulary& vocabulary) {
    require(ids.size() <= longest_text, "bpe::merge_tokens: ", ids.size(), " tokens; at most ", longest_text);
    for (const int id : ids)
        require(id >= 0 && id < vocabulary.size(), "bpe::merge_tokens: id ", id, " is not in a vocabulary of ", vocabulary.size(),
                ", counted from 0");
    LinkedTokens tokens;
    tokens.ids.assign(ids.begin(), ids.end());
    tokens.link(0);
    return merge_all(tokens, vocabulary);
}

std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, bool split) {
    require_tokens(vocabulary);
    if (!split) return encode_piece(text, vocabulary);
    std::vector<int> ids;
    for (const std::string_view piece : split_pieces(text)) {
        const std::vector<int> tokens = encode_piece(piece, vocabulary);
        ids.insert(ids.end(), tokens.begin(), tokens.end());
    }
    return ids;
}

void require_no_special(std::string_view text, const Vocabulary& vocabulary) {
    for (const int id : vocabulary.specials)
        require(text.find(vocabulary.tokens[id]) == std::string_view::npos, "bpe: the text holds the special token ",
                brief_string(vocabulary.tokens[id]), ": published code reads it as the id ", id,
                ", here it would be read letter by letter; leave it out, or give ids instead of words");
}

std::string decode_bytes(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    std::string bytes;
    for (const int id : ids) {
        require(id >= 0 && id < vocabulary.size(), "bpe::decode: id ", id, " is not in a vocabulary of ", vocabulary.size(),
                ", counted from 0");
        bytes += vocabulary.tokens[id];
    }
    return bytes;
}

std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    return encode_utf8(decode_utf8(decode_bytes(ids, vocabulary)));
}

// ---- Training -----------------------------------------------------------------------------------------------------------------

// The specification of training, in two functions.

// How often each adjacent pair occurs inside the pieces, in the order of first occurrence.
static std::vector<TrainingStep> count_pairs(const std::vector<std::vector<int>>& pieces) {
    std::vector<TrainingStep> counts;
    for (const std::vector<int>& piece : pieces)
        for (std::size_t i = 0; i + 1 < piece.size(); ++i) {
            const int left = piece[i], right = piece[i + 1];
            const auto is_this = [&](const TrainingStep& step) { return step.pair.left == left && step.pair.right == right; };
            const auto known = std::find_if(counts.begin(), counts.end(), is_this);
            if (known != counts.end())
                ++known->count;
            else
                counts.push_back({.pair = {left, right}, .count = 1});
        }
    return counts;
}

Training train_textbook(std::string_view text, int merges, bool split) {
    require(merges >= 0, "bpe::train: ", merges, " merges; the number must not be negative");
    std::vector<std::vector<int>> pieces;
    for (const std::string_view piece : split ? split_pieces(text) : std::vector<std::string_view>{text}) {
        pieces.emplace_back();
        for (const char byte : piece) pieces.back().push_back(static_cast<unsigned char>(byte));
    }
    Training training;
    for (int result = 256; result < 256 + merges; ++result) {
        const std::vector<TrainingStep> counts = count_pairs(pieces);
        if (counts.empty()) break;
        TrainingStep best = counts[0];
        for (const TrainingStep& step : counts)
            if (step.count > best.count) best = step;  // ties: the first
        best.result = result;
        for (const TrainingStep& step : counts) best.tied_pairs += step.count == best.count;
        for (std::vector<int>& piece : pieces) {
            piece = merged_everywhere(piece, {best.pair.left, best.pair.right, result});
            best.tokens_after += static_cast<int>(piece.size());
        }
        training.steps.push_back(best);
    }
    for (const std::vector<int>& piece : pieces) training.ids.insert(training.ids.end(), piece.begin(), piece.end());
    return training;
}

// The same in near-linear time: only what a merge changes is recounted, and each distinct piece is merged once and counted with
// its number of occurrences. Distinct pieces are kept in order of first occurrence, so ties are broken as in the text.

// Where a pair occurs. Its positions are all noted in one pass from left to right (the pass that makes its later token) and are only
// ever removed, so the list stays sorted.
struct Occurrences {
    Pair pair;
    int count = 0;               // occurrences in the current text
    std::vector<int> positions;  // of the left token, increasing; some may be stale
    std::size_t front = 0;       // entries before this one are stale
};

// A pair with its count and first position at the time it was queued.
struct Contender {
    int count, position, pair;
};

// More frequent first, then first in the text.
struct IsWorse {
    bool operator()(const Contender& a, const Contender& b) const {
        return a.count != b.count ? a.count < b.count : a.position > b.position;
    }
};

struct Trainer {
    LinkedTokens tokens;           // the distinct pieces, in order of first occurrence
    std::vector<int> occurrences;  // by position: how often its piece occurs in the text
    int length = 0;                // length of the current text, in tokens
    std::vector<Occurrences> pairs;
    std::unordered_map<std::uint64_t, int> index;  // of a pair in `pairs`
    std::vector<int> pairs_with_count;             // by count: how many pairs have it
    std::vector<int> fresh;                        // new pairs that are not queued yet
    std::priority_queue<Contender, std::vector<Contender>, IsWorse> queue;
};

static void change_count(Trainer& trainer, int pair, int by) {
    int& count = trainer.pairs[pair].count;
    --trainer.pairs_with_count[count];
    count += by;
    ++trainer.pairs_with_count[count];
}

// Counts the pair at this position.
static void add_pair(Trainer& trainer, int position) {
    if (position == nowhere || trainer.tokens.next[position] == nowhere) return;
    const Pair pair{trainer.tokens.ids[position], trainer.tokens.ids[trainer.tokens.next[position]]};
    const int next_index = static_cast<int>(trainer.pairs.size());
    const auto [entry, is_new] = trainer.index.try_emplace(pair_key(pair.left, pair.right), next_index);
    if (is_new) {
        trainer.pairs.push_back({pair, 0, {}, 0});
        trainer.fresh.push_back(next_index);
        ++trainer.pairs_with_count[0];
    }
    trainer.pairs[entry->second].positions.push_back(position);
    change_count(trainer, entry->second, trainer.occurrences[position]);
}

// Uncounts the pair at this position, before a merge removes it.
static void remove_pair(Trainer& trainer, int position) {
    if (position == nowhere || trainer.tokens.next[position] == nowhere) return;
    const std::uint64_t key = pair_key(trainer.tokens.ids[position], trainer.tokens.ids[trainer.tokens.next[position]]);
    change_count(trainer, trainer.index.at(key), -trainer.occurrences[position]);
}

static void merge_at(Trainer& trainer, int position, int result) {
    remove_pair(trainer, trainer.tokens.previous[position]);
    remove_pair(trainer, position);
    remove_pair(trainer, trainer.tokens.next[position]);
    trainer.tokens.merge(position, result);
    trainer.length -= trainer.occurrences[position];
    add_pair(trainer, trainer.tokens.previous[position]);
    add_pair(trainer, position);
}

// A pair with its current count and first position.
static Contender current_contender(Trainer& trainer, int pair) {
    Occurrences& here = trainer.pairs[pair];
    while (here.front < here.positions.size() && !trainer.tokens.is_pair(here.positions[here.front], here.pair)) ++here.front;
    const int first = here.front < here.positions.size() ? here.positions[here.front] : nowhere;
    return {here.count, first, pair};
}

static void queue_fresh_pairs(Trainer& trainer) {
    for (const int pair : trainer.fresh) trainer.queue.push(current_contender(trainer, pair));
    trainer.fresh.clear();
}

// Counts only fall and first positions only move right, so a queued entry never understates its pair: a top entry that is up to date
// is the best pair.
static int best_pair(Trainer& trainer) {
    while (!trainer.queue.empty()) {
        const Contender queued = trainer.queue.top();
        const Contender now = current_contender(trainer, queued.pair);
        if (now.count > 0 && now.count == queued.count && now.position == queued.position) return now.pair;
        trainer.queue.pop();
        if (now.count > 0) trainer.queue.push(now);
    }
    return nowhere;
}

namespace {
// The distinct pieces of a text, in order of first occurrence.
struct DistinctPieces {
    std::vector<std::string_view> pieces;
    std::vector<int> counts;
    std::vector<int> order;  // the text, as indices of pieces
};
}  // namespace

static DistinctPieces distinct_pieces(std::string_view text, bool split) {
    DistinctPieces distinct;
    std::unordered_map<std::string_view, int> numbers;
    for (const std::string_view piece : split ? split_pieces(text) : std::vector<std::string_view>{text}) {
        const auto [entry, is_new] = numbers.try_emplace(piece, static_cast<int>(distinct.pieces.size()));
        if (is_new) {
            distinct.pieces.push_back(piece);
            distinct.counts.push_back(0);
        }
        ++distinct.counts[entry->second];
        distinct.order.push_back(entry->second);
    }
    return distinct;
}

static Trainer start_training(const DistinctPieces& distinct, std::size_t length) {
    std::array<int, 256> raw{};
    for (int byte = 0; byte < 256; ++byte) raw[byte] = byte;
    Trainer trainer;
    for (std::size_t p = 0; p < distinct.pieces.size(); ++p) {
        trainer.tokens.append(distinct.pieces[p], raw);
        trainer.occurrences.resize(trainer.tokens.ids.size(), distinct.counts[p]);
    }
    trainer.length = static_cast<int>(length);
    trainer.pairs_with_count.assign(length + 1, 0);
    for (int position = 0; position < static_cast<int>(trainer.tokens.ids.size()); ++position) add_pair(trainer, position);
    queue_fresh_pairs(trainer);
    return trainer;
}

// The whole text as tokens: the merged pieces in the order of the text.
static std::vector<int> tokens_of_text(const LinkedTokens& tokens, const DistinctPieces& distinct) {
    std::vector<int> first_positions, ids;
    int first = 0;
    for (const std::string_view piece : distinct.pieces) {
        first_positions.push_back(first);
        first += static_cast<int>(piece.size());
    }
    for (const int piece : distinct.order)
        for (int position = distinct.pieces[piece].empty() ? nowhere : first_positions[piece]; position != nowhere;
             position = tokens.next[position])
            ids.push_back(tokens.ids[position]);
    return ids;
}

// Merges a pair everywhere, from left to right.
static TrainingStep merge_everywhere(Trainer& trainer, int best, int result) {
    const Pair pair = trainer.pairs[best].pair;
    const int count = trainer.pairs[best].count;
    const int tied_pairs = trainer.pairs_with_count[count];
    const std::vector<int> positions = std::move(trainer.pairs[best].positions);
    for (const int position : positions)
        if (trainer.tokens.is_pair(position, pair)) merge_at(trainer, position, result);
    trainer.pairs[best].positions.clear();
    queue_fresh_pairs(trainer);
    return {pair, result, count, tied_pairs, trainer.length};
}

Training train(std::string_view text, int merges, bool split, Progress* progress) {
    require(merges >= 0, "bpe::train: ", merges, " merges; the number must not be negative");
    require(text.size() <= longest_text, "bpe::train: a text of ", text.size(), " bytes, at most ", longest_text,
            "; learn from a part of it");
    if (progress != nullptr) progress->update(-1);
    const DistinctPieces distinct = distinct_pieces(text, split);
    Trainer trainer = start_training(distinct, text.size());
    Training training;
    for (int result = 256; result < 256 + merges; ++result) {
        const int best = best_pair(trainer);
        if (best == nowhere) break;
        training.steps.push_back(merge_everywhere(trainer, best, result));
        if (progress != nullptr) progress->update(result - 256);
    }
    training.ids = tokens_of_text(trainer.tokens, distinct);
    return training;
}

std::vector<Pair> Training::pairs() const {
    std::vector<Pair> result;
    for (const TrainingStep& step : steps) result.push_back(step.pair);
    return result;
}

Vocabulary vocabulary_of(const Training& training) {
    const std::array<unsigned char, 256> order = published_byte_order();
    std::array<int, 256> published_id{};
    for (int id = 0; id < 256; ++id) published_id[order[id]] = id;
    std::vector<Pair> pairs = training.pairs();
    for (Pair& pair : pairs) {
        if (pair.left < 256) pair.left = published_id[pair.left];
        if (pair.right < 256) pair.right = published_id[pair.right];
    }
    return make_vocabulary(pairs, ByteOrder::published);
}

}  // namespace bpe
