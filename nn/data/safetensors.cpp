#include "nn/data/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

static_assert(std::endian::native == std::endian::little, "safetensors.cpp copies numbers as they lie in the file");

static constexpr std::uint64_t longest_header = 100'000'000;  // bytes, the limit of the published reader
static constexpr long most_values = 5'000'000;                // in the header: about half a million tensors

// Bytes of one number; 0 for a type that is not known here.
static std::size_t size_of_type(std::string_view type) {
    if (type == "F64" || type == "I64" || type == "U64") return 8;
    if (type == "F32" || type == "I32" || type == "U32") return 4;
    if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 2;
    if (type == "U8" || type == "I8" || type == "BOOL" || type == "F8_E4M3" || type == "F8_E5M2") return 1;
    return 0;
}

std::string shape_text(const std::vector<long>& shape) {
    std::string result;
    for (const long dimension : shape) result += (result.empty() ? "" : ", ") + std::to_string(dimension);
    return "(" + result + ")";
}

// The product of the dimensions; throws when it does not fit 62 bits.
static std::uint64_t count_numbers(const std::vector<long>& shape) {
    std::uint64_t count = 1;
    for (const long dimension : shape) {
        require(dimension >= 0, "the shape ", shape_text(shape), " has a negative dimension");
        const bool fits = dimension == 0 || count <= (std::uint64_t{1} << 62) / static_cast<std::uint64_t>(dimension);
        require(fits, "the shape ", shape_text(shape), " is too large");
        count *= static_cast<std::uint64_t>(dimension);
    }
    return count;
}

// {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}
static TensorInfo tensor_info(const Json& entry, std::uint64_t data_size) {
    TensorInfo info;
    info.type = entry.at("dtype").as_string();
    for (const Json& dimension : entry.at("shape").as_array()) info.shape.push_back(dimension.as_integer());
    const std::vector<Json>& offsets = entry.at("data_offsets").as_array();
    require(offsets.size() == 2, "data_offsets must be two numbers, here are ", offsets.size());
    const std::int64_t begin = offsets[0].as_integer(), end = offsets[1].as_integer();
    require(begin >= 0 && begin <= end, "data_offsets [", begin, ", ", end, "] must not be negative or backwards");
    require(static_cast<std::uint64_t>(end) <= data_size, "data_offsets [", begin, ", ", end, "], but the file holds ", data_size,
            " bytes of data");
    info.begin = static_cast<std::size_t>(begin);
    info.end = static_cast<std::size_t>(end);

    const std::uint64_t count = count_numbers(info.shape);
    const std::size_t size = size_of_type(info.type);
    require(size == 0 || count <= data_size / size, "shape ", shape_text(info.shape), " of ", info.type,
            " asks for more than the ", data_size, " bytes of data in the file");
    require(size == 0 || count * size == info.end - info.begin, "shape ", shape_text(info.shape), " of ", info.type, " takes ",
            count * size, " bytes, data_offsets span ", info.end - info.begin);
    return info;
}

// Every byte of the data belongs to exactly one tensor.
static void require_no_gaps(const std::map<std::string, TensorInfo>& tensors, std::uint64_t data_size, const std::string& path) {
    std::vector<std::pair<std::pair<std::size_t, std::size_t>, const std::string*>> spans;  // begin, end, name
    for (const auto& [name, info] : tensors) spans.push_back({{info.begin, info.end}, &name});
    std::sort(spans.begin(), spans.end());
    std::size_t reached = 0;
    for (const auto& [span, name] : spans) {
        require(span.first == reached, path, ": tensor ", json_string(*name), " begins at byte ", span.first,
                " of the data, the one before it ends at ", reached);
        reached = span.second;
    }
    require(reached == data_size, path, ": the tensors end at byte ", reached, " of the data, the file holds ", data_size);
}

Safetensors::Safetensors(const std::string& given) : path(given) {
    const RandomAccessFile file(path);
    require(file.size() >= 8, path, ": ", file.size(), " bytes are too few for a safetensors file");
    std::uint64_t header_size = 0;
    file.read(0, &header_size, 8);
    require(header_size <= longest_header && header_size <= file.size() - 8, path, ": is no safetensors file: a header of ",
            header_size, " bytes is announced, ", file.size() - 8, " follow");
    std::string header(header_size, ' ');
    file.read(8, header.data(), header.size());
    data_begin = 8 + header_size;
    const std::uint64_t data_size = file.size() - data_begin;

    const Json root = parse_json(header, path + ": header", most_values);
    require(root.kind == Json::Kind::object, path, ": is no safetensors file: the header is no JSON object");
    for (const JsonMember& member : root.members) {
        try {
            if (member.name == "__metadata__")
                for (const JsonMember& entry : member.value.as_object()) metadata.emplace(entry.name, entry.value.as_string());
            else
                tensors.emplace(member.name, tensor_info(member.value, data_size));
        } catch (const std::invalid_argument& error) {
            require(false, path, ": tensor ", json_string(member.name), ": ", error.what());
        }
    }
    require_no_gaps(tensors, data_size, path);
}

