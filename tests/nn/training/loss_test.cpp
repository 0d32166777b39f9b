#include "nn/training/loss.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("loss");

// softmax of ln 1, ln 2, ln 5 is 1/8, 2/8, 5/8; of three equal scores a third each
static const Matrix logits{{0, std::log(2.0f), std::log(5.0f)}, {7, 7, 7}};

TEST_CASE("cross_entropy: -log 5/8 and -log 1/3, then their mean") {
    const float first = std::log(8.0f / 5), second = std::log(3.0f);
    check_close("token_losses", token_losses(logits, {2, 0}).value(), Matrix{{first}, {second}});
    check_close("cross_entropy", cross_entropy(logits, {2, 0}).value(), Matrix{{(first + second) / 2}});
}

TEST_CASE("cross_entropy: an ignored row counts neither in the sum nor in the number") {
    check_close("token_losses", token_losses(logits, {ignored_label, 0}).value(), Matrix{{0}, {std::log(3.0f)}});
    check_close("cross_entropy", cross_entropy(logits, {ignored_label, 0}).value(), Matrix{{std::log(3.0f)}});
    CHECK(cross_entropy(logits, {ignored_label, ignored_label}).value()(0, 0) == 0);
}

TEST_CASE("cross_entropy: the gradient is (softmax - one-hot) / number of rows, and 0 for an ignored row") {
    const Var s = parameter(logits);
    const Tape tape;
    backward(cross_entropy(s, {2, ignored_label}));
    check_close("gradient", s.gradient(), Matrix{{0.125f, 0.25f, 0.625f - 1}, {0, 0, 0}});
}

TEST_CASE("cross_entropy, mean_squared_error, mean_absolute_error, smooth_l1: gradients agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    const Matrix a{{1, -2, 3}, {0.5f, 4, -1}}, b{{2, 0.5f, -1}, {3, 3.75f, 2}};
    check_gradient_by_differences([](Inputs v) { return token_losses(v[0], {2, 0}); }, {logits});
    check_gradient_by_differences([](Inputs v) { return cross_entropy(v[0], {1, 0}); }, {a});
    check_gradient_by_differences([](Inputs v) { return mean_squared_error(v[0], v[1]); }, {a, b});
    check_gradient_by_differences([](Inputs v) { return mean_absolute_error(v[0], v[1]); }, {a, b});
    check_gradient_by_differences([](Inputs v) { return smooth_l1(v[0], v[1], 2); }, {a, b});
}

TEST_CASE("mean_squared_error, mean_absolute_error, smooth_l1: by hand, d = 0.5 and 3") {
    const Matrix a{{1, 5}}, b{{0.5f, 2}};
    CHECK(mean_squared_error(a, b).value()(0, 0) == (0.25f + 9) / 2);
    CHECK(mean_absolute_error(a, b).value()(0, 0) == 1.75f);
    CHECK(smooth_l1(a, b).value()(0, 0) == (0.125f + 2.5f) / 2);   // 0.5^2 / 2 and 3 - 1/2
    CHECK(smooth_l1(a, b, 2).value()(0, 0) == (0.0625f + 2) / 2);  // 0.5^2 / 4 and 3 - 1
}

TEST_CASE("smooth_absolute: smooth_l1 is its mean") {
    CHECK(identical(smooth_absolute(Matrix{{0.5f, -3}, {2, 0}}, 2).value(), Matrix{{0.0625f, 2}, {1, 0}}));
    CHECK(without_place(error_of([] { smooth_absolute(Matrix(1, 1), 0); })) ==
          "smooth_absolute: beta is 0.000000, it must be finite and positive");
    CHECK(without_place(error_of([] { smooth_absolute(Matrix(1, 1), INFINITY); })) ==
          "smooth_absolute: beta is inf, it must be finite and positive");
    CHECK(without_place(error_of([] { smooth_l1(Matrix(1, 1), Matrix(1, 1), INFINITY); })) ==
          "smooth_l1: beta is inf, it must be finite and positive");
}

TEST_CASE("token_losses: large logits do not overflow or lose the loss") {
    const Matrix huge{{1000, 0}, {-1000, 0}};
    check_close("token_losses", token_losses(huge, {1, 1}).value(), Matrix{{1000}, {0}});
}

TEST_CASE("accuracy: counts the rows whose largest logit is the label") {
    CHECK(accuracy(Matrix{{1, 2}, {3, 0}, {0, 1}, {0, 1}}, {1, 1, 1, 1}) == 0.75f);
    CHECK(accuracy(Matrix{{1, 2}, {3, 0}, {0, 1}}, {1, 1, ignored_label}) == 0.5f);
    CHECK(accuracy(Matrix{{1, 2}}, {ignored_label}) == 0);
    CHECK(accuracy(Matrix{{0, 1, 2}}, {2}) == 1);  // more classes than rows
}

