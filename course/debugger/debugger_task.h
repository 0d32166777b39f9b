// debugger_task.h: questions that are answered in a debugger, one small file each in course/debugger.
//
//   shows    that gdb and lldb are instruments for reading a program: each key is computed by both, from the same program
//   format   every line is a key of at most 8 letters, spaces up to column 10, a value:
//                asks     In the first forward pass: to which position does the token at position 3 attend most?
//                program  bert/bert               a walkthrough, built with BUILD=debug
//                options  --seed 1                of the program; may be missing
//                hint     ...                     one that does not give the answer away
//                why      ...                     what the answer shows; told with a right answer
//                gdb      break attend            the commands that lead to the answer, a line each; the last value that
//                lldb     b attend                they print is the key
//   note     Commands name functions and variables, never lines, so a key survives changes of other code.
//   next     debugger_command.h lists them, shows one, checks an answer
#pragma once
#include <optional>
#include <string>
#include <vector>

struct DebuggerTask {
    std::string name;  // the file's, without folder and ending
    std::string asks, program, options, hint, why;
    std::vector<std::string> gdb, lldb;
};

// throws std::invalid_argument with path and line when a key is unknown, missing, or given twice where one line is meant
DebuggerTask read_debugger_task(const std::string& path);

// All of course/debugger, by name.
std::vector<DebuggerTask> all_debugger_tasks(const std::string& folder = "course/debugger");

// The last value in the output of a debugger: "5" of "$2 = 5", "0.25" of "(float) $0 = 0.25", "add" of "$1 = 0x5f "add"". Nothing
// when it printed no value.
std::optional<std::string> printed_value(const std::string& output);

// What a debugger answers.
//   debugger  "gdb" or "lldb-16": its name decides which commands are used
//   folder    with the debug build: "build/debug"
//   throws    std::invalid_argument with the end of its output when no value was printed
std::string computed_key(const DebuggerTask& task, const std::string& debugger, const std::string& folder);

// A debugger of this kind that is installed: "lldb", "lldb-16"; "" = none is.   kind  "gdb" or "lldb"
std::string installed_debugger(const std::string& kind);

// Whether an answer is the key: the same words, or a number within a thousandth of the key.
bool is_right(const std::string& answer, const std::string& key);
