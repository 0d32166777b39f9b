// bpe_test.cpp: worked examples, every case of the published encoder's fixtures, and classic mistakes shown to be caught.
#include "gpt/bpe.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/training/progress.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

using bpe::ByteOrder;
using bpe::Pair;
using bpe::Training;
using bpe::TrainingStep;
using bpe::Vocabulary;

static std::vector<int> bpe_numbers(const Json& list) {
    std::vector<int> numbers;
    for (const Json& item : list.as_array()) numbers.push_back(item.as_int());
    return numbers;
}

static std::vector<std::string> bpe_words(const Json& list) {
    std::vector<std::string> words;
    for (const Json& item : list.as_array()) words.push_back(item.as_string());
    return words;
}

static std::vector<std::string> pieces_of(std::string_view text) {
    std::vector<std::string> pieces;
    for (const std::string_view piece : bpe::split_pieces(text)) pieces.emplace_back(piece);
    return pieces;
}

using Words = std::vector<std::string>;

static std::string random_letters(Random& random, int length, int letters) {
    std::string text;
    for (int i = 0; i < length; ++i) text += static_cast<char>('a' + random.below(letters));
    return text;
}

TEST_SUITE("tokenizer_gpt2") {
    TEST_CASE("split_pieces: a run of letters, digits or symbols includes one space before it, and no other white space") {
        CHECK(pieces_of("Hello world") == Words{"Hello", " world"});
        CHECK(pieces_of("a1b22 c3!?") == Words{"a", "1", "b", "22", " c", "3", "!?"});
        CHECK(pieces_of("x\ty") == Words{"x", "\t", "y"});
        CHECK(pieces_of("x\u00A0y") == Words{"x", "\u00A0", "y"});
        CHECK(pieces_of("") == Words{});
    }

    TEST_CASE(
        "split_pieces: the last character of white space before a word is split off, and joins the word when it is a space") {
        CHECK(pieces_of("  two") == Words{" ", " two"});
        CHECK(pieces_of("a\n\nb") == Words{"a", "\n", "\n", "b"});
        CHECK(pieces_of("a \n b") == Words{"a", " \n", " b"});
        CHECK(pieces_of("a   ") == Words{"a", "   "});
        CHECK(pieces_of(" ") == Words{" "});
    }

    TEST_CASE("split_pieces: contractions match the ASCII apostrophe and lower case only") {
        CHECK(pieces_of("I'll they're we've it's I'd can't I'm") ==
              Words{"I", "'ll", " they", "'re", " we", "'ve", " it", "'s", " I", "'d", " can", "'t", " I", "'m"});
        CHECK(pieces_of("I'M") == Words{"I", "'", "M"});
        CHECK(pieces_of("it’s") == Words{"it", "’", "s"});
        CHECK(pieces_of("'lx 'v'") == Words{"'", "lx", " '", "v", "'"});
        CHECK(pieces_of("'sun") == Words{"'s", "un"});  // the first alternative is tried first, whatever follows
        CHECK(pieces_of(" 's") == Words{" '", "s"});    // but at the space only the symbol run matches
    }

    TEST_CASE("split_pieces: numbers are more than digits; combining marks are neither letters nor numbers") {
        CHECK(pieces_of("x²½Ⅷ٣y") == Words{"x", "²½Ⅷ٣", "y"});
        CHECK(pieces_of("cafe\u0301s") == Words{"cafe", "\u0301", "s"});
        CHECK(pieces_of("привет, мир") == Words{"привет", ",", " мир"});
        CHECK(pieces_of("a\u200Bb\uFEFFc\u001Cd") == Words{"a", "\u200B", "b", "\uFEFF", "c", "\u001C", "d"});  // no white space
        // the last and the first characters of 1, 2, 3 and 4 bytes
        CHECK(pieces_of("a\u007Fb\u0080c\u07FFd\u0800\uFFFF\U00010000") ==
              Words{"a", "\u007F", "b", "\u0080", "c", "\u07FF", "d\u0800", "\uFFFF", "\U00010000"});
    }

    TEST_CASE("split_pieces: an invalid UTF-8 byte counts as a symbol") {
        CHECK(pieces_of("a\xFF\xE2\x80!b") == Words{"a", "\xFF\xE2\x80!", "b"});
    }

    TEST_CASE("split_pieces: the concatenated pieces are the text, for arbitrary bytes too") {
        Random random(7);
        const std::string letters = " \n\t'sl1!\xC3\xA9\xE2\x80\x99\xF0\x9F\x98\x80\xFF";
        for (int trial = 0; trial < 300; ++trial) {
            std::string text;
            for (int i = 0; i < 40; ++i) text += letters[random.below(static_cast<int>(letters.size()))];
            std::string together;
            for (const std::string& piece : pieces_of(text)) together += piece;
            CHECK(together == text);
        }
    }

    TEST_CASE("symbols_of: every byte has its own printable symbol") {
        CHECK(bpe::symbols_of(" a\n") == "\u0120a\u010A");
        CHECK(bpe::symbols_of(std::string("\0\x7F\xAD", 3)) ==
              "\u0100\u0121\u0143");  // the first, and the 34th and 68th of the 68
        std::string all;
        for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
        const std::string symbols = bpe::symbols_of(all);
        CHECK(bpe::bytes_of(symbols) == all);
        std::u32string distinct = decode_utf8(symbols);
        std::sort(distinct.begin(), distinct.end());
        CHECK(std::unique(distinct.begin(), distinct.end()) == distinct.end());
        CHECK_THROWS_WITH(bpe::bytes_of("a b"), "bpe::bytes_of: the character   stands for no byte");
        CHECK_THROWS_WITH(bpe::bytes_of("\u0144"), "bpe::bytes_of: the character \u0144 stands for no byte");
    }

    TEST_CASE("published_byte_order: bytes that stand for themselves come first") {
        const Vocabulary vocabulary = bpe::make_vocabulary({});
        CHECK(vocabulary.size() == 257);
        CHECK(vocabulary.byte_ids['!'] == 0);
        CHECK(vocabulary.byte_ids['H'] == 39);  // 72 - 33: the raw value 72 would be the mistake
        CHECK(vocabulary.byte_ids['\n'] == 198);
        CHECK(vocabulary.byte_ids[' '] == 220);
        CHECK(vocabulary.byte_ids['\t'] == 197);
        CHECK(vocabulary.byte_ids[173] == 255);
        CHECK(vocabulary.end_of_text == 256);
        CHECK(bpe::make_vocabulary({}, ByteOrder::raw).byte_ids['H'] == 72);
    }

    TEST_CASE("encode: merges the pair of lowest rank first, not the leftmost") {
        // merges: 0 = (b c), 1 = (a b); "abc" -> a bc, while going from the left would give ab c
        const Vocabulary vocabulary = bpe::make_vocabulary({{'b', 'c'}, {'a', 'b'}}, ByteOrder::raw);
        CHECK(bpe::encode("abc", vocabulary) == std::vector<int>{'a', 256});
        CHECK(bpe::encode("abab", vocabulary) == std::vector<int>{257, 257});
    }

    TEST_CASE("encode: overlapping occurrences are merged from the left") {
        const Vocabulary vocabulary = bpe::make_vocabulary({{'a', 'a'}, {256, 256}}, ByteOrder::raw);
        CHECK(bpe::encode("aaa", vocabulary) == std::vector<int>{256, 'a'});
        CHECK(bpe::encode("aaaaaaa", vocabulary) == std::vector<int>{257, 256, 'a'});
    }

    TEST_CASE("encode: merges never cross pieces, unless the text is not split") {
        const Vocabulary vocabulary = bpe::make_vocabulary({{'a', ' '}, {'a', '1'}}, ByteOrder::raw);
        CHECK(bpe::encode("a a1", vocabulary) == std::vector<int>{'a', ' ', 'a', '1'});
        CHECK(bpe::encode("a a1", vocabulary, false) == std::vector<int>{256, 257});
    }

    TEST_CASE("encode_piece_textbook: merges the lowest rank everywhere, then rescans") {
        // 256 = (a b), 257 = (256 256), 258 = (b a). "ababab" -> 256 256 256 -> 257 256; b a is never reached
        const Vocabulary vocabulary = bpe::make_vocabulary({{'a', 'b'}, {256, 256}, {'b', 'a'}}, ByteOrder::raw);
        CHECK(bpe::encode_piece_textbook("ababab", vocabulary) == std::vector<int>{257, 256});
        CHECK(bpe::encode_piece_textbook("bab", vocabulary) == std::vector<int>{'b', 256});
        CHECK(bpe::encode_piece_textbook("bba", vocabulary) == std::vector<int>{'b', 258});
        CHECK(bpe::encode_piece_textbook("", vocabulary).empty());
    }

    TEST_CASE("encode_piece: gives the tokens of the textbook version on random words") {
        Random random(3);
        for (int trial = 0; trial < 200; ++trial) {
            const Training training = bpe::train(random_letters(random, 60, 2 + trial % 3), 25, false);
            const Vocabulary vocabulary = bpe::make_vocabulary(training.pairs(), ByteOrder::raw);
            const std::string word = random_letters(random, 1 + random.below(50), 2 + trial % 3);
            CHECK(bpe::encode_piece(word, vocabulary) == bpe::encode_piece_textbook(word, vocabulary));
        }
    }

    // Random merges of the letters a, b, c, ... in which several merges may make the same token: abc from ab and c, or from a and bc.
    static Vocabulary random_vocabulary(Random & random, int letters, int merges) {
        Vocabulary vocabulary = bpe::make_vocabulary({}, ByteOrder::raw);
        std::vector<int> parts;  // tokens that merges may use
        for (int letter = 0; letter < letters; ++letter) parts.push_back('a' + letter);
        for (int k = 0; k < merges; ++k) {
            const int count = static_cast<int>(parts.size());
            const int left = parts[random.below(count)], right = parts[random.below(count)];
            const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
            if (vocabulary.ranks.count(pair) > 0) continue;
            const std::string bytes = vocabulary.tokens[left] + vocabulary.tokens[right];
            int result = bpe::id_of(vocabulary, bytes);
            if (result < 0) {
                result = vocabulary.size();
                vocabulary.tokens.push_back(bytes);
                parts.push_back(result);
            }
            vocabulary.ranks.emplace(pair, static_cast<int>(vocabulary.merges.size()));
            vocabulary.merges.push_back({left, right, result});
        }
        return vocabulary;
    }

    TEST_CASE("encode_piece: gives the tokens of the textbook version when several merges make the same token") {
        Random random(8);
        for (int trial = 0; trial < 2000; ++trial) {
            const int letters = 1 + trial % 3;
            const Vocabulary vocabulary = random_vocabulary(random, letters, 12);
            const std::string word = random_letters(random, 1 + random.below(30), letters);
            CHECK(bpe::encode_piece(word, vocabulary) == bpe::encode_piece_textbook(word, vocabulary));
        }
    }

    TEST_CASE("encode_piece: takes near-linear time on a long piece") {
        // 2^17 letters a, merges a a -> 2 letters, ... -> 2^10 letters: 2^7 tokens. Rescanning all pairs after every merge
        // would examine 2^17 pairs 2^17 times, minutes of work.
        std::vector<Pair> pairs{{'a', 'a'}};
        for (int id = 256; id < 265; ++id) pairs.push_back({id, id});
        const std::string text(1 << 17, 'a');
        const std::vector<int> ids = bpe::encode(text, bpe::make_vocabulary(pairs, ByteOrder::raw));
        CHECK(ids == std::vector<int>(1 << 7, 265));
        CHECK(bpe::train(text, 10).ids == ids);
    }

    TEST_CASE("decode: restores all bytes, with U+FFFD for each incomplete character") {
        const Vocabulary vocabulary = bpe::make_vocabulary({{'a', 'b'}}, ByteOrder::raw);
        std::string all;
        for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
        CHECK(bpe::decode_bytes(bpe::encode(all, vocabulary), vocabulary) == all);
        CHECK(bpe::decode({256, 0xE2, 0x80, 'c', 0x99}, vocabulary) == "ab\uFFFDc\uFFFD");  // E2 80 could have begun a character
        CHECK(bpe::decode({257}, vocabulary) == "<|endoftext|>");
        CHECK_THROWS_WITH(bpe::decode({5, 258}, vocabulary), "bpe::decode: id 258 is not in a vocabulary of 258, counted from 0");
        CHECK_THROWS_WITH(bpe::decode({-1}, vocabulary), "bpe::decode: id -1 is not in a vocabulary of 258, counted from 0");
    }

    TEST_CASE("make_vocabulary: merges of unknown tokens and repeated merges throw") {
        CHECK_THROWS_WITH(bpe::make_vocabulary({{0, 256}}),
                          "bpe::make_vocabulary: merge 0 joins 0 and 256, but there are only 256 tokens before it");
        CHECK_THROWS_WITH(bpe::make_vocabulary({{-1, 3}}),
                          "bpe::make_vocabulary: merge 0 joins -1 and 3, but there are only 256 tokens before it");
        CHECK_THROWS_WITH(bpe::make_vocabulary({{1, 2}, {1, 2}}), "bpe::make_vocabulary: merge 1 joins 1 and 2 a second time");
    }

    TEST_CASE("read_merges: merges.txt alone gives bytes, merges, <|endoftext|>") {
        const Vocabulary vocabulary = bpe::read_merges("#version: 0.2\nh e\nhe l\n\u0120 t\n", "merges.txt");
        CHECK(vocabulary.size() == 260);
        CHECK(vocabulary.tokens[257] == "hel");
        CHECK(vocabulary.tokens[258] == " t");
        CHECK(vocabulary.end_of_text == 259);
        CHECK(bpe::encode("hel t", vocabulary) == std::vector<int>{257, 258});
        CHECK(bpe::id_of(vocabulary, " t") == 258);
        CHECK(bpe::id_of(vocabulary, "tt") == -1);
        CHECK(bpe::read_merges("", "m").size() == 257);
        CHECK(bpe::read_merges("# #\r\n", "m").tokens[256] == "##");  // only "#version" is a heading
        CHECK(bpe::read_merges("\u0100 \u0101\n", "m").tokens[256] == std::string("\0\1", 2));
    }

    TEST_CASE("read_merges: errors give source, line and reason") {
        CHECK_THROWS_WITH(bpe::read_merges("h e\nhe\n", "m"),
                          "m: line 2: \"he\" is not a merge, which is two tokens with one space between them");
        CHECK_THROWS_WITH(bpe::read_merges("h  e\n", "m"),
                          "m: line 1: \"h  e\" is not a merge, which is two tokens with one space between them");
        CHECK_THROWS_WITH(bpe::read_merges("\nh e\n", "m"),
                          "m: line 1: \"\" is not a merge, which is two tokens with one space between them");
        CHECK_THROWS_WITH(bpe::read_merges("h e\nhe ll\n", "m"),
                          "m: line 2: no byte and no earlier line makes \"ll\"; is a line missing?");
        CHECK_THROWS_WITH(bpe::read_merges("a b\nb c\na bc\nab c\n", "m"),
                          "m: line 4: \"abc\" is made a second time; its id is only in the vocab.json that belongs to this file");
        CHECK_THROWS_WITH(bpe::read_merges("a b\na b\n", "m"),
                          "m: line 2: \"a\" and \"b\" are joined already by an earlier line; leave one out");
        CHECK_THROWS_WITH(bpe::read_merges("a \u4E00\n", "m"), "m: line 1: the character \u4E00 stands for no byte");
        CHECK_THROWS_WITH(bpe::read_merges("a \xFF\n", "m"), "m: line 1: the character \uFFFD stands for no byte");
    }

    // vocab.json with the 256 bytes and then these names.
    static std::string json_with(const Words& names) {
        std::string json;
        const Vocabulary bytes = bpe::make_vocabulary({});
        for (int id = 0; id < 256; ++id)
            json += json_string(bpe::symbols_of(bytes.tokens[id])) + ": " + std::to_string(id) + ", ";
        for (std::size_t i = 0; i < names.size(); ++i) json += json_string(names[i]) + ": " + std::to_string(256 + i) + ", ";
        return "{" + json.substr(0, json.size() - 2) + "}";
    }

    TEST_CASE("read_vocabulary: ids come from vocab.json, which may contain special tokens") {
        const Vocabulary vocabulary =
            bpe::read_vocabulary(json_with({"<s>", "hel", "he", "<|endoftext|>"}), "v", "h e\nhe l\n", "m");
        CHECK(vocabulary.size() == 260);
        CHECK(vocabulary.end_of_text == 259);
        CHECK(vocabulary.specials == std::vector<int>{256, 259});
        CHECK(bpe::encode("hel he", vocabulary) == std::vector<int>{257, 220, 258});
        CHECK(bpe::encode("<s>", vocabulary) == std::vector<int>{27, 82, 29});  // a text: 60 - 33, 115 - 33, 62 - 33
        CHECK(bpe::decode({256, 257}, vocabulary) == "<s>hel");
    }

    TEST_CASE("add_tokens: ids are those that vocab.json leaves free; an id of another token or given twice throws") {
        Vocabulary vocabulary = bpe::read_vocabulary(json_with({"hel", "he", "<|endoftext|>"}), "v", "h e\nhe l\n", "m");
        Vocabulary same = vocabulary;
        bpe::add_tokens(same, "{}", "a");
        bpe::add_tokens(same, R"({"<|endoftext|>": 258, "hel": 256})", "a");  // known with this id
        CHECK(same.tokens == vocabulary.tokens);
        CHECK(same.specials == vocabulary.specials);
        const auto error = [&](const std::string& json) {
            Vocabulary changed = vocabulary;
            return error_of([&] { bpe::add_tokens(changed, json, "a"); });
        };
        CHECK(error("[]") ==
              "a: an object of tokens and their numbers is needed, as {\"[PAD]\": 50257}; it holds something else");
        CHECK(error(R"({"[PAD]": 999999})") == "");
        CHECK(error(R"({"[PAD]": 1000000})") ==
              "a: line 1: the number of \"[PAD]\" is \"1000000\", it must be one of 0 ... 999999");
        CHECK(error(R"({"[PAD]": -1})") == "a: line 1: the number of \"[PAD]\" is \"-1\", it must be one of 0 ... 999999");
        CHECK(error(R"({"[PAD]": "259"})").find("the number of \"[PAD]\" is \"\\\"259\\\"\", it must") != std::string::npos);
        CHECK(error(R"({"": 259})") == "a: line 1: a token without a name");
        CHECK(error(R"({"[PAD]": 258})") ==
              "a: line 1: \"[PAD]\" has the number 258 of another token; from 259 on they are free");
        CHECK(error(R"({"he": 259})") == "a: line 1: \"he\" has the number 259, vocab.json gives it 257");
        CHECK(error(R"({"Ā": 259})") == "a: line 1: \"Ā\" has the number 259, vocab.json gives it 188");  // the byte 0
        CHECK(error(R"({"!": 259})") == "a: line 1: \"!\" has the number 259, vocab.json gives it 0");
        CHECK(error(R"({"!": 0})") == "");
        CHECK(error(R"({"<|endoftext|>": 259})") == "a: line 1: \"<|endoftext|>\" has the number 259, vocab.json gives it 258");
        CHECK(error(R"({"a b": 259, "[PAD]": 259})") == "a: line 1: the number 259 is given to \"a b\" and to \"[PAD]\"");
        bpe::add_tokens(vocabulary, R"({"[PAD]": 260, "a b": 259})", "a");
        CHECK(vocabulary.size() == 261);
        CHECK(vocabulary.specials == std::vector<int>{258, 259, 260});
        CHECK(vocabulary.end_of_text == 258);
        CHECK(bpe::decode({259, 260, 256}, vocabulary) == "a b[PAD]hel");
        // published code would cut "a b" out of a text
        CHECK_NOTHROW(bpe::require_no_special("a c", vocabulary));
        CHECK_THROWS_WITH(
            bpe::require_no_special("xa bx", vocabulary),
            doctest::Contains("bpe: the text holds the special token \"a b\": published code reads it as the id 259"));
    }

    TEST_CASE("load_vocabulary: added_tokens.json and tokenizer_config.json beside vocab.json are read") {
        const TemporaryFolder folder;
        const std::string merges = folder.file("merges.txt", "h e\n"), vocab = folder.file("vocab.json", json_with({"he"}));
        CHECK(bpe::load_vocabulary(vocab, merges).size() == 257);
        const std::string added = folder.file("added_tokens.json", R"({"<|endoftext|>": 257})");
        CHECK(bpe::load_vocabulary(vocab, merges).end_of_text == 257);
        const std::string other_name = folder.file("book-vocab.json", json_with({"he"}));  // has no added tokens
        CHECK(bpe::load_vocabulary(other_name, merges).size() == 257);
        folder.file("added_tokens.json", R"({"[PAD]": 1000000})");
        CHECK(error_of([&] { bpe::load_vocabulary(vocab, merges); }).starts_with(added + ": line 1: the number of \"[PAD]\""));
        std::filesystem::remove(added);
        const std::string settings =
            folder.file("tokenizer_config.json", R"({"model_max_length": 1024, "add_bos_token": false})");
        CHECK(bpe::load_vocabulary(vocab, merges).size() == 257);
        for (const std::string rule : {"add_prefix_space", "add_bos_token"}) {
            folder.file("tokenizer_config.json", "{\"" + rule + "\": true}");
            CHECK(error_of([&] { bpe::load_vocabulary(vocab, merges); }) ==
                  settings + ": " + rule + " is true, which is not implemented here; give ids instead of words");
        }
        const std::string one_file = folder.file("tokenizer.json", R"({"model": 1})");
        CHECK(error_of([&] { bpe::load_tokenizer(one_file); }).starts_with(settings + ": add_bos_token is true"));
        const std::string elsewhere = folder.file("other.json", R"({"model": 1})");
        CHECK(error_of([&] { bpe::load_tokenizer(elsewhere); }).starts_with(elsewhere + ": "));
        const auto with_settings = [&](const std::string& json) {
            folder.file("tokenizer_config.json", json);
            return error_of([&] { bpe::load_vocabulary(vocab, merges); });
        };
        CHECK(with_settings("[]") == settings + ": json: line 1: an object is needed, this is an array");
        CHECK(with_settings(R"({"add_bos_token": 1})") == settings + ": json: line 1: a truth value is needed, this is a number");
        CHECK_THROWS_WITH(bpe::read_tokenizer(R"({"model": {"type": 7}})", "t"),
                          "t: json: line 1: a string is needed, this is a number");
    }

    TEST_CASE("read_merges: lines that end in carriage returns alone are named") {
        CHECK_THROWS_WITH(bpe::read_merges("#version: 0.2\rh e\r", "m"),
                          "m: its lines end in carriage returns alone, as on an old Mac; convert it: tr '\\r' '\\n'");
        CHECK(bpe::read_merges("#version: 0.2\r\nh e\r\n", "m").size() == 258);
    }

    // Tables of embeddings are filled up to a round number, and later tokens get the numbers behind.
    TEST_CASE("read_vocabulary, add_tokens: a number may be left out; it stands for no bytes") {
        const std::string json = json_with({"he", "<end>"});  // 256, 257
        const std::string later = json.substr(0, json.rfind("257")) + "300}";
        Vocabulary vocabulary = bpe::read_vocabulary(later, "v", "h e\n", "m");
        CHECK(vocabulary.size() == 301);
        CHECK(vocabulary.specials == std::vector<int>{300});
        CHECK(bpe::encode("he", vocabulary) == std::vector<int>{256});
        CHECK(bpe::decode({256, 257, 299, 300}, vocabulary) == "he<end>");
        bpe::add_tokens(vocabulary, R"({"[B]": 310, "[A]": 270})", "a");  // before the end, and behind it
        CHECK(vocabulary.size() == 311);
        CHECK(vocabulary.specials == std::vector<int>{300, 270, 310});
        CHECK(bpe::decode({270, 305, 310}, vocabulary) == "[A][B]");

        TemporaryFolder folder;
        const std::string vocab = folder.path("v.json"), merges = folder.path("m.txt");
        bpe::save_vocabulary(bpe::read_vocabulary(later, "v", "h e\n", "m"), vocab, merges);
        CHECK(bpe::load_vocabulary(vocab, merges).tokens == bpe::read_vocabulary(later, "v", "h e\n", "m").tokens);
    }

    TEST_CASE("read_vocabulary: fairseq's fillers keep their ids, and are neither made nor special") {
        const Vocabulary vocabulary = bpe::read_vocabulary(json_with({"he", "madeupword0000", "<s>"}), "v", "h e\n", "m");
        CHECK(vocabulary.specials == std::vector<int>{258});
        CHECK(bpe::decode({257}, vocabulary) == "madeupword0000");
        CHECK(bpe::encode("madeupword0000", vocabulary).size() == 14);
    }

    TEST_CASE("read_vocabulary: vocab.json and merges.txt that disagree throw") {
        const auto error = [](const std::string& json, const std::string& merges) {
            return error_of([&] { bpe::read_vocabulary(json, "v", merges, "m"); });
        };
        CHECK(error(json_with({"he"}), "h e\nhe l\n") == "m: line 2: v has no number for \"hel\"");
        CHECK(error(json_with({"he", "hel"}), "h e\n") == "v: no merge of m makes \"hel\"");
        CHECK(error("{\"a\": 0}", "") ==
              "v: \"\u0100\", the symbol of byte 0, is missing; a byte-level vocabulary has a token for each of the 256 "
              "bytes");
        CHECK(error("{}", "{\"a\": 0, \"b\": 1}") ==
              "m: is not a merges.txt, which has a merge of two tokens in each line; it looks like JSON text");
        CHECK(error("{\"a\": 1000000}", "") == "v: line 1: the number of \"a\" is \"1000000\", it must be one of 0 ... 999999");
        CHECK(error(json_with({"he", "madeupword000"}), "h e\n") == "v: no merge of m makes \"madeupword000\"");
        CHECK(error(json_with({"he", "madeupword00x0"}), "h e\n") == "v: no merge of m makes \"madeupword00x0\"");
        CHECK(error("{\"a\": 0, \"b\": 0}", "") == "v: the number 0 is given to \"a\" and to \"b\"");
        CHECK(error("{\"a\": 0.5}", "") == "v: line 1: the number of \"a\" is \"0.5\", it must be one of 0 ... 999999");
        CHECK(error("{\"a\": \"0\"}", "") == "v: line 1: the number of \"a\" is \"\\\"0\\\"\", it must be one of 0 ... 999999");
        CHECK(error("{\"\": 0}", "") == "v: line 1: a token without a name");
        // the bytes C3 A9 of "<é>" written as symbols, and as they are
        CHECK(error(json_with({"Ã©", "<Ã©", "<Ã©>", "<é>"}), "Ã ©\n< Ã©\n<Ã© >\n") == "v: \"<é>\" is also made of merges");
        CHECK(error("[]", "") == "v: an object of tokens and their numbers is needed, as {\"a\": 0, ...}");
    }

    namespace {
    // A tokenizer.json of the bytes, "he" and "hel", with what a test changes about it.
    struct TokenizerFile {
        std::string vocabulary = json_with({"he", "hel"});
        std::string merges = R"(["h e", "he l"])";
        std::string added = R"([{"id": 258, "content": "<|endoftext|>", "special": true}])";
        std::string normalizer = "null";
        std::string cut = R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
        std::string around = R"({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true})";
        std::string model =
            R"("type": "BPE", "byte_fallback": false, "continuing_subword_prefix": "", "end_of_word_suffix": null)";

        std::string text() const {
            return R"({"version": "1.0", "added_tokens": )" + added + R"(, "normalizer": )" + normalizer +
                   R"(, "pre_tokenizer": )" + cut + R"(, "post_processor": )" + around + R"(, "model": {)" + model +
                   R"(, "vocab": )" + vocabulary + R"(, "merges": )" + merges + "}}";
        }
    };
    }  // namespace

    TEST_CASE(
        "read_tokenizer: one file holds what vocab.json and merges.txt hold, and added tokens among its names or after them") {
        const Vocabulary both = bpe::read_vocabulary(json_with({"he", "hel", "<|endoftext|>"}), "v", "h e\nhe l\n", "m");
        TokenizerFile pairs, among;
        pairs.merges = R"([["h", "e"], ["he", "l"]])";  // as later versions write them
        among.vocabulary = json_with({"he", "hel", "<|endoftext|>"});
        for (const TokenizerFile& file : {TokenizerFile{}, pairs, among}) {
            const Vocabulary one = bpe::read_tokenizer(file.text(), "t");
            CHECK(one.tokens == both.tokens);
            CHECK(one.end_of_text == 258);
            CHECK(bpe::encode("hello he<|endoftext|>", one) == bpe::encode("hello he<|endoftext|>", both));
        }
        TokenizerFile named;
        named.added = R"([{"id": 258, "content": "[PAD]", "special": false}, {"id": 259, "content": "end", "special": true}])";
        const Vocabulary vocabulary = bpe::read_tokenizer(named.text(), "t");
        CHECK(vocabulary.specials == std::vector<int>{258, 259});
        CHECK(vocabulary.end_of_text == -1);
        named.added = R"([{"id": 300, "content": "[PAD]"}])";  // 258 to 299 are left out
        const Vocabulary gap = bpe::read_tokenizer(named.text(), "t");
        TokenizerFile among_own;
        among_own.vocabulary = json_with({"he", "hel", "<s>"});
        among_own.added = "[]";
        CHECK(bpe::read_tokenizer(among_own.text(), "t").specials == std::vector<int>{258});
        const std::string first = "{\"!\": 0,";  // gives its place to <s>, as in OPT
        REQUIRE(among_own.vocabulary.starts_with(first));
        among_own.vocabulary.replace(0, first.size(), "{\"!\": 259, \"<s>\": 0,");
        among_own.vocabulary.replace(among_own.vocabulary.find("<s>\": 258"), 3, "<t>");
        CHECK(bpe::read_tokenizer(among_own.text(), "t").specials == std::vector<int>{0, 258});
        CHECK(gap.size() == 301);
        CHECK(gap.specials == std::vector<int>{300});
        CHECK(bpe::decode({258, 299, 300}, gap) == "[PAD]");
    }

    TEST_CASE("read_tokenizer: any other kind of tokenizer is refused and says what it is") {
        const std::string cure = "; only a byte-level BPE that cuts a text as GPT-2 does is read here, give ids instead of words";
        const auto error = [](const TokenizerFile& file) { return error_of([&] { bpe::read_tokenizer(file.text(), "t"); }); };
        const auto with = [](std::string TokenizerFile::*part, const std::string& words) {
            TokenizerFile file;
            file.*part = words;
            return file;
        };
        using File = TokenizerFile;
        CHECK(error({}).empty());
        CHECK(error(with(&File::model, R"("type": "Unigram")")) == "t: its model is \"Unigram\", not BPE" + cure);
        CHECK(error(with(&File::model, R"("type": "BPE", "byte_fallback": true)")) == "t: byte_fallback is true" + cure);
        CHECK(error(with(&File::model, R"("type": "BPE", "end_of_word_suffix": "</w>")")) ==
              "t: it has a end_of_word_suffix" + cure);
        CHECK(error(with(&File::normalizer, R"({"type": "NFC"})")) == "t: it has a normalizer" + cure);
        CHECK(error(with(&File::cut, R"({"type": "Sequence", "pretokenizers": []})")) ==
              "t: its pre-tokenizer is \"none\", not ByteLevel" + cure);
        const std::string byte_level = R"({"type": "ByteLevel", "add_prefix_space": false})";
        CHECK(error(with(&File::cut, R"({"type": "Sequence", "pretokenizers": [)" + byte_level + "]}")).empty());
        CHECK(error(with(&File::cut, R"({"type": "Sequence", "pretokenizers": [)" + byte_level + ", " + byte_level + "]}")) ==
              "t: its pre-tokenizer is \"Sequence\", not ByteLevel" + cure);
        CHECK(error(with(&File::normalizer, R"({"type": "Sequence", "normalizers": []})")).empty());
        CHECK(error(with(&File::normalizer, R"({"type": "Sequence", "normalizers": [{"type": "NFC"}]})")) ==
              "t: it has a normalizer" + cure);
        CHECK(error(with(&File::normalizer, R"({"type": "Sequence"})")) == "t: it has a normalizer" + cure);
        CHECK(error(with(&File::model, R"("dropout": null, "unk_token": null)")).empty());  // no type, as in GPT-2's own file
        CHECK(error(with(&File::model, R"("type": "BPE", "dropout": 0.0)")).empty());
        CHECK(error(with(&File::model, R"("type": "BPE", "dropout": 0.1)")) ==
              "t: it leaves merges out at random (dropout)" + cure);
        CHECK_THROWS_WITH(bpe::read_tokenizer(R"({"model": {"vocab": {}}})", "t"),
                          doctest::Contains("t: its model is \"none\", not BPE"));
        CHECK(error(with(&File::cut, "null")) == "t: its pre-tokenizer is \"none\", not ByteLevel" + cure);
        CHECK(error(with(&File::cut, R"({"type": "ByteLevel", "add_prefix_space": true})")) ==
              "t: it puts a space before a text" + cure);
        CHECK(error(with(&File::cut, R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})")) ==
              "t: its pre-tokenizer does not cut into words" + cure);
        CHECK(error(with(&File::around, R"({"type": "TemplateProcessing"})")) ==
              "t: it puts tokens around a text (\"TemplateProcessing\")" + cure);
        CHECK(error(with(&File::vocabulary, json_with({"he", "hel", "lo"}))) ==
              "t: the number 258 is given to \"lo\" and to \"<|endoftext|>\"");
        CHECK(error(with(&File::added, R"([{"id": 1000000, "content": "[PAD]"}])")) ==
              "t: line 1: the number of \"[PAD]\" is \"1000000\", it must be one of 0 ... 999999");
        CHECK(error(with(&File::added, R"([{"id": -1, "content": "[PAD]"}])")) ==
              "t: line 1: the number of \"[PAD]\" is \"-1\", it must be one of 0 ... 999999");
        CHECK(error(with(&File::added, R"([{"id": 258, "content": ""}])")) == "t: line 1: a token without a name");
        CHECK(error(with(&File::added, R"([{"id": 258, "content": "end"}, {"id": 258, "content": "end"}])")).empty());
        CHECK(error(with(&File::added, R"([{"id": 258, "content": "end", "lstrip": false, "single_word": null}])")).empty());
        for (const std::string rule : {"lstrip", "rstrip", "single_word"})
            CHECK(error(with(&File::added, R"([{"id": 258, "content": "end", ")" + rule + R"(": true}])")) ==
                  "t: its added token \"end\" has " + rule + ", which is not implemented here; give ids instead of words");
        const std::string other =
            R"(t: holds no "model", as every tokenizer.json of the tokenizers library does; is it another file?)";
        for (const std::string words : {"[]", "{}", R"({"model": null})"})
            CHECK(error_of([&] { bpe::read_tokenizer(words, "t"); }) == other);
        CHECK(error(with(&File::around, "null")).empty());
        CHECK(error(with(&File::merges, R"(["h e"])")) == "t: no merge of t makes \"hel\"");
        CHECK(error(with(&File::merges, R"(["h e l"])")) ==
              "t: line 1: \"h e l\" is not a merge, which is two tokens with one space between them");
    }

    TEST_CASE("save_vocabulary: both files load again, and merges.txt alone") {
        const Training training = bpe::train("the cat sat on the mat, она пела песню\n\n", 20);
        const Vocabulary vocabulary = bpe::vocabulary_of(training);
        const std::string json = "build/bpe_test_vocab.json", merges = "build/bpe_test_merges.txt";
        bpe::save_vocabulary(vocabulary, json, merges);
        const Vocabulary both = bpe::load_vocabulary(json, merges);
        const Vocabulary alone = bpe::load_merges(merges);
        std::remove(json.c_str());
        std::remove(merges.c_str());
        CHECK(both.tokens == vocabulary.tokens);
        CHECK(alone.tokens == vocabulary.tokens);
        CHECK(both.end_of_text == vocabulary.end_of_text);
        const std::string text = "the mat! она\n\n the cat";
        CHECK(bpe::encode(text, both) == bpe::encode(text, vocabulary));
        CHECK(bpe::encode(text, alone) == bpe::encode(text, vocabulary));
        CHECK(bpe::decode(bpe::encode(text, both), both) == text);
        CHECK(error_of([] { bpe::load_merges("build/no such file"); }).find("build/no such file") != std::string::npos);
    }

    TEST_CASE("save_vocabulary: two tokens with the same bytes throw") {
        const Vocabulary vocabulary = bpe::make_vocabulary({{'a', 'b'}, {'b', 'c'}, {256, 'c'}, {'a', 257}}, ByteOrder::raw);
        CHECK_THROWS_WITH(bpe::save_vocabulary(vocabulary, "build/never.json", "build/never.txt"),
                          "bpe::save_vocabulary: the tokens 258 and 259 are both \"abc\"");
    }

    static std::string merges_text(const Json& golden) {
        std::string lines;
        for (const std::string& line : bpe_words(golden.at("merges"))) lines += line + "\n";
        return lines;
    }

    TEST_CASE("parity: pieces, tokens, ids and decoded texts equal the published encoder's in every case") {
        for (const std::string& path : golden_files("tokenizer_gpt2", ".json")) {
            CAPTURE(path);
            const Json golden = read_json(path);
            const Vocabulary vocabulary = bpe::read_merges(merges_text(golden), path);
            CHECK(vocabulary.size() == golden.at("vocab_size").as_int());
            CHECK(vocabulary.end_of_text == golden.at("endoftext_id").as_int());
            for (const Json& item : golden.at("cases").as_array()) {
                const std::string& text = item.at("text").as_string();
                CAPTURE(text);
                const std::vector<int> ids = bpe::encode(text, vocabulary);
                Words tokens;
                for (const int id : ids) tokens.push_back(bpe::symbols_of(vocabulary.tokens[id]));
                CHECK(pieces_of(text) == bpe_words(item.at("pieces")));
                CHECK(ids == bpe_numbers(item.at("ids")));
                CHECK(tokens == bpe_words(item.at("tokens")));
                CHECK(bpe::decode(ids, vocabulary) == text);
            }
            for (const Json& item : golden.at("decode").as_array()) {
                const std::vector<int> ids = bpe_numbers(item.at("ids"));
                std::string bytes;
                for (const int byte : bpe_numbers(item.at("bytes"))) bytes += static_cast<char>(byte);
                CHECK(bpe::decode_bytes(ids, vocabulary) == bytes);
                CHECK(bpe::decode(ids, vocabulary) == item.at("text").as_string());
            }
        }
    }

    // The published loop: merge the adjacent pair of lowest rank everywhere, repeat.
    static std::vector<int> encode_by_published_loop(const std::string& piece, const Vocabulary& vocabulary) {
        std::vector<int> ids;
        for (const char byte : piece) ids.push_back(vocabulary.byte_ids[static_cast<unsigned char>(byte)]);
        for (;;) {
            std::size_t lowest = vocabulary.merges.size();
            for (std::size_t rank = 0; rank < lowest; ++rank)
                for (std::size_t i = 0; i + 1 < ids.size(); ++i)
                    if (ids[i] == vocabulary.merges[rank].left && ids[i + 1] == vocabulary.merges[rank].right) lowest = rank;
            if (lowest == vocabulary.merges.size()) return ids;
            const bpe::Merge& merge = vocabulary.merges[lowest];
            std::vector<int> merged;
            for (std::size_t i = 0; i < ids.size(); ++i) {
                const bool here = i + 1 < ids.size() && ids[i] == merge.left && ids[i + 1] == merge.right;
                merged.push_back(here ? merge.result : ids[i]);
                i += here;
            }
            ids = merged;
        }
    }

    TEST_CASE("read_vocabulary: two merges may make the same token, which has one id") {
        const std::string merges = "#version: 0.2\na b\nb c\nab c\na bc\n";
        const Vocabulary vocabulary = bpe::read_vocabulary(json_with({"abc", "bc", "ab"}), "v", merges, "m");
        CHECK(vocabulary.size() == 259);
        CHECK(vocabulary.merges[2].result == 256);
        CHECK(vocabulary.merges[3].result == 256);
        CHECK(bpe::encode("abc", vocabulary) == std::vector<int>{256});  // a b -> ab, ab c -> abc
        const TemporaryFolder folder;
        bpe::save_vocabulary(vocabulary, folder.path("v"), folder.path("m"));
        CHECK(read_file(folder.path("m")) == merges);
        CHECK(bpe::load_vocabulary(folder.path("v"), folder.path("m")).tokens == vocabulary.tokens);
    }

    TEST_CASE("encode_piece: applies a rank everywhere before any new pair, even one of lower rank") {
        // ab c makes abc first in the list; abc a ranks before a bc, which makes abc here.
        // By hand: "abcabc" -> a bc a bc (rank 0) -> abc abc (rank 4, both). Applying abc a at once would give abca bc.
        const std::string merges = "b c\na b\nab c\nabc a\na bc\n";
        const Vocabulary vocabulary = bpe::read_vocabulary(json_with({"bc", "ab", "abc", "abca"}), "v", merges, "m");
        CHECK(bpe::encode("abcabc", vocabulary) == std::vector<int>{258, 258});
        CHECK(bpe::encode("abcaa", vocabulary) == std::vector<int>{259, 64});  // 97 - 33 = 64
        Random random(5);
        for (int trial = 0; trial < 300; ++trial) {
            const std::string word = random_letters(random, 1 + random.below(30), 3);
            CHECK(bpe::encode_piece(word, vocabulary) == encode_by_published_loop(word, vocabulary));
        }
    }

    TEST_CASE("read_merges, read_vocabulary: skip a byte order mark and blank lines at the end") {
        const std::string mark = "\xEF\xBB\xBF";
        CHECK(bpe::read_merges(mark + "#version: 0.2\nh e\n", "m").tokens[256] == "he");
        CHECK(bpe::read_merges(mark + "h e\n\n\r\n\n", "m").size() == 258);
        CHECK(bpe::read_merges("\n", "m").size() == 257);
        CHECK(bpe::read_vocabulary(mark + json_with({"he"}), "v", mark + "h e\n\n", "m").size() == 257);
        const TemporaryFolder folder;
        CHECK(bpe::load_merges(folder.file("m", mark + "h e\n")).size() == 258);
        CHECK(bpe::load_vocabulary(folder.file("v", mark + json_with({"he"})), folder.path("m")).size() == 257);
    }
}

