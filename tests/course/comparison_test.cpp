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

TEST_CASE("compare: the first element that differs is named by row and column") {
    std::vector<Answer> wrong = expected.answers;
    wrong[0].value(1, 0) = 3;
    wrong[0].value(1, 2) = 4;
    CHECK(compare(wrong, expected).name == "first");
    CHECK(compare(wrong, expected).difference == "element (1, 0) of (2, 3): yours 3, expected 0.5; 2 of 6 differ");
    wrong[1].value(0, 0) = 9;
    CHECK(compare(wrong, expected).name == "first");  // and not a later one
    CHECK(compare(wrong, expected).right == 1);
}

TEST_CASE("compare: up to three mistakes that answer so are named; four say nothing") {
    const auto with_mistakes = [](int count) {
        Expected several{.answers = {answer("x", Matrix{{1}})}, .mistakes = {}};
        for (int k = 0; k < count; ++k) {
            const std::string name(1, static_cast<char>('a' + k));
            several.mistakes.push_back({name, "it is " + name, "look at " + name, {answer("x", Matrix{{5}})}});
        }
        return compare({answer("x", Matrix{{5}})}, several);
    };
    CHECK(with_mistakes(1).mistake == "a");
    CHECK(with_mistakes(3).mistake == "a b c");
    CHECK(with_mistakes(3).cause == "it is a; or: it is b; or: it is c");
    CHECK(with_mistakes(3).hint == "look at a");
    CHECK(with_mistakes(4).mistake.empty());
    CHECK(with_mistakes(4).hint.empty());
    CHECK(with_mistakes(0).mistake.empty());
    CHECK(Comparison{}.share() == 0);  // nothing was asked
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
    write_file_atomically(folder.path("e"), "x\t1 1 1p+0\nmistake\ta\tsays\thint\n");
    CHECK(error_of([&] { read_expected(folder.path("e")); }) == folder.path("e") + ": there are no answers of a");
    for (const char* const line : {"mistake\ta\tsays\n", "mistake\ta\tsays\thint\tmore\n"}) {
        write_file_atomically(folder.path("e"), std::string("x\t1 1 1p+0\n") + line);
        CHECK(error_of([&] { read_expected(folder.path("e")); }).find(": a line of a mistake has ") != std::string::npos);
    }
}

TEST_SUITE_END();
