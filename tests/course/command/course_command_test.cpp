// course_command_test.cpp: which words of a command line start which command of the course, and with what; in a small project.
#include "course/command/course_command.h"

#include <filesystem>

#include "course/student.h"
#include "course/teacher.h"
#include "nn/data/file.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("course_command");

using Words = std::vector<std::string>;

static Printed said(const Words& words) {
    return printed([&] { return course_command(words); });
}

// With the folder and the command by which the small project is built.
static Words here(Words words) {
    words.insert(words.end(), {"--out", "build/out", "--make", " sh  make.sh"});
    return words;
}

TEST_CASE("course_command: list without a word; check, hint and watch take a task") {
    const SmallProject project;
    const std::string list = printed(list_tasks).words;
    for (const Words& words : {Words{}, Words{"list"}, Words{"course", "x"}, Words{"--out", "list"}}) {
        CHECK(said(words).words == list);
        CHECK(said(words).status == 0);
    }
    CHECK(said({"hint", "down"}).words == "hint 1 of 3   read it\n");
    CHECK(said({"--seed", "3", "hint", "half"}).words == "hint 1 of 3   read it\n");
    CHECK(error_of([] { course_command({"check", "up"}); }) == "course: there is no task up; there are: down twice half");
    CHECK(error_of([] { course_command({"watch", "up"}); }) == "course: there is no task up; there are: down twice half");
    write_exam("course/expected", make_exams(all_tasks("attention"), {1}, {}, project.tree, false, nullptr)[0]);
    const Printed right = said(here({"check", "down"}));
    CHECK(right.words.starts_with("down   6 of 6\n"));
    CHECK(right.status == 0);
    CHECK(said(here({"watch", "down"})).words.ends_with("    done\n"));
}

TEST_CASE("course_command: pack with its seed and twist, 271 and none when they are not given") {
    const SmallProject project;
    project.furnish();
    const Variable compiler("CXX", "sh compiler.sh");
    CHECK(said(here({"pack", "attention"})).words ==
          "down: 1 answers, 2 mistakes\n"
          "wrote build/course/attention-271: starter.tar.gz handout.html autograder.zip quiz.txt quiz.gift\n");
    const Printed twisted = said(here({"pack", "vit", "--seed", "100000000", "--twist", ""}));
    CHECK(twisted.words.find("wrote build/course/vit-100000000: ") != std::string::npos);
    CHECK(twisted.status == 0);
    CHECK(said(here({"--twist", "up", "pack", "attention", "--seed", "0"}))
              .words.starts_with("down: 1 answers, 0 mistakes, twist up\n"));
    CHECK(is_file("build/course/attention-0/quiz.txt"));
}

TEST_CASE("course_command: grade a folder, this one when none is given; a file of results when one is named") {
    const SmallProject project;
    write_exam("course/expected", make_exams(all_tasks("attention"), {5}, {}, project.tree, false, nullptr)[0]);
    CHECK(said(here({"grade", "attention"})).words.ends_with("6.00 of 6 points\n"));
    CHECK(std::filesystem::exists("build/course/runs"));
    std::filesystem::create_directories("in");
    const Printed graded =
        said(here({"grade", "attention", "--submission", "in", "--json", "results.json", "--scratch", "runs"}));
    CHECK(graded.words == "down   0 of 6\n    deep/down.cpp was not submitted\n\n0.00 of 6 points\n");
    CHECK(graded.status == 0);
    CHECK(read_file("results.json").find("\"max_score\": 6") != std::string::npos);
    project.write("in/down.cpp", read_file("deep/down.cpp"));
    CHECK(said(here({"grade", "attention", "--submission", "in", "--scratch", "runs"})).words.ends_with("6.00 of 6 points\n"));
    CHECK(std::filesystem::exists("runs"));
}

TEST_CASE("course_command: a missing name, an unknown command, an option without a value or with an unfit one are refused") {
    const SmallProject project;
    for (const std::string command : {"check", "hint", "watch", "pack", "grade"})
        CHECK(error_of([&] { course_command({command}); }) ==
              "course: " + command + " what? A task, or a module for pack and grade; run_course list shows them");
    CHECK(error_of([] {
              course_command({"cook", "x"});
          }) == "course: there is no command cook; there are list, check, hint, watch, pack, grade, verify");
    CHECK(error_of([] { course_command({"verify", "up"}); }) == "course: there is no task up");
    CHECK(error_of([] { course_command({"pack", "vit", "--seed"}); }) == "course: --seed needs a value");
    CHECK(error_of([] { course_command({"list", "--seeds", "1"}); }) == "course: unknown option --seeds; --help lists them");
    CHECK(said({"--help"}).words.starts_with("usage: run_course list | check TASK | hint TASK | watch TASK\n"));
    CHECK(said({"--help"}).status == 0);
    for (const std::string number : {"-1", "100000001", "one", ""}) {
        CHECK(error_of([&] {
                  course_command({"pack", "vit", "--seed", number});
              }) == "course: --seed is \"" + number + "\", expected a number from 0 to 100000000");
        CHECK(error_of([&] {
                  course_command({"verify", "--sample", number});
              }) == "course: --sample is \"" + number + "\", expected a number from 0 to 100000000");
    }
}

TEST_SUITE_END();
