// file.h: whole files in, whole files out, a file that exists is never left half written; and which files there are.
//
//   next     file_kind.h names a file by its first bytes and reads text
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

// All bytes of a file (a pipe will do).
//   limit   more bytes than that are refused
//   throws  std::invalid_argument with the path and the reason
std::string read_file(const std::string& path, std::size_t limit = std::size_t{1} << 32);

// Puts a file at `path`, or leaves what is there as it was: the bytes go to a part file beside it, are brought to the disk, and
// the part file is renamed.
//   link    stays one: the file that it leads to is replaced
//   mode    an older file hands its permissions on to the new one
//   parts   a part file is named PATH.part and a number, and locked while somebody writes it. One that nobody has locked was
//           left by a process that was killed; whoever writes to this path next removes it.
//   throws  std::invalid_argument with the path and the reason; the part file is gone then
void write_file_atomically(const std::string& path, std::string_view bytes);

// Refuses a path to which write_file_atomically cannot write, before hours are spent on what is to be written. Nothing is left
// there, and what is there stays as it is.
//   throws  std::invalid_argument with the path and the reason
void require_writable(const std::string& path);

// The same piece by piece, for files too large to be put together in memory first.
class AtomicFile {
public:
    explicit AtomicFile(const std::string& path);
    ~AtomicFile();  // without commit(): removes what was written
    AtomicFile(const AtomicFile&) = delete;

    void write(const void* bytes, std::size_t count);
    void commit();

private:
    std::string path;       // as given, for messages
    std::string target;     // where the links lead
    std::string temporary;  // "" once nothing is to be removed
    std::FILE* file = nullptr;

    void require_written(bool written);
};

// A file that is read here and there.
class RandomAccessFile {
public:
    explicit RandomAccessFile(const std::string& path);
    ~RandomAccessFile();
    RandomAccessFile(const RandomAccessFile&) = delete;

    std::uint64_t size() const { return length; }
    // Fills `into` with the bytes [first, first + count).   throws std::invalid_argument when the file does not hold them
    void read(std::uint64_t first, void* into, std::size_t count) const;

private:
    std::string path;
    std::FILE* file;
    std::uint64_t length = 0;
};

// Whether there is an ordinary file of this name (a folder is none).
bool is_file(const std::string& path);

// The files in a folder and in those below it, sorted: "vit/vit.cpp". None when the folder is not there or cannot be opened.
//   throws  std::filesystem::filesystem_error when that is so of a folder below it
std::vector<std::string> files_below(const std::string& folder);
