#include "walkthroughs/lesson/tokens.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"

static bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

std::string shown_text(const std::string& text) {
    std::string shown;
    for (const char32_t c : decode_utf8(text)) shown += is_control(c) && c != U'\n' && c != U'\t' ? "\u00B7" : encode_utf8(c);
    return shown;
}

std::string shown_token(const std::string& token) {
    std::string shown;
    for (std::size_t at = 0; at < token.size();) {
        const std::string_view rest = std::string_view(token).substr(at);
        const std::size_t valid = valid_utf8_length(rest);
        for (const char32_t c : decode_utf8(rest.substr(0, valid))) {
            shown += c == U'\n' ? "\u21B5" : is_control(c) ? "\u00B7" : encode_utf8(c);
        }
        at += valid;
        if (at == token.size()) break;
        char hexadecimal[8];
        std::snprintf(hexadecimal, sizeof hexadecimal, "<%02X>", static_cast<unsigned>(static_cast<unsigned char>(token[at++])));
        shown += hexadecimal;
    }
    return shown;
}

// Six backgrounds in turn, black letters.
static std::string painted(const std::string& words, std::size_t turn, Colours colours) {
    static constexpr int backgrounds[] = {223, 152, 187, 182, 151, 217};  // of the 256: sand, blue, olive, violet, green, pink
    if (colours == Colours::none) return words + "|";
    return "\x1b[30;48;5;" + std::to_string(backgrounds[turn % 6]) + "m" + words + "\x1b[0m";
}

std::vector<std::string> token_lines(const std::vector<std::string>& tokens, Colours colours, int width) {
    std::vector<std::string> lines;
    std::string line;
    int used = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const std::string shown = shown_token(tokens[i]);
        const int columns = display_width(shown) + (colours == Colours::none);
        if (used > 0 && used + columns > width) {
            lines.push_back(line);
            line.clear();
            used = 0;
        }
        line += painted(shown, i, colours);
        used += columns;
        const bool ends_line = tokens[i].find('\n') != std::string::npos;
        if (ends_line) {
            lines.push_back(line);
            line.clear();
            used = 0;
        }
    }
    if (used > 0) lines.push_back(line);
    return lines;
}

std::string text_or_file(const std::string& words) {
    const bool one_word = words.find_first_of(" \t\n\r") == std::string::npos;
    std::error_code failed;  // for example a name that is too long
    const std::filesystem::file_status status = std::filesystem::status(words.find('\0') == words.npos ? words : "", failed);
    const bool readable = std::filesystem::exists(status) && !std::filesystem::is_directory(status);  // also a pipe
    require(readable || !one_word || !words.ends_with(".txt"), words,
            ": there is no such file; words that are no file's name may not end in .txt");
    return readable ? read_text_file(words) : words;
}

std::vector<std::string> class_names(const std::string& path, int classes) {
    if (path.empty()) return {};
    const std::string words = read_text_file(path);
    std::vector<std::string> names = lines_of_file(words, path);
    while (!names.empty() && names.back().empty()) names.pop_back();
    require(static_cast<int>(names.size()) == classes, path, ": holds ", names.size(), " lines, the classifier has ", classes,
            " classes; each needs a line with its name", looks_like(words.substr(0, 512)));
    return names;
}

bool only_english(const std::string& language) {
    require(language == "en" || language == "ru", "--language ", language, ": must be en or ru");
    return language == "en";
}

std::string ascii_lines(const std::string& text) {
    std::string kept;
    for (const std::string& line : split_lines(text)) {
        const bool ascii = std::all_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        if (ascii) kept += line + "\n";
    }
    return kept;
}
