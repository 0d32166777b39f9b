// file_kind.h: what a file is, told by its first bytes, and a checkpoint, told by the names of its tensors, so that a reader can name what it was given instead of what it wanted.
//
//   source   the signatures that the formats themselves define: PNG (ISO 15948), gzip (RFC 1952), zip (APPNOTE 4.3), HDF5, NumPy's
//            .npy, GGUF, Python's pickle, git-lfs ("version https://git-lfs.github.com/spec/v1")
#pragma once
#include <string>
#include <string_view>
#include <vector>

// In words, with the cure where one is known: "a JPEG picture; convert it to PPM: magick FILE FILE.ppm". "" when the bytes are of no
// kind that is known here.
//   first_bytes  of the file, 64 are enough
std::string kind_of_bytes(std::string_view first_bytes);

// The same, but only kinds that can be no text: "" also for JSON, HTML and an index of shards, which are text themselves. (A
// git-lfs pointer is named: it stands in place of the text.)
std::string kind_that_is_no_text(std::string_view first_bytes);

// "; it begins like a zip archive ..." for the end of a message, or "".
std::string looks_like(std::string_view first_bytes);

// What kind of model tensors of these names belong to, told by one name that each kind has, and that name: "a ViT
// (vit.embeddings.patch_embeddings.projection.weight)". "" when no kind that is known here has such a name.
std::string kind_of_names(const std::vector<std::string_view>& names);

// A text file without its byte order mark.
//   throws  std::invalid_argument with the path when it cannot be read or its first bytes are those of no text
std::string read_text_file(const std::string& path, std::size_t limit = std::size_t{1} << 32);
