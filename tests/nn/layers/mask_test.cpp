#include "nn/layers/mask.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("mask");

static Matrix picture(const MayAttend& may) {
    Matrix m(may.queries, may.keys);
    for (int i = 0; i < may.queries; ++i)
        for (int j = 0; j < may.keys; ++j) m(i, j) = may(i, j);
    return m;
}

TEST_CASE("causal, padding, prefix, window, same_span: each mask as a picture: 1 = may attend") {
    CHECK(identical(picture(causal(3, 3)), Matrix{{1, 0, 0}, {1, 1, 0}, {1, 1, 1}}));
    CHECK(identical(picture(causal(2, 4)), Matrix{{1, 1, 1, 0}, {1, 1, 1, 1}}));  // two new tokens after two in the cache
    CHECK(identical(picture(prefix(4, 2)), Matrix{{1, 1, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 0}, {1, 1, 1, 1}}));
    CHECK(identical(picture(window(4, 1, 0)), Matrix{{1, 0, 0, 0}, {1, 1, 0, 0}, {0, 1, 1, 0}, {0, 0, 1, 1}}));
    CHECK(identical(picture(window(3, 0, 1)), Matrix{{1, 1, 0}, {0, 1, 1}, {0, 0, 1}}));
    CHECK(identical(picture(same_span({7, 7, 9})), Matrix{{1, 1, 0}, {1, 1, 0}, {0, 0, 1}}));
    CHECK(identical(picture(may_attend(Matrix{{1, 0, 1}, {0, 1, 1}})), Matrix{{1, 0, 1}, {0, 1, 1}}));
    CHECK(identical(picture(may_attend(Matrix{{1}, {0}, {1}})), Matrix{{1}, {0}, {1}}));
}

TEST_CASE("padding: every query of a sequence may attend to the real tokens of that sequence") {
    CHECK(identical(picture(padding(Matrix{{1, 1}, {1, 0}})), Matrix{{1, 1}, {1, 1}, {1, 0}, {1, 0}}));
}

TEST_CASE("MayAttend &: both must allow; a mask for one sequence is repeated for the batch") {
    CHECK(identical(picture(causal(2, 2) & padding(Matrix{{1, 1}, {0, 1}})), Matrix{{1, 0}, {1, 1}, {0, 0}, {0, 1}}));
    CHECK(identical(picture(padding(Matrix{{1, 1}, {0, 1}}) & causal(2, 2)), Matrix{{1, 0}, {1, 1}, {0, 0}, {0, 1}}));
    CHECK(identical(picture(causal(3, 3) & window(3, 1, 1)), picture(window(3, 1, 0))));
    CHECK(MayAttend{}.allows_all());
    CHECK(identical(picture(MayAttend{} & causal(2, 2)), picture(causal(2, 2))));
}

TEST_CASE("MayAttend: sizes and numbers that do not fit are refused") {
    CHECK_THROWS_WITH(causal(3, 2), "causal: 3 queries are the last of only 2 keys");
    CHECK_THROWS_WITH(causal(-1, 2), "MayAttend: a table of -1 x 2, neither may be negative");
    CHECK(causal(0, 0).table.empty());
    CHECK_THROWS_WITH(prefix(3, -1), "prefix: -1 tokens of 3, it must be 0 to that many");
    CHECK(identical(picture(prefix(2, 0)), picture(causal(2, 2))));
    CHECK(identical(picture(prefix(2, 2)), Matrix{{1, 1}, {1, 1}}));
    CHECK_THROWS_WITH(prefix(3, 4), "prefix: 4 tokens of 3, it must be 0 to that many");
    CHECK_THROWS_WITH(window(3, -1, 0), "window: -1 before and 0 after, neither may be negative");
    CHECK_THROWS_WITH(window(3, 0, -1), "window: 0 before and -1 after, neither may be negative");
    CHECK_THROWS_WITH(window(-1, 0, 0), "MayAttend: a table of -1 x -1, neither may be negative");
    CHECK(error_of([] { padding(Matrix{{0.5f}}); }).starts_with("padding: a mask holds 1 (may) and 0 (may not), not 0.5"));
    CHECK(error_of([] { may_attend(Matrix{{-1}}); }).starts_with("may_attend: a mask holds 1"));
    CHECK_THROWS_WITH(
        causal(3, 3) & causal(2, 2),
        "MayAttend &: a table of 3 x 3 and one of 2 x 2 do not fit; both must have the same number of keys, and one a whole multiple of the other's queries");
    const auto refusal = [](const MayAttend& a, const MayAttend& b) { return error_of([&] { a& b; }); };
    CHECK(refusal(causal(2, 2), causal(2, 3)).starts_with("MayAttend &: a table of 2 x 2 and one of 2 x 3"));
    CHECK(refusal(causal(3, 3), causal(2, 3)).starts_with("MayAttend &: a table of 3 x 3 and one of 2 x 3"));
    const MayAttend no_queries{.queries = 0, .keys = 2, .table = {1, 1}};
    CHECK(refusal(causal(2, 2), no_queries).starts_with("MayAttend &: the table of 0 x 2 holds"));
    CHECK(refusal(causal(2, 3), causal(1, 3)) == "");
}

TEST_CASE("MayAttend: a table that no memory holds, and one without an entry for each pair, are refused") {
#if !defined(__SANITIZE_ADDRESS__)  // it ends the program at such a request
    CHECK_THROWS_WITH(causal(2147483646, 2147483647),
                      "MayAttend: no memory for a table of 2147483646 x 2147483647; make it smaller, or in pieces");
#endif
    const MayAttend cut{2, 3, {1}};
    const std::string rule = "MayAttend &: the table of 2 x 3 holds 1 entries, one for each pair is needed";
    CHECK(error_of([&] { cut& causal(2, 3); }) == rule);
    CHECK(error_of([&] { causal(2, 2) & cut; }) == rule);
    CHECK(error_of([&] { MayAttend{} & cut; }) == rule);
}

TEST_SUITE_END();
