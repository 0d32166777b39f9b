// changed_tensor.h: a checkpoint in which one tensor has a shape that does not fit the others.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/safetensors.h"

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
