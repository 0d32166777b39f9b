#include "course/sheets/sheet.h"

#include <cmath>

#include "nn/data/text.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("sheet");

// The key of a sheet as a student would type it.
static std::string typed_key(const Sheet& sheet) {
    std::string lines;
    for (const Question& question : sheet.questions)
        lines += question.label + " = " + (question.words.empty() ? std::to_string(question.number) : question.words) + "\n";
    return lines;
}

TEST_CASE("number_of: fractions, decimals and logarithms; nothing else") {
    CHECK(number_of("7/3").value() == Approx(7.0 / 3));
    CHECK(number_of(" -2 ").value() == -2);
    CHECK(number_of("0.25").value() == 0.25);
    CHECK(number_of("ln 3").value() == Approx(std::log(3)));
    CHECK(number_of("ln 1").value() == 0);
    CHECK(number_of("2 ln 1/2").value() == Approx(-2 * std::log(2)));
    CHECK(number_of("1 / 4").value() == 0.25);
    CHECK(number_of("- ln 2").value() == Approx(-std::log(2)));
    CHECK(number_of("0/2").value() == 0);
    CHECK(number_of("-ln 2").value() == Approx(-std::log(2)));
    CHECK(number_of("1/2 ln 3/2").value() == Approx(0.5 * std::log(1.5)));
    for (const char* const words : {"", "x", "1/0", "ln 0", "ln", "1/2/3", "ln x", "ln -1", "x/2", "2/x", "x ln 2"})
        CHECK_FALSE(number_of(words).has_value());
}

TEST_CASE("make_sheet: twelve worksheets whose keys are right, whose other answers are wrong, for thirty seeds") {
    CHECK(sheet_names().size() == 12);
    for (const std::string& name : sheet_names())
        for (int seed = 1; seed <= 30; ++seed) {
            const Sheet sheet = make_sheet(name, seed);
            INFO(name, " ", seed);
            CHECK(sheet.questions.size() >= 3);
            for (const Question& question : sheet.questions) CHECK(std::isfinite(question.number));
            for (const Verdict& verdict : check_answers(sheet, typed_key(sheet))) CHECK(verdict.comment == "right");
            Sheet changed = sheet;
            changed.questions[1].number += 0.01;
            changed.questions[1].words += changed.questions[1].words.empty() ? "" : "x";
            const std::vector<Verdict> verdicts = check_answers(sheet, typed_key(changed));
            CHECK(verdicts[0].right);
            CHECK(verdicts[1].comment == "wrong");
        }
}

TEST_CASE("make_sheet: the same seed gives the same sheet, other seeds other numbers") {
    for (const std::string& name : sheet_names()) {
        INFO(name);
        CHECK(sheet_text(make_sheet(name, 5), true) == sheet_text(make_sheet(name, 5), true));
        int different = 0;
        for (int seed = 1; seed <= 5; ++seed)
            different += sheet_text(make_sheet(name, seed)) != sheet_text(make_sheet(name, seed + 1));
        CHECK(different >= 4);
    }
    CHECK_THROWS_WITH(make_sheet("x", 1),
                      "unknown worksheet x; available: attention softmax_backward layer_norm patchify "
                      "causal_and_padding bpe wordpiece cross_entropy adamw gae bradley_terry kl");
    // FNV-1a: the published values of "" and "a" are 811C9DC5 and E40C292C, of which 31 bits are kept
    CHECK(seed_of("") == 0x011C9DC5);
    CHECK(seed_of("a") == 0x640C292C);
    CHECK(seed_of("Ann") != seed_of("Ben"));
}

TEST_CASE("sheet_text: fits 80 columns and holds no answer unless it is the key") {
    for (const std::string& name : sheet_names()) {
        const Sheet sheet = make_sheet(name, 3);
        INFO(sheet_text(sheet));
        for (const std::string& line : split_lines(sheet_text(sheet, true))) CHECK(line.size() <= 80);
        CHECK(sheet_text(sheet).find("A = ____") != std::string::npos);
        CHECK(sheet_text(sheet, true).find("____") == std::string::npos);
        CHECK(sheet_html(sheet).find("A = ____") != std::string::npos);
    }
}