// The three tensors whose names are most like this one: "; near it: a, b, c".
static std::string near_names(const Safetensors& file, const std::string& name) {
    std::vector<std::pair<std::size_t, std::string>> near;  // only looked for when a name is missing: this is slow
    for (const auto& [other, info] : file.tensors)
        if (other.size() <= 2 * name.size() + 8) near.push_back({changes_between(name, other), other});
    const std::size_t shown = std::min<std::size_t>(near.size(), 3);
    std::partial_sort(near.begin(), near.begin() + static_cast<long>(shown), near.end());
    std::string list;
    for (std::size_t k = 0; k < shown; ++k) list += (k == 0 ? "; near it: " : ", ") + near[k].second;
    return list;
}

static const TensorInfo& find_tensor(const Safetensors& file, const std::string& name) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) require(false, file.path, ": holds no tensor ", json_string(name), near_names(file, name));
    return found->second;
}

// Half precision: sign, 5 bits of exponent with 15 added, 10 bits of fraction.
float float_from_half(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 0x1F, fraction = bits & 0x3FF;
    float magnitude = 0;
    if (exponent == 0)
        magnitude = std::ldexp(static_cast<float>(fraction), -24);  // subnormal: no hidden 1
    else if (exponent < 31)
        magnitude = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    else if (fraction == 0)
        magnitude = std::numeric_limits<float>::infinity();
    else
        magnitude = std::bit_cast<float>(0x7F800000u | static_cast<std::uint32_t>(fraction) << 13);  // NaN, its bits kept
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | static_cast<std::uint32_t>(bits & 0x8000) << 16);
}

// bfloat16 is the upper half of a float.
float float_from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

static float from_double(double number) { return static_cast<float>(number); }

// Reads numbers of type Stored, piece by piece, and hands each through `convert`.
template <class StoredType, class Result>
static void read_converted(const RandomAccessFile& file, std::uint64_t first, std::size_t count, Result* into,
                           Result (*convert)(StoredType)) {
    std::vector<StoredType> piece(std::min<std::size_t>(count, 1 << 14));
    for (std::size_t done = 0; done < count;) {
        const std::size_t now = std::min(piece.size(), count - done);
        file.read(first + done * sizeof(StoredType), piece.data(), now * sizeof(StoredType));
        for (std::size_t k = 0; k < now; ++k) into[done + k] = convert(piece[k]);
        done += now;
    }
}

bool is_float_type(const TensorInfo& info) {
    return info.type == "F32" || info.type == "F64" || info.type == "F16" || info.type == "BF16";
}

Matrix Safetensors::matrix(const std::string& name) const {
    const TensorInfo& info = find_tensor(*this, name);
    require(is_float_type(info), path, ": tensor ", json_string(name), " is of type ", info.type,
            ", not of F32, F64, F16 or BF16");
    const std::size_t count = (info.end - info.begin) / size_of_type(info.type);
    const std::size_t cols = info.shape.empty() ? 1 : static_cast<std::size_t>(info.shape.back());
    std::size_t rows = 1;  // the product of all dimensions but the last, which may be 0
    const std::size_t largest = std::numeric_limits<int>::max();
    for (std::size_t k = 0; k + 1 < info.shape.size(); ++k)
        rows = std::min(rows * std::min<std::size_t>(info.shape[k], largest + 1), largest + 1);
    require(rows <= largest && cols <= largest, path, ": tensor ", json_string(name), " of shape ", shape_text(info.shape),
            " has too many rows or columns for a Matrix");

    Matrix result = Matrix::unset(static_cast<int>(rows), static_cast<int>(cols));
    if (count == 0) return result;
    const RandomAccessFile file(path);
    const std::uint64_t first = data_begin + info.begin;
    if (info.type == "F32") file.read(first, result.begin(), count * sizeof(float));
    if (info.type == "F64") read_converted<double, float>(file, first, count, result.begin(), from_double);
    if (info.type == "F16") read_converted<std::uint16_t, float>(file, first, count, result.begin(), float_from_half);
    if (info.type == "BF16") read_converted<std::uint16_t, float>(file, first, count, result.begin(), float_from_bfloat16);
    return result;
}

static long from_int64(std::int64_t number) { return static_cast<long>(number); }
static long from_int32(std::int32_t number) { return number; }
static long from_byte(std::uint8_t number) { return number; }

