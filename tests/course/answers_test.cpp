#include "course/grade/answers.h"

#include <limits>

#include "nn/base/random.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("answers");

TEST_CASE("text_of, read_answers: round trip without losing a bit, thrown errors included") {
    Random random(3);
    Answers answers;
    const Matrix m = normal_matrix(random, 3, 4);
    answers.ask("a matrix", [&] { return m; });
    answers.ask("no rows", [] { return Matrix(0, 5); });
    answers.ask("integers", [] { return std::vector<int>{3, -100}; });
    answers.ask("not a number", [] { return std::numeric_limits<float>::quiet_NaN(); });
    answers.ask("refused", []() -> Matrix { throw std::invalid_argument("f: 3 of\n2"); });
    std::string text;
    for (const Answer& answer : answers.list) text += text_of(answer);
    const std::vector<Answer> read = read_answers(text);
    REQUIRE(read.size() == 5);
    CHECK(identical(read[0].value, m));
    CHECK(shape(read[1].value) == "(0, 5)");
    CHECK(identical(read[2].value, Matrix{{3, -100}}));
    CHECK(read[3].value(0, 0) != read[3].value(0, 0));
    CHECK(read[4].error == "f: 3 of 2");
}

TEST_CASE("read_answers: reads arbitrary text up to the first line that is not an answer") {
    const std::string good = "x\t1 2 1p+0 1p+1\n";
    CHECK(read_answers(good + good).size() == 2);
    for (const char* const bad : {"", "x\n", "\t1 1 1\n", "x\t1 1\n", "x\t1 1 1 2\n", "x\t-1 1 1\n", "x\t1 1 one\n",
                                  "x\t2000000 2000000 1\n", "x\t99999999999 1 1\n", "x\t! \n", "x\t1 1 1"}) {
        INFO(std::string(bad));
        CHECK(read_answers(bad).empty());
        CHECK(read_answers(good + bad).size() == 1);
    }
}

TEST_SUITE_END();