TEST_SUITE("bpe_training") {
    TEST_CASE("train: merges the most frequent pair at every step") {
        // aaabdaaabac: aa 4, ab 2, ...  ->  Z a b d Z a b a c: Za 2, ab 2: Za comes first  ->  Y b d Y b a c: Yb 2  ->  X d X a c
        for (const Training& training : {bpe::train("aaabdaaabac", 3, false), bpe::train_textbook("aaabdaaabac", 3, false)}) {
            REQUIRE(training.steps.size() == 3);
            CHECK(training.steps[0].pair.left == 'a');
            CHECK(training.steps[0].pair.right == 'a');
            CHECK(training.steps[0].count == 4);  // "aaa" counts twice, though only one merge is possible in it
            CHECK(training.steps[0].tied_pairs == 1);
            CHECK(training.steps[0].tokens_after == 9);
            CHECK(training.steps[1].pair.left == 256);
            CHECK(training.steps[1].pair.right == 'a');
            CHECK(training.steps[1].count == 2);
            CHECK(training.steps[1].tied_pairs == 2);
            CHECK(training.steps[2].pair.left == 257);
            CHECK(training.steps[2].pair.right == 'b');
            CHECK(training.ids == std::vector<int>{258, 'd', 258, 'a', 'c'});
        }
    }

    TEST_CASE("train: ends early when no pairs are left") {
        CHECK(bpe::train("ab", 5).steps.size() == 1);
        CHECK(bpe::train("a b", 5).ids == std::vector<int>{'a', 256});
        CHECK(bpe::train("", 5).steps.empty());
        CHECK(bpe::train("abc", 0).ids == std::vector<int>{'a', 'b', 'c'});
        CHECK(bpe::train("abc", 0).steps.empty());
        CHECK(bpe::train_textbook("abc", 0).steps.empty());
        CHECK_THROWS_WITH(bpe::train_textbook("abc", -1), "bpe::train: -1 merges; the number must not be negative");
        CHECK_THROWS_WITH(bpe::train("abc", -1), "bpe::train: -1 merges; the number must not be negative");
    }

    static bool same_step(const TrainingStep& a, const TrainingStep& b) {
        return a.pair.left == b.pair.left && a.pair.right == b.pair.right && a.result == b.result && a.count == b.count &&
               a.tied_pairs == b.tied_pairs && a.tokens_after == b.tokens_after;
    }

    TEST_CASE("train: makes the steps of the textbook version on random texts, ties included") {
        Random random(5);
        for (int trial = 0; trial < 150; ++trial) {
            std::string text = random_letters(random, 10 + random.below(80), 1 + trial % 4);
            if (trial % 2 == 0)
                for (int k = 0; k < 8 * (1 + trial % 5); ++k) text[random.below(static_cast<int>(text.size()))] = ' ';
            const bool split = trial % 2 == 0;
            const Training textbook = bpe::train_textbook(text, 30, split), fast = bpe::train(text, 30, split);
            CHECK(std::equal(fast.steps.begin(), fast.steps.end(), textbook.steps.begin(), textbook.steps.end(), same_step));
            CHECK(fast.ids == textbook.ids);
        }
    }

    TEST_CASE("train: shows its progress from the beginning, before the first merge") {
        const TemporaryFolder folder;
        {
            const Redirected errors(STDERR_FILENO, folder.path("errors"));
            Progress progress("merges", 2, true);
            bpe::train("abab", 2, true, &progress);
        }
        CHECK(read_file(folder.path("errors")).starts_with("\r\x1b[Kmerges  [--------------------]  step 0 of 2"));
    }

    TEST_CASE("train: encoding the training text with the learned merges gives Training::ids") {
        const std::string text = "low low lower lowest; newer newest, wide wider widest\n она пела, она пела песню";
        for (const bool split : {true, false}) {
            const Training training = bpe::train(text, 40, split);
            CHECK(bpe::encode(text, bpe::make_vocabulary(training.pairs(), ByteOrder::raw), split) == training.ids);
            const Vocabulary published = bpe::vocabulary_of(training);
            CHECK(bpe::encode(text, published, split).size() == training.ids.size());
            CHECK(bpe::decode(bpe::encode(text, published, split), published) == text);
        }
    }

    TEST_CASE("train: 80 merges on a rhyme of 413 bytes make tokens of 3.7 bytes") {
        const Json golden = read_json("tests/golden/bpe_training-a.json");
        const std::string text = golden.at("regex.text").as_string() + golden.at("basic.text").as_string();
        REQUIRE(text.size() == 413);
        const std::vector<std::pair<int, double>> measured{{0, 1.00}, {10, 1.37}, {20, 1.70}, {40, 2.39}, {80, 3.72}};
        for (const auto& [merges, bytes_per_token] : measured) {
            const double ours = 413.0 / static_cast<double>(bpe::train(text, merges).ids.size());
            CHECK(std::abs(ours - bytes_per_token) < 0.005);
        }
    }

    TEST_CASE("parity: every training step, tie and probe equals the published trainer's") {
        for (const std::string& path : golden_files("bpe_training", ".json")) {
            const Json golden = read_json(path);
            for (const std::string part : {"regex", "basic"}) {
                CAPTURE(path);
                CAPTURE(part);
                const bool split = part == "regex";
                const int merges = golden.at(part + ".n_merges").as_int();
                const Training training = bpe::train(golden.at(part + ".text").as_string(), merges, split);
                const Vocabulary vocabulary = bpe::make_vocabulary(training.pairs(), ByteOrder::raw);
                const std::vector<Json>& steps = golden.at(part + ".steps").as_array();
                REQUIRE(training.steps.size() == steps.size());
                for (std::size_t i = 0; i < steps.size(); ++i) {
                    CAPTURE(i);
                    const TrainingStep& ours = training.steps[i];
                    CHECK(ours.pair.left == steps[i].at("left").as_int());
                    CHECK(ours.pair.right == steps[i].at("right").as_int());
                    CHECK(ours.result == steps[i].at("id").as_int());
                    CHECK(ours.count == steps[i].at("count").as_int());
                    CHECK(ours.tied_pairs == steps[i].at("tied_pairs").as_int());
                    CHECK(ours.tokens_after == steps[i].at("tokens_after").as_int());
                    std::string bytes;
                    for (const int byte : bpe_numbers(steps[i].at("bytes"))) bytes += static_cast<char>(byte);
                    CHECK(vocabulary.tokens[ours.result] == bytes);
                }
                CHECK(training.ids == bpe_numbers(golden.at(part + ".ids")));
                for (const Json& probe : golden.at(part + ".probes").as_array())
                    CHECK(bpe::encode(probe.at("text").as_string(), vocabulary, split) == bpe_numbers(probe.at("ids")));
            }
        }
    }

    TEST_CASE("encode, train: a vocabulary without tokens and a text of more bytes than an int counts throw") {
        // The length alone is read, before any byte.
        const std::string_view too_long("", 2'000'000'001);
        CHECK_THROWS_WITH(bpe::encode_piece(too_long, bpe::make_vocabulary({})),
                          "bpe::encode: 2000000001 bytes in one piece; at most 2000000000");
        const int none = 0;
        CHECK_THROWS_WITH(bpe::merge_tokens({&none, 2'000'000'001}, bpe::make_vocabulary({})),
                          "bpe::merge_tokens: 2000000001 tokens; at most 2000000000");
        CHECK_THROWS_WITH(bpe::train(too_long, 1),
                          "bpe::train: a text of 2000000001 bytes, at most 2000000000; learn from a part of it");
        CHECK_THROWS_WITH(bpe::encode("abc", bpe::Vocabulary{}),
                          "bpe::encode: a vocabulary without tokens; load or train one first");
    }
    TEST_CASE(
        "encode_piece, merge_tokens, train_textbook, save_vocabulary: no tokens, ids outside and fewer than 0 merges throw") {
        const std::string none = "bpe::encode: a vocabulary without tokens; load or train one first";
        CHECK(error_of([] { bpe::encode_piece("a", {}); }) == none);
        CHECK(error_of([] { bpe::encode_piece_textbook("a", {}); }) == none);
        const Vocabulary bytes = bpe::make_vocabulary({});
        CHECK(error_of([&] { bpe::merge_tokens(std::vector<int>{257}, bytes); }) ==
              "bpe::merge_tokens: id 257 is not in a vocabulary of 257, counted from 0");
        CHECK(error_of([&] { bpe::merge_tokens(std::vector<int>{-1}, bytes); }).find("id -1 is not in") != std::string::npos);
        CHECK(bpe::merge_tokens(std::vector<int>{0, 256}, bytes) == std::vector<int>{0, 256});
        CHECK_THROWS_WITH(bpe::train_textbook("a", -1), "bpe::train: -1 merges; the number must not be negative");
        CHECK_THROWS_WITH(bpe::save_vocabulary({}, "/none/v", "/none/m"),
                          "bpe::save_vocabulary: a vocabulary without tokens; load or train one first");
    }
}
