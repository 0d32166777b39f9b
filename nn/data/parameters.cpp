#include "nn/data/parameters.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <string_view>

#include "nn/base/require.h"
#include "nn/data/json.h"

std::vector<Var> variables(const Parameters& parameters) {
    std::vector<Var> result;
    std::set<const Record*> seen;
    for (const Parameter& parameter : parameters)
        for (const Var& part : parameter.parts)
            if (part.requires_gradient() && seen.insert(part.operator->()).second) result.push_back(part);
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
    require(from.size() == to.size(), "copy_values: a list of ", from.size(), " parameters into one of ", to.size(),
            "; both must have the same number, from the same configuration");
    for (std::size_t k = 0; k < from.size(); ++k) {
        require(from[k].parts.size() == to[k].parts.size(), "copy_values: ", from[k].name, " of ", from[k].parts.size(),
                " matrices into ", to[k].name, " of ", to[k].parts.size(), "; both must have the same number");
        for (std::size_t part = 0; part < from[k].parts.size(); ++part) {
            Var target = to[k].parts[part];
            const Matrix& source = from[k].parts[part].value();
            require(same_shape(source, target.value()), "copy_values: ", from[k].name, " is ", source, ", ", to[k].name, " is ",
                    target.value(), ", the shapes must be equal");
            target.value() = source;
        }
    }
}

namespace {
// The shape of all parts together, (rows, cols), computed from the published shape.
struct OurShape {
    long rows, cols;
    long channels;  // of Stored::patches and deconvolution: numbers per position of the kernel
};
}  // namespace

static long product(const std::vector<long>& shape, std::size_t first, std::size_t end) {
    long result = 1;
    for (std::size_t k = first; k < end; ++k) result *= shape[k];
    return result;
}

static std::size_t dimensions_needed(Stored stored) {
    switch (stored) {
        case Stored::as_it_is:
        case Stored::one_row: return 0;
        case Stored::in_by_rest:
        case Stored::out_by_in: return 1;
        case Stored::patches:
        case Stored::deconvolution: return 3;
    }
    return 0;
}

static OurShape our_shape(const Parameter& parameter) {
    const std::vector<long>& shape = parameter.shape;
    const std::size_t dimensions = shape.size(), needed = dimensions_needed(parameter.stored);
    require(dimensions >= needed, "parameter ", parameter.name, ": a shape of ", shape_text(shape), " has fewer than ", needed,
            " dimensions");
    const long all = product(shape, 0, dimensions), after_first = product(shape, 1, dimensions);
    switch (parameter.stored) {
        case Stored::as_it_is:
            if (dimensions == 0) return {1, 1, 0};
            return {product(shape, 0, dimensions - 1), shape.back(), 0};
        case Stored::one_row: return {1, all, 0};
        case Stored::in_by_rest: return {shape[0], after_first, 0};
        case Stored::out_by_in: return {after_first, shape[0], 0};
        case Stored::patches: return {after_first, shape[0], shape[1]};
        case Stored::deconvolution: return {shape[0], after_first, shape[1]};
    }
    return {};
}

static void require_columns(const char* place, int parts, int heads, int head_width) {
    const double columns = static_cast<double>(parts) * heads * head_width;
    require(parts > 0 && heads > 0 && head_width > 0 && columns <= std::numeric_limits<int>::max(), place, ": ", parts,
            " parts of ", heads, " heads of width ", head_width,
            "; each must be at least 1, and a matrix has at most 2147483647 columns");
}

std::vector<int> columns_head_by_head(int parts, int heads, int head_width) {
    require_columns("columns_head_by_head", parts, heads, head_width);
    std::vector<int> columns;
    for (int part = 0; part < parts; ++part)
        for (int head = 0; head < heads; ++head)
            for (int i = 0; i < head_width; ++i) columns.push_back((head * parts + part) * head_width + i);
    return columns;
}

