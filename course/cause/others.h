// others.h: hypotheses about other values of the fixture. Each is one sentence, or "".
#pragma once
#include <string>

#include "course/cause/compared.h"

std::string equal_to_another(const Compared& c);  // ours equals another expected step
std::string forgotten_or_too_many(
    const Compared& c);                            // the difference is another value, possibly broadcast to every row or sequence
std::string factor_forgotten(const Compared& c);   // the quotient is another value: a gain, a mask
std::string other_mean_or_sum(const Compared& c);  // one number: the mean or the sum of another value
