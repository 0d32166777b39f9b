#include "course/command/course_command.h"

#include <cstdio>

#include "course/command/command_line.h"
#include "course/student.h"
#include "course/teacher.h"
#include "nn/base/require.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

static const char* const usage =
    "usage: run_course list | check TASK | hint TASK | watch TASK\n"
    "       run_course pack MODULE --seed N [--twist \"NAME NAME\" | auto]\n"
    "       run_course grade MODULE --submission FOLDER --json FILE --scratch FOLDER\n"
    "       run_course verify [TASK] [--sample N] [--seed N] [--cases no]\n"
    "  all: --out build/release --make \"make CXX=...\"   where programs are built, and how\n";

int course_command(const std::vector<std::string>& words) {
    const CommandLine line = with_source("course", [&] {
        return read_command_line(
            words, {"--help"},
            {"--out", "--make", "--seed", "--twist", "--submission", "--json", "--scratch", "--sample", "--cases"});
    });
    if (line.has("--help")) return std::fputs(usage, stdout), 0;
    const auto number = [&](const char* option, int otherwise) {
        return with_source("course", [&] { return line.whole(option, otherwise, 100000000); });
    };
    Tree here;
    here.out = line.value("--out", "build/release");
    here.make.clear();
    for (const std::string& word : split(line.value("--make", "make"), ' '))
        if (!word.empty()) here.make.push_back(word);
    const std::string command = line.words.empty() ? "list" : line.words[0], name = line.words.size() > 1 ? line.words[1] : "";
    const bool named = command == "check" || command == "hint" || command == "watch" || command == "pack" || command == "grade";
    require(!named || !name.empty(), "course: ", command,
            " what? A task, or a module for pack and grade; run_course list shows them");
    if (command == "list" || command == "course") return list_tasks();
    if (command == "check") return check_task(name, here);
    if (command == "hint") return next_hint(name);
    if (command == "watch") return watch_task(name, here);
    const int seed = number("--seed", 271);
    if (command == "pack") return make_pack({.module = name, .seed = seed, .twist = line.value("--twist", "")}, here);
    if (command == "grade")
        return grade_submission(name, line.value("--submission", "."), line.value("--json", ""),
                                line.value("--scratch", "build/course/runs"), here);
    if (command == "verify")
        return verify(
            {.sample = number("--sample", 0), .seed = seed, .only = name, .with_cases = line.value("--cases", "yes") == "yes"},
            here);
    fail({"course: there is no command ", command, "; there are list, check, hint, watch, pack, grade, verify"});
}
