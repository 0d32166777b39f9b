#include "course/grade/tree.h"

#include <filesystem>

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("tree");

// A Makefile that "builds" both programs by copying their source.
static Tree small_tree(const TemporaryFolder& folder) {
    std::filesystem::create_directories(folder.path("out/objects"));
    folder.file("a.cpp", "right\n");
    folder.file("out/objects/a.o", "object\n");
    folder.file("Makefile",
                "out/run_answers out/tests/run: a.cpp\n\t@mkdir -p out/tests && ! grep -n error a.cpp && cp a.cpp $@\n");
    Tree tree;
    tree.folder = folder.path("");
    tree.out = "out";
    return tree;
}

TEST_CASE("Change: replaces a file's text during its lifetime, then restores file and object with their times") {
    const TemporaryFolder folder;
    const Tree tree = small_tree(folder);
    const auto time = std::filesystem::last_write_time(folder.path("a.cpp"));
    {
        const Change change(tree, "a.cpp", "wrong\n");
        CHECK(read_file(folder.path("a.cpp")) == "wrong\n");
        folder.file("out/objects/a.o", "of the wrong one\n");
        CHECK(build(tree, true) == "");
        CHECK(read_file(folder.path("out/run_answers")) == "wrong\n");
    }
    CHECK(read_file(folder.path("a.cpp")) == "right\n");
    CHECK(read_file(folder.path("out/objects/a.o")) == "object\n");
    CHECK(std::filesystem::last_write_time(folder.path("a.cpp")) == time);
    CHECK(error_of([&] { const Change change(tree, "b.cpp", ""); }).find("there is no file") != std::string::npos);
}

TEST_CASE("Change: an object that was not there before, and the library of the change, are gone afterwards") {
    const TemporaryFolder folder;
    const Tree tree = small_tree(folder);
    std::filesystem::create_directories(folder.path("deep"));
    folder.file("deep/b.cpp", "right\n");
    {
        const Change change(tree, "deep/b.cpp", "wrong\n");
        std::filesystem::create_directories(folder.path("out/objects/deep"));
        folder.file("out/objects/deep/b.o", "of the wrong one\n");
        folder.file("out/library.a", "with the wrong one\n");
    }
    CHECK(read_file(folder.path("deep/b.cpp")) == "right\n");
    CHECK_FALSE(is_file(folder.path("out/objects/deep/b.o")));
    CHECK_FALSE(is_file(folder.path("out/library.a")));
}

TEST_CASE("build: of what the compiler said the first error or warning, and eight lines at most; without one, the beginning") {
    const TemporaryFolder folder;
    Tree tree = small_tree(folder);
    const auto said = [&](const std::string& words) {
        tree.make = {"sh", "-c", "printf '" + words + "'; exit 1"};
        return build(tree, false);
    };
    CHECK(said("in a.cpp\\na.cpp:1: error: no\\n  1 | x\\n") == "a.cpp:1: error: no\n  1 | x\n");
    CHECK(said("1\\n2: warning\\n3\\n") == "2: warning\n3\n");
    CHECK(said("an error\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n") == "an error\n1\n2\n3\n4\n5\n6\n7\n");
    CHECK(said("stopped") == "stopped");
    CHECK(said(std::string(601, 'x')) == std::string(600, 'x'));
}

TEST_CASE("build: only the answers, or the tests too; programs_of names both") {
    const TemporaryFolder folder;
    Tree tree = small_tree(folder);
    CHECK(build(tree, false) == "");
    CHECK(is_file(folder.path("out/run_answers")));
    CHECK_FALSE(is_file(folder.path("out/tests/run")));
    CHECK(build(tree, true) == "");
    CHECK(is_file(folder.path("out/tests/run")));
    CHECK(programs_of(tree).folder == tree.folder);
    CHECK(programs_of(tree).answers == "out/run_answers");
    CHECK(programs_of(tree).tests == "out/tests/run");
}

TEST_CASE("build: a failed build returns the compiler's lines, and a build that takes too long is stopped") {
    const TemporaryFolder folder;
    Tree tree = small_tree(folder);
    const Change change(tree, "a.cpp", "int x;\nan error\n");
    CHECK(build(tree, false).starts_with("2:an error\n"));
    tree.build_seconds = 0.3;
    tree.make = {"sh", "-c", "sleep 5"};
    CHECK(build(tree, false).starts_with("the compiler was stopped after 0 s"));
}

TEST_CASE(
    "copy_project: the sources and what is built of them, with their times, without the history and the programs that are not needed") {
    const TemporaryFolder folder;
    const WorkingFolder here(folder.path(""));
    for (const char* const file :
         {"a.cpp", "deep/b.cpp", ".git/HEAD", "build/out/walk/w", "build/out/bench/b", "build/out/debugger/d",
          "build/out/objects/a.o", "build/out/library.a", "build/other/x", "build/doctest/option", "copy/old"}) {
        std::filesystem::create_directories(std::filesystem::path(folder.path(file)).parent_path());
        folder.file(file, file);
        std::filesystem::last_write_time(file, std::filesystem::file_time_type{});
    }
    const auto copied = [&] {
        std::filesystem::create_directories("build");
        copy_project("build/copy", "build/out");
        std::string names;
        for (const std::string& path : files_below("build/copy")) names += path.substr(11) + " ";
        return names;
    };
    CHECK(copied() == "a.cpp build/doctest/option build/out/library.a build/out/objects/a.o copy/old deep/b.cpp ");
    CHECK(std::filesystem::last_write_time("build/copy/a.cpp") == std::filesystem::file_time_type{});
    CHECK(std::filesystem::last_write_time("build/copy/build/out/library.a") == std::filesystem::file_time_type{});
    folder.file("build/copy/left", "from before");
    for (const char* const part : {"build/doctest", "build/out/objects", "build/out/library.a", "copy"})
        std::filesystem::remove_all(part);
    CHECK(copied() == "a.cpp deep/b.cpp ");
    CHECK(error_of([] { copy_project("build/copy/a.cpp/x", "build/out"); }) != "");
}

TEST_SUITE_END();
