#include "vit/language/clip_tokenizer.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/data/unicode.h"

namespace clip {

constexpr std::string_view end_of_word = "</w>", start_name = "<|startoftext|>", end_name = "<|endoftext|>";
constexpr std::size_t largest_file = std::size_t{1} << 28;  // bytes; the published files have a million
constexpr std::size_t published_merges = 48894;             // the original list is longer; the first of its merges are used

// --- from text to words ---

namespace {
struct Replacement {
    char32_t character;
    std::size_t length;  // bytes that it replaces
};
}  // namespace

// &#60; or &#x3C; at the front of `text`, the semicolon may be missing.
static std::optional<Replacement> numbered_character(std::string_view text) {
    if (!text.starts_with("&#")) return {};
    const bool hexadecimal = text.size() > 2 && (text[2] == 'x' || text[2] == 'X');
    const std::size_t first = hexadecimal ? 3 : 2;
    std::size_t at = first;
    char32_t number = 0;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        const bool digit = c >= '0' && c <= '9', letter = hexadecimal && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
        if (!digit && !letter) break;
        const char32_t value = digit ? c - '0' : 10 + (c | 0x20) - 'a';
        number = std::min<char32_t>(number * (hexadecimal ? 16 : 10) + value, 0x110000);
    }
    if (at == first) return {};
    return Replacement{number == 0 ? replacement_character : number, at + (at < text.size() && text[at] == ';')};
}

// &lt; and the like at the front of `text`, the semicolon may be missing.
static std::optional<Replacement> named_character(std::string_view text) {
    struct Name {
        std::string_view name;
        char32_t character;
    };
    for (const Name& known :
         {Name{"&lt", U'<'}, Name{"&gt", U'>'}, Name{"&amp", U'&'}, Name{"&quot", U'"'}, Name{"&nbsp", U'\u00A0'}})
        if (text.starts_with(known.name))
            return Replacement{known.character, known.name.size() + (text.substr(known.name.size()).starts_with(";"))};
    return {};
}

static std::string html_unescaped(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size();) {
        std::optional<Replacement> found;
        if (text[at] == '&') found = named_character(text.substr(at));
        if (text[at] == '&' && !found) found = numbered_character(text.substr(at));
        if (found) plain += encode_utf8(found->character);
        if (!found) plain += text[at];
        at += found ? found->length : 1;
    }
    return plain;
}

