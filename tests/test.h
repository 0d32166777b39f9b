// test.h: doctest, with a few additions.
#pragma once
#if __has_include(<doctest/doctest.h>)
#include <doctest/doctest.h>
#else
#include <doctest.h>
#endif

#include <exception>
#include <string>
#include <string_view>
#include <vector>

using doctest::Approx;

// A comparison of vectors that fails prints their first items, where doctest alone prints {?}.
template <class T>
struct doctest::StringMaker<std::vector<T>> {
    static doctest::String convert(const std::vector<T>& items) {
        const std::size_t shown = items.size() < 16 ? items.size() : 16;
        doctest::String text = "{";
        for (std::size_t k = 0; k < shown; ++k) text += (k > 0 ? ", " : "") + doctest::toString(items[k]);
        return text + (shown < items.size() ? ", ...}" : "}");
    }
};

// For cases that train for a second or more, which would take minutes unoptimised or under a sanitizer:
//   TEST_CASE("..." * only_when_optimised) { ... }
inline const doctest::skip only_when_optimised(!std::string_view(BUILT).starts_with("build/release"));

// For an error with a known text use doctest's macro. (Not with "", which passes when nothing is thrown: use CHECK_NOTHROW.)
//   CHECK_THROWS_WITH(reshape(m, 2, 2), "reshape: (2, 3) does not fit into (2, 2), both must hold the same number of elements");

// The text of the exception that action() throws, or "". For texts computed at run time or compared in part; it takes eight times
// as long to compile as doctest's macro.
//   CHECK(error_of([&] { read_file(path); }) == path + ": cannot be opened: No such file or directory");
template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

// The text of an error without the caller's line ("vit/vit.cpp:42: ") at its beginning.
inline std::string without_place(const std::string& error) {
    const std::size_t colon = error.find(".cpp:");
    const std::size_t space = colon == std::string::npos ? colon : error.find(": ", colon + 5);
    return space == std::string::npos ? error : error.substr(space + 2);
}
