#include "walkthroughs/page/page.h"

#include <algorithm>
#include <cctype>

#include "nn/data/text.h"
#include "nn/image/png.h"
#include "tests/test.h"
#include "walkthroughs/page/trace_page.h"

TEST_SUITE_BEGIN("page");

static bool holds(const std::string& html, const std::string& words) { return html.find(words) != std::string::npos; }

static Page one_page() {
    Page page{
        .name = "nn/toy", .purpose = "Shows <a> toy.", .duration = "about a second", .command = "make walk-toy", .items = {}};
    page.items.push_back(
        {.kind = Item::Kind::step, .words = "Who looks at whom?", .equation = "A = softmax(q k^T)", .source = "Eq. 6"});
    page.items.push_back({.kind = Item::Kind::code, .source = "a.cpp:3", .lines = {"x < y;"}});
    page.items.push_back({.kind = Item::Kind::matrix, .words = "A", .matrix = Matrix{{0.25f, 0.75f}}});
    page.items.push_back({.kind = Item::Kind::why, .words = "because"});
    page.items.push_back({.kind = Item::Kind::predict, .words = "x(2, 0)? It is 5: rows first."});
    page.items.push_back({.kind = Item::Kind::predict, .words = "row 0"});
    page.items.push_back({.kind = Item::Kind::predict, .words = "row 1", .answer = "the same"});
    page.items.push_back({.kind = Item::Kind::step, .words = "And then?"});
    page.items.push_back({.kind = Item::Kind::pictures,
                          .pictures = {{"letters", {{"ab"}, 2}},
                                       {"digit", picture(Image(2, 2, 1), Colours::none)},
                                       {"map", heat_map(Matrix{{1, 2}}, Colours::none, {"row"}, {"a", "b"})}}});
    page.items.push_back({.kind = Item::Kind::table, .rows = {{"name", "n"}, {"x", "1"}}});
    page.items.push_back({.kind = Item::Kind::table, .rows = {{"n", "name"}, {"1", "x"}}});
    page.items.push_back({.kind = Item::Kind::say, .words = "Now <b>."});
    page.items.push_back({.kind = Item::Kind::lines, .lines = {""}});
    page.items.push_back({.kind = Item::Kind::lines, .lines = {"a line", "b"}});
    page.items.push_back({.kind = Item::Kind::claim, .words = "it learns", .holds = true});
    page.items.push_back({.kind = Item::Kind::claim, .words = "it flies", .holds = false});
    return page;
}

TEST_CASE("page_html: a step is a section with its question, formula, code, numbers and reason") {
    const std::string html = page_html(one_page());
    CHECK(holds(html, "<section id=\"step-1\" aria-labelledby=\"q1\">"));
    CHECK(holds(html,
                "tabindex=\"-1\">1. Who looks at whom?</h2> <span class=\"eq\">A = softmax(q k<sup>T</sup>)</span> <span "
                "class=\"source\">Eq. 6</span>"));
    CHECK(holds(html, "<pre><code>x &lt; y;\n</code></pre>\n<p class=\"source\">a.cpp:3</p>"));
    CHECK(holds(html, ">0.7500</td>"));
    CHECK(holds(html, "<span class=\"label\">why</span>because"));
    CHECK(holds(html, "<li><a href=\"#step-2\">And then?</a></li>"));
    CHECK(holds(html, "<h1>Shows &lt;a&gt; toy.</h1>"));
    CHECK(holds(html, "<code>make walk-toy</code>, about a second"));
}

TEST_CASE("page_html: the answer to a prediction is inside a <details> element, never in the question") {
    const std::string html = page_html(one_page());
    CHECK(holds(html, "predict</span>x(2, 0)?</summary><p>It is 5: rows first.</p>"));
    CHECK(holds(html, "predict</span>row 0</summary><p>Write your guess down."));
    CHECK(holds(html, "predict</span>row 1</summary><p>the same</p>"));
}

