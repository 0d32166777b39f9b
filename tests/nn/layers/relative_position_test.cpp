#include "nn/layers/relative_position.h"

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("relative_position");

TEST_CASE("relative_position_index: a grid of 1 x 2 patches, by hand") {
    // T = (2*1 - 1)(2*2 - 1) + 3 = 6: offsets -1, 0, 1 to the right are rows 0, 1, 2;
    // then [cls] to patch, patch to [cls], [cls] to [cls]
    CHECK(relative_offsets(1, 2) == 6);
    const std::vector<int> index = relative_position_index(1, 2);
    CHECK(index == std::vector<int>{5, 3, 3,        // query [cls]
                                    4, 1, 0,        // query 0: key 0 at offset 0, key 1 at 0 - 1 = -1
                                    4, 2, 1});      // query 1: key 0 at offset 1 - 0 = 1
    CHECK(relative_position_index(2, 1) == index);  // down instead of to the right
    CHECK(relative_position_index(1, 1) == std::vector<int>{3, 1, 2, 0});
}

TEST_CASE("relative_offsets, relative_position_index: a grid with more offsets or pairs than a matrix has rows is refused") {
    CHECK(relative_offsets(1, 1) == 4);
    CHECK(relative_offsets(100'000, 5'369) == 2147389266);  // 199,999 * 10,737 + 3
    CHECK(relative_offsets(1, 1'073'741'822) == 2147483646);
    CHECK_THROWS_WITH(relative_offsets(1, 1'073'741'823), doctest::Contains("has 1 x 2147483645 offsets, more than"));
    CHECK_THROWS_WITH(
        relative_offsets(100'000, 200'000),
        "relative_offsets: a grid of 100000 x 200000 has 199999 x 399999 offsets, more than the 2147483647 rows of a matrix");
    CHECK_THROWS_WITH(relative_offsets(0, 3), doctest::Contains("a grid of 0 x 3 has no patches"));
    CHECK_THROWS_WITH(relative_offsets(3, 0), doctest::Contains("a grid of 3 x 0 has no patches"));
    CHECK_THROWS_WITH(relative_offsets(3, -1), doctest::Contains("a grid of 3 x -1 has no patches"));
    CHECK_THROWS_WITH(relative_position_index(1, 46'340),  // 46,341^2 pairs
                      doctest::Contains("relative_position_index: a grid of 1 x 46340 has more pairs than the 2147483647"));
}

TEST_CASE("relative_position_index: the offset is query minus key: query 0 and key 1 read (n - 1)(2n - 1) + n - 2") {
    for (int n = 2; n <= 5; ++n) {
        const int tokens = n * n + 1;
        const std::vector<int> index = relative_position_index(n, n);
        CHECK(index[1 * tokens + 2] == (n - 1) * (2 * n - 1) + n - 2);  // no rows up or down, one column to the left
        CHECK(index[2 * tokens + 1] == (n - 1) * (2 * n - 1) + n);      // key minus query would swap the two
    }
}

TEST_CASE("relative_position_index: in a grid wider than high, exactly the pairs with equal offsets share an entry") {
    const int rows = 3, cols = 4, tokens = rows * cols + 1;
    const std::vector<int> index = relative_position_index(rows, cols);
    for (int q = 0; q < rows * cols; ++q)
        for (int k = 0; k < rows * cols; ++k)
            for (int other = 0; other < rows * cols; ++other) {
                const bool same_offset = q / cols - k / cols == other / cols - 0 && q % cols - k % cols == other % cols - 0;
                const bool same_entry = index[(q + 1) * tokens + k + 1] == index[(other + 1) * tokens + 1];
                REQUIRE(same_offset == same_entry);  // query `other`, key patch 0
            }
    for (const int entry : index) CHECK((entry >= 0 && entry < relative_offsets(rows, cols)));
}

TEST_CASE("relative_position_bias: the table is expanded head by head") {
    Matrix table(6, 2);
    for (int t = 0; t < 6; ++t) {
        table(t, 0) = static_cast<float>(t);
        table(t, 1) = static_cast<float>(10 * t);
    }
    const Matrix bias = relative_position_bias(table, 1, 2).value();  // (2 * 3, 3)
    CHECK(identical(bias, Matrix{{5, 3, 3}, {4, 1, 0}, {4, 2, 1}, {50, 30, 30}, {40, 10, 0}, {40, 20, 10}}));
}

TEST_CASE("bias_of_pairs: heads become rows, an entry shared by two pairs gets both gradients, a wrong index is refused") {
    const Var table = parameter(Matrix{{5, 50}, {6, 60}, {7, 70}});
    const Tape tape;
    const Var bias = bias_of_pairs(table, {0, 1, 2, 1, 1, 0}, 3);  // two queries, three keys
    CHECK(identical(bias.value(), Matrix{{5, 6, 7}, {6, 6, 5}, {50, 60, 70}, {60, 60, 50}}));
    backward(sum(bias));
    CHECK(identical(table.gradient(), Matrix{{2, 2}, {3, 3}, {1, 1}}));
    CHECK(without_place(error_of([&] {
              bias_of_pairs(table, {0, 1, 2}, 2);
          })) == "bias_of_pairs: 3 pairs are not a whole number of queries with 2 keys each");
    CHECK(without_place(error_of([&] {
              bias_of_pairs(table, {0, 1, 2}, 0);
          })) == "bias_of_pairs: 3 pairs are not a whole number of queries with 0 keys each");
    CHECK(without_place(error_of([&] {
              bias_of_pairs(table, {0, 1, 2}, -3);
          })) == "bias_of_pairs: 3 pairs are not a whole number of queries with -3 keys each");
    CHECK(identical(bias_of_pairs(table, {0, 2}, 1).value(), Matrix{{5}, {7}, {50}, {70}}));
}

TEST_CASE("relative_position_bias: an entry gets the gradient of every pair that reads it") {
    const Var table = parameter(Matrix(6, 1));
    const Tape tape;
    backward(sum(relative_position_bias(table, 1, 2)));
    CHECK(identical(table.gradient(),
                    Matrix{{1}, {2}, {1}, {2}, {2}, {1}}));  // offset 0 is read by both patches, [cls]'s by two each
}

TEST_CASE("relative_position_bias: a table of another grid, and a grid without patches, are refused") {
    CHECK(without_place(error_of([] { relative_position_bias(Matrix(6, 2), 2, 3); })) ==
          "relative_position_bias: a table of shape (6, 2), a grid of 2 x 3 has 18 offsets, each needs a row");
    CHECK_THROWS_WITH(relative_position_index(0, 2),
                      "relative_position_index: a grid of 0 x 2 has no patches, both must be at least 1");
    CHECK_THROWS_WITH(relative_position_index(2, 0),
                      "relative_position_index: a grid of 2 x 0 has no patches, both must be at least 1");
}

TEST_SUITE_END();
