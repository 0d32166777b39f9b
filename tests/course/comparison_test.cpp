#include "course/grade/comparison.h"

#include <cmath>

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("comparison");

static Answer answer(const std::string& name, const Matrix& value) { return {name, value, ""}; }

static const Matrix weights{{0.1f, 0.2f, 0.7f}, {0.5f, 0.25f, 0.25f}};
static const Expected expected{
    .answers = {answer("first", weights), answer("second", Matrix{{1, 2}}), {"third", Matrix(), "refused"}},
    .mistakes = {{"sign",
                  "the sign is wrong",
                  "which way?",
                  {answer("first", weights), answer("second", Matrix{{-1, -2}}), {"third", Matrix(), "refused"}}}}};

TEST_CASE("compare: right answers are counted one by one, within the tolerance of all tests") {
    const Comparison all = compare(expected.answers, expected);
    CHECK(all.right == 3);
    CHECK(all.share() == 1);
    CHECK(all.name == "");
    std::vector<Answer> nearly = expected.answers;
    nearly[1].value(0, 0) = 1.0001f;
    nearly[2].error = "in other words";
    CHECK(compare(nearly, expected).right == 3);
    nearly[1].value(0, 0) = 1.01f;
    CHECK(compare(nearly, expected).right == 2);
    CHECK(compare(nearly, expected).difference == "element (0, 0) of (1, 2): yours 1.01, expected 1; 1 of 2 differ");
    CHECK(compare(nearly, expected).place == "1 of 2 numbers differ, the first at (0, 0) of (1, 2)");
}

TEST_CASE("compare: names a mistake if it explains every answer, else possibly a relation of the numbers") {
    std::vector<Answer> wrong = expected.answers;
    wrong[1].value = Matrix{{-1, -2}};
    const Comparison named = compare(wrong, expected);
    CHECK(named.mistake == "sign");
    CHECK(named.cause == "the sign is wrong");
    CHECK(named.hint == "which way?");
    wrong[0].value = Matrix{{0.2f, 0.4f, 1.4f}, {1, 0.5f, 0.5f}};
    const Comparison guessed = compare(wrong, expected);
    CHECK(guessed.mistake == "");
    CHECK(guessed.right == 1);
    CHECK(guessed.cause == "fits: yours = expected * 2, twice");
}

TEST_CASE("compare: missing, misnamed, misshapen and failed answers are wrong") {
    CHECK(compare({}, expected).right == 0);
    CHECK(compare({}, expected).difference == "it throws: no answer came");
    CHECK(compare({expected.answers[1], expected.answers[0]}, expected).right == 0);
    CHECK(compare({answer("first", Matrix(3, 2))}, expected).difference == "the shape is (3, 2), expected (2, 3)");
    CHECK(compare({{"first", Matrix(), "f: no"}}, expected).difference == "it throws: f: no");
    CHECK(compare({expected.answers[0], expected.answers[1], answer("third", Matrix(1, 1))}, expected).difference ==
          "it should throw std::invalid_argument");
    CHECK_FALSE(same_answer(answer("x", Matrix{{std::nanf("")}}), answer("x", Matrix{{std::nanf("")}})));
}

TEST_CASE("text_of, read_expected: round trip through a file") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("e"), text_of(expected));
    const Expected read = read_expected(folder.path("e"));
    CHECK(text_of(read) == text_of(expected));
    CHECK(read.mistakes[0].says == "the sign is wrong");
    write_file_atomically(folder.path("e"), "nothing\n");
    CHECK(error_of([&] { read_expected(folder.path("e")); }) == folder.path("e") + ": there are no answers");
}

TEST_SUITE_END();
