#include "walkthroughs/page/html.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "nn/base/require.h"
#include "nn/data/text.h"

static std::string escaped(char32_t character) {
    switch (character) {
        case U'&': return "&amp;";
        case U'<': return "&lt;";
        case U'>': return "&gt;";
        case U'"': return "&quot;";
        default: return encode_utf8(character);
    }
}

std::string escaped(std::string_view words) {
    std::string html;
    for (const char32_t character : decode_utf8(words)) html += escaped(character);
    return html;
}

// ---- terminal colours -------------------------------------------------------------------------------------------------------

// One of the 256 colours: 16 names, a cube of 6 x 6 x 6, 24 greys.
static std::string colour_256(int number) {
    static constexpr std::array<const char*, 16> named{"#000", "#a00", "#080", "#a50", "#00a", "#a0a", "#088", "#aaa",
                                                       "#555", "#d33", "#2a2", "#b80", "#44f", "#d3d", "#2aa", "#fff"};
    if (number < 16) return named[static_cast<std::size_t>(std::max(number, 0))];
    if (number >= 232)
        return joined({"rgb(", 8 + 10 * (number - 232), ",", 8 + 10 * (number - 232), ",", 8 + 10 * (number - 232), ")"});
    const auto side = [](int share) { return share == 0 ? 0 : 55 + 40 * share; };
    return joined({"rgb(", side((number - 16) / 36), ",", side((number - 16) / 6 % 6), ",", side((number - 16) % 6), ")"});
}

// What a code such as "1;31" or "38;5;45" asks for, as CSS; "" for a reset.
static std::string style_of(std::string_view code) {
    std::vector<int> numbers;
    for (const std::string& word : split(code, ';')) numbers.push_back(static_cast<int>(whole_number(word).value_or(0)));
    std::string style;
    for (std::size_t k = 0; k < numbers.size(); ++k) {
        const int number = numbers[k];
        const std::string property = number >= 40 && number <= 48 ? "background:" : "color:";
        if (number == 0) style.clear();
        if (number == 1) style += "font-weight:bold;";
        if (number == 2) style += "opacity:.7;";
        if (number >= 30 && number < 38) style += property + colour_256(number - 30) + ";";
        if (number >= 40 && number < 48) style += property + colour_256(number - 40) + ";color:#fff;";
        if (number != 38 && number != 48) continue;
        const std::size_t left = numbers.size() - k;
        if (left > 2 && numbers[k + 1] == 5) {
            style += property + colour_256(numbers[k + 2]) + ";";
            k += 2;
        } else if (left > 4 && numbers[k + 1] == 2) {
            style += joined({property, "rgb(", numbers[k + 2], ",", numbers[k + 3], ",", numbers[k + 4], ");"});
            k += 4;
        }
    }
    return style;
}

std::string terminal_html(const std::vector<std::string>& lines) {
    std::string html;
    bool open = false;  // a span
    for (const std::string& line : lines) {
        const std::u32string characters = decode_utf8(line);
        for (std::size_t k = 0; k < characters.size(); ++k) {
            if (characters[k] != 0x1B) {
                html += escaped(characters[k]);
                continue;
            }
            std::string code;  // ESC [ numbers letter
            for (k += 2; k < characters.size() && !(characters[k] >= U'@' && characters[k] <= U'~'); ++k)
                code += encode_utf8(characters[k]);
            if (k >= characters.size() || characters[k] != U'm') continue;
            if (open) html += "</span>";
            const std::string style = style_of(code);
            open = !style.empty();
            if (open) html += "<span style=\"" + style + "\">";
        }
        if (open) html += "</span>";
        open = false;
        html += "\n";
    }
    return html;
}

// ---- formulas ---------------------------------------------------------------------------------------------------------------

// Before and after the formula, at -1 too, there are spaces.
static char letter_at(std::string_view formula, std::size_t k) { return k < formula.size() ? formula[k] : ' '; }

static bool in_word(std::string_view formula, std::size_t k) {
    return std::isalnum(static_cast<unsigned char>(letter_at(formula, k))) != 0;
}

// How many letters from `at` belong to an index or an exponent: a group in ( ) or { }, or a sign and what is a name or a number.
static std::size_t group_length(std::string_view formula, std::size_t at) {
    const char opening = letter_at(formula, at);
    if (opening == '(' || opening == '{') {
        int depth = 0;
        for (std::size_t k = at; k < formula.size(); ++k) {
            depth += formula[k] == '(' || formula[k] == '{';
            depth -= formula[k] == ')' || formula[k] == '}';
            if (depth == 0) return k + 1 - at;
        }
        return 0;
    }
    std::size_t end = at;
    if ((opening == '-' || opening == '+') && in_word(formula, at + 1)) ++end;
    while (in_word(formula, end)) ++end;
    return end - at;
}

std::string formula_html(std::string_view formula) {
    std::string html;
    for (std::size_t k = 0; k < formula.size(); ++k) {
        const std::string_view rest = formula.substr(k);
        const bool inside_word = in_word(formula, k - 1);
        const bool raised = rest[0] == '^', lowered = rest[0] == '_' && inside_word && !in_word(formula, k - 2);
        const std::size_t length = raised || lowered ? group_length(formula, k + 1) : 0;
        if (length > 0) {
            const bool bare = formula[k + 1] == '(' || formula[k + 1] == '{';  // the brackets only held the group together
            const std::string_view group = bare ? formula.substr(k + 2, length - 2) : formula.substr(k + 1, length);
            const std::string tag = raised ? "sup" : "sub";
            html += "<" + tag + ">" + formula_html(group) + "</" + tag + ">";
            k += length;
        } else if (!inside_word && rest.starts_with("sqrt(")) {
            html += "\u221A";
            k += 3;
        } else if (rest.starts_with("<=") || rest.starts_with(">=")) {
            html += rest[0] == '<' ? "\u2264" : "\u2265";
            ++k;
        } else if (rest.starts_with("->")) {
            html += "\u2192";
            ++k;
        } else {
            std::size_t end = k + 1;  // a whole character of UTF-8
            while ((static_cast<unsigned char>(letter_at(formula, end)) & 0xC0) == 0x80) ++end;
            html += escaped(formula.substr(k, end - k));
            k = end - 1;
        }
    }
    return html;
}

// ---- bytes ------------------------------------------------------------------------------------------------------------------

std::string base64(std::string_view bytes) {
    static constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string words;
    for (std::size_t k = 0; k < bytes.size(); k += 3) {
        unsigned three = 0;
        for (std::size_t b = 0; b < 3; ++b)
            three = three << 8 | (k + b < bytes.size() ? static_cast<unsigned char>(bytes[k + b]) : 0u);
        for (std::size_t letter = 0; letter < 4; ++letter)
            words += k + letter <= bytes.size() ? letters[three >> (18 - 6 * letter) & 63] : '=';
    }
    return words;
}
