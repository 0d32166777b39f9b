// debugger_test.cpp: gdb prints our types as grids, calls show, stops at a lesson's steps, and step stays inside the project.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "tests/command.h"
#include "tests/test.h"

// What a debugger shows depends on the compiler of the program: with clang++, memory that is not constructed yet happens to be zero,
// which is an empty container, and the end of the caller's line is another stop.
#ifdef __clang__
static constexpr bool by_gcc = false;
#else
static constexpr bool by_gcc = true;
#endif

// The folder of the debug build, as the Makefile names it.
static const std::string debug_built = DEBUG_BUILT;

// Why gdb cannot be tried here; "" when it can.
static std::string obstacle() {
    if (run_command("command -v gdb").status != 0) return "gdb is not installed";
    if (run_command("gdb -q -batch -nx -ex 'python print(1)'").output != "1\n") return "this gdb has no Python";
    const CommandResult result = run_command("gdb -q -batch -nx -ex run " + debug_built + "/debugger/lesson");
    if (result.output.find("exited normally") == std::string::npos) return "gdb may not start a program here";
    return "";
}

static std::string in_gdb(const std::string& source, const std::string& program, const std::vector<std::string>& commands) {
    std::string line = "gdb -q -batch -nx -x tools/debugger/in_gdb.py -ex 'lesson " + source + "'";
    for (const std::string& command : commands) line += " -ex '" + command + "'";
    return run_command(line + " " + program).output;
}

static int line_of(const std::string& source, const std::string& words) {
    const std::vector<std::string> lines = split_lines(read_text_file(source));
    return static_cast<int>(std::find(lines.begin(), lines.end(), words) - lines.begin()) + 1;
}

static bool contains(const std::string& words, const std::string& part) { return words.find(part) != std::string::npos; }

// The files in which thirty times `step` ended, outside the project.
static std::string strangers(const std::string& source, const std::string& program) {
    const std::string output = in_gdb(source, program, {"source tests/debugger/thirty_steps.py"});
    const std::string home = std::filesystem::current_path().string() + "/", mark = "stepped to ";
    std::string found;
    int steps = 0;
    for (std::size_t at = output.find(mark); at != std::string::npos; at = output.find(mark, at + 1)) {
        const std::string place = output.substr(at + mark.size(), output.find('\n', at) - at - mark.size());
        if (!place.starts_with(home)) found += place + "\n";
        ++steps;
    }
    return steps == 30 ? found : "only " + std::to_string(steps) + " steps:\n" + output;
}

TEST_SUITE_BEGIN("debugger");

