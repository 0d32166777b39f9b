#include "vit/language/clip_tokenizer.h"

#include "nn/data/file.h"
#include "nn/data/json.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

namespace {
using Words = std::vector<std::string>;
}  // namespace

static std::vector<int> clip_numbers(const Json& list) {
    std::vector<int> numbers;
    for (const Json& item : list.as_array()) numbers.push_back(item.as_int());
    return numbers;
}

static Words clip_words(const Json& list) {
    Words words;
    for (const Json& item : list.as_array()) words.push_back(item.as_string());
    return words;
}

static std::string merges_of(const Json& golden) {
    std::string lines = "#version: 0.2\n";
    for (const Json& merge : golden.at("merges").as_array()) lines += merge.as_string() + "\n";
    return lines;
}

// A token as the published files write it.
static std::string name_of(const std::string& token, const clip::Tokenizer& tokenizer, int id) {
    if (id == tokenizer.start || id == tokenizer.end) return token;
    const bool ends_word = token.size() > 4 && token.ends_with("</w>");
    return ends_word ? bpe::symbols_of(token.substr(0, token.size() - 4)) + "</w>" : bpe::symbols_of(token);
}

TEST_SUITE_BEGIN("tokenizer_clip");

TEST_CASE("parity: encode and decode equal the published tokenizer's in every case") {
    for (const std::string& path : golden_files("tokenizer_clip", ".json")) {
        const Json golden = read_json(path);
        const clip::Tokenizer tokenizer = clip::read_merges(merges_of(golden), path);
        CHECK(tokenizer.size() == golden.at("vocab_size").as_int());
        CHECK(tokenizer.start == golden.at("start_id").as_int());
        CHECK(tokenizer.end == golden.at("end_id").as_int());
        for (const Json& item : golden.at("cases").as_array()) {
            const std::string& text = item.at("text").as_string();
            CAPTURE(path);
            CAPTURE(text);
            const std::vector<int> ids = clip::encode(text, tokenizer);
            Words tokens;
            for (const int id : ids) tokens.push_back(name_of(tokenizer.vocabulary.tokens[id], tokenizer, id));
            CHECK(clip::clean(text) == item.at("clean").as_string());
            CHECK(clip::split_words(clip::clean(text)) == clip_words(item.at("pieces")));
            CHECK(ids == clip_numbers(item.at("ids")));
            CHECK(tokens == clip_words(item.at("tokens")));
            CHECK(clip::decode(ids, tokenizer) == item.at("decoded").as_string());
        }
    }
}

// a b -> "ab" (512), ab c</w> -> "abc</w>" (513), start 514, end 515
static const char* const three_letters = "#version: 0.2\na b\nab c</w>\n";

TEST_CASE("encode: the last symbol of a word is a separate token, so a merge may apply at the end of words only") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "list");
    const int c = tokenizer.vocabulary.byte_ids['c'], last_a = tokenizer.last_ids['a'];
    CHECK(tokenizer.size() == 516);
    CHECK(clip::encode("abc", tokenizer) == std::vector<int>{513});
    CHECK(clip::encode("abca", tokenizer) == std::vector<int>{512, c, last_a});  // this c ends no word
    CHECK(clip::encode("ab", tokenizer) == std::vector<int>{tokenizer.vocabulary.byte_ids['a'], tokenizer.last_ids['b']});
    CHECK(clip::decode({513, 512, c, last_a}, tokenizer) == "abc abca ");
    for (int byte = 0; byte < 256; ++byte) {  // each byte has a token in a word, and one at its end
        const std::string alone(1, static_cast<char>(byte));
        CHECK(tokenizer.vocabulary.tokens[tokenizer.vocabulary.byte_ids[byte]] == alone);
        CHECK(tokenizer.vocabulary.tokens[tokenizer.last_ids[byte]] == alone + "</w>");
    }
}

TEST_CASE("clean: HTML characters replaced twice, one blank for several, none at the ends, lower case") {
    CHECK(clip::clean("  A &lt;b&gt;\n&amp;amp; &quot;C&quot; ") == "a <b> & \"c\"");
    CHECK(clip::clean("&amp;lt;") == "<");  // once: &lt;
    CHECK(clip::clean("&#65;&#x42; &#;") == "ab &#;");
    CHECK(clip::clean("a&nbsp;&lt b") == "a < b");
    CHECK(clip::clean("\x1C x \x1F") == "x");
    CHECK(clip::clean("a\x1C"
                      "b") ==
          "a\x1C"
          "b");  // stripped at the ends, white space nowhere
    CHECK(clip::clean(" \t ") == "");
}

