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

TEST_CASE("require: throws std::invalid_argument") { CHECK_THROWS_AS(require(false, "no"), std::invalid_argument); }

TEST_CASE("text: a source location is written as file, line and colon, as compilers do") {
    const std::string place = line_of_caller();
    CHECK(place.find("require_test.cpp:" + text(__LINE__ - 1) + ": ") != std::string::npos);
    CHECK(error_of([] { require(false, Where::current(), "matmul: ", "no"); }).find("matmul: no") != std::string::npos);
    CHECK(without_place(place + "matmul: (2, 3) times (2, 3)") == "matmul: (2, 3) times (2, 3)");
    CHECK(without_place("no place: here") == "no place: here");
}

TEST_SUITE_END();
