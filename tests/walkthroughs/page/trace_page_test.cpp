#include "walkthroughs/page/trace_page.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/json.h"
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("trace_page");

static Trace product_trace() {
    const Var x = Matrix{{1, 2}, {3, 4}}, w = parameter(Matrix{{0.5f}, {-1}});
    Tracing tracing;
    const Tape tape;
    const Var scores = matmul(x, w);  // (2, 1)
    backward(sum(scores));
    return tracing.trace();
}

TEST_CASE("source_notes: the name left of the =, and the name that an operation uses for its parameter") {
    const Trace trace = product_trace();
    const std::vector<SourceNote> notes = source_notes(trace);
    REQUIRE(notes.size() == 4);  // x, w, scores, the sum
    CHECK(notes[0].name == "x");
    CHECK(notes[1].name == "w");
    CHECK(notes[2].name == "scores");
    CHECK(notes[2].code == "const Var scores = matmul(x, w);  // (2, 1)");
    CHECK(notes[3].name.empty());
    CHECK(notes[3].code == "backward(sum(scores));");
}

// The name and the line of each value, in order; the recorded lines are those of this function.
static std::vector<std::string> names_in_lines() {
    struct {
        Linear query;
        Norm norm, root;
    } w;
    w.query = {parameter(Matrix(2, 2, 1)), parameter(Matrix(1, 2, 1))};
    w.norm = {parameter(Matrix(1, 2, 1)), parameter(Matrix(1, 2))};
    w.root = {parameter(Matrix(1, 2, 1)), {}};
    const Var x = Matrix{{1, 2}, {3, 4}}, other = Matrix{{5, 6}, {7, 8}};
    Var total;
    Tracing tracing;
    const Tape tape;
    const Var q = linear(x, w.query);
    const Var normal = layer_norm(q, w.norm, 1e-5f);
    const Var root = rms_norm(normal, w.root, 1e-5f);
    const Var both = add(scale(root, 2), scale(root, 3));  // three operations in one line: the last one has the name
    const Var product = matmul(Var(Matrix{{1, 2}, {3, 4}}), other);
    total = add(both, product);
    const Var of_two_lines = matmul(both,  // goes on
                                    Var(Matrix{{1}, {2}}));
    const Var single = parameter(Matrix{{1}});
    const Var only = parameter(Matrix{{1}});
    const Var grown = exp(only);
    const Var third = parameter(Matrix{{1, 1}});
    const Var split = matmul(third,  // goes on
                             other);
    const Var last = exp(scale(single, 2));
    std::vector<std::string> names;
    for (const SourceNote& note : source_notes(tracing.trace())) names.push_back(note.name);
    return names;
}

TEST_CASE("source_notes: weights that come in one argument; several operations in a line; an argument that is not a name") {
    CHECK(names_in_lines() == std::vector<std::string>{"x",
                                                       "w.query.weight",
                                                       "w.query.bias",
                                                       "q",
                                                       "w.norm.gain",
                                                       "w.norm.bias",
                                                       "normal",
                                                       "w.root.gain",
                                                       "root",
                                                       "",
                                                       "",
                                                       "both",
                                                       "",
                                                       "other",
                                                       "product",
                                                       "total",
                                                       "",
                                                       "of_two_lines",
                                                       "only",
                                                       "grown",
                                                       "",
                                                       "split",
                                                       "single",
                                                       "",
                                                       "last"});
}

TEST_CASE("source_notes: the first value of a trace may have a line and a name, too") {
    Trace trace;
    const Where where = Where::current();
    trace.values = {{.operation = "exp", .where = where, .inputs = {-1}, .value = Matrix{{1}}}};
    const std::vector<SourceNote> notes = source_notes(trace);
    CHECK(notes[0].name == "where");
    CHECK(notes[0].code == "const Where where = Where::current();");
}

TEST_CASE("source_notes: without the source file the notes are empty") {
    Trace trace = product_trace();
    {
        const TemporaryFolder folder;
        const WorkingFolder elsewhere(folder.path("."));
        for (const SourceNote& note : source_notes(trace)) CHECK(note.name + note.code == "");
    }
    for (TracedValue& value : trace.values) value.where = Where();
    for (const SourceNote& note : source_notes(trace)) CHECK(note.name + note.code == "");
}

// The text between the marks of the data in a page.
static Json data_of(const std::string& html) {
    const std::string mark = "id=\"trace\">";
    const std::size_t begin = html.find(mark) + mark.size();
    return parse_json(html.substr(begin, html.find("</script>", begin) - begin), "trace");
}

