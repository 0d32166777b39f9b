// file.h: read, atomically write and list files.
//
//   next     file_kind.h recognises a file by its first bytes and reads text
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

// All bytes of a file or pipe.
//   limit   larger files are refused; of a device, which may not end, a megabyte is read at most
//   throws  std::invalid_argument with the path and the reason
std::string read_file(const std::string& path, std::size_t limit = std::size_t{1} << 32);

// Writes a file, or on failure leaves the old one unchanged: the bytes go to a temporary file beside it, are flushed to the disk,
// and the temporary file is renamed.
//   link    a symbolic link stays one: its target is replaced
//   mode    the permissions of an existing file are kept
//   parts   the temporary file is PATH.part and a number, locked while it is written. An unlocked one was left by a killed
//           process; the next write to this path removes it.
//   throws  std::invalid_argument with the path and the reason; the temporary file is removed
void write_file_atomically(const std::string& path, std::string_view bytes);

// Checks that write_file_atomically can write to this path, before hours of training are spent. Changes nothing.
//   throws  std::invalid_argument with the path and the reason
void require_writable(const std::string& path);

// The same piece by piece, for large files.
class AtomicFile {
public:
    explicit AtomicFile(const std::string& path);
    ~AtomicFile();  // without commit(): removes the temporary file
    AtomicFile(const AtomicFile&) = delete;

    void write(const void* bytes, std::size_t count);
    void commit();

private:
    std::string path;       // as given, for messages
    std::string target;     // after following links
    std::string temporary;  // "" when there is nothing to remove
    std::FILE* file = nullptr;

    void require_written(bool written);
};

// A file that is read at any position.
class RandomAccessFile {
public:
    explicit RandomAccessFile(const std::string& path);
    ~RandomAccessFile();
    RandomAccessFile(const RandomAccessFile&) = delete;

    std::uint64_t size() const { return length; }
    // Fills `into` with the bytes [first, first + count).   throws std::invalid_argument when the file ends before
    void read(std::uint64_t first, void* into, std::size_t count) const;

private:
    std::string path;
    std::FILE* file;
    std::uint64_t length = 0;
};

// Whether this is a regular file (not a folder).
bool is_file(const std::string& path);

// The folder of a path, with the slash at its end: "a/b/" of "a/b/c", "" of "c".
std::string folder_prefix(const std::string& path);

// The path of file `other` in the folder of a path whose file has the name `name`: a/vocab.json -> a/merges.txt. "" when the file
// has another name.
std::string beside(const std::string& path, const std::string& name, const std::string& other);

// The files in a folder and its subfolders, sorted: "vit/vit.cpp". Empty when the folder does not exist or cannot be opened.
//   throws  std::filesystem::filesystem_error when a subfolder cannot be opened
std::vector<std::string> files_below(const std::string& folder);
