// given_settings.h: checks for every system that reads its configuration from a checkpoint.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

// Saved metadata restores the configuration and the tensors load into it; without metadata the error names the missing setting.
//   table_of   the parameters of fresh weights of a configuration
//   config_of  of the system
//   missing    the setting that is then missing, "the number of heads"; "" = shapes and published defaults determine all
template <class Config, class TableOf>
void check_given_settings(const Config& config, TableOf table_of, Config config_of(const Safetensors&, const GivenSettings&),
                          const std::string& missing, const LoadRules& rules = {}) {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    save(table_of(config), path, metadata(config));
    const Safetensors file(path);
    const Config read = config_of(file, {});
    CHECK(metadata(read) == metadata(config));
    CHECK(error_of([&] { load(table_of(read), file, rules); }) == "");
    save(table_of(config), path);
    const std::string error = error_of([&] { config_of(Safetensors(path), {}); });
    CHECK(error.substr(0, error.find(", which tensor shapes")) ==
          (missing.empty() ? "" : path + ": missing setting: " + missing));
}

// Writes the file again, its metadata too; the tensor `name` has the given shape and holds zeros.
inline void change_shape(const std::string& path, const std::string& name, const std::vector<long>& shape) {
    long numbers = 1;
    for (const long size : shape) numbers *= size;
    std::vector<TensorToWrite> tensors;
    std::map<std::string, std::string> metadata;
    {
        const Safetensors file(path);
        metadata = file.metadata;
        for (const auto& [each, info] : file.tensors)
            tensors.push_back({.name = each, .shape = info.shape, .floats = file.matrix(each)});
    }
    for (TensorToWrite& tensor : tensors)
        if (tensor.name == name) {
            tensor.shape = shape;
            tensor.floats = Matrix(1, static_cast<int>(numbers));
        }
    write_safetensors(path, tensors, metadata);
}
