#include "course/grade/grading.h"

#include <filesystem>

#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("grading");

// Two answers are expected, 1 and 2; of six points two belong to a plain test and one to a test by steps.
static Graded a_task() {
    Graded graded;
    graded.task.name = "down";
    graded.task.points = 6;
    graded.task.cases = {{.points = 2, .suite = "a", .title = "by one, always"},
                         {.points = 1, .suite = "b", .title = "parity", .by_steps = true}};
    return graded;
}
static const Expected expected{.answers = {{"one", Matrix{{1}}, ""}, {"two", Matrix{{2}}, ""}}, .mistakes = {}};

// Programs that print what a test prescribes: scripts in the place of a student's programs.
static Programs scripts(const TemporaryFolder& folder, const std::string& answers, const std::string& tests) {
    for (const auto& [name, words] : {std::pair("answers", answers), std::pair("tests", tests)}) {
        write_file_atomically(folder.path(name), "#!/bin/sh\n" + words + "\n");
        std::filesystem::permissions(folder.path(name), std::filesystem::perms::owner_all);
    }
    return {.folder = folder.path(""), .answers = "./answers", .tests = "./tests"};
}

static const std::string both_right = "printf 'one\\t1 1 1p+0\\ntwo\\t1 1 1p+1\\n' >&$3";

TEST_CASE("grade: asks for the task and the seed; a test passes by its last line and its status") {
    const TemporaryFolder folder;
    Graded graded = a_task();
    const std::string asked = "echo \"$1 $2\"; " + both_right;
    grade(graded, scripts(folder, asked, "echo \"$@\"; echo '1 passed, 0 failed'"), 2027, expected, true, false);
    CHECK(graded.asked.output == "down 2027\n");
    CHECK(graded.comparison.right == 2);
    REQUIRE(graded.cases.size() == 2);
    CHECK(graded.cases[0].passed);
    CHECK(graded.complete());
    grade(graded, scripts(folder, asked, "echo '1 passed, 0 failed'; exit 1"), 2027, expected, true, false);
    CHECK_FALSE(graded.cases[0].passed);
    CHECK(graded.score() == 3);
    // commas would divide a filter of doctest
    const std::string filters = "--test-suite=a --test-case=by one? always --no-colors=true";
    grade(graded, scripts(folder, asked, "test \"$*\" = '" + filters + "' && echo '1 passed, 0 failed'"), 2027, expected, true,
          false);
    CHECK(graded.cases[0].passed);
    CHECK_FALSE(graded.cases[1].passed);
    CHECK(graded.score() == 5);
    grade(graded, scripts(folder, asked, "exit 1"), 2027, expected, false, false);
    CHECK(graded.cases.empty());
    CHECK(graded.score() == 3);
}

TEST_CASE("grade: of a test that fails six lines from the first error on, and the steps of its fixtures") {
    const TemporaryFolder folder;
    const auto said = [&](const std::string& tests) {
        Graded graded = a_task();
        grade(graded, scripts(folder, both_right, tests), 1, expected, true, false);
        return graded.cases[1];
    };
    CHECK(said("printf 'before\\nan ERROR\\n2\\n3\\n4\\n5\\n6\\n7\\n'").said ==
          "        an ERROR\n        2\n        3\n        4\n        5\n        6\n");
    CHECK(said("printf 'an ERROR\\n2\\n=====\\n3\\n'").said == "        an ERROR\n        2\n");
    CHECK(said("exit 3").said == "        ended with status 3\n");
    CHECK(said("echo well").said == "        what it printed does not end as a test does; was it too much?\n");
    const CaseResult steps = said("echo '" + steps_line({.agreed = 3, .all = 4}) + "'");
    CHECK(steps.steps.agreed == 3);
    CHECK(steps.steps.all == 4);
    CHECK_FALSE(steps.timed_out);
    PublicCase one;
    CHECK(steps.share(one) == 0);
    one.by_steps = true;
    CHECK(steps.share(one) == 0.75);
    CHECK(said("echo '0 passed'").share(one) == 0);  // no fixture was opened
}

TEST_CASE("report_of: a student's block of lines, points with two digits where they are not whole") {
    Graded graded = a_task();
    graded.comparison = {.right = 1,
                         .asked = 3,
                         .name = "one",
                         .difference = "it differs",
                         .place = "a place",
                         .cause = "a sign",
                         .hint = "which way?",
                         .mistake = ""};
    graded.cases = {{.passed = true, .said = ""}, {.said = "        an ERROR\n", .steps = {.agreed = 1, .all = 4}}};
    CHECK(report_of(graded, true) ==
          "down   2 of 6\n"
          "    questions  1 of 3 answered right, 1 of 3 points\n"
          "    first      one: it differs\n"
          "    cause      a sign\n"
          "    look       which way?\n"
          "    passed     a: by one, always\n"
          "    FAILED     b: parity\n"
          "    steps      1 of 4 steps of its fixtures agree before the first that differs\n"
          "        an ERROR\n");
    graded.comparison.asked = 7;  // 3/7 for the questions, and as much for the tests
    CHECK(report_of(graded, true).starts_with("down   0.86 of 6\n    questions  1 of 7 answered right, 0.43 of 3 points\n"));
    graded.cases[1].steps = {.agreed = 0, .all = 1};
    CHECK(report_of(graded, true).find("    steps      0 of 1 steps of its fixtures agree") != std::string::npos);
    graded.cases[1].steps = {};  // no fixture was opened
    CHECK(report_of(graded, true).find("    steps ") == std::string::npos);
    graded.comparison.asked = 30;
    CHECK(report_of(graded, true).starts_with("down   0.20 of 6\n    questions  1 of 30 answered right, 0.10 of 3 points\n"));
    graded.comparison.asked = 100;
    CHECK(report_of(graded, true).starts_with("down   0.06 of 6\n"));
    CHECK_FALSE(graded.complete());
    graded.asked.how = "ended with status 1";
    graded.comparison.difference = "it throws: no answer came";
    CHECK(report_of(graded, true).find("    first      one: no answer, the program ended with status 1\n") != std::string::npos);
    graded.refused = "it does not compile";
    CHECK(report_of(graded, true) == "down   0 of 6\n    it does not compile\n");
}

TEST_CASE("paragraph: lines of at most 80 columns; a word that is longer stands alone") {
    const std::string head = "head ", ten(10, 'x');
    // 5 + 6 * 10 + 5 spaces are 70; a word of 9 and its space make 80
    const std::string six = ten + " " + ten + " " + ten + " " + ten + " " + ten + " " + ten;
    CHECK(paragraph(head, six + " 123456789") == head + six + " 123456789\n");
    CHECK(paragraph(head, six + " " + ten) == head + six + "\n     " + ten + "\n");
    CHECK(paragraph(head, std::string(90, 'y') + " a") == head + std::string(90, 'y') + "\n     a\n");
}

TEST_SUITE_END();
