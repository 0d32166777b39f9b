// submission.h: all tasks of a module graded in a copy of the solution, one function at a time.
//
//   steps    the student's function is cut out of the submitted file and put into the solution's; both programs are
//            built; the file is put back. When all are built, they are run, each in a folder of its own.
//   so       a student cannot touch a test or another task, what was not asked for is ignored, and a task that does not compile,
//            or was not submitted, costs nothing but itself
#pragma once
#include <map>
#include <string>
#include <vector>

#include "course/grade/grading.h"

// The text of a submitted file: at its path, or under its name anywhere in the folder.
//   returns  "" when it is not there, or there twice
std::string handed_in(const std::string& folder, const std::string& file);

struct Exam {
    std::vector<Task> tasks;
    int seed = 1;
    std::map<std::string, Expected> expected;  // by task
};

// Reads what is expected of each task from FOLDER/NAME.txt, and the seed from FOLDER/seed.
Exam read_exam(const std::string& folder, const std::vector<Task>& tasks);

// What the function of one task becomes: a body, or why there is none.
struct Handed {
    std::string body, refused;
};
Handed handed_body(const Task& task, const std::string& text);

// Grades bodies, by task, in a tree of the solution. `scratch` is a folder that may be emptied.
std::vector<Graded> grade_bodies(const Exam& exam, const std::map<std::string, Handed>& bodies, const Tree& tree,
                                 const std::string& scratch, bool with_cases = true);

// The file that Gradescope reads: a test for each task.
std::string results_json(const std::vector<Graded>& graded, double seconds);
