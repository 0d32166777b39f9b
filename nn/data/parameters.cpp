#include "nn/data/parameters.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "nn/base/require.h"

std::vector<Var> variables(const Parameters& parameters) {
    std::vector<Var> result;
    std::set<const Record*> seen;
    for (const Parameter& parameter : parameters)
        for (const Var& part : parameter.parts)
            if (part.wants_gradient() && seen.insert(part.operator->()).second) result.push_back(part);
    return result;
}

long count_numbers(const Parameters& parameters) {
    long count = 0;
    std::set<const Record*> seen;
    for (const Parameter& parameter : parameters)
        for (const Var& part : parameter.parts)
            if (seen.insert(part.operator->()).second) count += static_cast<long>(part.value().size());
    return count;
}

void copy_values(const Parameters& from, const Parameters& to) {
    require(from.size() == to.size(), "copy_values: a list of ", from.size(), " parameters into one of ", to.size());
    for (std::size_t k = 0; k < from.size(); ++k) {
        require(from[k].parts.size() == to[k].parts.size(), "copy_values: ", from[k].name, " into ", to[k].name);
        for (std::size_t part = 0; part < from[k].parts.size(); ++part) {
            Var target = to[k].parts[part];
            const Matrix& source = from[k].parts[part].value();
            require(same_shape(source, target.value()), "copy_values: ", from[k].name, " is ", source, ", ", to[k].name,
                    " is ", target.value());
            target.value() = source;
        }
    }
}

// What the shape of a published tensor says about our matrices: all parts together are (rows, cols).
struct OurShape {
    long rows, cols;
    long channels;  // for Stored::patches
};

static long product(const std::vector<long>& shape, std::size_t first, std::size_t end) {
    long result = 1;
    for (std::size_t k = first; k < end; ++k) result *= shape[k];
    return result;
}

static OurShape our_shape(const Parameter& parameter) {
    const std::vector<long>& shape = parameter.shape;
    const std::size_t dimensions = shape.size();
    if (parameter.stored == Stored::as_it_is)
        return {product(shape, 0, dimensions == 0 ? 0 : dimensions - 1), dimensions == 0 ? 1 : shape.back(), 0};
    const std::size_t needed = parameter.stored == Stored::patches ? 3 : 1;
    require(dimensions >= needed, "parameter ", parameter.name, ": a shape of ", shape_text(shape), " has fewer than ", needed,
            " dimensions");
    return {product(shape, 1, dimensions), shape[0], dimensions > 1 ? shape[1] : 1};
}

// The table itself is checked too: an entry whose parts do not add up to its shape is a mistake of the program, not of a file.
static void require_parts_fit(const Parameter& parameter) {
    const OurShape ours = our_shape(parameter);
    long cols = 0;
    for (const Var& part : parameter.parts) {
        require(part.rows() == ours.rows, "parameter ", parameter.name, ": published as ", shape_text(parameter.shape),
                " our matrix must have ", ours.rows, " rows, it is ", part.value());
        cols += part.cols();
    }
    require(cols == ours.cols, "parameter ", parameter.name, ": published as ", shape_text(parameter.shape),
            " our matrices must have ", ours.cols, " columns together, they have ", cols);
}

// A convolution weight (d, C, p, p), each of the d rows the same as C channels of S = p * p places, in the order that we use:
// (p*p*C, d), channel fastest.
static Matrix from_convolution(const Matrix& published, int d, int C) {
    const int S = static_cast<int>(published.size()) / std::max(1, d * C);
    const float* const numbers = published.begin();
    Matrix ours = Matrix::unset(S * C, d);
    for (int s = 0; s < S; ++s)
        for (int c = 0; c < C; ++c)
            for (int i = 0; i < d; ++i) ours(s * C + c, i) = numbers[(static_cast<std::size_t>(i) * C + c) * S + s];
    return ours;
}

static Matrix to_convolution(const Matrix& ours, int C) {
    const int S = ours.rows / std::max(1, C), d = ours.cols;
    Matrix published = Matrix::unset(d, C * S);
    for (int s = 0; s < S; ++s)
        for (int c = 0; c < C; ++c)
            for (int i = 0; i < d; ++i) published(i, c * S + s) = ours(s * C + c, i);
    return published;
}

static int columns_as_published(const Parameter& parameter) {
    return parameter.shape.empty() ? 1 : static_cast<int>(parameter.shape.back());
}

// Hands the numbers of a published tensor to the parts. One part takes the matrix as a whole, so nothing is copied twice.
static void fill(const Parameter& parameter, Matrix published) {
    const OurShape shape = our_shape(parameter);
    Matrix ours;
    if (parameter.stored == Stored::as_it_is) ours = std::move(published);
    if (parameter.stored == Stored::out_by_in)
        ours = transpose(reshape(std::move(published), static_cast<int>(shape.cols), static_cast<int>(shape.rows)));
    if (parameter.stored == Stored::patches)
        ours = from_convolution(published, static_cast<int>(shape.cols), static_cast<int>(shape.channels));

    int first = 0;
    for (Var part : parameter.parts) {
        const int width = part.cols();
        if (width == ours.cols)
            part.value() = std::move(ours);
        else
            part.value() = slice_cols(ours, first, width);
        first += width;
    }
}

