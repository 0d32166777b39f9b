#include "walkthroughs/page/html.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("html");

TEST_CASE("escaped: the special characters of HTML, and bytes that are not UTF-8") {
    CHECK(escaped("a < b && \"c\" > d") == "a &lt; b &amp;&amp; &quot;c&quot; &gt; d");
    CHECK(escaped("Мама \xFF") == "Мама \uFFFD");
}

TEST_CASE("terminal_html: colours become spans that end with the line, other codes are dropped") {
    CHECK(terminal_html({"plain", "<"}) == "plain\n&lt;\n");
    CHECK(terminal_html({"\x1b[1mbold\x1b[0m and"}) == "<span style=\"font-weight:bold;\">bold</span> and\n");
    CHECK(terminal_html({"\x1b[38;2;1;2;3mx", "y"}) == "<span style=\"color:rgb(1,2,3);\">x</span>\ny\n");
    CHECK(terminal_html({"\x1b[48;5;21mx\x1b[0m"}) == "<span style=\"background:rgb(0,0,255);\">x</span>\n");
    CHECK(terminal_html({"\x1b[38;5;244mx\x1b[31my\x1b[0m"}) ==
          "<span style=\"color:rgb(128,128,128);\">x</span><span style=\"color:#a00;\">y</span>\n");
    CHECK(terminal_html({"a\x1b[Kb\x1b["}) == "ab\n");
}

TEST_CASE("formula_html: exponents are raised, indices lowered, names with a line in them stay") {
    CHECK(formula_html("A = softmax(q k^T / sqrt(h))") == "A = softmax(q k<sup>T</sup> / \u221A(h))");
    CHECK(formula_html("x^2 + x_i^(a b) + y_{ij}") == "x<sup>2</sup> + x<sub>i</sub><sup>a b</sup> + y<sub>ij</sub>");
    CHECK(formula_html("a <= b -> c >= d, 2 < 3") == "a \u2264 b \u2192 c \u2265 d, 2 &lt; 3");
    CHECK(formula_html("softmax_rows(s) e^-x") == "softmax_rows(s) e<sup>-x</sup>");
    CHECK(formula_html("sum^ x_") == "sum^ x_");
    CHECK(formula_html("π_θ") == "π_θ");
}

TEST_CASE("base64: the examples of RFC 4648") {
    CHECK(base64("") == "");
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("foobar") == "Zm9vYmFy");
}

TEST_SUITE_END();
