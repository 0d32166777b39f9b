// values.h: guesses that compare each of our numbers with the expected one at the same place. Each is one sentence, or "".
#pragma once
#include <string>

#include "course/cause/compared.h"

std::string function_of_expected(const Compared& c);  // the logarithm, the square, 1 - x ... of what is expected, or the reverse
std::string other_activation(const Compared& c);  // x is what gives the expected number with GELU; ours is the tanh form of it
std::string multiple_of_expected(const Compared& c);    // one factor for all, its name from the sizes
std::string shifted_by_a_number(const Compared& c);     // expected + a number
std::string stretched_columns(const Compared& c);       // one factor, around a constant of each column: a norm's spread
std::string stretched_rows(const Compared& c);          // a factor for each row
std::string norm_forgotten(const Compared& c);          // expected is the layer norm of ours, with whatever gain and bias
std::string only_small_differences(const Compared& c);  // a place of a kind: everywhere, but never by much
