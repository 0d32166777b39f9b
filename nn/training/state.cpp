#include "nn/training/state.h"

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "nn/base/require.h"
#include "nn/data/json.h"

// The moments as a table, so that they are checked, saved and loaded like parameters. It holds copies; zeros where the optimizer
// has no moments yet.
static Parameters moment_table(const AdamW& optimizer) {
    Parameters table;
    for (std::size_t i = 0; i < optimizer.variables.size(); ++i) {
        const int rows = optimizer.variables[i].rows(), cols = optimizer.variables[i].cols();
        const bool begun = optimizer.variable_steps[i] > 0;
        const Matrix m = begun ? optimizer.m[i] : Matrix(rows, cols), v = begun ? optimizer.v[i] : Matrix(rows, cols);
        table.push_back({"training.adamw.m." + text(i), {rows, cols}, Stored::as_it_is, {Var(m)}});
        table.push_back({"training.adamw.v." + text(i), {rows, cols}, Stored::as_it_is, {Var(v)}});
    }
    return table;
}

// A variable that is not saved would have its old moments and new numbers after a resumption.
static void require_parameters(const AdamW& optimizer, const Parameters& parameters) {
    std::set<const Record*> saved;
    for (const Var& variable : variables(parameters)) saved.insert(variable.operator->());
    for (std::size_t k = 0; k < optimizer.variables.size(); ++k) {
        const Var& variable = optimizer.variables[k];
        require(saved.count(variable.operator->()) == 1, "save_training_state: variable ", k, " of the optimizer, ",
                variable.value(), ", is not among the parameters that are saved; give the model that it trains");
        for (const Matrix* const moment : {&optimizer.m[k], &optimizer.v[k]})
            require(moment->empty() || same_shape(*moment, variable.value()), "save_training_state: a moment ", *moment,
                    " of variable ", k, ", ", variable.value(), "; leave the moments of an optimizer alone");
    }
}

void save_training_state(const std::string& path, const Parameters& parameters, const AdamW& optimizer, const Random& random,
                         const std::map<std::string, std::string>& metadata) {
    const std::size_t variables = optimizer.variables.size();
    for (const std::size_t list : {optimizer.m.size(), optimizer.v.size(), optimizer.variable_steps.size()})
        require(list == variables, "save_training_state: an AdamW of ", variables, " variables with ", list,
                " moments or counts of steps; make a new optimizer when variables are added or taken away");
    require_parameters(optimizer, parameters);
    Parameters all = parameters;
    for (const Parameter& moment : moment_table(optimizer)) all.push_back(moment);
    std::vector<TensorToWrite> tensors;
    for (const Parameter& entry : all)
        tensors.push_back({.name = entry.name, .shape = entry.shape, .floats = published_value(entry)});
    std::vector<long> words;
    for (const std::uint64_t word : random.state) words.push_back(std::bit_cast<std::int64_t>(word));
    tensors.push_back({.name = "training.random", .shape = {4}, .integers = words});
    tensors.push_back({.name = "training.adamw.steps", .shape = {1}, .integers = {optimizer.steps}});
    const long count = static_cast<long>(variables);
    const std::vector<long> variable_steps(optimizer.variable_steps.begin(), optimizer.variable_steps.end());
    tensors.push_back({.name = "training.adamw.variable_steps", .shape = {count}, .integers = variable_steps});
    write_safetensors(path, tensors, metadata);
}

static const std::vector<std::string> counters = {"training.random", "training.adamw.steps", "training.adamw.variable_steps"};

// Differences between file and table in names and shapes, each as a clause: first the table's entries, then extra ones of the
// file.
static std::vector<std::string> differences(const Safetensors& file, const Parameters& table) {
    std::vector<std::string> found;
    std::set<std::string> known(counters.begin(), counters.end());
    for (const Parameter& entry : table) {
        known.insert(entry.name);
        const auto tensor = file.tensors.find(entry.name);
        if (tensor == file.tensors.end())
            found.push_back("it has no \"" + entry.name + "\"");
        else if (tensor->second.shape != entry.shape)
            found.push_back("\"" + entry.name + "\" is " + shape_text(tensor->second.shape) + " there and " +
                            shape_text(entry.shape) + " here");
    }
    for (const auto& [name, tensor] : file.tensors)
        if (known.count(name) == 0) found.push_back("it has \"" + name + "\", which is unknown here");
    return found;
}

// t of each variable; in an older file without them, the number of all steps.
static std::vector<int> variable_steps_of(const Safetensors& file, int steps, std::size_t variables) {
    if (!file.has("training.adamw.variable_steps")) return std::vector<int>(variables, steps);
    return file.integers("training.adamw.variable_steps");
}

void load_training_state(const std::string& path, const Parameters& parameters, AdamW& optimizer, Random& random,
                         const std::map<std::string, std::string>& metadata) {
    const Safetensors file(path);
    const std::vector<long> words = file.long_integers("training.random");
    const std::vector<int> steps = file.integers("training.adamw.steps");
    require(words.size() == 4 && steps.size() == 1 && steps[0] >= 0, path, ": is not a training state: training.random has ",
            words.size(), " words instead of 4, or training.adamw.steps is not one count");

    const Parameters moments = moment_table(optimizer);
    Parameters all = parameters;
    for (const Parameter& moment : moments) all.push_back(moment);
    const std::vector<std::string> differing = differences(file, all);
    require(differing.empty(), path, ": is the training state of another model: ", differing.empty() ? "" : differing[0],
            differing.size() > 1 ? ", the first of " + text(differing.size()) + " differences" : "",
            "; make the model with the options it was saved with");
    for (const auto& [key, value] : metadata) {
        const auto saved = file.metadata.find(key);
        if (saved == file.metadata.end()) continue;  // an older file
        require(saved->second == value, path, ": is the training state of another model: ", key, " is ",
                brief_string(saved->second), " there and ", brief_string(value),
                " here; make the model with the options it was saved with");
    }
    const std::vector<int> variable_steps = variable_steps_of(file, steps[0], optimizer.variables.size());
    const bool sound = variable_steps.size() == optimizer.variables.size() &&
                       std::all_of(variable_steps.begin(), variable_steps.end(), [](int count) { return count >= 0; });
    require(sound, path, ": is not a training state: training.adamw.variable_steps is not one count for each of ",
            optimizer.variables.size(), " variables");
    load(all, file, {.ignored_endings = counters});

    for (std::size_t i = 0; i < optimizer.variables.size(); ++i) {
        optimizer.m[i] = moments[2 * i].parts[0].value();
        optimizer.v[i] = moments[2 * i + 1].parts[0].value();
    }
    optimizer.steps = steps[0];
    optimizer.variable_steps = variable_steps;
    for (std::size_t k = 0; k < 4; ++k) random.state[k] = std::bit_cast<std::uint64_t>(static_cast<std::int64_t>(words[k]));
}
