#include "course/grade/tree.h"

#include <filesystem>

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

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

TEST_CASE("build: a failed build returns the compiler's lines, and a build that takes too long is stopped") {
    const TemporaryFolder folder;
    Tree tree = small_tree(folder);
    const Change change(tree, "a.cpp", "int x;\nan error\n");
    CHECK(build(tree, false).starts_with("2:an error\n"));
    tree.build_seconds = 0.3;
    tree.make = {"sh", "-c", "sleep 5"};
    CHECK(build(tree, false).starts_with("the compiler was stopped after 0 s"));
}

TEST_SUITE_END();
