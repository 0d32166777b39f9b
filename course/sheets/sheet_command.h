// sheet_command.h: what make sheet-NAME does: prints a worksheet, its key or its page, or checks typed answers.
#pragma once
#include <string>
#include <vector>

// Does what the words of the command line ask for: {"attention", "--seed", "7", "--check", "answers.txt"}.
//   returns  the status of the program: 1 when an answer is wrong or missing, else 0
//   throws   std::invalid_argument for an unknown option or worksheet, and for an option without its value
int sheet_command(const std::vector<std::string>& words);
