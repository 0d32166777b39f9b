// unicode_test.cpp: the tables by example, by the rules of the standard, and as a whole by checksums that were computed from the
// published tables by another program.
#include "nn/data/unicode.h"

#include <cstdint>

#include "tests/test.h"

TEST_SUITE("unicode") {
    TEST_CASE("character_class: follows the general category, not the look of a character") {
        CHECK(character_class(U'a') == CharacterClass::letter);
        CHECK(character_class(U'я') == CharacterClass::letter);
        CHECK(character_class(U'語') == CharacterClass::letter);
        CHECK(character_class(U'ª') == CharacterClass::letter);  // Lo, although it looks like an exponent
        CHECK(character_class(U'7') == CharacterClass::number);
        CHECK(character_class(U'²') == CharacterClass::number);
        CHECK(character_class(U'½') == CharacterClass::number);
        CHECK(character_class(U'Ⅷ') == CharacterClass::number);
        CHECK(character_class(U'٣') == CharacterClass::number);
        CHECK(character_class(U'!') == CharacterClass::punctuation);
        CHECK(character_class(U'_') == CharacterClass::punctuation);
        CHECK(character_class(U'«') == CharacterClass::punctuation);
        CHECK(character_class(U'¿') == CharacterClass::punctuation);
        CHECK(character_class(U'$') == CharacterClass::other);  // Sc
        CHECK(character_class(U'+') == CharacterClass::other);  // Sm
        CHECK(character_class(U'№') == CharacterClass::other);  // So
        CHECK(character_class(U'\U0001F600') == CharacterClass::other);
        CHECK(character_class(U'\n') == CharacterClass::control);
        CHECK(character_class(0x85) == CharacterClass::control);
        CHECK(character_class(0xAD) == CharacterClass::format);    // soft hyphen
        CHECK(character_class(0x200D) == CharacterClass::format);  // zero width joiner
        CHECK(character_class(0xA0) == CharacterClass::space);
        CHECK(character_class(0x3000) == CharacterClass::space);
        CHECK(character_class(0x2028) == CharacterClass::other);  // Zl
        CHECK(character_class(0x301) == CharacterClass::mark);
        CHECK(character_class(0x903) == CharacterClass::other);  // Mc takes room
        CHECK(character_class(0x10FFFF) == CharacterClass::other);
        CHECK(character_class(0x110000) == CharacterClass::other);
    }

    TEST_CASE("is_white_space: 25 characters; not U+001C to U+001F, the zero width space or U+FEFF") {
        int count = 0;
        for (char32_t c = 0; c <= 0x10FFFF; ++c) count += is_white_space(c);
        CHECK(count == 25);
        CHECK(is_white_space(U'\t'));
        CHECK(is_white_space(0x85));
        CHECK(is_white_space(0x2029));
        CHECK_FALSE(is_white_space(0x1C));
        CHECK_FALSE(is_white_space(0x200B));
        CHECK_FALSE(is_white_space(0xFEFF));
    }

    TEST_CASE("lower_case: Unicode's, not ASCII's") {
        CHECK(lower_case(U"МОСКВА Ёлка ÅNGSTRÖM") == U"москва ёлка ångström");
        CHECK(lower_case(U"ẞ ß") == U"ß ß");
        CHECK(lower_case(U"İ") == U"i\u0307");
        CHECK(lower_case(U"Ǆ ǅ ǆ") == U"ǆ ǆ ǆ");
        CHECK(lower_case(U"Ⅷ Ⓐ") == U"ⅷ ⓐ");
        CHECK(lower_case(U"\U00010400") == U"\U00010428");
        CHECK(lower_case(U"") == U"");
    }

    TEST_CASE("lower_case: a capital sigma after a letter is final when no letter follows, skipping apostrophes and accents") {
        CHECK(lower_case(U"ΟΔΥΣΣΕΥΣ") == U"οδυσσευς");
        CHECK(lower_case(U"ΣΑΣ ΣΑΣ") == U"σας σας");
        CHECK(lower_case(U"Σ") == U"σ");  // nothing before it
        CHECK(lower_case(U"ΑΣ.") == U"ας.");
        CHECK(lower_case(U"ΑΣ'Α") == U"ασ'α");
        CHECK(lower_case(U"Α\u0301Σ\u0301") == U"α\u0301ς\u0301");
        CHECK(lower_case(U"1Σ") == U"1σ");
    }

    TEST_CASE("decompose: complete, until no part decomposes further") {
        CHECK(decompose(U"é") == U"e\u0301");
        CHECK(decompose(U"ё й") == U"е\u0308 и\u0306");
        CHECK(decompose(U"ǖ") == U"u\u0308\u0304");       // u with diaeresis and macron = (u with diaeresis) + macron
        CHECK(decompose(U"\u1EC7") == U"e\u0323\u0302");  // e with circumflex and dot below: e-dot-below + circumflex
        CHECK(decompose(U"\u212B") == U"A\u030A");        // the unit angstrom is the letter, the letter is A and a ring
        CHECK(decompose(U"\uF900") == U"\u8C48");
        CHECK(decompose(U"² № ﬁ") == U"² № ﬁ");  // compatibility parts stay
    }

    TEST_CASE("decompose: a Hangul syllable becomes two or three jamo") {
        // by hand: U+D55C - U+AC00 = 10588; 10588 / 588 = 18, 10588 mod 588 / 28 = 0, 10588 mod 28 = 4
        CHECK(decompose(U"\uD55C") == std::u32string{0x1100 + 18, 0x1161, 0x11A7 + 4});
        CHECK(decompose(U"\uAC00") == U"\u1100\u1161");        // the first
        CHECK(decompose(U"\uD7A3") == U"\u1112\u1175\u11C2");  // the last
    }

    TEST_CASE("decompose: accents are ordered by class; equal classes and letters keep their place") {
        CHECK(combining_class(0x323) == 220);
        CHECK(combining_class(0x301) == 230);
        CHECK(combining_class(U'a') == 0);
        CHECK(decompose(U"a\u0301\u0323") == U"a\u0323\u0301");    // 230 220 -> 220 230
        CHECK(decompose(U"\u0301\u0323") == U"\u0323\u0301");      // also without a letter before them
        CHECK(decompose(U"a\u0301\u0300") == U"a\u0301\u0300");    // both 230
        CHECK(decompose(U"a\u0301b\u0323") == U"a\u0301b\u0323");  // b stands between
        CHECK(decompose(U"\u1E0B\u0323") == U"d\u0323\u0307");     // the accent inside the letter takes part
        CHECK(decompose(decompose(U"a\u0301\u0323ệ한")) == decompose(U"a\u0301\u0323ệ한"));
    }

    namespace {
    // FNV-1a over whole numbers.
    struct Checksum {
        std::uint64_t value = 0xcbf29ce484222325;
        void add(char32_t number) { value = (value ^ number) * 0x100000001b3; }
        void add(std::u32string_view text) {
            for (const char32_t c : text) add(c);
        }
    };
    }  // namespace

    TEST_CASE(
        "character_class, decompose: all 1,114,112 code points have the published class, space property and decomposition") {
        Checksum classes, spaces, decompositions, combining;
        for (char32_t c = 0; c <= 0x10FFFF; ++c) {
            classes.add(static_cast<char32_t>(character_class(c)));
            spaces.add(static_cast<char32_t>(is_white_space(c)));
            decompositions.add(decompose(std::u32string(1, c)));
            combining.add(static_cast<char32_t>(combining_class(c)));
        }
        CHECK(classes.value == 13709934274649820253u);
        CHECK(spaces.value == 420366091043129260u);
        CHECK(decompositions.value == 1339570053779756092u);
        CHECK(combining.value == 8364672108998144438u);
    }

    TEST_CASE("lower_case: all code points have the published lower case, and the published effect on an adjacent sigma") {
        Checksum lower;
        for (char32_t c = 0; c <= 0x10FFFF; ++c) {
            lower.add(lower_case(std::u32string{c}));
            lower.add(lower_case(std::u32string{U'A', c, U'Σ'}));
            lower.add(lower_case(std::u32string{c, U'Σ'}));
            lower.add(lower_case(std::u32string{U'A', U'Σ', c, U'B'}));
            lower.add(lower_case(std::u32string{U'A', U'Σ', c}));
        }
        CHECK(lower.value == 14862496413565970393u);
    }
}

TEST_CASE("columns_of: two for wide characters, none for accents and controls, one for all others") {
    for (const char32_t c : U"a~\u00e9\u0416\u2580\u2588\u00ad\u2028\uff71")
        if (c != 0) CHECK(columns_of(c) == 1);
    for (const char32_t c : U"\u6211\u4f60\u3042\u30ab\ud55c\uff01\u3000\U0001F600\U00020000")
        if (c != 0) CHECK(columns_of(c) == 2);
    for (const char32_t c : {0x301, 0x20DD, 0x200B, 0x200D, 0xFE0F, 0x1160, 0x0A, 0x1B}) CHECK(columns_of(c) == 0);
}
