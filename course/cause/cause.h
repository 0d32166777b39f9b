// cause.h: what turns the expected numbers into ours? A guess at the mistake, in one sentence, from nothing but numbers.
//
//   guess   begins with "fits: " and is made only when every element that differs agrees with it, and more of them do than the
//           guess has free numbers; when several fit, the most telling comes first
//   place   begins with "differs only ": where the differing elements stand, a fact and no guess
//   else    "": nothing is said when nothing is known
//   next    compared.h: the two matrices; values.h, softmax.h, places.h, others.h: the questions that are asked of them
#pragma once
#include <string>

#include "course/cause/compared.h"

// What stands between a failure and its cause in a message.
inline const std::string before_cause = "\n    cause    ";

// The most telling sentence about the difference.
//   example  ours = 2.828 expected, known.sizes = {{"head width", 8}}:
//            "fits: yours = expected * 2.828 = sqrt(head width), head width = 8"
std::string cause(const Matrix& ours, const Matrix& expected, const Known& known);
