// lines.h: the benchmarks. Each line is a piece of work done with the project's ordinary functions.
#pragma once
#include <functional>
#include <string>
#include <vector>

struct Line {
    std::string name;
    double operations = 0;  // multiplications and additions of the formula
    double bytes = 0;       // that must be moved, if memory may be the limit
    double tokens = 0;      // generated; 0 otherwise
    // Makes inputs and weights, and returns the work to repeat.
    std::function<std::function<void()>()> prepare;
    bool writes = false;      // whether about half of the bytes are written; else nearly all are read
    double rays = 0;          // rendered; 0 otherwise
    std::string rival = {};   // name of an earlier line that does the same work; the quotient of the two times is printed
    double numbers = 0;       // computed by a bare loop; 0 otherwise
    double text = 0;          // bytes of it; 0 otherwise
    std::string growth = {};  // "T, with B 1": the line is a bar of this chart
};

// All lines, in order of printing; and those of each family.
std::vector<Line> all_lines();
std::vector<Line> lines_of_products();
std::vector<Line> lines_of_functions();
std::vector<Line> lines_of_models();
std::vector<Line> lines_of_generation();
std::vector<Line> lines_of_growth();
std::vector<Line> lines_of_scenes();
std::vector<Line> lines_of_files();