TEST_CASE("page_html: pictures, heat maps with names, tables and claims") {
    const std::string html = page_html(one_page());
    CHECK(holds(html, "<pre>ab\n</pre><figcaption>letters</figcaption>"));
    CHECK(holds(html, "alt=\"digit, an image of 2 x 2 pixels\""));
    CHECK(holds(html, "<title>row, b: 2</title>"));
    CHECK(holds(
        html,
        "<tr><th scope=\"col\">name</th><th scope=\"col\" class=\"n\">n</th></tr>\n<tr><td>x</td><td class=\"n\">1</td></tr>\n"
        "</table>"));
    CHECK(holds(
        html,
        "<tr><th scope=\"col\" class=\"n\">n</th><th scope=\"col\">name</th></tr>\n<tr><td class=\"n\">1</td><td>x</td></tr>\n"
        "</table></div>\n<p>Now &lt;b&gt;.</p>\n<pre>a line\nb\n</pre>\n"));
    CHECK(holds(html, "<p class=\"claim holds\"><b>\u2713 holds</b> it learns</p>"));
    CHECK(holds(html, "<p class=\"claim fails\"><b>\u2717 FAILS</b> it flies</p>"));
}

static int count_lengths(const std::string& html) {
    const std::string style = html.substr(html.find("<style>"), html.find("</style>") - html.find("<style>"));
    int lengths = 0;
    for (const std::string property : {"margin:", "padding:", "gap:", "minmax("})
        for (std::size_t at = style.find(property); at != std::string::npos; at = style.find(property, at + 1)) {
            const std::size_t begin = at + property.size();
            std::string values = style.substr(begin, style.find_first_of(";})", begin) - begin);
            std::replace(values.begin(), values.end(), ',', ' ');
            for (const std::string& value : split(values, ' ')) {
                INFO(property, values);
                const bool has_unit = std::isalpha(static_cast<unsigned char>(value.back())) != 0 || value.back() == '%';
                CHECK((value == "0" || has_unit));
                ++lengths;
            }
        }
    return lengths;
}

TEST_CASE("page_head: in the style each length but 0 has a unit, without which a browser ignores it; in that of a trace, too") {
    CHECK(count_lengths(page_head("toy")) > 40);
    Trace trace;
    trace.values = {{.operation = "constant", .value = Matrix{{1}}}};
    CHECK(count_lengths(trace_html(trace, "toy")) > 60);
}

TEST_CASE("page_html: n leads to the next step and p to the one before; a key with Ctrl, Alt or Meta is the browser's") {
    const std::string html = page_html(one_page());
    CHECK(holds(html, "const step = {n: 1, p: -1}[e.key];\n  if (!step || e.ctrlKey || e.altKey || e.metaKey) return;\n"));
    CHECK(holds(html, "tops[Math.max(0, first + step)];"));
}

TEST_CASE("page_html: every HTML element is closed, and nothing is loaded from a server") {
    const std::string html = page_html(one_page());
    for (const std::string tag :
         {"section", "figure", "table", "details", "pre", "nav", "main", "header", "svg", "ol", "style", "script"}) {
        std::size_t opened = 0, closed = 0;
        for (std::size_t at = html.find("<" + tag); at != std::string::npos; at = html.find("<" + tag, at + 1))
            opened += html[at + tag.size() + 1] == ' ' || html[at + tag.size() + 1] == '>';
        for (std::size_t at = html.find("</" + tag + ">"); at != std::string::npos; at = html.find("</" + tag + ">", at + 1))
            ++closed;
        INFO(tag);
        CHECK(opened == closed);
        CHECK(opened > 0);
    }
    CHECK_FALSE(holds(html, "http://"));
    CHECK_FALSE(holds(html, "https://"));
}

// All parts of a page between these two texts.
static std::string parts_between(const std::string& html, const std::string& begin, const std::string& end) {
    std::string parts;
    for (std::size_t at = html.find(begin); at != std::string::npos; at = html.find(begin, at + 1))
        parts += html.substr(at, html.find(end, at) - at);
    return parts;
}

// How a page looks and answers to a click can be judged only in a browser. After a change look at the pages there, and run
// tests/browser/run.sh on them; only then take the new numbers.
TEST_CASE("page_html, trace_html: styles and scripts are those that were tried in a browser") {
    Trace trace;
    trace.values = {{.operation = "constant", .value = Matrix{{1}}}};
    const std::string page = page_html(one_page()), trace_page = trace_html(trace, "toy");
    CHECK(crc32(parts_between(page, "<style>", "</style>")) == 790173428u);
    CHECK(crc32(parts_between(page, "<script>", "</script>")) == 3398440435u);
    CHECK(crc32(parts_between(trace_page, "<style>", "</style>")) == 4193491663u);
    CHECK(crc32(parts_between(trace_page, "<script>", "</script>")) == 398315686u);
}

TEST_SUITE_END();
