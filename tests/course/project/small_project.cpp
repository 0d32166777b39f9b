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

static void write_task(const SmallProject& project, const std::string& name, const std::string& file, const std::string& body,
                       const std::string& head) {
    project.write("course/tasks/" + name + ".txt",
                  head + "points   6\nfile     " + file + "\nbody     int " + name + "(int x)\ncontract " + name + ".h " + name +
                      "\nequation y of x\ncase     2 small: " + name +
                      "\nhint     read it\nhint     read it again\ncode     if (x)\ncode         " + body + "\n");
    project.write(name + ".h", "// " + name + ".h: a function.\n#pragma once\n\n// What it does.\nint " + name + "(int x);\n");
    project.write(file, "#include \"" + name + ".h\"\n\nint " + name + "(int x) {\n    " + body + "\n}\n");
}

static void write_mistake(const SmallProject& project, const std::string& name, const std::string& after) {
    project.write("course/mistakes/" + name + ".txt", "says     it is " + after +
                                                          "\nhint     which step?\nfile     deep/down.cpp\n"
                                                          "before   x - 1\nafter    " +
                                                          after + "\ncaught   small: down\n");
}

SmallProject::SmallProject() : here(folder.path("")) {
    fs::permissions(folder.path(""), fs::perms(0755));  // a program may run as another user
    write_task(*this, "down", "deep/down.cpp", "return x - 1;", "title    One less\nmodule   attention\nminutes  15\n");
    write_task(*this, "half", "half.cpp", "return x / 2;", "title    Half of it\nmodule   language\nminutes  10\n");
    write_task(*this, "twice", "twice.cpp", "return 2 * x;", "title    Twice\nmodule   vit\nminutes  10\n");
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
