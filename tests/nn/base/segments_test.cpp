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
}

TEST_SUITE_END();
