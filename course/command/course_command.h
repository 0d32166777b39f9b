// course_command.h: the commands of the course, for students and teachers; the Makefile starts them, run_course --help lists them.
// course/README.md and course/STUDENTS.md say how.
#pragma once
#include <string>
#include <vector>

// Does what the words of the command line ask for: {"check", "causal", "--out", "build/release"}.
//   returns  the status of the program
//   throws   std::invalid_argument for an unknown command or option, a missing name, an option that is not a number where one is needed
int course_command(const std::vector<std::string>& words);
