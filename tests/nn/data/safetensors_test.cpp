#include "nn/data/safetensors.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("safetensors");

// The bytes of a file: header length, header, data.
static std::string file_bytes(const std::string& header, const std::string& data) {
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + data;
}

template <class Number>
static std::string bytes_of(const std::vector<Number>& numbers) {
    std::string bytes(numbers.size() * sizeof(Number), '\0');
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    return bytes;
}

// One tensor "x" of this type and shape.
static std::string one_tensor(const std::string& type, const std::string& shape, const std::string& data) {
    return file_bytes(
        "{\"x\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[0," + std::to_string(data.size()) + "]}}",
        data);
}

// The error of the reader for these bytes, without the path.
static std::string refusal(const std::string& bytes) {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", bytes);
    const std::string error = error_of([&] { Safetensors file(path); });
    return error.substr(0, path.size()) == path ? error.substr(path.size()) : error;
}

TEST_CASE("Safetensors: a file written byte by byte from the format's description") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"),
                      {{.name = "a", .shape = {2}, .floats = Matrix{{1, -2}}}, {.name = "n", .shape = {}, .integers = {7}}},
                      {{"k", "v\""}});
    const std::string header =
        "{\"__metadata__\":{\"k\":\"v\\\"\"},\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}";
    const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
    CHECK(read_file(folder.path("f")) == file_bytes(padded, bytes_of<std::int64_t>({7}) + bytes_of<float>({1, -2})));
}