TEST_CASE("gdb: shows matrices, variables and images as grids, and step stays inside the project") {
    const std::string reason = obstacle();
    if (!reason.empty()) {
        MESSAGE("skipped: ", reason);
        return;
    }
    const std::string source = "tests/debugger/lesson.cpp", program = debug_built + "/debugger/lesson";
    const std::string first = in_gdb(source, program, {"run", "print z", "call show(z)", "heat z", "stats z"});
    CAPTURE(first);
    CHECK(contains(first, "stops at each of its 2 steps"));
    CHECK(contains(first, "lesson.step(\"Which half is the largest?\");"));
    const std::string grid =
        "(2, 3)\n"
        "       1.0000      2.5000     -3.0000\n"
        "       4.0000      0.0000  1.0000e+08\n";
    CHECK(contains(first, "$1 = " + grid));
    CHECK(contains(first, "\n" + grid));  // show(z) prints the same
    CHECK(contains(first, "dark -3.0000  bright 1.0000e+08\n      \n    @@\n"));
    CHECK(contains(first, "min -3.0000  max 1.0000e+08"));

    const std::string second =
        in_gdb(source, program,
               {"run", "continue", "print large", "print v", "print image", "call show(v)", "print right", "backtrace"});
    CAPTURE(second);
    CHECK(contains(second,
                   "(20, 30)\n"
                   "   0.5000  0.5000  0.5000  0.5000  ...  0.5000  0.5000  0.5000  0.5000\n"));
    CHECK(contains(second, "      ...     ...     ...     ...  ...     ...     ...     ...     ...\n"));
    CHECK(contains(second,
                   "= parameter (2, 2)\n"
                   "   5.0000e+07      2.0000\n"
                   "       0.5000      0.0000\n"));
    CHECK(contains(second, "\nparameter (2, 2)\n"));  // show(v)
    CHECK(contains(second,
                   "2 x 3 x 1\n"
                   "channel 0\n"
                   "   0.2500  0.2500  0.2500\n"
                   "   0.2500  0.2500  1.0000\n"));

    CHECK(contains(second,
                   "(2, 2)\n"
                   "       2.5000     -3.0000\n"
                   "       0.0000  1.0000e+08\n"));  // a Slice
    // No frame of the standard library, no address, no types of parameters.
    CHECK(contains(second, "#0  walk (lesson=..., same=...) at tests/debugger/lesson.cpp:"));
    CHECK(contains(second, "#1  main () at tests/debugger/lesson.cpp:"));

    const std::string third = in_gdb(source, program,
                                     {"run", "continue", "set width 80", "print wide", "info locals", "tbreak total", "continue",
                                      "up", "print words", "print named", "print numbers", "print squares", "print rows[1]"});
    CAPTURE(third);
    const std::string row =
        "   -12.5000  -12.5000  -12.5000  ...  -12.5000  -12.5000  -12.5000\n";  // 8 numbers would need 86 columns
    CHECK(contains(third, "= (2, 9)\n" + row + row));
    for (const char* const name : {"rows", "words", "named", "numbers", "squares"})
        CHECK((!by_gcc || contains(third, "\n" + std::string(name) + " = (not constructed yet)\n")));
    CHECK(contains(third, "= \"after (2, 9)\"\n"));
    CHECK(contains(third, "= std::map with 1 element = {"));
    CHECK(contains(third, "= std::set with 2 elements = {"));
    CHECK(contains(third, "= std::unordered_map with 1 element = {"));
    CHECK(contains(third, "= std::vector of length 1, capacity 1 = {2.5}\n"));

    // n goes from line to line, where next goes to and fro between a list and the closing brace; to a breakpoint; out of the function.
    const std::string forward = in_gdb(source, program, {"run", "n", "n 2", "n 9", "n", "n", "n", "n 4", "n", "kill", "n"});
    CAPTURE(forward);
    std::vector<std::string> stops{"sort_halves(z);\n",
                                   "const Slice right{",
                                   "tests/debugger/lesson.cpp:",
                                   "float sum = same(",
                                   "rows{{sum}, {right(0, 0)}};\n",
                                   "words = \"after \" + shape(wide);\n",
                                   "return total(rows)"};
    if (by_gcc) stops.insert(stops.end(), {"main () at tests/debugger/lesson.cpp:", "The program is not being run."});
    std::size_t at = forward.find("lesson.step(");
    for (const std::string& stop : stops) {
        CAPTURE(stop);
        at = forward.find(stop, at);
        REQUIRE(at != std::string::npos);
    }
    CHECK_FALSE(contains(forward, "\n" + std::to_string(line_of(source, "}  // walk")) + "\t"));

    CHECK(strangers(source, program) == "");
    // Nor does it enter shape(z), the texts of which that is made, and the lines that are marked.
    const std::string thirty = in_gdb(source, program, {"source tests/debugger/thirty_steps.py"});
    CAPTURE(thirty);
    CHECK_FALSE(contains(thirty, "/nn/base/require.cpp"));
    const std::vector<std::string> lines = split_lines(read_text_file(source));
    int marked = 0;
    for (std::size_t k = 0; k < lines.size(); ++k) {
        if (!lines[k].ends_with("// step passes by")) continue;
        ++marked;
        CHECK_FALSE(contains(thirty, "lesson.cpp:" + std::to_string(k + 1) + "\n"));
    }
    CHECK(marked == 3);

    // Forty steps from the call of attend() lead over checks and plans to the products.
    const std::string attention = debug_built + "/walk/nn/attention";
    if (std::filesystem::exists(attention)) {
        std::vector<std::string> commands{"delete", "break attend", "run > /dev/null"};
        commands.insert(commands.end(), 40, "step");
        const std::string stepped = in_gdb("walkthroughs/nn/attention.cpp", attention, commands);
        CAPTURE(stepped);
        CHECK(contains(stepped, "piece_weights (A=(2, 2)"));
        for (const char* const skipped : {"make_plan (", "Var::", "require<"}) CHECK_FALSE(contains(stepped, skipped));
    }

    const std::string walkthrough = debug_built + "/walk/vit/patch_embedding";
    if (std::filesystem::exists(walkthrough)) CHECK(strangers("walkthroughs/vit/patch_embedding.cpp", walkthrough) == "");
}

TEST_SUITE_END();
