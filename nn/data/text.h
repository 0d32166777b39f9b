// text.h: UTF-8 bytes to characters and back, and the small cuts that file formats need.
//
//   source   RFC 3629; how broken bytes are replaced: The Unicode Standard, section 3.9, "substitution of maximal subparts",
//            which is also what Python's bytes.decode("utf-8", errors="replace") does
//   next     unicode.h knows what kind of character each one is
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

constexpr char32_t replacement_character = 0xFFFD;

// The characters of UTF-8 text. Bytes that are no UTF-8 become U+FFFD: one for each longest run that could have begun a
// character, one for each byte that cannot begin any.
std::u32string decode_utf8(std::string_view bytes);

// The UTF-8 bytes of characters. What is no character (a surrogate, beyond U+10FFFF) becomes U+FFFD.
std::string encode_utf8(std::u32string_view characters);
std::string encode_utf8(char32_t character);

// Number of bytes at the front that are whole, valid characters: bytes.size() when all of it is UTF-8.
std::size_t valid_utf8_length(std::string_view bytes);

// The text without a byte order mark (U+FEFF, bytes EF BB BF) at its front, which some editors write; anything else as it is.
std::string_view without_byte_order_mark(std::string_view text);

// Lines without their ends ("\n" or "\r\n"); the end of the last line may be missing.
std::vector<std::string> split_lines(std::string_view text);

// The pieces between separators, empty ones included: split("a,,b", ',') is {"a", "", "b"}.
std::vector<std::string> split(std::string_view text, char separator);

// A number that fills the words from first to last character: "-12", "1e-3". Nothing for anything else, spaces,
// "0x10", "nan", "inf" and numbers that do not fit included. The decimal point is a point under every locale; what is too small
// for a double is 0.
std::optional<long> whole_number(std::string_view words);
std::optional<double> decimal_number(std::string_view words);

// How many letters must be added, removed or changed to turn one word into the other (Levenshtein, 1965).
std::size_t changes_between(std::string_view a, std::string_view b);
