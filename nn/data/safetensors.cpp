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
#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

static_assert(std::endian::native == std::endian::little, "safetensors.cpp copies numbers as they lie in the file");

static constexpr std::uint64_t longest_header = 100'000'000;  // bytes, as in the published reader
static constexpr long most_values = 200'000;                  // JSON values per entry of the header, which bounds its dimensions

static constexpr std::string_view cut_off = "; perhaps a download that broke off";

// Bytes per number; 0 for an unknown type.
static std::size_t size_of_type(std::string_view type) {
    if (type == "F64" || type == "I64" || type == "U64") return 8;
    if (type == "F32" || type == "I32" || type == "U32") return 4;
    if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 2;
    if (type == "U8" || type == "I8" || type == "BOOL" || type == "F8_E4M3" || type == "F8_E5M2") return 1;
    return 0;
}

std::string shape_text(const std::vector<long>& shape) {
    const std::size_t most = 16;
    const std::size_t shown = shape.size() <= most ? shape.size() : 8;
    std::string result;
    for (std::size_t k = 0; k < shown; ++k) result += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
    if (shown < shape.size()) result += ", ... " + std::to_string(shape.size()) + " dimensions";
    return "(" + result + ")";
}

// The product of the dimensions; throws when it does not fit 62 bits. (Formats no message for a valid dimension: a hostile header
// may have a million.)
static std::uint64_t count_numbers(const std::vector<long>& shape) {
    std::uint64_t count = 1;
    for (const long dimension : shape) {
        if (dimension < 0) require(false, "the shape ", shape_text(shape), " has a negative dimension");
        const bool fits = dimension == 0 || count <= (std::uint64_t{1} << 62) / static_cast<std::uint64_t>(dimension);
        if (!fits) require(false, "the shape ", shape_text(shape), " is too large");
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
            " bytes of data", cut_off);
    info.begin = static_cast<std::size_t>(begin);
    info.end = static_cast<std::size_t>(end);

    const std::uint64_t count = count_numbers(info.shape);
    const std::size_t size = size_of_type(info.type);
    const std::string what = "shape " + shape_text(info.shape) + " of " + std::string(info.type, 0, 20);
    require(size == 0 || count <= data_size / size, what, " asks for more than the ", data_size, " bytes of data in the file");
    require(size == 0 || count * size == info.end - info.begin, what, " takes ", count * size, " bytes, data_offsets span ",
            info.end - info.begin);
    return info;
}

// Every byte of the data belongs to exactly one tensor.
static void require_no_gaps(const std::map<std::string, TensorInfo>& tensors, std::size_t part, std::uint64_t data_size,
                            const std::string& path) {
    std::vector<std::pair<std::pair<std::size_t, std::size_t>, const std::string*>> spans;  // begin, end, name
    for (const auto& [name, info] : tensors)
        if (info.part == part) spans.push_back({{info.begin, info.end}, &name});
    std::sort(spans.begin(), spans.end());
    std::size_t reached = 0;
    for (const auto& [span, name] : spans) {
        if (span.first != reached)
            require(false, path, ": tensor ", brief_string(*name), " begins at byte ", span.first,
                    " of the data, the one before it ends at ", reached);
        reached = span.second;
    }
    require(reached == data_size, path, ": the tensors end at byte ", reached, " of the data, the file holds ", data_size);
}

// ---- One file ------------------------------------------------------------------------------------------------------------------

// The header of a file, whose length has been checked against that of the file.
static std::string read_header(const RandomAccessFile& file, const std::string& path) {
    require(file.size() > 0, path, ": is empty, a safetensors file is needed", cut_off);
    std::string begin(std::min<std::uint64_t>(file.size(), 512), ' ');
    file.read(0, begin.data(), begin.size());
    std::uint64_t header_size = 0;
    if (begin.size() >= 8) std::memcpy(&header_size, begin.data(), 8);
    const bool long_enough = begin.size() >= 8;
    const bool fits = long_enough && header_size <= longest_header && header_size <= file.size() - 8;
    const bool is_object = fits && header_size > 0 && begin[8] == '{';
    const std::string kind = is_object ? "" : kind_of_bytes(begin);
    const std::string other = kind == "a safetensors file" ? "" : kind;  // a broken one
    require(other.empty(), path, ": is not a safetensors file, it looks like ", other);
    require(long_enough, path, ": ", file.size(), " bytes are too few for a safetensors file", cut_off);
    require(fits, path, ": is not a safetensors file: a header of ", header_size, " bytes is announced, ", file.size() - 8,
            " follow", header_size > longest_header ? "; at most 100000000 are read" : "",
            kind.empty() ? "; the file begins with " + brief_string(begin.substr(0, 16)) : std::string(cut_off));
    require(is_object, path, ": is not a safetensors file: the header is not a JSON object");
    std::string header(header_size, ' ');
    file.read(8, header.data(), header.size());
    return header;
}

