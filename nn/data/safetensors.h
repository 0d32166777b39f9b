// safetensors.h: the safetensors format, in which published checkpoints and our fixtures store named tensors.
//
//   format   8 bytes: length n of the header, little-endian; n bytes of JSON: {"name": {"dtype", "shape", "data_offsets"}, ...,
//            "__metadata__": {"key": "value"}}; then the numbers, little-endian
//   reads    F32, F64, F16, BF16 as float (F64 rounded); I32, I64, U8, BOOL as int; other types are listed but not converted
//   shards   a checkpoint in several files is read as one, through its index ("model.safetensors.index.json": {"weight_map":
//            {"name": "model-00001-of-00002.safetensors", ...}}) or through any of the files that the index names
//   names    what training wrappers add is removed: "_orig_mod." (torch.compile), "_fsdp_wrapped_module.",
//            "_checkpoint_wrapped_module.", and "module." (DataParallel) in front if every name has it. A tensor shared by two
//            names is stored once; metadata {"left out": "kept"}, as written by safetensors.torch.save_model, restores both names.
//   safe     the header is checked against the length of the file before anything is allocated: names unique, every byte of data
//            in exactly one tensor, length = shape * size of the type; at most 100 MB of header, whose entries are read one by one
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/matrix.h"

struct TensorInfo {
    std::string type;                // "F32", "BF16", "I64", ...
    std::vector<long> shape;         // {} is a scalar
    std::size_t begin = 0, end = 0;  // bytes, from the end of the header
    std::size_t part = 0;            // index of the file, for a checkpoint in several files
};

// "(3, 4, 4)", "()" for a scalar; of more than 16 dimensions, the first 8 and their number: "(1, 1, ... 20 dimensions)"
std::string shape_text(const std::vector<long>& shape);

// An open checkpoint: the header is in memory, numbers are read on demand.
class Safetensors {
public:
    // Opens a file, or all files of an index.
    //   throws  std::invalid_argument with the path and what is wrong: another kind of file; a directory; a missing shard, or
    //           a shard without its index; a tensor that is in another shard than the index says, or in two
    explicit Safetensors(const std::string& path);

    std::string path;
    std::map<std::string, std::string> metadata;
    std::map<std::string, TensorInfo> tensors;

    bool has(const std::string& name) const { return tensors.count(name) > 0; }

    // For messages, or "": "; this looks like a ViT (vit.embeddings...), a GPT-2 (wte.weight) was asked for" when `wanted` are
    // names of another kind of model; "; near it: a, b, c", the most similar names.
    std::string other_kind(const std::vector<std::string_view>& wanted) const;
    std::string near_names(const std::string& name) const;

    // One dimension of a tensor.   throws std::invalid_argument when it does not exist or has fewer dimensions
    int dimension(const std::string& name, std::size_t which) const;

    // A tensor as a matrix: the last dimension is the columns, all others together are the rows; (n) is one row, a scalar (1, 1).
    //   throws  std::invalid_argument when it does not exist (similar names are listed) or is not a float type
    Matrix matrix(const std::string& name) const;

    // A tensor of integers in order.
    //   throws  std::invalid_argument when it does not exist, is not an integer type, or a number does not fit an int
    std::vector<int> integers(const std::string& name) const;

    // The same with all 64 bits.
    std::vector<long> long_integers(const std::string& name) const;

    // A metadata entry as a number.   throws std::invalid_argument when it is missing or not a number
    int metadata_int(const std::string& key) const;
    double metadata_double(const std::string& key) const;
    const std::string& metadata_text(const std::string& key) const;

private:
    struct Part {
        std::string path;
        std::uint64_t data_begin;  // bytes from the beginning of the file to the numbers
    };
    std::vector<Part> parts;

    void add_part(const std::string& part_path);
    void add_parts_of_index(const std::string& index_path);
    void add_shared_names();
    void take_off_wrappers();
};

// True for the types that Safetensors::matrix reads.
bool is_float_type(const TensorInfo& info);

// Exact, because every 16-bit number is a float. Infinity stays infinity, NaN keeps its bits.
float float_from_half(std::uint16_t bits);
float float_from_bfloat16(std::uint16_t bits);

// A tensor to write: either floats (F32) or integers (I64).
struct TensorToWrite {
    std::string name;
    std::vector<long> shape;
    Matrix floats = {};  // used when integers is empty; in row-major order, of any shape with the same number of elements
    std::vector<long> integers = {};
};

// Writes all tensors atomically, in order (integers first, so that all numbers are aligned).
//   throws  std::invalid_argument for a duplicate name, a shape that does not fit its numbers, or a path that cannot be written
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});
