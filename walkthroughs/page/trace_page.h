// trace_page.h: a trace as one web page: the lines of source on the left, a matrix on the right; a click on a cell writes its arithmetic out.
//
//   shows    for every element of every value and gradient which numbers it was computed from, each of them a link to its own
//   note     The page computes the formulas of nn/autograd/formula.h itself, and shows the program's number beside its own. Two traces
//            can be compared in it: the first value that differs is shown beside the other. Needs no library and no network.
#pragma once
#include <string>
#include <vector>

#include "nn/autograd/trace.h"

// Names of a traced value in its line of source.
struct SourceNote {
    std::string
        name;  // the name on the left of the = : "scores"; of a parameter its name in the call: "w.query.weight"; "" for neither
    std::string code;  // the line without its margin; "" when the file has moved
};
std::vector<SourceNote> source_notes(const Trace& trace);

//   most_numbers  values and gradients beyond that are left out, the largest first; their shape stays
std::string trace_html(const Trace& trace, const std::string& title, std::size_t most_numbers = 1'500'000);
