#include "nn/layers/embedding.h"

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("embedding");

static const Matrix table{{1, 2}, {3, 4}, {5, 6}};

TEST_CASE("embed: equals a product with one-hot rows") {
    const Matrix one_hot{{0, 0, 1}, {1, 0, 0}, {0, 0, 1}};
    CHECK(identical(embed(table, {2, 0, 2}).value(), matmul(Var(one_hot), table).value()));
}

TEST_CASE("embed: a token that occurs twice gets both gradients, an absent one none") {
    const Var words = parameter(table);
    const Tape tape;
    backward(sum(embed(words, {2, 0, 2})));
    CHECK(identical(words.gradient(), Matrix{{1, 1}, {0, 0}, {2, 2}}));
}

TEST_CASE("embed: an id outside the table is named") {
    CHECK(without_place(error_of([] { embed(table, {0, 3}); })) == "embed: id 3 is outside a table of 3 rows, counted from 0");
    CHECK(without_place(error_of([] { embed(table, {-1}); })) == "embed: id -1 is outside a table of 3 rows, counted from 0");
}

TEST_SUITE_END();
