// debugger_command_test.cpp: what make debug-task-NAME prints and returns, with scripts in the place of make, gdb and lldb.
#include "course/debugger/debugger_command.h"

#include <filesystem>

#include "course/debugger/debugger_task.h"
#include "nn/data/file.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("debugger_command");

namespace fs = std::filesystem;

static Printed said(const std::vector<std::string>& words) {
    return printed([&] { return debugger_command(words); });
}

namespace {
// A folder with two questions, in which only these programs are found. Each notes its arguments in the file `asked`.
struct Debuggers {
    TemporaryFolder folder;
    WorkingFolder here;
    Variable path;

    Debuggers() : here(folder.path("")), path("PATH", folder.path("programs").c_str()) {
        fs::create_directories("course/debugger");
        fs::create_directories("programs");
        folder.file("course/debugger/deep.txt",
                    "asks     How deep?\nprogram  nn/masks\noptions  --seed  2\nhint     count\nwhy      It is so.\n"
                    "gdb      run\ngdb      print depth\nlldb     p depth\n");
        folder.file("course/debugger/wide.txt",
                    "asks     How wide?\nprogram  masks\nhint     look\nwhy      Because.\ngdb      bt\nlldb     bt\n");
        program("make", "");
        program("gdb", "echo '$1 = 0.5'");
        program("lldb", "echo '(float) $0 = 0.5004'");
    }
    void program(const std::string& name, const std::string& commands) const {
        folder.file("programs/" + name,
                    "#!/bin/sh\nprintf '%s' \"${0##*/}\" >> asked\nprintf ' [%s]' \"$@\" >> asked\n"
                    "echo >> asked\n" +
                        commands + "\n");
        fs::permissions("programs/" + name, fs::perms::owner_all);
    }
    static std::string asked() {
        const std::string words = read_file("asked");
        fs::remove("asked");
        return words;
    }
};
}  // namespace

TEST_CASE("debugger_command: lists the questions, asks one, gives its hint; no program is started") {
    const Debuggers debuggers;
    const std::string list = "deep                 How deep?\nwide                 How wide?\n";
    CHECK(said({}).words == list);
    CHECK(said({"list"}).words == list);
    CHECK(said({"list"}).status == 0);
    const Printed deep = said({"deep"});
    CHECK(deep.words ==
          "How deep?\n\nprogram  make debug-masks ARGS=\"--seed  2\"\n"
          "answer   make debug-task-deep ARGS=\"--answer ...\"; ARGS=--hint gives a hint\n");
    CHECK(deep.status == 0);
    CHECK(said({"wide"}).words ==
          "How wide?\n\nprogram  make debug-masks\n"
          "answer   make debug-task-wide ARGS=\"--answer ...\"; ARGS=--hint gives a hint\n");
    CHECK(said({"deep", "--hint"}).words == "count\n");
    CHECK(said({"deep", "--hint"}).status == 0);
    const Printed help = said({"deep", "--help"});
    CHECK(help.words.starts_with("usage: run_debugger NAME [--answer ANSWER | --hint | --key] [--debugger gdb]\n"));
    CHECK(help.words.ends_with("lldb\n"));
    CHECK(help.status == 0);
    CHECK_FALSE(is_file("asked"));
}

TEST_CASE("debugger_command: an answer is compared with what the debugger says of the program, which is built first") {
    const Debuggers debuggers;
    const Printed right = said({"deep", "--answer", "0.5"});
    CHECK(right.words == "right. It is so.\n");
    CHECK(right.status == 0);
    CHECK(Debuggers::asked() ==
          "make [--no-print-directory] [BUILD=debug] [build/debug/walk/nn/masks]\ngdb [--version]\n"
          "gdb [-q] [-batch] [-nx] [-ex] [set confirm off] [-ex] [set breakpoint pending off] [-ex] [set print object off] "
          "[-ex] [run] [-ex] [print depth] [--args] [build/debug/walk/nn/masks] [--seed] [2]\n");
    const Printed wrong = said({"--answer", "0.6", "deep"});
    CHECK(wrong.words == "not right; --hint gives a hint\n");
    CHECK(wrong.status == 1);
    Debuggers::asked();
    CHECK(said({"wide", "--answer", "0.5004", "--debugger", "lldb"}).words == "right. Because.\n");
    CHECK(Debuggers::asked() ==
          "make [--no-print-directory] [BUILD=debug] [build/debug/walk/masks]\nlldb [--version]\n"
          "lldb [--no-use-colors] [--no-lldbinit] [--batch] [-o] [settings set target.disable-aslr true] [-o] [bt] [--] "
          "[build/debug/walk/masks]\n");
}

