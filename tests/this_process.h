// this_process.h: the current folder, a variable of the environment and an output of this process, changed as long as an object lives.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

class WorkingFolder {
public:
    explicit WorkingFolder(const std::string& folder);
    ~WorkingFolder();
    WorkingFolder(const WorkingFolder&) = delete;

private:
    std::filesystem::path before;
};

// A variable of the environment; nullptr removes it.
class Variable {
public:
    Variable(const std::string& name, const char* value);
    ~Variable();
    Variable(const Variable&) = delete;
    void set(const char* value) const;

private:
    std::string name;
    std::optional<std::string> before;
};

// Standard output (descriptor 1) or standard error (2) goes to another descriptor, or into a file.
class Redirected {
public:
    Redirected(int output, int to);
    Redirected(int output, const std::string& path);
    ~Redirected();
    Redirected(const Redirected&) = delete;

private:
    int output, before;
};