TEST_CASE("accuracy: a row with a NaN counts as wrong") {
    CHECK(accuracy(Matrix{{NAN, 0}, {0, NAN}, {NAN, NAN}, {5, NAN}, {0, 1}}, {0, 1, 0, 0, 1}) == 0.2f);
}

TEST_CASE("token_losses: a NaN among the logits makes the loss of its row NaN, and no other") {
    const Matrix losses = token_losses(Matrix{{0, NAN}, {NAN, 0}, {0, 0}}, {0, 0, 0}).value();
    CHECK(std::isnan(losses[0]));
    CHECK(std::isnan(losses[1]));
    CHECK(losses[2] == Approx(std::log(2.0)));
}

TEST_CASE("token_losses: loops on several threads equal a few rows at a time") {
    const auto losses_of_rows = [](const Var& x, int first) {
        std::vector<int> labels;
        for (int i = 0; i < x.rows(); ++i) labels.push_back((first + i) % 5 == 0 ? ignored_label : (first + i) * 7 % 100);
        return token_losses(x, labels);
    };
    check_rows_alike("token_losses", losses_of_rows);
}

TEST_CASE("token_losses: wrong labels are refused") {
    CHECK(without_place(error_of([&] { cross_entropy(logits, {1}); })) ==
          "token_losses: 1 labels for the rows of (2, 3), each needs one");
    CHECK(without_place(error_of([&] {
              cross_entropy(logits, {1, 3});
          })) == "token_losses: label 3 is not one of 3 classes, nor -100 (ignored)");
    CHECK(without_place(error_of([&] {
              cross_entropy(logits, {1, -1});
          })) == "token_losses: label -1 is not one of 3 classes, nor -100 (ignored)");
    CHECK_THROWS_WITH(accuracy(logits, {1}), "accuracy: 1 labels for the rows of (2, 3), each needs one");
    CHECK(without_place(error_of([&] { smooth_l1(logits, logits, 0); })).starts_with("smooth_l1: beta is"));
    const Matrix row(1, 3);
    CHECK(without_place(error_of([&] { mean_squared_error(logits, row); })) ==
          "mean_squared_error: (2, 3) and (1, 3), the shapes must be equal");
    CHECK(without_place(error_of([&] { mean_absolute_error(logits, row); })) ==
          "mean_absolute_error: (2, 3) and (1, 3), the shapes must be equal");
    CHECK(without_place(error_of([&] { smooth_l1(logits, row); })) == "smooth_l1: (2, 3) and (1, 3), the shapes must be equal");
}

TEST_CASE("smoothed_token_losses: by hand, two classes with p = 3/4 and 1/4, a tenth smoothed") {
    const Matrix logits{{std::log(3.0f), 0}, {std::log(3.0f), 0}};
    const Matrix losses = smoothed_token_losses(logits, {0, ignored_label}, 0.1f).value();
    // 0.95 of -log(3/4) and 0.05 of -log(1/4)
    CHECK(losses[0] == Approx(-0.95 * std::log(0.75) - 0.05 * std::log(0.25)));
    CHECK(losses[1] == 0);
    using Inputs = const std::vector<Var>&;
    check_gradient_by_differences(
        [](Inputs x) {
            return smoothed_token_losses(x[0], {1, ignored_label}, 0.2f);
        },
        {Matrix{{1, -2, 0.5f}, {0, 1, 2}}});
    CHECK(without_place(error_of([&] {
              smoothed_token_losses(logits, {0, 1}, 1);
          })) == "smoothed_token_losses: a smoothing of 1.000000, it lies from 0 to below 1");
    CHECK(without_place(error_of([&] {
              smoothed_token_losses(logits, {0, 1}, -0.5f);
          })) == "smoothed_token_losses: a smoothing of -0.500000, it lies from 0 to below 1");
    CHECK(identical(smoothed_token_losses(logits, {0, 1}, 0).value(), token_losses(logits, {0, 1}).value()));
}

TEST_CASE("weighted_mean: (1 * 2 + 3 * 4) / (1 + 3), and eps added to the weights") {
    CHECK(weighted_mean(Matrix{{2}, {4}}, {1, 3}).value()[0] == Approx(3.5));
    CHECK(weighted_mean(Matrix{{2}, {4}}, {1, 3}, 4).value()[0] == Approx(14 / 8.0));
    CHECK(without_place(error_of([] {
              weighted_mean(Matrix(2, 1), {0, 0});
          })) == "weighted_mean: all weights are 0; at least one row must count");
    CHECK(without_place(error_of([] { weighted_mean(Matrix(2, 1), {1}); })) ==
          "weighted_mean: losses (2, 1) and 1 weights; losses are one column, and each needs a weight");
}

// sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2
static const float ln3 = std::log(3.0f);

TEST_CASE("weighted_cross_entropy: divides by the sum of the weights, not by their number") {
    // losses -log 5/8 and -log 1/3 with weights 1 and 0.1
    const float first = std::log(8.0f / 5), second = std::log(3.0f);
    check_close("weighted", weighted_cross_entropy(logits, {2, 0}, {0.1f, 1, 1}).value(),
                Matrix{{(first + 0.1f * second) / 1.1f}});
    check_close("ignored", weighted_cross_entropy(logits, {ignored_label, 0}, {0.1f, 1, 1}).value(), Matrix{{second}});
    CHECK(weighted_cross_entropy(logits, {2, 0}, {0, 1, 0}).value()(0, 0) == 0);
}

TEST_CASE("binary_losses: by hand, for targets between 0 and 1 too, and without overflow") {
    // p = 3/4: -log 3/4 for 1, -log 1/4 for 0, half of both for 1/2
    check_close("losses", binary_losses(Matrix{{ln3, ln3, ln3}}, {{1, 0, 0.5f}}).value(),
                Matrix{{std::log(4.0f / 3), std::log(4.0f), (std::log(4.0f / 3) + std::log(4.0f)) / 2}});
    check_close("mean", binary_cross_entropy(Matrix{{ln3, ln3}}, {{1, 0}}).value(),
                Matrix{{(std::log(4.0f / 3) + std::log(4.0f)) / 2}});
    check_close("huge", binary_losses(Matrix{{1000, -1000, 1000, -1000}}, {{1, 0, 0, 1}}).value(), Matrix{{0, 0, 1000, 1000}});
}

TEST_CASE("focal_losses: a right element is weighted by the square of 1 - p") {
    // p = 3/4: for 1, 0.3 (1/4)^2 (-log 3/4); for 0, 0.7 (3/4)^2 (-log 1/4)
    check_close("focal", focal_losses(Matrix{{ln3, ln3}}, {{1, 0}}, 0.3f).value(),
                Matrix{{0.3f / 16 * std::log(4.0f / 3), 0.7f * 9 / 16 * std::log(4.0f)}});
    // without gamma and with alpha 1/2 it is half of the binary loss
    check_close("gamma 0", focal_losses(Matrix{{1, -2}}, {{1, 1}}, 0.5f, 0).value(),
                scale(binary_losses(Matrix{{1, -2}}, {{1, 1}}), 0.5f).value());
    check_close("huge", focal_losses(Matrix{{1e6f, -1e6f, 100}}, {{1, 0, 0}}, 0.25f).value(), Matrix{{0, 0, 75}});
}

TEST_CASE("dice_losses: by hand, and two empty masks have loss 0") {
    // p = 3/4, 1/2, t = 1, 0: 1 - (2 * 3/4 + 1) / (5/4 + 1 + 1) = 1 - 2.5 / 3.25
    check_close("dice", dice_losses(Matrix{{ln3, 0}, {-100, -100}}, {{1, 0}, {0, 0}}).value(), Matrix{{1 - 2.5f / 3.25f}, {0}});
}

TEST_CASE("binary_losses, focal_losses, dice_losses, weighted_cross_entropy: gradients agree with finite differences") {
    using Inputs = const std::vector<Var>&;
    const Matrix a{{1, -2, 3}, {0.5f, 2, -1}}, t{{1, 0, 1}, {0, 1, 1}};
    check_gradient_by_differences([&](Inputs v) { return binary_losses(v[0], t); }, {a});
    check_gradient_by_differences([&](Inputs v) { return focal_losses(v[0], t, 0.3f); }, {a});
    check_gradient_by_differences([&](Inputs v) { return dice_losses(v[0], t); }, {a});
    check_gradient_by_differences([](Inputs v) { return weighted_cross_entropy(v[0], {2, 0}, {0.1f, 1, 0.5f}); }, {a});
}

