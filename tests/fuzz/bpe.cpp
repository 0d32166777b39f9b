// bpe.cpp: any bytes as a merges.txt, and, behind its first empty line, as the text to cut up with it. No byte of the text is lost.
#include "gpt/bpe.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t gap = bytes.find("\n\n");
    const std::string_view text = gap == std::string_view::npos ? std::string_view() : bytes.substr(gap + 2);
    bool valid = false;
    bpe::Vocabulary vocabulary;
    try {
        vocabulary = bpe::read_merges(bytes.substr(0, gap), "fuzz");
        valid = true;
    } catch (const std::invalid_argument&) {
    }
    if (valid && bpe::decode(bpe::encode(text, vocabulary), vocabulary) != text) std::abort();
    return 0;
}
