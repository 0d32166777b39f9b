#include "walkthroughs/page/trace_text.h"

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

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

static std::string browsed(const std::string& typed) {
    const TemporaryFolder folder;
    std::FILE* const in = std::fopen(folder.file("in", typed).c_str(), "r");
    std::FILE* const out = std::fopen(folder.path("out").c_str(), "w");
    browse_trace(product_trace(), in, out);
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

TEST_SUITE_END();
