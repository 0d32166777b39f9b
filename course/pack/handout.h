// handout.h: what students get to read, as one HTML page: every task with its equation and the contract of its function, which
// says shapes and errors. Nothing is written for the page: it is put together from the sources.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "course/grade/task.h"
#include "course/mistake.h"

// The comment and the declaration of a function, or of a type with its members, in a file.
//   throws  std::invalid_argument when it is not there
std::string contract_text(const Contract& contract);

// The first comment of a file: paper, symbols, what differs.
std::string opening_comment(const std::string& file);

std::string handout_html(const std::string& module, int seed, const std::vector<Task>& tasks,
                         const std::map<std::string, Mistake>& twists);
