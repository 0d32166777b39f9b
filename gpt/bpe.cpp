#include "gpt/bpe.h"

#include <algorithm>
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

// A character of the text: what the pattern sees of it, and where its bytes begin.
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
        if (at < text.size()) characters.push_back({replacement_character, Kind::symbol, at++});  // a byte that is no UTF-8
    }
    return characters;
}

// Every matcher returns where its match from `at` on ends, or `at` when there is none.

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

//  ?\p{L}+   or the same with \p{N} or [^\s\p{L}\p{N}]
static std::size_t match_run(const std::vector<Character>& text, std::size_t at, Kind kind) {
    const std::size_t begin = text[at].code == U' ' ? at + 1 : at;
    std::size_t end = begin;
    while (end < text.size() && text[end].kind == kind) ++end;
    return end > begin ? end : at;
}

// \s+(?!\S)   the whole run at the end of the text; elsewhere the run without its last character, if anything is left then
static std::size_t match_space_before_space(const std::vector<Character>& text, std::size_t at) {
    std::size_t end = at;
    while (end < text.size() && text[end].kind == Kind::space) ++end;
    return end == text.size() || end == at ? end : end - 1;
}

// \s+   reached only by a single one before a non-space: longer runs are matched before
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
    int place = 0;
    for (const bool wanted : {true, false})
        for (int byte = 0; byte < 256; ++byte)
            if (stands_for_itself(byte) == wanted) order[place++] = static_cast<unsigned char>(byte);
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
    const char32_t place = themselves + (symbol - 0x100);
    return place < 256 ? order[place] : -1;
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

// False when the pair is in the list already.
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
    int number;  // of the line, from 1
};

static std::vector<MergeLine> parse_merges(std::string_view file_content, std::string_view source) {
    std::vector<MergeLine> merges;
    std::vector<std::string> lines = split_lines(without_byte_order_mark(file_content));
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const int number = static_cast<int>(i) + 1;
        if (i == 0 && lines[i].starts_with("#version")) continue;
        const std::vector<std::string> sides = split(lines[i], ' ');
        const bool two_sides = sides.size() == 2 && !sides[0].empty() && !sides[1].empty();
        require(two_sides, source, ": line ", number, ": a merge is two tokens with one space between them");
        for (const std::string& side : sides)
            for (const char32_t symbol : decode_utf8(side))
                require(byte_of(symbol) >= 0, source, ": line ", number, ": the character ", encode_utf8(symbol),
                        " stands for no byte");
        merges.push_back({bytes_of(sides[0]), bytes_of(sides[1]), number});
    }
    return merges;
}

using Ids = std::unordered_map<std::string, int>;  // bytes -> id

// Every line joins two tokens that a byte or an earlier line has made, and no line stands there twice. Two lines may make the same
// token ("ab c" and "a bc"): by which way it is made is a matter of their ranks.
static void check_order(const std::vector<MergeLine>& lines, std::string_view source) {
    std::set<std::pair<std::string, std::string>> pairs;
    std::unordered_set<std::string> made;
    for (int byte = 0; byte < 256; ++byte) made.emplace(1, static_cast<char>(byte));
    for (const MergeLine& line : lines) {
        for (const std::string& side : {line.left, line.right})
            require(made.contains(side), source, ": line ", line.number, ": no byte and no earlier line makes ", quoted(side));
        made.insert(line.left + line.right);
        const bool is_new = pairs.insert({line.left, line.right}).second;
        require(is_new, source, ": line ", line.number, ": ", quoted(line.left), " and ", quoted(line.right),
                " are joined already");
    }
}

// The vocabulary in which every byte and every result of a merge has the id that `ids` gives it.
static Vocabulary assemble(const std::vector<MergeLine>& lines, const Ids& ids) {
    Vocabulary vocabulary;
    vocabulary.tokens.resize(ids.size());
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
                " is made a second time; which number it has, only the vocab.json of this file can tell");
    }
    Vocabulary vocabulary = assemble(lines, ids);
    add_end_of_text(vocabulary);
    return vocabulary;
}

constexpr std::size_t largest_file = std::size_t{1} << 28;  // bytes; the published files have a million

Vocabulary load_merges(const std::string& path) { return read_merges(read_text_file(path, largest_file), path); }

