// run_course.cpp: the course, for students and teachers; the Makefile starts it. course/README.md and course/STUDENTS.md say how.
//
//   run_course list | check NAME | hint NAME | watch NAME
//   run_course pack MODULE --seed N [--twist "NAME NAME" | auto]
//   run_course grade MODULE --submission FOLDER --json FILE --scratch FOLDER
//   run_course verify [--sample N] [--seed N] [--cases no] [NAME]
//   all: --out build/release --make "make CXX=..."     where programs are built, and how
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "course/student.h"
#include "course/teacher.h"
#include "nn/base/require.h"
#include "nn/data/text.h"

static int whole(const std::string& words, const char* option) {
    const std::optional<long> number = whole_number(words);
    require(number && *number >= 0 && *number <= 100000000, "course: ", option, " is \"", words,
            "\", expected a number from 0 to 100000000");
    return static_cast<int>(*number);
}

static int run_command(const std::vector<std::string>& words, std::map<std::string, std::string>& options) {
    const auto given = [&](const char* name, const char* otherwise) {
        return options.count(name) > 0 ? options[name] : otherwise;
    };
    Tree here;
    here.out = given("--out", "build/release");
    here.make.clear();
    for (const std::string& word : split(given("--make", "make"), ' '))
        if (!word.empty()) here.make.push_back(word);
    const std::string command = words.empty() ? "list" : words[0], name = words.size() > 1 ? words[1] : "";
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
    require(false, "course: there is no command ", command, "; there are list, check, hint, watch, pack, grade, verify");
    return 2;
}

int main(int count, char** arguments) {
    std::vector<std::string> words;
    std::map<std::string, std::string> options;
    for (int n = 1; n < count; ++n) {
        const std::string word = arguments[n];
        if (word.starts_with("--") && n + 1 < count)
            options[word] = arguments[++n];
        else
            words.push_back(word);
    }
    try {
        return run_command(words, options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
