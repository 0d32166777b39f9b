// student_test.cpp: what a student reads, and what is remembered, in a small project.
#include "course/student.h"

#include "course/grade/comparison.h"
#include "nn/data/file.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("student");

TEST_CASE("list_tasks: the tasks by module, what is done or begun, and the shortest that is not done") {
    const SmallProject project;
    project.write("deep/down.cpp", "int down(int x) {\n    ::fail({\"course: down is not written yet\"});\n}\n");
    const Printed begun = printed(list_tasks);
    CHECK(begun.status == 0);
    CHECK(begun.words ==
          "attention\n"
          "  [ ] down            One less                              15 min  6 points\n"
          "\n"
          "vit\n"
          "  [-] twice           Twice                                 10 min  6 points\n"
          "\n"
          "language\n"
          "  [-] half            Half of it                            10 min  6 points\n"
          "\n"
          "0 of 3 tasks done, 0 of 18 points. Next: twice, in twice.cpp\n"
          "    make check-twice    make hint-twice\n");
    // a module's name stands once, above all of its tasks; a part of the points is not done
    project.write("course/tasks/more.txt", [] {
        std::string text = read_file("course/tasks/half.txt");
        text.replace(text.find("language"), 8, "vit");
        return text;
    }());
    project.write("build/course/twice.score", "6 of 6");
    project.write("build/course/half.score", "3 of 6");
    project.write("build/course/more.score", "6 of 6");
    CHECK(printed(list_tasks).words ==
          "attention\n"
          "  [ ] down            One less                              15 min  6 points\n"
          "\n"
          "vit\n"
          "  [x] more            Half of it                            10 min  6 of 6\n"
          "  [x] twice           Twice                                 10 min  6 of 6\n"
          "\n"
          "language\n"
          "  [-] half            Half of it                            10 min  3 of 6\n"
          "\n"
          "2 of 4 tasks done, 12 of 24 points. Next: half, in half.cpp\n"
          "    make check-half    make hint-half\n");
    project.write("build/course/half.score", "6 of 6");
    CHECK(printed(list_tasks)
              .words.ends_with("\n3 of 4 tasks done, 18 of 24 points. Next: down, in deep/down.cpp\n"
                               "    make check-down    make hint-down\n"));
    project.write("build/course/down.score", "6 of 6");
    CHECK(printed(list_tasks).words.ends_with("\n4 of 4 tasks done, 24 of 24 points.\n"));
}

// Programs that answer two questions with 4 and `second`, of which 5 is right, and whose public test passes.
static void put_programs(const SmallProject& project, const std::string& second) {
    const Expected expected{.answers = {{"first", Matrix{{4}}, ""}, {"second", Matrix{{5}}, ""}}, .mistakes = {}};
    project.write("course/expected/down.txt", text_of(expected));
    project.write("course/expected/seed", "7\n");
    project.write("build/out/run_answers",
                  "#!/bin/sh\n[ \"$1 $2\" = 'down 7' ] || exit 3\necho > ran\n"
                  "printf 'first\\t1 1 4p+0\\nsecond\\t1 1 " +
                      second + "p+0\\n' >&$3\n");
    project.write("build/out/tests/run", "#!/bin/sh\necho 1 passed, 0 failed\n");
    for (const char* const program : {"build/out/run_answers", "build/out/tests/run"})
        std::filesystem::permissions(program, std::filesystem::perms(0755));
}

static const std::string what_next =
    "    write      deep/down.cpp\n"
    "    read       down.h (down)\n"
    "    hint       make hint-down\n";

TEST_CASE("check_task: the report with its numbers, where to go on, the status, and the score that is remembered") {
    const SmallProject project;
    const auto check = [&] { return check_task("down", project.tree); };
    put_programs(project, "6");
    const Printed half = printed(check);
    CHECK(half.status == 1);
    CHECK(half.words ==
          "down   3 of 6\n"
          "    questions  1 of 2 answered right, 2 of 4 points\n"
          "    first      second: element (0, 0) of (1, 1): yours 6, expected 5; 1 of 1\n"
          "               differ\n"
          "    cause      fits: yours = expected * 1.2 = 6 / 5\n"
          "    passed     small: down\n" +
              what_next);
    CHECK(read_file("build/course/down.score") == "3 of 6");
    CHECK(is_file("ran"));  // as the student, who may write here, not as another user

    put_programs(project, "5");
    const Printed all = printed(check);
    CHECK(all.status == 0);
    CHECK(all.words ==
          "down   6 of 6\n"
          "    questions  2 of 2 answered right, 4 of 4 points\n"
          "    passed     small: down\n"
          "    done\n");
    CHECK(read_file("build/course/down.score") == "6 of 6");

    // what may not be written is not run
    project.write("deep/down.cpp", "int down(int x) {\n    std::exit(x);\n}\n");
    const Printed refused = printed(check);
    CHECK(refused.status == 1);
    CHECK(refused.words == "down   0 of 6\n    deep/down.cpp: down: exit is not allowed in an answer\n" + what_next);
    CHECK(read_file("build/course/down.score") == "0 of 6");
}