// Our matrices side by side in the published order of numbers.
static Matrix published(const Parameter& parameter, const std::vector<const Matrix*>& parts) {
    require_parts_fit(parameter);
    const OurShape shape = our_shape(parameter);
    Matrix ours = Matrix::unset(static_cast<int>(shape.rows), static_cast<int>(shape.cols));
    int first = 0;
    for (const Matrix* const part : parts) {
        for (int i = 0; i < part->rows; ++i) std::copy_n(part->row(i), part->cols, ours.row(i) + first);
        first += part->cols;
    }
    if (parameter.stored == Stored::out_by_in) ours = transpose(ours);
    if (parameter.stored == Stored::patches) ours = to_convolution(ours, static_cast<int>(shape.channels));
    const int cols = columns_as_published(parameter);
    const int rows = cols == 0 ? 0 : static_cast<int>(ours.size() / static_cast<std::size_t>(cols));
    return reshape(std::move(ours), rows, cols);
}

Matrix published_value(const Parameter& parameter) {
    std::vector<const Matrix*> parts;
    for (const Var& part : parameter.parts) parts.push_back(&part.value());
    return published(parameter, parts);
}

Matrix published_gradient(const Parameter& parameter) {
    std::vector<Matrix> zeros;
    zeros.reserve(parameter.parts.size());
    std::vector<const Matrix*> parts;
    for (const Var& part : parameter.parts) {
        if (part.gradient().empty()) {
            zeros.emplace_back(part.rows(), part.cols());
            parts.push_back(&zeros.back());
        } else {
            parts.push_back(&part.gradient());
        }
    }
    return published(parameter, parts);
}

static bool ends_with(const std::string& name, const std::string& ending) { return name.ends_with(ending); }

// The names under which a file may keep a tensor, best first.
static std::vector<std::string> possible_names(const std::string& name, const LoadRules& rules) {
    std::vector<std::string> stems = {name};
    for (const std::string& prefix : rules.optional_prefixes) {
        stems.push_back(prefix + name);
        if (name.starts_with(prefix)) stems.push_back(name.substr(prefix.size()));
    }
    std::vector<std::string> names = stems;
    for (const std::string& stem : stems)
        for (const auto& [ours, theirs] : rules.other_endings)
            if (ends_with(stem, ours)) names.push_back(stem.substr(0, stem.size() - ours.size()) + theirs);
    return names;
}

// The first of the names that the file has; empty when it has none.
static std::string name_in_file(const Parameter& parameter, const Safetensors& file, const LoadRules& rules,
                                const std::string& prefix) {
    for (const std::string& name : possible_names(parameter.name, rules))
        if (file.has(prefix + name)) return prefix + name;
    return "";
}

// "\n  missing     a, b, c"; at most 20 names, then how many more.
static std::string list_of(std::string_view heading, const std::vector<std::string>& names) {
    const std::size_t most = 20;
    std::string list;
    for (std::size_t k = 0; k < names.size() && k < most; ++k) list += (k == 0 ? "\n  " + std::string(heading) : ", ") + names[k];
    if (names.size() > most) list += " and " + text(names.size() - most) + " more";
    return list;
}

void load(const Parameters& parameters, const Safetensors& file, const LoadRules& rules, const std::string& prefix) {
    std::vector<std::string> sources, missing, misshapen, unexpected;  // sources: the name in the file, entry by entry
    std::set<std::string> expected;
    for (const Parameter& parameter : parameters) {
        require_parts_fit(parameter);
        sources.push_back(name_in_file(parameter, file, rules, prefix));
        if (sources.back().empty()) {
            missing.push_back(parameter.name);
            continue;
        }
        expected.insert(sources.back());
        const TensorInfo& info = file.tensors.at(sources.back());
        if (info.shape != parameter.shape)
            misshapen.push_back(parameter.name + " is " + shape_text(info.shape) + " instead of " + shape_text(parameter.shape));
        else if (!is_float_type(info))
            misshapen.push_back(parameter.name + " is of type " + info.type);
    }
    for (const auto& [name, info] : file.tensors) {
        const bool ignored = std::any_of(rules.ignored_endings.begin(), rules.ignored_endings.end(),
                                         [&name = name](const std::string& ending) { return ends_with(name, ending); });
        if (name.starts_with(prefix) && !ignored && !rules.allow_unexpected && expected.count(name) == 0)
            unexpected.push_back(name);
    }
    const std::string problems =
        list_of("missing     ", missing) + list_of("unexpected  ", unexpected) + list_of("misshapen   ", misshapen);
    require(problems.empty(), file.path, ": does not hold these parameters, nothing was loaded", problems);

    for (std::size_t k = 0; k < parameters.size(); ++k) fill(parameters[k], file.matrix(sources[k]));
}

void save(const Parameters& parameters, const std::string& path, const std::map<std::string, std::string>& metadata) {
    std::vector<TensorToWrite> tensors;
    for (const Parameter& parameter : parameters)
        tensors.push_back({.name = parameter.name, .shape = parameter.shape, .floats = published_value(parameter)});
    write_safetensors(path, tensors, metadata);
}
