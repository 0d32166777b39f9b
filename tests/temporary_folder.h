// temporary_folder.h: a folder for a test that writes files, removed with its contents when the test ends.
#pragma once
#include <string>
#include <vector>

class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;

    std::string path(const std::string& name) const { return folder + "/" + name; }
    // Writes a file and returns its path.
    std::string file(const std::string& name, const std::string& bytes) const;
    // The names of all files in it, sorted.
    std::vector<std::string> names() const;

private:
    std::string folder;
};
