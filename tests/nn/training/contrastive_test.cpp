#include "nn/training/contrastive.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/norm.h"
#include "tests/close.h"

TEST_SUITE_BEGIN("contrastive");

TEST_CASE("contrastive: rows and columns by hand") {
    const float x = std::log(3.0f);
    // rows: [ln 3, 0] -> 3/4, [ln 3, ln 3] -> 1/2; columns: [ln 3, ln 3] -> 1/2, [0, ln 3] -> 3/4
    const Contrastive losses = contrastive(Matrix{{x, 0}, {x, x}});
    CHECK(losses.loss_rows.value()[0] == Approx((std::log(4.0 / 3) + std::log(2.0)) / 2));
    CHECK(losses.loss_columns.value()[0] == Approx((std::log(2.0) + std::log(4.0 / 3)) / 2));
    const Contrastive others = contrastive(Matrix{{0, x}, {0, 0}});
    CHECK(others.loss_rows.value()[0] == Approx((std::log(4.0) + std::log(2.0)) / 2));     // [0, ln 3] -> 1/4, [0, 0] -> 1/2
    CHECK(others.loss_columns.value()[0] == Approx((std::log(2.0) + std::log(4.0)) / 2));  // [0, 0] -> 1/2, [ln 3, 0] -> 1/4
    // rows: [0, x, x] -> 1/7, twice 1/3; columns: 1/3, twice [ln 3, 0, 0] -> 1/5
    const Contrastive three = contrastive(Matrix{{0, x, x}, {0, 0, 0}, {0, 0, 0}});
    CHECK(three.loss_rows.value()[0] == Approx((std::log(7.0) + 2 * std::log(3.0)) / 3));
    CHECK(three.loss_columns.value()[0] == Approx((std::log(3.0) + 2 * std::log(5.0)) / 3));
    CHECK(three.loss.value()[0] == Approx((std::log(7.0) + 3 * std::log(3.0) + 2 * std::log(5.0)) / 6));
}

TEST_CASE("contrastive: d equal captions among B rows leave a minimum of d ln 2 / B, for any scale") {
    const Matrix caption{{1, 0}, {1, 0}, {0, 1}};  // twice the same
    const Contrastive losses = contrastive(Var(caption), Var(caption), Matrix{{std::log(100.0f)}});
    CHECK(losses.loss.value()[0] == Approx(2 * std::log(2.0) / 3).epsilon(1e-4));
}

TEST_CASE("scaled_cosines: exp(log_scale) times the dot products of rows") {
    const Matrix cosines =
        scaled_cosines(Matrix{{0.6f, 0.8f}}, Matrix{{1, 0}, {0, 1}, {-1, 0}}, Matrix{{std::log(10.0f)}}).value();
    check_close("cosines", cosines, {{6, 8, -6}});
}

TEST_CASE("contrastive: gradients of both sides and of the scale agree with finite differences") {
    const Matrix a{{1, 2, -1}, {0.5f, -1, 2}}, b{{0.3f, 1, 1}, {-1, 0.2f, 0.7f}};
    check_gradient_by_differences(
        [](const std::vector<Var>& in) { return contrastive(unit_rows(in[0]), unit_rows(in[1]), in[2]).loss; },
        {a, b, Matrix{{0.7f}}});
}

TEST_CASE("contrastive: logits that are not square are refused") {
    CHECK(without_place(error_of([] { contrastive(Matrix(2, 3)); })) ==
          "contrastive: logits of shape (2, 3), row i and column i must be a pair, so they are square; there must be a pair");
    CHECK(without_place(error_of([] { contrastive(Matrix()); })).starts_with("contrastive: logits of shape (0, 0), row i"));
}

TEST_CASE("scaled_cosines: a scale that is not one number is refused, even where it would broadcast") {
    CHECK(without_place(error_of([] { scaled_cosines(Matrix(2, 3, 1), Matrix(2, 3, 1), Matrix(1, 2)); })) ==
          "scaled_cosines: a logarithm of the scale of shape (1, 2), it must be (1, 1), one for all cosines");
}

TEST_SUITE_END();
