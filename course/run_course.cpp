// run_course.cpp: the course, for students and teachers; course_command.h lists its commands.
#include <cstdio>
#include <exception>

#include "course/course_command.h"

int main(int count, char** arguments) {
    try {
        return course_command({arguments + 1, arguments + count});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
