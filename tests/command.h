// command.h: run a program as a user does, and see what it printed.
#pragma once
#include <string>

struct CommandResult {
    int status;          // 0 ... 255; -1 when it could not be started or was ended by a signal
    std::string output;  // both standard output and standard error
};

// Runs a line of shell with nothing to read from standard input, without colours.
CommandResult run_command(const std::string& line);