TEST_CASE("write_safetensors: tensors come back with name, shape and numbers; the last dimension is the columns") {
    const TemporaryFolder folder;
    const Matrix numbers{{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
    write_safetensors(folder.path("f"), {{.name = "cube", .shape = {3, 2, 2}, .floats = numbers},
                                         {.name = "row", .shape = {12}, .floats = numbers},
                                         {.name = "scalar", .shape = {}, .floats = Matrix{{5}}},
                                         {.name = "nothing", .shape = {0, 3}, .floats = Matrix(0, 3)},
                                         {.name = "whole", .shape = {2}, .integers = {-1, 1L << 40}},
                                         {.name = "whole.2", .shape = {3}, .integers = {5, 6, 7}}});
    const Safetensors file(folder.path("f"));
    CHECK(file.tensors.size() == 6);
    CHECK(file.tensors.at("cube").shape == std::vector<long>{3, 2, 2});
    CHECK(file.tensors.at("cube").type == "F32");
    CHECK(identical(file.matrix("cube"), reshape(numbers, 6, 2)));
    CHECK(identical(file.matrix("row"), reshape(numbers, 1, 12)));
    CHECK(identical(file.matrix("scalar"), Matrix{{5}}));
    CHECK(identical(file.matrix("nothing"), Matrix(0, 3)));
    CHECK(file.long_integers("whole") == std::vector<long>{-1, 1L << 40});
    CHECK(file.long_integers("whole.2") == std::vector<long>{5, 6, 7});
    CHECK(error_of([&] { file.integers("whole"); }) ==
          folder.path("f") + ": tensor \"whole\" holds 1099511627776, which does not fit an int");
    CHECK(error_of([&] { file.matrix("whole"); }) ==
          folder.path("f") + ": tensor \"whole\" is of type I64, not of F32, F64, F16 or BF16");
    CHECK(error_of([&] { file.integers("cube"); }) ==
          folder.path("f") + ": tensor \"cube\" is of type F32, not of I32, I64, U8 or BOOL");
    CHECK(error_of([&] { file.matrix("scalr"); }) ==
          folder.path("f") + ": holds no tensor \"scalr\"; near it: scalar, cube, whole");
    CHECK(shape_text({}) == "()");
    CHECK(shape_text({3, 2, 2}) == "(3, 2, 2)");
}

TEST_CASE("write_safetensors: every bit of a float survives") {
    const TemporaryFolder folder;
    const Matrix numbers{{0.f, -0.f, INFINITY, -INFINITY, std::bit_cast<float>(0x7FC12345u), 1e-45f, 3.4028235e38f}};
    write_safetensors(folder.path("f"), {{.name = "x", .shape = {7}, .floats = numbers}});
    CHECK(identical(Safetensors(folder.path("f")).matrix("x"), numbers));
}

TEST_CASE("float_from_half: by hand") {
    CHECK(float_from_half(0x0000) == 0.f);
    CHECK(std::signbit(float_from_half(0x8000)));
    CHECK(float_from_half(0x3C00) == 1.f);  // exponent 15 - 15, fraction 0
    CHECK(float_from_half(0xC000) == -2.f);
    CHECK(float_from_half(0x3555) == 0.333251953125f);  // (1024 + 341) / 4096
    CHECK(float_from_half(0x7BFF) == 65504.f);          // the largest
    CHECK(float_from_half(0x0400) == 0x1p-14f);         // the smallest with a hidden 1
    CHECK(float_from_half(0x0001) == 0x1p-24f);         // the smallest at all
    CHECK(float_from_half(0x83FF) == -1023 * 0x1p-24f);
    CHECK(float_from_half(0x7C00) == INFINITY);
    CHECK(float_from_half(0xFC00) == -INFINITY);
    CHECK(std::isnan(float_from_half(0x7C01)));
    CHECK(std::bit_cast<std::uint32_t>(float_from_half(0xFE01)) == 0xFFC02000u);
}

TEST_CASE("float_from_half: all 65536 numbers: exponent field and order are right") {
    for (int bits = 0; bits < 0x7C00; ++bits) {
        const float x = float_from_half(static_cast<std::uint16_t>(bits)),
                    next = float_from_half(static_cast<std::uint16_t>(bits + 1));
        const float step = bits < 0x400 ? 0x1p-24f : std::ldexp(1.f, (bits >> 10) - 25);
        if (bits < 0x7BFF && next - x != step) FAIL("step after " << bits);
        if (float_from_half(static_cast<std::uint16_t>(bits | 0x8000)) != -x) FAIL("sign of " << bits);
    }
}

TEST_CASE("float_from_bfloat16: the upper half of a float") {
    CHECK(float_from_bfloat16(0x3F80) == 1.f);
    CHECK(float_from_bfloat16(0xC049) == -3.140625f);
    CHECK(float_from_bfloat16(0x0001) == 0x1p-133f);  // subnormal
    CHECK(float_from_bfloat16(0x7F80) == INFINITY);
    CHECK(std::isnan(float_from_bfloat16(0x7FC0)));
}

TEST_CASE("Safetensors: other types are converted when read") {
    const TemporaryFolder folder;
    const auto x = [&](const std::string& type, const std::string& data) {
        return Safetensors(folder.file("f", one_tensor(type, "[2]", data))).matrix("x");
    };
    CHECK(identical(x("F16", bytes_of<std::uint16_t>({0x3C00, 0xFC00})), Matrix{{1, -INFINITY}}));
    CHECK(identical(x("BF16", bytes_of<std::uint16_t>({0x3F80, 0x4000})), Matrix{{1, 2}}));
    CHECK(identical(x("F64", bytes_of<double>({0.1, -1e300})), Matrix{{0.1f, -INFINITY}}));
    const auto n = [&](const std::string& type, const std::string& data) {
        return Safetensors(folder.file("f", one_tensor(type, "[2]", data))).integers("x");
    };
    CHECK(n("I64", bytes_of<std::int64_t>({-5, 6})) == std::vector<int>{-5, 6});
    CHECK(n("I32", bytes_of<std::int32_t>({-5, 6})) == std::vector<int>{-5, 6});
    CHECK(n("U8", bytes_of<std::uint8_t>({0, 255})) == std::vector<int>{0, 255});
    CHECK(n("BOOL", bytes_of<std::uint8_t>({0, 1})) == std::vector<int>{0, 1});
}

TEST_CASE("Safetensors: each type takes as many bytes as the format says; an unknown one takes what its offsets span") {
    const std::vector<std::pair<std::string, std::size_t>> types{
        {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4},  {"I32", 4}, {"U32", 4},     {"F16", 2},    {"BF16", 2},
        {"I16", 2}, {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (const auto& [type, bytes] : types) {
        CHECK_MESSAGE(refusal(one_tensor(type, "[3]", std::string(3 * bytes, 'x'))).empty(), type);
        CHECK(refusal(one_tensor(type, "[3]", std::string(3 * bytes + 1, 'x'))) ==
              joined({": tensor \"x\": shape (3) of ", type, " takes ", 3 * bytes, " bytes, data_offsets span ", 3 * bytes + 1}));
    }
    CHECK(refusal(one_tensor("STRANGE", "[2]", "abc")).empty());
}

TEST_CASE("Safetensors: a name of at most 2 n + 8 bytes is offered for a missing one of n; three are, the nearest first") {
    const TemporaryFolder folder;
    const auto error = [&](const std::vector<std::string>& names) {
        std::vector<TensorToWrite> tensors;
        for (const std::string& name : names) tensors.push_back({name, {1}, Matrix{{1}}});
        write_safetensors(folder.path("f"), tensors);
        const Safetensors file(folder.path("f"));
        return error_of([&] { file.matrix("abc"); }).substr(file.path.size());
    };
    const std::string begin = ": holds no tensor \"abc\"", near(14, 'x'), far(15, 'x');
    CHECK(error({near, far}) == begin + "; near it: " + near);
    CHECK(error({far}) == begin);
    CHECK(error({"abcd", near, "axyz", "abxy"}) == begin + "; near it: abcd, abxy, axyz");
    CHECK(error({"abcd", far + ".abc", far + "abc"}) ==
          begin + "; near it: " + far + ".abc, abcd; take off what stands in front of the names");
}

TEST_CASE("Safetensors: reads more numbers than fit its buffer") {
    const TemporaryFolder folder;
    std::vector<std::uint16_t> halves;
    for (int k = 0; k < 40'000; ++k) halves.push_back(static_cast<std::uint16_t>(k % 0x7C00));
    const Matrix x = Safetensors(folder.file("f", one_tensor("F16", "[40000]", bytes_of(halves)))).matrix("x");
    for (int k = 0; k < 40'000; ++k)
        if (x(0, k) != float_from_half(halves[static_cast<std::size_t>(k)])) FAIL("number " << k);
}

TEST_CASE("Safetensors: metadata as text and as numbers") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {}, {{"depth", "12"}, {"eps", "1e-12"}, {"name", "vit"}, {"huge", "3000000000"}});
    const Safetensors file(folder.path("f"));
    CHECK(file.metadata_int("depth") == 12);
    CHECK(file.metadata_double("eps") == 1e-12);
    CHECK(file.metadata_text("name") == "vit");
    CHECK(error_of([&] { file.metadata_int("eps"); }) == file.path + ": metadata \"eps\" is \"1e-12\", a whole number is needed");
    CHECK(error_of([&] { file.metadata_int("huge"); }) ==
          file.path + ": metadata \"huge\" is \"3000000000\", a whole number is needed");
    CHECK(error_of([&] { file.metadata_double("name"); }) == file.path + ": metadata \"name\" is \"vit\", a number is needed");
    CHECK(error_of([&] { file.metadata_text("none"); }) == file.path + ": the metadata has no entry \"none\" among its 4");
}

TEST_CASE("write_safetensors: names, shapes and numbers that do not fit are refused") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    const Matrix two{{1, 2}};
    CHECK(error_of([&] {
              write_safetensors(path, {{"a", {2}, two}, {"a", {2}, two}});
          }) == path + ": tensor \"a\": the name is already taken");
    CHECK(error_of([&] {
              write_safetensors(path, {{"__metadata__", {2}, two}});
          }) == path + ": tensor \"__metadata__\": the name is already taken");
    CHECK(error_of([&] {
              write_safetensors(path, {{"a", {3}, two}});
          }) == path + ": tensor \"a\": the shape (3) does not fit 2 numbers");
    CHECK(error_of([&] {
              write_safetensors(path, {{"a", {-1, -2}, two}});
          }) == path + ": tensor \"a\": the shape (-1, -2) has a negative dimension");
    CHECK(folder.names().empty());
}

TEST_CASE("Safetensors: an inconsistent header is refused before anything is allocated") {
    const std::string four(4, 'x');
    CHECK(refusal("") == ": is empty, a safetensors file is needed; perhaps a download that broke off");
    CHECK(refusal("x") == ": 1 bytes are too few for a safetensors file; perhaps a download that broke off");
    CHECK(refusal("1234567") == ": 7 bytes are too few for a safetensors file; perhaps a download that broke off");
    CHECK(
        refusal(std::string(8, '\xFF')) ==
        ": is not a safetensors file: a header of 18446744073709551615 bytes is announced, 0 follow; at most 100000000 are read; the file "
        "begins with \"\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\"");
    CHECK(refusal(file_bytes("{}", "").substr(0, 9)) ==
          ": is not a safetensors file: a header of 2 bytes is announced, 1 follow; perhaps a download that broke off");
    CHECK(
        refusal("Entry not found") ==
        ": is not a safetensors file: a header of 8029390891631537733 bytes is announced, 7 follow; at most 100000000 are read; the "
        "file begins with \"Entry not found\"");
    CHECK(refusal(file_bytes("[]", "")) == ": is not a safetensors file: the header is not a JSON object");
    CHECK(refusal(file_bytes("{", "")) == ": header: line 1, byte 1: the text ends too early, it is cut off");
    CHECK(refusal(file_bytes("{\"x\":1}", "")) == ": tensor \"x\": json: line 1: an object is needed, this is a number");
    CHECK(refusal(file_bytes("{\"x\":{}}", "")) == ": tensor \"x\": json: line 1: the object has no member \"dtype\"");
    CHECK(refusal(file_bytes("{\"__metadata__\":{\"a\":1}}", "")) ==
          ": tensor \"__metadata__\": json: line 1: a string is needed, this is a number");
    CHECK(refusal(one_tensor("F32", "[2]", four)) ==
          ": tensor \"x\": shape (2) of F32 asks for more than the 4 bytes of data in the file");
    CHECK(refusal(one_tensor("F16", "[1]", four)) == ": tensor \"x\": shape (1) of F16 takes 2 bytes, data_offsets span 4");
    CHECK(refusal(one_tensor("F32", "[-1]", four)) == ": tensor \"x\": the shape (-1) has a negative dimension");
    CHECK(refusal(one_tensor("F32", "[1.5]", four)) ==
          ": tensor \"x\": json: line 1: a whole number of at most 64 bits is needed, this is 1.500000");
    CHECK(refusal(one_tensor("F32", "[4294967296,4294967296]", four)) ==
          ": tensor \"x\": the shape (4294967296, 4294967296) is too large");
    CHECK(refusal(one_tensor("F32", "[4611686018427387905]", four)) ==
          ": tensor \"x\": the shape (4611686018427387905) is too large");
    CHECK(refusal(one_tensor("F32", "[4611686018427387904]", four)) ==
          ": tensor \"x\": shape (4611686018427387904) of F32 asks for more than the 4 bytes of data in the file");
    CHECK(refusal(one_tensor("F32", "[1]", four) + "y") == ": the tensors end at byte 4 of the data, the file holds 5");
    CHECK(refusal(file_bytes("{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", "x")) ==
          ": tensor \"x\": data_offsets must be two numbers, here are 1");
    CHECK(refusal(file_bytes("{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", "x")) ==
          ": tensor \"x\": data_offsets [1, 0] must not be negative or backwards");
    CHECK(refusal(file_bytes("{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", "x")) ==
          ": tensor \"x\": data_offsets [-1, 0] must not be negative or backwards");
    CHECK(refusal(file_bytes("{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", "x")) ==
          ": tensor \"x\": data_offsets [0, 2], but the file holds 1 bytes of data; perhaps a download that broke off");
    const std::string x = "\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}";
    CHECK(refusal(file_bytes("{" + x + ",\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,4]}}", "abcd")) ==
          ": tensor \"y\": shape (1) of U8 takes 1 bytes, data_offsets span 2");
    CHECK(refusal(file_bytes("{" + x + ",\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", "abc")) ==
          ": tensor \"y\" begins at byte 1 of the data, the one before it ends at 2");
    CHECK(refusal(file_bytes("{" + x + ",\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}", "abcd")) ==
          ": tensor \"y\" begins at byte 3 of the data, the one before it ends at 2");
    CHECK(refusal(file_bytes("{" + x + "," + x + "}", "ab")) == ": tensor \"x\": the header has two entries of this name");
}

TEST_CASE("Safetensors: a tensor with too many rows for a Matrix is refused, even if empty") {
    const TemporaryFolder folder;
    const Safetensors file(folder.file("f", one_tensor("F32", "[3000000000,0]", "")));
    CHECK(error_of([&] { file.matrix("x"); }) ==
          file.path + ": tensor \"x\" of shape (3000000000, 0) has too many rows or columns for a Matrix");
    const Safetensors wide(folder.file("g", one_tensor("F32", "[0,3000000000]", "")));
    CHECK(error_of([&] { wide.matrix("x"); }) ==
          wide.path + ": tensor \"x\" of shape (0, 3000000000) has too many rows or columns for a Matrix");
}

TEST_CASE("Safetensors: a truncated file is refused, wherever it is cut") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"),
                      {{.name = "a", .shape = {2}, .floats = Matrix{{1, 2}}}, {.name = "n", .shape = {1}, .integers = {7}}},
                      {{"k", "v"}});
    const std::string whole = read_file(folder.path("f"));
    CHECK(refusal(whole) == "");
    for (std::size_t length = 0; length < whole.size(); ++length) CHECK_MESSAGE(refusal(whole.substr(0, length)) != "", length);
}

TEST_CASE("Safetensors: a file that has shrunk since it was opened is refused") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{.name = "a", .shape = {2}, .floats = Matrix{{1, 2}}}});
    const Safetensors file(folder.path("f"));
    const std::string bytes = read_file(file.path);
    folder.file("f", bytes.substr(0, bytes.size() - 1));
    CHECK(error_of([&] { file.matrix("a"); }) != "");
}