std::vector<int> columns_of_pairs(int heads, int head_width) {
    require_columns("columns_of_pairs", 1, heads, head_width);
    require(head_width % 2 == 0, "columns_of_pairs: a head of width ", head_width, " does not split into pairs");
    std::vector<int> columns;
    for (int head = 0; head < heads; ++head)
        for (int half = 0; half < 2; ++half)
            for (int pair = 0; pair < head_width / 2; ++pair) columns.push_back(head * head_width + 2 * pair + half);
    return columns;
}

// Checks an entry of the table: parts that do not add up to the shape are an error of the program, not of the file.
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
    if (parameter.columns.empty()) return;
    std::vector<int> named = parameter.columns, all(static_cast<std::size_t>(cols));
    std::sort(named.begin(), named.end());
    std::iota(all.begin(), all.end(), 0);
    require(named == all, "parameter ", parameter.name, ": its list of ", named.size(), " columns does not name each of ", cols,
            " columns once");
}

// The numbers as n consecutive matrices (rows, cols), each transposed.
static Matrix transpose_each(const Matrix& published, int n, int rows, int cols) {
    Matrix transposed = Matrix::unset(n * cols, rows);
    const float* const from = published.begin();
    for (int k = 0; k < n; ++k)
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < cols; ++j) {
                const std::size_t at = (static_cast<std::size_t>(k) * rows + i) * cols + j;
                transposed(k * cols + j, i) = from[at];
            }
    return transposed;
}

// Our matrices side by side (rows, cols), columns still in the published order. S is the number of kernel positions.
static Matrix from_published(Matrix published, Stored stored, const OurShape& shape) {
    const int rows = static_cast<int>(shape.rows), cols = static_cast<int>(shape.cols), C = static_cast<int>(shape.channels);
    switch (stored) {
        case Stored::as_it_is:
        case Stored::in_by_rest:
        case Stored::one_row: return reshape(std::move(published), rows, cols);
        case Stored::out_by_in: return transpose(reshape(std::move(published), cols, rows));
        case Stored::patches: {
            const Matrix positions_first = transpose_each(published, cols, C, rows / std::max(1, C));  // (d, S, C) of (d, C, S)
            return transpose(reshape(positions_first, cols, rows));                                    // (S*C, d)
        }
        case Stored::deconvolution:
            return reshape(transpose_each(published, rows, C, cols / std::max(1, C)), rows, cols);  // (C, S*d) of (C, d, S)
    }
    return {};
}

// The inverse; the numbers are in the published order, the shape may differ.
static Matrix to_published(Matrix ours, Stored stored, const OurShape& shape) {
    const int rows = static_cast<int>(shape.rows), cols = static_cast<int>(shape.cols), C = static_cast<int>(shape.channels);
    switch (stored) {
        case Stored::as_it_is:
        case Stored::in_by_rest:
        case Stored::one_row: return ours;
        case Stored::out_by_in: return transpose(ours);
        case Stored::patches: return transpose_each(transpose(ours), cols, rows / std::max(1, C), C);  // (d, C, S) of (d, S, C)
        case Stored::deconvolution: return transpose_each(ours, rows, cols / std::max(1, C), C);       // (C, d, S) of (C, S, d)
    }
    return {};
}

