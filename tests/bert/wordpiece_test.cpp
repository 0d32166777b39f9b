// wordpiece_test.cpp: worked examples, every case of the published tokenizer's fixtures, classic mistakes shown to be caught.
#include "bert/wordpiece.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

using wordpiece::Config;
using wordpiece::Learned;
using wordpiece::Sequence;
using wordpiece::Vocabulary;

using Pieces = std::vector<std::string>;

static std::vector<int> wordpiece_numbers(const Json& list) {
    std::vector<int> numbers;
    for (const Json& item : list.as_array()) numbers.push_back(item.as_int());
    return numbers;
}

static Pieces wordpiece_words(const Json& list) {
    Pieces words;
    for (const Json& item : list.as_array()) words.push_back(item.as_string());
    return words;
}

static Pieces entries_of(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    Pieces entries;
    for (const int id : ids) entries.push_back(vocabulary.entries[id]);
    return entries;
}

// The five special tokens and these entries.
static Vocabulary vocabulary_with(const Pieces& entries) {
    Pieces all{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    all.insert(all.end(), entries.begin(), entries.end());
    return wordpiece::make_vocabulary(all);
}

static Pieces pieces_of_word(std::string_view word, const Vocabulary& vocabulary, const Config& config = {}) {
    return entries_of(wordpiece::encode_word(word, vocabulary, config), vocabulary);
}

TEST_SUITE("tokenizer_bert") {
    TEST_CASE("clean: drops control and format characters, and turns every white space into a space") {
        CHECK(wordpiece::clean(U"a\tb\nc\rd\u00A0e\u3000f") == U"a b c d e f");
        CHECK(wordpiece::clean(std::u32string{U'a', 0, U'b', 0xFFFD, U'c', 7, U'd', 0x85, U'e'}) == U"abcde");
        CHECK(wordpiece::clean(U"zero\u200Bwidth soft\u00ADhyphen \u200D") == U"zerowidth softhyphen ");
        CHECK(wordpiece::clean(U"a\u2028b") == U"a\u2028b");  // a line separator is neither control nor Zs
    }

    TEST_CASE("space_ideographs: ideographs become words of their own; kana and Hangul do not") {
        CHECK(wordpiece::space_ideographs(U"我爱x") == U" 我  爱 x");
        CHECK(wordpiece::space_ideographs(U"のテ한") == U"のテ한");
        for (const char32_t c : {0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x2A6DF, 0x2A700, 0x2B73F, 0x2B740,
                                 0x2B81F, 0x2B820, 0x2CEAF, 0x2F800, 0x2FA1F})
            CHECK(wordpiece::is_ideograph(c));
        for (const char32_t c :
             {0x33FF, 0x4DC0, 0x4DFF, 0xA000, 0xF8FF, 0xFB00, 0x1FFFF, 0x2A6E0, 0x2A6FF, 0x2CEB0, 0x2F7FF, 0x2FA20})
            CHECK_FALSE(wordpiece::is_ideograph(c));
    }

    TEST_CASE("split_at_spaces: splits at all white space, line separators included") {
        CHECK(wordpiece::split_at_spaces(U"  a  bc\u2028d\u2029 ") == std::vector<std::u32string>{U"a", U"bc", U"d"});
        CHECK(wordpiece::split_at_spaces(U"   ").empty());
    }

    TEST_CASE("lower_case_without_accents: lower-cases, decomposes, then drops accents") {
        CHECK(wordpiece::lower_case_without_accents(U"naïve") == U"naive");
        CHECK(wordpiece::lower_case_without_accents(U"ЁЖ") == U"еж");
        CHECK(wordpiece::lower_case_without_accents(U"й") == U"и");
        CHECK(wordpiece::lower_case_without_accents(U"İ") == U"i");
        CHECK(wordpiece::lower_case_without_accents(U"ΣΑΣ") == U"σας");
        CHECK(wordpiece::lower_case_without_accents(U"ẞ²№") == U"ß²№");
        CHECK(wordpiece::lower_case_without_accents(U"\u0915\u093E\u0941") == U"\u0915\u093E");  // Mc stays, Mn goes
    }

    TEST_CASE("split_at_punctuation: each punctuation character is a word, including ASCII $ + < = > ^ ` | ~") {
        using List = std::vector<std::u32string>;
        CHECK(wordpiece::split_at_punctuation(U"a.b") == List{U"a", U".", U"b"});
        CHECK(wordpiece::split_at_punctuation(U"...") == List{U".", U".", U"."});
        CHECK(wordpiece::split_at_punctuation(U"«да»") == List{U"«", U"да", U"»"});
        CHECK(wordpiece::split_at_punctuation(U"").empty());
        int ascii = 0;
        for (char32_t c = 0; c < 128; ++c) ascii += wordpiece::is_punctuation(c);
        CHECK(ascii == 32);
        for (const char32_t c : U"$+<=>^`|~") CHECK((c == 0 || wordpiece::is_punctuation(c)));
        CHECK_FALSE(wordpiece::is_punctuation(U'№'));
        CHECK_FALSE(wordpiece::is_punctuation(U'€'));
    }

    TEST_CASE("split_words: applies the steps in order") {
        CHECK(wordpiece::split_words("Ёлка, naïve!", {}) == Pieces{"елка", ",", "naive", "!"});
        CHECK(wordpiece::split_words("Ёлка", {.lower_case = false}) == Pieces{"Ёлка"});
        CHECK(wordpiece::split_words("cafe\u0301", {.lower_case = false}) == Pieces{"cafe\u0301"});  // and no NFC
        CHECK(wordpiece::split_words("[CLS] x", {}) == Pieces{"[", "cls", "]", "x"});
        CHECK(wordpiece::split_words("a\u0301 \u0301 b", {}) == Pieces{"a", "b"});  // a word of accents alone vanishes
        CHECK(wordpiece::split_words("\u037Ex", {}) == Pieces{";", "x"});           // the Greek question mark is a semicolon
        CHECK(wordpiece::split_words("\xFFok\xC3", {}) == Pieces{"ok"});            // invalid UTF-8 vanishes
    }

    TEST_CASE("encode_word: takes the longest piece at every position") {
        const Vocabulary vocabulary = vocabulary_with({"u", "un", "##a", "##aff", "##able", "##affable", "able", "x"});
        CHECK(pieces_of_word("unaffable", vocabulary) == Pieces{"un", "##affable"});
        CHECK(pieces_of_word("unaffaable", vocabulary) == Pieces{"un", "##aff", "##a", "##able"});
        CHECK(pieces_of_word("able", vocabulary) == Pieces{"able"});
        const wordpiece::Match match = wordpiece::longest_match("unaffable", 2, vocabulary);
        CHECK(vocabulary.entries[match.id] == "##affable");
        CHECK(match.end == 9);
        CHECK(wordpiece::longest_match("zun", 0, vocabulary).id == -1);
        CHECK(pieces_of_word("##a", vocabulary) == Pieces{"##a"});  // no word looks like this: text is split at #
    }

    TEST_CASE("encode_word: a word that is not covered to its end is a single [UNK]") {
        const Vocabulary vocabulary = vocabulary_with({"un", "##aff", "a"});
        CHECK(pieces_of_word("unaffz", vocabulary) == Pieces{"[UNK]"});
        CHECK(pieces_of_word("aff", vocabulary) == Pieces{"[UNK]"});  // greedy: a, then ##ff is unknown
        CHECK(pieces_of_word("я", vocabulary) == Pieces{"[UNK]"});
        CHECK(pieces_of_word("", vocabulary).empty());
    }

    TEST_CASE("encode_word: longest_word counts characters, not bytes, and is inclusive") {
        const Vocabulary vocabulary = vocabulary_with({"я", "##я"});
        CHECK(pieces_of_word("яяя", vocabulary, {.longest_word = 3}).size() == 3);
        CHECK(pieces_of_word("яяяя", vocabulary, {.longest_word = 3}) == Pieces{"[UNK]"});
        const std::string letters_200 = [] {
            std::string word;
            for (int i = 0; i < 200; ++i) word += "я";
            return word;
        }();
        CHECK(pieces_of_word(letters_200, vocabulary).size() == 200);
        CHECK(pieces_of_word(letters_200 + "я", vocabulary) == Pieces{"[UNK]"});
    }

    // The definition: the longest substring first, shortened from the right.
    static std::vector<int> encode_by_definition_of_matching(const std::string& word, const Vocabulary& vocabulary) {
        std::vector<int> ids;
        std::size_t begin = 0;
        while (begin < word.size()) {
            int id = -1;
            std::size_t end = word.size();
            for (; end > begin && id < 0; --end)
                id = wordpiece::id_of(vocabulary, (begin > 0 ? "##" : "") + word.substr(begin, end - begin));
            if (id < 0) return {vocabulary.unknown};
            ids.push_back(id);
            begin = end + 1;
        }
        return ids;
    }

    TEST_CASE("encode_word: the trie finds what trying every length finds, on random words") {
        Random random(11);
        for (int trial = 0; trial < 100; ++trial) {
            Pieces entries;
            for (int i = 0; i < 12; ++i) {
                std::string entry = i % 2 ? "##" : "";
                for (int k = random.below(4); k >= 0; --k) entry += static_cast<char>('a' + random.below(2));
                if (std::find(entries.begin(), entries.end(), entry) == entries.end()) entries.push_back(entry);
            }
            const Vocabulary vocabulary = vocabulary_with(entries);
            for (int w = 0; w < 20; ++w) {
                std::string word;
                for (int k = random.below(10); k >= 0; --k) word += static_cast<char>('a' + random.below(2));
                CHECK(wordpiece::encode_word(word, vocabulary, {}) == encode_by_definition_of_matching(word, vocabulary));
            }
        }
    }

    TEST_CASE("decode: joins continuation pieces to the piece before") {
        const Vocabulary vocabulary = vocabulary_with({"un", "##aff", "##able", "!", "##"});
        CHECK(wordpiece::decode({5, 6, 7, 8, 5}, vocabulary) == "unaffable ! un");
        CHECK(wordpiece::decode({2, 5, 3, 0}, vocabulary) == "[CLS] un [SEP] [PAD]");
        CHECK(wordpiece::decode({6, 5}, vocabulary) == "##aff un");  // nothing precedes it
        CHECK(wordpiece::decode({}, vocabulary).empty());
        CHECK_THROWS_WITH(wordpiece::decode({10}, vocabulary),
                          "wordpiece::decode: id 10 is not in a vocabulary of 10, counted from 0");
        CHECK_THROWS_WITH(wordpiece::decode({-1}, vocabulary),
                          "wordpiece::decode: id -1 is not in a vocabulary of 10, counted from 0");
    }

    TEST_CASE("make_sequence: special tokens, segments, padding") {
        const Vocabulary vocabulary = wordpiece::make_vocabulary({"[MASK]", "a", "[SEP]", "[UNK]", "[PAD]", "[CLS]"});
        const Sequence pair = wordpiece::make_sequence({1, 1}, {1}, 8, vocabulary);
        CHECK(pair.ids == std::vector<int>{5, 1, 1, 2, 1, 2, 4, 4});
        CHECK(pair.mask == std::vector<int>{1, 1, 1, 1, 1, 1, 0, 0});
        CHECK(pair.segments == std::vector<int>{0, 0, 0, 0, 1, 1, 0, 0});
        const Sequence single = wordpiece::make_sequence({1}, {}, 4, vocabulary);
        CHECK(single.ids == std::vector<int>{5, 1, 2, 4});
        CHECK(single.segments == std::vector<int>{0, 0, 0, 0});
    }

    TEST_CASE("make_sequence: truncates the longer text of a pair, the second when they are equal") {
        const Vocabulary vocabulary = vocabulary_with({"a", "b", "c", "d", "e", "f"});
        // a = 5 6 7 8 (4), b = 9 10 (2), room for 3: 4+2 -> 3+2 -> 2+2 -> 2+1
        CHECK(wordpiece::make_sequence({5, 6, 7, 8}, {9, 10}, 6, vocabulary).ids == std::vector<int>{2, 5, 6, 3, 9, 3});
        CHECK(wordpiece::make_sequence({5}, {6, 7, 8, 9}, 5, vocabulary).ids == std::vector<int>{2, 5, 3, 6, 3});
        CHECK(wordpiece::make_sequence({5, 6, 7}, {}, 4, vocabulary).ids == std::vector<int>{2, 5, 6, 3});
        CHECK(wordpiece::make_sequence({5}, {}, 2, vocabulary).ids == std::vector<int>{2, 3});
        CHECK_THROWS_WITH(wordpiece::make_sequence({5}, {}, 1, vocabulary),
                          "wordpiece::make_sequence: a length of 1 does not hold [CLS] and [SEP]; at least 2");
        CHECK_THROWS_WITH(wordpiece::make_sequence({5}, {6}, 2, vocabulary),
                          "wordpiece::make_sequence: a length of 2 does not hold [CLS] and [SEP]; at least 3");
    }

    TEST_CASE("read_vocabulary: the id of an entry is its line number") {
        const Vocabulary vocabulary = wordpiece::read_vocabulary("[PAD]\r\n[UNK]\n[CLS]\n [SEP] \n[MASK]\nя", "v");
        CHECK(vocabulary.size() == 6);
        CHECK(wordpiece::id_of(vocabulary, "[SEP]") == 3);
        CHECK(wordpiece::id_of(vocabulary, "я") == 5);
        CHECK(wordpiece::id_of(vocabulary, "[SE") == -1);
        CHECK(wordpiece::id_of(vocabulary, "x") == -1);
    }

    TEST_CASE("read_vocabulary: of equal entries encoding produces the last, and every entry keeps its id") {
        const wordpiece::Vocabulary twice = wordpiece::read_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n$\ny\n$\n", "v");
        CHECK(twice.size() == 8);
        CHECK(wordpiece::encode("$ y", twice, {}) == std::vector<int>{7, 6});  // as in ERNIE 3.0, where $ is listed twice
        CHECK(wordpiece::decode({5, 7}, twice) == "$ $");
        CHECK(twice.used() == 8);
        const wordpiece::Vocabulary masks = wordpiece::read_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[MASK]\n", "v");
        CHECK(masks.mask == 5);
    }

    TEST_CASE("read_vocabulary: errors give source, line and reason") {
        const auto error = [](const std::string& content) { return error_of([&] { wordpiece::read_vocabulary(content, "v"); }); };
        const std::string good = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
        CHECK(error(good) == "");
        CHECK(error("") ==
              "v: a vocabulary without entries; it needs a line for each, [PAD] [UNK] [CLS] [SEP] [MASK] among them");
        CHECK(error(good + "a\xFF\n") == "v: line 6: the entry is not valid UTF-8");
        CHECK(
            error("[PAD]\n[UNK]\n[CLS]\n[SEP]\n") ==
            "v: the entry [MASK] is missing among 4; a BERT vocabulary has [PAD] [UNK] [CLS] [SEP] [MASK], each in a line of its own");
        CHECK(
            error("[PAD]\n[unk]\n[CLS]\n[SEP]\n[MASK]\n") ==
            "v: the entry [UNK] is missing among 5; a BERT vocabulary has [PAD] [UNK] [CLS] [SEP] [MASK], each in a line of its own");
        const std::string no_list = "v: is not a vocab.txt, which has one entry in each line, [PAD] among them; it looks like ";
        CHECK(error("{\"[PAD]\": 0, \"[UNK]\": 1}") == no_list + "JSON text");
        CHECK(error("{\n  \"[PAD]\": 0\n}") == no_list + "JSON text");
        CHECK(error("#version: 0.2\nh e\n") == no_list + "the merges.txt of a tokenizer");
        CHECK(error("[\n]\n" + good) == "");  // a list may begin with brackets
        CHECK(error_of([] { wordpiece::load_vocabulary("build/no such file"); }).find("build/no such file") != std::string::npos);
    }

    TEST_CASE("learn_vocabulary: merges the pair with the highest score, not the most frequent one") {
        // words: "xz" 4 times, "xy" twice, "qy" not at all;  x 6, ##z 4, ##y 2
        // (x, ##z) 4 / (6*4) = 1/6    (x, ##y) 2 / (6*2) = 1/6: a tie, so the more frequent pair;  then (x, ##y) 2 / (2*2) = 1/2
        const Learned learned = wordpiece::learn_vocabulary("xz xz xz xz xy xy", 100, {});
        REQUIRE(learned.joinings.size() == 2);
        CHECK(learned.joinings[0].joined == "xz");
        CHECK(learned.joinings[0].score == doctest::Approx(1.0 / 6));
        CHECK(learned.joinings[1].joined == "xy");
        CHECK(learned.joinings[1].score == doctest::Approx(1.0 / 2));
        CHECK(learned.entries == Pieces{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##y", "##z", "x", "xz", "xy"});

        // e is everywhere: (b, ##e) occurs 4 times of b 4, ##e 8; (q, ##u) only twice, but of q 2, ##u 2
        const Learned rare = wordpiece::learn_vocabulary("be be be be me me he he qu qu", 100, {});
        CHECK(rare.joinings[0].joined == "qu");  // 2 / (2*2) = 1/2 beats 4 / (4*8) = 1/8
        CHECK(rare.joinings[0].left == "q");
        CHECK(rare.joinings[0].right == "##u");
        CHECK(rare.joinings[0].together == 2);
    }

    TEST_CASE("learn_vocabulary: respects size and smallest count, and marks pieces inside words") {
        CHECK(wordpiece::learn_vocabulary("abc abc", 9, {}).entries ==
              Pieces{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##b", "##c", "a", "##bc"});
        CHECK(wordpiece::learn_vocabulary("abc", 100, {}).joinings.empty());  // nothing occurs twice
        CHECK(wordpiece::learn_vocabulary("abc abc", 8, {}).entries.size() == 8);
        CHECK(wordpiece::learn_vocabulary("abc", 100, {}, 1).entries.back() == "abc");
        CHECK(wordpiece::learn_vocabulary("aaaa aaaa", 100, {}).entries.back() == "aaaa");
        CHECK_THROWS_WITH(
            wordpiece::learn_vocabulary("abc", 7, {}),
            "wordpiece::learn_vocabulary: 7 entries have no room for the 5 special tokens and the 3 characters of the text; at least 8");
    }

    TEST_CASE("learn_vocabulary: makes the merges of the textbook version on random texts, ties included") {
        Random random(5);
        for (int trial = 0; trial < 150; ++trial) {
            const int letters = 1 + trial % 4, smallest_count = 1 + trial % 3;
            std::string text;
            for (int k = 0; k < 20 + random.below(200); ++k)
                text += random.below(4) == 0 ? ' ' : static_cast<char>('a' + random.below(letters));
            const Learned textbook = wordpiece::learn_vocabulary_textbook(text, 60, {}, smallest_count);
            const Learned fast = wordpiece::learn_vocabulary(text, 60, {}, smallest_count);
            REQUIRE_MESSAGE(fast.entries == textbook.entries, text);
            REQUIRE(fast.joinings.size() == textbook.joinings.size());
            for (std::size_t k = 0; k < fast.joinings.size(); ++k) {
                CHECK(fast.joinings[k].left == textbook.joinings[k].left);
                CHECK(fast.joinings[k].right == textbook.joinings[k].right);
                CHECK(fast.joinings[k].together == textbook.joinings[k].together);
                CHECK(fast.joinings[k].score == textbook.joinings[k].score);
            }
        }
    }

    TEST_CASE("learn_vocabulary: spells its own text without [UNK], also after saving and loading") {
        const std::string text = "The cat sat, the cat ran. Мама мыла раму, мама мыла окно!";
        const Learned learned = wordpiece::learn_vocabulary(text, 60, {});
        const std::string path = "build/wordpiece_test_vocab.txt";
        wordpiece::save_vocabulary(wordpiece::make_vocabulary(learned.entries), path);
        const Vocabulary vocabulary = wordpiece::load_vocabulary(path);
        std::remove(path.c_str());
        CHECK(vocabulary.entries == learned.entries);
        const std::vector<int> ids = wordpiece::encode(text, vocabulary, {});
        CHECK(std::count(ids.begin(), ids.end(), vocabulary.unknown) == 0);
        CHECK(wordpiece::decode(ids, vocabulary) == "the cat sat , the cat ran . мама мыла раму , мама мыла окно !");
    }

    TEST_CASE("wordpiece: worked examples that expose four classic mistakes") {
        // Splitting at ASCII punctuation only would leave "¿que", "¡si", "«oui»" whole: 4 words too few.
        CHECK(wordpiece::split_words("¿Qué? ¡Sí! «oui»", {}).size() == 9);
        // Without decomposition the accents would stay.
        CHECK(wordpiece::split_words("naïve café résumé", {}) == Pieces{"naive", "cafe", "resume"});
        CHECK(wordpiece::split_words("Ёлка и ёж", {}) == Pieces{"елка", "и", "еж"});
        // Hangul left composed would be 3 + 2 characters: 한 = 3 jamo, 국 3, 어 2; 문 3, 장 3.
        const Pieces hangul = wordpiece::split_words("한국어 문장", {});
        REQUIRE(hangul.size() == 2);
        CHECK(decode_utf8(hangul[0]).size() == 8);
        CHECK(decode_utf8(hangul[1]).size() == 6);
        // Keeping the pieces found before an unknown part would give two ids here.
        CHECK(wordpiece::encode_word("unя", vocabulary_with({"un"}), {}).size() == 1);
    }

    static Config golden_config(const Json& golden) {
        return {.lower_case = golden.at("do_lower_case").as_boolean(),
                .longest_word = golden.at("max_input_chars_per_word").as_int()};
    }

    TEST_CASE("parity: words, pieces, ids and sequences equal the published tokenizer's in every case") {
        for (const std::string& path : golden_files("tokenizer_bert", ".json")) {
            CAPTURE(path);
            const Json golden = read_json(path);
            const Vocabulary vocabulary = wordpiece::make_vocabulary(wordpiece_words(golden.at("vocab")), path);
            const Config config = golden_config(golden);
            CHECK(vocabulary.size() == golden.at("vocab_size").as_int());
            CHECK(vocabulary.padding == golden.at("pad_id").as_int());
            CHECK(vocabulary.unknown == golden.at("unk_id").as_int());
            CHECK(vocabulary.classification == golden.at("cls_id").as_int());
            CHECK(vocabulary.separator == golden.at("sep_id").as_int());
            CHECK(vocabulary.mask == golden.at("mask_id").as_int());
            for (const Json& item : golden.at("cases").as_array()) {
                const std::string& text = item.at("text").as_string();
                CAPTURE(text);
                const std::vector<int> ids = wordpiece::encode(text, vocabulary, config);
                CHECK(wordpiece::split_words(text, config) == wordpiece_words(item.at("words")));
                CHECK(ids == wordpiece_numbers(item.at("ids")));
                CHECK(entries_of(ids, vocabulary) == wordpiece_words(item.at("tokens")));
            }
            for (const Json& item : golden.at("pairs").as_array()) {
                const Json& second = item.at("b");
                const std::vector<int> a = wordpiece::encode(item.at("a").as_string(), vocabulary, config);
                const std::vector<int> b = second.kind == Json::Kind::null
                                               ? std::vector<int>{}
                                               : wordpiece::encode(second.as_string(), vocabulary, config);
                const Sequence sequence = wordpiece::make_sequence(a, b, item.at("max_seq_length").as_int(), vocabulary);
                CHECK(sequence.ids == wordpiece_numbers(item.at("input_ids")));
                CHECK(sequence.mask == wordpiece_numbers(item.at("input_mask")));
                CHECK(sequence.segments == wordpiece_numbers(item.at("segment_ids")));
            }
        }
    }

    TEST_CASE("encode: more entries give fewer pieces per word, but not fewer [UNK]") {
        const Json golden = read_json("tests/golden/tokenizer_bert-a.json");
        const Vocabulary all = wordpiece::make_vocabulary(wordpiece_words(golden.at("vocab")));
        // The five special tokens and all single characters, then the first k of the other entries.   k, pieces per word, [UNK]
        const std::vector<std::tuple<int, double, int>> measured{
            {0, 2.97, 14}, {100, 2.60, 14}, {200, 2.39, 14}, {351, 1.97, 13}};
        for (const auto& [k, pieces_per_word, unknown] : measured) {
            Pieces kept;
            int others = 0;
            for (int id = 0; id < all.size(); ++id) {
                const std::string& entry = all.entries[id];
                const bool continues = entry.size() > 2 && entry.starts_with("##");
                const bool is_character = decode_utf8(entry).size() == (continues ? 3 : 1);
                if (id < 5 || is_character || others++ < k) kept.push_back(entry);
            }
            CHECK(others == 351);
            const Vocabulary vocabulary = wordpiece::make_vocabulary(kept);
            int words = 0, pieces = 0, unknown_words = 0;
            for (const Json& item : golden.at("cases").as_array()) {
                words += static_cast<int>(item.at("words").as_array().size());
                for (const int id : wordpiece::encode(item.at("text").as_string(), vocabulary, {})) {
                    ++pieces;
                    unknown_words += id == vocabulary.unknown;
                }
            }
            CHECK(std::abs(static_cast<double>(pieces) / words - pieces_per_word) < 0.005);
            CHECK(unknown_words == unknown);
        }
    }

    TEST_CASE("read_vocabulary: an entry that is empty or white space keeps its id and matches nothing") {
        const std::string names = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
        const std::string content = names + "\u2027\n\u2028\n\u2030\n\n \u3000\t\n  cat \n##s\n\n\n";
        const Vocabulary vocabulary = wordpiece::read_vocabulary(content, "v");
        CHECK(vocabulary.size() == 14);  // the two blank lines at the end have ids, as in the published code
        CHECK(vocabulary.used() == 12);
        CHECK(wordpiece::id_of(vocabulary, "\u2027") == 5);
        CHECK(wordpiece::id_of(vocabulary, "\u2028") == -1);  // number 6
        CHECK(wordpiece::id_of(vocabulary, "\u2030") == 7);
        CHECK(wordpiece::id_of(vocabulary, "") == -1);  // number 8
        CHECK(wordpiece::id_of(vocabulary, "cat") == 10);
        CHECK(wordpiece::encode("cats\u2028 \u3000 cat", vocabulary, {}) == std::vector<int>{10, 11, 10});
        CHECK(vocabulary.entries[6] == "\u2028");
        const TemporaryFolder folder;
        wordpiece::save_vocabulary(vocabulary, folder.path("v"));
        CHECK(wordpiece::load_vocabulary(folder.path("v")).entries == vocabulary.entries);
    }

    TEST_CASE("read_vocabulary: lines that end in carriage returns alone are named") {
        CHECK_THROWS_WITH(wordpiece::read_vocabulary("[PAD]\r[UNK]\r[CLS]\r[SEP]\r[MASK]\r", "v"),
                          "v: its lines end in carriage returns alone, as on an old Mac; convert it: tr '\\r' '\\n'");
    }

    TEST_CASE("load_vocabulary, require_same_settings: what the other files of a published folder change is refused") {
        const TemporaryFolder folder;
        const std::string vocab = folder.file("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
        const std::string added = folder.path("added_tokens.json"), settings = folder.path("tokenizer_config.json");
        const auto size_with = [&](const std::string& json) {
            folder.file("added_tokens.json", json);
            return wordpiece::load_vocabulary(vocab).size();
        };
        CHECK(size_with("{}") == 6);
        CHECK(size_with("null") == 6);
        CHECK(size_with(R"({"a": 5})") == 6);
        for (const std::string json : {R"({"b": 6})", R"({"a": 6})"})
            CHECK(error_of([&] { size_with(json); }) ==
                  added + ": line 1: adds the token " + json.substr(1, 3) +
                      " with the id \"6\"; added tokens are not read here, and without them a text would get other ids");
        CHECK(error_of([&] { size_with("[]"); }).starts_with(added + ": an object of tokens and their numbers is needed"));
        CHECK(error_of([&] { size_with(R"({"a": "5"})"); }).starts_with(added + ": line 1: adds the token \"a\" with the id"));
        const auto refusal = [&](const std::string& json, bool lower_case) {
            folder.file("tokenizer_config.json", json);
            return error_of([&] { wordpiece::require_same_settings(vocab, {.lower_case = lower_case}); });
        };
        for (const bool lower_case : {false, true}) {
            const std::string same = lower_case ? "true" : "false", other = lower_case ? "false" : "true";
            CHECK(error_of([&] { wordpiece::require_same_settings("vocab.txt", {.lower_case = lower_case}); }).empty());
            CHECK(refusal("{}", lower_case).empty());
            CHECK(refusal(R"({"do_lower_case": )" + same + R"(, "strip_accents": null, "tokenize_chinese_chars": true})",
                          lower_case)
                      .empty());
            CHECK(refusal(R"({"strip_accents": )" + same + "}", lower_case).empty());
            CHECK(refusal(R"({"do_lower_case": )" + other + "}", lower_case) ==
                  settings + ": do_lower_case is " + other + ", but a text is read as " +
                      (lower_case ? "uncased; give --cased" : "cased; leave --cased out"));
            CHECK(
                refusal(R"({"strip_accents": )" + other + "}", lower_case).starts_with(settings + ": strip_accents is " + other));
            CHECK(refusal("[]", lower_case) == settings + ": an object of settings is needed, as {\"do_lower_case\": true}");
            CHECK(refusal(R"({"do_lower_case": 1})", lower_case) == settings + ": line 1: do_lower_case must be true or false");
            CHECK(refusal(R"({"tokenize_chinese_chars": false})", lower_case) ==
                  settings + ": tokenize_chinese_chars is false, here each ideograph is a word");
            CHECK(refusal(R"({"do_basic_tokenize": true})", lower_case) == "");
            CHECK(refusal(R"({"do_basic_tokenize": false})", lower_case) ==
                  settings + ": do_basic_tokenize is false, here a text is always cut at punctuation");
        }
        CHECK(wordpiece::load_vocabulary(folder.file("v.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")).size() == 5);
    }

    TEST_CASE("read_vocabulary: skips a byte order mark") {
        const std::string content = "\xEF\xBB\xBF[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n";
        const TemporaryFolder folder;
        for (const Vocabulary& vocabulary :
             {wordpiece::read_vocabulary(content, "v"), wordpiece::load_vocabulary(folder.file("v", content))}) {
            CHECK(vocabulary.padding == 0);
            CHECK(vocabulary.entries[0] == "[PAD]");
        }
    }

    TEST_CASE("encode: the entry with id 0 may be a piece like any other") {
        const wordpiece::Vocabulary vocabulary =
            wordpiece::make_vocabulary({"ab", "##c", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"});
        CHECK(wordpiece::encode("abc ab", vocabulary, {}) == std::vector<int>{0, 1, 0});
    }

    TEST_CASE("encode, make_sequence, save_vocabulary: what would give wrong ids later is refused") {
        const wordpiece::Vocabulary vocabulary = wordpiece::make_vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab"});
        CHECK_THROWS_WITH(wordpiece::encode("ab", wordpiece::Vocabulary{}, {}),
                          "wordpiece: a vocabulary without entries; make it with load_vocabulary or make_vocabulary");
        CHECK_THROWS_WITH(wordpiece::encode("ab", vocabulary, {.longest_word = 0}),
                          "wordpiece: a longest word of 0 characters, it must be at least 1; 200 in BERT");
        CHECK(wordpiece::encode("ab", vocabulary, {.longest_word = 1}) == std::vector<int>{1});
        CHECK(wordpiece::make_sequence({0}, {}, 3, vocabulary).ids == std::vector<int>{2, 0, 3});
        CHECK_THROWS_WITH(wordpiece::make_sequence({5}, {6}, 9, vocabulary),
                          "wordpiece::make_sequence: id 6 is not in a vocabulary of 6, counted from 0");
        CHECK_THROWS_WITH(wordpiece::make_sequence({-1}, {}, 9, vocabulary),
                          "wordpiece::make_sequence: id -1 is not in a vocabulary of 6, counted from 0");
        const TemporaryFolder folder;
        const std::string path = folder.path("vocab.txt");
        const auto refusal = [&](const std::string& entry) {
            wordpiece::Vocabulary changed = vocabulary;
            changed.entries.push_back(entry);
            return error_of([&] { wordpiece::save_vocabulary(changed, path); });
        };
        const std::string rule =
            ", would not be read back: a vocab.txt has an entry in each line and drops white space around it";
        CHECK(refusal("a\nb") == path + ": entry 6, \"a\\nb\"" + rule);
        CHECK(refusal(" a") == path + ": entry 6, \" a\"" + rule);
        CHECK(refusal("a b") == "");
        CHECK(refusal("\u2028") == "");
        CHECK(wordpiece::load_vocabulary(path).entries.at(6) == "\u2028");
    }

    TEST_CASE("wordpiece::Config: the defaults") {
        const wordpiece::Config usual{};
        CHECK(usual.lower_case);
        CHECK(usual.longest_word == 200);
    }
    TEST_CASE("longest_match, learn_vocabulary: a byte after the word and a smallest count below 1 are refused") {
        const Vocabulary vocabulary = wordpiece::make_vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"});
        CHECK(wordpiece::longest_match("a", 1, vocabulary).id == -1);
        CHECK_THROWS_WITH(wordpiece::longest_match("a", 2, vocabulary), "wordpiece: byte 2 of a word of 1 bytes, counted from 0");
        const std::string rule = "wordpiece: pairs that occur 0 times, at least 1 is needed; 2 is usual";
        CHECK(error_of([] { wordpiece::learn_vocabulary("a b", 10, {}, 0); }) == rule);
        CHECK(error_of([] { wordpiece::learn_vocabulary_textbook("a b", 10, {}, 0); }) == rule);
        CHECK_NOTHROW(wordpiece::learn_vocabulary("a b", 10, {}, 1));
    }
}
