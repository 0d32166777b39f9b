// test.h: doctest and the few words that our tests add to it.
#pragma once
#if __has_include(<doctest/doctest.h>)
#include <doctest/doctest.h>
#else
#include <doctest.h>
#endif

#include <exception>
#include <string>

using doctest::Approx;

// For cases that train for a second or more. Unoptimised, or under a sanitizer, that second becomes minutes and shows nothing new:
//   TEST_CASE("..." * only_when_optimised) { ... }
#ifdef NDEBUG
inline const doctest::skip only_when_optimised(false);
#else
inline const doctest::skip only_when_optimised(true);
#endif

// An error whose text is known is checked by doctest itself. (Not for "", with which it is content when nothing is thrown: CHECK_NOTHROW.)
//   CHECK_THROWS_WITH(reshape(m, 2, 2), "reshape: (2, 3) does not fit into (2, 2)");

// The text of the exception that action() throws; "" when it throws none. For texts that only the run knows, or of which a part counts;
// where doctest's own check will do, this one takes eight times as long to compile.
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

// An error that names the caller's line begins with "vit/vit.cpp:42: "; this is what follows it.
inline std::string without_place(const std::string& error) {
    const std::size_t colon = error.find(".cpp:");
    const std::size_t space = colon == std::string::npos ? colon : error.find(": ", colon + 5);
    return space == std::string::npos ? error : error.substr(space + 2);
}
