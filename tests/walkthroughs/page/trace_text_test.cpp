#include "walkthroughs/page/trace_text.h"

#include <unistd.h>

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/walkthroughs/pseudo_terminal.h"

TEST_SUITE_BEGIN("trace_text");

static Trace product_trace() {
    const Var x = Matrix{{1, 2}, {3, 4}}, w = parameter(Matrix{{0.5f}, {-1}});
    Tracing tracing;
    const Tape tape;
    const Var scores = matmul(x, w);
    backward(sum(scores));
    return tracing.trace();
}

using Lines = std::vector<std::string>;

TEST_CASE("trace_list: number, name, operation and shape of every value") {
    const Trace trace = product_trace();
    const Lines list = trace_list(trace, source_notes(trace));
    REQUIRE(list.size() == 4);
    CHECK(list[1] == "    1  w                         parameter (2, 1)");
    CHECK(list[2] == "    2  scores                    matmul (2, 1)");
    CHECK(list[3] == "    3  sum 3                     sum (1, 1)");
}

TEST_CASE("explain_value, explain_gradient: the formula, its numbers, and the value in the program") {
    const Trace trace = product_trace();
    const std::vector<SourceNote> notes = source_notes(trace);
    CHECK(explain_value(trace, notes, 2, 1, 0) ==
          Lines{"scores(1,0) = sum(k, cols(a), a(i,k) * b(k,j))", "= 3 * 0.5 + 4 * (-1)", "= -2.5, and the program has -2.5"});
    CHECK(explain_value(trace, notes, 0, 1, 0) == Lines{"x(1,0) = 3, which no formula of this trace gives"});
    CHECK(explain_gradient(trace, notes, 1, 1, 0) == Lines{"dw(1,0) is what flows back from where it was read",
                                                           "+ through scores: sum(k, rows(y), a(k,i) * dy(k,j))",
                                                           "  = 2 * 1 + 4 * 1 = 6", "= 6, and the program has 6"});
    CHECK(explain_gradient(trace, notes, 0, 0, 0) == Lines{"dx(0,0): no gradient flowed here"});
    CHECK_THROWS_WITH(explain_value(trace, notes, 4, 0, 0), "trace: there is no value 4, they are 0 to 3");
    CHECK_THROWS_WITH(explain_value(trace, notes, 2, 0, 1), "trace: there is no element (0, 1) of (2, 1)");
}

TEST_CASE("trace_list: the step of the model stands in a column of its own; long names keep a space") {
    Trace trace;
    trace.values = {{.operation = "constant", .step = "block 1", .value = Matrix{{1}}},
                    {.operation = "an_operation_of_30_letters_abcd", .step = "block 2", .value = Matrix{{1}}}};
    const Lines list = trace_list(trace, source_notes(trace));
    CHECK(list[0] == "    0  constant 0                constant (1, 1)               block 1");
    CHECK(list[1] == "    1  an_operation_of_30_letters_abcd 1 an_operation_of_30_letters_abcd (1, 1) block 2");
}

TEST_CASE("explain_gradient: the loss begins with 1, every reader adds its part") {
    Tracing tracing;
    const Var a = parameter(Matrix{{3}});
    {
        const Tape tape;
        const Var twice = scale(a, 2);
        backward(multiply(twice, a));  // 2 a^2, so 4 a = 12
    }
    const Trace trace = tracing.trace();
    const std::vector<SourceNote> notes = source_notes(trace);
    CHECK(explain_gradient(trace, notes, 2, 0, 0) ==
          Lines{"dmultiply 2(0,0) is what flows back from where it was read", "= 1, and the program has 1"});
    const Lines of_a = explain_gradient(trace, notes, 0, 0, 0);
    REQUIRE(of_a.size() == 6);
    CHECK(of_a[1].starts_with("+ through twice: "));
    CHECK(of_a[2].ends_with(" = 6"));
    CHECK(of_a[3].starts_with("+ through multiply 2: "));
    CHECK(of_a[4].ends_with(" = 6"));
    CHECK(of_a[5] == "= 12, and the program has 12");
}

TEST_CASE("explain_value, explain_gradient: each place outside of the trace or of a value is refused") {
    const Trace trace = product_trace();
    const std::vector<SourceNote> notes = source_notes(trace);
    CHECK_THROWS_WITH(explain_value(trace, notes, -1, 0, 0), "trace: there is no value -1, they are 0 to 3");
    CHECK_THROWS_WITH(explain_value(trace, notes, 2, 2, 0), "trace: there is no element (2, 0) of (2, 1)");
    CHECK_THROWS_WITH(explain_value(trace, notes, 2, -1, 0), "trace: there is no element (-1, 0) of (2, 1)");
    CHECK_THROWS_WITH(explain_value(trace, notes, 2, 0, -1), "trace: there is no element (0, -1) of (2, 1)");
    CHECK_THROWS_WITH(explain_gradient(trace, notes, 2, 0, 1), "trace: there is no element (0, 1) of (2, 1)");
    CHECK_THROWS_WITH(explain_gradient(trace, notes, 4, 0, 0), "trace: there is no value 4, they are 0 to 3");
}

static std::string browsed(const std::string& typed, const Trace& trace = product_trace()) {
    const TemporaryFolder folder;
    std::FILE* const in = std::fopen(folder.file("in", typed).c_str(), "r");
    std::FILE* const out = std::fopen(folder.path("out").c_str(), "w");
    browse_trace(trace, in, out);
    std::fclose(in);
    std::fclose(out);
    return read_file(folder.path("out"));
}

