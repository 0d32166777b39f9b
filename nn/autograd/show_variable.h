// show_variable.h: print a Var, from a program or from a debugger: its value, and the operation that computed it.
//
//   shows   show(v) prints "softmax_rows at vit/vit.cpp:42", then the value and, once there is one, the gradient
#pragma once
#include <string>

#include "nn/autograd/variable.h"

void show(const Var& v);
void heat(const Var& v);   // its value as shades of grey, see nn/base/show.h
void stats(const Var& v);  // of its value, and of its gradient once there is one, see nn/base/show.h

// What show prints.
std::string variable_text(const Var& v);
