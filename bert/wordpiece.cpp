#include "bert/wordpiece.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/data/unicode.h"

namespace wordpiece {

// ---- The vocabulary -----------------------------------------------------------------------------------------------------------

static std::uint64_t edge_key(int node, char byte) {
    return static_cast<std::uint64_t>(node) * 256 + static_cast<unsigned char>(byte);
}

// The node that one more byte leads to, or -1.
static int next_node(const Vocabulary& vocabulary, int node, char byte) {
    const auto edge = vocabulary.edges.find(edge_key(node, byte));
    return edge == vocabulary.edges.end() ? -1 : edge->second;
}

// The node at the end of this path; extends the trie where needed.
static int add_path(Vocabulary& vocabulary, std::string_view entry) {
    int node = 0;
    for (const char byte : entry) {
        const int fresh = static_cast<int>(vocabulary.entry_at.size());
        const auto [edge, is_new] = vocabulary.edges.try_emplace(edge_key(node, byte), fresh);
        if (is_new) vocabulary.entry_at.push_back(-1);
        node = edge->second;
    }
    return node;
}

static int special_id(const Vocabulary& vocabulary, std::string_view name, std::string_view source) {
    const int id = id_of(vocabulary, name);
    require(id >= 0, source, ": the entry ", name, " is missing among ", vocabulary.size(),
            "; a BERT vocabulary has [PAD] [UNK] [CLS] [SEP] [MASK], each in a line of its own");
    return id;
}

// Without the white space at both ends.
static std::string trimmed(const std::string& line) {
    const std::u32string characters = decode_utf8(line);
    std::size_t begin = 0, end = characters.size();
    while (begin < end && is_white_space(characters[begin])) ++begin;
    while (end > begin && is_white_space(characters[end - 1])) --end;
    return encode_utf8(std::u32string_view(characters).substr(begin, end - begin));
}

Vocabulary make_vocabulary(const std::vector<std::string>& entries, std::string_view source) {
    require(!entries.empty(), source,
            ": a vocabulary without entries; it needs a line for each, [PAD] [UNK] [CLS] [SEP] [MASK] among them");
    Vocabulary vocabulary;
    vocabulary.entries = entries;
    vocabulary.entry_at.push_back(-1);  // the root
    for (int id = 0; id < vocabulary.size(); ++id) {
        const std::string& entry = entries[id];
        require(valid_utf8_length(entry) == entry.size(), source, ": line ", id + 1, ": the entry is not valid UTF-8");
        if (trimmed(entry).empty()) continue;
        const int node = add_path(vocabulary, entry);
        vocabulary.entry_at[node] = id;  // of equal entries the last, as in the published code
    }
    vocabulary.continuation = add_path(vocabulary, "##");
    vocabulary.padding = special_id(vocabulary, "[PAD]", source);
    vocabulary.unknown = special_id(vocabulary, "[UNK]", source);
    vocabulary.classification = special_id(vocabulary, "[CLS]", source);
    vocabulary.separator = special_id(vocabulary, "[SEP]", source);
    vocabulary.mask = special_id(vocabulary, "[MASK]", source);
    return vocabulary;
}

Vocabulary read_vocabulary(std::string_view file_content, std::string_view source) {
    std::vector<std::string> entries;
    for (const std::string& line : lines_of_file(file_content, source)) {
        const bool is_utf8 = valid_utf8_length(line) == line.size();
        const std::string entry = is_utf8 ? trimmed(line) : line;  // make_vocabulary rejects invalid UTF-8
        entries.push_back(entry.empty() ? line : entry);           // white space alone is kept, so that saving restores it
    }
    const bool lists_padding = std::find(entries.begin(), entries.end(), "[PAD]") != entries.end();
    const std::string other = lists_padding ? "" : kind_of_bytes(file_content.substr(0, 512));
    require(other.empty(), source, ": is not a vocab.txt, which has one entry in each line, [PAD] among them; it looks like ",
            other);
    return make_vocabulary(entries, source);
}

Vocabulary load_vocabulary(const std::string& path) {
    const Vocabulary vocabulary = read_vocabulary(read_text_file(path), path);
    require_no_added_tokens(beside(path, "vocab.txt", "added_tokens.json"),
                            [&](const std::string& token) { return id_of(vocabulary, token); });
    return vocabulary;
}

void require_same_settings(const std::string& vocabulary_path, const Config& config) {
    const std::string path = beside(vocabulary_path, "vocab.txt", "tokenizer_config.json");
    if (!is_file(path)) return;
    const Json settings = read_json(path);
    require(settings.kind == Json::Kind::object, path, ": an object of settings is needed, as {\"do_lower_case\": true}");
    const auto says = [&](std::string_view name, bool otherwise) {
        const Json* const value = settings.find_unless_null(name);
        if (value == nullptr) return otherwise;
        require(value->kind == Json::Kind::boolean, path, ": line ", value->line, ": ", name, " must be true or false");
        return value->boolean;
    };
    const bool lower_case = says("do_lower_case", config.lower_case);
    require(lower_case == config.lower_case, path, ": do_lower_case is ", lower_case ? "true" : "false",
            ", but a text is read as ", config.lower_case ? "uncased" : "cased", "; ",
            lower_case ? "leave --cased out" : "give --cased");
    require(says("strip_accents", lower_case) == lower_case, path, ": strip_accents is ", lower_case ? "false" : "true",
            ", here accents are dropped from lower-cased texts only, and from all of them");
    require(says("tokenize_chinese_chars", true), path, ": tokenize_chinese_chars is false, here each ideograph is a word");
    require(says("do_basic_tokenize", true), path, ": do_basic_tokenize is false, here a text is always cut at punctuation");
}

void save_vocabulary(const Vocabulary& vocabulary, const std::string& path) {
    std::string lines;
    for (int id = 0; id < vocabulary.size(); ++id) {
        const std::string& entry = vocabulary.entries[id];
        const bool one_line = entry.find_first_of("\r\n") == std::string::npos;
        require(one_line && (trimmed(entry) == entry || trimmed(entry).empty()), path, ": entry ", id, ", ", brief_string(entry),
                ", would not be read back: a vocab.txt has an entry in each line and drops white space around it");
        lines += entry + "\n";
    }
    write_file_atomically(path, lines);
}

int Vocabulary::used() const { return entry_at.empty() ? 0 : *std::max_element(entry_at.begin(), entry_at.end()) + 1; }

int id_of(const Vocabulary& vocabulary, std::string_view entry) {
    int node = 0;
    for (const char byte : entry) {
        node = next_node(vocabulary, node, byte);
        if (node < 0) return -1;
    }
    return vocabulary.entry_at[node];
}

// ---- From text to words -------------------------------------------------------------------------------------------------------

std::u32string clean(std::u32string_view text) {
    std::u32string cleaned;
    cleaned.reserve(text.size());
    for (const char32_t c : text) {
        const CharacterClass kind = character_class(c);
        const bool is_space = c == U'\t' || c == U'\n' || c == U'\r' || kind == CharacterClass::space;
        const bool is_dropped = c == replacement_character || kind == CharacterClass::control || kind == CharacterClass::format;
        if (is_space)
            cleaned += U' ';
        else if (!is_dropped)
            cleaned += c;
    }
    return cleaned;
}

bool is_ideograph(char32_t c) {
    static constexpr char32_t blocks[][2] = {
        {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},  // unified, extensions A, B, C
        {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F},  // D, E, two for compatibility
    };
    for (const auto& [first, last] : blocks)
        if (c >= first && c <= last) return true;
    return false;
}

std::u32string space_ideographs(std::u32string_view text) {
    std::u32string spaced;
    spaced.reserve(text.size());
    for (const char32_t c : text) {
        if (is_ideograph(c))
            spaced += {U' ', c, U' '};
        else
            spaced += c;
    }
    return spaced;
}

std::vector<std::u32string> split_at_spaces(std::u32string_view text) {
    std::vector<std::u32string> words;
    bool inside = false;
    for (const char32_t c : text) {
        const bool is_space = is_white_space(c);
        if (!is_space && !inside) words.emplace_back();
        if (!is_space) words.back() += c;
        inside = !is_space;
    }
    return words;
}

std::u32string lower_case_without_accents(std::u32string_view word) {
    std::u32string letters;
    for (const char32_t c : decompose(lower_case(word)))
        if (character_class(c) != CharacterClass::mark) letters += c;
    return letters;
}

bool is_punctuation(char32_t c) {
    const bool ascii_symbol = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    return ascii_symbol || character_class(c) == CharacterClass::punctuation;
}

std::vector<std::u32string> split_at_punctuation(std::u32string_view word) {
    std::vector<std::u32string> words;
    bool inside = false;
    for (const char32_t c : word) {
        const bool alone = is_punctuation(c);
        if (alone || !inside) words.emplace_back();
        words.back() += c;
        inside = !alone;
    }
    return words;
}

std::vector<std::string> split_words(std::string_view text, const Config& config) {
    std::vector<std::string> words;
    const std::u32string cleaned = clean(decode_utf8(text));
    for (const std::u32string& part : split_at_spaces(space_ideographs(cleaned))) {
        const std::u32string letters = config.lower_case ? lower_case_without_accents(part) : part;
        for (const std::u32string& word : split_at_punctuation(letters)) words.push_back(encode_utf8(word));
    }
    return words;
}

// ---- From words to pieces -----------------------------------------------------------------------------------------------------

Match longest_match(std::string_view word, std::size_t begin, const Vocabulary& vocabulary) {
    require(begin <= word.size(), "wordpiece: byte ", begin, " of a word of ", word.size(), " bytes, counted from 0");
    Match longest{-1, begin};
    int node = begin == 0 ? 0 : vocabulary.continuation;
    for (std::size_t at = begin; at < word.size(); ++at) {
        node = next_node(vocabulary, node, word[at]);
        if (node < 0) break;
        if (vocabulary.entry_at[node] >= 0) longest = {vocabulary.entry_at[node], at + 1};
    }
    return longest;
}

std::vector<int> encode_word(std::string_view word, const Vocabulary& vocabulary, const Config& config) {
    require(vocabulary.size() > 0, "wordpiece: a vocabulary without entries; make it with load_vocabulary or make_vocabulary");
    require(config.longest_word > 0, "wordpiece: a longest word of ", config.longest_word,
            " characters, it must be at least 1; 200 in BERT");
    const bool too_long = static_cast<int>(decode_utf8(word).size()) > config.longest_word;
    if (too_long) return {vocabulary.unknown};
    std::vector<int> ids;
    for (std::size_t begin = 0; begin < word.size();) {
        const Match match = longest_match(word, begin, vocabulary);
        if (match.id < 0) return {vocabulary.unknown};  // the pieces found so far are dropped
        ids.push_back(match.id);
        begin = match.end;
    }
    return ids;
}

std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, const Config& config) {
    std::vector<int> ids;
    for (const std::string& word : split_words(text, config)) {
        const std::vector<int> pieces = encode_word(word, vocabulary, config);
        ids.insert(ids.end(), pieces.begin(), pieces.end());
    }
    return ids;
}

