#include "course/debugger/debugger_task.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "course/grade/process.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

static constexpr std::size_t value_begin = 9;  // columns of a line before its value

DebuggerTask read_debugger_task(const std::string& path) {
    std::map<std::string, std::vector<std::string>> values;
    int number = 0;
    for (const std::string& line : split_lines(read_file(path))) {
        ++number;
        if (line.empty()) continue;
        const std::string key = line.substr(0, line.find(' '));
        const bool is_command = key == "gdb" || key == "lldb";
        const bool known = is_command || key == "asks" || key == "program" || key == "options" || key == "hint" || key == "why";
        require(known, path, ":", number, ": there is no key ", key);
        require(line.find_first_not_of(' ', key.size()) == value_begin, path, ":", number, ": the value begins in column ",
                value_begin + 1);
        require(is_command || values.count(key) == 0, path, ":", number, ": a second line of ", key);
        values[key].push_back(line.substr(value_begin));
    }
    for (const char* const key : {"asks", "program", "hint", "why", "gdb", "lldb"})
        require(values.count(key) > 0, path, ": there is no line of ", key);
    const std::size_t begin = path.rfind('/') + 1;  // 0 without a folder, as npos + 1 is 0
    return {.name = path.substr(begin, path.rfind('.') - begin),
            .asks = values["asks"][0],
            .program = values["program"][0],
            .options = values.count("options") > 0 ? values["options"][0] : "",
            .hint = values["hint"][0],
            .why = values["why"][0],
            .gdb = values["gdb"],
            .lldb = values["lldb"]};
}

std::vector<DebuggerTask> all_debugger_tasks(const std::string& folder) {
    std::vector<DebuggerTask> tasks;
    for (const std::string& path : files_below(folder))
        if (path.ends_with(".txt")) tasks.push_back(read_debugger_task(path));
    return tasks;
}

// ---- asking a debugger ------------------------------------------------------------------------------------------------------

std::optional<std::string> printed_value(const std::string& output) {
    std::optional<std::string> value;
    for (const std::string& line : split_lines(output)) {
        const std::size_t mark = line.find('$'), sign = line.find(" = ", mark == std::string::npos ? 0 : mark);
        const bool is_command = line.starts_with("(lldb)");  // lldb repeats them
        const bool is_answer = !is_command && mark != std::string::npos && sign != std::string::npos &&
                               (mark == 0 || line[0] == '(') &&  // "$1 = 5", "(int) $0 = 5"
                               line.find(' ', mark) == sign;
        if (!is_answer) continue;
        std::string words = line.substr(sign + 3);
        const std::size_t quote = words.find('"'), end = words.rfind('"');
        if (end != std::string::npos && end > quote) words = words.substr(quote + 1, end - quote - 1);
        value = words;
    }
    return value;
}

static bool is_gdb(const std::string& debugger) { return debugger.find("gdb") != std::string::npos; }

std::string computed_key(const DebuggerTask& task, const std::string& debugger, const std::string& folder) {
    const bool gdb = is_gdb(debugger);
    std::vector<std::string> command = gdb ? std::vector<std::string>{debugger, "-q", "-batch", "-nx"}
                                           : std::vector<std::string>{debugger, "--no-use-colors", "--no-lldbinit", "--batch"};
    const std::vector<std::string> settings =
        gdb ? std::vector<std::string>{"set confirm off", "set breakpoint pending off", "set print object off"}
            : std::vector<std::string>{"settings set target.disable-aslr true"};
    for (const std::vector<std::string>* lines : {&settings, gdb ? &task.gdb : &task.lldb})
        for (const std::string& line : *lines) {
            command.push_back(gdb ? "-ex" : "-o");
            command.push_back(line);
        }
    command.push_back(gdb ? "--args" : "--");
    command.push_back(folder + "/walk/" + task.program);
    for (const std::string& option : split(task.options, ' '))
        if (!option.empty()) command.push_back(option);
    const RunResult result = run(command, ".", {.seconds = 120, .output_bytes = 1'000'000});
    const std::optional<std::string> value = printed_value(result.output);
    require(value.has_value(), "debugger task ", task.name, ": ", debugger, " printed no value, ", result.how,
            "; the end of it:\n", result.output.substr(result.output.size() - std::min<std::size_t>(result.output.size(), 600)));
    return *value;
}

std::string installed_debugger(const std::string& kind) {
    for (const char* const version : {"", "-20", "-19", "-18", "-17", "-16", "-15", "-14"}) {
        const std::string name = kind + version;
        if (run({name, "--version"}, ".", {.seconds = 30}).ended_well) return name;
    }
    return "";
}

bool is_right(const std::string& answer, const std::string& key) {
    const std::optional<double> given = decimal_number(answer), wanted = decimal_number(key);
    if (!given || !wanted) return answer == key;
    return std::abs(*given - *wanted) <= 1e-3 * std::abs(*wanted) + 1e-9;
}
