#include "walkthroughs/page/markdown.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("markdown");

static std::string as_html(const std::string& markdown) {
    return markdown_html(markdown, [](const std::string& target) { return target == "gone.h" ? "" : "to/" + target; });
}

TEST_CASE("markdown_html: headings, paragraphs over several lines, comments") {
    CHECK(as_html("# A `b`\n\none\ntwo <3\n\n<!-- no -->\n## C\n") ==
          "<h1>A <code>b</code></h1>\n<p>one two &lt;3</p>\n<h2>C</h2>\n");
}

TEST_CASE("markdown_html: a link leads to a page of the book, or becomes plain text without one; bold and code") {
    CHECK(
        as_html("see [a `b`](x.md), [c](gone.h) and **d [e](f)** and `g[0](1)`") ==
        "<p>see <a href=\"to/x.md\">a <code>b</code></a>, c and <b>d <a href=\"to/f\">e</a></b> and <code>g[0](1)</code></p>\n");
    CHECK(as_html("a [b and `c") == "<p>a [b and `c</p>\n");
}

TEST_CASE("markdown_html: the first row of a table is the heading, a bar inside code is not a border") {
    const std::string html = as_html("| a | b |\n| --- | --- |\n| `x | y` | 2 |\n");
    CHECK(html.find("<tr><th>a</th><th>b</th></tr>\n<tr><td><code>x | y</code></td><td>2</td></tr>\n</table>") !=
          std::string::npos);
}

TEST_CASE("markdown_html: lists with numbers, dashes, lines that go on, and lists inside lists") {
    CHECK(as_html("1. one\n   more\n2. two\n") == "<ol>\n<li>one more</li>\n<li>two</li>\n</ol>\n");
    CHECK(as_html("- a\n   - b\n- c\n") == "<ul>\n<li>a</li>\n<li><ul>\n<li>b</li>\n</ul>\n</li>\n<li>c</li>\n</ul>\n");
}

TEST_CASE("markdown_html: blocks of code stay as they are") {
    CHECK(as_html("```\na  <b\n# c\n```\nd\n") == "<pre><code>a  &lt;b\n# c\n</code></pre>\n<p>d</p>\n");
}

TEST_CASE("markdown_section: from its heading to the next") {
    CHECK(markdown_section("# t\n## A\nx\n### deeper\n## B\ny\n", "A") == "## A\nx\n### deeper\n");
    CHECK(markdown_section("# t\n", "A").empty());
}

TEST_SUITE_END();
