// wordpiece.cpp: any bytes as a vocab.txt, and, behind its first empty line, as the text to cut up with it.
#include "bert/wordpiece.h"

#include <cstdint>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t gap = bytes.find("\n\n");
    const std::string_view text = gap == std::string_view::npos ? std::string_view() : bytes.substr(gap + 2);
    try {
        const wordpiece::Vocabulary vocabulary = wordpiece::read_vocabulary(bytes.substr(0, gap), "fuzz");
        wordpiece::decode(wordpiece::encode(text, vocabulary, {}), vocabulary);
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
