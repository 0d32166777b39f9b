// state.h: save a training run and resume it with bit-identical results.
//
//   file   a safetensors file: the parameters under their published names, so that it also serves as a checkpoint, and
//            training.adamw.m.0, ... and training.adamw.v.0, ...   moments, in the order of the optimizer's variables
//            training.adamw.variable_steps   t of each variable, 0 before its first gradient
//            training.adamw.steps            number of updates
//            training.random                 the four 64-bit words of the generator
//   note   Older files have no training.adamw.variable_steps: then t of every variable is training.adamw.steps
#pragma once
#include <map>
#include <string>

#include "nn/base/random.h"
#include "nn/data/parameters.h"
#include "nn/training/optimizer.h"

// Writes a temporary file and renames it: an older state stays until the new one is complete.
//   metadata  settings of the model that its tensor shapes do not determine, for use as a checkpoint: metadata(config) of its system
//   throws  std::invalid_argument when a variable of the optimizer is not among the parameters
void save_training_state(const std::string& path, const Parameters& parameters, const AdamW& optimizer, const Random& random,
                         const std::map<std::string, std::string>& metadata = {});

// Restores all three; parameters and optimizer must have the same names and shapes as when saved.
//   metadata  of the model that goes on, as it would be saved: settings that shapes do not determine, such as the number of heads
//   throws  std::invalid_argument when the file is not a training state, or of another model (the first difference in names or
//           shapes, and how many more; or the first entry of its metadata that differs); nothing is changed then
void load_training_state(const std::string& path, const Parameters& parameters, AdamW& optimizer, Random& random,
                         const std::map<std::string, std::string>& metadata = {});