TEST_CASE("sheet_text, sheet_html: a small sheet as a whole, with and without its key") {
    Sheet sheet;
    sheet.title = "Sums", sheet.equation = "a < b & c", sheet.header = "a.h", sheet.given = {"1 > 0", "2"};
    sheet.ask("the sum", 2.0 / 3);
    sheet.ask_words("the words", "a b");
    CHECK(sheet_text(sheet) ==
          "Sums\n====\na < b & c\n\n1 > 0\n2\n\nA   the sum\n    A = ____________\n\nB   the words\n    B = ____________\n\n"
          "The function is in a.h\n");
    CHECK(sheet_text(sheet, true).find("    A = 0.6667\n\nB   the words\n    B = a b\n") != std::string::npos);
    const std::string page = sheet_html(sheet, true);
    CHECK(page.find("<p>a &lt; b &amp; c</p>\n<pre>1 &gt; 0\n2\n</pre>") != std::string::npos);
    CHECK(page.find("<dt>A. the sum</dt><dd>A = 0.6667</dd>\n<dt>B. the words</dt><dd>B = a b</dd>\n") != std::string::npos);
    CHECK(sheet_html(sheet).find("0.6667") == std::string::npos);
    CHECK(row_text({{1, 2}, {-3, 40}}, 1) == "    -3    40");
    CHECK(identical(logarithms({{1, 2}}), Matrix{{0, std::log(2.0f)}}));
    CHECK(logarithm_rows({{1, 2}, {3, 10}}) == std::vector<std::string>{"     0  ln 2", "  ln 3 ln 10"});
}

TEST_CASE("check_answers: missing answers, text that is not a number, and lines that are not answers") {
    Sheet sheet;
    sheet.ask("one", 0.5);
    sheet.ask("two", 2);
    sheet.ask_words("three", "a b");
    const std::vector<Verdict> verdicts = check_answers(sheet, "my answers:\nA = 1/2\nB = two\nnonsense\n");
    CHECK(verdicts[0].comment == "right");
    CHECK(verdicts[1].comment == "not a number: two");
    CHECK(verdicts[2].comment == "missing");
    CHECK(verdicts[0].right);
    CHECK_FALSE(verdicts[1].right);
    CHECK_FALSE(verdicts[2].right);
    for (std::size_t k = 0; k < 3; ++k) CHECK(verdicts[k].label == sheet.questions[k].label);
    Sheet zero;
    zero.ask("nothing", 0);
    CHECK(check_answers(zero, "A = 0.005")[0].right);  // the limit itself
    CHECK(check_answers(zero, "\tA\t=\t0\t\r\n")[0].right);
    CHECK(check_answers(zero, "A = 1\nA = 0")[0].right);  // the last line counts
    CHECK(check_answers(sheet, "C =  a b \r\n")[2].right);
    CHECK(check_answers(sheet, "A = 0.504")[0].right);
    CHECK_FALSE(check_answers(sheet, "A = 0.506")[0].right);
    CHECK_FALSE(check_answers(sheet, "A = 0.494")[0].right);
    CHECK(check_answers(sheet, "A =")[0].comment == "missing");
    CHECK(check_answers(sheet, "A = " + std::string(50, 'x'))[0].comment == "not a number: " + std::string(40, 'x'));
    CHECK(check_answers(sheet, "C = a c")[2].comment == "wrong");
}

TEST_CASE("make_sheet: the attention weights of a query sum to 1, and the patches hold every pixel's row and column") {
    for (int seed = 1; seed <= 10; ++seed) {
        const Sheet attention = make_sheet("attention", seed);
        CHECK(attention.questions[0].number + attention.questions[1].number + attention.questions[2].number == Approx(1));
        CHECK(make_sheet("kl", seed).questions[2].number == 0);
    }
}

TEST_SUITE_END();
