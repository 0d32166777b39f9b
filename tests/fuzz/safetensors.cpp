// safetensors.cpp: any bytes as a safetensors file, and every tensor of one that is accepted. The first 8 bytes are written by us,
// so that the header is as long as the bytes say where they begin with 'h'.
#include "nn/data/safetensors.h"

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "nn/data/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string path = "build/fuzz/safetensors/input-" + std::to_string(getpid());
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (!bytes.empty() && bytes[0] == 'h') {  // the header ends at the last }
        const std::size_t end = bytes.rfind('}');
        const std::uint64_t length = end == std::string::npos ? size - 1 : end;
        bytes.replace(0, 1, 8, '\0');
        std::memcpy(bytes.data(), &length, 8);
    }
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) return 0;
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    try {
        const Safetensors tensors(path);
        for (const auto& [name, info] : tensors.tensors) {
            try {
                tensors.matrix(name);
            } catch (const std::invalid_argument&) {
            }
            try {
                tensors.integers(name);
            } catch (const std::invalid_argument&) {
            }
        }
    } catch (const std::invalid_argument&) {
    }
    std::remove(path.c_str());
    return 0;
}
