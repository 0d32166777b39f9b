// run_debugger.cpp: questions that are answered in gdb or lldb: run_debugger NAME --answer 0.25
#include <cstdio>
#include <exception>

#include "course/debugger/debugger_command.h"

int main(int argc, char** argv) {
    try {
        return debugger_command({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "run_debugger: %s\n", error.what());
        return 2;
    }
}