TEST_CASE("split_words: numbers digit by digit, endings in any case, special words only where a match begins") {
    CHECK(clip::split_words("it's 12 km!") == Words{"it", "'s", "1", "2", "km", "!"});
    CHECK(clip::split_words("'\u017F") == Words{"'\u017F"});
    CHECK(clip::split_words("<|endoftext|>a<<|endoftext|>") == Words{"<|endoftext|>", "a", "<<|", "endoftext", "|>"});
    CHECK(clip::split_words("") == Words{});
}

TEST_CASE("make_sentences: start, ids, end, then padding of either kind") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "list");
    const TokenBatch zeros = clip::make_sentences({"abc", "abc abc"}, tokenizer, 5);
    CHECK(zeros.ids == std::vector<int>{514, 513, 515, 0, 0, 514, 513, 513, 515, 0});
    CHECK(clip::make_sentences({"abc"}, tokenizer, 5, tokenizer.end).ids == std::vector<int>{514, 513, 515, 515, 515});
    CHECK(clip::make_sentences({"abc abc"}, tokenizer, 3, 0, clip::Long::cut).ids == std::vector<int>{514, 513, 515});
    CHECK_THROWS_WITH(clip::make_sentences({"abc abc"}, tokenizer, 3),
                      "make_sentences: \"abc abc\" has 2 tokens, there is room for 1");
}

// vocab.json of the three letters, with the ids in another order where asked.
static std::string vocab_json(const clip::Tokenizer& tokenizer) {
    std::string json;
    for (int id = 0; id < tokenizer.size(); ++id)
        json += (id > 0 ? "," : "{") + json_string(name_of(tokenizer.vocabulary.tokens[id], tokenizer, id)) + ":" +
                std::to_string(id);
    return json + "}";
}

TEST_CASE("load_vocabulary: vocab.json and merges.txt give the same tokenizer; the error of a mismatch names the file") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "list");
    const std::string json = vocab_json(tokenizer);
    const TemporaryFolder folder;
    write_file_atomically(folder.path("vocab.json"), json);
    write_file_atomically(folder.path("merges.txt"), three_letters);
    const clip::Tokenizer loaded = clip::load_vocabulary(folder.path("vocab.json"), folder.path("merges.txt"));
    CHECK(loaded.vocabulary.tokens == tokenizer.vocabulary.tokens);
    CHECK(clip::encode("abc abca", loaded) == clip::encode("abc abca", tokenizer));
    CHECK(loaded.start == 514);
    write_file_atomically(folder.path("added_tokens.json"), R"({"<|endoftext|>": 515})");
    CHECK(clip::load_vocabulary(folder.path("vocab.json"), folder.path("merges.txt")).size() == 516);
    write_file_atomically(folder.path("added_tokens.json"), R"({"<cat-toy>": 516})");
    CHECK_THROWS_WITH(clip::load_vocabulary(folder.path("vocab.json"), folder.path("merges.txt")),
                      doctest::Contains("added_tokens.json: line 1: adds the token \"<cat-toy>\" with the id \"516\"; added"));
    CHECK_THROWS_WITH(clip::read_merges("a b\rab c\r", "m"), doctest::Contains("m: its lines end in carriage returns alone"));
    CHECK_THROWS_WITH(clip::read_vocabulary(json, "v", "a c\n", "m"), "m: line 1: there is no token \"ac\"");
    CHECK_THROWS_WITH(clip::read_vocabulary("{\"a\":0}", "v", "", "m"), "v: there is no token \"<|startoftext|>\"");
    CHECK_THROWS_WITH(clip::read_vocabulary("{\"a\":1}", "v", "", "m"),
                      "v: line 1: the number of \"a\" is \"1\", it must be one of 0 ... 0");
    CHECK_THROWS_WITH(clip::read_vocabulary("{\"<|endoftext|>\":0,\"<|startoftext|>\":1}", "v", "", "m"),
                      "v: <|endoftext|> has the id 0, it must be the largest, 1: the model finds the end of a sentence by it");
    CHECK_THROWS_WITH(clip::read_merges("a b\na b\n", "m"),
                      "m: line 2: \"ab\" is made a second time; which number it has, only the vocab.json of this file can tell");
    CHECK_THROWS_WITH(clip::read_merges("ab c\n", "m"),
                      "m: line 1: no byte and no earlier line makes \"ab\"; is a line missing?");
    CHECK_THROWS_WITH(clip::read_merges("a  b\n", "m"),
                      "m: line 1: \"a  b\" is not a merge, which is two tokens with one space between them");
}

