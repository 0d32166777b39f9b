#include "tests/course/project/small_project.h"

#include <unistd.h>

#include "nn/data/file.h"

namespace fs = std::filesystem;

Printed printed(const std::function<int()>& command) {
    const TemporaryFolder folder;
    Printed result;
    {
        const Redirected redirected(STDOUT_FILENO, folder.path("printed"));
        result.status = command();
    }
    result.words = read_file(folder.path("printed"));
    return result;
}

// The answer to a question is (checksum of the three sources without their blanks, seed).
static const char* const compiler = R"(mkdir -p build/out/tests
if grep -q 'syntax mistake' deep/down.cpp half.cpp twice.cpp; then echo 'an error'; exit 1; fi
sum=$(cat deep/down.cpp half.cpp twice.cpp | tr -d ' \n' | cksum | cut -d' ' -f1)
cat > build/out/run_answers <<END
#!/bin/sh
printf 'x\t1 2 %xp+0 %xp+0\n' $sum \$2 >&\$3
END
says='1 passed, 0 failed'
if grep -q 'x - 2' deep/down.cpp; then says='ERROR: by 2'; fi
printf '#!/bin/sh\necho %s\n' "'$says'" > build/out/tests/run
chmod +x build/out/run_answers build/out/tests/run
)";

static void write_mistake(const SmallProject& project, const std::string& name, const std::string& after) {
    project.write("course/mistakes/" + name + ".txt", "says     it is " + after +
                                                          "\nhint     which step?\nfile     deep/down.cpp\n"
                                                          "before   x - 1\nafter    " +
                                                          after + "\ncaught   small: down\n");
}

SmallProject::SmallProject() : here(folder.path("")) {
    fs::permissions(folder.path(""), fs::perms(0755));  // a program may run as another user
    add_task("down", "deep/down.cpp", "x - 1", "title    One less\nmodule   attention\nminutes  15\n");
    add_task("half", "half.cpp", "x / 2", "title    Half of it\nmodule   language\nminutes  10\n");
    add_task("twice", "twice.cpp", "2 * x", "title    Twice\nmodule   vit\nminutes  10\n");
    write_mistake(*this, "by_two", "x - 2");
    write_mistake(*this, "up", "x + 1");
    write("make.sh", compiler);
    fs::create_directories("build/out");
    tree.out = "build/out";
    tree.make = {"sh", "make.sh"};
}

void SmallProject::write(const std::string& path, const std::string& text) const {
    const fs::path to = folder.path(path);
    fs::create_directories(to.parent_path());
    write_file_atomically(to.string(), text);
}

void SmallProject::add_task(const std::string& name, const std::string& file, const std::string& expression,
                            const std::string& head) const {
    const std::string body = "return " + expression + ";";
    write("course/tasks/" + name + ".txt",
          head + "points   6\nfile     " + file + "\nbody     int " + name + "(int x)\ncontract " + name + ".h " + name +
              "\nequation y of x\ncase     2 small: " + name +
              "\nhint     read it\nhint     read it again\ncode     if (x)\ncode         " + body + "\n");
    write(name + ".h", "// " + name + ".h: a function.\n#pragma once\n\n// What it does.\nint " + name + "(int x);\n");
    write(file, "#include \"" + name + ".h\"\n\nint " + name + "(int x) {\n    " + body + "\n}\n");
}

void SmallProject::furnish() const {
    for (const char* const file : {"Makefile", "course/rules.mk", "LICENSE", "tests/find_doctest.sh", "tools/standard.h",
                                   "course/STUDENTS.md", "course/run_course.cpp", "course/verify.cpp", "course/run_answers.cpp",
                                   "course/drawn/attention.cpp", "course/drawn/vit.cpp", "tests/main.cpp", "other.cpp"})
        write(file, std::string("text of ") + file + "\n");
    write("tests/small_test.cpp", "#include \"helper.h\"\nTEST_SUITE_BEGIN(\"small\");\ngolden_files(\"a\");\n");
    write("tests/other_test.cpp", "TEST_SUITE_BEGIN(\"other\");\ngolden_files(\"b\");\n");
    write("helper.h", "text of helper.h\n");
    write("tests/golden/a-1.safetensors", "numbers\n");
    write("tests/golden/b-1.safetensors", "numbers\n");
    for (const std::string folder : {"nn", "bert", "vit"}) {
        std::string ledger = "| the paper says | we do | test |\n|---|---|---|\n";
        for (const std::string number : {"one", "two", "three"})
            ledger += "| " + folder + " said " + number + " | done " + number + " | t |\n";
        write(folder + "/README.md", ledger);
    }
    write("doctest/doctest/doctest.h", "text of doctest.h\n");
    write("build/doctest/option", "-Idoctest\n");
    write("compiler.sh", "cat > asked\necho \"x.o: ${1#-I}/other.h \\\\\"\necho \" ${1#-I}/doctest/doctest.h\"\n");
}