static bool is_special_name(std::string_view name) { return name.size() > 2 && name.front() == '<' && name.back() == '>'; }

// vocab.json as the names of the tokens, by id.
static std::vector<std::string> parse_names(std::string_view vocab_json, std::string_view source) {
    const Json json = parse_json(vocab_json, source);
    require(json.kind == Json::Kind::object, source, ": an object of tokens and their numbers is needed");
    const int count = static_cast<int>(json.members.size());
    std::vector<std::string> names(count);
    std::vector<bool> taken(count, false);
    for (const JsonMember& member : json.members) {
        require(!member.name.empty(), source, ": line ", member.value.line, ": a token without a name");
        const bool in_range = member.value.whole && member.value.integer >= 0 && member.value.integer < count;
        require(in_range, source, ": the number of ", json_string(member.name), " is not one of 0 ... ", count - 1);
        const std::size_t id = static_cast<std::size_t>(member.value.integer);
        require(!taken[id], source, ": the number ", id, " is given to ", json_string(names[id]), " and to ",
                json_string(member.name));
        taken[id] = true;
        names[id] = member.name;
    }
    return names;
}

Vocabulary read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                           std::string_view merges_source) {
    const std::vector<std::string> names = parse_names(vocab_json, vocab_source);
    const std::vector<MergeLine> lines = parse_merges(merges_txt, merges_source);
    check_order(lines, merges_source);
    std::unordered_map<std::string, int> id_of_name;
    for (const std::string& name : names) id_of_name.emplace(name, static_cast<int>(id_of_name.size()));

    Ids ids;
    for (int byte = 0; byte < 256; ++byte) {
        const std::string bytes(1, static_cast<char>(byte));
        const auto found = id_of_name.find(symbols_of(bytes));
        require(found != id_of_name.end(), vocab_source, ": ", quoted(bytes), ", the symbol of byte ", byte, ", is missing");
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
        if (is_made[id]) continue;
        require(is_special_name(names[id]), vocab_source, ": no merge of ", merges_source, " makes ", json_string(names[id]));
        require(ids.emplace(names[id], id).second, vocab_source, ": ", json_string(names[id]), " is also made of merges");
        specials.push_back(id);
    }
    Vocabulary vocabulary = assemble(lines, ids);
    for (const int id : specials) add_special(vocabulary, id);
    return vocabulary;
}

Vocabulary load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path) {
    return read_vocabulary(read_text_file(vocab_json_path, largest_file), vocab_json_path,
                           read_text_file(merges_txt_path, largest_file), merges_txt_path);
}

void save_vocabulary(const Vocabulary& vocabulary, const std::string& vocab_json_path, const std::string& merges_txt_path) {
    std::vector<bool> is_special(vocabulary.tokens.size(), false);
    for (const int id : vocabulary.specials) is_special[id] = true;
    Ids ids;
    std::string names;
    for (int id = 0; id < vocabulary.size(); ++id) {
        const std::string& bytes = vocabulary.tokens[id];
        const auto [first, is_new] = ids.emplace(bytes, id);
        require(is_new, "bpe::save_vocabulary: the tokens ", first->second, " and ", id, " are both ", quoted(bytes));
        names += (id > 0 ? ", " : "") + json_string(is_special[id] ? bytes : symbols_of(bytes)) + ": " + std::to_string(id);
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

// Every pair of neighbours left, right becomes one token, from left to right: of "aaa" the first two letters.
static std::vector<int> merged_everywhere(const std::vector<int>& ids, const Merge& merge) {
    std::vector<int> merged;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool here = i + 1 < ids.size() && ids[i] == merge.left && ids[i + 1] == merge.right;
        merged.push_back(here ? merge.result : ids[i]);
        if (here) ++i;
    }
    return merged;
}

std::vector<int> encode_piece_textbook(std::string_view piece, const Vocabulary& vocabulary) {
    std::vector<int> ids;
    for (const char byte : piece) ids.push_back(vocabulary.byte_ids[static_cast<unsigned char>(byte)]);
    const int no_merge = static_cast<int>(vocabulary.merges.size());
    for (;;) {
        int lowest = no_merge;  // the rank of the best pair of neighbours
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
            const auto rank = vocabulary.ranks.find(pair_key(ids[i], ids[i + 1]));
            if (rank != vocabulary.ranks.end()) lowest = std::min(lowest, rank->second);
        }
        if (lowest == no_merge) return ids;
        ids = merged_everywhere(ids, vocabulary.merges[lowest]);
    }
}

