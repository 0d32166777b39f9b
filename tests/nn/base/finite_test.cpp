#include "nn/base/finite.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("finite");

TEST_CASE("require_finite: names the first number that is not finite, with its row and column") {
    CHECK_NOTHROW(require_finite(Matrix{{1, 2}, {3, 4}}, "assign", "costs"));
    CHECK_NOTHROW(require_finite(Matrix(), "assign", "costs"));
    CHECK_THROWS_WITH(
        require_finite(Matrix{{1, 2}, {INFINITY, NAN}}, "assign", "costs"),
        "assign: the costs (2, 2) hold inf in row 1, column 0 (from 0); all must be finite, trap_nan(true) names the operation "
        "that made it");
    CHECK(error_of([] {
              require_finite(Matrix{{1, -INFINITY}, {3, 4}}, "assign", "costs");
          }).find("hold -inf in row 0, column 1 ") != std::string::npos);
}

TEST_SUITE_END();