TEST_CASE("Safetensors: a header of 100,000,000 bytes is read, a longer one or one beyond the file is refused") {
    const TemporaryFolder folder;
    const auto first_bytes = [](std::uint64_t length) {
        std::string bytes(8, '\0');
        std::memcpy(bytes.data(), &length, 8);
        return bytes;
    };
    std::string largest = "{}";
    largest.resize(100'000'000, ' ');
    CHECK(refusal(first_bytes(100'000'000) + largest) == "");
    CHECK(
        refusal(first_bytes(100'000'001) + largest + " ") ==
        ": is not a safetensors file: a header of 100000001 bytes is announced, 100000001 follow; at most 100000000 are read; the file "
        "begins with \"\\u0001\uFFFD\uFFFD\\u0005\\u0000\\u0000\\u0000\\u0000{}      \"");
    CHECK(refusal(first_bytes(100'000'000) + "{}") ==
          ": is not a safetensors file: a header of 100000000 bytes is announced, 2 follow; perhaps a download that broke off");
    CHECK(refusal(first_bytes(3) + "{}") ==
          ": is not a safetensors file: a header of 3 bytes is announced, 2 follow; perhaps a download that broke off");
    CHECK(refusal(first_bytes(0) + "{}") == ": is not a safetensors file: the header is not a JSON object");
    CHECK(refusal(file_bytes("\xEF\xBB\xBF{}", "")) == ": is not a safetensors file: the header is not a JSON object");
}

