// standard.h: what nearly every file includes of the standard library, compiled once.
//
//   note   Nothing outside this folder includes it: in the plain build the Makefile puts it in front of each file. The other kinds of
//          build do without, and so show whether a file includes what it uses.
#pragma once
// Without the functions of Bessel and their like, and without numbers read from wide strings, which g++'s library would form in every
// file, used or not: 30 ms each time.
#include <cstddef>
#undef _GLIBCXX_USE_STD_SPEC_FUNCS
#undef _GLIBCXX_USE_C99_WCHAR

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

// <string> has functions for letters of five kinds, and every file would form the strings of each anew: another 30 ms. What g++ has
// used at compile time it has formed, so here strings are used: copied, cut, moved, compared, and too long to do without memory.
#if !defined(__clang__) && __cpp_lib_constexpr_string >= 201907L
template <class Letter>
constexpr bool form_string(const Letter* letters) {
    const std::basic_string<Letter> text(letters), copy = text;
    const std::basic_string_view<Letter> view = copy;
    std::basic_string<Letter> part(view.data(), view.length()), moved = std::move(part);
    return moved < std::basic_string<Letter>(99, moved.c_str()[0]);  // "a text" < "aaaaaa"
}
#define LONG_TEXT "a text of thirty letters, about"
static_assert(form_string(LONG_TEXT) && form_string(L"" LONG_TEXT) && form_string(u8"" LONG_TEXT) && form_string(u"" LONG_TEXT) &&
              form_string(U"" LONG_TEXT));
#undef LONG_TEXT
#endif

// The usual strings and vectors, whose functions instances.cpp compiles once for all. C++ leaves that to the standard library, whose
// types they are; the library that comes with g++ has no objection, and with any other each file compiles what it uses, as always.
#ifdef __GLIBCXX__
#define STANDARD_INSTANCES(word)                                                      \
    word template class std::basic_string<char>;                                      \
    word template std::string std::operator+(const std::string&, const std::string&); \
    word template std::string std::operator+(const std::string&, const char*);        \
    word template std::string std::operator+(const char*, const std::string&);        \
    word template std::string std::operator+(const char*, std::string&&);             \
    word template std::string std::operator+(std::string&&, const char*);             \
    word template std::string std::operator+(std::string&&, std::string&&);           \
    word template class std::vector<int>;                                             \
    word template class std::vector<float>;                                           \
    word template class std::vector<std::string>;
#else
#define STANDARD_INSTANCES(word)
#endif

STANDARD_INSTANCES(extern)
