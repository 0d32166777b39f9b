#include "course/course_command.h"

#include <map>
#include <optional>

#include "course/student.h"
#include "course/teacher.h"
#include "nn/base/require.h"
#include "nn/data/text.h"

namespace {
struct Line {
    std::vector<std::string> words;              // the command, and the name after it
    std::map<std::string, std::string> options;  // by name, "--seed"
};
}  // namespace

static Line read_line(const std::vector<std::string>& words) {
    Line line;
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (!word->starts_with("--")) {
            line.words.push_back(*word);
            continue;
        }
        const std::string name = *word;
        require(word + 1 != words.end(), "course: ", name, " needs a value");
        line.options[name] = *++word;
    }
    return line;
}

static int whole(const std::string& words, const char* option) {
    const std::optional<long> number = whole_number(words);
    require(number && *number >= 0 && *number <= 100000000, "course: ", option, " is \"", words,
            "\", expected a number from 0 to 100000000");
    return static_cast<int>(*number);
}

int course_command(const std::vector<std::string>& words) {
    const Line line = read_line(words);
    const auto given = [&](const char* name, const char* otherwise) {
        return line.options.count(name) > 0 ? line.options.at(name) : otherwise;
    };
    Tree here;
    here.out = given("--out", "build/release");
    here.make.clear();
    for (const std::string& word : split(given("--make", "make"), ' '))
        if (!word.empty()) here.make.push_back(word);
    const std::string command = line.words.empty() ? "list" : line.words[0], name = line.words.size() > 1 ? line.words[1] : "";
    const bool named = command == "check" || command == "hint" || command == "watch" || command == "pack" || command == "grade";
    require(!named || !name.empty(), "course: ", command,
            " what? A task, or a module for pack and grade; run_course list shows them");
    if (command == "list" || command == "course") return list_tasks();
    if (command == "check") return check_task(name, here);
    if (command == "hint") return next_hint(name);
    if (command == "watch") return watch_task(name, here);
    const int seed = whole(given("--seed", "271"), "--seed");
    if (command == "pack") return make_pack({.module = name, .seed = seed, .twist = given("--twist", "")}, here);
    if (command == "grade")
        return grade_submission(name, given("--submission", "."), given("--json", ""), given("--scratch", "build/course/runs"),
                                here);
    if (command == "verify")
        return verify({.sample = whole(given("--sample", "0"), "--sample"),
                       .seed = seed,
                       .only = name,
                       .with_cases = given("--cases", "yes") == "yes"},
                      here);
    fail({"course: there is no command ", command, "; there are list, check, hint, watch, pack, grade, verify"});
}
