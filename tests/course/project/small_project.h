// small_project.h: a project of three one-line functions with a task for each, whose "compiler" writes programs that answer with a
// checksum of the sources; and what a command of the course prints in it.
#pragma once
#include <functional>
#include <string>

#include "course/grade/tree.h"
#include "tests/temporary_folder.h"
#include "tests/this_process.h"

// What a command prints, and the status that it returns.
struct Printed {
    std::string words;
    int status = -1;
};
Printed printed(const std::function<int()>& command);

// The project is the current folder as long as the object lives. Its tasks, 6 points each, 2 of them for a public test:
//   down   attention, 15 minutes, in the folder deep; the test fails where the function subtracts 2
//   half   language, 10 minutes
//   twice  vit, 10 minutes
struct SmallProject {
    TemporaryFolder folder;
    WorkingFolder here;
    Tree tree;

    SmallProject();
    // What is packed around the tasks: licence, rules, tests, fixtures, ledgers; and a script in the place of the compiler, CXX, that
    // is asked where doctest's header is.
    void furnish() const;
    // A task of 6 points whose function does no more than `return expression`, its source and its header.
    //   head  the lines of title, module and minutes
    void add_task(const std::string& name, const std::string& file, const std::string& expression, const std::string& head) const;
    // Writes a file of the project.
    void write(const std::string& path, const std::string& text) const;
};
