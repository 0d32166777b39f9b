// json.cpp: any bytes as JSON. What is read can be written, and reading that gives the same text again.
#include "nn/data/json.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string text;
    try {
        text = json_text(parse_json({reinterpret_cast<const char*>(data), size}, "fuzz"));
    } catch (const std::invalid_argument&) {
        return 0;
    }
    if (json_text(parse_json(text, "fuzz")) != text) std::abort();
    return 0;
}
