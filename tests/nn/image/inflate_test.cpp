#include "nn/image/inflate.h"

#include <array>
#include <bit>
#include <vector>

#include "tests/test.h"

TEST_SUITE_BEGIN("inflate");

// "78 01" as bytes.
static std::string bytes(std::string_view hexadecimal) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (std::size_t k = 0; k + 1 < hexadecimal.size(); k += 2)
        result += static_cast<char>(16 * digits.find(hexadecimal[k]) + digits.find(hexadecimal[k + 1]));
    return result;
}

static std::string refusal(const std::string& stream, std::size_t most = 1000) {
    return error_of([&] { zlib_unpacked(stream, most, "x"); });
}

// Streams that zlib 1.2.13 wrote.
static const std::string fixed = bytes("78014b4c4a4e44412900417d06e6");
static const std::string own_codes = bytes(
    "78da4d8edd09c0300884577102779234903e24811ae8faf5ae9614fc89a77e660eb9ea21b7b9b82de9e1acdb591a5f2595d56aaac6e93960af829ace4a01"
    "8a1e1254c52a"
    "30fe4359c67d4855f7e5ef2f58c32059ec04d844c388c646cf3b84203c37894778");

TEST_CASE("adler32: the published check value of a word") {
    CHECK(adler32("Wikipedia") == 0x11E60398);
    CHECK(adler32("") == 1);
}

TEST_CASE("zlib_unpacked: a stored block, the fixed codes with a copy that overlaps itself, codes of its own") {
    CHECK(zlib_unpacked(bytes("7801010500faff68656c6c6f062c0215"), 5, "x") == "hello");
    CHECK(zlib_unpacked(fixed, 18, "x") == "abcabcabcabcabcabd");
    CHECK(zlib_unpacked(own_codes, 1000, "x") ==
          "on red was sat mat red which red cat red the which a was on on which was was which .sat on sat was .the cat sat red "
          "the a the a which "
          "red ...red which sat mat cat the sat which on a .a .was .red mat was red .red ");
    CHECK(zlib_unpacked(bytes("78da030000000001"), 0, "x").empty());
}

TEST_CASE("zlib_stored: zlib_unpacked restores bytes of any length") {
    for (const std::size_t length : {0, 1, 65535, 65536, 200000}) {
        std::string words;
        for (std::size_t k = 0; k < length; ++k) words += static_cast<char>(k * k % 251);
        const std::string stream = zlib_stored(words);
        CHECK(zlib_unpacked(stream, length, "x") == words);
        const std::size_t blocks = length == 0 ? 1 : (length + 65534) / 65535;
        CHECK(stream.size() == 2 + 5 * blocks + length + 4);
    }
}

TEST_CASE("zlib_unpacked: the error names what the stream lacks") {
    CHECK(refusal("") == "x: the compressed bytes end in the middle, after 0");
    CHECK(refusal(bytes("7802")) ==
          "x: the compressed bytes begin with 120 2, which is not a header of a zlib stream without dictionary");
    CHECK(refusal(bytes("780107")) == "x: a block of the compressed bytes is of kind 3, there are 0, 1 and 2");
    CHECK(refusal(bytes("7801010500faff6865")) == "x: the compressed bytes end in the middle, after 9");
    CHECK(refusal(bytes("7801010500faee68656c6c6f")) == "x: a stored block says its length twice, and differently: 5, 4357");
    CHECK(refusal(fixed, 17) == "x: more than the 17 bytes that belong there come out of the compressed ones");
    CHECK(refusal(fixed + "!") == "x: 1 bytes follow the compressed ones");
    CHECK(refusal(fixed.substr(0, fixed.size() - 1) + "!")
              .starts_with("x: the checksum of the unpacked bytes is 1098712806, the file says "));
    CHECK(refusal(bytes("78016305")).starts_with("x: the compressed bytes"));
    CHECK(refusal(bytes("7801fdffff")) == "x: a block has 288 literals and 32 distances, 286 and 30 are the most");
}

