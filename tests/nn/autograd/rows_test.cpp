#include "nn/autograd/rows.h"

#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/parallel.h"
#include "nn/base/random.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("rows");

static const Matrix x{{1, 10}, {2, 20}, {4, 40}};

TEST_CASE("mix_rows: each result row is a weighted sum of rows, -1 adds nothing") {
    // by hand: 0.5 * row 0 + 0.25 * row 2 = 0.5 + 1, 5 + 10;   3 * row 1 + 3 * row 1 = 12, 120;   2 * nothing - row 0 = -1, -10
    const Matrix weights{{0.5f, 0.25f}, {3, 3}, {2, -1}};
    CHECK(identical(mix_rows(x, {0, 2, 1, 1, -1, 0}, weights).value(), Matrix{{1.5f, 15}, {12, 120}, {-1, -10}}));
    CHECK(identical(mix_rows(x, {}, Matrix(2, 0)).value(), Matrix(2, 2)));  // K = 0: sums of nothing
    CHECK(identical(mix_rows(x, {}, Matrix(0, 3)).value(), Matrix(0, 2)));
}

TEST_CASE("mix_rows: a row taken twice gets both gradients, and the weight of -1 gets none") {
    const Var rows = parameter(x), weights = parameter(Matrix{{0.5f, 0.25f}, {3, 2}});
    const Tape tape;
    backward(sum(mix_rows(rows, {2, 0, -1, 2}, weights)));
    // by hand: row 0 with 0.25, row 1 never, row 2 with 0.5 + 2; a weight's gradient is the sum of its row: 44, 11, 0, 44
    CHECK(identical(rows.gradient(), Matrix{{0.25f, 0.25f}, {0, 0}, {2.5f, 2.5f}}));
    CHECK(identical(weights.gradient(), Matrix{{44, 11}, {0, 44}}));
}

TEST_CASE("mix_rows: forward and backward give the same numbers on one thread and on three, bit by bit") {
    const int n = 5000, K = 8, C = 7, rows = 300;
    Random random(4);
    const Matrix values = normal_matrix(random, rows, C), weights = normal_matrix(random, n, K);
    std::vector<int> indices(n * K);
    for (int& index : indices) index = random.below(rows + 1) - 1;
    const int threads_before = thread_count();
    Matrix results[2], gradients[2];
    for (const int run : {0, 1}) {
        set_thread_count(run == 0 ? 1 : 3);
        const Var mixed_from = parameter(values);
        const Tape tape;
        const Var mixed = mix_rows(mixed_from, indices, weights);
        backward(sum(square(mixed)));
        results[run] = mixed.value();
        gradients[run] = mixed_from.gradient();
    }
    set_thread_count(threads_before);
    CHECK(identical(results[0], results[1]));
    CHECK(identical(gradients[0], gradients[1]));
    Matrix last(1, C);  // the last row of the result, which is a range of its own
    for (int k = 0; k < K; ++k)
        for (int j = 0; j < C && indices[(n - 1) * K + k] >= 0; ++j)
            last(0, j) += weights(n - 1, k) * values(indices[(n - 1) * K + k], j);
    check_close("last row", slice_rows(results[1], n - 1, 1), last);
}

TEST_CASE("mix_rows: with one weight of 1 per row it is gather_rows") {
    CHECK(identical(mix_rows(x, {2, 0, 2}, Matrix(3, 1, 1)).value(), gather_rows(x, {2, 0, 2}).value()));
}

TEST_CASE("max_rows: the maximum of each column, and only its row gets the gradient") {
    const Var rows = parameter(Matrix{{1, 9}, {5, 2}, {5, 3}});
    const Tape tape;
    const Var y = max_rows(rows, {0, 1, 2, -1, 0, -1}, 3);
    CHECK(identical(y.value(), Matrix{{5, 9}, {1, 9}}));
    backward(sum(multiply(y, Matrix{{1, 2}, {10, 20}})));
    CHECK(identical(rows.gradient(), Matrix{{10, 22}, {1, 0}, {0, 0}}));  // of the two fives the first
}

TEST_CASE("max_rows: -1 is ignored even among negative numbers, and NaN stays NaN") {
    CHECK(identical(max_rows(Matrix{{-3}, {-2}}, {-1, 0, 1}, 3).value(), Matrix{{-2}}));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const Matrix& with_nan : {Matrix{{nan}, {1}, {2}}, Matrix{{1}, {nan}, {2}}, Matrix{{1}, {2}, {nan}}})
        CHECK(std::isnan(max_rows(with_nan, {0, 1, 2}, 3).value()(0, 0)));
}

TEST_CASE("segment_sums: one row for each segment") {
    CHECK(identical(segment_sums(x, Segments::of({1, 2})).value(), Matrix{{1, 10}, {6, 60}}));
    CHECK(identical(segment_sums(x, Segments::of({0, 3, 0})).value(), Matrix{{0, 0}, {7, 70}, {0, 0}}));
}

TEST_CASE("segment_sums: summed in double") {
    Matrix numbers(3, 1, 1);
    numbers(0, 0) = 1e8f;
    numbers(2, 0) = -1e8f;  // in float 1e8 + 1 - 1e8 would be 0
    CHECK(segment_sums(numbers, Segments::one(3)).value()(0, 0) == 1);
}

TEST_CASE("sums_before: the sum of the rows above in the same segment; each segment begins with zeros") {
    const Matrix numbers{{1}, {2}, {3}, {4}, {5}};
    CHECK(identical(sums_before(numbers, Segments::one(4)).value(), Matrix{{0}, {1}, {3}, {6}, {0}}));  // row 4 is in no segment
    CHECK(identical(sums_before(numbers, Segments::of({2, 3})).value(), Matrix{{0}, {1}, {0}, {3}, {7}}));
}

