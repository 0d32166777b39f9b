// closure.h: the files that some files need, found by their #include lines: a header brings its source along.
#pragma once
#include <set>
#include <string>
#include <vector>

// The roots and all that they need, in the project here.
std::set<std::string> closure(const std::vector<std::string>& roots);

// The fixtures, tests/golden/STEM-*, that these files ask for by golden_files("STEM").
std::set<std::string> fixtures_of(const std::set<std::string>& files);

// The test files in which the suites of these names begin.
std::vector<std::string> files_of_suites(const std::set<std::string>& suites);
