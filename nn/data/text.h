// text.h: decode and encode UTF-8, split text, read numbers.
//
//   source   RFC 3629; replacement of invalid bytes: The Unicode Standard, section 3.9, "substitution of maximal subparts", as in
//            Python's bytes.decode("utf-8", errors="replace")
//   next     unicode.h classifies characters
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

constexpr char32_t replacement_character = 0xFFFD;

// The characters of UTF-8 text. Invalid bytes become U+FFFD: one for each maximal beginning of a character, one for each byte
// that cannot begin one.
std::u32string decode_utf8(std::string_view bytes);

// The UTF-8 bytes of characters. Invalid ones (surrogates, beyond U+10FFFF) become U+FFFD.
std::string encode_utf8(std::u32string_view characters);
std::string encode_utf8(char32_t character);

// Length of the valid UTF-8 at the front: bytes.size() when all is valid.
std::size_t valid_utf8_length(std::string_view bytes);

// The text without a byte order mark (U+FEFF, bytes EF BB BF) at its front.
std::string_view without_byte_order_mark(std::string_view text);

// Lines without their line ends ("\n" or "\r\n"); the last line need not have one.
std::vector<std::string> split_lines(std::string_view text);

// The same for a file, without its byte order mark.
//   source  name used in error messages: a path
//   throws  std::invalid_argument when its lines end in "\r" alone, as those of a Mac before 2001 did: all would be one line
std::vector<std::string> lines_of_file(std::string_view text, std::string_view source);

// Splits at separators, keeping empty pieces: split("a,,b", ',') is {"a", "", "b"}.
std::vector<std::string> split(std::string_view text, char separator);

// The number that the whole text is: "-12", "1e-3". No value otherwise: spaces, "0x10", "nan", "inf", numbers that do not fit.
// The decimal point does not depend on the locale; a number too small for a double is 0.
std::optional<long> whole_number(std::string_view words);
std::optional<double> decimal_number(std::string_view words);

// The edit distance of two words (Levenshtein, 1965).
std::size_t changes_between(std::string_view a, std::string_view b);
