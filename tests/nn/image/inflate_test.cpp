#include "nn/image/inflate.h"

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
              .starts_with("x: the check sum of the unpacked bytes is 1098712806, the file says "));
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

TEST_SUITE_END();