TEST_CASE("Safetensors: 20,000 dimensions are read quickly and shortened in messages") {
    std::string ones = "[1";
    for (int k = 1; k < 20'000; ++k) ones += ",1";
    CHECK(refusal(one_tensor("U8", ones + "]", "x")) == "");
    const std::string shown = "(1, 1, 1, 1, 1, 1, 1, 1, ... 20001 dimensions)";
    CHECK(refusal(one_tensor("U8", ones + ",-1]", "x")) == ": tensor \"x\": the shape " + shown + " has a negative dimension");
    CHECK(refusal(one_tensor("U8", ones + ",2]", "x")) ==
          ": tensor \"x\": shape " + shown + " of U8 asks for more than the 1 bytes of data in the file");
    CHECK(shape_text(std::vector<long>(16, 2)) == "(2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2)");
    CHECK(shape_text(std::vector<long>(17, 2)) == "(2, 2, 2, 2, 2, 2, 2, 2, ... 17 dimensions)");
}

TEST_CASE("Safetensors: a name, a type or metadata of a million characters is shortened in messages") {
    const std::string name(1'000'000, 'n');
    const std::string shown = "\"" + std::string(60, 'n') + "\"... (1000000 bytes)";
    CHECK(refusal(file_bytes("{\"" + name + "\":1}", "")) ==
          ": tensor " + shown + ": json: line 1: an object is needed, this is a number");
    CHECK(refusal(one_tensor(name, "[-1]", "x")).size() < 200);
    const TemporaryFolder folder;
    const Safetensors file(folder.file("f", file_bytes("{\"__metadata__\":{\"depth\":\"" + name + "\"}}", "")));
    CHECK(error_of([&] { file.metadata_int("depth"); }) ==
          file.path + ": metadata \"depth\" is " + shown + ", a whole number is needed");
    CHECK(error_of([&] { file.matrix(name); }) == file.path + ": holds no tensor " + shown);
}

TEST_CASE("Safetensors: null metadata counts as none, as in the published reader") {
    CHECK(refusal(file_bytes("{\"__metadata__\":null}", "")) == "");
    CHECK(refusal(file_bytes("{\"__metadata__\":{\"a\":null}}", "")) ==
          ": tensor \"__metadata__\": json: line 1: a string is needed, this is null");
}

TEST_CASE("Safetensors: a file of another kind is named by its first bytes") {
    CHECK(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 548105171\n") ==
          ": is not a safetensors file, it looks like a git-lfs pointer, not the file itself; fetch it: git lfs pull");
    CHECK(
        refusal("PK\x03\x04\x14 and more of it") ==
        ": is not a safetensors file, it looks like a zip archive, as PyTorch's .bin, .pt and .pth and NumPy's .npz are; a checkpoint "
        "must be converted to safetensors");
    CHECK(refusal("\x1F\x8B\x08") ==
          ": is not a safetensors file, it looks like a file compressed with gzip; unpack it first: gunzip -k FILE");
    CHECK(refusal("P6 1 1 255 abc") == ": is not a safetensors file, it looks like a PPM or PGM image");
    CHECK(refusal("{\"model_type\": \"gpt2\"}") == ": is JSON text, but not an index of shards: there is no \"weight_map\"");
    CHECK(refusal("[1]") == ": is JSON text, but not an index of shards: there is no \"weight_map\"");
}

TEST_CASE("Safetensors: prefixes of training wrappers are removed from names") {
    const TemporaryFolder folder;
    const auto names = [&](const std::vector<std::string>& written) {
        std::vector<TensorToWrite> tensors;
        for (const std::string& name : written) tensors.push_back({name, {1}, Matrix{{static_cast<float>(tensors.size())}}});
        write_safetensors(folder.path("f"), tensors);
        std::vector<std::string> read;
        for (const auto& [name, info] : Safetensors(folder.path("f")).tensors) read.push_back(name);
        return read;
    };
    using Names = std::vector<std::string>;
    CHECK(names({"module.a.weight", "module.b"}) == Names{"a.weight", "b"});
    CHECK(names({"_orig_mod.a.weight", "_orig_mod.b"}) == Names{"a.weight", "b"});
    CHECK(names({"_orig_mod.module.a", "_orig_mod.module.b"}) == Names{"a", "b"});
    CHECK(names({"module._orig_mod.a", "module._orig_mod.b"}) == Names{"a", "b"});
    CHECK(names({"h.0._orig_mod.weight", "b"}) == Names{"b", "h.0.weight"});  // a block that was compiled alone
    CHECK(names({"module.a", "b"}) == Names{"b", "module.a"});                // not in front of every name: a name
    CHECK(names({"x_orig_mod.a"}) == Names{"x_orig_mod.a"});
    CHECK(names({"_fsdp_wrapped_module.h.0._checkpoint_wrapped_module.a", "b"}) == Names{"b", "h.0.a"});
    CHECK(names({"_orig_mod.a", "a"}) == Names{"_orig_mod.a", "a"});  // would be one name for two tensors
    names({"module.a", "module.b"});
    CHECK(Safetensors(folder.path("f")).matrix("b")(0, 0) == 1);
}

TEST_CASE("Safetensors: a tensor with two names, of which save_model keeps one, has both") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"lm_head.weight", {2}, Matrix{{1, 2}}}},
                      {{"wte.weight", "lm_head.weight"}, {"lm_head.weight", "lm_head.weight"}, {"format", "pt"}});
    const Safetensors file(folder.path("f"));
    CHECK(file.tensors.size() == 2);
    CHECK(identical(file.matrix("wte.weight"), Matrix{{1, 2}}));
}

