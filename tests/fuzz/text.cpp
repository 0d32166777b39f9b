// text.cpp: any bytes as UTF-8. What is decoded is stable, and valid bytes come back as they were.
// covers nn/data/text.cpp .*
#include "nn/data/text.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::u32string characters = decode_utf8(bytes);
    const std::string encoded = encode_utf8(characters);
    if (decode_utf8(encoded) != characters) std::abort();
    if ((encoded == bytes) != (valid_utf8_length(bytes) == size)) std::abort();
    const std::size_t valid = valid_utf8_length(bytes);
    if (encoded.substr(0, valid) != bytes.substr(0, valid)) std::abort();
    split_lines(bytes);
    split(bytes, ',');
    whole_number(bytes);
    decimal_number(bytes);
    return 0;
}
