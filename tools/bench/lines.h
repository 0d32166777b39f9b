// lines.h: what is measured. Each line is a piece of work that the project does with its ordinary functions.
#pragma once
#include <functional>
#include <string>
#include <vector>

struct Line {
    std::string name;
    double operations = 0;  // multiplications and additions that the work needs, as formulas count them
    double bytes = 0;       // that it must move, where this may be the limit and not the arithmetic
    double tokens = 0;      // written, for generation; 0 otherwise
    // Makes inputs and weights, and returns the work, ready to be repeated.
    std::function<std::function<void()>()> prepare;
    bool writes = false;  // whether about half of the bytes are written; else nearly all are read
    double rays = 0;      // followed through a scene; 0 otherwise
};

// All lines, in the order in which they are printed.
std::vector<Line> all_lines();