void Safetensors::add_part(const std::string& part_path) {
    const RandomAccessFile file(part_path);
    const std::string header = read_header(file, part_path);
    const std::size_t part = parts.size();
    parts.push_back({part_path, 8 + header.size()});
    const std::uint64_t data_size = file.size() - parts.back().data_begin;

    const auto add_member = [&](const JsonMember& member) {
        try {
            if (member.name == "__metadata__") {
                if (member.value.kind == Json::Kind::null) return;  // as the published reader does
                for (const JsonMember& entry : member.value.as_object()) metadata.emplace(entry.name, entry.value.as_string());
                return;
            }
            TensorInfo info = tensor_info(member.value, data_size);
            info.part = part;
            const auto [entry, is_new] = tensors.emplace(member.name, std::move(info));
            const std::size_t other = entry->second.part;
            if (!is_new && other == part) require(false, "the header has two entries of this name");
            if (!is_new) require(false, "lies in ", parts[other].path, " as well, every tensor lies in one part");
        } catch (const std::invalid_argument& error) {
            require(false, part_path, ": tensor ", brief_string(member.name), ": ", error.what());
        }
    };
    visit_members(header, part_path + ": header", most_values, add_member);
    require_no_gaps(tensors, part, data_size, part_path);
}

// ---- Several files ---------------------------------------------------------------------------------------------------------------

// From tensor to file, relative to the index.
using WeightMap = std::map<std::string, std::string>;

static WeightMap read_index(const std::string& index_path) {
    const Json index = parse_json(read_text_file(index_path, longest_header), index_path, 2'000'000);
    const Json* const map = index.kind == Json::Kind::object ? index.find("weight_map") : nullptr;
    require(map != nullptr, index_path, ": is JSON text, but not an index of shards: there is no \"weight_map\"");
    WeightMap weight_map;
    try {
        for (const JsonMember& entry : map->as_object()) weight_map.emplace(entry.name, entry.value.as_string());
    } catch (const std::invalid_argument& error) {
        require(false, index_path, ": weight_map: ", error.what());
    }
    return weight_map;
}

namespace {
// What the name of a shard says; no index for any other name.
struct ShardName {
    std::string index;  // the path of its index
    long shards = 0;
};
}  // namespace

// "model-00001-of-00002.safetensors" belongs to "model.safetensors.index.json", "model-00001-of-00002.fp16.safetensors" to
// "model.safetensors.index.fp16.json".
static ShardName read_shard_name(const std::string& path) {
    const std::string ending = ".safetensors";
    if (!path.ends_with(ending)) return {};
    const std::string stem = path.substr(0, path.size() - ending.size());
    const std::size_t of = stem.rfind("-of-");
    const std::size_t dash = of == std::string::npos || of == 0 ? std::string::npos : stem.rfind('-', of - 1);
    if (dash == std::string::npos) return {};
    const std::size_t variant = std::min(stem.find('.', of), stem.size());
    const std::optional<long> number = whole_number(stem.substr(dash + 1, of - dash - 1));
    const std::optional<long> shards = whole_number(stem.substr(of + 4, variant - of - 4));
    if (!number || !shards) return {};
    return {stem.substr(0, dash) + ending + ".index" + stem.substr(variant) + ".json", *shards};
}

// The index of the checkpoint that a path belongs to; "" for a checkpoint in one file.
static std::string index_for(const std::string& path) {
    if (!is_file(path)) return "";
    const RandomAccessFile file(path);
    std::string begin(std::min<std::uint64_t>(file.size(), 512), ' ');
    file.read(0, begin.data(), begin.size());
    if (kind_of_bytes(begin) == "JSON text") return path;
    const ShardName shard_name = read_shard_name(path);
    if (shard_name.index.empty() || (shard_name.shards <= 1 && !is_file(shard_name.index))) return "";
    require(is_file(shard_name.index), path, ": is one of ", shard_name.shards, " shards, and their index, ", shard_name.index,
            ", is not there; fetch it and the shards that it names into this folder");
    const std::string name = path.substr(folder_prefix(path).size());
    for (const auto& [tensor, shard] : read_index(shard_name.index))
        if (shard == name) return shard_name.index;
    return "";
}

