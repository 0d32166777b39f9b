#include "nn/autograd/variable.h"

#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "nn/autograd/operations.h"
#include "nn/layers/norm.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("variable");

TEST_CASE("backward: y = (a b) + (a c) sends a gradient to a along both paths, and they add up") {
    const Var a = parameter(Matrix{{2}}), b = parameter(Matrix{{3}}), c = parameter(Matrix{{5}});
    const Tape tape;
    const Var ab = multiply(a, b);  // 6
    const Var ac = multiply(a, c);  // 10
    const Var y = add(ab, ac);      // 16
    REQUIRE(y.value()(0, 0) == 16);
    CHECK(tape.operations.size() == 3);
    backward(y);
    CHECK(a.gradient()(0, 0) == 8);  // b + c
    CHECK(b.gradient()(0, 0) == 2);  // a
    CHECK(c.gradient()(0, 0) == 2);  // a
    CHECK(ab.gradient()(0, 0) == 1);
}

TEST_CASE("backward: an input used twice in one operation gets both contributions: d(a a) = 2a") {
    const Var a = parameter(Matrix{{7}});
    const Tape tape;
    backward(multiply(a, a));
    CHECK(a.gradient()(0, 0) == 14);
}

TEST_CASE("backward: gradients of two passes accumulate until set to zero") {
    Var a = parameter(Matrix{{7}});
    for (int pass = 0; pass < 2; ++pass) {
        const Tape tape;
        backward(scale(a, 3));
    }
    CHECK(a.gradient()(0, 0) == 6);
    a.zero_gradient();
    CHECK(a.gradient().empty());
}

TEST_CASE("record_operation: nothing is recorded without a tape, under NoTape, or for constants") {
    const Var a = parameter(Matrix{{2}});
    const Var free = scale(a, 3);
    CHECK_FALSE(free.requires_gradient());
    CHECK(free->inputs.empty());
    const Tape tape;
    {
        const NoTape frozen;
        const Var teacher = scale(a, 3);
        CHECK_FALSE(teacher.requires_gradient());
    }
    const Var constant = add(Matrix{{1}}, Matrix{{2}});
    CHECK(constant.value()(0, 0) == 3);
    CHECK(tape.operations.empty());
    const Var recorded = scale(a, 3);
    CHECK(tape.operations.size() == 1);
    CHECK(recorded.requires_gradient());
}

TEST_CASE("backward: a constant among the inputs gets no gradient") {
    const Var a = parameter(Matrix{{2}}), constant = Matrix{{5}};
    const Tape tape;
    backward(multiply(a, constant));
    CHECK(a.gradient()(0, 0) == 5);
    CHECK(constant.gradient().empty());
}

TEST_CASE("Tape: operations are recorded in program order, with the caller's line") {
    const Var a = parameter(Matrix{{2}});
    const Tape tape;
    const Var first = square(a);
    const Var second = exp(first);
    REQUIRE(tape.operations.size() == 2);
    CHECK(std::string(tape.operations[0]->operation) == "square");
    CHECK(std::string(tape.operations[1]->operation) == "exp");
    CHECK(tape.operations[0]->where.line() + 1 == tape.operations[1]->where.line());
    CHECK(std::string(tape.operations[0]->where.file_name()).ends_with("variable_test.cpp"));
    CHECK(tape.operations[1]->inputs[0].same_as(first));
}

TEST_CASE("backward: releases each operation after its gradient has been passed on") {
    const Var a = parameter(Matrix{{2}});
    Tape tape;
    const Var kept = square(a);
    const Var y = exp(kept);
    backward(y);
    CHECK(tape.operations.empty());
    CHECK(kept->inputs.empty());
    CHECK(kept.gradient()(0, 0) == Approx(std::exp(4.0)));  // a Var that is still held keeps its gradient
    CHECK(a.gradient()(0, 0) == Approx(4 * std::exp(4.0)));
}

TEST_CASE("steps_are_kept: while a KeepSteps exists or a Tape is running, not under NoTape") {
    CHECK_FALSE(steps_are_kept());
    {
        const KeepSteps keep;
        CHECK(steps_are_kept());
        const NoTape no_tape;
        CHECK(steps_are_kept());
    }
    CHECK_FALSE(steps_are_kept());
    const Tape tape;
    CHECK(steps_are_kept());
    const NoTape no_tape;
    CHECK_FALSE(steps_are_kept());
}

