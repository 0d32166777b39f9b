#include "tests/gpt/published_file.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "nn/base/require.h"

std::vector<PublishedTensor> tensors_of(const Parameters& parameters, const std::string& prefix) {
    std::vector<PublishedTensor> tensors;
    for (const Parameter& parameter : parameters)
        tensors.push_back({prefix + parameter.name, parameter.shape, published_value(parameter)});
    return tensors;
}

void make_exact_in_half(const Parameters& parameters) {
    for (const Parameter& parameter : parameters)
        for (Var part : parameter.parts)
            for (float& x : part.value()) x = std::max(-4.0f, std::min(4.0f, std::round(x * 64) / 64));
}

// The two bytes of a number that 16 bits hold exactly.
static std::uint16_t half_bits(float x, Precision precision) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    if (precision == Precision::bfloat16) {
        require((bits & 0xFFFF) == 0, "published_file: ", x, " is not a bfloat16; round it first");
        return static_cast<std::uint16_t>(bits >> 16);
    }
    const std::uint32_t sign = bits >> 31, mantissa = bits & 0x7FFFFF;
    if (x == 0) return static_cast<std::uint16_t>(sign << 15);
    const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127 + 15;
    require(exponent > 0 && exponent < 31 && (mantissa & 0x1FFF) == 0, "published_file: ", x,
            " is not a float16; round it first");
    return static_cast<std::uint16_t>(sign << 15 | static_cast<std::uint32_t>(exponent) << 10 | mantissa >> 13);
}

static std::string bytes_of(const Matrix& numbers, Precision precision) {
    std::string bytes;
    for (const float x : numbers) {
        char buffer[4];
        const std::uint16_t half = precision == Precision::float32 ? std::uint16_t{0} : half_bits(x, precision);
        const std::size_t size = precision == Precision::float32 ? 4 : 2;
        std::memcpy(buffer, precision == Precision::float32 ? static_cast<const void*>(&x) : &half, size);
        bytes.append(buffer, size);
    }
    return bytes;
}

// Length of the header, header, numbers.
static std::string file_of(const std::vector<PublishedTensor>& tensors, Precision precision) {
    const std::string type = precision == Precision::float32 ? "F32" : precision == Precision::bfloat16 ? "BF16" : "F16";
    std::string header = "{\"__metadata__\":{\"format\":\"pt\"}", data;
    for (const PublishedTensor& tensor : tensors) {
        std::string shape;
        for (const long dimension : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(dimension);
        const std::size_t begin = data.size();
        data += bytes_of(tensor.numbers, precision);
        header += ",\"" + tensor.name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
                  std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + data;
}

// "00002"
static std::string five_digits(int number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - digits.size(), '0') + digits;
}

std::string write_published(const TemporaryFolder& folder, const std::vector<PublishedTensor>& tensors, const Published& how,
                            const std::string& config_json) {
    if (!config_json.empty()) folder.file("config.json", config_json);
    if (how.shards == 1) return folder.file("model.safetensors", file_of(tensors, how.precision));
    std::vector<std::vector<PublishedTensor>> parts(how.shards);
    std::string map;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
        const int part = static_cast<int>(k) * how.shards / static_cast<int>(tensors.size());
        parts[part].push_back(tensors[k]);
        map += (map.empty() ? "\"" : ", \"") + tensors[k].name + "\": \"model-" + five_digits(part + 1) + "-of-" +
               five_digits(how.shards) + ".safetensors\"";
    }
    for (int part = 0; part < how.shards; ++part)
        folder.file("model-" + five_digits(part + 1) + "-of-" + five_digits(how.shards) + ".safetensors",
                    file_of(parts[part], how.precision));
    return folder.file("model.safetensors.index.json", "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map + "}}");
}
