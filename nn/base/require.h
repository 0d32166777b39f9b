// require.h: one line for every error: the place, what came, the rule it broke.
//
//   require(P > 0, "patchify: a ", H, " x ", W, " image does not split into patches of side ", P);
#pragma once
#include <initializer_list>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

struct Matrix;

// The line of source that asked for something; a defaulted last argument fills it in at the caller's line.
using Where = std::source_location;

// A piece of a message as it came, not yet words: a condition that holds pays for none, and a place that asks needs hardly any code.
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

// All parts, one behind the other.
std::string joined(std::initializer_list<Part> parts);

// Throws std::invalid_argument with all parts joined.
[[noreturn]] void fail(std::initializer_list<Part> parts);

// Does so when the condition does not hold.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
    if (!condition) fail({parts...});
}
