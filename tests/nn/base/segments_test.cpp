#include "nn/base/segments.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("segments");

TEST_CASE("Segments: by number and by lengths") {
    const Segments equal = Segments::equal(3, 4);
    CHECK(equal.size() == 3);
    CHECK(equal.list[2].first == 8);
    CHECK(equal.rows() == 12);
    const Segments uneven = Segments::of({2, 5, 1});
    CHECK(uneven.list[2].first == 7);
    CHECK(uneven.longest() == 5);
    CHECK(Segments::equal(0, 4).size() == 0);
    CHECK(Segments::equal(0, 4).longest() == 0);
    CHECK(Segments::of({2, 0, 1}).list[2].first == 2);
}

TEST_CASE("Segments: fewer than 0 sequences or rows, and more rows than an int counts, are refused") {
    CHECK_THROWS_WITH(Segments::equal(-1, 2), "Segments: -1 sequences of 2 rows, there cannot be fewer than 0");
    CHECK_THROWS_WITH(Segments::equal(65536, 65536),
                      "Segments: 65536 sequences of 65536 rows are more than 2147483647 rows, the maximum of a matrix");
    CHECK_THROWS_WITH(Segments::of({3, -1}),
                      "Segments: a sequence of -1 rows after 3; it cannot be negative, and all together are at most 2147483647");
    CHECK_THROWS_WITH(Segments::of({2147483647, 1}),
                      "Segments: a sequence of 1 rows after 2147483647; it cannot be negative, and "
                      "all together are at most 2147483647");
}

TEST_SUITE_END();