std::vector<long> Safetensors::long_integers(const std::string& name) const {
    const TensorInfo& info = find_tensor(*this, name);
    const bool readable = info.type == "I64" || info.type == "I32" || info.type == "U8" || info.type == "BOOL";
    require(readable, path, ": tensor ", json_string(name), " is of type ", info.type, ", not of I32, I64, U8 or BOOL");
    const std::size_t count = (info.end - info.begin) / size_of_type(info.type);
    std::vector<long> result(count);
    const RandomAccessFile file(path);
    const std::uint64_t first = data_begin + info.begin;
    if (info.type == "I64") read_converted<std::int64_t, long>(file, first, count, result.data(), from_int64);
    if (info.type == "I32") read_converted<std::int32_t, long>(file, first, count, result.data(), from_int32);
    if (info.type == "U8" || info.type == "BOOL")
        read_converted<std::uint8_t, long>(file, first, count, result.data(), from_byte);
    return result;
}

std::vector<int> Safetensors::integers(const std::string& name) const {
    const std::string place = path + ": tensor " + json_string(name);
    std::vector<int> result;
    for (const long number : long_integers(name)) {
        require(number == static_cast<int>(number), place, " holds ", number, ", which does not fit an int");
        result.push_back(static_cast<int>(number));
    }
    return result;
}

const std::string& Safetensors::metadata_text(const std::string& key) const {
    const auto found = metadata.find(key);
    require(found != metadata.end(), path, ": the metadata has no entry ", json_string(key));
    return found->second;
}

int Safetensors::dimension(const std::string& name, std::size_t which) const {
    const std::vector<long>& shape = find_tensor(*this, name).shape;
    require(which < shape.size() && shape[which] == static_cast<int>(shape[which]), path, ": ", name, " has the shape ",
            shape_text(shape), ", dimension ", which, " is missing or too large");
    return static_cast<int>(shape[which]);
}

int Safetensors::metadata_int(const std::string& key) const {
    const std::string& words = metadata_text(key);
    const std::optional<long> number = whole_number(words);
    require(number && *number == static_cast<int>(*number), path, ": metadata ", json_string(key), " is ", json_string(words),
            ", a whole number is needed");
    return static_cast<int>(*number);
}

double Safetensors::metadata_double(const std::string& key) const {
    const std::string& words = metadata_text(key);
    const std::optional<double> number = decimal_number(words);
    require(number.has_value(), path, ": metadata ", json_string(key), " is ", json_string(words), ", a number is needed");
    return *number;
}

static std::string header_text(const std::vector<const TensorToWrite*>& tensors,
                               const std::map<std::string, std::string>& metadata) {
    std::string header = "{";
    if (!metadata.empty()) {
        header += "\"__metadata__\":{";
        for (const auto& [key, value] : metadata)
            header += (key == metadata.begin()->first ? "" : ",") + json_string(key) + ":" + json_string(value);
        header += "}";
    }
    std::size_t offset = 0;
    for (const TensorToWrite* const tensor : tensors) {
        const bool whole = !tensor->integers.empty();
        const std::size_t bytes = whole ? tensor->integers.size() * 8 : tensor->floats.size() * 4;
        std::string dimensions;
        for (const long dimension : tensor->shape) dimensions += (dimensions.empty() ? "" : ",") + std::to_string(dimension);
        header += (header.size() == 1 ? "" : ",") + json_string(tensor->name) + ":{\"dtype\":\"" + (whole ? "I64" : "F32") +
                  "\",\"shape\":[" + dimensions + "],\"data_offsets\":[" + std::to_string(offset) + "," +
                  std::to_string(offset + bytes) + "]}";
        offset += bytes;
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');  // the numbers begin at a multiple of 8, as readers like it
    return header;
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::vector<const TensorToWrite*> ordered;  // integers of 8 bytes first, so that every number lies at a multiple of its size
    for (const TensorToWrite& tensor : tensors)
        if (!tensor.integers.empty()) ordered.push_back(&tensor);
    for (const TensorToWrite& tensor : tensors)
        if (tensor.integers.empty()) ordered.push_back(&tensor);

    std::map<std::string, int> seen;
    for (const TensorToWrite* const tensor : ordered) {
        const std::string place = path + ": tensor " + json_string(tensor->name) + ": ";
        require(++seen[tensor->name] == 1 && tensor->name != "__metadata__", place, "the name is already taken");
        const std::size_t count = tensor->integers.empty() ? tensor->floats.size() : tensor->integers.size();
        require(count_numbers(tensor->shape) == count, place, "the shape ", shape_text(tensor->shape), " does not fit ", count,
                " numbers");
    }

    const std::string header = header_text(ordered, metadata);
    const std::uint64_t header_size = header.size();
    AtomicFile file(path);
    file.write(&header_size, 8);
    file.write(header.data(), header.size());
    for (const TensorToWrite* const tensor : ordered) {
        if (tensor->integers.empty()) file.write(tensor->floats.begin(), tensor->floats.size() * sizeof(float));
        for (const std::int64_t number : tensor->integers) file.write(&number, 8);
    }
    file.commit();
}
