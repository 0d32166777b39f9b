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

TEST_CASE(
    "terminal_html: every kind of code; the numbers of a colour are not codes of their own, and a colour needs all of them") {
    const auto style = [](const std::string& code) {
        const std::string html = terminal_html({"\x1b[" + code + "mx"});
        return html == "x\n" ? "" : html.substr(13, html.find("\">") - 13);
    };
    CHECK(style("2") == "opacity:.7;");
    CHECK(style("30") == "color:#000;");
    CHECK(style("37") == "color:#aaa;");
    CHECK(style("39") == "");
    CHECK(style("40") == "background:#000;color:#fff;");
    CHECK(style("47") == "background:#aaa;color:#fff;");
    CHECK(style("1;0;31") == "color:#a00;");
    CHECK(style("38;5;15") == "color:#fff;");
    CHECK(style("38;5;-1") == "color:#000;");
    CHECK(style("38;5;16") == "color:rgb(0,0,0);");       // the cube begins
    CHECK(style("38;5;67") == "color:rgb(95,135,175);");  // 16 + 36 * 1 + 6 * 2 + 3
    CHECK(style("38;5;231") == "color:rgb(255,255,255);");
    CHECK(style("48;5;232") == "background:rgb(8,8,8);");  // the greys begin
    CHECK(style("48;5;255") == "background:rgb(238,238,238);");
    CHECK(style("48;2;4;5;6") == "background:rgb(4,5,6);");
    CHECK(style("38;5;1;2") == "color:#a00;opacity:.7;");
    CHECK(style("38;2;1;2;1;1") == "color:rgb(1,2,1);font-weight:bold;");
    CHECK(style("1;5;3") == "font-weight:bold;");
    CHECK(style("") == "");  // a reset, as 0 is
    CHECK(style("38") == "");
    CHECK(style("38;5") == "");
    CHECK(style("1;38;5") == "font-weight:bold;");
    CHECK(style("1;38;5;1") == "font-weight:bold;color:#a00;");
    CHECK(style("48;5;1") == "background:#a00;");
    CHECK(style("49;1") == "font-weight:bold;");
    CHECK(style("38;2;4;4") == "opacity:.7;");  // without its third number it is no colour
    CHECK(terminal_html({"\x1b[31mx\x1b[1my"}) ==
          "<span style=\"color:#a00;\">x</span><span style=\"font-weight:bold;\">y</span>\n");
    CHECK(terminal_html({"a\x1b[31", "b"}) == "a\nb\n");
    CHECK(terminal_html({"a\x1b[2@b\x1b[3~c"}) == "abc\n");  // other letters end a code, too
}

TEST_CASE("formula_html: what is raised or lowered, and what is not") {
    CHECK(formula_html("e^+2 + e^- x") == "e<sup>+2</sup> + e^- x");
    CHECK(formula_html("x^(a(b) c) d") == "x<sup>a(b) c</sup> d");
    CHECK(formula_html("x^{a{b}}") == "x<sup>a{b}</sup>");
    CHECK(formula_html("x^(a") == "x^(a");
    CHECK(formula_html("a b_c d_{e_f}") == "a b<sub>c</sub> d<sub>e<sub>f</sub></sub>");
    CHECK(formula_html("ab_c _x") == "ab_c _x");
    CHECK(formula_html("_x") == "_x");
    CHECK(formula_html("a_b") == "a<sub>b</sub>");
    CHECK(formula_html("sqrt(2)^") == "\u221A(2)^");
    CHECK(formula_html("(x_i)") == "(x<sub>i</sub>)");
    CHECK(formula_html("msqrt(2)sqrt(3) sqrt(4)") == "msqrt(2)\u221A(3) \u221A(4)");
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
