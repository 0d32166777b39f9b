#include "walkthroughs/page/charts.h"

#include <cmath>
#include <cstdio>

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
    const std::string border = matrix_html("A", Matrix{{0, 0.545f, 0.555f, 1}}, 8);
    CHECK(border.find("class=\"d\" style=\"background:#cb4749\"") != std::string::npos);  // 0.1768
    CHECK(border.find("class=\"b\" style=\"background:#ce4a47\"") != std::string::npos);  // 0.1845, 0.009 of it by its blue
}

TEST_CASE("matrix_html: of a large matrix the corners as numbers and the whole as a picture") {
    const std::string html = matrix_html("large", Matrix(40, 50, 1), 4);
    CHECK(count_of(html, "<td class=") == 16);  // 2 + 2 rows of 2 + 2 columns
    CHECK(html.find("large, all of it") != std::string::npos);
    CHECK(html.find("data:image/png;base64,") != std::string::npos);
}

TEST_CASE("matrix_html: narrower from 10 columns and from 17; numbers of rows and columns, and where they are left out") {
    const auto head = [](int cols) {
        const std::string html = matrix_html("A", Matrix(1, cols), 4);
        return html.substr(html.find("<table"), html.find("<caption>") - html.find("<table"));
    };
    CHECK(head(9) == "<table class=\"m\">");
    CHECK(head(10) == "<table class=\"m wide\">");
    CHECK(head(16) == "<table class=\"m wide\">");
    CHECK(head(17) == "<table class=\"m wide wider\">");
    CHECK(count_of(matrix_html("A", Matrix(16, 24), 4), "<td class=") == 16 * 24);
    const std::string wide = matrix_html("A", Matrix(4, 25), 4), tall = matrix_html("A", Matrix(17, 3), 4);
    CHECK(wide.find("<thead><tr><td></td><th scope=\"col\">0</th>") != std::string::npos);
    CHECK(wide.find("<th scope=\"col\">1</th><th scope=\"col\">\u2026</th><th scope=\"col\">23</th><th scope=\"col\">24</th>"
                    "</tr></thead>\n<tr><th scope=\"row\">0</th>") != std::string::npos);
    CHECK(count_of(wide, "<th scope=\"row\">") == 4);
    CHECK(count_of(wide, "<td>\u2026</td>") == 4);
    CHECK(tall.find(
              "<th scope=\"row\">\u2026</th><td>\u2026</td><td>\u2026</td><td>\u2026</td></tr>\n<tr><th scope=\"row\">15</th>") !=
          std::string::npos);
    CHECK(count_of(tall, "<th scope=\"row\">") == 5);
    // an odd number of rows and columns: the half of it, rounded down, on each side; as many as there are: all
    const std::string odd = matrix_html("A", Matrix(17, 6), 5), three = matrix_html("A", Matrix(17, 3), 3);
    CHECK(odd.find("<thead><tr><td></td><th scope=\"col\">0</th><th scope=\"col\">1</th><th scope=\"col\">\u2026</th>"
                   "<th scope=\"col\">4</th><th scope=\"col\">5</th></tr></thead>") != std::string::npos);
    CHECK(matrix_html("A", Matrix(17, 10), 8)
              .find("<th scope=\"col\">3</th><th scope=\"col\">\u2026</th><th scope=\"col\">6</th>") != std::string::npos);
    CHECK(three.find("<th scope=\"col\">0</th><th scope=\"col\">1</th><th scope=\"col\">2</th></tr>") != std::string::npos);
    CHECK(three.find("<tr><th scope=\"row\">0</th><td class") != std::string::npos);
    CHECK(three.find("<tr><th scope=\"row\">\u2026</th><td>\u2026</td><td>\u2026</td><td>\u2026</td></tr>\n"
                     "<tr><th scope=\"row\">16</th>") != std::string::npos);
    CHECK(matrix_html("a name of 19 lette", Matrix(1, 1), 4).find("title=\"a name of 19 lette(0,0)") != std::string::npos);
    CHECK(matrix_html("a name of 20 letters", Matrix(1, 1), 4).find("title=\"(0,0) = 0\"") != std::string::npos);
}

