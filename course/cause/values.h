// values.h: hypotheses that compare each of our numbers with the expected one at the same position. Each is one sentence, or "".
#pragma once
#include <string>

#include "course/cause/compared.h"

std::string function_of_expected(const Compared& c);    // logarithm, square, 1 - x ... of the expected number, or the inverse
std::string other_activation(const Compared& c);        // another activation function of the same input, such as another GELU
std::string multiple_of_expected(const Compared& c);    // one factor for all, named from the sizes
std::string shifted_by_a_number(const Compared& c);     // expected + a number
std::string stretched_columns(const Compared& c);       // one factor, around a constant of each column: another variance
std::string stretched_rows(const Compared& c);          // a factor for each row
std::string norm_forgotten(const Compared& c);          // expected is the layer norm of ours, with any gain and bias
std::string only_small_differences(const Compared& c);  // everywhere, but only by little
