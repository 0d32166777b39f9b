#include "nn/base/require.h"

#include <cmath>

#include "nn/base/decimal.h"
#include "nn/base/matrix.h"

Part::Part(std::string_view given) : kind(Kind::words), words(given) {}
Part::Part(const std::string& given) : kind(Kind::words), words(given) {}
Part::Part(const char* given) : kind(Kind::words), words(given) {}
Part::Part(char given) : kind(Kind::letter), letter(given) {}
Part::Part(int given) : kind(Kind::whole), whole(given) {}
Part::Part(long given) : kind(Kind::whole), whole(given) {}
Part::Part(long long given) : kind(Kind::whole), whole(given) {}
Part::Part(unsigned given) : kind(Kind::natural), natural(given) {}
Part::Part(unsigned long given) : kind(Kind::natural), natural(given) {}
Part::Part(unsigned long long given) : kind(Kind::natural), natural(given) {}
Part::Part(double given) : kind(Kind::real), real(given) {}
Part::Part(const Where& given) : kind(Kind::place), where(given) {}
Part::Part(const Matrix& given) : kind(Kind::shape), rows(given.rows), cols(given.cols) {}

// Six decimals; where they would be all 0, or of a number of more than 20 digits, six significant ones.
static std::string real_text(double number) {
    const double size = std::abs(number);
    const bool is_usual = size == 0 || (size >= 5e-7 && size < 1e20) || !std::isfinite(number);
    return is_usual ? fixed_digits(number, 6) : short_digits(number, 6);
}

std::string text(const Part& part) {
    switch (part.kind) {
        case Part::Kind::words: return std::string(part.words);
        case Part::Kind::letter: return std::string(1, part.letter);
        case Part::Kind::whole: return std::to_string(part.whole);
        case Part::Kind::natural: return std::to_string(part.natural);
        case Part::Kind::real: return real_text(part.real);
        case Part::Kind::shape: return "(" + std::to_string(part.rows) + ", " + std::to_string(part.cols) + ")";
        case Part::Kind::place: return std::string(part.where.file_name()) + ":" + std::to_string(part.where.line()) + ": ";
    }
    return {};
}

std::string joined(std::initializer_list<Part> parts) {
    std::string words;
    for (const Part& part : parts) words += text(part);
    return words;
}

// A name out of a file may hold line breaks and the codes that steer a terminal: "\n", "\x1b".
static std::string in_one_line(const std::string& words) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string line;
    for (const char c : words) {
        const unsigned code = static_cast<unsigned char>(c);
        if (c == '\n')
            line += "\\n";
        else if (code < 0x20 || code == 0x7F)
            line += {'\\', 'x', digits[code / 16], digits[code % 16]};
        else
            line += c;
    }
    return line;
}

// A text of a file or a command line may be of any length: its beginning says which it is.
static std::string shortened(const std::string& words) {
    constexpr std::size_t most = 2000;  // bytes; a path has at most 4096, and few have more than 200
    if (words.size() <= most) return words;
    std::size_t end = most;
    while (end > most - 4 && (words[end] & 0xC0) == 0x80) --end;  // do not cut a multi-byte character
    return words.substr(0, end) + "... (" + std::to_string(words.size()) + " bytes)";
}

void fail(std::initializer_list<Part> parts) {
    std::string words;
    for (const Part& part : parts) words += shortened(text(part));
    throw std::invalid_argument(in_one_line(words));
}
