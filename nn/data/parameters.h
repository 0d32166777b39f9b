// parameters.h: the one table that says which published tensor lies where in our matrices.
//
//   shows    that a checkpoint is a list of names and shapes, and that loading, saving, training and checking the gradients all
//            walk the same list
//   note     We compute x W + b with W (in, out). Many checkpoints store (out, in): `Stored::out_by_in` is the only place
//            in the project where such a weight is transposed.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/data/safetensors.h"

enum class Stored {
    as_it_is,   // last dimension = our columns, the others together = our rows
    out_by_in,  // (out, in...): transposed, the dimensions after the first together are our rows
    patches,  // a convolution weight (d, C, p, p), also (d, C, t, p, p), whose kernel is its stride; ours is (p*p*C, d), channel
              // fastest
};

// One tensor of a checkpoint. Where it holds several of our matrices side by side (columns), as a fused query-key-value
// weight does, they are listed from left to right.
struct Parameter {
    std::string name;         // as published, "vit.layernorm.weight"
    std::vector<long> shape;  // as published, (d)
    Stored stored = Stored::as_it_is;
    std::vector<Var> parts;
};
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
    std::vector<std::pair<std::string, std::string>> other_endings =
        {};                                         // {".LayerNorm.weight", ".LayerNorm.gamma"}: ours, theirs
    std::vector<std::string> ignored_endings = {};  // ".attn.bias": stored, but no parameter
    bool allow_unexpected = false;                  // a checkpoint of a larger system: the rest is left alone
};

// Fills the matrices from the tensors called prefix + name.
//   throws  std::invalid_argument that lists every missing, unexpected and misshapen tensor; nothing is changed then
void load(const Parameters& parameters, const Safetensors& file, const LoadRules& rules = {}, const std::string& prefix = "");

// The published tensor of one entry, flattened as Safetensors::matrix gives it, from values or from gradients (zeros where none
// flowed).
Matrix published_value(const Parameter& parameter);
Matrix published_gradient(const Parameter& parameter);

// Writes values under the published names, shapes and order, so that the frameworks load them.
void save(const Parameters& parameters, const std::string& path, const std::map<std::string, std::string>& metadata = {});
