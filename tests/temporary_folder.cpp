#include "tests/temporary_folder.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "nn/base/require.h"

TemporaryFolder::TemporaryFolder() {
    static int count = 0;
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    const std::string name = "transformers-test-" + text(static_cast<long long>(now)) + "-" + text(++count);
    folder = (std::filesystem::temp_directory_path() / name).string();
    std::filesystem::create_directories(folder);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}

std::string TemporaryFolder::file(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
}

std::vector<std::string> TemporaryFolder::names() const {
    std::vector<std::string> result;
    for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(folder))
        result.push_back(entry.path().filename().string());
    std::sort(result.begin(), result.end());
    return result;
}
