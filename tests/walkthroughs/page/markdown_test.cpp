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

TEST_CASE("markdown_html: marks without their partner are text; each kind of block ends a paragraph") {
    CHECK(as_html("**a* b") == "<p>**a* b</p>\n");
    CHECK(as_html("`a``b` [c](d") == "<p><code>a</code><code>b</code> [c](d</p>\n");
    CHECK(as_html("`` and `b`") == "<p><code></code> and <code>b</code></p>\n");
    CHECK(as_html("**** and **b**") == "<p><b></b> and <b>b</b></p>\n");
    CHECK(as_html("a`b`[c](d)") == "<p>a<code>b</code><a href=\"to/d\">c</a></p>\n");
    CHECK(as_html("a*b**c**d") == "<p>a*b<b>c</b>d</p>\n");
    CHECK(as_html("[a](b)[c](d)e") == "<p><a href=\"to/b\">a</a><a href=\"to/d\">c</a>e</p>\n");
    CHECK(as_html("a\n   b\n\nc\n# d\ne\n<!-- f -->\ng\n- h\n") ==
          "<p>a b</p>\n<p>c</p>\n<h1>d</h1>\n<p>e</p>\n<p>g</p>\n<ul>\n<li>h</li>\n</ul>\n");
    CHECK(as_html("a\n```\nb\n").starts_with("<p>a</p>\n<pre><code>b\n</code></pre>\n"));  // not closed: to the end
    CHECK(as_html("a\n| b |\nc").find("<tr><th>b</th></tr>\n</table></div>\n<p>c</p>\n") != std::string::npos);
    CHECK(as_html("### a\n#### b\n") == "<h3>a</h3>\n<h4>b</h4>\n");
    CHECK(as_html("1.a\n-b\n. c\n") == "<p>1.a -b . c</p>\n");
    CHECK(as_html("||a|\n").find("<tr><th></th><th>a</th></tr>") != std::string::npos);
    CHECK(as_html("|   a b   |c|\n").find("<tr><th>a b</th><th>c</th></tr>") != std::string::npos);
}

TEST_CASE("markdown_html: a list of numbers inside one of dashes, and back; numbers may have several digits") {
    CHECK(as_html("- a\n  9. b\n  10. c\n     d\n- e\nf\n\n12. g\n") ==
          "<ul>\n<li>a</li>\n<li><ol>\n<li>b</li>\n<li>c d</li>\n</ol>\n</li>\n<li>e f</li>\n</ul>\n<ol>\n<li>g</li>\n</ol>\n");
    CHECK(as_html("  - a\n- b\n") == "<ul>\n<li>a</li>\n</ul>\n<ul>\n<li>b</li>\n</ul>\n");
}

TEST_CASE("markdown_section: from its heading to the next") {
    CHECK(markdown_section("# t\n## A\nx\n### deeper\n## B\ny\n", "A") == "## A\nx\n### deeper\n");
    CHECK(markdown_section("# t\n", "A").empty());
}

TEST_SUITE_END();
