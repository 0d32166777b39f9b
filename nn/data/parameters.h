// parameters.h: the one table that says which published tensor lies where in our matrices.
//
//   shows    that a checkpoint is a list of names and shapes, and that loading, saving, training and checking the gradients all
//            walk the same list
//   note     We compute x W + b with W (in, out). Many checkpoints store (out, in), or other orders: `Stored` and
//            `Parameter::columns` are the only places in the project that know of them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/safetensors.h"

// Which dimensions of a published tensor are our rows and our columns.
enum class Stored {
    // (..., cols): the last is our columns, the others together our rows. Vectors (D), (1, D), (1, 1, D); Flax's (in, out),
    // (H, h, D) and (kh, kw, in, out)
    as_it_is,
    // (rows, ...): the first is our rows, the others together our columns. Flax's (D, H, h)
    in_by_rest,
    // (...): all together are the columns of one row. Flax's bias (H, h)
    one_row,
    // (cols, ...): transposed; the dimensions after the first together are our rows. PyTorch's (out, in) and (out, in, 1)
    out_by_in,
    // A convolution of PyTorch, (d, C, kh, kw), also (d, C, t, kh, kw); ours is (kh*kw*C, d), channel fastest
    patches,
    // A transposed convolution of PyTorch, (C, d, kh, kw); ours is (C, kh*kw*d), channel fastest
    deconvolution,
};

// One tensor of a checkpoint. Where it holds several of our matrices side by side (columns), as a fused query-key-value
// weight does, they are listed from left to right.
struct Parameter {
    std::string name;         // as published, "vit.layernorm.weight"
    std::vector<long> shape;  // as published, (d)
    Stored stored = Stored::as_it_is;
    std::vector<Var> parts;
    std::vector<int> columns = {};  // our column k is the published column columns[k]; empty = the same order
};

// Orders of columns for Parameter::columns. h is the width of a head.
//
// Fused head by head, (H, parts, h): query, key and value of head 0, then those of head 1, ...  Ours: all queries, all keys, ...
//   example  2 parts, 2 heads of width 1: published q0 k0 q1 k1 -> ours q0 q1 k0 k1 = columns 0 2 1 3
//   source   the checkpoints of BLOOM and GLM-130B
std::vector<int> columns_head_by_head(int parts, int heads, int head_width);

// Rotary pairs side by side, (x0, x1), (x2, x3), ..., in every head. Ours: first numbers of all pairs, then the second ones.
//   example  one head of width 4: columns 0 2 1 3
//   source   Meta's LLaMA checkpoints; those of Hugging Face are ours already
std::vector<int> columns_of_pairs(int heads, int head_width);

using Parameters = std::vector<Parameter>;

// All trained matrices of the list, each once, in order; constants (frozen parts) are left out.
std::vector<Var> variables(const Parameters& parameters);

// Numbers in all matrices of the list together, trained or not, shared ones once: "86,567,656 parameters".
long count_numbers(const Parameters& parameters);

// The numbers of one model into another of the same shape: a reference that stays as it was, a trunk under a new head.
//   throws  std::invalid_argument when the lists do not hold matrices of the same shapes
void copy_values(const Parameters& from, const Parameters& to);

// What a file may do differently from the list.
struct LoadRules {
    std::vector<std::string> optional_prefixes = {};  // "transformer.": a name may carry it or not
    std::vector<std::pair<std::string, std::string>> other_names =
        {};  // {"wte.weight", "lm_head.weight"}: ours, theirs. The file holds one of the two, or both with the same numbers
    std::vector<std::pair<std::string, std::string>> other_endings =
        {};                                          // {".LayerNorm.weight", ".LayerNorm.gamma"}: ours, theirs
    std::vector<std::string> ignored_prefixes = {};  // "decoder.": of a part that is not ours
    std::vector<std::string> ignored_endings = {};   // ".attn.bias": stored, but no parameter
    bool allow_unexpected = false;                   // a checkpoint of a larger system: the rest is left alone
};

// The name under which a file keeps the tensor that we call `name`: prefix + name, or what the rules allow instead. "" when it
// does not hold it.
std::string name_in_file(const Safetensors& file, const std::string& name, const LoadRules& rules, const std::string& prefix = "");

// Fills the matrices from the tensors called prefix + name.
//   throws  std::invalid_argument in one line that names missing tensors (with those near to them), unexpected and misshapen ones,
//           and two that should hold the same numbers and do not, or says that the file is of another kind; nothing is changed then
void load(const Parameters& parameters, const Safetensors& file, const LoadRules& rules = {}, const std::string& prefix = "");

// The published tensor of one entry, flattened as Safetensors::matrix gives it, from values or from gradients (zeros where none
// flowed).
Matrix published_value(const Parameter& parameter);
Matrix published_gradient(const Parameter& parameter);

// Writes values under the published names, shapes and order, so that the frameworks load them.
void save(const Parameters& parameters, const std::string& path, const std::map<std::string, std::string>& metadata = {});