// ---- several files ----

namespace {

// A checkpoint of two files and their index; a test overwrites what it breaks.
struct Shards {
    TemporaryFolder folder;
    std::string first = folder.path("model-00001-of-00002.safetensors"), second = folder.path("model-00002-of-00002.safetensors");
    std::string index = folder.path("model.safetensors.index.json");

    Shards() {
        write_safetensors(first, {{"a", {2}, Matrix{{1, 2}}}, {"b", {1}, Matrix{{3}}}}, {{"format", "pt"}});
        write_safetensors(second, {{"c", {3}, Matrix{{4, 5, 6}}}}, {{"format", "pt"}, {"more", "yes"}});
        write_index({{"a", "00001"}, {"b", "00001"}, {"c", "00002"}});
    }

    void write_index(const std::vector<std::pair<std::string, std::string>>& places) const {
        std::string map;
        for (const auto& [name, number] : places)
            map += (map.empty() ? "" : ", ") + ("\"" + name + "\": \"model-" + number + "-of-00002.safetensors\"");
        folder.file("model.safetensors.index.json", "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map + "}}\n");
    }

    std::string refusal() const {
        return error_of([&] { Safetensors file(index); });
    }
};

}  // namespace

TEST_CASE("Safetensors: a checkpoint in several files is read as one, through its index or any part") {
    const Shards shards;
    for (const std::string& path : {shards.index, shards.first, shards.second}) {
        const Safetensors file(path);
        CHECK(file.path == path);
        CHECK(file.tensors.size() == 3);
        CHECK(identical(file.matrix("a"), Matrix{{1, 2}}));
        CHECK(identical(file.matrix("b"), Matrix{{3}}));
        CHECK(identical(file.matrix("c"), Matrix{{4, 5, 6}}));
        CHECK(file.metadata_text("more") == "yes");
    }
    // A file that is not in the index is no part of it.
    write_safetensors(shards.folder.path("model-00003-of-00002.safetensors"), {{"d", {1}, Matrix{{7}}}});
    CHECK(Safetensors(shards.folder.path("model-00003-of-00002.safetensors")).tensors.size() == 1);
}

