// file_kind.h: recognise a file by its first bytes, and a checkpoint by its tensor names, for error messages that name what was
// given.
//
//   source   the signatures defined by the formats: PNG (ISO 15948), gzip (RFC 1952), zip (APPNOTE 4.3), tar (POSIX 1003.1), HDF5,
//            NumPy's .npy, GGUF, Python's pickle, git-lfs ("version https://git-lfs.github.com/spec/v1")
#pragma once
#include <string>
#include <string_view>
#include <vector>

// The kind of file, with a cure if there is one: "a PNG image; convert it: magick FILE FILE.ppm". "" when unknown.
//   first_bytes  of the file, 512 are enough
std::string kind_of_bytes(std::string_view first_bytes);

// The same for binary kinds only: "" also for JSON, HTML and an index of shards, which are text. (A git-lfs pointer counts as
// binary: it replaces the actual file.)
std::string kind_that_is_no_text(std::string_view first_bytes);

// The kind of a file that was given as the merges.txt of a tokenizer and is another: JSON, HTML, a vocab.txt. "" when it may be one.
std::string kind_that_is_no_merges(std::string_view first_bytes);

// "; it looks like a zip archive ..." for the end of a message, "; it is empty", or "".
std::string looks_like(std::string_view first_bytes);

// The kind of model with these tensor names, and the name that identifies it: "a ViT
// (vit.embeddings.patch_embeddings.projection.weight)". "" when unknown.
std::string kind_of_names(const std::vector<std::string_view>& names);

// A text file without its byte order mark.
//   throws  std::invalid_argument with the path when it cannot be read, is binary, or holds a byte 0
std::string read_text_file(const std::string& path, std::size_t limit = std::size_t{1} << 32);
