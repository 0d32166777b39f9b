#include "nn/base/require.h"

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

std::string text(const Part& part) {
    switch (part.kind) {
        case Part::Kind::words: return std::string(part.words);
        case Part::Kind::letter: return std::string(1, part.letter);
        case Part::Kind::whole: return std::to_string(part.whole);
        case Part::Kind::natural: return std::to_string(part.natural);
        case Part::Kind::real: return fixed_digits(part.real, 6);
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

void fail(std::initializer_list<Part> parts) { throw std::invalid_argument(joined(parts)); }
