// exam.h: what is expected of every task for one seed, made with our own solution, or with a twist of it; and what each known
// mistake would answer.
//
//   twist    A mistake of course/mistakes taken as specification: "in this course the variance divides by D - 1". A copy of
//            the published solution loses points, and the report says what was asked for.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "course/grade/submission.h"
#include "course/mistake.h"

// The mistakes that are made inside the function of a task, in the project as it stands here.
std::vector<Mistake> mistakes_of(const Task& task, const std::vector<Mistake>& all);

// The text of the task's file with the twist, if there is one for the task, in it.
std::string reference_text(const Task& task, const std::map<std::string, Mistake>& twists);

// Receives lines that report progress.
using Progressed = void (*)(const std::string& line);

// Builds the reference of every task, and each of its mistakes, in the tree, asks the questions of every seed, and gives what is
// expected for each seed, by task.
//   with_mistakes  false: only what is right
std::vector<Exam> make_exams(const std::vector<Task>& tasks, const std::vector<int>& seeds,
                             const std::map<std::string, Mistake>& twists, const Tree& tree, bool with_mistakes,
                             Progressed progressed);

// FOLDER/seed and FOLDER/NAME.txt, as read_exam reads them.
void write_exam(const std::string& folder, const Exam& exam);
