#include "nn/data/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "nn/base/require.h"

// The error of the last system call. Store it before calling require, whose arguments may change errno.
static std::string reason() { return std::strerror(errno); }

static bool is_directory(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

// The system would read the path up to that byte, and open another file.
static void require_no_zero(const std::string& path) {
    require(path.find('\0') == std::string::npos, path, ": a path cannot hold a byte 0, the name of a file ends there");
}

// Checks for a directory first: some systems open one and fail only when it is read.
static std::FILE* open_for_reading(const std::string& path) {
    require(!path.empty(), "a file to be read needs a name, this one is empty");
    require_no_zero(path);
    require(!is_directory(path), path, ": is a directory, a file is needed");
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    const std::string why = reason();
    require(file != nullptr, path, ": cannot be opened: ", why);
    return file;
}

static constexpr std::size_t most_of_device = 1 << 20;  // bytes; /dev/zero would fill the memory

std::string read_file(const std::string& path, std::size_t limit) {
    std::FILE* const file = open_for_reading(path);
    std::string bytes;
    std::error_code unknown;  // the length of a pipe
    const bool is_device = std::filesystem::is_character_file(path, unknown);
    const std::size_t most = is_device ? std::min(limit, most_of_device) : limit;
    const std::uintmax_t length = std::filesystem::file_size(path, unknown);
    if (!unknown && length <= most) bytes.reserve(length + 1);  // a string that grows copies everything again and again
    char piece[1 << 16];
    std::size_t count = 0;
    while (bytes.size() <= most && (count = std::fread(piece, 1, sizeof piece, file)) > 0) bytes.append(piece, count);
    const bool failed = std::ferror(file) != 0;
    const std::string why = failed ? reason() : "";
    std::fclose(file);
    require(!failed, path, ": cannot be read: ", why);
    require(bytes.size() <= most, path, ": is larger than ", most, " bytes, the most that is read here",
            is_device ? " of a device; a file is needed" : "");
    return bytes;
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
    AtomicFile file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
}

void require_writable(const std::string& path) { AtomicFile never_committed(path); }

// The path after following symbolic links; the target need not exist.
static std::filesystem::path end_of_links(std::filesystem::path path) {
    const int most_links = 40;  // the limit of Linux
    std::error_code failed;
    for (int link = 0; link < most_links && std::filesystem::is_symlink(path, failed); ++link) {
        const std::filesystem::path to = std::filesystem::read_symlink(path, failed);
        if (failed) break;
        path = path.parent_path() / to;  // `to` alone where it is absolute
    }
    return path;
}

static constexpr std::string_view part_mark = ".part";

// Whether name is, for example, "model.part123" of "model".
static bool is_part_of(const std::string& name, const std::string& whole) {
    const std::string begin = whole + std::string(part_mark);
    return name.size() > begin.size() && name.starts_with(begin) &&
           name.find_first_not_of("0123456789", begin.size()) == std::string::npos;
}

// Removes part files that are not locked: their writers were killed.
static void remove_abandoned_parts(const std::filesystem::path& target) {
    const std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
    std::error_code failed;
    std::vector<std::filesystem::path> parts;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
        if (is_part_of(entry->path().filename().string(), target.filename().string())) parts.push_back(entry->path());
    for (const std::filesystem::path& part : parts) {
        const int descriptor = open(part.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (descriptor < 0) continue;
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlink(part.c_str());
        close(descriptor);
    }
}

// Creates a part file with a new name and locks it. If another process removes it as abandoned between the two, tries another
// number.
static std::FILE* open_part(const std::string& target, std::string& name) {
    for (;;) {
        const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
        name = target + std::string(part_mark) + text(static_cast<long long>(now));
        const int descriptor = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (descriptor < 0 && errno == EEXIST) continue;
        if (descriptor < 0) return nullptr;
        struct stat state {};
        flock(descriptor, LOCK_EX);  // where locking is not supported, parts are never removed
        if (fstat(descriptor, &state) == 0 && state.st_nlink == 0) {
            close(descriptor);
            continue;
        }
        return fdopen(descriptor, "wb");
    }
}

AtomicFile::AtomicFile(const std::string& given) : path(given), target(end_of_links(given).string()) {
    require_no_zero(given);
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(target, ignored);
    const bool is_there = std::filesystem::exists(status);
    require(!is_there || std::filesystem::is_regular_file(status), path, ": is not an ordinary file and is not replaced by one");
    require(!std::filesystem::is_symlink(target, ignored), path, ": is a link that leads back to itself");
    require(!target.empty(), "a file to be written needs a name, this one is empty");
    remove_abandoned_parts(target);
    file = open_part(target, temporary);
    const std::string why = reason();
    if (file == nullptr) temporary.clear();
    require(file != nullptr, path, ": cannot be written: ", why);
    if (is_there) std::filesystem::permissions(temporary, status.permissions(), ignored);
}

AtomicFile::~AtomicFile() {
    if (!temporary.empty()) std::remove(temporary.c_str());  // while still locked
    if (file != nullptr) std::fclose(file);
}

// Call directly after the system call that may have failed: it reports errno.
void AtomicFile::require_written(bool written) {
    const std::string why = written ? "" : reason();
    require(written, path, ": cannot be written: ", why);
}

void AtomicFile::write(const void* bytes, std::size_t count) {
    if (count == 0) return;
    require(file != nullptr && bytes != nullptr, path, ": ", count, " bytes ",
            file == nullptr ? "after commit()" : "at no address", " cannot be written; write them before, from where they are");
    const std::size_t written = std::fwrite(bytes, 1, count, file);
    require_written(written == count);
}

void AtomicFile::commit() {
    require(file != nullptr, path, ": commit() a second time; the file is complete after the first");
    const bool flushed = std::fflush(file) == 0;
    require_written(flushed);
    // Flush first, or a power failure could leave an empty file under the new name. Some file systems do not support it.
    const bool on_disk = fsync(fileno(file)) == 0 || errno == EINVAL || errno == ENOTSUP;
    require_written(on_disk);
    const bool renamed = std::rename(temporary.c_str(), target.c_str()) == 0;
    require_written(renamed);
    temporary.clear();
    const bool closed = std::fclose(file) == 0;
    file = nullptr;
    require_written(closed);
}

// A pipe or a device has no length, and opening a pipe would wait for a program that writes into it.
static const std::string& ordinary(const std::string& path) {
    std::error_code ignored;
    require(!std::filesystem::is_other(path, ignored), path, ": cannot be read in pieces, it is not an ordinary file");
    return path;
}

RandomAccessFile::RandomAccessFile(const std::string& given) : path(given), file(open_for_reading(ordinary(given))) {
    const long end = std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) : -1;
    if (end < 0) std::fclose(file);
    require(end >= 0, path, ": cannot be read in pieces, it is not an ordinary file");
    length = static_cast<std::uint64_t>(end);
}

RandomAccessFile::~RandomAccessFile() { std::fclose(file); }

void RandomAccessFile::read(std::uint64_t first, void* into, std::size_t count) const {
    require(first <= length && count <= length - first, path, ": bytes ", first, " to ", first + count, " of a file of ", length);
    const bool done = std::fseek(file, static_cast<long>(first), SEEK_SET) == 0 && std::fread(into, 1, count, file) == count;
    const std::string why = std::ferror(file) != 0 ? reason() : "the file has become shorter";
    require(done, path, ": bytes ", first, " to ", first + count, " cannot be read: ", why);
}

bool is_file(const std::string& path) {
    std::error_code ignored;  // for example a name that is too long
    return path.find('\0') == std::string::npos && std::filesystem::is_regular_file(path, ignored);
}

std::string folder_prefix(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }  // npos + 1 = 0

std::string beside(const std::string& path, const std::string& name, const std::string& other) {
    const std::string folder = folder_prefix(path);
    return path == folder + name ? folder + other : "";
}

std::vector<std::string> files_below(const std::string& folder) {
    std::vector<std::string> paths;
    std::error_code ignored;
    for (const std::filesystem::directory_entry& entry : std::filesystem::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file()) paths.push_back(entry.path().generic_string());
    std::sort(paths.begin(), paths.end());
    return paths;
}