// Published checkpoints are named by their folder, a file in it is opened here.
static void require_no_folder(const std::string& path) {
    const std::string folder = path.ends_with('/') ? path : path + "/";
    for (const char* const name : {"model.safetensors", "model.safetensors.index.json"})
        require(!is_file(folder + name), path, ": is a directory, a file is needed; give ", folder, name);
}

void Safetensors::add_parts_of_index(const std::string& index_path) {
    const WeightMap weight_map = read_index(index_path);
    require(!weight_map.empty(), index_path, ": the weight_map names no tensor");
    std::map<std::string, std::size_t> part_of_shard;
    for (const auto& [tensor, shard] : weight_map) {
        if (part_of_shard.count(shard) > 0) continue;
        const bool beside = !shard.empty() && shard.find_first_of("/\\") == std::string::npos && shard != "." && shard != "..";
        require(beside, index_path, ": tensor ", brief_string(tensor), " is to lie in ", brief_string(shard),
                ", a file beside the index is needed");
        const std::string shard_path = folder_prefix(index_path) + shard;
        require(is_file(shard_path), index_path, ": the shard ", brief_string(shard), " is not there; tensor ",
                brief_string(tensor), " lies in it");
        part_of_shard[shard] = parts.size();
        add_part(shard_path);
    }
    for (const auto& [tensor, shard] : weight_map) {
        const auto found = tensors.find(tensor);
        if (found != tensors.end() && found->second.part == part_of_shard[shard]) continue;
        const std::string where =
            found == tensors.end() ? "it is in none of the shards" : "it lies in " + parts[found->second.part].path;
        require(false, index_path, ": tensor ", brief_string(tensor), " is to lie in ", brief_string(shard), ", but ", where);
    }
}

// ---- Names -----------------------------------------------------------------------------------------------------------------------

void Safetensors::add_shared_names() {
    for (const auto& [left_out, kept] : metadata) {
        const auto found = tensors.find(kept);
        if (found == tensors.end() || tensors.count(left_out) > 0) continue;
        const TensorInfo same = found->second;
        tensors.emplace(left_out, same);
    }
}

// Removes what PyTorch's wrappers add from all components of a name.
static std::string without_wrapper_marks(std::string name) {
    for (const std::string_view mark : {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."})
        for (std::size_t at = name.find(mark); at != std::string::npos; at = name.find(mark, at)) {
            if (at == 0 || name[at - 1] == '.')
                name.erase(at, mark.size());
            else
                at += mark.size();
        }
    return name;
}

void Safetensors::take_off_wrappers() {
    const std::string wrapper = "module.";
    std::vector<std::pair<std::string, const TensorInfo*>> renamed;
    bool all_wrapped = !tensors.empty(), changed = false;
    for (const auto& [name, info] : tensors) {
        renamed.push_back({without_wrapper_marks(name), &info});
        all_wrapped = all_wrapped && renamed.back().first.starts_with(wrapper);
        changed = changed || renamed.back().first != name;
    }
    if (!all_wrapped && !changed) return;
    std::map<std::string, TensorInfo> plain;
    for (const auto& [name, info] : renamed) plain.emplace(all_wrapped ? name.substr(wrapper.size()) : name, *info);
    if (plain.size() == tensors.size()) tensors = std::move(plain);  // keep all names if two would become equal
}

Safetensors::Safetensors(const std::string& given) : path(given) {
    require_no_folder(path);
    const std::string index = index_for(path);
    if (index.empty())
        add_part(path);
    else
        add_parts_of_index(index);
    add_shared_names();
    take_off_wrappers();
}

std::string Safetensors::other_kind(const std::vector<std::string_view>& wanted) const {
    std::vector<std::string_view> names;
    for (const auto& [name, info] : tensors) names.push_back(name);
    const std::string here = kind_of_names(names), asked = kind_of_names(wanted);
    const std::string kind_here = here.substr(0, here.find(" (")), kind_asked = asked.substr(0, asked.find(" ("));
    if (here.empty() || kind_here == kind_asked) return "";
    return "; this looks like " + here + (asked.empty() ? "" : ", " + asked + " was asked for");
}

std::string Safetensors::near_names(const std::string& name) const {
    std::vector<std::pair<std::size_t, std::string_view>> near;  // slow, so only called when a name is missing
    for (const auto& [other, info] : tensors) {
        const bool has_prefix = other.ends_with("." + name);  // "backbone.wte.weight": the nearest, whatever the prefix is
        if (has_prefix || other.size() <= 2 * name.size() + 8)
            near.push_back({has_prefix ? 0 : changes_between(name, other), other});
    }
    const std::size_t shown = std::min<std::size_t>(near.size(), 3);
    std::partial_sort(near.begin(), near.begin() + static_cast<long>(shown), near.end());
    std::string list;
    for (std::size_t k = 0; k < shown; ++k) list += (k == 0 ? "; near it: " : ", ") + std::string(near[k].second);
    const bool has_prefix = !near.empty() && near.front().first == 0;
    return list + (has_prefix ? "; take off what stands in front of the names" : "");
}

static const TensorInfo& find_tensor(const Safetensors& file, const std::string& name) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end())
        require(false, file.path, ": holds no tensor ", brief_string(name), file.other_kind({name}), file.near_names(name));
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

// Reads numbers of type StoredType in pieces and converts each.
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
    require(is_float_type(info), path, ": tensor ", brief_string(name), " is of type ", std::string(info.type, 0, 20),
            ", not of F32, F64, F16 or BF16");
    const std::size_t count = (info.end - info.begin) / size_of_type(info.type);
    const std::size_t cols = info.shape.empty() ? 1 : static_cast<std::size_t>(info.shape.back());
    std::size_t rows = 1;  // the product of all dimensions but the last, which may be 0
    const std::size_t largest = std::numeric_limits<int>::max();
    for (std::size_t k = 0; k + 1 < info.shape.size(); ++k)
        rows = std::min(rows * std::min<std::size_t>(info.shape[k], largest + 1), largest + 1);
    require(rows <= largest && cols <= largest, path, ": tensor ", brief_string(name), " of shape ", shape_text(info.shape),
            " has too many rows or columns for a Matrix");

    Matrix result = Matrix::unset(static_cast<int>(rows), static_cast<int>(cols));
    if (count == 0) return result;
    const RandomAccessFile file(parts[info.part].path);
    const std::uint64_t first = parts[info.part].data_begin + info.begin;
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
    require(readable, path, ": tensor ", brief_string(name), " is of type ", std::string(info.type, 0, 20),
            ", not of I32, I64, U8 or BOOL");
    const std::size_t count = (info.end - info.begin) / size_of_type(info.type);
    std::vector<long> result(count);
    const RandomAccessFile file(parts[info.part].path);
    const std::uint64_t first = parts[info.part].data_begin + info.begin;
    if (info.type == "I64") read_converted<std::int64_t, long>(file, first, count, result.data(), from_int64);
    if (info.type == "I32") read_converted<std::int32_t, long>(file, first, count, result.data(), from_int32);
    if (info.type == "U8" || info.type == "BOOL")
        read_converted<std::uint8_t, long>(file, first, count, result.data(), from_byte);
    return result;
}

