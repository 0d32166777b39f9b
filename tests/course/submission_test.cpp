#include "course/grade/submission.h"

#include <filesystem>
#include <set>

#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("submission");

static Task a_task() {
    Task task;
    task.name = "down", task.title = "Down", task.module = "attention", task.file = "deep/a.cpp", task.body = "int down(int x)";
    task.points = 6;
    task.cases = {{2, "a", "by one"}};
    return task;
}

TEST_CASE("handed_in: found by path or by name; rejects duplicates and links out of the folder") {
    const TemporaryFolder folder;
    const std::string place = folder.path("in");
    std::filesystem::create_directories(place + "/deep");
    CHECK(handed_in(place, "deep/a.cpp") == "");
    write_file_atomically(place + "/a.cpp", "flat");
    CHECK(handed_in(place, "deep/a.cpp") == "flat");
    write_file_atomically(place + "/deep/a.cpp", "deep");
    CHECK(handed_in(place, "deep/a.cpp") == "deep");
    CHECK(handed_in(place, "elsewhere/a.cpp") == "");
    std::filesystem::create_directories(folder.path("secret"));
    write_file_atomically(folder.path("secret") + "/b.cpp", "the solution");
    std::filesystem::create_symlink(folder.path("secret") + "/b.cpp", place + "/b.cpp");
    std::filesystem::create_symlink(folder.path("secret"), place + "/linked");
    CHECK(handed_in(place, "b.cpp") == "");
    CHECK(handed_in(place, "linked/b.cpp") == "");
    write_file_atomically(place + "/largest.cpp", std::string(1 << 20, 'x'));
    write_file_atomically(place + "/larger.cpp", std::string((1 << 20) + 1, 'x'));
    CHECK(handed_in(place, "largest.cpp").size() == 1 << 20);
    CHECK(handed_in(place, "larger.cpp") == "");
}

TEST_CASE("read_exam: the seed, and what is expected of every task; a file without a number is refused") {
    const TemporaryFolder folder;
    const Expected expected{.answers = {{"one", Matrix{{1}}, ""}}, .mistakes = {}};
    write_file_atomically(folder.path("down.txt"), text_of(expected));
    write_file_atomically(folder.path("seed"), "2027\n");
    const Exam exam = read_exam(folder.path(""), {a_task()});
    CHECK(exam.seed == 2027);
    CHECK(exam.tasks.size() == 1);
    CHECK(text_of(exam.expected.at("down")) == text_of(expected));
    for (const char* const words : {"", "no number\n"}) {
        write_file_atomically(folder.path("seed"), words);
        CHECK(error_of([&] { read_exam(folder.path(""), {}); }).ends_with("/seed: holds no number"));
    }
}

TEST_CASE("handed_body: rejects a missing, unwritten or forbidden body in one line") {
    const Task task = a_task();
    CHECK(handed_body(task, "int down(int x) { return x - 1; }").body == " return x - 1; ");
    CHECK(handed_body(task, "").refused == "deep/a.cpp was not submitted");
    CHECK(handed_body(task, "int up(int x) { return x; }").refused ==
          "deep/a.cpp: the function int down(int x) appears 0 times, expected once");
    CHECK(handed_body(task, "int down(int x) { ::fail({\"course: down is not written yet\"}); }").refused == "not written yet");
    CHECK(handed_body(task, "int down(int x) { std::exit(0); }").refused == "deep/a.cpp: down: exit is not allowed in an answer");
}

static Graded graded_with(int right, bool passed) {
    Graded graded;
    graded.task = a_task();
    graded.comparison.asked = 4;
    graded.comparison.right = right;
    if (right < 4) graded.comparison.name = "an answer", graded.comparison.place = "1 of 2 numbers differ";
    graded.cases = {{.passed = passed, .said = "        a line with \xff\n"}};
    return graded;
}

TEST_CASE("results_json: a public test counts at most in proportion to right answers, so that a faked test gains nothing") {
    CHECK(graded_with(4, true).score() == 6);
    CHECK(graded_with(4, true).complete());
    CHECK(graded_with(4, false).score() == 4);
    CHECK(graded_with(0, true).score() == 0);
    CHECK(graded_with(2, true).score() == 3);
    Graded by_steps = graded_with(4, false);
    by_steps.cases[0].steps = {.agreed = 3, .all = 4};
    CHECK(by_steps.score() == 4);  // a plain case has no parts
    by_steps.task.cases[0].by_steps = true;
    CHECK(by_steps.score() == 5.5);
    by_steps.comparison.right = 1;
    CHECK(by_steps.score() == 1.5);  // of 2 points at most a quarter, as of the questions
    Graded refused = graded_with(4, true);
    refused.refused = "it does not compile";
    CHECK(refused.score() == 0);
}