// The same, in near-linear time: neighbours that can be merged wait in a queue, and a merge touches only those beside it.

constexpr std::size_t longest_text = 2'000'000'000;  // bytes: places are ints
constexpr int nowhere = -1;

// A sequence of tokens in which neighbours can be merged without moving the others: every place knows the places beside it.
struct LinkedTokens {
    std::vector<int> ids;             // by place; nowhere once the token has become part of the one before it
    std::vector<int> previous, next;  // places; nowhere at the ends of a piece

    // Adds a piece: places from first to last are neighbours.
    void append(std::string_view piece, const std::array<int, 256>& byte_ids) {
        const int first = static_cast<int>(ids.size());
        for (const char byte : piece) ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
        link(first);
    }

    // Makes neighbours of all from place `first` on.
    void link(int first) {
        const int last = static_cast<int>(ids.size()) - 1;
        for (int place = first; place <= last; ++place) {
            previous.push_back(place > first ? place - 1 : nowhere);
            next.push_back(place < last ? place + 1 : nowhere);
        }
    }

    // The token at `place` takes in the one behind it and becomes `result`.
    void merge(int place, int result) {
        const int taken = next[place];
        const int behind = next[taken];
        ids[place] = result;
        ids[taken] = nowhere;
        next[place] = behind;
        if (behind != nowhere) previous[behind] = place;
    }

    bool is_pair(int place, Pair pair) const {
        return ids[place] == pair.left && next[place] != nowhere && ids[next[place]] == pair.right;
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
    int rank, place;
};

// Lowest rank first, then from left to right. (A std::priority_queue brings the largest to the top.)
struct ComesLater {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.rank != b.rank ? a.rank > b.rank : a.place > b.place;
    }
};

using Queue = std::priority_queue<Candidate, std::vector<Candidate>, ComesLater>;

static void push_candidate(Queue& queue, const LinkedTokens& tokens, int place, const Vocabulary& vocabulary) {
    if (place == nowhere || tokens.next[place] == nowhere) return;
    const auto rank = vocabulary.ranks.find(pair_key(tokens.ids[place], tokens.ids[tokens.next[place]]));
    if (rank != vocabulary.ranks.end()) queue.push({rank->second, place});
}

// A rank is carried out completely, from left to right, before the next is looked for. (The next may be a lower one, where a
// vocabulary makes the same token in two ways.)
static std::vector<int> merge_all(LinkedTokens& tokens, const Vocabulary& vocabulary) {
    Queue queue;
    for (int place = 0; place < static_cast<int>(tokens.ids.size()); ++place) push_candidate(queue, tokens, place, vocabulary);
    std::vector<int> places;  // of the lowest rank, increasing
    while (!queue.empty()) {
        const int rank = queue.top().rank;
        places.clear();
        for (; !queue.empty() && queue.top().rank == rank; queue.pop()) places.push_back(queue.top().place);
        const Merge& merge = vocabulary.merges[rank];
        for (const int place : places) {
            if (!tokens.is_pair(place, {merge.left, merge.right})) continue;  // an earlier merge took a part of it
            tokens.merge(place, merge.result);
            push_candidate(queue, tokens, tokens.previous[place], vocabulary);
            push_candidate(queue, tokens, place, vocabulary);
        }
    }
    return tokens.remaining();
}

std::vector<int> encode_piece(std::string_view piece, const Vocabulary& vocabulary) {
    require(piece.size() <= longest_text, "bpe::encode: ", piece.size(), " bytes without a cut; at most ", longest_text);
    LinkedTokens tokens;
    tokens.append(piece, vocabulary.byte_ids);
    return merge_all(tokens, vocabulary);
}

std::vector<int> merge_tokens(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    require(ids.size() <= longest_text, "bpe::merge_tokens: ", ids.size(), " tokens; at most ", longest_text);
    LinkedTokens tokens;
    tokens.ids = ids;
    tokens.link(0);
    return merge_all(tokens, vocabulary);
}

