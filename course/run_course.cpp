// run_course.cpp: the course, for students and teachers; run_course --help lists its commands.
#include <cstdio>
#include <exception>

#include "course/command/course_command.h"

int main(int count, char** arguments) {
    try {
        return course_command({arguments + 1, arguments + count});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
