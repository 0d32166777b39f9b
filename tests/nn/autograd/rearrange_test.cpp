#include "nn/autograd/rearrange.h"

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("rearrange");

static const Matrix a{{1, 2, 3}, {4, 5, 6}};

TEST_CASE("transpose, reshape, slice, concat, gather: numbers are moved and none changes") {
    CHECK(identical(transpose(Var(a)).value(), Matrix{{1, 4}, {2, 5}, {3, 6}}));
    CHECK(identical(reshape(Var(a), 3, 2).value(), Matrix{{1, 2}, {3, 4}, {5, 6}}));
    CHECK(identical(slice_rows(Var(a), 1, 1).value(), Matrix{{4, 5, 6}}));
    CHECK(identical(slice_rows(Var(a), 0, 1).value(), Matrix{{1, 2, 3}}));
    CHECK(identical(slice_rows(Var(a), 2, 0).value(), Matrix(0, 3)));
    CHECK(identical(slice_cols(Var(a), 1, 2).value(), Matrix{{2, 3}, {5, 6}}));
    CHECK(identical(concat_rows({a, Matrix{{7, 8, 9}}}).value(), Matrix{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}));
    CHECK(identical(concat_cols({a, Matrix{{7}, {8}}}).value(), Matrix{{1, 2, 3, 7}, {4, 5, 6, 8}}));
    CHECK(identical(concat_rows({a}).value(), a));
    CHECK(identical(concat_cols({a}).value(), a));
    CHECK(identical(gather_rows(a, {1, 1, 0}).value(), Matrix{{4, 5, 6}, {4, 5, 6}, {1, 2, 3}}));
    CHECK(identical(gather_rows(a, {}).value(), Matrix(0, 3)));
    CHECK(identical(gather_cols(a, {2, 0, 0}).value(), Matrix{{3, 1, 1}, {6, 4, 4}}));
    CHECK(identical(gather_cols(a, {}).value(), Matrix(2, 0)));
}

TEST_CASE("gather_side_by_side: rows side by side, zeros for -1") {
    CHECK(identical(gather_side_by_side(a, {1, 0, -1, 1}, 2).value(), Matrix{{4, 5, 6, 1, 2, 3}, {0, 0, 0, 4, 5, 6}}));
    CHECK(identical(gather_side_by_side(a, {-1, 1}, 1).value(), Matrix{{0, 0, 0}, {4, 5, 6}}));
}

TEST_CASE("add_repeated: the table is added to every sequence") {
    const Matrix x{{1, 1}, {2, 2}, {3, 3}, {4, 4}}, table{{10, 20}, {30, 40}};
    CHECK(identical(add_repeated(x, table).value(), Matrix{{11, 21}, {32, 42}, {13, 23}, {34, 44}}));
}

TEST_CASE("prepend_to_each: the row comes before every group") {
    const Matrix x{{1, 1}, {2, 2}, {3, 3}, {4, 4}};
    CHECK(identical(prepend_to_each(Matrix{{9, 8}}, x, 2).value(), Matrix{{9, 8}, {1, 1}, {2, 2}, {9, 8}, {3, 3}, {4, 4}}));
    CHECK(identical(prepend_to_each(Matrix{{9, 8}}, slice_rows(x, 0, 2), 1).value(), Matrix{{9, 8}, {1, 1}, {9, 8}, {2, 2}}));
}

TEST_CASE("gather_rows: a row taken twice gets both gradients, a row not taken gets none") {
    const Var x = parameter(Matrix{{1}, {2}, {3}});
    const Tape tape;
    backward(sum(multiply(gather_rows(x, {2, 0, 2}), Matrix{{10}, {100}, {1000}})));
    CHECK(identical(x.gradient(), Matrix{{100}, {0}, {1010}}));
}

TEST_CASE("rearrange: gradients agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    check_gradient_by_differences([](Inputs v) { return transpose(v[0]); }, {a});
    check_gradient_by_differences([](Inputs v) { return reshape(v[0], 3, 2); }, {a});
    check_gradient_by_differences([](Inputs v) { return slice_rows(v[0], 1, 1); }, {a});
    check_gradient_by_differences([](Inputs v) { return slice_cols(v[0], 1, 2); }, {a});
    check_gradient_by_differences([](Inputs v) { return concat_rows({v[0], v[1], v[0]}); }, {a, Matrix{{7, 8, 9}}});
    check_gradient_by_differences([](Inputs v) { return concat_cols({v[0], v[1], v[0]}); }, {a, Matrix{{7}, {8}}});
    check_gradient_by_differences([](Inputs v) { return gather_rows(v[0], {1, 0, 1, 1}); }, {a});
    check_gradient_by_differences([](Inputs v) { return gather_cols(v[0], {2, 0, 2, 2}); }, {a});
    check_gradient_by_differences([](Inputs v) { return gather_side_by_side(v[0], {1, 0, -1, 1, 1, 1}, 3); }, {a});
    const Matrix four_rows{{1, -1}, {2, 0.5f}, {3, 3}, {4, 1}};
    check_gradient_by_differences([](Inputs v) { return add_repeated(v[0], v[1]); }, {four_rows, Matrix{{10, 20}, {30, 40}}});
    check_gradient_by_differences([](Inputs v) { return prepend_to_each(v[0], v[1], 2); }, {Matrix{{9, 8}}, four_rows});
}

