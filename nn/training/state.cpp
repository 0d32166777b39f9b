#include "nn/training/state.h"

#include <bit>
#include <utility>

#include "nn/base/require.h"

// The moments as entries of a table, so that they are checked, saved and loaded as the parameters are. The handles are new
// variables that hold copies.
static Parameters moment_table(const AdamW& optimizer) {
    Parameters table;
    for (std::size_t i = 0; i < optimizer.variables.size(); ++i) {
        const std::vector<long> shape = {optimizer.m[i].rows, optimizer.m[i].cols};
        table.push_back({"training.adamw.m." + text(i), shape, Stored::as_it_is, {Var(optimizer.m[i])}});
        table.push_back({"training.adamw.v." + text(i), shape, Stored::as_it_is, {Var(optimizer.v[i])}});
    }
    return table;
}

void save_training_state(const std::string& path, const Parameters& parameters, const AdamW& optimizer, const Random& random) {
    Parameters all = parameters;
    for (const Parameter& moment : moment_table(optimizer)) all.push_back(moment);
    std::vector<TensorToWrite> tensors;
    for (const Parameter& entry : all)
        tensors.push_back({.name = entry.name, .shape = entry.shape, .floats = published_value(entry)});
    std::vector<long> words;
    for (const std::uint64_t word : random.state) words.push_back(std::bit_cast<std::int64_t>(word));
    tensors.push_back({.name = "training.random", .shape = {4}, .integers = words});
    tensors.push_back({.name = "training.adamw.steps", .shape = {1}, .integers = {optimizer.steps}});
    write_safetensors(path, tensors);
}

void load_training_state(const std::string& path, const Parameters& parameters, AdamW& optimizer, Random& random) {
    const Safetensors file(path);
    const std::vector<long> words = file.long_integers("training.random");
    const std::vector<int> steps = file.integers("training.adamw.steps");
    require(words.size() == 4 && steps.size() == 1 && steps[0] >= 0, path, ": is no training state: training.random has ",
            words.size(), " words instead of 4, or training.adamw.steps is not one count");

    const Parameters moments = moment_table(optimizer);
    Parameters all = parameters;
    for (const Parameter& moment : moments) all.push_back(moment);
    load(all, file, {.ignored_endings = {"training.random", "training.adamw.steps"}});

    for (std::size_t i = 0; i < optimizer.variables.size(); ++i) {
        optimizer.m[i] = moments[2 * i].parts[0].value();
        optimizer.v[i] = moments[2 * i + 1].parts[0].value();
    }
    optimizer.steps = steps[0];
    for (std::size_t k = 0; k < 4; ++k) random.state[k] = std::bit_cast<std::uint64_t>(static_cast<std::int64_t>(words[k]));
}