TEST_CASE("zlib_unpacked: every stream that is cut off is refused, and one with a bit changed is refused or changes nothing") {
    for (std::size_t length = 0; length < own_codes.size(); ++length) CHECK(!refusal(own_codes.substr(0, length)).empty());
    const std::string words = zlib_unpacked(own_codes, 1000, "x");
    for (std::size_t k = 2; k < own_codes.size(); ++k)
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = own_codes;
            changed[k] = static_cast<char>(changed[k] ^ (1 << bit));
            std::string unpacked;
            const std::string error = error_of([&] { unpacked = zlib_unpacked(changed, 1000, "x"); });
            CHECK((!error.empty() || unpacked == words));
        }
}

// ---- streams written bit by bit ---------------------------------------------------------------------------------------------

namespace {
struct Stream {
    std::string bytes = std::string("\x78\x01", 2);
    int used = 8;  // bits of the last byte

    void bit(int one) {
        if (used == 8) {
            bytes += '\0';
            used = 0;
        }
        bytes.back() = static_cast<char>(bytes.back() | one << used++);
    }
    // As in a header: the lowest bit first.
    void number(int value, int width) {
        for (int k = 0; k < width; ++k) bit(value >> k & 1);
    }
    // A word of a Huffman code: the highest bit first.
    void word(int value, int width) {
        for (int k = width - 1; k >= 0; --k) bit(value >> k & 1);
    }
    // A symbol of the fixed codes (RFC 1951, section 3.2.6).
    void fixed_symbol(int symbol) {
        if (symbol < 144)
            word(0x30 + symbol, 8);
        else if (symbol < 256)
            word(0x190 + symbol - 144, 9);
        else if (symbol < 280)
            word(symbol - 256, 7);
        else
            word(0xC0 + symbol - 280, 8);
    }
    // The stream with the checksum of what it holds.
    std::string ended(std::string_view unpacked) const {
        const std::uint32_t sum = adler32(unpacked);
        std::string all = bytes;
        for (const int shift : {24, 16, 8, 0}) all += static_cast<char>(sum >> shift & 255);
        return all;
    }
};
}  // namespace

// The last block, with the fixed codes.
static Stream fixed_block() {
    Stream stream;
    stream.number(1, 1);
    stream.number(1, 2);
    return stream;
}

// The last block, with codes of its own: how long the two codes are, and the words of the code of their lengths.
static Stream block_with_codes(int literals, int distances, const std::array<int, 19>& length_words) {
    Stream stream;
    stream.number(1, 1);
    stream.number(2, 2);
    stream.number(literals - 257, 5);
    stream.number(distances - 1, 5);
    stream.number(15, 4);  // all 19
    for (const int symbol : {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15})
        stream.number(length_words[static_cast<std::size_t>(symbol)], 3);
    return stream;
}

// Words of 3 bits for the lengths 0 to 4 and the repetitions 16, 17 and 18, which are the words 5, 6 and 7.
static constexpr std::array<int, 19> three_bits{3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3};

// `count` zeros, 11 to 138 of them.
static void zeros(Stream& stream, int count) {
    stream.word(7, 3);
    stream.number(count - 11, 7);
}

// Codes of `distances` distances, in which only "a", "\xFF" and the end have words, each of them of the length given.
static Stream code_of_a(int distances, int length_of_255, int length_of_end) {
    Stream stream = block_with_codes(257, distances, three_bits);
    zeros(stream, 97);
    stream.word(1, 3);  // "a": 1 bit
    zeros(stream, 138);
    zeros(stream, 19);
    stream.word(length_of_255, 3);
    stream.word(length_of_end, 3);
    return stream;
}

TEST_CASE("zlib_unpacked: each rule of the header is checked by itself") {
    const auto refused = [](const char* header, const std::string& shown) {
        return refusal(bytes(header)) ==
               "x: the compressed bytes begin with " + shown + ", which is not a header of a zlib stream without dictionary";
    };
    CHECK(refused("7918", "121 24"));  // method 9
    CHECK(refused("881c", "136 28"));  // a window of 64 KB
    CHECK(refused("7800", "120 0"));   // not a multiple of 31
    CHECK(refused("7820", "120 32"));  // with a dictionary
    for (const char* const header : {"081d", "7801", "785e", "78da"})
        CHECK(refusal(bytes(header)) == "x: the compressed bytes end in the middle, after 2");
}