TEST_CASE("trace_html: the data is JSON with every value, its line, its inputs, its formulas and its numbers as floats") {
    const Json data = data_of(trace_html(product_trace(), "toy"));
    CHECK(data.at("loss").as_int() == 3);
    const Json& scores = data.at("values").as_array()[2];
    CHECK(scores.at("op").as_string() == "matmul");
    CHECK(scores.at("name").as_string() == "scores");
    CHECK(scores.at("inputs").as_array()[1].as_int() == 1);
    CHECK(scores.at("r").as_int() == 2);
    CHECK(scores.at("v").as_string() == "AADAvwAAIMA=");  // -1.5, -2.5: 00 00 C0 BF 00 00 20 C0
    CHECK(scores.at("g").as_string() == "AACAPwAAgD8=");  // 1, 1
    CHECK(scores.at("f").as_string() == "sum(k, cols(a), a(i,k) * b(k,j))");
    CHECK(data.at("formulas").find(scores.at("d").as_array()[1].as_string()) != nullptr);
    CHECK(scores.at("file").as_string().ends_with("trace_page_test.cpp"));
    CHECK(scores.at("code").as_string() == "const Var scores = matmul(x, w);  // (2, 1)");
    CHECK(data.at("values").as_array()[3].at("line").as_int() == scores.at("line").as_int() + 1);
    CHECK(scores.at("c").as_int() == 1);
    CHECK(scores.at("inputs").as_array()[0].as_int() == 0);
    CHECK(scores.at("d").as_array().size() == 2);
    CHECK(scores.at("b").as_boolean() == false);
    CHECK(scores.at("tables").as_object().empty());
    CHECK(data.at("values").as_array()[0].at("file").as_string().empty());  // no operation made x
    CHECK(data.at("values").as_array()[0].at("g").as_string().empty());     // nor does a gradient flow into it
}

TEST_CASE("trace_html: values that are too large are left out, the largest first; their shapes stay") {
    const Json data = data_of(trace_html(product_trace(), "toy", 12));  // x has 4, w 2 + 2, scores 2 + 2, the sum 1 + 1 numbers
    CHECK(data.at("values").as_array()[0].find("v") != nullptr);
    CHECK(data.at("values").as_array()[2].find("v") == nullptr);
    CHECK(data.at("values").as_array()[2].at("r").as_int() == 2);
}

TEST_CASE("trace_html: tables of an operation, broadcasting, and a name that looks like the end of the page's data") {
    Trace trace;
    TracedValue value{.operation = "</script>", .step = "block 1", .value = Matrix{{1}}};
    value.explained.broadcast = true;
    value.explained.tables = {{"a", {0.5f, INFINITY}}, {"b", {2}}};
    trace.values = {value, value};
    const std::string html = trace_html(trace, "<toy>");
    CHECK(html.find("<h1>&lt;toy&gt;</h1>") != std::string::npos);
    const Json data = data_of(html);
    CHECK(data.at("loss").as_int() == -1);
    REQUIRE(data.at("values").as_array().size() == 2);
    const Json& first = data.at("values").as_array()[0];
    CHECK(first.at("op").as_string() == "</script>");
    CHECK(first.at("step").as_string() == "block 1");
    CHECK(first.at("b").as_boolean());
    CHECK(first.at("tables").at("a").as_array()[0].as_number() == 0.5);
    CHECK(first.at("tables").at("a").as_array()[1].kind == Json::Kind::null);
    CHECK(first.at("tables").at("b").as_array()[0].as_number() == 2);
    CHECK(html.find("\"tables\":{\"a\":[0.5,null],\"b\":[2]}") != std::string::npos);
    CHECK(data.at("formulas").as_object().empty());
}

TEST_CASE("trace_html: all numbers that are allowed are kept, one less leaves out the larger of the last two") {
    const auto kept = [](std::size_t most) {
        const Json data = data_of(trace_html(product_trace(), "toy", most));
        std::string all;
        for (const Json& value : data.at("values").as_array()) all += value.find("v") != nullptr ? '1' : '0';
        return all;
    };
    CHECK(kept(14) == "1111");  // 4, 2 + 2, 2 + 2 and 1 + 1
    CHECK(kept(13) == "1101");  // of equal sizes the later one
    CHECK(kept(10) == "1101");
    CHECK(kept(9) == "1001");
    CHECK(kept(2) == "0001");
    CHECK(kept(1) == "0000");
}

TEST_CASE("trace_html: an empty trace is refused") {
    CHECK_THROWS_WITH(
        trace_html({}, "toy"),
        "trace_html: toy: the trace holds no value; the program computed nothing with a Var, or it has fewer backward "
        "passes than --trace-backward says");
}

TEST_SUITE_END();