TEST_CASE("binary_losses, focal_losses, weighted_cross_entropy: arguments that do not fit are refused with their numbers") {
    CHECK(without_place(error_of([] { binary_losses(Matrix(2, 3), Matrix(1, 3)); })) ==
          "binary_losses: (2, 3) and (1, 3), the shapes must be equal");
    CHECK(without_place(error_of([] { focal_losses(Matrix(1, 1), Matrix{{0.5f}}); })) ==
          "focal_losses: a target of 0.500000, each must be 0 or 1");
    CHECK(without_place(error_of([] { weighted_cross_entropy(Matrix(1, 2), {0}, {1}); })) ==
          "weighted_cross_entropy: 1 weights for the 2 classes of (1, 2), each needs one");
}

TEST_CASE("binary_losses, dice_losses, focal_losses: a target outside 0 to 1, and an alpha above 1, are refused") {
    const float nan = std::nanf("");
    CHECK(without_place(error_of([] {
              binary_losses(Matrix(1, 2), Matrix{{1, 2}});
          })) == "binary_losses: a target of 2.000000, it must be a probability from 0 to 1");
    CHECK(without_place(error_of([&] {
              binary_losses(Matrix(1, 2), Matrix{{0, nan}});
          })) == "binary_losses: a target of nan, it must be a probability from 0 to 1");
    CHECK(without_place(error_of([] {
              dice_losses(Matrix(1, 2), Matrix{{1, -0.5f}});
          })) == "dice_losses: a target of -0.500000, it must be a probability from 0 to 1");
    CHECK(without_place(error_of([] { focal_losses(Matrix(1, 1), Matrix{{1}}, 1.5f); })) ==
          "focal_losses: alpha is 1.500000, it must lie between 0 and 1; 0.25 is usual");
    CHECK(without_place(error_of([] { focal_losses(Matrix(1, 1), Matrix{{1}}, -0.5f); })) ==
          "focal_losses: alpha is -0.500000, it must lie between 0 and 1; 0.25 is usual");
    CHECK_NOTHROW(focal_losses(Matrix(1, 1), Matrix{{1}}, 0));
    CHECK_NOTHROW(focal_losses(Matrix(1, 1), Matrix{{1}}, 1));
    CHECK_NOTHROW(binary_losses(Matrix(1, 2), Matrix{{0, 1}}));
}

TEST_CASE("accuracy, weighted_mean: a label that is not a class, and a weight of NaN, are refused") {
    CHECK_THROWS_WITH(accuracy(Matrix(2, 3), {0, 3}), "accuracy: label 3 of row 1 is not one of 3 classes, nor -100 (ignored)");
    CHECK_THROWS_WITH(accuracy(Matrix(1, 3), {-1}), "accuracy: label -1 of row 0 is not one of 3 classes, nor -100 (ignored)");
    CHECK(without_place(error_of([] {
              weighted_mean(Matrix(2, 2), {1, 1});
          })).starts_with("weighted_mean: losses (2, 2) and 2 weights"));
    CHECK(without_place(error_of([] {
              weighted_mean(Matrix(2, 1), {1, std::nanf("")});
          })) == "weighted_mean: the weight of row 1 is nan, it must be finite and not below 0");
    CHECK(without_place(error_of([] {
              weighted_mean(Matrix(2, 1), {1, -1});
          })) == "weighted_mean: the weight of row 1 is -1.000000, it must be finite and not below 0");
    CHECK(without_place(error_of([] {
              weighted_mean(Matrix(2, 1), {1, 1}, -2);
          })) == "weighted_mean: eps is -2.000000, it must be finite and not below 0");
}

TEST_CASE("weighted_cross_entropy: a weight below 0 is refused, 0 is allowed") {
    const auto refusal = [](const std::vector<float>& weights) {
        return without_place(error_of([&] { weighted_cross_entropy(Matrix(1, 2), {0}, weights); }));
    };
    CHECK(refusal({1, 0}).empty());
    CHECK(refusal({1, -0.5f}) == "weighted_cross_entropy: a weight of -0.500000, each must be finite and not below 0");
    CHECK(refusal({1, INFINITY}) == "weighted_cross_entropy: a weight of inf, each must be finite and not below 0");
    CHECK(refusal({1, 1, 1}) == "weighted_cross_entropy: 3 weights for the 2 classes of (1, 2), each needs one");
}

TEST_CASE("focal_losses: gamma must be a finite number") {
    const auto with = [](float gamma) { return error_of([&] { focal_losses(Matrix(1, 1), Matrix(1, 1), 0.25f, gamma); }); };
    CHECK(with(0).empty());
    CHECK(with(INFINITY).ends_with("focal_losses: gamma is inf, it must be finite and at least 0; 2 is usual"));
    CHECK(with(NAN).ends_with("focal_losses: gamma is nan, it must be finite and at least 0; 2 is usual"));
}

TEST_SUITE_END();