TEST_CASE("debugger_command: the key with the commands that lead to it, in either debugger") {
    const Debuggers debuggers;
    const Printed key = said({"deep", "--key"});
    CHECK(key.words == "(gdb) run\n(gdb) print depth\n0.5\nIt is so.\n");
    CHECK(key.status == 0);
    CHECK(said({"deep", "--key", "--answer", "1", "--debugger", "lldb"}).words == "(lldb) p depth\n0.5004\nIt is so.\n");
    // a debugger that has only a version's name
    fs::remove("programs/lldb");
    debuggers.program("lldb-16", "echo '(float) $0 = 7'");
    debuggers.program("lldb-15", "echo '(float) $0 = 8'");
    CHECK(installed_debugger("lldb") == "lldb-16");
    CHECK(said({"deep", "--key", "--debugger", "lldb"}).words == "(lldb) p depth\n7\nIt is so.\n");
}

TEST_CASE("debugger_command: all questions to both debuggers, which must agree; gdb alone where lldb is not installed") {
    const Debuggers debuggers;
    const Printed same = said({"all"});
    CHECK(same.words == "deep                 0.5\nwide                 0.5\n2 questions, 0 answered differently\n");
    CHECK(same.status == 0);
    debuggers.program("lldb", "case \"$*\" in *depth*) echo '(float) $0 = 0.6';; *) echo '(float) $0 = 0.5';; esac");
    const Printed different = said({"all"});
    CHECK(different.words ==
          "deep                 0.5, but lldb says 0.6\nwide                 0.5\n2 questions, 1 answered differently\n");
    CHECK(different.status == 1);
    fs::remove("programs/lldb");
    const Printed alone = said({"all"});
    CHECK(alone.words ==
          "lldb is not installed: gdb alone answers\ndeep                 0.5\nwide                 0.5\n"
          "2 questions, 0 answered differently\n");
    CHECK(alone.status == 0);
    fs::remove("programs/gdb");
    CHECK(error_of([] { debugger_command({"all"}); }) == "there is no gdb here; --debugger names another");
}

TEST_CASE("debugger_command: a program that is not built, a debugger that prints no value, unfit words are refused") {
    const Debuggers debuggers;
    debuggers.program("gdb", "echo " + std::string(600, 'x'));
    CHECK(error_of([] {
              debugger_command({"deep", "--key"});
          }) ==
          "debugger task deep: gdb printed no value, ended with status 0; the end of it:\\n" + std::string(599, 'x') + "\\n");
    debuggers.program("gdb", "echo no; exit 1");
    CHECK(error_of([] { debugger_command({"deep", "--answer", "1"}); }) == "there is no gdb here; --debugger names another");
    debuggers.program("make", "echo no; exit 3");
    CHECK(error_of([] {
              debugger_command({"deep", "--key"});
          }) == "make BUILD=debug build/debug/walk/nn/masks: ended with status 3\\nno\\n");
    for (const char* const option : {"--answer", "--debugger"})
        CHECK(error_of([&] { debugger_command({"deep", option}); }) == std::string(option) + " needs a value");
    for (const char* const word : {"--keys", "wide"})
        CHECK(error_of([&] {
                  debugger_command({"deep", word});
              }) == "unknown option " + std::string(word) + "; --help lists them");
    CHECK(error_of([] { debugger_command({"--keys"}); }) == "unknown option --keys; --help lists them");
    CHECK(error_of([] { debugger_command({"deep", "--debugger", "gdb-12"}); }) == "--debugger gdb-12 must be gdb or lldb");
    CHECK(error_of([] { debugger_command({"high"}); }).find("course/debugger/high.txt") != std::string::npos);
}

TEST_SUITE_END();
