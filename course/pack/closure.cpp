#include "course/pack/closure.h"

#include "nn/data/file.h"
#include "nn/data/text.h"

// The text between the quotes of an #include line; "" when it is not a file of this project.
static std::string included(const std::string& line) {
    const std::string mark = "#include \"";
    if (!line.starts_with(mark)) return "";
    return line.substr(mark.size(), line.find('"', mark.size()) - mark.size());
}

std::set<std::string> closure(const std::vector<std::string>& roots) {
    std::set<std::string> found;
    std::vector<std::string> waiting = roots;
    while (!waiting.empty()) {
        const std::string file = waiting.back();
        waiting.pop_back();
        if (!is_file(file) || !found.insert(file).second) continue;
        for (const std::string& line : split_lines(read_file(file)))
            if (const std::string path = included(line); !path.empty()) waiting.push_back(path);
        if (file.ends_with(".h")) waiting.push_back(file.substr(0, file.size() - 2) + ".cpp");
    }
    return found;
}

std::set<std::string> fixtures_of(const std::set<std::string>& files) {
    const std::string mark = "golden_files(\"";
    std::set<std::string> stems, fixtures;
    for (const std::string& file : files) {
        const std::string text = read_file(file);
        for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + mark.size())) {
            const std::size_t begin = at + mark.size();
            stems.insert(text.substr(begin, text.find('"', begin) - begin));
        }
    }
    for (const std::string& path : files_below("tests/golden"))
        for (const std::string& stem : stems)
            if (path.starts_with("tests/golden/" + stem + "-")) fixtures.insert(path);
    return fixtures;
}

std::vector<std::string> files_of_suites(const std::set<std::string>& suites) {
    std::vector<std::string> files;
    for (const std::string& path : files_below("tests")) {
        if (!path.ends_with("_test.cpp")) continue;
        const std::string text = read_file(path);
        for (const std::string& suite : suites)
            if (text.find("TEST_SUITE_BEGIN(\"" + suite + "\")") != std::string::npos ||
                text.find("TEST_SUITE(\"" + suite + "\")") != std::string::npos) {
                files.push_back(path);
                break;
            }
    }
    return files;
}