TEST_CASE("Tape: tapes nest, the innermost records") {
    const Var a = parameter(Matrix{{2}});
    Tape outer;
    {
        Tape inner;
        scale(a, 2);
        CHECK(inner.operations.size() == 1);
    }
    CHECK(outer.operations.empty());
    scale(a, 2);
    CHECK(outer.operations.size() == 1);
}

TEST_CASE("backward: a chain of a hundred thousand operations is walked and released without recursion") {
    const Var a = parameter(Matrix{{1}});
    Tape tape;
    Var y = a;
    for (int i = 0; i < 100000; ++i) y = shift(y, 1);
    backward(y);
    CHECK(a.gradient()(0, 0) == 1);
}

TEST_CASE("Var: copies share value and gradient") {
    Var a = parameter(Matrix{{1, 2}});
    const Var b = a;
    a.value()(0, 1) = 5;
    CHECK(b.value()(0, 1) == 5);
    CHECK(a.same_as(b));
    const Var nothing;
    CHECK_FALSE(nothing);
    CHECK_THROWS_WITH(
        nothing.rows(),
        "Var: this one holds no value: a part that the model does not have (a bias, a pooler, a classifier), or a step that was not kept; "
        "ask `if (var)` first, or make a KeepSteps before forward");
}

TEST_CASE("Var::value: of a temporary it is moved out, or copied while a tape still needs it") {
    float total = 0;
    for (const float x : add(Matrix{{1, 2}}, Matrix{{3, 4}}).value()) total += x;
    CHECK(total == 10);
    Var alone = Matrix{{1, 2}};
    const float* const numbers = alone.value().begin();
    const Matrix moved = std::move(alone).value();
    CHECK(moved.begin() == numbers);
    const Var a = parameter(Matrix{{3}});
    const Tape tape;
    const Matrix taken = square(a).value();
    CHECK(taken(0, 0) == 9);
    CHECK(tape.operations[0].value()(0, 0) == 9);
}

TEST_CASE("backward: says why it cannot begin") {
    const Var a = parameter(Matrix{{1, 2}});
    CHECK(without_place(error_of([&] { backward(a); })) == "backward: the loss is (1, 2), it must be (1, 1)");
    const Var loss = sum(a);
    CHECK(without_place(error_of([&] { backward(loss); })) ==
          "backward: no Tape is running; make one before the forward pass: Tape tape;");
    const Tape tape;
    const auto refusal = [](const Var& from) { return without_place(error_of([&] { backward(from); })); };
    const auto ends = [&](const Var& from, const std::string& words) { return refusal(from).ends_with(words); };
    CHECK(refusal(Matrix{{1}}) ==
          "backward: the loss is a constant and not the result of an operation; compute it from the parameters");
    CHECK(
        ends(loss,
             "was not recorded: no Tape was running when it was computed, or no input of it is a parameter() or comes from one"));
    CHECK(refusal(loss).starts_with("backward: the loss, a sum of tests/nn/autograd/variable_test.cpp:"));
    CHECK(ends(sum(Matrix{{1, 2}}), "or no input of it is a parameter() or comes from one"));
    const Var again = sum(a);
    backward(again);
    CHECK(ends(again,
               "has been walked back already, which releases what led to it; run the forward pass again, or add the losses and "
               "call backward once"));
}

namespace {
struct Trapping {
    Trapping() { trap_nan(true); }
    ~Trapping() { trap_nan(false); }
};
}  // namespace

// The error of trap_nan for an operation, or "".
static std::string trapped(const std::function<void()>& run) {
    const Trapping trapping;
    try {
        run();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST_CASE("trap_nan: the first operation that produces a NaN or infinity is named with its line, with or without a tape") {
    const Matrix zeros(2, 3);
    CHECK(trapped([&] { log(Matrix(1, 2, 1)); }) == "");
    const int line = __LINE__ + 1;
    const std::string made = trapped([&] { const Var ok = exp(zeros), bad = log(multiply(zeros, ok)), later = add(bad, bad); });
    CHECK(made ==
          joined({"tests/nn/autograd/variable_test.cpp:", line,
                  ": log: 6 of 6 numbers of (2, 3) are not finite, the first, at (0, 0), is -inf; its inputs are finite"}));
    {
        const Tape tape;
        const Var w = parameter(Matrix{{1, 0, 2}});
        CHECK(trapped([&] { sum(log(w)); })
                  .ends_with(": log: 1 of 3 numbers of (1, 3) are not finite, the first, at (0, 1), is -inf; its "
                             "inputs are finite"));
    }
    CHECK(log(zeros).value()(1, 2) < -1e30f);  // off again: no error
}

TEST_CASE("trap_nan: when an input already held the NaN, that input is named") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Var w = parameter(Matrix{{1, 2}, {nan, 4}});
    CHECK(
        trapped([&] { add(Matrix(2, 2), w); })
            .ends_with(
                ": add: 1 of 4 numbers of (2, 2) are not finite, the first, at (1, 0), is nan; input 1, a parameter, brought it in: 1 of 4 "
                "numbers of (2, 2) are not finite, the first, at (1, 0), is nan"));
}

TEST_CASE("trap_nan: the first input that held the NaN is named; absent ones are passed over") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Var bad = parameter(Matrix{{nan, 1}}), good = Matrix{{1, 2}}, worse = parameter(Matrix{{nan, nan}});
    const std::string one = "not finite, the first, at (0, 0), is nan; input 0, a parameter, brought it in: 1 of 2 numbers";
    CHECK(trapped([&] { add(bad, good); }).find(one) != std::string::npos);
    CHECK(trapped([&] { add(bad, worse); }).find(one) != std::string::npos);
    const Norm bias_alone{.gain = {}, .bias = bad};
    CHECK(trapped([&] { layer_norm(good, bias_alone, 1e-5f); }).find("; input 2, a parameter, brought it in: 1 of 2") !=
          std::string::npos);
}