// What Python's strip() takes from the ends besides white space: four separators of old files.
static bool is_stripped(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

static std::u32string stripped(std::u32string_view text) {
    while (!text.empty() && is_stripped(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_stripped(text.back())) text.remove_suffix(1);
    return std::u32string(text);
}

std::string clean(std::string_view text) {
    const std::string plain = html_unescaped(html_unescaped(text));
    std::u32string blanks_once;
    bool in_space = false;
    for (const char32_t c : stripped(decode_utf8(plain))) {
        const bool space = is_white_space(c);
        if (!space) blanks_once += c;
        if (space && !in_space) blanks_once += U' ';
        in_space = space;
    }
    return encode_utf8(lower_case(stripped(blanks_once)));
}

// Every matcher returns where its match from `at` on ends, or `at` when there is none.

static std::size_t match_literal(std::u32string_view text, std::size_t at, std::u32string_view literal) {
    return text.substr(at).starts_with(literal) ? at + literal.size() : at;
}

// 's|'t|'re|'ve|'m|'ll|'d   case-insensitive, so that the long s counts as s
static std::size_t match_contraction(std::u32string_view text, std::size_t at) {
    for (const std::u32string_view ending : {U"'s", U"'\u017F", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"})
        if (const std::size_t end = match_literal(text, at, ending); end > at) return end;
    return at;
}

static bool is_letter(char32_t c) { return character_class(c) == CharacterClass::letter; }
static bool is_number(char32_t c) { return character_class(c) == CharacterClass::number; }
static bool is_symbol(char32_t c) { return !is_white_space(c) && !is_letter(c) && !is_number(c); }

static std::size_t match_run(std::u32string_view text, std::size_t at, bool (*belongs)(char32_t)) {
    std::size_t end = at;
    while (end < text.size() && belongs(text[end])) ++end;
    return end;
}

static std::size_t match_word(std::u32string_view text, std::size_t at) {
    std::size_t end = match_literal(text, at, U"<|startoftext|>");
    if (end == at) end = match_literal(text, at, U"<|endoftext|>");
    if (end == at) end = match_contraction(text, at);
    if (end == at) end = match_run(text, at, is_letter);
    if (end == at && is_number(text[at])) end = at + 1;
    if (end == at) end = match_run(text, at, is_symbol);
    return end;
}

std::vector<std::string> split_words(std::string_view clean_text) {
    const std::u32string text = decode_utf8(clean_text);
    std::vector<std::string> words;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = match_word(text, at);
        if (end > at) words.push_back(encode_utf8(std::u32string_view(text).substr(at, end - at)));
        at = std::max(end, at + 1);  // white space is matched by nothing and dropped
    }
    return words;
}

// --- from words to ids and back ---

static void append_word(std::vector<int>& ids, const std::string& word, const Tokenizer& tokenizer) {
    if (word == start_name) return ids.push_back(tokenizer.start);
    if (word == end_name) return ids.push_back(tokenizer.end);
    std::vector<int> bytes;
    for (const char byte : word) bytes.push_back(tokenizer.vocabulary.byte_ids[static_cast<unsigned char>(byte)]);
    bytes.back() = tokenizer.last_ids[static_cast<unsigned char>(word.back())];
    const std::vector<int> tokens = bpe::merge_tokens(bytes, tokenizer.vocabulary);
    ids.insert(ids.end(), tokens.begin(), tokens.end());
}

std::vector<int> encode(std::string_view text, const Tokenizer& tokenizer) {
    std::vector<int> ids;
    for (const std::string& word : split_words(clean(text))) append_word(ids, word, tokenizer);
    return ids;
}

std::string decode(const std::vector<int>& ids, const Tokenizer& tokenizer) {
    std::string text = bpe::decode(ids, tokenizer.vocabulary);
    for (std::size_t at = 0; (at = text.find(end_of_word, at)) != std::string::npos; ++at)
        text.replace(at, end_of_word.size(), " ");
    return text;
}

TokenBatch make_sentences(const std::vector<std::string>& texts, const Tokenizer& tokenizer, int length, int padding,
                          Long too_long) {
    require(padding >= 0 && padding < tokenizer.size(), "make_sentences: padding with token ", padding, ", the tokenizer has ",
            tokenizer.size(), ", counted from 0");
    require(length >= 2, "make_sentences: a length of ", length, " has no room for start and end");
    std::vector<int> all;
    for (const std::string& text : texts) {
        std::vector<int> ids = encode(text, tokenizer);
        const int room = length - 2;
        require(static_cast<int>(ids.size()) <= room || too_long == Long::cut, "make_sentences: ", brief_string(text), " has ",
                ids.size(), " tokens, there is room for ", room);
        ids.resize(std::min(ids.size(), static_cast<std::size_t>(room)));
        all.push_back(tokenizer.start);
        all.insert(all.end(), ids.begin(), ids.end());
        all.push_back(tokenizer.end);
        all.insert(all.end(), static_cast<std::size_t>(room) - ids.size(), padding);
    }
    return equal_batch(all, length);
}

// --- the published files ---

namespace {
struct MergeLine {
    std::string left, right;  // symbols; the last of `right` may carry </w>
    int number;               // of the line, from 1
};
}  // namespace

using Ids = std::unordered_map<std::string, int>;  // name, as the files have it -> id

static std::vector<MergeLine> parse_merges(std::string_view file_content, std::string_view source) {
    const std::string other = kind_that_is_no_merges(file_content.substr(0, 512));
    require(other.empty(), source, ": is not a merges.txt, which has a merge of two tokens in each line; it looks like ", other);
    std::vector<MergeLine> merges;
    std::vector<std::string> lines = lines_of_file(file_content, source);
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    for (std::size_t i = 0; i < lines.size() && merges.size() < published_merges; ++i) {
        const int number = static_cast<int>(i) + 1;
        if (i == 0 && lines[i].find("#version") != std::string::npos) continue;
        const std::vector<std::string> sides = split(lines[i], ' ');
        require(sides.size() == 2 && !sides[0].empty() && !sides[1].empty(), source, ": line ", number, ": ",
                brief_string(lines[i]), " is not a merge, which is two tokens with one space between them");
        merges.push_back({sides[0], sides[1], number});
    }
    return merges;
}

// A name as files have it -> the bytes it stands for, with </w> where it ends a word.
static std::string bytes_of_name(const std::string& name) {
    const bool ends_word = name.ends_with(end_of_word) && name.size() > end_of_word.size();
    if (!ends_word) return bpe::bytes_of(name);
    return bpe::bytes_of(name.substr(0, name.size() - end_of_word.size())) + std::string(end_of_word);
}

static int id_of_name(const Ids& ids, const std::string& name, std::string_view source) {
    const auto found = ids.find(name);
    require(found != ids.end(), source, ": there is no token ", json_string(name));
    return found->second;
}

// The tokenizer in which every name has the id that `ids` gives it.
static Tokenizer assemble(const std::vector<MergeLine>& merges, const Ids& ids, std::string_view vocab_source,
                          std::string_view merges_source) {
    Tokenizer tokenizer;
    bpe::Vocabulary& vocabulary = tokenizer.vocabulary;
    tokenizer.start = id_of_name(ids, std::string(start_name), vocab_source);
    tokenizer.end = id_of_name(ids, std::string(end_name), vocab_source);
    require(tokenizer.end == static_cast<int>(ids.size()) - 1, vocab_source, ": ", end_name, " has the id ", tokenizer.end,
            ", it must be the largest, ", ids.size() - 1, ": the model finds the end of a sentence by it");
    vocabulary.tokens.resize(ids.size());
    for (const auto& [name, id] : ids)
        vocabulary.tokens[static_cast<std::size_t>(id)] =
            id == tokenizer.start || id == tokenizer.end ? name : bytes_of_name(name);
    for (int byte = 0; byte < 256; ++byte) {
        const std::string symbol = bpe::symbols_of(std::string(1, static_cast<char>(byte)));
        vocabulary.byte_ids[static_cast<std::size_t>(byte)] = id_of_name(ids, symbol, vocab_source);
        tokenizer.last_ids[static_cast<std::size_t>(byte)] = id_of_name(ids, symbol + std::string(end_of_word), vocab_source);
    }
    for (const MergeLine& line : merges) {
        for (const std::string& name : {line.left, line.right, line.left + line.right})
            require(ids.contains(name), merges_source, ": line ", line.number, ": there is no token ", json_string(name));
        const int left = ids.at(line.left), right = ids.at(line.right), rank = static_cast<int>(vocabulary.merges.size());
        vocabulary.merges.push_back({left, right, ids.at(line.left + line.right)});
        const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
        require(vocabulary.ranks.emplace(pair, rank).second, merges_source, ": line ", line.number, ": ", json_string(line.left),
                " and ", json_string(line.right), " are joined already by an earlier line; leave one out");
    }
    vocabulary.specials = {tokenizer.start, tokenizer.end};
    vocabulary.end_of_text = tokenizer.end;
    return tokenizer;
}

Tokenizer read_merges(std::string_view file_content, std::string_view source) {
    const std::vector<MergeLine> merges = parse_merges(file_content, source);
    Ids ids;
    for (const std::string_view ending : {std::string_view(), end_of_word})
        for (const unsigned char byte : bpe::published_byte_order())
            ids.emplace(bpe::symbols_of(std::string(1, static_cast<char>(byte))) + std::string(ending),
                        static_cast<int>(ids.size()));
    for (const MergeLine& line : merges) {
        for (const std::string& side : {line.left, line.right})
            require(ids.contains(side), source, ": line ", line.number, ": no byte and no earlier line makes ", json_string(side),
                    "; is a line missing?");
        const bool is_new = ids.emplace(line.left + line.right, static_cast<int>(ids.size())).second;
        require(is_new, source, ": line ", line.number, ": ", json_string(line.left + line.right),
                " is made a second time; which number it has, only the vocab.json of this file can tell");
    }
    for (const std::string_view name : {start_name, end_name}) ids.emplace(name, static_cast<int>(ids.size()));
    return assemble(merges, ids, source, source);
}

Tokenizer read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                          std::string_view merges_source) {
    const Json json = parse_json(without_byte_order_mark(vocab_json), vocab_source);
    require(json.kind == Json::Kind::object, vocab_source,
            ": an object of tokens and their numbers is needed, as {\"a\": 0, ...}");
    const int count = static_cast<int>(json.members.size());
    std::vector<bool> taken(static_cast<std::size_t>(count), false);
    Ids ids;
    for (const JsonMember& member : json.members) {
        const bool in_range = member.value.whole && member.value.integer >= 0 && member.value.integer < count;
        require(in_range, vocab_source, ": line ", member.value.line, ": the number of ", json_string(member.name), " is ",
                brief_string(json_text(member.value)), ", it must be one of 0 ... ", count - 1);
        const std::size_t id = static_cast<std::size_t>(member.value.integer);
        require(!taken[id], vocab_source, ": the number ", id, " is given twice, also to ", json_string(member.name));
        taken[id] = true;
        ids.emplace(member.name, static_cast<int>(id));
    }
    return assemble(parse_merges(merges_txt, merges_source), ids, vocab_source, merges_source);
}

Tokenizer load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path) {
    const std::string json = read_text_file(vocab_json_path, largest_file);
    const Tokenizer tokenizer =
        read_vocabulary(json, vocab_json_path, read_text_file(merges_txt_path, largest_file), merges_txt_path);
    const std::string added = beside(vocab_json_path, "vocab.json", "added_tokens.json");
    if (!is_file(added)) return tokenizer;
    const Json names = parse_json(json, vocab_json_path);
    require_no_added_tokens(added, [&](const std::string& token) {
        const Json* const id = names.find(token);
        return id == nullptr ? -1 : id->as_int();
    });
    return tokenizer;
}

}  // namespace clip