TEST_CASE("Safetensors: a shard without its index is refused, the only one of 1 is not") {
    const TemporaryFolder folder;
    for (const std::string name : {"a-00001-of-00001.safetensors", "a-00002-of-00002.safetensors", "a-1-of-2.fp16.safetensors"})
        write_safetensors(folder.path(name), {{"d", {1}, Matrix{{7}}}});
    CHECK(Safetensors(folder.path("a-00001-of-00001.safetensors")).tensors.size() == 1);
    const auto refusal = [&](const std::string& name) { return error_of([&] { Safetensors{folder.path(name)}; }); };
    const std::string fetch = ", is not there; fetch it and the shards that it names into this folder";
    CHECK(refusal("a-00002-of-00002.safetensors") == folder.path("a-00002-of-00002.safetensors") +
                                                         ": is one of 2 shards, and their index, " +
                                                         folder.path("a.safetensors.index.json") + fetch);
    CHECK(refusal("a-1-of-2.fp16.safetensors") == folder.path("a-1-of-2.fp16.safetensors") +
                                                      ": is one of 2 shards, and their index, " +
                                                      folder.path("a.safetensors.index.fp16.json") + fetch);
    CHECK(refusal("a-1-of-3.safetensors") ==
          folder.path("a-1-of-3.safetensors") + ": cannot be opened: No such file or directory");
}

