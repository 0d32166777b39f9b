#include "course/cause/known.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

static std::optional<double> number_in(const std::string& word) {
    char* end = nullptr;
    const double number = std::strtod(word.c_str(), &end);
    if (word.empty() || *end != '\0') return std::nullopt;
    return number;
}

// The head width, from width and number of heads under any of their published names.
static void add_head_width(std::map<std::string, double>& sizes) {
    for (const char* const width : {"hidden_size", "n_embd", "embed_dim"})
        for (const char* const heads : {"num_attention_heads", "n_head", "num_heads"})
            if (sizes.count(width) > 0 && sizes.count(heads) > 0 && sizes[heads] > 0)
                sizes["head width"] = sizes[width] / sizes[heads];
}

Matrix as_matrix(const Safetensors& fixture, const std::string& name) {
    if (is_float_type(fixture.tensors.at(name))) return fixture.matrix(name);
    const std::vector<long>& shape = fixture.tensors.at(name).shape;
    const std::vector<long> numbers = fixture.long_integers(name);
    const int cols = shape.empty() ? 1 : static_cast<int>(shape.back());
    Matrix m(cols == 0 ? 0 : static_cast<int>(numbers.size()) / cols, cols);
    std::copy(numbers.begin(), numbers.end(), m.begin());
    return m;
}

Known known_of(const Safetensors& fixture, const std::string& compared) {
    Known known;
    for (const auto& [key, word] : fixture.metadata)
        if (const std::optional<double> number = number_in(word)) known.sizes[key] = *number;
    add_head_width(known.sizes);
    const bool is_gradient = compared.starts_with("grad.");
    for (const auto& [name, tensor] : fixture.tensors) {
        if (name.starts_with("grad.") != is_gradient || name == compared) continue;
        const Matrix m = as_matrix(fixture, name);
        const std::string short_name = name.starts_with("expected.") ? name.substr(9) : name;
        if (!is_gradient && !m.empty() && std::all_of(m.begin(), m.end(), [](float x) { return x == 0 || x == 1; })) {
            const auto ones = static_cast<double>(std::count(m.begin(), m.end(), 1.0f));
            if (ones > 0) known.sizes["the ones in " + short_name] = ones;
            known.sizes["the fraction of ones in " + short_name] = ones / static_cast<double>(m.size());
        }
        if (name.starts_with("input.") && tensor.shape.size() >= 2) {
            known.sizes["rows of " + short_name] = static_cast<double>(tensor.shape[0]);
            known.sizes["columns of " + short_name] = static_cast<double>(tensor.shape[1]);
        }
        known.others[short_name] = m;
    }
    return known;
}