// Distributes a published tensor to the parts. A single part takes the whole matrix without copying.
static void fill(const Parameter& parameter, Matrix published) {
    Matrix ours = from_published(std::move(published), parameter.stored, our_shape(parameter));
    if (!parameter.columns.empty()) {
        Matrix in_our_order = Matrix::unset(ours.rows, ours.cols);
        for (int i = 0; i < ours.rows; ++i)
            for (int k = 0; k < ours.cols; ++k) in_our_order(i, k) = ours(i, parameter.columns[static_cast<std::size_t>(k)]);
        ours = std::move(in_our_order);
    }
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

static int columns_as_published(const Parameter& parameter) {
    return parameter.shape.empty() ? 1 : static_cast<int>(parameter.shape.back());
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
    if (!parameter.columns.empty()) {
        Matrix in_published_order = Matrix::unset(ours.rows, ours.cols);
        for (int i = 0; i < ours.rows; ++i)
            for (int k = 0; k < ours.cols; ++k)
                in_published_order(i, parameter.columns[static_cast<std::size_t>(k)]) = ours(i, k);
        ours = std::move(in_published_order);
    }
    Matrix numbers = to_published(std::move(ours), parameter.stored, shape);
    const int cols = columns_as_published(parameter);
    const int rows = cols == 0 ? 0 : static_cast<int>(numbers.size() / static_cast<std::size_t>(cols));
    return reshape(std::move(numbers), rows, cols);
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

// The names that a tensor may have in a file, preferred first.
static std::vector<std::string> possible_names(const std::string& name, const LoadRules& rules) {
    std::vector<std::string> stems = {name};
    for (const std::string& prefix : rules.optional_prefixes) {
        stems.push_back(prefix + name);
        if (name.starts_with(prefix)) stems.push_back(name.substr(prefix.size()));
    }
    std::vector<std::string> names = stems;
    for (const std::string& stem : stems) {
        for (const auto& [ours, theirs] : rules.other_names) {
            if (stem != ours) continue;
            names.push_back(theirs);
            for (const std::string& prefix : rules.optional_prefixes) names.push_back(prefix + theirs);
        }
        for (const auto& [ours, theirs] : rules.other_endings)
            if (stem.ends_with(ours)) names.push_back(stem.substr(0, stem.size() - ours.size()) + theirs);
    }
    return names;
}

std::string name_in_file(const Safetensors& file, const std::string& name, const LoadRules& rules, const std::string& prefix) {
    for (const std::string& possible : possible_names(name, rules))
        if (file.has(prefix + possible)) return prefix + possible;
    return "";
}

// Other names under which the file also has the tensor, besides `source`.
static std::vector<std::string> copies_in_file(const Safetensors& file, const std::string& name, const std::string& source,
                                               const LoadRules& rules, const std::string& prefix) {
    const LoadRules without_others{.optional_prefixes = rules.optional_prefixes};
    const LoadRules with_others{.optional_prefixes = rules.optional_prefixes, .other_names = rules.other_names};
    const std::size_t stems = possible_names(name, without_others).size();  // they come first
    const std::vector<std::string> names = possible_names(name, with_others);
    std::vector<std::string> copies;
    for (std::size_t k = stems; k < names.size(); ++k)
        if (file.has(prefix + names[k]) && prefix + names[k] != source) copies.push_back(prefix + names[k]);
    return copies;
}

// "; missing: a, b, c"; at most 10 names, then how many more.
static std::string list_of(std::string_view heading, const std::vector<std::string>& names) {
    const std::size_t most = 10;
    std::string list;
    for (std::size_t k = 0; k < names.size() && k < most; ++k)
        list += (k == 0 ? "; " + std::string(heading) + ": " : ", ") + names[k];
    if (names.size() > most) list += " and " + text(names.size() - most) + " more";
    return list;
}

// Shortens a name for messages: a file may contain names of any length.
static std::string brief_name(const std::string& name) { return name.size() <= 80 ? name : brief_string(name); }

namespace {

// The names that cannot be loaded, by reason.
struct Problems {
    std::vector<std::string> missing, unexpected, misshapen, different;

    bool none() const { return missing.empty() && unexpected.empty() && misshapen.empty() && different.empty(); }
};

}  // namespace

// For a file that has fewer than half of the tensors, naming its kind of model is more useful than listing a hundred names.
static std::string description(const Problems& problems, const Parameters& parameters, const Safetensors& file) {
    std::vector<std::string_view> wanted;
    for (const Parameter& parameter : parameters) wanted.push_back(parameter.name);
    const std::string other_kind = 2 * problems.missing.size() > parameters.size() ? file.other_kind(wanted) : "";
    if (!other_kind.empty()) return other_kind;
    std::vector<std::string> missing;
    for (std::size_t k = 0; k < problems.missing.size(); ++k) {
        const std::string near = k < 2 ? file.near_names(problems.missing[k]) : "";  // only for the first two
        missing.push_back(problems.missing[k] + (near.empty() ? "" : " (" + near.substr(2) + ")"));
    }
    return list_of("missing", missing) + list_of("unexpected", problems.unexpected) + list_of("misshapen", problems.misshapen) +
           list_of("different", problems.different);
}

static bool is_ignored(const std::string& name, const LoadRules& rules, const std::string& prefix) {
    for (const std::string& ending : rules.ignored_endings)
        if (name.ends_with(ending)) return true;
    for (const std::string& begin : rules.ignored_prefixes)
        if (name.starts_with(prefix + begin)) return true;
    return false;
}

// A single number may be stored as () or as (1).
static bool is_shape_of(const std::vector<long>& in_file, const std::vector<long>& published) {
    const bool both_one_number = product(in_file, 0, in_file.size()) == 1 && product(published, 0, published.size()) == 1;
    return in_file == published || (both_one_number && in_file.size() <= 1 && published.size() <= 1);
}

void load(const Parameters& parameters, const Safetensors& file, const LoadRules& rules, const std::string& prefix) {
    Problems problems;
    std::vector<std::string> sources;  // the name in the file, entry by entry
    std::set<std::string> expected;
    std::set<std::pair<std::size_t, std::size_t>> expected_places;  // part of the checkpoint, first byte: a tensor with two names
    for (const Parameter& parameter : parameters) {
        require_parts_fit(parameter);
        sources.push_back(name_in_file(file, parameter.name, rules, prefix));
        const std::string& source = sources.back();
        if (source.empty()) {
            problems.missing.push_back(parameter.name);
            continue;
        }
        const TensorInfo& info = file.tensors.at(source);
        expected.insert(source);
        expected_places.insert({info.part, info.begin});
        if (!is_shape_of(info.shape, parameter.shape))
            problems.misshapen.push_back(parameter.name + " is " + shape_text(info.shape) + " instead of " +
                                         shape_text(parameter.shape));
        else if (!is_float_type(info))
            problems.misshapen.push_back(parameter.name + " is of type " + std::string(info.type, 0, 20) +
                                         ", not of F32, F64, F16 or BF16");
        for (const std::string& copy : copies_in_file(file, parameter.name, source, rules, prefix)) {
            const TensorInfo& other = file.tensors.at(copy);
            expected.insert(copy);
            const bool one_tensor = other.part == info.part && other.begin == info.begin;
            const bool same = one_tensor || (other.shape == info.shape && is_float_type(other) && is_float_type(info) &&
                                             identical(file.matrix(copy), file.matrix(source)));
            if (!same) problems.different.push_back(brief_name(copy) + " and " + brief_name(source));
        }
    }
    for (const auto& [name, info] : file.tensors) {
        const bool same_as_expected = info.end > info.begin && expected_places.count({info.part, info.begin}) > 0;
        if (name.starts_with(prefix) && !is_ignored(name, rules, prefix) && !rules.allow_unexpected && !same_as_expected &&
            expected.count(name) == 0)
            problems.unexpected.push_back(brief_name(name));
    }
    if (!problems.none())
        require(false, file.path, ": does not hold these parameters, nothing was loaded",
                description(problems, parameters, file));

    for (std::size_t k = 0; k < parameters.size(); ++k) fill(parameters[k], file.matrix(sources[k]));
}

void save(const Parameters& parameters, const std::string& path, const std::map<std::string, std::string>& metadata) {
    std::vector<TensorToWrite> tensors;
    for (const Parameter& parameter : parameters)
        tensors.push_back({.name = parameter.name, .shape = parameter.shape, .floats = published_value(parameter)});
    write_safetensors(path, tensors, metadata);
}