TEST_CASE("Safetensors: the shards of a variant have an index of their own") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("m-1-of-2.fp16.safetensors"), {{"a", {1}, Matrix{{1}}}});
    write_safetensors(folder.path("m-2-of-2.fp16.safetensors"), {{"b", {1}, Matrix{{2}}}});
    folder.file("m.safetensors.index.fp16.json",
                R"({"weight_map": {"a": "m-1-of-2.fp16.safetensors", "b": "m-2-of-2.fp16.safetensors"}})");
    CHECK(Safetensors(folder.path("m-2-of-2.fp16.safetensors")).tensors.size() == 2);
}

TEST_CASE("Safetensors: a folder is refused, with the file in it that can be given") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f"), refused = ": is a directory, a file is needed";
    std::filesystem::create_directory(path);
    CHECK(error_of([&] { Safetensors{path}; }) == path + refused);
    folder.file("f/model.safetensors.index.json", "{}");
    CHECK(error_of([&] { Safetensors{path + "/"}; }) ==
          path + "/" + refused + "; give " + path + "/model.safetensors.index.json");
    folder.file("f/model.safetensors", "");
    CHECK(error_of([&] { Safetensors{path}; }) == path + refused + "; give " + path + "/model.safetensors");
}

TEST_CASE("Safetensors: a file is a shard only if both numbers of its name are numbers, whatever an index says") {
    const TemporaryFolder folder;
    const std::string index_of_model = "{\"weight_map\": {\"a\": \"FILE\", \"b\": \"other.safetensors\"}}";
    write_safetensors(folder.path("other.safetensors"), {{"b", {1}, Matrix{{2}}}});
    const auto tensors_of = [&](const std::string& name) {
        std::string index = index_of_model;
        folder.file("model.safetensors.index.json", index.replace(index.find("FILE"), 4, name));
        write_safetensors(folder.path(name), {{"a", {1}, Matrix{{1}}}});
        return Safetensors(folder.path(name)).tensors.size();
    };
    CHECK(tensors_of("model-00001-of-00002.safetensors") == 2);
    CHECK(tensors_of("model-first-of-00002.safetensors") == 1);
    CHECK(tensors_of("model-00001-of-two.safetensors") == 1);
    CHECK(tensors_of("model-00001-of-.safetensors") == 1);
    CHECK(tensors_of("model-00001-to-00002.safetensors") == 1);
    CHECK(tensors_of("model.safetensors") == 1);
}