TEST_CASE("check_task: all contracts of a task are named") {
    const SmallProject project;
    put_programs(project, "6");
    project.write("course/tasks/down.txt", read_file("course/tasks/down.txt") + "contract half.h half\n");
    CHECK(printed([&] { return check_task("down", project.tree); }).words.find("    read       down.h (down), half.h (half)\n") !=
          std::string::npos);
}

TEST_CASE("check_task, next_hint: an unknown task is refused, and a check in the project itself") {
    const SmallProject project;
    CHECK_THROWS_WITH(next_hint("up"), "course: there is no task up; there are: down twice half");
    CHECK_THROWS_WITH(check_task("up", project.tree), "course: there is no task up; there are: down twice half");
    CHECK_THROWS_WITH(watch_task("", project.tree), "course: there is no task ; there are: down twice half");
    CHECK_THROWS_WITH(check_task("down", project.tree),
                      "course: nothing is expected here, this is the project itself; make course-pack MODULE=attention makes a "
                      "starter in which down can be checked");
    CHECK_FALSE(is_file("build/course/down.score"));
}

TEST_CASE("next_hint: one more each time, the code last and with its lines; the count is remembered and can be submitted") {
    const SmallProject project;
    const auto hint = [](const std::string& name) { return printed([&] { return next_hint(name); }); };
    std::string task = read_file("course/tasks/down.txt");
    const std::string long_hint = "which number comes before x when one counts from nought upwards, as everybody learns to do?";
    task.replace(task.find("read it\n"), 7, long_hint);
    project.write("course/tasks/down.txt", task);
    const std::string first =
        "hint 1 of 3   which number comes before x when one counts from nought upwards,\n"
        "              as everybody learns to do?\n";
    const std::string second = "hint 2 of 3   read it again\n";
    const std::string third = "hint 3 of 3   \nif (x)\n    return x - 1;\n";
    CHECK(hint("down").words == first);
    CHECK(read_file("build/course/down.hints") == "1");
    CHECK(read_file("course/hints_read.txt") == "down 1\n");
    CHECK(hint("down").words == first + second);
    CHECK(hint("half").words == "hint 1 of 3   read it\n");
    CHECK(read_file("course/hints_read.txt") == "down 2\nhalf 1\n");
    CHECK(hint("down").words == first + second + third);
    const Printed again = hint("down");  // there are no more
    CHECK(again.words == first + second + third);
    CHECK(again.status == 0);
    CHECK(read_file("course/hints_read.txt") == "down 3\nhalf 1\n");
    for (const char* const damaged : {"x", "-5", "0", ""}) {
        project.write("build/course/down.hints", damaged);
        CHECK(hint("down").words == first);
    }
}

TEST_CASE("watch_task: checks when the file is saved, says why it does not compile, and ends when all points are earned") {
    const SmallProject project;
    put_programs(project, "6");
    // Each build saves the file again: the first fails, the second leaves a wrong answer, the third corrects it.
    project.write("make.sh",
                  "echo $* >> runs\nruns=$(($(wc -l < runs)))\ntouch -t 20300101000$runs deep/down.cpp\n"
                  "if [ $runs = 1 ]; then echo 'an error'; exit 1; fi\n"
                  "if [ $runs = 3 ]; then sed s/6p/5p/ build/out/run_answers > right; cat right > build/out/run_answers; fi\n");
    const Printed watched = printed([&] { return watch_task("down", project.tree); });
    CHECK(watched.status == 0);
    const std::string waiting = "waiting for deep/down.cpp to be saved; Ctrl-C ends\n";
    CHECK(watched.words.starts_with("an error\n" + waiting + "down   3 of 6\n"));
    CHECK(watched.words.find("hint       make hint-down\n" + waiting + "down   6 of 6\n") != std::string::npos);
    CHECK(watched.words.ends_with("    done\n"));
    const std::string both = "build/out/run_answers build/out/tests/run\n";  // the public tests are built too
    CHECK(read_file("runs") == both + both + both);
}

TEST_SUITE_END();