TEST_CASE("image_html: a PNG with its size and alternative text") {
    const std::string html = image_html(Image(8, 4, 1), "a <digit>");
    CHECK(html.starts_with("<img src=\"data:image/png;base64,iVBORw0KGgo"));
    const auto size = [](int height, int width) {
        const std::string all = image_html(Image(height, width, 1), "a");
        return all.substr(all.find("\" width=") + 2, all.find(" alt") - all.find("\" width=") - 2);
    };
    CHECK(size(1, 1) == "width=\"160\" height=\"160\"");
    CHECK(size(81, 80) == "width=\"80\" height=\"81\"");
    CHECK(size(1, 200) == "width=\"200\" height=\"1\"");
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

TEST_CASE("heat_html: the places of cells, names and colour bar, worked by hand") {
    const std::string html =
        heat_html(Matrix{{0, 1, 2}, {3, 4, 5}}, "A", {"a", "bcd"}, {"the", "cat"});  // cells of 22, 7.7 for a letter
    const auto has = [&](const std::string& words) { return html.find(words) != std::string::npos; };
    // margin 3 * 7.7 + 8, width 3 * 22, 96 for the bar; height 2 * 22 + 0.87 * 23.1 + 16
    CHECK(has("<svg class=\"named\" role="));
    CHECK(has("viewBox=\"0 0 193.1 80.1\" width=\"193.1\" height=\"80.1\">"));
    CHECK(has("<text x=\"27.1\" y=\"15\" text-anchor=\"end\">a</text>"));
    CHECK(has("<text x=\"27.1\" y=\"37\" text-anchor=\"end\">bcd</text>"));
    CHECK(has("<rect x=\"53.1\" y=\"22\" width=\"22\" height=\"22\" fill=\"#"));
    CHECK(has("<rect x=\"75.1\" y=\"22\" width=\"22\" height=\"22\" fill=\"#fcfcbf\"><title>bcd, 2: 5</title></rect>"));
    CHECK(has("<text x=\"0\" y=\"0\" text-anchor=\"end\" transform=\"translate(68.1 50) rotate(-60)\">cat</text>"));
    CHECK(has("translate(90.1 50) rotate(-60)\">2</text>"));  // a column without a name has its number
    CHECK(has("<rect x=\"105.1\" y=\"0\" width=\"10\" height=\"3.3\" fill=\"#fcfcbf\"/>"));
    CHECK(
        has("<rect x=\"105.1\" y=\"45\" width=\"10\" height=\"3.3\" fill=\"#050514\"/><text x=\"119.1\" y=\"11\">5</text>"
            "<text x=\"119.1\" y=\"48\">0</text></svg>"));
    CHECK(count_of(html, "width=\"10\"") == 16);
    const Image shares = heat_colours(Matrix{{8}, {7}}, 0, 15);  // the eighth and ninth of 16 from above
    const auto hex = [&](int k) {
        char words[8];
        std::snprintf(words, sizeof words, "#%02x%02x%02x", static_cast<int>(std::lround(255 * shares(k, 0, 0))),
                      static_cast<int>(std::lround(255 * shares(k, 0, 1))), static_cast<int>(std::lround(255 * shares(k, 0, 2))));
        return std::string(words);
    };
    CHECK(has("y=\"21\" width=\"10\" height=\"3.3\" fill=\"" + hex(0) + "\"/>"));
    CHECK(has("y=\"24\" width=\"10\" height=\"3.3\" fill=\"" + hex(1) + "\"/>"));
    // as many names as rows and columns, and no more
    CHECK(count_of(heat_html(Matrix{{1, 2}}, "A", {"r"}, {"x", "y"}), "<text") == 5);
    CHECK(heat_html(Matrix{{1, 2}}, "A", {"r"}, {"x", "y"}).find("rotate(-60)\">x</text>") != std::string::npos);
    // a long name over a single column makes the margin: 0.5 * 8 * 7.7 - 0.5 * 22
    CHECK(heat_html(Matrix(1, 1), "A", {}, {"abcdefgh"}).find("<rect x=\"19.8\" y=\"0\"") != std::string::npos);
}

TEST_CASE("heat_html: cells of 6 to 22 pixels without names; up to 1200 have titles, more are one picture") {
    const auto box = [](const std::string& html) {
        const std::size_t begin = html.find("viewBox=\"") + 9;
        return html.substr(begin, html.find('"', begin) - begin);
    };
    CHECK(box(heat_html(Matrix(1, 40), "wide")) == "0 0 336 52");    // 40 * 6 + 96; the bar is 48 high
    CHECK(box(heat_html(Matrix(40, 1), "tall")) == "0 0 102 244");   // 40 * 6 + 4
    CHECK(box(heat_html(Matrix(2, 20), "less")) == "0 0 296 52");    // 200 / 20 = 10
    CHECK(box(heat_html(Matrix(1, 1), "largest")) == "0 0 118 52");  // 22
    CHECK(count_of(heat_html(Matrix(30, 40), "A"), "<title>") == 1200);
    CHECK(box(heat_html(Matrix(30, 40), "A")) == "0 0 336 184");  // still 6 pixels
    const std::vector<std::string> names(30, "t");                // of the rows or of the columns: at least 14
    CHECK(heat_html(Matrix(30, 30), "A", names, {}).find("width=\"14\" height=\"14\"") != std::string::npos);
    CHECK(heat_html(Matrix(30, 30), "A", {}, names).find("width=\"14\" height=\"14\"") != std::string::npos);
    const std::string picture = heat_html(Matrix(35, 40), "A"), longest = heat_html(Matrix(1201, 1), "A");
    CHECK(count_of(picture, "<title>") == 0);
    CHECK(picture.find("<image class=\"px\" x=\"0\" width=\"200\" height=\"175\"") != std::string::npos);
    CHECK(longest.find("<image class=\"px\" x=\"0\" width=\"1\" height=\"1201\"") != std::string::npos);
    CHECK(heat_html(Matrix(1, 1, NAN), "A").find("y=\"11\">0</text>") != std::string::npos);  // a bar without numbers
}

// The words at the marks of an axis: "end" the vertical one, "middle" the horizontal one.
static std::string marks(const std::string& html, const std::string& anchor) {
    const std::string before = "text-anchor=\"" + anchor + "\">";
    std::string all;
    for (std::size_t at = html.find(before); at != std::string::npos; at = html.find(before, at + 1)) {
        const std::size_t begin = at + before.size();
        all += html.substr(begin, html.find('<', begin) - begin) + " ";
    }
    return all;
}

TEST_CASE("curves_html: the places of lines, marks and names, worked by hand; the frame is 470 x 210 at (62, 26)") {
    const std::string html = curves_html({{"a", {0, 10}, {0, 4}}, {"b", {0, 10}, {1, 1}}});
    const auto has = [&](const std::string& words) { return html.find(words) != std::string::npos; };
    CHECK(has("viewBox=\"0 0 560 306\">"));  // 26 + 210 + 34, then 18 for each name
    CHECK(has("<path class=\"grid\" d=\"M297 26v210\"/><text x=\"297\" y=\"252\" text-anchor=\"middle\">5</text>"));
    CHECK(has("<path class=\"grid\" d=\"M62 183.5h470\"/><text x=\"56\" y=\"187.5\" text-anchor=\"end\">1</text>"));
    CHECK(has("<path class=\"s0\" stroke-dasharray=\"\" d=\"M62 236L532 26\"><title>a</title></path>"));
    CHECK(has("<path class=\"s1\" stroke-dasharray=\"7 4\" d=\"M62 183.5L532 183.5\"><title>b</title></path>"));
    CHECK(has("<circle class=\"s0\" r=\"2.5\" cx=\"532\" cy=\"26\"><title>a: 10, 4</title></circle>"));
    CHECK(has("<path class=\"s0\" stroke-dasharray=\"\" d=\"M62 270h30\"/><text x=\"100\" y=\"274\">a</text>"));
    CHECK(has("<path class=\"s1\" stroke-dasharray=\"7 4\" d=\"M62 288h30\"/><text x=\"100\" y=\"292\">b</text>"));
    const std::string named = curves_html({{"a", {0, 1}, {2, 1}}}, {"training step", "loss, nats"});
    CHECK(named.find("viewBox=\"0 0 560 304\">") != std::string::npos);
    CHECK(named.find("<text x=\"62\" y=\"16\">loss, nats</text>") != std::string::npos);
    CHECK(named.find("<text x=\"297\" y=\"269\" text-anchor=\"middle\">training step</text>") != std::string::npos);
    CHECK(named.find("d=\"M62 286h30\"/>") != std::string::npos);
    const std::string far = curves_html({{"a", {10, 20, 30}, {-4, -1, -2}}});  // ranges that do not begin at 0
    CHECK(far.find(" d=\"M62 236L297 26L532 96\">") != std::string::npos);
    const std::string level = curves_html({{"a", {3}, {7}}});  // without an extent, in the middle
    CHECK(level.find("<circle class=\"s0\" r=\"2.5\" cx=\"297\" cy=\"131\">") != std::string::npos);
    CHECK(marks(level, "end") == "7 ");
    const Series one{"a", {0, 1}, {0, 1}};
    CHECK(curves_html({one, one, one, one, one, one, one}).find("<path class=\"s0\" stroke-dasharray=\"\" d=\"M62 378h30\"/>") !=
          std::string::npos);  // the seventh looks like the first
}

TEST_CASE("curves_html: marks 1, 2, 5 or 10 apart; up to 40 points have circles, of more than 400 some are left out") {
    const auto marks_of = [](float low, float high) { return marks(curves_html({{"a", {0, 1}, {low, high}}}), "end"); };
    CHECK(marks_of(0, 4) == "0 1 2 3 4 ");
    CHECK(marks_of(0, 6) == "0 2 4 6 ");
    CHECK(marks_of(0, 8) == "0 2 4 6 8 ");
    CHECK(marks_of(0, 12) == "0 5 10 ");
    CHECK(marks_of(0, 20) == "0 5 10 15 20 ");
    CHECK(marks_of(0, 24) == "0 10 20 ");
    CHECK(marks_of(-5, -1) == "-5 -4 -3 -2 -1 ");
    CHECK(marks_of(0, 0.3f) == "0 0.1 0.2 0.3 ");
    CHECK(marks_of(0, 0.07f) == "0 0.02 0.04 0.06 ");
    CHECK(marks_of(0, 0.12f) == "0 0.05 0.1 ");
    CHECK(marks_of(0, 120) == "0 50 100 ");
    CHECK(marks_of(0, 70) == "0 20 40 60 ");
    CHECK(marks_of(300, 700) == "300 400 500 600 700 ");
    CHECK(marks_of(0, 300) == "0 100 200 300 ");
    CHECK(marks_of(0, 0.0004f) == "0 0.0001 0.0002 0.0003 0.0004 ");
    CHECK(marks_of(0, 0.04f) == "0 0.01 0.02 0.03 0.04 ");  // as a float it is less
    CHECK(marks_of(0.2f, 0.6f) == "0.2 0.4 0.6 ");          // more
    CHECK(marks_of(-0.3f, 2) == "0 1 2 ");
    const auto points = [](int count) {
        Series one{"a", {}, {}};
        for (int k = 0; k < count; ++k) {
            one.x.push_back(static_cast<float>(k));
            one.y.push_back(static_cast<float>(k));
        }
        const std::string html = curves_html({one});
        return std::pair(count_of(html, "L"), count_of(html, "<circle"));
    };
    CHECK(points(40) == std::pair<std::size_t, std::size_t>(39, 40));
    CHECK(points(41) == std::pair<std::size_t, std::size_t>(40, 0));
    CHECK(points(400).first == 399);
    CHECK(points(401).first == 200);  // every second: 0, 2, ..., 400
    CHECK(points(402).first == 201);  // and the last
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