TEST_CASE("Safetensors: shards that do not match their index are refused in one line") {
    {
        const Shards shards;
        std::filesystem::remove(shards.second);
        CHECK(shards.refusal() ==
              shards.index + ": the shard \"model-00002-of-00002.safetensors\" is not there; tensor \"c\" lies in it");
        CHECK(error_of([&] { Safetensors file(shards.first); }) == shards.refusal());
    }
    {
        const Shards shards;
        shards.write_index({{"a", "00001"}, {"b", "00002"}, {"c", "00002"}});
        CHECK(shards.refusal() ==
              shards.index + ": tensor \"b\" is to lie in \"model-00002-of-00002.safetensors\", but it lies in " + shards.first);
    }
    {
        const Shards shards;
        shards.write_index({{"a", "00001"}, {"c", "00002"}, {"d", "00002"}});
        CHECK(shards.refusal() ==
              shards.index + ": tensor \"d\" is to lie in \"model-00002-of-00002.safetensors\", but it is in none of the shards");
    }
    {
        const Shards shards;
        write_safetensors(shards.second, {{"a", {2}, Matrix{{1, 2}}}, {"c", {1}, Matrix{{3}}}});
        CHECK(shards.refusal() ==
              shards.second + ": tensor \"a\": lies in " + shards.first + " as well, every tensor lies in one part");
    }
    {
        const Shards shards;
        shards.folder.file("model-00002-of-00002.safetensors", "version https://git-lfs.github.com/spec/v1\n");
        CHECK(shards.refusal().starts_with(shards.second + ": is not a safetensors file, it looks like a git-lfs pointer"));
    }
    const Shards shards;
    const std::string name = "model.safetensors.index.json";
    shards.folder.file(name, "{\"weight_map\": {\"a\": \"../secret\"}}");
    CHECK(shards.refusal() == shards.index + ": tensor \"a\" is to lie in \"../secret\", a file beside the index is needed");
    for (const std::string place : {"", ".", "..", "a/b"}) {
        shards.folder.file(name, "{\"weight_map\": {\"a\": \"" + place + "\"}}");
        CHECK(shards.refusal() ==
              shards.index + ": tensor \"a\" is to lie in \"" + place + "\", a file beside the index is needed");
    }
    shards.folder.file(name, "{\"weight_map\": {\"a\": 1}}");
    CHECK(shards.refusal() == shards.index + ": weight_map: json: line 1: a string is needed, this is a number");
    shards.folder.file(name, "{\"weight_map\": {}}");
    CHECK(shards.refusal() == shards.index + ": the weight_map names no tensor");
    shards.folder.file(name, "{\"weight_map\": {\"a\": ");
    CHECK(shards.refusal() == shards.index + ": line 1, byte 21: the text ends too early, it is cut off");
}

TEST_CASE("Safetensors::dimension: one that is missing or does not fit an int is refused") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", one_tensor("F32", "[0,2147483647,2147483648]", ""));
    const Safetensors file(path);
    CHECK(file.dimension("x", 0) == 0);
    CHECK(file.dimension("x", 1) == 2147483647);
    const auto rule = [&](int which) {
        return path + ": x has the shape (0, 2147483647, 2147483648), dimension " + std::to_string(which) +
               " is missing or too large";
    };
    CHECK(error_of([&] { file.dimension("x", 2); }) == rule(2));
    CHECK(error_of([&] { file.dimension("x", 3); }) == rule(3));
}

TEST_CASE("Safetensors: an empty tensor may have as many rows or columns as an int counts") {
    const TemporaryFolder folder;
    const Matrix high = Safetensors(folder.file("h", one_tensor("F32", "[2147483647,0]", ""))).matrix("x");
    CHECK(high.rows == 2147483647);
    CHECK(high.cols == 0);
    const Matrix wide = Safetensors(folder.file("w", one_tensor("F32", "[0,2147483647]", ""))).matrix("x");
    CHECK(wide.rows == 0);
    CHECK(wide.cols == 2147483647);
}
