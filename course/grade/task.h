// task.h: the table of tasks, one small file each in course/tasks. A task is one function of one source file, for students.
//
//   format   every line is a key of at most 8 letters, spaces up to column 10, a value:
//                title    Who may attend to whom
//                module   attention
//                points   6                    of which the lines of `case` and `steps` say how many belong to public tests
//                minutes  20
//                file     nn/layers/mask.cpp
//                body     MayAttend causal(int queries, int keys)      as it stands before the opening brace
//                contract nn/layers/mask.h causal                      file and name; its comment is the handout
//                equation may(i, j) = [j <= m - n + i]
//                case     2 mask: each mask as a picture: 1 = may attend        points, suite and title of a test
//                steps    3 vit: parity: every step ...                        the same for a test that compares with a fixture:
//                                               each step before the first that differs earns its part of the points
//                without  attend                a name that the answer may not use, because it is the answer
//                hint     ...                   two in words
//                code     ...                   the last hint: the lines of a body that earns all points; in what students get
//                                               it is `sealed`: its letters are turned by 13, so that it is not read by accident
//   next     body.h takes the function out of a file, drawn.h asks it questions, grading.h counts
#pragma once
#include <string>
#include <vector>

struct PublicCase {
    int points = 0;
    std::string suite, title;
    bool by_steps = false;  // a fixture's steps earn parts of the points
};

struct Contract {
    std::string file, function;
};

struct Task {
    std::string name;  // the file's, without folder and ending
    std::string title, module, file, body, equation, code;
    int points = 0, minutes = 0;
    std::vector<Contract> contracts;
    std::vector<PublicCase> cases;
    std::vector<std::string> without, hints;

    int public_points() const;
    int drawn_points() const { return points - public_points(); }  // for the questions that only the seed knows
};

// throws std::invalid_argument with path and line when a key is unknown, missing, or given twice where one line is meant
Task read_task(const std::string& path);

// The file of a task as students get it, with its code sealed.
std::string sealed_text(const Task& task);

// All of course/tasks, by module in the order of the course, then by name; of one module when it is named.
//   throws  std::invalid_argument when no task belongs to the module
std::vector<Task> all_tasks(const std::string& module = "", const std::string& folder = "course/tasks");

// The modules in the order of the course.
std::vector<std::string> all_modules();
