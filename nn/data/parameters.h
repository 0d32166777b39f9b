// parameters.h: the table that maps published tensors (names, shapes, layouts) to our matrices.
//
//   shows    that a checkpoint is a list of names and shapes, and that loading, saving, training and checking gradients all use
//            the same list
//   note     We compute x W + b with W (in, out). Many checkpoints store (out, in), or other layouts: only `Stored` and
//            `Parameter::columns` deal with them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/safetensors.h"

// The layout of a published tensor: which of its dimensions are our rows and columns.
enum class Stored {
    // (..., cols): the last dimension is our columns, the others are flattened to our rows. Vectors (D), (1, D), (1, 1, D);
    // Flax's (in, out), (H, h, D) and (kh, kw, in, out)
    as_it_is,
    // (rows, ...): the first dimension is our rows, the others are flattened to our columns. Flax's (D, H, h)
    in_by_rest,
    // (...): flattened to one row. Flax's bias (H, h)
    one_row,
    // (cols, ...): transposed; the dimensions after the first are flattened to our rows. PyTorch's (out, in) and (out, in, 1)
    out_by_in,
    // A convolution of PyTorch, (d, C, kh, kw), also (d, C, t, kh, kw); ours is (kh*kw*C, d), channel fastest
    patches,
    // A transposed convolution of PyTorch, (C, d, kh, kw); ours is (C, kh*kw*d), channel fastest
    deconvolution,
};

// One tensor of a checkpoint. A fused tensor (query-key-value, for example) holds several of our matrices side by side.
struct Parameter {
    std::string name;         // as published, "vit.layernorm.weight"
    std::vector<long> shape;  // as published, (d)
    Stored stored = Stored::as_it_is;
    std::vector<Var> parts;         // our matrices, from left to right
    std::vector<int> columns = {};  // our column k is the published column columns[k]; empty = the same order
};

// Column orders for Parameter::columns. h is the head width.
//
// Fused head by head, (H, parts, h): query, key and value of head 0, then of head 1, ...  Ours: all queries, all keys, ...
//   example  2 parts, 2 heads of width 1: published q0 k0 q1 k1 -> ours q0 q1 k0 k1 = columns 0 2 1 3
//   source   the checkpoints of BLOOM and GLM-130B
std::vector<int> columns_head_by_head(int parts, int heads, int head_width);

// Rotary pairs side by side, (x0, x1), (x2, x3), ..., in every head. Ours: the first numbers of all pairs, then the second ones.
//   example  one head of width 4: columns 0 2 1 3
//   source   Meta's LLaMA checkpoints; Hugging Face's already have our order
std::vector<int> columns_of_pairs(int heads, int head_width);

using Parameters = std::vector<Parameter>;

// All trainable matrices of the list, each once, in order; without constants (frozen parts).
std::vector<Var> variables(const Parameters& parameters);

// The number of parameters, frozen ones included, shared ones counted once: "86,567,656 parameters".
long count_numbers(const Parameters& parameters);

// Copies the values of one model to another of the same shape, for example to make a frozen reference.
//   throws  std::invalid_argument when the shapes of the lists differ
void copy_values(const Parameters& from, const Parameters& to);

// How a file may differ from the list.
struct LoadRules {
    std::vector<std::string> optional_prefixes = {};  // "transformer.": names with or without it
    std::vector<std::pair<std::string, std::string>> other_names =
        {};  // {"wte.weight", "lm_head.weight"}: ours, theirs. The file has one of the two, or both with equal values
    std::vector<std::pair<std::string, std::string>> other_endings =
        {};                                          // {".LayerNorm.weight", ".LayerNorm.gamma"}: ours, theirs
    std::vector<std::string> ignored_prefixes = {};  // "decoder.": of a part that is not loaded
    std::vector<std::string> ignored_endings = {};   // ".attn.bias": stored, but not a parameter
    bool allow_unexpected = false;                   // ignore other tensors: a checkpoint of a larger system
};

// The name in the file of the tensor that we call `name`: prefix + name, or an alternative that the rules allow. "" when the file
// does not have it.
std::string name_in_file(const Safetensors& file, const std::string& name, const LoadRules& rules,
                         const std::string& prefix = "");

// Loads the matrices from the tensors named prefix + name.
//   throws  std::invalid_argument that names missing tensors (with similar names), unexpected ones, wrong shapes, and two that
//           should be equal and are not; or says that the file is of another kind. Nothing is changed then
void load(const Parameters& parameters, const Safetensors& file, const LoadRules& rules = {}, const std::string& prefix = "");

// The published tensor of one entry, flattened as Safetensors::matrix gives it, from values or from gradients (zeros if there is
// no gradient).
Matrix published_value(const Parameter& parameter);
Matrix published_gradient(const Parameter& parameter);

// Saves the values under the published names, shapes and layouts, so that other frameworks can load them.
void save(const Parameters& parameters, const std::string& path, const std::map<std::string, std::string>& metadata = {});
