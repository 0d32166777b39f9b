// run_answers.cpp: asks the function of one task and writes what it answers. It knows no right answer: the grader starts it,
// reads the answers and compares them.
//
//   run_answers TASK SEED PIPE     PIPE is the number of an open file; 1 writes to the screen
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "course/drawn/drawn.h"
#include "nn/data/text.h"

int main(int count, char** arguments) {
    const std::optional<long> seed = count == 4 ? whole_number(arguments[2]) : std::nullopt;
    const std::optional<long> pipe = count == 4 ? whole_number(arguments[3]) : std::nullopt;
    if (!seed || !pipe || *seed < 0 || *seed > 100000000) {
        std::fputs("run_answers TASK SEED PIPE\n", stderr);
        return 2;
    }
    std::FILE* const file = fdopen(static_cast<int>(*pipe), "w");
    if (file == nullptr) {
        std::fprintf(stderr, "run_answers: %ld is not an open file\n", *pipe);
        return 2;
    }
    try {
        Answers answers(file);
        answer_all(arguments[1], static_cast<int>(*seed), answers);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
    return 0;
}