std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, bool split) {
    if (!split) return encode_piece(text, vocabulary);
    std::vector<int> ids;
    for (const std::string_view piece : split_pieces(text)) {
        const std::vector<int> tokens = encode_piece(piece, vocabulary);
        ids.insert(ids.end(), tokens.begin(), tokens.end());
    }
    return ids;
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

// How often each pair of neighbours occurs inside the pieces, in the order in which the pairs are first met.
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
            if (step.count > best.count) best = step;  // of equally frequent ones the first
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

// The same, in near-linear time: only what a merge changes is counted anew, and a piece that occurs a thousand times is merged once
// and counts a thousand times. Which of two pairs comes first in the text stays as it was, because a piece stands in the order in
// which it first occurs.

// Where a pair occurs. Its places are all noted in one pass from left to right (the pass that makes its later token) and
// only ever become fewer, so the list is in order and its front can be cleared of what is gone.
struct Occurrences {
    Pair pair;
    int count = 0;            // places where it still stands
    std::vector<int> places;  // of the left token, increasing; some may be gone
    std::size_t front = 0;    // those before this one are gone
};

// A pair with the numbers it had when it was put into the queue.
struct Contender {
    int count, place, pair;
};

// More frequent first, then the one that comes first in the text.
struct IsWorse {
    bool operator()(const Contender& a, const Contender& b) const {
        return a.count != b.count ? a.count < b.count : a.place > b.place;
    }
};

struct Trainer {
    LinkedTokens tokens;                           // the different pieces, in the order of their first occurrence
    std::vector<int> occurrences;                  // by place: how often the piece stands in the text
    int length = 0;                                // tokens that remain in the text
    std::vector<Occurrences> pairs;
    std::unordered_map<std::uint64_t, int> index;  // of a pair in `pairs`
    std::vector<int> pairs_with_count;             // by count: how many pairs have it
    std::vector<int> fresh;                        // pairs met since the queue was last filled
    std::priority_queue<Contender, std::vector<Contender>, IsWorse> queue;
};

static void change_count(Trainer& trainer, int pair, int by) {
    int& count = trainer.pairs[pair].count;
    --trainer.pairs_with_count[count];
    count += by;
    ++trainer.pairs_with_count[count];
}

// The neighbours at this place have come into being.
static void note_pair(Trainer& trainer, int place) {
    if (place == nowhere || trainer.tokens.next[place] == nowhere) return;
    const Pair pair{trainer.tokens.ids[place], trainer.tokens.ids[trainer.tokens.next[place]]};
    const int next_index = static_cast<int>(trainer.pairs.size());
    const auto [entry, is_new] = trainer.index.try_emplace(pair_key(pair.left, pair.right), next_index);
    if (is_new) {
        trainer.pairs.push_back({pair, 0, {}, 0});
        trainer.fresh.push_back(next_index);
        ++trainer.pairs_with_count[0];
    }
    trainer.pairs[entry->second].places.push_back(place);
    change_count(trainer, entry->second, trainer.occurrences[place]);
}

// They are about to vanish.
static void forget_pair(Trainer& trainer, int place) {
    if (place == nowhere || trainer.tokens.next[place] == nowhere) return;
    const std::uint64_t key = pair_key(trainer.tokens.ids[place], trainer.tokens.ids[trainer.tokens.next[place]]);
    change_count(trainer, trainer.index.at(key), -trainer.occurrences[place]);
}

static void merge_at(Trainer& trainer, int place, int result) {
    forget_pair(trainer, trainer.tokens.previous[place]);
    forget_pair(trainer, place);
    forget_pair(trainer, trainer.tokens.next[place]);
    trainer.tokens.merge(place, result);
    trainer.length -= trainer.occurrences[place];
    note_pair(trainer, trainer.tokens.previous[place]);
    note_pair(trainer, place);
}

// A pair with its numbers of now.
static Contender contender_now(Trainer& trainer, int pair) {
    Occurrences& here = trainer.pairs[pair];
    while (here.front < here.places.size() && !trainer.tokens.is_pair(here.places[here.front], here.pair)) ++here.front;
    const int first = here.front < here.places.size() ? here.places[here.front] : nowhere;
    return {here.count, first, pair};
}

static void queue_fresh_pairs(Trainer& trainer) {
    for (const int pair : trainer.fresh) trainer.queue.push(contender_now(trainer, pair));
    trainer.fresh.clear();
}

// Counts only fall and first places only move right, so what the queue says of a pair is never worse than the truth:
// a top whose numbers are still those of now is the best.
static int best_pair(Trainer& trainer) {
    while (!trainer.queue.empty()) {
        const Contender then = trainer.queue.top();
        const Contender now = contender_now(trainer, then.pair);
        if (now.count > 0 && now.count == then.count && now.place == then.place) return now.pair;
        trainer.queue.pop();
        if (now.count > 0) trainer.queue.push(now);
    }
    return nowhere;
}

namespace {
// The pieces of a text, the different ones in the order of their first occurrence.
struct DifferentPieces {
    std::vector<std::string_view> pieces;
    std::vector<int> counts;
    std::vector<int> order;  // the text: numbers of pieces
};
}  // namespace

static DifferentPieces different_pieces(std::string_view text, bool split) {
    DifferentPieces different;
    std::unordered_map<std::string_view, int> numbers;
    for (const std::string_view piece : split ? split_pieces(text) : std::vector<std::string_view>{text}) {
        const auto [entry, is_new] = numbers.try_emplace(piece, static_cast<int>(different.pieces.size()));
        if (is_new) {
            different.pieces.push_back(piece);
            different.counts.push_back(0);
        }
        ++different.counts[entry->second];
        different.order.push_back(entry->second);
    }
    return different;
}

static Trainer start_training(const DifferentPieces& different, std::size_t length) {
    std::array<int, 256> raw{};
    for (int byte = 0; byte < 256; ++byte) raw[byte] = byte;
    Trainer trainer;
    for (std::size_t p = 0; p < different.pieces.size(); ++p) {
        trainer.tokens.append(different.pieces[p], raw);
        trainer.occurrences.resize(trainer.tokens.ids.size(), different.counts[p]);
    }
    trainer.length = static_cast<int>(length);
    trainer.pairs_with_count.assign(length + 1, 0);
    for (int place = 0; place < static_cast<int>(trainer.tokens.ids.size()); ++place) note_pair(trainer, place);
    queue_fresh_pairs(trainer);
    return trainer;
}

// The whole text as tokens: every piece as it has become, in the order of the text.
static std::vector<int> tokens_of_text(const LinkedTokens& tokens, const DifferentPieces& different) {
    std::vector<int> first_places, ids;
    int first = 0;
    for (const std::string_view piece : different.pieces) {
        first_places.push_back(first);
        first += static_cast<int>(piece.size());
    }
    for (const int piece : different.order)
        for (int place = different.pieces[piece].empty() ? nowhere : first_places[piece]; place != nowhere; place = tokens.next[place])
            ids.push_back(tokens.ids[place]);
    return ids;
}

// Merges a pair everywhere, from left to right.
static TrainingStep carry_out(Trainer& trainer, int best, int result) {
    const Pair pair = trainer.pairs[best].pair;
    const int count = trainer.pairs[best].count;
    const int tied_pairs = trainer.pairs_with_count[count];
    const std::vector<int> places = std::move(trainer.pairs[best].places);
    for (const int place : places)
        if (trainer.tokens.is_pair(place, pair)) merge_at(trainer, place, result);
    trainer.pairs[best].places.clear();
    trainer.pairs[best].front = 0;
    queue_fresh_pairs(trainer);
    return {pair, result, count, tied_pairs, trainer.length};
}

Training train(std::string_view text, int merges, bool split, Progress* progress) {
    require(merges >= 0, "bpe::train: ", merges, " merges, it must be a number from 0 on");
    require(text.size() <= longest_text, "bpe::train: a text of ", text.size(), " bytes, at most ", longest_text, "; learn from a part of it");
    if (progress != nullptr) progress->update(-1);
    const DifferentPieces different = different_pieces(text, split);
    Trainer trainer = start_training(different, text.size());
    Training training;
    for (int result = 256; result < 256 + merges; ++result) {
        const int best = best_pair(trainer);
        if (best == nowhere) break;
        training.steps.push_back(carry_out(trainer, best, result));
        if (progress != nullptr) progress->update(result - 256);
    }
    training.ids = tokens_of_text(trainer.tokens, different);
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
