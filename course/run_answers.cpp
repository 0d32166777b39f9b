// run_answers.cpp: asks the function of one task and writes what it answers. It knows no right answer: the grader starts it,
// reads the answers and compares them.
//
//   run_answers TASK SEED PIPE     PIPE is the number of an open file; 1 writes to the screen
#include <cstdio>
#include <exception>

#include "course/drawn/drawn.h"

int main(int count, char** arguments) {
    try {
        answer_command({arguments + 1, arguments + count});
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
