// state.h: stop training and go on later as if nothing had happened, to the last bit.
//
//   file   one safetensors: the parameters under their published names, so that it also serves as a checkpoint, and beside them
//          "training.adamw.m.0", ... and ".v.0", ... in the order of the optimizer's variables, "training.adamw.steps",
//          "training.random" (the four 64-bit words of the generator)
#pragma once
#include <string>

#include "nn/base/random.h"
#include "nn/training/optimizer.h"
#include "nn/data/parameters.h"

// By temporary file and rename: an older state stays until the new one is complete.
void save_training_state(const std::string& path, const Parameters& parameters, const AdamW& optimizer, const Random& random);

// Sets all three to what was saved; they must be made as they were then (the same names and shapes).
//   throws  std::invalid_argument that lists what is missing, unexpected or misshapen; nothing is changed then
void load_training_state(const std::string& path, const Parameters& parameters, AdamW& optimizer, Random& random);
