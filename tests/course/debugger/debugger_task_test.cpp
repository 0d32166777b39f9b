#include "course/debugger/debugger_task.h"

#include <set>

#include "course/grade/process.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("debugger_task");

TEST_CASE("course/debugger: a dozen questions, each with commands for gdb and lldb that name no line of a source") {
    const std::vector<DebuggerTask> tasks = all_debugger_tasks();
    CHECK(tasks.size() >= 12);
    std::set<std::string> questions;
    for (const DebuggerTask& task : tasks) {
        CAPTURE(task.name);
        questions.insert(task.asks);
        CHECK(task.asks.ends_with("?"));
        CHECK(is_file("walkthroughs/" + task.program + ".cpp"));
        for (const std::vector<std::string>* commands : {&task.gdb, &task.lldb})
            for (const std::string& command : *commands) CHECK(command.find(".cpp:") == std::string::npos);
    }
    CHECK(questions.size() == tasks.size());
}

TEST_CASE("read_debugger_task: a line of a debugger for each command; an invalid line is refused with its number") {
    const TemporaryFolder folder;
    const std::string path = folder.path("depth.txt");
    const std::string words =
        "asks     How deep?\nprogram  nn/masks\nhint     bt\nwhy      so\ngdb      run\ngdb      bt\nlldb     bt\n";
    write_file_atomically(path, words);
    const DebuggerTask task = read_debugger_task(path);
    CHECK(task.name == "depth");
    CHECK(task.gdb == std::vector<std::string>{"run", "bt"});
    CHECK(task.options == "");
    write_file_atomically(path, words + "key      3\n");
    CHECK_THROWS_WITH(read_debugger_task(path), (path + ":8: there is no key key").c_str());
    write_file_atomically(path, words + "why      again\n");
    CHECK_THROWS_WITH(read_debugger_task(path), (path + ":8: a second line of why").c_str());
    write_file_atomically(path, words + "lldb bt\n");
    CHECK_THROWS_WITH(read_debugger_task(path), (path + ":8: the value begins in column 10").c_str());
    write_file_atomically(path, words + "\noptions  --seed 2\n");
    CHECK(read_debugger_task(path).options == "--seed 2");
    for (const char* const line : {"lldb     \n", "lldb      bt\n", "lldb\n"}) {
        write_file_atomically(path, words + line);
        CHECK_THROWS_WITH(read_debugger_task(path), (path + ":8: the value begins in column 10").c_str());
    }
    write_file_atomically(path, "asks     How deep?\n");
    CHECK_THROWS_WITH(read_debugger_task(path), (path + ": there is no line of program").c_str());
}

TEST_CASE("printed_value: the last value, as gdb and lldb print numbers and strings") {
    CHECK(printed_value("$1 = 5\n$2 = -0.25\nkilled\n") == "-0.25");
    CHECK(printed_value("(lldb) expression -- x\n(float) $0 = 0.707106769\n") == "0.707106769");
    CHECK(printed_value("$1 = 0x5555 \"add\"\n") == "add");
    CHECK(printed_value("(const char *) $0 = 0x5555 \"add\"\n") == "add");
    CHECK(printed_value("set $first = scores\nRun till exit\n") == std::nullopt);
    CHECK(printed_value("(int) $n = 15\n") == "15");
    CHECK(printed_value("(lldb) expression float $before = $w[0]\n") == std::nullopt);  // a command, repeated
    CHECK(printed_value("") == std::nullopt);
    CHECK(printed_value("at $1 = 5\n") == std::nullopt);
    CHECK(printed_value("$1 is = 5\n") == std::nullopt);
    CHECK(printed_value("$1 = \"\n") == "\"");  // one quote is no string
    CHECK(printed_value("$1 = \"\"\n") == "");
}

TEST_CASE("is_right: text must be the same, numbers within rounding") {
    CHECK(is_right("add", "add"));
    CHECK_FALSE(is_right("scale", "add"));
    CHECK(is_right("0.7071", "0.707106769"));
    CHECK_FALSE(is_right("0.7", "0.707106769"));
    CHECK(is_right("5", "5"));
    CHECK_FALSE(is_right("6", "5"));
    CHECK_FALSE(is_right("0.0001", "-0.00006"));
    CHECK(is_right("-6e-05", "-5.9999e-05"));
    CHECK_FALSE(is_right("", "5"));
    CHECK(is_right("1000.9", "1000"));  // a thousandth, and a thousandth of a millionth
    CHECK_FALSE(is_right("1001.1", "1000"));
    CHECK(is_right("0.0000000009", "0"));
    CHECK_FALSE(is_right("0.000000002", "0"));
}

// Why this debugger cannot be asked here; "" when it can.
static std::string obstacle(const std::string& kind, const std::string& debugger) {
    if (debugger.empty()) return kind + " is not installed";
    const bool gdb = kind == "gdb";
    const std::vector<std::string> trial =
        gdb ? std::vector<std::string>{debugger, "-q", "-batch", "-nx", "-ex", "run", "/bin/true"}
            : std::vector<std::string>{debugger, "--batch", "--no-lldbinit", "-o", "run", "/bin/true"};
    const std::string said = run(trial, ".", {.seconds = 60}).output;
    const bool runs = said.find(gdb ? "exited normally" : "exited with status = 0") != std::string::npos;
    return runs ? "" : debugger + " may not start a program here";
}

// The questions about one small program; make debug-task-all asks all of them.
TEST_CASE(
    "course/debugger: gdb answers the questions about the lesson of gradients where it is built, and lldb answers the same") {
    const std::string program = "nn/gradients", gdb = installed_debugger("gdb"), lldb = installed_debugger("lldb");
    const std::string no_gdb = obstacle("gdb", gdb), no_lldb = obstacle("lldb", lldb);
    const bool built = is_file(std::string(DEBUG_BUILT) + "/walk/" + program);
    if (!built) MESSAGE("skipped: make debug-gradients builds the program");
    if (!no_gdb.empty()) MESSAGE("skipped: ", no_gdb);
    if (!no_lldb.empty()) MESSAGE("skipped, only gdb answers: ", no_lldb);
    if (!built || !no_gdb.empty()) return;
    int asked = 0;
    for (const DebuggerTask& task : all_debugger_tasks()) {
        if (task.program != program) continue;
        ++asked;
        CAPTURE(task.name);
        const std::string key = computed_key(task, gdb, DEBUG_BUILT);
        CHECK(key != "");
        if (no_lldb.empty()) CHECK(is_right(computed_key(task, lldb, DEBUG_BUILT), key));
    }
    CHECK(asked >= 4);
}

TEST_SUITE_END();
