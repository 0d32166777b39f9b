// standard.h: what nearly every file includes of the standard library, compiled once.
//
//   note   Nothing outside this folder includes it: in the plain build the Makefile puts it in front of each file. The other kinds of
//          build do without, and so show whether a file includes what it uses.
#pragma once
// Without the functions of Bessel and their like, which g++'s <cmath> would form in every file, used or not: 20 ms each time.
#include <cstddef>
#undef _GLIBCXX_USE_STD_SPEC_FUNCS

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

// <string> has functions for letters of five kinds, and every file would form the strings of each anew: 25 ms. What g++ has used at
// compile time it has formed.
#ifndef __clang__
template <class Letter>
constexpr bool form_string(const Letter* letter) {
    const std::basic_string<Letter> text(letter), copy = text;
    const std::basic_string_view<Letter> view = copy;
    std::basic_string<Letter> part(view.data(), view.size()), moved = std::move(part);
    return moved.length() == 1;
}
static_assert(form_string("a") && form_string(L"a") && form_string(u8"a") && form_string(u"a") && form_string(U"a"));
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