TEST_CASE("results_json: the fields that Gradescope reads, whatever bytes a test has printed") {
    const Json results = parse_json(results_json({graded_with(4, true), graded_with(2, false)}, 1.5), "results.json");
    CHECK(results.at("execution_time").as_number() == 1.5);
    // the names of Gradescope's documentation, "Autograder Specifications", section "Output Format"
    const std::set<std::string> top{
        "score",      "execution_time",    "output",     "output_format", "test_output_format", "test_name_format",
        "visibility", "stdout_visibility", "extra_data", "tests",         "leaderboard"},
        of_test{"score",  "max_score",     "status", "name",       "name_format", "number",
                "output", "output_format", "tags",   "visibility", "extra_data"};
    for (const JsonMember& member : results.as_object()) CHECK(top.count(member.name) == 1);
    for (const Json& test : results.at("tests").as_array())
        for (const JsonMember& member : test.as_object()) CHECK(of_test.count(member.name) == 1);
    const auto& tests = results.at("tests").as_array();
    REQUIRE(tests.size() == 2);
    CHECK(tests[0].at("name").as_string() == "down: Down");
    CHECK(tests[0].at("number").as_string() == "1");
    CHECK(tests[0].at("score").as_number() == 6);
    CHECK(tests[0].at("max_score").as_number() == 6);
    CHECK(tests[0].at("status").as_string() == "passed");
    CHECK(tests[1].at("status").as_string() == "failed");
    CHECK(tests[1].at("visibility").as_string() == "visible");
    CHECK(tests[1].at("output").as_string().find("1 of 2 numbers differ") != std::string::npos);
}

TEST_CASE("read_steps_line: reads what steps_line() writes, and no other line of an untrusted program") {
    const std::optional<StepsCompared> steps = read_steps_line(steps_line({.agreed = 3, .all = 40}));
    REQUIRE(steps.has_value());
    CHECK(steps->agreed == 3);
    CHECK(steps->all == 40);
    const std::string words = steps_line({.agreed = 3, .all = 4}).substr(6);  // after "3 of 4"
    for (const char* const numbers : {"5 of 4", "-1 of 4", "0 of 0", "x of 4", "3 of", "3 of 4 of 4", "3 of 1000000"})
        CHECK_FALSE(read_steps_line(numbers + words).has_value());
    CHECK_FALSE(read_steps_line("1 passed, 0 failed").has_value());
    for (const char* const numbers : {"3 at 4", "3 of 100001", "4 of 3", "1 of -1", "3 of x"})
        CHECK_FALSE(read_steps_line(numbers + words).has_value());
    for (const auto& [agreed, all] : std::vector<std::pair<int, int>>{{0, 1}, {1, 1}, {0, 100000}}) {
        const std::optional<StepsCompared> least = read_steps_line(steps_line({.agreed = agreed, .all = all}));
        REQUIRE(least.has_value());
        CHECK(least->agreed == agreed);
        CHECK(least->all == all);
    }
}

TEST_CASE("compare_step: a fixture's steps count once, and no longer after the first that differs") {
    const StepsCompared before = steps_compared();
    open_fixture("a fixture", 5);
    for (const char* const step : {"one", "two", "two", "three"}) compare_step("a fixture", step, true);
    compare_step("a fixture", "four", false);
    compare_step("a fixture", "five", true);
    compare_step("one that was not opened", "one", true);
    CHECK(steps_compared().agreed - before.agreed == 4);
    CHECK(steps_compared().all - before.all == 5);
}

TEST_CASE("report_of: the first answer that differs, and what was expected only where it may be shown") {
    Graded graded = graded_with(2, true);
    graded.comparison.difference = "element (0, 1) of (1, 2): yours 3, expected 4";
    graded.comparison.cause = "fits: yours = expected * 0.75";
    CHECK(report_of(graded, true).find("expected 4") != std::string::npos);
    CHECK(report_of(graded, false).find("expected 4") == std::string::npos);
    CHECK(report_of(graded, false).find("cause      fits: yours = expected * 0.75") != std::string::npos);
    CHECK(report_of(graded, false).starts_with("down   3 of 6\n"));
    CHECK(paragraph("head  ", "one\ntwo") == "head  one\n      two\n");
    for (const std::string& line :
         split_lines(paragraph("head  ", "a word of " + std::string(60, 'x') + " and more of it, and more")))
        CHECK(line.size() <= 80);
}

TEST_SUITE_END();
