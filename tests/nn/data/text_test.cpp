#include "nn/data/text.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("text");

TEST_CASE("decode_utf8, encode_utf8: characters of one to four bytes survive") {
    const std::u32string characters = U"a\u00e9\u4e2d\U0001F600";
    const std::string bytes = "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80";
    CHECK(encode_utf8(characters) == bytes);
    CHECK(decode_utf8(bytes) == characters);
}

TEST_CASE("decode_utf8: the first and the last character of each length") {
    for (const char32_t c : {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
        const std::string bytes = encode_utf8(c);
        CHECK(bytes.size() == (c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u));
        CHECK(decode_utf8(bytes) == std::u32string(1, c));
        CHECK(valid_utf8_length(bytes) == bytes.size());
    }
}

TEST_CASE("encode_utf8: an invalid character becomes the replacement character") {
    for (const char32_t c : {0xD800, 0xDFFF, 0x110000}) CHECK(encode_utf8(c) == "\xEF\xBF\xBD");
}

// The numbers of replacement characters are those of Python: len(bytes.decode("utf-8", errors="replace")) of each broken sequence.
TEST_CASE("decode_utf8: one replacement for each maximal beginning of a character") {
    const char32_t r = replacement_character;
    CHECK(decode_utf8("\x80"
                      "a") == std::u32string{r, 'a'});        // a following byte that follows nothing
    CHECK(decode_utf8("\xC3") == std::u32string{r});          // cut off
    CHECK(decode_utf8("\xE4\xB8") == std::u32string{r});      // cut off after two of three: one
    CHECK(decode_utf8("\xF0\x9F\x98") == std::u32string{r});  // three of four: one
    CHECK(decode_utf8("\xF0\x9F\x98"
                      "a") == std::u32string{r, 'a'});
    CHECK(decode_utf8("\xE4"
                      "a") == std::u32string{r, 'a'});
    CHECK(decode_utf8("\xC0\xAF") == std::u32string{r, r});                // longer than needed: C0 begins nothing
    CHECK(decode_utf8("\xE0\x80\xAF") == std::u32string{r, r, r});         // 80 may not follow E0
    CHECK(decode_utf8("\xED\xA0\x80") == std::u32string{r, r, r});         // a surrogate
    CHECK(decode_utf8("\xF4\x90\x80\x80") == std::u32string{r, r, r, r});  // beyond U+10FFFF
    CHECK(decode_utf8("\xF5\xFF") == std::u32string{r, r});
    CHECK(decode_utf8("\xF0\x90\xE4\xB8\xAD") == std::u32string{r, U'\u4e2d'});  // a valid character after an invalid one
}

TEST_CASE("decode_utf8: the result of every pair of bytes encodes and decodes to itself") {
    for (int a = 0; a < 256; ++a)
        for (int b = 0; b < 256; ++b) {
            const std::string bytes = {static_cast<char>(a), static_cast<char>(b)};
            const std::u32string once = decode_utf8(bytes);
            const bool stable = decode_utf8(encode_utf8(once)) == once;
            const bool same = (valid_utf8_length(bytes) == 2) == (encode_utf8(once) == bytes);
            if (!stable || !same) FAIL("bytes " << a << " " << b);
        }
}

TEST_CASE("valid_utf8_length: stops at the first invalid byte") {
    CHECK(valid_utf8_length("") == 0);
    CHECK(valid_utf8_length("ab\xE4\xB8\xAD") == 5);
    CHECK(valid_utf8_length("ab\xE4\xB8") == 2);
}

TEST_CASE("split_lines: both kinds of line end; the last line need not have one") {
    CHECK(split_lines("a\nb\r\n\nc") == std::vector<std::string>{"a", "b", "", "c"});
    CHECK(split_lines("a\n") == std::vector<std::string>{"a"});
    CHECK(split_lines("\n") == std::vector<std::string>{""});
    CHECK(split_lines("").empty());
}

TEST_CASE("lines_of_file: without a byte order mark; lines that end in carriage returns alone are refused") {
    CHECK(lines_of_file("\xEF\xBB\xBF"
                        "a\nb\r\n",
                        "x") == std::vector<std::string>{"a", "b"});
    CHECK(lines_of_file("", "x").empty());
    CHECK(lines_of_file("a", "x") == std::vector<std::string>{"a"});
    CHECK(lines_of_file("a\rb\n", "x") == std::vector<std::string>{"a\rb"});
    for (const std::string mac : {"a\rb", "a\r", "\r"})
        CHECK_THROWS_WITH(lines_of_file(mac, "x"),
                          "x: its lines end in carriage returns alone, as on an old Mac; convert it: tr '\\r' '\\n'");
}

TEST_CASE("split: keeps empty pieces") {
    CHECK(split("a,,b", ',') == std::vector<std::string>{"a", "", "b"});
    CHECK(split("", ',') == std::vector<std::string>{""});
    CHECK(split(",", ',') == std::vector<std::string>{"", ""});
}

TEST_CASE("whole_number, decimal_number: the whole text must be a number") {
    CHECK(whole_number("-12") == -12);
    CHECK(whole_number("9223372036854775807") == 9223372036854775807);
    for (const char* const words : {"", " 1", "1 ", "+1", "1.0", "0x10", "9223372036854775808", "-", "1-"})
        CHECK_MESSAGE(!whole_number(words), words);
    CHECK(decimal_number("1e-3") == 1e-3);
    CHECK(decimal_number("-2.5") == -2.5);
    for (const char* const words : {"", " 1", "1 ", "nan", "inf", "0x10", "1e999", "1.2.3", "e", "1e", "--1"})
        CHECK_MESSAGE(!decimal_number(words), words);
}

TEST_CASE("changes_between: by hand") {
    CHECK(changes_between("steps", "steps") == 0);
    CHECK(changes_between("stps", "steps") == 1);      // one letter is missing
    CHECK(changes_between("setps", "steps") == 2);     // two letters changed
    CHECK(changes_between("kitten", "sitting") == 3);  // k -> s, e -> i, + g
    CHECK(changes_between("", "abc") == 3);
    CHECK(changes_between("abc", "") == 3);
}

TEST_CASE("decimal_number: too large has no value, too small is 0, a leading + is allowed") {
    CHECK(decimal_number("1e308") == 1e308);
    for (const char* const words : {"1e309", "-1e309", "123456789e400", "0.001e320", "1e99999999999999999999", "+-1", "++1", "+"})
        CHECK_MESSAGE(!decimal_number(words), words);
    for (const char* const words : {"1e-400", "0.0001e-330", "1e-99999999999999999999", "0e999", "0.0e-999", "100e-400"})
        CHECK_MESSAGE(decimal_number(words) == 0.0, words);
    CHECK(std::signbit(*decimal_number("-1e-400")));
    CHECK(decimal_number("5e-324") == 5e-324);  // the smallest double
    CHECK(decimal_number("+2.5") == 2.5);
    CHECK(decimal_number(".5") == 0.5);
    std::string zeros = "0." + std::string(400, '0') + "1";  // 1e-401
    CHECK(decimal_number(zeros) == 0.0);
    CHECK_FALSE(decimal_number("1" + std::string(400, '0')).has_value());
    CHECK_FALSE(decimal_number("0." + std::string(400, '0') + "1e+900").has_value());  // 1e499
    CHECK(decimal_number("0." + std::string(400, '0') + "1e+10") == 0.0);
}

TEST_CASE("without_byte_order_mark: removes one complete mark at the front only") {
    CHECK(without_byte_order_mark("\xEF\xBB\xBF"
                                  "abc") == "abc");
    CHECK(without_byte_order_mark("\xEF\xBB") == "\xEF\xBB");
    CHECK(without_byte_order_mark("a\xEF\xBB\xBF") == "a\xEF\xBB\xBF");
    CHECK(without_byte_order_mark("\xEF\xBB\xBF\xEF\xBB\xBF") == "\xEF\xBB\xBF");
    CHECK(without_byte_order_mark("").empty());
}
