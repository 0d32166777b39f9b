// cause.h: guess the mistake that turns the expected numbers into ours, in one sentence, from the numbers alone.
//
//   guess   begins with "fits: "; made only when every differing element agrees with it, and there are more of them than the
//           guess has free parameters; when several fit, the most specific is given
//   place   begins with "differs only ": the positions of the differing elements, a fact and not a guess
//   else    ""
//   next    compared.h: the two matrices; values.h, softmax.h, places.h, others.h: the hypotheses
#pragma once
#include <string>

#include "course/cause/compared.h"

// Separates a failure from its cause in a message.
inline const std::string before_cause = "\n    cause    ";

// The most specific sentence about the difference.
//   example  ours = 2.828 expected, known.sizes = {{"head width", 8}}:
//            "fits: yours = expected * 2.828 = sqrt(head width), head width = 8"
std::string cause(const Matrix& ours, const Matrix& expected, const Known& known);