TEST_CASE("trap_nan: a gradient that is not finite is named with the operation whose backward computed it") {
    const Var w = parameter(Matrix{{4, 0}});
    const Tape tape;
    const Var loss = sum(sqrt(w));  // its slope at 0 is infinite
    CHECK(trapped([&] { backward(loss); })
              .ends_with(": sqrt, backward: the gradient of input 0, a parameter: 1 of 2 numbers of (1, 2) are "
                         "not finite, the first, at (0, 1), is inf; the gradient of the result is finite"));
}

TEST_CASE("trap_nan: a gradient that already was not finite is told apart from one that an operation computed") {
    const Var w = parameter(Matrix{{4, 1}}), bias = parameter(Matrix{{1, 1}});
    const Tape tape;
    Var aside = layer_norm(Matrix{{1, 3}}, {.gain = {}, .bias = bias}, 0);
    aside.gradient() = Matrix{{0, std::numeric_limits<float>::infinity()}};  // set by hand
    const Var loss = sum(w);
    CHECK(trapped([&] { backward(loss); })
              .ends_with(": layer_norm, backward: the gradient of input 2, a parameter: 1 of 2 numbers of (1, 2) are not finite, "
                         "the first, at (0, 1), is inf; it came in with the gradient of the result"));
    CHECK(identical(w.gradient(), Matrix{{1, 1}}));
}

TEST_CASE("add_gradient: a contribution of the wrong shape is refused") {
    Var a = parameter(Matrix{{1, 2}});
    CHECK_THROWS_WITH(add_gradient(a, Matrix{{1}}),
                      "add_gradient: a gradient of shape (1, 1) for a value of shape (1, 2), the shapes must be equal");
}

TEST_CASE("add_gradient: the first contribution of a temporary is moved in, later ones are added, of a constant's none is kept") {
    Var a = parameter(Matrix{{1, 2}}), constant = Matrix{{1, 2}};
    Matrix first{{3, 4}};
    const float* const numbers = first.begin();
    add_gradient(a, std::move(first));
    CHECK(a.gradient().begin() == numbers);
    add_gradient(a, Matrix{{10, 20}});
    CHECK(identical(a.gradient(), Matrix{{13, 24}}));
    const Matrix kept{{100, 200}};
    add_gradient(a, kept);
    CHECK(identical(a.gradient(), Matrix{{113, 224}}));
    add_gradient(constant, kept);
    add_gradient(constant, Matrix{{1, 1}});
    CHECK(constant.gradient().empty());
}

TEST_CASE("backward: a loss that was recorded on another Tape is refused, and changes nothing") {
    const Var w = parameter(Matrix{{1, 2}});
    Var earlier;
    {
        Tape tape;
        earlier = mean(square(w));
    }
    Tape outer;
    const Var loss = mean(w);
    CHECK(error_of([&] { backward(earlier); })
              .ends_with(
                  ", was recorded on another Tape than the running one, which holds 2 operations; compute it and call backward "
                  "under the same Tape"));
    {
        Tape inner;
        CHECK(error_of([&] { backward(loss); }).find("which holds 0 operations") != std::string::npos);
    }
    CHECK(w.gradient().empty());
    backward(loss);
    CHECK(identical(w.gradient(), Matrix{{0.5f, 0.5f}}));
}

TEST_SUITE_END();
