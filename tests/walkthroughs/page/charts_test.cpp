#include "walkthroughs/page/charts.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("charts");

static std::size_t count_of(const std::string& words, const std::string& wanted) {
    std::size_t count = 0;
    for (std::size_t at = words.find(wanted); at != std::string::npos; at = words.find(wanted, at + 1)) ++count;
    return count;
}

TEST_CASE("matrix_html: a cell for each number with all its digits in the title; black letters on bright cells") {
    const std::string html = matrix_html("A", Matrix{{0.123456789f, 1}, {NAN, 0}}, 8);
    CHECK(html.find("<b>A</b> (2, 2)") != std::string::npos);
    CHECK(html.find("title=\"A(0,0) = 0.123456791\">0.1235</td>") != std::string::npos);
    CHECK(html.find("class=\"b\" style=\"background:#fcfcbf\" title=\"A(0,1) = 1\">1.0000") != std::string::npos);
    CHECK(html.find("class=\"d\" style=\"background:#050514\" title=\"A(1,1) = 0\">0.0000") != std::string::npos);
    CHECK(html.find("class=\"nan\" title=\"A(1,0) = nan\">nan") != std::string::npos);
}

TEST_CASE("matrix_html: letters are black or white, whichever has more contrast on the colour of the cell") {
    const std::string html = matrix_html("A", Matrix{{0, 0.5f, 0.6f, 1}}, 8);
    CHECK(html.find("class=\"d\" style=\"background:#c23652\"") != std::string::npos);  // 0.5: luminance 0.155, white 5.1
    CHECK(html.find("class=\"b\" style=\"background:#d75b3e\"") != std::string::npos);  // 0.6: luminance 0.226, black 5.5
}

TEST_CASE("matrix_html: of a large matrix the corners as numbers and the whole as a picture") {
    const std::string html = matrix_html("large", Matrix(40, 50, 1), 4);
    CHECK(count_of(html, "<td class=") == 16);  // 2 + 2 rows of 2 + 2 columns
    CHECK(html.find("large, all of it") != std::string::npos);
    CHECK(html.find("data:image/png;base64,") != std::string::npos);
}

TEST_CASE("image_html: a PNG with its size and alternative text") {
    const std::string html = image_html(Image(8, 4, 1), "a <digit>");
    CHECK(html.starts_with("<img src=\"data:image/png;base64,iVBORw0KGgo"));
    CHECK(html.ends_with("\" width=\"80\" height=\"160\" alt=\"a &lt;digit&gt;, an image of 8 x 4 pixels\">"));
}

TEST_CASE("heat_html: the title of each cell gives its row, column and value, by name if there are names") {
    const std::string html = heat_html(Matrix{{0, 1}, {0.5f, NAN}}, "who looks", {"the", "cat"}, {"the", "cat"});
    CHECK(html.find("<title>the, cat: 1</title>") != std::string::npos);
    CHECK(html.find("<title>cat, the: 0.5</title>") != std::string::npos);
    CHECK(html.find("fill=\"red\"><title>cat, cat: nan</title>") != std::string::npos);
    CHECK(html.find("role=\"img\" aria-label=\"who looks: (2, 2)  min 0.0000  max 1.0000") != std::string::npos);
    CHECK(count_of(html, "<title>") == 4);
    CHECK(heat_html(Matrix(), "none") == "<p>none (0, 0)</p>");
    CHECK(count_of(heat_html(Matrix(40, 40), "large"), "<title>") == 0);
    const std::vector<std::string> tokens(30, "t");  // a name needs a line of letters, so cells are at least 14 pixels
    CHECK(heat_html(Matrix(30, 30), "named", tokens, tokens).find("width=\"14\" height=\"14\"") != std::string::npos);
}

TEST_CASE("curves_html: axes with round numbers, a path and a name for each series, where it begins and ends in words") {
    const std::string html = curves_html({{"loss", {0, 50, 100}, {2, 1, 0.5f}}, {"test", {0, 100}, {2, NAN}}});
    CHECK(html.find("aria-label=\"Curves: loss from 2 to 0.5; test from 2 to 2; \"") != std::string::npos);
    CHECK(count_of(html, "<title>loss</title>") == 1);
    CHECK(html.find(">100</text>") != std::string::npos);
    CHECK(html.find(">1.5</text>") != std::string::npos);
    CHECK(html.find("nan") == std::string::npos);
    CHECK(curves_html({{"none", {}, {}}}) == "<p>(no points)</p>\n");
    const std::string named = curves_html({{"a", {0, 1}, {2, 1}}}, {"training step", "loss, nats"});
    CHECK(named.find("aria-label=\"Curves: loss, nats over training step: a from 2 to 1; \"") != std::string::npos);
    CHECK(named.find(">training step</text>") != std::string::npos);
    CHECK(named.find(">loss, nats</text>") != std::string::npos);
    CHECK_THROWS_WITH(curves_html({{"a", {1}, {}}}), "curves: a has 1 x and 0 y");
}

TEST_SUITE_END();
