#include "course/mistake.h"

#include <algorithm>
#include <map>
#include <set>

#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/course/titles/titles.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("mistake");

static const std::string example =
    "says     the sign is wrong\n"
    "hint     which way is down?\n"
    "file     a.cpp\n"
    "before   x +\n"
    "before       y;\n"
    "after    x - y;\n"
    "caught   a: a goes down, then up: always\n";

TEST_CASE("read_mistake: code keeps its indentation, a title may contain a colon") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("sign.txt"), example);
    const Mistake mistake = read_mistake(folder.path("sign.txt"));
    CHECK(mistake.name == "sign");
    CHECK(mistake.says == "the sign is wrong");
    CHECK(mistake.before == "x +\n    y;");
    CHECK(mistake.after == "x - y;");
    CHECK(mistake.suite == "a");
    CHECK(mistake.title == "a goes down, then up: always");
    CHECK(with_mistake("z = x +\n    y;\n", mistake) == "z = x - y;\n");
}

TEST_CASE("with_mistake: `before` must occur exactly once") {
    Mistake mistake;
    mistake.name = "sign", mistake.file = "a.cpp", mistake.before = "x + y", mistake.after = "x - y";
    CHECK_THROWS_WITH(with_mistake("x - y", mistake),
                      "course/mistakes/sign.txt: `before` appears 0 times in a.cpp, expected once: x + y");
    CHECK_THROWS_WITH(with_mistake("x + y, x + y", mistake),
                      "course/mistakes/sign.txt: `before` appears 2 times in a.cpp, expected once: x + y");
    mistake.before = "xx";  // two occurrences may overlap
    CHECK_THROWS_WITH(with_mistake("xxx", mistake),
                      "course/mistakes/sign.txt: `before` appears 2 times in a.cpp, expected once: xx");
    mistake.after = "y";
    CHECK(with_mistake("x xx", mistake) == "x y");
}

TEST_CASE("read_mistake: rejects a missing or repeated key, and names the line") {
    const TemporaryFolder folder;
    const std::string path = folder.path("sign.txt");
    const auto error = [&](const std::string& text) {
        write_file_atomically(path, text);
        return error_of([&] { read_mistake(path); });
    };
    CHECK(error(example.substr(0, example.find("caught"))) == path + ": there is no line of caught");
    CHECK(error(example + "says     again\n") == path + ":8: a second line of says");
    CHECK(error("sais     x\n") == path + ":1: there is no key sais");
    CHECK(error("says the sign\n") == path + ":1: the value begins in column 10");
    CHECK(error(example.substr(0, example.find("caught")) + "caught   nothing\n") ==
          path + ": caught is \"nothing\", expected \"suite: title of a test\"");
    CHECK(error(example + "\n") == "");
    CHECK(error("says     \n" + example.substr(example.find("hint"))) == "");  // nine columns, no value
    CHECK(error("says\n" + example.substr(example.find("hint"))) == "");
    CHECK(error("says    x\n" + example.substr(example.find("hint"))) == path + ":1: the value begins in column 10");
    CHECK(error("says x\n" + example.substr(example.find("hint"))) == path + ":1: the value begins in column 10");
    const WorkingFolder here(folder.path(""));
    write_file_atomically("sign.txt", example);
    CHECK(read_mistake("sign.txt").name == "sign");  // a path without a folder
}

TEST_CASE("course/mistakes: every mistake applies to the current source, and the test that catches it exists") {
    const std::set<std::string> titles = all_titles();
    const std::vector<Mistake> mistakes = all_mistakes();
    CHECK(mistakes.size() >= 60);
    std::map<std::string, std::string> seen;
    for (const Mistake& mistake : mistakes) {
        INFO("course/mistakes/", mistake.name, ".txt");
        REQUIRE(is_file(mistake.file));
        std::string changed;
        CHECK(error_of([&] { changed = with_mistake(read_file(mistake.file), mistake); }) == "");
        CHECK(titles.count(mistake.suite + ": " + mistake.title) == 1);
        CHECK(mistake.before != mistake.after);
        CHECK(seen[mistake.file + changed] == "");  // no two are the same
        seen[mistake.file + changed] = mistake.name;
    }
}

TEST_SUITE_END();
