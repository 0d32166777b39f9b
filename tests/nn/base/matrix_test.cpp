#include "nn/base/matrix.h"

#include "tests/test.h"

TEST_SUITE("matrix") {

TEST_CASE("a matrix is row-major: element (i, j) is float number i * cols + j") {
    const Matrix m{{1, 2, 3}, {4, 5, 6}};
    CHECK(m.rows == 2);
    CHECK(m.cols == 3);
    CHECK(m(1, 0) == 4);
    CHECK(m.begin()[3] == 4);
}

}