std::vector<int> Safetensors::integers(const std::string& name) const {
    const std::string place = path + ": tensor " + brief_string(name);
    std::vector<int> result;
    for (const long number : long_integers(name)) {
        require(number == static_cast<int>(number), place, " holds ", number, ", which does not fit an int");
        result.push_back(static_cast<int>(number));
    }
    return result;
}

const std::string& Safetensors::metadata_text(const std::string& key) const {
    const auto found = metadata.find(key);
    require(found != metadata.end(), path, ": the metadata has no entry ", brief_string(key), " among its ", metadata.size());
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
    require(number && *number == static_cast<int>(*number), path, ": metadata ", brief_string(key), " is ", brief_string(words),
            ", a whole number is needed");
    return static_cast<int>(*number);
}

double Safetensors::metadata_double(const std::string& key) const {
    const std::string& words = metadata_text(key);
    const std::optional<double> number = decimal_number(words);
    require(number.has_value(), path, ": metadata ", brief_string(key), " is ", brief_string(words), ", a number is needed");
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
    header.resize((header.size() + 7) / 8 * 8, ' ');  // aligns the numbers to 8 bytes
    return header;
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::vector<const TensorToWrite*> ordered;  // 8-byte integers first, so that all numbers are aligned
    for (const TensorToWrite& tensor : tensors)
        if (!tensor.integers.empty()) ordered.push_back(&tensor);
    for (const TensorToWrite& tensor : tensors)
        if (tensor.integers.empty()) ordered.push_back(&tensor);

    std::map<std::string, int> seen;
    for (const TensorToWrite* const tensor : ordered) {
        const std::string place = path + ": tensor " + brief_string(tensor->name) + ": ";
        require(++seen[tensor->name] == 1 && tensor->name != "__metadata__", place, "the name is already taken");
        const std::size_t count = tensor->integers.empty() ? tensor->floats.size() : tensor->integers.size();
        const std::uint64_t of_shape =
            with_source(std::string_view(place).substr(0, place.size() - 2), [&] { return count_numbers(tensor->shape); });
        require(of_shape == count, place, "the shape ", shape_text(tensor->shape), " does not fit ", count, " numbers");
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
