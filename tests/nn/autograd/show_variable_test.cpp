#include "nn/autograd/show_variable.h"

#include "nn/autograd/operations.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("show_variable");

TEST_CASE("variable_text: a constant and a parameter show kind, shape and numbers") {
    CHECK(variable_text(Var(Matrix{{1, 2}})) == "constant (1, 2)\n   1.0000  2.0000\n");
    CHECK(variable_text(parameter(Matrix{{-1}})) == "parameter (1, 1)\n   -1.0000\n");
    CHECK(variable_text(Var()) == "no value\n");
}

TEST_CASE("variable_text: a result shows the line that computed it, and its gradient once there is one") {
    const Var x = parameter(Matrix{{1, 2}});
    Tape tape;
    const Var y = scale(x, 3);
    const std::string line = text(__LINE__ - 1);
    const Var loss = sum(y);
    CHECK(variable_text(y) == "scale at tests/nn/autograd/show_variable_test.cpp:" + line + " (1, 2)\n   3.0000  6.0000\n");
    backward(loss);
    CHECK(variable_text(x) ==
          "parameter (1, 2)\n"
          "   1.0000  2.0000\n"
          "gradient (1, 2)\n"
          "   3.0000  3.0000\n");
}

TEST_SUITE_END();