TEST_CASE("rearrange: arguments that do not fit are refused with the shapes") {
    CHECK(without_place(error_of([&] { slice_rows(Var(a), 1, 2); })) == "slice_rows: rows 1 to 2 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { slice_rows(Var(a), -1, 2); })) == "slice_rows: rows -1 to 0 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { slice_rows(Var(a), 1, -1); })) == "slice_rows: rows 1 to -1 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { slice_cols(Var(a), 1, -1); })) == "slice_cols: columns 1 to -1 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { slice_cols(Var(a), 2, 2); })) == "slice_cols: columns 2 to 3 of (2, 3), counted from 0");
    CHECK(identical(slice_cols(Var(a), 0, 3).value(), a));
    CHECK(without_place(error_of([&] { slice_cols(Var(a), -1, 2); })) == "slice_cols: columns -1 to 0 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] {
              concat_rows({a, Matrix(1, 2)});
          })) == "concat_rows: (1, 2) below (2, 3), all must have the same number of columns");
    CHECK(without_place(error_of([&] {
              concat_cols({a, Matrix(1, 2)});
          })) == "concat_cols: (1, 2) beside (2, 3), all must have the same number of rows");
    CHECK(without_place(error_of([&] { concat_rows({}); })) == "concat_rows: nothing to join; give at least one matrix");
    CHECK(without_place(error_of([&] { concat_cols({}); })) == "concat_cols: nothing to join; give at least one matrix");
    CHECK(without_place(error_of([&] { gather_rows(a, {0, 2}); })) == "gather_rows: row 2 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { gather_cols(a, {0, 3}); })) == "gather_cols: column 3 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] { gather_cols(a, {-1}); })) == "gather_cols: column -1 of (2, 3), counted from 0");
    CHECK(without_place(error_of([&] {
              gather_side_by_side(a, {0, 2}, 2);
          })) == "gather_side_by_side: row 2 of (2, 3), -1 would be a row of zeros");
    CHECK(without_place(error_of([&] {
              gather_side_by_side(a, {0, 1, 1}, 2);
          })) == "gather_side_by_side: 3 indices do not split into groups of 2");
    CHECK(
        without_place(error_of([&] { add_repeated(Matrix(3, 2), Matrix(2, 2)); })) ==
        "add_repeated: (2, 2) does not fit a whole number of times into (3, 2); it must have as many columns, and its rows must divide the other's");
    for (const Matrix& table : {Matrix(0, 2), Matrix(2, 1), Matrix(2, 4)})
        CHECK(without_place(error_of([&] {
                  add_repeated(Matrix(4, 2), table);
              })).starts_with("add_repeated: (" + std::to_string(table.rows) + ", "));
    CHECK(without_place(error_of([&] { prepend_to_each(Matrix(1, 2), Matrix(3, 2), 2); })) ==
          "prepend_to_each: (3, 2) does not split into groups of 2 rows");
    CHECK(without_place(error_of([&] { prepend_to_each(Matrix(1, 2), Matrix(4, 2), 0); })) ==
          "prepend_to_each: (4, 2) does not split into groups of 0 rows");
    CHECK(without_place(error_of([&] { prepend_to_each(Matrix(1, 2), Matrix(4, 2), -2); })) ==
          "prepend_to_each: (4, 2) does not split into groups of -2 rows");
    CHECK(without_place(error_of([&] { prepend_to_each(Matrix(1, 2), Matrix(0, 2), 2); })) ==
          "prepend_to_each: (0, 2) does not split into groups of 2 rows");
    CHECK(without_place(error_of([&] { prepend_to_each(Matrix(1, 3), Matrix(4, 2), 2); })) ==
          "prepend_to_each: the row is (1, 3), expected (1, 2)");
    CHECK_THROWS_WITH(reshape(Var(a), 4, 2),
                      "reshape: (2, 3) does not fit into (4, 2), both must hold the same number of elements");
}

TEST_CASE("gather_side_by_side, drop_first_of_each: a row below -1, and groups of one row, are refused") {
    CHECK(without_place(error_of([&] {
              gather_side_by_side(Var(a), {0, -2}, 2);
          })) == "gather_side_by_side: row -2 of (2, 3), -1 would be a row of zeros");
    CHECK(without_place(error_of([&] {
              gather_side_by_side(Var(a), {0, 1}, 0);
          })) == "gather_side_by_side: 2 indices do not split into groups of 0");
    CHECK(without_place(error_of([&] { drop_first_of_each(Var(a), 1); })) ==
          "drop_first_of_each: (2, 3) does not split into groups of 1 rows");
    CHECK(without_place(error_of([&] { drop_first_of_each(Matrix(3, 2), 2); })) ==
          "drop_first_of_each: (3, 2) does not split into groups of 2 rows");
    CHECK(identical(drop_first_of_each(Var(a), 2).value(), slice_rows(a, 1, 1)));
}

TEST_SUITE_END();
