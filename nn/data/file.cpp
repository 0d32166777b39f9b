#include "nn/data/file.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "nn/base/require.h"

static std::string reason() { return std::strerror(errno); }

static bool is_directory(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

// A directory can be opened on some systems and only fails when it is read, so it is asked about first.
static std::FILE* open_for_reading(const std::string& path) {
    require(!is_directory(path), path, ": is a directory, a file is needed");
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    require(file != nullptr, path, ": cannot be opened: ", reason());
    return file;
}

std::string read_file(const std::string& path, std::size_t limit) {
    std::FILE* const file = open_for_reading(path);
    std::string bytes;
    char piece[1 << 16];
    std::size_t count = 0;
    while (bytes.size() <= limit && (count = std::fread(piece, 1, sizeof piece, file)) > 0) bytes.append(piece, count);
    const bool failed = std::ferror(file) != 0;
    const std::string why = failed ? reason() : "";
    std::fclose(file);
    require(!failed, path, ": cannot be read: ", why);
    require(bytes.size() <= limit, path, ": is larger than ", limit, " bytes, the most that is read here");
    return bytes;
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
    AtomicFile file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
}

AtomicFile::AtomicFile(const std::string& given) : path(given), file(nullptr) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    const bool replaceable = !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
    require(replaceable, path, ": is not an ordinary file and is not replaced by one");
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    temporary = path + ".part" + text(static_cast<long long>(now));
    file = std::fopen(temporary.c_str(), "wbx");  // x: fails when somebody else has a file of this name
    require(file != nullptr, path, ": cannot be written: ", reason());
}

AtomicFile::~AtomicFile() {
    if (file != nullptr) std::fclose(file);
    if (!temporary.empty()) std::remove(temporary.c_str());
}

void AtomicFile::write(const void* bytes, std::size_t count) {
    if (count > 0) require(std::fwrite(bytes, 1, count, file) == count, path, ": cannot be written: ", reason());
}

void AtomicFile::commit() {
    const bool closed = std::fclose(file) == 0;
    file = nullptr;
    require(closed, path, ": cannot be written: ", reason());
    require(std::rename(temporary.c_str(), path.c_str()) == 0, path, ": cannot be written: ", reason());
    temporary.clear();
}

RandomAccessFile::RandomAccessFile(const std::string& given) : path(given), file(open_for_reading(given)) {
    const long end = std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) : -1;
    if (end >= 0) {
        length = static_cast<std::uint64_t>(end);
        return;
    }
    std::fclose(file);
    require(false, path, ": cannot be read in pieces, it is not an ordinary file");
}

RandomAccessFile::~RandomAccessFile() { std::fclose(file); }

void RandomAccessFile::read(std::uint64_t first, void* into, std::size_t count) const {
    require(first <= length && count <= length - first, path, ": bytes ", first, " to ", first + count, " of a file of ", length);
    const bool done = std::fseek(file, static_cast<long>(first), SEEK_SET) == 0 && std::fread(into, 1, count, file) == count;
    require(done, path, ": bytes ", first, " to ", first + count, " cannot be read");
}

bool is_file(const std::string& path) {
    std::error_code ignored;  // the name may be too long for a file
    return std::filesystem::is_regular_file(path, ignored);
}

std::vector<std::string> files_below(const std::string& folder) {
    std::vector<std::string> paths;
    std::error_code ignored;
    for (const std::filesystem::directory_entry& entry : std::filesystem::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file()) paths.push_back(entry.path().generic_string());
    std::sort(paths.begin(), paths.end());
    return paths;
}
