#include "course/pack/zip.h"

#include <array>
#include <cstdint>

static std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t n = 0; n < 256; ++n) {
        std::uint32_t c = n;
        for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        table[n] = c;
    }
    return table;
}

static std::uint32_t crc32(const std::string& bytes) {
    static const std::array<std::uint32_t, 256> table = make_table();
    std::uint32_t c = 0xFFFFFFFFu;
    for (const char byte : bytes) c = table[(c ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (c >> 8);
    return c ^ 0xFFFFFFFFu;
}

// `count` bytes of a number, the lowest first.
static void put(std::string& to, std::uint64_t number, int count) {
    for (int k = 0; k < count; ++k) to += static_cast<char>(number >> (8 * k) & 0xFF);
}

// What both headers of a file have in common: no flags, stored, 1 January 2020, and the sizes.
static void put_common(std::string& to, const ZipFile& file, std::uint32_t crc) {
    put(to, 20, 2);
    put(to, 0, 2);
    put(to, 0, 2);
    put(to, 0, 2);
    put(to, (2020 - 1980) << 9 | 1 << 5 | 1, 2);
    put(to, crc, 4);
    put(to, file.bytes.size(), 4);
    put(to, file.bytes.size(), 4);
    put(to, file.name.size(), 2);
    put(to, 0, 2);
}

std::string zip_bytes(const std::vector<ZipFile>& files) {
    std::string archive, directory;
    for (const ZipFile& file : files) {
        const std::uint32_t crc = crc32(file.bytes);
        const std::size_t begin = archive.size();
        put(archive, 0x04034b50, 4);
        put_common(archive, file, crc);
        archive += file.name + file.bytes;
        put(directory, 0x02014b50, 4);
        put(directory, 3 << 8 | 20, 2);  // made on Unix: the permissions below count
        put_common(directory, file, crc);
        put(directory, 0, 6);
        put(directory, static_cast<std::uint64_t>(0100000 | (file.executable ? 0755 : 0644)) << 16, 4);
        put(directory, begin, 4);
        directory += file.name;
    }
    const std::size_t begin = archive.size();
    archive += directory;
    put(archive, 0x06054b50, 4);
    put(archive, 0, 4);
    put(archive, files.size(), 2);
    put(archive, files.size(), 2);
    put(archive, directory.size(), 4);
    put(archive, begin, 4);
    put(archive, 0, 2);
    return archive;
}
