#include "walkthroughs/page/trace_page.h"

#include "nn/autograd/operations.h"
#include "nn/data/json.h"
#include "tests/test.h"

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

TEST_CASE("source_notes: without the source file the notes are empty") {
    Trace trace = product_trace();
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
}

TEST_CASE("trace_html: values that are too large are left out, the largest first; their shapes stay") {
    const Json data = data_of(trace_html(product_trace(), "toy", 12));  // x has 4, w 2 + 2, scores 2 + 2, the sum 1 + 1 numbers
    CHECK(data.at("values").as_array()[0].find("v") != nullptr);
    CHECK(data.at("values").as_array()[2].find("v") == nullptr);
    CHECK(data.at("values").as_array()[2].at("r").as_int() == 2);
}

TEST_CASE("trace_html: an empty trace is refused") {
    CHECK_THROWS_WITH(trace_html({}, "toy"),
                      "trace_html: toy: the trace holds no value; the program computed nothing with a Var");
}

TEST_SUITE_END();
