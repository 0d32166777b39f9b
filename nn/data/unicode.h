// unicode.h: Unicode character classes, lower case, canonical decomposition (letters and their accents).
//
//   source   The Unicode Standard 14.0.0: general categories, default case conversion (3.13), decomposition (3.11, 3.12), East Asian
//            width (annex 11)
//   tables   unicode_tables.inc; tools/unicode_tables.py makes it and states the rule of each table
//   next     bert/wordpiece.h and gpt/bpe.h, which split texts by these classes
#pragma once
#include <string>
#include <string_view>

enum class CharacterClass {
    other,        // symbols such as + or an emoji, enclosing and spacing marks, line separators, what is not assigned
    letter,       // Lu Ll Lt Lm Lo
    number,       // Nd Nl No: also superscripts, fractions and Roman numerals
    punctuation,  // Pc Pd Ps Pe Pi Pf Po: the ASCII symbols $ + < = > ^ ` | ~ are not among them
    control,      // Cc, tab and newline included
    format,       // Cf: joiners, soft hyphens, direction marks
    space,        // Zs
    mark,         // Mn: nonspacing marks, such as accents
};

CharacterClass character_class(char32_t c);

// White_Space, which is also what \s means in the pattern of GPT-2: the class space, U+0009-000D, U+0085, U+2028, U+2029.
bool is_white_space(char32_t c);

// The text in lower case, character by character, with two exceptions: the dotted capital I (U+0130) becomes i and U+0307, and a
// capital sigma at the end of a word becomes the final form.
std::u32string lower_case(std::u32string_view text);

// Normal form D: canonical decomposition of every character, with accents in canonical order and Hangul syllables as jamo.
// Compatibility characters stay: U+00B2 stays a superscript two.
std::u32string decompose(std::u32string_view text);

// Columns that a character takes on a terminal: 2 for those of Chinese, Japanese and Korean and for most emoji, 0 for accents and
// controls, 1 for all others.
int columns_of(char32_t c);

// Canonical combining class, by which accents are ordered; 0 for letters.
int combining_class(char32_t c);
