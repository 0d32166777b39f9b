// safetensors.cpp: any bytes as a safetensors file, and every tensor of one that is accepted. The first 8 bytes are written by us,
// so that the header is as long as the bytes say where they begin with 'h'; where they begin with 'i', they are an index of shards.
// covers nn/data/safetensors.cpp SafetensorsC2|add_part|add_shared|take_off|without_compile|read_header|11tensor_info|13count_numbers|require_no_gaps|read_index|index_beside|index_for|5matrixE|8integersE|long_integers
// covers nn/data/file_kind.cpp kind_of_bytes|kind_that|is_image_header|is_safetensors_header
#include "nn/data/safetensors.h"

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "nn/data/file.h"

static void write_shard() {
    static bool written = false;
    if (written) return;
    written = true;
    write_safetensors("build/fuzz/safetensors/s",
                      {{"a", {2}, Matrix{{1, 2}}}, {"b", {1}, Matrix{{3}}}, {"module.c", {1}, Matrix{{4}}}}, {{"d", "a"}});
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string path = "build/fuzz/safetensors/" + std::to_string(getpid()) + "-1-of-2.safetensors";
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (!bytes.empty() && bytes[0] == 'h') {  // the header ends at the last }
        const std::size_t end = bytes.rfind('}');
        const std::uint64_t length = end == std::string::npos ? size - 1 : end;
        bytes.replace(0, 1, 8, '\0');
        std::memcpy(bytes.data(), &length, 8);
    }
    // "i": the bytes are the weight_map of an index beside them, whose only shard is a file of three tensors.
    const bool is_index = !bytes.empty() && bytes[0] == 'i';
    if (is_index) bytes = "{\"weight_map\":{" + bytes.substr(1) + "}}";
    if (is_index) write_shard();
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
