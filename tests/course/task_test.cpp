#include "course/grade/task.h"

#include <algorithm>
#include <set>

#include "course/drawn/drawn.h"
#include "course/grade/body.h"
#include "course/pack/handout.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/course/titles/titles.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("task");

static const std::string example =
    "title    Down\n"
    "module   attention\n"
    "points   6\n"
    "minutes  20\n"
    "file     a.cpp\n"
    "body     int down(int x)\n"
    "contract a.h down\n"
    "equation y = x - 1\n"
    "case     2 a: down: by one, always\n"
    "steps    1 a: parity: every step\n"
    "without  lower\n"
    "hint     which way?\n"
    "hint     by how much?\n"
    "code     if (x == 0) return -1;\n"
    "code         return x - 1;\n";

TEST_CASE("read_task: a task's lines, code keeps its indentation, a title may hold a colon") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("down.txt"), example);
    const Task task = read_task(folder.path("down.txt"));
    CHECK(task.name == "down");
    CHECK(task.body == "int down(int x)");
    CHECK(task.cases[0].suite == "a");
    CHECK(task.cases[0].title == "down: by one, always");
    CHECK_FALSE(task.cases[0].by_steps);
    CHECK(task.cases[1].by_steps);
    CHECK(task.public_points() == 3);
    CHECK(task.drawn_points() == 3);
    CHECK(task.code == "if (x == 0) return -1;\n    return x - 1;\n");
}

TEST_CASE("sealed_text: contains the same task; its code cannot be read by accident") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("down.txt"), example);
    Task task = read_task(folder.path("down.txt"));
    const std::string ends = "// AMNZamnz\n";  // of both halves of the alphabet
    task.code += ends;
    const std::string sealed = sealed_text(task);
    CHECK(sealed.find("return") == std::string::npos);
    CHECK(sealed.ends_with("// NZAMnzam\n"));
    write_file_atomically(folder.path("down.txt"), sealed);
    CHECK(read_task(folder.path("down.txt")).code == task.code);
    CHECK(sealed_text(read_task(folder.path("down.txt"))) == sealed);
}

TEST_CASE("read_task: rejects missing, unknown and repeated keys, and names the line") {
    const TemporaryFolder folder;
    const std::string path = folder.path("down.txt");
    const auto error = [&](const std::string& text) {
        write_file_atomically(path, text);
        return error_of([&] { read_task(path); });
    };
    CHECK(error(example + "points   7\n") == path + ":16: a second line of points");
    CHECK(error(example + "pionts   7\n") == path + ":16: there is no key pionts");
    CHECK(error(example + "hint     a third\n") == path + ": 3 lines of hint, expected 2; the third hint is the code");
    CHECK(error(example + "case     four a: b\n") == path + ":16: case is \"four\", expected a number from 0 to 1000");
    CHECK(error(example + "case     3 a: b\n") ==
          path + ": the cases take 6 of 6 points, something must be left for the questions of the seed");
    CHECK(error("title    Down\n") == path + ": there is no line of module");
    const auto changed = [&](const std::string& line, const std::string& other) {
        std::string text = example;
        return text.replace(text.find(line), line.size(), other);
    };
    CHECK(error(changed("minutes  20\n", "minutes  1000\n")) == "");
    CHECK(error(changed("minutes  20\n", "minutes  0\n")) == "");
    for (const std::string minutes : {"1001", "-1", "ten"})
        CHECK(error(changed("minutes  20\n", "minutes  " + minutes + "\n")) ==
              path + ": minutes is \"" + minutes + "\", expected a number from 0 to 1000");
    for (const std::string value : {"2down", "2 down", "2a: b c"})
        CHECK(error(changed("case     2 a: down: by one, always\n", "case     " + value + "\n")) ==
              path + ":9: case is \"" + value + "\", expected \"points suite: title of a test\"");
    CHECK(error(changed("contract a.h down\n", "contract a.h\n")) ==
          path + ":7: contract is \"a.h\", expected \"file function\"");
    CHECK(error(changed("contract a.h down\n", "")) == path + ": there is no line of contract or code");
    CHECK(error(changed("code     if (x == 0) return -1;\ncode         return x - 1;\n", "")) ==
          path + ": there is no line of contract or code");
    CHECK(error(changed("title    Down\n", "title Down, and more\n")) == path + ":1: the value begins in column 10");
    CHECK(error(changed("title    Down\n", "title\n")) == "");
    CHECK(error(changed("title    Down\n", "title   Down\n")) == path + ":1: the value begins in column 10");
    CHECK(error(changed("hint     by how much?\n", "")) == path + ": 1 lines of hint, expected 2; the third hint is the code");
    CHECK(error(changed("case     2", "case     4")) == "");  // one point is left
    CHECK(error(changed("case     2", "case     5")).starts_with(path + ": the cases take 6 of 6 points"));
}

TEST_CASE("course/tasks: every task has one function, a contract, public tests and drawn questions") {
    const std::set<std::string> titles = all_titles();
    const std::vector<std::string> drawn = drawn_tasks();
    const std::vector<Task> tasks = all_tasks();
    CHECK(tasks.size() >= 24);
    for (const std::string& module : all_modules()) CHECK(all_tasks(module).size() >= 6);
    for (const Task& task : tasks) {
        INFO("course/tasks/", task.name, ".txt");
        const std::string text = read_file(task.file);
        std::string body;
        CHECK(error_of([&] { body = body_of(text, task.body, task.file); }) == "");
        CHECK(with_body(text, task.body, body, task.file) == text);
        CHECK(std::count(drawn.begin(), drawn.end(), task.name) == 1);
        CHECK(objection(leading_checks(body) + "\n" + task.code, task.without) == "");
        for (const PublicCase& one : task.cases) {
            INFO(one.suite, ": ", one.title);
            CHECK(titles.count(one.suite + ": " + one.title) == 1);
        }
        for (const Contract& contract : task.contracts) {
            std::string said;
            CHECK(error_of([&] { said = contract_text(contract); }) == "");
            CHECK(said.find(contract.function) != std::string::npos);
        }
    }
    CHECK(error_of([] { all_tasks("cooking"); }) ==
          "course: there is no task of the module 'cooking'; the modules are attention, vit, language, rlhf");
}

TEST_SUITE_END();