TEST_CASE("sums_before: the gradient of a row is the sum of the gradients below it in its segment") {
    const Var numbers = parameter(Matrix{{1}, {2}, {3}, {4}, {5}});
    const Tape tape;
    backward(sum(multiply(sums_before(numbers, Segments::of({2, 3})), Matrix{{1}, {10}, {100}, {1000}, {10000}})));
    CHECK(identical(numbers.gradient(), Matrix{{10}, {0}, {11000}, {10000}, {0}}));
}

TEST_CASE("segment_sums, sums_before: two rows may be thousands of columns wide") {
    const Var wide = parameter(Matrix(2, 4000, 1));
    const Tape tape;
    const Var sums = segment_sums(wide, Segments::one(2)), before = sums_before(wide, Segments::one(2));
    CHECK(identical(sums.value(), Matrix(1, 4000, 2)));
    CHECK(identical(slice_rows(before.value(), 1, 1), Matrix(1, 4000, 1)));
    backward(sum(add(before, scale(wide, 0))));
    CHECK(identical(slice_rows(wide.gradient(), 0, 1), Matrix(1, 4000, 1)));
    CHECK(identical(slice_rows(wide.gradient(), 1, 1), Matrix(1, 4000, 0)));
}

TEST_CASE("rows: gradients against finite differences") {
    using Inputs = const std::vector<Var>&;
    Random random(3);
    const Matrix rows = normal_matrix(random, 5, 3), weights = normal_matrix(random, 4, 2);
    check_gradient_by_differences([](Inputs v) { return mix_rows(v[0], {0, 3, 3, 3, -1, 4, 1, -1}, v[1]); }, {rows, weights});
    check_gradient_by_differences([](Inputs v) { return max_rows(v[0], {0, 1, 2, -1, 1, 2}, 2); }, {x});
    check_gradient_by_differences(
        [](Inputs v) {
            return segment_sums(v[0], Segments{{{0, 3}, {2, 3}}});
        },
        {rows});  // overlapping
    check_gradient_by_differences([](Inputs v) { return sums_before(v[0], Segments::of({3, 2})); }, {rows});
    // gradients add to what is there already
    check_gradient_by_differences([](Inputs v) { return add(v[0], sums_before(v[0], Segments::of({1, 4}))); }, {rows});
    check_gradient_by_differences(
        [](Inputs v) {
            return add(v[0], mix_rows(v[0], {4, 3, 2, 1, 0}, v[1]));
        },
        {rows, Matrix(5, 1, 2)});
    check_gradient_by_differences(
        [](Inputs v) {
            return add(v[1], mix_rows(v[0], {0, 3, 3, 2}, v[1]));
        },
        {Matrix{{1}, {3}, {-2}, {5}}, Matrix{{1}, {2}, {4}, {-3}}});
    check_gradient_by_differences([](Inputs v) { return add(v[0], max_rows(v[0], {2, 0, 1}, 1)); }, {x});
}

TEST_CASE("rows: an input that requires no gradient receives none") {
    const Var rows(x), weights = parameter(Matrix{{1, 1}});
    const Tape tape;
    backward(sum(mix_rows(rows, {0, 1}, weights)));
    CHECK(rows.gradient().empty());
    CHECK(identical(weights.gradient(), Matrix{{11, 22}}));
}

TEST_CASE("rows: wrong indices and segments are refused with the shapes") {
    CHECK(without_place(error_of([] {
              mix_rows(x, {0, 3}, Matrix(1, 2));
          })) == "mix_rows: row 3 of (3, 2), -1 would stand for nothing");
    CHECK(without_place(error_of([] {
              mix_rows(x, {0, -2}, Matrix(1, 2));
          })) == "mix_rows: row -2 of (3, 2), -1 would stand for nothing");
    CHECK(without_place(error_of([] {
              mix_rows(x, {0, 1, 2}, Matrix(1, 2));
          })) == "mix_rows: 3 indices for weights of shape (1, 2), every weight needs one");
    CHECK(without_place(error_of([] { max_rows(x, {0, 1, 2}, 2); })) == "max_rows: 3 indices do not split into groups of 2");
    CHECK(without_place(error_of([] { max_rows(x, {0, 1}, 0); })) == "max_rows: 2 indices do not split into groups of 0");
    CHECK(without_place(error_of([] { max_rows(x, {0, 3}, 2); })) == "max_rows: row 3 of (3, 2), -1 would stand for nothing");
    CHECK(without_place(error_of([] {
              max_rows(x, {0, 1, -1, -1}, 2);
          })) == "max_rows: all of the 2 indices of row 1 are -1, a maximum needs at least one row");
    CHECK(without_place(error_of([] {
              segment_sums(x, Segments::of({2, 2}));
          })) == "segment_sums: a segment of rows 2 to 4 of (3, 2), counted from 0");
    CHECK(without_place(error_of([] {
              segment_sums(x, Segments{{{-1, 2}}});
          })) == "segment_sums: a segment of rows -1 to 1 of (3, 2), counted from 0");
    CHECK(without_place(error_of([] {
              segment_sums(x, Segments{{{1, -1}}});
          })) == "segment_sums: a segment of rows 1 to 0 of (3, 2), counted from 0");
    CHECK(without_place(error_of([] { sums_before(x, Segments::of({4})); })) ==
          "sums_before: a segment of rows 0 to 4 of (3, 2), counted from 0");
    CHECK(without_place(error_of([] {
              sums_before(x, Segments{{{0, 2}, {1, 2}}});
          })) == "sums_before: row 1 of (3, 2) lies in two segments, each may lie in one");
}

TEST_SUITE_END();
