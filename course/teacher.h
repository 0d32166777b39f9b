// teacher.h: what a teacher types: make course-pack MODULE= SEED= TWIST=, make course-verify, and what Gradescope starts.
#pragma once
#include <map>
#include <string>

#include "course/exam.h"
#include "course/grade/tree.h"

struct PackOptions {
    std::string module;
    int seed = 1;
    std::string twist;  // names of mistakes; "auto": one for each task that has any, chosen by the seed; "" none
};

// The twists of a module's tasks, by task.
//   throws  std::invalid_argument when a name is not that of a mistake inside one of the tasks
std::map<std::string, Mistake> twists_of(const std::vector<Task>& tasks, const PackOptions& options);

// Writes build/course/MODULE-SEED: starter.tar.gz, handout.html, autograder.zip, quiz.txt, quiz.gift.
//   tree     as this project is built; its copy is where references and mistakes are built
int make_pack(const PackOptions& options, const Tree& here);

// The starter of a module as a folder, without twists.
void write_starter(const std::string& folder, const std::string& module, const Tree& here);

// Grades a submission of a module in the tree here, which is a solution: what autograder.zip starts.
int grade_submission(const std::string& module, const std::string& submission, const std::string& json,
                     const std::string& scratch, const Tree& here);

struct VerifyOptions {
    int sample = 0;  // number of tasks, spread over the table; 0 = all, and the starters are built, not only looked at
    int seed = 271;
    std::string only;        // one task
    bool with_cases = true;  // false: the questions alone, without the public tests, whose program takes longest to link
};

// The proof: solution and last hint earn all points, a blank none, every mistake loses some and is named, a twist tells the
// published solution from its own.   returns 0 when all holds
int verify(const VerifyOptions& options, const Tree& here);
