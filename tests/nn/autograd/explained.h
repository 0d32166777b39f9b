// explained.h: checks that every formula of a trace gives the numbers of the program.
#pragma once
#include "nn/autograd/trace.h"

// "" when each element of each value that has a formula is what the formula gives, and each element of each gradient the sum of what the
// formulas of its readers give; else the first one that is not.
//   skipped   counts the values that have no formula although an operation made them, and the gradients that a reader without one fed
std::string explanation_difference(const Trace& trace, int& skipped);

// One assertion that there is none, and nothing was skipped.
void check_explained(const Trace& trace, Where where = Where::current());