std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    std::string text;
    for (const int id : ids) {
        const int size = vocabulary.size();
        require(id >= 0 && id < size, "wordpiece::decode: id ", id, " is not in a vocabulary of ", size, ", counted from 0");
        const std::string_view entry = vocabulary.entries[id];
        const bool continues = entry.size() > 2 && entry.substr(0, 2) == "##" && !text.empty();
        if (!continues && !text.empty()) text += ' ';
        text += continues ? entry.substr(2) : entry;
    }
    return text;
}

// ---- Sequences ----------------------------------------------------------------------------------------------------------------

static void append_segment(Sequence& sequence, const int* ids, int count, int segment, int separator) {
    sequence.ids.insert(sequence.ids.end(), ids, ids + count);
    sequence.ids.push_back(separator);
    sequence.segments.resize(sequence.ids.size(), segment);
}

Sequence make_sequence(const std::vector<int>& a, const std::vector<int>& b, int length, const Vocabulary& vocabulary) {
    const int specials = b.empty() ? 2 : 3;
    require(length >= specials, "wordpiece::make_sequence: a length of ", length, " does not hold [CLS] and [SEP]; at least ",
            specials);
    for (const std::vector<int>* const ids : {&a, &b})
        for (const int id : *ids)
            require(id >= 0 && id < vocabulary.size(), "wordpiece::make_sequence: id ", id, " is not in a vocabulary of ",
                    vocabulary.size(), ", counted from 0");
    int kept_a = static_cast<int>(a.size()), kept_b = static_cast<int>(b.size());
    while (kept_a + kept_b > length - specials) --(kept_a > kept_b ? kept_a : kept_b);

    Sequence sequence;
    sequence.ids.push_back(vocabulary.classification);
    append_segment(sequence, a.data(), kept_a, 0, vocabulary.separator);
    if (!b.empty()) append_segment(sequence, b.data(), kept_b, 1, vocabulary.separator);
    sequence.mask.assign(sequence.ids.size(), 1);
    sequence.ids.resize(length, vocabulary.padding);
    sequence.mask.resize(length, 0);
    sequence.segments.resize(length, 0);
    return sequence;
}

