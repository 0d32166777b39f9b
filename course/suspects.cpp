#include "course/suspects.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
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
    bool is_number = false;
    double number = 0;
    std::string words;
};
}  // namespace

// A number begins where a digit, perhaps after a minus, continues no word: "-0.31" and "3" in "(3, 2)", not "1" in "norm1".
static std::vector<Piece> pieces(const std::string& line) {
    std::vector<Piece> result;
    std::string words;
    for (std::size_t at = 0; at < line.size();) {
        const bool inside =
            at > 0 && (std::isalnum(static_cast<unsigned char>(line[at - 1])) || line[at - 1] == '_' || line[at - 1] == '.');
        const std::size_t digit = at + (line[at] == '-');
        if (!inside && digit < line.size() && std::isdigit(static_cast<unsigned char>(line[digit]))) {
            char* end = nullptr;
            const double number = std::strtod(line.c_str() + at, &end);
            if (!words.empty()) result.push_back({false, 0, words});
            words.clear();
            result.push_back({true, number, line.substr(at, end - line.c_str() - at)});
            at = end - line.c_str();
        } else {
            words += line[at++];
        }
    }
    if (!words.empty()) result.push_back({false, 0, words});
    return result;
}

bool is_specific(const std::string& failure) {
    std::set<double> numbers;
    for (const Piece& piece : pieces(failure)) {
        if (!piece.is_number) continue;
        numbers.insert(piece.number);
        if (piece.words.find('.') != std::string::npos) return true;
    }
    return numbers.size() >= 3 || failure.find('"') != std::string::npos;
}

bool same_failure(const std::string& a, const std::string& b) {
    const std::vector<Piece> x = pieces(a), y = pieces(b);
    if (x.size() != y.size()) return false;
    for (std::size_t k = 0; k < x.size(); ++k) {
        if (x[k].is_number != y[k].is_number) return false;
        if (!x[k].is_number && x[k].words != y[k].words) return false;
        if (std::abs(x[k].number - y[k].number) > 1e-6 + 2e-3 * std::abs(y[k].number)) return false;
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