TEST_CASE("zlib_unpacked: impossible codes are refused, each for its own reason") {
    CHECK(refusal(block_with_codes(287, 30, three_bits).bytes) ==
          "x: a block has 287 literals and 30 distances, 286 and 30 are the most");
    CHECK(refusal(block_with_codes(286, 31, three_bits).bytes) ==
          "x: a block has 286 literals and 31 distances, 286 and 30 are the most");
    CHECK(refusal(block_with_codes(286, 30, three_bits).bytes).starts_with("x: the compressed bytes end in the middle"));

    CHECK(refusal(block_with_codes(257, 1, {1, 1, 1}).bytes) ==
          "x: a Huffman code has more codewords of 1 bits than there can be");
    CHECK(refusal(block_with_codes(257, 1, {1, 2, 2, 2}).bytes) ==
          "x: a Huffman code has more codewords of 2 bits than there can be");
    Stream no_word = block_with_codes(257, 1, {1});
    no_word.word(0x7FFF, 15);  // 0 is the only word
    CHECK(refusal(no_word.bytes) == "x: the compressed bytes hold a codeword that is in no Huffman code");

    Stream nothing = block_with_codes(257, 1, three_bits);
    nothing.word(5, 3);
    CHECK(refusal(nothing.bytes) == "x: a block's code lengths begin with a repetition, but no length stands before it");

    Stream three_too_many = code_of_a(2, 0, 1);  // two lengths are missing
    three_too_many.word(6, 3);
    three_too_many.number(0, 3);  // three zeros
    CHECK(refusal(three_too_many.bytes) == "x: a block gives its codes more than 259 lengths");

    Stream endless = code_of_a(1, 1, 0);
    endless.word(1, 3);  // the first distance has a word
    CHECK(refusal(endless.bytes) == "x: a block has no codeword for its end");
}

TEST_CASE("zlib_unpacked: zeros may fill the codes to their last length, and lengths may be repeated") {
    Stream stream = code_of_a(3, 0, 1);
    stream.word(6, 3);
    stream.number(0, 3);  // three zeros: no distance has a word
    stream.word(0, 1);    // "a"
    stream.word(0, 1);
    stream.word(1, 1);  // the end
    CHECK(zlib_unpacked(stream.ended("aa"), 2, "x") == "aa");

    Stream repeated = block_with_codes(257, 1, three_bits);
    zeros(repeated, 97);
    repeated.word(3, 3);  // "a": 3 bits
    repeated.word(5, 3);
    repeated.number(3, 2);  // "b" to "g" as well
    zeros(repeated, 138);
    zeros(repeated, 14);
    repeated.word(3, 3);  // the end
    repeated.word(0, 3);  // no distance
    repeated.word(6, 3);  // "g"
    repeated.word(0, 3);  // "a"
    repeated.word(7, 3);
    CHECK(zlib_unpacked(repeated.ended("ga"), 2, "x") == "ga");
}

TEST_CASE("zlib_unpacked: the fixed code has words of 8 and 9 bits for literals") {
    Stream stream = fixed_block();
    for (const int symbol : {0, 143, 144, 255, 256}) stream.fixed_symbol(symbol);
    const std::string expected("\x00\x8F\x90\xFF", 4);
    CHECK(zlib_unpacked(stream.ended(expected), 4, "x") == expected);
}

TEST_CASE("zlib_unpacked: every length from 3 to 258 is copied") {
    // RFC 1951, section 3.2.5: the last length of each number from 257 on
    static constexpr int last_of[] = {3,  4,  5,  6,  7,  8,  9,  10,  12,  14,  16,  18,  22,  26, 30,
                                      34, 42, 50, 58, 66, 82, 98, 114, 130, 162, 194, 226, 257, 258};
    int first = 3;
    for (std::size_t k = 0; k < std::size(last_of); ++k) {
        const unsigned others = static_cast<unsigned>(last_of[k] - first);
        for (int length = first; length <= last_of[k]; ++length) {
            Stream stream = fixed_block();
            stream.fixed_symbol('a');
            stream.fixed_symbol('a');
            stream.fixed_symbol(257 + static_cast<int>(k));
            stream.number(length - first, static_cast<int>(std::bit_width(others)));
            stream.word(1, 5);  // distance 2; the word of distance 1 is all zeros, and one bit more or fewer would go unnoticed
            stream.fixed_symbol(256);
            const std::string expected(2 + static_cast<std::size_t>(length), 'a');
            CHECK(zlib_unpacked(stream.ended(expected), expected.size(), "x") == expected);
        }
        first = last_of[k] + 1;
    }
}

