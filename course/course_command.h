// course_command.h: the commands of the course, for students and teachers; the Makefile starts them. course/README.md and
// course/STUDENTS.md say how.
//
//   run_course list | check NAME | hint NAME | watch NAME
//   run_course pack MODULE --seed N [--twist "NAME NAME" | auto]
//   run_course grade MODULE --submission FOLDER --json FILE --scratch FOLDER
//   run_course verify [--sample N] [--seed N] [--cases no] [NAME]
//   all: --out build/release --make "make CXX=..."     where programs are built, and how
#pragma once
#include <string>
#include <vector>

// Does what the words of the command line ask for: {"check", "causal", "--out", "build/release"}.
//   returns  the status of the program
//   throws   std::invalid_argument for an unknown command, a missing name, an option that is no number where one is needed
int course_command(const std::vector<std::string>& words);