// ---- Learning -----------------------------------------------------------------------------------------------------------------

// A distinct word of the text: its pieces, and how often it occurs.
struct CountedWord {
    std::vector<std::string> pieces;
    int count;
};

static std::vector<CountedWord> words_as_characters(std::string_view text, const Config& config) {
    std::map<std::string, int> counts;
    for (const std::string& word : split_words(text, config)) ++counts[word];
    std::vector<CountedWord> words;
    for (const auto& [word, count] : counts) {
        CountedWord counted{{}, count};
        for (const char32_t c : decode_utf8(word))
            counted.pieces.push_back((counted.pieces.empty() ? "" : "##") + encode_utf8(c));
        words.push_back(counted);
    }
    return words;
}

static std::string joined_piece(const std::string& left, const std::string& right) { return left + right.substr(2); }

// The adjacent pair with the highest score; together = 0 when none occurs often enough.
static Joining best_joining(const std::vector<CountedWord>& words, int smallest_count) {
    std::map<std::string, int> alone;
    std::map<std::pair<std::string, std::string>, int> together;
    for (const CountedWord& word : words) {
        for (std::size_t i = 0; i < word.pieces.size(); ++i) {
            alone[word.pieces[i]] += word.count;
            if (i + 1 < word.pieces.size()) together[{word.pieces[i], word.pieces[i + 1]}] += word.count;
        }
    }
    Joining best;
    for (const auto& [pair, count] : together) {
        const auto& [left, right] = pair;
        const double score = count / (static_cast<double>(alone[left]) * alone[right]);
        const bool better = score > best.score || (score == best.score && count > best.together);
        if (count >= smallest_count && better) best = {left, right, joined_piece(left, right), count, score};
    }
    return best;
}

