// published_file.h: checkpoints byte by byte as other programs write them: half precision, shards with an index, a config.json.
//
//   use      make_exact_in_half(table);                                   // so that nothing is lost on the way
//            std::vector<PublishedTensor> tensors = tensors_of(table, "transformer.");
//            tensors.push_back({"lm_head.weight", {11, 12}, w.token_embedding.value()});
//            const Safetensors file(write_published(folder, tensors, {.precision = Precision::bfloat16, .shards = 2},
//                                                   R"({"model_type": "bloom", "n_head": 3})"));
#pragma once
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "tests/temporary_folder.h"

struct PublishedTensor {
    std::string name;
    std::vector<long> shape;
    Matrix numbers;
};

// The values of a model under prefix + published name.
std::vector<PublishedTensor> tensors_of(const Parameters& parameters, const std::string& prefix = "");

// Rounds every number of a model to a 64th, and to -4 ... 4: eight bits hold it, as bfloat16 and as float16.
void make_exact_in_half(const Parameters& parameters);

enum class Precision { float32, bfloat16, float16 };

struct Published {
    Precision precision = Precision::float32;
    int shards = 1;  // several: model-00001-of-00002.safetensors, ... and model.safetensors.index.json
};

// Writes the tensors, and config.json beside them unless it is empty.   returns  the path of the model or of its index
std::string write_published(const TemporaryFolder& folder, const std::vector<PublishedTensor>& tensors, const Published& how,
                            const std::string& config_json);
