#include "tests/course/titles/titles.h"

#include <algorithm>

#include "nn/data/file.h"
#include "nn/data/text.h"

// The words between quotes with which a line goes on after `mark`; "" when it does not.
static std::string quoted(const std::string& line, const std::string& mark) {
    if (!line.starts_with(mark + "\"")) return "";
    return line.substr(mark.size() + 1, line.rfind('"') - mark.size() - 1);
}

std::set<std::string> all_titles() {
    std::set<std::string> titles;
    for (const std::string& path : files_below("tests")) {
        if (!path.ends_with("_test.cpp")) continue;
        std::string suite, before;
        for (const std::string& indented : split_lines(read_file(path))) {
            const std::string line = indented.substr(std::min(indented.find_first_not_of(' '), indented.size()));
            for (const std::string mark : {"TEST_SUITE_BEGIN(", "TEST_SUITE("})
                if (const std::string name = quoted(line, mark); !name.empty()) suite = name;
            // A long title stands on a line of its own.
            const std::string title = before == "TEST_CASE(" ? quoted(line, "") : quoted(line, "TEST_CASE(");
            if (!title.empty()) titles.insert(suite + ": " + title);
            before = line;
        }
    }
    return titles;
}