static void join_everywhere(std::vector<CountedWord>& words, const Joining& joining) {
    for (CountedWord& word : words) {
        std::vector<std::string> pieces;
        for (const std::string& piece : word.pieces) {
            if (!pieces.empty() && pieces.back() == joining.left && piece == joining.right)
                pieces.back() = joining.joined;
            else
                pieces.push_back(piece);
        }
        word.pieces = pieces;
    }
}

// The initial vocabulary: the five special tokens and the characters of the words, in byte order.
static Learned special_tokens_and_characters(const std::vector<CountedWord>& words, int size) {
    std::set<std::string> characters;
    for (const CountedWord& word : words) characters.insert(word.pieces.begin(), word.pieces.end());
    Learned learned{{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, {}};
    learned.entries.insert(learned.entries.end(), characters.begin(), characters.end());
    const int smallest = static_cast<int>(learned.entries.size());
    require(size >= smallest, "wordpiece::learn_vocabulary: ", size, " entries have no room for the 5 special tokens and the ",
            smallest - 5, " characters of the text; at least ", smallest);
    return learned;
}

static void require_count(int smallest_count) {
    require(smallest_count >= 1, "wordpiece: pairs that occur ", smallest_count, " times, at least 1 is needed; 2 is usual");
}

Learned learn_vocabulary_textbook(std::string_view text, int size, const Config& config, int smallest_count) {
    require_count(smallest_count);
    std::vector<CountedWord> words = words_as_characters(text, config);
    Learned learned = special_tokens_and_characters(words, size);
    std::set<std::string> known(learned.entries.begin(), learned.entries.end());
    while (static_cast<int>(learned.entries.size()) < size) {
        const Joining joining = best_joining(words, smallest_count);
        if (joining.together == 0) break;
        join_everywhere(words, joining);
        learned.joinings.push_back(joining);
        if (known.insert(joining.joined).second) learned.entries.push_back(joining.joined);
    }
    return learned;
}

// The same in near-linear time: a merge changes only the words that contain it, and the scores of pairs with one of its pieces.

namespace {
// A pair of pieces that are or were adjacent. `together` is up to date; Learner::ranked may lag behind it.
struct Neighbours {
    int left, right;  // piece numbers
    int together = 0;
    std::vector<int> words;  // words that contain it, or did; a word may be listed twice
};

struct Ranked {
    double score;
    int together;
    int pair;
};

struct Learner;

// Higher score first, then the more frequent pair, then the pair that is first in byte order.
struct IsBetter {
    const Learner* learner;
    bool operator()(const Ranked& a, const Ranked& b) const;
};

struct Learner {
    std::vector<std::string> pieces;
    std::unordered_map<std::string, int> number_of_piece;
    std::vector<int> alone;                  // by piece: how often it occurs
    std::vector<std::vector<int>> pairs_of;  // by piece: the pairs that contain it
    std::vector<std::vector<int>> words;     // by word: its pieces
    std::vector<int> counts;                 // by word: how often it occurs
    std::vector<Neighbours> pairs;
    std::unordered_map<std::uint64_t, int> number_of_pair;
    std::set<Ranked, IsBetter> order{IsBetter{this}};  // of the pairs that occur often enough
    std::vector<Ranked> ranked;                        // by pair: its entry in `order`; together = 0: it has none
    int smallest_count = 2;

    Learner() = default;
    Learner(const Learner&) = delete;  // `order` holds a pointer to this object
};
}  // namespace

bool IsBetter::operator()(const Ranked& a, const Ranked& b) const {
    if (a.score != b.score) return a.score > b.score;
    if (a.together != b.together) return a.together > b.together;
    if (a.pair == b.pair) return false;
    const Neighbours& p = learner->pairs[a.pair];
    const Neighbours& q = learner->pairs[b.pair];
    if (p.left != q.left) return learner->pieces[p.left] < learner->pieces[q.left];
    return learner->pieces[p.right] < learner->pieces[q.right];
}

static int piece_number(Learner& learner, const std::string& piece) {
    const auto [entry, is_new] = learner.number_of_piece.try_emplace(piece, static_cast<int>(learner.pieces.size()));
    if (is_new) {
        learner.pieces.push_back(piece);
        learner.alone.push_back(0);
        learner.pairs_of.emplace_back();
    }
    return entry->second;
}

static int pair_number(Learner& learner, int left, int right) {
    const std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
    const auto [entry, is_new] = learner.number_of_pair.try_emplace(key, static_cast<int>(learner.pairs.size()));
    if (is_new) {
        learner.pairs.push_back({.left = left, .right = right, .words = {}});
        learner.ranked.push_back({});
        learner.pairs_of[left].push_back(entry->second);
        if (right != left) learner.pairs_of[right].push_back(entry->second);
    }
    return entry->second;
}

// Adds a word's pieces and pairs to the counts, or subtracts them with sign -1.
static void count_word(Learner& learner, int word, int sign) {
    const std::vector<int>& pieces = learner.words[word];
    const int change = sign * learner.counts[word];
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        learner.alone[pieces[i]] += change;
        if (i + 1 == pieces.size()) continue;
        Neighbours& pair = learner.pairs[pair_number(learner, pieces[i], pieces[i + 1])];
        pair.together += change;
        if (sign > 0 && (pair.words.empty() || pair.words.back() != word)) pair.words.push_back(word);
    }
}

