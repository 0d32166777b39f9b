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

TEST_CASE("require_shape: a matrix that is absent or has another shape is refused with both shapes") {
    const std::string cure = "; pass the configuration that the weights were made with";
    CHECK_NOTHROW(require_shape("gpt", "token embedding", Matrix(11, 8), 11, 8));
    CHECK(error_of([] { require_shape("gpt", "token embedding", Matrix(11, 8), 7, 8); }) ==
          "gpt: the token embedding is (11, 8), the configuration says (7, 8)" + cure);
    CHECK(error_of([] { require_shape("gpt", "token embedding", Matrix(11, 8), 11, 9); }) ==
          "gpt: the token embedding is (11, 8), the configuration says (11, 9)" + cure);
    CHECK(error_of([] { require_shape("gpt", "token embedding", Var(), 7, 8); }) ==
          "gpt: the weights hold no token embedding, the configuration says (7, 8)" + cure);
}

TEST_SUITE_END();
