#include "course/grade/answers.h"

#include <limits>

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
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

TEST_CASE("Answers: an error is kept as one line of at most 300 characters; a file receives each answer at once") {
    const TemporaryFolder folder;
    std::FILE* const file = std::fopen(folder.path("answers").c_str(), "w");
    Answers answers(file);
    answers.ask("long", []() -> Matrix { throw std::invalid_argument(std::string(301, 'x')); });
    answers.ask("control", []() -> Matrix { throw std::invalid_argument("a\tb\x1f" + std::string("c d")); });
    answers.ask("number", [] { return 0.5f; });
    CHECK(answers.list[0].error == std::string(300, 'x'));
    CHECK(answers.list[1].error == "a b c d");
    const std::string written = read_file(folder.path("answers"));  // before the file is closed
    std::fclose(file);
    CHECK(written == text_of(answers.list[0]) + text_of(answers.list[1]) + text_of(answers.list[2]));
    CHECK(text_of(answers.list[2]) == "number\t1 1 1p-1\n");
}

TEST_CASE("read_answers: names of up to 100 characters, errors of up to 300, up to 200000 numbers") {
    CHECK(read_answers(std::string(100, 'n') + "\t1 1 1p+0\n").size() == 1);
    CHECK(read_answers(std::string(101, 'n') + "\t1 1 1p+0\n").empty());
    CHECK(read_answers("x\t! " + std::string(301, 'e') + "\n")[0].error == std::string(300, 'e'));
    const auto zeros = [](int count) {
        std::string line = "x\t1 " + std::to_string(count);
        for (int k = 0; k < count; ++k) line += " 0";
        return line + "\n";
    };
    CHECK(read_answers(zeros(200000)).size() == 1);
    CHECK(read_answers(zeros(200001)).empty());
    for (const char* const sizes : {"200000 0", "0 200000", "0 0"})
        CHECK(read_answers("x\t" + std::string(sizes) + "\n").size() == 1);
    for (const char* const sizes : {"200001 0", "0 200001", "1 -1", "-1 1"})
        CHECK(read_answers("x\t" + std::string(sizes) + "\n").empty());
}

TEST_CASE("read_answers: reads arbitrary text up to the first line that is not an answer") {
    const std::string good = "x\t1 2 1p+0 1p+1\n";
    CHECK(read_answers(good + good).size() == 2);
    for (const char* const bad :
         {"", "x\n", "\t1 1 1\n", "x\t1 1\n", "x\t1 1 1 2\n", "x\t-1 1 1\n", "x\t1 1 one\n", "x\t2000000 2000000 1\n",
          "x\t1000 1000\n", "x\t1 1\t1\n", "x\t1 2 1 1x\n", "x\t99999999999 1 1\n", "x\t! \n", "x\t1 1 1"}) {
        INFO(std::string(bad));
        CHECK(read_answers(bad).empty());
        CHECK(read_answers(good + bad).size() == 1);
    }
}

TEST_SUITE_END();
