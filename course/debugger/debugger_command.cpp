#include "course/debugger/debugger_command.h"

#include <cstdio>

#include "course/command/command_line.h"
#include "course/debugger/debugger_task.h"
#include "course/grade/process.h"
#include "nn/base/require.h"

static const char* const usage =
    "usage: run_debugger NAME [--answer ANSWER | --hint | --key] [--debugger gdb]\n"
    "  NAME             a question; \"all\" answers every one by gdb and by lldb; without a name the questions are listed\n"
    "  --answer ANSWER  is this right?\n"
    "  --hint           a hint\n"
    "  --key            the answer, and the commands that lead to it\n"
    "  --debugger NAME  gdb (the default) or lldb\n";

static const char* const built = "build/debug";

static void build(const DebuggerTask& task) {
    const std::string program = std::string(built) + "/walk/" + task.program;
    const RunResult made = run({"make", "--no-print-directory", "BUILD=debug", program}, ".", {.seconds = 3600});
    require(made.ended_well, "make BUILD=debug ", program, ": ", made.how, "\n", made.output);
}

static std::string existing(const std::string& kind) {
    const std::string debugger = installed_debugger(kind);
    require(!debugger.empty(), "there is no ", kind, " here; --debugger names another");
    return debugger;
}

// All keys by both debuggers.   returns 0 when they agree
static int compare_debuggers() {
    const std::string gdb = existing("gdb"), lldb = installed_debugger("lldb");
    if (lldb.empty()) std::printf("lldb is not installed: gdb alone answers\n");
    int different = 0;
    const std::vector<DebuggerTask> tasks = all_debugger_tasks();
    for (const DebuggerTask& task : tasks) {
        build(task);
        const std::string key = computed_key(task, gdb, built), other = lldb.empty() ? key : computed_key(task, lldb, built);
        const bool same = is_right(other, key);
        different += !same;
        std::printf("%-20s %s%s\n", task.name.c_str(), key.c_str(), same ? "" : (", but " + lldb + " says " + other).c_str());
    }
    std::printf("%zu questions, %d answered differently\n", tasks.size(), different);
    return different == 0 ? 0 : 1;
}

static void show(const DebuggerTask& task) {
    std::printf("%s\n\nprogram  make debug-%s%s\nanswer   make debug-task-%s ARGS=\"--answer ...\"; ARGS=--hint gives a hint\n",
                task.asks.c_str(), task.program.substr(task.program.rfind('/') + 1).c_str(),
                task.options.empty() ? "" : (" ARGS=\"" + task.options + "\"").c_str(), task.name.c_str());
}

static void show_key(const DebuggerTask& task, const std::string& kind) {
    const std::string key = computed_key(task, existing(kind), built);
    for (const std::string& line : kind == "gdb" ? task.gdb : task.lldb) std::printf("(%s) %s\n", kind.c_str(), line.c_str());
    std::printf("%s\n%s\n", key.c_str(), task.why.c_str());
}

static int check(const DebuggerTask& task, const std::string& kind, const std::string& answer) {
    const bool right = is_right(answer, computed_key(task, existing(kind), built));
    std::printf("%s\n", right ? ("right. " + task.why).c_str() : "not right; --hint gives a hint");
    return right ? 0 : 1;
}

int debugger_command(const std::vector<std::string>& words) {
    const CommandLine line = read_command_line(words, {"--help", "--hint", "--key"}, {"--answer", "--debugger"});
    const std::string name = line.only_word(), kind = line.value("--debugger", "gdb"), answer = line.value("--answer", "");
    require(kind == "gdb" || kind == "lldb", "--debugger ", kind, " must be gdb or lldb");
    if (line.has("--help")) return std::fputs(usage, stdout), 0;
    if (name.empty() || name == "list") {
        for (const DebuggerTask& task : all_debugger_tasks()) std::printf("%-20s %s\n", task.name.c_str(), task.asks.c_str());
        return 0;
    }
    if (name == "all") return compare_debuggers();
    const DebuggerTask task = read_debugger_task("course/debugger/" + name + ".txt");
    if (line.has("--hint")) return std::printf("%s\n", task.hint.c_str()), 0;
    if (!line.has("--key") && answer.empty()) return show(task), 0;
    build(task);
    if (line.has("--key")) return show_key(task, kind), 0;
    return check(task, kind, answer);
}