TEST_CASE("clean: a numeric character reference ends before the first character that is not a digit of its base") {
    CHECK(clip::clean("&#70;&#79;") == "fo");  // digits 0 and 9
    CHECK(clip::clean("&#65/&#65:&#65a") == "a/a:aa");
    CHECK(clip::clean("&#x4a;&#x4A;&#x4f;&#x4F;&#X49;") == "jjooi");
    CHECK(clip::clean("&#x41g&#x41G&#x41@&#x41`&#x41/&#x41:") == "agaga@a`a/a:");
    CHECK(clip::clean("b&#x") == "b&#x");
    CHECK(clip::clean("&#0;") == "\uFFFD");  // no character, as in HTML
    CHECK(clip::clean("a&#1;b") == "a\x01\x62");
    CHECK(clip::clean("b&#") == "b&#");
    CHECK(clip::clean("a & b &65; &x41; &") == "a & b &65; &x41; &");  // no numbered character without #
}

TEST_CASE("make_sentences, read_vocabulary: a length without room and a number given twice are refused, the least is allowed") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "list");
    CHECK(clip::make_sentences({""}, tokenizer, 2).ids == std::vector<int>{514, 515});
    CHECK_THROWS_WITH(clip::make_sentences({""}, tokenizer, 1), "make_sentences: a length of 1 has no room for start and end");
    CHECK_THROWS_WITH(clip::read_vocabulary("{\"a\":0,\"b\":0}", "v", "", "m"), "v: the number 0 is given twice, also to \"b\"");
    CHECK_THROWS_WITH(clip::read_vocabulary("{\"a\":-1}", "v", "", "m"),
                      "v: line 1: the number of \"a\" is \"-1\", it must be one of 0 ... 0");
}

TEST_CASE("read_merges, read_vocabulary: files of another kind, halves of a merge and a merge given twice are refused") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "list");
    CHECK(clip::read_merges(std::string(three_letters) + "\n\n", "list").size() == tokenizer.size());  // empty lines at the end
    CHECK(clip::make_sentences({"abc"}, tokenizer, 3).ids == std::vector<int>{514, 513, 515});         // no place is left
    const std::string json = vocab_json(tokenizer);
    CHECK(error_of([&] {
              clip::read_merges(json, "m");
          }).starts_with("m: is not a merges.txt, which has a merge of two tokens in each line; it looks like "));
    for (const std::string half : {" b", "a ", "a b c"})
        CHECK(error_of([&] { clip::read_merges(half + "\n", "m"); }) ==
              "m: line 1: \"" + half + "\" is not a merge, which is two tokens with one space between them");
    CHECK_THROWS_WITH(clip::read_vocabulary(json, "v", "a b\nab c</w>\na b\n", "m"),
                      "m: line 3: \"a\" and \"b\" are joined already by an earlier line; leave one out");
    CHECK_THROWS_WITH(clip::read_vocabulary("[1]", "v", "", "m"),
                      "v: an object of tokens and their numbers is needed, as {\"a\": 0, ...}");
}

TEST_CASE("make_sentences: padding with a token that there is not is refused") {
    const clip::Tokenizer tokenizer = clip::read_merges(three_letters, "merges");
    const auto refusal = [&](int padding) { return error_of([&] { clip::make_sentences({"a"}, tokenizer, 5, padding); }); };
    CHECK(refusal(tokenizer.size() - 1).empty());
    for (const int padding : {-1, tokenizer.size()})
        CHECK(refusal(padding).starts_with("make_sentences: padding with token " + std::to_string(padding) +
                                           ", the tokenizer has "));
}

TEST_SUITE_END();
