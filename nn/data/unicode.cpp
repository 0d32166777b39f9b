#include "nn/data/unicode.h"

#include <algorithm>
#include <iterator>

namespace {
// The rows of the tables, which are sorted by character.
struct ClassRun {
    char32_t first, last;
    CharacterClass value;
};

enum class SigmaContext { none, cased, ignorable };

struct SigmaRun {
    char32_t first, last;
    SigmaContext value;
};

struct LowerRun {
    char32_t first, last;
    int step;      // 1: every character of the run, 2: every second
    int distance;  // from a capital letter to its lower case
};

struct CombiningRun {
    char32_t first, last;
    int value;
};

struct WidthRun {
    char32_t first, last;
    int value;
};

struct Decomposition {
    char32_t character, first, second;  // second 0: one character, not two
};
}  // namespace

using enum CharacterClass;
using enum SigmaContext;
#include "nn/data/unicode_tables.inc"

// The run that contains the character, or nullptr.
template <class Run, std::size_t count>
static const Run* find_run(const Run (&runs)[count], char32_t c) {
    const Run* const after =
        std::upper_bound(runs, runs + count, c, [](char32_t value, const Run& run) { return value < run.first; });
    if (after == runs) return nullptr;
    const Run* const run = after - 1;
    return c <= run->last ? run : nullptr;
}

CharacterClass character_class(char32_t c) {
    const ClassRun* const run = find_run(class_runs, c);
    return run ? run->value : CharacterClass::other;
}

bool is_white_space(char32_t c) {
    const bool line_end = (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return line_end || character_class(c) == CharacterClass::space;
}

int columns_of(char32_t c) {
    const WidthRun* const run = find_run(width_runs, c);
    return run ? run->value : 1;
}

int combining_class(char32_t c) {
    const CombiningRun* const run = find_run(combining_runs, c);
    return run ? run->value : 0;
}

static char32_t lower_case_of(char32_t c) {
    const LowerRun* const run = find_run(lower_runs, c);
    const bool member = run && (c - run->first) % run->step == 0;
    return member ? c + run->distance : c;
}

static SigmaContext sigma_context(char32_t c) {
    const SigmaRun* const run = find_run(sigma_runs, c);
    return run ? run->value : SigmaContext::none;
}

// Final_Sigma of the standard: a letter before it and no letter after it; accents, apostrophes and the like are skipped.
static bool is_final_sigma(std::u32string_view text, std::size_t at) {
    std::size_t before = at;
    while (before > 0 && sigma_context(text[before - 1]) == SigmaContext::ignorable) --before;
    std::size_t after = at + 1;
    while (after < text.size() && sigma_context(text[after]) == SigmaContext::ignorable) ++after;
    const bool letter_before = before > 0 && sigma_context(text[before - 1]) == SigmaContext::cased;
    const bool letter_after = after < text.size() && sigma_context(text[after]) == SigmaContext::cased;
    return letter_before && !letter_after;
}

std::u32string lower_case(std::u32string_view text) {
    constexpr char32_t dotted_capital_i = 0x130, dot_above = 0x307, capital_sigma = 0x3A3, final_sigma = 0x3C2;
    std::u32string lower;
    lower.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == dotted_capital_i)
            lower += {U'i', dot_above};
        else if (text[i] == capital_sigma && is_final_sigma(text, i))
            lower += final_sigma;
        else
            lower += lower_case_of(text[i]);
    }
    return lower;
}

// Appends the full canonical decomposition of one character. Only the first part may decompose further.
static void append_parts(std::u32string& parts, char32_t c) {
    // Hangul syllables decompose by arithmetic: 19 leading consonants, 21 vowels, 27 trailing consonants or none.
    constexpr char32_t first_syllable = 0xAC00, last_syllable = 0xD7A3;
    if (c >= first_syllable && c <= last_syllable) {
        const char32_t s = c - first_syllable;
        parts += static_cast<char32_t>(0x1100 + s / (21 * 28));
        parts += static_cast<char32_t>(0x1161 + s / 28 % 21);
        if (s % 28 > 0) parts += static_cast<char32_t>(0x11A7 + s % 28);
        return;
    }
    const Decomposition* const end = std::end(decompositions);
    const Decomposition* const found = std::lower_bound(
        std::begin(decompositions), end, c, [](const Decomposition& row, char32_t value) { return row.character < value; });
    if (found == end || found->character != c) {
        parts += c;
        return;
    }
    append_parts(parts, found->first);
    if (found->second) parts += found->second;
}

static bool combines_earlier(char32_t a, char32_t b) { return combining_class(a) < combining_class(b); }

std::u32string decompose(std::u32string_view text) {
    std::u32string parts;
    parts.reserve(text.size());
    for (const char32_t c : text) append_parts(parts, c);
    // Each run of accents is sorted by combining class; equal classes keep their order, which is visible.
    for (std::size_t begin = 0; begin < parts.size();) {
        std::size_t end = begin;
        while (end < parts.size() && combining_class(parts[end]) > 0) ++end;
        std::stable_sort(parts.begin() + begin, parts.begin() + end, combines_earlier);
        begin = end + 1;
    }
    return parts;
}