TEST_CASE("zlib_unpacked: the first and the last distance of each number are copied from") {
    std::string before;
    for (std::size_t k = 0; k < 32768; ++k) before += static_cast<char>((k * k + k / 256) % 251);
    Stream stored;
    stored.number(0, 3);  // a stored block that is not the last; the rest of the byte is skipped
    stored.used = 8;
    stored.bytes += std::string("\x00\x80\xFF\x7F", 4) + before;
    int first = 1;
    for (int number = 0; number < 30; ++number) {
        const int extra = number < 4 ? 0 : number / 2 - 1;
        const int last = first + (1 << extra) - 1;
        for (const int distance : {first, last}) {
            Stream stream = stored;
            stream.number(1, 1);
            stream.number(1, 2);
            stream.fixed_symbol(257);  // three bytes
            stream.word(number, 5);
            stream.number(distance - first, extra);
            stream.fixed_symbol(256);
            std::string expected = before;
            for (int k = 0; k < 3; ++k) expected += expected[expected.size() - static_cast<std::size_t>(distance)];
            CHECK(zlib_unpacked(stream.ended(expected), expected.size(), "x") == expected);
        }
        first = last + 1;
    }
    CHECK(first == 32769);
}

TEST_CASE("zlib_unpacked: lengths, distances and copies that do not exist are refused") {
    Stream length = fixed_block();
    length.fixed_symbol('a');
    length.fixed_symbol(286);
    CHECK(refusal(length.bytes) == "x: the compressed bytes hold the length number 286, 285 is the last");
    const auto copied = [](int number) {
        Stream stream = fixed_block();
        stream.fixed_symbol('a');
        stream.fixed_symbol(257);
        stream.word(number, 5);
        stream.number(0, number < 2 ? 0 : number / 2 - 1);
        stream.fixed_symbol(256);
        return stream.ended("aaaa");
    };
    CHECK(refusal(copied(30)) == "x: the compressed bytes hold a codeword that is in no Huffman code");
    CHECK(refusal(copied(29)) == "x: the compressed bytes copy from 24577 bytes back, after 1");
    CHECK(refusal(copied(1)) == "x: the compressed bytes copy from 2 bytes back, after 1");
    CHECK(refusal(copied(0)).empty());
    CHECK(error_of([&] { zlib_unpacked(copied(0), 4, "x"); }).empty());
    CHECK(refusal(copied(0), 3) == "x: more than the 3 bytes that belong there come out of the compressed ones");
}

TEST_CASE("zlib_unpacked: words of up to 15 bits are read") {
    // The lengths 0 to 15 have words of 4 bits. Symbol k has a word of k + 1 bits, the end one of 15 as symbol 14 has.
    Stream stream = block_with_codes(257, 1, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    for (int symbol = 0; symbol < 257; ++symbol) stream.word(symbol < 15 ? symbol + 1 : symbol == 256 ? 15 : 0, 4);
    stream.word(0, 4);  // no distance
    std::string expected;
    for (int symbol = 0; symbol < 15; ++symbol) {
        stream.word((1 << (symbol + 1)) - 2, symbol + 1);  // ones, then a zero
        expected += static_cast<char>(symbol);
    }
    stream.word((1 << 15) - 1, 15);
    CHECK(zlib_unpacked(stream.ended(expected), 15, "x") == expected);

    Stream one_more = block_with_codes(257, 1, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    for (int symbol = 0; symbol < 257; ++symbol)
        one_more.word(symbol < 15 ? symbol + 1 : symbol == 100 || symbol == 256 ? 15 : 0, 4);
    one_more.word(0, 4);
    CHECK(refusal(one_more.bytes) == "x: a Huffman code has more codewords of 15 bits than there can be");
}

TEST_SUITE_END();
