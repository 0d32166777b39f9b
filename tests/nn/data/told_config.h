// told_config.h: what must hold for every system that reads its configuration from a checkpoint.
#pragma once
#include <map>
#include <string>

#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

// What is saved beside the tensors gives the configuration back, the tensors can be loaded into it, and without it one line says
// what is missing.
//   table_of   the parameters of fresh weights of a configuration
//   config_of  of the system
//   missing    what nothing tells then, "the number of heads"; "" = shapes and published code tell all
template <class Config, class TableOf>
void check_told(const Config& config, TableOf table_of, Config config_of(const Safetensors&, const Told&),
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
    CHECK(error.substr(0, error.find(", and the shapes")) == (missing.empty() ? "" : path + ": nothing says " + missing));
}
