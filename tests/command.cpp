#include "tests/command.h"

#include <sys/wait.h>

#include <cstdio>

CommandResult run_command(const std::string& line) {
    std::FILE* const pipe = popen(("{ NO_COLOR=1; export NO_COLOR; " + line + "\n} 2>&1 </dev/null").c_str(), "r");
    if (pipe == nullptr) return {-1, ""};
    CommandResult result{-1, ""};
    char buffer[4096];
    for (std::size_t count; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.output.append(buffer, count);
    const int ended = pclose(pipe);
    if (WIFEXITED(ended)) result.status = WEXITSTATUS(ended);
    return result;
}
