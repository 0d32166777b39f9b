// loops.h: three functions as bare loops over a row, with the functions of this project and with those of the standard library.
#pragma once

// y = f(x) for `count` numbers
using Loop = void (*)(const float* x, float* y, int count);

void exp_loop(const float* x, float* y, int count);
void exp_standard(const float* x, float* y, int count);
void gelu_loop(const float* x, float* y, int count);  // 0.5 x (1 + erf(x / sqrt 2))
void gelu_standard(const float* x, float* y, int count);
void softmax_loop(const float* x, float* y, int count);
void softmax_standard(const float* x, float* y, int count);