TEST_CASE("browse_trace: answers each line of input until the input ends or is q") {
    CHECK(browsed("\n").find("    2  scores ") != std::string::npos);
    CHECK(browsed("2 1 0\n").find("= 3 * 0.5 + 4 * (-1)\n") != std::string::npos);
    CHECK(browsed("g 1 1 0").find("dw(1,0) is what flows back") != std::string::npos);
    CHECK(browsed("2\n").find("from 0 x, 1 w\n(2, 1)\n") != std::string::npos);
    CHECK(browsed("nan\n").find("every value is finite\n") != std::string::npos);
    CHECK(browsed("99\n").find("trace: there is no value 99, they are 0 to 3\n") != std::string::npos);
    CHECK(browsed("words\n").find("Enter: the next values", 100) != std::string::npos);
    CHECK(browsed("q\n2 1 0\n").find("0.5 + 4") == std::string::npos);
}

TEST_CASE("browse_trace: three numbers are the value, its row and its column") {
    Tracing tracing;
    {
        const Tape tape;
        const Var a = parameter(Matrix{{1, 2, 3}, {4, 5, 6}});
        const Var tripled = scale(a, 3);
        backward(sum(scale(tripled, 2)));
    }
    const Trace trace = tracing.trace();
    CHECK(browsed("1 0 2\n", trace).find("trace> tripled(0,2) = a(i,j) * factor\n= 3 * 3\n= 9, and the program has 9\n") !=
          std::string::npos);
    CHECK(browsed("g 1 0 2\n", trace).find("trace> dtripled(0,2) is what flows back") != std::string::npos);
    CHECK(browsed("g 1 0 2\n", trace).find("= 2, and the program has 2\n") != std::string::npos);
}

TEST_CASE("browse_trace: on its own screen where input and output are a terminal, in lines where one is not") {
    PseudoTerminal terminal;
    if (!terminal) return;
    const TemporaryFolder folder;
    std::FILE* const keys = fdopen(dup(terminal.end()), "r");
    std::FILE* const screen = fdopen(dup(terminal.end()), "w");
    std::FILE* const input = std::fopen(folder.file("in", "q\n").c_str(), "r");
    std::FILE* const output = std::fopen(folder.path("out").c_str(), "w");
    browse_trace(product_trace(), input, screen);
    std::fflush(screen);
    CHECK(terminal.read_until("trace> ").starts_with("\na trace of 4 values\n"));
    terminal.type("q\n");
    browse_trace(product_trace(), keys, output);
    std::fflush(output);
    CHECK(read_file(folder.path("out")).starts_with("\na trace of 4 values\n"));
    terminal.type("q");
    browse_trace(product_trace(), keys, screen);
    CHECK(terminal.read_until("values").find("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J4 values") != std::string::npos);
    for (std::FILE* const file : {keys, screen, input, output}) std::fclose(file);
}

TEST_CASE("trace_list: numbers of values in five columns, or as many as they need") {
    Trace trace;
    trace.values.resize(100'001, {.operation = "constant", .value = Matrix{{1}}});
    const Lines lines = trace_list(trace, std::vector<SourceNote>(trace.values.size()));
    CHECK(lines[9'999] == " 9999  constant 9999             constant (1, 1)");
    CHECK(lines[10'000] == "10000  constant 10000            constant (1, 1)");
    CHECK(lines[100'000] == "100000  constant 100000           constant (1, 1)");
}

TEST_CASE("browse_trace: twenty values at a time, then again from the first") {
    Trace trace;
    for (int k = 0; k < 25; ++k) trace.values.push_back({.operation = "constant", .value = Matrix{{1}}});
    const std::string all = browsed("\n\n\n", trace);
    CHECK(all.starts_with("\na trace of 25 values\nEnter: the next values"));
    CHECK(all.ends_with("trace> \n"));
    const auto page = [&](int n) {  // what is said after the n-th prompt
        std::size_t begin = 0;
        for (int k = 0; k <= n; ++k) begin = all.find("trace> ", begin) + 7;
        return all.substr(begin, all.find("trace> ", begin) - begin);
    };
    CHECK(page(0).starts_with("    0  constant 0 "));
    CHECK(page(0).ends_with("   19  constant 19               constant (1, 1)\n"));
    CHECK(page(1).starts_with("   20  constant 20 "));
    CHECK(page(1).ends_with("   24  constant 24               constant (1, 1)\n"));
    CHECK(page(2) == page(0));
}

TEST_CASE("browse_trace: a value with its gradient, step and inputs; what is not one or three numbers gets the help") {
    CHECK(browsed("2  \r\n").find("trace> scores, matmul\n") != std::string::npos);
    CHECK(browsed("g 2\n").find("trace> gradient of scores, matmul\n") != std::string::npos);
    CHECK(browsed("g2\n").find("gradient of scores, matmul\n") != std::string::npos);
    CHECK(browsed("2\n").find("const Var scores = matmul(x, w);\nfrom 0 x, 1 w\n") != std::string::npos);
    CHECK(browsed("0\n").find("trace> x, constant\n(2, 2)\n") != std::string::npos);  // no line, no inputs
    for (const char* const line : {"2 1", "-1", "2 1 0 0", "1000000001", "g", "2 x 0"}) {
        INFO(line);
        CHECK(browsed(std::string(line) + "\n").find("trace> Enter: the next values") != std::string::npos);
    }
    CHECK(browsed("1000000000\n").find("trace: there is no value 1000000000, they are 0 to 3\n") != std::string::npos);
    Trace trace;
    trace.values = {{.operation = "constant", .step = "block 1", .inputs = {-1}, .value = Matrix{{NAN}}}};
    CHECK(browsed("nan\n", trace).find("trace> constant 0, constant, block 1\n(1, 1)\n") != std::string::npos);
}

TEST_SUITE_END();
