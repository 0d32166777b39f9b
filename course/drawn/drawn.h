// drawn.h: the questions that a task's function is asked: small inputs, their sizes and numbers drawn from a seed.
//
//   shows    that a new seed is a new exam: the questions are here, the answers are those of our own solution
//   rule     what is drawn never depends on what was answered, so that the same seed asks all students the same
//   sizes    all of one question differ and none is 1 where it could hide a mistake; `round` 0, 1, 2 brings other sizes
//   use      static const Drawn causal("causal", [](Random& random, int round, Answers& answers) { ... });
//   next     attention.cpp, vit.cpp, language.cpp, rlhf.cpp: one of these for each task; course/run_answers.cpp asks them
#pragma once
#include <string>
#include <vector>

#include "course/grade/answers.h"
#include "nn/base/random.h"

using Questions = void (*)(Random& random, int round, Answers& answers);

inline constexpr int rounds = 3;

// Registers the questions of a task.
struct Drawn {
    Drawn(const char* task, Questions questions);
};

// All answers to the questions of a task. The name of an answer says what was asked.
//   throws  std::invalid_argument for a task without questions
void answer_all(const std::string& task, int seed, Answers& answers);

// Does what the words of a command line ask for, TASK SEED PIPE: writes the answers into the open file of that number and closes it.
//   throws  std::invalid_argument when these are not the words, when that file is not open, and as answer_all
void answer_command(const std::vector<std::string>& words);

// The tasks for which this program has questions.
std::vector<std::string> drawn_tasks();

// low ... high, both included
int between(Random& random, int low, int high);
