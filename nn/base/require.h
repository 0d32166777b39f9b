// require.h: one line for every error: the place, what came, the rule it broke.
//
//   require(P > 0, "patchify: a ", H, " x ", W, " image does not split into patches of side ", P);
#pragma once
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

// The line of source that asked for something; a defaulted last argument fills it in at the caller's line.
using Where = std::source_location;

inline std::string text(int number) { return std::to_string(number); }
inline std::string text(long number) { return std::to_string(number); }
inline std::string text(long long number) { return std::to_string(number); }
inline std::string text(unsigned number) { return std::to_string(number); }
inline std::string text(unsigned long number) { return std::to_string(number); }
inline std::string text(unsigned long long number) { return std::to_string(number); }
inline std::string text(double number) { return std::to_string(number); }
inline std::string text(char letter) { return std::string(1, letter); }
inline std::string text(std::string_view words) { return std::string(words); }
inline std::string text(const Where& where) {  // "vit/vit.cpp:42: "
    return std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": ";
}

// Throws std::invalid_argument with all parts joined when the condition does not hold; joins nothing otherwise.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
    if (!condition) throw std::invalid_argument((text(parts) + ...));
}
