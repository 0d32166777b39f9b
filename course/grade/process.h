// process.h: runs an untrusted program: with a time limit, limited memory and files, and as another user where that is
// possible. What it prints is only text; what it answers comes through a pipe of its own, as text too.
//
//   limits   when the time is over, the whole process group is killed; a program that leaves children behind leaves none running
//   note     run as root (Gradescope does), the program runs as the user nobody and cannot change files that are not its own
#pragma once
#include <string>
#include <vector>

struct RunLimits {
    double seconds = 10;
    std::size_t output_bytes = 20000;    // of what it prints the first ones are kept, the rest is thrown away
    std::size_t answer_bytes = 8000000;  // more ends it
    bool as_nobody = false;              // when we are root
};

struct RunResult {
    bool timed_out = false;
    bool ended_well = false;  // it ended by itself with status 0; its output may still be wrong
    std::string how;          // "status 3", "signal 11", "stopped after 10 s"
    std::string output;       // what it printed
    std::string answers;      // what came through the pipe
};

// Runs command[0] with these arguments in `folder`; an argument "{answers}" becomes the number of the pipe.
//   throws  std::invalid_argument when no process can be made
RunResult run(const std::vector<std::string>& command, const std::string& folder, const RunLimits& limits);
