// small_project.h: a project of three one-line functions with a task for each, whose "compiler" writes programs that answer with a
// checksum of the sources; and what a command of the course prints in it.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "course/grade/tree.h"
#include "tests/temporary_folder.h"

// The current folder of this process, as long as the object lives; then the one before.
class WorkingFolder {
public:
    explicit WorkingFolder(const std::string& folder);
    ~WorkingFolder();
    WorkingFolder(const WorkingFolder&) = delete;

private:
    std::filesystem::path before;
};

// A variable of the environment with another value, as long as the object lives.
class Environment {
public:
    Environment(const std::string& name, const std::string& value);
    ~Environment();
    Environment(const Environment&) = delete;

private:
    std::string name, before;
    bool was_set;
};

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
    // Writes a file of the project.
    void write(const std::string& path, const std::string& text) const;
};
