// show_variable.h: look at a Var, from a program or from a debugger: its value, and what made it.
//
//   shows   show(v) prints "softmax_rows at vit/vit.cpp:42", then the grid of the value, and that of the gradient once there is one
#pragma once
#include <string>

#include "nn/autograd/variable.h"

void show(const Var& v);
void heat(const Var& v);   // of the value
void stats(const Var& v);  // of the value, and of the gradient once there is one

// What show prints.
std::string variable_text(const Var& v);
