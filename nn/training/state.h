// state.h: stop training and go on later as if nothing had happened, to the last bit.
//
//   file   one safetensors: the parameters under their published names, so that it also serves as a checkpoint, and beside them
//            training.adamw.m.0, ... and training.adamw.v.0, ...   moments, in the order of the optimizer's variables
//            training.adamw.variable_steps   t of each of them, 0 where no gradient has arrived yet
//            training.adamw.steps            updates in all
//            training.random                 the four 64-bit words of the generator
//   note   Files written before variables counted for themselves have no training.adamw.variable_steps; there every variable
//          has made all of training.adamw.steps
#pragma once
#include <map>
#include <string>

#include "nn/base/random.h"
#include "nn/training/optimizer.h"
#include "nn/data/parameters.h"

// By temporary file and rename: an older state stays until the new one is complete.
//   metadata  what shapes do not tell of the model, so that the file serves as a checkpoint: metadata(config) of its system
void save_training_state(const std::string& path, const Parameters& parameters, const AdamW& optimizer, const Random& random,
                         const std::map<std::string, std::string>& metadata = {});

// Sets all three to what was saved; they must be made as they were then (the same names and shapes).
//   throws  std::invalid_argument in one line: the file holds no training state, or that of another model (the first difference
//           in names or shapes, and how many more there are); nothing is changed then
void load_training_state(const std::string& path, const Parameters& parameters, AdamW& optimizer, Random& random);
