// tree.h: a folder with a Makefile and sources, in which a file can be changed, programs built, and the file put back.
#pragma once
#include <string>
#include <vector>

struct Tree {
    std::string folder = ".";
    std::string out = "build/release";         // where the Makefile puts what it builds, in the folder
    std::vector<std::string> make = {"make"};  // the command; the programs that are wanted are added to it
    double build_seconds = 600;
};

// The programs that hold a student's code.
struct Programs {
    std::string folder;          // they are started there
    std::string answers, tests;  // course/run_answers.cpp and the tests
};
Programs programs_of(const Tree& tree);

// Builds them, the tests only if wanted.   returns "" or the first lines that the compiler complained with
std::string build(const Tree& tree, bool with_tests);

// A copy of the project here with what has been built of it, so that only what is changed is compiled.
//   throws  std::invalid_argument when it cannot be copied
void copy_project(const std::string& to, const std::string& out);

// Another text in a file of the tree; the destructor puts the file, and the object that was made of it, back as they were, with
// their times, so that make compiles nothing for the next change.
class Change {
public:
    Change(const Tree& tree, const std::string& file, const std::string& text);
    ~Change();
    Change(const Change&) = delete;

private:
    std::string path, object, archive, kept_path, kept_object;
};