// Moves a pair to its place in `order` by its current counts.
static void rank_pair(Learner& learner, int number) {
    const Neighbours& pair = learner.pairs[number];
    Ranked& entry = learner.ranked[number];
    if (entry.together > 0) learner.order.erase(entry);
    entry = {};
    if (pair.together == 0 || pair.together < learner.smallest_count) return;
    const double parts = static_cast<double>(learner.alone[pair.left]) * learner.alone[pair.right];
    entry = {.score = pair.together / parts, .together = pair.together, .pair = number};
    learner.order.insert(entry);
}

static void rank_pairs_of(Learner& learner, int piece) {
    for (const int pair : learner.pairs_of[piece]) rank_pair(learner, pair);
}

static void start_learning(Learner& learner, const std::vector<CountedWord>& words) {
    for (const CountedWord& word : words) {
        learner.words.emplace_back();
        for (const std::string& piece : word.pieces) learner.words.back().push_back(piece_number(learner, piece));
        learner.counts.push_back(word.count);
        count_word(learner, static_cast<int>(learner.words.size()) - 1, 1);
    }
    for (int pair = 0; pair < static_cast<int>(learner.pairs.size()); ++pair) rank_pair(learner, pair);
}

// Merges a pair in every word that contains it, from left to right.
static Joining join_best(Learner& learner, const Ranked& best) {
    const int left = learner.pairs[best.pair].left, right = learner.pairs[best.pair].right;
    const std::string joined_text = joined_piece(learner.pieces[left], learner.pieces[right]);
    const int joined = piece_number(learner, joined_text);
    const std::vector<int> holders = std::move(learner.pairs[best.pair].words);
    learner.pairs[best.pair].words.clear();
    for (const int word : holders) {
        std::vector<int> pieces;
        for (const int piece : learner.words[word]) {
            if (!pieces.empty() && pieces.back() == left && piece == right)
                pieces.back() = joined;
            else
                pieces.push_back(piece);
        }
        if (pieces.size() == learner.words[word].size()) continue;  // it contained the pair earlier, but no longer does
        count_word(learner, word, -1);
        learner.words[word] = std::move(pieces);
        count_word(learner, word, 1);
    }
    for (const int piece : {left, right, joined}) rank_pairs_of(learner, piece);
    return {learner.pieces[left], learner.pieces[right], joined_text, best.together, best.score};
}

Learned learn_vocabulary(std::string_view text, int size, const Config& config, int smallest_count, Progress* progress) {
    if (progress != nullptr) progress->update(-1);
    require_count(smallest_count);
    const std::vector<CountedWord> words = words_as_characters(text, config);
    Learned learned = special_tokens_and_characters(words, size);
    std::unordered_set<std::string> known(learned.entries.begin(), learned.entries.end());
    Learner learner;
    learner.smallest_count = smallest_count;
    start_learning(learner, words);
    while (static_cast<int>(learned.entries.size()) < size && !learner.order.empty()) {
        const Ranked best = *learner.order.begin();
        learned.joinings.push_back(join_best(learner, best));
        const std::string& joined = learned.joinings.back().joined;
        if (known.insert(joined).second) learned.entries.push_back(joined);
        if (progress != nullptr) progress->update(static_cast<int>(learned.entries.size()) - 1);
    }
    return learned;
}

}  // namespace wordpiece
