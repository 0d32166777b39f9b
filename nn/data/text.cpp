#include "nn/data/text.h"

#include <algorithm>
#include <charconv>

#include "nn/base/require.h"

namespace {
// What a lead byte tells: how many bytes follow, and the range of the second byte (of the others: 80 ... BF). The narrower ranges
// exclude overlong encodings (E0, F0), surrogates (ED) and numbers beyond U+10FFFF (F4).
struct Lead {
    int following = -1;  // -1: no character begins with this byte
    unsigned char low = 0x80, high = 0xBF;
};
}  // namespace

static Lead lead_of(unsigned char byte) {
    if (byte < 0x80) return {0};
    if (byte < 0xC2) return {-1};
    if (byte < 0xE0) return {1};
    if (byte == 0xE0) return {2, 0xA0, 0xBF};
    if (byte == 0xED) return {2, 0x80, 0x9F};
    if (byte < 0xF0) return {2};
    if (byte == 0xF0) return {3, 0x90, 0xBF};
    if (byte < 0xF4) return {3};
    if (byte == 0xF4) return {3, 0x80, 0x8F};
    return {-1};
}

namespace {
// One character, or the replacement for `length` invalid bytes.
struct Decoded {
    char32_t character;
    std::size_t length;
    bool valid;
};
}  // namespace

static Decoded decode_one(std::string_view bytes, std::size_t at) {
    const unsigned char first = static_cast<unsigned char>(bytes[at]);
    const Lead lead = lead_of(first);
    if (lead.following == 0) return {first, 1, true};
    if (lead.following < 0) return {replacement_character, 1, false};
    char32_t character = first & (0x3F >> lead.following);  // the bits of the first byte that belong to the character
    for (int k = 1; k <= lead.following; ++k) {
        const unsigned char byte = at + k < bytes.size() ? static_cast<unsigned char>(bytes[at + k]) : 0;
        const bool fits = k == 1 ? byte >= lead.low && byte <= lead.high : byte >= 0x80 && byte <= 0xBF;
        if (!fits) return {replacement_character, static_cast<std::size_t>(k), false};
        character = (character << 6) | (byte & 0x3F);
    }
    return {character, static_cast<std::size_t>(lead.following) + 1, true};
}

std::u32string decode_utf8(std::string_view bytes) {
    std::u32string characters;
    characters.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        const Decoded decoded = decode_one(bytes, at);
        characters.push_back(decoded.character);
        at += decoded.length;
    }
    return characters;
}

std::string encode_utf8(std::u32string_view characters) {
    std::string bytes;
    for (const char32_t character : characters) bytes += encode_utf8(character);
    return bytes;
}

std::string encode_utf8(char32_t c) {
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (surrogate || c > 0x10FFFF) return encode_utf8(replacement_character);
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    if (c < 0x10000)
        return {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
                static_cast<char>(0x80 | (c & 0x3F))};
    return {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
            static_cast<char>(0x80 | ((c >> 6) & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
}

std::size_t valid_utf8_length(std::string_view bytes) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const Decoded decoded = decode_one(bytes, at);
        if (!decoded.valid) return at;
        at += decoded.length;
    }
    return at;
}

std::string_view without_byte_order_mark(std::string_view text) { return text.substr(text.starts_with("\xEF\xBB\xBF") ? 3 : 0); }

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t newline = text.find('\n', begin);
        const std::size_t end = newline == std::string_view::npos ? text.size() : newline;
        const std::string_view line = text.substr(begin, end - begin);
        lines.emplace_back(line.substr(0, line.size() - line.ends_with('\r')));
        begin = end + 1;
    }
    return lines;
}

std::vector<std::string> lines_of_file(std::string_view text, std::string_view source) {
    const bool returns_alone = text.find('\r') != std::string_view::npos && text.find('\n') == std::string_view::npos;
    require(!returns_alone, source, ": its lines end in carriage returns alone, as on an old Mac; convert it: tr '\\r' '\\n'");
    return split_lines(without_byte_order_mark(text));
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> pieces;
    std::size_t begin = 0;
    for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator, begin)) {
        pieces.emplace_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    pieces.emplace_back(text.substr(begin));
    return pieces;
}

std::optional<long> whole_number(std::string_view words) {
    long number = 0;
    const char* const end = words.data() + words.size();
    const std::from_chars_result result = std::from_chars(words.data(), end, number);
    if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
    return number;
}

// For a number out of the range of double: whether it is too small rather than too large. The first nonzero digit is `place`
// digits before the point (negative: after it); 10^place times the power of ten after the e decides.
static bool is_too_small(std::string_view digits) {
    const std::size_t e = std::min(digits.find_first_of("eE"), digits.size());
    const std::string_view mantissa = digits.substr(0, e), power = digits.substr(std::min(e + 1, digits.size()));
    const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
    const std::size_t first = mantissa.find_first_of("123456789");
    if (first == std::string_view::npos) return true;  // nothing but zeros
    const long place = static_cast<long>(point) - static_cast<long>(first);
    const std::optional<long> exponent = whole_number(power.substr(power.starts_with('+') ? 1 : 0));
    if (power.empty()) return place < 0;
    if (!exponent) return power.starts_with('-');  // an exponent of more than 64 bits
    return *exponent < -place;
}

// from_chars rounds correctly and ignores the locale; it also accepts "nan" and "inf", so letters are excluded first.
std::optional<double> decimal_number(std::string_view words) {
    if (words.empty() || words.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return std::nullopt;
    const bool plus = words.front() == '+' && words.substr(1, 1) != "-";
    const std::string_view digits = words.substr(plus ? 1 : 0);
    const char* const end = digits.data() + digits.size();
    double number = 0;
    const std::from_chars_result result = std::from_chars(digits.data(), end, number);
    if (result.ec == std::errc::invalid_argument || result.ptr != end) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range && !is_too_small(digits)) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range) return digits.front() == '-' ? -0.0 : 0.0;
    return number;
}

std::size_t changes_between(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}
