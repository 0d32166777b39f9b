// titles.h: the titles of all tests, read from their sources: mistakes and tasks name them.
#pragma once
#include <set>
#include <string>

// "suite: title" of every test case.
std::set<std::string> all_titles();
