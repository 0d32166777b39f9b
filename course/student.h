// student.h: what a student types: make course, make check-NAME, make hint-NAME, make watch-NAME.
//
//   state    build/course/NAME.score holds the last score, build/course/NAME.hints how many hints were read; hints are also
//            written to course/hints_read.txt, which may be submitted
//   public   the seed of course/expected is the same for all; the grader has another one
#pragma once
#include <string>

#include "course/grade/tree.h"

// The tasks with their points, what is done, and what to do next.   returns the status of the program
int list_tasks();

// Asks and tests one task in the tree here, whose programs are built.   returns 0 when it has all points
int check_task(const std::string& name, const Tree& tree);

// Shows one more hint.
int next_hint(const std::string& name);

// Checks again whenever the task's file is saved, until it has all points.
//   build  the command that builds the programs; what it says is shown when it fails
int watch_task(const std::string& name, const Tree& tree);
