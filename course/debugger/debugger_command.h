// debugger_command.h: what make debug-task-NAME does: lists the questions for the debugger, asks one, checks an answer, tells a key.
#pragma once
#include <string>
#include <vector>

// Does what the words of the command line ask for: {"scale", "--answer", "0.5"}. Checking an answer and telling the key build the
// program of the question, in build/debug, and ask the debugger.
//   returns  the status of the program: 1 when the answer is wrong, or when two debuggers answer differently, else 0
//   throws   std::invalid_argument for an unknown option or question, a debugger that is not installed, a program that cannot be built
int debugger_command(const std::vector<std::string>& words);
