// known.h: what a fixture provides besides the two compared matrices.
//
//   sizes   every number of the metadata by name, the head width, rows and columns of the inputs, and the fraction of ones in
//           every mask
//   others  expected.*, input.* and weights.* as matrices; for a gradient the other gradients; never the compared value itself
#pragma once
#include <string>

#include "course/cause/compared.h"
#include "nn/data/safetensors.h"

// A tensor of any type; integers become floats.
Matrix as_matrix(const Safetensors& fixture, const std::string& name);

Known known_of(const Safetensors& fixture, const std::string& compared);  // "expected.layer.0.query", "grad.wte.weight"
