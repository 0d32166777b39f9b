#include "nn/base/require.h"

#include <string>

#include "nn/base/matrix.h"
#include "tests/test.h"

static std::string line_of_caller(Where where = Where::current()) { return text(where); }

TEST_SUITE_BEGIN("require");

TEST_CASE("require: joins words and numbers when the condition does not hold") {
    CHECK_THROWS_WITH(require(false, "patchify: a ", 224, " x ", 225L, " image does not split into ", 'N', " patches"),
                      "patchify: a 224 x 225 image does not split into N patches");
    CHECK_THROWS_WITH(require(false, std::string("a"), std::size_t{7}, -1LL, 8u, 0.5), "a7-180.500000");
    CHECK_NOTHROW(require(true, "never said"));
}

TEST_CASE("require: a matrix is shown as its shape") {
    CHECK_THROWS_WITH(require(false, "no ", Matrix(2, 3), ", -1 and ", ~0ULL), "no (2, 3), -1 and 18446744073709551615");
}

TEST_CASE("require: line breaks and control characters are written out, so that a message is one line") {
    CHECK_THROWS_WITH(require(false, "no tensor ", std::string("a\nb\x1B[31m\0c\x7F", 11), '\t'),
                      "no tensor a\\nb\\x1b[31m\\x00c\\x7f\\x09");
    CHECK_THROWS_WITH(require(false, "\u043C\u0430\u043C\u0430"), "\u043C\u0430\u043C\u0430");
}

TEST_CASE("require: a text of more than 2000 bytes is shortened, and not within a character") {
    const std::string most(2000, 'a');
    CHECK(error_of([&] { require(false, "file ", most, ": no"); }) == "file " + most + ": no");
    CHECK(error_of([&] { require(false, "file ", most + "b", ": no"); }) == "file " + most + "... (2001 bytes): no");
    const std::string last = "\U0001F600", cut(1999, 'a');  // a character of four bytes
    CHECK(error_of([&] { require(false, cut + last, ": no"); }) == cut + "... (2003 bytes): no");
    const std::string before(1996, 'a');
    CHECK(error_of([&] { require(false, before + last + "b", ": no"); }) == before + last + "... (2001 bytes): no");
}

TEST_CASE("text: a number that is not 0 is never shown as 0.000000") {
    CHECK(text(-1e-9) == "-1e-09");
    CHECK(text(4.9e-7) == "4.9e-07");
    CHECK(text(5e-7).substr(0, 7) == "0.00000");
    CHECK(text(0.0) == "0.000000");
    CHECK(text(1e-42f) == "1.00053e-42");
    CHECK(text(3e38) == "3e+38");
    CHECK(text(1e19) == "10000000000000000000.000000");
    CHECK(text(1e20) == "1e+20");
}

TEST_CASE("require: throws std::invalid_argument") { CHECK_THROWS_AS(require(false, "no"), std::invalid_argument); }

TEST_CASE("text: a source location is written as file, line and colon, as compilers do") {
    const std::string place = line_of_caller();
    CHECK(place.find("require_test.cpp:" + text(__LINE__ - 1) + ": ") != std::string::npos);
    CHECK(error_of([] { require(false, Where::current(), "matmul: ", "no"); }).find("matmul: no") != std::string::npos);
    CHECK(without_place(place + "matmul: (2, 3) times (2, 3)") == "matmul: (2, 3) times (2, 3)");
    CHECK(without_place("no place: here") == "no place: here");
}

TEST_SUITE_END();
