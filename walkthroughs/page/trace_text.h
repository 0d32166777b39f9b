// trace_text.h: a trace in the terminal: a list of values, each value and its gradient as numbers, each element with its arithmetic.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "nn/autograd/trace.h"
#include "walkthroughs/page/trace_page.h"

// One line for each value: "  12  scores                matmul_transposed (5, 5)   block 0, ...".
std::vector<std::string> trace_list(const Trace& trace, const std::vector<SourceNote>& notes);

// The arithmetic of element (i, j) of value number `index`, in lines: the formula, the formula with its numbers, its result, and
// the value in the program.
//   throws  std::invalid_argument when there is no such value or element
std::vector<std::string> explain_value(const Trace& trace, const std::vector<SourceNote>& notes, int index, int i, int j);
// The same for its gradient: one formula for each operation that reads the value.
std::vector<std::string> explain_gradient(const Trace& trace, const std::vector<SourceNote>& notes, int index, int i, int j);

// On a terminal page_trace() of trace_pager.h. Otherwise answers lines of `in` until it ends or says q: an empty line shows the next values of the list, "12" one value, "12 0 3" one element,
// "g 12" and "g 12 0 3" the same of the gradient, "nan" the first value that is not finite, "?" these words.
void browse_trace(const Trace& trace, std::FILE* in, std::FILE* out);
