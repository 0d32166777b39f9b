#include "course/suspects.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <set>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

std::vector<Suspect> read_suspects(const std::string& path) {
    std::vector<Suspect> suspects;
    if (!is_file(path)) return suspects;
    for (const std::string& line : split_lines(read_file(path))) {
        const std::vector<std::string> parts = split(line, '\t');
        require(parts.size() == 3, path, ": a line has ", parts.size(), " parts, expected mistake, title and failure: ", line);
        suspects.push_back({parts[0], parts[1], parts[2]});
    }
    return suspects;
}

std::string suspects_text(const std::vector<Suspect>& suspects) {
    std::string text;
    for (const Suspect& s : suspects) text += s.mistake + "\t" + s.title + "\t" + s.failure + "\n";
    return text;
}

std::string comparable(const std::string& failure) {
    std::string line = failure.substr(0, failure.find("\n    cause "));
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
    return line.substr(0, 400);
}

namespace {
// A piece of a failure: a number, or the words up to the next number.
struct Piece {
    std::optional<double> number;
    std::string words;  // as they stand there
};
}  // namespace

// A number begins where a digit, perhaps after a minus, continues no word: "-0.31" and "3" in "(3, 2)", not "1" in "norm1".
static std::vector<Piece> pieces(const std::string& line) {
    std::vector<Piece> result;
    std::string words;
    const char* at = line.c_str();
    for (char before = ' '; *at != '\0'; before = at[-1]) {
        const bool inside = std::isalnum(static_cast<unsigned char>(before)) || before == '_' || before == '.';
        const char digit = *at == '-' ? at[1] : *at;
        if (!inside && std::isdigit(static_cast<unsigned char>(digit))) {
            if (!words.empty()) result.push_back({std::nullopt, words});
            words.clear();
            char* end = nullptr;
            const double number = std::strtod(at, &end);
            result.push_back({number, std::string(at, static_cast<const char*>(end))});
            at = end;
        } else {
            words += *at++;
        }
    }
    if (!words.empty()) result.push_back({std::nullopt, words});
    return result;
}

bool is_specific(const std::string& failure) {
    std::set<double> numbers;
    for (const Piece& piece : pieces(failure)) {
        if (!piece.number) continue;
        numbers.insert(*piece.number);
        if (piece.words.find('.') != std::string::npos) return true;
    }
    return numbers.size() >= 3 || failure.find('"') != std::string::npos;
}

bool same_failure(const std::string& a, const std::string& b) {
    const std::vector<Piece> x = pieces(a), y = pieces(b);
    if (x.size() != y.size()) return false;
    for (std::size_t k = 0; k < x.size(); ++k) {
        const bool same = x[k].number && y[k].number
                              ? std::abs(*x[k].number - *y[k].number) <= 1e-6 + 2e-3 * std::abs(*y[k].number)
                              : !x[k].number && !y[k].number && x[k].words == y[k].words;
        if (!same) return false;
    }
    return true;
}

std::vector<std::string> suspected(const std::vector<Suspect>& suspects, const std::string& title, const std::string& failure) {
    std::vector<std::string> names;
    const std::string line = comparable(failure);
    if (!is_specific(line)) return names;
    for (const Suspect& s : suspects)
        if (s.title == title && same_failure(line, s.failure) && std::find(names.begin(), names.end(), s.mistake) == names.end())
            names.push_back(s.mistake);
    if (names.size() > 3) names.clear();
    return names;
}
