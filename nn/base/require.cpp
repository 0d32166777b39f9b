#include "nn/base/require.h"

#include "nn/base/matrix.h"

Part::Part(const Matrix& given) : kind(Kind::shape), rows(given.rows), cols(given.cols) {}

std::string text(const Part& part) {
    switch (part.kind) {
        case Part::Kind::words: return std::string(part.words);
        case Part::Kind::letter: return std::string(1, part.letter);
        case Part::Kind::whole: return std::to_string(part.whole);
        case Part::Kind::natural: return std::to_string(part.natural);
        case Part::Kind::real: return std::to_string(part.real);
        case Part::Kind::shape: return "(" + std::to_string(part.rows) + ", " + std::to_string(part.cols) + ")";
        case Part::Kind::place: return std::string(part.where.file_name()) + ":" + std::to_string(part.where.line()) + ": ";
    }
    return {};
}

void fail(std::initializer_list<Part> parts) {
    std::string message;
    for (const Part& part : parts) message += text(part);
    throw std::invalid_argument(message);
}
