// require.h: one-line errors: the place, the values received, the rule that was broken.
//
//   require(P > 0, "patchify: a ", H, " x ", W, " image does not split into patches of side ", P);
#pragma once
#include <initializer_list>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

struct Matrix;

// A line of source. As a defaulted last argument it becomes the caller's line.
using Where = std::source_location;

// A part of a message, not yet formatted: a condition that holds formats nothing, and a call of require compiles to little code.
struct Part {
    enum class Kind { words, letter, whole, natural, real, shape, place } kind;
    std::string_view words{};
    char letter{};
    long long whole{};
    unsigned long long natural{};
    double real{};
    int rows{}, cols{};
    Where where{};

    Part(std::string_view given);
    Part(const std::string& given);
    Part(const char* given);
    Part(char given);
    Part(int given);
    Part(long given);
    Part(long long given);
    Part(unsigned given);
    Part(unsigned long given);
    Part(unsigned long long given);
    Part(double given);
    Part(const Matrix& given);  // its shape
    Part(const Where& given);
};

// "224", "0.500000", "(3, 2)", "vit/vit.cpp:42: "
std::string text(const Part& part);

// All parts, concatenated.
std::string joined(std::initializer_list<Part> parts);

// Throws std::invalid_argument with all parts joined.
[[noreturn]] void fail(std::initializer_list<Part> parts);

// Calls fail unless the condition holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
    if (!condition) fail({parts...});
}
