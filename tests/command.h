// command.h: run a program and capture its output.
#pragma once
#include <string>

struct CommandResult {
    int status;          // 0 ... 255; -1 when it could not be started or was killed by a signal
    std::string output;  // both standard output and standard error
};

// Runs a shell command with empty standard input, without colours.
CommandResult run_command(const std::string& line);
