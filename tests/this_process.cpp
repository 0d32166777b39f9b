#include "tests/this_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

WorkingFolder::WorkingFolder(const std::string& folder) : before(std::filesystem::current_path()) {
    std::filesystem::current_path(folder);
}

WorkingFolder::~WorkingFolder() {
    std::error_code ignored;
    std::filesystem::current_path(before, ignored);
}

Variable::Variable(const std::string& name, const char* value) : name(name) {
    if (const char* const old = std::getenv(name.c_str())) before = old;
    set(value);
}

Variable::~Variable() { set(before ? before->c_str() : nullptr); }

void Variable::set(const char* value) const {
    if (value == nullptr)
        unsetenv(name.c_str());
    else
        setenv(name.c_str(), value, 1);
}

Redirected::Redirected(int output, int to) : output(output) {
    std::fflush(nullptr);  // what was written before belongs to the descriptor before
    before = dup(output);
    dup2(to, output);
}

Redirected::Redirected(int output, const std::string& path) : output(output) {
    std::fflush(nullptr);
    before = dup(output);
    const int file = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(file, output);
    close(file);
}

Redirected::~Redirected() {
    std::fflush(nullptr);
    dup2(before, output);
    close(before);
}
